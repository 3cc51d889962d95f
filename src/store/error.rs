//! What can go wrong in the store, each as one sentence that names the thing and says what to do.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::{ErrorClass, MediaKey, Sha256};

/// Bytes that are asked for where the system says that a volume is full and nobody knows by how much.
const SOME_ROOM: u64 = 64 << 20;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// There is no archive at that place.
    #[error(
        "{} holds no archive ({why}); if an archive was kept here, its volume is not mounted, \
         otherwise create one with `shoebox init --data {}`", root.display(), root.display()
    )]
    NoArchive {
        /// The place.
        root: PathBuf,
        /// What is missing.
        why: String,
    },
    /// The directory of a new archive is in use by something else.
    #[error("{} is not empty (it holds {found:?}): choose an empty directory for the archive", root.display())]
    NotEmpty {
        /// The place.
        root: PathBuf,
        /// One of the things in the way.
        found: String,
    },
    /// `init` found an archive; nothing was changed.
    #[error("{} is already an archive (id {id}); nothing to do", root.display())]
    AlreadyAnArchive {
        /// The place.
        root: PathBuf,
        /// Its id.
        id: String,
    },
    /// `archive.json` or a directory of the archive is damaged or missing.
    #[error("the archive {} is incomplete: {why}; restore it from a copy, shoebox will not guess", root.display())]
    Broken {
        /// The place.
        root: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Written by a later program.
    #[error(
        "the archive {} has format {found}, this program knows {known}: update shoebox", root.display()
    )]
    NewerFormat {
        /// The place.
        root: PathBuf,
        /// Format found.
        found: u64,
        /// Format known.
        known: u64,
    },
    /// Written by an earlier program whose format is no longer read.
    #[error(
        "the archive {} has the old format {found}, this program reads {known}: open it with the \
         shoebox version that wrote it, or copy its originals out as its README.txt says", root.display()
    )]
    OlderFormat {
        /// The place.
        root: PathBuf,
        /// Format found.
        found: u64,
        /// Format known.
        known: u64,
    },
    /// Another process writes to the archive.
    #[error("the archive {} is in use by {holder}: stop it first, or wait", root.display())]
    Locked {
        /// The place.
        root: PathBuf,
        /// Process and host.
        holder: String,
    },
    /// Opened for reading.
    #[error("the archive {} was opened for reading only", root.display())]
    ReadOnly {
        /// The place.
        root: PathBuf,
    },
    /// A flush failed earlier, so nothing that this process wrote since can be relied on.
    #[error(
        "the archive accepts no more writes in this run, because flushing failed earlier ({first}): check the disk, then start again"
    )]
    Poisoned {
        /// The first failure.
        first: String,
    },
    /// Not enough room.
    #[error("{} has {free} bytes free, but {needed} are needed and {reserve} are kept in reserve: free some space", root.display())]
    NoSpace {
        /// The place.
        root: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        free: u64,
        /// Bytes kept free.
        reserve: u64,
    },
    /// More bytes came than were announced.
    #[error("more than the announced {claimed} bytes came")]
    TooLong {
        /// Bytes announced.
        claimed: u64,
    },
    /// A file offered for adoption is not one that may be adopted.
    #[error("{} cannot be taken into the archive: {why}", path.display())]
    NotAdoptable {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The disk gave back other bytes than were written.
    #[error(
        "the disk returned other bytes than were written for {wanted} ({got} came back): check memory, cable and disk"
    )]
    ReadBack {
        /// What was written.
        wanted: Sha256,
        /// What came back.
        got: Sha256,
    },
    /// A record does not continue the chain of its item.
    #[error("revision {seq} of item {key} cannot be recorded: {why}")]
    Chain {
        /// The item.
        key: MediaKey,
        /// The revision.
        seq: u32,
        /// What does not fit.
        why: String,
    },
    /// A record names a blob that is not proven to be stored.
    #[error("item {key} cannot be recorded: its blob {sha256} is not stored")]
    Unproven {
        /// The item.
        key: MediaKey,
        /// The blob.
        sha256: Sha256,
    },
    /// A record file is not what its name says.
    #[error("the record {} is damaged ({why}): restore it from a copy of the archive", path.display())]
    DamagedRecord {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A record was written by a later program.
    #[error("the record {} has schema {schema}, which this program does not know: update shoebox", path.display())]
    NewerRecord {
        /// The file.
        path: PathBuf,
        /// Its schema.
        schema: u64,
    },
    /// A file that shoebox did not put there.
    #[error("{} does not belong to the archive: move it elsewhere", path.display())]
    Stray {
        /// The file.
        path: PathBuf,
    },
    /// A blob is not there.
    #[error("the blob {sha256} is missing from the archive: run `shoebox verify`")]
    MissingBlob {
        /// Its name.
        sha256: Sha256,
    },
    /// The hash functions of this machine give wrong answers.
    #[error("this machine computes wrong hashes; nothing may be stored with it: check memory and processor")]
    SelfTest,
}

impl StoreError {
    /// Who has to act.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Io { .. }
            | Self::NoArchive { .. }
            | Self::NewerFormat { .. }
            | Self::OlderFormat { .. }
            | Self::NewerRecord { .. }
            | Self::Poisoned { .. }
            | Self::NoSpace { .. }
            | Self::SelfTest => ErrorClass::Environment,
            Self::NotEmpty { .. } | Self::AlreadyAnArchive { .. } => ErrorClass::Usage,
            Self::Locked { .. } => ErrorClass::Locked,
            Self::Broken { .. }
            | Self::ReadBack { .. }
            | Self::DamagedRecord { .. }
            | Self::Stray { .. }
            | Self::MissingBlob { .. } => ErrorClass::Damaged,
            // A transfer that overran can be tried again; the rest are mistakes of the caller.
            Self::TooLong { .. } => ErrorClass::Transient,
            Self::ReadOnly { .. }
            | Self::NotAdoptable { .. }
            | Self::Chain { .. }
            | Self::Unproven { .. } => ErrorClass::Bug,
        }
    }

    /// Bytes that must become free before it can go on, where the volume is full.
    pub fn lacks_space(&self) -> Option<u64> {
        match self {
            Self::NoSpace { needed, .. } => Some(*needed),
            Self::Io { source, .. } if is_full(source) => Some(SOME_ROOM),
            _ => None,
        }
    }

    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// Whether the system refused for want of space.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
