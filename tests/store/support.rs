//! An archive in a temporary directory, sample items, and a disk whose steps are recorded and can fail.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::Map;
use shoebox::index::IndexWriter;
use shoebox::model::{
    AlbumKind, AlbumRecord, CaptureTime, Digests, FetchEvidence, FixedClock, ItemRecord, ItemState,
    MediaFacts, MediaKey, PartRecord, PartRole, RemoteFacts, Sha256, TimeSource, Verdict,
};
use shoebox::store::{
    ALBUM_SCHEMA, Disk, Entry, Pending, RealDisk, Space, Store, StoreError, StoredBlob, StoredRecord,
    TmpPath, scrub,
};
use tempfile::TempDir;

/// A directory in memory, where there is one: what is flushed there costs nothing.
pub fn fast_dir() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// An archive that goes away with the test.
pub struct TestArchive {
    dir: TempDir,
}

impl TestArchive {
    pub fn new() -> Self {
        Self::within(fast_dir())
    }

    pub fn within(dir: TempDir) -> Self {
        Store::init(&dir.path().join("archive"), Arc::new(RealDisk), clock()).unwrap();
        Self { dir }
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("archive")
    }

    pub fn outside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn open(&self) -> Store {
        self.open_on(Arc::new(RealDisk)).unwrap()
    }

    pub fn open_on(&self, disk: Arc<dyn Disk>) -> Result<Store, StoreError> {
        let store = Store::open(&self.root(), disk, clock())?;
        store.set_reserve(Some(0));
        Ok(store)
    }

    /// Names of everything below `tmp/` that is not the browser's empty directory.
    pub fn tmp_files(&self) -> Vec<PathBuf> {
        files_below(&self.root().join("tmp"))
    }
}

pub fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock::new("2026-11-23T12:00:00Z".parse().unwrap()))
}

/// All files below a directory, sorted.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// The seed of a random test: `SEED`, or a new one; printed either way.
pub fn seed() -> u64 {
    let seed =
        std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("SEED={seed}");
    seed
}

pub fn key(text: &str) -> MediaKey {
    MediaKey::new(text).unwrap()
}

pub fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

/// Stores bytes.
pub fn put(store: &Store, bytes: &[u8]) -> Result<StoredBlob, StoreError> {
    let mut partial = store.begin(Some(bytes.len() as u64))?;
    for chunk in bytes.chunks(64 * 1024) {
        partial.write(chunk)?;
    }
    store.put(partial.verify(|_, _| Ok(())).unwrap())
}

pub fn part(role: PartRole, name: &str, digests: &Digests) -> PartRecord {
    PartRecord {
        version: 1,
        role,
        name: name.to_owned(),
        sha256: digests.sha256,
        sha1: digests.sha1,
        size: digests.size,
        verdict: Verdict::SizeMatches,
        facts: MediaFacts {
            make: Some("Äpparat".to_owned()),
            latitude: Some(59.332_581_234_567_89),
            ..MediaFacts::default()
        },
        fetched: FetchEvidence {
            at: now(),
            via: "direct".to_owned(),
            host: "photos.example".to_owned(),
            claimed_length: Some(digests.size),
            claimed_type: None,
            tool: "test 1".to_owned(),
        },
        unknown: Map::new(),
    }
}

/// A first revision.
pub fn record(key: &MediaKey, ordinal: u64, parts: Vec<PartRecord>) -> ItemRecord {
    ItemRecord {
        schema: 1,
        key: key.clone(),
        seq: 1,
        previous: None,
        ordinal,
        account: "1".to_owned(),
        recorded_at: now(),
        state: ItemState::Present,
        name: parts.first().map_or_else(String::new, |part| part.name.clone()),
        taken: CaptureTime {
            local: "2020-02-29T23:30:00".parse().unwrap(),
            offset_s: Some(7200),
            source: TimeSource::Exif,
        },
        remote: RemoteFacts { width: Some(4000), ..RemoteFacts::default() },
        parts,
        formerly: None,
        adopted: None,
        unknown: Map::new(),
    }
}

