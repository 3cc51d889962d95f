//! Why an export ends, and why a file is not in it.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::index::IndexError;
use crate::model::ErrorClass;
use crate::store::StoreError;

/// Why an export ended early, or why a file is not in it.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The target is inside the archive.
    #[error("{0} is inside the archive: export to another place")]
    Inside(PathBuf),
    /// Something else has the name.
    #[error("{0} exists and is not what would be written: move it away, or export to an empty directory")]
    Different(PathBuf),
    /// The file system there takes no such name, or no file of that size.
    #[error(
        "{0} cannot be there ({1}): choose another file system, or for names `--view smb`, which all take"
    )]
    Unfit(PathBuf, io::Error),
    /// A blob is not what its name says, or is not there.
    #[error("the archived file for {0} is damaged or missing: run `shoebox verify`")]
    Damaged(PathBuf),
    /// A blob cannot be read.
    #[error("the archived file for {0} cannot be read: {1}")]
    Unreadable(PathBuf, io::Error),
    /// The system refuses.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    /// The view cannot be made.
    #[error("{0}")]
    View(String),
    /// The index cannot be read.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ExportError {
    /// The class that decides the exit code.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Inside(_) => ErrorClass::Usage,
            Self::Different(_) | Self::Unfit(..) | Self::Unreadable(..) | Self::Io(..) | Self::View(_) => {
                ErrorClass::Environment
            }
            Self::Damaged(_) => ErrorClass::Damaged,
            Self::Index(e) => e.class(),
            Self::Store(e) => e.class(),
        }
    }

    /// Whether it says nothing of the other files. A full or vanished target does, and an archive that this user may not
    /// read.
    pub(super) fn is_of_one_file(&self) -> bool {
        match self {
            Self::Different(_) | Self::Unfit(..) | Self::Damaged(_) => true,
            // The medium, at that place.
            Self::Unreadable(_, error) => is(error, Errno::IO),
            Self::Store(error) => error.class() == ErrorClass::Damaged,
            Self::Inside(_) | Self::Io(..) | Self::View(_) | Self::Index(_) => false,
        }
    }
}

fn is(error: &io::Error, number: Errno) -> bool {
    error.raw_os_error() == Some(number.raw_os_error())
}

/// What it means that the target's system refuses a file: the file system's fault, or this file's.
pub(super) fn refused(target: &Path, to: &Path) -> impl FnOnce(io::Error) -> ExportError + use<> {
    let (target, to) = (target.to_owned(), to.to_owned());
    move |error| {
        use io::ErrorKind::{
            AlreadyExists, FileTooLarge, InvalidFilename, InvalidInput, IsADirectory, NotADirectory, NotFound,
        };
        match error.kind() {
            AlreadyExists | IsADirectory | NotADirectory => ExportError::Different(to),
            // FAT ends at 4 GB, and refuses a name only when a file is to get it.
            FileTooLarge | InvalidFilename | InvalidInput => ExportError::Unfit(to, error),
            // So do file systems over the network and those of other systems.
            NotFound if target.is_dir() => ExportError::Unfit(to, error),
            _ if is(&error, Errno::ILSEQ) => ExportError::Unfit(to, error),
            _ => ExportError::Io(to, error),
        }
    }
}

/// An error that ends the export.
pub(super) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> ExportError + use<> {
    let path = path.to_owned();
    move |e| ExportError::Io(path, e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_the_target_cannot_have_is_no_reason_to_end() {
        let here = Path::new("src");
        let is_of_one = |target, errno: Errno| refused(target, Path::new("x"))(errno.into()).is_of_one_file();
        let one = [Errno::FBIG, Errno::NAMETOOLONG, Errno::INVAL, Errno::ILSEQ, Errno::ISDIR, Errno::NOENT];
        for errno in one {
            assert!(is_of_one(here, errno), "{errno}");
        }
        for errno in [Errno::NOSPC, Errno::ROFS, Errno::IO, Errno::ACCESS, Errno::DQUOT, Errno::STALE] {
            assert!(!is_of_one(here, errno), "{errno}");
        }
        assert!(!is_of_one(Path::new("/nowhere"), Errno::NOENT), "the stick was pulled");
        // A bad sector is one file's, an archive of another user is not.
        let unreadable = |errno: Errno| ExportError::Unreadable("x".into(), errno.into()).is_of_one_file();
        assert!(unreadable(Errno::IO) && !unreadable(Errno::ACCESS) && !unreadable(Errno::NOENT));
    }
}
