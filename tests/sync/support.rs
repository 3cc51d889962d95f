//! An archive in a temporary directory, a pass over a library, and the comparison with the truth.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shoebox::archive::{Archive, ArchiveError};
use shoebox::model::digest::digests_of;
use shoebox::model::{MediaKey, SystemClock};
use shoebox::remote::RemoteLibrary;
use shoebox::sim::Ledger;
use shoebox::store::{RealDisk, Store, StoreError};
use shoebox::sync::pace::Limits;
use shoebox::sync::progress::Progress;
use shoebox::sync::report::SyncReport;
use shoebox::sync::{self, ListingMode, SyncOptions};
use tokio_util::sync::CancellationToken;

/// Quick retries, a fixed seed.
pub fn options() -> SyncOptions {
    let limits =
        Limits { calls_per_second: 1000.0, longest_wait: Duration::from_millis(200), ..Limits::default() };
    SyncOptions { limits, attempts: 4, listing: ListingMode::Whole, seed: 7, ..SyncOptions::default() }
}

pub fn init(dir: &Path) {
    Store::init(dir, Arc::new(RealDisk), Arc::new(SystemClock)).unwrap();
}

/// Opens an archive. What an earlier pass has left on other threads lets go of it a moment later.
pub fn open(dir: &Path) -> Arc<Archive> {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        match Archive::open(dir, Arc::new(RealDisk), Arc::new(SystemClock)) {
            Err(ArchiveError::Store(StoreError::Locked { .. })) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(20));
            }
            opened => return Arc::new(opened.unwrap()),
        }
    }
}

/// One pass.
pub async fn pass<R: RemoteLibrary>(archive: &Arc<Archive>, remote: &Arc<R>) -> SyncReport {
    pass_until(archive, remote, CancellationToken::new()).await
}

/// One pass that may be stopped.
pub async fn pass_until<R: RemoteLibrary>(
    archive: &Arc<Archive>,
    remote: &Arc<R>,
    stop: CancellationToken,
) -> SyncReport {
    pass_with(archive, remote, options(), stop).await
}

/// One pass with other options.
pub async fn pass_with<R: RemoteLibrary>(
    archive: &Arc<Archive>,
    remote: &Arc<R>,
    options: SyncOptions,
    stop: CancellationToken,
) -> SyncReport {
    let progress = Arc::new(Progress::default());
    let clock = Arc::new(SystemClock);
    sync::run(Arc::clone(archive), Arc::clone(remote), clock, options, progress, stop).await
}

/// What the archive has of each item: role to hash of the bytes as they lie on disk.
pub fn contents(archive: &Archive, ledger: &Ledger) -> BTreeMap<String, BTreeMap<String, String>> {
    let keys: Vec<_> = ledger.items.iter().map(|item| MediaKey::new(&item.key).unwrap()).collect();
    let known = archive.index.reader().unwrap().known(&keys).unwrap();
    known
        .into_iter()
        .map(|(key, item)| {
            let parts = item.parts.iter().map(|(role, sha256)| {
                let bytes = std::fs::read(archive.store.blob_path(sha256)).unwrap();
                assert_eq!(digests_of(&bytes).sha256, *sha256, "{key}: damaged");
                (role.word().to_owned(), sha256.hex())
            });
            (key.to_string(), parts.collect())
        })
        .collect()
}

/// What the archive should have: every item that is listed.
pub fn truth(ledger: &Ledger) -> BTreeMap<String, BTreeMap<String, String>> {
    let listed = ledger.items.iter().filter(|item| item.listed && item.shared.is_none());
    listed
        .map(|item| {
            let parts = item.parts.iter().map(|part| (part.role.clone(), part.sha256.clone()));
            (item.key.clone(), parts.collect())
        })
        .collect()
}

/// Requires the archive to be the ledger, to the byte.
pub fn assert_equal(archive: &Archive, ledger: &Ledger) {
    let (have, want) = (contents(archive, ledger), truth(ledger));
    for (key, parts) in &want {
        let item = ledger.items.iter().find(|item| item.key == *key).unwrap();
        assert_eq!(have.get(key), Some(parts), "{key} {:?}", item.name);
    }
    // What is gone from the library stays; what was never in it is not there.
    let listed = |key: &String| {
        ledger.items.iter().any(|item| item.key == *key && item.listed && item.shared.is_none())
    };
    let strays: Vec<_> = have.keys().filter(|key| !want.contains_key(*key) && listed(key)).collect();
    assert!(strays.is_empty(), "{strays:?}");
}

/// Every file below a directory with its size and modification time.
pub fn files(dir: &Path) -> BTreeMap<String, (u64, std::time::SystemTime)> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            if meta.is_dir() {
                open.push(path);
            } else {
                found.insert(path.display().to_string(), (meta.len(), meta.modified().unwrap()));
            }
        }
    }
    found
}
