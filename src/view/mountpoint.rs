//! The place where a view appears: what is there already, and what may be mounted on it.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

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
    /// The mount point is the root of a volume that containers share.
    #[error(
        "the mount point {0} is the root of a shared volume: after a kill no container could start with it; choose a directory inside, such as {0}/photos"
    )]
    VolumeRoot(PathBuf),
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
    /// The place for written sidecars cannot be used.
    #[error("sidecars cannot be kept in {0}: {1}")]
    Overlay(PathBuf, io::Error),
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
            Self::Inside(_) | Self::VolumeRoot(_) | Self::Config(..) => ErrorClass::Usage,
            _ => ErrorClass::Environment,
        }
    }
}

/// Dead mounts that may lie on top of each other; more than a handful is not our doing.
const MOST_DEAD: usize = 8;

/// What is mounted where a view is not: every question gets an error, so that nobody takes an unready view for
/// an empty library. It is a FUSE file system whose process has let go of it at once.
const GUARD: &str = "shoebox-guard";

/// Makes the place ready: FUSE is there, the directory exists and is empty, bears no other FUSE file system and is
/// not inside `store`; what a killed predecessor left is cleared. From then on the place answers with errors
/// until a view is mounted there, and again when the view is gone. Says whether it does: without the
/// privilege to mount there is no such guard. May be repeated.
///
/// # Errors
/// Whatever is not so.
pub fn prepare(mountpoint: &Path, store: &Path) -> Result<bool, ViewError> {
    check_device()?;
    let bad = |e: io::Error| ViewError::Mountpoint(mountpoint.to_owned(), e);
    let real = resolve(mountpoint).map_err(bad)?;
    // What is there may be dead and answer nothing: the mount table is asked.
    for _ in 0..MOST_DEAD {
        let stack = stack(&real).map_err(bad)?;
        match stack.last() {
            Some(there) if there.source == GUARD => return Ok(true),
            Some(there) if there.kind.starts_with("fuse") && is_dead(&real) => {
                tracing::info!("clearing a dead mount on {}", mountpoint.display());
                let guarded = stack.iter().any(|mount| mount.source == GUARD);
                // The directory below is never bare, not for a moment.
                if !guarded && put_guard(&real).is_ok() {
                    return Ok(true);
                }
                detach(&real).map_err(|e| refusal(mountpoint, e))?;
            }
            Some(there) if there.kind.starts_with("fuse") => {
                let what = format!("{} (of type {})", there.source, there.kind);
                return Err(ViewError::Busy(mountpoint.to_owned(), what));
            }
            // The host would see the view on the directory that the volume is made of, and a dead one after a kill.
            Some(there) if there.is_shared => return Err(ViewError::VolumeRoot(mountpoint.to_owned())),
            _ => break,
        }
    }
    if store.canonicalize().is_ok_and(|store| real.starts_with(store)) {
        return Err(ViewError::Inside(mountpoint.to_owned()));
    }
    let meta = match fs::metadata(&real) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(&real).map_err(bad)?;
            fs::metadata(&real).map_err(bad)?
        }
        other => other.map_err(bad)?,
    };
    if !meta.is_dir() {
        return Err(bad(io::Error::from(io::ErrorKind::NotADirectory)));
    }
    if fs::read_dir(&real).map_err(bad)?.next().is_some() {
        return Err(ViewError::NotEmpty(mountpoint.to_owned()));
    }
    match put_guard(&real) {
        Ok(()) => Ok(true),
        Err(e) => {
            tracing::debug!("no guard on {}: {e}", mountpoint.display());
            Ok(false)
        }
    }
}

/// The path with links resolved, without a question to what is mounted at its end.
///
/// # Errors
/// When it is a link that leads nowhere.
pub fn resolve(mountpoint: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(mountpoint)?;
    if fs::read_link(&absolute).is_ok() {
        return absolute.canonicalize();
    }
    // What does not exist yet will be where its nearest parent is.
    let mut missing = Vec::new();
    for at in absolute.ancestors() {
        // The end itself may be a mount that answers nothing.
        if let (true, Ok(real)) = (at != absolute, at.canonicalize()) {
            return Ok(missing.iter().rev().fold(real, |path: PathBuf, name| path.join(name)));
        }
        missing.extend(at.file_name());
    }
    Ok(absolute)
}

