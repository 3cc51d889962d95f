//! `shoebox mount`, and the view of `shoebox run`.

use std::path::Path;
use std::time::Duration;

use super::ViewSettings;
use crate::archive::{Archive, index_path};
use crate::exit;
use crate::signals;
use crate::view::{IndexSource, Mounted, ViewError, ViewOptions, mountpoint};

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
    let views = super::views::read(view.views.as_deref())?;
    let options = ViewOptions {
        passthrough: view.passthrough,
        xattrs: view.xattrs,
        overlay: view.writable_sidecars.clone(),
        store: store.root().to_owned(),
        views,
    };
    let open_blob = Box::new(move |sha256: &_| store.open_blob(sha256).map_err(std::io::Error::other));
    let source = || Box::new(IndexSource::new(index_path(archive.store.root()), archive.store.id().clone()));
    Mounted::start(source(), source(), open_blob, mountpoint, &options)
}
