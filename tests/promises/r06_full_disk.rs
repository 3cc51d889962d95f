//! R6: volumes with room for nothing, for half an archive, for a few items: what cannot be kept is refused with the
//! bytes that are needed, nothing is half there, and the same command finishes once there is room. The index is on
//! the same volume. (`failing_steps` has each single step fail.)

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FallocateFlags;
use shoebox::archive::{Archive, ArchiveError};
use shoebox::model::{ErrorClass, SystemClock};
use shoebox::sim::FileBytes;
use shoebox::sim::fake::FakeLibrary;
use shoebox::store::{RealDisk, Store, StoreError};
use shoebox::sync::report::Outcome;

use super::volume::Volume;
use super::worker::library;
use super::{Count, Row, seed};
use crate::store::support::findings;
use crate::sync::support::{assert_equal, contents, init, pass, truth};

/// Free bytes from none to 8 MiB in steps, then at random.
const SIZES: Count = Count(128, 628, 1128);
const STEP: u64 = 64 << 10;

pub const ROWS: &[Row] = &[Row {
    number: 6,
    tried: "each step fails with each error that a full, read-only or broken disk gives; a real ext4 with little room, index included (needs root and a loop device)",
    counts: &[SIZES],
}];

/// Items with as many bytes as the largest room has.
const ITEMS: usize = 24;
const LENGTH: u64 = 340_000;
/// Kept free in every fourth round.
const RESERVE: u64 = 2 << 20;

/// A volume of which a file takes all but what a round may have.
struct Tight {
    volume: Volume,
}

impl Tight {
    fn new() -> Option<Self> {
        let volume = Volume::new(48 << 20, &["-b", "4096", "-m", "0"], "noatime");
        if volume.is_none() {
            println!("not tried: this needs root and a loop device");
        }
        Some(Self { volume: volume? })
    }

    fn filler(&self) -> PathBuf {
        self.volume.at().join("filler")
    }

    fn free(&self) -> u64 {
        let stat = rustix::fs::statvfs(self.volume.at()).unwrap();
        stat.f_bavail * stat.f_frsize
    }

