//! Google Chrome, fetched from Google on the person's own word into a directory beside the profile.
//!
//! ```text
//! chrome/lock               one shoebox at a time
//! chrome/looked.json        when a newer one was last looked for
//! chrome/trial.json         how often a new one was tried that has not run yet
//! chrome/156.0.8078.79-1/   a version: Chrome as its package has it
//! chrome/fetching-…/        a fetch that goes on, or was cut off
//! ```
//! The earlier version stays until the newer one has run once, and is used again if that one never does.

mod index;
mod package;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::index::newest;
use super::launch::BrowserSettings;
use super::profile::Profile;
use super::sign_in::Folder;
use super::version::Version;
use crate::remote::{RemoteError, net};
use crate::small_file;

/// Google's own repository of packages.
pub const GOOGLE: &str = "https://dl.google.com/linux/chrome/deb";
/// Where the repository tells what it has.
const INDEX: &str = "dists/stable/main/binary-amd64/Packages";
/// Longest index, bytes.
const LONGEST_INDEX: usize = 4 << 20;
/// A newer version is looked for once in this time.
const BETWEEN_LOOKS: SignedDuration = SignedDuration::from_hours(24);
/// Silence after which a transfer is given up, and longest fetch.
const STALL: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// Starts after which a new version that has not run is left alone, while there is an earlier one.
const MOST_TRIALS: u32 = 2;
/// Name of a fetch that goes on.
const FETCHING: &str = "fetching-";
/// The program in the directory of a version.
const PROGRAM: &str = "chrome";

/// Address of a repository of packages that has Chrome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository(String);

impl FromStr for Repository {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = reqwest::Url::parse(text).map_err(|e| format!("`{text}` is no address: {e}"))?;
        let near = url.host_str().is_some_and(|host| ["127.0.0.1", "[::1]", "localhost"].contains(&host));
        if url.scheme() != "https" && !(url.scheme() == "http" && near) {
            // What it sends is run with the login at hand.
            return Err("must begin with https://".into());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not hold a password: it would be logged".into());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("must be an address without `?` and `#`".into());
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl Repository {
    fn address(&self, path: &str) -> String {
        format!("{}/{path}", self.0)
    }
}

#[derive(Serialize, Deserialize)]
struct Looked {
    at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Trial {
    version: String,
    starts: u32,
}

/// The newest Chrome that runs, after a look for a newer one where that is due. Whoever calls owns the profile, so that
/// no browser runs on it.
///
/// # Errors
/// When none is there and none can be had, or none runs: what to do.
pub(super) async fn program(
    repository: &Repository,
    settings: &BrowserSettings,
    profile: &Profile,
) -> Result<PathBuf, RemoteError> {
    let home = Home::beside(profile.path());
    let _lock = home.lock().await?;
    home.sweep();
    let before = home.versions();
    if before.is_empty() || home.look_is_due(Timestamp::now()) {
        home.note_look();
        match (home.look(repository, settings, before.last()).await, before.last()) {
            (Ok(()), _) => {}
            (Err(e), Some(version)) => tracing::warn!("{e}; going on with Google Chrome {version}"),
            (Err(e), None) => {
                return Err(RemoteError::Environment(format!(
                    "Google Chrome cannot be had: {e}. Try again later, or leave SHOEBOX_BROWSER out to use Chromium"
                )));
            }
        }
    }
    let mut trouble = None;
    let mut versions = home.versions();
    if let [.., earlier, version] = versions.as_slice()
        && !home.may_be_tried(version)
    {
        tracing::warn!("Google Chrome {version} does not start here; going on with {earlier}");
        versions.pop();
    }
    for version in versions.iter().rev() {
        let program = home.program(version);
        match package::try_out(&program).await {
            Ok(()) => return Ok(program),
            Err(e) => {
                tracing::debug!("Google Chrome {version}: {e}");
                trouble.get_or_insert(e);
            }
        }
    }
    // Whatever was brought is there, unless somebody takes it away right now.
    let why = trouble.map_or_else(|| "Google Chrome is gone again".into(), |e| e.to_string());
    Err(RemoteError::Environment(format!("{why}. Or leave SHOEBOX_BROWSER out to use Chromium")))
}

/// The newest Chrome that was fetched for a profile, if any.
pub fn fetched_for(profile: &Path) -> Option<PathBuf> {
    let home = Home::beside(profile);
    home.versions().last().map(|version| home.program(version))
}

/// This one has started: earlier versions are needed no longer. One that still runs, on another profile, stays.
pub(super) fn has_started(program: &Path) {
    let Some((home, version)) = program.parent().and_then(|dir| {
        let version = dir.file_name()?.to_str()?.parse::<Version>().ok()?;
        Some((Home(dir.parent()?.to_owned()), version))
    }) else {
        return;
    };
    home.forget_trials();
    for earlier in home.versions().iter().filter(|&other| *other < version) {
        let dir = home.0.join(earlier.as_str());
        if is_running(&dir) {
            continue;
        }
        match fs::remove_dir_all(&dir) {
            Ok(()) => tracing::info!("Google Chrome {version} has started; {earlier} is removed"),
            Err(e) => tracing::warn!("{} could not be removed: {e}", dir.display()),
        }
    }
}

/// Whether a program below the directory runs.
fn is_running(dir: &Path) -> bool {
    let Ok(entries) = fs::read_dir("/proc") else { return false };
    let mut programs = entries.flatten().filter_map(|entry| fs::read_link(entry.path().join("exe")).ok());
    programs.any(|program| program.starts_with(dir))
}

/// Where the versions are.
struct Home(PathBuf);

impl Home {
    fn beside(profile: &Path) -> Self {
        let name =
            if profile.file_name().is_some_and(|name| name == "chrome") { "google-chrome" } else { "chrome" };
        Self(profile.parent().unwrap_or(profile).join(name))
    }

    fn program(&self, version: &Version) -> PathBuf {
        self.0.join(version.as_str()).join(PROGRAM)
    }

    /// What is there, oldest first.
    fn versions(&self) -> Vec<Version> {
        let Ok(entries) = fs::read_dir(&self.0) else { return Vec::new() };
        let mut found: Vec<Version> =
            entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        found.retain(|version| self.program(version).exists());
        found.sort();
        found
    }

    fn fail(&self, e: &io::Error) -> RemoteError {
        RemoteError::Environment(format!("Google Chrome is kept in {}: {e}", self.0.display()))
    }

    /// Waits until no other shoebox is at it.
    async fn lock(&self) -> Result<File, RemoteError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(&self.0);
        let lock = made.and_then(|()| File::create(self.0.join("lock"))).map_err(|e| self.fail(&e))?;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                // A lock tells nobody that it is free: look again.
                Err(fs::TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(300)).await,
                Err(fs::TryLockError::Error(e)) => return Err(self.fail(&e)),
            }
        }
    }

