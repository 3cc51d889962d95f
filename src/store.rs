//! Content-addressed files and immutable records: the truth of an archive. [`FORMAT.md`](store/FORMAT.md)
//! specifies what is on disk.
//!
//! Bytes go one way, and each step is a type: [`PartialBlob`] (arriving) → [`VerifiedBlob`] (judged whole) →
//! [`StoredBlob`] (durable) → [`StoredRecord`] (the item is archived). Nothing here removes or rewrites a
//! blob or a record.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use crate::model::digest::digests_of;
use crate::model::{ArchiveId, Clock};

mod album;
pub(crate) mod archive_json;
mod blob;
mod disk;
mod error;
mod immutable;
mod init;
mod layout;
mod lock;
mod lost;
mod ordinal;
mod quarantine;
mod record;
mod recover;
mod repair;
pub mod scrub;

pub(crate) use archive_json::parse as archive_id;

pub use album::{ALBUM_SCHEMA, StoredAlbum};
pub use blob::{PartialBlob, Rejected, StoredBlob, VerifiedBlob};
pub use disk::{Disk, Entry, Pending, RealDisk, Space, TmpPath};
pub use error::StoreError;
pub use immutable::{Group, Immutable, TakenIn};
pub use layout::RecordName;
pub use quarantine::QuarantineNote;
pub use record::StoredRecord;
pub use repair::SecondCopy;

use layout::Layout;
use lock::Lock;
use ordinal::Ordinals;

/// Version of the on-disk format that this program reads and writes.
pub const FORMAT: u64 = 1;

/// An opened store. Clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    layout: Layout,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    id: ArchiveId,
    /// Held while this process may write; none when opened for reading.
    lock: Option<Lock>,
    /// The first failed flush. After one, the kernel may report success for data it has dropped.
    poison: OnceLock<String>,
    /// Bytes to keep free; `None` follows the size of the volume.
    reserve: Mutex<Option<u64>>,
    /// Held from looking at the free space until it is taken, or two would be given the same.
    admission: Mutex<()>,
    ordinals: Mutex<Ordinals>,
    /// Held while a record is added to the chain of its item; by the last bits of the record's shard.
    chains: [Mutex<()>; 16],
    /// What was found in `tmp/` at the start and set aside.
    leftovers: Vec<PathBuf>,
}

impl Store {
    /// Makes an archive in `root`, which must be empty or not exist, and returns its id.
    ///
    /// # Errors
    /// [`StoreError::AlreadyAnArchive`], [`StoreError::NotEmpty`], or what the system answers. An interrupted
    /// `init` can simply be run again.
    pub fn init(root: &Path, disk: Arc<dyn Disk>, clock: Arc<dyn Clock>) -> Result<ArchiveId, StoreError> {
        self_test()?;
        init::init(root, disk.as_ref(), clock.as_ref())
    }

    /// Makes an empty archive under the id of another one, of which there is a copy. `json` is that one's `archive.json`.
    ///
    /// # Errors
    /// As [`Store::init`], and where `json` is none.
    pub fn init_copy(root: &Path, disk: Arc<dyn Disk>, json: &[u8]) -> Result<ArchiveId, StoreError> {
        self_test()?;
        init::make(root, disk.as_ref(), json)
    }

    /// Opens an archive for writing: takes the lock, checks the format and clears `tmp/`.
    ///
    /// # Errors
    /// [`StoreError::Locked`] names the holder; a missing archive is never created.
    pub fn open(root: &Path, disk: Arc<dyn Disk>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        self_test()?;
        let layout = Layout::new(root);
        // Before the lock, so that a lock file never appears where no archive is.
        let id = archive_json::read(&layout, disk.as_ref())?;
        let lock = Lock::take(&layout, clock.now())?;
        init::complete_directories(&layout, disk.as_ref())?;
        let leftovers = recover::clear_tmp(&layout, disk.as_ref(), clock.now())?;
        Ok(Self::new(layout, disk, clock, id, Some(lock), leftovers))
    }

    /// Opens an archive for reading, without the lock; every write is refused.
    ///
    /// # Errors
    /// As [`Store::open`], but never [`StoreError::Locked`].
    pub fn open_read_only(
        root: &Path,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        self_test()?;
        let layout = Layout::new(root);
        let id = archive_json::read(&layout, disk.as_ref())?;
        Ok(Self::new(layout, disk, clock, id, None, Vec::new()))
    }

