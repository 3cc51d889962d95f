//! The place where a view appears: what is there already, and what may be mounted on it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use crate::model::ErrorClass;

/// Why there is no view.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The machine does not offer FUSE.
    #[error("there is no /dev/fuse: load the fuse module, or give the container `--device /dev/fuse`")]
    NoFuse,
    /// FUSE is there but not for us.
    #[error("/dev/fuse cannot be opened ({0}): run as root, or give the container `--device /dev/fuse`")]
    FuseForbidden(io::Error),
    /// Mounting is not permitted.
    #[error("mounting on {0} is not permitted: run as root, or give the container `--cap-add SYS_ADMIN`")]
    NotPermitted(PathBuf),
    /// The mount point is not a directory.
    #[error("the mount point {0} is not a directory that can be used: {1}")]
    Mountpoint(PathBuf, io::Error),
    /// The mount point is inside the archive.
    #[error("the mount point {0} is inside the archive: choose a directory elsewhere")]
    Inside(PathBuf),
    /// Something is mounted there already.
    #[error(
        "a file system of type {1} is mounted on {0} already: unmount it first, or choose another directory"
    )]
    Busy(PathBuf, String),
    /// Files that the mount would hide.
    #[error("the mount point {0} is not empty: its files would be hidden; choose an empty directory")]
    NotEmpty(PathBuf),
    /// The system refuses.
    #[error("cannot mount on {0}: {1}")]
    Mount(PathBuf, io::Error),
    /// The view cannot be taken away.
    #[error("cannot unmount {0}: {1}; `umount -l` does it by hand")]
    Unmount(PathBuf, io::Error),
    /// The configuration of views is wrong.
    #[error("{0}: {1}")]
    Config(PathBuf, String),
    /// The archive cannot be read.
    #[error("the archive cannot be read for the view: {0}")]
    Source(String),
}

impl ViewError {
    /// The class that decides the exit code.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Source(_) => ErrorClass::Damaged,
            Self::Inside(_) | Self::Config(..) => ErrorClass::Usage,
            _ => ErrorClass::Environment,
        }
    }
}

/// Dead mounts that may lie on top of each other; more than a handful is not our doing.
const MOST_DEAD: usize = 8;

/// Makes the place ready: FUSE is there, what a killed predecessor left is cleared, the directory exists, is
/// empty, bears no other FUSE file system and is not inside `store`.
///
/// # Errors
/// Whatever is not so.
pub fn prepare(mountpoint: &Path, store: &Path) -> Result<(), ViewError> {
    check_device()?;
    let bad = |e: io::Error| ViewError::Mountpoint(mountpoint.to_owned(), e);
    for _ in 0..MOST_DEAD {
        if !is_dead(mountpoint) {
            break;
        }
        tracing::info!("clearing a dead mount on {}", mountpoint.display());
        detach(mountpoint).map_err(|e| refusal(mountpoint, e))?;
    }
    let meta = match fs::metadata(mountpoint) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(mountpoint).map_err(bad)?;
            fs::metadata(mountpoint).map_err(bad)?
        }
        other => other.map_err(bad)?,
    };
    if !meta.is_dir() {
        return Err(bad(io::Error::from(io::ErrorKind::NotADirectory)));
    }
    let real = mountpoint.canonicalize().map_err(bad)?;
    // A volume of another kind (a container's bind mount) is a fine place for a view.
    if let Some(there) = top(&real).map_err(bad)?.filter(|mount| mount.kind.starts_with("fuse")) {
        let what = format!("{} (of type {})", there.source, there.kind);
        return Err(ViewError::Busy(mountpoint.to_owned(), what));
    }
    if store.canonicalize().is_ok_and(|store| real.starts_with(store)) {
        return Err(ViewError::Inside(mountpoint.to_owned()));
    }
    if fs::read_dir(mountpoint).map_err(bad)?.next().is_some() {
        return Err(ViewError::NotEmpty(mountpoint.to_owned()));
    }
    Ok(())
}

