//! How far the upkeep of an archive is. Worthless to lose: then everything counts as never read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::SHARDS;
use super::facts::Reread;
use crate::model::{ArchiveId, Sha256};
use crate::small_file;
use crate::store::scrub::Finding;
use crate::store::{Store, StoreError};

/// A day of upkeep.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// When it began.
    pub began: Timestamp,
    /// Shards read to their end.
    pub shards: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Seconds spent on reading.
    pub seconds: u64,
    /// Whether its share is read.
    pub done: bool,
}

impl Day {
    /// Whether this time belongs to it. A clock that was set back begins a new day.
    pub(super) fn covers(&self, now: Timestamp) -> bool {
        let age = now.duration_since(self.began);
        age >= SignedDuration::ZERO && age < SignedDuration::from_hours(24)
    }
}

/// How far the upkeep is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    archive_id: ArchiveId,
    /// The present or last day.
    pub day: Option<Day>,
    /// When each shard was last read to its end.
    pub(super) read: BTreeMap<u8, Timestamp>,
    /// A shard that was begun, and the last blob that was read of it.
    pub(super) current: Option<(u8, Sha256)>,
    /// What is wrong and not mended.
    pub findings: Vec<Finding>,
    /// Files that were told of already.
    pub(super) known: BTreeSet<PathBuf>,
    /// How far facts were read anew.
    #[serde(default)]
    pub(super) reread: Reread,
}

impl State {
    /// Reads the state of an archive; anything that is not one is as good as none.
    pub(super) fn load(store: &Store) -> Self {
        let read = |bytes: Vec<u8>| serde_json::from_slice::<Self>(&bytes).ok();
        let kept =
            fs::read(path(store.root())).ok().and_then(read).filter(|state| state.archive_id == *store.id());
        kept.unwrap_or_else(|| Self {
            archive_id: store.id().clone(),
            day: None,
            read: BTreeMap::new(),
            current: None,
            findings: Vec::new(),
            known: BTreeSet::new(),
            reread: Reread::default(),
        })
    }

    pub(super) fn save(&mut self, store: &Store) -> Result<(), StoreError> {
        let file = path(store.root());
        let failed = |source| StoreError::Io { action: "write", path: file.clone(), source };
        let Self { known, findings, .. } = self;
        known.retain(|path| findings.iter().any(|finding| finding.path == *path));
        small_file::replace(&file, self).map_err(failed)
    }

    /// The shard that has waited longest, and how long; nothing for one that was never read.
    pub(super) fn longest(&self, now: Timestamp) -> (u8, Option<SignedDuration>) {
        let age = |shard: u8| self.read.get(&shard).map(|read| age(*read, now));
        // `None` sorts first, as the smallest; it stands for the longest wait.
        let waited = |shard: &u8| std::cmp::Reverse(age(*shard).unwrap_or(SignedDuration::MAX));
        let shard = (0..=u8::MAX).min_by_key(waited).unwrap_or(0);
        (shard, age(shard))
    }

    /// How long the file that waited longest has waited, once all were read.
    pub(super) fn oldest(&self, now: Timestamp) -> Option<SignedDuration> {
        (self.read.len() == SHARDS).then(|| self.longest(now).1).flatten()
    }
}

/// How long ago something was read. What was read in the future was read by a clock that was wrong.
fn age(read: Timestamp, now: Timestamp) -> SignedDuration {
    let age = now.duration_since(read);
    if age < SignedDuration::ZERO { SignedDuration::MAX } else { age }
}

fn path(root: &Path) -> PathBuf {
    root.join("upkeep.json")
}

/// What is known to be wrong with an archive, found by its upkeep.
pub fn standing(store: &Store) -> Vec<Finding> {
    State::load(store).findings
}
