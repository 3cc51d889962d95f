//! The whole way: a real Chromium, the simulated site, the archive.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shoebox::remote::RemoteError;
use shoebox::remote::browser::launch::{BrowserSettings, Display};
use shoebox::remote::google::{GooglePhotos, GoogleSettings, Method};
use shoebox::sim::{Fault, FaultRule, LiveAs, RequestClass, SignedOutModel, Sim, SimConfig, When};
use shoebox::sync::report::Outcome;

use super::support::{assert_equal, init, open, pass};

pub fn settings(sim: &Sim, dir: &Path, method: Method) -> GoogleSettings {
    GoogleSettings {
        browser: BrowserSettings {
            resolve: vec![format!("*={}", sim.address()).parse().unwrap()],
            ca: Some(sim.ca_file().to_owned()),
            display: Display::Auto,
            ..BrowserSettings::default()
        },
        profile: dir.join("profile"),
        folder: dir.join("archive/tmp"),
        evidence: None,
        method,
        lanes: 4,
        stall: Duration::from_secs(10),
    }
}

pub async fn signed_in(config: SimConfig, dir: &Path) -> Sim {
    let sim = Sim::start(config).await.unwrap();
    let browser = BrowserSettings::default().find_program().unwrap();
    std::fs::create_dir_all(dir.join("profile")).unwrap();
    sim.sign_in_profile(&browser, &dir.join("profile")).await.unwrap();
    init(&dir.join("archive"));
    sim
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_is_archived_by_both_methods_and_no_cookie_leaves_the_browser() {
    for (method, live) in [(Method::Rpc, LiveAs::Zip), (Method::Browser, LiveAs::Clip)] {
        let dir = tempfile::tempdir().unwrap();
        let sim =
            signed_in(SimConfig { items: 80, page: 30, live, ..SimConfig::default() }, dir.path()).await;
        let archive = open(&dir.path().join("archive"));
        let google = GooglePhotos::connect(settings(&sim, dir.path(), method)).await.unwrap();
        let google = Arc::new(google);
        let report = pass(&archive, &google).await;
        google.close().await;
        assert_eq!(report.outcome(), &Outcome::Complete, "{method:?}: {}", report.sentence());
        assert_equal(&archive, &sim.ledger());
        let counters = sim.counters();
        assert_eq!(counters.mutating, 0);
        assert_eq!(counters.cookie_leaks, 0);
        assert_eq!(counters.bad_tokens, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_browser_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let sim = signed_in(SimConfig { items: 80, fife_share: 1.0, ..SimConfig::default() }, dir.path()).await;
    sim.faults().set(FaultRule::new(
        RequestClass::Download,
        Fault::Latency(Duration::from_millis(100)),
        When::Always,
    ));
    let archive = open(&dir.path().join("archive"));
    let google = GooglePhotos::connect(settings(&sim, dir.path(), Method::Rpc)).await.unwrap();
    let google = Arc::new(google);
    let killer = tokio::spawn({
        let google = Arc::clone(&google);
        async move {
            for _ in 0..2 {
                tokio::time::sleep(Duration::from_millis(1500)).await;
                if let Some(pid) = google.browser_pid().await {
                    std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
                }
            }
        }
    });
    let mut report = pass(&archive, &google).await;
    killer.await.unwrap();
    if report.set_aside > 0 {
        report = pass(&archive, &google).await;
    }
    google.close().await;
    assert_eq!(report.outcome(), &Outcome::Complete, "{}", report.sentence());
    assert!(google.browser_starts() > 1, "the browser was never replaced");
    assert_equal(&archive, &sim.ledger());
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ways_of_being_signed_out_are_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let sim = signed_in(SimConfig { items: 5, ..SimConfig::default() }, dir.path()).await;
    for model in [SignedOutModel::RedirectToAbout, SignedOutModel::LandingPage] {
        sim.session().sign_out(model);
        let Err(error) = GooglePhotos::connect(settings(&sim, dir.path(), Method::Rpc)).await else {
            panic!("{model:?}: nobody noticed");
        };
        assert!(matches!(error, RemoteError::SignedOut { .. }), "{model:?}: {error}");
    }
    sim.session().sign_in();
    GooglePhotos::connect(settings(&sim, dir.path(), Method::Rpc)).await.unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_lapses_in_the_middle_ends_the_pass() {
    let dir = tempfile::tempdir().unwrap();
    let sim = signed_in(SimConfig { items: 60, ..SimConfig::default() }, dir.path()).await;
    sim.faults().set(FaultRule::new(
        RequestClass::Rpc(Some("VrseUb".into())),
        Fault::SessionExpired,
        When::Nth(4),
    ));
    let archive = open(&dir.path().join("archive"));
    let google = Arc::new(GooglePhotos::connect(settings(&sim, dir.path(), Method::Rpc)).await.unwrap());
    let report = pass(&archive, &google).await;
    google.close().await;
    assert!(matches!(report.outcome(), Outcome::SignInNeeded(_)), "{}", report.sentence());
}

/// Every way a transfer goes wrong, on both hosts and by both methods, once for each item.
#[tokio::test(flavor = "multi_thread")]
async fn transfers_that_go_wrong_are_noticed_and_repeated() {
    for (method, share) in [(Method::Rpc, 0.0), (Method::Browser, 1.0)] {
        let config = SimConfig { items: 24, fife_share: share, ..SimConfig::default() };
        let dir = tempfile::tempdir().unwrap();
        let sim = signed_in(config, dir.path()).await;
        let faults = [
            Fault::Stall(400),
            Fault::Truncate(400),
            Fault::Html,
            Fault::Status(429, Some(1)),
            Fault::Status(403, None),
            Fault::Status(500, None),
            Fault::Reset,
        ];
        for (number, fault) in faults.into_iter().enumerate() {
            sim.faults().set(FaultRule::new(RequestClass::Download, fault, When::Nth(number as u64 * 3 + 1)));
        }
        for (rpcid, fault) in [
            ("lcxiM", Fault::Status(504, None)),
            ("EWgK9e", Fault::Null),
            ("VrseUb", Fault::Status(429, Some(1))),
            ("VrseUb", Fault::Truncate(60)),
        ] {
            sim.faults().set(FaultRule::new(RequestClass::Rpc(Some(rpcid.into())), fault, When::Nth(1)));
        }
        let archive = open(&dir.path().join("archive"));
        let settings = GoogleSettings { stall: Duration::from_secs(3), ..settings(&sim, dir.path(), method) };
        let google = Arc::new(GooglePhotos::connect(settings).await.unwrap());
        let report = pass(&archive, &google).await;
        google.close().await;
        assert_eq!(report.outcome(), &Outcome::Complete, "{method:?}: {}", report.sentence());
        assert!(report.retries >= 7, "{method:?}: {} retries", report.retries);
        assert_equal(&archive, &sim.ledger());
        assert_eq!(sim.counters().cookie_leaks, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_has_grown_too_large_is_replaced_in_the_middle_of_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let sim = signed_in(SimConfig { items: 60, ..SimConfig::default() }, dir.path()).await;
    let slow = Fault::Latency(Duration::from_millis(700));
    sim.faults().set(FaultRule::new(RequestClass::Download, slow, When::Always));
    let archive = open(&dir.path().join("archive"));
    let mut settings = settings(&sim, dir.path(), Method::Rpc);
    settings.browser.most_memory = Some(1 << 20);
    let google = Arc::new(GooglePhotos::connect(settings).await.unwrap());
    let report = pass(&archive, &google).await;
    google.close().await;
    assert_eq!(report.outcome(), &Outcome::Complete, "{}", report.sentence());
    assert!(google.browser_starts() > 1, "it was never replaced");
    assert_eq!(report.retries, 0, "replacing it cost a call");
    assert_equal(&archive, &sim.ledger());
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_of_a_refused_file_shows_the_answer_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let config = SimConfig { items: 12, fife_share: 0.0, ..SimConfig::default() };
    let sim = signed_in(config, dir.path()).await;
    sim.faults().set(FaultRule::new(RequestClass::Download, Fault::AlterByte, When::Always));
    let archive = open(&dir.path().join("archive"));
    let google = Arc::new(GooglePhotos::connect(settings(&sim, dir.path(), Method::Rpc)).await.unwrap());
    let report = pass(&archive, &google).await;
    google.close().await;
    assert_eq!((report.outcome(), report.archived), (&Outcome::Partial, 0), "{}", report.sentence());
    let notes = std::fs::read_dir(archive.store.quarantine_dir()).unwrap().map(|e| e.unwrap().path());
    let notes: Vec<_> = notes.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    assert!(notes.len() >= 12);
    for note in notes {
        let text = std::fs::read_to_string(note).unwrap();
        let note: serde_json::Value = serde_json::from_str(&text).unwrap();
        let head = note["response"].as_str().unwrap().to_lowercase();
        assert!(head.starts_with("http/1.1 200 ok\n") && head.contains("\ncontent-length: "), "{head}");
        assert!(!head.contains("cookie") && !text.contains("https://"), "{text}");
    }
}

/// An answer without content may be a server under load: asked again, and neither drift nor the end.
#[tokio::test(flavor = "multi_thread")]
async fn answers_without_content_are_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let sim = signed_in(SimConfig { items: 30, page: 10, ..SimConfig::default() }, dir.path()).await;
    for call in ["lcxiM", "EWgK9e", "VrseUb", "rJ0tlb", "Z5xsfc", "snAcKc"] {
        let class = RequestClass::Rpc(Some(call.into()));
        // An item has few attempts, and its call comes often.
        let when = if call == "VrseUb" { When::Nth(3) } else { When::Every(3) };
        sim.faults().set(FaultRule::new(class, Fault::Nothing, when));
    }
    let archive = open(&dir.path().join("archive"));
    let evidence = archive.store.quarantine_dir();
    let settings =
        GoogleSettings { evidence: Some(evidence.clone()), ..settings(&sim, dir.path(), Method::Rpc) };
    let google = Arc::new(GooglePhotos::connect(settings).await.unwrap());
    let report = pass(&archive, &google).await;
    google.close().await;
    assert_eq!(report.outcome(), &Outcome::Complete, "{}", report.sentence());
    assert_equal(&archive, &sim.ledger());
    assert_eq!(std::fs::read_dir(evidence).unwrap().count(), 0, "taken for a change");
    let albums = archive.index.reader().unwrap().albums().unwrap();
    let sizes: usize = sim.ledger().items.iter().map(|item| item.albums.len()).sum();
    assert_eq!(
        (albums.len(), albums.iter().map(|album| album.count.unwrap()).sum::<u64>()),
        (5, sizes as u64)
    );
}
