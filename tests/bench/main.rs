//! Speed and memory, beside references measured in the same run: `cargo bench --features sim`.
//!
//! Ratios count, not seconds: machines are noisy. Prints one line per figure.
#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shoebox::model::{Clock, SystemClock};
use shoebox::sim::fake::FakeLibrary;
use shoebox::sim::{FileBytes, SimConfig};
use shoebox::store::{RealDisk, Store};
use shoebox::sync::progress::Progress;
use shoebox::sync::{self, ListingMode, SyncOptions};

const FILE: u64 = 3_000_000;
const FILES: usize = 200;
const WORKERS: usize = 4;

fn main() {
    // `cargo bench` passes its own flags; names of parts may follow.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let asked = |part: &str| wanted.is_empty() || wanted.iter().any(|w| part.contains(w.as_str()));
    let dir =
        tempfile::tempdir_in(std::env::var_os("BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from))
            .unwrap();
    if asked("sync") {
        for latency in [0, 200] {
            sync_against_curl(&dir.path().join(format!("sync-{latency}")), latency);
        }
    }
    if asked("ingest") {
        ingest_against_sha256sum(&dir.path().join("ingest"));
    }
    if asked("view") {
        view_against_native(&dir.path().join("view"));
    }
    if asked("memory") {
        memory_of_a_large_listing();
    }
}

fn program(name: &str) -> PathBuf {
    // Benchmarks lie in `target/release/deps`, programs beside that folder.
    let own = std::env::current_exe().unwrap();
    let path = own.parent().unwrap().parent().unwrap().join(name);
    assert!(path.exists(), "{} is missing: run through `cargo bench --features sim`", path.display());
    path
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap();
        self.0.wait().unwrap();
    }
}

/// A simulator of its own process, and the environment for shoebox.
struct Google {
    state: PathBuf,
    address: String,
    admin: String,
    _process: Ended,
}

impl Google {
    fn start(dir: &Path, items: usize, size: u64, latency: u64) -> Self {
        let state = dir.join("sim");
        fs::create_dir_all(&state).unwrap();
        let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let (items, size, latency) = (items.to_string(), size.to_string(), latency.to_string());
        let process = Command::new(program("photos-sim"))
            .args(["serve", "--items", &items, "--file-bytes", &size, "--latency", &latency])
            .args(["--fife-share", "0", "--admin", &admin, "--state"])
            .arg(&state)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let process = Ended(process);
        wait_for(|| state.join("ready").exists());
        let address = fs::read_to_string(state.join("address")).unwrap();
        let signed_in = Command::new(program("photos-sim"))
            .args(["sign-in", "--state"])
            .arg(&state)
            .arg("--profile")
            .arg(dir.join("profile"))
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(signed_in.success());
        Self { state, address, admin, _process: process }
    }

    fn shoebox(&self, dir: &Path, data: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program("shoebox"));
        command
            .args(args)
            .env("SHOEBOX_LOG", "warn")
            .env("SHOEBOX_DATA", data)
            .env("SHOEBOX_PROFILE", dir.join("profile"))
            .env("SHOEBOX_RESOLVE", format!("*={}", self.address))
            .env("SHOEBOX_CA", self.state.join("ca.pem"));
        command
    }
}

