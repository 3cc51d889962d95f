//! R3: whatever part of the unflushed survives a cut of the power, at whatever moment, the archive is legal, and
//! all that was acknowledged is in it. Every state is tried, as far as a model of the disk knows them.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use shoebox::model::{PartRole, Sha256};
use shoebox::store::{QuarantineNote, RealDisk, Store, StoreError, StoredBlob};

use super::Row;
use super::crash_disk::{CrashDisk, State};
use super::sabotage::{Sabotage, Spoilt};
use crate::store::support::*;

pub const ROWS: &[Row] = &[Row {
    number: 3,
    tried: "every part of the unflushed that a power cut may leave, in a model of the disk",
    counts: &[],
}];

fn init(root: &Path) {
    Store::init(root, Arc::new(RealDisk), clock()).unwrap();
}

fn open(root: &Path, disk: Arc<dyn shoebox::store::Disk>) -> Store {
    let store = Store::open(root, disk, clock()).unwrap();
    store.set_reserve(Some(0));
    store
}

fn bytes_of(name: &str) -> Vec<u8> {
    name.bytes().cycle().take(1500).collect()
}

/// Stores bytes that arrive in three pieces.
fn put_in_pieces(store: &Store, bytes: &[u8]) -> Result<StoredBlob, StoreError> {
    let mut partial = store.begin(None)?;
    for piece in bytes.chunks(bytes.len().div_ceil(3)) {
        partial.write(piece)?;
    }
    store.put(partial.verify(|_, _| Ok(())).unwrap())
}

/// Archives an item unless it is there, as a run after the cut would.
fn archive(store: &Store, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let is_there = store.records().any(|stored| stored.is_ok_and(|stored| stored.record().key == key(name)));
    if !is_there {
        let blob = put_in_pieces(store, bytes)?;
        let part = part(PartRole::Original, &format!("{name}.jpg"), blob.digests());
        store.put_record(&record(&key(name), store.next_ordinal()?, vec![part]), &[&blob])?;
    }
    Ok(())
}

/// One thing that is done to an archive, and can be done again.
type Deed = fn(&Store);

/// Everything that writes: new bytes, the same bytes again, refused bytes, a browser's download, a second revision.
const DEEDS: [(&str, Deed); 5] = [
    ("one", |store| archive(store, "one", &bytes_of("one")).unwrap()),
    ("again", |store| archive(store, "again", &bytes_of("one")).unwrap()),
    ("refused", |store| {
        let mut partial = store.begin(None).unwrap();
        partial.write(b"<html>").unwrap();
        let note = QuarantineNote {
            key: Some(key("refused")),
            role: None,
            name: None,
            reason: "it is a page".to_owned(),
            at: now(),
            response: None,
        };
        store.quarantine(partial, &note).unwrap();
    }),
    ("adopted", |store| {
        let download = store.tmp_dir().join("download");
        let bytes = bytes_of("adopted");
        fs::write(&download, &bytes).unwrap();
        let blob = store.put(store.adopt(&download).unwrap().verify(|_, _| Ok(())).unwrap()).unwrap();
        let is_there = store.records().any(|stored| stored.unwrap().record().key == key("adopted"));
        if !is_there {
            let part = part(PartRole::Original, "adopted.jpg", blob.digests());
            let ordinal = store.next_ordinal().unwrap();
            store.put_record(&record(&key("adopted"), ordinal, vec![part]), &[&blob]).unwrap();
        }
    }),
    ("revised", |store| {
        let of_one = |stored: &shoebox::store::StoredRecord| stored.record().key == key("one");
        let found: Vec<_> = store.records().map(Result::unwrap).filter(of_one).collect();
        if let [first] = &found[..] {
            store.put_record(&revision(first), &[]).unwrap();
        }
    }),
];

/// What must be there once a deed is acknowledged.
fn assert_kept(store: &Store, deed: &str) {
    let (name, seq, bytes) = match deed {
        "one" => ("one", 1, bytes_of("one")),
        "again" => ("again", 1, bytes_of("one")),
        "adopted" => ("adopted", 1, bytes_of("adopted")),
        "revised" => ("one", 2, bytes_of("one")),
        _ => return,
    };
    let kept = store
        .records()
        .map(Result::unwrap)
        .find(|stored| (&stored.record().key, stored.record().seq) == (&key(name), seq));
    let sha256: Sha256 =
        kept.unwrap_or_else(|| panic!("{deed}: the record is gone")).record().parts[0].sha256;
    assert_eq!(fs::read(store.blob_path(&sha256)).unwrap(), bytes, "{deed}: the bytes");
}

fn files(root: &Path, below: &str) -> Vec<PathBuf> {
    files_below(&root.join(below))
}

