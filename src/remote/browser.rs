//! One Chromium process: started by us, connected to over loopback, watched, and ended so that it keeps
//! its cookies. Only this folder and its users under `remote` name chromiumoxide.

pub mod chrome;
pub mod cookie_jar;
pub mod downloads;
pub mod launch;
pub mod process;
pub mod profile;
pub mod sign_in;
pub mod tab;
mod version;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chromiumoxide::cdp::browser_protocol::browser::{
    EventDownloadProgress, EventDownloadWillBegin, SetDownloadBehaviorBehavior, SetDownloadBehaviorParams,
};
use chromiumoxide::cdp::browser_protocol::emulation::{
    SetUserAgentOverrideParams, UserAgentBrandVersion, UserAgentMetadata,
};
use chromiumoxide::cdp::browser_protocol::target::EventTargetCrashed;
use chromiumoxide::handler::{Handler, HandlerConfig};
use futures_util::StreamExt;
use serde::Deserialize;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use self::downloads::Downloads;
use self::launch::{BrowserSettings, Display};
use self::process::Process;
use self::profile::Profile;
use self::tab::{CALL, browser_error};
use super::RemoteError;

/// A running browser.
pub struct Chromium {
    browser: Arc<chromiumoxide::Browser>,
    process: Arc<Process>,
    display: Option<Process>,
    /// It holds more memory than it should.
    bloated: Arc<AtomicBool>,
    downloads: Downloads,
    profile: PathBuf,
    /// What a headless browser says of itself, so that it looks like the headful one.
    disguise: Option<SetUserAgentOverrideParams>,
    gone: CancellationToken,
}

/// How long a browser may take until its debugging port answers.
const START: Duration = Duration::from_secs(45);
/// How often a browser is asked whether it lives, and how long it may take to say so.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Missed heartbeats that make it dead.
const MISSES: u32 = 3;

impl Chromium {
    /// Starts a browser on the profile; downloads go into `folder`.
    pub async fn start(
        settings: &BrowserSettings,
        profile: &Profile,
        folder: &Path,
    ) -> Result<Self, RemoteError> {
        settings.find_program()?;
        settings.trust_ca(profile)?;
        let display = virtual_display(settings.display, profile).await?;
        let port = free_port()?;
        let name = display.as_ref().map(|(_, name)| name.as_str());
        let process = process::start_browser(settings, profile, port, name)?;
        let socket = debugging_socket(&process, port).await?;
        if let (Some(_), Some(program)) = (&settings.chrome, settings.program.clone()) {
            tokio::task::spawn_blocking(move || chrome::has_started(&program));
        }
        let config = HandlerConfig {
            ignore_https_errors: false,
            viewport: None,
            request_timeout: Duration::from_secs(20),
            ..HandlerConfig::default()
        };
        let (browser, handler) = timeout(CALL, chromiumoxide::Browser::connect_with_config(socket, config))
            .await
            .map_err(|_| RemoteError::Browser("the browser's debugging socket did not answer".into()))?
            .map_err(|e| browser_error(&e))?;
        let gone = CancellationToken::new();
        tokio::spawn(drive(handler, gone.clone()));
        let mut chromium = Self {
            browser: Arc::new(browser),
            process: Arc::new(process),
            bloated: Arc::default(),
            display: display.map(|(process, _)| process),
            downloads: Downloads::new(folder),
            profile: profile.path().to_owned(),
            disguise: None,
            gone,
        };
        chromium.accept_downloads(folder).await?;
        chromium.end_with_any_page().await?;
        if chromium.display.is_none() {
            chromium.disguise = Some(chromium.headful_identity().await?);
        }
        tokio::spawn(heartbeat(Arc::clone(&chromium.browser), chromium.gone.clone()));
        if let Some(most) = settings.most_memory {
            let (process, bloated) = (Arc::clone(&chromium.process), Arc::clone(&chromium.bloated));
            tokio::spawn(watch_memory(process, most, bloated, chromium.gone.clone()));
        }
        tracing::debug!(
            pid = chromium.process.pid(),
            headful = chromium.display.is_some(),
            "browser started"
        );
        Ok(chromium)
    }

    /// Ends when the browser is dead, hung or closed.
    pub fn gone(&self) -> &CancellationToken {
        &self.gone
    }

    /// Whether it can be used.
    pub fn is_alive(&self) -> bool {
        !self.gone.is_cancelled() && self.process.is_running()
    }

    /// Whether it holds more memory than it may: usable, but to be replaced.
    pub fn is_bloated(&self) -> bool {
        self.bloated.load(Ordering::Relaxed)
    }

