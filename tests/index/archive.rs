//! Store and index together: the index follows from the records, whatever happened to it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use shoebox::archive::{Archive, ArchiveError, index_path};
use shoebox::index::{Index, IndexError, IndexReader, rebuild};
use shoebox::model::{ErrorClass, ItemState, PartRole, Quality, Verdict};
use shoebox::store::{RealDisk, Store, StoreError};

use crate::store::support::*;

pub fn open(archive: &TestArchive) -> Archive {
    Archive::open(&archive.root(), Arc::new(RealDisk), clock()).unwrap()
}

pub fn dump(archive: &Archive) -> String {
    let mut text = Vec::new();
    archive.index.reader().unwrap().canonical_dump(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// Items with several parts, shared blobs, odd names and later revisions.
pub fn fill(opened: &Archive, items: usize, random: &mut fastrand::Rng) {
    let (store, writer) = (&opened.store, opened.index.writer());
    for n in 0..items {
        let mut parts = Vec::new();
        let mut blobs = Vec::new();
        for role in &PartRole::ALL[..random.usize(1..=3)] {
            blobs.push(put(store, &[random.u8(..8), role.code()]).unwrap());
            let mut part =
                part(*role, "a\u{202e}\n'; DROP TABLE item; --.jpg", blobs[blobs.len() - 1].digests());
            part.verdict = *random.choice([Verdict::MatchesUpload, Verdict::Unproven].iter()).unwrap();
            part.facts.model = random.bool().then(|| "Model".to_owned());
            parts.push(part);
        }
        let ordinal = store.next_ordinal().unwrap();
        let mut item = record(&key(&format!("k{ordinal}-{n}")), ordinal, parts);
        item.remote.quality = Quality::StorageSaver;
        item.remote.description = Some("\u{1f4f7} ü".to_owned());
        let mut stored = store.put_record(&item, &blobs.iter().collect::<Vec<_>>()).unwrap();
        writer.apply(stored.clone()).unwrap();
        for _ in 0..random.usize(..3) {
            let mut next = revision(&stored);
            next.state = if random.bool() { ItemState::Gone } else { ItemState::Present };
            next.remote.favourite = random.bool();
            next.parts.truncate(random.usize(1..=3));
            stored = store.put_record(&next, &[]).unwrap();
            writer.apply(stored.clone()).unwrap();
        }
    }
    let mut last = None;
    let album_key = key(&format!("album-{}", random.u64(..)));
    for seq in 1..=random.u32(2..5) {
        let mut next = album(seq, last, &["k1", "k2"]);
        next.key = album_key.clone();
        next.title = format!("Title {seq}");
        let stored = store.put_album(&next).unwrap();
        last = Some(*stored.sha256());
        writer.apply_album(stored).unwrap();
    }
}

#[test]
fn an_index_made_from_the_records_alone_is_the_same() {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let archive = TestArchive::new();
    let opened = open(&archive);
    fill(&opened, 60, &mut random);
    let before = dump(&opened);
    assert!(before.lines().count() > 150);
    let epoch = opened.index.reader().unwrap().epoch().unwrap();
    let ordinal = opened.store.next_ordinal().unwrap();
    drop(opened);
    let in_dir = |dir| files_below(&archive.root().join(dir)).len() as u64;
    let records = in_dir("records") + in_dir("albums");
    // A directory is no record, whatever its name.
    let first = files_below(&archive.root().join("albums")).remove(0);
    let name = first.file_name().unwrap().to_str().unwrap().replacen("album-", "other-", 1);
    let stray = first.with_file_name(name);
    fs::create_dir(&stray).unwrap();

    let report = Archive::rebuild_index(&archive.root(), Arc::new(RealDisk), clock()).unwrap();
    assert_eq!((report.items, report.records), (60, records));
    assert!(report.findings.len() == 1 && report.findings[0].contains("other-"), "{:?}", report.findings);
    fs::remove_dir(&stray).unwrap();
    let opened = open(&archive);
    assert_eq!(opened.recovery, shoebox::archive::Recovery::default());
    assert_eq!(dump(&opened), before);
    assert_ne!(opened.index.reader().unwrap().epoch().unwrap(), epoch);
    assert_eq!(opened.store.next_ordinal().unwrap(), ordinal);
    opened.index.reader().unwrap().check().unwrap();
}

#[test]
fn a_lost_or_damaged_index_is_made_again_at_the_next_start() {
    let mut random = fastrand::Rng::with_seed(seed());
    let archive = TestArchive::new();
    let other = TestArchive::new();
    drop(open(&other));
    let opened = open(&archive);
    fill(&opened, 40, &mut random);
    let before = dump(&opened);
    drop(opened);
    let path = index_path(&archive.root());
    let pages = fs::metadata(&path).unwrap().len();
    type Damage = Box<dyn Fn(&Path)>;
    let write_at = |at: u64, bytes: Vec<u8>| -> Damage {
        Box::new(move |path| {
            use std::os::unix::fs::FileExt;
            fs::File::options().write(true).open(path).unwrap().write_all_at(&bytes, at).unwrap();
        })
    };
    let foreign = index_path(&other.root());
    let damages: Vec<(&str, Damage)> = vec![
        ("deleted", Box::new(|path| fs::remove_file(path).unwrap())),
        ("empty", Box::new(|path| fs::write(path, b"").unwrap())),
        ("text", Box::new(|path| fs::write(path, "not SQLite ".repeat(1000)).unwrap())),
        ("another archive's", Box::new(move |path| assert!(fs::copy(&foreign, path).unwrap() > 0))),
        ("a later version's", write_at(60, vec![0, 0, 0, 9])),
        (
            "cut",
            Box::new(move |path| {
                fs::File::options().write(true).open(path).unwrap().set_len(pages / 2).unwrap()
            }),
        ),
        (
            "without a table",
            Box::new(|path| {
                let conn = rusqlite::Connection::open(path).unwrap();
                conn.execute_batch("DROP TABLE record; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
            }),
        ),
        (
            "without its id",
            Box::new(|path| {
                let conn = rusqlite::Connection::open(path).unwrap();
                conn.execute_batch("DELETE FROM meta; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
            }),
        ),
        ("schema page", write_at(100, vec![0xff; 1000])),
    ];
    for (what, damage) in damages {
        damage(&path);
        let opened = open(&archive);
        assert!(opened.recovery.rebuilt.is_some(), "{what}");
        assert_eq!(dump(&opened), before, "{what}");
        opened.index.reader().unwrap().check().unwrap();
        drop(opened);
        assert_eq!(open(&archive).recovery.rebuilt, None, "{what}");
    }
}

#[test]
fn damaged_pages_are_found_after_an_unclean_stop() {
    let archive = TestArchive::new();
    let opened = open(&archive);
    fill(&opened, 40, &mut fastrand::Rng::with_seed(1));
    let before = dump(&opened);
    drop(opened);
    let path = index_path(&archive.root());
    let mut bytes = fs::read(&path).unwrap();
    let page = bytes.len() / 4096 / 2 * 4096;
    bytes[page..page + 64].fill(0xff);
    fs::write(&path, bytes).unwrap();
    // What a kill leaves; this one holds nothing that SQLite would accept.
    fs::write(archive.root().join("index.sqlite-wal"), [0; 100]).unwrap();
    let opened = open(&archive);
    assert!(opened.recovery.rebuilt.is_some());
    assert_eq!(dump(&opened), before);
}

#[test]
fn what_a_killed_process_committed_is_there_and_the_rest_is_replayed() {
    let archive = TestArchive::new();
    let opened = open(&archive);
    let writer = opened.index.writer();
    for n in 0..20 {
        archive_item(&opened.store, Some(&writer), &format!("k{n}"), &[n]).unwrap();
    }
    let last = archive_item(&opened.store, None, "recorded-only", b"x").unwrap();
    // The files as they are now, without a clean end: what a kill leaves.
    let killed = tempfile::tempdir().unwrap();
    let root = killed.path().join("archive");
    let copied = std::process::Command::new("cp").arg("-a").arg(archive.root()).arg(&root).status().unwrap();
    assert!(copied.success());
    assert!(fs::metadata(root.join("index.sqlite-wal")).unwrap().len() > 0);
    let id = opened.store.id();
    let committed = IndexReader::open(&index_path(&root), id).unwrap();
    assert_eq!(committed.totals().unwrap().items, 20);
    assert!(!committed.has_record(last.sha256()).unwrap());
    drop(committed);

    let after = Archive::open(&root, Arc::new(RealDisk), clock()).unwrap();
    assert_eq!((after.recovery.replayed, &after.recovery.rebuilt), (1, &None));
    assert!(after.index.reader().unwrap().has_record(last.sha256()).unwrap());
    assert!(after.store.next_ordinal().unwrap() > last.record().ordinal);
}

#[test]
fn a_log_of_the_old_index_is_never_applied_to_the_new_one() {
    for deleted in [false, true] {
        let archive = TestArchive::new();
        let opened = open(&archive);
        let writer = opened.index.writer();
        archive_item(&opened.store, Some(&writer), "k", b"x").unwrap();
        writer.note_failure("1001", &key("failed"), "n", "r", now()).unwrap();
        let wal = archive.root().join("index.sqlite-wal");
        let log = fs::read(&wal).unwrap();
        assert!(!log.is_empty());
        drop(opened);
        // Main file gone or damaged, log whole: SQLite would apply it to whatever has the name.
        let path = index_path(&archive.root());
        if deleted {
            fs::remove_file(&path).unwrap()
        } else {
            fs::write(&path, [1; 8192]).unwrap()
        }
        fs::write(&wal, log).unwrap();
        fs::write(archive.root().join("index.sqlite.new"), b"of an interrupted rebuild").unwrap();
        let opened = open(&archive);
        let reader = opened.index.reader().unwrap();
        assert_eq!(reader.totals().unwrap().items, 1);
        reader.check().unwrap();
        if opened.recovery.rebuilt.is_some() {
            assert_eq!(reader.failures().unwrap(), [], "deleted: {deleted}");
            assert!(!archive.root().join("index.sqlite.new").exists());
        } else {
            assert!(!deleted, "a missing index was not noticed");
        }
    }
}

#[test]
fn a_damaged_record_is_named_and_all_else_is_served() {
    let archive = TestArchive::new();
    let opened = open(&archive);
    let writer = opened.index.writer();
    for n in 0..5 {
        archive_item(&opened.store, Some(&writer), &format!("k{n}"), &[n]).unwrap();
    }
    drop(opened);
    let files = files_below(&archive.root().join("records"));
    fs::set_permissions(&files[2], fs::Permissions::from_mode(0o640)).unwrap();
    fs::write(&files[2], b"spoilt").unwrap();
    fs::remove_file(index_path(&archive.root())).unwrap();
    let opened = open(&archive);
    assert_eq!(opened.index.reader().unwrap().totals().unwrap().items, 4);
    assert_eq!(opened.recovery.findings.len(), 1);
    let name = files[2].file_name().unwrap().to_str().unwrap();
    assert!(opened.recovery.findings[0].contains(name), "{:?}", opened.recovery.findings);
    assert!(opened.store.next_ordinal().unwrap() > 1000, "its number may be the highest");
}

#[test]
fn two_items_with_one_number_are_reported_not_mixed_up() {
    let archive = TestArchive::new();
    let (one, two) = (open(&archive), TestArchive::new());
    archive_item(&one.store, Some(&one.index.writer()), "aaa", b"1").unwrap();
    drop(one);
    // Records of another archive, copied in by hand.
    let other = two.open();
    archive_item(&other, None, "bbb", b"2").unwrap();
    let file = files_below(&two.root().join("records")).remove(0);
    fs::copy(&file, archive.root().join(file.strip_prefix(two.root()).unwrap())).unwrap();
    for rebuilt in [false, true] {
        let opened = open(&archive);
        assert_eq!(opened.index.reader().unwrap().totals().unwrap().items, 1);
        assert_eq!(opened.recovery.findings.len(), 1, "rebuilt: {rebuilt}");
        assert!(opened.recovery.findings[0].contains("belongs to item"), "{:?}", opened.recovery.findings);
        drop(opened);
        fs::remove_file(index_path(&archive.root())).unwrap();
    }
}

#[test]
fn readers_notice_that_the_index_was_replaced() {
    let archive = TestArchive::new();
    let opened = open(&archive);
    archive_item(&opened.store, Some(&opened.index.writer()), "k", b"x").unwrap();
    let reader = opened.index.reader().unwrap();
    let id = opened.store.id().clone();
    drop(opened);
    assert!(!reader.is_replaced().unwrap());
    Archive::rebuild_index(&archive.root(), Arc::new(RealDisk), clock()).unwrap();
    assert!(reader.is_replaced().unwrap());
    assert_eq!(reader.totals().unwrap().items, 1, "the old one can still be read");
    let new = IndexReader::open(&index_path(&archive.root()), &id).unwrap();
    assert!(!new.is_replaced().unwrap());
    assert_ne!(new.epoch().unwrap(), reader.epoch().unwrap());
}

#[test]
fn reading_needs_no_lock_and_changes_nothing() {
    let archive = TestArchive::new();
    let read = || Archive::open_read_only(&archive.root(), Arc::new(RealDisk), clock());
    let Err(error) = read() else { panic!("there is no index yet") };
    assert!(matches!(error, ArchiveError::Index(IndexError::Missing { .. })), "{error}");
    assert!(error.to_string().contains("rebuild-index"), "{error}");

    let writing = open(&archive);
    archive_item(&writing.store, Some(&writing.index.writer()), "k", b"x").unwrap();
    let beside = read().unwrap();
    let reader = beside.index.reader().unwrap();
    assert_eq!(reader.totals().unwrap().items, 1);
    let stored = archive_item(&writing.store, Some(&writing.index.writer()), "l", b"y").unwrap();
    assert_eq!(reader.totals().unwrap().items, 2, "new items are seen");
    let error = beside.index.writer().apply(stored).unwrap_err();
    assert!(matches!(error, IndexError::Closed { .. }), "{error}");
    drop((reader, beside, writing));
    assert_eq!(read().unwrap().index.reader().unwrap().totals().unwrap().items, 2);
}

#[test]
fn a_second_writer_gets_the_locked_class() {
    let archive = TestArchive::new();
    let _first = open(&archive);
    let Err(error) = Archive::open(&archive.root(), Arc::new(RealDisk), clock()) else { panic!() };
    assert_eq!(error.class(), ErrorClass::Locked);
}

#[test]
fn a_rebuild_that_cannot_read_the_records_leaves_the_old_index() {
    let archive = TestArchive::new();
    let opened = open(&archive);
    archive_item(&opened.store, Some(&opened.index.writer()), "k", b"x").unwrap();
    drop(opened);
    let path = index_path(&archive.root());
    let before = fs::read(&path).unwrap();
    let mut k = 0;
    loop {
        let disk = Arc::new(FaultyDisk::failing(&archive.root(), false, k, Fault::Once(5), "list"));
        let result = Store::open(&archive.root(), disk.clone(), clock());
        if let Ok(store) = result {
            let result = rebuild(&store, &path);
            if !disk.has_failed() {
                result.unwrap();
                break;
            }
            let error = result.unwrap_err();
            assert!(matches!(error, IndexError::Store(StoreError::Io { .. })), "{error}");
            assert_eq!(fs::read(&path).unwrap(), before);
        }
        k += 40;
    }
    assert!(k > 40);
    assert!(Index::open(&path, archive.open().id()).is_ok());
}

/// A copy made while others write is whole, is checked, and only the latest seven stay.
#[test]
fn the_index_is_copied_and_the_copy_can_be_opened() {
    let archive = TestArchive::new();
    let opened = open(&archive);
    let dir = archive.root().join("backup");
    for n in 0..9 {
        let bytes = [n];
        archive_item(&opened.store, Some(&opened.index.writer()), &format!("item-{n}"), &bytes).unwrap();
        let at = now() + jiff::SignedDuration::from_hours(24 * i64::from(n));
        let copy = opened.index.backup(&dir, at, 7).unwrap();
        let reader = shoebox::index::IndexReader::open(&copy, opened.store.id()).unwrap();
        assert_eq!(reader.records().unwrap(), u64::from(n) + 1);
        reader.check().unwrap();
    }
    let copies: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(copies.iter().filter(|name| name.to_str().unwrap().ends_with(".sqlite")).count(), 7);
    // A damaged index gives no copy, and the earlier ones stay.
    opened.index.close().unwrap();
    let mut bytes = fs::read(index_path(&archive.root())).unwrap();
    bytes[20_000..40_000].fill(0x5a);
    fs::write(index_path(&archive.root()), bytes).unwrap();
    if let Ok(index) = shoebox::index::Index::open(&index_path(&archive.root()), opened.store.id()) {
        assert!(index.backup(&dir, now(), 7).is_err());
    }
    let after: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(copies.iter().all(|copy| after.contains(copy)));
}
