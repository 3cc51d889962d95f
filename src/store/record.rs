//! Records: written once per revision of an item, read with their hash checked.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;

use super::blob::{StoredBlob, Temporary};
use super::layout::{RecordName, SHARDS};
use super::{Store, StoreError, lock};
use crate::model::digest::digests_of;
use crate::model::record::SCHEMA;
use crate::model::{ItemRecord, MediaKey, PartRecord, Sha256};

/// Longest record that is written or read, in bytes: some thousand times the usual size.
const LIMIT: u64 = 8 << 20;

/// Proof that a record is durable under its name. Only the store makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRecord {
    record: ItemRecord,
    sha256: Sha256,
}

impl StoredRecord {
    /// The record.
    pub fn record(&self) -> &ItemRecord {
        &self.record
    }

    /// SHA-256 of the record's file, which is part of its name.
    pub fn sha256(&self) -> &Sha256 {
        &self.sha256
    }
}

impl Store {
    /// Writes a revision of an item: the moment at which the item is archived.
    ///
    /// Every part needs its proof in `parts`, or must be stored already (a part carried over from the
    /// previous revision). The revision must continue the item's chain: `seq` one more than the last,
    /// `previous` its hash, the same `ordinal`; a first revision has an ordinal from
    /// [`Store::next_ordinal`]. Writing the very same record again is no error.
    ///
    /// # Errors
    /// [`StoreError::Unproven`], [`StoreError::Chain`], or what the disk answers.
    pub fn put_record(&self, record: &ItemRecord, parts: &[&StoredBlob]) -> Result<StoredRecord, StoreError> {
        let inner = &self.inner;
        inner.writable()?;
        let bytes = record.to_bytes();
        let stored = self.prepare(record, &bytes)?;
        for part in &record.parts {
            self.require_stored(record, part, parts)?;
        }
        let name = RecordName { key: record.key.clone(), seq: record.seq, sha256: stored.sha256 };
        let path = inner.layout.record(&name);

        let (tmp, size) = (inner.layout.tmp(), bytes.len() as u64);
        inner.admit_record(size)?;
        let pending = inner.disk.create(&tmp).map_err(inner.refused("create a file in", &tmp, 0))?;
        let pending = Temporary::new(pending, inner.clone());
        inner.disk.append(pending.get(), &bytes).map_err(inner.refused("write", &path, size))?;
        inner.make_durable(pending.get(), &path, &stored.sha256)?;
        {
            let _chain = lock(&inner.chains[usize::from(name.shard()) % inner.chains.len()]);
            let revisions = self.revisions(&record.key)?;
            if revisions.contains(&name) {
                self.read_record(&name)?;
            } else {
                self.require_chain(record, &revisions)?;
                inner.disk.publish(pending.get(), &path).map_err(inner.refused("publish", &path, 0))?;
            }
        }
        inner.sync_dir(&inner.layout.record_shard(name.shard()))?;
        if record.seq == 1 {
            self.ordinal_used(record.ordinal);
        }
        Ok(stored)
    }

    /// What reading the file back will give: the record itself, or it is not written at all.
    fn prepare(&self, record: &ItemRecord, bytes: &[u8]) -> Result<StoredRecord, StoreError> {
        let refuse = |why: String| StoreError::Chain { key: record.key.clone(), seq: record.seq, why };
        if record.schema != SCHEMA {
            return Err(refuse(format!("its schema is {}, not {SCHEMA}", record.schema)));
        }
        if bytes.len() as u64 > LIMIT {
            return Err(refuse(format!("it has {} bytes, more than {LIMIT}", bytes.len())));
        }
        let read = ItemRecord::from_bytes(bytes)
            .map_err(|error| refuse(format!("it cannot be read back: {error}")))?;
        if read.to_bytes() != bytes {
            return Err(refuse("it reads back differently".to_owned()));
        }
        Ok(StoredRecord { record: read, sha256: digests_of(bytes).sha256 })
    }

    fn require_stored(
        &self,
        record: &ItemRecord,
        part: &PartRecord,
        proofs: &[&StoredBlob],
    ) -> Result<(), StoreError> {
        let unproven = || StoreError::Unproven { key: record.key.clone(), sha256: part.sha256 };
        if let Some(proof) = proofs.iter().find(|proof| proof.digests().sha256 == part.sha256) {
            let same = (proof.digests().sha1, proof.digests().size) == (part.sha1, part.size);
            return if same { Ok(()) } else { Err(unproven()) };
        }
        let path = self.blob_path(&part.sha256);
        let file = match self.open_blob(&part.sha256) {
            Ok(file) => file,
            Err(StoreError::MissingBlob { .. }) => return Err(unproven()),
            Err(error) => return Err(error),
        };
        let size = file.metadata().map_err(StoreError::io("look at", &path))?.len();
        if size != part.size {
            return Err(unproven());
        }
        // Whoever published it may not have flushed the name yet.
        self.inner.sync_dir(&self.inner.layout.blob_shard(part.sha256.bytes()[0]))
    }

    /// What was adopted keeps its number when a library shows it under a key of its own.
    fn require_former(&self, record: &ItemRecord, formerly: &MediaKey) -> Result<(), StoreError> {
        let refuse = |why: String| Err(StoreError::Chain { key: record.key.clone(), seq: record.seq, why });
        let last = self.revisions(formerly)?.pop();
        match last.map(|last| self.read_record(&last)).transpose()? {
            Some(last) if formerly.is_local() && last.record.ordinal == record.ordinal => Ok(()),
            _ => refuse(format!("{formerly} is no adopted item with the number {}", record.ordinal)),
        }
    }