/// Every state that a cut may leave while `deeds` are done by `threads` threads.
fn states(
    deeds: &'static [(&str, Deed)],
    threads: usize,
    named: bool,
    sabotage: Sabotage,
) -> Vec<(State, Vec<String>)> {
    let dir = fast_dir();
    let root = dir.path().join("archive");
    init(&root);
    let disk = Arc::new(CrashDisk::new(&root, named));
    let store = open(&root, Arc::new(Spoilt { disk: disk.clone(), sabotage }));
    let turn = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((name, deed)) = deeds.get(turn.fetch_add(1, Ordering::Relaxed)) {
                    deed(&store);
                    disk.acknowledge(name);
                }
            });
        }
    });
    let mut seen = HashSet::new();
    disk.states().into_iter().filter(|state| seen.insert(state.clone())).collect()
}

/// Lays out each state, recovers, and does everything again; the first thing that is wrong, if any is.
fn recover_each(deeds: &[(&str, Deed)], states: Vec<(State, Vec<String>)>) -> Result<usize, String> {
    let dir = fast_dir();
    let root = dir.path().join("archive");
    init(&root);
    let tried = states.len();
    for (state, acknowledged) in states {
        state.lay_out(&root);
        let checked = std::panic::catch_unwind(|| {
            let store = open(&root, Arc::new(RealDisk));
            assert_legal(&store);
            assert_eq!(files(&root, "tmp"), <[PathBuf; 0]>::default(), "tmp is not empty");
            acknowledged.iter().for_each(|deed| assert_kept(&store, deed));
            deeds.iter().for_each(|(_, deed)| deed(&store));
            assert_legal(&store);
            deeds.iter().for_each(|(deed, _)| assert_kept(&store, deed));
        });
        if let Err(why) = checked {
            let why = why.downcast_ref::<String>().cloned().unwrap_or_default();
            return Err(format!("{state:?}\nacknowledged {acknowledged:?}: {why}"));
        }
        // The archive as it was before.
        for part in ["blobs", "records", "albums", "quarantine", "tmp"] {
            files(&root, part).iter().for_each(|file| fs::remove_file(file).unwrap());
        }
    }
    Ok(tried)
}

#[test]
fn r03_every_state_that_a_cut_may_leave_recovers() {
    let mut tried = 0;
    for named in [false, true] {
        // Names below tmp/ are never flushed, so that each may come back: a few deeds at a time.
        let parts: Vec<&'static [(&str, Deed)]> =
            if named { vec![&DEEDS[..2], &DEEDS[2..4]] } else { vec![&DEEDS] };
        for deeds in parts {
            tried += recover_each(deeds, states(deeds, 1, named, Sabotage::None)).unwrap();
        }
    }
    // Several at once: which steps meet is left to chance.
    for threads in [2, 2, 3, 3] {
        tried += recover_each(&DEEDS[..4], states(&DEEDS[..4], threads, false, Sabotage::None)).unwrap();
    }
    println!("{tried} states");
    assert!(tried > 300, "only {tried} states were tried");
}

#[test]
fn r03_a_store_that_does_not_flush_is_found_out() {
    for sabotage in [Sabotage::NoSync, Sabotage::NoSyncDir, Sabotage::EarlyAcknowledgement] {
        let found = recover_each(&DEEDS[..1], states(&DEEDS[..1], 1, false, sabotage));
        found.expect_err(&format!("{sabotage:?} made no difference"));
    }
}

/// While damage is mended, the file is what it was or what it should be, and the bad bytes are never lost.
#[test]
fn r03_a_cut_while_damage_is_mended_leaves_the_one_or_the_other() {
    let (sound, bad) = (bytes_of("sound"), bytes_of("bad"));
    for named in [false, true] {
        let dir = fast_dir();
        let root = dir.path().join("archive");
        init(&root);
        let disk = Arc::new(CrashDisk::new(&root, named));
        let store = open(&root, Arc::new(RealDisk));
        let sha256 = put(&store, &sound).unwrap().digests().sha256;
        let path = store.blob_path(&sha256);
        let spoil = || {
            let _ = fs::remove_file(&path);
            fs::write(&path, &bad).unwrap();
        };
        spoil();
        drop(store);
        let store = open(&root, disk.clone());
        put(&store, &sound).unwrap();
        disk.acknowledge("mended");
        drop(store);
        let states = disk.states();
        assert!(states.len() > 10, "{}", states.len());
        for (state, acknowledged) in states {
            for part in ["tmp", "quarantine"] {
                files(&root, part).iter().for_each(|file| fs::remove_file(file).unwrap());
            }
            spoil();
            state.lay_out(&root);
            let now = fs::read(&path).unwrap();
            let kept = files(&root, "quarantine").iter().any(|file| fs::read(file).unwrap() == bad);
            assert!(now == bad && acknowledged.is_empty() || now == sound && kept, "{state:?}");
            // And it is mended by the next who brings the bytes.
            let store = open(&root, Arc::new(RealDisk));
            put(&store, &sound).unwrap();
            assert_legal(&store);
        }
    }
}
