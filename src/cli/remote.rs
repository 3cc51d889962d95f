//! The options of commands that reach Google Photos.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, ValueEnum};

use super::duration;
use crate::app::SyncSettings;
use crate::model::LOCAL_ACCOUNT;
use crate::model::name::fold;
use crate::remote::browser::chrome::{self, Repository};
use crate::remote::browser::launch::{BrowserSettings, Display};
use crate::remote::google::Method;
use crate::remote::net::ResolveRule;
use crate::sync::albums::Wanted;
use crate::sync::pace::Limits;
use crate::sync::quiet::QuietHours;
use crate::sync::{ListingMode, SyncOptions};

/// Longest name of an account, characters.
const LONGEST_NAME: usize = 40;

/// The library and how it is reached.
#[derive(Args, Debug)]
#[command(next_help_heading = "Google Photos")]
pub struct Remote {
    /// The browser profile that holds the Google login.
    #[arg(long, env = "SHOEBOX_PROFILE", value_name = "DIR")]
    profile: PathBuf,
    /// How the account is called in the archive, which has several: its folder in the view `by-account`.
    #[arg(long, env = "SHOEBOX_ACCOUNT_NAME", value_parser = account_name, value_name = "NAME")]
    account_name: Option<String>,
    /// How files are fetched.
    #[arg(long, env = "SHOEBOX_METHOD", default_value = "rpc", value_name = "METHOD")]
    method: MethodArg,
    /// Most downloads at the same time; fewer while Google is slow or refuses.
    #[arg(long, env = "SHOEBOX_WORKERS", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32), value_name = "N")]
    workers: u8,
    /// Attempts per file before it is set aside until the next run.
    #[arg(long, env = "SHOEBOX_ATTEMPTS", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=20), value_name = "N")]
    attempts: u8,
    /// Silence after which a transfer is given up and tried again.
    #[arg(long, env = "SHOEBOX_STALL", default_value = "20s", value_parser = duration, value_name = "TIME")]
    stall: Duration,
    /// Longest wait between attempts.
    #[arg(long, env = "SHOEBOX_LONGEST_WAIT", default_value = "2m", value_parser = duration, value_name = "TIME")]
    longest_wait: Duration,
    /// Most requests for lists and addresses per second, in the long run. Two are known to go well for days.
    #[arg(long, env = "SHOEBOX_CALLS_PER_SECOND", default_value_t = 2.0, value_parser = rate, value_name = "N")]
    calls_per_second: f64,
    /// Most bytes per second, all downloads together, for example `5MB`; unlimited if left out.
    #[arg(long, env = "SHOEBOX_BANDWIDTH", value_name = "SIZE")]
    bandwidth: Option<bytesize::ByteSize>,
    /// Hours of every day in which nothing is asked of Google, by the local clock, for example `18:00-23:30`.
    #[arg(long, env = "SHOEBOX_QUIET_HOURS", value_name = "FROM-TO")]
    quiet_hours: Option<QuietHours>,
    /// Age of the last complete listing at which the whole library is listed again; in between, only what is
    /// new is looked for.
    #[arg(long, env = "SHOEBOX_WHOLE_EVERY", default_value = "7d", value_parser = duration, value_name = "TIME")]
    whole_every: Duration,
    /// A shared album to archive too, by title or by the key in its address; `partner/KEY` for a partner's
    /// library; repeatable, or separated by `;`.
    #[arg(long, env = "SHOEBOX_ALBUMS", value_delimiter = ';', value_name = "ALBUM")]
    albums: Vec<String>,
    /// Archive every album that others share with the account.
    #[arg(long, env = "SHOEBOX_INCLUDE_SHARED")]
    include_shared: bool,
    #[command(flatten)]
    browser: BrowserArgs,
}

