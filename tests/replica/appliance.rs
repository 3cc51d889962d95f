//! The replica that a running appliance keeps.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use shoebox::sim::SimConfig;

use super::support::{spoil, truth};
use crate::appliance::support::{Running, Stage, ask, run, succeed};

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = std::time::Instant::now() + Duration::from_secs(120);
    while !is_so() {
        assert!(std::time::Instant::now() < end, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn free_port() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_brings_is_there_twice_drilled_and_mends_what_is_damaged() {
    let stage = Stage::new(SimConfig { items: 20, ..SimConfig::default() }).await;
    succeed(stage.command(&["sync"])).await;
    let disk = stage.dir.path().join("disk");
    succeed(stage.command(&["replicate", disk.to_str().unwrap()])).await;
    let before = truth(&stage.data());
    assert!(truth(&disk) == before);
    // The copy mends it at once, before Google is asked.
    let damaged = before.keys().next().unwrap().clone();
    spoil(&stage.data().join(&damaged));
    let listen = free_port();
    let mut command =
        stage.command(&["run", "--listen", &listen, "--schedule", "1h", "--verify-within", "7d"]);
    command.env("SHOEBOX_REPLICATE", &disk);
    let log = stage.dir.path().join("log");
    let child = command.stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
    let mut appliance = Running(child);
    let said = || fs::read_to_string(&log).unwrap();
    until("mending", || said().contains("was mended from")).await;
    until("the drill", || said().contains("This replica can be restored")).await;
    let page = ask(&listen, "/").await.unwrap().text().await.unwrap();
    assert!(page.contains("Second copy at") && page.contains("restored what it drew"), "{page}");
    assert!(appliance.stop().success());
    let now = truth(&stage.data());
    assert!(now[&damaged] == before[&damaged] && truth(&disk) == now, "{}", said());
    let told = succeed(stage.command(&["status"])).await;
    assert!(told.contains("Copy") && told.contains("complete on") && told.contains("a drill on"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_cannot_be_is_told_and_holds_nothing_up() {
    let stage = Stage::new(SimConfig { items: 5, ..SimConfig::default() }).await;
    let holiday = stage.dir.path().join("holiday");
    fs::create_dir(&holiday).unwrap();
    fs::write(holiday.join("beach.jpg"), b"x").unwrap();
    let told = stage.dir.path().join("told");
    let program = stage.dir.path().join("tell");
    fs::write(&program, format!("#!/bin/sh\necho \"$SHOEBOX_EVENT $SHOEBOX_TEXT\" >>{}\n", told.display()))
        .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let listen = free_port();
    let mut command = stage.command(&["run", "--listen", &listen, "--schedule", "1h"]);
    command
        .env("SHOEBOX_REPLICATE", &holiday)
        .env("SHOEBOX_TELL", format!("exec://{}", program.display()))
        .stderr(fs::File::create(stage.dir.path().join("log")).unwrap());
    let mut appliance = Running(command.spawn().unwrap());
    until("the word", || fs::read_to_string(&told).is_ok_and(|told| told.contains("replica-behind"))).await;
    let told = fs::read_to_string(&told).unwrap();
    assert!(told.contains("beach.jpg") && told.contains("holiday"), "{told}");
    // The photos come all the same.
    let blobs = || crate::store::support::files_below(&stage.data().join("blobs")).len();
    until("archiving", || blobs() >= 5).await;
    assert!(appliance.stop().success());
    assert_eq!(fs::read_dir(&holiday).unwrap().count(), 1);
    let status = run(stage.command(&["status"])).await;
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(text.contains("behind since"), "{text}");
}
