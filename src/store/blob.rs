//! From arriving bytes to a durable blob: the write protocol of `FORMAT.md`, each step a type.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::Digest as _;

use super::disk::Pending;
use super::{Inner, Store, StoreError};
use crate::model::{Digests, Hasher, ReadAt, Sha256};

/// Bytes read at once when hashing a file.
const CHUNK: usize = 512 * 1024;

/// Bytes of unannounced length that may be written before the free space is looked at again.
const GROWTH: u64 = 1 << 20;

impl Store {
    /// Starts a blob whose bytes will be written by us.
    ///
    /// `claimed` is the announced length in bytes, if any: that much disk is reserved at once, and exactly
    /// that much must come.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`] where it would eat into the reserve.
    pub fn begin(&self, claimed: Option<u64>) -> Result<PartialBlob, StoreError> {
        let inner = &self.inner;
        inner.writable()?;
        let _admission = super::lock(&inner.admission);
        inner.admit(claimed.unwrap_or(0))?;
        let tmp = inner.layout.tmp();
        let pending = inner.disk.create(&tmp).map_err(inner.refused("create a file in", &tmp, 0))?;
        let partial = PartialBlob {
            what: pending.name().map_or(tmp, |name| name.path().to_owned()),
            pending: Temporary { pending: Some(pending), inner: inner.clone() },
            hasher: Box::new(Hasher::new()),
            claimed,
            admitted: claimed.unwrap_or(0),
        };
        if let Some(size) = claimed {
            let allocated = inner.disk.allocate(partial.pending.get(), size);
            allocated.map_err(inner.refused("reserve space in", &partial.what, size))?;
        }
        Ok(partial)
    }

    /// Takes a copy of a file that lies elsewhere, without copying its bytes: both share them on the disk until one
    /// changes. Reads it once. Nothing where that does not go, for whatever reason: then copying tells it.
    ///
    /// # Errors
    /// When the archive cannot be written.
    pub fn share(&self, file: &File) -> Result<Option<PartialBlob>, StoreError> {
        let inner = &self.inner;
        let mut partial = self.begin(None)?;
        let shared = inner.disk.share(partial.pending.get(), file).unwrap_or(false);
        // What cannot be read here cannot be read there.
        let read =
            shared.then(|| each_chunk(partial.pending.get().file(), |chunk| partial.hasher.update(chunk)));
        partial.admitted = u64::MAX;
        Ok(read.and_then(Result::ok).map(|_| partial))
    }

    /// Takes over a complete file that something else, the browser, has written below [`Store::tmp_dir`].
    /// Reads it once. From here on the file belongs to the returned value: dropping that removes it.
    ///
    /// # Errors
    /// [`StoreError::NotAdoptable`] for a path elsewhere, a link, or anything but a file of its own.
    pub fn adopt(&self, path: &Path) -> Result<PartialBlob, StoreError> {
        let inner = &self.inner;
        inner.writable()?;
        let refuse = |why: &str| StoreError::NotAdoptable { path: path.to_owned(), why: why.to_owned() };
        let Some(name) = inner.layout.below_tmp(path) else {
            return Err(refuse("it is not below the archive's tmp directory"));
        };
        // A second name or a symbolic link would let somebody else change the blob later.
        let meta = std::fs::symlink_metadata(path).map_err(StoreError::io("look at", path))?;
        if !meta.is_file() || meta.nlink() != 1 {
            return Err(refuse("it is not a file with one single name"));
        }
        let pending = inner.disk.adopt(&name).map_err(StoreError::io("open", path))?;
        let mut hasher = Box::new(Hasher::new());
        each_chunk(pending.file(), |chunk| hasher.update(chunk)).map_err(StoreError::io("read", path))?;
        Ok(PartialBlob {
            pending: Temporary { pending: Some(pending), inner: inner.clone() },
            what: path.to_owned(),
            claimed: None,
            admitted: u64::MAX,
            hasher,
        })
    }