    fn require_chain(&self, record: &ItemRecord, revisions: &[RecordName]) -> Result<(), StoreError> {
        let refuse = |why: String| Err(StoreError::Chain { key: record.key.clone(), seq: record.seq, why });
        let Some(last) = revisions.last() else {
            if record.seq != 1 || record.previous.is_some() {
                return refuse("the item has no revision before it".to_owned());
            }
            if let Some(formerly) = &record.formerly {
                return self.require_former(record, formerly);
            }
            if !self.is_dealt(record.ordinal) {
                return refuse(format!("its number {} was not dealt for a new item", record.ordinal));
            }
            return Ok(());
        };
        if Some(record.seq) != last.seq.checked_add(1) {
            return refuse(format!("the last one is {}", last.seq));
        }
        if record.previous != Some(last.sha256) {
            return refuse(format!("it does not name {} as the previous one", last.sha256));
        }
        // Where the last one is damaged its name still carries the chain.
        match self.read_record(last) {
            Ok(last) if last.record.ordinal != record.ordinal => {
                refuse(format!("the item's number is {}, not {}", last.record.ordinal, record.ordinal))
            }
            Err(error @ StoreError::Io { .. }) => Err(error),
            _ => Ok(()),
        }
    }

    /// The names of the item's revisions, in order.
    pub fn revisions(&self, key: &MediaKey) -> Result<Vec<RecordName>, StoreError> {
        let dir = self.inner.layout.record_shard(super::layout::shard_of(key));
        let entries = self.inner.disk.list(&dir).map_err(StoreError::io("list", &dir))?;
        let prefix = format!("{key}.");
        let mut names: Vec<_> = entries
            .iter()
            .filter(|entry| entry.name.as_encoded_bytes().starts_with(prefix.as_bytes()))
            .filter_map(|entry| RecordName::parse(&entry.name))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Reads one record and checks its hash, its name and its fields.
    ///
    /// # Errors
    /// [`StoreError::DamagedRecord`] or [`StoreError::NewerRecord`] names the file.
    pub fn read_record(&self, name: &RecordName) -> Result<StoredRecord, StoreError> {
        let path = self.inner.layout.record(name);
        let mut bytes = Vec::new();
        let read = self.inner.disk.open(&path).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes));
        read.map_err(StoreError::io("read", &path))?;
        parse(&path, name, &bytes)
    }

    /// The names of all records, shard by shard; in a shard by key, then revision. A file that is no record
    /// is a [`StoreError::Stray`]; the iteration goes on after an error.
    pub fn record_names(&self) -> RecordNames<'_> {
        RecordNames { store: self, shard: 0, ready: VecDeque::new() }
    }

    /// All records in the order of their names. A damaged one is an error that names it; the iteration
    /// goes on.
    pub fn records(&self) -> impl Iterator<Item = Result<StoredRecord, StoreError>> + '_ {
        self.record_names().map(|name| self.read_record(&name?))
    }
}

#[derive(Deserialize)]
struct Version {
    schema: u64,
}

fn parse(path: &Path, name: &RecordName, bytes: &[u8]) -> Result<StoredRecord, StoreError> {
    let damaged = |why: String| StoreError::DamagedRecord { path: path.to_owned(), why };
    if bytes.len() as u64 > LIMIT {
        return Err(damaged(format!("longer than {LIMIT} bytes")));
    }
    let sha256 = digests_of(bytes).sha256;
    if sha256 != name.sha256 {
        return Err(damaged("its bytes are not those that its name promises".to_owned()));
    }
    let version: Version = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    if version.schema > u64::from(SCHEMA) {
        return Err(StoreError::NewerRecord { path: path.to_owned(), schema: version.schema });
    }
    let record = ItemRecord::from_bytes(bytes).map_err(|error| damaged(error.to_string()))?;
    if (&record.key, record.seq) != (&name.key, name.seq) {
        return Err(damaged(format!("it is about revision {} of {}", record.seq, record.key)));
    }
    Ok(StoredRecord { record, sha256 })
}

/// Iterator over the names of all records; see [`Store::record_names`].
pub struct RecordNames<'a> {
    store: &'a Store,
    shard: u16,
    ready: VecDeque<Result<RecordName, StoreError>>,
}

impl Iterator for RecordNames<'_> {
    type Item = Result<RecordName, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && self.shard < SHARDS {
            #[expect(clippy::cast_possible_truncation, reason = "less than SHARDS")]
            let shard = self.shard as u8;
            self.shard += 1;
            self.ready = self.store.record_shard_names(shard).into();
        }
        self.ready.pop_front()
    }
}

impl Store {
    /// The names in one shard of `records/`, sorted by key and revision, errors last.
    pub(super) fn record_shard_names(&self, shard: u8) -> Vec<Result<RecordName, StoreError>> {
        let dir = self.inner.layout.record_shard(shard);
        let entries = match self.inner.disk.list(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => return vec![Err(StoreError::io("list", &dir)(error))],
        };
        let (mut names, mut strays) = (Vec::new(), Vec::new());
        for entry in entries {
            match RecordName::parse(&entry.name) {
                Some(name) if !entry.is_dir && name.shard() == shard => names.push(name),
                _ => strays.push(Err(StoreError::Stray { path: dir.join(entry.name) })),
            }
        }
        names.sort_unstable();
        names.into_iter().map(Ok).chain(strays).collect()
    }
}
