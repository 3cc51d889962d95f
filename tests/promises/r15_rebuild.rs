//! R15: the index can be thrown away: made again from the records it is the same, also after a rebuild that was killed.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Instant;

use shoebox::archive::{Archive, index_path};
use shoebox::index::IndexReader;
use shoebox::store::Store;

use super::{Count, Row, seed};
use crate::appliance::support::shoebox;
use crate::index::archive::{dump, fill, open};
use crate::store::support::*;

const REBUILDS: Count = Count(200, 1000, 2000);
const KILLED: Count = Count(100, 500, 1000);

pub const ROWS: &[Row] = &[Row {
    number: 15,
    tried: "the index made again from the records; rebuilds that are killed",
    counts: &[REBUILDS, KILLED],
}];

#[test]
fn r15_an_index_made_again_is_the_same() {
    let mut random = fastrand::Rng::with_seed(seed("r15_an_index"));
    for _ in 0..REBUILDS.get() {
        let archive = TestArchive::within(fast_dir());
        let opened = open(&archive);
        fill(&opened, random.usize(1..8), &mut random);
        let before = dump(&opened);
        drop(opened);
        for file in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
            let _ = fs::remove_file(archive.root().join(file));
        }
        assert_eq!(dump(&open(&archive)), before);
    }
}

#[test]
fn r15_a_killed_rebuild_leaves_an_index_that_is_whole() {
    let mut random = fastrand::Rng::with_seed(seed("r15_a_killed_rebuild"));
    let archive = TestArchive::new();
    let opened = open(&archive);
    fill(&opened, 150, &mut random);
    let before = dump(&opened);
    opened.index.close().unwrap();
    drop(opened.store);
    let rebuild = || {
        let mut command = shoebox();
        command.args(["rebuild-index", "--data"]).arg(archive.root());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        command
    };
    let undisturbed = |_| {
        let began = Instant::now();
        assert!(rebuild().status().unwrap().success());
        began.elapsed()
    };
    let whole = (0..4).map(undisturbed).min().unwrap();
    let mut struck = 0;
    let kills = KILLED.get();
    for n in 0..kills {
        let mut child = rebuild().spawn().unwrap();
        std::thread::sleep(whole.mul_f64(random.f64()));
        struck += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        // As a mounted view would find it: without the lock, and before anybody has tidied up.
        let store =
            Store::open_read_only(&archive.root(), std::sync::Arc::new(shoebox::store::RealDisk), clock())
                .unwrap();
        let reader = IndexReader::open(&index_path(&archive.root()), store.id())
            .unwrap_or_else(|error| panic!("after kill {n}: {error}"));
        let mut text = Vec::new();
        reader.canonical_dump(&mut text).unwrap();
        assert!(text == before.as_bytes(), "after kill {n} the index says something else");
    }
    assert!(struck * 2 > kills, "only {struck} kills hit a rebuild");
    let opened: Archive = open(&archive);
    assert!(opened.recovery.rebuilt.is_none(), "{:?}", opened.recovery);
    assert_eq!(dump(&opened), before);
    let left: Vec<_> = fs::read_dir(archive.root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("index") && !name.starts_with("index.sqlite"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
