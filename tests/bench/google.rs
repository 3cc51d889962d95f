//! The programs under measurement: a simulator of its own process, shoebox beside it, curl as the reference.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub fn program(name: &str) -> PathBuf {
    // Benchmarks lie in `target/release/deps`, programs beside that folder.
    let own = std::env::current_exe().unwrap();
    let path = own.parent().unwrap().parent().unwrap().join(name);
    assert!(path.exists(), "{} is missing: run through `cargo bench --features sim`", path.display());
    path
}

pub struct Ended(pub Child);

impl Drop for Ended {
    fn drop(&mut self) {
        Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap();
        self.0.wait().unwrap();
    }
}

/// A simulator of its own process, and the environment for shoebox.
pub struct Google {
    state: PathBuf,
    address: String,
    admin: String,
    items: usize,
    _process: Ended,
}

impl Google {
    /// `faults` are lines of the fault script: delays and widths, mostly.
    pub fn start(dir: &Path, items: usize, size: u64, faults: &[&str]) -> Self {
        let state = dir.join("sim");
        fs::create_dir_all(&state).unwrap();
        let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let process = Command::new(program("photos-sim"))
            .args(["serve", "--items", &items.to_string(), "--file-bytes", &size.to_string()])
            .args(faults.iter().flat_map(|fault| ["--fault", fault]))
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
        Self { state, address, admin, items, _process: process }
    }

    pub fn shoebox(&self, dir: &Path, data: &Path, args: &[&str]) -> Command {
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

    /// What was asked so far: pages and calls together, and files.
    pub fn asked(&self) -> (u64, u64) {
        let url = format!("http://{}/counters", self.admin);
        let told = Command::new("curl").args(["-fsS", &url]).output().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
        let sum = |map: &serde_json::Value| -> u64 {
            map.as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum()
        };
        (told["documents"].as_u64().unwrap() + sum(&told["rpcs"]), sum(&told["downloads"]))
    }

    /// Downloads every original, so many at a time.
    pub fn curl(&self, dir: &Path, at_a_time: usize) -> Duration {
        let out = dir.join("curl");
        fs::create_dir_all(&out).unwrap();
        let list = Command::new("curl")
            .args(["-fsS", &format!("http://{}/addresses", self.admin)])
            .output()
            .unwrap();
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
                &at_a_time.to_string(),
                "--cacert",
            ])
            .arg(self.state.join("ca.pem"))
            .args(["--connect-to", &format!("::{}", self.address), "-K"])
            .arg(&config)
            .status()
            .unwrap();
        let time = began.elapsed();
        assert!(status.success());
        assert_eq!(fs::read_dir(&out).unwrap().count(), self.items);
        fs::remove_dir_all(&out).unwrap();
        time
    }
}

pub fn wait_for(mut done: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(300);
    while !done() {
        assert!(Instant::now() < until, "it took too long");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs to the end; returns what it printed and the most memory it held, bytes.
pub fn run_measured(mut command: Command) -> (String, u64) {
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