/// Whether a mount is there whose process is gone.
fn is_dead(mountpoint: &Path) -> bool {
    let dead = [Errno::NOTCONN, Errno::CONNABORTED].map(|errno| errno.raw_os_error());
    // The kernel may remember the attributes of the directory for a second, but not its listing.
    let asked = fs::metadata(mountpoint).and_then(|_| fs::read_dir(mountpoint).map(drop));
    asked.is_err_and(|e| e.raw_os_error().is_some_and(|code| dead.contains(&code)))
}

fn check_device() -> Result<(), ViewError> {
    match fs::OpenOptions::new().read(true).write(true).open("/dev/fuse") {
        Ok(_) => Ok(()),
        // A node without a driver behind it answers the latter.
        Err(e)
            if e.kind() == io::ErrorKind::NotFound
                || e.raw_os_error() == Some(Errno::NODEV.raw_os_error()) =>
        {
            Err(ViewError::NoFuse)
        }
        Err(e) => Err(ViewError::FuseForbidden(e)),
    }
}

/// What a refused mount means.
pub fn refusal(mountpoint: &Path, error: io::Error) -> ViewError {
    let mountpoint = mountpoint.to_owned();
    // Without the privilege the library looks for a helper program, and reports that as missing.
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound => ViewError::NotPermitted(mountpoint),
        _ => ViewError::Mount(mountpoint, error),
    }
}

/// Takes the uppermost mount away from its place at once; who has files open may read on.
///
/// # Errors
/// What the system answers.
pub fn detach(mountpoint: &Path) -> io::Result<()> {
    match unmount(mountpoint, UnmountFlags::DETACH) {
        // A mount made without privileges is unmade by the same helper.
        Err(Errno::PERM) => {
            let helper = Command::new("fusermount3").args(["-u", "-z", "--"]).arg(mountpoint).status();
            if helper.is_ok_and(|status| status.success()) { Ok(()) } else { Err(Errno::PERM.into()) }
        }
        other => Ok(other?),
    }
}

/// A row of the mount table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Number of the mount and of its device. No two live mounts share them, but a later one may get those of
    /// one that is gone.
    pub identity: (String, String),
    /// Type, for example `fuse`.
    pub kind: String,
    /// What is mounted, for example `shoebox`.
    pub source: String,
}

/// The uppermost mount at exactly this path. Asks the mount table, not the file system that is mounted there,
/// which might not answer.
///
/// # Errors
/// When the table cannot be read.
pub fn top(path: &Path) -> io::Result<Option<Mount>> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(table.lines().rev().filter_map(row).find(|(at, _)| at == path).map(|(_, mount)| mount))
}

/// `36 35 98:0 /root /mnt options fields - type source options`.
fn row(line: &str) -> Option<(PathBuf, Mount)> {
    let (left, right) = line.split_once(" - ")?;
    let fields: Vec<&str> = left.split(' ').collect();
    let mut described = right.split(' ');
    let mount = Mount {
        identity: ((*fields.first()?).to_owned(), (*fields.get(2)?).to_owned()),
        kind: described.next()?.to_owned(),
        source: unescape(described.next()?),
    };
    Some((PathBuf::from(unescape(fields.get(4)?)), mount))
}

/// Blanks, tabs, line feeds and backslashes are octal in the mount table.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rows_of_the_mount_table() {
        let line =
            "36 35 0:71 / /mnt/my\\040photos ro,nosuid shared:2 master:1 - fuse.shoebox shoebox ro,user_id=0";
        let (at, mount) = row(line).unwrap();
        assert_eq!(at, Path::new("/mnt/my photos"));
        let identity = ("36".into(), "0:71".into());
        assert_eq!(mount, Mount { identity, kind: "fuse.shoebox".into(), source: "shoebox".into() });
        assert_eq!(row("nonsense"), None);
        assert!(top(Path::new("/proc")).unwrap().is_some_and(|mount| mount.kind == "proc"));
        assert_eq!(top(Path::new("/no/such/place")).unwrap(), None);
    }
}
