//! R18: many readers while passes add items and the view is restarted and killed: not one wrong byte.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use shoebox::archive::Archive;
use shoebox::model::digest::digests_of;
use shoebox::sim::SimConfig;
use shoebox::sim::fake::FakeLibrary;
use shoebox::view::mountpoint;

use super::{Count, Row, seed};
use crate::appliance::support::{eventually, is_mounted, shoebox};
use crate::sync::support::{assert_equal, init, open, pass};
use crate::view::support::ordinal_of;

const SECONDS: Count = Count(10, 120, 28_800);

pub const ROWS: &[Row] = &[Row {
    number: 18,
    tried: "seconds that 64 readers read random files of a mounted view and compare every byte, while passes add items and the view is stopped and killed",
    counts: &[SECONDS],
}];

const READERS: u64 = 64;
const RESTARTS: u32 = 5;
const PASSES: u32 = 4;

fn mount(data: &Path, view: &Path) -> Child {
    let mut command = shoebox();
    command.args(["mount", "--data"]).arg(data).arg(view).env("SHOEBOX_LOG", "warn");
    let child = command.spawn().unwrap();
    eventually("the view", || is_mounted(view));
    child
}

/// The hashes of an item's files, by its number.
fn hashes(archive: &Archive) -> BTreeMap<u64, BTreeSet<String>> {
    let mut all = BTreeMap::new();
    let reader = archive.index.reader().unwrap();
    reader
        .items(0..=u64::MAX, |item| {
            all.insert(item.ordinal, item.parts.iter().map(|part| part.sha256.hex()).collect());
        })
        .unwrap();
    all
}

/// Follows random directories to a random file and reads it whole.
fn read_one(view: &Path, random: &mut fastrand::Rng) -> std::io::Result<(u64, String)> {
    let mut at = view.to_owned();
    loop {
        let entries = fs::read_dir(&at)?.collect::<Result<Vec<_>, _>>()?;
        // Some views show nothing of this library.
        let Some(entry) = random.choice(&entries) else { return Err(std::io::ErrorKind::NotFound.into()) };
        at = entry.path();
        if entry.file_type()?.is_dir() {
            continue;
        }
        let mut file = File::open(&at)?;
        let ino = file.metadata()?.ino();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        return Ok((ino, digests_of(&bytes).sha256.hex()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r18_readers_syncs_and_restarts_and_not_one_wrong_byte() {
    let seconds = SECONDS.get() as u64;
    let seed = seed("r18_readers");
    let dir = tempfile::tempdir().unwrap();
    let (data, view) = (dir.path().join("data"), dir.path().join("view"));
    init(&data);
    let library = Arc::new(FakeLibrary::new(SimConfig { items: 60, seed, ..SimConfig::default() }));
    let archive = open(&data);
    pass(&archive, &library).await;
    let truth = RwLock::new(hashes(&archive));
    let mut child = mount(&data, &view);
    let (stop, read, refused) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let check = |(ino, sha256): (u64, String)| {
        // Sidecars have no hash of their own.
        if shoebox::view::tree::is_sidecar(ino) {
            return;
        }
        let known = |truth: &BTreeMap<u64, BTreeSet<String>>| {
            truth.get(&ordinal_of(ino)).is_some_and(|hashes| hashes.contains(&sha256))
        };
        if !known(&truth.read().unwrap()) {
            // It may be newer than what we know.
            *truth.write().unwrap() = hashes(&archive);
            assert!(known(&truth.read().unwrap()), "wrong bytes of inode {ino}: {sha256}");
        }
        read.fetch_add(1, Ordering::Relaxed);
    };
    let runtime = tokio::runtime::Handle::current();
    let step = Duration::from_secs(seconds) / (RESTARTS + 1);
    std::thread::scope(|scope| {
        for reader in 0..READERS {
            let (stop, refused, check, view) = (&stop, &refused, &check, &view);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed ^ reader);
                while !stop.load(Ordering::Relaxed) {
                    match read_one(view, &mut random) {
                        Ok(seen) => check(seen),
                        Err(_) => {
                            refused.fetch_add(1, Ordering::Relaxed);
                            // As programs do; else 64 of them leave no time to the one that starts.
                            std::thread::sleep(Duration::from_millis(20));
                        }
                    }
                }
            });
        }
        let began = Instant::now();
        scope.spawn(|| {
            for _ in 0..PASSES {
                for _ in 0..15 {
                    library.library().add_item();
                }
                let report = runtime.block_on(pass(&archive, &library));
                assert_eq!(report.archived, 15, "{}", report.sentence());
                std::thread::sleep(step);
            }
        });
        for restart in 0..RESTARTS {
            std::thread::sleep(step);
            if restart % 2 == 0 {
                let id = rustix::process::Pid::from_child(&child);
                rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
            } else {
                child.kill().unwrap();
            }
            child.wait().unwrap();
            child = mount(&data, &view);
            let before = read.load(Ordering::Relaxed);
            eventually("readers go on", || read.load(Ordering::Relaxed) > before);
        }
        std::thread::sleep(Duration::from_secs(seconds).saturating_sub(began.elapsed()));
        stop.store(true, Ordering::Relaxed);
    });
    println!("{} files read whole, {} openings refused", read.into_inner(), refused.into_inner());
    assert_equal(&archive, &library.ledger());
    // Everything that came meanwhile is shown.
    let shown = |view: &Path| -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open = vec![view.join("by-date")];
        while let Some(at) = open.pop() {
            for entry in fs::read_dir(at).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    open.push(entry.path());
                } else {
                    found.insert(digests_of(&fs::read(entry.path()).unwrap()).sha256.hex());
                }
            }
        }
        found
    };
    let all: BTreeSet<String> = hashes(&archive).into_values().flatten().collect();
    eventually("everything is shown", || shown(&view) == all);
    child.kill().unwrap();
    child.wait().unwrap();
    mountpoint::release(&view).unwrap();
}
