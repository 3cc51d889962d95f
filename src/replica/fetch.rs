//! Reading a replica, from threads that may wait.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use futures_util::TryStreamExt as _;
use object_store::path::Path as ObjectPath;
use object_store::{GetOptions, GetRange, ObjectStore as _, ObjectStoreExt as _};
use tokio::runtime::Handle;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::{Replica, ReplicaError, patiently, seal};
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
        let listing = async {
            // Somebody who waits looks again by himself.
            if self.replica.target.is_hasty() {
                return self.replica.list(group).await;
            }
            patiently(|| self.replica.list(group)).await
        };
        self.runtime.block_on(listing)
    }

    /// The archive's `archive.json`.
    ///
    /// # Errors
    /// When the far end cannot tell, or has none.
    pub(super) fn archive_json(&self) -> Result<Vec<u8>, ReplicaError> {
        let found = self.runtime.block_on(patiently(|| self.replica.archive_json()))?;
        found.map(|(_, bytes)| bytes).ok_or_else(|| self.replica.other("archive.json is missing"))
    }
}

impl Fetcher {
    /// A piece of a file; shorter only where the file ends.
    ///
    /// # Errors
    /// When the far end does not give it.
    pub(super) fn range(&self, file: &Immutable, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut pieces = Pieces {
            fetcher: self,
            object: self.replica.object(file),
            at: 0,
            piece: Vec::new(),
            from: 0,
            next: HEAD,
            size: 0,
        };
        let wanted = range.end - range.start;
        if !self.replica.is_sealed() {
            return pieces.fetch(range);
        }
        let mut opened = seal::open_at(pieces, &self.replica.identities, range.start)?;
        let mut bytes = Vec::new();
        opened.by_ref().take(wanted).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Bytes of an encrypted file that are fetched first: its header is in them.
const HEAD: u64 = 4 * 1024;
/// Bytes fetched at once afterwards: a block of the cache, and what encryption adds to it.
const PIECE: u64 = (4 << 20) + 128 * 1024;

/// An object that is read at any position, piece by piece.
struct Pieces<'a> {
    fetcher: &'a Fetcher,
    object: ObjectPath,
    at: u64,
    piece: Vec<u8>,
    /// Where the piece begins.
    from: u64,
    /// Bytes of the next piece.
    next: u64,
    /// Bytes of the whole object, once a piece of it was fetched.
    size: u64,
}

impl Pieces<'_> {
    fn fetch(&mut self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let Fetcher { replica, runtime } = self.fetcher;
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let got = runtime.block_on(async {
            let answer = replica.objects.get_opts(&self.object, options).await?;
            self.size = answer.meta.size;
            answer.bytes().await
        });
        got.map(|bytes| bytes.to_vec()).map_err(|error| match error {
            object_store::Error::NotFound { .. } => io::ErrorKind::NotFound.into(),
            other => io::Error::other(super::target::in_words(&other)),
        })
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let is_in =
            |pieces: &Self| pieces.at >= pieces.from && pieces.at < pieces.from + pieces.piece.len() as u64;
        if self.size > 0 && self.at >= self.size {
            return Ok(0);
        }
        if !is_in(self) {
            self.piece = self.fetch(self.at..self.at + self.next)?;
            (self.from, self.next) = (self.at, PIECE);
        }
        let skipped = usize::try_from(self.at - self.from).unwrap_or(usize::MAX).min(self.piece.len());
        let n = to.len().min(self.piece.len() - skipped);
        to[..n].copy_from_slice(&self.piece[skipped..skipped + n]);
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Pieces<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            // Known from the first piece, which has the header.
            SeekFrom::End(by) => self.size.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
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
