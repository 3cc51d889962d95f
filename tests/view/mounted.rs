//! The mounted view, with a real kernel.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shoebox::model::{
    ArchivedPart, CaptureTime, ItemState, MediaKey, PartRole, Sha256, TimeSource, Verdict, digest::digests_of,
};
use shoebox::view::{Mounted, Update, ViewOptions};

use crate::appliance::support::{eventually, is_mounted};

/// Blobs in a directory and a list of parts that may grow: all that a view needs.
struct Source {
    dir: tempfile::TempDir,
    parts: Arc<Mutex<Vec<ArchivedPart>>>,
}

fn bytes_of(ordinal: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(ordinal);
    let size = 1 + random.usize(..200_000);
    let mut bytes = vec![0; size];
    random.fill(&mut bytes);
    bytes
}

impl Source {
    fn new(items: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("blobs")).unwrap();
        fs::create_dir(dir.path().join("view")).unwrap();
        let source = Self { dir, parts: Arc::default() };
        (1..=items).for_each(|n| source.add(n));
        source
    }

    fn view(&self) -> PathBuf {
        self.dir.path().join("view")
    }

    fn add(&self, ordinal: u64) {
        let bytes = bytes_of(ordinal);
        let digests = digests_of(&bytes);
        fs::write(self.dir.path().join("blobs").join(digests.sha256.hex()), bytes).unwrap();
        let local = jiff::civil::date(2020, 1 + (ordinal % 12) as i8, 5).at(10, 20, 30, 0);
        let name = format!("IMG_{:03}.jpg", ordinal % 100);
        self.parts.lock().unwrap().push(ArchivedPart {
            change: ordinal,
            ordinal,
            role: PartRole::Original,
            key: MediaKey::new(&format!("key{ordinal}")).unwrap(),
            item_name: name.clone(),
            name,
            sha256: digests.sha256,
            sha1: digests.sha1,
            size: digests.size,
            verdict: Verdict::MatchesUpload,
            taken: CaptureTime { local, offset_s: Some(3600), source: TimeSource::Exif },
            make: Some("Canon".into()),
            model: Some("EOS 5D".into()),
            state: ItemState::Present,
        });
    }

    fn mount(&self, passthrough: bool) -> Mounted {
        let parts = Arc::clone(&self.parts);
        let source = Box::new(move |after| {
            let parts = parts.lock().unwrap();
            Ok(Update::Parts(parts.iter().filter(|part| part.change > after).cloned().collect()))
        });
        let blobs = self.dir.path().join("blobs");
        let options = ViewOptions { passthrough, store: blobs.clone() };
        let open = Box::new(move |sha256: &Sha256| File::open(blobs.join(sha256.hex())));
        Mounted::start(source, open, &self.view(), &options).unwrap()
    }
}

/// Every file by its path below `dir`.
fn walk(dir: &Path) -> BTreeMap<PathBuf, fs::Metadata> {
    let (mut found, mut open) = (BTreeMap::new(), vec![dir.to_owned()]);
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            // What the listing says and what stat says is one inode.
            assert_eq!(std::os::unix::fs::DirEntryExt::ino(&entry), meta.ino());
            if meta.is_dir() {
                open.push(entry.path());
            } else {
                found.insert(entry.path().strip_prefix(dir).unwrap().to_owned(), meta);
            }
        }
    }
    found
}

#[test]
fn sizes_times_and_inodes_are_exact_and_survive_a_restart() {
    let source = Source::new(250);
    let mounted = source.mount(true);
    let before = walk(&source.view());
    assert_eq!(before.len(), 500);
    for (path, meta) in &before {
        let ordinal = (meta.ino() - 16) >> 2;
        assert_eq!(meta.len(), bytes_of(ordinal).len() as u64, "{}", path.display());
        let taken = source.parts.lock().unwrap()[ordinal as usize - 1].taken.instant();
        assert_eq!(meta.mtime(), taken.as_second());
        assert_eq!(meta.mode() & 0o7777, 0o444);
    }
    mounted.unmount().unwrap();
    assert!(!is_mounted(&source.view()));
    source.add(251);
    let mounted = source.mount(true);
    let after = walk(&source.view());
    assert_eq!(after.len(), 502);
    for (path, meta) in before {
        assert_eq!(after[&path].ino(), meta.ino(), "{}", path.display());
        assert_eq!(after[&path].mtime(), meta.mtime());
    }
    mounted.unmount().unwrap();
}

