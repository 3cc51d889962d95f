//! Leaving: the archive as plain folders by any view, with a list of hashes; beside the photos, if wanted, what is known
//! of them, and a catalogue that a browser opens from the disk.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;

use crate::archive::{Archive, index_path};
use crate::index::IndexError;
use crate::model::digest::sha256_of;
use crate::model::name::printable;
use crate::model::{ErrorClass, Hasher, Sha256};
use crate::store::{Store, StoreError};
use crate::view::IndexSource;
use crate::view::layout::{View, shipped};
use crate::view::source::load;
use crate::view::tree::Walked;

mod beside;
mod catalogue;

/// The view whose paths an export has, if nobody says otherwise.
const VIEW: &str = "by-date";
/// The list of hashes.
const LIST: &str = "SHA256SUMS";
/// Bytes read at once.
const CHUNK: usize = 1024 * 1024;

/// What is exported.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whose paths the files have.
    pub view: View,
    /// With an XMP and a JSON sidecar beside each original.
    pub sidecars: bool,
    /// With a catalogue.
    pub catalogue: bool,
}

impl Default for Options {
    /// By date, nothing beside.
    fn default() -> Self {
        #[expect(clippy::unwrap_used, reason = "it is shipped")]
        let view = shipped().into_iter().find(|view| view.name == VIEW).unwrap();
        Self { view, sidecars: false, catalogue: false }
    }
}

/// Why an export ended early, or why a file is not in it.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The target is inside the archive.
    #[error("{0} is inside the archive: export to another place")]
    Inside(PathBuf),
    /// A file of another content has the name.
    #[error("{0} exists and is not what would be written: move it away, or export to an empty directory")]
    Different(PathBuf),
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
            Self::Different(_) | Self::Unreadable(..) | Self::Io(..) | Self::View(_) => {
                ErrorClass::Environment
            }
            Self::Damaged(_) => ErrorClass::Damaged,
            Self::Index(e) => e.class(),
            Self::Store(e) => e.class(),
        }
    }

    /// Whether it says nothing of the other files: a name or a size that the target's file system does not take (FAT ends
    /// at 4 GB) is one file's trouble, a full or vanished target everybody's.
    fn is_of_one_file(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, InvalidFilename, InvalidInput, IsADirectory, NotADirectory};
        match self {
            Self::Different(_) | Self::Damaged(_) | Self::Unreadable(..) => true,
            Self::Io(_, error) => {
                let kinds = [FileTooLarge, InvalidFilename, InvalidInput, IsADirectory, NotADirectory];
                kinds.contains(&error.kind())
            }
            Self::Store(error) => error.class() == ErrorClass::Damaged,
            Self::Inside(_) | Self::View(_) | Self::Index(_) => false,
        }
    }
}

/// What an export did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Archived files written.
    pub copied: u64,
    /// Archived files that were there already.
    pub kept: u64,
    /// Sidecars written, or written anew because more is known by now.
    pub sidecars: u64,
    /// Sidecars that another program has changed, which were left alone.
    pub foreign: u64,
    /// Pages of the catalogue.
    pub pages: u64,
    /// Files and sidecars that could not be written, each of which was told.
    pub left_out: u64,
    /// Whether it went through.
    pub complete: bool,
}

impl ExportReport {
    /// Goes on without a file, where the trouble is its own.
    fn leave_out(&mut self, error: ExportError) -> Result<(), ExportError> {
        if !error.is_of_one_file() {
            return Err(error);
        }
        tracing::error!("left out: {}", printable(&error.to_string()));
        self.left_out += 1;
        Ok(())
    }
}

