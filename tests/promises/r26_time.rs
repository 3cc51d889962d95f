//! R26: clocks that jump, summer time, other zones, leap days: no pass is left out or done twice for it, nobody waits
//! longer than they should, and a photo's date is the photo's, whatever this machine's clock says.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use shoebox::archive::Archive;
use shoebox::model::{CaptureTime, FixedClock, MediaFacts, MediaKey, RemoteItem, TimeSource};
use shoebox::sim::SimConfig;
use shoebox::sim::fake::FakeLibrary;
use shoebox::store::RealDisk;
use shoebox::sync::progress::Progress;
use shoebox::sync::quiet::QuietHours;
use shoebox::sync::report::{Outcome, SyncReport};
use shoebox::sync::{self, ListingMode};
use tokio_util::sync::CancellationToken;

use super::Row;
use crate::appliance::support::{shoebox, text};
use crate::sync::support::{assert_equal, init, options};

pub const ROWS: &[Row] = &[Row {
    number: 26,
    tried: "clocks that jump ten years, both changes of summer time, other zones, leap days: passes, quiet hours, capture dates",
    counts: &[],
}];

async fn pass(archive: &Arc<Archive>, library: &Arc<FakeLibrary>, clock: &Arc<FixedClock>) -> SyncReport {
    let options = sync::SyncOptions { listing: ListingMode::Auto, ..options() };
    let clock: Arc<FixedClock> = Arc::clone(clock);
    let progress = Arc::new(Progress::default());
    let (archive, library) = (Arc::clone(archive), Arc::clone(library));
    let report = sync::run(archive, library, clock, options, progress, CancellationToken::new()).await;
    assert_eq!(report.outcome(), &Outcome::Complete, "{}", report.sentence());
    report
}

fn dates(archive: &Archive) -> Vec<(String, CaptureTime)> {
    let mut dates = Vec::new();
    archive
        .index
        .reader()
        .unwrap()
        .items(0..=u64::MAX, |item| dates.push((item.key.to_string(), item.taken)))
        .unwrap();
    dates
}

#[tokio::test(flavor = "multi_thread")]
async fn r26_a_jumping_clock_fetches_nothing_twice_and_stalls_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("archive");
    init(&root);
    let library = Arc::new(FakeLibrary::new(SimConfig { items: 12, seed: 26, ..SimConfig::default() }));
    let begin: Timestamp = "2024-02-28T23:59:50Z".parse().unwrap();
    let clock = Arc::new(FixedClock::new(begin));
    let open = || Arc::new(Archive::open(&root, Arc::new(RealDisk), clock.clone()).unwrap());
    let mut archive = open();
    assert_eq!(pass(&archive, &library, &clock).await.archived, 12);
    let mut before = dates(&archive);
    let years = |n: i32| (10 * 366 * 24 * n).hours();
    // Leap days, ten years on and back, both changes of summer time, and the beginning of a clock that was never set.
    let mut at = begin;
    let mut moments = vec![at + 20.seconds(), at + 24.hours()];
    moments.extend([at + years(1), at + 1.hour(), at - 1.hour(), at - years(1), at + years(1), at]);
    moments.extend(
        ["2024-03-31T00:59:59Z", "2024-03-31T01:00:01Z", "2024-10-27T00:59:59Z", "2024-10-27T01:00:01Z"]
            .map(|text| text.parse::<Timestamp>().unwrap()),
    );
    moments.extend(
        ["1970-01-01T00:00:01Z", "2024-11-01T00:00:00Z"].map(|text| text.parse::<Timestamp>().unwrap()),
    );
    for moment in moments {
        let fetched = library.fetches();
        (at, _) = (moment, clock.set(moment));
        // A restart reads what was written when the clock was elsewhere.
        drop(archive);
        archive = open();
        let first = pass(&archive, &library, &clock).await;
        assert_eq!((first.archived, first.revised, first.gone), (0, 0, 0), "{at}: {}", first.sentence());
        assert_eq!(library.fetches(), fetched, "{at}: fetched again");
        // Whatever the jump made it do, an hour later it is at ease.
        clock.set(at + 1.hour());
        let second = pass(&archive, &library, &clock).await;
        assert!(!second.whole, "{at}: every pass lists the whole library now");
        // And what is new comes, with its own date.
        let key = library.library().add_item();
        assert_eq!(pass(&archive, &library, &clock).await.archived, 1, "{at}");
        let after = dates(&archive);
        assert_eq!(after[..before.len()], before, "{at}: dates have changed");
        assert_eq!(after.len(), before.len() + 1);
        let ledger = library.ledger();
        assert!(ledger.items.iter().any(|item| item.key == key && item.listed));
        before = after;
    }
    assert_equal(&archive, &library.ledger());
    // The same library, archived by a machine whose clock is right all the time.
    let other = dir.path().join("other");
    init(&other);
    let archive = crate::sync::support::open(&other);
    crate::sync::support::pass(&archive, &library).await;
    let sorted = |mut dates: Vec<(String, CaptureTime)>| {
        dates.sort_by(|a, b| a.0.cmp(&b.0));
        dates
    };
    assert_eq!(sorted(dates(&archive)), sorted(before));
}

