//! FORMAT.md is true: its scripts restore and check an archive, its table is what happens.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use shoebox::archive::Archive;
use shoebox::model::{CaptureTime, PartRole, TimeSource};
use shoebox::store::scrub::{FindingKind, ScrubOptions, scrub};
use shoebox::store::{RealDisk, Store};

use super::Row;
use crate::store::support::*;

pub const ROWS: &[Row] = &[
    Row { number: 16, tried: "what any loss of blob, record or index comes to", counts: &[] },
    Row { number: 17, tried: "restoring names, dates and albums with `jq` and coreutils alone", counts: &[] },
];

const FORMAT: &str = include_str!("../../src/store/FORMAT.md");

/// The script that stands in the document under a title.
fn script(title: &str) -> String {
    let start = format!("```sh {title}\n");
    let from = FORMAT.find(&start).unwrap() + start.len();
    let to = from + FORMAT[from..].find("```").unwrap();
    FORMAT[from..to].to_owned()
}

fn run(script: &str, arguments: &[&Path]) -> Output {
    Command::new("sh").arg("-c").arg(script).arg("script").args(arguments).output().unwrap()
}

/// Archives an item; `parts` are role, name and bytes.
fn item(
    store: &Store,
    name: &str,
    taken: &str,
    offset_s: Option<i32>,
    parts: &[(PartRole, &str, &[u8])],
) -> shoebox::store::StoredRecord {
    let blobs: Vec<_> = parts.iter().map(|(_, _, bytes)| put(store, bytes).unwrap()).collect();
    let parts =
        parts.iter().zip(&blobs).map(|((role, name, _), blob)| part(*role, name, blob.digests())).collect();
    let mut record = record(&key(name), store.next_ordinal().unwrap(), parts);
    record.taken = CaptureTime { local: taken.parse().unwrap(), offset_s, source: TimeSource::Exif };
    store.put_record(&record, &blobs.iter().collect::<Vec<_>>()).unwrap()
}

