//! The operations of a read-only file system over the tree, in our own words.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard};
use std::time::Instant;

use jiff::Timestamp;

use super::demand::{Demand, Detail, PROBES};
use super::errno::FsError;
use super::history::{AT, History};
use super::open_directories::{Freshness, OpenDirectories, cookie, split};
use super::open_files::OpenFiles;
pub use super::open_files::Opened;
use super::overlay::Overlay;
use super::sidecar;
use super::tree::{Attr, Changes, ROOT, Tree};
use crate::model::name::is_junk;
use crate::model::{ReadAt, Sha256};

/// The bytes of a blob, wherever they are.
pub enum BlobBytes {
    /// In a file, which the kernel may read by itself.
    File(File),
    /// Somewhere else.
    Elsewhere(Arc<dyn ReadAt>),
}

/// Opens a blob of so many bytes for reading.
pub type OpenBlob = Box<dyn Fn(&Sha256, u64) -> io::Result<BlobBytes> + Send + Sync>;

/// Room on the volume of the archive, in blocks.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    /// Blocks of the volume.
    pub blocks: u64,
    /// Free blocks of the volume; none of them can be written through the view.
    pub free: u64,
    /// Bytes of a block.
    pub block_size: u32,
    /// Files in a view.
    pub files: u64,
}

/// An entry of a directory, as it is handed out.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    /// The position behind it.
    pub next: u64,
    /// Its name.
    pub name: &'a str,
    /// Its attributes; where it is bare, inode and kind alone are true.
    pub attr: &'a Attr,
    /// Whether it is listed without attributes.
    pub is_bare: bool,
}

/// A file system; `B` stands for a file that the kernel reads by itself.
pub struct Fs<B> {
    tree: RwLock<Tree>,
    history: History,
    overlay: Option<Overlay>,
    open_blob: OpenBlob,
    store: PathBuf,
    files: OpenFiles<B>,
    /// Inodes whose bytes changed since the start: caches of them are not trusted.
    altered: Mutex<HashSet<u64>>,
    directories: Mutex<OpenDirectories>,
    demand: Mutex<Demand>,
    /// Counts what the kernel forgot: a listing that it kept from before may lack attributes now.
    forgotten: AtomicU64,
}

impl<B> Fs<B> {
    /// A file system over a loaded tree and its past; `store` is any directory on the volume of the blobs.
    /// Sidecars that consumers write go to the overlay, if there is one.
    pub fn new(
        tree: Tree,
        history: History,
        overlay: Option<Overlay>,
        open_blob: OpenBlob,
        store: PathBuf,
    ) -> Self {
        Self {
            tree: RwLock::new(tree),
            history,
            overlay,
            open_blob,
            store,
            files: OpenFiles::default(),
            altered: Mutex::default(),
            directories: Mutex::default(),
            demand: Mutex::default(),
            forgotten: AtomicU64::new(0),
        }
    }

    /// Changes the tree. What the answer names must be told to the kernel, after this returns: told from
    /// inside, the kernel could wait for us while we wait for it.
    pub fn change(&self, change: impl FnOnce(&mut Tree) -> Changes) -> Changes {
        let mut tree = self.tree.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let changes = change(&mut tree);
        lock(&self.altered).extend(changes.altered.iter().copied());
        changes
    }

    /// What stands under a name. Names that are no text are nobody's.
    ///
    /// # Errors
    /// [`FsError::NotFound`]; never to be cached, since the name may come with the next item.
    pub fn lookup(&self, parent: u64, name: &OsStr) -> Result<Attr, FsError> {
        let found = self.find(parent, name)?;
        if !found.is_dir {
            lock(&self.demand).asked(Instant::now());
        }
        Ok(found)
    }

