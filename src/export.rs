//! Leaving: the archive as plain folders by date, with the names of the view and a list of hashes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::index::{IndexError, IndexReader};
use crate::model::{ErrorClass, Hasher};
use crate::store::{Store, StoreError};
use crate::view::tree::{Node, Tree};

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
pub fn run(
    reader: &IndexReader,
    store: &Store,
    target: &Path,
    stop: &CancellationToken,
) -> Result<ExportReport, ExportError> {
    let io_error = |path: &Path| {
        let path = path.to_owned();
        move |e| ExportError::Io(path, e)
    };
    fs::create_dir_all(target).map_err(io_error(target))?;
    let target = target.canonicalize().map_err(io_error(target))?;
    let root = store.root().canonicalize().map_err(io_error(store.root()))?;
    if target.starts_with(&root) {
        return Err(ExportError::Inside(target));
    }
    let mut tree = Tree::new();
    let mut after = 0;
    loop {
        let parts = reader.parts_after(after, 10_000)?;
        let Some(last) = parts.last() else { break };
        after = last.change;
        tree.apply(&parts);
    }
    let mut report = ExportReport::default();
    let list = target.join("SHA256SUMS");
    let mut sums = io::BufWriter::new(File::create(&list).map_err(io_error(&list))?);
    for (path, ino) in tree.paths("by-date") {
        if stop.is_cancelled() {
            return Ok(report);
        }
        let Some(Node::File(node)) = tree.node(ino) else { continue };
        let to = target.join(&path);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(io_error(folder))?;
        }
        match fs::symlink_metadata(&to) {
            Ok(there) if there.is_file() && there.len() == node.size => report.kept += 1,
            Ok(_) => return Err(ExportError::Different(to)),
            Err(_) => {
                let bytes = store.open_blob(&node.sha256)?;
                let partial = to.with_file_name(format!(".shoebox-{}.part", &node.sha256.hex()[..16]));
                let hash = copy(bytes, &partial).map_err(io_error(&partial))?;
                if hash != node.sha256 {
                    return Err(ExportError::Damaged(to));
                }
                let times = fs::FileTimes::new().set_modified(node.mtime);
                let file = OpenOptions::new().write(true).open(&partial).map_err(io_error(&partial))?;
                file.set_times(times).map_err(io_error(&partial))?;
                fs::rename(&partial, &to).map_err(io_error(&to))?;
                report.copied += 1;
            }
        }
        // A backslash or line feed in a name would need escapes; neither survives `safe`, the former here.
        let mark = if path.contains('\\') { "\\" } else { "" };
        writeln!(sums, "{mark}{}  {}", node.sha256, path.replace('\\', "\\\\")).map_err(io_error(&list))?;
    }
    sums.flush().map_err(io_error(&list))?;
    report.complete = true;
    Ok(report)
}

/// Copies and hashes in one pass: what is exported is checked.
fn copy(mut from: File, to: &Path) -> io::Result<crate::model::Sha256> {
    let mut out = File::create(to)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            return Ok(hasher.finish().sha256);
        }
        hasher.update(&buffer[..n]);
        out.write_all(&buffer[..n])?;
    }
}
