//! How far an interrupted verification came. Worthless to lose: then it starts over.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::StoreError;
use super::Finding;
use crate::model::{ArchiveId, Sha256};

/// How far a shard was verified.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Position {
    /// Not at all.
    #[default]
    Start,
    /// Up to and including this blob.
    After(Sha256),
    /// To the end.
    Done,
}

impl Position {
    pub(super) fn is_done(&self) -> bool {
        *self == Self::Done
    }

    /// Whether the blob comes after this position.
    pub(super) fn is_before(&self, name: &Sha256) -> bool {
        match self {
            Self::Start => true,
            Self::After(last) => last < name,
            Self::Done => false,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    archive_id: ArchiveId,
    pub(super) started: Timestamp,
    pub(super) blobs: u64,
    pub(super) bytes: u64,
    pub(super) unreferenced: u64,
    pub(super) findings: Vec<Finding>,
    shards: BTreeMap<u8, Position>,
}

impl Checkpoint {
    pub(super) fn new(archive_id: ArchiveId, started: Timestamp) -> Self {
        let (findings, shards) = (Vec::new(), BTreeMap::new());
        Self { archive_id, started, blobs: 0, bytes: 0, unreferenced: 0, findings, shards }
    }

    /// Reads one of this archive; anything else is as good as none.
    pub(super) fn load(file: Option<&Path>, id: &ArchiveId) -> Option<Self> {
        let checkpoint: Self = serde_json::from_slice(&fs::read(file?).ok()?).ok()?;
        (checkpoint.archive_id == *id).then_some(checkpoint)
    }

    pub(super) fn position(&self, shard: u8) -> Position {
        self.shards.get(&shard).cloned().unwrap_or_default()
    }

    /// Moves a shard's position behind `last`, or to its end.
    pub(super) fn advance(&mut self, shard: u8, last: Option<&Sha256>) {
        self.shards.insert(shard, last.map_or(Position::Done, |last| Position::After(*last)));
    }

    pub(super) fn save(&self, file: &Path) -> Result<(), StoreError> {
        let new = file.with_extension("progress.new");
        let text = serde_json::to_vec(self).map_err(io::Error::other);
        text.and_then(|text| fs::write(&new, text))
            .and_then(|()| fs::rename(&new, file))
            .map_err(StoreError::io("write", file))
    }

    pub(super) fn remove(file: &Path) -> Result<(), StoreError> {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", file)(error))
            }
            _ => Ok(()),
        }
    }
}
