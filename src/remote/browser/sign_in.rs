//! The browser in which a person signs in: the same program on the same profile, with no debugging port and no mark of
//! automation, on a display of its own that is shown to them over the network, or on the one that they sit at.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use super::launch::{self, BrowserSettings};
use super::process::{self, Process};
use super::profile::Profile;
use crate::remote::RemoteError;
use crate::small_file;

/// What a person signs in to.
const LIBRARY: &str = "https://photos.google.com/login";
/// How long the browser may take to write down what it knows.
const PATIENCE: Duration = Duration::from_secs(8);

/// Size of the display, pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    width: u16,
    height: u16,
}

impl Size {
    /// As near as possible to what a person's own screen has; below a phone's width Chromium does not go.
    pub fn near(width: u32, height: u32) -> Self {
        let within = |n: u32, least: u16, most: u16| u16::try_from(n).unwrap_or(most).clamp(least, most);
        Self { width: within(width, 520, 1920), height: within(height, 600, 1400) }
    }
}

/// A sign-in that is going on. Dropping it ends everything.
pub struct SignIn {
    browser: Process,
    window_keeper: Process,
    display: Process,
    socket: PathBuf,
    _folder: Folder,
    // Last: the profile is free once the browser is gone.
    profile: Profile,
}

impl SignIn {
    /// Starts display and browser. `run` is a directory for the display's socket.
    pub async fn start(
        settings: &BrowserSettings,
        profile: Profile,
        run: &Path,
        size: Size,
    ) -> Result<Self, RemoteError> {
        let settings = &settings.ready(&profile).await?;
        settings.trust_ca(&profile)?;
        // Nobody else can have made it: it must not be there yet.
        let folder = run.join(format!("shoebox-display-{}-{:08x}", std::process::id(), fastrand::u32(..)));
        let shown = folder.display().to_string();
        let fail = |e: std::io::Error| RemoteError::Environment(format!("{shown}: {e}"));
        fs::DirBuilder::new().mode(0o700).create(&folder).map_err(fail)?;
        let folder = Folder(folder);
        let (socket, key) = (folder.0.join("display.sock"), folder.0.join("key"));
        fs::write(&key, display_key().map_err(fail)?).map_err(fail)?;
        let (display, name) = process::start_shown_display(&profile, &socket, &key, size).await?;
        let display_of = process::Shown { display: &name, key: &key };
        let window_keeper = process::start_window_keeper(&profile, &display_of)?;
        let browser = process::start_sign_in_browser(settings, &profile, Some(&display_of), LIBRARY)?;
        Ok(Self { browser, window_keeper, display, socket, _folder: folder, profile })
    }

    /// Where the display speaks RFB.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Waits until the person has closed the browser, or it has ended by itself.
    pub async fn ended(&self) {
        end_of(&self.browser).await;
    }

    /// Ends the browser in the way that keeps its cookies, then the rest; gives the profile back.
    pub async fn finish(self) -> Profile {
        self.browser.end(PATIENCE).await;
        self.browser.kill();
        self.window_keeper.end(Duration::from_secs(1)).await;
        self.display.end(Duration::from_secs(2)).await;
        super::profile::kill_helpers(self.profile.path());
        self.profile
    }
}

/// Waits until a process has ended; how, if anybody knows.
async fn end_of(process: &Process) -> Option<ExitStatus> {
    loop {
        let ended = process.ended_within(Duration::from_secs(3600)).await;
        if ended.is_some() || !process.is_running() {
            return ended;
        }
    }
}

/// A sign-in on the display that the person sits at. Dropping it ends the browser.
pub struct OwnDisplay {
    browser: Process,
    // Last: the profile is free once the browser is gone.
    profile: Profile,
}

impl OwnDisplay {
    /// Whether there is a display; why not, and what to do instead.
    pub fn is_there() -> Result<(), RemoteError> {
        own_display().map(drop)
    }

    /// Starts the browser.
    ///
    /// # Errors
    /// Without a display, and without a browser.
    pub async fn start(settings: &BrowserSettings, profile: Profile) -> Result<Self, RemoteError> {
        let settings = &settings.ready(&profile).await?;
        settings.trust_ca(&profile)?;
        let browser = process::start_sign_in_browser(settings, &profile, None, LIBRARY)?;
        Ok(Self { browser, profile })
    }

