//! Child processes that are started, watched, ended in the right way, and always reaped.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::launch::{self, BrowserSettings};
use super::profile::{OWNER_VARIABLE, Profile, signal};
use super::sign_in;
use crate::remote::RemoteError;

/// How much of a program's last words is kept for an error message.
const LAST_WORDS: usize = 4096;

/// A child in a process group of its own, so that a container's stop signal does not reach it before us.
pub struct Process {
    pid: i32,
    exit: tokio::sync::watch::Receiver<Option<ExitStatus>>,
    last_words: Arc<Mutex<Vec<u8>>>,
}

impl Process {
    fn spawn(mut command: Command, input: Stdio, what: &str) -> Result<Self, RemoteError> {
        command.stdin(input).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child =
            command.spawn().map_err(|e| RemoteError::Environment(format!("cannot start {what}: {e}")))?;
        let last_words = Arc::new(Mutex::new(Vec::new()));
        if let Some(stderr) = child.stderr.take() {
            drain(stderr, Arc::clone(&last_words));
        }
        let pid = child.id().cast_signed();
        Ok(Self { pid, exit: reap(child), last_words })
    }

    /// Process number.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        self.exit.borrow().is_none()
    }

    /// Waits for its end; `None` if it still runs after `limit`.
    pub async fn ended_within(&self, limit: Duration) -> Option<ExitStatus> {
        let mut exit = self.exit.clone();
        let ended = tokio::time::timeout(limit, exit.wait_for(Option::is_some)).await;
        ended.ok()?.ok().and_then(|status| *status)
    }

    /// The end of what it wrote to standard error.
    pub fn last_words(&self) -> String {
        let bytes = self.last_words.lock().unwrap_or_else(|p| p.into_inner());
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }

    /// Asks it to end (SIGINT: Chromium writes its cookies), waits, then kills the whole group.
    pub async fn end(&self, patience: Duration) {
        signal(self.pid, Signal::INT);
        if self.ended_within(patience).await.is_none() {
            tracing::warn!(pid = self.pid, "a process did not end when asked: killing it");
            self.kill();
            self.ended_within(Duration::from_secs(5)).await;
        }
    }

    /// Memory of it and what it started, bytes; shared pages count once for each process.
    pub fn group_memory(&self) -> u64 {
        let page = rustix::param::page_size() as u64;
        let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
        let pages = entries.flatten().filter_map(|entry| {
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // After the name in brackets: state, parent, group, … and the resident pages as the 22nd.
            let mut fields = stat.rsplit_once(") ")?.1.split(' ');
            let group: i32 = fields.nth(2)?.parse().ok()?;
            if group == self.pid { fields.nth(18)?.parse::<u64>().ok() } else { None }
        });
        pages.sum::<u64>() * page
    }

    /// Kills it and what it started, at once.
    pub fn kill(&self) {
        kill_group(self.pid);
    }
}

/// Longest time that a process which nobody waits for may take to end.
const LAST_GRACE: Duration = Duration::from_secs(5);

