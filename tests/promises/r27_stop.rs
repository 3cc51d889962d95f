//! R27: asked to stop, it is out before a container is killed; asked twice, it is out at once.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use shoebox::sim::{Fault, FaultRule, RequestClass, SimConfig, When};

use super::{Count, Row, seed};
use crate::appliance::support::{Stage, succeed};
use crate::remote::browser::marked_processes;
use crate::store::support::findings;
use crate::sync::support::{assert_equal, open};

const STOPS: Count = Count(6, 15, 200);

pub const ROWS: &[Row] = &[Row {
    number: 27,
    tried: "SIGTERM while a sync starts its browser and while it works, half of them twice (each costs the start of a browser)",
    counts: &[STOPS],
}];

/// The grace of a container's stop.
const GRACE: Duration = Duration::from_secs(10);
/// "At once", on a machine that is busy.
const AT_ONCE: Duration = Duration::from_secs(2);

fn terminate(child: &Child) {
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
}

async fn ended(child: &mut Child, within: Duration, what: &str) -> (ExitStatus, Duration) {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return (status, began.elapsed());
        }
        if began.elapsed() > within {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{what}: not out after {within:?}");
        }
        // Another process has no event to wait for.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r27_asked_to_stop_it_is_out_in_time_and_the_archive_is_sound() {
    let (seed, stops) = (seed("r27_asked_to_stop"), STOPS.get());
    let mut random = fastrand::Rng::with_seed(seed);
    let stage = Stage::new(SimConfig { items: 400, seed, page: 60, ..SimConfig::default() }).await;
    let slow = Fault::Latency(Duration::from_millis(150));
    stage.sim.faults().set(FaultRule::new(RequestClass::Download, slow, When::Always));
    let (mut longest, mut worked) = (Duration::ZERO, 0);
    for stop in 0..stops {
        let mut command = stage.command(&["sync"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let twice = stop % 2 == 1;
        if stop % 4 < 2 {
            // In the work, which the simulator sees.
            let until = Instant::now() + Duration::from_secs(60);
            let wanted = stage.sim.counters().files() + random.u64(1..25);
            while stage.sim.counters().files() < wanted && child.try_wait().unwrap().is_none() {
                assert!(Instant::now() < until, "it does not come to its work");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            worked += 1;
        } else {
            tokio::time::sleep(Duration::from_millis(random.u64(20..3000))).await;
        }
        terminate(&child);
        if twice {
            // The second one means something once the first was heard.
            tokio::time::sleep(Duration::from_millis(random.u64(20..200))).await;
            terminate(&child);
            let (status, _) = ended(&mut child, AT_ONCE, "asked twice").await;
            assert_eq!(status.code(), Some(130), "{status}");
        } else {
            let (status, took) = ended(&mut child, GRACE, "asked once").await;
            assert_eq!(status.code(), Some(130), "{status}");
            longest = longest.max(took);
            let browser = marked_processes(&stage.dir.path().join("profile"));
            assert_eq!(browser, <[i32; 0]>::default(), "a browser stays behind");
        }
        let archive = open(&stage.data());
        assert_eq!(archive.recovery.findings, <[String; 0]>::default());
        assert_eq!(findings(&archive.store), []);
    }
    println!("{stops} stops, {worked} of them in the work; the longest took {longest:?}");
    stage.sim.faults().clear();
    succeed(stage.command(&["sync"])).await;
    assert_equal(&open(&stage.data()), &stage.sim.ledger());
}
