//! Records: written after their blobs, in a chain, and read with suspicion.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value};
use shoebox::model::digest::digests_of;
use shoebox::model::{ErrorClass, ItemRecord, ItemState, PartRole};
use shoebox::store::{RecordName, Store, StoreError};

use super::support::*;

fn write_over(path: &Path, bytes: &[u8]) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap();
    fs::write(path, bytes).unwrap();
}

fn the_record_file(archive: &TestArchive, key: &str) -> std::path::PathBuf {
    let files = files_below(&archive.root().join("records"));
    let starts = |path: &Path| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{key}."));
    files.into_iter().find(|path| starts(path)).unwrap()
}

fn chain_error(result: Result<shoebox::store::StoredRecord, StoreError>) -> String {
    match result.unwrap_err() {
        error @ StoreError::Chain { .. } => error.to_string(),
        error => panic!("{error}"),
    }
}

#[test]
fn a_record_needs_its_blobs() {
    let archive = TestArchive::new();
    let store = archive.open();
    let blob = put(&store, b"bytes").unwrap();
    let ordinal = store.next_ordinal().unwrap();
    let item = key("k");
    let absent = part(PartRole::Original, "a", &digests_of(b"never stored"));
    let error = store.put_record(&record(&item, ordinal, vec![absent]), &[&blob]).unwrap_err();
    assert!(matches!(error, StoreError::Unproven { .. }), "{error}");
    let mut lying = part(PartRole::Original, "a", blob.digests());
    lying.size += 1;
    for proofs in [&[&blob][..], &[]] {
        let error = store.put_record(&record(&item, ordinal, vec![lying.clone()]), proofs).unwrap_err();
        assert!(matches!(error, StoreError::Unproven { .. }), "{error}");
    }
    assert_eq!(store.records().count(), 0);
    // A proof, or the stored blob itself.
    let good = record(&item, ordinal, vec![part(PartRole::Original, "a", blob.digests())]);
    let stored = store.put_record(&good, &[&blob]).unwrap();
    store.put_record(&revision(&stored), &[]).unwrap();
    assert_legal(&store);
}

#[test]
fn revisions_form_a_chain() {
    let archive = TestArchive::new();
    let store = archive.open();
    let first = archive_item(&store, None, "k", b"bytes").unwrap();
    assert_eq!(store.put_record(first.record(), &[]).unwrap(), first, "the same again is no error");

    let mut gone = revision(&first);
    gone.state = ItemState::Gone;
    let second = store.put_record(&gone, &[]).unwrap();

    let mut other = revision(&first);
    other.name = "another revision 2".to_owned();
    assert!(chain_error(store.put_record(&other, &[])).contains("the last one is 2"));
    let mut unlinked = revision(&second);
    unlinked.previous = Some(*first.sha256());
    assert!(chain_error(store.put_record(&unlinked, &[])).contains("previous"));
    let mut skipping = revision(&second);
    skipping.seq = 4;
    chain_error(store.put_record(&skipping, &[]));
    let mut renumbered = revision(&second);
    renumbered.ordinal += 1;
    assert!(chain_error(store.put_record(&renumbered, &[])).contains("number"));
    let mut newer = revision(&second);
    newer.schema = 2;
    assert!(chain_error(store.put_record(&newer, &[])).contains("schema"));
    let mut orphan = revision(&second);
    orphan.key = key("other");
    chain_error(store.put_record(&orphan, &[]));

    let records: Vec<_> = store.records().map(Result::unwrap).collect();
    assert_eq!(records, [first, second]);
}

#[test]
fn numbers_are_unique_and_never_reused() {
    let archive = TestArchive::new();
    let store = archive.open();
    assert_eq!(store.next_ordinal().unwrap(), 1);
    let item = record(&key("k"), 7, Vec::new());
    assert!(chain_error(store.put_record(&item, &[])).contains("was not dealt"));
    let dealt: HashSet<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..100).map(|_| store.next_ordinal().unwrap()).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(dealt.len(), 400);
    let highest = *dealt.iter().max().unwrap();
    store.put_record(&record(&key("k"), highest, Vec::new()), &[]).unwrap();
    assert!(
        chain_error(store.put_record(&record(&key("l"), highest, Vec::new()), &[])).contains("not dealt")
    );
    drop(store);
    assert_eq!(archive.open().next_ordinal().unwrap(), highest + 1);

    // The number of an unreadable record is unknown: leave room for it.
    write_over(&the_record_file(&archive, "k"), b"{}");
    assert!(archive.open().next_ordinal().unwrap() > highest);
}

#[test]
fn a_damaged_record_is_named_and_the_others_are_read() {
    let archive = TestArchive::new();
    let store = archive.open();
    for n in 0..20 {
        archive_item(&store, None, &format!("k{n}"), &[n]).unwrap();
    }
    let path = the_record_file(&archive, "k7");
    let good = fs::read(&path).unwrap();
    let mut flipped = good.clone();
    flipped[20] ^= 1;
    for bad in [&flipped[..], &good[..good.len() - 1], b"", &vec![b'['; 1 << 20]] {
        write_over(&path, bad);
        let (good, bad): (Vec<_>, Vec<_>) = store.records().partition(Result::is_ok);
        assert_eq!((good.len(), bad.len()), (19, 1));
        let error = bad.into_iter().next().unwrap().unwrap_err();
        assert_eq!(error.class(), ErrorClass::Damaged);
        assert!(error.to_string().contains(path.file_name().unwrap().to_str().unwrap()), "{error}");
    }
}

