//! A later version reads more out of archived files: what becomes of records, paths and inodes.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use shoebox::archive::{Archive, index_path};
use shoebox::media;
use shoebox::model::{CaptureTime, FixedClock, MediaFacts, PartRole, TimeSource};
use shoebox::upkeep::facts;
use shoebox::view::IndexSource;
use shoebox::view::layout::shipped;
use shoebox::view::source::load;

use super::archive::open;
use crate::store::support::*;

fn media_file(name: &str) -> Vec<u8> {
    fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/media").join(name)).unwrap()
}

/// Archives a file as an earlier version did, which knew this of it.
fn archive_as_before(archive: &Archive, name: &str, facts: MediaFacts) {
    let store = &archive.store;
    let blob = put(store, &media_file(name)).unwrap();
    let mut entry = part(PartRole::Original, name, blob.digests());
    entry.facts = MediaFacts { extractor: 2, ..facts };
    let mut item = record(&key(&name.replace('.', "-")), store.next_ordinal().unwrap(), vec![entry]);
    item.taken = CaptureTime::choose(&item.parts[0].facts, &item.remote);
    archive.index.writer().apply(store.put_record(&item, &[&blob]).unwrap()).unwrap();
}

fn known_now(name: &str) -> MediaFacts {
    media::inspect(&media_file(name), name)
}

fn all(archive: &Archive) -> Vec<facts::Better> {
    let mut found = Vec::new();
    facts::all(archive, now(), &mut |better| {
        found.push(better);
        Ok(())
    })
    .unwrap();
    found
}

fn paths(archive: &TestArchive, opened: &Archive) -> BTreeMap<String, u64> {
    let mut source = IndexSource::new(index_path(&archive.root()), opened.store.id().clone());
    let tree = load(&mut source, &shipped()).unwrap();
    tree.paths().into_iter().filter(|(path, _)| path.contains("by-camera/") && path.contains('.')).collect()
}

