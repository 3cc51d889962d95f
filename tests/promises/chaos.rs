//! The whole appliance while everything fails at random: process, browser, network, Google, disk. When the trouble ends
//! it comes to the truth by itself, and nothing has leaked.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use shoebox::sim::{Fault, FaultRule, RequestClass, SimConfig, When};

use super::volume::Volume;
use super::{Count, Row, seed};
use crate::appliance::support::{Running, Stage, ask, succeed};
use crate::remote::browser::marked_processes;
use crate::sync::support::{assert_equal, files, open};

pub const ROWS: &[Row] = &[Row {
    number: 33,
    tried: "seconds of chaos: a running appliance whose process, browser, network, Google and disk fail at random, and whose \
            library changes; afterwards it is whole without a human touch, and nothing has leaked",
    counts: &[SECONDS],
}];

const SECONDS: Count = Count(90, 600, 3600);
/// An appliance that does nothing, after its first pass and at the end.
#[derive(Debug)]
struct Idle {
    processes: usize,
    descriptors: usize,
    resident: u64,
}

struct Chaos {
    stage: Stage,
    volume: Option<Volume>,
    data: PathBuf,
    listen: String,
    random: fastrand::Rng,
    appliance: Running,
    struck: std::collections::BTreeMap<&'static str, usize>,
}

