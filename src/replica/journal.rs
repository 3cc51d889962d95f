//! What is known here of the replicas: when each was complete, and what the last drill came to. Worthless to lose, but
//! for one thing: that there was a replica, so that an empty volume is not taken for a new one.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Target;
use crate::small_file;
use crate::store::{Store, StoreError};

/// One replica.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// When it was begun.
    pub begun: Option<Timestamp>,
    /// When everything that there was had got there.
    pub complete: Option<Timestamp>,
    /// Files there, at that time.
    pub files: u64,
    /// Since when it does not get on.
    pub failing_since: Option<Timestamp>,
    /// Why.
    pub failing: Option<String>,
    /// When a drill was last held.
    pub drilled: Option<Timestamp>,
    /// What was wrong then, if anything was.
    pub drill_failed: Option<String>,
}

impl Entry {
    /// Whether somebody should look after it.
    pub fn is_in_trouble(&self) -> bool {
        self.failing.is_some() || self.drill_failed.is_some()
    }

    /// A few sentences about it.
    pub fn in_words(&self) -> String {
        let at = |time: Timestamp| time.strftime("%Y-%m-%d %H:%M UTC").to_string();
        let mut words = match self.complete {
            Some(when) => format!("{} files, complete on {}", self.files, at(when)),
            None => "not complete yet".to_owned(),
        };
        if let (Some(since), Some(why)) = (self.failing_since, &self.failing) {
            words += &format!("; behind since {}: {why}", at(since));
        }
        match (self.drilled, &self.drill_failed) {
            (Some(when), None) => words += &format!("; a drill on {} restored what it drew", at(when)),
            (Some(when), Some(why)) => words += &format!("; the drill of {} FAILED: {why}", at(when)),
            (None, _) => {}
        }
        words
    }
}

/// What is known of each replica, by its place.
pub type Journal = BTreeMap<String, Entry>;

/// Reads what is known.
///
/// # Errors
/// When there is a file that cannot be read, or is none of ours.
pub fn load(store: &Store) -> Result<Journal, StoreError> {
    let file = path(store);
    let refused = |source| StoreError::Io { action: "read", path: file.clone(), source };
    match std::fs::read(&file) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| refused(io::Error::other(e))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Journal::new()),
        Err(error) => Err(refused(error)),
    }
}

/// The same for those who only show it: what cannot be read is not shown.
pub fn known(store: &Store) -> Journal {
    load(store).inspect_err(|error| tracing::debug!("{error}")).unwrap_or_default()
}

/// What is known of one replica.
pub fn of(store: &Store, target: &Target) -> Entry {
    known(store).remove(&target.key()).unwrap_or_default()
}

/// Notes something of a replica.
///
/// # Errors
/// When the disk refuses.
pub fn note(store: &Store, target: &Target, change: impl FnOnce(&mut Entry)) -> Result<(), StoreError> {
    let mut journal = load(store)?;
    change(journal.entry(target.key()).or_default());
    let file = path(store);
    small_file::replace(&file, &journal).map_err(|source| StoreError::Io {
        action: "write",
        path: file,
        source,
    })
}

fn path(store: &Store) -> PathBuf {
    store.root().join("replicas.json")
}