    fn new(
        layout: Layout,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        id: ArchiveId,
        lock: Option<Lock>,
        leftovers: Vec<PathBuf>,
    ) -> Self {
        let inner = Inner {
            layout,
            disk,
            clock,
            id,
            lock,
            poison: OnceLock::new(),
            reserve: Mutex::new(None),
            admission: Mutex::new(()),
            ordinals: Mutex::new(Ordinals::default()),
            chains: Default::default(),
            leftovers,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The archive's directory.
    pub fn root(&self) -> &Path {
        self.inner.layout.root()
    }

    /// The archive's id.
    pub fn id(&self) -> &ArchiveId {
        &self.inner.id
    }

    /// Whether this process holds the lock and may write.
    pub fn is_writable(&self) -> bool {
        self.inner.lock.is_some()
    }

    /// A directory below `tmp/` into which the browser may download; see [`Store::adopt`].
    pub fn tmp_dir(&self) -> PathBuf {
        self.inner.layout.browser_tmp()
    }

    /// Where evidence of trouble is kept, for people to look at.
    pub fn quarantine_dir(&self) -> PathBuf {
        self.inner.layout.quarantine()
    }

    /// Where the leftovers of an interrupted run were set aside when this store was opened.
    pub fn leftovers(&self) -> &[PathBuf] {
        &self.inner.leftovers
    }

    /// Sets the bytes that admission keeps free on the volume; `None` returns to the default, which is the
    /// larger of 2 % of the volume and 1 GiB, where 1 GiB is at most 5 % of the volume.
    pub fn set_reserve(&self, bytes: Option<u64>) {
        *lock(&self.inner.reserve) = bytes;
    }

    /// Refuses so many bytes where they would eat into the reserve.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`], or what the system answers.
    pub fn has_room_for(&self, bytes: u64) -> Result<(), StoreError> {
        self.inner.admit(bytes)
    }

    /// Whether a failed flush has ended writing for this process.
    pub fn is_poisoned(&self) -> bool {
        self.inner.poison.get().is_some()
    }
}

impl Inner {
    /// Refuses where writing is not allowed, or no longer.
    fn writable(&self) -> Result<(), StoreError> {
        if self.lock.is_none() {
            return Err(StoreError::ReadOnly { root: self.layout.root().to_owned() });
        }
        match self.poison.get() {
            Some(first) => Err(StoreError::Poisoned { first: first.clone() }),
            None => Ok(()),
        }
    }

    /// Flushes a pending file; a failure ends all writing. `what` names it in the error.
    fn sync(&self, file: &Pending, what: &Path) -> Result<(), StoreError> {
        let result = self.disk.sync(file).map_err(self.refused("flush", what, 0));
        self.poison_on_error(result)
    }

    /// Flushes a directory; a failure ends all writing.
    fn sync_dir(&self, dir: &Path) -> Result<(), StoreError> {
        let result = self.disk.sync_dir(dir).map_err(self.refused("flush directory", dir, 0));
        self.poison_on_error(result)
    }

    fn poison_on_error(&self, result: Result<(), StoreError>) -> Result<(), StoreError> {
        if let Err(error) = &result {
            let _ = self.poison.set(error.to_string());
        }
        result
    }

    /// Refuses a file of `needed` bytes that would eat into the reserve.
    fn admit(&self, needed: u64) -> Result<(), StoreError> {
        self.admit_above(needed, |reserve| reserve)
    }

    /// Records may use half of the reserve: what was fetched shall be recorded. The rest is the index's.
    fn admit_record(&self, needed: u64) -> Result<(), StoreError> {
        self.admit_above(needed, |reserve| reserve / 2)
    }

    fn admit_above(&self, needed: u64, share: fn(u64) -> u64) -> Result<(), StoreError> {
        let root = self.layout.root();
        let space = self.disk.space(root).map_err(StoreError::io("read the free space of", root))?;
        let reserve = share(self.reserve_of(space.total));
        if space.free < needed.saturating_add(reserve) {
            return Err(StoreError::NoSpace { root: root.to_owned(), needed, free: space.free, reserve });
        }
        Ok(())
    }

    fn reserve_of(&self, total: u64) -> u64 {
        (*lock(&self.reserve)).unwrap_or_else(|| default_reserve(total))
    }

    /// For `map_err`: a full volume is told with the numbers that a person needs, all else as the system says it.
    /// Where there is room and the system still says that there is none, something else has run out.
    fn refused<'a>(
        &'a self,
        action: &'static str,
        path: &'a Path,
        needed: u64,
    ) -> impl FnOnce(std::io::Error) -> StoreError + 'a {
        /// What the file system may want beside the bytes themselves.
        const BESIDE: u64 = 1 << 20;
        move |error| {
            let root = self.layout.root();
            let full = error.kind() == std::io::ErrorKind::StorageFull;
            match self.disk.space(root) {
                Ok(space) if full && space.free < needed + BESIDE => StoreError::NoSpace {
                    root: root.to_owned(),
                    needed: needed + BESIDE,
                    free: space.free,
                    reserve: self.reserve_of(space.total),
                },
                _ => StoreError::io(action, path)(error),
            }
        }
    }
}

/// Bytes that are kept free on a volume of so many, unless [`Store::set_reserve`] says otherwise.
pub fn default_reserve(total: u64) -> u64 {
    const GIB: u64 = 1 << 30;
    (total / 50).max(GIB.min(total / 20))
}

/// Locks; a panic elsewhere while holding one of our locks leaves nothing half-done behind them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Hashes a known text, because a machine that hashes wrongly would name every blob wrongly.
fn self_test() -> Result<(), StoreError> {
    let d = digests_of(b"abc");
    let good = d.sha256.hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        && d.sha1.hex() == "a9993e364706816aba3e25717850c26c9cd0d89d";
    if good { Ok(()) } else { Err(StoreError::SelfTest) }
}

#[cfg(test)]
mod tests {
    use super::default_reserve;

    #[test]
    fn the_reserve_follows_the_volume() {
        const GIB: u64 = 1 << 30;
        assert_eq!(default_reserve(100 << 20), 5 << 20);
        assert_eq!(default_reserve(40 * GIB), GIB);
        assert_eq!(default_reserve(1000 * GIB), 20 * GIB);
    }
}