    /// Process number.
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// The downloader.
    pub fn downloads(&self) -> &Downloads {
        &self.downloads
    }

    /// Runs one browser-level command.
    pub(super) async fn execute<T: chromiumoxide::Command>(
        &self,
        command: T,
    ) -> Result<T::Response, RemoteError> {
        timeout(CALL, self.browser.execute(command))
            .await
            .map_err(|_| RemoteError::Browser("the browser did not answer in time".into()))?
            .map(|answer| answer.result)
            .map_err(|e| browser_error(&e))
    }

    /// Ends the browser: asks by protocol, then by SIGINT, and kills only what does not listen. Never
    /// SIGTERM: Chromium then forgets the cookies of the last half minute. All of it takes less than the ten
    /// seconds that a container's stop leaves.
    pub async fn close(&self) {
        use chromiumoxide::cdp::browser_protocol::browser::CloseParams;
        if !self.gone.is_cancelled() {
            let asked = timeout(Duration::from_secs(2), self.browser.execute(CloseParams::default())).await;
            if asked.is_ok() {
                self.process.ended_within(Duration::from_secs(3)).await;
            }
        }
        if self.process.is_running() {
            self.process.end(Duration::from_secs(2)).await;
        }
        // Its helpers are in its process group and end with it; one that hangs must not outlive it.
        self.process.kill();
        self.gone.cancel();
        if let Some(display) = &self.display
            && display.ended_within(Duration::from_secs(1)).await.is_none()
        {
            display.end(Duration::from_secs(1)).await;
        }
        profile::kill_helpers(&self.profile);
    }

    /// A page that crashed never answers what it was asked, and its window shows nothing any more: better a new browser
    /// at once than one that is half dead.
    async fn end_with_any_page(&self) -> Result<(), RemoteError> {
        let crashed = self.browser.event_listener::<EventTargetCrashed>().await;
        let (mut crashed, gone) = (crashed.map_err(|e| browser_error(&e))?, self.gone.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = gone.cancelled() => {}
                Some(_) = crashed.next() => {
                    tracing::warn!("a page of the browser has crashed");
                    gone.cancel();
                }
            }
        });
        Ok(())
    }

    async fn accept_downloads(&self, folder: &Path) -> Result<(), RemoteError> {
        let begins = self.browser.event_listener::<EventDownloadWillBegin>().await;
        let progress = self.browser.event_listener::<EventDownloadProgress>().await;
        let (mut begins, mut progress) =
            (begins.map_err(|e| browser_error(&e))?, progress.map_err(|e| browser_error(&e))?);
        let (one, two) = (self.downloads.clone(), self.downloads.clone());
        tokio::spawn(async move {
            // Biased towards beginnings: a small file's end may arrive together with its beginning.
            loop {
                tokio::select! {
                    biased;
                    Some(event) = begins.next() => one.begins(&event),
                    Some(event) = progress.next() => two.progresses(&event),
                    else => break,
                }
            }
        });
        let behavior = SetDownloadBehaviorParams::builder()
            .behavior(SetDownloadBehaviorBehavior::AllowAndName)
            .download_path(folder.display().to_string())
            .events_enabled(true)
            .build()
            .map_err(RemoteError::Browser)?;
        self.execute(behavior).await.map(drop)
    }

    /// The identity of the same browser with a window.
    async fn headful_identity(&self) -> Result<SetUserAgentOverrideParams, RemoteError> {
        let version = timeout(CALL, self.browser.version())
            .await
            .map_err(|_| RemoteError::Browser("the browser did not tell its version".into()))?
            .map_err(|e| browser_error(&e))?;
        let full = version.product.rsplit('/').next().unwrap_or_default().to_owned();
        let major = full.split('.').next().unwrap_or_default().to_owned();
        let brands = |version: &str, other: &str| {
            vec![
                UserAgentBrandVersion { brand: "Chromium".into(), version: version.into() },
                UserAgentBrandVersion { brand: "Not)A;Brand".into(), version: other.into() },
            ]
        };
        let metadata = UserAgentMetadata::builder()
            .brands(brands(&major, "8"))
            .full_version_lists(brands(&full, "8.0.0.0"))
            .platform("Linux")
            .platform_version("")
            .architecture(if cfg!(target_arch = "x86_64") { "x86" } else { "arm" })
            .model("")
            .mobile(false)
            .bitness("64")
            .build()
            .map_err(RemoteError::Browser)?;
        SetUserAgentOverrideParams::builder()
            .user_agent(version.user_agent.replace("HeadlessChrome", "Chrome"))
            .user_agent_metadata(metadata)
            .build()
            .map_err(RemoteError::Browser)
    }
}

