//! Bad input: one clear sentence, the right exit code, nothing damaged.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::support::{run, shoebox, succeed, text};

fn with(data: &Path, args: &[&str]) -> Command {
    let mut command = shoebox();
    command.args(args).env("SHOEBOX_DATA", data).env("SHOEBOX_PROFILE", data.with_extension("profile"));
    command
}

/// Requires an exit code and one sentence that names what it must.
async fn refused(command: Command, code: i32, words: &[&str]) {
    let output = run(command).await;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with("shoebox:")).collect();
    assert!(code == 4 || lines.len() == 1, "not one sentence: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_is_exit_code_4() {
    refused(with(Path::new("/x"), &["sync", "--workers", "0"]), 4, &["--workers"]).await;
    refused(with(Path::new("/x"), &["sync", "--resolve", "nonsense"]), 4, &["PATTERN=ADDR:PORT"]).await;
    refused(with(Path::new("/x"), &["dance"]), 4, &["dance"]).await;
    let help = run(with(Path::new("/x"), &["--help"])).await;
    assert_eq!(help.status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_empty_volume_never_becomes_an_archive() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("nowhere");
    refused(with(&missing, &["sync"]), 1, &["nowhere", "init"]).await;
    assert!(!missing.exists());
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    refused(with(&empty, &["sync"]), 1, &["empty", "init"]).await;
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
    let foreign = dir.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("holiday.jpg"), "x").unwrap();
    refused(with(&foreign, &["init"]), 4, &["foreign", "empty directory"]).await;
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_browser_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("archive");
    succeed(with(&data, &["init"])).await;
    refused(with(&data, &["sync", "--browser", "/no/such/chrome"]), 1, &["/no/such/chrome", "--browser"])
        .await;
    refused(with(&data, &["sync", "--ca", "/no/such.pem"]), 1, &["/no/such.pem"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_is_away_is_told_from_a_lost_login() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("archive");
    run(with(&data, &["init"])).await;
    let mut sync = with(&data, &["sync"]);
    sync.env("SHOEBOX_RESOLVE", "*=127.0.0.1:1").env("SHOEBOX_PROFILE", dir.path().join("profile"));
    refused(sync, 1, &["cannot be reached from this machine", "ERR_CONNECTION_REFUSED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_instance_is_told_who_holds_the_archive() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("archive");
    succeed(with(&data, &["init"])).await;
    let held = crate::sync::support::open(&data);
    refused(with(&data, &["sync"]), 11, &[&std::process::id().to_string()]).await;
    refused(with(&data, &["rebuild-index"]), 11, &[&std::process::id().to_string()]).await;
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_archive_formats_are_refused_and_left_alone() {
    for (version, word) in [(99, "update shoebox"), (0, "")] {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("archive");
        succeed(with(&data, &["init"])).await;
        let path = data.join("archive.json");
        let text = fs::read_to_string(&path).unwrap();
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let field = if value.get("format").is_some() { "format" } else { "version" };
        value[field] = version.into();
        fs::remove_file(&path).unwrap();
        fs::write(&path, value.to_string()).unwrap();
        let before = crate::sync::support::files(&data);
        refused(with(&data, &["sync"]), 1, &["format", word]).await;
        assert_eq!(crate::sync::support::files(&data), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_is_named_and_costs_only_itself() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("archive");
    succeed(with(&data, &["init"])).await;
    {
        let archive = crate::sync::support::open(&data);
        let library =
            shoebox::sim::fake::FakeLibrary::new(shoebox::sim::SimConfig { items: 20, ..Default::default() });
        let report = crate::sync::support::pass(&archive, &std::sync::Arc::new(library)).await;
        assert_eq!(report.archived, 20);
    }
    let records = crate::sync::support::files(&data.join("records"));
    let victim = records.keys().next().unwrap();
    let bytes = fs::read(victim).unwrap();
    fs::remove_file(victim).unwrap();
    fs::write(victim, &bytes[..bytes.len() / 2]).unwrap();
    let output = run(with(&data, &["verify"])).await;
    let name = Path::new(victim).file_name().unwrap().to_str().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains(name), "{}", text(&output.stdout));
    let rebuilt = run(with(&data, &["rebuild-index"])).await;
    assert!(text(&rebuilt.stdout).contains("19 items"), "{}", text(&rebuilt.stdout));
    assert!(text(&rebuilt.stdout).contains(name), "{}", text(&rebuilt.stdout));
}

/// A small file system of its own, unmounted at the end.
struct Volume(tempfile::TempDir);

impl Volume {
    fn new(options: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(dir.path())
            .status()
            .unwrap();
        assert!(status.success(), "these tests need root");
        Self(dir)
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0.path()).status().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_the_run_and_the_same_command_goes_on_when_there_is_room() {
    let volume = Volume::new("size=24m");
    let data = volume.0.path().join("archive");
    succeed(with(&data, &["init"])).await;
    let library = std::sync::Arc::new(shoebox::sim::fake::FakeLibrary::new(shoebox::sim::SimConfig {
        items: 40,
        file_bytes: shoebox::sim::FileBytes::Fixed(1 << 20),
        ..Default::default()
    }));
    {
        let archive = crate::sync::support::open(&data);
        let report = crate::sync::support::pass(&archive, &library).await;
        let sentence = report.sentence();
        let outcome = report.outcome();
        assert!(matches!(outcome, shoebox::sync::report::Outcome::DiskFull { .. }), "{sentence}");
        assert!(sentence.contains("space") || sentence.contains("full"), "{sentence}");
        assert!(report.archived > 5, "{sentence}");
    }
    succeed(with(&data, &["verify"])).await;
    let grown =
        Command::new("mount").args(["-o", "remount,size=200m"]).arg(volume.0.path()).status().unwrap();
    assert!(grown.success());
    let archive = crate::sync::support::open(&data);
    let report = crate::sync::support::pass(&archive, &library).await;
    assert_eq!(report.outcome(), &shoebox::sync::report::Outcome::Complete, "{}", report.sentence());
    crate::sync::support::assert_equal(&archive, &library.ledger());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_cannot_be_written_is_named() {
    let volume = Volume::new("size=8m");
    let data = volume.0.path().join("archive");
    succeed(with(&data, &["init"])).await;
    let locked = Command::new("mount").args(["-o", "remount,ro"]).arg(volume.0.path()).status().unwrap();
    assert!(locked.success());
    refused(with(&data, &["sync"]), 1, &["archive", "ead-only"]).await;
    refused(with(&volume.0.path().join("other"), &["init"]), 1, &["other", "ead-only"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_fuse_is_told_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("archive");
    succeed(with(&data, &["init"])).await;
    // A mount namespace of its own, with an empty /dev.
    let program = assert_cmd::cargo::cargo_bin!("shoebox");
    let script = "mount -t tmpfs tmpfs /dev && exec \"$0\" mount \"$1\"";
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c", script])
        .arg(program)
        .arg(dir.path().join("view"))
        .env("SHOEBOX_DATA", &data);
    refused(command, 1, &["/dev/fuse", "--device"]).await;
    fs::write(dir.path().join("file"), "").unwrap();
    let file = dir.path().join("file");
    refused(with(&data, &["mount", file.to_str().unwrap()]), 1, &["not a directory"]).await;
    refused(with(&data, &["mount", dir.path().to_str().unwrap()]), 1, &["not empty"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_read_enough_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("archive");
    succeed(with(&data, &["init"])).await;
    for args in [&["report"][..], &["status"], &["quarantine", "list"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = with(&data, args);
        let output = command.stdout(writer).stderr(std::process::Stdio::piped()).spawn().unwrap();
        drop(command);
        let output = output.wait_with_output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{args:?}");
    }
}
