//! Making an archive. `archive.json` comes last: until it is there, there is no archive, and `init` can be
//! run again.

use std::io;
use std::path::Path;

use super::archive_json::{self, ArchiveJson};
use super::disk::Disk;
use super::layout::{DIRECTORIES, Layout, SHARDS};
use super::{FORMAT, StoreError};
use crate::model::{ArchiveId, Clock};
use crate::small_file;

/// What a stranger finds beside the photos, so that the archive explains itself.
const DOCUMENTS: [(&str, &str); 2] =
    [("README.txt", include_str!("README.txt")), ("FORMAT.md", include_str!("FORMAT.md"))];

/// What an empty archive takes: 512 directories of a block each, and the documents; twice that, to be sure.
const ROOM: u64 = 4 << 20;

pub(super) fn init(root: &Path, disk: &dyn Disk, clock: &dyn Clock) -> Result<ArchiveId, StoreError> {
    let json = ArchiveJson {
        format: FORMAT,
        archive_id: random_id()?,
        hash: "sha256".to_owned(),
        created: clock.now(),
    };
    make(root, disk, &json.to_bytes())
}

/// Makes an archive that has this `archive.json`: a new one, or that of which there is a copy.
pub(super) fn make(root: &Path, disk: &dyn Disk, json: &[u8]) -> Result<ArchiveId, StoreError> {
    let layout = Layout::new(root);
    match archive_json::read(&layout, disk) {
        Ok(id) => {
            return Err(StoreError::AlreadyAnArchive { root: root.to_owned(), id: id.to_string() });
        }
        Err(StoreError::NoArchive { .. }) => {}
        Err(error) => return Err(error),
    }
    let id = archive_json::parse(root, json)?;
    require_room(root, disk)?;
    std::fs::create_dir_all(root).map_err(StoreError::io("create", root))?;
    refuse_foreign(&layout, disk)?;
    complete_directories(&layout, disk)?;
    for (name, text) in DOCUMENTS {
        write_new(&layout, disk, name, text.as_bytes())?;
    }
    write_new(&layout, disk, "archive.json", json)?;
    if let Some(parent) = root.canonicalize().ok().and_then(|root| root.parent().map(Path::to_owned)) {
        disk.sync_dir(&parent).map_err(StoreError::io("flush directory", &parent))?;
    }
    Ok(id)
}

/// Before anything is made, so that nobody has to guess what half an archive is.
fn require_room(root: &Path, disk: &dyn Disk) -> Result<(), StoreError> {
    let Some(there) = root.ancestors().find(|path| path.is_dir()) else { return Ok(()) };
    let free = disk.space(there).map_err(StoreError::io("read the free space of", there))?.free;
    if free < ROOM {
        return Err(StoreError::NoSpace { root: root.to_owned(), needed: ROOM, free, reserve: 0 });
    }
    Ok(())
}

/// Accepts an empty directory, `lost+found` of a fresh volume, and what an interrupted `init` left.
fn refuse_foreign(layout: &Layout, disk: &dyn Disk) -> Result<(), StoreError> {
    let root = layout.root();
    for entry in disk.list(root).map_err(StoreError::io("list", root))? {
        let known = entry.is_dir && (DIRECTORIES.iter().any(|name| entry.name == *name));
        let document = DOCUMENTS.iter().any(|(name, _)| entry.name == *name);
        if !known && entry.name != "lost+found" && !document {
            let found = entry.name.to_string_lossy().into_owned();
            return Err(StoreError::NotEmpty { root: root.to_owned(), found });
        }
    }
    for directory in ["blobs", "records"] {
        let directory = root.join(directory);
        if !directory.is_dir() {
            continue;
        }
        for shard in disk.list(&directory).map_err(StoreError::io("list", &directory))? {
            let shard = directory.join(shard.name);
            let empty =
                shard.is_dir() && disk.list(&shard).map_err(StoreError::io("list", &shard))?.is_empty();
            if !empty {
                let why = "archive.json is missing although there are files in blobs/ or records/".to_owned();
                return Err(StoreError::Broken { root: root.to_owned(), why });
            }
        }
    }
    Ok(())
}

/// Creates what is missing of the directories (copying tools often skip empty ones) and flushes them.
pub(super) fn complete_directories(layout: &Layout, disk: &dyn Disk) -> Result<(), StoreError> {
    let root = layout.root();
    let make = |path: &Path| disk.make_dir(path).map_err(StoreError::io("create", path));
    let sync = |path: &Path| disk.sync_dir(path).map_err(StoreError::io("flush directory", path));
    let mut new = false;
    for name in DIRECTORIES {
        let path = root.join(name);
        if !path.is_dir() {
            make(&path)?;
            new = true;
        }
    }
    if new {
        sync(root)?;
    }
    for name in ["blobs", "records"] {
        let parent = root.join(name);
        let present = disk.list(&parent).map_err(StoreError::io("list", &parent))?;
        let mut new = false;
        for shard in 0..SHARDS {
            let shard = format!("{shard:02x}");
            if present.binary_search_by(|entry| entry.name.as_os_str().cmp(shard.as_ref())).is_err() {
                make(&parent.join(&shard))?;
                new = true;
            }
        }
        if new {
            sync(&parent)?;
        }
    }
    make(&layout.browser_tmp())
}

fn write_new(layout: &Layout, disk: &dyn Disk, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let path = layout.root().join(name);
    let file = disk.create(&layout.tmp()).map_err(StoreError::io("create a file in", &layout.tmp()))?;
    let write = || {
        disk.append(&file, bytes)?;
        disk.seal(&file)?;
        disk.sync(&file)
    };
    write().map_err(StoreError::io("write", &path))?;
    match disk.publish(&file, &path) {
        // A document of an interrupted `init`; archive.json was looked for before.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other.map_err(StoreError::io("publish", &path))?,
    }
    disk.sync_dir(layout.root()).map_err(StoreError::io("flush directory", layout.root()))?;
    if let Some(name) = file.name() {
        // Left behind, it is cleared at the next start.
        let _ = disk.discard(name);
    }
    Ok(())
}

fn random_id() -> Result<ArchiveId, StoreError> {
    let bytes = small_file::random().map_err(StoreError::io("read", Path::new("/dev/urandom")))?;
    Ok(ArchiveId::from_random(bytes))
}
