//! The seam to the file system. Everything that changes an archive goes through [`Disk`], so that tests can
//! record, delay and fail each step. It offers no way to remove or overwrite a blob or a record: what is damaged can
//! only change places with what it should be.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Advice, AtFlags, CWD, FallocateFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

/// A path below the archive's `tmp/`: the only kind of name that can be removed or moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TmpPath(PathBuf);

impl TmpPath {
    /// Only the store calls this, with paths that it has checked.
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// A file that is not part of the archive yet: without a name, or with one below `tmp/`.
#[derive(Debug)]
pub struct Pending {
    file: Arc<File>,
    name: Option<TmpPath>,
}

impl Pending {
    /// The open file.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Its name below `tmp/`; none where the system keeps files without a name.
    pub fn name(&self) -> Option<&TmpPath> {
        self.name.as_ref()
    }
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// File name.
    pub name: OsString,
    /// Whether it is a directory (a symbolic link is not).
    pub is_dir: bool,
}

/// Space of a volume in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Free for us.
    pub free: u64,
    /// Size of the volume.
    pub total: u64,
}

/// The file system under an archive.
pub trait Disk: Send + Sync + 'static {
    /// Creates an empty pending file on the volume of the directory `tmp`.
    fn create(&self, tmp: &Path) -> io::Result<Pending>;
    /// Opens a complete file below `tmp/` as pending.
    fn adopt(&self, path: &TmpPath) -> io::Result<Pending>;
    /// Reserves `size` bytes of disk; a file system that cannot is no error.
    fn allocate(&self, file: &Pending, size: u64) -> io::Result<()>;
    /// Makes an empty pending file the same as another one, where the file system can do so without copying the bytes.
    fn share(&self, _file: &Pending, _with: &File) -> io::Result<bool> {
        Ok(false)
    }
    /// Writes all of `bytes` at the end.
    fn append(&self, file: &Pending, bytes: &[u8]) -> io::Result<()>;
    /// Makes the file read-only (mode 0440).
    fn seal(&self, file: &Pending) -> io::Result<()>;
    /// Asks the kernel to forget its copy of a file, so that the next read comes from the medium. Advice only: where it is
    /// refused, the read comes from memory as before. What was not flushed may be written out by it, or not.
    fn forget_cached(&self, file: &File) {
        let _ = rustix::fs::fadvise(file, 0, None, Advice::DontNeed);
    }
    /// Flushes data and attributes to the medium.
    fn sync(&self, file: &Pending) -> io::Result<()>;
    /// Gives the file its final name; fails with `AlreadyExists` where the name is taken.
    fn publish(&self, file: &Pending, to: &Path) -> io::Result<()>;
    /// Gives a complete pending file the name of a damaged one, which goes on under the free name `aside`. Where the
    /// file system can exchange two names, there is a file under the name at every moment.
    fn replace_damaged(&self, file: &Pending, damaged: &Path, aside: &Path) -> io::Result<()>;
    /// Flushes the names in a directory to the medium.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Creates a directory; one that exists is no error.
    fn make_dir(&self, dir: &Path) -> io::Result<()>;
    /// Opens a regular file for reading.
    fn open(&self, path: &Path) -> io::Result<File>;
    /// Lists a directory, sorted by name.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    /// Free and total space of the volume of `path`.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// Moves something from `tmp/` to a free name.
    fn set_aside(&self, from: &TmpPath, to: &Path) -> io::Result<()>;
    /// Removes a file or an empty directory below `tmp/`.
    fn discard(&self, path: &TmpPath) -> io::Result<()>;
}

