//! Why the file system refuses something.

use std::io;

/// Why an operation is refused.
#[derive(Debug)]
pub enum FsError {
    /// There is no such name or inode.
    NotFound,
    /// A directory was expected.
    NotADirectory,
    /// A file was expected.
    IsADirectory,
    /// It cannot be changed.
    ReadOnly,
    /// Nobody opened that.
    BadHandle,
    /// The file has new bytes, and somebody still has the old ones open.
    Stale,
    /// The disk refuses.
    Io(io::Error),
}

impl From<FsError> for io::Error {
    fn from(error: FsError) -> Self {
        match error {
            FsError::Io(error) => error,
            other => Self::other(format!("{other:?}")),
        }
    }
}