#[test]
fn what_is_known_better_is_recorded_and_moves_nothing_unasked() {
    let archive = TestArchive::new();
    let opened = open(&archive);
    // One whose camera was not known, one that is known as well as ever, one of which something is new that no view
    // shows, one that is gone.
    let utc = CaptureTime {
        local: "2020-05-04T22:39:11".parse().unwrap(),
        offset_s: Some(0),
        source: TimeSource::Video,
    };
    let as_video = MediaFacts {
        media_type: known_now("IMG_2927.MOV").media_type,
        taken: Some(utc),
        ..MediaFacts::default()
    };
    archive_as_before(&opened, "IMG_2927.MOV", as_video);
    archive_as_before(&opened, "jpg_full_bigendian.jpg", known_now("jpg_full_bigendian.jpg"));
    let live = MediaFacts { content_id: None, ..known_now("mov_apple_keys.mov") };
    archive_as_before(&opened, "mov_apple_keys.mov", live);
    archive_as_before(&opened, "tiff_exif.tif", MediaFacts::default());
    let gone = opened.store.blob_path(&digests_of_file("tiff_exif.tif"));
    fs::remove_file(gone).unwrap();

    let records = || -> Vec<_> {
        let files = files_below(&archive.root().join("records"));
        files.into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect()
    };
    let (before, before_paths) = (records(), paths(&archive, &opened));
    assert!(facts::is_due(&opened, now()).unwrap());
    // Stopped anywhere, it goes on with the next call, and counts nothing twice.
    for stop_after in 0..4 {
        let mut left = stop_after;
        let mut each = || match left {
            0 => ControlFlow::Break(()),
            _ => {
                left -= 1;
                ControlFlow::Continue(())
            }
        };
        let report = facts::reread(&opened, &*clock(), &mut each).unwrap();
        assert!(!report.done && facts::is_due(&opened, now()).unwrap());
    }
    let report = facts::reread(&opened, &*clock(), &mut || ControlFlow::Continue(())).unwrap();
    assert_eq!((report.waiting, report.skipped, report.done), (1, 1, true), "{report:?}");
    assert!(!facts::is_due(&opened, now()).unwrap());
    assert_eq!(facts::waiting(&opened.store), 1);
    // Somebody revises what waits: looked at again, and not counted again.
    let waits =
        opened.store.records().map(Result::unwrap).find(|stored| stored.record().name == "IMG_2927.MOV");
    let mut later = revision(&waits.unwrap());
    later.remote.favourite = true;
    opened.index.writer().apply(opened.store.put_record(&later, &[]).unwrap()).unwrap();
    assert!(facts::is_due(&opened, now()).unwrap());
    facts::reread(&opened, &*clock(), &mut || ControlFlow::Continue(())).unwrap();
    assert_eq!(facts::waiting(&opened.store), 1);
    let after = records();
    assert_eq!(after.len(), before.len() + 2);
    assert!(before.iter().all(|record| after.contains(record)), "an earlier revision was touched");
    assert_eq!(paths(&archive, &opened), before_paths, "a path moved unasked");
    drop(opened);

    let shoebox = |args: &[&str]| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("shoebox"));
        command.env_clear().args(args).arg("--data").arg(archive.root());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(shoebox(&["status"]).contains("1 item of which this version knows"));
    let shown = shoebox(&["migrate", "--dry-run"]);
    let moved = "by-camera/Unknown camera/2020/2020-05/IMG_2927.MOV -> by-camera/Apple iPhone 11 Pro/2020/2020-05/IMG_2927.MOV";
    assert!(shown.lines().any(|line| line == moved), "{shown}");
    assert_eq!(records(), after, "a dry run recorded something");
    shoebox(&["migrate"]);
    assert!(!shoebox(&["status"]).contains("knows"));
    assert!(shoebox(&["migrate", "--dry-run"]).starts_with("0 paths of 0 items would move"));

    let opened = open(&archive);
    assert!(after.iter().all(|record| records().contains(record)), "an earlier revision was touched");
    let now = paths(&archive, &opened);
    let inode = |paths: &BTreeMap<String, u64>, camera: &str| {
        paths[&format!("/by-camera/{camera}/2020/2020-05/IMG_2927.MOV")]
    };
    assert_eq!(inode(&now, "Apple iPhone 11 Pro"), inode(&before_paths, "Unknown camera"));
    // The index follows from the records as ever.
    let dump = super::archive::dump(&opened);
    drop(opened);
    Archive::rebuild_index(&archive.root(), Arc::new(shoebox::store::RealDisk), clock()).unwrap();
    assert_eq!(super::archive::dump(&open(&archive)), dump);
}

fn digests_of_file(name: &str) -> shoebox::model::Sha256 {
    shoebox::model::digest::digests_of(&media_file(name)).sha256
}

#[test]
fn what_was_known_is_not_forgotten_when_the_bytes_are_damaged() {
    let archive = TestArchive::new();
    let opened = open(&archive);
    let known = MediaFacts { lens: Some("50 mm".to_owned()), ..known_now("tiff_exif.tif") };
    archive_as_before(&opened, "tiff_exif.tif", known);
    // Still a TIFF by its mark, and nothing behind it.
    let blob = opened.store.blob_path(&digests_of_file("tiff_exif.tif"));
    let damaged: Vec<u8> = (0..fs::metadata(&blob).unwrap().len()).map(|_| 0).collect();
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, [b"II*\0".as_slice(), &damaged[4..]].concat()).unwrap();
    assert!(all(&opened).is_empty());
}

#[test]
fn whoever_was_faster_is_not_contradicted() {
    let archive = TestArchive::new();
    let opened = open(&archive);
    archive_as_before(&opened, "tiff_exif.tif", MediaFacts::default());
    let found = all(&opened);
    assert_eq!(found.len(), 1);
    let stored = opened.store.records().next().unwrap().unwrap();
    let mut later = revision(&stored);
    later.remote.favourite = true;
    opened.index.writer().apply(opened.store.put_record(&later, &[]).unwrap()).unwrap();
    assert!(!facts::apply(&opened, &found[0]).unwrap());
    // It is found again, with what has come in between.
    let again = all(&opened);
    assert!(facts::apply(&opened, &again[0]).unwrap());
    assert!(again[0].after.favourite);
}

