//! What an interrupted run left in `tmp/`. Recovery is part of every start, not a mode.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::StoreError;
use super::blob::hash_file;
use super::disk::{Disk, OWN_PREFIX, TmpPath, same_file};
use super::layout::Layout;

/// Empties `tmp/`; returns where things were set aside.
///
/// - Our own `partial-…` files are removed: their name says that they are unpublished and incomplete, the
///   library still has the bytes, and a run killed many times must not fill the disk with them.
/// - A second name of a published blob is removed: a kill came between giving the name and dropping this one.
/// - All else (a browser's downloads, whole or not) goes to quarantine: we cannot tell what it is.
pub(super) fn clear_tmp(
    layout: &Layout,
    disk: &dyn Disk,
    now: Timestamp,
) -> Result<Vec<PathBuf>, StoreError> {
    let mut kept = Vec::new();
    clear(layout, disk, now, &layout.tmp(), &mut kept)?;
    if !kept.is_empty() {
        let dir = layout.quarantine();
        disk.sync_dir(&dir).map_err(StoreError::io("flush directory", &dir))?;
    }
    Ok(kept)
}

fn clear(
    layout: &Layout,
    disk: &dyn Disk,
    now: Timestamp,
    dir: &Path,
    kept: &mut Vec<PathBuf>,
) -> Result<(), StoreError> {
    for entry in disk.list(dir).map_err(StoreError::io("list", dir))? {
        let path = dir.join(&entry.name);
        let Some(tmp) = layout.below_tmp(&path) else { continue };
        let own = dir == layout.tmp() && entry.name.as_encoded_bytes().starts_with(OWN_PREFIX.as_bytes());
        if entry.is_dir {
            clear(layout, disk, now, &path, kept)?;
            if path != layout.browser_tmp() {
                disk.discard(&tmp).map_err(StoreError::io("remove", &path))?;
            }
        } else if own || is_published(layout, disk, &path) {
            disk.discard(&tmp).map_err(StoreError::io("remove", &path))?;
        } else {
            kept.push(set_aside(layout, disk, now, &tmp)?);
        }
    }
    Ok(())
}

/// Whether the file is also a blob under its final name: the same file, not merely the same bytes.
fn is_published(layout: &Layout, disk: &dyn Disk, path: &Path) -> bool {
    let check = || {
        let file = disk.open(path)?;
        if std::os::unix::fs::MetadataExt::nlink(&file.metadata()?) < 2 {
            return Ok(false);
        }
        let (sha256, _) = hash_file(&file)?;
        same_file(&file, &disk.open(&layout.blob(&sha256))?)
    };
    check().unwrap_or(false)
}

fn set_aside(layout: &Layout, disk: &dyn Disk, now: Timestamp, tmp: &TmpPath) -> Result<PathBuf, StoreError> {
    // Names in tmp/ come from the browser; ours are plain, and the old one is kept as far as it is harmless.
    let old = tmp.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let old: String = old
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' })
        .take(80)
        .collect();
    for n in 0..u32::MAX {
        let to = layout.quarantine().join(format!("leftover.{}.{n}.{old}", now.strftime("%Y%m%dT%H%M%SZ")));
        match disk.set_aside(tmp, &to) {
            Ok(()) => return Ok(to),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(StoreError::io("set aside", tmp.path())(error)),
        }
    }
    Err(StoreError::Broken {
        root: layout.root().to_owned(),
        why: "quarantine/ is full of leftovers".to_owned(),
    })
}
