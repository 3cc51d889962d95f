//! R30: a million items. Whether they are quick and small enough is measured, not tested (`cargo bench --features sim
//! -- million`); here, that a large directory is listed whole while items come, by many readers at once.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Count, Row};
use crate::view::support::{Stage, item};

const NAMES: Count = Count(5000, 50_000, 100_000);

pub const ROWS: &[Row] = &[Row {
    number: 30,
    tried: "names in a directory that is listed again and again while items come (time and memory of a million items: `cargo bench --features sim -- million`)",
    counts: &[NAMES],
}];

const READERS: usize = 4;

#[test]
fn r30_a_large_directory_is_listed_whole_while_items_come() {
    let stage = Stage::new();
    let total = NAMES.get() as u64;
    // Their bytes are never read.
    let add = |n: u64| {
        let item = item(n, &format!("IMG_{n:06}.jpg"), "2020-05-06T07:08:09", &n.to_le_bytes());
        let mut held = stage.library.held.lock().unwrap();
        let change = held.items.len() as u64 + 1;
        held.items.push(shoebox::model::ArchivedItem { change, ..item });
    };
    (1..=total / 2).for_each(add);
    let mounted = stage.mount(true);
    let folder = stage.view().join("by-date/2020/2020-05");
    let (done, listings) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let read = || {
            let mut before = BTreeSet::new();
            while !done.load(Ordering::Acquire) || before.len() < total as usize {
                let names: Vec<OsString> =
                    fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
                let now: BTreeSet<OsString> = names.iter().cloned().collect();
                assert_eq!(now.len(), names.len(), "a name is there twice");
                assert!(now.len() >= total as usize / 2, "only {} names", now.len());
                let lost: Vec<_> = before.difference(&now).take(3).collect();
                assert!(lost.is_empty(), "gone from one listing to the next: {lost:?}");
                before = now;
                listings.fetch_add(1, Ordering::Release);
            }
        };
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(read)).collect();
        // A few hundred with each listing that somebody has finished.
        let mut next = total / 2 + 1;
        while next <= total {
            let seen = listings.load(Ordering::Acquire);
            (next..=total.min(next + total / 20)).for_each(add);
            next += total / 20 + 1;
            while listings.load(Ordering::Acquire) == seen
                && !readers.iter().any(|reader| reader.is_finished())
            {
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::Release);
    });
    println!("{} listings", listings.into_inner());
    mounted.unmount().unwrap();
}
