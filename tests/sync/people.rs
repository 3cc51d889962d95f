//! Several people in one archive: what both have is there once, and nobody's pass touches what is another's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use shoebox::archive::{Archive, index_path};
use shoebox::index::IndexReader;
use shoebox::model::{AlbumKind, Clock, ItemState, MediaKey, SystemClock};
use shoebox::proof;
use shoebox::sim::fake::FakeLibrary;
use shoebox::sim::{Fault, FaultRule, FileBytes, RequestClass, SimConfig, When};
use shoebox::store::{RealDisk, Store};
use shoebox::sync::albums::Wanted;
use shoebox::sync::report::{Outcome, SyncReport};
use shoebox::sync::{ListingMode, Shared, SyncOptions};
use shoebox::view::IndexSource;
use shoebox::view::layout::shipped;
use shoebox::view::source::load;
use tokio_util::sync::CancellationToken;

use super::support::{assert_equal, init, open, options, pass_with};

/// A person's library: the first photos are those of everybody else, under other keys.
fn of(person: u64, config: SimConfig) -> Arc<FakeLibrary> {
    Arc::new(FakeLibrary::new(SimConfig { person, page: 50, ..config }))
}

fn plain(items: usize) -> SimConfig {
    SimConfig { items, file_bytes: FileBytes::Fixed(3000), ..SimConfig::default() }
}

fn named(name: &str, shared: &Shared) -> SyncOptions {
    SyncOptions { name: Some(name.to_owned()), shared: shared.clone(), ..options() }
}

async fn run(archive: &Arc<Archive>, remote: &Arc<FakeLibrary>, options: SyncOptions) -> SyncReport {
    pass_with(archive, remote, options, CancellationToken::new()).await
}

/// The paths of a view.
fn paths(dir: &Path, view: &str) -> Vec<String> {
    let id = Store::open_read_only(dir, Arc::new(RealDisk), Arc::new(SystemClock)).unwrap().id().clone();
    let tree = load(&mut IndexSource::new(index_path(dir), id), &shipped()).unwrap();
    tree.leaves(view).into_iter().map(|leaf| leaf.path).collect()
}