/// A revision of an album.
pub fn album(seq: u32, previous: Option<Sha256>, items: &[&str]) -> AlbumRecord {
    AlbumRecord {
        schema: ALBUM_SCHEMA,
        key: key("album"),
        seq,
        previous,
        account: "1".into(),
        recorded_at: now(),
        state: ItemState::Present,
        kind: AlbumKind::Own,
        title: "The cats".into(),
        aliases: Vec::new(),
        cover: None,
        owner: None,
        members: Vec::new(),
        created_ms: None,
        modified_ms: None,
        count: None,
        items: items.iter().map(|item| key(item)).collect(),
        formerly: None,
        unknown: Map::new(),
    }
}

/// The revision after `stored`.
pub fn revision(stored: &StoredRecord) -> ItemRecord {
    let mut next = stored.record().clone();
    next.seq += 1;
    next.previous = Some(*stored.sha256());
    next
}

/// Archives an item of one file, unless the records have it already; as a sync would.
pub fn archive_item(
    store: &Store,
    index: Option<&IndexWriter>,
    name: &str,
    bytes: &[u8],
) -> Result<StoredRecord, StoreError> {
    let records = store.records().collect::<Result<Vec<_>, _>>()?;
    let stored = match records.into_iter().find(|stored| stored.record().key == key(name)) {
        Some(stored) => stored,
        None => archive_new_item(store, name, bytes)?,
    };
    if let Some(index) = index {
        index.apply(stored.clone()).unwrap();
    }
    Ok(stored)
}

/// Archives an item of one file that the archive does not have.
pub fn archive_new_item(store: &Store, name: &str, bytes: &[u8]) -> Result<StoredRecord, StoreError> {
    let blob = put(store, bytes)?;
    let part = part(PartRole::Original, &format!("{name}.jpg"), blob.digests());
    store.put_record(&record(&key(name), store.next_ordinal()?, vec![part]), &[&blob])
}

/// What a [`FaultyDisk`] does at the step it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Fails once with this error number.
    Once(i32),
    /// Writes half of the bytes, then fails.
    ShortWrite,
    /// Changes a byte on the way to the medium and reports success.
    Spoil,
    /// Fails from then on, as for a process that was killed there.
    Dead,
}

/// The real disk with a log, and a fault at one step.
pub struct FaultyDisk {
    pub log: Mutex<Vec<String>>,
    root: PathBuf,
    fault: Mutex<Option<(usize, Fault)>>,
    /// Whether pending files have names from the start.
    named: bool,
    /// Fails only steps whose name starts so.
    only: &'static str,
    /// What it says of its free space, if not the truth.
    free: Mutex<Option<u64>>,
}

impl FaultyDisk {
    pub fn new(root: &Path, named: bool) -> Self {
        Self {
            log: Mutex::default(),
            root: root.to_owned(),
            fault: Mutex::new(None),
            named,
            only: "",
            free: Mutex::new(None),
        }
    }

    /// Has so many bytes free from now on.
    pub fn set_free(&self, bytes: u64) {
        *self.free.lock().unwrap() = Some(bytes);
    }

    /// Arms a fault for the `k`-th step from now that starts with `only`, from 0.
    pub fn failing(root: &Path, named: bool, k: usize, fault: Fault, only: &'static str) -> Self {
        Self { fault: Mutex::new(Some((k, fault))), only, ..Self::new(root, named) }
    }

    /// Whether the fault has come.
    pub fn has_failed(&self) -> bool {
        self.fault.lock().unwrap().is_none_or(|(_, fault)| fault == Fault::Dead && self.is_dead())
    }

    fn is_dead(&self) -> bool {
        self.log.lock().unwrap().iter().any(|step| step == "died")
    }

