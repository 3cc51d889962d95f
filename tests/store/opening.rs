//! Making and opening archives, and refusing what is none.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;

use shoebox::model::ErrorClass;
use shoebox::store::{RealDisk, Store, StoreError};

use super::support::*;

fn open(root: &std::path::Path) -> Result<Store, StoreError> {
    Store::open(root, Arc::new(RealDisk), clock())
}

fn init(root: &std::path::Path) -> Result<(), StoreError> {
    Store::init(root, Arc::new(RealDisk), clock()).map(|_| ())
}

#[test]
fn a_missing_or_empty_volume_is_never_made_an_archive() {
    let dir = tempfile::tempdir().unwrap();
    for root in [dir.path().join("missing"), dir.path().to_owned()] {
        for open in [open, |root: &std::path::Path| Store::open_read_only(root, Arc::new(RealDisk), clock())]
        {
            let error = open(&root).map(|_| ()).unwrap_err();
            assert_eq!(error.class(), ErrorClass::Environment);
            let text = error.to_string();
            assert!(text.contains(&root.display().to_string()) && text.contains("shoebox init"), "{text}");
        }
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "something was created");
}

#[test]
fn init_refuses_what_is_not_empty_and_what_is_an_archive() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("holiday.jpg"), b"precious").unwrap();
    let error = init(dir.path()).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Usage);
    assert!(error.to_string().contains("holiday.jpg"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

    // Nor is any other directory an empty one, or a file where a directory of ours should be.
    for name in ["holiday", "blobs"] {
        let dir = tempfile::tempdir().unwrap();
        match name {
            "blobs" => fs::write(dir.path().join(name), b"precious").unwrap(),
            _ => fs::create_dir(dir.path().join(name)).unwrap(),
        }
        let error = init(dir.path()).unwrap_err();
        assert!(matches!(&error, StoreError::NotEmpty { found, .. } if found == name), "{error}");
    }

    let archive = TestArchive::new();
    let before = files_below(&archive.root());
    let error = init(&archive.root()).unwrap_err();
    assert!(matches!(error, StoreError::AlreadyAnArchive { .. }), "{error}");
    assert!(error.to_string().contains(archive.open().id().as_str()));
    assert_eq!(files_below(&archive.root()).len(), before.len() + 1, "only the lock is new");
}

#[test]
fn an_interrupted_init_can_be_run_again() {
    let whole = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::new(whole.path(), false));
    Store::init(whole.path(), disk.clone(), clock()).unwrap();
    let steps = disk.steps().len();
    assert!(steps > 512, "only {steps} steps");
    // All of the beginning and the end; of the shards, made one like another in between, some.
    for k in (0..steps).filter(|k| *k < 8 || k % 97 == 0 || k + 16 > steps) {
        let dir = tempfile::tempdir().unwrap();
        // A fresh ext4 volume.
        fs::create_dir(dir.path().join("lost+found")).unwrap();
        let disk = Arc::new(FaultyDisk::failing(dir.path(), k % 2 == 0, k, Fault::Dead, ""));
        let first = Store::init(dir.path(), disk.clone(), clock());
        assert!(disk.has_failed());
        match (first, init(dir.path())) {
            (Err(_), Ok(()) | Err(StoreError::AlreadyAnArchive { .. })) => {}
            // The last steps only tidy up.
            (Ok(_), Err(StoreError::AlreadyAnArchive { .. })) => {}
            (first, second) => panic!("step {k}: {first:?}, then {second:?}"),
        }
        put(&open(dir.path()).unwrap(), b"works").unwrap();
    }
}

#[test]
fn an_archive_without_its_archive_json_is_not_made_anew() {
    let archive = TestArchive::new();
    put(&archive.open(), b"bytes").unwrap();
    fs::remove_file(archive.root().join("archive.json")).unwrap();
    fs::remove_file(archive.root().join("lock")).unwrap();
    let error = init(&archive.root()).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Damaged, "{error}");
    assert!(matches!(open(&archive.root()), Err(StoreError::NoArchive { .. })));
}

#[test]
fn other_formats_and_damaged_headers_are_refused_with_a_sentence() {
    let archive = TestArchive::new();
    let path = archive.root().join("archive.json");
    let good = fs::read_to_string(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let refused = |text: &str, class, word: &str| {
        fs::write(&path, text).unwrap();
        let error = open(&archive.root()).map(|_| ()).unwrap_err();
        assert_eq!(error.class(), class, "{error}");
        assert!(error.to_string().contains(word), "{error}");
        assert!(!error.to_string().contains('\n'));
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "it was changed");
    };
    let newer = r#"{"format": 2, "something": "else"}"#;
    refused(newer, ErrorClass::Environment, "update shoebox");
    refused(&good.replace("\"format\": 1", "\"format\": 0"), ErrorClass::Environment, "old format 0");
    refused(&good.replace("sha256", "md5"), ErrorClass::Damaged, "md5");
    refused(&good[..good.len() / 2], ErrorClass::Damaged, "archive.json");
    refused("", ErrorClass::Damaged, "archive.json");
    refused(&"[".repeat(100_000), ErrorClass::Damaged, "archive.json");
    fs::write(&path, &good).unwrap();
    open(&archive.root()).unwrap();
    fs::rename(archive.root().join("blobs"), archive.outside("b")).unwrap();
    let error = open(&archive.root()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("blobs/ is missing"), "{error}");
}