fn keys(library: &FakeLibrary) -> Vec<MediaKey> {
    library.ledger().items.iter().map(|item| MediaKey::new(&item.key).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_people_have_comes_once_and_is_stored_once() {
    for at_once in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        init(dir.path());
        let archive = open(dir.path());
        let (anna, ben) = (of(0, plain(60)), of(1, plain(40)));
        let own = ben.library().backdate_item(9000);
        let shared = Shared::default();
        let (one, two) = if at_once {
            tokio::join!(
                run(&archive, &anna, named("Anna", &shared)),
                run(&archive, &ben, named("Ben", &shared))
            )
        } else {
            (
                run(&archive, &anna, named("Anna", &shared)).await,
                run(&archive, &ben, named("Ben", &shared)).await,
            )
        };
        assert_eq!((one.outcome(), two.outcome()), (&Outcome::Complete, &Outcome::Complete));
        assert_equal(&archive, &anna.ledger());
        assert_equal(&archive, &ben.ledger());
        // Sixty and Ben's own one; no byte of the forty came a second time.
        assert_eq!(anna.fetches() + ben.fetches(), 61, "at once: {at_once}");
        let totals = archive.index.reader().unwrap().totals().unwrap();
        assert_eq!((totals.items, totals.parts, totals.blobs), (101, 101, 61));
        let verdicts: Vec<_> = totals.verdicts.iter().map(|(verdict, n)| (verdict.word(), *n)).collect();
        assert_eq!(verdicts, [("matches-upload", 101)]);
        drop(archive);

        // Together, each photo once; of each person, all of theirs.
        assert_eq!(paths(dir.path(), "by-date").len(), 61, "at once: {at_once}");
        let mut people: BTreeMap<String, usize> = BTreeMap::new();
        for path in paths(dir.path(), "by-account") {
            *people.entry(path.split('/').nth(1).unwrap().to_owned()).or_default() += 1;
        }
        assert_eq!(people, [("Anna".to_owned(), 60), ("Ben".to_owned(), 41)].into());
        assert!(paths(dir.path(), "duplicates").is_empty(), "nobody has anything twice");
        assert!(ben.ledger().items.iter().any(|item| item.key == own));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobodys_pass_touches_what_is_anothers() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let archive = open(dir.path());
    let config = |items| SimConfig { items, ..SimConfig::default() };
    let (anna, ben) = (of(0, config(90)), of(1, SimConfig { seed: 2, ..config(70) }));
    let shared = Shared::default();
    run(&archive, &anna, named("Anna", &shared)).await;
    // One of Anna's cannot be had.
    let bad = anna.library().add_item();
    anna.faults().set(FaultRule::new(RequestClass::Download, Fault::Status(404, None), When::Always));
    let reader = archive.index.reader().unwrap();
    for round in 0..3 {
        let one = run(&archive, &anna, named("Anna", &shared)).await;
        assert_eq!(one.outcome(), &Outcome::Partial, "{round}: {}", one.sentence());
        let attempts = reader.failures().unwrap()[0].attempts;
        // Whatever Ben's pass is asked for, Anna's trouble is not his, and her library is not gone.
        for listing in [ListingMode::Whole, ListingMode::Auto, ListingMode::SetAside] {
            let two = run(&archive, &ben, SyncOptions { listing, ..named("Ben", &shared) }).await;
            assert_eq!(two.outcome(), &Outcome::Complete, "{round}: {}", two.sentence());
            assert_eq!((two.set_aside, two.gone), (0, 0));
        }
        let failures = reader.failures().unwrap();
        assert_eq!(failures.len(), 1);
        assert_eq!((failures[0].key.as_str(), failures[0].attempts), (bad.as_str(), attempts));
    }
    let albums = reader.albums().unwrap();
    assert!(albums.iter().all(|album| album.state == ItemState::Present), "{albums:?}");
    let whose = |account: &str| albums.iter().filter(|album| album.account == account).count();
    assert_eq!((whose("117000000000000000001"), whose("117000000000000000002")), (5, 5));
    // Each run is its account's own.
    assert_eq!(reader.last_run_of("Anna").unwrap().unwrap().outcome, "partial");
    assert_eq!(reader.last_run_of("Ben").unwrap().unwrap().outcome, "complete");
    assert_eq!(reader.last_run_of("").unwrap(), None);

    // What is gone from one library is not gone from the other.
    anna.faults().clear();
    let lost = ben.ledger().items[3].key.clone();
    ben.library().remove_item(&lost);
    for _ in 0..2 {
        run(&archive, &anna, named("Anna", &shared)).await;
        run(&archive, &ben, named("Ben", &shared)).await;
    }
    let state = |library: &FakeLibrary| -> BTreeSet<String> {
        let known = reader.known(&keys(library)).unwrap();
        let gone = known.iter().filter(|(_, item)| item.state == ItemState::Gone);
        gone.map(|(key, _)| key.to_string()).collect()
    };
    assert_eq!((state(&anna), state(&ben)), (BTreeSet::new(), [lost].into()));
    let report = proof::report(&archive, SystemClock.now()).unwrap();
    assert!(report.adds_up, "{report:#?}");
    let libraries: Vec<_> = report
        .libraries
        .iter()
        .map(|library| (library.name.as_deref().unwrap(), library.total.archived))
        .collect();
    assert_eq!(libraries, [("Anna", 91), ("Ben", 69)]);
}

/// Both see the same album of a third person: one of them keeps it up to date, and it does not change hands with
/// every run.
#[tokio::test(flavor = "multi_thread")]
async fn an_album_that_both_see_is_kept_up_to_date_by_one() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let archive = open(dir.path());
    let config = SimConfig { shared: 12, ..plain(20) };
    let (anna, ben) = (of(0, config.clone()), of(1, config));
    let shared = Shared::default();
    let all = |name| SyncOptions { albums: Wanted { all: true, named: Vec::new() }, ..named(name, &shared) };
    let reader = archive.index.reader().unwrap();
    let foreign: Vec<MediaKey> = anna
        .ledger()
        .items
        .iter()
        .filter(|item| item.shared.is_some())
        .map(|item| MediaKey::new(&item.key).unwrap())
        .collect();
    // Anna wants nothing of others, Ben does.
    run(&archive, &anna, named("Anna", &shared)).await;
    assert!(reader.known(&foreign).unwrap().is_empty());
    run(&archive, &ben, all("Ben")).await;
    let known = reader.known(&foreign).unwrap();
    assert!(!known.is_empty() && known.values().all(|item| item.account.ends_with('2')), "{known:?}");
    let (records, count) = (reader.album_records().unwrap(), known.len());
    for _ in 0..2 {
        run(&archive, &anna, all("Anna")).await;
        run(&archive, &anna, named("Anna", &shared)).await;
        run(&archive, &ben, all("Ben")).await;
    }
    assert_eq!(reader.album_records().unwrap(), records, "it changes hands");
    let known = reader.known(&foreign).unwrap();
    assert_eq!(known.len(), count);
    assert!(known.values().all(|item| item.account.ends_with('2') && item.seq == 1), "{known:?}");
    let albums = reader.albums().unwrap();
    let others: Vec<_> = albums.iter().filter(|album| album.kind != AlbumKind::Own).collect();
    assert!(others.iter().all(|album| album.account.ends_with('2')), "{others:?}");
}

/// Whoever kept an album up to date is signed in no more: what is new in it comes by the other one who wants it.
#[tokio::test(flavor = "multi_thread")]
async fn an_album_goes_on_when_its_keeper_does_not() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let archive = open(dir.path());
    let config = |shared| SimConfig { shared, ..plain(20) };
    // What Anna sees has grown since Ben saw it.
    let (ben, anna) = (of(1, config(12)), of(0, config(18)));
    let shared = Shared::default();
    let all = |name| SyncOptions { albums: Wanted { all: true, named: Vec::new() }, ..named(name, &shared) };
    run(&archive, &ben, all("Ben")).await;
    let reader = archive.index.reader().unwrap();
    let theirs = |library: &FakeLibrary| -> Vec<MediaKey> {
        let ledger = library.ledger();
        let foreign = ledger.items.iter().filter(|item| item.shared.is_some());
        // A partner's library is asked for by its key alone.
        let in_albums = foreign.filter(|item| item.shared.as_deref() != Some("Partner"));
        in_albums.map(|item| MediaKey::new(&item.key).unwrap()).collect()
    };
    assert_eq!(reader.known(&theirs(&ben)).unwrap().len(), theirs(&ben).len());
    let report = run(&archive, &anna, all("Anna")).await;
    assert_eq!(report.outcome(), &Outcome::Complete, "{}", report.sentence());
    let known = reader.known(&theirs(&anna)).unwrap();
    assert_eq!(known.len(), theirs(&anna).len());
    assert!(theirs(&anna).len() > theirs(&ben).len());
    let of_ben = known.values().filter(|item| item.account.ends_with('2')).count();
    assert_eq!(of_ben, theirs(&ben).len(), "what was there changes hands");
    let albums = reader.albums().unwrap();
    let others: Vec<_> = albums.iter().filter(|album| album.kind != AlbumKind::Own).collect();
    assert!(!others.is_empty() && others.iter().all(|album| album.account.ends_with('1')), "{others:?}");
    assert!(proof::report(&archive, SystemClock.now()).unwrap().adds_up);
}

