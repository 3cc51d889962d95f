//! A lazy disk as a real file system, through FUSE: programs, SQLite among them, use it as any other until its power
//! goes at a change that was counted out beforehand.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, UNIX_EPOCH};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, Session, TimeOrNow,
    WriteFlags,
};
use rustix::process::{Pid, Signal, kill_process};

use super::lazy_disk::LazyDisk;
use super::volume::run;

const TTL: Duration = Duration::from_secs(3600);

struct State {
    disk: LazyDisk,
    /// Changes that will still be done, and the process that ends with the power.
    armed: Option<(u64, Pid)>,
    has_power: bool,
    /// Listings of opened directories: a name that comes or goes meanwhile must not shift the others.
    listings: HashMap<u64, Vec<(u64, bool, OsString)>>,
    opened: u64,
    changes: u64,
}

impl State {
    /// Every operation asks; a change is counted.
    fn powered(&mut self, is_change: bool) -> Result<&mut LazyDisk, Errno> {
        if is_change && self.has_power {
            self.changes += 1;
            if let Some((left, worker)) = &mut self.armed {
                match left.checked_sub(1) {
                    Some(fewer) => *left = fewer,
                    None => {
                        self.has_power = false;
                        // It may have ended by itself.
                        let _ = kill_process(*worker, Signal::KILL);
                    }
                }
            }
        }
        if self.has_power { Ok(&mut self.disk) } else { Err(Errno::EIO) }
    }

    fn attr(&mut self, ino: u64) -> Result<FileAttr, Errno> {
        let node = self.powered(false)?.node(ino)?;
        let size = node.bytes.len() as u64;
        Ok(FileAttr {
            ino: INodeNo(ino),
            size,
            blocks: size.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if node.is_dir { FileType::Directory } else { FileType::RegularFile },
            perm: node.mode as u16,
            nlink: node.links,
            uid: 0,
            gid: 0,
            rdev: 0,
            flags: 0,
            blksize: 4096,
        })
    }
}

struct LazyFs(Arc<Mutex<State>>);

