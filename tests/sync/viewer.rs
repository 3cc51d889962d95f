//! The way of a person: grid, viewer, keyboard; and what single steps fall back to when Google changes a call.

use std::collections::BTreeSet;
use std::sync::Arc;

use shoebox::archive::Archive;
use shoebox::model::ErrorClass;
use shoebox::remote::RemoteLibrary;
use shoebox::remote::google::{GooglePhotos, GoogleSettings, Method};
use shoebox::sim::fake::FakeLibrary;
use shoebox::sim::{Fault, FaultRule, Ledger, LedgerItem, LiveAs, RequestClass, SimConfig, When};
use shoebox::sync::report::Outcome;
use shoebox::sync::{ListingMode, SyncOptions};
use tokio_util::sync::CancellationToken;

use super::browser::{settings, signed_in};
use super::support::{assert_equal, contents, open, options, pass, pass_with};

fn viewer(sim: &shoebox::sim::Sim, dir: &std::path::Path) -> GoogleSettings {
    settings(sim, dir, Method::Viewer)
}

fn names(archive: &Archive) -> BTreeSet<(String, String)> {
    archive
        .store
        .records()
        .map(|r| r.unwrap().record().clone())
        .map(|r| (r.key.to_string(), r.name))
        .collect()
}

fn named(ledger: &Ledger) -> BTreeSet<(String, String)> {
    ledger.items.iter().map(|item| (item.key.clone(), item.name.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_is_archived_by_hand_alone_with_the_same_hashes() {
    for (language, live, items) in
        [("en", LiveAs::Zip, 30), ("nl", LiveAs::Clip, 14), ("de", LiveAs::Zip, 14)]
    {
        let dir = tempfile::tempdir().unwrap();
        let language = language.parse().unwrap();
        let config = SimConfig { items, live, language, ..SimConfig::default() };
        let sim = signed_in(config, dir.path()).await;
        let archive = open(&dir.path().join("archive"));
        let google = Arc::new(GooglePhotos::connect(viewer(&sim, dir.path())).await.unwrap());
        let report = pass(&archive, &google).await;
        google.close().await;
        let failures = archive.index.reader().unwrap().failures().unwrap();
        assert_eq!(
            report.outcome(),
            &Outcome::Complete,
            "{language:?}: {}\n{failures:#?}",
            report.sentence()
        );
        assert_equal(&archive, &sim.ledger());
        assert_eq!(sim.counters().mutating, 0, "something in the library was pressed");
        assert_eq!(sim.counters().cookie_leaks, 0);
        // Names come from the info panel, whatever the language; times and zones too.
        let have = names(&archive);
        let plain =
            named(&sim.ledger()).into_iter().filter(|(_, name)| name.is_ascii() && !name.contains('\n'));
        let wrong: Vec<_> = plain.filter(|pair| !have.contains(pair)).collect();
        assert!(wrong.len() <= items / 6, "{wrong:?}");
        let (mut right, ledger) = (0, sim.ledger());
        for record in archive.store.records() {
            let record = record.unwrap().record().clone();
            let item = ledger.items.iter().find(|item| item.key == record.key.as_str()).unwrap();
            let same_zone = record.remote.zone_offset_ms == Some(item.zone_offset_ms);
            right += usize::from(
                same_zone && record.remote.taken_ms.is_some_and(|ms| (ms - item.taken_ms).abs() < 60_000),
            );
        }
        assert!(right >= items * 5 / 6, "capture times of {right} of {items} items are right ({language:?})");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_inside_pages_costs_an_item_at_most() {
    let dir = tempfile::tempdir().unwrap();
    // The first seed with videos to be still processed.
    let config = |seed| SimConfig { items: 24, seed, processing: 1.0, ..SimConfig::default() };
    let unfinished = |seed: &u64| {
        let ledger = FakeLibrary::new(config(*seed)).ledger();
        ledger.items.iter().filter(|item| !item.downloadable).count() >= 3
    };
    let seed = (1..100).find(unfinished).unwrap();
    let sim = signed_in(config(seed), dir.path()).await;
    for rule in ["page no-download p=0.1", "page wrong-photo p=0.1", "page key-ignored p=0.1"] {
        sim.faults().set(rule.parse().unwrap());
    }
    let archive = open(&dir.path().join("archive"));
    let evidence = archive.store.quarantine_dir();
    let settings = GoogleSettings { evidence: Some(evidence.clone()), ..viewer(&sim, dir.path()) };
    let google = Arc::new(GooglePhotos::connect(settings).await.unwrap());
    let report = pass(&archive, &google).await;
    google.close().await;
    let mut ledger = sim.ledger();
    let processing = ledger.items.iter().filter(|item| !item.downloadable).count() as u64;
    assert_eq!(report.outcome(), &Outcome::Partial, "{}", report.sentence());
    let failures = archive.index.reader().unwrap().failures().unwrap();
    let others: Vec<_> = failures.iter().filter(|f| !f.reason.contains("processing")).collect();
    assert_eq!(report.set_aside, processing, "{others:?}");
    for failure in &failures {
        let look =
            |ending: &str| std::fs::read(evidence.join(format!("{}.page.{ending}", failure.key))).unwrap();
        assert!(look("png").starts_with(b"\x89PNG") && !look("txt").is_empty(), "{}", failure.key);
    }
    ledger.items.retain(|item| item.downloadable);
    let have = contents(&archive, &ledger);
    for item in &ledger.items {
        let wanted: BTreeSet<_> = item.parts.iter().map(|part| &part.sha256).collect();
        let parts = have.get(&item.key).unwrap_or_else(|| panic!("{} is missing", item.key));
        assert_eq!(parts.values().collect::<BTreeSet<_>>(), wanted, "{}", item.key);
    }
    assert_eq!(sim.counters().mutating, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_photos_are_listed_in_bounded_steps() {
    let dir = tempfile::tempdir().unwrap();
    let items = std::env::var("LISTED").ok().and_then(|text| text.parse().ok()).unwrap_or(450);
    let config =
        SimConfig { items, file_bytes: shoebox::sim::FileBytes::Fixed(3000), ..SimConfig::default() };
    let sim = signed_in(config, dir.path()).await;
    let google = GooglePhotos::connect(viewer(&sim, dir.path())).await.unwrap();
    let (mut seen, mut from, mut most) = (BTreeSet::new(), None, 0);
    loop {
        let page = google.list(from.as_ref()).await.unwrap();
        most = most.max(page.items.len());
        seen.extend(page.items.into_iter().map(|item| item.key.to_string()));
        let Some(next) = page.next else { break };
        from = Some(next);
    }
    google.close().await;
    let all: BTreeSet<_> = sim.ledger().items.into_iter().map(|item| item.key).collect();
    assert_eq!(seen.len(), all.len(), "missing: {:?}", all.difference(&seen).take(5).collect::<Vec<_>>());
    assert!(most < 1500, "a page of {most} items is not bounded");
}

/// What a listing to its end brings: photos, and what it says that it could not read.
async fn listed(google: &GooglePhotos) -> (BTreeSet<String>, Vec<String>) {
    let (mut seen, mut from, mut rejected) = (BTreeSet::new(), None, Vec::new());
    loop {
        let page = google.list(from.as_ref()).await.unwrap();
        seen.extend(page.items.into_iter().map(|item| item.key.to_string()));
        rejected.extend(page.rejected);
        let Some(next) = page.next else { return (seen, rejected) };
        from = Some(next);
    }
}

/// The days that the faults of days concern.
fn lost_day(item: &LedgerItem) -> Option<i64> {
    Some(item.taken_ms.div_euclid(86_400_000)).filter(|day| day % 5 == 0)
}

/// One or two of its days get lost, not the first nor the last, and nothing of the archive section.
fn library_with_lost_days() -> SimConfig {
    let config = |seed| SimConfig { items: 20, seed, ..SimConfig::default() };
    let suits = |seed: &u64| {
        let mut items = FakeLibrary::new(config(*seed)).ledger().items;
        items.sort_by_key(|item| item.taken_ms);
        let archived_lost = items.iter().any(|item| item.archived && lost_day(item).is_some());
        items.retain(|item| !item.archived);
        let days: BTreeSet<_> = items.iter().filter_map(lost_day).collect();
        let ends = [items.first(), items.last()].into_iter().flatten().filter_map(lost_day).count();
        (1..=2).contains(&days.len()) && ends == 0 && !archived_lost
    };
    config((1..10_000).find(suits).unwrap())
}

/// Lists a library whose days get lost by the fault; answers days of photos that were not listed, and what was told.
async fn listed_without_days(fault: &str) -> (Vec<Option<i64>>, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let sim = signed_in(library_with_lost_days(), dir.path()).await;
    sim.faults().set(format!("page {fault} always").parse().unwrap());
    let google = GooglePhotos::connect(viewer(&sim, dir.path())).await.unwrap();
    let (seen, rejected) = listed(&google).await;
    google.close().await;
    let items = sim.ledger().items;
    (items.iter().filter(|item| !seen.contains(&item.key)).map(lost_day).collect(), rejected)
}

/// The page asks again for what it did not get only when it is scrolled.
#[tokio::test(flavor = "multi_thread")]
async fn a_tile_that_stays_empty_for_a_while_is_waited_for() {
    let (missing, rejected) = listed_without_days("days-fail").await;
    assert!(missing.is_empty() && rejected.is_empty(), "{missing:?} {rejected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn arrow_keys_lead_across_tiles_that_stay_empty() {
    let (missing, rejected) = listed_without_days("days-lost").await;
    assert!(missing.is_empty() && rejected.is_empty(), "{missing:?} {rejected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn photos_that_no_page_gets_are_told_of_and_all_others_listed() {
    let (missing, rejected) = listed_without_days("days-gone").await;
    assert!(!missing.is_empty() && missing.iter().all(Option::is_some), "{missing:?}");
    assert!(!rejected.is_empty(), "not told of");
}

/// A grid that seems to end, or that takes no focus: the arrow keys go on from photo to photo, also where a page
/// needs seconds before it listens. The stuck one has enough photos for its archive section to go on below the window, too.
#[tokio::test(flavor = "multi_thread")]
async fn where_the_grid_does_not_go_on_the_arrow_keys_do() {
    for (fault, slow, items) in [("grid-stuck", false, 130), ("grid-deaf", true, 24)] {
        let dir = tempfile::tempdir().unwrap();
        let sim = signed_in(SimConfig { items, ..SimConfig::default() }, dir.path()).await;
        sim.faults().set(format!("page {fault} always").parse().unwrap());
        if slow {
            sim.faults().set("page deaf=5000 always".parse().unwrap());
        }
        let google = GooglePhotos::connect(viewer(&sim, dir.path())).await.unwrap();
        let (mut seen, mut from, mut again, mut rejected) = (BTreeSet::new(), None, 0, 0);
        loop {
            let page = match google.list(from.as_ref()).await {
                Ok(page) => page,
                // As a pass does: a browser that two tests share with the machine may be slow to answer.
                Err(error) if error.class() == ErrorClass::Transient && again < 3 => {
                    again += 1;
                    continue;
                }
                // The archive section's grid is as deaf, and its photos have no other way.
                Err(error) => {
                    let archive = from.as_ref().is_some_and(|cursor| cursor.0.contains("\"place\":1"));
                    assert!(archive && fault == "grid-deaf", "{fault}: {error}");
                    break;
                }
            };
            rejected += page.rejected.len();
            seen.extend(page.items.into_iter().map(|item| item.key.to_string()));
            let Some(next) = page.next else { break };
            from = Some(next);
        }
        google.close().await;
        let items = sim.ledger().items;
        assert_eq!(
            rejected,
            usize::from(fault == "grid-stuck"),
            "the rest of the archive section is not told of"
        );
        // The archive section has a place of its own, and a grid of its own.
        let all: BTreeSet<_> = items.into_iter().filter(|item| !item.archived).map(|item| item.key).collect();
        let missing: Vec<_> = all.difference(&seen).collect();
        assert!(missing.is_empty(), "{fault}: {} of {}: {missing:?}", missing.len(), all.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_changes_costs_that_capability_only() {
    for rpcid in ["lcxiM", "EWgK9e", "VrseUb"] {
        let dir = tempfile::tempdir().unwrap();
        let sim = signed_in(SimConfig { items: 14, ..SimConfig::default() }, dir.path()).await;
        sim.faults().set(FaultRule::new(RequestClass::Rpc(Some(rpcid.into())), Fault::Drift, When::Always));
        let archive = open(&dir.path().join("archive"));
        let evidence = archive.store.quarantine_dir();
        let settings =
            GoogleSettings { evidence: Some(evidence.clone()), ..settings(&sim, dir.path(), Method::Rpc) };
        let google = Arc::new(GooglePhotos::connect(settings).await.unwrap());
        let report = pass(&archive, &google).await;
        google.close().await;
        let failures = archive.index.reader().unwrap().failures().unwrap();
        assert_eq!(report.outcome(), &Outcome::Complete, "{rpcid}: {}\n{failures:#?}", report.sentence());
        assert_equal(&archive, &sim.ledger());
        let kept: Vec<_> = std::fs::read_dir(&evidence).unwrap().map(|e| e.unwrap().path()).collect();
        let text = kept.iter().find(|path| path.extension().is_some_and(|e| e == "txt")).unwrap();
        let text = std::fs::read_to_string(text).unwrap();
        assert!(text.starts_with(rpcid) && !text.contains("AF1Qip"), "{text}");
        assert!(kept.iter().any(|path| path.extension().is_some_and(|e| e == "png")), "no picture: {kept:?}");
        assert_eq!(kept.len(), 2, "told once");
    }
}

/// What Google mends goes by its call again, and a person hears of each change once.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_told_once_over_many_passes_and_a_mended_call_is_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let sim = signed_in(SimConfig { items: 12, ..SimConfig::default() }, dir.path()).await;
    for call in ["VrseUb", "rJ0tlb", "EzkLib"] {
        sim.faults().set(FaultRule::new(RequestClass::Rpc(Some(call.into())), Fault::Drift, When::Always));
    }
    let archive = open(&dir.path().join("archive"));
    let evidence = archive.store.quarantine_dir();
    let settings =
        GoogleSettings { evidence: Some(evidence.clone()), ..settings(&sim, dir.path(), Method::Rpc) };
    let google = Arc::new(GooglePhotos::connect(settings).await.unwrap());
    let auto = || SyncOptions { listing: ListingMode::Auto, ..options() };
    let stop = CancellationToken::new;
    let first = pass_with(&archive, &google, auto(), stop()).await;
    assert_eq!(first.outcome(), &Outcome::Complete, "{}", first.sentence());
    assert_equal(&archive, &sim.ledger());
    let count = || std::fs::read_dir(&evidence).unwrap().count();
    assert_eq!(count(), 4, "a text and a picture of each");
    let files = sim.counters().files();
    let second = pass_with(&archive, &google, auto(), stop()).await;
    assert_eq!(second.outcome(), &Outcome::Complete, "{}", second.sentence());
    // The second one looks for uploads, too.
    assert_eq!((count(), sim.counters().files()), (6, files), "told again, or fetched again");
    pass_with(&archive, &google, auto(), stop()).await;
    assert_eq!((count(), sim.counters().files()), (6, files));
    sim.faults().clear();
    sim.library().add_item();
    let third = pass_with(&archive, &google, auto(), stop()).await;
    google.close().await;
    assert_eq!((third.outcome(), third.archived), (&Outcome::Complete, 1), "{}", third.sentence());
    let records: Vec<_> = archive.store.records().map(|r| r.unwrap().record().clone()).collect();
    let last = records.iter().max_by_key(|record| record.ordinal).unwrap();
    assert!(last.parts.iter().all(|part| part.fetched.via != "viewer"), "it came from its page");
    assert!(records.iter().any(|record| record.parts[0].fetched.via == "viewer"));
    assert_equal(&archive, &sim.ledger());
}
