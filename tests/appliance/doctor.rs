//! `shoebox doctor`: what a volume and a machine lack is found before anything is archived.

use std::fs;
use std::path::Path;

use serde_json::Value;
use shoebox::sim::{Sim, SimConfig};

use super::support::{run, shoebox, succeed, text};
use crate::promises::volume::{Volume, run as can};

/// What is found of a volume, by what it is about.
async fn volume(data: &Path) -> Vec<(String, String)> {
    let mut command = shoebox();
    command.args(["doctor", "--json", "--data"]).arg(data);
    let output = run(command).await;
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let findings = found["volume"].as_array().unwrap().iter();
    findings.map(|finding| (word(&finding["about"]), word(&finding["severity"]))).collect()
}

fn severity(findings: &[(String, String)], about: &str) -> String {
    findings
        .iter()
        .find(|(name, _)| name == about)
        .unwrap_or_else(|| panic!("{about}: {findings:?}"))
        .1
        .clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_volume_is_called_good_and_left_as_it_was() {
    let Some(disk) = Volume::new(64 << 20, &[], "noatime") else {
        println!("not tried: this needs root and a loop device");
        return;
    };
    for archive in [false, true] {
        let data = disk.at().join("archive");
        if archive {
            let mut command = shoebox();
            command.args(["init", "--data"]).arg(&data);
            succeed(command).await;
        } else {
            fs::create_dir(&data).unwrap();
        }
        let before = crate::sync::support::files(&data);
        let findings = volume(&data).await;
        assert!(
            findings.len() >= 11 && findings.iter().all(|(_, severity)| severity == "good"),
            "{findings:?}"
        );
        assert_eq!(crate::sync::support::files(&data), before);
        assert!(
            !archive || fs::read_dir(data.join("tmp")).unwrap().count() == 1,
            "the browser's directory alone"
        );
        fs::remove_dir_all(&data).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_volume_lacks_is_named() {
    let Some(disk) = Volume::new(64 << 20, &["-O", "casefold", "-E", "encoding=utf8"], "noatime") else {
        println!("not tried: this needs root, a loop device and a kernel that can fold case");
        return;
    };
    let data = disk.at().join("archive");
    fs::create_dir(&data).unwrap();
    assert!(can("chattr", &["+F", data.to_str().unwrap()]));
    let findings = volume(&data).await;
    assert_eq!(severity(&findings, "case"), "bad");
    assert_eq!(severity(&findings, "replacing"), "good");

    let full = disk.at().join("full");
    let _ = std::io::copy(&mut std::io::repeat(1), &mut fs::File::create(full).unwrap());
    let findings = volume(&data).await;
    assert_eq!(severity(&findings, "space"), "bad");

    assert!(can("mount", &["-o", "remount,ro", disk.at().to_str().unwrap()]));
    let mut command = shoebox();
    command.args(["doctor", "--data"]).arg(&data);
    let output = run(command).await;
    let said = text(&output.stdout);
    assert!(output.status.code() == Some(1) && said.contains("Read-only file system"), "{said}");
    assert!(said.contains("-> give the user"), "{said}");
    let findings = volume(&disk.at().join("nowhere")).await;
    assert_eq!(severity(&findings, "writing"), "bad");
    assert!(!disk.at().join("nowhere").exists(), "it was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_in_memory_is_no_place_for_an_archive() {
    let findings = volume(Path::new("/dev/shm")).await;
    assert_eq!(severity(&findings, "kind"), "bad");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machine_is_examined_and_google_is_asked_the_time() {
    let sim = Sim::start(SimConfig { items: 1, ..SimConfig::default() }).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let doctor = || {
        let mut command = shoebox();
        command.arg("doctor").env("SHOEBOX_CA", sim.ca_file()).env("SHOEBOX_PROFILE", dir.path());
        command
    };
    let mut reached = doctor();
    reached.env("SHOEBOX_RESOLVE", format!("*={}", sim.address()));
    let said = succeed(reached).await;
    for part in ["photos.google.com/ answers", "clock        it is right", "nobody has signed in", "hromium"]
    {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
    // Nobody listens there.
    let mut refused = doctor();
    refused.env("SHOEBOX_RESOLVE", "*=127.0.0.1:9").env("SHOEBOX_BROWSER", "/nowhere/chromium");
    let output = run(refused).await;
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in ["BAD network", "refused", "BAD browser", "/nowhere/chromium", "must be mended"] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
}
