//! An archive that is somewhere else, mounted on a machine that has nothing of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::server::Server;
use super::support::*;
use crate::appliance::support::{Running, eventually, is_mounted, succeed};
use crate::store::support::files_below;

const TARGET: &str = "s3://photos/there";
const MIB: u64 = 1 << 20;

/// A mounted view; it ends with the test.
struct View {
    place: PathBuf,
    log: PathBuf,
    child: Running,
}

impl View {
    fn of(stage: &Stage, name: &str, mut command: Command) -> Self {
        let place = stage.path(name);
        fs::create_dir_all(&place).unwrap();
        let log = stage.path(&format!("{name}.log"));
        let child = Running(command.arg(&place).stderr(File::create(&log).unwrap()).spawn().unwrap());
        let view = Self { place, log, child };
        eventually("the mount", || is_mounted(&view.place));
        view
    }

    /// Paths of everything by date, with inode, size and time.
    fn tree(&self) -> BTreeMap<PathBuf, (u64, u64, i64)> {
        let root = self.place.join("all");
        let facts = |path: PathBuf| {
            let meta = fs::metadata(&path).unwrap();
            (path.strip_prefix(&root).unwrap().to_owned(), (meta.ino(), meta.size(), meta.mtime()))
        };
        files_below(&root).into_iter().map(facts).collect()
    }

    fn files(&self) -> Vec<PathBuf> {
        files_below(&self.place.join("all"))
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.child.stop();
        if std::thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("{}", log.lines().take(40).collect::<Vec<_>>().join("\n"));
        }
        let _ = shoebox::view::mountpoint::release(&self.place);
    }
}

/// Bytes of the files in a directory.
fn size_of(dir: &Path) -> u64 {
    let size = |file: PathBuf| fs::metadata(file).map_or(0, |meta| meta.len());
    files_below(dir).into_iter().map(size).sum()
}

/// Reads pieces of random files with 64 readers for so long, and compares each byte; returns pieces read.
fn read_with_64(files: &[(PathBuf, Vec<u8>)], seed: u64, time: Duration) -> u64 {
    let (pieces, until) = (AtomicU64::new(0), Instant::now() + time);
    std::thread::scope(|scope| {
        for reader in 0..64 {
            let pieces = &pieces;
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(seed ^ reader);
                while Instant::now() < until {
                    let (path, wanted) = &files[rng.usize(..files.len())];
                    let file = File::open(path).unwrap();
                    for _ in 0..4 {
                        let offset = rng.usize(0..wanted.len());
                        let mut got = vec![0; rng.usize(1..300_000)];
                        let n = file.read_at(&mut got, offset as u64).unwrap();
                        assert!(
                            n > 0 && got[..n] == wanted[offset..offset + n],
                            "{} at {offset}",
                            path.display()
                        );
                        pieces.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    pieces.into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_machine_shows_the_same_and_64_readers_read_right_bytes() {
    let server = Server::start().await;
    let stage = Stage::new(40);
    stage.add(40..42, 40 << 20);
    stage.add(42..50, 3 << 20);
    succeed(stage.at(&server.endpoint(), &["replicate", TARGET])).await;
    let cache = stage.path("cache");
    let mut command = stage.at(&server.endpoint(), &["mount", "--from", TARGET]);
    command.args(["--cache-size", "64MiB", "--follow-every", "1s", "--cache"]).arg(&cache);
    command.env("SHOEBOX_DATA", stage.path("no-archive-here"));
    let there = View::of(&stage, "there", command);
    let here = View::of(&stage, "here", stage.command(&["mount"]));
    assert!(there.tree() == here.tree(), "the views differ");
    assert_eq!(there.tree().len(), 50);
    // One behind the other, as a program that copies reads.
    for (one, other) in there.files().into_iter().zip(here.files()) {
        assert!(fs::read(&one).unwrap() == fs::read(&other).unwrap(), "{}", one.display());
    }
    let in_cache = size_of(&cache.join("originals"));
    assert!(in_cache <= 64 * MIB, "{in_cache} bytes are kept");
    let files: Vec<_> = there
        .files()
        .into_iter()
        .zip(here.files())
        .map(|(there, here)| (there, fs::read(here).unwrap()))
        .collect();
    let pieces = read_with_64(&files, crate::store::support::seed(), Duration::from_secs(8));
    let kept = size_of(&cache.join("originals"));
    println!("{pieces} pieces; {} MiB in the cache", kept / MIB);
    assert!(pieces > 100, "{pieces}");
    assert!(kept <= 64 * MIB, "{kept} bytes are kept");
    // What is archived here and sent appears there, beside the program that reads.
    drop(here);
    stage.add(50..53, 5000);
    succeed(stage.at(&server.endpoint(), &["replicate", TARGET])).await;
    eventually("news", || there.files().len() == 53);
    let here = View::of(&stage, "here", stage.command(&["mount"]));
    assert!(there.tree() == here.tree(), "the views differ");
    // The far end goes away: what is known stays, what must be fetched is an error, and soon.
    let small = there.files().into_iter().find(|path| fs::metadata(path).unwrap().len() < 10_000).unwrap();
    fs::read(&small).unwrap();
    drop(server);
    let began = Instant::now();
    assert_eq!(there.tree().len(), 53);
    fs::read(&small).unwrap();
    // Archived last, and never read.
    let unread = there.files().into_iter().find(|path| path.to_str().unwrap().contains("item-51")).unwrap();
    assert_eq!(fs::read(unread).unwrap_err().raw_os_error(), Some(5));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_replica_is_shown_with_its_key_and_damage_there_is_an_error() {
    let stage = Stage::new(5);
    stage.add(5..6, 37 << 20);
    let key = stage.path("key");
    let told = succeed(stage.command(&["new-key", key.to_str().unwrap()])).await;
    let public = told.lines().last().unwrap().to_owned();
    let disk = stage.path("disk");
    succeed(stage.command(&["replicate", disk.to_str().unwrap(), "--encrypt-to", &public])).await;
    let command = || {
        let mut command = stage.command(&["mount", "--from"]);
        command.arg(&disk).arg("--identity").arg(&key).arg("--cache").arg(stage.path("cache"));
        command
    };
    let there = View::of(&stage, "there", command());
    let here = View::of(&stage, "here", stage.command(&["mount"]));
    assert!(there.tree() == here.tree());
    let wanted: Vec<_> = here.files().into_iter().map(|path| fs::read(path).unwrap()).collect();
    let files: Vec<_> = there.files().into_iter().zip(wanted).collect();
    read_with_64(&files, crate::store::support::seed(), Duration::from_secs(3));
    for (path, wanted) in &files {
        assert!(fs::read(path).unwrap() == *wanted, "{}", path.display());
    }
    drop(there);
    // Another machine, with nothing in its cache, and a byte that changed at the far end.
    fs::remove_dir_all(stage.path("cache/originals")).unwrap();
    for name in truth(&disk).into_keys().filter(|name| name.starts_with("blobs")) {
        spoil(&disk.join(name));
    }
    let there = View::of(&stage, "there", command());
    for (path, _) in &files {
        let error = fs::read(path).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(5), "{}: {error}", path.display());
    }
    assert_eq!(there.files().len(), 6);
}
