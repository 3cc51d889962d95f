//! The thin adapter between the kernel and the tree.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::{Duration, SystemTime};

use fuser::{
    BackingId, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyStatfs, Request,
};

use super::tree::{Entry, Node, Tree};
use crate::model::Sha256;

/// Files never change; directories are looked at again after a second, should an invalidation be lost.
const FILE_TTL: Duration = Duration::from_secs(24 * 60 * 60);
const DIRECTORY_TTL: Duration = Duration::from_secs(1);
const BLOCK: u32 = 4096;

/// Opens a blob.
pub type OpenBlob = Box<dyn Fn(&Sha256) -> io::Result<File> + Send + Sync>;

/// The file system as the kernel sees it.
pub struct View {
    tree: Arc<RwLock<Tree>>,
    open_blob: OpenBlob,
    /// Space of the volume that holds the blobs: blocks and block size.
    space: Box<dyn Fn() -> (u64, u32) + Send + Sync>,
    owner: (u32, u32),
    stack_depth: u32,
    passthrough: AtomicBool,
    handles: AtomicU64,
    open_files: Mutex<OpenFiles>,
    listings: Mutex<HashMap<u64, Arc<[Entry]>>>,
}

#[derive(Default)]
struct OpenFiles {
    /// Files that the kernel reads itself: one id per inode, shared by all handles.
    backed: HashMap<u64, (Arc<BackingId>, usize)>,
    /// Files that we read.
    ours: HashMap<u64, Arc<File>>,
}

impl View {
    /// A view of the tree. `stack_depth` is 2 where the blobs lie on an overlay file system, else 1.
    pub fn new(
        tree: Arc<RwLock<Tree>>,
        open_blob: OpenBlob,
        space: Box<dyn Fn() -> (u64, u32) + Send + Sync>,
        passthrough: bool,
        stack_depth: u32,
    ) -> Self {
        let owner = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Self {
            tree,
            open_blob,
            space,
            owner,
            stack_depth,
            passthrough: AtomicBool::new(passthrough),
            handles: AtomicU64::new(1),
            open_files: Mutex::default(),
            listings: Mutex::default(),
        }
    }

    fn attributes(&self, tree: &Tree, ino: u64) -> Option<FileAttr> {
        let (kind, perm, nlink, size, time) = match tree.node(ino)? {
            Node::Directory(folders, changed) => {
                let nlink = u32::try_from(folders + 2).unwrap_or(u32::MAX);
                (FileType::Directory, 0o555, nlink, u64::from(BLOCK), changed)
            }
            // Every file is in both views.
            Node::File(file) => (FileType::RegularFile, 0o444, 2, file.size, file.mtime),
        };
        Some(FileAttr {
            ino: INodeNo(ino),
            size,
            blocks: size.div_ceil(512),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: SystemTime::UNIX_EPOCH,
            kind,
            perm,
            nlink,
            uid: self.owner.0,
            gid: self.owner.1,
            rdev: 0,
            blksize: BLOCK,
            flags: 0,
        })
    }

    fn tree(&self) -> std::sync::RwLockReadGuard<'_, Tree> {
        self.tree.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn files(&self) -> MutexGuard<'_, OpenFiles> {
        self.open_files.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn handle(&self) -> FileHandle {
        FileHandle(self.handles.fetch_add(1, Ordering::Relaxed))
    }

    /// The listing of an open directory. Taken when its reading begins: taken at opening, the kernel could
    /// cache an old listing under a new modification time for ever.
    fn entries(&self, ino: u64, handle: FileHandle, offset: u64) -> Option<Arc<[Entry]>> {
        let mut listings = self.listings.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if offset == 0 || !listings.contains_key(&handle.0) {
            let mut tree = self.tree.write().unwrap_or_else(|poisoned| poisoned.into_inner());
            listings.insert(handle.0, tree.listing(ino)?);
        }
        listings.get(&handle.0).cloned()
    }

    /// Entries from `offset` on, `.` and `..` first; each with the offset of its successor.
    fn each_entry(
        &self,
        ino: u64,
        entries: &[Entry],
        offset: u64,
        mut add: impl FnMut(u64, u64, &OsStr, &FileAttr) -> bool,
    ) {
        let tree = self.tree();
        let parent = tree.parent(ino).unwrap_or(ino);
        let dots = [(".", ino), ("..", parent)];
        let all = dots.into_iter().chain(entries.iter().map(|entry| (&*entry.name, entry.ino)));
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        for (position, (name, ino)) in all.enumerate().skip(skip) {
            let Some(attributes) = self.attributes(&tree, ino) else { continue };
            if add(ino, position as u64 + 1, OsStr::new(name), &attributes) {
                return;
            }
        }
    }