fn wait_for(mut done: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(300);
    while !done() {
        assert!(Instant::now() < until, "it took too long");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs to the end; returns what it printed and the most memory it held, bytes.
fn run_measured(mut command: Command) -> (String, u64) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        most = most.max(peak(child.id()));
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert!(child.wait().unwrap().success(), "{out}");
    (out, most)
}

fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn rate(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / time.as_secs_f64() / 1e6
}

/// The same files, the same addresses' host, the same number at a time.
fn sync_against_curl(dir: &Path, latency: u64) {
    fs::create_dir_all(dir).unwrap();
    let google = Google::start(dir, FILES, FILE, latency);
    let total = FILE * FILES as u64;
    let (mut ours, mut theirs, mut memory) = (Vec::new(), Vec::new(), 0);
    for round in 0..3 {
        // In turn, so that a slow moment hits both.
        theirs.push(curl(dir, &google, round));
        let data = dir.join(format!("archive-{round}"));
        assert!(google.shoebox(dir, &data, &["init"]).stdout(Stdio::null()).status().unwrap().success());
        let workers = WORKERS.to_string();
        let (report, peak) =
            run_measured(google.shoebox(dir, &data, &["sync", "--json", "--workers", &workers]));
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["archived"], FILES);
        let at = |name: &str| report[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        ours.push(Duration::try_from(at("ended").duration_since(at("started"))).unwrap());
        memory = memory.max(peak);
        fs::remove_dir_all(&data).unwrap();
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!(
        "sync   {latency:>3} ms latency, {FILES} files of 3 MB, {WORKERS} at a time: shoebox {:.0} MB/s, curl --parallel {:.0} MB/s, ratio {:.2}; shoebox held {} MB",
        rate(total, ours),
        rate(total, theirs),
        theirs.as_secs_f64() / ours.as_secs_f64(),
        memory / 1_000_000,
    );
}

fn curl(dir: &Path, google: &Google, round: usize) -> Duration {
    let out = dir.join(format!("curl-{round}"));
    fs::create_dir_all(&out).unwrap();
    let list =
        Command::new("curl").args(["-fsS", &format!("http://{}/addresses", google.admin)]).output().unwrap();
    let mut script = String::new();
    for (number, url) in String::from_utf8(list.stdout).unwrap().lines().enumerate() {
        script.push_str(&format!("url = \"{url}\"\noutput = \"{}/{number}\"\n", out.display()));
    }
    let config = dir.join("curl.txt");
    fs::write(&config, script).unwrap();
    let began = Instant::now();
    let status = Command::new("curl")
        .args([
            "-sS",
            "--no-progress-meter",
            "--fail",
            "--parallel",
            "--parallel-max",
            &WORKERS.to_string(),
            "--cacert",
        ])
        .arg(google.state.join("ca.pem"))
        .args(["--connect-to", &format!("::{}", google.address), "-K"])
        .arg(&config)
        .status()
        .unwrap();
    let time = began.elapsed();
    assert!(status.success());
    assert_eq!(fs::read_dir(&out).unwrap().count(), FILES);
    fs::remove_dir_all(&out).unwrap();
    time
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Files in the page cache, hashed by sha256sum and taken in by the store: both hashes, durable, read back.
fn ingest_against_sha256sum(dir: &Path) {
    let files = dir.join("files");
    fs::create_dir_all(&files).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let mut names = Vec::new();
    for number in 0..FILES {
        let mut bytes = vec![0; FILE as usize];
        random.fill(&mut bytes);
        let path = files.join(number.to_string());
        fs::write(&path, bytes).unwrap();
        names.push(path);
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..3 {
        let began = Instant::now();
        let status = Command::new("sha256sum").args(&names).stdout(Stdio::null()).status().unwrap();
        theirs.push(began.elapsed());
        assert!(status.success());
        let data = dir.join(format!("archive-{round}"));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Store::init(&data, Arc::new(RealDisk), Arc::clone(&clock)).unwrap();
        let store = Store::open(&data, Arc::new(RealDisk), clock).unwrap();
        let began = Instant::now();
        std::thread::scope(|scope| {
            for half in names.chunks(FILES / 2) {
                scope.spawn(|| half.iter().for_each(|path| ingest(&store, path)));
            }
        });
        ours.push(began.elapsed());
        drop(store);
        fs::remove_dir_all(&data).unwrap();
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let total = FILE * FILES as u64;
    println!(
        "ingest {FILES} files of 3 MB, two threads: store {:.0} MB/s, sha256sum (one process) {:.0} MB/s, ratio {:.2}",
        rate(total, ours),
        rate(total, theirs),
        theirs.as_secs_f64() / ours.as_secs_f64(),
    );
}

fn ingest(store: &Store, path: &Path) {
    let mut file = File::open(path).unwrap();
    let mut partial = store.begin(Some(FILE)).unwrap();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let n = file.read(&mut buffer).unwrap();
        if n == 0 {
            break;
        }
        partial.write(&buffer[..n]).unwrap();
    }
    let verified = partial.verify(|_, _| Ok(())).unwrap();
    store.put(verified).unwrap();
}

/// The same bytes, warm, through the view and from the blobs' own files.
fn view_against_native(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    let data = dir.join("archive");
    fill(&data, FILES, FILE);
    let view = dir.join("view");
    let mount = Command::new(program("shoebox"))
        .arg("mount")
        .arg(&view)
        .env("SHOEBOX_DATA", &data)
        .env("SHOEBOX_LOG", "warn")
        .spawn();
    let _mount = Ended(mount.unwrap());
    wait_for(|| view.join("by-date").exists());
    let (seen, native) = (walk(&view.join("by-date")), walk(&data.join("blobs")));
    assert_eq!((seen.len(), native.len()), (FILES, FILES));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    read_all(&native);
    read_all(&seen);
    for _ in 0..5 {
        theirs.push(read_all(&native));
        ours.push(read_all(&seen));
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let total = FILE * FILES as u64;
    println!(
        "view   {FILES} files of 3 MB, warm, read whole: view {:.0} MB/s, native {:.0} MB/s, ratio {:.2}",
        rate(total, ours),
        rate(total, theirs),
        theirs.as_secs_f64() / ours.as_secs_f64(),
    );
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found
}

fn read_all(paths: &[PathBuf]) -> Duration {
    let mut buffer = vec![0; 1 << 20];
    let began = Instant::now();
    for path in paths {
        let mut file = File::open(path).unwrap();
        while file.read(&mut buffer).unwrap() > 0 {}
    }
    began.elapsed()
}

/// Archives a library without a browser.
fn fill(data: &Path, items: usize, size: u64) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Store::init(data, Arc::new(RealDisk), Arc::clone(&clock)).unwrap();
    let archive =
        Arc::new(shoebox::archive::Archive::open(data, Arc::new(RealDisk), Arc::clone(&clock)).unwrap());
    let config = SimConfig { items, file_bytes: FileBytes::Fixed(size), ..SimConfig::default() };
    let library = Arc::new(FakeLibrary::new(config));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let pass = sync::run(
        Arc::clone(&archive),
        library,
        clock,
        SyncOptions { listing: ListingMode::Whole, ..SyncOptions::default() },
        Arc::new(Progress::default()),
        tokio_util::sync::CancellationToken::new(),
    );
    let report = runtime.block_on(pass);
    assert_eq!(report.archived, items as u64, "{}", report.sentence());
}

/// A library of 100,000 items that are archived already is listed by the real program.
fn memory_of_a_large_listing() {
    const ITEMS: usize = 100_000;
    // In memory, where a hundred thousand flushes cost nothing.
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let google = Google::start(dir.path(), ITEMS, 1200, 0);
    let data = dir.path().join("archive");
    let began = Instant::now();
    fill(&data, ITEMS, 1200);
    let filled = began.elapsed();
    let began = Instant::now();
    let (report, peak) = run_measured(google.shoebox(dir.path(), &data, &["sync", "--json"]));
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["listed"], &report["archived"]), (&ITEMS.into(), &0.into()));
    println!(
        "memory {ITEMS} listed items: shoebox held {} MB; listing and comparing took {:.1} s (archiving them all: {:.0} s, in memory)",
        peak / 1_000_000,
        began.elapsed().as_secs_f64(),
        filled.as_secs_f64(),
    );
    std::io::stdout().flush().unwrap();
}
