//! Leaving: the archive as plain folders by any view, with a list of hashes; beside the photos, if wanted, what is known
//! of them, and a catalogue that a browser opens from the disk.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::archive::{Archive, index_path};
use crate::model::Sha256;
use crate::model::name::printable;
use crate::view::IndexSource;
use crate::view::layout::{View, shipped};
use crate::view::source::load;
use crate::view::tree::Walked;

mod beside;
mod catalogue;
mod error;
mod file;

pub use error::ExportError;
use error::io_error;
use file::{Done, export};

/// The view whose paths an export has, if nobody says otherwise.
const VIEW: &str = "by-date";
/// The list of hashes.
const LIST: &str = "SHA256SUMS";

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
    /// Files, sidecars and pages that could not be written, each of which was told.
    pub left_out: u64,
    /// Files whose time the target does not let be set.
    pub untimed: u64,
    /// Whether it went through.
    pub complete: bool,
}

impl ExportReport {
    fn count(&mut self, done: Done) {
        match done {
            Done::Kept => self.kept += 1,
            Done::Copied { timed } => {
                self.copied += 1;
                self.untimed += u64::from(!timed);
            }
        }
    }

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
/// `SHA256SUMS` appears last, when everything is on the disk: `sha256sum --check SHA256SUMS` proves it. An original that
/// could not be written is told, counted and in that list all the same, which therefore proves nothing that is not there;
/// nothing is put beside what has its name instead.
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
    if options.catalogue {
        catalogue::refuse_anothers(target)?;
    }
    let mut report = ExportReport::default();
    let mut sums = Sums::begin(target)?;
    // Originals and their like that are there, and paths of those that are not.
    let (mut files, mut absent) = (Vec::new(), HashSet::new());
    for leaf in leaves.iter().filter(|leaf| !leaf.is_sidecar) {
        if stop.is_cancelled() {
            return Ok(report);
        }
        let path = below(&view, leaf);
        match export(leaf, target, path, store) {
            Ok(done) => {
                report.count(done);
                files.push((leaf, path));
            }
            Err(error) => {
                report.leave_out(error)?;
                absent.insert(path);
            }
        }
        sums.add(path, &leaf.sha256)?;
    }
    let reader = archive.index.reader()?;
    let mut beside = beside::Beside::begin(target, &mut sums, &mut report)?;
    for leaf in leaves.iter().filter(|leaf| leaf.is_sidecar) {
        if stop.is_cancelled() {
            return Ok(report);
        }
        let path = below(&view, leaf);
        // Whatever is in an original's place, this is not about it.
        if !path.strip_suffix(".xmp").is_some_and(|original| absent.contains(original)) {
            beside.xmp(&tree, &reader, leaf, path)?;
        }
    }
    if options.sidecars && !beside.json(store, &reader, &tree, &files, stop)? {
        return Ok(report);
    }
    if options.catalogue {
        match catalogue::write(archive, &tree, &files, target, &mut report, stop)? {
            Some(pages) => pages.iter().try_for_each(|(path, sha256)| sums.add(path, sha256))?,
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
