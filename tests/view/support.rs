//! A library made of nothing but parts and the bytes behind them.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use shoebox::index::PartFacts;
use shoebox::model::digest::digests_of;
use shoebox::model::{
    AlbumKind, AlbumRevision, ArchivedAlbum, ArchivedItem, ArchivedPart, CaptureTime, ItemState, MediaKey,
    PartRole, Sha256, TimeSource, Verdict,
};
use shoebox::view::layout::shipped;
use shoebox::view::tree::Sink;
use shoebox::view::{BlobBytes, Mounted, News, Rest, Source, ViewError, ViewOptions};

/// The seed of a random test: `SEED` if given; printed so that a failure can be repeated.
pub fn seed() -> u64 {
    let seed = std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    seed
}

/// An item with an original, taken at a time given as `2020-01-02T03:04:05`.
pub fn item(ordinal: u64, name: &str, taken: &str, bytes: &[u8]) -> ArchivedItem {
    let local: DateTime = taken.parse().unwrap();
    let then = Timestamp::from_second(1_700_000_000).unwrap();
    ArchivedItem {
        change: ordinal,
        ordinal,
        key: MediaKey::new(&format!("AF1QipKey{ordinal}")).unwrap(),
        formerly: None,
        account: "1001".into(),
        state: ItemState::Present,
        since: then,
        added: then,
        name: name.to_owned().into(),
        taken: CaptureTime { local, offset_s: Some(0), source: TimeSource::Exif },
        make: Some("Canon".into()),
        model: Some("Canon EOS 5D".into()),
        lens: None,
        origin: None,
        date_conflict: false,
        media_type: Some("image/jpeg".into()),
        position: None,
        favourite: false,
        archived: false,
        foreign: false,
        creation: None,
        owner: None,
        description: None,
        parts: vec![part(PartRole::Original, 1, name, bytes)],
    }
}

pub fn part(role: PartRole, version: u32, name: &str, bytes: &[u8]) -> ArchivedPart {
    let digests = digests_of(bytes);
    ArchivedPart { role, version, name: name.to_owned().into(), sha256: digests.sha256, size: digests.size }
}

/// An album whose revisions are lists of numbers of items.
pub fn album(key: &str, title: &str, revisions: &[&[u64]]) -> ArchivedAlbum {
    let revision = |(at, items): (i64, &&[u64])| AlbumRevision {
        since: Timestamp::from_second(1_700_000_000 + at).unwrap(),
        state: ItemState::Present,
        kind: AlbumKind::Own,
        title: title.into(),
        owner: None,
        items: items.iter().map(|n| MediaKey::new(&format!("AF1QipKey{n}")).unwrap()).collect(),
    };
    let revisions = (0_i64..).zip(revisions).map(revision).collect();
    ArchivedAlbum { change: 1, key: MediaKey::new(key).unwrap(), formerly: None, revisions }
}

/// What an archive would hold: revisions of items and albums in the order they came.
#[derive(Default)]
pub struct Held {
    pub items: Vec<ArchivedItem>,
    pub albums: Vec<ArchivedAlbum>,
    /// Grows when the index is made anew.
    pub epoch: u64,
    /// Set, nothing can be read.
    pub broken: Option<String>,
}

/// Items in the order they were archived, and their bytes in plain files.
pub struct Library {
    pub dir: PathBuf,
    pub held: Arc<Mutex<Held>>,
    pub bytes: Arc<Mutex<HashMap<String, Vec<u8>>>>,
}

impl Library {
    pub fn new(dir: &Path) -> Self {
        let dir = dir.join("blobs");
        fs::create_dir_all(&dir).unwrap();
        Self { dir, held: Arc::default(), bytes: Arc::default() }
    }

    /// Keeps the bytes, then the item, as an archive would.
    pub fn add(&self, mut item: ArchivedItem, bytes: &[u8]) {
        self.keep(bytes);
        let mut held = self.held.lock().unwrap();
        item.change = held.items.len() as u64 + 1;
        held.items.push(item);
    }

    /// Keeps bytes alone.
    pub fn keep(&self, bytes: &[u8]) {
        let name = digests_of(bytes).sha256.hex();
        fs::write(self.dir.join(&name), bytes).unwrap();
        self.bytes.lock().unwrap().insert(name, bytes.to_vec());
    }

    /// Adds `count` items with bytes of their own in one month; the numbers go on from `first`.
    pub fn fill(&self, first: u64, count: u64, size: usize) {
        for ordinal in first..first + count {
            let bytes = content(ordinal, size);
            self.add(item(ordinal, &format!("IMG_{ordinal:05}.jpg"), "2020-05-06T07:08:09", &bytes), &bytes);
        }
    }

    pub fn open_blob(&self) -> impl Fn(&Sha256, u64) -> io::Result<BlobBytes> + Send + Sync + use<> {
        let dir = self.dir.clone();
        move |sha256, _size| File::open(dir.join(sha256.hex())).map(BlobBytes::File)
    }

    pub fn source(&self) -> Box<Memory> {
        let (held, bytes) = (Arc::clone(&self.held), Arc::clone(&self.bytes));
        Box::new(Memory { held, bytes, item: 0, album: 0, epoch: 0 })
    }
}

