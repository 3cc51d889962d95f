//! Brings the view to a mount point, keeps it fresh, takes it away again.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use fuser::{BackgroundSession, Config, INodeNo, MountOption, Notifier, Session, SessionACL};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use super::fuse::{OpenBlob, View};
use super::tree::Tree;
use crate::model::{ArchivedPart, ErrorClass};

/// Why there is no view.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The machine does not offer FUSE.
    #[error("there is no /dev/fuse: load the fuse module, or give the container `--device /dev/fuse`")]
    NoFuse,
    /// Mounting is not permitted.
    #[error("mounting on {0} is not permitted: run as root, or give the container `--cap-add SYS_ADMIN`")]
    NotPermitted(PathBuf),
    /// The mount point is not a directory.
    #[error("the mount point {0} is not a directory that can be used: {1}")]
    Mountpoint(PathBuf, io::Error),
    /// Something is mounted there already.
    #[error("something is mounted on {0} already: unmount it first, or choose another directory")]
    Busy(PathBuf),
    /// Files that the mount would hide.
    #[error("the mount point {0} is not empty: its files would be hidden; choose an empty directory")]
    NotEmpty(PathBuf),
    /// The system refuses.
    #[error("cannot mount on {0}: {1}")]
    Mount(PathBuf, io::Error),
    /// The archive cannot be read.
    #[error("the archive cannot be read for the view: {0}")]
    Source(String),
}

impl ViewError {
    /// The class that decides the exit code.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Source(_) => ErrorClass::Damaged,
            _ => ErrorClass::Environment,
        }
    }
}

/// What the source of a view has to say.
pub enum Update {
    /// Parts with changes after the asked one.
    Parts(Vec<ArchivedPart>),
    /// The index was made anew: all parts there are.
    Everything(Vec<ArchivedPart>),
}

/// Gives what changed after a position.
pub type Source = Box<dyn FnMut(u64) -> Result<Update, String> + Send>;

/// How a view is shown.
#[derive(Clone, Debug)]
pub struct ViewOptions {
    /// Let the kernel read the files itself where it may.
    pub passthrough: bool,
    /// The directory that holds the blobs, for its free space and kind.
    pub store: PathBuf,
}

/// How often the source is asked.
const REFRESH: Duration = Duration::from_millis(300);
/// Threads that answer the kernel.
const THREADS: usize = 4;

/// A mounted view.
pub struct Mounted {
    mountpoint: PathBuf,
    /// Device number of our mount: whether what is mounted there is still ours.
    device: u64,
    session: Option<BackgroundSession>,
    stop: Option<Sender<()>>,
    refresher: Option<JoinHandle<()>>,
}

impl Mounted {
    /// Loads the tree, then mounts it: consumers never see an empty tree where photos are.
    pub fn start(
        mut source: Source,
        open_blob: OpenBlob,
        mountpoint: &Path,
        options: &ViewOptions,
    ) -> Result<Self, ViewError> {
        if !Path::new("/dev/fuse").exists() {
            return Err(ViewError::NoFuse);
        }
        prepare(mountpoint)?;
        let mut tree = Tree::new();
        let (Update::Parts(parts) | Update::Everything(parts)) = source(0).map_err(ViewError::Source)?;
        let mut last = parts.iter().map(|part| part.change).max().unwrap_or(0);
        tree.apply(&parts);
        let tree = Arc::new(RwLock::new(tree));
        let store = options.store.clone();
        let space = Box::new(move || match rustix::fs::statvfs(&store) {
            Ok(s) => (s.f_blocks, u32::try_from(s.f_frsize).unwrap_or(4096)),
            Err(_) => (0, 4096),
        });
        let depth = if is_overlay(&options.store) { 2 } else { 1 };
        let view = View::new(Arc::clone(&tree), open_blob, space, options.passthrough, depth);
        let session = Session::new(view, mountpoint, &config()).map_err(|e| refusal(mountpoint, e))?;
        let session = session.spawn().map_err(|e| ViewError::Mount(mountpoint.to_owned(), e))?;
        let device = fs::metadata(mountpoint).map_err(|e| ViewError::Mount(mountpoint.to_owned(), e))?.dev();
        let (stop, stopped) = mpsc::channel();
        let notifier = session.notifier();
        let refresher = std::thread::spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(REFRESH) {
                match source(last) {
                    Ok(update) => refresh(&tree, &notifier, update, &mut last),
                    Err(e) => tracing::debug!("the view could not be refreshed: {e}"),
                }
            }
        });
        Ok(Self {
            mountpoint: mountpoint.to_owned(),
            device,
            session: Some(session),
            stop: Some(stop),
            refresher: Some(refresher),
        })
    }

    /// Whether somebody else has not unmounted it.
    pub fn is_alive(&self) -> bool {
        self.session.as_ref().is_some_and(|session| !session.guard.is_finished())
    }

    /// Takes the view away. Files that are open can be read to their end.
    pub fn unmount(mut self) -> Result<(), ViewError> {
        self.detach().map_err(|e| ViewError::Mount(self.mountpoint.clone(), e))
    }

    /// Our own unmount: the library's would remove another's mount at the same place, and would leave a
    /// stale one while a file is open.
    fn detach(&mut self) -> io::Result<()> {
        self.stop.take();
        if let Some(refresher) = self.refresher.take()
            && refresher.join().is_err()
        {
            tracing::warn!("the view's refresher had failed");
        }
        if let Some(session) = self.session.take() {
            std::mem::forget(session);
        }
        let ours = fs::metadata(&self.mountpoint).is_ok_and(|m| m.dev() == self.device);
        if ours {
            unmount(&self.mountpoint, UnmountFlags::DETACH)?;
        }
        Ok(())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.session.is_some()
            && let Err(e) = self.detach()
        {
            tracing::warn!("cannot unmount {}: {e}", self.mountpoint.display());
        }
    }
}