fn put_guard(real: &Path) -> io::Result<()> {
    // Dropped at the end, which is what makes it answer with errors.
    let device = open_device()?;
    mount_device(&device, real, GUARD, true)
}

/// Opens the device that a FUSE file system is served through.
///
/// # Errors
/// What the system answers.
pub fn open_device() -> io::Result<File> {
    fs::OpenOptions::new().read(true).write(true).open("/dev/fuse")
}

/// Mounts the file system behind a device. fuser's own way to mount asks the directory questions, which a guard
/// does not answer.
///
/// # Errors
/// What the system answers; without the privilege, that it is not permitted.
pub fn mount_device(device: &File, real: &Path, source: &str, read_only: bool) -> io::Result<()> {
    let data = format!(
        "fd={},rootmode=40555,user_id={},group_id={},allow_other,default_permissions",
        device.as_raw_fd(),
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw()
    );
    let data = CString::new(data).map_err(io::Error::other)?;
    let read_only = if read_only { MountFlags::RDONLY } else { MountFlags::empty() };
    let flags = read_only | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOATIME;
    Ok(mount(source, real, "fuse.shoebox", flags, data.as_c_str())?)
}

/// Whether nothing but the guard is at a place.
pub fn is_guarded(real: &Path) -> bool {
    top(real).is_ok_and(|top| top.is_some_and(|mount| mount.source == GUARD))
}

/// Takes everything of ours away from a place: view, guard, dead mounts. Says how many went.
///
/// # Errors
/// What the system answers.
pub fn release(mountpoint: &Path) -> Result<usize, ViewError> {
    let failed = |e| ViewError::Unmount(mountpoint.to_owned(), e);
    let real = resolve(mountpoint).map_err(failed)?;
    let mut gone = 0;
    while top(&real)
        .map_err(failed)?
        .is_some_and(|mount| mount.kind.starts_with("fuse") && mount.source.starts_with("shoebox"))
    {
        detach(&real).map_err(failed)?;
        gone += 1;
    }
    Ok(gone)
}

/// Whether a mount is there whose process is gone.
fn is_dead(mountpoint: &Path) -> bool {
    let dead = [Errno::NOTCONN, Errno::CONNABORTED].map(|errno| errno.raw_os_error());
    // The kernel may remember the attributes of the directory for a second, but not its listing.
    let asked = fs::metadata(mountpoint).and_then(|_| fs::read_dir(mountpoint).map(drop));
    asked.is_err_and(|e| e.raw_os_error().is_some_and(|code| dead.contains(&code)))
}

fn check_device() -> Result<(), ViewError> {
    match open_device() {
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

/// Whether the helper that mounts for those without the privilege lets others read.
pub fn others_may_read() -> bool {
    let allowed = fs::read_to_string("/etc/fuse.conf").unwrap_or_default();
    rustix::process::geteuid().is_root() || allowed.lines().any(|line| line.trim() == "user_allow_other")
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
    /// Whether what is mounted on it shows elsewhere, too.
    pub is_shared: bool,
}

/// The uppermost mount at exactly this path. Asks the mount table, not the file system that is mounted there,
/// which might not answer.
///
/// # Errors
/// When the table cannot be read.
pub fn top(path: &Path) -> io::Result<Option<Mount>> {
    Ok(stack(path)?.pop())
}

/// All mounts at exactly this path, the uppermost last.
fn stack(path: &Path) -> io::Result<Vec<Mount>> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(table.lines().filter_map(row).filter(|(at, _)| at == path).map(|(_, mount)| mount).collect())
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
        is_shared: fields.iter().skip(6).any(|field| field.starts_with("shared:")),
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
        assert_eq!(
            mount,
            Mount { identity, kind: "fuse.shoebox".into(), source: "shoebox".into(), is_shared: true }
        );
        assert_eq!(row("nonsense"), None);
        assert!(top(Path::new("/proc")).unwrap().is_some_and(|mount| mount.kind == "proc"));
        assert_eq!(top(Path::new("/no/such/place")).unwrap(), None);
    }
}
