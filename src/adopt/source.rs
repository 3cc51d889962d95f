//! Where files are that people have already: folders, zips and tars, listed and read in one way.
//!
//! Nothing is unpacked and nothing is changed. Paths are split into a folder and a name; the parts of one Takeout share
//! their folders, whichever archive file each piece lies in.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use jiff::Timestamp;
use rustix::fs::{Mode, OFlags};
use tokio_util::sync::CancellationToken;
use zip::ZipArchive;

use super::place;
use super::takeout::{self, Note};
use super::tape;
use crate::ingest::unpack::open_zip;
use crate::media::kind::{self, Kind};
use crate::model::name::is_junk;
use crate::model::{PositionedReader, ReadAt};

/// Bytes that are read to find and list the entries of a zip; a million of them need some two hundred megabytes.
const MOST_DIRECTORY: u64 = 512 << 20;
/// Bytes of texts that are kept of all JSON files together.
const MOST_TEXT: usize = 256 << 20;
/// Photos hardly compress: an entry that claims more is a bomb.
const MOST_RATIO: u64 = 100;
/// What never is a photo, by extension: not even opened.
const NO_PHOTO: [&str; 20] = [
    "json", "html", "htm", "txt", "csv", "xml", "xmp", "aae", "thm", "db", "ini", "pdf", "log", "md",
    "plist", "sqlite", "url", "lnk", "exe", "js",
];

/// Something that was given to be adopted.
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// What the folders of all its files begin with.
    base: String,
    kind: SourceKind,
}

enum SourceKind {
    Files,
    Zip(ZipArchive<PositionedReader>),
    Tape { is_packed: bool },
}

/// A file that may be a photo.
#[derive(Clone, Debug)]
pub struct Found {
    /// Which source it is in.
    pub source: usize,
    /// Its folder, as all parts of one Takeout name it.
    pub folder: Arc<str>,
    /// Its name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// When it was last changed.
    pub modified: Option<Timestamp>,
    at: At,
}

#[derive(Clone, Debug)]
enum At {
    Path(PathBuf),
    Zip(usize),
    /// The how manieth file of the tar it is.
    Tape(u64),
}

/// A JSON file of a Takeout.
pub struct Json {
    /// Its name.
    pub name: String,
    /// What it says.
    pub note: Note,
}

/// All that was given.
#[derive(Default)]
pub struct Survey {
    /// Where the files are.
    pub sources: Vec<Source>,
    /// Files that may be photos.
    pub files: Vec<Found>,
    /// What Takeout says, by folder.
    pub notes: BTreeMap<Arc<str>, Vec<Json>>,
    /// Links to photos, by folder: the albums of gphotos-sync.
    pub links: BTreeMap<Arc<str>, Vec<PathBuf>>,
    /// Files that are no photos by their names, by extension.
    pub others: BTreeMap<String, u64>,
    /// What could not be read, each a sentence.
    pub trouble: Vec<String>,
    folders: BTreeMap<String, Arc<str>>,
    /// Names and content of the notes of each folder.
    noted: HashSet<(Arc<str>, String, u64)>,
    hasher: RandomState,
    /// Bytes of texts that are kept.
    text: usize,
}