    fn leave(&self, bytes: u64) {
        let file = std::fs::File::create(self.filler()).unwrap();
        let mut size = self.free().saturating_sub(bytes);
        // In pieces all over the volume it needs a few blocks for itself.
        while size > 0 && rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, size).is_err() {
            size = size.saturating_sub(4096);
        }
        assert!(self.free() <= bytes + (1 << 17), "{} bytes are free, not {bytes}", self.free());
    }

    fn relieve(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

/// How far a command came, and what it said.
#[derive(Debug)]
enum Refused {
    Init(String),
    Open(String),
    Pass(String),
}

/// What `shoebox run --init` does.
async fn attempt(root: &Path, library: &Arc<FakeLibrary>, reserve: u64) -> Result<(), Refused> {
    match Store::init(root, Arc::new(RealDisk), Arc::new(SystemClock)) {
        Ok(_) | Err(StoreError::AlreadyAnArchive { .. }) => {}
        Err(error) => {
            assert_eq!(error.class(), ErrorClass::Environment, "{error}");
            return Err(Refused::Init(error.to_string()));
        }
    }
    let archive = match open(root) {
        Ok(archive) => Arc::new(archive),
        Err(error) => {
            assert_eq!(error.class(), ErrorClass::Environment, "{error}");
            return Err(Refused::Open(error.to_string()));
        }
    };
    archive.store.set_reserve(Some(reserve));
    let report = pass(&archive, library).await;
    match report.outcome() {
        Outcome::Complete => Ok(()),
        Outcome::DiskFull { why, .. } => Err(Refused::Pass(why.clone())),
        other => panic!("{other:?}"),
    }
}

/// What a pass that failed had begun to write comes to its end first.
fn open(root: &Path) -> Result<Archive, ArchiveError> {
    loop {
        match Archive::open(root, Arc::new(RealDisk), Arc::new(SystemClock)) {
            Err(ArchiveError::Store(StoreError::Locked { .. })) => std::thread::yield_now(),
            other => return other,
        }
    }
}

/// All that is to be seen is whole.
fn assert_whole(archive: &Archive, library: &FakeLibrary) {
    assert_eq!(findings(&archive.store), []);
    assert!(
        archive.recovery.findings.is_empty() && archive.recovery.lost.is_empty(),
        "{:?}",
        archive.recovery
    );
    let truth = truth(&library.ledger());
    for (key, parts) in contents(archive, &library.ledger()) {
        assert_eq!(Some(&parts), truth.get(&key), "{key} is half there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r06_a_full_volume_is_refused_with_numbers_and_harms_nothing() {
    let Some(tight) = Tight::new() else { return };
    let seed = seed("r06_a_full_volume");
    let mut random = fastrand::Rng::with_seed(seed);
    let library = Arc::new(library(seed, ITEMS, FileBytes::Fixed(LENGTH)));
    let root = tight.volume.at().join("archive");
    let (mut at_init, mut at_open, mut in_pass, mut enough) = (0, 0, 0, 0);
    for n in 0..SIZES.get() as u64 {
        let room = if n < 128 { n * STEP } else { random.u64(..128 * STEP) };
        let reserve = if n % 4 == 3 { RESERVE } else { 0 };
        tight.leave(room);
        match attempt(&root, &library, reserve).await {
            Ok(()) => enough += 1,
            Err(refused) => {
                let (Refused::Init(why) | Refused::Open(why) | Refused::Pass(why)) = &refused;
                let numbers = why.contains(" bytes free, but ") && why.contains(" are needed");
                assert!(numbers, "{room} bytes free: {why}");
                match &refused {
                    Refused::Init(_) => at_init += 1,
                    Refused::Open(_) => at_open += 1,
                    Refused::Pass(_) => in_pass += 1,
                }
                // Records and index have half of the reserve.
                assert!(
                    !matches!(refused, Refused::Pass(_)) || tight.free() >= reserve / 2,
                    "{} bytes are free of {reserve} in reserve: {why}",
                    tight.free()
                );
            }
        }
        // Also while it is full, where it opens at all.
        if root.join("archive.json").exists()
            && let Ok(archive) = open(&root)
        {
            assert_whole(&archive, &library);
        }
        tight.relieve();
        if root.join("archive.json").exists() {
            assert_whole(&open(&root).unwrap(), &library);
        }
        attempt(&root, &library, 0).await.unwrap();
        let archive = Arc::new(open(&root).unwrap());
        assert_equal(&archive, &library.ledger());
        assert_eq!(crate::store::support::files_below(&root.join("tmp")), <[PathBuf; 0]>::default());
        drop(archive);
        std::fs::remove_dir_all(&root).unwrap();
    }
    println!(
        "refused: {at_init} at init, {at_open} when opened, {in_pass} in the pass; room enough: {enough}"
    );
    assert!(at_init > 0 && in_pass > 0, "{at_init} {in_pass}");
}

/// An archive that was there before its volume filled up: it opens or says why not, at every size.
#[tokio::test(flavor = "multi_thread")]
async fn r06_an_archive_on_a_full_volume_opens_or_says_why_not() {
    let Some(tight) = Tight::new() else { return };
    let library = Arc::new(library(seed("r06_an_archive"), ITEMS, FileBytes::Fixed(LENGTH)));
    let root = tight.volume.at().join("archive");
    init(&root);
    attempt(&root, &library, 0).await.unwrap();
    let (mut opened, mut refused) = (0, 0);
    for kib in (0..400).step_by(4) {
        // As after a power cut: the index is behind, or gone.
        if kib % 8 == 0 {
            std::fs::remove_file(root.join("index.sqlite")).unwrap();
        }
        tight.leave(kib << 10);
        match open(&root) {
            Ok(archive) => {
                assert_equal(&archive, &library.ledger());
                opened += 1;
            }
            Err(error) => {
                assert_eq!(error.class(), ErrorClass::Environment, "{error}");
                assert!(error.to_string().contains(" bytes free, but "), "{kib} KiB: {error}");
                refused += 1;
            }
        }
        tight.relieve();
        assert_equal(&open(&root).unwrap(), &library.ledger());
    }
    println!("opened {opened} times, refused {refused} times");
    assert!(opened > 10 && refused > 10, "{opened} {refused}");
}
