//! A second copy of an archive in S3-compatible object storage or in a directory, kept up to date by sending what is new.
//!
//! Everything that is the truth of an archive never changes once it has its name, so a replica is the same files under
//! the same names. Blobs are sent before the records that speak of them: at every moment a record that is there finds its
//! blobs there. Nothing at the far end is ever deleted, and nothing overwritten but what is found damaged.
//!
//! A replica may be encrypted with age: then every file has `.age` behind its name, and `README.txt` there tells how
//! to read it. What the names tell stays visible: how many files there are, their sizes, and to somebody who has the
//! same photo, that it is among them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backon::{ExponentialBuilder, Retryable as _};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use serde::{Deserialize, Serialize};

use crate::model::{ArchiveId, ErrorClass};
use crate::store::{Group, Immutable, Store, StoreError};

pub mod check;
pub mod elsewhere;
mod fetch;
pub mod journal;
mod leftovers;
pub mod push;
pub mod restore;
mod seal;
mod send;
mod target;

use send::{is_unknown_there, within};

pub use fetch::Fetcher;
pub use seal::{Identity, Recipient, make_key};
pub use target::{S3Settings, Target};

/// Version of a replica's shape that this program reads and writes.
const FORMAT: u32 = 1;
/// What tells a replica from anything else, and how it is encrypted.
const MARK: &str = "replica.json";
/// Attempts at beginning or opening.
const TRIES: usize = 4;
/// Longest mark or `archive.json` that is read, bytes.
const LONGEST_MARK: u64 = 64 * 1024;

/// An error of a replica as a whole; what concerns single files is in the reports.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// What was asked for cannot be.
    #[error("{0}")]
    Usage(String),
    /// The far end holds something else than was expected.
    #[error("{target}: {why}")]
    Other {
        /// Which replica.
        target: String,
        /// What does not fit, and what to do.
        why: String,
    },
    /// The far end does not let us in.
    #[error("{target} refuses: {why}; look at key, secret and rights")]
    Refused {
        /// Which replica.
        target: String,
        /// Its answer.
        why: String,
    },
    /// The far end does not answer, or only with errors.
    #[error("{target} cannot be reached: {why}")]
    Unreachable {
        /// Which replica.
        target: String,
        /// What was answered last.
        why: String,
    },
    /// From the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// From opening a restored archive.
    #[error(transparent)]
    Archive(#[from] crate::archive::ArchiveError),
}

impl ReplicaError {
    /// Who has to act.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Usage(_) => ErrorClass::Usage,
            Self::Other { .. } | Self::Refused { .. } => ErrorClass::Environment,
            Self::Unreachable { .. } => ErrorClass::Transient,
            Self::Store(error) => error.class(),
            Self::Archive(error) => error.class(),
        }
    }
}

/// The far end's word on what it is.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    format: u32,
    archive_id: ArchiveId,
    /// Whom it is encrypted to; empty if it is not.
    recipients: Vec<String>,
}

/// An opened replica. Clones share it.
#[derive(Clone)]
pub struct Replica {
    objects: Arc<dyn ObjectStore>,
    target: Target,
    recipients: Vec<Recipient>,
    identities: Vec<Identity>,
    /// Whether the server knows conditional writes, as far as we know.
    conditional: Arc<AtomicBool>,
    /// Device and inode of a directory: another disk may come and go in its place.
    volume: Option<(u64, u64)>,
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Replica {
    /// Opens a replica of an archive in order to send to it; begins it if nothing is there yet. `recipients` are whom
    /// it is encrypted to: the same ones every time. `is_known` says that there was one already.
    ///
    /// # Errors
    /// Where something else is there, another archive's replica, or one that is encrypted otherwise; where the one that
    /// was there is gone.
    pub async fn begin(
        target: &Target,
        store: &Store,
        recipients: Vec<Recipient>,
        is_known: bool,
    ) -> Result<Self, ReplicaError> {
        // What is half begun is begun again.
        patiently(|| Self::begin_once(target, store, recipients.clone(), is_known)).await
    }

    async fn begin_once(
        target: &Target,
        store: &Store,
        recipients: Vec<Recipient>,
        is_known: bool,
    ) -> Result<Self, ReplicaError> {
        if let Some(directory) = target.directory() {
            refuse_itself(target, directory, store)?;
        }
        let objects = target.open(true)?;
        let new = Self::new(objects, target, recipients, Vec::new());
        let named: Vec<_> = new.recipients.iter().map(ToString::to_string).collect();
        let mark = Mark { format: FORMAT, archive_id: store.id().clone(), recipients: named };
        match new.mark().await? {
            Some(found) => new.require_same(&found, &mark)?,
            None if is_known => {
                let why = "there was a replica, and there is none now. Is its volume mounted, is it the right bucket? \
                           To begin a new one there, add --begin-anew";
                return Err(new.other(why));
            }
            None => new.require_empty(&mark).await?,
        }
        // The mark comes last: what has none is not begun.
        let archive_json = store.root().join("archive.json");
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Io { action, path, source }
        };
        let json = std::fs::read(&archive_json).map_err(io("read", &archive_json))?;
        let mut bytes = serde_json::to_vec_pretty(&mark).map_err(|e| new.other(&e.to_string()))?;
        bytes.push(b'\n');
        let format = store.root().join("FORMAT.md");
        new.create("README.txt", include_str!("replica/README.txt").into()).await?;
        if let Ok(format) = std::fs::read(format) {
            new.create("FORMAT.md", format).await?;
        }
        new.create("archive.json", json).await?;
        new.create(MARK, bytes).await?;
        if let Some(directory) = target.directory() {
            leftovers::clear(directory);
        }
        Ok(new)
    }

