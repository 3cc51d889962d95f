//! R11: whatever becomes of the browser, the archiver goes on by itself, and nothing of it stays behind.

use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use shoebox::remote::browser::launch::BrowserSettings;
use shoebox::remote::google::{GooglePhotos, GoogleSettings, Method};
use shoebox::sim::{Fault, FaultRule, RequestClass, SimConfig, When};
use shoebox::sync::report::Outcome;

use super::{Count, Row, seed};
use crate::remote::browser::marked_processes;
use crate::sync::browser::{settings, signed_in};
use crate::sync::support::{assert_equal, open, pass};

/// Each costs the start of a browser, and what freezes is noticed by its silence: more than these take minutes.
const BLOWS: Count = Count(6, 20, 1000);

/// A browser starts and ends processes that help it as it sees fit.
const HELPERS: usize = 4;

pub const ROWS: &[Row] = &[Row {
    number: 11,
    tried: "blows to the browser during a pass: browser, page or graphics process killed, browser or page frozen, its socket closed, a crash at launch, a stale lock, a download that never completes",
    counts: &[BLOWS],
}];

/// Working again, as promised; a machine that runs other tests beside may take longer.
const WORKING_AGAIN: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
enum Blow {
    Killed,
    PageKilled,
    GraphicsKilled,
    SocketClosed,
    CrashAtLaunch,
    StaleLock,
    NeverCompletes,
    Frozen,
    PageFrozen,
}

/// What freezes is noticed only by its silence: once in twenty blows each.
const BLOWS_IN_TURN: [Blow; 20] = [
    Blow::Killed,
    Blow::PageKilled,
    Blow::SocketClosed,
    Blow::CrashAtLaunch,
    Blow::GraphicsKilled,
    Blow::Frozen,
    Blow::NeverCompletes,
    Blow::StaleLock,
    Blow::Killed,
    Blow::PageKilled,
    Blow::GraphicsKilled,
    Blow::SocketClosed,
    Blow::PageFrozen,
    Blow::CrashAtLaunch,
    Blow::NeverCompletes,
    Blow::Killed,
    Blow::PageKilled,
    Blow::SocketClosed,
    Blow::StaleLock,
    Blow::GraphicsKilled,
];

fn signal(pids: &[i32], signal: &str) {
    for pid in pids {
        Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
    }
}

fn command_line(pid: i32) -> String {
    String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()).into_owned()
}

/// A process and all that it has started, by the tree of parents.
fn tree(root: i32) -> Vec<i32> {
    let parents: Vec<(i32, i32)> = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((pid, stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?))
        })
        .collect();
    let mut found = vec![root];
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found
}

/// Processes of the browser of one kind. They have rewritten their command line, and what they were started with.
fn of_kind(browser: i32, kind: &str) -> Vec<i32> {
    let mark = format!("--type={kind}");
    let found: Vec<_> = tree(browser).into_iter().filter(|&pid| command_line(pid).contains(&mark)).collect();
    assert!(!found.is_empty(), "the browser has no {kind}");
    found
}

/// Processes that this one has started and those that carry the profile's mark, but for a browser and its own.
fn processes_beside(profile: &Path, browser: Option<i32>) -> usize {
    let mut all = tree(std::process::id().cast_signed());
    all.extend(marked_processes(profile));
    all.sort_unstable();
    all.dedup();
    let own = browser.map(tree).unwrap_or_default();
    all.iter().filter(|pid| !own.contains(pid)).count() - 1
}

/// Closes our own end of the debugging socket behind the back of those who use it.
fn close_socket(browser: i32) {
    let line = command_line(browser);
    let port = line.split('\0').find_map(|arg| arg.strip_prefix("--remote-debugging-port=")).unwrap();
    let remote = format!(":{:04X}", port.parse::<u16>().unwrap());
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let inodes: Vec<_> = table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields[2].ends_with(&remote))
        .map(|fields| format!("socket:[{}]", fields[9]))
        .collect();
    let own = pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).unwrap();
    for entry in std::fs::read_dir("/proc/self/fd").unwrap().flatten() {
        let Ok(target) = std::fs::read_link(entry.path()) else { continue };
        if inodes.iter().any(|inode| target.as_os_str() == inode.as_str()) {
            let number = entry.file_name().to_str().unwrap().parse().unwrap();
            let twin = pidfd_getfd(own.as_fd(), number, PidfdGetfdFlags::empty()).unwrap();
            let _closed = std::net::TcpStream::from(twin).shutdown(std::net::Shutdown::Both);
        }
    }
}

