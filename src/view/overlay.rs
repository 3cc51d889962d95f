//! Sidecars that consumers write: kept beside the archive, with every earlier version, shown in the view in place of the
//! generated ones. Media stay as they are.
//!
//! `DIR/current/VIEW/…/NAME.xmp` are the files as they are, `DIR/history/VIEW/…/NAME.xmp/TIME.xmp` what they were before.
//! Both are plain files under the view's own paths, of use without shoebox.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::tree::Attr;

/// Inodes of these files lie in `[RANGE, 2 * RANGE)`, between those of parts and those of directories.
const RANGE: u64 = 1 << 50;
/// Longest file that is taken, bytes: a sidecar has some thousand.
pub const LONGEST: u64 = 16 * 1024 * 1024;

/// The files of an overlay.
pub struct Overlay {
    current: PathBuf,
    history: PathBuf,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Names and inodes by directory, as a path from the root of the view.
    names: HashMap<String, BTreeMap<String, u64>>,
    paths: HashMap<u64, (String, String)>,
    /// Files that were changed since they were kept last.
    touched: HashSet<u64>,
}

/// Whether consumers may write a file of that name: a sidecar, or what programs call it while they write it.
pub fn is_ours(name: &str) -> bool {
    name.to_ascii_lowercase().contains(".xmp") && !name.starts_with('.') && name.len() <= 255
}

