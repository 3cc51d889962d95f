//! Directories that are read while items arrive.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStringExt;

use rustix::fs::{RawDir, SeekFrom, seek};

use super::support::{Stage, eventually, item};

const MONTH: &str = "by-date/2020/2020-05";

/// Reads a directory in pieces of one or two entries, and lets `between` happen after each.
fn read_in_pieces(dir: &File, mut between: impl FnMut(usize)) -> Vec<OsString> {
    let mut buffer = [MaybeUninit::uninit(); 96];
    let mut names = Vec::new();
    loop {
        let mut piece = RawDir::new(dir, &mut buffer);
        let mut got = 0;
        while let Some(entry) = piece.next() {
            let name = entry.unwrap().file_name().to_bytes().to_owned();
            got += 1;
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
            if piece.is_buffer_empty() {
                break;
            }
        }
        if got == 0 {
            return names;
        }
        between(names.len());
    }
}

#[test]
fn read_in_small_pieces_a_growing_directory_is_complete_and_names_nothing_twice() {
    for warm in [false, true] {
        let stage = Stage::new();
        stage.library.fill(1000, 300, 10);
        let mounted = stage.mount(true);
        let folder = stage.view().join(MONTH);
        if warm {
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 300);
        }
        let before: BTreeSet<OsString> = (1000..1300).map(|n| format!("IMG_{n:05}.jpg").into()).collect();
        let dir = File::open(&folder).unwrap();
        // New names sort before those that were read and those that were not.
        let mut next = 1;
        let names = read_in_pieces(&dir, |read| {
            if read >= 30 * next as usize && next < 10 {
                stage.library.fill(next, 1, 10);
                stage.library.fill(2000 + next, 1, 10);
                let name = format!("IMG_{:05}.jpg", 2000 + next);
                eventually("the new item", || {
                    fs::read_dir(&folder).unwrap().any(|e| e.unwrap().file_name() == *name)
                });
                next += 1;
            }
        });
        assert_eq!(next, 10, "items came while it was read");
        let set: BTreeSet<OsString> = names.iter().cloned().collect();
        assert_eq!(set.len(), names.len(), "a name came twice");
        assert!(set.is_superset(&before), "a name was left out");
        assert!(names.is_sorted(), "listed in the order of names");
        // Rewound, the same handle sees the directory as it is now.
        seek(&dir, SeekFrom::Start(0)).unwrap();
        assert_eq!(read_in_pieces(&dir, |_| ()).len(), 300 + 18);
        mounted.unmount().unwrap();
    }
}

#[test]
fn a_new_item_shows_in_a_listing_that_the_kernel_has_cached() {
    let stage = Stage::new();
    stage.library.fill(1, 40, 10);
    let mounted = stage.mount(true);
    let folder = stage.view().join(MONTH);
    for round in 0..10 {
        // Often enough that the kernel keeps it, with attributes.
        for _ in 0..3 {
            let entries: Vec<_> =
                fs::read_dir(&folder).unwrap().map(|e| e.unwrap().metadata().unwrap()).collect();
            assert_eq!(entries.len(), 40 + round);
        }
        stage.library.fill(100 + round as u64, 1, 10);
        eventually("the new item", || fs::read_dir(&folder).unwrap().count() == 41 + round);
    }
    // New years, months and cameras grow on the directories above.
    let mut other = item(500, "x.jpg", "1999-01-01T00:00:00", b"x");
    other.model = Some("PowerShot G2".into());
    stage.library.add(other, b"x");
    eventually("the new year", || stage.view().join("by-date").read_dir().unwrap().count() == 2);
    eventually("the new camera", || stage.view().join("by-camera").read_dir().unwrap().count() == 2);
    assert!(stage.view().join("by-camera/Canon PowerShot G2/1999/1999-01/x.jpg").exists());
    mounted.unmount().unwrap();
}

#[test]
fn a_moved_item_leaves_its_old_place() {
    let stage = Stage::new();
    stage.library.fill(1, 3, 10);
    let mounted = stage.mount(true);
    let old = stage.view().join(MONTH).join("IMG_00002.jpg");
    let new = stage.view().join("by-date/2021/2021-07/IMG_00002.jpg");
    let bytes = fs::read(&old).unwrap();
    stage.library.add(item(2, "IMG_00002.jpg", "2021-07-08T09:10:11", &bytes), &bytes);
    eventually("the new place", || new.exists());
    eventually("the old place is empty", || !old.exists());
    assert_eq!(fs::read_dir(stage.view().join(MONTH)).unwrap().count(), 2);
    let time = fs::metadata(&new).unwrap().modified().unwrap();
    let taken: jiff::Timestamp = "2021-07-08T09:10:11Z".parse().unwrap();
    assert_eq!(time, std::time::SystemTime::from(taken));
    assert!(fs::read(&new).unwrap() == bytes);
    mounted.unmount().unwrap();
}