    fn find(&self, parent: u64, name: &OsStr) -> Result<Attr, FsError> {
        // Asked by file servers that come back with nothing but an inode.
        if name == "." {
            return self.getattr(parent);
        }
        if name == ".." {
            return self.parent(parent);
        }
        let name = name.to_str().filter(|name| !is_junk(name)).ok_or(FsError::NotFound)?;
        if parent == ROOT && name == super::history::NAME {
            return Ok(self.history.attr());
        }
        if parent == AT {
            return Ok(self.history.day(name)?.attr_of_root());
        }
        if let Some(past) = self.history.tree(parent)? {
            return past.lookup(parent, name).ok_or(FsError::NotFound);
        }
        if let Some(overlaid) = self.overlaid(parent, name) {
            return Ok(overlaid);
        }
        let found = self.tree().lookup(parent, name).ok_or(FsError::NotFound)?;
        Ok(self.with_overlay(found))
    }

    fn parent(&self, ino: u64) -> Result<Attr, FsError> {
        if ino == AT {
            return self.getattr(ROOT);
        }
        let parent = match self.history.tree(ino)? {
            Some(past) => past.parent(ino).map(|parent| if parent == ino { AT } else { parent }),
            None => self.tree().parent(ino),
        };
        self.getattr(parent.ok_or(FsError::NotFound)?)
    }

    /// The attributes of an inode.
    ///
    /// # Errors
    /// [`FsError::NotFound`].
    pub fn getattr(&self, ino: u64) -> Result<Attr, FsError> {
        if ino == AT {
            return Ok(self.history.attr());
        }
        if let Some(past) = self.history.tree(ino)? {
            return past.attr(ino).ok_or(FsError::NotFound);
        }
        if let Some(overlay) = self.overlay.as_ref().filter(|_| Overlay::has(ino)) {
            return Ok(overlay.attr(ino)?);
        }
        let found = self.tree().attr(ino).ok_or(FsError::NotFound)?;
        Ok(self.with_overlay(found))
    }

    /// What is known of a file: an extended attribute's name and its value. A directory has none.
    ///
    /// # Errors
    /// What prevents it.
    pub fn attributes(&self, ino: u64) -> Result<Vec<(&'static str, String)>, FsError> {
        let (ordinal, sha256) = {
            let tree = self.tree();
            match (tree.ordinal(ino), tree.blob(ino)) {
                (Some(ordinal), Some(sha256)) => (ordinal, sha256),
                _ => {
                    drop(tree);
                    return self.getattr(ino).map(|_| Vec::new());
                }
            }
        };
        let Some(facts) = self.history.facts(ordinal, &sha256)? else { return Ok(Vec::new()) };
        let offset = facts.taken.offset_s.and_then(|s| jiff::tz::Offset::from_seconds(s).ok());
        let taken = match offset {
            Some(offset) => format!("{}{}", facts.taken.local, zone(offset)),
            None => facts.taken.local.to_string(),
        };
        let mut attributes = vec![
            ("user.shoebox.sha256", sha256.hex()),
            ("user.shoebox.sha1", facts.sha1.hex()),
            ("user.shoebox.media_key", facts.key.to_string()),
            // Names in a view are made safe; this leads back.
            ("user.shoebox.name", facts.name),
            ("user.shoebox.taken", taken),
            ("user.shoebox.verdict", facts.verdict.word().to_owned()),
        ];
        if !facts.key.is_local() {
            attributes.push(("user.shoebox.url", format!("https://photos.google.com/photo/{}", facts.key)));
        }
        Ok(attributes)
    }

