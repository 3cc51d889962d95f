//! One file of an export: whole under its name, or not at all.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::SystemTime;

use super::error::{ExportError, refused};
use crate::model::Hasher;
use crate::model::digest::sha256_of;
use crate::store::{Store, StoreError};
use crate::view::tree::Walked;

/// Bytes read at once.
const CHUNK: usize = 1024 * 1024;

/// How a file came to be there.
pub(super) enum Done {
    /// It was.
    Kept,
    /// By now; with the time of its capture, or not.
    Copied { timed: bool },
}

/// Writes one file, unless it is there already.
pub(super) fn export(leaf: &Walked, target: &Path, path: &str, store: &Store) -> Result<Done, ExportError> {
    let to = target.join(path);
    let mtime = SystemTime::from(leaf.attr.mtime);
    match fs::symlink_metadata(&to) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(refused(target, &to)(e)),
        Ok(there) => {
            let same_size = there.is_file() && there.len() == leaf.attr.size;
            // Our own time on it tells our own copy; anything else is read, and what nobody may read is somebody's.
            let same = same_size
                && (there.modified().is_ok_and(|time| time == mtime)
                    || File::open(&to).and_then(sha256_of).is_ok_and(|(sha256, _)| sha256 == leaf.sha256));
            return if same { Ok(Done::Kept) } else { Err(ExportError::Different(to)) };
        }
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(refused(target, &to))?;
    }
    let partial = to.with_file_name(format!(".shoebox-{}.part", &leaf.sha256.hex()[..16]));
    let written = || {
        let copy = copy(store, leaf, target, &to, &partial)?;
        let refused = || refused(target, &to);
        // A name that a power cut leaves without its bytes could not be told from somebody else's file.
        copy.sync_data().map_err(refused())?;
        // A stick that is mounted for another user takes no times; the next export reads what it finds.
        let timed = match copy.set_times(fs::FileTimes::new().set_modified(mtime)) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => false,
            set => set.map(|()| true).map_err(refused())?,
        };
        fs::rename(&partial, &to).map_err(refused())?;
        Ok(Done::Copied { timed })
    };
    written().inspect_err(|_| discard(&partial))
}

/// Of what could not get its name nothing is left.
pub(super) fn discard(partial: &Path) {
    if let Err(error) = fs::remove_file(partial) {
        tracing::debug!("{}: {error}", partial.display());
    }
}

/// Shares the bytes where the file system can, else copies them; hashes them either way.
fn copy(store: &Store, leaf: &Walked, target: &Path, to: &Path, partial: &Path) -> Result<File, ExportError> {
    let unreadable = |error| ExportError::Unreadable(to.to_owned(), error);
    let from = store.open_blob(&leaf.sha256).map_err(|error| match error {
        // One that is missing is damage; where all are, the archive's volume is.
        StoreError::MissingBlob { .. } => match fs::metadata(store.root().join("archive.json")) {
            Ok(_) => ExportError::Damaged(to.to_owned()),
            Err(error) => unreadable(error),
        },
        StoreError::Io { source, .. } => unreadable(source),
        other => ExportError::Store(other),
    })?;
    let mut out = File::create(partial).map_err(refused(target, to))?;
    let sha256 = if rustix::fs::ioctl_ficlone(&out, &from).is_ok() {
        sha256_of(&from).map_err(unreadable)?.0
    } else {
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; CHUNK];
        loop {
            match (&from).read(&mut buffer) {
                Ok(0) => break hasher.finish().sha256,
                Ok(n) => {
                    hasher.update(&buffer[..n]);
                    out.write_all(&buffer[..n]).map_err(refused(target, to))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(error)),
            }
        }
    };
    if sha256 == leaf.sha256 { Ok(out) } else { Err(ExportError::Damaged(to.to_owned())) }
}
