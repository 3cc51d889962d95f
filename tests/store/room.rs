//! A volume with little room, or one that does not answer.

use std::fs;
use std::sync::Arc;

use shoebox::model::PartRole;
use shoebox::store::{Store, StoreError};

use super::support::*;

const MIB: u64 = 1 << 20;
const ENOSPC: i32 = 28;
const EIO: i32 = 5;

#[test]
fn blobs_leave_the_reserve_alone_and_records_half_of_it() {
    let archive = TestArchive::new();
    let disk = Arc::new(FaultyDisk::new(&archive.root(), false));
    let store = archive.open_on(disk.clone()).unwrap();
    let blob = put(&store, b"bytes").unwrap();
    let number = store.next_ordinal().unwrap();
    let item = record(&key("item"), number, vec![part(PartRole::Original, "a.jpg", blob.digests())]);
    store.set_reserve(Some(10 * MIB));
    let refused = |result: Result<(), StoreError>| match result {
        Err(StoreError::NoSpace { needed, free, reserve, .. }) => Some((needed, free, reserve)),
        Err(other) => panic!("{other}"),
        Ok(()) => None,
    };
    disk.set_free(10 * MIB);
    assert_eq!(refused(store.has_room_for(0)), None);
    assert_eq!(refused(store.has_room_for(1)), Some((1, 10 * MIB, 10 * MIB)));
    assert_eq!(refused(store.begin(Some(1)).map(drop)), Some((1, 10 * MIB, 10 * MIB)));
    disk.set_free(5 * MIB);
    let (_, free, reserve) = refused(store.put_record(&item, &[&blob]).map(drop)).unwrap();
    assert_eq!((free, reserve), (5 * MIB, 5 * MIB));
    disk.set_free(6 * MIB);
    store.put_record(&item, &[&blob]).unwrap();
}

#[test]
fn a_full_volume_is_told_with_its_numbers_and_any_other_lack_as_the_system_tells_it() {
    let archive = TestArchive::new();
    for (error, free, is_full) in [
        (ENOSPC, MIB + 9, true),
        // Enough for these bytes: inodes, perhaps.
        (ENOSPC, MIB + 10, false),
        (EIO, MIB + 9, false),
    ] {
        let disk = FaultyDisk::failing(&archive.root(), false, 0, Fault::Once(error), "append");
        let disk = Arc::new(disk);
        let store = archive.open_on(disk.clone()).unwrap();
        let mut blob = store.begin(None).unwrap();
        disk.set_free(free);
        let told = blob.write(b"ten bytes!").unwrap_err();
        match told {
            StoreError::NoSpace { needed, free: told, .. } => {
                assert_eq!((needed, told, is_full), (MIB + 10, free, true));
            }
            StoreError::Io { source, .. } => {
                assert_eq!((source.raw_os_error(), is_full), (Some(error), false))
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_volume_that_does_not_answer_is_not_taken_for_an_empty_one() {
    let archive = TestArchive::new();
    let open = |only| {
        let disk = FaultyDisk::failing(&archive.root(), false, 0, Fault::Once(EIO), only);
        match archive.open_on(Arc::new(disk)).map(drop) {
            Err(StoreError::Io { source, .. }) => assert_eq!(source.raw_os_error(), Some(EIO)),
            other => panic!("{other:?}"),
        }
    };
    open("open");
    fs::remove_file(archive.root().join("archive.json")).unwrap();
    open("list");
}

#[test]
fn what_is_not_there_is_not_sound_and_no_error() {
    let archive = TestArchive::new();
    let store: Store = archive.open();
    let sha256 = shoebox::model::digest::digests_of(b"bytes").sha256;
    assert!(!store.is_sound(&sha256).unwrap());
    put(&store, b"bytes").unwrap();
    assert!(store.is_sound(&sha256).unwrap());
}
