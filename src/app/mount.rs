//! `shoebox mount`, and the view of `shoebox run`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::archive::{Archive, index_path};
use crate::exit;
use crate::index::IndexReader;
use crate::model::{ArchiveId, ArchivedPart};
use crate::signals;
use crate::view::mount::Source;
use crate::view::{Mounted, Update, ViewError, ViewOptions};

/// Items asked for at once.
const PAGE: usize = 10_000;

/// Shows the view until a signal comes, or until somebody else unmounts it.
pub fn until_stopped(data: &Path, mountpoint: &Path, passthrough: bool) -> anyhow::Result<u8> {
    let stop = signals::stop_token()?;
    let archive = super::open_to_read(data)?;
    let mounted = start(&archive, mountpoint, passthrough)?;
    tracing::info!("the archive is at {}; Ctrl-C ends it", mountpoint.display());
    while !stop.is_cancelled() && mounted.is_alive() {
        // The signal thread only sets a flag; a view needs no async runtime to look at it.
        std::thread::sleep(Duration::from_millis(100));
    }
    mounted.unmount()?;
    Ok(exit::OK)
}

/// Mounts the view of an opened archive.
pub fn start(archive: &Archive, mountpoint: &Path, passthrough: bool) -> Result<Mounted, ViewError> {
    let store = archive.store.clone();
    let options = ViewOptions { passthrough, store: store.root().to_owned() };
    let open_blob = Box::new(move |sha256: &_| store.open_blob(sha256).map_err(std::io::Error::other));
    let source = source(index_path(archive.store.root()), archive.store.id().clone());
    Mounted::start(source, open_blob, mountpoint, &options)
}

/// Reads changes from the index; a rebuilt index is read from its beginning.
fn source(path: PathBuf, id: ArchiveId) -> Source {
    let mut reader: Option<IndexReader> = None;
    Box::new(move |after| {
        let stale = match &reader {
            Some(reader) => reader.is_replaced().map_err(|e| e.to_string())?,
            None => true,
        };
        if stale {
            reader = Some(IndexReader::open(&path, &id).map_err(|e| e.to_string())?);
        }
        let Some(reader) = &reader else { return Err("no index".into()) };
        if stale && after > 0 {
            return parts(reader, 0).map(Update::Everything);
        }
        parts(reader, after).map(Update::Parts)
    })
}

fn parts(reader: &IndexReader, mut after: u64) -> Result<Vec<ArchivedPart>, String> {
    let mut all = Vec::new();
    loop {
        let page = reader.parts_after(after, PAGE).map_err(|e| e.to_string())?;
        let Some(last) = page.last() else { return Ok(all) };
        after = last.change;
        all.extend(page);
    }
}