    /// Makes a blob durable and gives it its name. Several threads may call this at once.
    ///
    /// Bytes that are stored already are recognised by hashing the stored file. Where that is damaged, the new bytes
    /// take its place, and the damaged ones are kept in quarantine.
    ///
    /// # Errors
    /// A failed flush ends all writing of this process ([`StoreError::Poisoned`] from then on).
    /// [`StoreError::ReadBack`] when the disk returns other bytes than were written.
    pub fn put(&self, verified: VerifiedBlob) -> Result<StoredBlob, StoreError> {
        let VerifiedBlob { pending, what, digests } = verified;
        let inner = &self.inner;
        inner.writable()?;
        inner.make_durable(pending.get(), &what, &digests.sha256)?;
        let path = inner.layout.blob(&digests.sha256);
        match inner.disk.publish(pending.get(), &path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !inner.is_sound(&path, &digests.sha256)? {
                    inner.mend(pending.get(), &path)?;
                }
            }
            Err(error) => return Err(inner.refused("publish", &path, 0)(error)),
        }
        // Also where the blob was there before: whoever published it may have been killed before this flush.
        inner.sync_dir(&inner.layout.blob_shard(digests.sha256.bytes()[0]))?;
        Ok(StoredBlob { digests })
    }

    /// Where the blob is, or would be.
    pub fn blob_path(&self, sha256: &Sha256) -> PathBuf {
        self.inner.layout.blob(sha256)
    }

    /// Opens a blob for reading. Its content is not hashed.
    ///
    /// # Errors
    /// [`StoreError::MissingBlob`] where there is none.
    pub fn open_blob(&self, sha256: &Sha256) -> Result<File, StoreError> {
        let path = self.blob_path(sha256);
        self.inner.disk.open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::MissingBlob { sha256: *sha256 },
            _ => StoreError::io("open", &path)(error),
        })
    }

    /// Whether the blob is there and its bytes are those that its name promises. Reads it whole.
    ///
    /// # Errors
    /// When the system cannot tell; a medium that cannot be read is damage, not an error.
    pub fn is_sound(&self, sha256: &Sha256) -> Result<bool, StoreError> {
        match self.inner.is_sound(&self.blob_path(sha256), sha256) {
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(false),
            other => other,
        }
    }

    /// Whether a file has the blob's name. Its content is not hashed.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn has_blob(&self, sha256: &Sha256) -> Result<bool, StoreError> {
        match self.open_blob(sha256) {
            Ok(_) => Ok(true),
            Err(StoreError::MissingBlob { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Inner {
    /// Whether a stored file has the bytes that its name promises.
    pub(super) fn is_sound(&self, path: &Path, sha256: &Sha256) -> Result<bool, StoreError> {
        let file = self.disk.open(path).map_err(StoreError::io("open", path))?;
        self.disk.forget_cached(&file);
        match hash_file(&file) {
            Ok((found, _)) => Ok(found == *sha256),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => Ok(false),
            Err(error) => Err(StoreError::io("read", path)(error)),
        }
    }

    /// Puts durable bytes in the place of a file that was found damaged; the damaged one is kept in quarantine.
    pub(super) fn mend(&self, sound: &Pending, path: &Path) -> Result<(), StoreError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let quarantine = self.layout.quarantine();
        let names = (0_u32..).map(|n| {
            quarantine.join(format!("damaged.{name}.{}.{n}", self.clock.now().strftime("%Y%m%dT%H%M%SZ")))
        });
        let mut aside = quarantine.clone();
        for free in names {
            aside = free;
            match self.disk.replace_damaged(sound, path, &aside) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => {
                    other.map_err(StoreError::io("mend", path))?;
                    break;
                }
            }
        }
        self.sync_dir(&quarantine)?;
        tracing::warn!(
            "{} was damaged and is mended; the bad bytes are in {}",
            path.display(),
            aside.display()
        );
        Ok(())
    }

    /// Seals, flushes and reads back a pending file, for blobs and records alike.
    pub(super) fn make_durable(
        &self,
        pending: &Pending,
        what: &Path,
        wanted: &Sha256,
    ) -> Result<(), StoreError> {
        self.disk.seal(pending).map_err(self.refused("protect", what, 0))?;
        self.sync(pending, what)?;
        self.disk.forget_cached(pending.file());
        let (got, _) = hash_file(pending.file()).map_err(StoreError::io("read back", what))?;
        if got != *wanted {
            return Err(StoreError::ReadBack { wanted: *wanted, got });
        }
        Ok(())
    }
}

/// A pending file that leaves no name behind when it is dropped.
pub(super) struct Temporary {
    pending: Option<Pending>,
    inner: Arc<Inner>,
}

impl Temporary {
    pub(super) fn new(pending: Pending, inner: Arc<Inner>) -> Self {
        Self { pending: Some(pending), inner }
    }

    #[expect(clippy::unwrap_used, reason = "only `drop` takes the file out")]
    pub(super) fn get(&self) -> &Pending {
        self.pending.as_ref().unwrap()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(name) = self.pending.take().as_ref().and_then(Pending::name) {
            // What cannot be removed now is cleared at the next start.
            let _ = self.inner.disk.discard(name);
        }
    }
}

/// Bytes on their way: not verified, not durable, not in the archive.
pub struct PartialBlob {
    pending: Temporary,
    /// Path for error messages.
    what: PathBuf,
    hasher: Box<Hasher>,
    claimed: Option<u64>,
    /// Length for which space was found.
    admitted: u64,
}

impl PartialBlob {
    /// Appends bytes. They are written and hashed at once, so chunks of 256 KiB to 1 MiB are best.
    ///
    /// # Errors
    /// [`StoreError::TooLong`] beyond the announced length (nothing of `bytes` is written then);
    /// [`StoreError::NoSpace`] where an unannounced length eats into the reserve.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let size = self.size() + bytes.len() as u64;
        if let Some(claimed) = self.claimed
            && size > claimed
        {
            return Err(StoreError::TooLong { claimed });
        }
        if size > self.admitted {
            self.pending.inner.admit(GROWTH)?;
            self.admitted = size.saturating_add(GROWTH);
        }
        let (inner, wanted) = (&self.pending.inner, bytes.len() as u64);
        let written = inner.disk.append(self.pending.get(), bytes);
        written.map_err(inner.refused("write", &self.what, wanted))?;
        self.hasher.update(bytes);
        Ok(())
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.hasher.size()
    }

    /// The bytes so far, readable at any position.
    pub fn bytes(&self) -> Arc<dyn ReadAt> {
        self.pending.get().file().clone()
    }

    /// The hashes of the bytes so far.
    pub fn digests(&self) -> Digests {
        self.hasher.as_ref().clone().finish()
    }

    /// Ends the transfer and has `check` judge the bytes; its error is the reason for refusing them.
    /// A length other than the announced one is refused before `check` is asked.
    ///
    /// # Errors
    /// [`Rejected`] holds on to the bytes, so that they can be set aside with [`Store::quarantine`].
    pub fn verify(
        self,
        check: impl FnOnce(Arc<dyn ReadAt>, &Digests) -> Result<(), String>,
    ) -> Result<VerifiedBlob, Rejected> {
        let digests = self.digests();
        let verdict = match self.claimed {
            Some(claimed) if claimed != digests.size => {
                Err(format!("{} bytes came, {claimed} were announced", digests.size))
            }
            _ => check(self.bytes(), &digests),
        };
        match verdict {
            Ok(()) => Ok(VerifiedBlob { pending: self.pending, what: self.what, digests }),
            Err(reason) => Err(Rejected { reason, partial: self }),
        }
    }

    pub(super) fn into_temporary(self) -> Temporary {
        self.pending
    }
}