#[test]
fn r17_a_stranger_restores_every_photo_with_the_script_in_the_document() {
    use PartRole::{Motion, Original};
    let archive = TestArchive::new();
    let store = archive.open();
    item(&store, "plain", "2020-02-29T23:30:00", Some(7200), &[(Original, "IMG 1.jpg", b"one")]);
    item(
        &store,
        "live",
        "2020-02-01T00:00:00.25",
        Some(-12600),
        &[(Original, "IMG_2.HEIC", b"still"), (Motion, "IMG_2.MOV", b"moving")],
    );
    item(&store, "clash", "2020-02-03T00:00:00", None, &[(Original, "IMG 1.jpg", b"another one")]);
    item(&store, "twin", "2020-02-29T23:30:00", Some(7200), &[(Original, "IMG 1.jpg", b"one")]);
    item(
        &store,
        "hostile",
        "1969-07-20T20:17:40",
        None,
        &[(Original, "../../a\n\t-rf \u{202e}\"$(x)`.jpg", b"h")],
    );
    item(&store, "dots", "2021-01-01T00:00:00", None, &[(Original, "..", b"dots")]);
    item(&store, "back", "2021-01-02T00:00:00", None, &[(Original, "C:\\x\\y.jpg", b"backslash")]);
    item(&store, "space", "2021-01-02T00:00:00", None, &[(Original, " lead and trail ", b"space")]);
    item(&store, "long", "2021-03-01T00:00:00", None, &[(Original, &"\u{1f4f7}".repeat(70), b"long")]);
    let old = item(&store, "revised", "1999-12-31T23:59:59", None, &[(Original, "old.jpg", b"r")]);
    let mut new = revision(&old);
    new.taken.local = "2000-01-01T00:00:00".parse().unwrap();
    new.parts[0].name = "new.jpg".to_owned();
    store.put_record(&new, &[]).unwrap();

    let target = archive.outside("restored");
    let output = run(&script("restore"), &[&archive.root(), &target]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");

    let mtime = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_second();
    let sha = |bytes: &[u8]| shoebox::model::digest::digests_of(bytes).sha256.hex();
    let camera = |n| "\u{1f4f7}".repeat(n);
    // The order in which clashing names are dealt is that of the keys: clash, then plain and twin.
    let expected: BTreeMap<PathBuf, (&[u8], i64)> = [
        ("2020/2020-02/IMG 1.jpg".to_owned(), &b"another one"[..], "2020-02-03T00:00:00Z"),
        (format!("2020/2020-02/{}-IMG 1.jpg", &sha(b"one")[..12]), b"one", "2020-02-29T21:30:00Z"),
        ("2020/2020-02/IMG_2.HEIC".to_owned(), b"still", "2020-02-01T03:30:00Z"),
        ("2020/2020-02/IMG_2.MOV".to_owned(), b"moving", "2020-02-01T03:30:00Z"),
        ("1969/1969-07/.._.._a__-rf \u{202e}\"$(x)`.jpg".to_owned(), b"h", "1969-07-20T20:17:40Z"),
        ("2021/2021-01/_".to_owned(), b"dots", "2021-01-01T00:00:00Z"),
        ("2021/2021-01/C:\\x\\y.jpg".to_owned(), b"backslash", "2021-01-02T00:00:00Z"),
        ("2021/2021-01/ lead and trail ".to_owned(), b"space", "2021-01-02T00:00:00Z"),
        (format!("2021/2021-03/{}_{}", camera(30), camera(10)), b"long", "2021-03-01T00:00:00Z"),
        ("2000/2000-01/new.jpg".to_owned(), b"r", "2000-01-01T00:00:00Z"),
    ]
    .map(|(path, bytes, at)| (PathBuf::from(path), (bytes, mtime(at))))
    .into();
    let restored: BTreeMap<PathBuf, (Vec<u8>, i64)> = files_below(&target)
        .into_iter()
        .map(|path| {
            let found = (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().mtime());
            (path.strip_prefix(&target).unwrap().to_owned(), found)
        })
        .collect();
    let expected: BTreeMap<_, _> =
        expected.into_iter().map(|(path, (bytes, at))| (path, (bytes.to_vec(), at))).collect();
    assert_eq!(restored, expected);
}

#[test]
fn the_checking_script_is_silent_until_something_is_damaged() {
    let archive = TestArchive::new();
    let store = archive.open();
    item(&store, "k", "2020-01-01T00:00:00", None, &[(PartRole::Original, "a", b"bytes")]);
    let output = run(&script("check"), &[&archive.root()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.is_empty());
    for dir in ["blobs", "records"] {
        let path = files_below(&archive.root().join(dir)).remove(0);
        let bytes = fs::read(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        fs::write(&path, b"spoilt").unwrap();
        let output = run(&script("check"), &[&archive.root()]);
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains(name));
        fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn the_archive_carries_the_document() {
    let archive = TestArchive::new();
    assert_eq!(fs::read_to_string(archive.root().join("FORMAT.md")).unwrap(), FORMAT);
    let readme = fs::read_to_string(archive.root().join("README.txt")).unwrap();
    assert!(readme.contains("sha256sum"));
}

#[test]
fn the_short_script_in_the_readme_restores_the_bytes() {
    let archive = TestArchive::new();
    let store = archive.open();
    item(&store, "k", "2020-01-01T00:00:00", None, &[(PartRole::Original, "a/b.jpg", b"bytes")]);
    let readme = fs::read_to_string(archive.root().join("README.txt")).unwrap();
    let target = archive.outside("photos");
    let from = readme.find("  mkdir -p").unwrap();
    let to = readme.find("  done\n").unwrap() + 7;
    let script = readme[from..to].replace("/tmp/photos", target.to_str().unwrap());
    let script = format!("cd '{}'\n{script}", archive.root().display());
    let output = run(&script, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files = files_below(&target);
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(files[0].to_str().unwrap().ends_with("-a_b.jpg"), "{files:?}");
    assert_eq!(fs::read(&files[0]).unwrap(), b"bytes");
}

/// One row of the table: what was there, and what a start and a verification make of it.
fn outcome(blob: bool, record: bool, index: bool) -> String {
    let archive = TestArchive::new();
    let root = archive.root();
    let open = || Archive::open(&root, Arc::new(RealDisk), clock()).unwrap();
    let opened = open();
    let stored = archive_item(&opened.store, Some(&opened.index.writer()), "k", b"bytes").unwrap();
    opened.index.close().unwrap();
    drop(opened.store);
    if !blob {
        fs::remove_file(files_below(&root.join("blobs")).remove(0)).unwrap();
    }
    if !record {
        fs::remove_file(files_below(&root.join("records")).remove(0)).unwrap();
    }
    if !index {
        // An index of the archive before the item came.
        fs::remove_file(root.join("index.sqlite")).unwrap();
        let id = Store::open_read_only(&root, Arc::new(RealDisk), clock()).unwrap().id().clone();
        shoebox::index::Index::create(&root.join("index.sqlite"), &id).unwrap();
    }
    let opened = open();
    let reader = opened.index.reader().unwrap();
    let known = reader.known(&[stored.record().key.clone()]).unwrap();
    let report = scrub(&opened.store, &ScrubOptions::default(), &|_| ControlFlow::Continue(())).unwrap();
    let lost = opened.store.noted_lost().unwrap();
    let says = match (&report.findings[..], &lost[..]) {
        ([], []) if report.unreferenced == 1 => "unreferenced",
        ([], []) => "nothing",
        ([finding], []) if finding.kind == FindingKind::Missing => "blob missing",
        ([], [(path, _)]) if *path == opened.recovery.lost[0] => "record missing",
        other => panic!("{other:?}"),
    };
    let word = |yes| if yes { "yes" } else { "no" };
    let after = word(!known.is_empty());
    format!("| {} | {} | {} | {after} | {says} |\n", word(blob), word(record), word(index))
}

#[test]
fn r16_the_table_of_what_may_be_missing_is_true() {
    for index in [false, true] {
        for record in [false, true] {
            for blob in [false, true] {
                let row = outcome(blob, record, index);
                assert!(FORMAT.contains(&row), "FORMAT.md does not say:\n{row}");
            }
        }
    }
}
