//! Records that were there and are not any more. Only the index can tell, and it is made again from those that are left:
//! so what it knew is written down first, where people look.

use std::path::{Component, Path, PathBuf};

use super::blob::Temporary;
use super::layout::RecordName;
use super::{Store, StoreError};

/// How the names of the notes start.
const NOTE: &str = "lost-records.";

impl Store {
    /// Where the record of an item is, or would be.
    pub fn record_path(&self, name: &RecordName) -> PathBuf {
        self.inner.layout.record(name)
    }

    /// Where the record of an album is, or would be.
    pub fn album_path(&self, name: &RecordName) -> PathBuf {
        self.inner.layout.album(name)
    }

    /// Writes down in `quarantine/` that these files of the archive are lost; returns the note.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_lost(&self, files: &[PathBuf]) -> Result<PathBuf, StoreError> {
        let inner = &self.inner;
        inner.writable()?;
        let mut text = String::new();
        for file in files {
            let file = file.strip_prefix(self.root()).unwrap_or(file);
            text.push_str(&format!("{}\n", file.display()));
        }
        let tmp = inner.layout.tmp();
        let pending = inner.disk.create(&tmp).map_err(StoreError::io("create a file in", &tmp))?;
        let pending = Temporary::new(pending, inner.clone());
        inner.disk.append(pending.get(), text.as_bytes()).map_err(StoreError::io("write a note in", &tmp))?;
        let name = format!("{NOTE}{}.txt", inner.clock.now().strftime("%Y%m%dT%H%M%S%fZ"));
        inner.keep_aside(&pending, &name)
    }

    /// The files that such notes name and that have not come back, each with its note.
    ///
    /// # Errors
    /// When the notes cannot be read.
    pub fn noted_lost(&self) -> Result<Vec<(PathBuf, PathBuf)>, StoreError> {
        let mut lost = Vec::new();
        for note in self.evidence(NOTE.trim_end_matches('.'))? {
            let text = std::fs::read_to_string(&note).map_err(StoreError::io("read", &note))?;
            let plain =
                |line: &&str| Path::new(line).components().all(|part| matches!(part, Component::Normal(_)));
            let files = text.lines().filter(|line| !line.is_empty()).filter(plain);
            let files = files
                .map(|line| self.root().join(line))
                .filter(|file| file.try_exists().is_ok_and(|there| !there));
            lost.extend(files.map(|file| (file, note.clone())));
        }
        lost.sort();
        lost.dedup_by(|a, b| a.0 == b.0);
        Ok(lost)
    }
}
