//! Versions of browsers: which one is newer, what a program says of itself, which one used the profile last.

use std::cmp::Ordering;
use std::fs;
use std::io;
use std::io::Read as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use tokio::process::Command;

use super::profile::Profile;
use crate::remote::RemoteError;

/// Longest version, bytes.
const LONGEST: usize = 40;
/// Longest wait for a program to tell its version.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the login of a profile rests on. Directories are left out: nothing in them is needed to be signed in.
const LOGIN: [&str; 7] = [
    "Local State",
    "Last Version",
    "Default/Cookies",
    "Default/Preferences",
    "Default/Secure Preferences",
    "Default/Web Data",
    "Default/Login Data",
];

/// Numbers between dots, as `156.0.8078.79`; a package has one more after a hyphen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    text: String,
    parts: Vec<u32>,
}

impl Version {
    /// As it is written; also a good name for a directory.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first one in what a program said.
    fn within(said: &str) -> Option<Self> {
        said.split_whitespace().find_map(|word| word.parse().ok())
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{}` is no version", text.chars().take(LONGEST).collect::<String>());
        let number = |part: &str| {
            let digits = part.bytes().all(|b| b.is_ascii_digit());
            part.parse::<u32>().ok().filter(|_| digits).ok_or_else(bad)
        };
        if text.len() > LONGEST {
            return Err(bad());
        }
        let parts = text.split(['.', '-']).map(number).collect::<Result<Vec<_>, _>>()?;
        // A lone number may be anything.
        if parts.len() < 2 { Err(bad()) } else { Ok(Self { text: text.to_owned(), parts }) }
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts.cmp(&other.parts).then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a program says of itself when it is asked; none if it says no version.
///
/// # Errors
/// When it does not run: what it said last, in a line.
pub async fn of_program(program: &Path) -> Result<Option<Version>, String> {
    let asked = Command::new(program).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) if answer.status.success() => {
            Ok(Version::within(&String::from_utf8_lossy(&answer.stdout)))
        }
        Ok(Ok(answer)) => {
            let said = String::from_utf8_lossy(&answer.stderr);
            let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            Err(format!("{} ({line})", answer.status))
        }
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err("it does not answer".into()),
    }
}

/// The version of the browser that used the profile last; none if nobody can say.
fn last_on(profile: &Path) -> Option<Version> {
    let mut text = String::new();
    let file = fs::File::open(profile.join("Last Version")).ok()?;
    file.take(100).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Before a browser older than the last one opens the profile: keeps a copy of the login, and says so. An older browser
/// mostly understands what a newer one wrote, but nobody promises that.
///
/// # Errors
/// When the copy cannot be made.
pub async fn guard(profile: &Profile, program: &Path) -> Result<(), RemoteError> {
    let Some(last) = last_on(profile.path()) else { return Ok(()) };
    // Whoever does not run says so when it is started.
    let Ok(Some(now)) = of_program(program).await else { return Ok(()) };
    if now >= last {
        return Ok(());
    }
    let copy = profile.path().join(format!("shoebox-login-of-{last}"));
    keep_login(profile.path(), &copy).map_err(|e| {
        RemoteError::Environment(format!(
            "the profile was used by version {last} of a browser, {} is the older {now}, and the login cannot be \
             copied to {} before it opens the profile: {e}",
            program.display(),
            copy.display()
        ))
    })?;
    tracing::warn!(
        "the profile was used by version {last} of a browser and is opened by the older {now} now; a copy of the login \
         is in {}, in case that goes wrong",
        copy.display()
    );
    Ok(())
}

fn keep_login(profile: &Path, copy: &Path) -> io::Result<()> {
    match fs::remove_dir_all(copy) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(copy.join("Default"))?;
    fs::set_permissions(copy, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    for name in LOGIN {
        let from: PathBuf = profile.join(name);
        match fs::copy(&from, copy.join(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(version("156.0.8078.79") > version("99.0.1.2"));
        assert!(version("156.0.8078.108-1") > version("156.0.8078.79-2"));
        assert!(version("156.0.8078.79-2") > version("156.0.8078.79-1"));
        for bad in ["", "156", "156.", "1.+2", "1..2", "../1.2", "1.2/3", "1.2.99999999999", &"1.".repeat(30)]
        {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
        assert_eq!(Version::within("Google Chrome 156.0.8078.79 beta"), Some(version("156.0.8078.79")));
        assert_eq!(Version::within("Chromium"), None);
    }

    #[tokio::test]
    async fn an_older_browser_opens_a_profile_only_after_its_login_was_copied() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("browser");
        fs::write(&program, "#!/bin/sh\necho Chromium 150.0.1.2 built on Debian\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let profile = Profile::take(&dir.path().join("profile")).unwrap();
        fs::create_dir(profile.path().join("Default")).unwrap();
        fs::write(profile.path().join("Default/Cookies"), "the login").unwrap();
        let copy = profile.path().join("shoebox-login-of-156.0.8078.79");
        for (last, copied) in [("149.9.9.9", false), ("150.0.1.2", false), ("156.0.8078.79\n", true)] {
            fs::write(profile.path().join("Last Version"), last).unwrap();
            guard(&profile, &program).await.unwrap();
            assert_eq!(copy.exists(), copied, "{last}");
        }
        assert_eq!(fs::read_to_string(copy.join("Default/Cookies")).unwrap(), "the login");
        assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o700);
        // Again, after more has happened.
        fs::write(profile.path().join("Default/Cookies"), "another login").unwrap();
        guard(&profile, &program).await.unwrap();
        assert_eq!(fs::read_to_string(copy.join("Default/Cookies")).unwrap(), "another login");
    }
}
