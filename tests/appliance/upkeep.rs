//! What a running appliance does when nobody looks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use shoebox::sim::{FileBytes, SimConfig};

use super::people::events;
use super::support::{Running, Stage, ask, eventually, run, succeed};
use crate::notice::desk::Desk;
use crate::promises::volume::Volume;
use crate::sync::support::files;

/// What `/api/status` says once it says what is waited for.
async fn status_when(listen: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let until = std::time::Instant::now() + Duration::from_secs(120);
    loop {
        let answer = match ask(listen, "/api/status").await {
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
    // Anna is told by a way of her own; the volume is everybody's.
    let (for_anna, for_all) = (Desk::open().await, Desk::open().await);
    let hook = |desk: &Desk| format!("http://{}/hook", desk.address);
    let accounts = stage.dir.path().join("accounts.toml");
    fs::write(&accounts, format!("[Anna]\nprofile = \"profile\"\ntell = [\"{}\"]\n", hook(&for_anna)))
        .unwrap();
    let start = || {
        let mut running = command(&["run", "--listen", &listen, "--schedule", "1h"]);
        running.env("SHOEBOX_ACCOUNTS", &accounts).env("SHOEBOX_TELL", hook(&for_all));
        Running(running.spawn().unwrap())
    };
    let mut appliance = start();
    let full = status_when(&listen, |status| status["last_run"]["outcome"] == "disk-full").await;
    eventually("who is told", || events(&for_anna).len() + events(&for_all).len() >= 2);
    assert_eq!(events(&for_anna), ["disk-low Anna: The volume is full"]);
    assert_eq!(events(&for_all), ["disk-low The volume is full"]);
    let reason = full["last_run"]["reason"].as_str().unwrap();
    assert!(reason.contains("free"), "{reason}");
    // Restarting it would not help: it is well.
    assert_eq!(succeed(command(&["health", "--listen", &listen])).await, "ok\n");
    let reserve = shoebox::store::default_reserve(512 * MIB);
    // Records of what was fetched and the index may use half of it.
    assert!(free(&volume.at()) >= reserve / 2, "the reserve was used up");
    // A restart does not forget who was told.
    assert!(appliance.stop().success());
    let mut appliance = start();
    let is_another = |status: &Value| status["last_run"]["started"] != full["last_run"]["started"];
    status_when(&listen, |status| is_another(status) && status["last_run"]["outcome"] == "disk-full").await;
    fs::remove_file(&filler).unwrap();
    status_when(&listen, |status| status["last_run"]["outcome"] == "complete").await;
    eventually("who is told", || events(&for_anna).len() + events(&for_all).len() >= 4);
    assert_eq!(events(&for_anna)[1..], ["recovered Anna: It works again"]);
    assert_eq!(events(&for_all)[1..], ["recovered It works again"]);
    assert!(appliance.stop().success());
    let verified = run(command(&["verify"])).await;
    assert!(verified.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_told_and_mended_while_nobody_looks() {
    let stage = Stage::new(SimConfig { items: 20, ..SimConfig::default() }).await;
    succeed(stage.command(&["sync"])).await;
    let damaged = PathBuf::from(files(&stage.data().join("blobs")).into_keys().next().unwrap());
    let sound = fs::read(&damaged).unwrap();
    fs::set_permissions(&damaged, fs::Permissions::from_mode(0o644)).unwrap();
    let mut bytes = sound.clone();
    bytes[7] ^= 1;
    fs::write(&damaged, &bytes).unwrap();

    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listen = port.to_string();
    let mut command =
        stage.command(&["run", "--listen", &listen, "--schedule", "20s", "--verify-within", "7d"]);
    let log = stage.dir.path().join("log");
    let child = command.stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
    let mut appliance = Running(child);
    status_when(&listen, |status| status["damaged"] == 1).await;
    let page = ask(&listen, "/").await.unwrap().text().await.unwrap();
    assert!(page.contains("1 file is damaged"), "{page}");
    let told = succeed(stage.command(&["status"])).await;
    let name = damaged.file_name().unwrap().to_str().unwrap();
    assert!(told.contains("1 file is damaged") && told.contains(name), "{told}");
    // The next pass fetches it again.
    status_when(&listen, |status| status["damaged"] == 0).await;
    assert!(appliance.stop().success());
    assert_eq!(fs::read(&damaged).unwrap(), sound);
    // The bad bytes are kept aside.
    let kept = files(&stage.data().join("quarantine"));
    assert!(kept.keys().any(|file| fs::read(file).unwrap() == bytes), "{kept:?}");
    let log = fs::read_to_string(&log).unwrap();
    assert_eq!(log.matches("damage found").count(), 1, "{log}");
    assert!(fs::read_dir(stage.data().join("backup")).unwrap().count() == 1, "the index was not copied");
    succeed(stage.command(&["verify"])).await;
}