#[test]
fn what_could_not_be_read_is_tried_again_the_next_day_and_a_kill_ends_nothing() {
    let archive = TestArchive::new();
    let opened = open(&archive);
    archive_as_before(&opened, "tiff_exif.tif", MediaFacts::default());
    let blob = opened.store.blob_path(&digests_of_file("tiff_exif.tif"));
    fs::rename(&blob, archive.outside("away")).unwrap();
    let reread = |at: &str| {
        let clock = FixedClock::new(at.parse().unwrap());
        facts::reread(&opened, &clock, &mut || ControlFlow::Continue(())).unwrap()
    };
    assert_eq!(reread("2026-11-23T12:00:00Z").skipped, 1);
    fs::rename(archive.outside("away"), &blob).unwrap();
    let is_due = |at: &str| facts::is_due(&opened, at.parse().unwrap()).unwrap();
    assert!(!is_due("2026-11-24T11:00:00Z") && is_due("2026-11-24T12:00:00Z"));
    // What an earlier version wrote of itself does not end this one's work, wherever it is killed.
    let file = archive.root().join("upkeep.json");
    let mut state: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    state["reread"]["extractor"] = 1.into();
    state["reread"]["skipped"] = 0.into();
    fs::write(&file, state.to_string()).unwrap();
    assert!(is_due("2026-11-23T13:00:00Z"));
    let report = reread("2026-11-24T12:00:00Z");
    assert_eq!((report.skipped, report.waiting), (0, 1), "{report:?}");
    assert!(!is_due("2026-12-24T12:00:00Z"));
}

#[test]
fn a_file_that_is_damaged_behind_its_beginning_keeps_its_facts() {
    let archive = TestArchive::new();
    let opened = open(&archive);
    archive_as_before(&opened, "jpg_full_offset_gps.jpg", known_now("jpg_full_offset_gps.jpg"));
    let blob = opened.store.blob_path(&digests_of_file("jpg_full_offset_gps.jpg"));
    let mut bytes = fs::read(&blob).unwrap();
    // The first entries of its Exif.
    bytes[40..400].fill(0);
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, bytes).unwrap();
    assert!(all(&opened).is_empty());
}

/// What was adopted keeps the date that it got, whatever its library says of it now.
#[test]
fn what_was_adopted_without_a_date_does_not_move_to_none() {
    let archive = TestArchive::new();
    let opened = open(&archive);
    let name = "small.jpg";
    assert_eq!(known_now(name).taken, None, "the test tests nothing");
    let store = &opened.store;
    let blob = put(store, &media_file(name)).unwrap();
    let mut entry = part(PartRole::Original, name, blob.digests());
    entry.facts = MediaFacts { extractor: 2, ..MediaFacts::default() };
    let own = shoebox::model::MediaKey::local("item", &blob.digests().sha256);
    let mut item = record(&own, store.next_ordinal().unwrap(), vec![entry]);
    item.account = shoebox::model::LOCAL_ACCOUNT.into();
    let changed = jiff::Timestamp::from_second(1_000_000_000).unwrap().as_millisecond();
    item.taken = CaptureTime::from_millis(changed, None, TimeSource::Upload).unwrap();
    item.remote = shoebox::model::RemoteFacts::default();
    opened.index.writer().apply(store.put_record(&item, &[&blob]).unwrap()).unwrap();
    let better = all(&opened);
    assert_eq!(better.len(), 1);
    assert_eq!(better[0].after.taken, item.taken);
    // The library's chain begins later: what was said where it was adopted counts first.
    let mut heir = record(&key("AF1QipHeir"), item.ordinal, item.parts.clone());
    heir.formerly = Some(own);
    heir.taken = item.taken;
    heir.remote.taken_ms = Some(1_500_000_000_000);
    opened.index.writer().apply(store.put_record(&heir, &[]).unwrap()).unwrap();
    let better = all(&opened);
    assert_eq!((better.len(), better[0].after.taken), (1, item.taken));
}
