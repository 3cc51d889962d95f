//! Brings the view to a mount point, keeps it fresh, takes it away again.

use std::collections::HashSet;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fuser::{BackgroundSession, BackingId, Config, MountOption, Notifier, Session, SessionACL};

use super::fs::{Fs, OpenBlob};
use super::fuse::{Adapter, announce};
use super::history::History;
use super::layout::View;
use super::mountpoint::{self, Mount, ViewError};
use super::overlay::Overlay;
use super::source::{News, Rest, Source, add_rest, load};
use super::tree::Changes;
use crate::model::{ArchivedItem, BorrowedItem, MediaKey};

/// How a view is shown.
#[derive(Clone, Debug)]
pub struct ViewOptions {
    /// Let the kernel read the files itself where it may.
    pub passthrough: bool,
    /// The directory that holds the blobs, for its free space and kind.
    pub store: PathBuf,
    /// Files have extended attributes (`user.shoebox.…`).
    pub xattrs: bool,
    /// Where sidecars go that consumers write; left out, nothing can be written.
    pub overlay: Option<PathBuf>,
    /// What is shown.
    pub views: Vec<View>,
    /// Threads that answer the kernel: a few where they touch memory only, but for opening files; more where each may
    /// wait for something far away.
    pub threads: usize,
}

impl ViewOptions {
    /// Threads where blobs are on this machine's disks.
    pub const NEAR: usize = 4;
    /// Threads where they are far away.
    pub const FAR: usize = 32;
}

