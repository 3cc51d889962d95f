//! From arriving bytes to a blob.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use shoebox::model::digest::digests_of;
use shoebox::model::{ErrorClass, PartRole};
use shoebox::store::{QuarantineNote, StoreError};

use super::support::*;

#[test]
fn the_steps_come_in_the_order_that_survives_a_cut() {
    let archive = TestArchive::new();
    let disk = Arc::new(FaultyDisk::new(&archive.root(), false));
    let store = archive.open_on(disk.clone()).unwrap();
    let ordinal = store.next_ordinal().unwrap();
    disk.log.lock().unwrap().clear();

    let blob = put(&store, b"bytes").unwrap();
    let record = record(&key("k"), ordinal, vec![part(PartRole::Original, "a.jpg", blob.digests())]);
    let stored = store.put_record(&record, &[&blob]).unwrap();

    let (sha, hash) = (blob.digests().sha256.hex(), stored.sha256().hex());
    let shard = &digests_of(b"k").sha256.hex()[..2];
    assert_eq!(
        disk.steps(),
        [
            "space".to_owned(),
            "create".to_owned(),
            "allocate".to_owned(),
            "append".to_owned(),
            "seal".to_owned(),
            "sync".to_owned(),
            format!("publish blobs/{}/{sha}", &sha[..2]),
            format!("sync_dir blobs/{}", &sha[..2]),
            "space".to_owned(),
            "create".to_owned(),
            "append".to_owned(),
            "seal".to_owned(),
            "sync".to_owned(),
            format!("list records/{shard}"),
            format!("publish records/{shard}/k.1.{hash}.json"),
            format!("sync_dir records/{shard}"),
        ]
    );
}

#[test]
fn a_blob_has_its_bytes_its_name_and_no_write_permission() {
    let archive = TestArchive::new();
    let store = archive.open();
    let bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let blob = put(&store, &bytes).unwrap();
    assert_eq!(*blob.digests(), digests_of(&bytes));
    let path = store.blob_path(&blob.digests().sha256);
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o440);
    assert!(store.has_blob(&blob.digests().sha256).unwrap());
    assert!(!store.has_blob(&digests_of(b"other").sha256).unwrap());
    assert!(matches!(store.open_blob(&digests_of(b"other").sha256), Err(StoreError::MissingBlob { .. })));
}

#[test]
fn equal_bytes_are_stored_once() {
    let archive = TestArchive::new();
    let store = archive.open();
    let first = put(&store, b"same").unwrap();
    let inode = |store: &shoebox::store::Store| {
        std::os::unix::fs::MetadataExt::ino(&fs::metadata(store.blob_path(&first.digests().sha256)).unwrap())
    };
    let before = inode(&store);
    assert_eq!(put(&store, b"same").unwrap(), first);
    assert_eq!(inode(&store), before, "the stored file was replaced");
    assert_eq!(files_below(&archive.root().join("blobs")).len(), 1);
}

/// The bad bytes are kept, whether or not pending files have names, and also where names cannot be exchanged.
#[test]
fn a_damaged_blob_is_mended_when_its_bytes_come_again() {
    for named in [false, true] {
        let archive = TestArchive::new();
        let store = archive.open_on(Arc::new(FaultyDisk::new(&archive.root(), named))).unwrap();
        let sha = put(&store, b"sound").unwrap().digests().sha256;
        let path = store.blob_path(&sha);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        fs::write(&path, b"sOund").unwrap();
        assert!(!store.is_sound(&sha).unwrap());

        put(&store, b"sound").unwrap();
        assert!(store.is_sound(&sha).unwrap());
        let kept = files_below(&archive.root().join("quarantine"));
        assert_eq!(kept.len(), 1);
        assert_eq!(fs::read(&kept[0]).unwrap(), b"sOund", "the evidence was overwritten");
        assert_eq!(archive.tmp_files(), [] as [std::path::PathBuf; 0]);
        assert_eq!(findings(&store), []);
    }
}

#[test]
fn threads_put_equal_and_different_bytes_at_once() {
    let archive = TestArchive::new();
    let store = archive.open();
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..20_u8 {
                    put(store, &[n; 1000]).unwrap();
                    put(store, &[thread, n]).unwrap();
                }
            });
        }
    });
    assert_eq!(files_below(&archive.root().join("blobs")).len(), 20 + 8 * 20);
    assert_legal(&store);
}