impl Chaos {
    async fn new(seed: u64) -> Self {
        let config = SimConfig { items: 120, page: 40, seed, ..SimConfig::default() };
        let stage = Stage::new(config).await;
        // Without a volume of its own the disk is spared.
        let volume = Volume::new(600 << 20, &["-m", "0"], "noatime");
        let data = volume.as_ref().map_or_else(|| stage.data(), |volume| volume.at().join("archive"));
        if volume.is_some() {
            let mut init = stage.command(&["init"]);
            init.env("SHOEBOX_DATA", &data);
            succeed(init).await;
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listen = port.to_string();
        let appliance = start(&stage, &data, &listen);
        let random = fastrand::Rng::with_seed(seed);
        Self { stage, volume, data, listen, random, appliance, struck: Default::default() }
    }

    fn profile(&self) -> PathBuf {
        self.stage.dir.path().join("profile")
    }

    /// What `/api/status` says.
    async fn status(&self) -> Value {
        match ask(&self.listen, "/api/status").await {
            Ok(answer) => serde_json::from_str(&answer.text().await.unwrap_or_default()).unwrap_or_default(),
            Err(_) => Value::Null,
        }
    }

    /// Waits until a pass that began after this call has ended as complete with nothing open.
    async fn settled(&mut self) {
        let until = Instant::now() + Duration::from_secs(240);
        let began = jiff::Timestamp::now();
        loop {
            if self.appliance.0.try_wait().unwrap().is_some() {
                self.appliance = start(&self.stage, &self.data, &self.listen);
            }
            let status = self.status().await;
            let started = status["last_run"]["started"].as_str().and_then(|text| text.parse().ok());
            let after = started.is_some_and(|started: jiff::Timestamp| started > began);
            if after && status["last_run"]["outcome"] == "complete" && status["set_aside"] == 0 {
                return;
            }
            assert!(Instant::now() < until, "it does not come to rest: {status}");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// What an appliance between two passes takes.
    async fn idle(&mut self) -> Idle {
        self.settled().await;
        // Between two passes there is no browser.
        let until = Instant::now() + Duration::from_secs(60);
        while self.status().await["running"] != Value::Null || !marked_processes(&self.profile()).is_empty() {
            assert!(Instant::now() < until, "a browser is left over");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let pid = self.appliance.0.id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        Idle {
            processes: group(pid),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
            resident: resident.trim().trim_end_matches(" kB").trim().parse().unwrap(),
        }
    }

    fn strike(&mut self, what: &'static str) {
        *self.struck.entry(what).or_default() += 1;
    }

    /// Something goes wrong, or the library changes.
    async fn blow(&mut self) {
        match self.random.u8(..12) {
            0 => {
                self.strike("process killed");
                let group = format!("-{}", self.appliance.0.id());
                Command::new("kill").args(["-KILL", "--", &group]).status().unwrap();
                self.appliance.0.wait().unwrap();
                self.appliance = start(&self.stage, &self.data, &self.listen);
            }
            1 | 2 => {
                let living = marked_processes(&self.profile());
                if let Some(pid) = self.random.choice(living) {
                    self.strike("process of the browser killed");
                    let _gone = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
                }
            }
            3 => {
                let living = marked_processes(&self.profile());
                if let Some(pid) = self.random.choice(living) {
                    self.strike("process of the browser held up");
                    let _gone = Command::new("kill").args(["-STOP", &pid.to_string()]).status();
                    tokio::time::sleep(Duration::from_secs(2)).await;
                    let _gone = Command::new("kill").args(["-CONT", &pid.to_string()]).status();
                }
            }
            4 | 5 => {
                self.strike("network");
                let fault = match self.random.u8(..4) {
                    0 => Fault::Reset,
                    1 => Fault::Truncate(500),
                    2 => Fault::Stall(500),
                    _ => Fault::Bandwidth(30_000),
                };
                self.stage.sim.faults().set(FaultRule::new(
                    RequestClass::Download,
                    fault,
                    When::Probability(0.4),
                ));
            }
            6 | 7 => {
                self.strike("Google");
                let fault = match self.random.u8(..6) {
                    0 => Fault::Status(500, None),
                    1 => Fault::Status(429, Some(1)),
                    2 => Fault::AlterByte,
                    3 => Fault::Html,
                    4 => Fault::WrongFile,
                    _ => Fault::Null,
                };
                let class = match fault {
                    Fault::Null | Fault::Status(..) if self.random.bool() => RequestClass::Rpc(None),
                    Fault::Null => RequestClass::Rpc(Some("VrseUb".into())),
                    _ => RequestClass::Download,
                };
                self.stage.sim.faults().set(FaultRule::new(class, fault, When::Probability(0.3)));
            }
            8 => {
                self.strike("trouble ended");
                self.stage.sim.faults().clear();
            }
            9 => {
                if let Some(volume) = &self.volume {
                    let filler = volume.at().join("other");
                    if filler.exists() {
                        fs::remove_file(filler).unwrap();
                    } else {
                        let space = rustix::fs::statvfs(volume.at()).unwrap();
                        let _full = fs::write(filler, vec![0; (space.f_bavail * space.f_frsize) as usize]);
                        self.strike("disk full");
                    }
                }
            }
            _ => {
                self.strike("library changed");
                let library = self.stage.sim.library();
                let keys: Vec<_> = library.ledger().items.into_iter().filter(|item| item.listed).collect();
                let item = self.random.choice(keys).unwrap();
                match self.random.u8(..4) {
                    0 => library.describe_item(&item.key, "another word"),
                    1 => library.trash_item(&item.key),
                    _ => drop(library.add_item()),
                }
            }
        }
    }
}

fn start(stage: &Stage, data: &Path, listen: &str) -> Running {
    let mut command = stage.command(&["run", "--listen", listen, "--schedule", "12s", "--workers", "2"]);
    command.args([
        "--whole-every",
        "20s",
        "--stall",
        "2s",
        "--longest-wait",
        "1s",
        "--calls-per-second",
        "50",
    ]);
    command.env("SHOEBOX_DATA", data).process_group(0);
    if std::env::var_os("SEE").is_none() {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    }
    Running(command.spawn().unwrap())
}

/// Processes of a process group.
fn group(pid: u32) -> usize {
    let output = Command::new("pgrep").args(["-g", &pid.to_string()]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn r33_chaos_ends_in_the_truth() {
    shoebox::remote::net::install_tls();
    let mut chaos = Chaos::new(seed("r33_chaos")).await;
    let before = chaos.idle().await;
    let end = Instant::now() + Duration::from_secs(SECONDS.get() as u64);
    while Instant::now() < end {
        chaos.blow().await;
        let pause = chaos.random.u64(100..2500);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    println!("{:?}", chaos.struck);
    chaos.stage.sim.faults().clear();
    if let Some(volume) = &chaos.volume {
        let _gone = fs::remove_file(volume.at().join("other"));
    }
    // From here on nobody touches anything.
    let after = chaos.idle().await;
    println!("before {before:?}, after {after:?}");
    assert!(after.processes <= before.processes, "processes were left: {before:?}, {after:?}");
    assert!(after.descriptors <= before.descriptors + 2, "descriptors were left: {before:?}, {after:?}");
    // Memory: an allocator keeps what it may need again, a leak grows with every pass.
    assert!(after.resident < before.resident * 2, "memory was left: {before:?}, {after:?}");
    assert!(chaos.appliance.stop().success());
    assert_eq!(marked_processes(&chaos.profile()), <[i32; 0]>::default());
    let archive = open(&chaos.data);
    assert_equal(&archive, &chaos.stage.sim.ledger());
    assert_eq!(archive.recovery.findings, <[String; 0]>::default());
    let tmp = files(&chaos.data.join("tmp"));
    assert!(tmp.is_empty(), "{tmp:?}");
    assert_eq!(crate::store::support::findings(&archive.store), []);
    assert_eq!(chaos.stage.sim.counters().mutating, 0);
}
