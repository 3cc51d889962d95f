//! A library made of nothing but parts and the bytes behind them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::civil::DateTime;
use shoebox::model::digest::digests_of;
use shoebox::model::{ArchivedPart, CaptureTime, ItemState, MediaKey, PartRole, Sha256, TimeSource, Verdict};
use shoebox::view::{Mounted, Update, ViewError, ViewOptions};

/// The seed of a random test: `SEED` if given; printed so that a failure can be repeated.
pub fn seed() -> u64 {
    let seed = std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    seed
}

/// A part of an item taken at a time given as `2020-01-02T03:04:05`.
pub fn part(ordinal: u64, name: &str, taken: &str, bytes: &[u8]) -> ArchivedPart {
    let digests = digests_of(bytes);
    let local: DateTime = taken.parse().unwrap();
    ArchivedPart {
        change: ordinal,
        ordinal,
        role: PartRole::Original,
        key: MediaKey::new(&format!("AF1QipKey{ordinal}")).unwrap(),
        item_name: name.into(),
        name: name.into(),
        sha256: digests.sha256,
        sha1: digests.sha1,
        size: digests.size,
        verdict: Verdict::MatchesUpload,
        taken: CaptureTime { local, offset_s: Some(0), source: TimeSource::Exif },
        make: Some("Canon".into()),
        model: Some("Canon EOS 5D".into()),
        state: ItemState::Present,
    }
}

/// Parts in the order they were archived, and their bytes in plain files.
pub struct Library {
    pub dir: PathBuf,
    pub parts: Arc<Mutex<Vec<ArchivedPart>>>,
    pub bytes: Arc<Mutex<HashMap<String, Vec<u8>>>>,
}

impl Library {
    pub fn new(dir: &Path) -> Self {
        let dir = dir.join("blobs");
        fs::create_dir_all(&dir).unwrap();
        Self { dir, parts: Arc::default(), bytes: Arc::default() }
    }

    /// Keeps the bytes, then the part, as an archive would.
    pub fn add(&self, mut part: ArchivedPart, bytes: &[u8]) {
        fs::write(self.dir.join(part.sha256.hex()), bytes).unwrap();
        self.bytes.lock().unwrap().insert(part.sha256.hex(), bytes.to_vec());
        let mut parts = self.parts.lock().unwrap();
        part.change = parts.last().map_or(0, |last| last.change) + 1;
        parts.push(part);
    }

    /// Adds `count` items with bytes of their own in one month; the numbers go on from `first`.
    pub fn fill(&self, first: u64, count: u64, size: usize) {
        for ordinal in first..first + count {
            let bytes = content(ordinal, size);
            self.add(part(ordinal, &format!("IMG_{ordinal:05}.jpg"), "2020-05-06T07:08:09", &bytes), &bytes);
        }
    }

    pub fn open_blob(&self) -> impl Fn(&Sha256) -> io::Result<File> + Send + Sync + use<> {
        let dir = self.dir.clone();
        move |sha256| File::open(dir.join(sha256.hex()))
    }
}

/// Bytes that are an item's own.
pub fn content(ordinal: u64, size: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(ordinal);
    let mut bytes = vec![0; size + usize::try_from(ordinal % 97).unwrap()];
    random.fill(&mut bytes);
    bytes
}

/// A mounted library. Unmounts at the end.
pub struct Stage {
    pub dir: tempfile::TempDir,
    pub library: Library,
}

impl Stage {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let library = Library::new(dir.path());
        fs::create_dir(dir.path().join("view")).unwrap();
        Self { dir, library }
    }

    pub fn view(&self) -> PathBuf {
        self.dir.path().join("view")
    }

    pub fn try_mount(&self, passthrough: bool) -> Result<Mounted, ViewError> {
        let parts = Arc::clone(&self.library.parts);
        let source = Box::new(move |after| {
            let parts = parts.lock().unwrap();
            Ok(Update::Parts(parts.iter().filter(|part| part.change > after).cloned().collect()))
        });
        let options = ViewOptions { passthrough, store: self.library.dir.clone() };
        Mounted::start(source, Box::new(self.library.open_blob()), &self.view(), &options)
    }

    pub fn mount(&self, passthrough: bool) -> Mounted {
        self.try_mount(passthrough).unwrap()
    }
}

/// Looks again and again until it is so; the waiting has an end, the success has no fixed time.
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !so() {
        assert!(Instant::now() < until, "not within 20 s: {what}");
        std::thread::yield_now();
    }
}

/// Number of mounts at exactly this path.
pub fn mounts_at(path: &Path) -> usize {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.lines().filter(|line| line.split(' ').nth(4) == path.to_str()).count()
}