/// Copies everything that a view shows; may be repeated, and goes on where it was stopped.
///
/// A file appears under its name only when it is whole, has the hash of its blob and the time of its capture.
/// `SHA256SUMS` appears last, when everything is on the disk: `sha256sum --check SHA256SUMS` proves it. What could not be
/// written is told, counted and in that list all the same, which therefore proves nothing that is not there.
///
/// # Errors
/// [`ExportError`], where no further file could be written; nothing that was there before is overwritten, but for sidecars
/// and pages of an earlier export.
pub fn run(
    archive: &Archive,
    target: &Path,
    options: &Options,
    stop: &CancellationToken,
) -> Result<ExportReport, ExportError> {
    let store = &archive.store;
    refuse_inside(target, store.root())?;
    fs::create_dir_all(target).map_err(io_error(target))?;
    let view = View { sidecars: options.view.sidecars || options.sidecars, ..options.view.clone() };
    let mut source = IndexSource::new(index_path(store.root()), store.id().clone());
    let tree = load(&mut source, std::slice::from_ref(&view)).map_err(ExportError::View)?;
    let leaves = tree.leaves_and_sidecars(&view.name);
    refuse_our_own_names(leaves.iter().map(|leaf| below(&view, leaf)), options.catalogue)?;
    let mut report = ExportReport::default();
    let mut sums = Sums::begin(target)?;
    for leaf in leaves.iter().filter(|leaf| !leaf.is_sidecar) {
        if stop.is_cancelled() {
            return Ok(report);
        }
        let path = below(&view, leaf);
        match export(leaf, &target.join(path), store) {
            Ok(true) => report.copied += 1,
            Ok(false) => report.kept += 1,
            Err(error) => report.leave_out(error)?,
        }
        sums.add(path, &leaf.sha256)?;
    }
    let reader = archive.index.reader()?;
    let mut beside = beside::Beside::begin(target, &mut sums, &mut report)?;
    for leaf in leaves.iter().filter(|leaf| leaf.is_sidecar) {
        if stop.is_cancelled() {
            return Ok(report);
        }
        beside.xmp(&tree, &reader, leaf, below(&view, leaf))?;
    }
    if options.sidecars {
        let originals = leaves.iter().filter(|leaf| !leaf.is_sidecar).map(|leaf| (leaf, below(&view, leaf)));
        if !beside.json(store, &reader, &tree, originals, stop)? {
            return Ok(report);
        }
    }
    if options.catalogue {
        let files: Vec<_> =
            leaves.iter().filter(|leaf| !leaf.is_sidecar).map(|leaf| (leaf, below(&view, leaf))).collect();
        match catalogue::write(archive, &tree, &files, target, stop)? {
            Some(pages) => {
                report.pages = pages.iter().filter(|(path, _)| path.ends_with(".html")).count() as u64;
                pages.iter().try_for_each(|(path, sha256)| sums.add(path, sha256))?;
            }
            None => return Ok(report),
        }
    }
    sums.end()?;
    report.complete = true;
    Ok(report)
}

/// Refuses a view that would put files where the list of hashes is, or the catalogue.
fn refuse_our_own_names<'a>(
    mut paths: impl Iterator<Item = &'a str>,
    with_catalogue: bool,
) -> Result<(), ExportError> {
    let is_ours = |path: &&str| {
        let first = path.split('/').next().unwrap_or(path);
        path.eq_ignore_ascii_case(LIST) || with_catalogue && first.eq_ignore_ascii_case(catalogue::DIR)
    };
    match paths.find(is_ours) {
        Some(path) => Err(ExportError::View(format!(
            "the view has {path}, where the list of hashes or the catalogue is: choose a view with folders of other \
             names, or leave the catalogue out"
        ))),
        None => Ok(()),
    }
}

/// The view's own name is of no use to who leaves.
fn below<'a>(view: &View, leaf: &'a Walked) -> &'a str {
    leaf.path.strip_prefix(&view.name).unwrap_or(&leaf.path).trim_start_matches('/')
}

/// `SHA256SUMS` while it is written.
struct Sums<'a> {
    target: &'a Path,
    draft: PathBuf,
    to: io::BufWriter<File>,
}

