//! An archive, an adoption, and what came of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shoebox::adopt::{self, AdoptReport, Options};
use shoebox::archive::Archive;
use shoebox::model::{ItemRecord, SystemClock};
use shoebox::store::RealDisk;
use tokio_util::sync::CancellationToken;

/// Directories for an archive and for what it shall adopt.
pub struct Stage {
    pub _dir: tempfile::TempDir,
    pub archive: PathBuf,
    pub there: PathBuf,
}

pub fn stage() -> Stage {
    let dir = tempfile::tempdir().unwrap();
    let (archive, there) = (dir.path().join("archive"), dir.path().join("there"));
    std::fs::create_dir(&archive).unwrap();
    std::fs::create_dir(&there).unwrap();
    Stage { _dir: dir, archive, there }
}

/// Adopts into an archive in `dir`, which it makes if there is none.
pub fn adopt(dir: &Path, paths: &[PathBuf], options: &Options) -> AdoptReport {
    if !dir.join("archive.json").exists() {
        crate::sync::support::init(dir);
    }
    let archive = crate::sync::support::open(dir);
    let report = adopt_into(&archive, paths, options);
    Arc::into_inner(archive).unwrap().index.close().unwrap();
    report
}

pub fn adopt_into(archive: &Archive, paths: &[PathBuf], options: &Options) -> AdoptReport {
    adopt::run(archive, paths, options, jiff::Timestamp::now(), &CancellationToken::new()).unwrap()
}

/// The latest record of every item, by name.
pub fn records(dir: &Path) -> BTreeMap<String, Vec<ItemRecord>> {
    let archive = Archive::open_read_only(dir, Arc::new(RealDisk), Arc::new(SystemClock)).unwrap();
    let mut latest: BTreeMap<u64, ItemRecord> = BTreeMap::new();
    for record in archive.store.records() {
        let record = record.unwrap().record().clone();
        let is_later = |old: &ItemRecord| {
            (record.key.is_local(), old.key == record.key && old.seq > record.seq) == (false, false)
                || (record.key == old.key && record.seq > old.seq)
        };
        if latest.get(&record.ordinal).is_none_or(is_later) {
            latest.insert(record.ordinal, record);
        }
    }
    let mut named: BTreeMap<String, Vec<ItemRecord>> = BTreeMap::new();
    for record in latest.into_values() {
        named.entry(record.name.clone()).or_default().push(record);
    }
    named
}

/// The only record of that name.
pub fn record(dir: &Path, name: &str) -> ItemRecord {
    let mut all = records(dir);
    let found = all.remove(name).unwrap_or_else(|| panic!("no {name:?} among {:?}", all.keys()));
    assert_eq!(found.len(), 1, "{name}");
    found.into_iter().next().unwrap()
}

/// Titles of albums and the names of their items, in order, as the index has them.
pub fn albums(dir: &Path) -> BTreeMap<String, Vec<String>> {
    let archive = Archive::open_read_only(dir, Arc::new(RealDisk), Arc::new(SystemClock)).unwrap();
    let reader = archive.index.reader().unwrap();
    let mut albums = BTreeMap::new();
    for album in reader.albums().unwrap() {
        let numbers = reader.album_items(&album.record.key, 0, usize::MAX).unwrap();
        let mut names = Vec::new();
        for number in numbers {
            reader.items(number..=number, |item| names.push(item.name.clone().into_owned())).unwrap();
        }
        assert!(albums.insert(album.title, names).is_none());
    }
    albums
}

/// A JPEG unlike any other.
pub fn photo(seed: u64) -> Vec<u8> {
    shoebox::sim::media::jpeg(seed, 60, 40, 50, None)
}

/// Writes a file and the folders above it.
pub fn write(dir: &Path, path: &str, bytes: &[u8]) {
    let path = dir.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// The paths of a view and the inodes behind them.
pub fn paths_of(dir: &Path, view: &str) -> BTreeMap<String, u64> {
    let archive = Archive::open_read_only(dir, Arc::new(RealDisk), Arc::new(SystemClock)).unwrap();
    let path = shoebox::archive::index_path(dir);
    let mut source = shoebox::view::IndexSource::new(path, archive.store.id().clone());
    let tree = shoebox::view::source::load(&mut source, &shoebox::view::layout::shipped()).unwrap();
    tree.leaves(view).into_iter().map(|leaf| (leaf.path, leaf.attr.ino)).collect()
}
