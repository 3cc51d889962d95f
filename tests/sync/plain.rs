//! A pass when nothing goes wrong.

use std::sync::Arc;

use shoebox::model::MediaKey;
use shoebox::sim::fake::FakeLibrary;
use shoebox::sim::{LedgerItem, LiveAs, SimConfig};
use shoebox::sync::report::Outcome;

use super::support::{assert_equal, init, open, pass};

fn library(items: usize) -> Arc<FakeLibrary> {
    Arc::new(FakeLibrary::new(SimConfig { items, page: 50, ..SimConfig::default() }))
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_listed_is_archived_to_the_byte() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let archive = open(dir.path());
    let library = library(160);
    let report = pass(&archive, &library).await;
    assert_eq!(report.outcome(), &Outcome::Complete, "{}", report.sentence());
    assert_eq!((report.listed, report.archived, report.set_aside), (160, 160, 0));
    assert_equal(&archive, &library.ledger());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_under_two_keys_are_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let archive = open(dir.path());
    let library = library(400);
    pass(&archive, &library).await;
    let ledger = library.ledger();
    let parts: usize = ledger.items.iter().map(|item| item.parts.len()).sum();
    let totals = archive.index.reader().unwrap().totals().unwrap();
    assert_eq!(totals.parts, parts as u64);
    assert_eq!(totals.blobs, ledger.wanted().len() as u64);
    assert!(totals.blobs < totals.parts, "the library has no duplicates: the test tests nothing");
}

/// A Live Photo's video is not forgotten because its still is there already.
#[tokio::test(flavor = "multi_thread")]
async fn a_live_photo_keeps_its_video_where_its_still_is_archived_already() {
    for live in [LiveAs::Zip, LiveAs::Clip] {
        let dir = tempfile::tempdir().unwrap();
        init(dir.path());
        let archive = open(dir.path());
        let config = SimConfig { items: 12, ..SimConfig::default() };
        let library = Arc::new(FakeLibrary::with_live(live, config));
        pass(&archive, &library).await;
        let is_plain = |item: &LedgerItem| {
            item.name.ends_with(".jpg")
                && item.parts.len() == 1
                && !item.storage_saver
                && item.dedup_key.len() > 20
        };
        let plain = library.ledger().items.into_iter().find(is_plain).unwrap().key;
        library.library().copy_item(&plain, true);
        pass(&archive, &library).await;
        assert_equal(&archive, &library.ledger());
        // Once more as a Live Photo, and as a plain one: nothing has to come.
        let fetches = library.fetches();
        library.library().copy_item(&plain, true);
        library.library().copy_item(&plain, false);
        let report = pass(&archive, &library).await;
        assert_eq!((report.archived, library.fetches()), (2, fetches), "{}", report.sentence());
        assert_equal(&archive, &library.ledger());
    }
}

/// Google calls an item live and hands out no video: nobody must find that out by himself.
#[tokio::test(flavor = "multi_thread")]
async fn a_live_photo_that_comes_without_its_video_is_told() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let archive = open(dir.path());
    let config = SimConfig { items: 160, ..SimConfig::default() };
    let library = Arc::new(FakeLibrary::with_live(LiveAs::Still, config));
    let has_video = |item: &&LedgerItem| item.parts.iter().any(|part| part.role == "motion");
    let live = library.ledger().items.iter().filter(has_video).count() as u64;
    let report = pass(&archive, &library).await;
    assert!(live > 0);
    assert_eq!((report.archived, report.without_video), (160, live), "{}", report.sentence());
    assert!(report.sentence().contains("no video of them"), "{}", report.sentence());
    // Told once: nothing has changed since.
    assert_eq!(pass(&archive, &library).await.without_video, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn later_additions_are_found_and_removals_remove_nothing() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let archive = open(dir.path());
    let library = library(40);
    pass(&archive, &library).await;
    let gone = library.ledger().items[5].key.clone();
    library.library().remove_item(&gone);
    let new = library.library().add_item();
    let report = pass(&archive, &library).await;
    assert_eq!(report.archived, 1);
    let keys = [MediaKey::new(&gone).unwrap(), MediaKey::new(&new).unwrap()];
    assert_eq!(archive.index.reader().unwrap().known(&keys).unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_and_verdicts_are_recorded() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let archive = open(dir.path());
    let library = library(300);
    pass(&archive, &library).await;
    let ledger = library.ledger();
    let mut seen = std::collections::BTreeSet::new();
    let mut creations = 0;
    let made = |name: &str| ["-ANIMATION.", "-COLLAGE.", "-EFFECTS."].iter().any(|mark| name.contains(mark));
    for record in archive.store.records() {
        let record = record.unwrap();
        let record = record.record();
        let item = ledger.items.iter().find(|item| item.key == record.key.as_str()).unwrap();
        assert_eq!(record.name, item.name);
        assert_eq!(record.remote.taken_ms, Some(item.taken_ms));
        assert_eq!((record.remote.favourite, record.remote.archived), (item.favourite, item.archived));
        let original = &record.parts[0];
        let plain = !item.dedup_key.is_empty() && !item.dedup_key.contains(':');
        let want = match (plain, item.storage_saver) {
            (_, true) => "differs-expected",
            (true, false) => "matches-upload",
            // An edited or two-part item has no size to compare with.
            (false, false) if item.parts.len() == 1 => "size-matches",
            (false, false) => original.verdict.word(),
        };
        assert_eq!(original.verdict.word(), want, "{}", item.key);
        seen.insert(want);
        assert_eq!(record.remote.creation.is_some(), made(&item.name), "{}", item.name);
        creations += usize::from(record.remote.creation.is_some());
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(creations > 3, "{creations}");
}