impl<'a> Sums<'a> {
    fn begin(target: &'a Path) -> Result<Self, ExportError> {
        // While anything is written, there is no list that could be wrong.
        let list = target.join(LIST);
        match fs::remove_file(&list) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(ExportError::Io(list, error));
            }
            _ => {}
        }
        let draft = target.join(".shoebox-SHA256SUMS.part");
        let to = io::BufWriter::new(File::create(&draft).map_err(io_error(&draft))?);
        Ok(Self { target, draft, to })
    }

    fn add(&mut self, path: &str, sha256: &Sha256) -> Result<(), ExportError> {
        // sha256sum's way to write a backslash in a name; no other character that it escapes is in ours.
        let mark = if path.contains('\\') { "\\" } else { "" };
        writeln!(self.to, "{mark}{sha256}  {}", path.replace('\\', "\\\\")).map_err(io_error(&self.draft))
    }

    fn end(mut self) -> Result<(), ExportError> {
        self.to.flush().map_err(io_error(&self.draft))?;
        let sync = || {
            let synced = rustix::fs::syncfs(self.to.get_ref());
            synced.map_err(|e| ExportError::Io(self.target.to_owned(), e.into()))
        };
        sync()?;
        let list = self.target.join(LIST);
        fs::rename(&self.draft, &list).map_err(io_error(&list))?;
        sync()
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> ExportError + use<> {
    let path = path.to_owned();
    move |e| ExportError::Io(path, e)
}

/// Refuses a target inside the archive, before anything is made there.
fn refuse_inside(target: &Path, root: &Path) -> Result<(), ExportError> {
    let root = root.canonicalize().map_err(io_error(root))?;
    let absolute = std::path::absolute(target).map_err(io_error(target))?;
    // What does not exist yet will be where its nearest existing parent is.
    let existing = absolute.ancestors().find_map(|path| path.canonicalize().ok());
    if existing.is_some_and(|path| path.starts_with(&root)) {
        return Err(ExportError::Inside(target.to_owned()));
    }
    Ok(())
}

/// Writes one file; `false` if it is there already.
fn export(leaf: &Walked, to: &Path, store: &Store) -> Result<bool, ExportError> {
    let mtime = SystemTime::from(leaf.attr.mtime);
    match fs::symlink_metadata(to) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(ExportError::Io(to.to_owned(), e)),
        Ok(there) => {
            let same_size = there.is_file() && there.len() == leaf.attr.size;
            // Our own time on it tells our own copy; anything else is read.
            let same = same_size
                && (there.modified().is_ok_and(|time| time == mtime)
                    || sha256_of(File::open(to).map_err(io_error(to))?).map_err(io_error(to))?.0
                        == leaf.sha256);
            return if same { Ok(false) } else { Err(ExportError::Different(to.to_owned())) };
        }
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(io_error(folder))?;
    }
    let partial = to.with_file_name(format!(".shoebox-{}.part", &leaf.sha256.hex()[..16]));
    let copy = copy(store, leaf, to, &partial).inspect_err(|_| {
        // Of what is left out nothing is left; what is not there could not be made.
        if let Err(error) = fs::remove_file(&partial) {
            tracing::debug!("{}: {error}", partial.display());
        }
    })?;
    // A name that a power cut leaves without its bytes could not be told from somebody else's file.
    copy.sync_data().map_err(io_error(&partial))?;
    copy.set_times(fs::FileTimes::new().set_modified(mtime)).map_err(io_error(&partial))?;
    fs::rename(&partial, to).map_err(io_error(to))?;
    Ok(true)
}

/// Shares the bytes where the file system can, else copies them; hashes them either way.
fn copy(store: &Store, leaf: &Walked, to: &Path, partial: &Path) -> Result<File, ExportError> {
    let unreadable = |error| ExportError::Unreadable(to.to_owned(), error);
    let from = store.open_blob(&leaf.sha256).map_err(|error| match error {
        StoreError::MissingBlob { .. } => ExportError::Damaged(to.to_owned()),
        StoreError::Io { source, .. } => unreadable(source),
        other => ExportError::Store(other),
    })?;
    let mut out = File::create(partial).map_err(io_error(to))?;
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
                    out.write_all(&buffer[..n]).map_err(io_error(to))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(error)),
            }
        }
    };
    if sha256 == leaf.sha256 { Ok(out) } else { Err(ExportError::Damaged(to.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_the_target_cannot_have_is_no_reason_to_end() {
        let is_of_one = |errno: rustix::io::Errno| {
            ExportError::Io(PathBuf::from("x"), io::Error::from(errno)).is_of_one_file()
        };
        use rustix::io::Errno;
        for errno in [Errno::FBIG, Errno::NAMETOOLONG, Errno::INVAL, Errno::ISDIR, Errno::NOTDIR] {
            assert!(is_of_one(errno), "{errno}");
        }
        for errno in [Errno::NOSPC, Errno::ROFS, Errno::IO, Errno::ACCESS, Errno::DQUOT, Errno::STALE] {
            assert!(!is_of_one(errno), "{errno}");
        }
    }
}
