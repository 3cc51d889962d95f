//! An archive out of its replica: all of it, or a drill that shows with a sample that it could be done.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use sha2::Digest as _;
use tokio_util::sync::CancellationToken;

use super::check::with_patience;
use super::push::Trouble;
use super::{Fetcher, ReplicaError};
use crate::archive::{Archive, index_path};
use crate::index::IndexReader;
use crate::model::{Clock, Sha256, SystemClock};
use crate::store::{Disk, Group, Immutable, RealDisk, SecondCopy as _, Store, StoreError, TakenIn};

mod unflushed;

use unflushed::Unflushed;

/// What was restored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RestoreReport {
    /// Originals, edits and videos fetched.
    pub blobs: u64,
    /// Records fetched.
    pub records: u64,
    /// Files that were there already, from an earlier attempt.
    pub there: u64,
    /// Files that could not be had.
    pub failed: Vec<Trouble>,
    /// Items in the index that was made of the records.
    pub items: u64,
    /// Whether it was ended early; the same command goes on.
    pub stopped: bool,
}

/// Restores a whole archive into a directory that is empty or holds what an earlier attempt restored.
///
/// # Errors
/// When the far end cannot be listed or the directory cannot be written.
pub fn restore(
    fetcher: &Fetcher,
    root: &Path,
    workers: usize,
    stop: &CancellationToken,
) -> Result<RestoreReport, ReplicaError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut report;
    {
        let store = begin(fetcher, root, &disk, &clock)?;
        let getting = Getting::of(fetcher, &store, stop);
        // A record says that its blobs are there.
        let blobs: Vec<_> = Group::blobs().collect();
        getting.groups(&blobs, workers)?;
        let blobs = getting.got.swap(0, Ordering::Relaxed);
        if !getting.failed().is_empty() {
            tracing::warn!("some originals could not be had; `shoebox verify` will name them");
        }
        let records: Vec<_> = Group::records().collect();
        getting.groups(&records, workers)?;
        report = RestoreReport {
            blobs,
            records: getting.got.load(Ordering::Relaxed),
            there: getting.there.load(Ordering::Relaxed),
            failed: getting.failed(),
            items: 0,
            stopped: stop.is_cancelled(),
        };
    }
    if !report.stopped {
        let archive = open(root, &disk, &clock)?;
        let reader = archive.index.reader().map_err(index)?;
        report.items = reader.item_count().map_err(index)?;
        // What the far end did not list, because it is gone there or came while we listed.
        let mut lacking = Vec::new();
        reader.blobs(|sha256, _| lacking.push(Immutable::Blob(sha256))).map_err(index)?;
        lacking.retain(|file| !archive.store.file_path(file).exists());
        let known: BTreeSet<_> = report.failed.iter().map(|trouble| trouble.file.clone()).collect();
        lacking.retain(|file| !known.contains(&file.path()));
        let getting = Getting::of(fetcher, &archive.store, stop);
        shared(&lacking, workers, stop, |file| getting.file(file))?;
        report.blobs += getting.got.load(Ordering::Relaxed);
        report.failed.extend(getting.failed());
        report.stopped = stop.is_cancelled();
        drop(getting);
        archive.index.close().map_err(index)?;
    }
    Ok(report)
}

