//! Restoring on a bare machine, from what any program has copied, in pieces.

use std::process::Command;
use std::time::Duration;

use super::support::*;
use crate::appliance::support::{run, succeed, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_killed_goes_on_and_a_plain_copy_is_enough() {
    let seed = crate::store::support::seed();
    let mut rng = fastrand::Rng::with_seed(seed);
    let stage = Stage::new(200);
    let copy = stage.path("copy");
    assert!(Command::new("cp").arg("-a").args([stage.data(), copy.clone()]).status().unwrap().success());
    let mut kills = 0;
    // Anew where one was quicker than its end.
    for round in 0.. {
        let restored = stage.path(&format!("restored-{round}"));
        let restore = || {
            let mut command = stage.command(&["restore", copy.to_str().unwrap()]);
            command.env("SHOEBOX_DATA", &restored);
            command
        };
        for _ in 0..5 {
            let mut child = restore().spawn().unwrap();
            tokio::time::sleep(Duration::from_millis(rng.u64(10..70))).await;
            kills += u32::from(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let told = succeed(restore()).await;
        assert!(told.contains("200 items"), "{told}");
        assert!(truth(&restored) == truth(&stage.data()));
        let mut verify = stage.command(&["verify"]);
        verify.env("SHOEBOX_DATA", &restored);
        succeed(verify).await;
        if kills >= 5 {
            break;
        }
    }
    println!("{kills} kills in the middle");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_restored_is_named_and_the_rest_is_there() {
    let stage = Stage::new(10);
    let disk = stage.path("disk");
    succeed(stage.command(&["replicate", disk.to_str().unwrap()])).await;
    let blobs: Vec<_> = truth(&disk).into_keys().filter(|file| file.starts_with("blobs")).collect();
    spoil(&disk.join(&blobs[0]));
    std::fs::remove_file(disk.join(&blobs[1])).unwrap();
    let restored = stage.path("restored");
    let mut restore = stage.command(&["restore", disk.to_str().unwrap()]);
    restore.env("SHOEBOX_DATA", &restored);
    let partial = run(restore).await;
    let told = text(&partial.stdout);
    assert_eq!(partial.status.code(), Some(2), "{told}");
    assert!(told.contains(&blobs[0]) && told.contains(&blobs[1]), "{told}");
    assert!(told.contains("2 files could NOT be restored"), "{told}");
    let there = truth(&restored);
    assert_eq!(there.len() + 2, truth(&stage.data()).len());
    assert!(!there.contains_key(&blobs[0]) && !there.contains_key(&blobs[1]));
    // A drill over it fails, and one over a replica without its records does not call that whole.
    let drill = run(stage.command(&["drill", disk.to_str().unwrap()])).await;
    assert_eq!(drill.status.code(), Some(1), "{}", text(&drill.stdout));
    for record in truth(&disk).into_keys().filter(|file| file.starts_with("records")) {
        std::fs::remove_file(disk.join(record)).unwrap();
    }
    let drill = run(stage.command(&["drill", disk.to_str().unwrap()])).await;
    let told = text(&drill.stdout);
    assert!(drill.status.code() == Some(2) && told.contains("it is not everything"), "{told}");
}
