//! `archive.json`: written once by `init`, read at every start, never changed.

use std::io::{self, Read};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::disk::Disk;
use super::layout::Layout;
use super::{FORMAT, StoreError};
use crate::model::ArchiveId;

/// Longest file that is read; ours has some 200 bytes.
const LIMIT: u64 = 64 * 1024;

#[derive(Serialize, Deserialize)]
pub(super) struct ArchiveJson {
    pub(super) format: u64,
    pub(super) archive_id: ArchiveId,
    pub(super) hash: String,
    pub(super) created: Timestamp,
}

/// Only the version: read first, so that any later format is refused with the right sentence.
#[derive(Deserialize)]
struct Version {
    format: u64,
}

impl ArchiveJson {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        #[expect(clippy::unwrap_used, reason = "numbers and strings are always representable")]
        let mut bytes = serde_json::to_vec_pretty(self).unwrap();
        bytes.push(b'\n');
        bytes
    }
}

/// Reads and checks it; returns the archive's id.
pub(super) fn read(layout: &Layout, disk: &dyn Disk) -> Result<ArchiveId, StoreError> {
    let (root, path) = (layout.root(), layout.archive_json());
    let no_archive = |why: &str| StoreError::NoArchive { root: root.to_owned(), why: why.to_owned() };
    let broken = |why: String| StoreError::Broken { root: root.to_owned(), why };
    let file = match disk.open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let entries = match disk.list(root) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(no_archive("there is no such directory"));
                }
                Err(error) => return Err(StoreError::io("list", root)(error)),
            };
            if entries.is_empty() {
                return Err(no_archive("the directory is empty"));
            }
            return Err(no_archive("archive.json is missing"));
        }
        Err(error) => return Err(StoreError::io("open", &path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes).map_err(StoreError::io("read", &path))?;
    let id = parse(root, &bytes)?;
    for name in ["blobs", "records"] {
        if !root.join(name).is_dir() {
            return Err(broken(format!("the directory {name}/ is missing")));
        }
    }
    Ok(id)
}

/// What the file's bytes say.
pub(crate) fn parse(root: &Path, bytes: &[u8]) -> Result<ArchiveId, StoreError> {
    let broken = |why: String| StoreError::Broken { root: root.to_owned(), why };
    let version: Version =
        serde_json::from_slice(bytes).map_err(|error| broken(format!("archive.json: {error}")))?;
    match version.format {
        FORMAT => {}
        found if found > FORMAT => {
            return Err(StoreError::NewerFormat { root: root.to_owned(), found, known: FORMAT });
        }
        found => return Err(StoreError::OlderFormat { root: root.to_owned(), found, known: FORMAT }),
    }
    let json: ArchiveJson =
        serde_json::from_slice(bytes).map_err(|error| broken(format!("archive.json: {error}")))?;
    if json.hash != "sha256" {
        return Err(broken(format!("archive.json names the unknown hash {:?}", json.hash)));
    }
    Ok(json.archive_id)
}