impl LazyFs {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Answers with the node that an operation made or found.
    fn entry(&self, reply: ReplyEntry, act: impl FnOnce(&mut State) -> Result<u64, Errno>) {
        let mut state = self.state();
        let done = act(&mut state).and_then(|ino| state.attr(ino));
        drop(state);
        match done {
            Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn change(&self, reply: ReplyEmpty, act: impl FnOnce(&mut LazyDisk) -> Result<(), Errno>) {
        let done = self.state().powered(true).and_then(act);
        match done {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }
}

impl Filesystem for LazyFs {
    fn lookup(&self, _: &Request, dir: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.entry(reply, |state| state.powered(false)?.find(dir.into(), name));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let attr = self.state().attr(ino.into());
        match attr {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<std::time::SystemTime>,
        _: Option<FileHandle>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut state = self.state();
        let done = state.powered(true).and_then(|disk| {
            if let Some(mode) = mode {
                disk.node(ino.into())?.mode = mode & 0o7777;
            }
            size.map_or(Ok(()), |size| disk.resize(ino.into(), size as usize))
        });
        let attr = done.and_then(|()| state.attr(ino.into()));
        drop(state);
        match attr {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(&self, _: &Request, dir: INodeNo, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        self.entry(reply, |state| state.powered(true)?.make(dir.into(), name, true, mode));
    }

    fn create(&self, _: &Request, dir: INodeNo, name: &OsStr, mode: u32, _: u32, _: i32, reply: ReplyCreate) {
        let mut state = self.state();
        let made = state.powered(true).and_then(|disk| disk.make(dir.into(), name, false, mode));
        let attr = made.and_then(|ino| state.attr(ino));
        drop(state);
        match attr {
            Ok(attr) => {
                reply.created(&TTL, &attr, Generation(0), FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE)
            }
            Err(error) => reply.error(error),
        }
    }

    fn link(&self, _: &Request, ino: INodeNo, dir: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.entry(reply, |state| {
            state.powered(true)?.link(ino.into(), dir.into(), name)?;
            Ok(ino.into())
        });
    }

    fn unlink(&self, _: &Request, dir: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.change(reply, |disk| disk.unlink(dir.into(), name));
    }

    fn rmdir(&self, _: &Request, dir: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.change(reply, |disk| disk.unlink(dir.into(), name));
    }

    fn rename(
        &self,
        _: &Request,
        dir: INodeNo,
        name: &OsStr,
        to: INodeNo,
        new: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let replace = !flags.contains(RenameFlags::RENAME_NOREPLACE);
        self.change(reply, |disk| disk.rename((dir.into(), name), (to.into(), new), replace));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // Everything that changes it comes through the same kernel, whose copy is therefore right.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        at: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut state = self.state();
        match state.powered(false).and_then(|disk| disk.node(ino.into())) {
            Ok(node) => {
                let from = (at as usize).min(node.bytes.len());
                let to = (from + size as usize).min(node.bytes.len());
                reply.data(&node.bytes[from..to]);
            }
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        at: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let done = self.state().powered(true).and_then(|disk| disk.write(ino.into(), at as usize, bytes));
        match done {
            Ok(()) => reply.written(bytes.len() as u32),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.change(reply, |disk| disk.flush(ino.into()));
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.change(reply, |disk| {
            disk.flush_names(ino.into());
            Ok(())
        });
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let mut state = self.state();
        let listing = state.powered(false).and_then(|disk| {
            let names = disk.node(ino.into())?.names.clone();
            Ok(names.into_iter().map(|(name, ino)| (ino, disk.nodes[&ino].is_dir, name)).collect())
        });
        match listing {
            Ok(listing) => {
                state.opened += 1;
                let handle = state.opened;
                state.listings.insert(handle, listing);
                reply.opened(FileHandle(handle), FopenFlags::empty());
            }
            Err(error) => reply.error(error),
        }
    }

    fn readdir(&self, _: &Request, _: INodeNo, handle: FileHandle, from: u64, mut reply: ReplyDirectory) {
        let state = self.state();
        let listing = state.listings.get(&handle.0).map_or(&[][..], Vec::as_slice);
        for (n, (ino, is_dir, name)) in listing.iter().enumerate().skip(from as usize) {
            let kind = if *is_dir { FileType::Directory } else { FileType::RegularFile };
            if reply.add(INodeNo(*ino), n as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.state().listings.remove(&handle.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(1 << 22, 1 << 21, 1 << 21, 1 << 20, 1 << 20, 4096, 255, 4096);
    }
}

/// A mounted lazy file system.
pub struct LazyVolume {
    dir: tempfile::TempDir,
    state: Arc<Mutex<State>>,
    session: Option<BackgroundSession>,
}

impl LazyVolume {
    /// `None` where this machine has no FUSE.
    pub fn new() -> Option<Self> {
        let state = State {
            disk: LazyDisk::new(),
            armed: None,
            has_power: true,
            listings: HashMap::new(),
            opened: 0,
            changes: 0,
        };
        let dir = tempfile::tempdir().unwrap();
        let mut volume = Self { dir, state: Arc::new(Mutex::new(state)), session: None };
        volume.mount().ok()?;
        Some(volume)
    }

    pub fn at(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    fn mount(&mut self) -> std::io::Result<()> {
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("lazy".to_owned())];
        let session = Session::new(LazyFs(Arc::clone(&self.state)), self.at(), &config)?;
        self.session = Some(session.spawn()?);
        Ok(())
    }

    /// The power goes after so many changes, and the process with it.
    pub fn arm(&self, changes: u64, worker: u32) {
        let worker = Pid::from_raw(i32::try_from(worker).unwrap()).unwrap();
        self.state.lock().unwrap().armed = Some((changes, worker));
    }

    /// So many changes have been made since the beginning.
    pub fn changes(&self) -> u64 {
        self.state.lock().unwrap().changes
    }

    /// Takes the power away, if it is still there, and gives it back; returns whether it had gone before.
    pub fn cut(&mut self, random: &mut fastrand::Rng) -> bool {
        let had_gone = {
            let mut state = self.state.lock().unwrap();
            !std::mem::replace(&mut state.has_power, false)
        };
        self.unmount();
        {
            let mut state = self.state.lock().unwrap();
            state.disk.forget(random);
            (state.armed, state.has_power) = (None, true);
        }
        self.mount().unwrap();
        had_gone
    }

    fn unmount(&mut self) {
        let until = Instant::now() + Duration::from_secs(10);
        while !run("umount", &[self.dir.path().to_str().unwrap()]) {
            assert!(Instant::now() < until, "the volume is still in use");
            std::thread::sleep(Duration::from_millis(10));
        }
        self.session.take().unwrap().join().unwrap();
    }
}

impl Drop for LazyVolume {
    fn drop(&mut self) {
        run("umount", &["-l", self.dir.path().to_str().unwrap()]);
    }
}
