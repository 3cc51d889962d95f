//! A whole library with every class of item and every kind of fault, by a real browser.
//! `EVERYTHING=n` changes the number of items, `BY_HAND=n` that of the page's way; the long tier takes 2,000
//! and 300.

use std::sync::Arc;
use std::time::Duration;

use shoebox::exit;
use shoebox::model::{Clock, SystemClock};
use shoebox::proof;
use shoebox::remote::google::{GooglePhotos, Method};
use shoebox::sim::{Fault, FaultRule, RequestClass, Sim, SimConfig, When};
use shoebox::sync::SyncOptions;
use shoebox::sync::albums::Wanted;
use tokio_util::sync::CancellationToken;

use super::browser::{settings, signed_in};
use super::support::{assert_equal, open, options, pass_with};

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Five in a hundred of everything that can go wrong with a request.
fn trouble(sim: &Sim, method: Method) {
    let p = When::Probability(0.05);
    if method == Method::Viewer {
        for fault in
            ["no-download", "key-ignored", "wrong-photo", "toast", "dialog", "slow=800", "panel-slow=900"]
        {
            sim.faults().set(format!("page {fault} p=0.05").parse().unwrap());
        }
    } else {
        // The page's way knows no hash: what TLS lets through altered is nobody's to see.
        sim.faults().set(FaultRule::new(RequestClass::Download, Fault::AlterByte, p));
    }
    let downloads = [
        Fault::Status(429, Some(1)),
        Fault::Status(503, None),
        Fault::Status(403, None),
        Fault::Reset,
        Fault::Truncate(700),
        Fault::Html,
        Fault::WrongFile,
    ];
    downloads
        .into_iter()
        .for_each(|fault| sim.faults().set(FaultRule::new(RequestClass::Download, fault, p)));
    let calls =
        [Fault::Status(429, Some(1)), Fault::Status(504, None), Fault::Null, Fault::Nothing, Fault::Reset];
    calls.into_iter().for_each(|fault| sim.faults().set(FaultRule::new(RequestClass::Rpc(None), fault, p)));
    sim.faults().set(FaultRule::new(RequestClass::Download, Fault::Latency(Duration::from_millis(20)), p));
}

async fn three_runs(sim: &Sim, dir: &std::path::Path, method: Method) {
    let archive = open(&dir.join("archive"));
    let mut codes = Vec::new();
    for run in 1..=3 {
        let google = Arc::new(GooglePhotos::connect(settings(sim, dir, method)).await.unwrap());
        let albums = Wanted { all: true, named: Vec::new() };
        let report = pass_with(
            &archive,
            &google,
            SyncOptions { albums, attempts: 6, ..options() },
            CancellationToken::new(),
        )
        .await;
        google.close().await;
        println!("run {run}: {}", report.sentence());
        let set_aside = archive.index.reader().unwrap().failures().unwrap();
        set_aside
            .iter()
            .for_each(|failure| println!("  {} {:?}: {}", failure.key, failure.name, failure.reason));
        let code = exit::code_of_sync(report.outcome());
        let whole = set_aside.is_empty() && report.unreadable == 0;
        assert_eq!(code, if whole { exit::OK } else { exit::PARTIAL }, "{}", report.sentence());
        codes.push(code);
        if whole {
            break;
        }
    }
    assert_eq!(codes.last(), Some(&exit::OK), "not whole after three runs: {codes:?}");
    assert_equal(&archive, &sim.ledger());
    let counters = sim.counters();
    assert_eq!((counters.mutating, counters.cookie_leaks), (0, 0));
    let report = proof::report(&archive, SystemClock.now()).unwrap();
    assert!(report.adds_up, "{report:#?}");
    let ledger = sim.ledger();
    let listed = ledger.items.iter().filter(|item| item.listed && item.shared.is_none()).count() as u64;
    let total = &report.libraries[0].total;
    assert_eq!((total.google, total.archived, total.pending), (listed, listed, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_of_everything_is_whole_after_three_troubled_runs() {
    let dir = tempfile::tempdir().unwrap();
    let items = number("EVERYTHING", 220);
    let sim = signed_in(SimConfig { items, shared: items / 40, ..SimConfig::default() }, dir.path()).await;
    let library = sim.library();
    let plain: Vec<_> =
        sim.ledger().items.into_iter().filter(|i| i.parts.len() == 1 && i.name.ends_with(".jpg")).collect();
    library.trash_item(&plain[50].key);
    plain.iter().skip(60).take(20).for_each(|item| library.edit_item(&item.key));
    plain
        .iter()
        .filter(|item| !item.storage_saver)
        .skip(90)
        .take(5)
        .for_each(|item| library.begin_upload(&item.key));
    trouble(&sim, Method::Rpc);
    three_runs(&sim, dir.path(), Method::Rpc).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let sim = signed_in(SimConfig { items: number("BY_HAND", 16), ..SimConfig::default() }, dir.path()).await;
    let plain: Vec<_> =
        sim.ledger().items.into_iter().filter(|i| i.parts.len() == 1 && i.name.ends_with(".jpg")).collect();
    sim.library().trash_item(&plain[2].key);
    plain.iter().skip(3).step_by(9).for_each(|item| sim.library().edit_item(&item.key));
    trouble(&sim, Method::Viewer);
    three_runs(&sim, dir.path(), Method::Viewer).await;
}
