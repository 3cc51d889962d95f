//! SIGKILL at random moments: nothing lost, nothing doubled, nothing corrupt.

use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

use shoebox::sim::{Fault, FaultRule, RequestClass, SimConfig, When};

use super::support::{Stage, succeed};
use crate::sync::support::{assert_equal, open};

/// Kills the whole process group of a sync again and again, each time a little later, until one comes
/// through; `KILLS` says how many, `SEED` replays a run.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_lose_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("SEED").unwrap_or_else(|| fastrand::u64(..));
    let kills = number("KILLS").unwrap_or(50);
    println!(
        "replay with: SEED={seed} KILLS={kills} cargo nextest run --features sim fifty_kills --no-capture"
    );
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
