//! Verification of one shard: the piece in which upkeep reads an archive again over many days.

use std::ops::ControlFlow;
use std::path::Path;

use super::super::blob::hash_file;
use super::super::layout::RecordName;
use super::super::{Store, StoreError};
use super::{Finding, FindingKind, records};
use crate::model::Sha256;

/// What was found in a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardReport {
    /// Records read.
    pub records: u64,
    /// Blobs hashed.
    pub blobs: u64,
    /// Bytes hashed.
    pub bytes: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// The last blob that was hashed, where the verification was ended before the shard was done.
    pub stopped_after: Option<Sha256>,
}

/// Verifies the records and blobs of one shard; the records of albums count to the first one. `after` goes on where an
/// earlier call was stopped. `expected` are the blobs that must be there, sorted, each with its size. `each` is called
/// after every blob with its name and size; it may end the verification with `Break`.
pub fn scrub_shard(
    store: &Store,
    shard: u8,
    after: Option<Sha256>,
    expected: &[(Sha256, u64)],
    each: &mut dyn FnMut(&Sha256, u64) -> ControlFlow<()>,
) -> ShardReport {
    let mut report = ShardReport::default();
    if after.is_none() {
        let records = records::scrub_shard(store, shard);
        (report.records, report.findings) = (records.count, records.findings);
        if shard == 0 {
            let albums = records::scrub_albums(store);
            report.records += albums.count;
            report.findings.extend(albums.findings);
        }
    }
    let (present, at_end) = list(store, &store.inner.layout.blob_shard(shard), shard);
    for name in present.iter().filter(|name| after.is_none_or(|after| **name > after)) {
        let said = expected.binary_search_by(|(other, _)| other.cmp(name)).ok().map(|at| expected[at].1);
        let (size, finding) = blob(store, name, said);
        report.blobs += 1;
        report.bytes += size;
        report.findings.extend(finding);
        if each(name, size).is_break() {
            report.stopped_after = Some(*name);
            return report;
        }
    }
    report.findings.extend(at_end);
    let missing = expected.iter().filter(|(name, _)| present.binary_search(name).is_err());
    report.findings.extend(missing.map(|(name, _)| missing_blob(store, name)));
    report
}

/// Whether something that was found is still so.
pub fn still_stands(store: &Store, finding: &Finding) -> bool {
    let name = finding.path.file_name().unwrap_or_default();
    if let Some(sha256) = name.to_str().and_then(Sha256::from_hex)
        && finding.path == store.blob_path(&sha256)
    {
        return !store.is_sound(&sha256).unwrap_or(false);
    }
    let again = match RecordName::parse(name) {
        Some(record) if finding.path == store.inner.layout.album(&record) => records::scrub_albums(store),
        Some(record) if finding.path == store.inner.layout.record(&record) => {
            records::scrub_shard(store, record.shard())
        }
        _ => return finding.path.try_exists().unwrap_or(true),
    };
    again.findings.iter().any(|other| other.kind == finding.kind && other.path == finding.path)
}

pub(super) fn missing_blob(store: &Store, name: &Sha256) -> Finding {
    Finding {
        kind: FindingKind::Missing,
        path: store.blob_path(name),
        detail: "a record speaks of it, but it is not there".to_owned(),
    }
}

/// The blobs in a shard, sorted, and what is wrong with the directory itself.
pub(super) fn list(store: &Store, dir: &Path, shard: u8) -> (Vec<Sha256>, Vec<Finding>) {
    let entries = match store.inner.disk.list(dir) {
        Ok(entries) => entries,
        Err(error) => {
            let detail = format!("the directory cannot be listed: {error}");
            return (Vec::new(), vec![Finding { kind: FindingKind::Damaged, path: dir.to_owned(), detail }]);
        }
    };
    let (mut present, mut strays) = (Vec::new(), Vec::new());
    for entry in entries {
        let name = entry.name.to_str().and_then(Sha256::from_hex);
        match name.filter(|name| name.bytes()[0] == shard && !entry.is_dir) {
            Some(name) => present.push(name),
            None => strays.push(Finding {
                kind: FindingKind::Stray,
                path: dir.join(&entry.name),
                detail: "it does not belong to the archive".to_owned(),
            }),
        }
    }
    (present, strays)
}

/// Reads a blob from the medium; returns its size and what is wrong with it. `said` is the size in its record.
pub(super) fn blob(store: &Store, name: &Sha256, said: Option<u64>) -> (u64, Option<Finding>) {
    let path = store.blob_path(name);
    let disk = &store.inner.disk;
    let hashed = disk.open(&path).and_then(|file| {
        // The medium is to be read, not the kernel's copy; and the copy is not to push out others.
        disk.forget_cached(&file);
        let hashed = hash_file(&file);
        disk.forget_cached(&file);
        hashed
    });
    let (size, detail) = match hashed {
        Ok((sha256, size)) if sha256 != *name => {
            (size, Some(format!("its {size} bytes have the SHA-256 {sha256}")))
        }
        Ok((_, size)) => {
            let said = said.filter(|said| *said != size);
            (size, said.map(|said| format!("it has {size} bytes, its record says {said}")))
        }
        Err(error) => (0, Some(format!("it cannot be read: {error}"))),
    };
    (size, detail.map(|detail| Finding { kind: FindingKind::Damaged, path, detail }))
}

pub(super) fn finding(error: &StoreError, store: &Store) -> Finding {
    let (kind, path, detail) = match error {
        StoreError::Stray { path } => {
            (FindingKind::Stray, path.clone(), "it does not belong to the archive".to_owned())
        }
        StoreError::DamagedRecord { path, why } => (FindingKind::Damaged, path.clone(), why.clone()),
        StoreError::NewerRecord { path, schema } => {
            (FindingKind::Stray, path.clone(), format!("a later shoebox wrote it (schema {schema})"))
        }
        StoreError::Io { path, source, .. } => {
            (FindingKind::Damaged, path.clone(), format!("it cannot be read: {source}"))
        }
        other => (FindingKind::Damaged, store.root().to_owned(), other.to_string()),
    };
    Finding { kind, path, detail }
}
