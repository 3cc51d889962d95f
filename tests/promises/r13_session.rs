//! R13: a session that is lost is told once and asked for rarely; a listing that lies deletes nothing.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shoebox::remote::browser::launch::BrowserSettings;
use shoebox::sim::fake::FakeLibrary;
use shoebox::sim::{Fault, FaultRule, RequestClass, SignedOutModel, SimConfig, When};
use shoebox::sync::report::Outcome;
use shoebox::sync::{ListingMode, SyncOptions};
use tokio_util::sync::CancellationToken;

use super::{Count, Row, seed};
use crate::appliance::support::{Stage, ask, run, text};
use crate::store::support::fast_dir;
use crate::sync::support::{assert_equal, files, init, open, options, pass, pass_with};

/// Each lie of a listing, so often.
const LIES: Count = Count(4, 12, 300);

pub const ROWS: &[Row] = &[Row {
    number: 13,
    tried: "sessions that end in five ways at a real browser, each told within one pass; and listings that are empty, short, refused, changed or run in a circle, each with so many libraries: never taken for a deletion",
    counts: &[LIES],
}];

/// Whether a pass ended as it should.
type IsTold = fn(&Outcome) -> bool;

/// What a listing may do instead of listing, and how a pass over it ends.
fn lies(random: &mut fastrand::Rng) -> Vec<(Fault, IsTold)> {
    let failed: IsTold = |outcome| matches!(outcome, Outcome::Failed(_));
    let asks: IsTold = |outcome| matches!(outcome, Outcome::SignInNeeded(_));
    let partial: IsTold = |outcome| outcome == &Outcome::Partial;
    vec![
        (Fault::EmptyListing, partial),
        (Fault::ShrunkenListing(random.usize(1..40)), partial),
        (Fault::LoopingListing, failed),
        (Fault::Drift, failed),
        (Fault::Status(429, Some(random.u64(1..600))), failed),
        (Fault::SessionExpired, asks),
    ]
}

/// Waits for a refusal pass at once.
#[tokio::test(start_paused = true)]
async fn r13_a_listing_that_lies_deletes_nothing_and_is_never_called_complete() {
    let mut random = fastrand::Rng::with_seed(seed("r13_a_listing_that_lies"));
    for _ in 0..LIES.get() {
        let library = FakeLibrary::new(SimConfig {
            items: random.usize(41..70),
            seed: random.u64(..),
            page: random.usize(5..25),
            ..SimConfig::default()
        });
        let (library, dir) = (Arc::new(library), fast_dir());
        init(dir.path());
        let archive = open(dir.path());
        let first = pass(&archive, &library).await;
        assert_eq!(first.outcome(), &Outcome::Complete, "{}", first.sentence());
        for (lie, is_told) in lies(&mut random) {
            let before = files(&dir.path().join("records"));
            let timeline = RequestClass::Rpc(Some("lcxiM".into()));
            library.faults().set(FaultRule::new(timeline, lie.clone(), When::Always));
            // Twice: two listings that agree are what a deletion is believed by.
            for _ in 0..2 {
                let report = pass(&archive, &library).await;
                assert!(is_told(report.outcome()), "{lie:?}: {}", report.sentence());
                assert_eq!(report.gone, 0, "{lie:?}");
            }
            // What a look at the news does with it: a new photo makes it list a month.
            library.library().backdate_item(random.i64(30..5000));
            let auto = SyncOptions { listing: ListingMode::Auto, ..options() };
            let report = pass_with(&archive, &library, auto, CancellationToken::new()).await;
            assert_eq!(report.gone, 0, "{lie:?}");
            library.faults().clear();
            let after = files(&dir.path().join("records"));
            let kept = before.iter().all(|(path, file)| after.get(path) == Some(file));
            assert!(kept, "{lie:?} cost records");
            let report = pass(&archive, &library).await;
            assert_eq!(report.outcome(), &Outcome::Complete, "after {lie:?}: {}", report.sentence());
            assert_eq!(report.gone, 0, "after {lie:?}");
            assert_equal(&archive, &library.ledger());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_every_end_of_a_session_is_told_within_one_pass() {
    let stage = Stage::new(SimConfig { items: 30, ..SimConfig::default() }).await;
    let ends = [
        Some(SignedOutModel::RedirectToAbout),
        Some(SignedOutModel::LandingPage),
        Some(SignedOutModel::Rejected),
        Some(SignedOutModel::Captcha),
        // In the middle of the pass.
        None,
    ];
    for end in ends {
        let lapse =
            FaultRule::new(RequestClass::Rpc(Some("VrseUb".into())), Fault::SessionExpired, When::Nth(2));
        match end {
            Some(model) => stage.sim.session().sign_out(model),
            None => stage.sim.faults().set(lapse),
        }
        let output = run(stage.command(&["sync", "--json"])).await;
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(3), "{end:?}: {out} {err}");
        assert!(out.contains("\"outcome\":\"sign-in-needed\""), "{end:?}: {out}");
        stage.sim.faults().clear();
        stage.sim.session().sign_in();
    }
    // What a person reads of it is that, and not how little there was.
    stage.sim.session().sign_out(SignedOutModel::RedirectToAbout);
    let output = run(stage.command(&["sync"])).await;
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("Sign-in needed") && !said.contains("0 of 0"), "{said}");
    // Signing in again, with the profile that has been signed in before.
    stage.sim.session().sign_in();
    let browser = BrowserSettings::default().find_program().unwrap();
    stage.sim.sign_in_profile(&browser, &stage.dir.path().join("profile")).await.unwrap();
    let output = run(stage.command(&["sync"])).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_equal(&open(&stage.data()), &stage.sim.ledger());
}

/// A `shoebox run`, killed with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let pid = self.0.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_a_lost_session_is_told_once_and_asked_for_once_an_hour() {
    let stage = Stage::new(SimConfig { items: 5, ..SimConfig::default() }).await;
    stage.sim.session().sign_out(SignedOutModel::RedirectToAbout);
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let log = stage.dir.path().join("log");
    let mut command = stage.command(&["run", "--listen", &listen, "--schedule", "1s"]);
    command.stdin(Stdio::null()).stderr(std::fs::File::create(&log).unwrap());
    let running = Running(command.spawn().unwrap());
    let until = Instant::now() + Duration::from_secs(90);
    let told = || async {
        let answer = ask(&listen, "/api/status").await;
        match answer {
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    };
    while !told().await.contains("\"outcome\":\"sign-in-needed\"") {
        assert!(Instant::now() < until, "{}", std::fs::read_to_string(&log).unwrap());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let asked = stage.sim.counters().documents;
    // Several times as long as the schedule says; a pass that began would ask at once.
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(stage.sim.counters().documents, asked, "Google was asked again");
    drop(running);
    let log = std::fs::read_to_string(&log).unwrap();
    let notices = log.lines().filter(|line| line.contains("Sign-in needed")).count();
    assert_eq!(notices, 1, "{log}");
}
