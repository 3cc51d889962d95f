//! Records of albums: written and read like those of items, in `albums/`.

use std::io::Read;

use super::blob::Temporary;
use super::layout::RecordName;
use super::{Store, StoreError, lock};
use crate::model::digest::digests_of;
use crate::model::{AlbumRecord, MediaKey, Sha256};

/// Longest album record that is written or read, in bytes: an album holds at most 20,000 items.
const LIMIT: u64 = 16 << 20;
/// Version of [`AlbumRecord`]'s shape that this program writes.
pub const ALBUM_SCHEMA: u32 = 1;

/// Proof that an album's record is durable under its name. Only the store makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredAlbum {
    record: AlbumRecord,
    sha256: Sha256,
}

impl StoredAlbum {
    /// The record.
    pub fn record(&self) -> &AlbumRecord {
        &self.record
    }

    /// SHA-256 of the record's file, which is part of its name.
    pub fn sha256(&self) -> &Sha256 {
        &self.sha256
    }
}

impl Store {
    /// Writes a revision of an album. It must continue the album's chain: `seq` one more than the last,
    /// `previous` its hash. Writing the very same record again is no error.
    ///
    /// # Errors
    /// [`StoreError::Chain`], or what the disk answers.
    pub fn put_album(&self, record: &AlbumRecord) -> Result<StoredAlbum, StoreError> {
        let inner = &self.inner;
        inner.writable()?;
        let refuse = |why: String| StoreError::Chain { key: record.key.clone(), seq: record.seq, why };
        let bytes = record.to_bytes();
        if record.schema != ALBUM_SCHEMA || bytes.len() as u64 > LIMIT {
            return Err(refuse(format!("schema {}, {} bytes", record.schema, bytes.len())));
        }
        let read =
            AlbumRecord::from_bytes(&bytes).map_err(|e| refuse(format!("it cannot be read back: {e}")))?;
        if read.to_bytes() != bytes {
            return Err(refuse("it reads back differently".to_owned()));
        }
        let name = RecordName { key: record.key.clone(), seq: record.seq, sha256: digests_of(&bytes).sha256 };
        let path = inner.layout.album(&name);
        let tmp = inner.layout.tmp();
        inner.admit_record(bytes.len() as u64)?;
        let pending = inner.disk.create(&tmp).map_err(inner.refused("create a file in", &tmp, 0))?;
        let pending = Temporary::new(pending, inner.clone());
        let written = inner.disk.append(pending.get(), &bytes);
        written.map_err(inner.refused("write", &path, bytes.len() as u64))?;
        inner.make_durable(pending.get(), &path, &name.sha256)?;
        {
            let _chain = lock(&inner.chains[usize::from(name.shard()) % inner.chains.len()]);
            let revisions = self.album_revisions(&record.key)?;
            if revisions.contains(&name) {
                self.read_album(&name)?;
            } else {
                let last = revisions.last();
                let expected = last.map_or(Some(1), |last| last.seq.checked_add(1));
                if Some(record.seq) != expected || record.previous != last.map(|last| last.sha256) {
                    return Err(refuse(format!("revision {expected:?} is expected")));
                }
                inner.disk.publish(pending.get(), &path).map_err(inner.refused("publish", &path, 0))?;
            }
        }
        inner.sync_dir(&inner.layout.albums())?;
        Ok(StoredAlbum { record: read, sha256: name.sha256 })
    }

    /// Reads one album record and checks its hash, its name and its fields.
    ///
    /// # Errors
    /// [`StoreError::DamagedRecord`] or [`StoreError::NewerRecord`] names the file.
    pub fn read_album(&self, name: &RecordName) -> Result<StoredAlbum, StoreError> {
        let path = self.inner.layout.album(name);
        let mut bytes = Vec::new();
        let read = self.inner.disk.open(&path).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes));
        read.map_err(StoreError::io("read", &path))?;
        let damaged = |why: String| StoreError::DamagedRecord { path: path.clone(), why };
        if bytes.len() as u64 > LIMIT || digests_of(&bytes).sha256 != name.sha256 {
            return Err(damaged("its bytes are not those that its name promises".to_owned()));
        }
        let record = AlbumRecord::from_bytes(&bytes).map_err(|e| damaged(e.to_string()))?;
        if record.schema > ALBUM_SCHEMA {
            return Err(StoreError::NewerRecord { path, schema: record.schema.into() });
        }
        if (&record.key, record.seq) != (&name.key, name.seq) {
            return Err(damaged(format!("it is about revision {} of {}", record.seq, record.key)));
        }
        Ok(StoredAlbum { record, sha256: name.sha256 })
    }

    /// The names of all album records, by key and revision; errors (files that are none) last.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn album_names(&self) -> Result<Vec<Result<RecordName, StoreError>>, StoreError> {
        let dir = self.inner.layout.albums();
        let entries = self.inner.disk.list(&dir).map_err(StoreError::io("list", &dir))?;
        let (mut names, mut strays) = (Vec::new(), Vec::new());
        for entry in entries {
            match RecordName::parse(&entry.name) {
                Some(name) if !entry.is_dir => names.push(name),
                _ => strays.push(Err(StoreError::Stray { path: dir.join(entry.name) })),
            }
        }
        names.sort_unstable();
        Ok(names.into_iter().map(Ok).chain(strays).collect())
    }

    /// The revisions of one album, in order.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn album_revisions(&self, key: &MediaKey) -> Result<Vec<RecordName>, StoreError> {
        let names = self.album_names()?;
        Ok(names.into_iter().flatten().filter(|name| name.key == *key).collect())
    }
}