impl std::fmt::Debug for PartialBlob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartialBlob").field("size", &self.size()).finish_non_exhaustive()
    }
}

/// Bytes that were refused.
pub struct Rejected {
    /// Why, as one sentence.
    pub reason: String,
    /// The bytes; dropped, they are gone.
    pub partial: PartialBlob,
}

impl std::fmt::Debug for Rejected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rejected").field("reason", &self.reason).finish_non_exhaustive()
    }
}

/// Bytes that were judged whole; not durable yet.
pub struct VerifiedBlob {
    pending: Temporary,
    what: PathBuf,
    digests: Digests,
}

impl VerifiedBlob {
    /// Hashes and length.
    pub fn digests(&self) -> &Digests {
        &self.digests
    }

    /// The bytes, readable at any position.
    pub fn bytes(&self) -> Arc<dyn ReadAt> {
        self.pending.get().file().clone()
    }
}

impl std::fmt::Debug for VerifiedBlob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedBlob").field("digests", &self.digests).finish_non_exhaustive()
    }
}

/// Proof that a blob is durable under its name. Only the store makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlob {
    digests: Digests,
}

impl StoredBlob {
    /// Hashes and length.
    pub fn digests(&self) -> &Digests {
        &self.digests
    }
}

/// SHA-256 and length of an open file, read from its start.
pub(super) fn hash_file(file: &File) -> io::Result<(Sha256, u64)> {
    let mut hasher = sha2::Sha256::new();
    let size = each_chunk(file, |chunk| hasher.update(chunk))?;
    Ok((Sha256::new(hasher.finalize().into()), size))
}

/// Reads a file from its start without moving its position; returns its length.
pub(super) fn each_chunk(file: &File, mut take: impl FnMut(&[u8])) -> io::Result<u64> {
    let size = file.metadata()?.len();
    let mut buffer = vec![0; usize::try_from(size).unwrap_or(CHUNK).clamp(1, CHUNK)];
    let mut at = 0;
    loop {
        match ReadAt::read_at(file, &mut buffer, at) {
            Ok(0) => return Ok(at),
            Ok(n) => {
                take(&buffer[..n]);
                at += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
