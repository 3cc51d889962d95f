//! `shoebox mount`, and the view of `shoebox run`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::ViewSettings;
use super::replica::Far;
use crate::archive::{Archive, index_path};
use crate::exit;
use crate::replica::elsewhere::{Elsewhere, Original, Originals};
use crate::signals;
use crate::view::fs::OpenBlob;
use crate::view::{BlobBytes, IndexSource, Mounted, ViewError, ViewOptions, mountpoint};

/// Shows the view until a signal comes, or until somebody else unmounts it.
pub fn until_stopped(data: &Path, mountpoint: &Path, view: &ViewSettings) -> anyhow::Result<u8> {
    let stop = signals::stop_token()?;
    // First of all: whatever goes wrong now, nobody takes it for an empty library.
    mountpoint::prepare(mountpoint, data)?;
    let archive = super::open_to_read(data)?;
    let mounted = start(&archive, mountpoint, view)?;
    tracing::info!("the archive is at {}; Ctrl-C ends it", mountpoint.display());
    while !stop.is_cancelled() && mounted.is_alive() {
        // The signal thread only sets a flag; a view needs no async runtime to look at it.
        std::thread::sleep(Duration::from_millis(100));
    }
    mounted.stop()?;
    tracing::info!(
        "until it is shown again, {0} answers with an error; `shoebox unmount {0}` frees it",
        mountpoint.display()
    );
    Ok(exit::OK)
}

/// Frees a mount point.
pub fn unmount(place: &Path) -> anyhow::Result<u8> {
    let gone = mountpoint::release(place)?;
    if gone == 0 {
        println!("Nothing of shoebox is mounted on {}.", place.display());
    } else {
        println!("{} is an ordinary directory again.", place.display());
    }
    Ok(exit::OK)
}

/// Mounts the view of an opened archive.
pub fn start(archive: &Archive, mountpoint: &Path, view: &ViewSettings) -> Result<Mounted, ViewError> {
    let store = archive.store.clone();
    let open_blob = Box::new(move |sha256: &_, _size| {
        store.open_blob(sha256).map(BlobBytes::File).map_err(std::io::Error::other)
    });
    show(archive, open_blob, archive.store.root(), ViewOptions::NEAR, mountpoint, view)
}

fn show(
    archive: &Archive,
    open_blob: OpenBlob,
    store: &Path,
    threads: usize,
    mountpoint: &Path,
    view: &ViewSettings,
) -> Result<Mounted, ViewError> {
    let views = super::views::read(view.views.as_deref())?;
    let options = ViewOptions {
        passthrough: view.passthrough,
        xattrs: view.xattrs,
        overlay: view.writable_sidecars.clone(),
        store: store.to_owned(),
        views,
        threads,
    };
    let source = || Box::new(IndexSource::new(index_path(archive.store.root()), archive.store.id().clone()));
    Mounted::start(source(), source(), open_blob, mountpoint, &options)
}

/// An archive that is somewhere else.
#[derive(Clone, Debug)]
pub struct MountFrom {
    /// Its replica.
    pub far: Far,
    /// A directory for its records, its index, and originals that were read lately.
    pub cache: PathBuf,
    /// Most bytes of those originals.
    pub cache_size: u64,
    /// How often is looked for new records.
    pub follow_every: Duration,
}

/// Shows an archive that is somewhere else, until a signal comes or somebody else unmounts it.
pub fn from_elsewhere(from: &MountFrom, mountpoint: &Path, view: &ViewSettings) -> anyhow::Result<u8> {
    let stop = signals::stop_token()?;
    mountpoint::prepare(mountpoint, &from.cache)?;
    let runtime = super::runtime()?;
    let far = Far { target: from.far.target.clone().hasty(), ..from.far.clone() };
    let fetcher = far.fetcher(None, runtime.handle())?;
    tracing::info!("fetching what is known of the archive at {}", far.target);
    let elsewhere = Elsewhere::open(fetcher.clone(), &from.cache, far.workers, &stop)?;
    let originals = Originals::new(fetcher, &from.cache, from.cache_size, runtime.handle().clone())?;
    if stop.is_cancelled() {
        return Ok(exit::INTERRUPTED);
    }
    let open_blob = Box::new(move |sha256: &_, size| {
        originals.open(sha256, size).map(|original| match original {
            Original::Whole(file) => BlobBytes::File(file),
            Original::InBlocks(bytes) => BlobBytes::Elsewhere(bytes),
        })
    });
    let mounted = show(&elsewhere.archive, open_blob, &from.cache, ViewOptions::FAR, mountpoint, view)?;
    tracing::info!("the archive of {} is at {}; Ctrl-C ends it", far.target, mountpoint.display());
    let elsewhere = Arc::new(elsewhere);
    // A thread of its own, left behind at the end: what it waits for may be far away.
    let (following, ended) = (Arc::clone(&elsewhere), stop.clone());
    let every = from.follow_every;
    std::thread::spawn(move || follow(&following, every, &ended));
    while !stop.is_cancelled() && mounted.is_alive() {
        std::thread::sleep(Duration::from_millis(100));
    }
    stop.cancel();
    mounted.stop()?;
    if let Some(elsewhere) = Arc::into_inner(elsewhere) {
        elsewhere.archive.index.close()?;
    }
    runtime.shutdown_background();
    Ok(exit::OK)
}

/// Looks for new records now and then, until asked to stop.
fn follow(elsewhere: &Elsewhere, every: Duration, stop: &CancellationToken) {
    let mut well = true;
    let mut looked = Instant::now();
    while !stop.is_cancelled() {
        if looked.elapsed() < every {
            std::thread::sleep(Duration::from_millis(100));
            continue;
        }
        match elsewhere.follow(stop) {
            Ok(0) => well = true,
            Ok(new) => {
                well = true;
                tracing::info!(records = new, "new in the archive");
            }
            // Said once: what is known is shown all the same.
            Err(error) if well && !stop.is_cancelled() => {
                well = false;
                tracing::warn!("nothing new can be seen: {error}");
            }
            Err(error) => tracing::debug!("nothing new can be seen: {error}"),
        }
        looked = Instant::now();
    }
}
