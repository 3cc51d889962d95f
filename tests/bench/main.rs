//! Speed and memory, beside references measured in the same run: `cargo bench --features sim`.
//!
//! Ratios count, not seconds: machines are noisy. Prints one line per figure.
#![allow(clippy::unwrap_used)]

mod adopt;
mod facts;
mod google;
mod million;
mod passes;
mod replica;
mod view;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shoebox::model::{Clock, SystemClock};
use shoebox::sim::fake::FakeLibrary;
use shoebox::sim::{FileBytes, SimConfig};
use shoebox::store::{RealDisk, Store};
use shoebox::sync::pace::Limits;
use shoebox::sync::progress::Progress;
use shoebox::sync::{self, ListingMode, SyncOptions};

const FILE: u64 = 3_000_000;
const FILES: usize = 200;

fn main() {
    // `cargo bench` passes its own flags; names of parts may follow.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let asked = |part: &str| wanted.is_empty() || wanted.iter().any(|w| part.contains(w.as_str()));
    let dir =
        tempfile::tempdir_in(std::env::var_os("BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from))
            .unwrap();
    if asked("sync") {
        for latency in [0, 200] {
            passes::sync_against_curl(&dir.path().join(format!("sync-{latency}")), latency);
        }
    }
    if asked("methods") {
        passes::methods_against_curl(&dir.path().join("methods"));
    }
    if asked("ingest") {
        ingest_against_sha256sum(&dir.path().join("ingest"));
    }
    if asked("adopt") {
        adopt::against_sha256sum(&dir.path().join("adopt"));
    }
    if asked("replica") {
        replica::against_cp(&dir.path().join("replica"));
    }
    if asked("bytes") {
        view::against_native(&dir.path().join("view"));
    }
    if asked("million") {
        million::million(&dir.path().join("million"));
    }
    if asked("facts") {
        facts::against_exiftool(&dir.path().join("facts"));
    }
    if asked("unchanged") {
        passes::unchanged_library();
    }
}

fn rate(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / time.as_secs_f64() / 1e6
}

pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Files in the page cache, hashed by sha256sum and taken in by the store: both hashes, durable, read back.
fn ingest_against_sha256sum(dir: &Path) {
    let files = dir.join("files");
    fs::create_dir_all(&files).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let mut names = Vec::new();
    for number in 0..FILES {
        let mut bytes = vec![0; FILE as usize];
        random.fill(&mut bytes);
        let path = files.join(number.to_string());
        fs::write(&path, bytes).unwrap();
        names.push(path);
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..3 {
        let began = Instant::now();
        let status = Command::new("sha256sum").args(&names).stdout(Stdio::null()).status().unwrap();
        theirs.push(began.elapsed());
        assert!(status.success());
        let data = dir.join(format!("archive-{round}"));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Store::init(&data, Arc::new(RealDisk), Arc::clone(&clock)).unwrap();
        let store = Store::open(&data, Arc::new(RealDisk), clock).unwrap();
        let began = Instant::now();
        std::thread::scope(|scope| {
            for half in names.chunks(FILES / 2) {
                scope.spawn(|| half.iter().for_each(|path| ingest(&store, path)));
            }
        });
        ours.push(began.elapsed());
        drop(store);
        fs::remove_dir_all(&data).unwrap();
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let total = FILE * FILES as u64;
    println!(
        "ingest {FILES} files of 3 MB, two threads: store {:.0} MB/s, sha256sum (one process) {:.0} MB/s, ratio {:.2}",
        rate(total, ours),
        rate(total, theirs),
        theirs.as_secs_f64() / ours.as_secs_f64(),
    );
}

fn ingest(store: &Store, path: &Path) {
    let mut file = File::open(path).unwrap();
    let mut partial = store.begin(Some(FILE)).unwrap();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let n = file.read(&mut buffer).unwrap();
        if n == 0 {
            break;
        }
        partial.write(&buffer[..n]).unwrap();
    }
    let verified = partial.verify(|_, _| Ok(())).unwrap();
    store.put(verified).unwrap();
}

/// Every file below a directory.
pub fn walk(dir: &Path) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found
}

/// A number from the environment.
pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |n| n.parse().unwrap())
}

/// Archives libraries without a browser: so many items of that size each.
pub fn fill(data: &Path, libraries: &[(usize, u64)]) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Store::init(data, Arc::new(RealDisk), Arc::clone(&clock)).unwrap();
    let archive =
        Arc::new(shoebox::archive::Archive::open(data, Arc::new(RealDisk), Arc::clone(&clock)).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for (seed, &(items, size)) in (1..).zip(libraries) {
        let config = SimConfig { items, seed, file_bytes: FileBytes::Fixed(size), ..SimConfig::default() };
        let pass = sync::run(
            Arc::clone(&archive),
            Arc::new(FakeLibrary::new(config)),
            Arc::clone(&clock),
            // Nobody to be polite to.
            SyncOptions {
                listing: ListingMode::Whole,
                limits: Limits { workers: 8, calls_per_second: 1e6, ..Limits::default() },
                ..SyncOptions::default()
            },
            Arc::new(Progress::default()),
            tokio_util::sync::CancellationToken::new(),
        );
        let report = runtime.block_on(pass);
        assert_eq!(report.archived, items as u64, "{}", report.sentence());
    }
}
