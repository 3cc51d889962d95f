//! The main job as a person would do it: init, sync, mount, look, sync again, verify, rebuild, export.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use shoebox::model::digest::digests_of;
use shoebox::sim::SimConfig;

use super::support::{Running, Stage, ask, eventually, is_mounted, run, succeed, text};

/// Hashes of all files below a directory, and their number.
fn hashes(dir: &Path) -> (BTreeSet<String>, usize) {
    let (mut found, mut files, mut open) = (BTreeSet::new(), 0, vec![dir.to_owned()]);
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.file_name().unwrap() != "SHA256SUMS" {
                let bytes = fs::read(&path).unwrap();
                assert_eq!(bytes.len() as u64, path.metadata().unwrap().size(), "{}", path.display());
                found.insert(digests_of(&bytes).sha256.hex());
                files += 1;
            }
        }
    }
    (found, files)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_in_browser_in_a_verified_mounted_archive_out() {
    let stage = Stage::new(SimConfig { items: 90, page: 40, ..SimConfig::default() }).await;
    let ledger = stage.sim.ledger();
    let parts: usize = ledger.items.iter().map(|item| item.parts.len()).sum();
    let wanted: BTreeSet<String> = ledger.wanted().into_keys().collect();
    let view = stage.dir.path().join("view");

    // Mounted before there is anything, so that the sync is seen as it goes.
    let mut mount = Running(stage.command(&["mount", view.to_str().unwrap()]).spawn().unwrap());
    eventually("the view", || is_mounted(&view));
    let report = succeed(stage.command(&["sync", "--json"])).await;
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["outcome"], "complete", "{report}");
    assert_eq!(report["archived"], 90);
    let (by_date, by_camera) = (view.join("by-date"), view.join("by-camera"));
    eventually("every file in the view", || hashes(&by_date).1 == parts);
    assert_eq!(hashes(&by_date), (wanted.clone(), parts));
    assert_eq!(hashes(&by_camera), (wanted.clone(), parts));

    let second = succeed(stage.command(&["sync"])).await;
    assert!(second.contains("Nothing was downloaded."), "{second}");
    assert_eq!(stage.sim.counters().mutating, 0);
    assert_eq!(stage.sim.counters().cookie_leaks, 0);

    let verified = succeed(stage.command(&["verify"])).await;
    assert!(verified.contains("all as they were written"), "{verified}");
    let status = succeed(stage.command(&["status"])).await;
    assert!(status.contains("Items     90"), "{status}");
    let rebuilt = succeed(stage.command(&["rebuild-index"])).await;
    assert!(rebuilt.contains("90 items"), "{rebuilt}");
    // The mounted view goes on over the new index.
    assert_eq!(hashes(&by_date), (wanted.clone(), parts));

    let target = stage.dir.path().join("plain");
    succeed(stage.command(&["export", target.to_str().unwrap()])).await;
    assert_eq!(hashes(&target), (wanted, parts));
    let checked = Command::new("sha256sum")
        .args(["-c", "--quiet", "SHA256SUMS"])
        .current_dir(&target)
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", text(&checked.stdout));
    let again = succeed(stage.command(&["export", target.to_str().unwrap()])).await;
    assert!(again.starts_with("0 files copied"), "{again}");

    assert!(mount.stop().success());
    assert!(!is_mounted(&view), "the view is still mounted");
    shoebox::view::mountpoint::release(&view).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_appliance_syncs_shows_and_tells_by_itself() {
    let stage = Stage::new(SimConfig { items: 30, ..SimConfig::default() }).await;
    fs::remove_dir_all(stage.data()).unwrap();
    let view = stage.dir.path().join("view");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listen = port.to_string();
    let args = ["run", "--init", "--view", view.to_str().unwrap(), "--listen", &listen, "--schedule", "1h"];
    let mut appliance = Running(stage.command(&args).spawn().unwrap());
    let parts: usize = stage.sim.ledger().items.iter().map(|item| item.parts.len()).sum();
    eventually("the view", || is_mounted(&view));
    let by_date = view.join("by-date");
    let seen = tokio::task::spawn_blocking(move || {
        eventually("the first sync", || hashes(&by_date).1 == parts);
    });
    seen.await.unwrap();
    let health = succeed(stage.command(&["health", "--listen", &listen])).await;
    assert_eq!(health, "ok\n");
    let page = async |path: &str| ask(&listen, path).await.unwrap().text().await.unwrap();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !page("/api/status").await.contains("\"outcome\":\"complete\"") {
        assert!(std::time::Instant::now() < until, "{}", page("/api/status").await);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let html = page("/").await;
    assert!(html.contains("30 items"), "{html}");
    // A second one is refused by name while this one runs.
    let other = run(stage.command(&["sync"])).await;
    assert_eq!(other.status.code(), Some(11), "{}", text(&other.stderr));
    let began = std::time::Instant::now();
    assert!(appliance.stop().success());
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "took {:?} to stop", began.elapsed());
    assert!(!is_mounted(&view));
    shoebox::view::mountpoint::release(&view).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_a_killed_predecessor_is_cleared() {
    let dir = tempfile::tempdir().unwrap();
    let (data, view) = (dir.path().join("archive"), dir.path().join("view"));
    let command = |args: &[&str]| {
        let mut command = super::support::shoebox();
        command.args(args).env("SHOEBOX_DATA", &data);
        command
    };
    succeed(command(&["init"])).await;
    let mut killed = command(&["mount", view.to_str().unwrap()]).spawn().unwrap();
    eventually("the view", || is_mounted(&view));
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(fs::read_dir(&view).is_err(), "a dead mount answers");
    let mut next = Running(command(&["mount", view.to_str().unwrap()]).spawn().unwrap());
    let views = shoebox::view::layout::shipped().len();
    eventually("the view again", || fs::read_dir(&view).is_ok_and(|entries| entries.count() == views));
    let refused = run(command(&["mount", view.to_str().unwrap()])).await;
    assert!(text(&refused.stderr).contains("mounted on"), "{}", text(&refused.stderr));
    assert_eq!(refused.status.code(), Some(1));
    // A file that is open does not keep the view from going.
    let held = fs::File::open(view.join("by-date")).unwrap();
    assert!(next.stop().success());
    drop(held);
    assert!(fs::read_dir(&view).is_err(), "not an empty directory");
    let freed = succeed(command(&["unmount", view.to_str().unwrap()])).await;
    assert!(freed.contains("ordinary directory again"), "{freed}");
    assert!(!is_mounted(&view));
    assert_eq!(fs::read_dir(&view).unwrap().count(), 0);
}
