//! Reading a replica, from threads that may wait.

use std::io::{self, Read};

use futures_util::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use tokio::runtime::Handle;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::{Replica, ReplicaError, seal};
use crate::store::{Group, Immutable, SecondCopy};

/// A replica for those who read files in the ordinary way. Not from within the async runtime.
#[derive(Clone)]
pub struct Fetcher {
    replica: Replica,
    runtime: Handle,
}

impl Fetcher {
    /// `runtime` does the waiting.
    pub fn new(replica: Replica, runtime: Handle) -> Self {
        Self { replica, runtime }
    }

    /// The replica.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The files in a directory of the replica with their sizes there, sorted by name.
    ///
    /// # Errors
    /// When the far end cannot tell.
    pub fn list(&self, group: Group) -> Result<Vec<(Immutable, u64)>, ReplicaError> {
        self.runtime.block_on(self.replica.list(group))
    }

    /// The archive's `archive.json`.
    ///
    /// # Errors
    /// When the far end cannot tell, or has none.
    pub(super) fn archive_json(&self) -> Result<Vec<u8>, ReplicaError> {
        let found = self.runtime.block_on(self.replica.archive_json())?;
        found.map(|(_, bytes)| bytes).ok_or_else(|| self.replica.other("archive.json is missing"))
    }
}

impl SecondCopy for Fetcher {
    fn open(&self, file: &Immutable) -> io::Result<Option<Box<dyn Read + Send>>> {
        let answer = match self.runtime.block_on(self.replica.objects.get(&self.replica.object(file))) {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            other => other.map_err(|error| io::Error::other(super::target::in_words(&error)))?,
        };
        let chunks = answer.into_stream().map_err(|error| io::Error::other(super::target::in_words(&error)));
        let reader = SyncIoBridge::new_with_handle(StreamReader::new(chunks), self.runtime.clone());
        if self.replica.is_sealed() {
            return seal::open(reader, &self.replica.identities).map(Some);
        }
        Ok(Some(Box::new(reader)))
    }

    fn files_in(&self, group: Group) -> io::Result<Vec<Immutable>> {
        let listed = self.list(group).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(listed.into_iter().map(|(file, _)| file).collect())
    }
}