#[test]
fn a_second_writer_is_told_who_holds_the_archive() {
    let archive = TestArchive::new();
    let first = archive.open();
    let error = open(&archive.root()).map(|_| ()).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Locked);
    let text = error.to_string();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    assert!(text.contains(&format!("process {} on {host}", std::process::id())), "{text}");
    Store::open_read_only(&archive.root(), Arc::new(RealDisk), clock()).unwrap();
    let clone = first.clone();
    drop(first);
    assert!(open(&archive.root()).is_err(), "a clone still holds it");
    drop(clone);
    // Who comes while the next holder has not written its name yet must not be told an old one.
    assert_eq!(fs::read_to_string(archive.root().join("lock")).unwrap(), "");
    open(&archive.root()).unwrap();
}

#[test]
fn the_lock_dies_with_its_process() {
    let archive = TestArchive::new();
    let lock = archive.root().join("lock");
    // The pipe says when the other process has the lock.
    let mut holder = Command::new("flock")
        .arg("--no-fork")
        .arg(&lock)
        .args(["sh", "-c", "echo held; exec sleep 1000"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(holder.stdout.take().unwrap()), &mut line)
        .unwrap();
    assert!(matches!(open(&archive.root()), Err(StoreError::Locked { .. })));
    holder.kill().unwrap();
    holder.wait().unwrap();
    open(&archive.root()).unwrap();
}

#[test]
fn read_only_means_it() {
    let archive = TestArchive::new();
    put(&archive.open(), b"bytes").unwrap();
    let before = files_below(&archive.root());
    let store = Store::open_read_only(&archive.root(), Arc::new(RealDisk), clock()).unwrap();
    for error in [
        store.begin(None).map(|_| ()).unwrap_err(),
        store.next_ordinal().map(|_| ()).unwrap_err(),
        store.adopt(&store.tmp_dir().join("x")).map(|_| ()).unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
    }
    assert_legal(&store);
    assert_eq!(files_below(&archive.root()), before);
}

#[test]
fn empty_directories_that_a_copy_lost_come_back() {
    let archive = TestArchive::new();
    for name in ["blobs/7f", "records/00", "tmp/browser", "tmp", "quarantine", "albums"] {
        fs::remove_dir(archive.root().join(name)).unwrap_or(());
    }
    let store = archive.open();
    for n in 0..=255_u8 {
        put(&store, &[n]).unwrap();
    }
    assert!(store.tmp_dir().is_dir());
}

#[test]
fn leftovers_of_a_killed_run_are_cleared_or_kept() {
    let archive = TestArchive::new();
    let store = archive.open();
    let sha = put(&store, b"published").unwrap().digests().sha256;
    let tmp = archive.root().join("tmp");
    fs::write(tmp.join("partial-0123456789abcdef"), b"half").unwrap();
    fs::write(store.tmp_dir().join("guid.crdownload"), b"browser").unwrap();
    fs::hard_link(store.blob_path(&sha), store.tmp_dir().join("second-name")).unwrap();
    fs::create_dir_all(tmp.join("browser/a/b")).unwrap();
    fs::write(tmp.join("browser/a/b/ü \n.jpg"), b"deep").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", tmp.join("link")).unwrap();
    drop(store);

    let store = archive.open();
    assert_eq!(archive.tmp_files().len(), 0);
    assert_eq!(fs::read_dir(store.tmp_dir()).unwrap().count(), 0);
    let mut kept: Vec<_> = store
        .leftovers()
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    kept.sort();
    assert_eq!(
        kept,
        [
            "leftover.20261123T120000Z.0.___.jpg",
            "leftover.20261123T120000Z.0.guid.crdownload",
            "leftover.20261123T120000Z.0.link",
        ]
    );
    assert_eq!(fs::read(archive.root().join("quarantine").join(&kept[1])).unwrap(), b"browser");
    assert_eq!(fs::read(store.blob_path(&sha)).unwrap(), b"published");
    assert!(archive.open_on(Arc::new(RealDisk)).is_err());
    drop(store);
    assert!(archive.open().leftovers().is_empty());
}