    /// Opens a replica in order to read it. `identities` are needed where it is encrypted; `of` names the archive that
    /// it must be a copy of. A plain copy of an archive that another program made is one, too.
    ///
    /// # Errors
    /// Where there is none, it is another archive's, or none of the keys opens it.
    pub async fn open(
        target: &Target,
        of: Option<&ArchiveId>,
        identities: Vec<Identity>,
    ) -> Result<Self, ReplicaError> {
        patiently(|| Self::open_once(target, of, identities.clone())).await
    }

    async fn open_once(
        target: &Target,
        of: Option<&ArchiveId>,
        identities: Vec<Identity>,
    ) -> Result<Self, ReplicaError> {
        let objects = target.open(false)?;
        let mut replica = Self::new(objects, target, Vec::new(), identities);
        let mark = match replica.mark().await? {
            Some(mark) => mark,
            None => match replica.archive_json().await? {
                Some((archive_id, _)) => {
                    replica.require_plain().await?;
                    Mark { format: FORMAT, archive_id, recipients: Vec::new() }
                }
                None => return Err(replica.other("there is no replica")),
            },
        };
        if let Some(of) = of.filter(|of| **of != mark.archive_id) {
            return Err(
                replica.other(&format!("it is a replica of archive {}, not of {of}", mark.archive_id))
            );
        }
        let recipients: Result<_, _> = mark.recipients.iter().map(|text| Recipient::parse(text)).collect();
        replica.recipients = recipients.map_err(|why| replica.other(&why))?;
        let opens = |identity: &Identity| replica.recipients.contains(&identity.recipient());
        if replica.is_sealed() && !replica.identities.iter().any(opens) {
            let for_whom = mark.recipients.join(", ");
            let why = format!("it is encrypted to {for_whom}: give the file of that key with --identity");
            return Err(ReplicaError::Usage(format!("{target}: {why}")));
        }
        Ok(replica)
    }

    fn new(
        objects: Arc<dyn ObjectStore>,
        target: &Target,
        recipients: Vec<Recipient>,
        identities: Vec<Identity>,
    ) -> Self {
        let conditional = Arc::new(AtomicBool::new(true));
        let mut new =
            Self { objects, target: target.clone(), recipients, identities, conditional, volume: None };
        new.volume = new.volume_now();
        new
    }

    fn volume_now(&self) -> Option<(u64, u64)> {
        use std::os::unix::fs::MetadataExt as _;
        let meta = std::fs::metadata(self.target.directory()?).ok()?;
        Some((meta.dev(), meta.ino()))
    }

    /// Refuses where the directory is not the one that was opened: its disk is gone, or another one is there.
    fn require_volume(&self) -> Result<(), ReplicaError> {
        if self.volume == self.volume_now() {
            return Ok(());
        }
        Err(self.other("its disk is not there any more"))
    }