    /// Waits until the person has closed the browser.
    ///
    /// # Errors
    /// When it has ended in another way: it did not start, or it crashed.
    pub async fn closed(&self) -> Result<(), RemoteError> {
        match end_of(&self.browser).await {
            Some(status) if !status.success() => {
                Err(super::start_failure(&status.to_string(), &self.browser.last_words()))
            }
            _ => Ok(()),
        }
    }

    /// Ends the browser in the way that keeps its cookies; gives the profile back.
    pub async fn finish(self) -> Profile {
        if self.browser.is_running() {
            self.browser.end(PATIENCE).await;
        }
        self.browser.kill();
        super::profile::kill_helpers(self.profile.path());
        self.profile
    }
}

/// What programs find the person's display by.
enum Own {
    X11,
    Wayland(OsString),
}

fn own_display() -> Result<Own, RemoteError> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    match (set("DISPLAY"), set("WAYLAND_DISPLAY")) {
        (Some(_), _) => Ok(Own::X11),
        (None, Some(display)) => Ok(Own::Wayland(display)),
        (None, None) => Err(RemoteError::Environment(
            "there is no display to show a browser on (neither DISPLAY nor WAYLAND_DISPLAY is set): run this on a \
             desktop, or sign in on the page that `shoebox run` serves, with any browser"
                .into(),
        )),
    }
}

/// Lets a browser that has a home of its own draw on the person's display.
pub(super) fn on_own_display(command: &mut Command) -> Result<(), RemoteError> {
    match own_display()? {
        Own::Wayland(display) => {
            command.env("WAYLAND_DISPLAY", display).arg("--ozone-platform=wayland");
        }
        Own::X11 if std::env::var_os("XAUTHORITY").is_none() => {
            if let Some(home) = std::env::var_os("HOME") {
                command.env("XAUTHORITY", Path::new(&home).join(".Xauthority"));
            }
        }
        Own::X11 => {}
    }
    Ok(())
}

/// A directory of our own, removed in the end.
pub(super) struct Folder(pub(super) PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(e) = fs::remove_dir_all(&self.0) {
            tracing::debug!("{} could not be removed: {e}", self.0.display());
        }
    }
}

/// What whoever draws on the display must know, in the form of an Xauthority file: without it every user of the machine
/// could look at the display and type. One entry, for any host and display.
fn display_key() -> std::io::Result<Vec<u8>> {
    const NAME: &[u8] = b"MIT-MAGIC-COOKIE-1";
    let secret: [u8; 16] = small_file::random()?;
    let mut entry = vec![0xff, 0xff, 0, 0, 0, 0];
    for field in [NAME, &secret] {
        // Both are far shorter than 256 bytes.
        entry.extend([0, u8::try_from(field.len()).unwrap_or_default()]);
        entry.extend(field);
    }
    Ok(entry)
}

/// The programs that a sign-in needs and this machine lacks, with the packages that have them.
pub fn missing_programs() -> Vec<&'static str> {
    [("Xvnc", "tigervnc-standalone-server"), ("matchbox-window-manager", "matchbox-window-manager")]
        .into_iter()
        .filter(|(program, _)| launch::in_path(Path::new(program)).is_none())
        .map(|(_, package)| package)
        .collect()
}

/// A display that can be shown: RFB on a socket of ours, and nowhere else.
pub(super) fn shown_display(program: &Path, socket: &Path, key: &Path, size: Size) -> Command {
    let mut command = Command::new("sh");
    // The shell turns our pipe (its standard input) into the descriptor that the server reports its number on.
    command.args([
        "-c",
        "exec \"$0\" -displayfd 3 -rfbunixpath \"$1\" -rfbunixmode 0600 -rfbport -1 -SecurityTypes None \
         -geometry \"$2\" -depth 24 -nolisten tcp -AlwaysShared -auth \"$3\" -AcceptSetDesktopSize=1 3>&0 0</dev/null",
    ]);
    command
        .arg(program)
        .arg(socket)
        .arg(format!("{}x{}", size.width, size.height))
        .arg(key)
        .stdin(Stdio::null());
    command
}
