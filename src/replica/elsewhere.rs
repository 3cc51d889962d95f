//! An archive that is somewhere else, as a machine sees it that has nothing but the replica: records and index here,
//! originals there, and of them what was read lately in a cache of limited size.
//!
//! Small originals are fetched whole and hashed before anybody reads them. Of large ones the blocks are fetched that are
//! asked for, and where somebody reads one behind the other, those that follow.

mod cache;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::restore::{Getting, begin, shared};
use super::{Fetcher, ReplicaError};
use crate::archive::Archive;
use crate::index::IndexError;
use crate::model::{Clock, ReadAt, Sha256, SystemClock};
use crate::store::{Disk, Group, Immutable, RealDisk, SecondCopy as _, StoreError};
use cache::Cache;

/// Originals up to so many bytes are fetched whole: nearly all photos, and short films.
const WHOLE: u64 = 32 << 20;
/// Bytes of a block of larger ones.
const BLOCK: u64 = 4 << 20;
/// Blocks that are fetched before anybody asks for them, and how many of all files at the same time.
const AHEAD: u64 = 3;
const AHEAD_TOGETHER: usize = 8;
/// The smallest cache that is of any use.
const LEAST_CACHE: u64 = 16 * BLOCK;

/// Records and index of an archive, without its originals.
pub struct Elsewhere {
    /// What the records say. It has no blobs.
    pub archive: Archive,
    fetcher: Fetcher,
    workers: usize,
    /// Records that were found at the far end and are not in the index yet.
    unseen: Mutex<BTreeSet<Immutable>>,
}

impl Elsewhere {
    /// Opens what is known of the archive below `dir`, and fetches all records that are new.
    ///
    /// # Errors
    /// When the far end cannot be listed or the directory cannot be written.
    pub fn open(
        fetcher: Fetcher,
        dir: &Path,
        workers: usize,
        stop: &CancellationToken,
    ) -> Result<Self, ReplicaError> {
        let root = dir.join("archive");
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        std::fs::create_dir_all(dir).map_err(|source| StoreError::Io {
            action: "create",
            path: dir.to_owned(),
            source,
        })?;
        {
            let store = begin(&fetcher, &root, &disk, &clock)?;
            let getting = Getting::of(&fetcher, &store, stop);
            getting.groups(&Group::records().collect::<Vec<_>>(), workers)?;
        }
        Ok(Self {
            archive: super::restore::open(&root, &disk, &clock)?,
            fetcher,
            workers,
            unseen: Mutex::default(),
        })
    }

    /// Fetches records that are new; their number. Those that came are seen, also where others could not be had.
    ///
    /// # Errors
    /// As [`Elsewhere::open`].
    pub fn follow(&self, stop: &CancellationToken) -> Result<u64, ReplicaError> {
        let store = &self.archive.store;
        let new = Mutex::new(Vec::new());
        shared(&Group::records().collect::<Vec<_>>(), self.workers, stop, |group| {
            let here = store.files_in(*group)?;
            let there = self.fetcher.list(*group)?.into_iter().map(|(file, _)| file);
            let lacking = there.filter(|file| here.binary_search(file).is_err());
            new.lock().unwrap_or_else(PoisonError::into_inner).extend(lacking);
            Ok(())
        })?;
        let new = new.into_inner().unwrap_or_else(PoisonError::into_inner);
        let getting = Getting::of(&self.fetcher, store, stop);
        let got = shared(&new, self.workers, stop, |file| getting.file(file));
        let mut unseen = self.unseen.lock().unwrap_or_else(PoisonError::into_inner);
        unseen.extend(new);
        let applied = self.apply(&mut unseen)?;
        got.map(|()| applied)
    }

    /// Puts records that are here into the index, all at once and by number, as they were put into the archive's own:
    /// names in the view are dealt by number.
    fn apply(&self, unseen: &mut BTreeSet<Immutable>) -> Result<u64, ReplicaError> {
        let (store, writer) = (&self.archive.store, self.archive.index.writer());
        let (mut records, mut albums) = (Vec::new(), Vec::new());
        // What could not be had is tried again the next time.
        unseen.retain(|file| match file {
            Immutable::Record(name) => store.read_record(name).map(|record| records.push(record)).is_err(),
            Immutable::Album(name) => store.read_album(name).map(|album| albums.push(album)).is_err(),
            Immutable::Blob(_) => false,
        });
        records.sort_by_key(|stored| (stored.record().ordinal, stored.record().seq));
        albums.sort_by(|a, b| (&a.record().key, a.record().seq).cmp(&(&b.record().key, b.record().seq)));
        let mut applied = 0;
        let answers = writer.apply_all(records);
        for answer in answers.into_iter().chain(albums.into_iter().map(|album| writer.apply_album(album))) {
            match answer {
                Ok(()) => applied += 1,
                Err(error @ IndexError::Conflict { .. }) => tracing::warn!("{error}"),
                Err(error) => return Err(super::restore::index(error)),
            }
        }
        Ok(applied)
    }
}

