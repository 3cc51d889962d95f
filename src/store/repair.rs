//! Damage mended from another copy of the archive. Nothing of a copy is believed: each file is hashed, and is what its
//! name says or is left where it is.

use std::io;
use std::path::{Path, PathBuf};

use super::archive_json;
use super::blob::{Temporary, each_chunk};
use super::layout::{Layout, RecordName};
use super::scrub::Finding;
use super::{Store, StoreError};
use crate::model::Sha256;
use crate::model::digest::digests_of;

/// Longest record that is taken from a copy, bytes; real ones have a few kilobytes.
const LONGEST_RECORD: u64 = 64 << 20;

/// Another copy of an archive, made with any program that copies files.
pub struct Replica {
    layout: Layout,
}

impl Store {
    /// Opens a copy of this archive.
    ///
    /// # Errors
    /// Where there is none, or it is a copy of another archive.
    pub fn replica(&self, root: &Path) -> Result<Replica, StoreError> {
        let layout = Layout::new(root);
        let id = archive_json::read(&layout, self.inner.disk.as_ref())?;
        if id != *self.id() {
            let why = format!("it is archive {id}, not a copy of {}", self.id());
            return Err(StoreError::Broken { root: root.to_owned(), why });
        }
        Ok(Replica { layout })
    }

    /// Mends what a finding tells of, as far as the copy has what is lacking; returns the files that are sound now and
    /// were not. The bad bytes are kept in quarantine.
    ///
    /// # Errors
    /// When this archive cannot be written; what the copy lacks is no error.
    pub fn mend_from(&self, replica: &Replica, finding: &Finding) -> Result<Vec<PathBuf>, StoreError> {
        self.inner.writable()?;
        let name = finding.path.file_name().unwrap_or_default();
        if let Some(sha256) = name.to_str().and_then(Sha256::from_hex)
            && finding.path == self.blob_path(&sha256)
        {
            return Ok(self.mend_blob(replica, &sha256)?.into_iter().collect());
        }
        let Some(record) = RecordName::parse(name) else { return Ok(Vec::new()) };
        let (ours, theirs) = if finding.path == self.inner.layout.album(&record) {
            (self.inner.layout.albums(), replica.layout.albums())
        } else {
            (self.inner.layout.record_shard(record.shard()), replica.layout.record_shard(record.shard()))
        };
        // What is wrong may be an earlier revision than the file that showed it.
        let Ok(entries) = self.inner.disk.list(&theirs) else { return Ok(Vec::new()) };
        let mut mended = Vec::new();
        for entry in entries {
            if let Some(name) = RecordName::parse(&entry.name).filter(|name| name.key == record.key) {
                mended.extend(self.mend_record(
                    &theirs.join(&entry.name),
                    &ours.join(&entry.name),
                    &name.sha256,
                )?);
            }
        }
        Ok(mended)
    }

    fn mend_blob(&self, replica: &Replica, sha256: &Sha256) -> Result<Option<PathBuf>, StoreError> {
        if self.is_sound(sha256)? {
            return Ok(None);
        }
        let Ok(file) = self.inner.disk.open(&replica.layout.blob(sha256)) else { return Ok(None) };
        let Ok(size) = file.metadata().map(|meta| meta.len()) else { return Ok(None) };
        let mut partial = self.begin(Some(size))?;
        let mut failed = None;
        let read = each_chunk(&file, |chunk| {
            if failed.is_none() {
                failed = partial.write(chunk).err();
            }
        });
        match failed {
            // The copy grew while it was read.
            Some(StoreError::TooLong { .. }) => return Ok(None),
            Some(error) => return Err(error),
            None => {}
        }
        if read.is_err() || partial.digests().sha256 != *sha256 {
            return Ok(None);
        }
        let Ok(verified) = partial.verify(|_, _| Ok(())) else { return Ok(None) };
        self.put(verified)?;
        Ok(Some(self.blob_path(sha256)))
    }

    fn mend_record(&self, from: &Path, to: &Path, sha256: &Sha256) -> Result<Option<PathBuf>, StoreError> {
        let inner = &self.inner;
        let is_there = match inner.is_sound(to, sha256) {
            Ok(true) => return Ok(None),
            Ok(false) => true,
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        let read = inner.disk.open(from).and_then(|file| {
            let mut bytes = Vec::new();
            if file.metadata()?.len() <= LONGEST_RECORD {
                each_chunk(&file, |chunk| bytes.extend_from_slice(chunk))?;
            }
            Ok(bytes)
        });
        let Some(bytes) = read.ok().filter(|bytes| digests_of(bytes).sha256 == *sha256) else {
            return Ok(None);
        };
        inner.admit(bytes.len() as u64)?;
        let tmp = inner.layout.tmp();
        let pending = inner.disk.create(&tmp).map_err(StoreError::io("create a file in", &tmp))?;
        let pending = Temporary::new(pending, inner.clone());
        inner.disk.append(pending.get(), &bytes).map_err(StoreError::io("write", to))?;
        inner.make_durable(pending.get(), to, sha256)?;
        if is_there {
            inner.mend(pending.get(), to)?;
        } else {
            inner.disk.publish(pending.get(), to).map_err(StoreError::io("publish", to))?;
        }
        inner.sync_dir(to.parent().unwrap_or(self.root()))?;
        Ok(Some(to.to_owned()))
    }
}