/// Looks at everything below the paths. `avoid` is the archive's own directory.
///
/// # Errors
/// Where one of the paths does not exist or lies within the archive. What cannot be read below them is noted.
pub fn survey(paths: &[PathBuf], avoid: &Path, stop: &CancellationToken) -> io::Result<Survey> {
    let mut survey = Survey::default();
    let avoid = avoid.canonicalize()?;
    for path in paths {
        let name = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let real = path.canonicalize().map_err(name)?;
        if real.starts_with(&avoid) {
            let why = format!("{} is within the archive, which has it already", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        if real.is_dir() {
            survey.sources.push(Source { path: real.clone(), base: String::new(), kind: SourceKind::Files });
            survey.walk(real, &avoid, stop);
        } else {
            let folder = real.parent().unwrap_or(Path::new("/")).to_owned();
            survey.sources.push(Source { path: folder, base: String::new(), kind: SourceKind::Files });
            survey.file(&real, stop);
        }
    }
    Ok(survey)
}

impl Survey {
    fn walk(&mut self, root: PathBuf, avoid: &Path, stop: &CancellationToken) {
        let mut left = vec![root];
        while let Some(folder) = left.pop() {
            if stop.is_cancelled() {
                return;
            }
            let listed = fs::read_dir(&folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
            let mut entries = match listed {
                Ok(entries) => entries,
                Err(error) => {
                    self.trouble.push(format!("{}: {error}", folder.display()));
                    continue;
                }
            };
            entries.sort_by_key(fs::DirEntry::file_name);
            let mut below = Vec::new();
            for entry in entries {
                let path = entry.path();
                let name = entry.file_name().to_string_lossy().into_owned();
                // Of a file, the content tells: Android's bin has photos whose names begin with a dot.
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_folder && (is_junk(&name) || name.starts_with('.')) {
                    *self.others.entry("hidden".into()).or_default() += 1;
                    continue;
                }
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => {
                        if path != avoid {
                            below.push(path);
                        }
                    }
                    Ok(kind) if kind.is_file() => self.file(&path, stop),
                    Ok(kind) if kind.is_symlink() => {
                        if let Ok(target) = path.canonicalize() {
                            let folder = self.folder(&folder.to_string_lossy());
                            self.links.entry(folder).or_default().push(target);
                        }
                    }
                    Ok(_) => {}
                    Err(error) => self.trouble.push(format!("{}: {error}", path.display())),
                }
            }
            left.extend(below.into_iter().rev());
        }
    }

    fn file(&mut self, path: &Path, stop: &CancellationToken) {
        if let Err(error) = self.try_file(path, stop) {
            self.trouble.push(format!("{}: {error}", path.display()));
        }
    }

    fn try_file(&mut self, path: &Path, stop: &CancellationToken) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = path.parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
        if place::is_archive(&name) {
            let file: Arc<dyn ReadAt> = Arc::new(open_file(path)?);
            match kind::of(&*file) {
                Kind::Zip => return self.zip(path, &folder, file, stop),
                Kind::Gzip => return self.tape(path, &folder, true, stop),
                _ if name.to_lowercase().ends_with(".tar") => return self.tape(path, &folder, false, stop),
                _ => {}
            }
        }
        let meta = fs::metadata(path)?;
        let modified = meta.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
        let source = self.sources.iter().rposition(|source| matches!(source.kind, SourceKind::Files));
        let at = At::Path(path.to_owned());
        self.take((source.unwrap_or(0), at), &folder, &name, (meta.len(), modified), &mut || {
            short(&mut open_file(path)?)
        });
        Ok(())
    }

    pub(crate) fn zip(
        &mut self,
        path: &Path,
        folder: &str,
        file: Arc<dyn ReadAt>,
        stop: &CancellationToken,
    ) -> io::Result<()> {
        let (source, base) = (self.sources.len(), base_of(path, folder));
        let mut zip = open_zip(file, MOST_DIRECTORY).map_err(io::Error::other)?;
        let mut reading = zip.clone();
        self.sources.push(Source {
            path: path.to_owned(),
            base: base.clone(),
            kind: SourceKind::Zip(zip.clone()),
        });
        for number in 0..zip.len() {
            if stop.is_cancelled() {
                return Ok(());
            }
            let entry = match zip.by_index_raw(number) {
                Ok(entry) => entry,
                Err(error) => {
                    self.trouble.push(format!("{}, entry {number}: {error}", path.display()));
                    continue;
                }
            };
            if entry.is_dir() {
                continue;
            }
            // Not every program that writes UTF-8 says so.
            let inner = match (std::str::from_utf8(entry.name_raw()), entry.name()) {
                (Ok(name), _) => name.to_owned(),
                (Err(_), Ok(name)) => name.into_owned(),
                (Err(_), Err(_)) => String::from_utf8_lossy(entry.name_raw()).into_owned(),
            };
            let (size, packed) = (entry.size(), entry.compressed_size());
            let said = entry.last_modified().and_then(|at| {
                let date = jiff::civil::Date::new(
                    at.year().cast_signed(),
                    at.month().cast_signed(),
                    at.day().cast_signed(),
                );
                let at = date.ok()?.at(
                    at.hour().cast_signed(),
                    at.minute().cast_signed(),
                    at.second().cast_signed(),
                    0,
                );
                at.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|at| at.timestamp())
            });
            drop(entry);
            if size > packed.saturating_mul(MOST_RATIO).saturating_add(takeout::LONGEST) {
                self.trouble.push(format!(
                    "{}/{inner}: it claims to unpack to far more than photos do",
                    path.display()
                ));
                continue;
            }
            let (below, name) = place::split(&base, &inner);
            self.take((source, At::Zip(number)), &below, &name, (size, said), &mut || {
                short(&mut reading.by_index(number).map_err(io::Error::other)?)
            });
        }
        Ok(())
    }

    fn tape(
        &mut self,
        path: &Path,
        folder: &str,
        is_packed: bool,
        stop: &CancellationToken,
    ) -> io::Result<()> {
        let (source, base) = (self.sources.len(), base_of(path, folder));
        self.sources.push(Source {
            path: path.to_owned(),
            base: base.clone(),
            kind: SourceKind::Tape { is_packed },
        });
        let before = self.files.len();
        let mut number = 0;
        let read = tape::each(unpacked(path, is_packed, stop)?, &mut |entry, content| {
            let (below, name) = place::split(&base, &entry.path);
            let modified = Timestamp::from_second(entry.modified).ok();
            // The stream is handed on once.
            let mut content = Some(content);
            number += 1;
            self.take((source, At::Tape(number)), &below, &name, (entry.size, modified), &mut || {
                content.take().map_or_else(|| Ok(Vec::new()), short)
            });
            Ok(!stop.is_cancelled())
        });
        // A tar that is cut off has whole files before the cut.
        read.or_else(|error| {
            // The one that it ends in is not whole, and its size may be a lie.
            let is_last =
                |file: &mut Found| matches!(file.at, At::Tape(at) if at == number && file.source == source);
            let cut = self.files.pop_if(is_last);
            if stop.is_cancelled() {
                return Ok(());
            }
            if let Some(cut) = cut {
                self.trouble.push(format!("{}: it is cut off", self.place(&cut)));
            }
            if self.files.len() == before {
                return Err(error);
            }
            self.trouble.push(format!("{}: {error}; what stands before that is adopted", path.display()));
            Ok(())
        })
    }

    /// Notes one file; of a JSON, what it says.
    fn take(
        &mut self,
        (source, at): (usize, At),
        folder: &str,
        name: &str,
        (size, modified): (u64, Option<Timestamp>),
        content: &mut dyn FnMut() -> io::Result<Vec<u8>>,
    ) {
        if name.is_empty() {
            *self.others.entry("hidden".into()).or_default() += 1;
            return;
        }
        let extension =
            name.rsplit_once('.').map_or(String::new(), |(_, extension)| extension.to_lowercase());
        let folder = self.folder(folder);
        if extension == "json" && size <= takeout::LONGEST {
            let read = content()
                .map_err(|error| error.to_string())
                .and_then(|bytes| takeout::read(&bytes).map(|note| (note, self.hasher.hash_one(&bytes))));
            match read {
                Ok((Note::Other, _)) => *self.others.entry(extension).or_default() += 1,
                Ok((note, content)) => {
                    self.text += if let Note::Photo(sidecar) = &note { sidecar.size() } else { 0 };
                    if self.text > MOST_TEXT {
                        self.trouble.push(format!("{folder}/{name}: there is more text than photos have"));
                    // Two parts of a Takeout may bring the same one.
                    } else if self.noted.insert((Arc::clone(&folder), name.to_owned(), content)) {
                        self.notes.entry(folder).or_default().push(Json { name: name.to_owned(), note });
                    }
                }
                // Other programs keep JSON of their own beside photos.
                Err(_) if place::product(&folder).is_none() => {
                    *self.others.entry(extension).or_default() += 1;
                }
                Err(error) => {
                    let path = self.sources[source].path.display();
                    self.trouble.push(format!("{path}, {folder}/{name}: {error}"));
                }
            }
            return;
        }
        if NO_PHOTO.contains(&extension.as_str()) {
            *self.others.entry(extension).or_default() += 1;
            return;
        }
        let modified = place::changed(modified, &folder, Timestamp::now());
        self.files.push(Found { source, folder, name: name.to_owned(), size, modified, at });
    }

    /// One text for all that lies in a folder.
    fn folder(&mut self, path: &str) -> Arc<str> {
        if let Some(folder) = self.folders.get(path) {
            return Arc::clone(folder);
        }
        let shared = place::shared(path);
        // Parts come by other paths to the same one.
        let same = self.folders.get(&shared).cloned();
        let folder: Arc<str> = same.unwrap_or_else(|| shared.as_str().into());
        self.folders.insert(shared, Arc::clone(&folder));
        self.folders.insert(path.to_owned(), Arc::clone(&folder));
        folder
    }

    /// Where a file is, for people and records.
    pub fn place(&self, file: &Found) -> String {
        match &file.at {
            At::Path(path) => path.to_string_lossy().into_owned(),
            At::Zip(_) | At::Tape(_) => {
                let source = &self.sources[file.source];
                let inner = file.folder.strip_prefix(&source.base).unwrap_or(&file.folder);
                format!(
                    "{}{inner}/{}",
                    source.path.file_name().unwrap_or_default().to_string_lossy(),
                    file.name
                )
            }
        }
    }

    /// The path of a file that lies in no archive file.
    pub fn path<'a>(&self, file: &'a Found) -> Option<&'a Path> {
        match &file.at {
            At::Path(path) => Some(path),
            At::Zip(_) | At::Tape(_) => None,
        }
    }

    /// Hands the bytes of a file to `read`, from the first on; may be repeated. Nothing for one in a tar.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open<T>(&self, file: &Found, read: impl FnOnce(&mut dyn Read) -> T) -> io::Result<Option<T>> {
        match (&file.at, &self.sources[file.source].kind) {
            (At::Path(path), _) => Ok(Some(read(&mut open_file(path)?))),
            (At::Zip(number), SourceKind::Zip(zip)) => {
                // A clone shares the directory and has a position of its own.
                let mut zip = zip.clone();
                let mut entry = zip.by_index(*number).map_err(io::Error::other)?;
                Ok(Some(read(&mut entry)))
            }
            _ => Ok(None),
        }
    }

    /// Reads a tar once more, in its order, which is that of its files here.
    ///
    /// # Errors
    /// What reading answers.
    pub fn play(
        &self,
        source: usize,
        stop: &CancellationToken,
        each: &mut dyn FnMut(usize, &mut dyn Read) -> io::Result<bool>,
    ) -> io::Result<()> {
        let SourceKind::Tape { is_packed } = self.sources[source].kind else { return Ok(()) };
        let mut next = self.files.iter().enumerate().filter(|(_, file)| file.source == source).peekable();
        let mut number = 0;
        tape::each(unpacked(&self.sources[source].path, is_packed, stop)?, &mut |_, content| {
            number += 1;
            match next.next_if(|(_, file)| matches!(file.at, At::Tape(at) if at == number)) {
                Some((file, _)) => each(file, content),
                None => Ok(next.peek().is_some()),
            }
        })
    }

    /// The tars among the sources.
    pub fn tapes(&self) -> impl Iterator<Item = usize> {
        let tape =
            |(at, source): (usize, &Source)| matches!(source.kind, SourceKind::Tape { .. }).then_some(at);
        self.sources.iter().enumerate().filter_map(tape)
    }
}

/// The whole of something short.
fn short(content: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    content.take(takeout::LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a file for reading, and no pipe that somebody put in its place: that would never be opened.
///
/// # Errors
/// What the system answers, or that it is none.
pub fn open_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file any more")) }
}

/// What is read until somebody wants it stopped: a few megabytes may unpack to zeros without end.
struct Stoppable<R> {
    inner: R,
    stop: CancellationToken,
}

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_cancelled() { Err(io::Error::other("stopped")) } else { self.inner.read(buf) }
    }
}

/// What all folders in an archive file begin with.
fn base_of(path: &Path, folder: &str) -> String {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    place::base(folder, name.strip_suffix(".tar").unwrap_or(&name))
}

fn unpacked(path: &Path, is_packed: bool, stop: &CancellationToken) -> io::Result<Box<dyn Read>> {
    let file = BufReader::with_capacity(256 * 1024, open_file(path)?);
    let file = Stoppable { inner: file, stop: stop.clone() };
    Ok(if is_packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}