    /// A copy without a mark that holds encrypted files has lost it.
    async fn require_plain(&self) -> Result<(), ReplicaError> {
        use futures_util::TryStreamExt as _;
        let records = self.path("records");
        let first = self.objects.list(Some(&records)).try_next().await;
        match first {
            Ok(Some(object)) if object.location.as_ref().ends_with(".age") => {
                let why = format!("it is encrypted, and {MARK} is missing: bring that back first");
                Err(self.other(&why))
            }
            Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Which one it is, for people.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Whether what is there is encrypted.
    pub fn is_sealed(&self) -> bool {
        !self.recipients.is_empty()
    }

    /// Whom it is encrypted to; nobody if it is not.
    pub fn recipients(&self) -> &[Recipient] {
        &self.recipients
    }

    async fn mark(&self) -> Result<Option<Mark>, ReplicaError> {
        let Some(bytes) = self.small(&self.path(MARK)).await? else { return Ok(None) };
        let broken = |why: String| self.other(&format!("{MARK} is damaged ({why})"));
        let mark: Mark = serde_json::from_slice(&bytes).map_err(|e| broken(e.to_string()))?;
        if mark.format != FORMAT {
            let why = format!("it has format {}, this program knows {FORMAT}: update shoebox", mark.format);
            return Err(self.other(&why));
        }
        Ok(Some(mark))
    }

    /// Id and bytes of the copy's `archive.json`.
    async fn archive_json(&self) -> Result<Option<(ArchiveId, Vec<u8>)>, ReplicaError> {
        let Some(bytes) = self.small(&self.path("archive.json")).await? else { return Ok(None) };
        let id = crate::store::archive_id(Path::new(&self.target.to_string()), &bytes)?;
        Ok(Some((id, bytes)))
    }

    /// A small file; nothing where there is none. It has no hash to hold it against: two answers must be the same.
    async fn small(&self, path: &ObjectPath) -> Result<Option<Vec<u8>>, ReplicaError> {
        let first = self.small_once(path).await?;
        if first.is_none() || first == self.small_once(path).await? {
            return Ok(first);
        }
        let (target, why) = (self.target.to_string(), format!("two answers for {path} differ"));
        Err(ReplicaError::Unreachable { target, why })
    }

    async fn small_once(&self, path: &ObjectPath) -> Result<Option<Vec<u8>>, ReplicaError> {
        let answer = match within(0, self.objects.get(path)).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            other => other.map_err(|e| self.failed(&e))?,
        };
        if answer.meta.size > LONGEST_MARK {
            return Err(self.other(&format!("{path} has {} bytes", answer.meta.size)));
        }
        Ok(Some(within(0, answer.bytes()).await.map_err(|e| self.failed(&e))?.to_vec()))
    }

    fn require_same(&self, found: &Mark, wanted: &Mark) -> Result<(), ReplicaError> {
        if found.archive_id != wanted.archive_id {
            let why = format!(
                "it is a replica of archive {}, not of {}: choose another place",
                found.archive_id, wanted.archive_id
            );
            return Err(self.other(&why));
        }
        let sorted = |recipients: &[String]| {
            let mut sorted = recipients.to_vec();
            sorted.sort();
            sorted
        };
        if sorted(&found.recipients) == sorted(&wanted.recipients) {
            return Ok(());
        }
        let how = |recipients: &[String]| match recipients {
            [] => "not encrypted".to_owned(),
            some => format!("encrypted to {}", some.join(", ")),
        };
        let why = format!(
            "what is there is {}, and --encrypt-to asks for a replica that is {}: one replica is one or the other. Give \
             the same keys, or another place",
            how(&found.recipients),
            how(&wanted.recipients)
        );
        Err(self.other(&why))
    }

    /// Nothing is there but perhaps a plain copy of the same archive, by another program.
    async fn require_empty(&self, wanted: &Mark) -> Result<(), ReplicaError> {
        let there = self.objects.list_with_delimiter(Some(self.target.prefix())).await;
        let there = match there {
            Err(object_store::Error::NotFound { .. }) => return Ok(()),
            other => other.map_err(|e| self.failed(&e))?,
        };
        if let Some((id, _)) = self.archive_json().await? {
            let plain = Mark { format: FORMAT, archive_id: id, recipients: Vec::new() };
            // An encrypted one that was interrupted right at its beginning has nothing in it yet.
            return if there.common_prefixes.is_empty() && plain.archive_id == wanted.archive_id {
                Ok(())
            } else {
                self.require_same(&plain, wanted)
            };
        }
        let documents = ["README.txt", "FORMAT.md"].map(|name| self.path(name));
        let names = there.objects.into_iter().map(|object| object.location).chain(there.common_prefixes);
        match names.into_iter().find(|name| !documents.contains(name)) {
            Some(name) => Err(self.other(&format!("it holds {name}: choose an empty place for the replica"))),
            None => Ok(()),
        }
    }

    /// Writes a small file, unless it is there.
    async fn create(&self, name: &str, bytes: Vec<u8>) -> Result<(), ReplicaError> {
        let path = self.path(name);
        // Asked for first: not every server knows conditional writes.
        if self.small(&path).await?.is_some() {
            return Ok(());
        }
        let payload = PutPayload::from(bytes);
        let put = |mode: PutMode| {
            let options = PutOptions { mode, ..PutOptions::default() };
            within(0, self.objects.put_opts(&path, payload.clone(), options))
        };
        // In a directory a condition needs hard links, which many a disk that is carried about does not have.
        if self.target.directory().is_none() && self.conditional.load(Ordering::Relaxed) {
            match put(PutMode::Create).await {
                Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => return Ok(()),
                Err(error) if is_unknown_there(&error) => self.conditional.store(false, Ordering::Relaxed),
                Err(error) => return Err(self.failed(&error)),
            }
        }
        put(PutMode::Overwrite).await.map(|_| ()).map_err(|e| self.failed(&e))
    }

    fn path(&self, name: &str) -> ObjectPath {
        name.split('/').fold(self.target.prefix().clone(), |path, part| path.join(part))
    }

    /// Where a file of the archive is.
    fn object(&self, file: &Immutable) -> ObjectPath {
        self.path(&format!("{}{}", file.path(), self.suffix()))
    }

    fn suffix(&self) -> &'static str {
        if self.is_sealed() { ".age" } else { "" }
    }

