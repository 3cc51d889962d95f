//! R25: a volume that is missing, empty, read-only or another archive's: every command refuses, and nothing begins a
//! second archive by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::Row;
use super::volume::run as succeeds;
use crate::appliance::support::{eventually, shoebox, text};
use crate::sync::support::{files, init};

pub const ROWS: &[Row] = &[Row {
    number: 25,
    tried: "every command on a volume that is missing, empty, something else's, read-only, or another archive's",
    counts: &[],
}];

const COMMANDS: [&[&str]; 9] = [
    &["sync"],
    &["run", "--listen", "127.0.0.1:0"],
    &["status"],
    &["verify"],
    &["report"],
    &["quarantine", "list"],
    &["rebuild-index"],
    &["mount", "VIEW"],
    &["export", "EXPORT"],
];

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, data: &Path, args: &[&str]) -> Command {
        let mut command = shoebox();
        for arg in args {
            match *arg {
                "VIEW" => command.arg(self.at("view")),
                "EXPORT" => command.arg(self.at("export")),
                arg => command.arg(arg),
            };
        }
        command
            .env("SHOEBOX_DATA", data)
            .env("SHOEBOX_PROFILE", self.at("profile"))
            .env("SHOEBOX_BROWSER", "/no/such/browser")
            .stdin(Stdio::null());
        command
    }

    fn refused(&self, data: &Path, args: &[&str], words: &[&str]) {
        let mut child =
            self.command(data, args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > until {
                child.kill().unwrap();
                panic!("{args:?} goes on with {}", data.display());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let Output { status, stderr, .. } = child.wait_with_output().unwrap();
        let said = text(&stderr);
        assert_eq!(status.code(), Some(1), "{args:?}: {said}");
        let sentences: Vec<_> = said.lines().filter(|line| line.starts_with("shoebox:")).collect();
        assert_eq!(sentences.len(), 1, "{args:?}: {said}");
        for word in words {
            assert!(sentences[0].contains(word), "{args:?}: `{word}` is not in {said}");
        }
    }

    /// As after syncs into the archive of that id.
    fn has_filled(&self, id: &str) {
        fs::create_dir_all(self.at("profile")).unwrap();
        fs::write(self.at("profile").join("shoebox-archive"), format!("{id}\n")).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Where no view could be shown, a guard keeps its place.
        let _ = shoebox::view::mountpoint::release(&self.at("view"));
    }
}

fn id(data: &Path) -> String {
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(data.join("archive.json")).unwrap()).unwrap();
    json["archive_id"].as_str().unwrap().to_owned()
}

#[test]
fn r25_where_no_archive_is_every_command_says_so_and_makes_none() {
    let place = Place::new();
    let (empty, fresh, other) = (place.at("empty"), place.at("fresh"), place.at("other"));
    fs::create_dir(&empty).unwrap();
    fs::create_dir_all(fresh.join("lost+found")).unwrap();
    fs::create_dir(&other).unwrap();
    fs::write(other.join("holiday.jpg"), "precious").unwrap();
    for args in COMMANDS {
        for data in [&place.at("missing"), &empty, &fresh, &other] {
            place.refused(data, args, &[data.to_str().unwrap(), "holds no archive", "shoebox init"]);
        }
    }
    assert!(!place.at("missing").exists());
    assert_eq!(files(&other).len(), 1);
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
    assert_eq!(fs::read_dir(&fresh).unwrap().count(), 1);
}

/// `--init` is for the first start of all; it stays in compose.yaml for ever.
#[test]
fn r25_an_empty_volume_in_place_of_the_archive_is_not_begun_anew() {
    let place = Place::new();
    let run = ["run", "--init", "--listen", "127.0.0.1:0"];
    let (data, other) = (place.at("data"), place.at("other"));
    fs::create_dir(&data).unwrap();
    place.has_filled("00112233445566778899aabbccddeeff");
    for data in [&data, &place.at("missing")] {
        place.refused(data, &run, &["00112233445566778899aabbccddeeff", "is not mounted", "shoebox-archive"]);
    }
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
    assert!(!place.at("missing").exists());
    fs::create_dir(&other).unwrap();
    fs::write(other.join("holiday.jpg"), "precious").unwrap();
    place.refused(&other, &run, &["holds no archive"]);
    // A profile that has filled none may begin one.
    fs::remove_dir_all(place.at("profile")).unwrap();
    let mut child = place.command(&data, &run).stderr(Stdio::null()).spawn().unwrap();
    eventually("the archive", || data.join("archive.json").exists());
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A simulator's archive is no different: it was filled through another profile.
#[test]
fn r25_another_archive_than_the_profiles_is_refused() {
    let place = Place::new();
    let (ours, other) = (place.at("ours"), place.at("other"));
    init(&ours);
    init(&other);
    place.has_filled(&id(&ours));
    for args in [&["sync"][..], &["run", "--listen", "127.0.0.1:0"], &["quarantine", "retry"]] {
        place.refused(&other, args, &[&id(&ours), &id(&other), "mount the right volume"]);
    }
    // Its own gets as far as the browser, which is not there.
    place.refused(&ours, &["sync"], &["/no/such/browser"]);
    // The index of another archive is made again from the records: it never speaks for these.
    drop(crate::sync::support::open(&other));
    drop(crate::sync::support::open(&ours));
    fs::copy(ours.join("index.sqlite"), other.join("index.sqlite")).unwrap();
    place.refused(&other, &["status"], &["another archive", "rebuild-index"]);
    assert!(
        crate::sync::support::open(&other).recovery.rebuilt.as_ref().unwrap().contains("another archive")
    );
}

#[test]
fn r25_a_read_only_volume_is_called_that() {
    let place = Place::new();
    let data = place.at("data");
    init(&data);
    drop(crate::sync::support::open(&data));
    let before = files(&data);
    let path = data.to_str().unwrap();
    if !succeeds("mount", &["--bind", path, path]) {
        println!("not tried: this needs root");
        return;
    }
    assert!(succeeds("mount", &["-o", "remount,bind,ro", path]));
    let tried = std::panic::catch_unwind(|| {
        for args in COMMANDS {
            place.refused(&data, args, &["ead-only"]);
        }
    });
    assert!(succeeds("umount", &[path]));
    tried.unwrap();
    assert_eq!(files(&data), before);
}