impl Drop for Process {
    /// Asks it to end. One that hangs would keep the profile for ever: it is killed a little later.
    fn drop(&mut self) {
        if !self.is_running() {
            return;
        }
        signal(self.pid, Signal::INT);
        let (pid, exit) = (self.pid, self.exit.clone());
        std::thread::spawn(move || {
            let until = std::time::Instant::now() + LAST_GRACE;
            while exit.borrow().is_none() {
                if std::time::Instant::now() > until {
                    kill_group(pid);
                    return;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
    }
}

fn kill_group(pid: i32) {
    if let Some(group) = Pid::from_raw(pid)
        && let Err(e) = kill_process_group(group, Signal::KILL)
    {
        tracing::debug!(pid, error = %e, "could not kill a process group");
    }
}

/// A thread waits for the child, so that no zombie stays whoever forgets it.
fn reap(mut child: Child) -> tokio::sync::watch::Receiver<Option<ExitStatus>> {
    let (ended, exit) = tokio::sync::watch::channel(None);
    std::thread::spawn(move || {
        if let Ok(status) = child.wait() {
            ended.send_replace(Some(status));
        }
    });
    exit
}

fn drain(mut from: impl Read + Send + 'static, into: Arc<Mutex<Vec<u8>>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            let mut kept = into.lock().unwrap_or_else(|p| p.into_inner());
            kept.extend_from_slice(&buffer[..n]);
            let excess = kept.len().saturating_sub(LAST_WORDS);
            kept.drain(..excess);
        }
    });
}

/// Starts the browser with a debugging port on loopback.
pub fn start_browser(
    settings: &BrowserSettings,
    profile: &Profile,
    port: u16,
    display: Option<&str>,
) -> Result<Process, RemoteError> {
    let program = settings.find_program()?;
    let mut command = Command::new(&program);
    command.args(settings.command_line(profile, port, display.is_none()));
    mark(&mut command, profile);
    if let Some(display) = display {
        command.env("DISPLAY", display);
    }
    Process::spawn(command, Stdio::null(), &program.display().to_string())
}

fn mark(command: &mut Command, profile: &Profile) {
    let home = profile.home();
    command
        .env(OWNER_VARIABLE, profile.path())
        .env("XDG_CONFIG_HOME", home.join(".config"))
        .env("XDG_CACHE_HOME", home.join(".cache"))
        .env("HOME", home)
        .env("LANGUAGE", "en_US")
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("DBUS_SESSION_BUS_ADDRESS");
}

/// Starts a virtual display that ends by itself when its last client leaves; `None` if there is no
/// program for it. Returns the process and the name for `DISPLAY`.
pub async fn start_display(profile: &Profile) -> Result<Option<(Process, String)>, RemoteError> {
    let Some(program) = launch::in_path(Path::new("Xvfb")) else { return Ok(None) };
    let mut command = Command::new("sh");
    // The shell turns our pipe (its standard input) into the descriptor that Xvfb reports its number on.
    command.args([
        "-c",
        "exec \"$0\" -displayfd 3 -screen 0 1280x800x24 -nolisten tcp -terminate 3>&0 0</dev/null",
    ]);
    command.arg(&program);
    run_display(command, profile).await.map(Some)
}

/// A display, and the file that lets programs draw on it.
pub struct Shown<'a> {
    /// Its name.
    pub display: &'a str,
    /// The file.
    pub key: &'a Path,
}

impl Shown<'_> {
    fn to(&self, command: &mut Command) {
        command.env("DISPLAY", self.display).env("XAUTHORITY", self.key);
    }
}

/// Starts a display that a person is shown through a socket.
pub async fn start_shown_display(
    profile: &Profile,
    socket: &Path,
    key: &Path,
    size: sign_in::Size,
) -> Result<(Process, String), RemoteError> {
    let missing =
        "install Debian's `tigervnc-standalone-server` and `matchbox-window-manager`, which show the sign-in";
    let program =
        launch::in_path(Path::new("Xvnc")).ok_or_else(|| RemoteError::Environment(missing.into()))?;
    run_display(sign_in::shown_display(&program, socket, key, size), profile).await
}

/// Without somebody who keeps windows, the first key is lost and the browser does not fill the display.
pub fn start_window_keeper(profile: &Profile, shown: &Shown<'_>) -> Result<Process, RemoteError> {
    let mut command = Command::new("matchbox-window-manager");
    command.args(["-use_titlebar", "no"]);
    mark(&mut command, profile);
    shown.to(&mut command);
    Process::spawn(command, Stdio::null(), "matchbox-window-manager")
}

/// Starts the browser for a person: nothing can drive it. Where it is not shown, it is on the person's own display.
pub fn start_sign_in_browser(
    settings: &BrowserSettings,
    profile: &Profile,
    shown: Option<&Shown<'_>>,
    url: &str,
) -> Result<Process, RemoteError> {
    let program = settings.find_program()?;
    let mut command = Command::new(&program);
    command.args(settings.sign_in_line(profile, url));
    mark(&mut command, profile);
    match shown {
        Some(shown) => shown.to(&mut command),
        None => sign_in::on_own_display(&mut command)?,
    }
    Process::spawn(command, Stdio::null(), &program.display().to_string())
}

/// Starts a display server that reports its number on its third descriptor, which is our end of a pipe.
async fn run_display(mut command: Command, profile: &Profile) -> Result<(Process, String), RemoteError> {
    let fail = |what: &str| RemoteError::Environment(format!("cannot start a virtual display: {what}"));
    let (reader, writer) = rustix::pipe::pipe().map_err(|e| fail(&e.to_string()))?;
    mark(&mut command, profile);
    let process = Process::spawn(command, Stdio::from(writer), "a virtual display")?;
    let number = tokio::task::spawn_blocking(move || read_line(reader));
    match tokio::time::timeout(Duration::from_secs(10), number).await {
        Ok(Ok(Some(number))) => Ok((process, format!(":{number}"))),
        _ => {
            process.kill();
            Err(fail(&process.last_words()))
        }
    }
}

fn read_line(reader: OwnedFd) -> Option<u32> {
    let mut text = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(std::fs::File::from(reader)), &mut text).ok()?;
    text.trim().parse().ok()
}
