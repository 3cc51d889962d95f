//! What a running appliance does when nobody looks.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use shoebox::sim::{FileBytes, SimConfig};

use super::support::{Running, Stage, run, succeed};
use crate::promises::volume::Volume;

/// What `/api/status` says once it says what is waited for.
async fn status_when(listen: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    shoebox::remote::net::install_tls();
    let until = std::time::Instant::now() + Duration::from_secs(120);
    loop {
        let answer = match reqwest::get(format!("http://{listen}/api/status")).await {
            Ok(answer) => serde_json::from_str(&answer.text().await.unwrap()).unwrap(),
            Err(error) => Value::from(error.to_string()),
        };
        if is_so(&answer) {
            return answer;
        }
        assert!(std::time::Instant::now() < until, "{answer}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_volume_is_told_and_heals_by_itself() {
    const MIB: u64 = 1 << 20;
    let Some(volume) = Volume::new(512 * MIB, &["-m", "0"], "noatime") else {
        println!("not tried: no volume of its own can be made here");
        return;
    };
    let files = FileBytes::Fixed(MIB);
    let stage = Stage::new(SimConfig { items: 12, file_bytes: files, ..SimConfig::default() }).await;
    let data = volume.at().join("archive");
    let command = |args: &[&str]| {
        let mut command = stage.command(args);
        command.env("SHOEBOX_DATA", &data);
        command
    };
    succeed(command(&["init"])).await;
    // Room for some of the items beside the reserve, not for all.
    let filler = volume.at().join("other");
    let free = |at: &Path| rustix::fs::statvfs(at).map(|space| space.f_bavail * space.f_frsize).unwrap();
    fs::write(&filler, vec![7; (free(&volume.at()) - 32 * MIB) as usize]).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listen = port.to_string();
    let child = command(&["run", "--listen", &listen, "--every", "1h"]).spawn().unwrap();
    let mut appliance = Running(child);
    let full = status_when(&listen, |status| status["last_run"]["outcome"] == "disk-full").await;
    let reason = full["last_run"]["reason"].as_str().unwrap();
    assert!(reason.contains("free"), "{reason}");
    // Restarting it would not help: it is well.
    assert_eq!(succeed(command(&["health", "--listen", &listen])).await, "ok\n");
    let reserve = shoebox::store::default_reserve(512 * MIB);
    // Records of what was fetched and the index may use half of it.
    assert!(free(&volume.at()) >= reserve / 2, "the reserve was used up");
    fs::remove_file(&filler).unwrap();
    status_when(&listen, |status| status["last_run"]["outcome"] == "complete").await;
    assert!(appliance.stop().success());
    let verified = run(command(&["verify"])).await;
    assert!(verified.status.success());
}