/// Applies an update and tells the kernel which directories to read again: after the lock is released, or
/// the kernel could wait for us while we wait for it.
fn refresh(tree: &RwLock<Tree>, notifier: &Notifier, update: Update, last: &mut u64) {
    let (parts, anew) = match update {
        Update::Parts(parts) => (parts, false),
        Update::Everything(parts) => (parts, true),
    };
    if parts.is_empty() && !anew {
        return;
    }
    let highest = parts.iter().map(|part| part.change).max();
    *last = highest.map_or(if anew { 0 } else { *last }, |n| if anew { n } else { n.max(*last) });
    // Items never leave an archive: a new index names the same parts, and perhaps more.
    let changed: BTreeSet<u64> = tree.write().unwrap_or_else(|poisoned| poisoned.into_inner()).apply(&parts);
    for directory in changed {
        if let Err(e) = notifier.inval_inode(INodeNo(directory), 0, 0) {
            tracing::debug!(directory, "the kernel could not be told of a change: {e}");
        }
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName("shoebox".into()),
        MountOption::Subtype("shoebox".into()),
        MountOption::RO,
        MountOption::NoSuid,
        MountOption::NoDev,
        MountOption::NoExec,
        MountOption::NoAtime,
        MountOption::DefaultPermissions,
    ];
    config.acl = SessionACL::All;
    config.n_threads = Some(THREADS);
    config
}

/// Clears what a killed predecessor left, and makes sure that the place is an empty directory.
fn prepare(mountpoint: &Path) -> Result<(), ViewError> {
    let bad = |e: io::Error| ViewError::Mountpoint(mountpoint.to_owned(), e);
    // A dead mount answers ENOTCONN; several may lie on top of each other. Opening asks the file system itself:
    // attributes the kernel still remembers for a second after the death.
    for _ in 0..8 {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(mountpoint, flags, Mode::empty()) {
            Err(Errno::NOTCONN) => {
                tracing::info!("clearing a dead mount on {}", mountpoint.display());
                unmount(mountpoint, UnmountFlags::DETACH).map_err(|e| refusal(mountpoint, e.into()))?;
            }
            _ => break,
        }
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
    if is_mountpoint(mountpoint).map_err(bad)? {
        return Err(ViewError::Busy(mountpoint.to_owned()));
    }
    if fs::read_dir(mountpoint).map_err(bad)?.next().is_some() {
        return Err(ViewError::NotEmpty(mountpoint.to_owned()));
    }
    Ok(())
}

/// Whether a FUSE file system is mounted exactly here. A volume of another kind (a container's bind mount)
/// is a fine place for a view.
fn is_mountpoint(path: &Path) -> io::Result<bool> {
    let path = path.canonicalize()?;
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(table.lines().any(|line| {
        let (left, right) = line.split_once(" - ").unwrap_or((line, ""));
        let here = left.split(' ').nth(4).map(unescape);
        here.as_deref() == path.to_str() && right.starts_with("fuse")
    }))
}

/// Spaces and the like are octal in the mount table.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

fn refusal(mountpoint: &Path, error: io::Error) -> ViewError {
    let mountpoint = mountpoint.to_owned();
    // Without the privilege the library looks for a helper program and reports that as missing.
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound => ViewError::NotPermitted(mountpoint),
        _ => ViewError::Mount(mountpoint, error),
    }
}

fn is_overlay(path: &Path) -> bool {
    const OVERLAYFS: i64 = 0x794c_7630;
    rustix::fs::statfs(path).is_ok_and(|s| s.f_type == OVERLAYFS)
}
