//! R12: whatever the line does, the archive becomes what Google has, with few requests more than on a good line.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use shoebox::model::MediaKey;
use shoebox::remote::google::{GooglePhotos, Method};
use shoebox::remote::{Download, Offer, RemoteError, direct, net};
use shoebox::sim::fake::FakeLibrary;
use shoebox::sim::{FileBytes, LiveAs, Sim, SimConfig};
use shoebox::sync::report::Outcome;

use super::other_downloads::{Downloads, OtherDownloads};
use super::proxy::{Proxy, Weather};
use super::{Count, Row, seed};
use crate::store::support::fast_dir;
use crate::sync::browser::{settings, signed_in};
use crate::sync::support::{assert_equal, init, open, options, pass};

const DIRECT: Count = Count(46, 230, 920);
const BROWSER: Count = Count(4, 8, 80);

pub const ROWS: &[Row] = &[Row {
    number: 12,
    tried: "bad lines: refused, reset, swallowed, half open, 1 KiB a second, cut anywhere, no such host, for a few connections or for all of a pass; direct downloads, and a browser whose every connection goes that way",
    counts: &[DIRECT, BROWSER],
}];

const ITEMS: usize = 12;
/// Silence after which a transfer is given up here.
const STALL: Duration = Duration::from_millis(600);

/// Direct downloads over a line.
struct Line {
    http: reqwest::Client,
    /// So many downloads find no such host.
    nameless: AtomicUsize,
}

impl Downloads for Line {
    async fn fetch(&self, _: &FakeLibrary, _: &MediaKey, offer: &Offer) -> Result<Download, RemoteError> {
        let less = |left: usize| left.checked_sub(1);
        if self.nameless.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
            // A name that nobody may give to a host (RFC 6761).
            let url = offer.url.replacen(".com/", ".com.invalid/", 1);
            return direct::fetch(&self.http, &url).await;
        }
        direct::fetch(&self.http, &offer.url).await
    }
}

fn weather(random: &mut fastrand::Rng) -> Weather {
    match random.u8(..6) {
        0 => Weather::Refused,
        1 => Weather::Reset,
        2 => Weather::BlackHole,
        3 => Weather::HalfOpen(random.u64(..12_000)),
        4 => Weather::Slow,
        _ => Weather::Cut(random.u64(..12_000)),
    }
}