    /// The kernel may read the file itself; silently not, where it is not permitted.
    fn open_backed(&self, ino: u64, file: &File, reply: &ReplyOpen) -> Option<Arc<BackingId>> {
        match reply.open_backing(file) {
            Ok(id) => {
                let id = Arc::new(id);
                self.files().backed.insert(ino, (Arc::clone(&id), 1));
                Some(id)
            }
            Err(e) => {
                if self.passthrough.swap(false, Ordering::Relaxed) {
                    tracing::info!("the kernel may not read the files itself ({e}); they are read for it");
                }
                None
            }
        }
    }
}

fn ttl(attributes: &FileAttr) -> Duration {
    if attributes.kind == FileType::Directory { DIRECTORY_TTL } else { FILE_TTL }
}

impl Filesystem for View {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Listings with attributes, always: tools that read a directory before the first stat would
        // otherwise pay one round trip per file.
        for wanted in
            [InitFlags::FUSE_PARALLEL_DIROPS, InitFlags::FUSE_DO_READDIRPLUS, InitFlags::FUSE_AUTO_INVAL_DATA]
        {
            if config.add_capabilities(wanted).is_err() {
                tracing::debug!(?wanted, "the kernel does not offer it");
            }
        }
        let able = self.passthrough.load(Ordering::Relaxed)
            && config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok()
            && config.set_max_stack_depth(self.stack_depth).is_ok();
        self.passthrough.store(able, Ordering::Relaxed);
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let tree = self.tree();
        let found = name.to_str().and_then(|name| tree.lookup(parent.0, name));
        match found.and_then(|ino| self.attributes(&tree, ino)) {
            Some(attributes) => reply.entry(&ttl(&attributes), &attributes, Generation(0)),
            // Not cached: the name may appear with the next item.
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(&self.tree(), ino.0) {
            Some(attributes) => reply.attr(&ttl(&attributes), &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let handle = self.handle();
        {
            // Two ids for one inode would be refused: share.
            let mut files = self.files();
            if let Some((id, users)) = files.backed.get_mut(&ino.0) {
                *users += 1;
                let id = Arc::clone(id);
                drop(files);
                return reply.opened_passthrough(handle, FopenFlags::FOPEN_NOFLUSH, &id);
            }
        }
        let sha256 = match self.tree().node(ino.0) {
            Some(Node::File(file)) => file.sha256,
            Some(Node::Directory(..)) => return reply.error(Errno::EISDIR),
            None => return reply.error(Errno::ENOENT),
        };
        let file = match (self.open_blob)(&sha256) {
            Ok(file) => file,
            Err(e) => {
                tracing::error!(%sha256, "a blob cannot be opened: {e}");
                return reply.error(Errno::EIO);
            }
        };
        // Once refused, passthrough stays off: an inode is never open both ways.
        if self.passthrough.load(Ordering::Relaxed)
            && let Some(id) = self.open_backed(ino.0, &file, &reply)
        {
            return reply.opened_passthrough(handle, FopenFlags::FOPEN_NOFLUSH, &id);
        }
        self.files().ours.insert(handle.0, Arc::new(file));
        reply.opened(handle, FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_NOFLUSH);
    }

    fn read(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let Some(file) = self.files().ours.get(&fh.0).cloned() else { return reply.error(Errno::EBADF) };
        let mut buffer = vec![0; size as usize];
        let mut got = 0;
        while got < buffer.len() {
            match file.read_at(&mut buffer[got..], offset + got as u64) {
                Ok(0) => break,
                Ok(n) => got += n,
                Err(e) => {
                    tracing::error!("a blob cannot be read: {e}");
                    return reply.error(Errno::EIO);
                }
            }
        }
        reply.data(&buffer[..got]);
    }

    fn release(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        let mut files = self.files();
        if files.ours.remove(&fh.0).is_none()
            && let Some((_, users)) = files.backed.get_mut(&ino.0)
        {
            *users -= 1;
            if *users == 0 {
                files.backed.remove(&ino.0);
            }
        }
        drop(files);
        reply.ok();
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.tree().node(ino.0) {
            Some(Node::Directory(..)) => reply.opened(self.handle(), FopenFlags::FOPEN_CACHE_DIR),
            Some(Node::File(_)) => reply.error(Errno::ENOTDIR),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn readdir(&self, _req: &Request, ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let Some(entries) = self.entries(ino.0, fh, offset) else { return reply.error(Errno::ENOENT) };
        self.each_entry(ino.0, &entries, offset, |ino, next, name, attributes| {
            reply.add(INodeNo(ino), next, attributes.kind, name)
        });
        reply.ok();
    }

    fn readdirplus(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let Some(entries) = self.entries(ino.0, fh, offset) else { return reply.error(Errno::ENOENT) };
        self.each_entry(ino.0, &entries, offset, |ino, next, name, attributes| {
            reply.add(INodeNo(ino), next, name, &ttl(attributes), attributes, Generation(0))
        });
        reply.ok();
    }

    fn releasedir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.listings.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(&fh.0);
        reply.ok();
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        let (blocks, size) = (self.space)();
        let files = self.tree().len() as u64;
        // Nothing can be added here: no free space.
        reply.statfs(blocks, 0, 0, files, 0, size, 255, size);
    }
}