    pub fn steps(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    fn step(&self, name: &str, path: Option<&Path>) -> io::Result<()> {
        let mut step = name.to_owned();
        if let Some(path) = path {
            step = format!("{step} {}", path.strip_prefix(&self.root).unwrap_or(path).display());
        }
        let mut armed = self.fault.lock().unwrap();
        let due = match &mut *armed {
            Some((0, fault)) if name.starts_with(self.only) => Some(*fault),
            Some((k, _)) if name.starts_with(self.only) => {
                *k -= 1;
                None
            }
            _ => None,
        };
        match due {
            None => {
                self.log.lock().unwrap().push(step);
                Ok(())
            }
            Some(Fault::Dead) => {
                self.log.lock().unwrap().push("died".to_owned());
                Err(io::Error::other("the process is dead"))
            }
            Some(fault) => {
                *armed = None;
                let number = if let Fault::Once(number) = fault { number } else { 28 };
                self.log.lock().unwrap().push(format!("{step} FAILED"));
                Err(io::Error::from_raw_os_error(number))
            }
        }
    }
}

impl Disk for FaultyDisk {
    fn create(&self, tmp: &Path) -> io::Result<Pending> {
        self.step("create", None)?;
        if self.named { RealDisk.create_named(tmp) } else { RealDisk.create(tmp) }
    }

    fn adopt(&self, path: &TmpPath) -> io::Result<Pending> {
        self.step("adopt", Some(path.path()))?;
        RealDisk.adopt(path)
    }

    fn allocate(&self, file: &Pending, size: u64) -> io::Result<()> {
        self.step("allocate", None)?;
        RealDisk.allocate(file, size)
    }

    fn append(&self, file: &Pending, bytes: &[u8]) -> io::Result<()> {
        let short = matches!(&*self.fault.lock().unwrap(), Some((0, Fault::ShortWrite)));
        self.step("append", None).inspect_err(|_| {
            if short {
                RealDisk.append(file, &bytes[..bytes.len() / 2]).unwrap();
            }
        })?;
        RealDisk.append(file, bytes)
    }

    fn seal(&self, file: &Pending) -> io::Result<()> {
        self.step("seal", None)?;
        RealDisk.seal(file)
    }

    fn sync(&self, file: &Pending) -> io::Result<()> {
        let spoil = matches!(&*self.fault.lock().unwrap(), Some((0, Fault::Spoil)));
        match self.step("sync", None) {
            Err(_) if spoil => file.file().write_all_at(b"X", 2)?,
            other => other?,
        }
        RealDisk.sync(file)
    }

    fn publish(&self, file: &Pending, to: &Path) -> io::Result<()> {
        self.step("publish", Some(to))?;
        RealDisk.publish(file, to)
    }

    fn replace_damaged(&self, file: &Pending, damaged: &Path, aside: &Path) -> io::Result<()> {
        self.step("replace_damaged", Some(damaged))?;
        RealDisk.replace_damaged(file, damaged, aside)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.step("sync_dir", Some(dir))?;
        RealDisk.sync_dir(dir)
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        self.step("make_dir", Some(dir))?;
        RealDisk.make_dir(dir)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        self.step("open", Some(path))?;
        RealDisk.open(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.step("list", Some(dir))?;
        RealDisk.list(dir)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.step("space", None)?;
        let space = RealDisk.space(path)?;
        Ok(Space { free: self.free.lock().unwrap().unwrap_or(space.free), ..space })
    }

    fn set_aside(&self, from: &TmpPath, to: &Path) -> io::Result<()> {
        self.step("set_aside", Some(to))?;
        RealDisk.set_aside(from, to)
    }

    fn discard(&self, path: &TmpPath) -> io::Result<()> {
        self.step("discard", None)?;
        RealDisk.discard(path)
    }
}

/// What is wrong with an archive, read through.
pub fn findings(store: &Store) -> Vec<scrub::Finding> {
    let options = scrub::ScrubOptions::default();
    scrub::scrub(store, &options, &|_| std::ops::ControlFlow::Continue(())).unwrap().findings
}

/// Asserts that an archive is what it may be at any moment: all that is published is whole.
pub fn assert_legal(store: &Store) {
    assert_eq!(findings(store), [], "in {}", store.root().display());
}