/// Puts a file with a fitting name beside the records, whatever its content.
fn plant(archive: &TestArchive, item: &str, seq: u32, bytes: &[u8]) {
    let name = RecordName { key: key(item), seq, sha256: digests_of(bytes).sha256 };
    let path = archive.root().join(format!("records/{:02x}/{}", name.shard(), name.file_name()));
    fs::write(path, bytes).unwrap();
}

#[test]
fn records_that_lie_under_a_fitting_name_are_refused() {
    let archive = TestArchive::new();
    let store = archive.open();
    let stored = archive_item(&store, None, "k", b"bytes").unwrap();
    let text = String::from_utf8(stored.record().to_bytes()).unwrap();
    plant(&archive, "other", 1, text.as_bytes());
    plant(&archive, "newer", 1, b"{\"schema\":2,\"hash\":{}}");
    plant(&archive, "hostile", 1, "[".repeat(200_000).as_bytes());
    plant(&archive, "key", 1, text.replace("\"key\":\"k\"", "\"key\":\"../../x\"").as_bytes());
    plant(&archive, "negative", 1, text.replace("\"ordinal\":", "\"ordinal\":-").as_bytes());
    fs::write(archive.root().join("records/00/notes.txt"), b"mine").unwrap();
    let errors: Vec<_> = store.records().filter_map(Result::err).collect();
    assert_eq!(errors.len(), 6);
    let all = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(all.contains("it is about revision 1 of k"), "{all}");
    assert!(all.contains("schema 2"), "{all}");
    assert!(all.contains("notes.txt does not belong to the archive"), "{all}");
    assert_eq!(store.records().filter(Result::is_ok).count(), 1);
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no others", |number| number.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Fields of a later version: any name that is none of ours.
fn unknown() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::btree_map("[a-z\u{e4}]{0,3}_x[ \"\\\\\n\u{1}]?", json(), 0..4)
        .prop_map(|map| map.into_iter().collect())
}

#[test]
fn canonical_bytes_and_unknown_fields_survive_a_round_trip() {
    let mut seed_bytes = [0; 32];
    seed_bytes[..8].copy_from_slice(&seed().to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed_bytes);
    let mut runner = TestRunner::new_with_rng(Config::with_cases(300), rng);
    let archive = TestArchive::new();
    let store = archive.open();
    let blob = put(&store, b"bytes").unwrap();
    let case = (unknown(), unknown(), any::<String>(), any::<Option<f64>>());
    runner
        .run(&case, |(of_item, of_part, name, latitude)| {
            let ordinal = store.next_ordinal().unwrap();
            let mut part = part(PartRole::Original, &name, blob.digests());
            part.facts.latitude = latitude.filter(|degrees| degrees.is_finite());
            part.unknown = of_part;
            let mut item = record(&key(&format!("k{ordinal}")), ordinal, vec![part]);
            item.unknown = of_item;
            let bytes = item.to_bytes();
            let read = ItemRecord::from_bytes(&bytes).unwrap();
            prop_assert_eq!(&read, &item);
            prop_assert_eq!(read.to_bytes(), bytes.clone());
            // Sorted, dense, one line.
            let value: Value = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(format!("{value}\n").into_bytes(), bytes.clone());
            let keys: Vec<_> = value.as_object().unwrap().keys().collect();
            prop_assert!(keys.is_sorted());
            prop_assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
            // The same through the disk.
            let stored = store.put_record(&item, &[&blob]).unwrap();
            let name = RecordName { key: item.key.clone(), seq: 1, sha256: *stored.sha256() };
            let read = store.read_record(&name).unwrap();
            prop_assert_eq!(read.record(), &item);
            Ok(())
        })
        .unwrap();
    assert_legal(&store);
}

#[test]
fn two_threads_cannot_write_the_same_revision() {
    let archive = TestArchive::new();
    let store = archive.open();
    let first = archive_item(&store, None, "k", b"bytes").unwrap();
    let attempt = |store: &Store, n: usize| {
        let mut next = revision(&first);
        next.name = format!("name {n}");
        store.put_record(&next, &[]).is_ok()
    };
    let written: usize = std::thread::scope(|scope| {
        let store = &store;
        let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || attempt(store, n))).collect();
        threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
    });
    assert_eq!(written, 1);
    assert_eq!(store.records().count(), 2);
    assert_legal(&store);
}

#[test]
fn the_files_of_a_directory_are_in_the_order_in_which_they_are_looked_for() {
    let archive = TestArchive::new();
    let store = archive.open();
    let mut last = archive_new_item(&store, "item", b"bytes").unwrap();
    for _ in 0..12 {
        last = store.put_record(&revision(&last), &[]).unwrap();
    }
    let group = shoebox::store::Group::records().find(|group| !store.files_in(*group).unwrap().is_empty());
    let files = store.files_in(group.unwrap()).unwrap();
    assert_eq!(files.len(), 13);
    assert!(files.iter().all(|file| files.binary_search(file).is_ok()), "{files:?}");
    assert!(files.is_sorted());
}