    /// Whether a file is there.
    async fn has(&self, file: &Immutable) -> Result<bool, ReplicaError> {
        match within(0, self.objects.head(&self.object(file))).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// The files in a directory of the replica with their sizes there, sorted by name. What does not belong there is
    /// left out.
    async fn list(&self, group: Group) -> Result<Vec<(Immutable, u64)>, ReplicaError> {
        use futures_util::TryStreamExt as _;
        let dir = self.path(&group.path());
        let mut files = Vec::new();
        let mut listing = self.objects.list(Some(&dir));
        loop {
            match within(0, listing.try_next()).await {
                Ok(Some(object)) => {
                    let name = object.location.filename().and_then(|name| name.strip_suffix(self.suffix()));
                    files.extend(name.and_then(|name| group.file(name)).map(|file| (file, object.size)));
                }
                // A directory that is not there yet.
                Ok(None) | Err(object_store::Error::NotFound { .. }) => break,
                Err(error) => return Err(self.failed(&error)),
            }
        }
        files.sort_unstable();
        Ok(files)
    }

    fn other(&self, why: &str) -> ReplicaError {
        ReplicaError::Other { target: self.target.to_string(), why: why.to_owned() }
    }

    /// What an answer of the far end means for the whole.
    fn failed(&self, error: &object_store::Error) -> ReplicaError {
        let target = self.target.to_string();
        let why = target::in_words(error);
        if why.starts_with("NoSuchBucket") {
            return ReplicaError::Other { target, why: "there is no such bucket: make it first".to_owned() };
        }
        match error {
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                ReplicaError::Refused { target, why }
            }
            _ => ReplicaError::Unreachable { target, why },
        }
    }
}

/// Tries several times what a bad line may have spoilt.
async fn patiently<T, F: Future<Output = Result<T, ReplicaError>>>(
    once: impl FnMut() -> F,
) -> Result<T, ReplicaError> {
    let pauses = ExponentialBuilder::default().with_jitter().with_max_times(TRIES - 1);
    once.retry(pauses).when(|error| matches!(error, ReplicaError::Unreachable { .. })).await
}

/// An archive is no second copy of itself.
fn refuse_itself(target: &Target, directory: &Path, store: &Store) -> Result<(), ReplicaError> {
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    // What does not exist yet will be where its nearest existing parent is.
    let Some(directory) = absolute.ancestors().find_map(|path| path.canonicalize().ok()) else {
        return Ok(());
    };
    let root = store.root().canonicalize().unwrap_or_else(|_| store.root().to_owned());
    let same_file = |name: &str| {
        use std::os::unix::fs::MetadataExt as _;
        let id = |dir: &Path| std::fs::metadata(dir.join(name)).map(|meta| (meta.dev(), meta.ino())).ok();
        id(&directory).is_some_and(|there| id(&root) == Some(there))
    };
    if directory.starts_with(&root) || same_file("archive.json") {
        let why = "this is the archive itself, or a directory in it: a second copy belongs on another disk";
        return Err(ReplicaError::Usage(format!("{target}: {why}")));
    }
    Ok(())
}
