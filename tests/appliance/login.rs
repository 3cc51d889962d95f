//! `shoebox login`: a person at a desktop (a real X server, a window manager, keys pressed by xdotool), and a browser that
//! nothing else drives.

use std::fs;
use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use shoebox::sim::{Screen, SimConfig};

use super::sign_in::screen_is;
use super::support::{Stage, eventually, run, succeed, text};
use crate::remote::browser::marked_processes;

/// Killed with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Where the person sits.
struct Desktop {
    display: String,
    _windows: Killed,
    _server: Killed,
}

impl Desktop {
    fn open() -> Self {
        let mut server = Command::new("Xvfb");
        server.args(["-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp"]);
        let mut server = server.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut number = String::new();
        std::io::BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        let display = format!(":{}", number.trim());
        let windows = Command::new("matchbox-window-manager")
            .args(["-use_titlebar", "no"])
            .env("DISPLAY", &display)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { display, _windows: Killed(windows), _server: Killed(server) }
    }

    fn xdotool(&self, args: &[&str]) {
        let status = Command::new("xdotool").args(args).env("DISPLAY", &self.display).status();
        assert!(status.unwrap().success(), "{args:?}");
    }

    fn types(&self, line: &str) {
        self.xdotool(&["type", "--delay", "40", line]);
        self.presses("Return");
    }

    fn presses(&self, key: &str) {
        self.xdotool(&["key", key]);
    }
}

/// `shoebox login` on a profile of its own.
fn login(stage: &Stage, profile: &Path, display: &str) -> Command {
    let mut command = stage.command(&["login"]);
    command
        .env("SHOEBOX_PROFILE", profile)
        .env("DISPLAY", display)
        .env_remove("WAYLAND_DISPLAY")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

async fn end_of(child: Child) -> Output {
    tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap()
}

/// What the browser on the profile was started with.
fn command_lines(profile: &Path) -> Vec<String> {
    let read =
        |pid: i32| text(&fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()).replace('\0', " ");
    marked_processes(profile).into_iter().map(read).filter(|line| line.contains("--user-data-dir")).collect()
}

async fn stage(screens: &[Screen]) -> (Stage, impl Fn(&str) -> PathBuf) {
    let stage = Stage::new(SimConfig { items: 4, sign_in: screens.to_vec(), ..SimConfig::default() }).await;
    let dir = stage.dir.path().to_owned();
    (stage, move |name: &str| dir.join(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_on_their_own_desktop_and_the_library_is_archived() {
    let (stage, at) = stage(&[Screen::Chooser, Screen::Identifier, Screen::Password]).await;
    let (desktop, profile) = (Desktop::open(), at("desktop-profile"));
    let running = login(&stage, &profile, &desktop.display).spawn().unwrap();
    screen_is(async || stage.sim.session().last_screen(), "signinchooser").await;
    let lines = command_lines(&profile);
    assert!(!lines.is_empty(), "no browser");
    for line in &lines {
        assert!(!line.contains("--remote-debugging") && !line.contains("automation"), "{line}");
    }
    // Nobody else gets the profile meanwhile, and who tries is told by whom it is held.
    let second = run(login(&stage, &profile, &desktop.display)).await;
    assert_eq!(second.status.code(), Some(11), "{}", text(&second.stderr));
    assert!(text(&second.stderr).contains(&running.id().to_string()), "{}", text(&second.stderr));
    // The first account of the list, at the top of the page: below whatever the browser has there.
    for y in (90..200).step_by(10) {
        if stage.sim.session().last_screen().unwrap().ends_with("signinchooser") {
            desktop.xdotool(&["mousemove", "60", &y.to_string(), "click", "1", "sleep", "0.7"]);
        }
    }
    screen_is(async || stage.sim.session().last_screen(), "identifier").await;
    desktop.types("ann@example.org");
    screen_is(async || stage.sim.session().last_screen(), "challenge/pwd").await;
    desktop.types("a secret");
    let output = end_of(running).await;
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    assert!(out.starts_with("Signed in as ") && out.contains('@'), "{out}");
    assert!(!err.contains("a secret") && !err.contains("ann@example.org"), "{err}");
    // The last of a browser's processes end a moment after it.
    eventually("the end of the browser", || marked_processes(&profile).is_empty());
    let kept = fs::read_to_string(profile.join("shoebox-login.json")).unwrap();
    assert!(kept.contains("\"signed-in\""), "{kept}");
    // It is the login that a sync has.
    let mut sync = stage.command(&["sync"]);
    sync.env("SHOEBOX_PROFILE", &profile);
    succeed(sync).await;
    crate::sync::support::assert_equal(&crate::sync::support::open(&stage.data()), &stage.sim.ledger());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_on_a_desktop_that_comes_to_nothing_says_why() {
    let (stage, at) = stage(&Screen::USUAL).await;
    // Without a display.
    for (display, words) in
        [("", "on the page that `shoebox run` serves"), (":4242", "the browser did not start")]
    {
        let output = run(login(&stage, &at("nowhere"), display)).await;
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(words), "{said}");
    }
    // The person closes the window.
    let desktop = Desktop::open();
    let closed = at("closed");
    let running = login(&stage, &closed, &desktop.display).spawn().unwrap();
    screen_is(async || stage.sim.session().last_screen(), "identifier").await;
    desktop.presses("ctrl+shift+w");
    let output = end_of(running).await;
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(3) && said.contains("not signed in to Google"), "{said}");
    assert!(fs::read_to_string(closed.join("shoebox-login.json")).unwrap().contains("\"needs-person\""));
    // Somebody stops the program.
    let stopped = at("stopped");
    let running = login(&stage, &stopped, &desktop.display).spawn().unwrap();
    eventually("a browser", || stopped.exists() && !command_lines(&stopped).is_empty());
    assert!(Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap().success());
    let output = end_of(running).await;
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert_eq!(marked_processes(&stopped), Vec::<i32>::new());
}
