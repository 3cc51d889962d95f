//! Which browser is started, and how (every flag here was paid for; see the module's tests for the rules).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::chrome::{self, Repository};
use super::profile::Profile;
use super::version;
use crate::remote::RemoteError;
use crate::remote::net::ResolveRule;

/// How the browser shows itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Display {
    /// Headful on a virtual display where one can be started, else headless.
    #[default]
    Auto,
    /// Headful on a virtual display; an error if none can be started.
    Virtual,
    /// Headless.
    Headless,
}

/// Everything a person can say about the browser.
#[derive(Clone, Debug, Default)]
pub struct BrowserSettings {
    /// The program; found by itself if not given.
    pub program: Option<PathBuf>,
    /// Google Chrome is wanted, fetched from here where it is not there yet; then the program is not asked for.
    pub chrome: Option<Repository>,
    /// Further arguments, last on the command line.
    pub args: Vec<String>,
    /// Where hosts are found.
    pub resolve: Vec<ResolveRule>,
    /// Certificates to be trusted besides the browser's own.
    pub ca: Option<PathBuf>,
    /// How it shows itself.
    pub display: Display,
    /// Memory beyond which it is replaced, bytes; none is no limit.
    pub most_memory: Option<u64>,
}

/// Where Debian, Google, Fedora and Arch put it. Debian's own binary comes before its wrapper script,
/// which would add flags that the login browser does not have.
const CANDIDATES: [&str; 6] = [
    "/usr/lib/chromium/chromium",
    "/usr/bin/google-chrome-stable",
    "/opt/google/chrome/chrome",
    "/usr/lib64/chromium-browser/chromium-browser",
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
];

impl BrowserSettings {
    /// These settings with a program that is there and may open the profile. Fetches one first, where that is wanted;
    /// whoever calls owns the profile, so that no browser runs on it.
    ///
    /// # Errors
    /// When there is none and none can be had.
    pub async fn ready(&self, profile: &Profile) -> Result<Self, RemoteError> {
        let program = match &self.chrome {
            Some(repository) => chrome::program(repository, self, profile).await?,
            None => self.find_program()?,
        };
        version::guard(profile, &program).await?;
        Ok(Self { program: Some(program), ..self.clone() })
    }

    /// The browser to start.
    pub fn find_program(&self) -> Result<PathBuf, RemoteError> {
        if let Some(program) = &self.program {
            let found = if program.components().count() == 1 { in_path(program) } else { None };
            let program = found.unwrap_or_else(|| program.clone());
            return if is_program(&program) {
                Ok(program)
            } else {
                Err(RemoteError::Environment(format!(
                    "the browser {} is not a program: check --browser",
                    program.display()
                )))
            };
        }
        CANDIDATES.iter().map(PathBuf::from).find(|path| is_program(path)).ok_or_else(|| {
            RemoteError::Environment(
                "no browser found: install Debian's `chromium` or Google Chrome, or name one with --browser"
                    .into(),
            )
        })
    }

    /// The command line, without a display.
    ///
    /// A fixed port that is not 0, no `--enable-automation`: both show as `navigator.webdriver`. Background
    /// networking and sync stay on: they keep the session alive.
    pub fn command_line(&self, profile: &Profile, port: u16, headless: bool) -> Vec<String> {
        let mut line = self.common_line(profile);
        line.insert(1, format!("--remote-debugging-port={port}"));
        if headless {
            line.push("--headless=new".into());
            line.push("--screen-info={1280x800}".into());
        }
        line.extend(self.args.iter().cloned());
        line.push("about:blank".into());
        line
    }

    /// The command line of the browser in which a person signs in: the same, but nothing can drive it.
    pub fn sign_in_line(&self, profile: &Profile, url: &str) -> Vec<String> {
        let mut line = self.common_line(profile);
        line.push("--start-maximized".into());
        line.extend(self.args.iter().cloned());
        line.push(url.to_owned());
        line
    }

