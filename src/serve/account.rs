//! One person's account as the page sees it: the login, the present pass, what somebody asks for.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::Notify;

use super::State;
use super::runs::Asked;
use crate::index::RunNote;
use crate::login::desk::Desk;
use crate::sync::progress::{Progress, Snapshot};
use crate::sync::report::SyncReport;

/// An account of the archive.
pub struct Account {
    /// How it is called, where there are several.
    pub name: Option<String>,
    /// Its browser profile.
    pub profile: PathBuf,
    /// Where its owner signs in to Google.
    pub desk: Arc<Desk>,
    /// Rings when the settings are to be read again.
    pub reread: Notify,
    run: Mutex<Run>,
    asked: Mutex<Option<Asked>>,
    bell: Notify,
}

#[derive(Default)]
struct Run {
    progress: Option<(Arc<Progress>, Instant)>,
    last: Option<Result<SyncReport, String>>,
    due: Option<Timestamp>,
}

/// Which account an address or a form is about, if it says so.
#[derive(Default, Deserialize)]
pub struct Whose {
    /// Its name.
    #[serde(default)]
    pub account: Option<String>,
}

impl Account {
    /// One whose passes have not begun yet.
    pub fn new(name: Option<String>, profile: PathBuf, desk: Arc<Desk>) -> Self {
        Self {
            name,
            profile,
            desk,
            reread: Notify::new(),
            run: Mutex::default(),
            asked: Mutex::default(),
            bell: Notify::new(),
        }
    }

    /// The name that its runs are noted under.
    pub fn noted_as(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// Asks for a pass.
    pub fn ask(&self, what: Asked) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
        self.bell.notify_one();
    }

    /// Waits until a person asks for a pass.
    pub async fn asked(&self) -> Asked {
        loop {
            if let Some(asked) = self.asked.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return asked;
            }
            self.bell.notified().await;
        }
    }

    /// When the next pass begins, once that is known.
    pub fn next(&self) -> Option<Timestamp> {
        self.run().due
    }

    /// Progress of the present pass, and when it began.
    pub fn running(&self) -> Option<(Snapshot, Instant)> {
        self.run().progress.as_ref().map(|(progress, began)| (progress.snapshot(), *began))
    }

    /// The last pass of this process.
    pub fn last(&self) -> Option<Result<SyncReport, String>> {
        self.run().last.clone()
    }

    /// Whether its owner is needed.
    pub fn needs_person(&self) -> bool {
        self.desk.login().state.needs_person()
    }

    fn run(&self) -> MutexGuard<'_, Run> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The account of that name, if there is one; if none is said, the first that needs somebody, or the first of all.
    pub fn account(&self, whose: &Whose) -> Option<&Arc<Account>> {
        match &whose.account {
            Some(name) => self.accounts.iter().find(|account| account.name.as_ref() == Some(name)),
            None => self.accounts.iter().find(|account| account.needs_person()).or(self.accounts.first()),
        }
    }

    /// A pass of an account begins.
    pub fn begins(&self, account: &Account, progress: Arc<Progress>) {
        account.run().progress = Some((progress, Instant::now()));
        self.news.notify_one();
    }

    /// A pass that began then has ended, or could not start.
    pub fn ended(&self, account: &Account, began: Timestamp, result: Result<SyncReport, String>) {
        self.runs.keep(account.noted_as(), began, &result);
        let mut run = account.run();
        run.progress = None;
        run.last = Some(result);
        drop(run);
        self.news.notify_one();
    }

    /// When the next pass of an account begins.
    pub fn due(&self, account: &Account, at: Timestamp) {
        account.run().due = Some(at);
        self.news.notify_one();
    }

    /// Rings for everybody who must read the settings again.
    pub fn reread(&self) {
        self.accounts.iter().for_each(|account| account.reread.notify_one());
    }

    /// Whether any pass goes on.
    pub fn is_running(&self) -> bool {
        self.accounts.iter().any(|account| account.running().is_some())
    }

    /// How the latest run of an account ended that the index knows of.
    pub fn earlier(&self, account: &Account) -> Option<RunNote> {
        self.archive.index.reader().ok()?.last_run_of(account.noted_as()).ok()?
    }

    /// When a run of an account last ended of which nothing was left over.
    ///
    /// # Errors
    /// When the index does not answer, in words.
    pub fn complete(&self, account: &Account) -> Result<Option<Timestamp>, String> {
        self.reader()?.last_complete(account.noted_as()).map_err(|e| e.to_string())
    }
}