/// An archive with nothing in it yet, under the replica's id.
pub(super) fn begin(
    fetcher: &Fetcher,
    root: &Path,
    disk: &Arc<dyn Disk>,
    clock: &Arc<dyn Clock>,
) -> Result<Store, ReplicaError> {
    let json = fetcher.archive_json()?;
    match Store::init_copy(root, Arc::clone(disk), &json) {
        Ok(_) | Err(StoreError::AlreadyAnArchive { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let store = Store::open(root, Arc::clone(disk), Arc::clone(clock))?;
    let id = crate::store::archive_id(root, &json)?;
    if *store.id() != id {
        let why = format!("{} is archive {}, the replica is of {id}", root.display(), store.id());
        return Err(ReplicaError::Usage(why));
    }
    Ok(store)
}

/// Opens an archive whose records have come from elsewhere; an index is made where there is none.
pub(super) fn open(
    root: &Path,
    disk: &Arc<dyn Disk>,
    clock: &Arc<dyn Clock>,
) -> Result<Archive, ReplicaError> {
    if !index_path(root).exists() {
        Archive::rebuild_index(root, Arc::clone(disk), Arc::clone(clock))?;
    }
    Ok(Archive::open(root, Arc::clone(disk), Arc::clone(clock))?)
}

/// What a drill found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DrillReport {
    /// Records restored: all that are there.
    pub records: u64,
    /// Items in the index that was made of them.
    pub items: u64,
    /// Whether that index says the same as the archive's own; nothing where the archive has more by now.
    pub index_agrees: Option<bool>,
    /// Records of the archive that are not at the far end yet.
    pub behind: u64,
    /// Files restored of those that were drawn.
    pub sample: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Files drawn from.
    pub of: u64,
    /// What could not be restored.
    pub failed: Vec<Trouble>,
    /// Whether it was ended early.
    pub stopped: bool,
}

impl DrillReport {
    /// Whether everything that was tried could be restored; what is not there yet was not tried.
    pub fn is_good(&self) -> bool {
        self.failed.is_empty() && self.index_agrees != Some(false) && !self.stopped
    }
}

/// Restores all records, the index out of them, and files drawn at random, into an empty directory.
///
/// # Errors
/// When the far end cannot be listed or the directory cannot be written.
pub fn drill(
    fetcher: &Fetcher,
    archive: &Archive,
    work: &Path,
    sample: usize,
    seed: u64,
    workers: usize,
    stop: &CancellationToken,
) -> Result<DrillReport, ReplicaError> {
    // Nobody will need it after a power cut.
    let disk: Arc<dyn Disk> = Arc::new(Unflushed(RealDisk));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut report = DrillReport::default();
    {
        let store = begin(fetcher, work, &disk, &clock)?;
        let getting = Getting::of(fetcher, &store, stop);
        let groups: Vec<_> = Group::records().collect();
        getting.groups(&groups, workers)?;
        report.records = getting.got.load(Ordering::Relaxed);
        report.failed = getting.failed();
        report.behind = behind(&archive.store, &store)?;
    }
    let restored = open(work, &disk, &clock)?;
    let reader = restored.index.reader().map_err(index)?;
    report.items = reader.item_count().map_err(index)?;
    if report.behind == 0 && report.failed.is_empty() && !stop.is_cancelled() {
        let own = fingerprint(&archive.index.reader().map_err(index)?)?;
        let same = own == fingerprint(&reader)?;
        // Who goes on archiving meanwhile has more to say.
        report.index_agrees = (same || behind(&archive.store, &restored.store)? == 0).then_some(same);
    }
    let mut drawn = Vec::new();
    let mut rng = fastrand::Rng::with_seed(seed);
    // Every file has the same chance, whatever their number, and only those that are drawn are remembered.
    reader
        .blobs(|sha256, _| {
            report.of += 1;
            if drawn.len() < sample {
                drawn.push(sha256);
            } else if let at = rng.u64(..report.of)
                && let Some(slot) = usize::try_from(at).ok().and_then(|at| drawn.get_mut(at))
            {
                *slot = sha256;
            }
        })
        .map_err(index)?;
    let getting = Getting::of(fetcher, &restored.store, stop);
    let files: Vec<_> = drawn.into_iter().map(Immutable::Blob).collect();
    shared(&files, workers, stop, |file| getting.file(file))?;
    report.sample = getting.got.load(Ordering::Relaxed);
    report.bytes = getting.bytes.load(Ordering::Relaxed);
    report.failed.extend(getting.failed());
    report.stopped = stop.is_cancelled();
    drop(getting);
    restored.index.close().map_err(index)?;
    Ok(report)
}

/// Records of an archive that a restored one lacks.
fn behind(archive: &Store, restored: &Store) -> Result<u64, ReplicaError> {
    let mut lacking = 0;
    for group in Group::records() {
        let there = restored.files_in(group)?;
        let here = archive.files_in(group)?;
        lacking += here.iter().filter(|file| there.binary_search(file).is_err()).count() as u64;
    }
    Ok(lacking)
}

fn fingerprint(reader: &IndexReader) -> Result<Sha256, ReplicaError> {
    struct Hashing(sha2::Sha256);
    impl io::Write for Hashing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut hashing = Hashing(sha2::Sha256::new());
    reader.canonical_dump(&mut hashing).map_err(index)?;
    Ok(Sha256::new(hashing.0.finalize().into()))
}

pub(super) fn index(error: crate::index::IndexError) -> ReplicaError {
    ReplicaError::Archive(error.into())
}

/// Files on their way from the replica into an archive.
pub(super) struct Getting<'a> {
    fetcher: &'a Fetcher,
    store: &'a Store,
    stop: &'a CancellationToken,
    got: AtomicU64,
    bytes: AtomicU64,
    there: AtomicU64,
    failed: Mutex<Vec<Trouble>>,
}

impl<'a> Getting<'a> {
    pub(super) fn of(fetcher: &'a Fetcher, store: &'a Store, stop: &'a CancellationToken) -> Self {
        Self {
            fetcher,
            store,
            stop,
            got: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            there: AtomicU64::new(0),
            failed: Mutex::default(),
        }
    }

    fn failed(&self) -> Vec<Trouble> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        failed.sort();
        failed
    }

    pub(super) fn groups(&self, groups: &[Group], workers: usize) -> Result<(), ReplicaError> {
        shared(groups, workers, self.stop, |group| {
            let here = self.store.files_in(*group)?;
            for (file, _) in self.fetcher.list(*group)? {
                if self.stop.is_cancelled() {
                    break;
                }
                if here.binary_search(&file).is_ok() {
                    self.there.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                self.file(&file)?;
            }
            Ok(())
        })
    }

    pub(super) fn file(&self, file: &Immutable) -> Result<(), ReplicaError> {
        let mut refused = None;
        let taken = with_patience(|| {
            let Some(mut from) = self.fetcher.open(file)? else {
                return Err(io::Error::new(io::ErrorKind::NotFound, "it is not there"));
            };
            match self.store.take_in(file, &mut from) {
                Ok(TakenIn::Sound) => Ok(()),
                Ok(TakenIn::Other(why)) => Err(io::Error::new(io::ErrorKind::InvalidData, why)),
                Ok(TakenIn::Unreadable(error)) => Err(error),
                // Nothing of the far end's: no use in trying again.
                Err(error) => {
                    refused = Some(error);
                    Ok(())
                }
            }
        });
        if let Some(error) = refused {
            return Err(error.into());
        }
        match taken {
            Ok(()) => {
                self.got.fetch_add(1, Ordering::Relaxed);
                let size = std::fs::metadata(self.store.file_path(file)).map_or(0, |meta| meta.len());
                self.bytes.fetch_add(size, Ordering::Relaxed);
            }
            Err(why) => {
                tracing::warn!("{} cannot be restored: {why}", file.path());
                let trouble = Trouble { file: file.path(), why };
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).push(trouble);
            }
        }
        Ok(())
    }
}

