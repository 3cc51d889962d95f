//! What the index answers.

use std::sync::Arc;

use shoebox::archive::Archive;
use shoebox::index::{IndexError, RunNote};
use shoebox::model::{ItemState, MediaKey, PartRole, Verdict};
use shoebox::store::RealDisk;

use crate::store::support::*;

fn open(archive: &TestArchive) -> Archive {
    Archive::open(&archive.root(), Arc::new(RealDisk), clock()).unwrap()
}

#[test]
fn known_items_come_with_what_is_needed_to_see_a_change() {
    let archive = TestArchive::new();
    let opened = open(&archive);
    let writer = opened.index.writer();
    let reader = opened.index.reader().unwrap();
    let first = archive_item(&opened.store, Some(&writer), "k", b"bytes").unwrap();
    let mut next = revision(&first);
    next.remote.favourite = true;
    next.state = ItemState::Gone;
    let second = opened.store.put_record(&next, &[]).unwrap();
    for _ in 0..2 {
        writer.apply(second.clone()).unwrap();
        // Late and repeated news of the past changes nothing.
        writer.apply(first.clone()).unwrap();
    }
    let asked = [key("k"), key("unknown")];
    let known = reader.known(&asked).unwrap();
    assert_eq!(known.len(), 1);
    let item = &known[&key("k")];
    assert_eq!((item.seq, item.ordinal, item.record_sha256), (2, 1, *second.sha256()));
    assert_eq!(item.state, ItemState::Gone);
    assert_eq!(item.remote, second.record().remote);
    assert_eq!(item.name, "k.jpg");
    assert_eq!(item.parts, [(PartRole::Original, first.record().parts[0].sha256)]);
    assert_eq!(reader.records().unwrap(), 2);
    assert!(reader.known(&[]).unwrap().is_empty());
}

#[test]
fn revisions_may_arrive_in_any_order() {
    let archive = TestArchive::new();
    let opened = open(&archive);
    let writer = opened.index.writer();
    let first = archive_item(&opened.store, None, "k", b"bytes").unwrap();
    let second = opened.store.put_record(&revision(&first), &[]).unwrap();
    let answers = writer.apply_all([second, first]);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let reader = opened.index.reader().unwrap();
    assert_eq!(reader.known(&[key("k")]).unwrap()[&key("k")].seq, 2);
    assert_eq!(reader.records().unwrap(), 2);
}

#[test]
fn changes_are_paged_and_the_past_is_kept() {
    let archive = TestArchive::new();
    let opened = open(&archive);
    let writer = opened.index.writer();
    let reader = opened.index.reader().unwrap();
    let mut all = Vec::new();
    for n in 0..7_u8 {
        let store = &opened.store;
        let (still, moving) = (put(store, &[n]).unwrap(), put(store, &[n, n]).unwrap());
        let parts = vec![
            part(PartRole::Original, &format!("{n}.heic"), still.digests()),
            part(PartRole::Motion, &format!("{n}.mov"), moving.digests()),
        ];
        let record = record(&key(&format!("k{n}")), store.next_ordinal().unwrap(), parts);
        let stored = store.put_record(&record, &[&still, &moving]).unwrap();
        writer.apply(stored.clone()).unwrap();
        all.push(stored);
    }
    // An item without files does not stop the paging.
    let empty = record(&key("empty"), opened.store.next_ordinal().unwrap(), Vec::new());
    writer.apply(opened.store.put_record(&empty, &[]).unwrap()).unwrap();
    // The first item changes: it moves to the end.
    let mut next = revision(&all[0]);
    next.name = "renamed".to_owned();
    writer.apply(opened.store.put_record(&next, &[]).unwrap()).unwrap();

    let pages = |limit: usize| {
        let (mut at, mut items) = (0, Vec::new());
        loop {
            let page = reader.items_after(at, limit).unwrap();
            let Some(last) = page.last() else { return items };
            assert!(page.len() <= limit);
            at = last.change;
            items.extend(page);
        }
    };
    let one_by_one = pages(1);
    assert_eq!(one_by_one, pages(3));
    assert_eq!(one_by_one, reader.items_after(0, usize::MAX).unwrap());
    assert_eq!(one_by_one.len(), 8);
    assert!(one_by_one.is_sorted_by_key(|item| item.change));
    assert_eq!(one_by_one.last().unwrap().change, reader.last_change().unwrap());
    let last = &one_by_one[7];
    assert_eq!((&*last.name, &*last.parts[1].name), ("renamed", "0.mov"));
    assert_eq!((last.ordinal, last.parts[1].role, last.parts[1].size), (1, PartRole::Motion, 2));
    assert_eq!(last.taken, all[0].record().taken);
    assert_eq!(last.make.as_deref(), Some("Äpparat"));
    assert_eq!(last.parts[1].sha256, all[0].record().parts[1].sha256);
    let facts = reader.part_facts(1, &last.parts[1].sha256).unwrap().unwrap();
    assert_eq!(facts.sha1, all[0].record().parts[1].sha1);
    assert_eq!((facts.name.as_str(), &facts.key), ("0.mov", &all[0].record().key));
    // The whole is the same, by number; the past is what was before.
    let mut whole = Vec::new();
    for numbers in [0..=3, 4..=u64::MAX] {
        reader.items(numbers, |item| whole.push(item.clone().into_owned())).unwrap();
    }
    let mut by_number = one_by_one.clone();
    by_number.sort_by_key(|item| item.ordinal);
    assert_eq!(whole, by_number);
    let past = reader.past_items().unwrap();
    assert_eq!(past.len(), 1);
    assert_eq!((past[0].ordinal, &*past[0].name), (1, all[0].record().name.as_str()));
    assert_eq!(last.added, past[0].since);
    assert_eq!(reader.highest_ordinal().unwrap(), 8);
}