    /// Removes what a fetch left that was cut off.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.0) else { return };
        let left =
            entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(FETCHING));
        for entry in left {
            if let Err(e) = fs::remove_dir_all(entry.path()) {
                tracing::warn!("{} could not be removed: {e}", entry.path().display());
            }
        }
    }

    fn look_is_due(&self, now: Timestamp) -> bool {
        let looked = fs::read(self.0.join("looked.json")).ok();
        let looked: Option<Looked> = looked.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let age = looked.map(|looked| now.duration_since(looked.at));
        // A clock that was set back does not keep anybody from looking.
        age.is_none_or(|age| age >= BETWEEN_LOOKS || age < SignedDuration::ZERO)
    }

    /// Before the look: what fails is not tried at every start.
    fn note_look(&self) {
        if let Err(e) = small_file::replace(&self.0.join("looked.json"), &Looked { at: Timestamp::now() }) {
            tracing::debug!("{}: {e}", self.0.display());
        }
    }

    /// Whether a version may be tried that has not run yet; counts that it is.
    fn may_be_tried(&self, version: &Version) -> bool {
        let file = self.0.join("trial.json");
        let kept: Option<Trial> = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let before = kept.filter(|trial| trial.version == version.as_str()).map_or(0, |trial| trial.starts);
        if before >= MOST_TRIALS {
            return false;
        }
        let trial = Trial { version: version.to_string(), starts: before + 1 };
        if let Err(e) = small_file::replace(&file, &trial) {
            tracing::debug!("{}: {e}", file.display());
        }
        true
    }

    fn forget_trials(&self) {
        match fs::remove_file(self.0.join("trial.json")) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => tracing::debug!("{}: {e}", self.0.display()),
            _ => {}
        }
    }

    /// Brings the newest version, where it is newer than what is there.
    async fn look(
        &self,
        repository: &Repository,
        settings: &BrowserSettings,
        have: Option<&Version>,
    ) -> Result<(), RemoteError> {
        let client = net::http_client(&settings.resolve, settings.ca.as_ref(), STALL)?;
        let address = repository.address(INDEX);
        let index = package::text(&client, &address, LONGEST_INDEX).await?;
        let listed = newest(&index)
            .map_err(|why| RemoteError::Environment(format!("{address} makes no sense: {why}")))?;
        if have.is_some_and(|have| *have >= listed.version) {
            return Ok(());
        }
        let address = repository.address(&listed.path);
        tracing::info!(
            "SHOEBOX_BROWSER=chrome: fetching Google Chrome {} from {address} ({} bytes, SHA-256 {})",
            listed.version,
            listed.size,
            listed.sha256
        );
        let brought = tokio::time::timeout(LONGEST, self.bring(&client, &address, &listed));
        brought.await.map_err(|_| RemoteError::Environment(format!("{address} takes too long")))?
    }

    async fn bring(
        &self,
        client: &reqwest::Client,
        address: &str,
        listed: &index::Listed,
    ) -> Result<(), RemoteError> {
        let folder = self.0.join(format!("{FETCHING}{:08x}", fastrand::u32(..)));
        fs::create_dir(&folder).map_err(|e| self.fail(&e))?;
        let folder = Folder(folder);
        let file = folder.0.join("package.deb");
        package::fetch(client, address, listed, &file).await?;
        let browser = package::unpack(&file, &folder.0).await?;
        package::try_out(&browser.join(PROGRAM)).await?;
        let place = self.0.join(listed.version.as_str());
        // After a cut of the power a version is there whole or not at all.
        let published = File::open(&browser)
            .and_then(|dir| rustix::fs::syncfs(dir).map_err(io::Error::from))
            .and_then(|()| fs::rename(&browser, &place));
        published.map_err(|e| self.fail(&e))?;
        tracing::info!("Google Chrome {} is in {}", listed.version, place.display());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn repositories_are_reached_safely_or_not_at_all() {
        let read = |text: &str| text.parse::<Repository>();
        assert_eq!(read(GOOGLE).unwrap().address("a/b"), format!("{GOOGLE}/a/b"));
        assert_eq!(read("http://127.0.0.1:8080/deb/").unwrap().address("a"), "http://127.0.0.1:8080/deb/a");
        for (bad, word) in [
            ("nowhere", "no address"),
            ("http://mirror.example/deb", "https://"),
            ("file:///tmp/deb", "https://"),
            ("https://me:secret@mirror.example/", "password"),
            ("https://mirror.example/?deb", "without"),
        ] {
            assert!(read(bad).unwrap_err().contains(word), "{bad}");
        }
    }

    #[test]
    fn earlier_versions_go_once_a_later_one_has_started_and_a_running_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::beside(&dir.path().canonicalize().unwrap().join("profile"));
        let names = ["99.0.1.2-1", "156.0.8078.79-1", "157.0.1.1-1"];
        for name in names {
            fs::create_dir_all(home.0.join(name)).unwrap();
            fs::copy("/bin/sleep", home.0.join(name).join(PROGRAM)).unwrap();
        }
        fs::create_dir(home.0.join("something else")).unwrap();
        let left = || home.versions().iter().map(|version| version.to_string()).collect::<Vec<_>>();
        assert_eq!(left(), names);
        assert_eq!(
            fetched_for(&dir.path().canonicalize().unwrap().join("profile")),
            Some(home.0.join("157.0.1.1-1/chrome"))
        );
        let mut running =
            std::process::Command::new(home.0.join("99.0.1.2-1/chrome")).arg("60").spawn().unwrap();
        has_started(&home.0.join("157.0.1.1-1/chrome"));
        assert_eq!(left(), ["99.0.1.2-1", "157.0.1.1-1"]);
        running.kill().unwrap();
        running.wait().unwrap();
        has_started(&home.0.join("157.0.1.1-1/chrome"));
        assert_eq!(left(), ["157.0.1.1-1"]);
        assert!(home.0.join("something else").exists());
    }

    #[test]
    fn a_newer_version_is_looked_for_once_a_day_whatever_the_clock_does() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home(dir.path().to_owned());
        let now = Timestamp::now();
        assert!(home.look_is_due(now));
        home.note_look();
        for (hours, due) in [(0, false), (23, false), (25, true), (-2, true)] {
            let then = Timestamp::now() + SignedDuration::from_hours(hours);
            assert_eq!(home.look_is_due(then), due, "{hours}");
        }
        fs::write(dir.path().join("looked.json"), "nonsense").unwrap();
        assert!(home.look_is_due(now));
    }

    #[test]
    fn chrome_is_beside_the_profile_and_never_in_it() {
        for (profile, home) in
            [("/config/profile", "/config/chrome"), ("/home/a/chrome", "/home/a/google-chrome")]
        {
            assert_eq!(Home::beside(Path::new(profile)).0, Path::new(home));
        }
    }
}
