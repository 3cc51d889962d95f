//! R1: SIGKILL at random moments: nothing lost, nothing doubled, nothing corrupt.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use shoebox::sim::fake::FakeLibrary;
use shoebox::sim::{Fault, FaultRule, FileBytes, RequestClass, SimConfig, When};

use super::sabotage::Sabotage;
use super::worker::{LENGTH, Task, Worker, library};
use super::{Count, Row, seed};
use crate::appliance::support::{Stage, succeed};
use crate::store::support::findings;
use crate::sync::support::{assert_equal, init, open, options, pass};

const APPLIANCE: Count = Count(25, 60, 2000);
const WORKER: Count = Count(175, 540, 18_000);

pub const ROWS: &[Row] = &[Row {
    number: 1,
    tried: "kills at random moments, of the whole appliance and of a bare archiver, also while it recovers",
    counts: &[APPLIANCE, WORKER],
}];

/// Kills the whole process group of a sync, browser and all, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn r01_kills_of_the_appliance_lose_nothing() {
    let (seed, kills) = (seed("r01_kills_of_the_appliance"), APPLIANCE.get());
    let mut random = fastrand::Rng::with_seed(seed);
    let stage = Stage::new(SimConfig { items: 300, seed, page: 60, ..SimConfig::default() }).await;
    // Slow enough that fifty kills fall into the work, not after it.
    let slow = Fault::Latency(Duration::from_millis(120));
    stage.sim.faults().set(FaultRule::new(RequestClass::Download, slow, When::Always));
    let mut struck = 0;
    for _ in 0..kills {
        let mut command = stage.command(&["sync", "--workers", "2"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(random.u64(1..3500))).await;
        if child.try_wait().unwrap().is_none() {
            let group = format!("-{}", child.id());
            std::process::Command::new("kill").args(["-KILL", "--", &group]).status().unwrap();
            struck += 1;
        }
        child.wait().unwrap();
    }
    assert!(struck * 2 > kills, "only {struck} of {kills} kills hit a running sync");
    stage.sim.faults().clear();
    succeed(stage.command(&["sync"])).await;
    let archive = open(&stage.data());
    let ledger = stage.sim.ledger();
    assert_equal(&archive, &ledger);
    let tmp = crate::sync::support::files(&stage.data().join("tmp"));
    assert!(tmp.is_empty(), "{tmp:?}");
    let totals = archive.index.reader().unwrap().totals().unwrap();
    let parts: usize = ledger.items.iter().map(|item| item.parts.len()).sum();
    assert_eq!((totals.items, totals.parts), (300, parts as u64));
    drop(archive);
    let verified = succeed(stage.command(&["verify"])).await;
    assert!(verified.contains("all as they were written"), "{verified}");
}

/// Kills a process that does nothing but archive, also while it recovers from the kill before; whenever a library
/// is whole, another one begins.
#[test]
fn r01_kills_of_a_worker_lose_nothing() {
    const ITEMS: usize = 300;
    const KINDS: FileBytes = FileBytes::Fixed(LENGTH);
    let (first, kills) = (seed("r01_kills_of_a_worker"), WORKER.get());
    let mut random = fastrand::Rng::with_seed(first);
    let dir = tempfile::tempdir().unwrap();
    let ledger = library(first, ITEMS, KINDS).ledger();
    let undisturbed = fetched_undisturbed(&dir.path().join("undisturbed"), library(first, ITEMS, KINDS));
    let (mut killed, mut whole) = (0, 0);
    while killed < kills {
        let root = dir.path().join(format!("archive-{whole}"));
        init(&root);
        let (mut promised, mut died, mut fetched) = (BTreeSet::new(), 0, 0);
        loop {
            let task = Task {
                root: &root,
                seed: first,
                items: ITEMS,
                kinds: KINDS,
                revised: 0,
                sabotage: Sabotage::None,
            };
            let mut worker = Worker::start(&task);
            // Half of the kills come early, when the one before is still being cleared up.
            let most = if random.bool() { 60 } else { 900 };
            std::thread::sleep(Duration::from_millis(random.u64(0..most)));
            if killed < kills && worker.child.try_wait().unwrap().is_none() {
                worker.child.kill().unwrap();
                (killed, died) = (killed + 1, died + 1);
            }
            let said = worker.end();
            promised.extend(said.kept);
            fetched += said.fetched;
            if said.done {
                break;
            }
        }
        let archive = open(&root);
        assert_eq!(archive.recovery.findings, <[String; 0]>::default());
        assert_equal(&archive, &ledger);
        assert!(
            ledger.items.iter().all(|item| promised.contains(&item.key)),
            "something was never acknowledged"
        );
        assert_eq!(findings(&archive.store), []);
        let tmp = crate::sync::support::files(&root.join("tmp"));
        assert!(tmp.is_empty(), "{tmp:?}");
        let totals = archive.index.reader().unwrap().totals().unwrap();
        assert_eq!((totals.items, totals.parts), (ITEMS as u64, ITEMS as u64));
        // A kill costs what was in flight: while one item is made durable, its worker fetches the next.
        let most = undisturbed + died * 3 * options().limits.workers as u64;
        assert!(fetched <= most, "{fetched} downloads instead of {undisturbed}, with {died} kills");
        whole += 1;
    }
    println!("{killed} kills, {whole} libraries whole");
}

/// Files that are fetched when nothing is in the way.
fn fetched_undisturbed(root: &Path, library: FakeLibrary) -> u64 {
    init(root);
    let (archive, library) = (open(root), Arc::new(library));
    tokio::runtime::Runtime::new().unwrap().block_on(pass(&archive, &library));
    library.fetches()
}