/// A source that reads what is held.
pub struct Memory {
    held: Arc<Mutex<Held>>,
    bytes: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    item: usize,
    album: usize,
    epoch: u64,
}

impl Memory {
    /// What goes with new items; all twins, be they new or not.
    fn rest(&mut self) -> Rest {
        let held = self.held.lock().unwrap();
        let mut twins: HashMap<Sha256, Vec<u64>> = HashMap::new();
        let latest: BTreeMap<u64, &ArchivedItem> =
            held.items.iter().map(|item| (item.ordinal, item)).collect();
        for item in latest.values().filter(|item| !item.parts.is_empty()) {
            twins.entry(item.parts[0].sha256).or_default().push(item.ordinal);
        }
        let from = std::mem::replace(&mut self.album, held.albums.len());
        Rest {
            albums: held.albums[from..].to_vec(),
            ordinals: held.items.iter().map(|item| (item.key.clone(), item.ordinal)).collect(),
            twins: twins.into_values().filter(|list| list.len() > 1).collect(),
        }
    }
}

impl Source for Memory {
    fn count(&mut self) -> Result<usize, String> {
        Ok(self.held.lock().unwrap().items.len())
    }

    fn albums(&mut self) -> Result<Vec<ArchivedAlbum>, String> {
        let held = self.held.lock().unwrap();
        self.album = held.albums.len();
        Ok(held.albums.clone())
    }

    fn whole(&mut self, sinks: &mut [Box<Sink<'_>>]) -> Result<(), String> {
        let mut latest: BTreeMap<u64, ArchivedItem> = BTreeMap::new();
        {
            let held = self.held.lock().unwrap();
            if let Some(why) = &held.broken {
                return Err(why.clone());
            }
            for item in &held.items {
                latest.insert(item.ordinal, item.clone());
            }
            (self.item, self.epoch) = (held.items.len(), held.epoch);
        }
        let share = latest.len() / sinks.len() + 1;
        for (at, item) in latest.values().enumerate() {
            sinks[at / share](item);
        }
        Ok(())
    }

    fn news(&mut self) -> Result<News, String> {
        let items = {
            let held = self.held.lock().unwrap();
            if let Some(why) = &held.broken {
                return Err(why.clone());
            }
            if held.epoch != self.epoch {
                return Ok(News::Everything);
            }
            if held.items.len() == self.item && held.albums.len() == self.album {
                return Ok(News::Nothing);
            }
            let items = held.items[self.item..].to_vec();
            self.item = held.items.len();
            items
        };
        let rest = self.rest();
        Ok(News::Some(items, rest))
    }

    fn past(&mut self) -> Result<Vec<ArchivedItem>, String> {
        let held = self.held.lock().unwrap();
        let latest: HashMap<u64, u64> = held.items.iter().map(|item| (item.ordinal, item.change)).collect();
        Ok(held.items.iter().filter(|item| latest[&item.ordinal] != item.change).cloned().collect())
    }

    fn days(&mut self) -> Result<Vec<Date>, String> {
        let held = self.held.lock().unwrap();
        let days: std::collections::BTreeSet<Date> =
            held.items.iter().map(|item| item.since.to_zoned(jiff::tz::TimeZone::UTC).date()).collect();
        Ok(days.into_iter().collect())
    }

    fn facts(&mut self, ordinal: u64, sha256: &Sha256) -> Result<Option<PartFacts>, String> {
        let bytes = self.bytes.lock().unwrap().get(&sha256.hex()).cloned().unwrap_or_default();
        let held = self.held.lock().unwrap();
        let item = held.items.iter().rfind(|item| item.ordinal == ordinal);
        Ok(item.map(|item| PartFacts {
            name: item.name.to_string(),
            favourite: item.favourite,
            description: item.description.as_deref().map(str::to_owned),
            place: None,
            key: item.key.clone(),
            sha1: digests_of(&bytes).sha1,
            verdict: Verdict::MatchesUpload,
            taken: item.taken,
        }))
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

    pub fn options(&self, passthrough: bool) -> ViewOptions {
        ViewOptions {
            threads: ViewOptions::NEAR,
            passthrough,
            store: self.library.dir.clone(),
            xattrs: false,
            overlay: None,
            views: shipped(),
        }
    }

    pub fn try_mount(&self, passthrough: bool) -> Result<Mounted, ViewError> {
        self.mount_as(&self.options(passthrough))
    }

    pub fn mount_as(&self, options: &ViewOptions) -> Result<Mounted, ViewError> {
        let library = &self.library;
        Mounted::start(
            library.source(),
            library.source(),
            Box::new(library.open_blob()),
            &self.view(),
            options,
        )
    }

    pub fn mount(&self, passthrough: bool) -> Mounted {
        self.try_mount(passthrough).unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // A failed test leaves nothing mounted either.
        let _ = shoebox::view::mountpoint::release(&self.view());
    }
}

/// The number of the item behind an inode.
pub fn ordinal_of(ino: u64) -> u64 {
    (ino - 16) >> 10
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