/// An album that one of the family has made and another one sees, under one key.
#[tokio::test(flavor = "multi_thread")]
async fn an_album_of_the_family_is_its_owners_and_nothing_of_it_is_fetched_or_shown_twice() {
    let mut shown = Vec::new();
    let orders = ["owner", "guest", "together"].map(|first| [(first, true), (first, false)]);
    for (first, is_plain) in orders.into_iter().flatten() {
        let dir = tempfile::tempdir().unwrap();
        init(dir.path());
        let archive = open(dir.path());
        let config =
            |items| if is_plain { plain(items) } else { SimConfig { items, ..SimConfig::default() } };
        let (anna, ben) = (of(0, config(60)), of(1, SimConfig { family: 60, ..config(20) }));
        let shared = Shared::default();
        let others = vec!["Anna".to_owned(), "Ben".to_owned()];
        let anna_runs =
            || run(&archive, &anna, SyncOptions { others: others.clone(), ..named("Anna", &shared) });
        let all = Wanted { all: true, named: Vec::new() };
        let ben_runs = |listing| {
            let options =
                SyncOptions { albums: all.clone(), others: others.clone(), listing, ..named("Ben", &shared) };
            run(&archive, &ben, options)
        };
        let reader = archive.index.reader().unwrap();
        let seen: Vec<_> = ben.ledger().items.into_iter().filter(|item| item.shared.is_some()).collect();
        assert!(seen.len() > 3, "{}", seen.len());
        let theirs = || {
            let found = reader.albums().unwrap().into_iter().find(|album| {
                album.title == "Summer in Norway"
                    && (album.kind == AlbumKind::Shared || album.account.ends_with('1'))
            });
            found.unwrap()
        };
        match first {
            "owner" => _ = anna_runs().await,
            "guest" => {
                ben_runs(ListingMode::Auto).await;
                let album = theirs();
                assert_eq!((album.kind, album.count), (AlbumKind::Shared, Some(seen.len() as u64)));
                anna_runs().await;
            }
            _ => {
                let (one, two) = tokio::join!(anna_runs(), ben_runs(ListingMode::Auto));
                assert_eq!((one.outcome(), two.outcome()), (&Outcome::Complete, &Outcome::Complete));
                // Where he was quicker, it is hers from her next look at it.
                anna_runs().await;
            }
        }
        let album = theirs();
        assert_eq!((album.kind, album.account.as_str()), (AlbumKind::Own, "117000000000000000001"));
        let records = reader.album_records().unwrap();
        let fetched = ben.fetches();
        for listing in [ListingMode::Whole, ListingMode::Auto, ListingMode::Whole] {
            let report = ben_runs(listing).await;
            assert_eq!(report.outcome(), &Outcome::Complete, "{}", report.sentence());
            assert_eq!(anna_runs().await.outcome(), &Outcome::Complete);
        }
        assert_eq!(theirs().record, album.record, "it changes hands");
        // Ben's own albums and his name.
        assert_eq!(reader.album_records().unwrap() - records, if first == "owner" { 6 } else { 0 });
        assert!(proof::report(&archive, SystemClock.now()).unwrap().adds_up);
        if is_plain {
            assert_eq!(ben.fetches(), if first == "owner" { 0 } else { fetched });
            assert_eq!(ben.fetches() + anna.fetches(), 60, "something comes twice");
            assert_eq!(reader.totals().unwrap().blobs, 60);
        }
        drop((reader, archive));
        shown.push(paths(dir.path(), "by-date").len());
    }
    // Whoever came first, each photo is shown once.
    assert_eq!(shown, [60, shown[1]].repeat(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_called_as_its_last_run_was_and_a_rebuilt_index_knows_it() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let library = of(0, plain(12));
    let shared = Shared::default();
    let first = |dir: &Path| paths(dir, "by-account")[0].split('/').nth(1).unwrap().to_owned();
    run(&open(dir.path()), &library, options()).await;
    assert_eq!(first(dir.path()), "117000000000000000001");
    for name in ["Anna", "Anna Ω/2", "Anna Ω/2"] {
        run(&open(dir.path()), &library, named(name, &shared)).await;
    }
    assert_eq!(first(dir.path()), "Anna Ω_2");
    let archive = open(dir.path());
    let reader = archive.index.reader().unwrap();
    // Two names, each recorded once; none of them is an album.
    assert_eq!(reader.album_records().unwrap(), 5 + 2);
    assert!(reader.albums().unwrap().iter().all(|album| album.kind == AlbumKind::Own));
    let dump = |reader: &IndexReader| {
        let mut text = Vec::new();
        reader.canonical_dump(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    };
    let before = dump(&reader);
    drop((reader, archive));
    std::fs::remove_file(index_path(dir.path())).unwrap();
    let archive = open(dir.path());
    assert_eq!(dump(&archive.index.reader().unwrap()), before);
    drop(archive);
    assert_eq!(first(dir.path()), "Anna Ω_2");
}
