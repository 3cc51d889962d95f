//! A pass when things go wrong: one bad item never stops it, and what comes back is the truth.

use std::sync::Arc;

use shoebox::model::{PartRole, Verdict};
use shoebox::sim::fake::FakeLibrary;
use shoebox::sim::{Fault, FaultRule, RequestClass, SimConfig, When};
use shoebox::sync::report::Outcome;

use super::support::{assert_equal, init, open, pass};

fn library(items: usize) -> Arc<FakeLibrary> {
    Arc::new(FakeLibrary::new(SimConfig { items, page: 40, ..SimConfig::default() }))
}

fn download(fault: Fault, when: When) -> FaultRule {
    FaultRule::new(RequestClass::Download, fault, when)
}

fn rpc(name: &str, fault: Fault, when: When) -> FaultRule {
    FaultRule::new(RequestClass::Rpc(Some(name.into())), fault, when)
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_that_passes_leaves_no_trace() {
    let faults = [
        Fault::Truncate(700),
        Fault::Stall(700),
        Fault::Reset,
        Fault::Status(500, None),
        Fault::Status(429, Some(1)),
        Fault::AlterByte,
        Fault::Html,
        Fault::WrongFile,
    ];
    for fault in faults {
        let dir = tempfile::tempdir().unwrap();
        init(dir.path());
        let archive = open(dir.path());
        let library = library(24);
        library.faults().set(download(fault.clone(), When::FirstPerItem(1)));
        let report = pass(&archive, &library).await;
        library.faults().clear();
        assert_eq!(report.outcome(), &Outcome::Complete, "{fault:?}: {}", report.sentence());
        assert_equal(&archive, &library.ledger());
        assert!(report.retries > 0, "{fault:?} never struck");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_byte_is_caught_by_googles_hash() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let archive = open(dir.path());
    let library = library(60);
    library.faults().set(download(Fault::AlterByte, When::FirstPerItem(1)));
    pass(&archive, &library).await;
    let ledger = library.ledger();
    let have = super::support::contents(&archive, &ledger);
    let hashed: Vec<_> =
        ledger.items.iter().filter(|item| item.dedup_key.len() == 27 && !item.storage_saver).collect();
    assert!(hashed.len() > 40);
    for item in hashed {
        assert_eq!(have[&item.key]["original"], item.parts[0].sha256, "{}", item.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_item_is_set_aside_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let archive = open(dir.path());
    let library = library(50);
    library.faults().set(rpc("VrseUb", Fault::Status(500, None), When::FirstPerItem(1000)));
    let report = pass(&archive, &library).await;
    assert_eq!(report.outcome(), &Outcome::Partial);
    assert_eq!((report.archived, report.set_aside), (0, 50));
    assert_eq!(archive.index.reader().unwrap().failures().unwrap().len(), 50);

    library.faults().clear();
    library.faults().set(download(Fault::WrongFile, When::Nth(7)));
    let report = pass(&archive, &library).await;
    assert_eq!(report.outcome(), &Outcome::Complete, "{}", report.sentence());
    assert_eq!(archive.index.reader().unwrap().failures().unwrap().len(), 0);
    assert_equal(&archive, &library.ledger());
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_always_wrong_are_kept_in_quarantine_and_never_archived() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let archive = open(dir.path());
    let library = library(30);
    library.faults().set(download(Fault::WrongFile, When::Always));
    let report = pass(&archive, &library).await;
    assert!(report.set_aside > 20, "{}", report.sentence());
    let kept = std::fs::read_dir(dir.path().join("quarantine")).unwrap().count();
    assert!(kept as u64 >= report.set_aside, "{kept} files for {} items", report.set_aside);
    let ledger = library.ledger();
    for (key, parts) in super::support::contents(&archive, &ledger) {
        let item = ledger.items.iter().find(|item| item.key == key).unwrap();
        // What got in has no hash at Google to be told by, or is right: the wrong file of one item is the
        // right one of another, which then needs no download.
        let right = parts.get("original") == Some(&item.parts[0].sha256);
        // The same wrong bytes, twice in a row and in the listed size, are taken for what Google holds.
        let size = item.parts[0].size;
        let twin = ledger.items.iter().any(|other| other.key != key && other.parts[0].size == size);
        assert!(item.dedup_key.len() != 27 || item.storage_saver || right || twin, "{key}");
        let recorded = archive.store.records().map(|record| record.unwrap().record().clone());
        let proven = recorded.filter(|record| record.key.as_str() == key).any(|record| {
            record
                .parts
                .iter()
                .any(|part| part.role == PartRole::Original && part.verdict == Verdict::MatchesUpload)
        });
        assert!(right || !proven, "{key} is called proven and is another's");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lapsed_session_ends_the_pass_and_asks_for_a_person() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let archive = open(dir.path());
    let library = library(60);
    library.faults().set(rpc("VrseUb", Fault::SessionExpired, When::Nth(20)));
    let report = pass(&archive, &library).await;
    assert!(matches!(report.outcome(), Outcome::SignInNeeded(_)), "{}", report.sentence());
    library.faults().clear();
    let report = pass(&archive, &library).await;
    assert_eq!(report.outcome(), &Outcome::Complete, "{}", report.sentence());
    assert_equal(&archive, &library.ledger());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_or_short_listing_removes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let archive = open(dir.path());
    let library = library(60);
    pass(&archive, &library).await;
    for fault in [Fault::EmptyListing, Fault::ShrunkenListing(10)] {
        library.faults().set(rpc("lcxiM", fault, When::Always));
        pass(&archive, &library).await;
        assert_equal(&archive, &library.ledger());
        library.faults().clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_of_the_listing_fails_the_pass_in_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let archive = open(dir.path());
    let library = library(20);
    library.faults().set(rpc("lcxiM", Fault::Drift, When::Always));
    let report = pass(&archive, &library).await;
    assert!(matches!(report.outcome(), Outcome::Failed(_)));
    assert!(report.sentence().contains("changed shape"), "{}", report.sentence());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_ends_before_googles_count_is_made_again_and_never_called_complete() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let archive = open(dir.path());
    let library = Arc::new(FakeLibrary::new(SimConfig { items: 30, page: 10, ..SimConfig::default() }));
    // An empty page without a way on, once in the middle: the second listing is whole.
    library.faults().set(rpc("lcxiM", Fault::EmptyListing, When::Nth(2)));
    let report = pass(&archive, &library).await;
    assert_eq!(report.outcome(), &Outcome::Complete, "{}", report.sentence());
    assert_equal(&archive, &library.ledger());
    library.faults().clear();
    library.faults().set(rpc("lcxiM", Fault::ShrunkenListing(12), When::Always));
    let report = pass(&archive, &library).await;
    assert_eq!((report.outcome(), report.unreadable), (&Outcome::Partial, 18), "{}", report.sentence());
    library.faults().clear();
    let report = pass(&archive, &library).await;
    assert_eq!((report.outcome(), report.gone), (&Outcome::Complete, 0), "{}", report.sentence());
}

/// A server under load is no fault of an item: twelve refusals do not set it aside after four attempts.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_because_of_load_are_waited_out() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let archive = open(dir.path());
    let library = library(6);
    library.faults().set(download(Fault::Status(503, None), When::FirstPerItem(7)));
    let report = pass(&archive, &library).await;
    assert_eq!(report.outcome(), &Outcome::Complete, "{}", report.sentence());
    assert_equal(&archive, &library.ledger());
}