#[test]
fn every_write_is_refused_as_read_only() {
    let source = Source::new(3);
    let mounted = source.mount(true);
    let folder = source.view().join("by-date/2020/2020-02");
    let file = folder.join("IMG_001.jpg");
    let erofs = |what: &str, result: std::io::Result<()>| {
        let error = result.expect_err(what);
        assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem, "{what}: {error}");
    };
    erofs("create", File::create(folder.join("new")).map(drop));
    erofs("open for writing", OpenOptions::new().write(true).open(&file).map(drop));
    erofs("open for appending", OpenOptions::new().append(true).open(&file).map(drop));
    erofs("truncate", OpenOptions::new().write(true).custom_flags(0o1000).open(&file).map(drop));
    erofs("mkdir", fs::create_dir(folder.join("new")));
    erofs("unlink", fs::remove_file(&file));
    erofs("rmdir", fs::remove_dir(&folder));
    erofs("rename", fs::rename(&file, folder.join("other")));
    erofs("link", fs::hard_link(&file, folder.join("other")));
    erofs("symlink", std::os::unix::fs::symlink("x", folder.join("other")));
    erofs("chmod", fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o777)));
    erofs("chown", std::os::unix::fs::chown(&file, Some(1), None));
    let times = fs::FileTimes::new().set_modified(std::time::SystemTime::now());
    erofs("utimes", File::open(&file).unwrap().set_times(times));
    let name = CString::new("user.x").unwrap();
    let set = rustix::fs::setxattr(&file, &name, b"1", rustix::fs::XattrFlags::empty());
    erofs("setxattr", set.map_err(std::io::Error::from));
    let fifo = rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.join("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    );
    erofs("mknod", fifo.map_err(std::io::Error::from));
    assert_eq!(digests_of(&fs::read(&file).unwrap()), digests_of(&bytes_of(1)));
    let space = rustix::fs::statvfs(source.view()).unwrap();
    assert_eq!((space.f_bavail, space.f_namemax), (0, 255));
    assert!(space.f_blocks > 0);
    mounted.unmount().unwrap();
}

/// 64 readers read random pieces of random files while items are added; with the kernel reading the files
/// itself, and with us reading them.
#[test]
fn readers_see_right_bytes_while_items_arrive() {
    for passthrough in [true, false] {
        let source = Arc::new(Source::new(100));
        let mounted = source.mount(passthrough);
        let stop = Arc::new(AtomicBool::new(false));
        let (reads, seen) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let readers: Vec<_> = (0..64)
            .map(|number| {
                let (source, stop) = (Arc::clone(&source), Arc::clone(&stop));
                let (reads, seen) = (Arc::clone(&reads), Arc::clone(&seen));
                std::thread::spawn(move || {
                    let mut random = fastrand::Rng::with_seed(number);
                    let view = source.view().join("by-camera/Canon EOS 5D/2020");
                    while !stop.load(Ordering::Relaxed) {
                        let names: Vec<_> = fs::read_dir(&view).unwrap().map(|e| e.unwrap().path()).collect();
                        seen.fetch_max(names.len() as u64, Ordering::Relaxed);
                        let path = &names[random.usize(..names.len())];
                        let mut file = File::open(path).unwrap();
                        let ordinal = (file.metadata().unwrap().ino() - 16) >> 2;
                        let truth = bytes_of(ordinal);
                        let from = random.usize(..truth.len());
                        let to = (from + random.usize(..70_000)).min(truth.len());
                        let mut piece = vec![0; to - from];
                        file.read_exact_at(&mut piece, from as u64).unwrap();
                        assert!(piece == truth[from..to], "wrong bytes of item {ordinal}");
                        file.seek(SeekFrom::Start(0)).unwrap();
                        let mut whole = Vec::new();
                        file.read_to_end(&mut whole).unwrap();
                        assert!(whole == truth, "wrong bytes of item {ordinal}");
                        reads.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for ordinal in 101..=220 {
            source.add(ordinal);
            std::thread::sleep(Duration::from_millis(10));
        }
        eventually("every new item", || seen.load(Ordering::Relaxed) == 220);
        stop.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        assert!(reads.load(Ordering::Relaxed) > 200);
        // Several handles on one file at once, some closed before others.
        let path = source.view().join("by-date/2020/2020-02/IMG_001.jpg");
        let handles: Vec<_> = (0..5).map(|_| File::open(&path).unwrap()).collect();
        for mut handle in handles {
            let mut whole = Vec::new();
            handle.read_to_end(&mut whole).unwrap();
            assert!(whole == bytes_of(1));
        }
        mounted.unmount().unwrap();
    }
}

#[test]
fn a_listing_that_grows_is_complete_and_never_stale() {
    let source = Source::new(400);
    let mounted = source.mount(true);
    let folder = source.view().join("by-camera/Canon EOS 5D/2020");
    // The kernel has the listing cached now.
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 400);
    let open: Vec<_> = fs::read_dir(&folder).unwrap().take(3).map(Result::unwrap).collect();
    let mut slow = fs::read_dir(&folder).unwrap();
    let first = slow.next().unwrap().unwrap().file_name();
    (401..=450).for_each(|n| source.add(n));
    eventually("the new items", || fs::read_dir(&folder).unwrap().count() == 450);
    // A reading that began before goes on over what it began with: nothing twice, nothing left out.
    let mut names: Vec<_> = slow.map(|entry| entry.unwrap().file_name()).collect();
    names.push(first);
    let total = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), total, "a name came twice");
    assert!(total >= 400, "{total}");
    assert_eq!(open.len(), 3);
    assert!(fs::metadata(folder.join(".DS_Store")).is_err());
    source.add(451);
    eventually("one more", || fs::read_dir(&folder).unwrap().count() == 451);
    mounted.unmount().unwrap();
}
