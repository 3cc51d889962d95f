//! Directories that are read while items arrive.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};

use rustix::fs::{RawDir, SeekFrom, seek};
use shoebox::view::fs::{Fs, Listed};
use shoebox::view::history::History;
use shoebox::view::layout::shipped;
use shoebox::view::source::load;

use super::support::{Stage, content, eventually, item};

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

/// Four months of 50 photos.
fn four_months() -> Stage {
    let stage = Stage::new();
    for ordinal in 1..=200 {
        let taken = format!("2020-0{}-06T07:08:09", 1 + ordinal % 4);
        let bytes = content(ordinal, 10);
        stage.library.add(item(ordinal, &format!("IMG_{ordinal:05}.jpg"), &taken, &bytes), &bytes);
    }
    stage
}

/// What the kernel gets, without a kernel: for each month, how many files came without attributes. With `stat`,
/// these are asked for.
fn listed(fs: &Fs<()>, stat: bool) -> Vec<usize> {
    let mut at = 1;
    for name in ["by-date", "2020"] {
        at = fs.lookup(at, name.as_ref()).unwrap().ino;
    }
    let of_month = |month: &str| {
        let (month, mut bare) = (fs.lookup(at, month.as_ref()).unwrap().ino, Vec::new());
        let (handle, _) = fs.opendir(month).unwrap();
        fs.readdir(month, 0, fs.detail(month), |Listed { name, attr, is_bare, .. }| {
            assert!(is_bare || attr.is_dir || attr.size >= 10, "{name}: {attr:?}");
            bare.extend(is_bare.then(|| name.to_owned()));
            false
        })
        .unwrap();
        fs.releasedir(handle);
        for name in bare.iter().filter(|_| stat) {
            assert!(fs.lookup(month, name.as_ref()).unwrap().size >= 10);
        }
        bare.len()
    };
    ["2020-01", "2020-02", "2020-03", "2020-04"].map(of_month).to_vec()
}

#[test]
fn who_wants_names_gets_no_attributes_and_who_wants_them_asks_for_few() {
    let stage = four_months();
    let fs = || {
        let tree = load(stage.library.source().as_mut(), &shipped()).unwrap();
        let history = History::new(stage.library.source(), shipped());
        let open = Box::new(stage.library.open_blob());
        Fs::<()>::new(tree, history, None, open, stage.library.dir.clone())
    };
    assert_eq!(listed(&fs(), false), [16, 50, 50, 50]);
    assert_eq!(listed(&fs(), true), [16, 0, 0, 0]);
    let fs = fs();
    listed(&fs, false);
    assert_eq!(listed(&fs, true)[1..], [0, 0, 0], "after those who want names");
}

#[test]
fn names_alone_and_attributes_later_are_the_same_files() {
    let stage = four_months();
    let mounted = stage.mount(true);
    let year = stage.view().join("by-date/2020");
    for _ in 0..3 {
        let mut names = Vec::new();
        for month in fs::read_dir(&year).unwrap() {
            for entry in fs::read_dir(month.unwrap().path()).unwrap() {
                let entry = entry.unwrap();
                assert!(entry.file_type().unwrap().is_file());
                names.push((entry.path(), entry.ino()));
            }
        }
        assert_eq!(names.len(), 200);
        for (path, ino) in names {
            let (meta, ordinal) = (fs::metadata(&path).unwrap(), super::support::ordinal_of(ino));
            assert_eq!((meta.ino(), meta.len()), (ino, content(ordinal, 10).len() as u64), "{path:?}");
            assert_eq!(path.file_name().unwrap().to_str().unwrap(), format!("IMG_{ordinal:05}.jpg"));
        }
    }
    mounted.unmount().unwrap();
}
