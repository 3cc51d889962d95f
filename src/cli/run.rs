//! The options of `run`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::page::PageArgs;
use super::remote::Remote;
use super::replica::KeepArgs;
use super::tell::TellArgs;
use super::upkeep::UpkeepArgs;
use super::{Data, ViewArgs, accounts, duration};
use crate::app::{AccountSettings, RunSettings};
use crate::schedule::Schedule;
use crate::sync::ListingMode;

/// Everything together.
#[derive(Args, Debug)]
pub struct RunArgs {
    #[command(flatten)]
    data: Data,
    /// Make the archive first if the data directory is empty.
    #[arg(long, env = "SHOEBOX_INIT")]
    init: bool,
    /// Where to show the view; left out, there is none.
    #[arg(long, env = "SHOEBOX_VIEW", value_name = "MOUNTPOINT")]
    view: Option<PathBuf>,
    #[command(flatten)]
    view_args: ViewArgs,
    /// Where the page listens.
    #[arg(long, env = "SHOEBOX_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDR:PORT")]
    listen: SocketAddr,
    /// When runs begin: `every 6h`, from start to start, or five fields as cron has them, by the clock of the zone
    /// in TZ: `30 3 * * *` is 3:30 every day. What was missed while this was off is made up for, once.
    #[arg(long, env = "SHOEBOX_SCHEDULE", default_value = "every 6h", value_name = "SCHEDULE")]
    schedule: Schedule,
    /// Put runs off by a random time up to this long, so that not everybody asks Google at the same minute.
    #[arg(long, env = "SHOEBOX_JITTER", value_parser = duration, value_name = "TIME")]
    jitter: Option<Duration>,
    /// A file in TOML with the accounts of several people: a table `[NAME]` for each, with what is its own (profile,
    /// schedule, albums, tell, healthcheck and others); all else is as it is said here. Left out, there is one, which
    /// has signed in on --profile.
    #[arg(long, env = "SHOEBOX_ACCOUNTS", value_name = "FILE")]
    accounts: Option<PathBuf>,
    // From here on parts of the help with headings of their own, which would take in what follows them.
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    tell: TellArgs,
    #[command(flatten)]
    upkeep: UpkeepArgs,
    #[command(flatten)]
    keep: KeepArgs,
}

impl RunArgs {
    /// The browser profile.
    pub fn profile(&self) -> &Path {
        self.remote.profile()
    }

    /// As settings.
    ///
    /// # Errors
    /// `--OPTION: ` and what is wrong with it.
    pub fn settings(self) -> Result<RunSettings, String> {
        let sync = self.remote.settings(ListingMode::Auto);
        let (replicate, copies) = self.keep.settings(sync.browser.ca.clone());
        let (home, browser, tell) = (sync.profile.clone(), sync.browser.clone(), self.tell.settings()?);
        let only = AccountSettings {
            name: sync.options.name.clone(),
            sync,
            schedule: self.schedule,
            jitter: self.jitter.unwrap_or_default(),
            tell: tell.clone(),
        };
        let mut settings = RunSettings {
            data: self.data.dir,
            home,
            browser,
            accounts: vec![only],
            replicate,
            copies,
            view: self.view,
            view_settings: self.view_args.settings(),
            listen: self.listen,
            password: self.page.password.map(|password| password.0),
            tls: self.page.tls.tls,
            novnc: self.page.novnc,
            tell,
            upkeep: self.upkeep.settings(),
            init: self.init,
        };
        if let Some(file) = &self.accounts {
            let found = accounts::read(file, &settings);
            settings.accounts = found.map_err(|why| format!("--accounts: {why}"))?;
        }
        Ok(settings)
    }
}
