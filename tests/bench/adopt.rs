//! A Takeout of 5,000 photos, adopted, beside `sha256sum` over the same files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use shoebox::adopt::{self, Options};
use shoebox::archive::Archive;
use shoebox::model::SystemClock;
use shoebox::sim::fake::FakeLibrary;
use shoebox::sim::takeout::{Form, Takeout};
use shoebox::sim::{FileBytes, SimConfig};
use shoebox::store::{RealDisk, Store};
use tokio_util::sync::CancellationToken;

use super::{median, rate};

const ITEMS: usize = 5000;
/// Half of the photos that phones take are smaller.
const SIZE: u64 = 1_500_000;
const ROUNDS: usize = 3;

/// Zips of 2 GB, albums in them once more.
pub fn against_sha256sum(dir: &Path) {
    for form in [Form::Zip, Form::Folder] {
        let (export, archives) = (dir.join("export"), dir.join("archives"));
        let config = SimConfig { items: ITEMS, file_bytes: FileBytes::About(SIZE), ..SimConfig::default() };
        let library = FakeLibrary::new(config);
        Takeout { form, ..Takeout::default() }.export(library.library(), &export).unwrap();
        fs::create_dir_all(&archives).unwrap();
        let (mut files, mut bytes) = (Vec::new(), 0);
        list(&export, &mut files, &mut bytes);
        let list = dir.join("list");
        fs::write(&list, files.iter().map(|path| format!("{}\0", path.display())).collect::<String>())
            .unwrap();
        let (mut ours, mut theirs, mut dry) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let began = Instant::now();
            let sum = Command::new("xargs")
                .args(["-0", "-a"])
                .arg(&list)
                .arg("sha256sum")
                .stdout(Stdio::null())
                .status();
            assert!(sum.unwrap().success());
            theirs.push(began.elapsed());
            let root = archives.join(round.to_string());
            Store::init(&root, Arc::new(RealDisk), Arc::new(SystemClock)).unwrap();
            let archive = Archive::open(&root, Arc::new(RealDisk), Arc::new(SystemClock)).unwrap();
            archive.store.set_reserve(Some(0));
            for (dry_run, times) in [(true, &mut dry), (false, &mut ours)] {
                let options = Options { dry_run, ..Options::default() };
                let (paths, now) = ([export.clone()], jiff::Timestamp::now());
                let began = Instant::now();
                let report = adopt::run(&archive, &paths, &options, now, &CancellationToken::new()).unwrap();
                times.push(began.elapsed());
                assert!(report.new as usize > ITEMS * 9 / 10 && report.trouble.is_empty(), "{report:?}");
            }
            drop(archive);
            fs::remove_dir_all(&root).unwrap();
        }
        let (ours, theirs, dry) = (median(ours), median(theirs), median(dry));
        println!(
            "a Takeout of {ITEMS} photos ({} MB, {}), adopted: {:.0} MB/s; a dry run {:.0}; sha256sum over the same files {:.0}; \
             ratio {:.2}",
            bytes / 1_000_000,
            if form == Form::Zip { "zips" } else { "folders" },
            rate(bytes, ours),
            rate(bytes, dry),
            rate(bytes, theirs),
            theirs.as_secs_f64() / ours.as_secs_f64(),
        );
        fs::remove_dir_all(&export).unwrap();
    }
}

fn list(dir: &Path, files: &mut Vec<PathBuf>, bytes: &mut u64) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, files, bytes);
        } else {
            *bytes += path.metadata().unwrap().len();
            files.push(path);
        }
    }
}