/// The browser, and how it reaches the world.
#[derive(Args, Debug)]
pub struct BrowserArgs {
    /// The browser to use: a program, or `chrome`, which fetches Google Chrome from Google into the directory beside the
    /// profile and looks for a newer one once a day (amd64 only). Found by itself if left out.
    #[arg(
        long,
        env = "SHOEBOX_BROWSER",
        value_parser = OsStringValueParser::new().try_map(|text| which(text, std::env::consts::ARCH)),
        value_name = "PATH|chrome"
    )]
    browser: Option<Which>,
    /// Where Google Chrome is fetched from, for those who have a mirror of Google's repository.
    #[arg(long, env = "SHOEBOX_CHROME_FROM", default_value = chrome::GOOGLE, value_name = "URL")]
    chrome_from: Repository,
    /// How the browser shows itself.
    #[arg(long, env = "SHOEBOX_DISPLAY", default_value = "auto", value_name = "DISPLAY")]
    display: DisplayArg,
    /// Memory beyond which the browser is replaced by a fresh one.
    #[arg(long, env = "SHOEBOX_BROWSER_MEMORY", default_value = "4GB", value_name = "SIZE")]
    browser_memory: bytesize::ByteSize,
    /// A further argument for the browser; repeatable, or separated by `;`.
    #[arg(
        long,
        env = "SHOEBOX_BROWSER_ARG",
        value_delimiter = ';',
        allow_hyphen_values = true,
        value_name = "ARG"
    )]
    browser_arg: Vec<String>,
    /// Hosts that match PATTERN (`*` allowed) are at this address; repeatable, or separated by `;`.
    #[arg(long, env = "SHOEBOX_RESOLVE", value_delimiter = ';', value_name = "PATTERN=ADDR:PORT")]
    resolve: Vec<ResolveRule>,
    /// A PEM file with further certificates to trust.
    #[arg(long, env = "SHOEBOX_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl BrowserArgs {
    /// The settings that these say.
    pub fn settings(self) -> BrowserSettings {
        let (program, chrome) = match self.browser {
            Some(Which::Program(program)) => (Some(program), None),
            Some(Which::Chrome) => (None, Some(self.chrome_from)),
            None => (None, None),
        };
        BrowserSettings {
            program,
            chrome,
            args: self.browser_arg,
            resolve: self.resolve,
            ca: self.ca,
            display: match self.display {
                DisplayArg::Auto => Display::Auto,
                DisplayArg::Virtual => Display::Virtual,
                DisplayArg::Headless => Display::Headless,
            },
            most_memory: Some(self.browser_memory.as_u64()),
        }
    }
}

/// `--browser`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// This one.
    Program(PathBuf),
    /// Google Chrome, fetched.
    Chrome,
}

fn which(text: OsString, machine: &str) -> Result<Which, String> {
    if text != "chrome" {
        return Ok(Which::Program(text.into()));
    }
    if machine != "x86_64" {
        return Err(format!(
            "Google has no Chrome for this machine ({machine}), only for amd64: leave it out to use Chromium, which the \
             container brings"
        ));
    }
    Ok(Which::Chrome)
}

/// `--method`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum MethodArg {
    /// Signed addresses directly where no cookies are needed, else through the browser.
    Rpc,
    /// Everything through the browser's own downloader.
    Browser,
    /// As a person would: the grid, the photo viewer and the keyboard, without any call of our own. Slow, and
    /// without albums; also what single steps fall back to when Google changes a call.
    Viewer,
}

impl MethodArg {
    /// The method that it names.
    pub fn method(self) -> Method {
        match self {
            Self::Rpc => Method::Rpc,
            Self::Browser => Method::Browser,
            Self::Viewer => Method::Viewer,
        }
    }
}

/// `--display`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DisplayArg {
    /// With a window on a virtual display where one can be started, else headless.
    Auto,
    /// With a window on a virtual display.
    Virtual,
    /// Headless.
    Headless,
}

pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if (0.01..=1000.0).contains(&rate) { Ok(rate) } else { Err("must be from 0.01 to 1000".into()) }
}

/// How an account may be called: a name is a folder of the view and a part of the profile's path.
pub(crate) fn account_name(name: &str) -> Result<String, String> {
    let is_fine = |letter: char| letter.is_alphanumeric() || " -_.".contains(letter);
    let is_whole = name.chars().all(is_fine) && name.trim() == name && !name.starts_with('.');
    if !is_whole || name.chars().count() > LONGEST_NAME || !name.contains(|c: char| !c.is_ascii_digit()) {
        return Err(format!(
            "a name has letters, digits, blanks, `-`, `_` and `.`, at most {LONGEST_NAME} of them and not only digits"
        ));
    }
    if fold(name) == LOCAL_ACCOUNT {
        return Err("this is the name of what was adopted and is in no library".into());
    }
    Ok(name.to_owned())
}

impl Remote {
    /// The browser profile.
    pub fn profile(&self) -> &Path {
        &self.profile
    }

    /// The settings that these say.
    pub fn settings(self, listing: ListingMode) -> SyncSettings {
        SyncSettings {
            profile: self.profile,
            browser: self.browser.settings(),
            method: self.method.method(),
            stall: self.stall,
            options: SyncOptions {
                limits: Limits {
                    workers: self.workers.into(),
                    calls_per_second: self.calls_per_second,
                    bandwidth: self.bandwidth.map(|size| size.as_u64().max(1)),
                    quiet: self.quiet_hours,
                    longest_wait: self.longest_wait,
                },
                attempts: self.attempts.into(),
                listing,
                whole_every: self.whole_every,
                albums: Wanted { all: self.include_shared, named: self.albums },
                name: self.account_name,
                ..SyncOptions::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn chrome_is_a_word_and_everything_else_a_program() {
        assert_eq!(which("chrome".into(), "x86_64"), Ok(Which::Chrome));
        for path in ["./chrome", "/opt/google/chrome/chrome", "chromium"] {
            assert_eq!(which(path.into(), "aarch64"), Ok(Which::Program(path.into())));
        }
        let why = which("chrome".into(), "aarch64").unwrap_err();
        assert!(why.contains("aarch64") && why.contains("Chromium"), "{why}");
    }
}
