//! R2, R6, R7: every step of an ingest fails in turn: the archive is legal afterwards, and the same command succeeds.
//! (The row of R6 is in `r06_full_disk`.)

use std::sync::Arc;

use shoebox::model::ErrorClass;
use shoebox::store::{Store, StoreError};

use super::Row;
use crate::store::support::*;

pub const ROWS: &[Row] = &[
    Row { number: 2, tried: "a kill at each step of an ingest and of an adoption", counts: &[] },
    Row { number: 7, tried: "a flush fails, once at each that there is", counts: &[] },
];

const ENOSPC: i32 = 28;
const EIO: i32 = 5;
const EDQUOT: i32 = 122;
const EROFS: i32 = 30;
const EMFILE: i32 = 24;

/// The items of one round: `zero` is archived before, `two` has the same bytes, `one` has its own.
/// Rounds share an archive, since making one takes longer than all else here.
struct Round(usize);

impl Round {
    fn name(&self, item: &str) -> String {
        format!("{item}-{}", self.0)
    }

    fn own(&self) -> Vec<u8> {
        self.0.to_le_bytes().repeat(25_000)
    }

    fn shared(&self) -> Vec<u8> {
        self.name("shared").into_bytes()
    }

    /// Returns the highest number of an item.
    fn prepare(&self, archive: &TestArchive) -> u64 {
        let store = archive.open();
        archive_new_item(&store, &self.name("zero"), &self.shared()).unwrap().record().ordinal
    }

    fn ingest(&self, store: &Store, highest: u64) -> Result<(), StoreError> {
        // As an index would say; reading all records would be hundreds of steps that change nothing.
        store.raise_ordinals(highest, 0);
        archive_new_item(store, &self.name("one"), &self.own())?;
        archive_new_item(store, &self.name("two"), &self.shared())?;
        Ok(())
    }

    /// The same after a run that may have come to any point.
    fn ingest_again(&self, store: &Store) -> Result<(), StoreError> {
        archive_item(store, None, &self.name("one"), &self.own())?;
        archive_item(store, None, &self.name("two"), &self.shared())?;
        Ok(())
    }
}

/// Runs the ingest with the fault at step 0, 1, 2 … until a run is not hit; returns the number of steps.
fn at_every_step(named: bool, fault: Fault) -> usize {
    let archive = TestArchive::new();
    for k in 0.. {
        let round = Round(k);
        let highest = round.prepare(&archive);
        let disk = Arc::new(FaultyDisk::failing(&archive.root(), named, k, fault, ""));
        let run = archive.open_on(disk.clone()).and_then(|store| round.ingest(&store, highest));
        if !disk.has_failed() {
            run.unwrap();
            assert_legal(&archive.open());
            return k;
        }
        // Some steps may fail without harm, the removal of a temporary name for example.
        if let Err(error) = &run {
            assert_eq!(error.class(), ErrorClass::Environment, "step {k}: {error}");
        }
        let store = archive.open();
        assert_legal(&store);
        if run.is_ok() {
            assert_eq!(store.records().count(), 3 * (k + 1), "step {k}: acknowledged, but not there");
        }
        round.ingest_again(&store).unwrap_or_else(|error| panic!("step {k}, second run: {error}"));
        assert_eq!(archive.tmp_files().len(), 0, "step {k}");
        assert_eq!(files_below(&archive.root().join("blobs")).len(), 2 * (k + 1));
        let mut ordinals: Vec<_> = store.records().map(|stored| stored.unwrap().record().ordinal).collect();
        assert_eq!(ordinals.len(), 3 * (k + 1));
        ordinals.sort_unstable();
        ordinals.dedup();
        assert_eq!(ordinals.len(), 3 * (k + 1), "step {k}: a number was dealt twice");
    }
    unreachable!()
}

#[test]
fn r06_a_failing_step_harms_nothing() {
    for fault in [
        Fault::Once(ENOSPC),
        Fault::Once(EIO),
        Fault::Once(EDQUOT),
        Fault::Once(EROFS),
        Fault::Once(EMFILE),
        Fault::ShortWrite,
    ] {
        let steps = at_every_step(false, fault);
        assert!(steps > 30, "{fault:?}: only {steps} steps were tried");
    }
}

#[test]
fn r06_a_failing_step_harms_nothing_where_pending_files_have_names() {
    let anonymous = at_every_step(false, Fault::Once(EIO));
    let named = at_every_step(true, Fault::Once(EIO));
    assert!(named > anonymous, "the removal of temporary names was not tried");
}

#[test]
fn r02_a_kill_at_any_step_harms_nothing() {
    for named in [false, true] {
        at_every_step(named, Fault::Dead);
    }
}

#[test]
fn r02_a_kill_during_an_adoption_harms_nothing() {
    let archive = TestArchive::new();
    for k in 0.. {
        let bytes = format!("download {k}").into_bytes();
        let disk = Arc::new(FaultyDisk::failing(&archive.root(), false, k, Fault::Dead, ""));
        let run = archive.open_on(disk.clone()).and_then(|store| {
            let download = store.tmp_dir().join("guid");
            std::fs::write(&download, &bytes).unwrap();
            store.put(store.adopt(&download)?.verify(|_, _| Ok(())).unwrap())
        });
        let store = archive.open();
        assert_legal(&store);
        assert_eq!(archive.tmp_files().len(), 0, "step {k}");
        if run.is_ok() {
            let kept = files_below(&archive.root());
            let copies = kept.iter().filter(|path| std::fs::read(path).unwrap() == bytes).count();
            assert_eq!(copies, 1, "step {k}: a second name was left");
            assert!(store.leftovers().is_empty());
        }
        if !disk.has_failed() {
            assert!(k > 5, "only {k} steps were tried");
            return;
        }
    }
}

#[test]
fn r07_a_failed_flush_ends_all_writing() {
    for only in ["sync", "sync_dir"] {
        let archive = TestArchive::new();
        for k in 0.. {
            let round = Round(k);
            let highest = round.prepare(&archive);
            // Opening flushes nothing here, so the first flush is one of the ingest.
            let disk = Arc::new(FaultyDisk::failing(&archive.root(), false, k, Fault::Once(EIO), only));
            let store = archive.open_on(disk.clone()).unwrap();
            let run = round.ingest(&store, highest);
            if !disk.has_failed() {
                assert!(k >= 4, "only {k} flushes with {only}");
                break;
            }
            run.unwrap_err();
            assert!(store.is_poisoned());
            let before = disk.steps().len();
            for error in [
                store.begin(None).map(|_| ()).unwrap_err(),
                store.next_ordinal().map(|_| ()).unwrap_err(),
                put(&store, b"more").map(|_| ()).unwrap_err(),
            ] {
                assert!(matches!(error, StoreError::Poisoned { .. }), "{error}");
                assert!(error.to_string().contains("Input/output error"), "{error}");
            }
            assert_eq!(disk.steps().len(), before, "something was tried after the failed flush");
        }
    }
}

#[test]
fn a_disk_that_returns_other_bytes_is_noticed() {
    let archive = TestArchive::new();
    let disk = Arc::new(FaultyDisk::failing(&archive.root(), false, 0, Fault::Spoil, "sync"));
    let store = archive.open_on(disk.clone()).unwrap();
    let error = put(&store, b"bytes").unwrap_err();
    assert!(disk.has_failed());
    assert!(matches!(error, StoreError::ReadBack { .. }), "{error}");
    assert_eq!(error.class(), ErrorClass::Damaged);
    assert_eq!(files_below(&archive.root().join("blobs")).len(), 0);
    put(&store, b"bytes").unwrap();
    assert_legal(&store);
}
