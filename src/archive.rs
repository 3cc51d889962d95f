//! An opened archive: store and index, brought into step. Recovery is part of every start.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::index::{Index, IndexError, IndexReader, RebuildReport, rebuild};
use crate::model::{Clock, ErrorClass};
use crate::store::{Disk, Store, StoreError, StoredRecord};

/// Records replayed together.
const GROUP: usize = 1000;

/// An error of opening an archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// From the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// From the index.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl ArchiveError {
    /// Who has to act.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Store(error) => error.class(),
            Self::Index(error) => error.class(),
        }
    }
}

/// What opening an archive had to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Why the index was made again, if it was.
    pub rebuilt: Option<String>,
    /// Records that the index had missed.
    pub replayed: u64,
    /// Leftovers of an interrupted run, now in quarantine.
    pub leftovers: Vec<PathBuf>,
    /// What is wrong with records, one sentence each.
    pub findings: Vec<String>,
    /// Records that the index knew and that are gone; noted in quarantine.
    pub lost: Vec<PathBuf>,
}

/// An opened archive.
pub struct Archive {
    /// Blobs and records.
    pub store: Store,
    /// What the records say.
    pub index: Index,
    /// What opening it had to do.
    pub recovery: Recovery,
    turn: Mutex<()>,
}

impl Archive {
    /// Whoever adds a record to an item waits for a turn, and looks in it what the last one is: one record at a time.
    /// An item's number must not become visible before a lower one either, because names in the view are dealt by number.
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens for writing: takes the lock, makes a missing or damaged index again and replays the records
    /// that the index has missed.
    ///
    /// # Errors
    /// Where there is no archive, where another process writes to it, or what the system answers.
    pub fn open(root: &Path, disk: Arc<dyn Disk>, clock: Arc<dyn Clock>) -> Result<Self, ArchiveError> {
        let store = Store::open(root, disk, clock)?;
        let path = index_path(root);
        let mut recovery = Recovery { leftovers: store.leftovers().to_vec(), ..Recovery::default() };
        let index = match Index::open(&path, store.id()) {
            Ok(index) => index,
            Err(error) if error.is_curable() => remake(&store, &path, error.to_string(), &mut recovery)?,
            Err(error) => return Err(error.into()),
        };
        let before = index.reader()?;
        let (index, unreadable) = match catch_up(&store, index, &mut recovery) {
            Ok(caught_up) => caught_up,
            Err(IndexError::Damaged { why, .. }) => {
                recovery.lost = note_lost(&store, &before)?;
                let index = remake(&store, &path, why, &mut recovery)?;
                catch_up(&store, index, &mut recovery)?
            }
            Err(error) => return Err(error.into()),
        };
        store.raise_ordinals(index.reader()?.highest_ordinal()?, unreadable);
        for finding in &recovery.findings {
            tracing::warn!("{finding}");
        }
        for leftover in &recovery.leftovers {
            tracing::warn!("set aside what an interrupted run left: {}", leftover.display());
        }
        if recovery.replayed > 0 {
            tracing::info!(records = recovery.replayed, "the index has caught up with the records");
        }
        Ok(Self { store, index, recovery, turn: Mutex::default() })
    }

    /// Opens for reading, without the lock; nothing is recovered.
    ///
    /// # Errors
    /// Where there is no archive or no index that can be used.
    pub fn open_read_only(
        root: &Path,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ArchiveError> {
        let store = Store::open_read_only(root, disk, clock)?;
        let index = Index::open_read_only(&index_path(root), store.id())?;
        Ok(Self { store, index, recovery: Recovery::default(), turn: Mutex::default() })
    }

    /// Makes the index again from the records, whatever state it is in.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn rebuild_index(
        root: &Path,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
    ) -> Result<RebuildReport, ArchiveError> {
        let store = Store::open(root, disk, clock)?;
        let path = index_path(root);
        // One that cannot be read knows nothing.
        if let Ok(before) = IndexReader::open(&path, store.id()) {
            note_lost(&store, &before)?;
        }
        Ok(rebuild(&store, &path)?)
    }
}

