//! What happens at Google between passes: additions, edits, other keys, albums, absences.

use std::sync::Arc;

use shoebox::archive::Archive;
use shoebox::model::{ItemRecord, ItemState, MediaKey, PartRole};
use shoebox::sim::fake::FakeLibrary;
use shoebox::sim::{Fault, FaultRule, RequestClass, SimConfig, When};
use shoebox::sync::albums::Wanted;
use shoebox::sync::progress::Progress;
use shoebox::sync::report::Outcome;
use shoebox::sync::{ListingMode, SyncOptions};
use tokio_util::sync::CancellationToken;

use super::support::{assert_equal, init, open, options, pass, pass_with};

fn library(items: usize, shared: usize) -> Arc<FakeLibrary> {
    Arc::new(FakeLibrary::new(SimConfig { items, shared, page: 50, ..SimConfig::default() }))
}

/// The latest record of an item.
fn record(archive: &Archive, key: &str) -> ItemRecord {
    let key = MediaKey::new(key).unwrap();
    let mut records: Vec<_> = archive.store.records().map(|r| r.unwrap().record().clone()).collect();
    records.retain(|record| record.key == key);
    records.into_iter().max_by_key(|record| record.seq).unwrap()
}

async fn look(archive: &Arc<Archive>, library: &Arc<FakeLibrary>) -> shoebox::sync::report::SyncReport {
    let auto = SyncOptions { listing: ListingMode::Auto, ..options() };
    pass_with(archive, library, auto, CancellationToken::new()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_that_change_become_revisions_and_nothing_is_fetched() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let (archive, library) = (open(dir.path()), library(120, 0));
    pass(&archive, &library).await;
    let ledger = library.ledger();
    let plain: Vec<_> =
        ledger.items.iter().filter(|i| i.parts.len() == 1 && !i.favourite).map(|i| i.key.clone()).collect();
    library.library().describe_item(&plain[0], "Grandma, laughing");
    library.library().set_favourite(&plain[1], true);
    library.library().date_item(&plain[2], 400);
    let (fetched, path) = (library.fetches(), record(&archive, &plain[2]).taken);
    let report = pass(&archive, &library).await;
    assert_eq!(report.outcome(), &Outcome::Complete, "{}", report.sentence());
    assert_eq!((report.revised, report.archived), (3, 0), "{}", report.sentence());
    assert_eq!(library.fetches(), fetched);
    assert_eq!(record(&archive, &plain[0]).remote.description.as_deref(), Some("Grandma, laughing"));
    assert!(record(&archive, &plain[1]).remote.favourite);
    let moved = record(&archive, &plain[2]);
    assert_eq!((moved.seq, moved.taken), (2, path), "the view's path follows the first record");
    assert_eq!(
        moved.remote.taken_ms,
        library.ledger().items.iter().find(|i| i.key == plain[2]).map(|i| i.taken_ms)
    );
    let again = pass(&archive, &library).await;
    assert_eq!(again.revised, 0, "a change is recorded once");
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_add_parts_and_the_earlier_ones_stay() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let (archive, library) = (open(dir.path()), library(60, 0));
    pass(&archive, &library).await;
    let ledger = library.ledger();
    let plain = ledger.items.iter().find(|i| i.parts.len() == 1 && i.name.ends_with(".jpg")).unwrap();
    library.library().edit_item(&plain.key);
    pass(&archive, &library).await;
    let once = record(&archive, &plain.key);
    assert_eq!(once.parts.len(), 2);
    library.library().edit_item(&plain.key);
    pass(&archive, &library).await;
    let twice = record(&archive, &plain.key);
    let edited: Vec<_> = twice.parts.iter().filter(|part| part.role == PartRole::Edited).collect();
    assert_eq!(edited.iter().map(|part| part.version).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(edited[0].sha256, once.part(PartRole::Edited).unwrap().sha256);
    assert_ne!(edited[0].sha256, edited[1].sha256);
    assert!(archive.store.open_blob(&edited[0].sha256).is_ok());
    assert_equal(&archive, &library.ledger());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_was_not_finished_is_fetched_again() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let (archive, library) = (open(dir.path()), library(60, 0));
    let ledger = library.ledger();
    let item =
        ledger.items.iter().find(|i| i.parts.len() == 1 && i.name.ends_with(".jpg") && !i.storage_saver);
    let key = item.unwrap().key.clone();
    library.library().begin_upload(&key);
    pass(&archive, &library).await;
    let before = record(&archive, &key);
    assert!(before.remote.partial_upload);
    library.library().finish_upload(&key);
    let report = pass(&archive, &library).await;
    assert_eq!(report.outcome(), &Outcome::Complete, "{}", report.sentence());
    let after = record(&archive, &key);
    let versions: Vec<_> = after.parts.iter().map(|part| (part.version, part.verdict.word())).collect();
    assert_eq!(versions.len(), 2, "the smaller copy stays beside the whole one");
    assert_eq!(versions[1], (2, "matches-upload"));
    assert_equal(&archive, &library.ledger());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_files_do_not_come_is_not_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let (archive, library) = (open(dir.path()), library(60, 0));
    let ledger = library.ledger();
    let mut plain = ledger.items.iter().filter(|i| i.parts.len() == 1 && i.name.ends_with(".jpg"));
    let unfinished = plain.find(|i| !i.storage_saver).unwrap().key.clone();
    let edited = plain.next().unwrap().key.clone();
    library.library().begin_upload(&unfinished);
    library.library().edit_item(&edited);
    pass(&archive, &library).await;
    library.library().finish_upload(&unfinished);
    library.library().edit_item(&edited);
    library.faults().set(FaultRule::new(RequestClass::Download, Fault::Status(404, None), When::Always));
    let troubled = pass(&archive, &library).await;
    assert_eq!(troubled.set_aside, 2, "{}", troubled.sentence());
    library.faults().clear();
    let report = look(&archive, &library).await;
    assert_eq!(report.outcome(), &Outcome::Complete, "{}", report.sentence());
    assert_equal(&archive, &library.ledger());
    assert_eq!(record(&archive, &unfinished).parts.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_interrupted_pass_has_listed_and_not_fetched_comes_with_the_next_look() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let (archive, library) = (open(dir.path()), library(150, 0));
    let slow = Fault::Latency(std::time::Duration::from_millis(150));
    library.faults().set(FaultRule::new(RequestClass::Download, slow, When::Always));
    // Stopped when everything is listed: the oldest, far behind the latest uploads, are still on their way.
    let (progress, stop) = (Arc::new(Progress::default()), CancellationToken::new());
    let pass = tokio::spawn(shoebox::sync::run(
        Arc::clone(&archive),
        Arc::clone(&library),
        Arc::new(shoebox::model::SystemClock),
        options(),
        Arc::clone(&progress),
        stop.clone(),
    ));
    while !progress.snapshot().listing_done {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    stop.cancel();
    let cut = pass.await.unwrap();
    assert!(cut.outcome() == &Outcome::Interrupted && cut.archived < 150, "{}", cut.sentence());
    library.faults().clear();
    let report = look(&archive, &library).await;
    assert!(!report.whole, "{}", report.sentence());
    assert_eq!(report.outcome(), &Outcome::Complete, "{}", report.sentence());
    assert_equal(&archive, &library.ledger());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_for_the_same_upload_costs_no_download() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let (archive, library) = (open(dir.path()), library(60, 0));
    pass(&archive, &library).await;
    let ledger = library.ledger();
    let plain =
        ledger.items.iter().find(|i| i.parts.len() == 1 && i.dedup_key.len() == 27 && !i.storage_saver);
    let old = plain.unwrap().key.clone();
    let new = library.library().rekey_item(&old);
    let fetched = library.fetches();
    let report = pass(&archive, &library).await;
    assert_eq!((report.archived, library.fetches()), (1, fetched), "{}", report.sentence());
    assert_eq!(record(&archive, &new).parts[0].sha256, record(&archive, &old).parts[0].sha256);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absence_is_believed_when_two_listings_and_the_counts_agree() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let (archive, library) = (open(dir.path()), library(120, 0));
    pass(&archive, &library).await;
    let (thrown, lost) = (library.ledger().items[7].key.clone(), library.ledger().items[9].key.clone());
    library.library().trash_item(&thrown);
    library.library().remove_item(&lost);
    let first = pass(&archive, &library).await;
    assert_eq!(first.gone, 0, "one listing is no evidence");
    let second = pass(&archive, &library).await;
    assert_eq!(second.gone, 2, "{}", second.sentence());
    let record_of = |key: &str| record(&archive, key);
    assert_eq!(record_of(&thrown).state, ItemState::Gone);
    assert!(record_of(&thrown).remote.trashed_ms.is_some());
    assert_eq!(record_of(&lost).remote.trashed_ms, None);
    assert!(archive.store.open_blob(&record_of(&lost).parts[0].sha256).is_ok(), "nothing local is removed");
    library.library().restore_item(&thrown);
    let third = pass(&archive, &library).await;
    assert_eq!((third.gone, record_of(&thrown).state), (0, ItemState::Present));
    assert_equal(&archive, &library.ledger());
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_that_shrink_make_no_tombstones() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let (archive, library) = (open(dir.path()), library(120, 0));
    pass(&archive, &library).await;
    library.faults().set(FaultRule::new(
        RequestClass::Rpc(Some("lcxiM".into())),
        Fault::ShrunkenListing(70),
        When::Always,
    ));
    for _ in 0..3 {
        assert_eq!(pass(&archive, &library).await.gone, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_finds_what_is_new_however_old_it_is_and_what_has_vanished() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let (archive, library) = (open(dir.path()), library(200, 0));
    look(&archive, &library).await;
    let asked = |library: &FakeLibrary| library.counters().rpcs.values().sum::<u64>();
    let before = asked(&library);
    let quiet = look(&archive, &library).await;
    assert!(!quiet.whole, "{}", quiet.sentence());
    assert!(asked(&library) - before <= 4, "{:?}", library.counters().rpcs);
    let (new, old) = (library.library().add_item(), library.library().backdate_item(4000));
    let report = look(&archive, &library).await;
    assert!(!report.whole && report.archived == 2, "{}", report.sentence());
    assert_eq!((record(&archive, &new).seq, record(&archive, &old).seq), (1, 1));
    let gone = library.ledger().items[3].key.clone();
    library.library().remove_item(&gone);
    let report = look(&archive, &library).await;
    assert!(report.whole, "Google counts fewer: {}", report.sentence());
    assert_equal(&archive, &library.ledger());
}

#[tokio::test(flavor = "multi_thread")]
async fn own_albums_are_recorded_in_their_order_and_followed() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let (archive, library) = (open(dir.path()), library(150, 0));
    let report = pass(&archive, &library).await;
    assert_eq!(report.albums, 5, "{}", report.sentence());
    let reader = archive.index.reader().unwrap();
    let albums = reader.albums().unwrap();
    let titles: Vec<_> = albums.iter().map(|album| album.title.as_str()).collect();
    assert!(titles.contains(&"Größe & Ünïcode 🎈") && titles.contains(&""), "{titles:?}");
    for album in &albums {
        let stored = archive.store.read_album(&album.record).unwrap();
        let mut inside: Vec<_> = library
            .ledger()
            .items
            .into_iter()
            .filter(|i| i.albums.contains(&album.title))
            .map(|i| i.key)
            .collect();
        inside.sort_by(|a, b| a[20..].cmp(&b[20..]));
        let recorded: Vec<_> = stored.record().items.iter().map(ToString::to_string).collect();
        assert_eq!(recorded, inside, "{}", album.title);
        assert_eq!(stored.record().cover.as_ref(), stored.record().items.first(), "{}", album.title);
        let balance = reader.album_balance(&album.record.key).unwrap();
        assert_eq!((balance.shown, balance.missing), (inside.len() as u64, 0));
    }
    let key = library.ledger().items.iter().find(|item| item.albums.is_empty()).unwrap().key.clone();
    library.library().set_in_album(&key, 1, true);
    library.library().rename_album(2, "Grandma's party");
    library.library().add_album("New this year");
    let report = look(&archive, &library).await;
    assert_eq!((report.albums, report.whole), (3, false), "{}", report.sentence());
    assert_eq!(look(&archive, &library).await.albums, 0);
    // What the index says of albums comes from records alone.
    let mut before = Vec::new();
    archive.index.reader().unwrap().canonical_dump(&mut before).unwrap();
    drop((archive, reader));
    shoebox::archive::Archive::rebuild_index(
        dir.path(),
        Arc::new(shoebox::store::RealDisk),
        Arc::new(shoebox::model::SystemClock),
    )
    .unwrap();
    let mut after = Vec::new();
    open(dir.path()).index.reader().unwrap().canonical_dump(&mut after).unwrap();
    assert_eq!(String::from_utf8(before).unwrap(), String::from_utf8(after).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_share_comes_only_when_it_is_wanted_and_own_photos_never_twice() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let (archive, library) = (open(dir.path()), library(60, 30));
    pass(&archive, &library).await;
    let foreign: Vec<_> = library.ledger().items.into_iter().filter(|item| item.shared.is_some()).collect();
    let keys: Vec<_> = foreign.iter().map(|item| MediaKey::new(&item.key).unwrap()).collect();
    let have = |archive: &Archive| archive.index.reader().unwrap().known(&keys).unwrap().len();
    assert_eq!(have(&archive), 0, "own library only");
    let guests = foreign.iter().filter(|item| item.albums.iter().any(|album| album == "Summer in Norway"));
    let guests: Vec<_> = guests.map(|item| MediaKey::new(&item.key).unwrap()).collect();
    assert!(guests.len() > 1);
    let fetched = library.fetches();
    let wedding = Wanted { all: false, named: vec!["Wedding of J & J".into()] };
    let report =
        pass_with(&archive, &library, SyncOptions { albums: wedding, ..options() }, CancellationToken::new())
            .await;
    assert_eq!(report.outcome(), &Outcome::Complete, "{}", report.sentence());
    let in_wedding = foreign.iter().filter(|item| item.shared.as_deref() == Some("Wedding of J & J"));
    assert_eq!(have(&archive), in_wedding.clone().count());
    // What has no hash at Google comes twice, to be believed.
    let unproven = |item: &shoebox::sim::LedgerItem| usize::from(item.dedup_key.len() != 27);
    let transfers: usize = in_wedding.map(|item| 2 * item.parts.len() - 1 + unproven(item)).sum();
    assert_eq!(library.fetches() - fetched, transfers as u64, "own photos in the album were fetched again");
    let everything = Wanted { all: true, named: Vec::new() };
    let all = SyncOptions { albums: everything, ..options() };
    let report = pass_with(&archive, &library, all.clone(), CancellationToken::new()).await;
    assert_eq!(report.outcome(), &Outcome::Complete, "{}", report.sentence());
    // What guests have put into an own album is wanted with everything else.
    let reached = |item: &&shoebox::sim::LedgerItem| {
        item.shared.as_deref() != Some("Partner") || guests.iter().any(|key| key.as_str() == item.key)
    };
    assert_eq!(have(&archive), foreign.iter().filter(reached).count());
    let albums = archive.index.reader().unwrap().albums().unwrap();
    assert_eq!(
        albums.iter().filter(|album| album.title == "Wedding of J & J").count(),
        1,
        "two id spaces, one album"
    );
    let again = pass_with(&archive, &library, all, CancellationToken::new()).await;
    assert_eq!((again.archived, again.albums, again.gone), (0, 0, 0), "{}", again.sentence());
    // A name that Google does not give comes with the download.
    let named = record(&archive, &foreign[0].key);
    assert_ne!(named.name, foreign[0].key);
}