/// Quiet hours are by the clock on the wall; how long they last is not.
#[test]
fn r26_quiet_hours_end_when_the_wall_clock_says_so() {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let mut tried = 0;
    for quiet in ["22:00-06:00", "01:00-05:00", "02:15-02:45", "00:00-23:59", "23:30-02:30", "03:00-02:00"] {
        let (from, to) = quiet.split_once('-').unwrap();
        let hours: QuietHours = quiet.parse().unwrap();
        for day in ["2024-02-28", "2024-03-30", "2024-10-26", "2024-07-01", "2023-12-31"] {
            let begin = format!("{day}T20:00:00").parse::<jiff::civil::DateTime>().unwrap();
            let begin = begin.to_zoned(zone.clone()).unwrap().timestamp();
            for minutes in (0..36 * 60).step_by(37) {
                let now = begin + i64::from(minutes).minutes();
                let wall = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%H:%M").to_string();
                let is_within = |wall: &str| match from < to {
                    true => from <= wall && wall < to,
                    false => wall >= from || wall < to,
                };
                let left = hours.left_in(&now.to_zoned(zone.clone()));
                assert_eq!(left.is_some(), is_within(&wall(now)), "{quiet} at {now}");
                let Some(left) = left else { continue };
                tried += 1;
                // Somebody who waits as told is never late: a minute before, they still last.
                assert!(left > Duration::ZERO && left <= Duration::from_secs(25 * 3600), "{quiet} at {now}");
                let end = now + jiff::SignedDuration::try_from(left).unwrap();
                let mut minute = now;
                while minute + 1.minute() < end {
                    assert!(is_within(&wall(minute)), "{quiet} at {now}: told to wait until {end}");
                    minute += 1.minute();
                }
            }
        }
    }
    assert!(tried > 500, "{tried}");
}

/// A file's wall clock stands, in whatever zone this machine is, at the hours that zones skip or have twice.
#[test]
fn r26_capture_dates_do_not_depend_on_this_machines_zone() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("archive");
    init(&data);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let library = Arc::new(FakeLibrary::new(SimConfig { items: 60, seed: 26, ..SimConfig::default() }));
    let archive = crate::sync::support::open(&data);
    runtime.block_on(crate::sync::support::pass(&archive, &library));
    drop(archive);
    let preview = |zone: &str| {
        let output = shoebox()
            .args(["view", "preview", "by-date", "--limit", "1000"])
            .env("SHOEBOX_DATA", &data)
            .env("TZ", zone)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let utc = preview("UTC");
    assert!(utc.lines().count() > 40, "{utc}");
    for zone in ["America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Berlin", "no/such"] {
        assert_eq!(preview(zone), utc, "{zone}");
    }
    for (local, offset_s) in [
        ("2020-02-29T23:59:59", Some(0)),
        ("2000-02-29T00:00:00", None),
        ("2024-12-31T23:59:59", Some(14 * 3600)),
        // Berlin skips this hour, and has that one twice.
        ("2024-03-31T02:30:00", Some(3600)),
        ("2024-10-27T02:30:00", Some(7200)),
        ("2024-10-27T02:30:00", Some(3600)),
    ] {
        let local = local.parse().unwrap();
        let taken = CaptureTime { local, offset_s, source: TimeSource::Exif };
        let facts = MediaFacts { taken: Some(taken), ..MediaFacts::default() };
        for uploaded in ["1970-01-01T00:00:00Z", "2034-03-01T00:00:00Z"] {
            let uploaded: Timestamp = uploaded.parse().unwrap();
            let item = RemoteItem {
                uploaded_ms: Some(uploaded.as_millisecond()),
                ..RemoteItem::unknown(MediaKey::new("k").unwrap())
            };
            assert_eq!(CaptureTime::choose(&facts, &item), taken);
        }
    }
    for never in ["2023:02:29 12:00:00", "1900:02:29 12:00:00", "2024:02:30 12:00:00", "2024:04:31 00:00:00"]
    {
        assert_eq!(shoebox::media::moment::wall_clock(never), None, "{never}");
    }
}
