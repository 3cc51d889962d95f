//! R5: power cuts on a file system of our own that forgets whatever was not flushed, names and lengths too, tears at
//! 512 bytes and keeps no order; blobs, records and the index are on it. What was acknowledged is there, whole, and
//! the archive goes on without a person.

use std::collections::BTreeSet;

use shoebox::sim::FileBytes;

use super::lazy_fs::LazyVolume;
use super::r04_power_cuts::whole_again;
use super::sabotage::Sabotage;
use super::worker::{LENGTH, Said, Task, Worker, library};
use super::{Count, Row, seed};
use crate::sync::support::{assert_equal, init, open};

const CUTS: Count = Count(50, 300, 2000);

pub const ROWS: &[Row] = &[Row {
    number: 5,
    tried: "power cuts of a file system that forgets, tears and reorders all that is not flushed (needs FUSE)",
    counts: &[CUTS],
}];

const ITEMS: usize = 120;
/// About as many changes as a library takes; a few cuts come after its end.
const CHANGES: u64 = 4000;

fn volume() -> Option<LazyVolume> {
    let volume = LazyVolume::new();
    if volume.is_none() {
        println!("not tried: this needs /dev/fuse");
    }
    volume
}

#[derive(Debug, Default)]
struct Tried {
    cuts: usize,
    /// Cuts into the work.
    struck: usize,
    /// Cuts into the start after a cut.
    again: usize,
    /// Items that were acknowledged, and there after the cut.
    acknowledged: usize,
    /// Indexes that had to be made again.
    rebuilt: usize,
    /// Libraries that were archived whole in spite of it.
    whole: u64,
}

/// Cuts so often; the first loss, if there is one.
fn cuts(volume: &mut LazyVolume, seed: u64, wanted: usize, sabotage: Sabotage) -> Result<Tried, String> {
    const KINDS: FileBytes = FileBytes::Fixed(LENGTH);
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut library_seed, mut tried, mut kept) = (seed, Tried::default(), BTreeSet::new());
    let mut root = volume.at().join("archive-0");
    init(&root);
    let mut unseen = false;
    for n in 0..wanted {
        let task = Task { root: &root, seed: library_seed, items: ITEMS, kinds: KINDS, revised: 0, sabotage };
        let worker = Worker::start(&task);
        // Half of those that start on what nobody has seen since the cut do not come far.
        let most = if unseen && random.bool() { 40 } else { CHANGES };
        volume.arm(random.u64(..most), worker.child.id());
        let Said { kept: acknowledged, done, .. } = worker.end();
        kept.extend(acknowledged);
        let struck = volume.cut(&mut random);
        tried.cuts += 1;
        tried.struck += usize::from(struck);
        tried.again += usize::from(struck && unseen);
        unseen = !done && random.u8(..3) == 0;
        if unseen {
            continue;
        }
        let rebuilt = whole_again(&root, &kept).map_err(|why| format!("cut {n}: {why}"))?;
        tried.rebuilt += usize::from(rebuilt);
        tried.acknowledged += kept.len();
        if done {
            assert_equal(&open(&root), &library(library_seed, ITEMS, KINDS).ledger());
            std::fs::remove_dir_all(&root).unwrap();
            (library_seed, tried.whole) = (library_seed + 1, tried.whole + 1);
            kept.clear();
            root = volume.at().join(format!("archive-{}", tried.whole));
            init(&root);
        }
    }
    Ok(tried)
}

#[test]
fn r05_what_was_acknowledged_survives_torn_writes() {
    let Some(mut volume) = volume() else { return };
    let seed = seed("r05_what_was_acknowledged");
    let tried = cuts(&mut volume, seed, CUTS.get(), Sabotage::None).unwrap();
    println!("{tried:?}, {} changes", volume.changes());
    assert!(tried.struck * 2 > tried.cuts && tried.acknowledged > tried.cuts, "{tried:?}");
}

/// Unlike R4's, this rig also sees directories that are not flushed.
#[test]
fn r05_a_store_that_does_not_flush_is_found_out() {
    for sabotage in [Sabotage::NoSync, Sabotage::NoSyncDir] {
        let Some(mut volume) = volume() else { return };
        let seed = seed("r05_a_store");
        let found =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| cuts(&mut volume, seed, 50, sabotage)));
        let found = found.unwrap_or_else(|_| Err("it does not open".to_owned()));
        println!("{sabotage:?}: {found:?}");
        found.expect_err("it made no difference");
    }
}
