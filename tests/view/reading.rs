//! Bytes: always the right ones, read by the kernel itself or by us.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use shoebox::model::PartRole;

use super::support::{Stage, content, eventually, item, ordinal_of, part, seed};

const MONTH: &str = "by-date/2020/2020-05";
const SIZE: usize = 150_000;

/// 64 readers read pieces and whole files while items are added.
#[test]
fn readers_see_right_bytes_while_items_arrive() {
    let seed = seed();
    for passthrough in [true, false] {
        let stage = Stage::new();
        stage.library.fill(1, 60, SIZE);
        let mounted = stage.mount(passthrough);
        let folder = stage.view().join("by-camera/Canon EOS 5D/2020/2020-05");
        let (stop, reads, seen) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        let read = |number: u64| {
            let mut random = fastrand::Rng::with_seed(seed ^ number);
            while !stop.load(Ordering::Relaxed) {
                let names: Vec<_> =
                    fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
                seen.fetch_max(names.len() as u64, Ordering::Relaxed);
                let mut file = File::open(&names[random.usize(..names.len())]).unwrap();
                let meta = file.metadata().unwrap();
                let ordinal = ordinal_of(meta.ino());
                let truth = content(ordinal, SIZE);
                assert_eq!(meta.len(), truth.len() as u64);
                let from = random.usize(..truth.len());
                let to = (from + random.usize(..70_000)).min(truth.len());
                let mut piece = vec![0; to - from];
                file.read_exact_at(&mut piece, from as u64).unwrap();
                assert!(piece == truth[from..to], "wrong bytes of item {ordinal}");
                let mut whole = Vec::new();
                file.read_to_end(&mut whole).unwrap();
                assert!(whole == truth, "wrong bytes of item {ordinal}");
                reads.fetch_add(1, Ordering::Relaxed);
            }
        };
        thread::scope(|scope| {
            let readers: Vec<_> = (0..64).map(|number| scope.spawn(move || read(number))).collect();
            for ordinal in 61..=120 {
                stage.library.fill(ordinal, 1, SIZE);
                // Paced by the readers, not by a clock.
                let so_far = reads.load(Ordering::Relaxed);
                eventually("readers go on", || {
                    reads.load(Ordering::Relaxed) > so_far + 3
                        || readers.iter().any(|reader| reader.is_finished())
                });
            }
            eventually("every item is seen", || {
                seen.load(Ordering::Relaxed) == 120 || readers.iter().any(|reader| reader.is_finished())
            });
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(seen.load(Ordering::Relaxed), 120);
        mounted.unmount().unwrap();
    }
}

/// The kernel refuses a second registration of one inode while the first is in use: openings at the very
/// same moment must not make two.
#[test]
fn many_open_the_same_file_at_the_same_moment() {
    for passthrough in [true, false] {
        let stage = Stage::new();
        stage.library.fill(1, 40, 5000);
        let mounted = stage.mount(passthrough);
        let folder = stage.view().join(MONTH);
        let barrier = Barrier::new(16);
        let open_all = || {
            for ordinal in 1..=40 {
                barrier.wait();
                let mut file = File::open(folder.join(format!("IMG_{ordinal:05}.jpg"))).unwrap();
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).unwrap();
                assert!(bytes == content(ordinal, 5000), "{ordinal}");
            }
        };
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(open_all);
            }
        });
        mounted.unmount().unwrap();
    }
}

#[test]
fn a_revision_with_other_bytes_is_read_afresh() {
    for passthrough in [true, false] {
        let stage = Stage::new();
        stage.library.fill(1, 2, 9000);
        let mounted = stage.mount(passthrough);
        let path = stage.view().join(MONTH).join("IMG_00001.jpg");
        assert!(fs::read(&path).unwrap() == content(1, 9000));
        let old = File::open(&path).unwrap();
        let new = content(99, 12_000);
        let mut revised = item(1, "IMG_00001.jpg", "2020-05-06T07:08:09", &content(1, 9000));
        revised.parts.push(part(PartRole::Original, 2, "IMG_00001.jpg", &new));
        let ino = fs::metadata(&path).unwrap().ino();
        stage.library.add(revised, &new);
        eventually("the new size", || fs::metadata(&path).unwrap().len() == new.len() as u64);
        // Other bytes are another file: who has the old one open reads it on.
        assert_ne!(fs::metadata(&path).unwrap().ino(), ino);
        assert!(fs::read(&path).unwrap() == new);
        let mut piece = vec![0; 4000];
        old.read_exact_at(&mut piece, 5000).unwrap();
        assert!(piece == content(1, 9000)[5000..9000]);
        mounted.unmount().unwrap();
    }
}

#[test]
fn a_missing_blob_is_an_error_and_harms_no_other_file() {
    let stage = Stage::new();
    stage.library.fill(1, 3, 5000);
    let mounted = stage.mount(true);
    let blob = stage.library.held.lock().unwrap().items[1].parts[0].sha256.hex();
    fs::remove_file(stage.library.dir.join(&blob)).unwrap();
    let folder = stage.view().join(MONTH);
    assert_eq!(fs::read(folder.join("IMG_00002.jpg")).unwrap_err().raw_os_error(), Some(5), "EIO");
    assert!(fs::read(folder.join("IMG_00003.jpg")).unwrap() == content(3, 5000));
    fs::write(stage.library.dir.join(blob), content(2, 5000)).unwrap();
    assert!(fs::read(folder.join("IMG_00002.jpg")).unwrap() == content(2, 5000));
    mounted.unmount().unwrap();
}