/// Records that the index knows and that are not there: the only trace of what somebody or something took away.
///
/// # Errors
/// When the index cannot be read.
pub fn lost_records(store: &Store, index: &IndexReader) -> Result<Vec<PathBuf>, IndexError> {
    let lost = std::cell::RefCell::new(Vec::new());
    let look = |path: PathBuf| {
        // What cannot be looked at is trouble of its own, and no loss.
        if path.try_exists().is_ok_and(|there| !there) {
            lost.borrow_mut().push(path);
        }
    };
    index.record_names(|name| look(store.record_path(&name)), |name| look(store.album_path(&name)))?;
    Ok(lost.into_inner())
}

/// Writes down what is lost, before an index is made that does not know it any more.
fn note_lost(store: &Store, index: &IndexReader) -> Result<Vec<PathBuf>, ArchiveError> {
    // A damaged index tells what it can.
    let lost = lost_records(store, index).unwrap_or_default();
    if !lost.is_empty() {
        let note = store.note_lost(&lost)?;
        let (records, first) = (lost.len(), lost[0].display());
        tracing::error!(
            "{records} records are lost that were in the archive, {first} is one of them; all are listed in {}. \
             Bring them back from a copy of the archive; what the library still has comes with the next sync",
            note.display()
        );
    }
    Ok(lost)
}

/// Where the index of an archive is.
pub fn index_path(root: &Path) -> PathBuf {
    root.join("index.sqlite")
}

fn remake(store: &Store, path: &Path, why: String, recovery: &mut Recovery) -> Result<Index, IndexError> {
    tracing::warn!("making the index again: {why}");
    let report = rebuild(store, path)?;
    tracing::info!(records = report.records, items = report.items, "the index was made again");
    recovery.rebuilt = Some(why);
    Index::open(path, store.id())
}

/// Applies the records that the index does not have; returns how many cannot be read.
fn catch_up(store: &Store, index: Index, recovery: &mut Recovery) -> Result<(Index, u64), IndexError> {
    let (reader, writer) = (index.reader()?, index.writer());
    let before = reader.records()?;
    let (mut indexed, mut unreadable) = (0, 0);
    let mut missed: Vec<StoredRecord> = Vec::new();
    recovery.findings.clear();
    recovery.replayed = 0;
    let replay = |missed: &mut Vec<StoredRecord>, recovery: &mut Recovery| {
        for answer in writer.apply_all(missed.drain(..)) {
            match answer {
                Ok(()) => recovery.replayed += 1,
                Err(error @ IndexError::Conflict { .. }) => recovery.findings.push(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    };
    for name in store.record_names() {
        let read = match name {
            Ok(name) if reader.has_record(&name.sha256)? => {
                indexed += 1;
                continue;
            }
            Ok(name) => store.read_record(&name),
            Err(error) => Err(error),
        };
        match read {
            Ok(record) => missed.push(record),
            Err(error @ StoreError::Io { .. }) => return Err(error.into()),
            Err(error) => {
                unreadable += u64::from(!matches!(error, StoreError::Stray { .. }));
                recovery.findings.push(error.to_string());
            }
        }
        if missed.len() >= GROUP {
            replay(&mut missed, recovery)?;
        }
    }
    replay(&mut missed, recovery)?;
    let before = before + reader.album_records()?;
    for name in store.album_names()? {
        match name {
            Ok(name) if reader.has_album_record(&name.sha256)? => indexed += 1,
            Ok(name) => match store.read_album(&name) {
                Ok(album) => match writer.apply_album(album) {
                    Ok(()) => recovery.replayed += 1,
                    Err(error @ IndexError::Conflict { .. }) => recovery.findings.push(error.to_string()),
                    Err(error) => return Err(error),
                },
                Err(error @ StoreError::Io { .. }) => return Err(error.into()),
                Err(error) => recovery.findings.push(error.to_string()),
            },
            Err(error) => recovery.findings.push(error.to_string()),
        }
    }
    if indexed < before {
        let why = format!("{} of its {before} records are not in the archive", before - indexed);
        return Err(IndexError::Damaged { path: index.path().to_owned(), why });
    }
    Ok((index, unreadable))
}
