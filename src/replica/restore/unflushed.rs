//! A disk that is not waited for: for what may be lost.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::store::{Disk, Entry, Pending, RealDisk, Space, TmpPath};

/// The machine's file system, without a single flush.
pub(super) struct Unflushed(pub(super) RealDisk);

impl Disk for Unflushed {
    fn create(&self, tmp: &Path) -> io::Result<Pending> {
        self.0.create(tmp)
    }
    fn adopt(&self, path: &TmpPath) -> io::Result<Pending> {
        self.0.adopt(path)
    }
    fn allocate(&self, file: &Pending, size: u64) -> io::Result<()> {
        self.0.allocate(file, size)
    }
    fn append(&self, file: &Pending, bytes: &[u8]) -> io::Result<()> {
        self.0.append(file, bytes)
    }
    fn seal(&self, file: &Pending) -> io::Result<()> {
        self.0.seal(file)
    }
    fn forget_cached(&self, _file: &File) {}
    fn sync(&self, _file: &Pending) -> io::Result<()> {
        Ok(())
    }
    fn publish(&self, file: &Pending, to: &Path) -> io::Result<()> {
        self.0.publish(file, to)
    }
    fn replace_damaged(&self, file: &Pending, damaged: &Path, aside: &Path) -> io::Result<()> {
        self.0.replace_damaged(file, damaged, aside)
    }
    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.make_dir(dir)
    }
    fn open(&self, path: &Path) -> io::Result<File> {
        self.0.open(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.0.list(dir)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        self.0.space(path)
    }
    fn set_aside(&self, from: &TmpPath, to: &Path) -> io::Result<()> {
        self.0.set_aside(from, to)
    }
    fn discard(&self, path: &TmpPath) -> io::Result<()> {
        self.0.discard(path)
    }
}
