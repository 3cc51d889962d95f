//! The program, a simulator with a signed-in profile, an archive.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use shoebox::remote::browser::launch::BrowserSettings;
use shoebox::sim::{Sim, SimConfig};

/// The program under test.
pub fn shoebox() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("shoebox"));
    // Nothing of the person's own settings.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SHOEBOX_")) {
        command.env_remove(name);
    }
    command
}

/// The page's password.
pub const PASSWORD: &str = "a long password";

/// Asks the page, as a script does.
pub async fn ask(listen: &str, path: &str) -> reqwest::Result<reqwest::Response> {
    shoebox::remote::net::install_tls();
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
    client.get(format!("http://{listen}{path}")).basic_auth("script", Some(PASSWORD)).send().await
}

/// A simulated Google with somebody signed in, and an empty archive.
pub struct Stage {
    pub sim: Sim,
    pub dir: tempfile::TempDir,
}

impl Stage {
    pub async fn new(config: SimConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sim = Sim::start(config).await.unwrap();
        let browser = BrowserSettings::default().find_program().unwrap();
        std::fs::create_dir_all(dir.path().join("profile")).unwrap();
        sim.sign_in_profile(&browser, &dir.path().join("profile")).await.unwrap();
        let stage = Self { sim, dir };
        run(stage.command(&["init"])).await;
        stage
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("archive")
    }

    /// The program with this stage's settings in its environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = shoebox();
        command
            .args(args)
            .env("SHOEBOX_DATA", self.data())
            .env("SHOEBOX_PROFILE", self.dir.path().join("profile"))
            .env("SHOEBOX_RESOLVE", format!("*={}", self.sim.address()))
            .env("SHOEBOX_CA", self.sim.ca_file())
            .env("SHOEBOX_PASSWORD", PASSWORD);
        command
    }
}

/// Ends a child with SIGTERM, whatever becomes of the test.
pub struct Running(pub Child);

impl Running {
    pub fn stop(&mut self) -> std::process::ExitStatus {
        let pid = self.0.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        self.0.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.try_wait().unwrap().is_none() {
            self.stop();
        }
    }
}

/// Runs to the end without holding up the simulator.
pub async fn run(mut command: Command) -> Output {
    command.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    output.await.unwrap()
}

/// Requires success; returns what was printed.
pub async fn succeed(command: Command) -> String {
    let output = run(command).await;
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{:?}\n{out}\n{err}", output.status);
    out
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits until something is true; panics after a minute.
pub fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !is_true() {
        assert!(Instant::now() < until, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a view is mounted there, and not only what guards its place.
pub fn is_mounted(path: &Path) -> bool {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let last = table.lines().rfind(|line| line.split(' ').nth(4) == path.to_str());
    last.is_some_and(|line| line.contains(" - fuse.shoebox shoebox "))
}
