//! Verification: every blob and record is read from the disk and hashed again. It changes nothing and can
//! run beside a sync; interrupted, it goes on where it stopped.

use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::thread;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::layout::SHARDS;
use super::{Store, StoreError, lock};
use crate::model::Sha256;

mod checkpoint;
mod records;
mod shard;

use checkpoint::Checkpoint;
pub use shard::{ShardReport, scrub_shard, still_stands};

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// Its bytes are not those that its name promises, or cannot be read.
    Damaged,
    /// A record speaks of it, but it is not there.
    Missing,
    /// It does not belong there.
    Stray,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub kind: FindingKind,
    /// Which file.
    pub path: PathBuf,
    /// A sentence about it.
    pub detail: String,
}

/// How to verify.
#[derive(Clone, Debug, Default)]
pub struct ScrubOptions {
    /// Threads; none means one for each core.
    pub threads: Option<NonZero<usize>>,
    /// Where progress is kept, so that an interrupted verification goes on; outside the truth.
    pub checkpoint: Option<PathBuf>,
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubProgress {
    /// Blobs verified so far, those before an interruption included.
    pub blobs: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Blobs that records speak of.
    pub expected_blobs: u64,
    /// Bytes of these.
    pub expected_bytes: u64,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrubReport {
    /// When it started, before any interruption.
    pub started: Timestamp,
    /// Whether it came to the end.
    pub complete: bool,
    /// Records read.
    pub records: u64,
    /// Blobs hashed.
    pub blobs: u64,
    /// Bytes hashed.
    pub bytes: u64,
    /// Blobs that no record speaks of: harmless, an interrupted download that will be found again.
    pub unreferenced: u64,
    /// What is wrong, sorted.
    pub findings: Vec<Finding>,
}

/// `verify.progress` in the archive's directory: the usual place for [`ScrubOptions::checkpoint`].
pub fn checkpoint_path(store: &Store) -> PathBuf {
    store.root().join("verify.progress")
}

/// Verifies a store. `progress` is called after every file, from several threads; it may end the
/// verification with `Break`, which the next one continues where a checkpoint is kept.
///
/// # Errors
/// Only where the checkpoint cannot be written; what cannot be read is a finding.
pub fn scrub(
    store: &Store,
    options: &ScrubOptions,
    progress: &(dyn Fn(ScrubProgress) -> ControlFlow<()> + Sync),
) -> Result<ScrubReport, StoreError> {
    let threads = options.threads.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let records = records::scrub(store, threads);
    let checkpoint = Checkpoint::load(options.checkpoint.as_deref(), store.id())
        .unwrap_or_else(|| Checkpoint::new(store.id().clone(), store.inner.clock.now()));
    let pass = Pass {
        store,
        records: &records,
        file: options.checkpoint.as_ref(),
        progress,
        expected_bytes: records.references.iter().map(|(_, size)| size).sum(),
        blobs: AtomicU64::new(checkpoint.blobs),
        bytes: AtomicU64::new(checkpoint.bytes),
        checkpoint: Mutex::new(checkpoint),
        next: AtomicU16::new(0),
        stop: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| pass.work())).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    let complete = !pass.stop.load(Ordering::Relaxed);
    let checkpoint = pass.checkpoint.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    if complete && let Some(file) = &options.checkpoint {
        Checkpoint::remove(file)?;
    }
    let mut findings = checkpoint.findings;
    findings.extend(records.findings);
    findings.sort();
    Ok(ScrubReport {
        started: checkpoint.started,
        complete,
        records: records.count,
        blobs: checkpoint.blobs,
        bytes: checkpoint.bytes,
        unreferenced: checkpoint.unreferenced,
        findings,
    })
}

/// One pass over the blobs, shared by its threads.
struct Pass<'a> {
    store: &'a Store,
    records: &'a records::Scrubbed,
    file: Option<&'a PathBuf>,
    progress: &'a (dyn Fn(ScrubProgress) -> ControlFlow<()> + Sync),
    expected_bytes: u64,
    blobs: AtomicU64,
    bytes: AtomicU64,
    checkpoint: Mutex<Checkpoint>,
    next: AtomicU16,
    stop: AtomicBool,
}

/// Files after which a thread saves how far it is.
const SAVE_EVERY: usize = 1000;

/// What a thread has done in a shard since it last saved.
#[derive(Default)]
struct Unsaved {
    blobs: u64,
    bytes: u64,
    unreferenced: u64,
    findings: Vec<Finding>,
}

impl Pass<'_> {
    fn work(&self) -> Result<(), StoreError> {
        loop {
            let Ok(shard) = u8::try_from(self.next.fetch_add(1, Ordering::Relaxed)) else { return Ok(()) };
            if u16::from(shard) >= SHARDS || self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            if let Err(error) = self.shard(shard) {
                self.stop.store(true, Ordering::Relaxed);
                return Err(error);
            }
        }
    }

    fn shard(&self, shard: u8) -> Result<(), StoreError> {
        let from = lock(&self.checkpoint).position(shard);
        if from.is_done() {
            return Ok(());
        }
        let dir = self.store.inner.layout.blob_shard(shard);
        let (present, mut at_end) = shard::list(self.store, &dir, shard);
        let mut unsaved = Unsaved::default();
        let todo = present.iter().filter(|name| from.is_before(name));
        for (n, name) in (1_usize..).zip(todo) {
            self.blob(name, &mut unsaved);
            if (self.progress)(self.so_far()).is_break() {
                self.stop.store(true, Ordering::Relaxed);
            }
            // Also when another thread was told to stop.
            if self.stop.load(Ordering::Relaxed) {
                return self.save(shard, Some(name), unsaved);
            }
            if n % SAVE_EVERY == 0 {
                self.save(shard, Some(name), std::mem::take(&mut unsaved))?;
            }
        }
        for (sha256, _) in self.records.in_shard(shard) {
            if present.binary_search(sha256).is_err() {
                at_end.push(shard::missing_blob(self.store, sha256));
            }
        }
        unsaved.findings.extend(at_end);
        self.save(shard, None, unsaved)
    }

    fn blob(&self, name: &Sha256, unsaved: &mut Unsaved) {
        let referenced = self.records.size_of(name);
        let (size, finding) = shard::blob(self.store, name, referenced);
        unsaved.blobs += 1;
        unsaved.bytes += size;
        unsaved.unreferenced += u64::from(referenced.is_none());
        unsaved.findings.extend(finding);
        self.blobs.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(size, Ordering::Relaxed);
    }

    fn so_far(&self) -> ScrubProgress {
        ScrubProgress {
            blobs: self.blobs.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            expected_blobs: self.records.references.len() as u64,
            expected_bytes: self.expected_bytes,
        }
    }

    fn save(&self, shard: u8, last: Option<&Sha256>, unsaved: Unsaved) -> Result<(), StoreError> {
        let mut checkpoint = lock(&self.checkpoint);
        checkpoint.advance(shard, last);
        checkpoint.blobs += unsaved.blobs;
        checkpoint.bytes += unsaved.bytes;
        checkpoint.unreferenced += unsaved.unreferenced;
        checkpoint.findings.extend(unsaved.findings);
        self.file.map_or(Ok(()), |file| checkpoint.save(file))
    }
}