async fn virtual_display(
    wanted: Display,
    profile: &Profile,
) -> Result<Option<(Process, String)>, RemoteError> {
    let missing = "no virtual display: install Debian's `xvfb`, or choose --display headless";
    match wanted {
        Display::Headless => Ok(None),
        Display::Virtual => process::start_display(profile)
            .await?
            .map(Some)
            .ok_or_else(|| RemoteError::Environment(missing.into())),
        Display::Auto => match process::start_display(profile).await {
            Ok(display) => Ok(display),
            Err(e) => {
                tracing::warn!("{e}; going on headless");
                Ok(None)
            }
        },
    }
}

/// A port that is free now. It must be named: port 0 shows in the page as automation.
fn free_port() -> Result<u16, RemoteError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr());
    listener
        .map(|addr| addr.port())
        .map_err(|e| RemoteError::Environment(format!("no free port on 127.0.0.1 for the browser: {e}")))
}

/// Waits until the browser tells the address of its debugging socket.
async fn debugging_socket(process: &Process, port: u16) -> Result<String, RemoteError> {
    #[derive(Deserialize)]
    struct Version {
        #[serde(rename = "webSocketDebuggerUrl")]
        socket: String,
    }
    super::net::install_tls();
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(2))
        .build()
        .map_err(|e| RemoteError::Environment(format!("cannot set up HTTP: {e}")))?;
    let until = Instant::now() + START;
    loop {
        if let Ok(answer) = client.get(format!("http://127.0.0.1:{port}/json/version")).send().await
            && let Ok(body) = answer.bytes().await
            && let Ok(version) = serde_json::from_slice::<Version>(&body)
        {
            return Ok(version.socket);
        }
        if let Some(status) = process.ended_within(Duration::from_millis(100)).await {
            return Err(start_failure(&status.to_string(), &process.last_words()));
        }
        if Instant::now() > until {
            process.end(Duration::from_secs(2)).await;
            return Err(start_failure("it never answered", &process.last_words()));
        }
    }
}

/// A browser that failed to start is not a lost session: say what is wrong with the machine.
fn start_failure(how: &str, last_words: &str) -> RemoteError {
    let advice = if last_words.contains("No usable sandbox") || last_words.contains("Operation not permitted")
    {
        "its sandbox is forbidden: in a container take docker/seccomp.json, else allow unprivileged user namespaces \
         (`shoebox doctor` tells more), or pass --browser-arg=--no-sandbox"
    } else if last_words.contains("in use by another") {
        "the profile is open in another browser: close it first"
    } else {
        "run it by hand to see why"
    };
    let line = last_words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message");
    RemoteError::Environment(format!("the browser did not start ({how}): {advice}; it said: {line}"))
}

/// Drives the protocol until its first error: a driver that goes on after one hangs everybody.
async fn drive(mut handler: Handler, gone: CancellationToken) {
    while let Some(Ok(())) = handler.next().await {}
    gone.cancel();
}

/// Tells a dead or frozen browser from a slow one. Its questions also make the protocol crate notice
/// timeouts, which it forgets on a quiet socket.
async fn heartbeat(browser: Arc<chromiumoxide::Browser>, gone: CancellationToken) {
    let mut missed = 0;
    while missed < MISSES {
        tokio::select! {
            () = gone.cancelled() => return,
            () = tokio::time::sleep(HEARTBEAT) => {}
        }
        match timeout(HEARTBEAT, browser.version()).await {
            Ok(Ok(_)) => missed = 0,
            Ok(Err(_)) => break,
            Err(_) => missed += 1,
        }
    }
    tracing::warn!("the browser does not answer any more");
    gone.cancel();
}

/// Tabs of the real site grow for hours; a browser that has grown too large is replaced between two calls.
async fn watch_memory(process: Arc<Process>, most: u64, bloated: Arc<AtomicBool>, gone: CancellationToken) {
    loop {
        tokio::select! {
            () = gone.cancelled() => return,
            () = tokio::time::sleep(HEARTBEAT) => {}
        }
        let watched = Arc::clone(&process);
        let held = tokio::task::spawn_blocking(move || watched.group_memory()).await.unwrap_or(0);
        if held > most {
            tracing::info!("the browser holds {} MB of memory and will be replaced", held / 1_000_000);
            bloated.store(true, Ordering::Relaxed);
            return;
        }
    }
}