#[test]
fn totals_count_parts_and_blobs_apart() {
    let archive = TestArchive::new();
    let opened = open(&archive);
    let writer = opened.index.writer();
    let reader = opened.index.reader().unwrap();
    let zero = reader.totals().unwrap();
    assert_eq!((zero.items, zero.blobs, zero.bytes, zero.blob_bytes), (0, 0, 0, 0));
    archive_item(&opened.store, Some(&writer), "a", b"shared").unwrap();
    archive_item(&opened.store, Some(&writer), "b", b"shared").unwrap();
    let c = archive_item(&opened.store, Some(&writer), "c", b"own").unwrap();
    let mut gone = revision(&c);
    gone.state = ItemState::Gone;
    gone.parts[0].verdict = Verdict::Unproven;
    writer.apply(opened.store.put_record(&gone, &[]).unwrap()).unwrap();
    let totals = reader.totals().unwrap();
    assert_eq!((totals.items, totals.gone, totals.parts, totals.blobs), (3, 1, 3, 2));
    assert_eq!((totals.bytes, totals.blob_bytes), (15, 9));
    assert_eq!(totals.verdicts, [(Verdict::SizeMatches, 2), (Verdict::Unproven, 1)]);
    let mut blobs = Vec::new();
    reader.blobs(|sha256, size| blobs.push((sha256, size))).unwrap();
    assert_eq!(blobs.len(), 2);
    assert!(blobs.is_sorted());
    assert!(blobs.contains(&(c.record().parts[0].sha256, 3)));
}

#[test]
fn failures_are_counted_until_the_item_is_archived() {
    let archive = TestArchive::new();
    let opened = open(&archive);
    let writer = opened.index.writer();
    let reader = opened.index.reader().unwrap();
    let later = now() + jiff::SignedDuration::from_hours(1);
    writer.note_failure("1001", &key("a"), "a.jpg", "first reason", now()).unwrap();
    writer.note_failure("1001", &key("a"), "a.jpg", "second reason", later).unwrap();
    writer.note_failure("1001", &key("b"), "b.jpg", "reason", now()).unwrap();
    let failures = reader.failures().unwrap();
    assert_eq!(failures.len(), 2);
    assert_eq!((failures[0].attempts, failures[0].reason.as_str()), (2, "second reason"));
    assert_eq!((failures[0].first_at, failures[0].last_at), (now(), later));
    assert_eq!(reader.totals().unwrap().failures, 2);
    archive_item(&opened.store, Some(&writer), "a", b"bytes").unwrap();
    writer.clear_failure("1001", &key("b")).unwrap();
    assert_eq!(reader.failures().unwrap(), []);
}

