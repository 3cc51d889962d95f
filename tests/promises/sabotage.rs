//! Stores that break one promise each. A test that does not find one out is no test.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use shoebox::store::{Disk, Entry, Pending, RealDisk, Space, TmpPath};

/// What is done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    None,
    /// Files are not flushed.
    NoSync,
    /// Directories are not flushed.
    NoSyncDir,
    /// What will be flushed in a while is reported as done.
    EarlyAcknowledgement,
    /// A name that is taken is taken away.
    RenameOver,
    /// The earlier revision of a record is removed.
    Deletion,
}

const ALL: [Sabotage; 6] = [
    Sabotage::None,
    Sabotage::NoSync,
    Sabotage::NoSyncDir,
    Sabotage::EarlyAcknowledgement,
    Sabotage::RenameOver,
    Sabotage::Deletion,
];

impl Sabotage {
    /// The one of that name, which is what `Debug` writes.
    pub fn named(name: &str) -> Self {
        ALL.into_iter().find(|sabotage| format!("{sabotage:?}") == name).unwrap()
    }
}

/// How late a flush is that was reported as done.
const LATE: Duration = Duration::from_millis(300);

/// Another disk, spoilt.
pub struct Spoilt<D> {
    pub disk: Arc<D>,
    pub sabotage: Sabotage,
}

impl<D: Disk> Disk for Spoilt<D> {
    fn create(&self, tmp: &Path) -> io::Result<Pending> {
        self.disk.create(tmp)
    }

    fn adopt(&self, path: &TmpPath) -> io::Result<Pending> {
        self.disk.adopt(path)
    }

    fn allocate(&self, file: &Pending, size: u64) -> io::Result<()> {
        self.disk.allocate(file, size)
    }

    fn append(&self, file: &Pending, bytes: &[u8]) -> io::Result<()> {
        self.disk.append(file, bytes)
    }

    fn seal(&self, file: &Pending) -> io::Result<()> {
        self.disk.seal(file)
    }

    fn forget_cached(&self, file: &File) {
        match self.sabotage {
            // It would begin to write out what is not flushed.
            Sabotage::NoSync | Sabotage::EarlyAcknowledgement => {}
            _ => self.disk.forget_cached(file),
        }
    }

    fn sync(&self, file: &Pending) -> io::Result<()> {
        match self.sabotage {
            Sabotage::NoSync => Ok(()),
            Sabotage::EarlyAcknowledgement => {
                let file = Arc::clone(file.file());
                std::thread::spawn(move || {
                    std::thread::sleep(LATE);
                    file.sync_all()
                });
                Ok(())
            }
            _ => self.disk.sync(file),
        }
    }

    fn publish(&self, file: &Pending, to: &Path) -> io::Result<()> {
        match self.sabotage {
            Sabotage::RenameOver => {
                let beside = to.with_extension("new");
                let from = match file.name() {
                    Some(name) => name.path().to_owned(),
                    None => PathBuf::from(format!("/proc/self/fd/{}", file.file().as_raw_fd())),
                };
                fs::copy(from, &beside)?;
                fs::rename(beside, to)
            }
            Sabotage::Deletion => {
                self.disk.publish(file, to)?;
                let name = to.file_name().unwrap().to_string_lossy().into_owned();
                if let Some((key, rest)) = name.split_once(".2.").filter(|(_, rest)| rest.ends_with(".json"))
                {
                    let _ = rest;
                    let earlier = format!("{key}.1.");
                    for entry in fs::read_dir(to.parent().unwrap())? {
                        let path = entry?.path();
                        if path.file_name().unwrap().to_string_lossy().starts_with(&earlier) {
                            fs::remove_file(path)?;
                        }
                    }
                }
                Ok(())
            }
            _ => self.disk.publish(file, to),
        }
    }

    fn replace_damaged(&self, file: &Pending, damaged: &Path, aside: &Path) -> io::Result<()> {
        self.disk.replace_damaged(file, damaged, aside)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        match self.sabotage {
            Sabotage::NoSyncDir => Ok(()),
            Sabotage::EarlyAcknowledgement => {
                let dir = dir.to_owned();
                std::thread::spawn(move || {
                    std::thread::sleep(LATE);
                    RealDisk.sync_dir(&dir)
                });
                Ok(())
            }
            _ => self.disk.sync_dir(dir),
        }
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.make_dir(dir)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        self.disk.open(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(dir)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.disk.space(path)
    }

    fn set_aside(&self, from: &TmpPath, to: &Path) -> io::Result<()> {
        self.disk.set_aside(from, to)
    }

    fn discard(&self, path: &TmpPath) -> io::Result<()> {
        self.disk.discard(path)
    }
}
