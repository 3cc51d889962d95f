//! The profile directory: the login lives in it, so one browser owns it at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::remote::RemoteError;

/// Marks our browser and its display server in `/proc`, whatever became of the process that started them.
pub const OWNER_VARIABLE: &str = "SHOEBOX_PROFILE_OWNER";

/// Ends whatever still runs on a profile whose browser was given up while it started: taking the profile once more
/// does that.
pub async fn end_browser_on(path: &Path) {
    let path = path.to_owned();
    match tokio::task::spawn_blocking(move || Profile::take(&path)).await {
        Ok(Ok(_)) => {}
        Ok(Err(e)) => tracing::debug!("the browser may still run: {e}"),
        Err(e) => tracing::debug!("the browser may still run: {e}"),
    }
}

/// A profile that this process owns. Dropping it gives the profile free.
#[derive(Debug)]
pub struct Profile {
    path: PathBuf,
    _lock: File,
}

impl Profile {
    /// Takes the profile: makes the directory if needed (mode 0700), locks it, ends what a killed
    /// predecessor left running and clears the browser's own stale lock.
    pub fn take(path: &Path) -> Result<Self, RemoteError> {
        let fail = |what: &str, e: std::io::Error| {
            RemoteError::Environment(format!("cannot {what} the browser profile {}: {e}", path.display()))
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| fail("make", e))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(|e| fail("protect", e))?;
        let path = path.canonicalize().map_err(|e| fail("find", e))?;
        let lock = lock(&path)?;
        let profile = Self { path, _lock: lock };
        profile.end_leftovers();
        profile.clear_stale_lock()?;
        Ok(profile)
    }

    /// The profile directory, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Home directory of the browser: its certificate store, caches and crash files, apart from the person's.
    pub fn home(&self) -> PathBuf {
        self.path.join("shoebox-home")
    }

    /// Ends processes that carry our mark and outlived their shoebox: asks, waits 5 s, then kills.
    pub fn end_leftovers(&self) {
        let mark = mark(&self.path);
        let found = processes_with(&mark);
        if found.is_empty() {
            return;
        }
        tracing::info!(processes = found.len(), "ending a browser that was left behind");
        for &pid in found.iter().filter(|&&pid| !is_browser_child(pid)) {
            signal(pid, Signal::INT);
        }
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until && !processes_with(&mark).is_empty() {
            // A bare process has no event to wait for: look again shortly.
            std::thread::sleep(Duration::from_millis(50));
        }
        for pid in processes_with(&mark) {
            signal(pid, Signal::KILL);
        }
    }

    /// Removes Chromium's `Singleton*` links, unless a living browser on this machine holds them.
    fn clear_stale_lock(&self) -> Result<(), RemoteError> {
        if let Ok(holder) = fs::read_link(self.path.join("SingletonLock")) {
            let holder = holder.to_string_lossy().into_owned();
            let pid = holder.rsplit_once('-').and_then(|(_, pid)| pid.parse::<i32>().ok());
            if let Some(pid) = pid.filter(|&pid| self.runs_on_this_profile(pid)) {
                return Err(RemoteError::Locked(format!(
                    "a browser (process {pid}) has the profile {} open: close it first",
                    self.path.display()
                )));
            }
        }
        for name in ["SingletonLock", "SingletonSocket", "SingletonCookie", "DevToolsActivePort"] {
            match fs::remove_file(self.path.join(name)) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(RemoteError::Environment(format!(
                        "cannot remove the stale {name} in {}: {e}",
                        self.path.display()
                    )));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn runs_on_this_profile(&self, pid: i32) -> bool {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let ours = format!("--user-data-dir={}", self.path.display());
        line.split(|&b| b == 0).any(|arg| arg == ours.as_bytes())
    }
}

fn mark(profile: &Path) -> String {
    format!("{OWNER_VARIABLE}={}", profile.display())
}

/// Kills what a browser that is dead already left of itself: helpers in sessions of their own.
pub fn kill_helpers(profile: &Path) {
    for pid in processes_with(&mark(profile)) {
        signal(pid, Signal::KILL);
    }
}

fn lock(profile: &Path) -> Result<File, RemoteError> {
    let path = profile.join("shoebox.lock");
    let fail = |e: std::io::Error| RemoteError::Environment(format!("{}: {e}", path.display()));
    let mut options = OpenOptions::new();
    let mut file =
        options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let read = file.read_to_string(&mut holder);
            let holder = if read.is_ok() { holder.trim() } else { "another process" };
            return Err(RemoteError::Locked(format!(
                "the profile {} is in use by {holder}: stop it first",
                profile.display()
            )));
        }
        Err(fs::TryLockError::Error(e)) => return Err(fail(e)),
    }
    file.set_len(0).map_err(fail)?;
    file.rewind().map_err(fail)?;
    writeln!(file, "shoebox, process {}", std::process::id()).map_err(fail)?;
    Ok(file)
}

/// Processes whose environment holds exactly `mark`.
fn processes_with(mark: &str) -> Vec<i32> {
    let own = std::process::id().cast_signed();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|&pid| pid != own && !is_zombie(pid))
        .filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|&b| b == 0).any(|variable| variable == mark.as_bytes())
        })
        .collect()
}

fn is_zombie(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// Renderers and their like end with their browser.
fn is_browser_child(pid: i32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|&b| b == 0 || b == b' ').any(|arg| arg.starts_with(b"--type="))
}

/// Sends a signal; a process that is gone already is what was wanted.
pub fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid)
        && let Err(e) = kill_process(pid, signal)
    {
        tracing::debug!(pid = pid.as_raw_nonzero(), error = %e, "could not signal a process");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::ErrorClass;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn one_owner_at_a_time_and_it_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let first = Profile::take(&dir.path().join("p")).unwrap();
        let error = Profile::take(first.path()).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Locked);
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        let path = first.path().to_owned();
        drop(first);
        Profile::take(&path).unwrap();
    }

    #[test]
    fn a_lock_of_another_host_is_stale_and_a_living_browser_is_not() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("oldhost-1", dir.path().join("SingletonLock")).unwrap();
        drop(Profile::take(dir.path()).unwrap());
        assert!(!dir.path().join("SingletonLock").is_symlink());

        let path = dir.path().canonicalize().unwrap();
        let mut other = std::process::Command::new("sh")
            .args(["-c", "sleep 60", &format!("--user-data-dir={}", path.display())])
            .spawn()
            .unwrap();
        std::os::unix::fs::symlink(format!("here-{}", other.id()), path.join("SingletonLock")).unwrap();
        let error = Profile::take(&path).unwrap_err();
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(matches!(error, RemoteError::Locked(_)), "{error}");
    }

    #[test]
    fn leftovers_of_a_killed_predecessor_are_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap();
        let mut left =
            std::process::Command::new("sleep").arg("60").env(OWNER_VARIABLE, &path).spawn().unwrap();
        // The kernel lets us go on before it has published the new program's environment.
        while processes_with(&mark(&path)).is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(Profile::take(&path).unwrap());
        // An exiting process loses its environment before it can be reaped, so wait; left alone it would
        // end by itself, with a status and without a signal.
        assert!(left.wait().unwrap().signal().is_some(), "it was not ended");
    }
}