    /// Opens a file. `back` may make it one that the kernel reads by itself; it is asked only by the first
    /// opening. Also says whether what the kernel has cached of the file is still good.
    ///
    /// # Errors
    /// What prevents it.
    pub fn open(
        &self,
        ino: u64,
        back: impl FnOnce(&File) -> Option<B>,
    ) -> Result<(Opened<B>, bool), FsError> {
        if let Some(wanted) = self.tree().sidecar(ino) {
            // Whoever opens it while it is open shares what it said then.
            let made = self.files.open(ino, wanted.original, || {
                let facts = self.history.facts(wanted.ordinal, &wanted.original).map_err(io::Error::from)?;
                let bytes = facts.map(|facts| sidecar::render(&wanted, &facts));
                Ok(Opened::Made(bytes.ok_or(io::ErrorKind::NotFound)?.into()))
            })?;
            return Ok((made, false));
        }
        let (sha256, size) = {
            let tree = self.tree();
            match tree.blob(ino).zip(tree.attr(ino)) {
                Some((sha256, attr)) => (sha256, attr.size),
                None => {
                    drop(tree);
                    self.getattr(ino)?;
                    return Err(FsError::IsADirectory);
                }
            }
        };
        let opened = self.files.open(ino, sha256, || {
            let bytes = (self.open_blob)(&sha256, size)
                .inspect_err(|e| tracing::error!("the blob {sha256} cannot be opened: {e}"))?;
            Ok(match bytes {
                BlobBytes::Elsewhere(bytes) => Opened::Ours(bytes),
                BlobBytes::File(file) => match back(&file) {
                    Some(backing) => Opened::Backed(backing.into()),
                    None => Opened::Ours(Arc::new(file)),
                },
            })
        })?;
        Ok((opened, !lock(&self.altered).contains(&ino)))
    }

