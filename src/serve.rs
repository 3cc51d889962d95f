//! What a running appliance tells the outside.

mod access;
mod assets;
pub mod door;
mod frame;
mod metrics;
mod sign_in;
pub mod web;

pub use self::sign_in::in_words as login_in_words;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use self::door::Door;
use crate::archive::Archive;
use crate::index::{RunNote, Totals};
use crate::login::desk::Desk;
use crate::sync::progress::{Progress, Snapshot};
use crate::sync::report::SyncReport;
use crate::upkeep;

/// The appliance as the page sees it.
pub struct State {
    archive: Arc<Archive>,
    view: Option<PathBuf>,
    /// Who is let in.
    door: Arc<Door>,
    /// Where people sign in to Google.
    desk: Arc<Desk>,
    /// Where noVNC is.
    novnc: PathBuf,
    /// Name of the session's cookie: cookies do not know of ports, and a machine may have two archives.
    cookie: String,
    stop: CancellationToken,
    run: Mutex<Run>,
}

#[derive(Default)]
struct Run {
    progress: Option<Arc<Progress>>,
    last: Option<Result<SyncReport, String>>,
    due: Option<Timestamp>,
}

impl State {
    /// Nothing has run yet.
    pub fn new(
        archive: Arc<Archive>,
        view: Option<PathBuf>,
        door: Arc<Door>,
        desk: Arc<Desk>,
        novnc: PathBuf,
        stop: CancellationToken,
    ) -> Self {
        let id: String =
            archive.store.id().to_string().chars().filter(char::is_ascii_alphanumeric).take(8).collect();
        let cookie = format!("shoebox-{id}");
        Self { archive, view, door, desk, novnc, cookie, stop, run: Mutex::default() }
    }

    /// A pass begins.
    pub fn begins(&self, progress: Arc<Progress>) {
        self.run().progress = Some(progress);
    }

    /// A pass has ended, or could not start.
    pub fn ended(&self, result: Result<SyncReport, String>) {
        let mut run = self.run();
        run.progress = None;
        run.last = Some(result);
    }

    /// When the next pass begins.
    pub fn due(&self, at: Timestamp) {
        self.run().due = Some(at);
    }

    /// When the next pass begins, once that is known.
    pub fn next(&self) -> Option<Timestamp> {
        self.run().due
    }

    /// Progress of the present pass.
    pub fn running(&self) -> Option<Snapshot> {
        self.run().progress.as_ref().map(|progress| progress.snapshot())
    }

    /// The last pass of this process.
    pub fn last(&self) -> Option<Result<SyncReport, String>> {
        self.run().last.clone()
    }

    /// How the latest run ended that the index knows of.
    pub fn earlier(&self) -> Option<RunNote> {
        self.archive.index.reader().ok()?.last_runs(1).ok()?.into_iter().next()
    }

    /// What is archived.
    pub fn totals(&self) -> Result<Totals, String> {
        let reader = self.archive.index.reader().map_err(|e| e.to_string())?;
        reader.totals().map_err(|e| e.to_string())
    }

    /// What is known to be damaged and not mended yet, found by upkeep: number of files.
    pub fn damaged(&self) -> usize {
        upkeep::standing(&self.archive.store).len()
    }

    /// Whether the view, if there should be one, answers. A lapsed login is no illness: restarting the
    /// container would not cure it.
    pub fn ailment(&self) -> Option<String> {
        let view = self.view.as_ref()?;
        match std::fs::read_dir(view) {
            Ok(_) => None,
            Err(e) => Some(format!("the view at {} does not answer: {e}", view.display())),
        }
    }

    fn run(&self) -> MutexGuard<'_, Run> {
        self.run.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
