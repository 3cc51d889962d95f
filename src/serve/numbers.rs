//! The numbers that programs are told, gathered.

use jiff::Timestamp;

use super::State;
use crate::index::{RunNote, Totals};
use crate::store::{Disk as _, RealDisk};
use crate::sync::progress::Snapshot;

/// How things stand at one moment.
pub struct Numbers {
    /// What is archived.
    pub totals: Totals,
    /// Files that are damaged or gone.
    pub damaged: usize,
    /// The present pass.
    pub running: Option<Snapshot>,
    /// The last run.
    pub last: Option<RunNote>,
    /// Whether the last run could not even start.
    pub not_started: bool,
    /// When a run last ended of which nothing was left over.
    pub complete: Option<Timestamp>,
    /// When the next run begins.
    pub next: Option<Timestamp>,
    /// How the login stands, in a word.
    pub login: &'static str,
    /// Bytes that are free on the archive's volume.
    pub free: Option<u64>,
}

impl Numbers {
    /// Asks index, disk and upkeep: not for the threads that serve.
    ///
    /// # Errors
    /// When the index does not answer, in words.
    pub fn gather(state: &State) -> Result<Self, String> {
        Ok(Self {
            totals: state.totals()?,
            damaged: state.damaged(),
            running: state.running().map(|(now, _)| now),
            last: last(state),
            not_started: matches!(state.last(), Some(Err(_))),
            complete: state.complete()?,
            next: state.next(),
            login: state.desk.login().state.word(),
            free: RealDisk.space(state.archive.store.root()).ok().map(|space| space.free),
        })
    }
}

/// The last run; one that could not start is in no index.
fn last(state: &State) -> Option<RunNote> {
    match state.last() {
        Some(Ok(report)) => Some(report.note("")),
        Some(Err(_)) => state.earlier().map(|note| RunNote { outcome: "not-started".into(), ..note }),
        None => state.earlier(),
    }
}