impl Overlay {
    /// Opens the overlay in a directory, made where it is missing.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let overlay =
            Self { current: dir.join("current"), history: dir.join("history"), known: Mutex::default() };
        fs::create_dir_all(&overlay.current)?;
        fs::create_dir_all(&overlay.history)?;
        let mut open = vec![String::new()];
        while let Some(at) = open.pop() {
            for entry in fs::read_dir(overlay.current.join(&at))? {
                let entry = entry?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                if entry.file_type()?.is_dir() {
                    open.push(if at.is_empty() { name } else { format!("{at}/{name}") });
                } else if is_ours(&name) {
                    overlay.known().add(&at, &name);
                }
            }
        }
        Ok(overlay)
    }

    /// The file of that name in a directory.
    pub fn find(&self, directory: &str, name: &str) -> Option<u64> {
        self.known().names.get(directory)?.get(name).copied()
    }

    /// All files in a directory, by name.
    pub fn list(&self, directory: &str) -> Vec<(String, u64)> {
        let known = self.known();
        let names = known.names.get(directory);
        names.map(|names| names.iter().map(|(name, ino)| (name.clone(), *ino)).collect()).unwrap_or_default()
    }

    /// When files last came to a directory or left it.
    pub fn changed(&self, directory: &str) -> Option<Timestamp> {
        let time = fs::metadata(self.current.join(directory)).ok()?.modified().ok()?;
        Timestamp::try_from(time).ok()
    }

    /// Whether an inode is of the overlay.
    pub const fn has(ino: u64) -> bool {
        ino >= RANGE && ino < 2 * RANGE
    }

    /// The attributes of a file.
    ///
    /// # Errors
    /// When it is not there.
    pub fn attr(&self, ino: u64) -> io::Result<Attr> {
        let meta = fs::metadata(self.path(ino)?)?;
        let mtime = meta.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
        Ok(Attr {
            ino,
            size: meta.len(),
            mtime: mtime.unwrap_or(Timestamp::UNIX_EPOCH),
            is_dir: false,
            links: 1,
        })
    }

    /// Makes an empty file, or takes the one that is there.
    ///
    /// # Errors
    /// When the name is not one that may be written, or the disk refuses.
    pub fn create(&self, directory: &str, name: &str) -> io::Result<u64> {
        if !is_ours(name) {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let folder = self.current.join(directory);
        fs::create_dir_all(&folder)?;
        OpenOptions::new().write(true).create(true).truncate(false).open(folder.join(name))?;
        Ok(self.known().add(directory, name))
    }

    /// Reads up to `size` bytes; fewer only at the end.
    ///
    /// # Errors
    /// What prevents it.
    pub fn read(&self, ino: u64, offset: u64, size: usize) -> io::Result<Vec<u8>> {
        let file = File::open(self.path(ino)?)?;
        let mut buffer = vec![0; size];
        let mut got = 0;
        while got < size {
            match file.read_at(&mut buffer[got..], offset + got as u64)? {
                0 => break,
                n => got += n,
            }
        }
        buffer.truncate(got);
        Ok(buffer)
    }

    /// Writes bytes; what was there before the first change is kept.
    ///
    /// # Errors
    /// What prevents it.
    pub fn write(&self, ino: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset.saturating_add(bytes.len() as u64) > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.keep(ino)?;
        OpenOptions::new().write(true).open(self.path(ino)?)?.write_all_at(bytes, offset)
    }

    /// Cuts or lengthens a file; what was there before the first change is kept.
    ///
    /// # Errors
    /// What prevents it.
    pub fn resize(&self, ino: u64, size: u64) -> io::Result<()> {
        if size > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.keep(ino)?;
        OpenOptions::new().write(true).open(self.path(ino)?)?.set_len(size)
    }

    /// Flushes a file; the next change of it begins another version.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn close(&self, ino: u64) -> io::Result<()> {
        if self.known().touched.remove(&ino) {
            File::open(self.path(ino)?)?.sync_all()?;
        }
        Ok(())
    }

    /// Gives a file another name; what had that name is kept.
    ///
    /// # Errors
    /// When the name is not one that may be written, or the disk refuses.
    pub fn rename(&self, from: (&str, &str), to: (&str, &str)) -> io::Result<()> {
        if !is_ours(to.1) {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let old = self.find(from.0, from.1).ok_or(io::ErrorKind::NotFound)?;
        if let Some(there) = self.find(to.0, to.1).filter(|there| *there != old) {
            self.keep(there)?;
        }
        let folder = self.current.join(to.0);
        fs::create_dir_all(&folder)?;
        fs::rename(self.path(old)?, folder.join(to.1))?;
        self.known().rename(from, to);
        Ok(())
    }

    /// Takes a file away; what it was is kept.
    ///
    /// # Errors
    /// When it is not there, or the disk refuses.
    pub fn remove(&self, directory: &str, name: &str) -> io::Result<()> {
        let ino = self.find(directory, name).ok_or(io::ErrorKind::NotFound)?;
        self.keep(ino)?;
        fs::remove_file(self.path(ino)?)?;
        self.known().remove(directory, name);
        Ok(())
    }

    /// Keeps what a file is, once before it changes; nothing of an empty one.
    fn keep(&self, ino: u64) -> io::Result<()> {
        if !self.known().touched.insert(ino) {
            return Ok(());
        }
        let (directory, name) = self.known().paths.get(&ino).cloned().ok_or(io::ErrorKind::NotFound)?;
        let now = self.path(ino)?;
        if fs::metadata(&now)?.len() == 0 {
            return Ok(());
        }
        let folder = self.history.join(directory).join(&name);
        fs::create_dir_all(&folder)?;
        let time = Timestamp::now().strftime("%Y-%m-%dT%H-%M-%S.%9fZ").to_string();
        let mut kept =
            OpenOptions::new().write(true).create_new(true).open(folder.join(format!("{time}.xmp")))?;
        io::copy(&mut File::open(&now)?, &mut kept)?;
        kept.sync_all()
    }

    fn path(&self, ino: u64) -> io::Result<PathBuf> {
        let known = self.known();
        let (directory, name) = known.paths.get(&ino).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.current.join(directory).join(name))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Known {
    fn add(&mut self, directory: &str, name: &str) -> u64 {
        if let Some(ino) = self.names.get(directory).and_then(|names| names.get(name)) {
            return *ino;
        }
        // From the path alone, so that it is the same after a restart.
        let path = format!("{directory}/{name}");
        let ino = (0_u32..)
            .map(|attempt| {
                let hash: [u8; 32] =
                    Sha256::new().chain_update(&path).chain_update(attempt.to_be_bytes()).finalize().into();
                RANGE + hash.first_chunk().map_or(0, |first| u64::from_be_bytes(*first)) % RANGE
            })
            .find(|ino| !self.paths.contains_key(ino))
            .unwrap_or(RANGE);
        self.names.entry(directory.to_owned()).or_default().insert(name.to_owned(), ino);
        self.paths.insert(ino, (directory.to_owned(), name.to_owned()));
        ino
    }

    /// The kernel goes on calling it by its inode, so that stays until the next start.
    fn rename(&mut self, from: (&str, &str), to: (&str, &str)) {
        let Some(ino) = self.names.get_mut(from.0).and_then(|names| names.remove(from.1)) else { return };
        self.remove(to.0, to.1);
        self.names.entry(to.0.to_owned()).or_default().insert(to.1.to_owned(), ino);
        self.paths.insert(ino, (to.0.to_owned(), to.1.to_owned()));
        self.touched.remove(&ino);
    }

    fn remove(&mut self, directory: &str, name: &str) {
        if let Some(ino) = self.names.get_mut(directory).and_then(|names| names.remove(name)) {
            self.paths.remove(&ino);
            self.touched.remove(&ino);
        }
    }
}