#[test]
fn the_last_runs_come_first() {
    let archive = TestArchive::new();
    let opened = open(&archive);
    let run = |n: u64| RunNote {
        account: String::new(),
        started: now(),
        ended: now() + jiff::SignedDuration::from_millis(1500),
        outcome: format!("run {n}"),
        listed: n,
        archived: 1,
        quarantined: 2,
        failed: 3,
        bytes: u64::from(u32::MAX) * 1000,
    };
    for n in 0..5 {
        opened.index.writer().note_run(&run(n)).unwrap();
    }
    let reader = opened.index.reader().unwrap();
    assert_eq!(reader.last_runs(2).unwrap(), [run(4), run(3)]);
    assert_eq!(reader.last_complete("").unwrap(), None);
    for (n, outcome) in [(5, "complete"), (6, "complete"), (7, "partial")] {
        let ended = now() + jiff::SignedDuration::from_secs(n);
        let note = RunNote { outcome: outcome.into(), ended, ..run(0) };
        opened.index.writer().note_run(&note).unwrap();
    }
    assert_eq!(reader.last_complete("").unwrap(), Some(now() + jiff::SignedDuration::from_secs(6)));
}

#[test]
fn many_threads_apply_at_once() {
    let archive = TestArchive::new();
    let opened = open(&archive);
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let (store, writer) = (&opened.store, opened.index.writer());
            scope.spawn(move || {
                for n in 0..10_u8 {
                    let blob = put(store, &[thread, n]).unwrap();
                    let part = part(PartRole::Original, "a.jpg", blob.digests());
                    let name = key(&format!("k{thread}-{n}"));
                    let record = record(&name, store.next_ordinal().unwrap(), vec![part]);
                    writer.apply(store.put_record(&record, &[&blob]).unwrap()).unwrap();
                }
            });
        }
    });
    let reader = opened.index.reader().unwrap();
    assert_eq!(reader.totals().unwrap().items, 80);
    let keys: Vec<MediaKey> = (0..8).flat_map(|t| (0..10).map(move |n| key(&format!("k{t}-{n}")))).collect();
    assert_eq!(reader.known(&keys).unwrap().len(), 80);
    reader.check().unwrap();
}

#[test]
fn a_contradiction_is_refused_and_its_neighbours_are_committed() {
    let archive = TestArchive::new();
    let foreign = TestArchive::new();
    let opened = open(&archive);
    let a = archive_item(&opened.store, None, "a", b"1").unwrap();
    let b = archive_item(&opened.store, None, "b", b"2").unwrap();
    let contradiction = archive_item(&foreign.open(), None, "c", b"3").unwrap();
    assert_eq!(contradiction.record().ordinal, a.record().ordinal);
    let answers = opened.index.writer().apply_all([a, contradiction, b]);
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    assert!(matches!(&answers[1], Err(IndexError::Conflict { key, .. }) if key.as_str() == "c"));
    assert_eq!(opened.index.reader().unwrap().totals().unwrap().items, 2);
}

#[test]
fn a_closed_index_refuses_and_leaves_no_log() {
    let archive = TestArchive::new();
    let Archive { store, index, .. } = open(&archive);
    let writer = index.writer();
    let stored = archive_item(&store, Some(&writer), "a", b"1").unwrap();
    index.close().unwrap();
    let error = writer.apply(stored).unwrap_err();
    assert!(matches!(error, IndexError::Closed { .. }), "{error}");
    assert!(!archive.root().join("index.sqlite-wal").exists());
}

/// Who has seen every change up to the last one must be told when a library takes an adopted album over, also the only one.
#[test]
fn an_album_that_becomes_the_librarys_is_a_change() {
    let archive = TestArchive::new();
    let opened = open(&archive);
    let put = |album| opened.index.writer().apply_album(opened.store.put_album(&album).unwrap()).unwrap();
    let own = shoebox::model::MediaKey::local("album", &shoebox::model::Sha256::new([7; 32]));
    put(shoebox::model::AlbumRecord { key: own.clone(), ..album(1, None, &["a"]) });
    let reader = opened.index.reader().unwrap();
    let seen = reader.albums_after(0).unwrap().last().unwrap().change;
    put(shoebox::model::AlbumRecord { formerly: Some(own.clone()), ..album(1, None, &["a", "b"]) });
    let told = reader.albums_after(seen).unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0].formerly, told[0].revisions.len()), (&Some(own), 2));
    assert_eq!(reader.albums().unwrap().len(), 1);
}
