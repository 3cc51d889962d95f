//! Brings the view to a mount point, keeps it fresh, takes it away again.

use std::io;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fuser::{BackgroundSession, BackingId, Config, MountOption, Notifier, Session, SessionACL};
use jiff::Timestamp;

use super::fs::{Fs, OpenBlob};
use super::fuse::{Adapter, announce};
use super::mountpoint::{self, Mount, ViewError};
use super::tree::{Changes, Tree};
use crate::model::ArchivedPart;

/// What the source of a view has to say.
pub enum Update {
    /// Parts with changes after the asked one.
    Parts(Vec<ArchivedPart>),
    /// The sequence of changes starts over, because the index was made anew: all parts there are.
    Everything(Vec<ArchivedPart>),
}

/// Gives what changed after a position; all parts of an item come together. An error is a sentence.
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
/// Threads that answer the kernel; they touch memory only, but for opening files.
const THREADS: usize = 4;

/// A mounted view.
pub struct Mounted {
    mountpoint: PathBuf,
    /// Which mount is ours.
    mount: Option<Mount>,
    /// Never dropped: dropping it unmounts whatever is at the mount point, be it another's, and leaves a dead
    /// mount where a file is open. It ends by itself when the kernel lets go of our mount.
    session: ManuallyDrop<BackgroundSession>,
    refresher: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Mounted {
    /// Loads the tree, then mounts it: consumers never see an empty tree where photos are. A dead mount of a
    /// predecessor is cleared first.
    ///
    /// # Errors
    /// [`ViewError`] says what is missing and how to get it.
    pub fn start(
        mut source: Source,
        open_blob: OpenBlob,
        mountpoint: &Path,
        options: &ViewOptions,
    ) -> Result<Self, ViewError> {
        mountpoint::prepare(mountpoint, &options.store)?;
        let mountpoint =
            mountpoint.canonicalize().map_err(|e| ViewError::Mountpoint(mountpoint.to_owned(), e))?;
        let mut tree = Tree::new(Timestamp::now());
        let (Update::Parts(parts) | Update::Everything(parts)) = source(0).map_err(ViewError::Source)?;
        let last = parts.iter().map(|part| part.change).max().unwrap_or(0);
        tree.apply(&parts, Timestamp::now());
        drop(parts);
        let fs = Arc::new(Fs::new(tree, open_blob, options.store.clone()));
        let depth = if is_overlay(&options.store) { 2 } else { 1 };
        let adapter = Adapter::new(Arc::clone(&fs), options.passthrough, depth);
        let failed = |e: io::Error| ViewError::Mount(mountpoint.clone(), e);
        let session =
            Session::new(adapter, &mountpoint, &config()).map_err(|e| mountpoint::refusal(&mountpoint, e))?;
        let mount = mountpoint::top(&mountpoint).map_err(failed)?;
        let notifier = session.notifier();
        let session = ManuallyDrop::new(session.spawn().map_err(failed)?);
        let mut mounted = Self { mountpoint: mountpoint.clone(), mount, session, refresher: None };
        let (stop, stopped) = mpsc::channel();
        let refresher = thread::Builder::new().name("view".into()).spawn(move || {
            let mut refresh = Refresh { source, fs, notifier, last, failing: false };
            while stopped.recv_timeout(REFRESH) == Err(RecvTimeoutError::Timeout) {
                refresh.once();
            }
        });
        mounted.refresher = Some((stop, refresher.map_err(failed)?));
        Ok(mounted)
    }

    /// Whether somebody else has not unmounted it.
    pub fn is_alive(&self) -> bool {
        !self.session.guard.is_finished()
    }

    /// Takes the view away. Files that are open can be read to their end while this process lives, and where
    /// the kernel reads them itself also after.
    ///
    /// # Errors
    /// What the system answers; then it is still there.
    pub fn unmount(mut self) -> Result<(), ViewError> {
        self.detach().map_err(|e| ViewError::Unmount(self.mountpoint.clone(), e))
    }

    fn detach(&mut self) -> io::Result<()> {
        let Some((stop, refresher)) = self.refresher.take() else { return Ok(()) };
        drop(stop);
        if refresher.join().is_err() {
            tracing::warn!("what keeps the view fresh had failed");
        }
        // Another's mount at the same place, or none, is not ours to take away. While our session lives its
        // numbers cannot have gone to another.
        let there = mountpoint::top(&self.mountpoint)?;
        let ours = self.is_alive() && there.is_some() && there == self.mount;
        if ours { mountpoint::detach(&self.mountpoint) } else { Ok(()) }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(e) = self.detach() {
            tracing::warn!("cannot unmount {}: {e}", self.mountpoint.display());
        }
    }
}

/// Keeps the tree and the kernel's caches in step with the source.
struct Refresh {
    source: Source,
    fs: Arc<Fs<BackingId>>,
    notifier: Notifier,
    last: u64,
    failing: bool,
}

impl Refresh {
    fn once(&mut self) {
        let update = match (self.source)(self.last) {
            Ok(update) => update,
            Err(e) => {
                // The view stays as it is; one line is enough until it works again.
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!("the view cannot be brought up to date: {e}");
                }
                return;
            }
        };
        if std::mem::replace(&mut self.failing, false) {
            tracing::info!("the view is brought up to date again");
        }
        let now = Timestamp::now();
        let (parts, changes): (_, Changes) = match update {
            Update::Parts(parts) if parts.is_empty() => return,
            Update::Parts(parts) => {
                let changes = self.fs.change(|tree| tree.apply(&parts, now));
                (parts, changes)
            }
            Update::Everything(parts) => {
                self.last = 0;
                let changes = self.fs.change(|tree| {
                    tree.begin_reload();
                    let mut changes = tree.apply(&parts, now);
                    changes.merge(tree.end_reload(now));
                    changes
                });
                (parts, changes)
            }
        };
        self.last = parts.iter().map(|part| part.change).max().unwrap_or(0).max(self.last);
        announce(&self.notifier, &changes);
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

fn is_overlay(path: &Path) -> bool {
    const OVERLAYFS: i64 = 0x794c_7630;
    rustix::fs::statfs(path).is_ok_and(|s| s.f_type == OVERLAYFS)
}
