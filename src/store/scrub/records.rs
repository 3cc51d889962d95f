//! Verification of the records, and the list of blobs that they speak of.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;

use super::super::layout::RecordName;
use super::super::{Store, lock};
use super::shard::finding;
use super::{Finding, FindingKind};
use crate::model::Sha256;

/// What the records say.
#[derive(Default)]
pub(super) struct Scrubbed {
    /// Records read, damaged ones included.
    pub(super) count: u64,
    /// Blobs of all revisions with their sizes, sorted, each once. 40 bytes a blob.
    pub(super) references: Vec<(Sha256, u64)>,
    /// What is wrong.
    pub(super) findings: Vec<Finding>,
}

impl Scrubbed {
    /// The blobs of one shard.
    pub(super) fn in_shard(&self, shard: u8) -> &[(Sha256, u64)] {
        let start = self.references.partition_point(|(sha256, _)| sha256.bytes()[0] < shard);
        let end = self.references.partition_point(|(sha256, _)| sha256.bytes()[0] <= shard);
        &self.references[start..end]
    }

    /// The size that a record gives for a blob.
    pub(super) fn size_of(&self, sha256: &Sha256) -> Option<u64> {
        let at = self.references.binary_search_by(|(name, _)| name.cmp(sha256)).ok()?;
        Some(self.references[at].1)
    }
}

/// Reads every record on `threads` threads.
pub(super) fn scrub(store: &Store, threads: usize) -> Scrubbed {
    let next = AtomicU16::new(0);
    let all = Mutex::new(Scrubbed::default());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Ok(shard) = u8::try_from(next.fetch_add(1, Ordering::Relaxed)) {
                    let part = scrub_shard(store, shard);
                    let mut all = lock(&all);
                    all.count += part.count;
                    all.references.extend(part.references);
                    all.findings.extend(part.findings);
                }
            });
        }
    });
    let mut all = all.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    let albums = scrub_albums(store);
    all.count += albums.count;
    all.findings.extend(albums.findings);
    all.references.sort_unstable();
    all.references.dedup_by_key(|(sha256, _)| *sha256);
    all
}

/// Reads every record of a shard.
pub(super) fn scrub_shard(store: &Store, shard: u8) -> Scrubbed {
    let mut scrubbed = Scrubbed::default();
    let mut before: Option<RecordName> = None;
    for name in store.record_shard_names(shard) {
        let name = match name {
            Ok(name) => name,
            Err(error) => {
                scrubbed.findings.push(finding(&error, store));
                continue;
            }
        };
        scrubbed.count += 1;
        before = before.filter(|before| before.key == name.key);
        let expected = before.as_ref().map_or(1, |before| before.seq.saturating_add(1));
        if name.seq != expected {
            scrubbed.findings.push(Finding {
                kind: FindingKind::Missing,
                path: store.inner.layout.record(&name),
                detail: format!("revision {expected} of its item is not there"),
            });
        }
        match store.read_record(&name) {
            Ok(stored) => {
                let record = stored.record();
                scrubbed.references.extend(record.parts.iter().map(|part| (part.sha256, part.size)));
                let follows = record.previous == before.as_ref().map(|before| before.sha256);
                if name.seq == expected && !follows {
                    scrubbed.findings.push(Finding {
                        kind: FindingKind::Damaged,
                        path: store.inner.layout.record(&name),
                        detail: "it does not continue the revision before it".to_owned(),
                    });
                }
            }
            Err(error) => scrubbed.findings.push(finding(&error, store)),
        }
        before = Some(name);
    }
    scrubbed
}

/// Records of albums: few, and without blobs.
pub(super) fn scrub_albums(store: &Store) -> Scrubbed {
    let mut all = Scrubbed::default();
    let names = match store.album_names() {
        Ok(names) => names,
        Err(error) => {
            all.findings.push(finding(&error, store));
            return all;
        }
    };
    let mut before: Option<RecordName> = None;
    for name in names {
        let name = match name {
            Ok(name) => name,
            Err(error) => {
                all.findings.push(finding(&error, store));
                continue;
            }
        };
        all.count += 1;
        before = before.filter(|before| before.key == name.key);
        let expected = before.as_ref().map_or(1, |before| before.seq.saturating_add(1));
        if name.seq != expected {
            all.findings.push(Finding {
                kind: FindingKind::Missing,
                path: store.inner.layout.album(&name),
                detail: format!("revision {expected} of its album is not there"),
            });
        }
        if let Err(error) = store.read_album(&name) {
            all.findings.push(finding(&error, store));
        }
        before = Some(name);
    }
    all
}
