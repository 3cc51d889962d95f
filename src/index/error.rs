//! What can go wrong in the index. Most of it is cured by making the index again.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::{ErrorClass, MediaKey};
use crate::store::StoreError;

/// An error of the index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// There is none.
    #[error("there is no index at {}: run `shoebox rebuild-index`", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// `create` found one.
    #[error("there is an index at {} already", path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// Not SQLite, damaged pages, or rows that cannot be.
    #[error("the index {} is damaged ({why}): run `shoebox rebuild-index`", path.display())]
    Damaged {
        /// Where.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// It belongs to something else.
    #[error("the index {} belongs to another archive or program ({found}): run `shoebox rebuild-index`", path.display())]
    Foreign {
        /// Where.
        path: PathBuf,
        /// What it says of itself.
        found: String,
    },
    /// Another version's.
    #[error("the index {} has version {found}, this program needs {known}: run `shoebox rebuild-index`", path.display())]
    Version {
        /// Where.
        path: PathBuf,
        /// Version found.
        found: i64,
        /// Version needed.
        known: i64,
    },
    /// The SQLite library has a bug that loses commits.
    #[error("SQLite {found} can lose data (fixed in 3.51.3): use a shoebox that was built with a later one")]
    OldSqlite {
        /// Its version.
        found: String,
    },
    /// Locks and shared memory do not work there.
    #[error("the index {} lies on the network volume {kind}: put it on a local disk", path.display())]
    NetworkVolume {
        /// Where.
        path: PathBuf,
        /// Kind of volume.
        kind: &'static str,
    },
    /// Two records contradict each other.
    #[error("the record {record} of item {key} contradicts another one: {why}; run `shoebox verify`")]
    Conflict {
        /// The item.
        key: MediaKey,
        /// Hash of the record.
        record: String,
        /// What does not fit.
        why: String,
    },
    /// SQLite refused.
    #[error("the index {} cannot be used: {source}", path.display())]
    Sql {
        /// Where.
        path: PathBuf,
        /// SQLite's answer.
        source: rusqlite::Error,
    },
    /// Work that was committed together with this failed, so nothing of it is in the index.
    #[error("the index {} did not take the change: {why}; the records are safe, the next start reads them", path.display())]
    NotCommitted {
        /// Where.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// No room on its volume.
    #[error(
        "the index {} has no room: its volume has {free} bytes free, but {needed} are needed; the records are safe, \
         free some space", path.display()
    )]
    NoSpace {
        /// Where.
        path: PathBuf,
        /// Bytes free.
        free: u64,
        /// Bytes that it may need at once.
        needed: u64,
    },
    /// Opened for reading only, or closed already.
    #[error("the index {} is not open for writing", path.display())]
    Closed {
        /// Where.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
    /// The records could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl IndexError {
    /// Who has to act.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Missing { .. } | Self::Damaged { .. } | Self::Conflict { .. } => ErrorClass::Damaged,
            Self::Foreign { .. }
            | Self::Version { .. }
            | Self::OldSqlite { .. }
            | Self::NetworkVolume { .. }
            | Self::Sql { .. }
            | Self::NoSpace { .. }
            | Self::NotCommitted { .. }
            | Self::Io { .. } => ErrorClass::Environment,
            Self::Exists { .. } | Self::Closed { .. } => ErrorClass::Bug,
            Self::Store(error) => error.class(),
        }
    }

    /// Bytes that must become free before it can go on, where the volume is full.
    pub fn lacks_space(&self) -> Option<u64> {
        match self {
            Self::NoSpace { needed, .. } => Some(*needed),
            Self::Io { source, .. } => (source.kind() == io::ErrorKind::StorageFull).then_some(ROOM),
            Self::Store(error) => error.lacks_space(),
            _ => None,
        }
    }

    /// Whether making the index again from the records helps.
    pub fn is_curable(&self) -> bool {
        matches!(
            self,
            Self::Missing { .. } | Self::Damaged { .. } | Self::Foreign { .. } | Self::Version { .. }
        )
    }

    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// For `map_err`: what SQLite says about damage is damage.
    pub(super) fn sql(path: &Path) -> impl Fn(rusqlite::Error) -> Self + '_ {
        use rusqlite::Error;
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, Unknown};
        move |source| {
            let damaged = match &source {
                // Unknown is SQLite's general error: our statements are right, so a table is missing.
                Error::SqliteFailure(failure, _) | Error::SqlInputError { error: failure, .. } => {
                    matches!(failure.code, DatabaseCorrupt | NotADatabase | Unknown)
                }
                Error::FromSqlConversionFailure(..)
                | Error::InvalidColumnType(..)
                | Error::InvalidColumnName(..)
                | Error::IntegralValueOutOfRange(..)
                | Error::QueryReturnedNoRows => true,
                _ => false,
            };
            if damaged {
                Self::Damaged { path: path.to_owned(), why: source.to_string() }
            } else if let Some(free) = lack_of_room(path, &source) {
                Self::NoSpace { path: path.to_owned(), free, needed: ROOM }
            } else if cannot_write_beside(path, &source) {
                let source = io::ErrorKind::ReadOnlyFilesystem.into();
                Self::Io { action: "make the log and the shared memory of", path: path.to_owned(), source }
            } else {
                Self::Sql { path: path.to_owned(), source }
            }
        }
    }

    /// Work was not committed.
    pub(super) fn not_committed(path: &Path, error: &rusqlite::Error) -> Self {
        match lack_of_room(path, error) {
            Some(free) => Self::NoSpace { path: path.to_owned(), free, needed: ROOM },
            None => Self::NotCommitted { path: path.to_owned(), why: error.to_string() },
        }
    }
}

/// What SQLite may need at once: a log of a thousand pages before it is merged, and the pages that it is merged into.
const ROOM: u64 = 8 << 20;

/// Whether the index could not be opened because its volume is read-only: also who reads shares memory with who writes,
/// in a file beside the index. SQLite does not say so.
fn cannot_write_beside(path: &Path, error: &rusqlite::Error) -> bool {
    let cannot_open = error.sqlite_error_code() == Some(rusqlite::ErrorCode::CannotOpen);
    let flags = rustix::fs::statvfs(path).map(|stat| stat.f_flag);
    cannot_open && flags.is_ok_and(|flags| flags.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

/// The free bytes, where these are why SQLite refused. Short of room for its shared memory or at a flush, it speaks
/// of the disk only.
fn lack_of_room(path: &Path, error: &rusqlite::Error) -> Option<u64> {
    use rusqlite::ErrorCode::{CannotOpen, DiskFull, SystemIoFailure};
    let code = error.sqlite_error_code()?;
    let stat = rustix::fs::statvfs(path.parent().filter(|dir| *dir != Path::new(""))?).ok()?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    (code == DiskFull || (matches!(code, SystemIoFailure | CannotOpen) && free < 1 << 20)).then_some(free)
}