    fn common_line(&self, profile: &Profile) -> Vec<String> {
        let mut line = vec![
            format!("--user-data-dir={}", profile.path().display()),
            "--no-first-run".into(),
            "--no-default-browser-check".into(),
            "--password-store=basic".into(),
            "--disable-breakpad".into(),
            "--disable-component-update".into(),
            "--mute-audio".into(),
            "--lang=en-US".into(),
            "--window-size=1280,800".into(),
            "--disable-background-timer-throttling".into(),
            "--disable-backgrounding-occluded-windows".into(),
            "--disable-renderer-backgrounding".into(),
            "--disable-features=Translate,MediaRouter,OptimizationHints".into(),
            "--disk-cache-size=104857600".into(),
        ];
        if rustix::process::geteuid().is_root() {
            // Chromium refuses to start as root with its sandbox on.
            line.push("--no-sandbox".into());
        }
        if small_shared_memory() {
            line.push("--disable-dev-shm-usage".into());
        }
        if !self.resolve.is_empty() {
            let rules: Vec<_> = self.resolve.iter().map(ResolveRule::chromium).collect();
            line.push(format!("--host-resolver-rules={}", rules.join(",")));
        }
        line
    }

    /// Makes the browser trust `--ca`: an NSS store in the browser's own home, so that no certificate error
    /// has to be ignored.
    pub fn trust_ca(&self, profile: &Profile) -> Result<(), RemoteError> {
        let home = profile.home();
        let store = home.join(".pki/nssdb");
        let fail = |e: std::io::Error| RemoteError::Environment(format!("{}: {e}", store.display()));
        fs::create_dir_all(&home).map_err(fail)?;
        if store.exists() {
            // Trust given to an earlier run is not kept: only what this command line says counts.
            fs::remove_dir_all(&store).map_err(fail)?;
        }
        let Some(ca) = &self.ca else { return Ok(()) };
        fs::create_dir_all(&store).map_err(fail)?;
        crate::remote::net::read_ca(ca)?;
        let database = format!("sql:{}", store.display());
        certutil(&["-N", "--empty-password", "-d", &database])?;
        for (number, pem) in certificates(ca).map_err(fail)?.iter().enumerate() {
            let file = home.join(format!("ca-{number}.pem"));
            fs::write(&file, pem).map_err(fail)?;
            let name = format!("shoebox --ca {number}");
            let file = file.display().to_string();
            certutil(&["-A", "-d", &database, "-t", "C,,", "-n", &name, "-i", &file])?;
        }
        Ok(())
    }
}

/// The certificates of a PEM bundle, one text each.
fn certificates(path: &Path) -> std::io::Result<Vec<String>> {
    const END: &str = "-----END CERTIFICATE-----";
    let text = fs::read_to_string(path)?;
    Ok(text.split_inclusive(END).filter(|part| part.ends_with(END)).map(str::to_owned).collect())
}

fn certutil(args: &[&str]) -> Result<(), RemoteError> {
    let output = Command::new("certutil").args(args).stdin(Stdio::null()).output().map_err(|e| {
        let advice = "install Debian's `libnss3-tools`, which --ca needs to make the browser trust it";
        RemoteError::Environment(format!("cannot run certutil ({e}): {advice}"))
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(RemoteError::Environment(format!("certutil could not add --ca: {}", said.trim())))
}

/// Docker gives 64 MB unless told otherwise; a few heavy tabs crash on it.
fn small_shared_memory() -> bool {
    rustix::fs::statvfs("/dev/shm").is_ok_and(|s| s.f_blocks * s.f_frsize < 256 << 20)
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// The program of that name in `PATH`.
pub fn in_path(name: &Path) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|candidate| is_program(candidate))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_command_line_keeps_the_rules() {
        let dir = tempfile::tempdir().unwrap();
        let profile = Profile::take(dir.path()).unwrap();
        let settings = BrowserSettings {
            resolve: vec!["*=127.0.0.1:8443".parse().unwrap()],
            args: vec!["--custom".into()],
            ..BrowserSettings::default()
        };
        let line = settings.command_line(&profile, 9222, false);
        assert!(line.contains(&"--remote-debugging-port=9222".to_owned()));
        assert!(line.contains(&"--host-resolver-rules=MAP * 127.0.0.1:8443".to_owned()));
        assert_eq!(line[line.len() - 2..], ["--custom", "about:blank"]);
        let never = [
            "--enable-automation",
            "--disable-background-networking",
            "--disable-sync",
            "--ignore-certificate-errors",
            "--headless",
        ];
        for flag in never {
            assert!(!line.iter().any(|arg| arg.starts_with(flag)), "{flag}");
        }
    }

    #[test]
    fn a_missing_browser_is_named() {
        let settings = BrowserSettings { program: Some("/nowhere/chrome".into()), ..Default::default() };
        assert!(settings.find_program().unwrap_err().to_string().contains("/nowhere/chrome"));
    }
}