/// The originals at the far end.
pub struct Originals {
    fetcher: Fetcher,
    cache: Cache,
    ahead: Semaphore,
    runtime: tokio::runtime::Handle,
}

/// An original that can be read.
pub enum Original {
    /// All of it, in the cache.
    Whole(File),
    /// Fetched as it is read.
    InBlocks(Arc<dyn ReadAt>),
}

impl Originals {
    /// Reads through a cache below `dir` of at most so many bytes.
    ///
    /// # Errors
    /// When the directory cannot be used, or `limit` is too small.
    pub fn new(
        fetcher: Fetcher,
        dir: &Path,
        limit: u64,
        runtime: tokio::runtime::Handle,
    ) -> Result<Arc<Self>, ReplicaError> {
        if limit < LEAST_CACHE {
            return Err(ReplicaError::Usage(format!("a cache must have {} MiB at least", LEAST_CACHE >> 20)));
        }
        let at: PathBuf = dir.join("originals");
        let cache = Cache::open(&at, limit).map_err(|source| StoreError::Io {
            action: "use the cache",
            path: at,
            source,
        })?;
        Ok(Arc::new(Self { fetcher, cache, ahead: Semaphore::new(AHEAD_TOGETHER), runtime }))
    }

    /// Opens an original of so many bytes.
    ///
    /// # Errors
    /// When it cannot be had, or is not what its name says.
    pub fn open(self: &Arc<Self>, sha256: &Sha256, size: u64) -> io::Result<Original> {
        if size <= WHOLE {
            return self.whole(sha256).map(Original::Whole);
        }
        let last = AtomicU64::new(u64::MAX);
        Ok(Original::InBlocks(Arc::new(InBlocks { of: Arc::clone(self), sha256: *sha256, size, last })))
    }

    fn whole(&self, sha256: &Sha256) -> io::Result<File> {
        let file = Immutable::Blob(*sha256);
        self.cache.get(&sha256.hex(), Some(sha256), &mut |to| {
            let Some(mut from) = self.fetcher.open(&file)? else { return Err(gone(sha256)) };
            io::copy(&mut from, to)
        })
    }

    fn block(&self, sha256: &Sha256, size: u64, n: u64) -> io::Result<File> {
        let file = Immutable::Blob(*sha256);
        let range = n * BLOCK..size.min((n + 1) * BLOCK);
        self.cache.get(&format!("{sha256}.{n}"), None, &mut |to| {
            let bytes = self.fetcher.range(&file, range.clone())?;
            if bytes.len() as u64 != range.end - range.start {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("{sha256} is cut off there"),
                ));
            }
            io::Write::write_all(to, &bytes)?;
            Ok(bytes.len() as u64)
        })
    }

    /// Fetches the blocks that somebody who reads on will want, if there is a hand free.
    fn ahead(self: &Arc<Self>, sha256: Sha256, size: u64, after: u64) {
        for n in after + 1..=after + AHEAD {
            if n * BLOCK >= size || self.cache.has(&format!("{sha256}.{n}")) {
                continue;
            }
            let of = Arc::clone(self);
            if of.ahead.available_permits() == 0 {
                return;
            }
            self.runtime.spawn_blocking(move || {
                // Whoever needs it will meet the same trouble, and tell it.
                if let Ok(_hand) = of.ahead.try_acquire() {
                    let _ = of.block(&sha256, size, n);
                }
            });
        }
    }
}

fn gone(sha256: &Sha256) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{sha256} is not at the far end"))
}

/// A large original.
struct InBlocks {
    of: Arc<Originals>,
    sha256: Sha256,
    size: u64,
    /// The block that was read last.
    last: AtomicU64,
}

impl ReadAt for InBlocks {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset >= self.size || buf.is_empty() {
            return Ok(0);
        }
        let n = offset / BLOCK;
        let block = self.of.block(&self.sha256, self.size, n)?;
        let last = self.last.swap(n, Ordering::Relaxed);
        if n == last.wrapping_add(1) || n == last {
            self.of.ahead(self.sha256, self.size, n);
        }
        std::os::unix::fs::FileExt::read_at(&block, buf, offset % BLOCK)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }
}

/// Once more, if it failed: somebody waits. What is not there does not come by asking again.
fn once_more(mut once: impl FnMut() -> io::Result<u64>) -> io::Result<u64> {
    match once() {
        Err(error) if error.kind() != io::ErrorKind::NotFound => once(),
        other => other,
    }
}
