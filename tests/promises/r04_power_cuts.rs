//! R4: the power is cut at random moments, on a real ext4 whose unflushed data the kernel is told to drop: what was
//! acknowledged is there, whole, and the archive goes on without a person.

use std::path::Path;
use std::time::Duration;

use shoebox::archive::Archive;
use shoebox::model::MediaKey;
use shoebox::sim::FileBytes;

use super::sabotage::Sabotage;
use super::volume::Volume;
use super::worker::{LENGTH, Said, Task, Worker, library};
use super::{Count, Row, seed};
use crate::store::support::findings;
use crate::sync::support::{assert_equal, init, open};

const CUTS: Count = Count(200, 800, 5000);

pub const ROWS: &[Row] =
    &[Row { number: 4, tried: "power cuts of a real ext4 (needs root and a loop device)", counts: &[CUTS] }];

/// Without the order of data before names that ext4 keeps by default: not every file system has it.
fn volume() -> Option<Volume> {
    let volume = Volume::new(512 << 20, &[], "data=writeback");
    if volume.is_none() {
        println!("not tried: this needs root and a loop device");
    }
    volume
}

/// What was tried.
#[derive(Debug, Default)]
struct Tried {
    cuts: usize,
    /// Cuts into the work.
    struck: usize,
    /// Items that were acknowledged, and there after the cut.
    acknowledged: usize,
    /// Libraries that were archived whole in spite of it.
    whole: u64,
}

/// Cuts so often; the first loss, if there is one.
fn cuts(volume: &Volume, seed: u64, wanted: usize, sabotage: Sabotage) -> Result<Tried, String> {
    const ITEMS: usize = 300;
    const KINDS: FileBytes = FileBytes::Fixed(LENGTH);
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut library_seed, mut tried) = (seed, Tried::default());
    let mut root = volume.at().join("archive-0");
    init(&root);
    for n in 0..wanted {
        let task = Task { root: &root, seed: library_seed, items: ITEMS, kinds: KINDS, revised: 0, sabotage };
        let mut worker = Worker::start(&task);
        std::thread::sleep(Duration::from_millis(random.u64(0..700)));
        let at_work = worker.child.try_wait().unwrap().is_none();
        volume.cut();
        worker.child.kill().unwrap();
        let Said { kept, done, .. } = worker.end();
        volume.unmount();
        assert!(volume.mount(), "cut {n}: the volume cannot be mounted again");
        tried.cuts += 1;
        tried.struck += usize::from(at_work && !done);
        tried.acknowledged += kept.len();
        whole_again(&root, &kept).map_err(|why| format!("cut {n}: {why}"))?;
        if done {
            assert_equal(&open(&root), &library(library_seed, ITEMS, KINDS).ledger());
            std::fs::remove_dir_all(&root).unwrap();
            (library_seed, tried.whole) = (library_seed + 1, tried.whole + 1);
            root = volume.at().join(format!("archive-{}", tried.whole));
            init(&root);
        }
    }
    Ok(tried)
}

/// Opens the archive as the next run would, and requires what was acknowledged. Says whether the index was made again.
pub(super) fn whole_again(root: &Path, kept: &std::collections::BTreeSet<String>) -> Result<bool, String> {
    let archive = open(root);
    if !archive.recovery.findings.is_empty() {
        return Err(format!("{:?}", archive.recovery.findings));
    }
    let damage = findings(&archive.store);
    if !damage.is_empty() {
        return Err(format!("{damage:?}"));
    }
    let keys: Vec<_> = kept.iter().map(|key| MediaKey::new(key).unwrap()).collect();
    let known = archive.index.reader().unwrap().known(&keys).unwrap();
    let lost: Vec<_> = keys.iter().filter(|key| !known.contains_key(key)).collect();
    if !lost.is_empty() {
        return Err(format!("acknowledged, and lost: {lost:?}"));
    }
    has_every_part(&archive, &keys)?;
    Ok(archive.recovery.rebuilt.is_some())
}

fn has_every_part(archive: &Archive, keys: &[MediaKey]) -> Result<(), String> {
    for (key, item) in archive.index.reader().unwrap().known(keys).unwrap() {
        for sha256 in item.parts.iter().map(|(_, sha256)| sha256) {
            // What is there was hashed a moment ago.
            archive.store.open_blob(sha256).map_err(|error| format!("{key}: {error}"))?;
        }
    }
    Ok(())
}

#[test]
fn r04_what_was_acknowledged_survives_a_power_cut() {
    let Some(volume) = volume() else { return };
    let seed = seed("r04_what_was_acknowledged");
    let tried = cuts(&volume, seed, CUTS.get(), Sabotage::None).unwrap();
    println!("{tried:?}");
    assert!(tried.struck * 2 > tried.cuts && tried.acknowledged > tried.cuts, "{tried:?}");
}

/// Directories that are not flushed make no difference here: on ext4 the flush of the index, which comes before
/// anything is acknowledged, commits their names too. R3 finds those out.
#[test]
fn r04_a_store_that_does_not_flush_is_found_out() {
    let Some(volume) = volume() else { return };
    let found = std::panic::catch_unwind(|| cuts(&volume, seed("r04_a_store"), 300, Sabotage::NoSync));
    let found = found.unwrap_or_else(|_| Err("it does not open".to_owned()));
    println!("{found:?}");
    found.expect_err("it made no difference");
}