    /// Reads up to `size` bytes; fewer only at the end.
    ///
    /// # Errors
    /// What prevents it.
    pub fn read(&self, ino: u64, offset: u64, size: usize) -> Result<Vec<u8>, FsError> {
        if let Some(overlay) = self.overlay.as_ref().filter(|_| Overlay::has(ino)) {
            return Ok(overlay.read(ino, offset, size)?);
        }
        // The kernel sends no reads of files that it reads itself.
        let file = match self.files.get(ino) {
            Some(Opened::Ours(file)) => file,
            Some(Opened::Made(bytes)) => {
                let from = usize::try_from(offset).map_or(bytes.len(), |from| from.min(bytes.len()));
                let to = from.saturating_add(size).min(bytes.len());
                return Ok(bytes[from..to].to_vec());
            }
            _ => return Err(FsError::BadHandle),
        };
        let mut buffer = vec![0; size];
        let mut got = 0;
        while got < size {
            match file.read_at(&mut buffer[got..], offset + got as u64) {
                Ok(0) => break,
                Ok(n) => got += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    tracing::error!("the blob of inode {ino} cannot be read: {e}");
                    return Err(FsError::Io(e));
                }
            }
        }
        buffer.truncate(got);
        Ok(buffer)
    }

    /// Closes a file once.
    pub fn release(&self, ino: u64) {
        if let Some(overlay) = self.overlay.as_ref().filter(|_| Overlay::has(ino)) {
            if let Err(e) = overlay.close(ino) {
                tracing::error!("a written sidecar cannot be flushed: {e}");
            }
            return;
        }
        self.files.release(ino);
    }

    /// Opens a directory: a handle, and whether the listing that the kernel may have kept is still good: it
    /// was delivered to its end, and neither the directory nor the kernel's memory of its files changed since.
    ///
    /// # Errors
    /// What prevents it.
    pub fn opendir(&self, ino: u64) -> Result<(u64, bool), FsError> {
        let attr = self.getattr(ino)?;
        if !attr.is_dir {
            return Err(FsError::NotADirectory);
        }
        let names_will_do = self.detail(ino) == Detail::Names;
        Ok(lock(&self.directories).open(ino, self.freshness(attr.mtime), names_will_do))
    }

    /// What a listing of that directory shall hold for those who list now.
    pub fn detail(&self, ino: u64) -> Detail {
        lock(&self.demand).of(ino, Instant::now())
    }

    /// Hands out the entries of a directory from a position on, until `add` says that there is no more room.
    /// Position 0 is the beginning.
    ///
    /// The listing is the directory as it was when its reading began, at position 0. Taken at the opening
    /// instead, the kernel could keep an old listing under a new time of change for ever; taken for every
    /// call, names would come twice or not at all while items are added.
    ///
    /// # Errors
    /// What prevents it.
    pub fn readdir(
        &self,
        ino: u64,
        position: u64,
        detail: Detail,
        mut add: impl FnMut(Listed<'_>) -> bool,
    ) -> Result<(), FsError> {
        if ino == AT {
            return self
                .history
                .list(position, |next, name, attr| add(Listed { next, name, attr, is_bare: false }));
        }
        let past = self.history.tree(ino)?;
        // Before the tree is locked, since it asks the tree itself.
        let (beside, beside_changed) = match &past {
            Some(_) => (Vec::new(), None),
            None => (self.overlaid_in(ino), self.overlay_changed(ino)),
        };
        let tree;
        let now: &Tree = match &past {
            Some(past) => past,
            None => {
                tree = self.tree();
                &tree
            }
        };
        let (version, index) = split(position);
        let known = if position == 0 { None } else { lock(&self.directories).version(ino, version) };
        let (version, listing, changed) = match known {
            Some(known) => known,
            None => {
                let changed = now.attr(ino).ok_or(FsError::NotFound)?.mtime;
                let changed = beside_changed.map_or(changed, |beside| beside.max(changed));
                // Those that stand in for a generated one are named by the tree.
                let own =
                    beside.iter().filter(|(name, _)| now.lookup(ino, name).is_none()).cloned().collect();
                let listing = now.listing(ino).ok_or(FsError::NotADirectory)?.of(past.clone()).beside(own);
                let version = lock(&self.directories).begin(ino, self.freshness(changed), listing.clone());
                (version, listing, changed)
            }
        };
        // The tree that the listing was taken from may have been given back and loaded again since.
        let tree = listing.past().unwrap_or(now);
        let (mut name, mut bare) = (String::new(), 0);
        for index in index.. {
            let at = index as usize;
            let probe = listing.file_index(at).is_some_and(|file| file < PROBES);
            let is_bare = detail == Detail::Names || (detail == Detail::Probing && probe);
            name.clear();
            let (attr, is_bare) = match tree.entry(&listing, at, is_bare, &mut name) {
                Some(attr) => {
                    let over = beside.iter().find(|(over, _)| *over == name);
                    match over.and_then(|(_, ino)| self.getattr_of_overlay(*ino)) {
                        Some(over) => (over, false),
                        None => (attr, is_bare && !attr.is_dir),
                    }
                }
                None => match listing.file_beside(at) {
                    Some((own, ino)) => match self.getattr_of_overlay(*ino) {
                        Some(attr) => {
                            name.push_str(own);
                            (attr, false)
                        }
                        // It went since.
                        None => continue,
                    },
                    None => break,
                },
            };
            if add(Listed { next: cookie(version, index + 1), name: &name, attr: &attr, is_bare }) {
                lock(&self.directories).handed_out(ino, bare);
                return Ok(());
            }
            bare += usize::from(is_bare);
        }
        let bare = lock(&self.directories).delivered(ino, changed, bare);
        lock(&self.demand).delivered(ino, bare);
        Ok(())
    }

    /// Closes a directory.
    pub fn releasedir(&self, handle: u64) {
        lock(&self.directories).close(handle);
    }

    /// The kernel forgot an inode.
    pub fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
    }

    /// Room on the volume.
    ///
    /// # Errors
    /// What the volume answers.
    pub fn space(&self) -> Result<Space, FsError> {
        let volume = rustix::fs::statvfs(&self.store).map_err(|e| FsError::Io(e.into()))?;
        Ok(Space {
            blocks: volume.f_blocks,
            free: volume.f_bfree,
            block_size: u32::try_from(volume.f_frsize).unwrap_or(4096),
            files: self.tree().parts(),
        })
    }

    fn getattr_of_overlay(&self, ino: u64) -> Option<Attr> {
        self.overlay.as_ref()?.attr(ino).ok()
    }

    pub(super) fn overlay(&self) -> Option<&Overlay> {
        self.overlay.as_ref()
    }

    fn freshness(&self, changed: Timestamp) -> Freshness {
        Freshness { changed, forgotten: self.forgotten.load(Ordering::SeqCst) }
    }

    pub(super) fn tree(&self) -> RwLockReadGuard<'_, Tree> {
        self.tree.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// `+02:00`.
fn zone(offset: jiff::tz::Offset) -> String {
    let s = offset.seconds();
    format!("{}{:02}:{:02}", if s < 0 { '-' } else { '+' }, s.abs() / 3600, s.abs() / 60 % 60)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