/// Passes over a library whose downloads go over a bad line, each with an archive of its own.
async fn over_bad_lines(seed: u64, rounds: usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (ranges, live) = (random.bool(), LiveAs::Clip);
    let file_bytes = FileBytes::Fixed(3000);
    let config =
        SimConfig { items: ITEMS, seed, ranges, live, file_bytes, fife_share: 0.0, ..SimConfig::default() };
    let sim = Sim::start(config).await.unwrap();
    let proxy = Proxy::new(sim.address()).await;
    let rules = [format!("*.googleusercontent.com={}", proxy.address()).parse().unwrap()];
    let http = net::http_client(&rules, Some(&sim.ca_file().to_owned()), STALL).unwrap();
    let line = Line { http, nameless: AtomicUsize::new(0) };
    let library = Arc::new(OtherDownloads::new(sim.without_browser(), line));
    for _ in 0..rounds {
        let dir = fast_dir();
        init(dir.path());
        let archive = open(dir.path());
        let before = (sim.counters().files(), proxy.connections());
        let for_ever = random.u8(..6) == 0;
        let times = if for_ever { usize::MAX } else { random.usize(1..=5) };
        let often = if for_ever { "always".to_owned() } else { format!("{times} times") };
        let (began, mut is_slow, mut struck) = (Instant::now(), false, false);
        let what = if random.u8(..7) == 0 {
            library.downloads.nameless.store(times, Ordering::Relaxed);
            struck = true;
            format!("no such host, {often}")
        } else {
            let weather = weather(&mut random);
            is_slow = weather == Weather::Slow;
            // A slow line that stays slow is slow and no more.
            let times = if is_slow { times.min(3) } else { times };
            proxy.turn(weather, times);
            format!("{weather:?}, {often}")
        };
        let report = pass(&archive, &library).await;
        let spoilt = proxy.clear();
        let took = began.elapsed();
        library.downloads.nameless.store(0, Ordering::Relaxed);
        let fetched = sim.counters().files() - before.0;
        let told = format!("seed {seed}: {what}: {} {fetched} requests, {took:?}", report.sentence());
        println!("{told}");
        // A connection that was spoilt may have been a spare one; where all are, somebody waits.
        struck |= for_ever && spoilt > 0 && (what.starts_with("Reset") || what.starts_with("BlackHole"));
        assert!(!struck || report.retries > 0, "nobody is told: {told}");
        // Waits grow to what the person allows, and end.
        assert!(took < Duration::from_secs(90), "{told}");
        if for_ever && !is_slow {
            // Each attempt may be continued four times.
            let most = ITEMS * options().attempts * 5;
            assert!(proxy.connections() - before.1 <= most, "{told}");
        } else {
            assert!(fetched <= 2 * ITEMS as u64 + 4, "{told}");
        }
        let report = pass(&archive, &library).await;
        assert_eq!(report.outcome(), &Outcome::Complete, "{told}, then {}", report.sentence());
        assert_equal(&archive, &sim.ledger());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_direct_downloads_over_bad_lines_end_in_the_truth() {
    const LANES: usize = 6;
    let (first, rounds) = (seed("r12_direct_downloads"), DIRECT.get());
    let mut lanes = tokio::task::JoinSet::new();
    for lane in 0..LANES {
        let mine = rounds / LANES + usize::from(lane < rounds % LANES);
        lanes.spawn(over_bad_lines(first + lane as u64, mine));
    }
    while let Some(done) = lanes.join_next().await {
        done.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_a_browser_on_a_bad_line_ends_in_the_truth() {
    let mut random = fastrand::Rng::with_seed(seed("r12_a_browser"));
    let dir = tempfile::tempdir().unwrap();
    let sim = signed_in(SimConfig { items: 10, fife_share: 0.5, ..SimConfig::default() }, dir.path()).await;
    let proxy = Proxy::new(sim.address()).await;
    let mut settings = settings(&sim, dir.path(), Method::Rpc);
    settings.browser.resolve = vec![format!("*={}", proxy.address()).parse().unwrap()];
    settings.stall = Duration::from_secs(2);
    let google = Arc::new(GooglePhotos::connect(settings).await.unwrap());
    let archive = open(&dir.path().join("archive"));
    for round in 0..BROWSER.get() {
        (0..6).for_each(|_| drop(sim.library().add_item()));
        let most = random.u64(2000..40_000);
        let weather = [
            Weather::Reset,
            Weather::Cut(most),
            Weather::Refused,
            Weather::HalfOpen(most),
            Weather::Slow,
            Weather::BlackHole,
        ][round % 6];
        let (began, files) = (Instant::now(), sim.counters().files());
        proxy.turn(weather, random.usize(1..=4));
        let mut report = pass(&archive, &google).await;
        println!("{weather:?}: {} {:?}", report.sentence(), began.elapsed());
        let spoilt = proxy.clear();
        for _ in 0..2 {
            if report.outcome() != &Outcome::Complete {
                report = pass(&archive, &google).await;
                println!("  then: {} {:?}", report.sentence(), began.elapsed());
            }
        }
        assert_eq!(report.outcome(), &Outcome::Complete, "{weather:?}: {}", report.sentence());
        assert!(spoilt > 0 || weather == Weather::Refused, "{weather:?} met nobody");
        assert_equal(&archive, &sim.ledger());
        // Live Photos have two files, and what has no hash is fetched twice.
        let files = sim.counters().files() - files;
        assert!(files <= 16 * 3 * 2, "{weather:?}: {files} requests for files");
    }
    google.close().await;
}