/// A browser that crashes once at launch whenever `crash` is there.
fn fragile_browser(dir: &Path) -> PathBuf {
    let (program, crash) = (dir.join("browser"), dir.join("crash"));
    let real = BrowserSettings::default().find_program().unwrap();
    let script = format!(
        "#!/bin/sh\nif [ -e '{0}' ]; then rm '{0}'; kill -SEGV $$; fi\nexec '{1}' \"$@\"\n",
        crash.display(),
        real.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    program
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Children of this process that nobody has reaped.
fn zombies() -> usize {
    let own = std::process::id().to_string();
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
        .filter(|stat| {
            let rest: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
            rest[0] == "Z" && rest[1] == own
        })
        .count()
}

/// Waits until a count is as low as that, and says what it is in the end.
async fn settled(most: usize, count: impl Fn() -> usize) -> usize {
    let until = Instant::now() + Duration::from_secs(15);
    while count() > most && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    count()
}

/// The archiver's browser, and where it lives.
struct Ring {
    dir: tempfile::TempDir,
    settings: GoogleSettings,
    google: Option<Arc<GooglePhotos>>,
}

impl Ring {
    fn profile(&self) -> PathBuf {
        self.dir.path().join("profile")
    }

    fn google(&self) -> Arc<GooglePhotos> {
        Arc::clone(self.google.as_ref().unwrap())
    }

    async fn strike(&self, blow: Blow) {
        let Some(browser) = self.google().browser_pid().await else { return };
        match blow {
            Blow::Killed => signal(&[browser], "-KILL"),
            Blow::Frozen => signal(&[browser], "-STOP"),
            Blow::PageKilled => signal(&of_kind(browser, "renderer"), "-KILL"),
            Blow::PageFrozen => signal(&of_kind(browser, "renderer"), "-STOP"),
            Blow::GraphicsKilled => signal(&of_kind(browser, "gpu-process"), "-KILL"),
            Blow::SocketClosed => close_socket(browser),
            Blow::CrashAtLaunch => {
                std::fs::write(self.dir.path().join("crash"), "").unwrap();
                signal(&[browser], "-KILL");
            }
            Blow::StaleLock | Blow::NeverCompletes => {}
        }
    }

    /// Leaves the profile as a container that was killed and is another host now would find it, and goes on from there.
    async fn leave_a_lock(&mut self) {
        // Its profile is free once nobody holds it.
        self.google.take().unwrap().close().await;
        let lock = self.profile().join("SingletonLock");
        let _absent = std::fs::remove_file(&lock);
        std::os::unix::fs::symlink("another-host-4711", lock).unwrap();
        self.google = Some(Arc::new(GooglePhotos::connect(self.settings.clone()).await.unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r11_whatever_becomes_of_the_browser_the_archiver_goes_on() {
    let mut random = fastrand::Rng::with_seed(seed("r11_whatever_becomes"));
    let dir = tempfile::tempdir().unwrap();
    let sim = signed_in(SimConfig { items: 12, fife_share: 0.6, ..SimConfig::default() }, dir.path()).await;
    let archive = open(&dir.path().join("archive"));
    let mut settings = settings(&sim, dir.path(), Method::Rpc);
    settings.browser.program = Some(fragile_browser(dir.path()));
    settings.stall = Duration::from_secs(3);
    let google = Some(Arc::new(GooglePhotos::connect(settings.clone()).await.unwrap()));
    let mut ring = Ring { dir, settings, google };
    pass(&archive, &ring.google()).await;
    let (mut before, mut longest) = (None, Duration::ZERO);
    // Not always the same ones are left out.
    let first = random.usize(..BLOWS_IN_TURN.len());
    for n in 0..BLOWS.get() {
        let blow = BLOWS_IN_TURN[(first + n) % BLOWS_IN_TURN.len()];
        (0..6).for_each(|_| drop(sim.library().add_item()));
        let slow = Fault::Latency(Duration::from_millis(80));
        sim.faults().set(FaultRule::new(RequestClass::Download, slow, When::Always));
        match blow {
            Blow::StaleLock => ring.leave_a_lock().await,
            Blow::NeverCompletes => {
                let stall = FaultRule::new(RequestClass::Download, Fault::Stall(500), When::Nth(2));
                sim.faults().set(stall);
            }
            _ => {}
        }
        let google = ring.google();
        let work = tokio::spawn({
            let (archive, google) = (Arc::clone(&archive), Arc::clone(&google));
            async move { pass(&archive, &google).await }
        });
        // Anywhere in the pass: before, in, after its downloads.
        tokio::time::sleep(Duration::from_millis(random.u64(0..1200))).await;
        ring.strike(blow).await;
        let struck = Instant::now();
        let mut report = work.await.unwrap();
        let mut passes = 1;
        // A pass may end by the blow; what counts is that one goes through.
        while report.outcome() != &Outcome::Complete && struck.elapsed() < WORKING_AGAIN {
            println!("  {blow:?}: {}", report.sentence());
            report = pass(&archive, &google).await;
            passes += 1;
        }
        // Also where the blow fell behind the pass: the next call is answered.
        if passes == 1 {
            sim.library().add_item();
            report = pass(&archive, &google).await;
        }
        let took = struck.elapsed();
        longest = longest.max(took);
        println!("{n} {blow:?}: working again after {took:?}, {passes} passes");
        assert_eq!(report.outcome(), &Outcome::Complete, "{blow:?}: {}", report.sentence());
        assert!(took < WORKING_AGAIN * 2, "{blow:?}: {took:?}");
        assert_equal(&archive, &sim.ledger());
        sim.faults().clear();
        drop(google);
        // Processes and descriptors as after the first blow, which has opened what stays open.
        let profile = ring.profile();
        let most = before.unwrap_or([usize::MAX; 3]);
        let browser = ring.google().browser_pid().await;
        let limits = [most[0], most[1].saturating_add(HELPERS), most[2].saturating_add(most[2] / 20 + 4)];
        let now = [
            settled(limits[0], || processes_beside(&profile, browser)).await,
            settled(limits[1], || browser.map_or(0, |browser| tree(browser).len())).await,
            settled(limits[2], descriptors).await,
        ];
        for (what, (now, most)) in ["processes beside the browser", "of the browser", "descriptors"]
            .iter()
            .zip(now.iter().zip(limits))
        {
            assert!(*now <= most, "{blow:?}: {now} {what}, and {most} are the most");
        }
        assert_eq!(settled(0, zombies).await, 0, "{blow:?}");
        before.get_or_insert(now);
    }
    println!("{} blows, {} browsers, at most {longest:?}", BLOWS.get(), ring.google().browser_starts());
    ring.google.take().unwrap().close().await;
    let profile = ring.profile();
    assert_eq!(settled(0, || processes_beside(&profile, None)).await, 0);
}
