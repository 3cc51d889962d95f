//! The thin adapter between the Linux kernel and [`Fs`].
//!
//! Operations that are missing here answer "not implemented", which the kernel remembers. What writes is refused, but
//! for sidecars; a read-only mount refuses it before it comes to us.

mod listing;

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use fuser::{
    BackingId, BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, InitFlags, KernelConfig, LockOwner, Notifier, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use self::listing::Listing;
use super::demand::Detail;
use super::errno::FsError;
use super::fs::{Fs, Listed, Opened};
use super::overlay::Overlay;
use super::tree::{Attr, Changes, is_sidecar};
use crate::model::name::LONGEST;

/// Files hardly ever change, and then the kernel is told.
const FILE_TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// Directories are looked at again after a second, should a word to the kernel be lost.
const DIRECTORY_TTL: Duration = Duration::from_secs(1);
const BLOCK: u32 = 4096;

/// The file system as the kernel sees it.
pub struct Adapter {
    fs: Arc<Fs<BackingId>>,
    owner: (u32, u32),
    stack_depth: u32,
    passthrough: AtomicBool,
    xattrs: bool,
    device: Arc<OnceLock<OwnedFd>>,
}

impl Adapter {
    /// Shows `fs`. With `passthrough` the kernel may read the files itself, where it is permitted.
    /// `stack_depth` is 2 where the blobs lie on an overlay file system, else 1. `xattrs`: files have extended
    /// attributes, which costs every `ls -l` a question or two per file.
    pub fn new(fs: Arc<Fs<BackingId>>, passthrough: bool, stack_depth: u32, xattrs: bool) -> Self {
        let owner = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let passthrough = AtomicBool::new(passthrough);
        Self { fs, owner, stack_depth, passthrough, xattrs, device: Arc::default() }
    }

    /// Where the device belongs that the kernel is answered through. Without it every listing has all attributes.
    pub fn device(&self) -> Arc<OnceLock<OwnedFd>> {
        Arc::clone(&self.device)
    }

    fn attributes(&self, attr: &Attr) -> FileAttr {
        let time = SystemTime::from(attr.mtime);
        // Who writes sidecars must be let into their folders; what else is written there is refused.
        let written = self.fs.is_writable();
        let (kind, perm) = match (attr.is_dir, written) {
            (true, false) => (FileType::Directory, 0o555),
            (true, true) => (FileType::Directory, 0o777),
            (false, true) if Overlay::has(attr.ino) || is_sidecar(attr.ino) => (FileType::RegularFile, 0o666),
            (false, _) => (FileType::RegularFile, 0o444),
        };
        FileAttr {
            ino: INodeNo(attr.ino),
            size: attr.size,
            blocks: attr.size.div_ceil(512),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind,
            perm,
            nlink: attr.links,
            uid: self.owner.0,
            gid: self.owner.1,
            rdev: 0,
            blksize: BLOCK,
            flags: 0,
        }
    }

    /// Has the kernel read the file itself. Where it may not, all later files are read by us; a file that is
    /// open stays as it is.
    fn back(&self, file: &std::fs::File, reply: &ReplyOpen) -> Option<BackingId> {
        if !self.passthrough.load(Ordering::Relaxed) {
            return None;
        }
        match reply.open_backing(file) {
            Ok(id) => Some(id),
            Err(e) => {
                if self.passthrough.swap(false, Ordering::Relaxed) {
                    tracing::info!("the kernel may not read the files itself ({e}); they are read for it");
                }
                None
            }
        }
    }
}

/// Who asks with no room wants to know the size.
fn answer_xattr(value: &[u8], room: u32, reply: ReplyXattr) {
    match u32::try_from(value.len()) {
        Ok(size) if room == 0 => reply.size(size),
        Ok(size) if size <= room => reply.data(value),
        _ => reply.error(Errno::ERANGE),
    }
}

fn answer(done: Result<(), FsError>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(e) => reply.error(errno(&e)),
    }
}

fn ttl(attr: &Attr) -> Duration {
    if attr.is_dir || Overlay::has(attr.ino) { DIRECTORY_TTL } else { FILE_TTL }
}

fn errno(error: &FsError) -> Errno {
    match error {
        FsError::NotFound => Errno::ENOENT,
        FsError::ReadOnly => Errno::EROFS,
        FsError::NotADirectory => Errno::ENOTDIR,
        FsError::IsADirectory => Errno::EISDIR,
        FsError::BadHandle => Errno::EBADF,
        FsError::Stale => Errno::ESTALE,
        FsError::Io(_) => Errno::EIO,
    }
}

