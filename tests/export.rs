//! Leaving: plain folders with the view's names, whole and provable, and nothing overwritten.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use shoebox::archive::Archive;
use shoebox::export::{self, ExportError, ExportReport};
use shoebox::model::{CaptureTime, ErrorClass, PartRole, TimeSource};
use shoebox::store::RealDisk;
use tokio_util::sync::CancellationToken;

use crate::store::support::*;

const MONTH: &str = "1999/1999-12";

/// An archive of photos, two of one name.
fn archive(stage: &TestArchive) -> Archive {
    let archive = Archive::open(&stage.root(), Arc::new(RealDisk), clock()).unwrap();
    archive.store.set_reserve(Some(0));
    for (name, file, bytes) in
        [("a", "IMG_1.jpg", "one"), ("b", "img_1.JPG", "two"), ("c", "back\\slash.jpg", "")]
    {
        let blob = put(&archive.store, bytes.as_bytes()).unwrap();
        let part = part(PartRole::Original, file, blob.digests());
        let mut item = record(&key(name), archive.store.next_ordinal().unwrap(), vec![part]);
        item.name = file.into();
        let local = "1999-12-31T23:59:58".parse().unwrap();
        item.taken = CaptureTime { local, offset_s: Some(0), source: TimeSource::Exif };
        let stored = archive.store.put_record(&item, &[&blob]).unwrap();
        archive.index.writer().apply(stored).unwrap();
    }
    archive
}

fn run(archive: &Archive, target: &Path) -> Result<ExportReport, ExportError> {
    export::run(&archive.index.reader().unwrap(), &archive.store, target, &CancellationToken::new())
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn folders_names_times_and_hashes_and_again_nothing_to_do() {
    let stage = TestArchive::new();
    let archive = archive(&stage);
    let target = stage.outside("plain");
    let report = run(&archive, &target).unwrap();
    assert_eq!((report.copied, report.kept, report.complete), (3, 0, true));
    assert_eq!(names(&target), ["1999", "SHA256SUMS"]);
    let month = target.join(MONTH);
    assert_eq!(names(&month).len(), 3);
    assert_eq!(fs::read(month.join("IMG_1.jpg")).unwrap(), b"one");
    let meta = fs::metadata(month.join("IMG_1.jpg")).unwrap();
    assert_eq!(meta.mtime(), 946_684_798);
    assert_eq!(meta.nlink(), 1, "a copy of its own, not the archive's file");
    let checked = Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
        .current_dir(&target)
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
    let report = run(&archive, &target).unwrap();
    assert_eq!((report.copied, report.kept, report.complete), (0, 3, true));
}

#[test]
fn what_is_in_the_way_is_left_alone_unless_it_is_the_same() {
    let stage = TestArchive::new();
    let archive = archive(&stage);
    let target = stage.outside("plain");
    let month = target.join(MONTH);
    fs::create_dir_all(&month).unwrap();
    // The right bytes, put there by somebody else, today.
    fs::write(month.join("IMG_1.jpg"), "one").unwrap();
    assert_eq!(run(&archive, &target).unwrap().kept, 1);
    fs::remove_dir_all(&target).unwrap();
    fs::create_dir_all(&month).unwrap();
    // Other bytes of the same length.
    fs::write(month.join("IMG_1.jpg"), "ONE").unwrap();
    let error = run(&archive, &target).unwrap_err();
    assert!(matches!(&error, ExportError::Different(path) if path.ends_with("IMG_1.jpg")), "{error}");
    assert_eq!(fs::read(month.join("IMG_1.jpg")).unwrap(), b"ONE");
    assert!(!target.join("SHA256SUMS").exists(), "no list promises what is not there");
}

#[test]
fn a_target_inside_the_archive_is_refused_before_anything_is_made() {
    let stage = TestArchive::new();
    let archive = archive(&stage);
    let before = names(&stage.root());
    for inside in ["plain", "blobs", "a/b/c", ""] {
        let error = run(&archive, &stage.root().join(inside)).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Usage, "{error}");
    }
    // Also by another way round.
    let link = stage.outside("link");
    std::os::unix::fs::symlink(stage.root(), &link).unwrap();
    assert!(matches!(run(&archive, &link.join("plain")), Err(ExportError::Inside(_))));
    assert_eq!(names(&stage.root()), before);
}

#[test]
fn damaged_bytes_never_get_a_name() {
    let stage = TestArchive::new();
    let archive = archive(&stage);
    let blob =
        files_below(&stage.root().join("blobs")).into_iter().find(|path| fs::read(path).unwrap() == b"one");
    let blob = blob.unwrap();
    let mut permissions = fs::metadata(&blob).unwrap().permissions();
    #[expect(clippy::permissions_set_readonly_false, reason = "a test's own file")]
    permissions.set_readonly(false);
    fs::set_permissions(&blob, permissions).unwrap();
    fs::write(&blob, "eno").unwrap();
    let target = stage.outside("plain");
    let error = run(&archive, &target).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Damaged, "{error}");
    assert!(error.to_string().contains("IMG_1.jpg") && error.to_string().contains("verify"));
    assert!(!names(&target.join(MONTH)).iter().any(|name| name == "IMG_1.jpg"));
}

#[test]
fn a_stopped_export_says_so_and_goes_on_later() {
    let stage = TestArchive::new();
    let archive = archive(&stage);
    let target = stage.outside("plain");
    let stop = CancellationToken::new();
    stop.cancel();
    let report = export::run(&archive.index.reader().unwrap(), &archive.store, &target, &stop).unwrap();
    assert!(!report.complete && !target.join("SHA256SUMS").exists());
    // A half-written file of a killed run is written again.
    fs::create_dir_all(target.join(MONTH)).unwrap();
    let hash = shoebox::model::digest::digests_of(b"one").sha256.hex();
    File::create(target.join(MONTH).join(format!(".shoebox-{}.part", &hash[..16])))
        .unwrap()
        .set_len(99)
        .unwrap();
    assert!(run(&archive, &target).unwrap().complete);
    assert_eq!(fs::read(target.join(MONTH).join("IMG_1.jpg")).unwrap(), b"one");
    assert_eq!(names(&target.join(MONTH)).len(), 3, "and leaves nothing behind");
}