/// The machine's own file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl RealDisk {
    /// Creates a pending file with a name, as on file systems that cannot keep one without.
    pub fn create_named(&self, tmp: &Path) -> io::Result<Pending> {
        loop {
            let path = tmp.join(format!("{OWN_PREFIX}{:016x}", fastrand::u64(..)));
            match fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Pending { file: Arc::new(file), name: Some(TmpPath::new(path)) }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// How the names of our own pending files start.
pub(super) const OWN_PREFIX: &str = "partial-";

impl Disk for RealDisk {
    fn create(&self, tmp: &Path) -> io::Result<Pending> {
        // Naming such a file later goes through /proc; without it a name is needed from the start.
        if !Path::new("/proc/self/fd").exists() {
            return self.create_named(tmp);
        }
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::open(tmp, flags, Mode::from_raw_mode(0o640)) {
            Ok(fd) => Ok(Pending { file: Arc::new(File::from(fd)), name: None }),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => self.create_named(tmp),
            Err(error) => Err(error.into()),
        }
    }

    fn adopt(&self, path: &TmpPath) -> io::Result<Pending> {
        let file = self.open(path.path())?;
        Ok(Pending { file: Arc::new(file), name: Some(path.clone()) })
    }

    fn allocate(&self, file: &Pending, size: u64) -> io::Result<()> {
        if size == 0 {
            return Ok(());
        }
        match rustix::fs::fallocate(&file.file, FallocateFlags::KEEP_SIZE, 0, size) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn share(&self, file: &Pending, with: &File) -> io::Result<bool> {
        match rustix::fs::ioctl_ficlone(&*file.file, with) {
            Ok(()) => Ok(true),
            // Another volume, or a file system without it.
            Err(
                Errno::OPNOTSUPP | Errno::XDEV | Errno::INVAL | Errno::NOTTY | Errno::NOSYS | Errno::PERM,
            ) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn append(&self, file: &Pending, bytes: &[u8]) -> io::Result<()> {
        (&*file.file).write_all(bytes)
    }

    fn seal(&self, file: &Pending) -> io::Result<()> {
        file.file.set_permissions(fs::Permissions::from_mode(0o440))
    }

    fn sync(&self, file: &Pending) -> io::Result<()> {
        file.file.sync_all()
    }

    fn publish(&self, file: &Pending, to: &Path) -> io::Result<()> {
        let Some(name) = &file.name else {
            let fd = format!("/proc/self/fd/{}", file.file.as_raw_fd());
            return Ok(rustix::fs::linkat(CWD, fd, CWD, to, AtFlags::SYMLINK_FOLLOW)?);
        };
        match rustix::fs::linkat(CWD, &name.0, CWD, to, AtFlags::empty()) {
            // No hard links here (exFAT, some network volumes): a rename that refuses to replace will do.
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {
                Ok(rustix::fs::renameat_with(CWD, &name.0, CWD, to, RenameFlags::NOREPLACE)?)
            }
            other => Ok(other?),
        }
    }

    fn replace_damaged(&self, file: &Pending, damaged: &Path, aside: &Path) -> io::Result<()> {
        self.publish(file, aside)?;
        match rustix::fs::renameat_with(CWD, aside, CWD, damaged, RenameFlags::EXCHANGE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                let between = aside.with_extension("moving");
                rustix::fs::renameat_with(CWD, damaged, CWD, &between, RenameFlags::NOREPLACE)?;
                rustix::fs::renameat_with(CWD, aside, CWD, damaged, RenameFlags::NOREPLACE)?;
                Ok(rustix::fs::renameat_with(CWD, &between, CWD, aside, RenameFlags::NOREPLACE)?)
            }
            other => Ok(other?),
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(0o750).create(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
            other => other,
        }
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        // NONBLOCK: a pipe that somebody left there must not hang us; for files it means nothing.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(file)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = fs::read_dir(dir)?
            .map(|entry| {
                let entry = entry?;
                Ok(Entry { is_dir: entry.file_type()?.is_dir(), name: entry.file_name() })
            })
            .collect::<io::Result<Vec<_>>>()?;
        entries.sort_unstable_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        Ok(entries)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(Space {
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }

    fn set_aside(&self, from: &TmpPath, to: &Path) -> io::Result<()> {
        Ok(rustix::fs::renameat_with(CWD, &from.0, CWD, to, RenameFlags::NOREPLACE)?)
    }

    fn discard(&self, path: &TmpPath) -> io::Result<()> {
        if fs::symlink_metadata(&path.0)?.is_dir() {
            fs::remove_dir(&path.0)
        } else {
            fs::remove_file(&path.0)
        }
    }
}

/// Whether both open files are the same one on disk.
pub(super) fn same_file(a: &File, b: &File) -> io::Result<bool> {
    let (a, b) = (a.metadata()?, b.metadata()?);
    Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
}