#[test]
fn what_is_not_verified_leaves_nothing_behind() {
    for named in [false, true] {
        let archive = TestArchive::new();
        let store = archive.open_on(Arc::new(FaultyDisk::new(&archive.root(), named))).unwrap();
        let mut partial = store.begin(None).unwrap();
        partial.write(b"half").unwrap();
        assert_eq!(archive.tmp_files().len(), usize::from(named));
        drop(partial);
        let verified = store.begin(None).unwrap().verify(|_, _| Ok(())).unwrap();
        drop(verified);
        assert_eq!(archive.tmp_files().len(), 0);
        assert_eq!(files_below(&archive.root().join("blobs")).len(), 0);
    }
}

#[test]
fn a_wrong_length_is_refused() {
    let archive = TestArchive::new();
    let store = archive.open();
    let mut long = store.begin(Some(3)).unwrap();
    long.write(b"ab").unwrap();
    let error = long.write(b"cd").unwrap_err();
    assert!(matches!(error, StoreError::TooLong { claimed: 3 }), "{error}");
    assert_eq!(long.size(), 2);
    let short = long.verify(|_, _| panic!("the length decides first")).unwrap_err();
    assert_eq!(short.reason, "2 bytes came, 3 were announced");
}

#[test]
fn refused_bytes_are_kept_once_with_the_reason() {
    let archive = TestArchive::new();
    let store = archive.open();
    let note = QuarantineNote {
        key: Some(key("AF1")),
        role: Some(PartRole::Original),
        name: Some("../x.jpg".to_owned()),
        reason: "it is a web page".to_owned(),
        at: now(),
        response: Some("HTTP/2 200".to_owned()),
    };
    let mut paths = Vec::new();
    for _ in 0..2 {
        let mut partial = store.begin(None).unwrap();
        partial.write(b"<html>").unwrap();
        let rejected = partial
            .verify(|bytes, digests| {
                let mut head = [0; 6];
                assert_eq!(bytes.read_at(&mut head, 0).unwrap(), 6);
                assert_eq!(digests.size, 6);
                if &head == b"<html>" { Err("it is a web page".to_owned()) } else { Ok(()) }
            })
            .unwrap_err();
        paths.push(store.quarantine(rejected.partial, &note).unwrap());
    }
    assert_eq!(paths[0], paths[1]);
    assert_eq!(fs::read(&paths[0]).unwrap(), b"<html>");
    assert_eq!(files_below(&archive.root().join("quarantine")).len(), 2);
    let text = fs::read(paths[0].with_extension("json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(json["reason"], "it is a web page");
    assert_eq!(json["key"], "AF1");
    assert_eq!(json["size"], 6);
    assert_eq!(json["sha256"], digests_of(b"<html>").sha256.hex());
}

#[test]
fn a_browsers_download_is_adopted() {
    let archive = TestArchive::new();
    let store = archive.open();
    let download = store.tmp_dir().join("5f3c");
    fs::write(&download, b"download").unwrap();
    let partial = store.adopt(&download).unwrap();
    assert_eq!(partial.size(), 8);
    let blob = store.put(partial.verify(|_, _| Ok(())).unwrap()).unwrap();
    assert_eq!(*blob.digests(), digests_of(b"download"));
    assert_eq!(fs::read(store.blob_path(&blob.digests().sha256)).unwrap(), b"download");
    assert!(!download.exists());
    assert_legal(&store);
}

#[test]
fn only_an_own_file_below_tmp_is_adopted() {
    let archive = TestArchive::new();
    let store = archive.open();
    let outside = archive.outside("precious");
    fs::write(&outside, b"precious").unwrap();
    let dir = store.tmp_dir();
    std::os::unix::fs::symlink(&outside, dir.join("link")).unwrap();
    fs::hard_link(&outside, dir.join("hard")).unwrap();
    fs::create_dir(dir.join("dir")).unwrap();
    for path in
        [outside.clone(), dir.join("link"), dir.join("hard"), dir.join("dir"), dir.join("../../../precious")]
    {
        let error = store.adopt(&path).map(|_| ()).unwrap_err();
        assert!(matches!(error, StoreError::NotAdoptable { .. }), "{error}");
    }
    assert_eq!(fs::read(&outside).unwrap(), b"precious");
}

#[test]
fn the_reserve_stays_free() {
    let archive = TestArchive::new();
    let store = archive.open();
    store.set_reserve(Some(u64::MAX / 2));
    let error = store.begin(Some(1)).map(|_| ()).unwrap_err();
    assert!(matches!(error, StoreError::NoSpace { needed: 1, .. }), "{error}");
    assert_eq!(error.class(), ErrorClass::Environment);
}
