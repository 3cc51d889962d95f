//! Bytes that are not archived but not thrown away either, each with a note that says why.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::blob::{PartialBlob, Temporary};
use super::{Inner, Store, StoreError};
use crate::model::{MediaKey, PartRole, Sha1, Sha256};

/// Why bytes were refused: written as JSON beside them, with their hashes and size added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuarantineNote {
    /// The item, where known.
    pub key: Option<MediaKey>,
    /// Which file of it, where known.
    pub role: Option<PartRole>,
    /// File name, as it came.
    pub name: Option<String>,
    /// Why, as one sentence.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// First lines of the response, free of cookies and tokens.
    pub response: Option<String>,
}

#[derive(Serialize)]
struct WrittenNote<'a> {
    #[serde(flatten)]
    note: &'a QuarantineNote,
    sha256: Sha256,
    sha1: Sha1,
    size: u64,
}

impl Store {
    /// Keeps refused bytes in `quarantine/`, with the note beside them (same name, `.json`); returns where
    /// the bytes are. The same bytes of the same item are kept once, however often they come.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn quarantine(&self, partial: PartialBlob, note: &QuarantineNote) -> Result<PathBuf, StoreError> {
        let inner = &self.inner;
        inner.writable()?;
        let digests = partial.digests();
        let key = note.key.as_ref().map_or("unknown", MediaKey::as_str);
        let role = note.role.map_or("unknown", PartRole::word);
        let name = format!("{key}.{role}.{}", digests.sha256);
        let written = WrittenNote { note, sha256: digests.sha256, sha1: digests.sha1, size: digests.size };
        #[expect(clippy::unwrap_used, reason = "strings, numbers and times are always representable")]
        let mut text = serde_json::to_vec_pretty(&written).unwrap();
        text.push(b'\n');
        let tmp = inner.layout.tmp();
        let pending = inner.disk.create(&tmp).map_err(StoreError::io("create a file in", &tmp))?;
        let text_file = Temporary::new(pending, inner.clone());
        let path = inner.layout.quarantine().join(format!("{name}.json"));
        inner.disk.append(text_file.get(), &text).map_err(StoreError::io("write", &path))?;
        inner.keep_aside(&text_file, &format!("{name}.json"))?;
        let bytes = partial.into_temporary();
        inner.keep_aside(&bytes, &format!("{name}.bytes"))
    }
}

impl Store {
    /// Files in `quarantine/`, sorted: what is about an item begins with its key and a dot.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn all_evidence(&self) -> Result<Vec<PathBuf>, StoreError> {
        let dir = self.inner.layout.quarantine();
        let entries = self.inner.disk.list(&dir).map_err(StoreError::io("list", &dir))?;
        let mut found: Vec<_> = entries.into_iter().map(|entry| dir.join(entry.name)).collect();
        found.sort();
        Ok(found)
    }

    /// Files in `quarantine/` that are about an item, sorted.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn evidence(&self, key: &str) -> Result<Vec<PathBuf>, StoreError> {
        let about = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.and_then(|name| name.strip_prefix(key)).is_some_and(|rest| rest.starts_with('.'))
        };
        Ok(self.all_evidence()?.into_iter().filter(about).collect())
    }
}

impl Inner {
    /// Gives a pending file a name in `quarantine/`; a name that is taken already holds the same evidence.
    pub(super) fn keep_aside(&self, pending: &Temporary, name: &str) -> Result<PathBuf, StoreError> {
        let dir = self.layout.quarantine();
        let path = dir.join(name);
        self.disk.seal(pending.get()).map_err(StoreError::io("protect", &path))?;
        self.sync(pending.get(), &path)?;
        match self.disk.publish(pending.get(), &path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other.map_err(StoreError::io("publish", &path))?,
        }
        self.sync_dir(&dir)?;
        Ok(path)
    }
}
