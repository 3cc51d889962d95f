//! Leaving: the archive as plain folders by date, with the names of the view and a list of hashes.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;

use crate::index::{IndexError, IndexReader};
use crate::model::{ErrorClass, Hasher, Sha256};
use crate::store::{Store, StoreError};
use crate::view::layout::shipped;
use crate::view::tree::{Loading, Realm, Walked};

/// The view whose paths an export has.
const VIEW: &str = "by-date";
/// Bytes read at once.
const CHUNK: usize = 1024 * 1024;

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The target is inside the archive.
    #[error("{0} is inside the archive: export to another place")]
    Inside(PathBuf),
    /// A file of another content has the name.
    #[error("{0} exists and is not what would be written: move it away, or export to an empty directory")]
    Different(PathBuf),
    /// A blob is not what its name says.
    #[error("the archived file for {0} is damaged: run `shoebox verify`")]
    Damaged(PathBuf),
    /// The system refuses.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
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
            Self::Different(_) | Self::Io(..) => ErrorClass::Environment,
            Self::Damaged(_) => ErrorClass::Damaged,
            Self::Index(e) => e.class(),
            Self::Store(e) => e.class(),
        }
    }
}

/// What an export did.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExportReport {
    /// Files written.
    pub copied: u64,
    /// Files that were there already.
    pub kept: u64,
    /// Whether it went through.
    pub complete: bool,
}

/// Copies everything below `YYYY/YYYY-MM/`; may be repeated, and goes on where it was stopped.
///
/// A file appears under its name only when it is whole, has the hash of its blob and the time of its capture.
/// `SHA256SUMS` appears last, when everything is on the disk: `sha256sum --check SHA256SUMS` proves it.
///
/// # Errors
/// [`ExportError`]; nothing that was there before is overwritten.
pub fn run(
    reader: &IndexReader,
    store: &Store,
    target: &Path,
    stop: &CancellationToken,
) -> Result<ExportReport, ExportError> {
    refuse_inside(target, store.root())?;
    fs::create_dir_all(target).map_err(io_error(target))?;
    let views: Vec<_> = shipped().into_iter().filter(|view| view.name == VIEW).collect();
    let mut loading = Loading::new(&views, Realm::Now);
    loading.fill(&[], 0, 1, |sinks| reader.items(0..=u64::MAX, |item| sinks[0](item)))?;
    let tree = loading.finish();
    let mut report = ExportReport::default();
    let list = target.join("SHA256SUMS");
    let draft = target.join(".shoebox-SHA256SUMS.part");
    let mut sums = io::BufWriter::new(File::create(&draft).map_err(io_error(&draft))?);
    for leaf in tree.leaves(VIEW) {
        if stop.is_cancelled() {
            return Ok(report);
        }
        // The view's own name is of no use to who leaves.
        let path = leaf.path.strip_prefix(VIEW).unwrap_or(&leaf.path).trim_start_matches('/');
        if export(&leaf, &target.join(path), store)? {
            report.copied += 1;
        } else {
            report.kept += 1;
        }
        // sha256sum's way to write a backslash in a name; no other character that it escapes is in ours.
        let mark = if path.contains('\\') { "\\" } else { "" };
        writeln!(sums, "{mark}{}  {}", leaf.sha256, path.replace('\\', "\\\\")).map_err(io_error(&draft))?;
    }
    sums.flush().map_err(io_error(&draft))?;
    let sync =
        || rustix::fs::syncfs(sums.get_ref()).map_err(|e| ExportError::Io(target.to_owned(), e.into()));
    sync()?;
    fs::rename(&draft, &list).map_err(io_error(&list))?;
    sync()?;
    report.complete = true;
    Ok(report)
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
                    || hash(&File::open(to).map_err(io_error(to))?).map_err(io_error(to))? == leaf.sha256);
            return if same { Ok(false) } else { Err(ExportError::Different(to.to_owned())) };
        }
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(io_error(folder))?;
    }
    let partial = to.with_file_name(format!(".shoebox-{}.part", &leaf.sha256.hex()[..16]));
    let bytes = store.open_blob(&leaf.sha256)?;
    let (copy, sha256) = copy(&bytes, &partial).map_err(io_error(&partial))?;
    if sha256 != leaf.sha256 {
        fs::remove_file(&partial).map_err(io_error(&partial))?;
        return Err(ExportError::Damaged(to.to_owned()));
    }
    copy.set_times(fs::FileTimes::new().set_modified(mtime)).map_err(io_error(&partial))?;
    fs::rename(&partial, to).map_err(io_error(to))?;
    Ok(true)
}

/// Shares the bytes where the file system can, else copies them; hashes them either way.
fn copy(mut from: &File, to: &Path) -> io::Result<(File, Sha256)> {
    let mut out = File::create(to)?;
    if rustix::fs::ioctl_ficlone(&out, from).is_ok() {
        return hash(from).map(|sha256| (out, sha256));
    }
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            return Ok((out, hasher.finish().sha256));
        }
        hasher.update(&buffer[..n]);
        out.write_all(&buffer[..n])?;
    }
}

fn hash(mut file: &File) -> io::Result<Sha256> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(hasher.finish().sha256);
        }
        hasher.update(&buffer[..n]);
    }
}