/// Tells the kernel what it must not believe any more. Never from inside an operation: the kernel would wait
/// for us to finish it.
pub fn announce(notifier: &Notifier, changes: &Changes) {
    let told = |result: io::Result<()>| {
        if let Err(e) = result {
            tracing::debug!("the kernel could not be told of a change: {e}");
        }
    };
    for &ino in &changes.altered {
        told(notifier.inval_inode(INodeNo(ino), 0, 0));
    }
    for &ino in &changes.relinked {
        // Its attributes alone; the bytes that the kernel keeps are as good as before.
        told(notifier.inval_inode(INodeNo(ino), -1, 0));
    }
    for (directory, name) in &changes.removed {
        told(notifier.inval_entry(INodeNo(*directory), OsStr::new(name)));
    }
    for &directory in &changes.directories {
        told(notifier.inval_inode(INodeNo(directory), 0, 0));
    }
}

impl Filesystem for Adapter {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Listings with attributes, always: tools that read a whole directory before the first stat would
        // otherwise pay one round trip per file.
        let wishes = [
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_AUTO_INVAL_DATA,
            // File servers may come back after a restart with an inode alone; ours stay what they are.
            InitFlags::FUSE_EXPORT_SUPPORT,
        ];
        // Questions for access lists are answered from the kernel's memory then.
        let lists = self.xattrs.then_some(InitFlags::FUSE_POSIX_ACL);
        for wish in wishes.into_iter().chain(lists) {
            if config.add_capabilities(wish).is_err() {
                tracing::debug!(?wish, "the kernel does not offer it");
            }
        }
        let able = self.passthrough.load(Ordering::Relaxed)
            && config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok()
            && config.set_max_stack_depth(self.stack_depth).is_ok();
        self.passthrough.store(able, Ordering::Relaxed);
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.fs.lookup(parent.0, name) {
            Ok(attr) => reply.entry(&ttl(&attr), &self.attributes(&attr), Generation(0)),
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn forget(&self, _req: &Request, _ino: INodeNo, _nlookup: u64) {
        self.fs.forget();
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.fs.getattr(ino.0) {
            Ok(attr) => reply.attr(&ttl(&attr), &self.attributes(&attr)),
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn open(&self, _req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        if self.fs.is_writable() {
            if Overlay::has(ino.0) {
                return match self.fs.getattr(ino.0) {
                    // No cache: it may change under another name of its folder.
                    Ok(_) => reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
                    Err(e) => reply.error(errno(&e)),
                };
            }
            if flags.acc_mode() != OpenAccMode::O_RDONLY {
                let refused = self.fs.copy_up(ino.0).err().unwrap_or(FsError::Stale);
                return reply.error(errno(&refused));
            }
        }
        match self.fs.open(ino.0, |file| self.back(file, &reply)) {
            // No other flag goes with a backed file.
            Ok((Opened::Backed(id), _)) => {
                reply.opened_passthrough(FileHandle(0), FopenFlags::FOPEN_NOFLUSH, &id);
            }
            Ok((Opened::Made(_), _)) => reply.opened(FileHandle(0), FopenFlags::FOPEN_NOFLUSH),
            Ok((Opened::Ours(_), true)) => {
                reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_NOFLUSH);
            }
            Ok((Opened::Ours(_), false)) => reply.opened(FileHandle(0), FopenFlags::FOPEN_NOFLUSH),
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.fs.read(ino.0, offset, size as usize) {
            Ok(bytes) => reply.data(&bytes),
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn release(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.fs.release(ino.0);
        reply.ok();
    }

    fn create(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        match self.fs.create(parent.0, name) {
            Ok(attr) => {
                let attributes = self.attributes(&attr);
                reply.created(
                    &DIRECTORY_TTL,
                    &attributes,
                    Generation(0),
                    FileHandle(0),
                    FopenFlags::FOPEN_DIRECT_IO,
                );
            }
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.fs.write(ino.0, offset, data) {
            // A request holds 16 MB at most.
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let done = match size {
            Some(size) => self.fs.resize(ino.0, size),
            // Programs that copy a sidecar set its mode and times; that they cannot is no reason to give up.
            None if Overlay::has(ino.0) => self.fs.getattr(ino.0),
            None => Err(FsError::ReadOnly),
        };
        match done {
            Ok(attr) => reply.attr(&ttl(&attr), &self.attributes(&attr)),
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        answer(self.fs.rename((parent.0, name), (newparent.0, newname)), reply);
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(self.fs.unlink(parent.0, name), reply);
    }

    fn flush(&self, _req: &Request, _ino: INodeNo, _fh: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _req: &Request, _ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        // Files are flushed when they are closed.
        reply.ok();
    }

    fn mkdir(&self, _req: &Request, _: INodeNo, _: &OsStr, _mode: u32, _umask: u32, reply: ReplyEntry) {
        reply.error(Errno::EROFS);
    }

    fn mknod(
        &self,
        _req: &Request,
        _: INodeNo,
        _: &OsStr,
        _mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        reply.error(Errno::EROFS);
    }

    fn rmdir(&self, _req: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::EROFS);
    }

    fn symlink(&self, _req: &Request, _: INodeNo, _: &OsStr, _: &Path, reply: ReplyEntry) {
        reply.error(Errno::EROFS);
    }

    fn link(&self, _req: &Request, _: INodeNo, _: INodeNo, _: &OsStr, reply: ReplyEntry) {
        reply.error(Errno::EROFS);
    }

    fn setxattr(
        &self,
        _req: &Request,
        _: INodeNo,
        _: &OsStr,
        _value: &[u8],
        _flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::EROFS);
    }

    fn removexattr(&self, _req: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::EROFS);
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.fs.opendir(ino.0) {
            Ok((handle, true)) => {
                reply.opened(FileHandle(handle), FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE);
            }
            Ok((handle, false)) => reply.opened(FileHandle(handle), FopenFlags::FOPEN_CACHE_DIR),
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn readdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let done = self.fs.readdir(ino.0, offset, Detail::Names, |Listed { next, name, attr, .. }| {
            let kind = if attr.is_dir { FileType::Directory } else { FileType::RegularFile };
            reply.add(INodeNo(attr.ino), next, kind, name)
        });
        match done {
            Ok(()) => reply.ok(),
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn readdirplus(
        &self,
        req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let device = self.device.get();
        let detail = if device.is_some() { self.fs.detail(ino.0) } else { Detail::Whole };
        let mut listing = Listing::default();
        let done = self.fs.readdir(ino.0, offset, detail, |Listed { next, name, attr, is_bare }| {
            let (attributes, ttl) = (self.attributes(attr), ttl(attr));
            // fuser alone knows how much room there is.
            let is_full = reply.add(INodeNo(attr.ino), next, name, &ttl, &attributes, Generation(0));
            if !is_full && detail != Detail::Whole {
                listing.push(next, name, &attributes, (!is_bare).then_some(ttl));
            }
            is_full
        });
        match (done, device) {
            (Ok(()), Some(device)) if listing.is_partial() => match listing.send(device, req.unique().0) {
                // What fuser says when the reply goes is nothing that the kernel still waits for.
                Ok(()) => drop(reply),
                Err(e) => {
                    tracing::debug!("a listing is sent with all attributes: {e}");
                    reply.ok();
                }
            },
            (Ok(()), _) => reply.ok(),
            (Err(e), _) => reply.error(errno(&e)),
        }
    }

    fn releasedir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.fs.releasedir(fh.0);
        reply.ok();
    }

    fn getxattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        if !self.xattrs {
            // The kernel never asks again.
            return reply.error(Errno::ENOSYS);
        }
        // What others keep there (access lists, labels) costs no question to the index.
        if !name.as_encoded_bytes().starts_with(b"user.shoebox.") {
            return reply.error(Errno::ENODATA);
        }
        match self.fs.attributes(ino.0) {
            Ok(known) => match known.into_iter().find(|(known, _)| *known == name) {
                Some((_, value)) => answer_xattr(value.as_bytes(), size, reply),
                None => reply.error(Errno::ENODATA),
            },
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn listxattr(&self, _req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        if !self.xattrs {
            return reply.error(Errno::ENOSYS);
        }
        match self.fs.attributes(ino.0) {
            Ok(known) => {
                let names: Vec<u8> =
                    known.iter().flat_map(|(name, _)| name.bytes().chain(std::iter::once(0))).collect();
                answer_xattr(&names, size, reply);
            }
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        match self.fs.space() {
            // What is free there cannot be used from here.
            Ok(space) => {
                let longest = u32::try_from(LONGEST).unwrap_or(255);
                reply.statfs(
                    space.blocks,
                    space.free,
                    0,
                    space.files,
                    0,
                    space.block_size,
                    longest,
                    space.block_size,
                );
            }
            Err(e) => reply.error(errno(&e)),
        }
    }
}