/// How often the source is asked.
const REFRESH: Duration = Duration::from_millis(300);
/// A mounted view.
pub struct Mounted {
    mountpoint: PathBuf,
    /// Which mount is ours.
    mount: Option<Mount>,
    /// Whether the place answers with errors when the view is gone.
    guarded: bool,
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
        mut source: Box<dyn Source>,
        past: Box<dyn Source>,
        open_blob: OpenBlob,
        mountpoint: &Path,
        options: &ViewOptions,
    ) -> Result<Self, ViewError> {
        let guarded = mountpoint::prepare(mountpoint, &options.store)?;
        let mountpoint =
            mountpoint::resolve(mountpoint).map_err(|e| ViewError::Mountpoint(mountpoint.to_owned(), e))?;
        let tree = load(source.as_mut(), &options.views).map_err(ViewError::Source)?;
        let overlay = match &options.overlay {
            Some(dir) => {
                let bad = |e| ViewError::Overlay(dir.clone(), e);
                Some(Overlay::open(dir).map_err(bad)?)
            }
            None => None,
        };
        let read_only = overlay.is_none();
        let history = History::new(past, options.views.clone());
        let fs = Arc::new(Fs::new(tree, history, overlay, open_blob, options.store.clone()));
        let depth = if is_overlay(&options.store) { 2 } else { 1 };
        let adapter = Adapter::new(Arc::clone(&fs), options.passthrough, depth, options.xattrs);
        let answers = adapter.device();
        let failed = |e: io::Error| ViewError::Mount(mountpoint.clone(), e);
        let session = if guarded {
            let device = mountpoint::open_device().map_err(failed)?;
            mountpoint::mount_device(&device, &mountpoint, "shoebox", read_only).map_err(failed)?;
            Session::from_fd(adapter, device.into(), SessionACL::All, config(read_only, options.threads))
                .map_err(|e| {
                    // The guard shows again.
                    let _ = mountpoint::detach(&mountpoint);
                    failed(e)
                })?
        } else {
            let mut config = config(read_only, options.threads);
            if !mountpoint::others_may_read() {
                tracing::warn!(
                    "only this user can read {}: `user_allow_other` in /etc/fuse.conf lets others read it, too",
                    mountpoint.display()
                );
                config.acl = SessionACL::Owner;
            }
            Session::new(adapter, &mountpoint, &config).map_err(|e| mountpoint::refusal(&mountpoint, e))?
        };
        // Set once, here.
        let _ = answers.set(session.as_fd().try_clone_to_owned().map_err(failed)?);
        drop(answers);
        let mount = mountpoint::top(&mountpoint).map_err(failed)?;
        let notifier = session.notifier();
        let session = ManuallyDrop::new(session.spawn().map_err(failed)?);
        let mut mounted = Self { mountpoint: mountpoint.clone(), mount, guarded, session, refresher: None };
        let (stop, stopped) = mpsc::channel();
        let refresher = thread::Builder::new().name("view".into()).spawn(move || {
            let mut refresh = Refresh { source, fs, notifier, failing: false };
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

    /// Ends the view, not its place: until another one starts there, every question gets an error, and nobody
    /// sees an empty tree. Files that are open can be read to their end while this process lives, and where the
    /// kernel reads them itself also after.
    ///
    /// Without a guard the view stays until the process ends, and is a dead mount then, which answers with errors.
    ///
    /// # Errors
    /// What the system answers; then it is still there.
    pub fn stop(mut self) -> Result<(), ViewError> {
        let stopped = if self.guarded { self.detach() } else { self.leave() };
        stopped.map_err(|e| ViewError::Unmount(self.mountpoint.clone(), e))
    }

    /// Takes the view away, and with it what guards its place: an empty directory is left.
    ///
    /// # Errors
    /// What the system answers; then it is still there.
    pub fn unmount(mut self) -> Result<(), ViewError> {
        self.detach().map_err(|e| ViewError::Unmount(self.mountpoint.clone(), e))?;
        // Another view may stand on the guard by now.
        let ours = mountpoint::is_guarded(&self.mountpoint);
        if ours { mountpoint::release(&self.mountpoint).map(drop) } else { Ok(()) }
    }

    fn leave(&mut self) -> io::Result<()> {
        if let Some((stop, refresher)) = self.refresher.take() {
            drop(stop);
            refresher.join().map_err(|_| io::Error::other("what keeps the view fresh had failed"))?;
        }
        Ok(())
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
    source: Box<dyn Source>,
    fs: Arc<Fs<BackingId>>,
    notifier: Notifier,
    failing: bool,
}

impl Refresh {
    /// The view stays as it is; one line is enough until it works again.
    fn fail(&mut self, why: &str) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!("the view cannot be brought up to date: {why}");
        }
    }

    /// Reads everything again; nothing that came again goes in between.
    fn reload(&mut self) -> Result<Changes, String> {
        let albums = self.source.albums()?;
        let mut items: Vec<ArchivedItem> = Vec::with_capacity(self.source.count()?);
        self.source
            .whole(&mut [Box::new(|item: &BorrowedItem<'_>| items.push(item.clone().into_owned()))])?;
        let named: HashSet<&MediaKey> =
            albums.iter().flat_map(|album| &album.revisions).flat_map(|revision| &revision.items).collect();
        let there = items.iter().filter(|item| named.contains(&item.key));
        let ordinals = there.map(|item| (item.key.clone(), item.ordinal)).collect();
        Ok(self.fs.change(|tree| {
            tree.begin_reload();
            let mut changes = tree.apply(items);
            changes.merge(tree.end_reload());
            let twins = tree.twins();
            changes.merge(add_rest(tree, &Rest { albums, ordinals, twins }));
            tree.rest();
            changes
        }))
    }

    fn once(&mut self) {
        let news = match self.source.news() {
            Ok(news) => news,
            Err(e) => {
                return self.fail(&e);
            }
        };
        if std::mem::replace(&mut self.failing, false) {
            tracing::info!("the view is brought up to date again");
        }
        let changes = match news {
            News::Nothing => return,
            News::Some(items, rest) => self.fs.change(|tree| {
                let mut changes = tree.apply(items);
                changes.merge(add_rest(tree, &rest));
                changes
            }),
            News::Everything => match self.reload() {
                Ok(changes) => changes,
                Err(e) => return self.fail(&e),
            },
        };
        announce(&self.notifier, &changes);
    }
}

fn config(read_only: bool, threads: usize) -> Config {
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName("shoebox".into()),
        MountOption::Subtype("shoebox".into()),
        MountOption::NoSuid,
        MountOption::NoDev,
        MountOption::NoExec,
        MountOption::NoAtime,
        MountOption::DefaultPermissions,
    ];
    if read_only {
        config.mount_options.push(MountOption::RO);
    }
    config.acl = SessionACL::All;
    config.n_threads = Some(threads);
    config
}

fn is_overlay(path: &Path) -> bool {
    const OVERLAYFS: i64 = 0x794c_7630;
    rustix::fs::statfs(path).is_ok_and(|s| s.f_type == OVERLAYFS)
}
