//! Where things are in an archive. `FORMAT.md` says the same in prose.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::disk::TmpPath;
use crate::model::digest::digests_of;
use crate::model::{MediaKey, Sha256};

/// Number of shards of `blobs/` and `records/`: one for each first byte.
pub(super) const SHARDS: u16 = 256;

/// The directories of an archive, in the order of creation.
pub(super) const DIRECTORIES: [&str; 5] = ["blobs", "records", "albums", "tmp", "quarantine"];

/// The paths of one archive.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(super) fn browser_tmp(&self) -> PathBuf {
        self.root.join("tmp/browser")
    }

    pub(super) fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    pub(super) fn archive_json(&self) -> PathBuf {
        self.root.join("archive.json")
    }

    pub(super) fn blob_shard(&self, shard: u8) -> PathBuf {
        self.root.join(format!("blobs/{shard:02x}"))
    }

    pub(super) fn record_shard(&self, shard: u8) -> PathBuf {
        self.root.join(format!("records/{shard:02x}"))
    }

    pub(super) fn blob(&self, sha256: &Sha256) -> PathBuf {
        self.blob_shard(sha256.bytes()[0]).join(sha256.hex())
    }

    pub(super) fn record(&self, name: &RecordName) -> PathBuf {
        self.record_shard(name.shard()).join(name.file_name())
    }

    pub(super) fn albums(&self) -> PathBuf {
        self.root.join("albums")
    }

    pub(super) fn album(&self, name: &RecordName) -> PathBuf {
        self.albums().join(name.file_name())
    }

    /// `path` as a path below `tmp/`, if it is one.
    pub(super) fn below_tmp(&self, path: &Path) -> Option<TmpPath> {
        let rest = path.strip_prefix(self.tmp()).ok()?;
        let plain = rest.components().all(|part| matches!(part, Component::Normal(_)));
        (plain && rest.components().next().is_some()).then(|| TmpPath::new(path.to_owned()))
    }
}

/// The name of a record file: `<key>.<seq>.<sha256>.json`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordName {
    /// The item's key.
    pub key: MediaKey,
    /// Revision, from 1.
    pub seq: u32,
    /// SHA-256 of the file's bytes.
    pub sha256: Sha256,
}

impl RecordName {
    /// Reads a file name; anything that shoebox would not write is `None`.
    pub fn parse(name: &OsStr) -> Option<Self> {
        let mut fields = name.to_str()?.strip_suffix(".json")?.split('.');
        let (key, seq, sha256) = (fields.next()?, fields.next()?, fields.next()?);
        if fields.next().is_some() {
            return None;
        }
        let name =
            Self { key: MediaKey::new(key)?, seq: seq.parse().ok()?, sha256: Sha256::from_hex(sha256)? };
        (name.seq >= 1 && name.seq.to_string() == seq).then_some(name)
    }

    /// The file name.
    pub fn file_name(&self) -> String {
        format!("{}.{}.{}.json", self.key, self.seq, self.sha256)
    }

    /// The shard: the first byte of the SHA-256 of the key.
    pub fn shard(&self) -> u8 {
        shard_of(&self.key)
    }
}

/// The shard of an item's records. The key's hash spreads evenly, its first letters (`AF1Qip`) do not.
pub(super) fn shard_of(key: &MediaKey) -> u8 {
    digests_of(key.as_str().as_bytes()).sha256.bytes()[0]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn record_names_are_read_strictly() {
        let sha = "ab".repeat(32);
        let name = RecordName::parse(OsStr::new(&format!("AF1.12.{sha}.json"))).unwrap();
        assert_eq!((name.key.as_str(), name.seq), ("AF1", 12));
        assert_eq!(name.file_name(), format!("AF1.12.{sha}.json"));
        for bad in ["k.01", "k.0", "k.+1", "k.1.x", ".1", "k."] {
            assert_eq!(RecordName::parse(OsStr::new(&format!("{bad}.{sha}.json"))), None, "{bad}");
        }
        assert_eq!(RecordName::parse(OsStr::new(&format!("k.1.{}.json", sha.to_uppercase()))), None);
    }

    #[test]
    fn only_paths_below_tmp_are_temporary() {
        let layout = Layout::new(Path::new("/a"));
        assert!(layout.below_tmp(Path::new("/a/tmp/x/y")).is_some());
        for bad in ["/a/tmp", "/a/tmp/", "/a/tmp/../blobs/ab/x", "/a/blobs/x", "/b/tmp/x", "tmp/x"] {
            assert!(layout.below_tmp(Path::new(bad)).is_none(), "{bad}");
        }
    }
}
