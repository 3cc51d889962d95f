//! Encrypted replicas: what is there is nothing to anybody without the key, and everything with it.

use std::path::Path;
use std::process::Command;

use super::support::*;
use crate::appliance::support::{run, succeed, text};

/// Makes a key; returns its file and the public key.
async fn key(stage: &Stage, name: &str) -> (String, String) {
    let file = stage.path(name).to_str().unwrap().to_owned();
    let told = succeed(stage.command(&["new-key", &file])).await;
    (file, told.lines().last().unwrap().to_owned())
}

/// A shell script in a text, by the line before it.
fn script<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap();
    &rest[..rest.find(to).unwrap()]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_replica_opens_with_its_key_alone_and_without_shoebox() {
    let stage = Stage::new(25);
    stage.add(25..26, 9 << 20);
    let (file, public) = key(&stage, "key").await;
    let (other_file, other) = key(&stage, "other").await;
    let disk = stage.path("disk").to_str().unwrap().to_owned();
    succeed(stage.command(&["replicate", &disk, "--encrypt-to", &public])).await;
    // Nothing of an original is there in the clear.
    for (name, bytes) in truth(Path::new(&disk)) {
        assert!(name.ends_with(".age") && bytes.starts_with(b"age-encryption.org/v1"), "{name}");
    }
    let told = succeed(stage.command(&["replicate", &disk, "--encrypt-to", &public])).await;
    assert!(told.starts_with("Nothing new"), "{told}");
    // Neither unencrypted nor to somebody else from now on.
    for args in [&[][..], &["--encrypt-to", &other], &["--encrypt-to", &format!("{public};{other}")]] {
        let refused = run(stage.command(&[&["replicate", &disk], args].concat())).await;
        let told = text(&refused.stderr);
        assert!(refused.status.code() == Some(1) && told.contains("what is there is encrypted to"), "{told}");
    }
    // Without the key it cannot be read, and that is said.
    for identity in [&[][..], &["--identity", &other_file]] {
        let refused = run(stage.command(&[&["verify", "--replica", &disk], identity].concat())).await;
        let told = text(&refused.stderr);
        assert!(
            refused.status.code() == Some(4) && told.contains("--identity") && told.contains(&public),
            "{told}"
        );
    }
    succeed(stage.command(&["verify", "--replica", &disk, "--identity", &file])).await;
    let told = succeed(stage.command(&["drill", &disk, "--identity", &file])).await;
    assert!(told.contains("26 of 26"), "{told}");
    let restored = stage.path("restored");
    let mut restore = stage.command(&["restore", &disk, "--identity", &file]);
    restore.env("SHOEBOX_DATA", &restored);
    succeed(restore).await;
    let truth_here = truth(&stage.data());
    assert!(truth(&restored) == truth_here);
    // Without its mark it is not taken for an archive of nothing.
    let mark = Path::new(&disk).join("replica.json");
    std::fs::rename(&mark, stage.path("mark")).unwrap();
    let mut restore = stage.command(&["restore", &disk, "--identity", &file]);
    restore.env("SHOEBOX_DATA", stage.path("nothing"));
    let refused = run(restore).await;
    assert!(!refused.status.success() && text(&refused.stderr).contains("replica.json is missing"));
    std::fs::rename(stage.path("mark"), &mark).unwrap();
    // A byte that changes there is noticed, and mended.
    let blob = truth(Path::new(&disk)).into_keys().next().unwrap();
    spoil(&Path::new(&disk).join(&blob));
    let found = run(stage.command(&["verify", "--replica", &disk, "--identity", &file])).await;
    assert!(
        found.status.code() == Some(1) && text(&found.stdout).contains("1 damaged"),
        "{}",
        text(&found.stdout)
    );
    succeed(stage.command(&["verify", "--replica", &disk, "--identity", &file, "--resend"])).await;
    // As README.txt there says, with age alone; and then as FORMAT.md says.
    let text = std::fs::read_to_string(Path::new(&disk).join("README.txt")).unwrap();
    let (_, opening) = text.split_once("of these keys:\n").unwrap();
    let opening = opening.replace("KEY-FILE", &file);
    let opened = Command::new("sh").args(["-euc", &opening]).current_dir(&disk).status().unwrap();
    assert!(opened.success());
    assert!(truth(Path::new(&disk)) == truth_here);
    let format = std::fs::read_to_string(Path::new(&disk).join("FORMAT.md")).unwrap();
    let check = script(&format, "```sh check\n", "```");
    let checked = Command::new("sh").args(["-euc", check, "check", &disk]).status().unwrap();
    assert!(checked.success());
}