/// Does something with each of these on several threads; the first error ends it, as does a request to stop.
pub(super) fn shared<T: Sync>(
    of: &[T],
    workers: usize,
    stop: &CancellationToken,
    each: impl Fn(&T) -> Result<(), ReplicaError> + Sync,
) -> Result<(), ReplicaError> {
    let (next, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let first = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..workers.clamp(1, of.len().max(1)) {
            scope.spawn(|| {
                while let Some(one) = of.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if stop.is_cancelled() || over.load(Ordering::Relaxed) {
                        return;
                    }
                    if let Err(error) = each(one) {
                        over.store(true, Ordering::Relaxed);
                        first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    }
                }
            });
        }
    });
    first.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// What is in a directory that a drill has made, and in no other.
const MARK: &str = ".shoebox-drill";

/// A directory for a drill that is removed when it is over.
pub struct Workplace {
    path: PathBuf,
    archive: PathBuf,
    /// Held while it is in use, also against those who have the same number as we in another container.
    _lock: File,
}

impl Workplace {
    /// Makes an empty one below `parent`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn below(parent: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(parent)?;
        for entry in std::fs::read_dir(parent)?.flatten() {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("drill-")).unwrap_or_default();
            let is_drill = number.len() == 16
                && number.bytes().all(|b| b.is_ascii_hexdigit())
                && entry.path().join(MARK).is_file();
            let lock = is_drill.then(|| File::open(entry.path()).ok()).flatten();
            // What a drill left that was killed.
            if lock.is_some_and(|lock| lock.try_lock().is_ok()) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let path = parent.join(format!("drill-{:016x}", fastrand::u64(..)));
        std::fs::create_dir(&path)?;
        let lock = File::open(&path)?;
        lock.try_lock().map_err(io::Error::other)?;
        std::fs::write(path.join(MARK), b"A drill of shoebox; it is removed when that is over.\n")?;
        Ok(Self { archive: path.join("archive"), path, _lock: lock })
    }

    /// Where the archive is to be restored.
    pub fn archive(&self) -> &Path {
        &self.archive
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!("{} cannot be removed: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_drill_clears_what_a_killed_one_left_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join("drill-0123456789abcdef");
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join(MARK), b"").unwrap();
        let others = ["drill-plans", "drill-fedcba9876543210", "photos"].map(|name| dir.path().join(name));
        others.iter().for_each(|other| std::fs::create_dir(other).unwrap());
        let at_work = Workplace::below(dir.path()).unwrap();
        let beside = Workplace::below(dir.path()).unwrap();
        assert!(!left.exists() && others.iter().all(|other| other.exists()));
        assert!(at_work.archive().parent().unwrap().exists(), "one at work was taken away");
        drop((at_work, beside));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), others.len());
    }
}
