//! R09: nothing stays unread for longer than a month, whatever interrupts the reading, and what is known to be bad is
//! looked at first.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, ToSpan};
use shoebox::archive::Archive;
use shoebox::model::Sha256;
use shoebox::store::RealDisk;
use shoebox::upkeep::{self, Settings};

use super::{Count, Row, seed};
use crate::store::support::*;
use crate::sync::support::init;

pub const ROWS: &[Row] = &[Row {
    number: 9,
    tried: "years by a clock of the test's, with upkeep every day that is killed at random and a machine that is off for days",
    counts: &[YEARS],
}];

const YEARS: Count = Count(1, 3, 10);
const ITEMS: usize = 400;

fn open(root: &std::path::Path) -> Archive {
    let archive = Archive::open(root, Arc::new(RealDisk), clock()).unwrap();
    archive.store.set_reserve(Some(0));
    archive
}

fn fill(archive: &Archive) -> Vec<Sha256> {
    let writer = archive.index.writer();
    (0..ITEMS)
        .map(|n| {
            let stored = archive_new_item(&archive.store, &format!("item-{n}"), &n.to_le_bytes()).unwrap();
            let sha256 = stored.record().parts[0].sha256;
            writer.apply(stored).unwrap();
            sha256
        })
        .collect()
}

#[test]
fn r09_every_file_is_read_within_a_month() {
    for _ in 0..YEARS.get() {
        let mut random = fastrand::Rng::with_seed(seed("r09_every_file"));
        let dir = fast_dir();
        let root = dir.path().join("archive");
        init(&root);
        let mut archive = open(&root);
        let files = fill(&archive);
        let settings = Settings::default();
        let mut now = now();
        let mut read: BTreeMap<Sha256, Timestamp> = files.iter().map(|file| (*file, now)).collect();
        let mut longest = SignedDuration::ZERO;
        let mut killed = 0;
        let end = now + (365 * 24).hours();
        let mut offs: Vec<Timestamp> = Vec::new();
        while now < end {
            // The machine is off for two days now and then, twice within a month at most: what the schedule leaves room for.
            offs.retain(|off| now.duration_since(*off) < SignedDuration::from_hours(35 * 24));
            let off = if offs.len() < 2 && random.u8(..30) == 0 { 48 } else { 0 };
            if off > 0 {
                offs.push(now);
            }
            now += (24 + off).hours();
            loop {
                let mut left = if random.bool() { random.usize(..40) } else { usize::MAX };
                let report = upkeep::day(&archive, now, &settings, &mut |sha256| {
                    let before = read.insert(*sha256, now).unwrap();
                    longest = longest.max(now.duration_since(before));
                    left = left.saturating_sub(1);
                    if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })
                .unwrap();
                assert_eq!(report.new, []);
                if report.done {
                    break;
                }
                // Killed: what was not saved is lost, and only what was saved is known.
                killed += 1;
                drop(archive);
                archive = open(&root);
            }
            let waits = read.values().map(|read| now.duration_since(*read)).max().unwrap();
            longest = longest.max(waits);
        }
        println!("{killed} kills; the longest that a file was not read: {} days", longest.as_hours() / 24);
        assert!(longest <= SignedDuration::from_hours(31 * 24), "{longest:?}");
        assert!(killed > 40, "only {killed} kills");
        assert!(!upkeep::is_due(&archive, now) && upkeep::is_due(&archive, now + 25.hours()));
    }
}

/// After three weeks without a machine all that is overdue is read at once, and then the load is even again.
#[test]
fn r09_after_a_long_absence_what_is_overdue_comes_first() {
    let dir = fast_dir();
    let root = dir.path().join("archive");
    init(&root);
    let archive = open(&root);
    fill(&archive);
    let settings = Settings::default();
    let mut now = now();
    let day = |now| upkeep::day(&archive, now, &settings, &mut |_| ControlFlow::Continue(())).unwrap().shards;
    for _ in 0..60 {
        now += 24.hours();
        assert_eq!(day(now), 10);
    }
    now += (24 * 21).hours();
    assert!(day(now) > 100);
    for _ in 0..60 {
        now += 24.hours();
        assert!(day(now) <= 12);
    }
}

#[test]
fn r09_the_budget_of_a_day_is_kept_and_the_next_call_goes_on() {
    let dir = fast_dir();
    let root = dir.path().join("archive");
    init(&root);
    let archive = open(&root);
    fill(&archive);
    let settings = Settings { bytes: Some(64), ..Settings::default() };
    let read = |now| upkeep::day(&archive, now, &settings, &mut |_| ControlFlow::Continue(())).unwrap();
    let mut now = now();
    assert_eq!((read(now).blobs, read(now).blobs), (8, 0), "eight files of eight bytes");
    let mut files = 8;
    while files < ITEMS as u64 {
        now += 24.hours();
        let report = read(now);
        assert!(report.blobs <= 8 && report.done);
        files += report.blobs;
    }
    let settings = Settings { time: Duration::ZERO, ..Settings::default() };
    now += 24.hours();
    let report = upkeep::day(&archive, now, &settings, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(report.blobs, 1, "a day without time reads one file, to get on at all");
}

#[test]
fn r09_what_is_known_to_be_bad_is_looked_at_first() {
    let dir = fast_dir();
    let root = dir.path().join("archive");
    init(&root);
    let archive = open(&root);
    let files = fill(&archive);
    let last = *files.iter().max().unwrap();
    let path = archive.store.blob_path(&last);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let sound = fs::read(&path).unwrap();
    fs::write(&path, b"other").unwrap();
    let settings = Settings::default();
    let mut now = now();
    let mut found = Vec::new();
    while found.is_empty() {
        found = upkeep::day(&archive, now, &settings, &mut |_| ControlFlow::Continue(())).unwrap().new;
        now += 24.hours();
    }
    assert_eq!(found[0].path, path);
    // Asked for again at Google, told once, and still known.
    assert_eq!(archive.index.reader().unwrap().failures().unwrap().len(), 1);
    let again = upkeep::day(&archive, now, &settings, &mut |_| ControlFlow::Break(())).unwrap();
    assert_eq!((again.new, upkeep::standing(&archive.store)), (vec![], found));
    // A sound file is recognised before anything else is read.
    fs::write(&path, sound).unwrap();
    now += 24.hours();
    upkeep::day(&archive, now, &settings, &mut |_| ControlFlow::Break(())).unwrap();
    assert_eq!(upkeep::standing(&archive.store), []);
}
