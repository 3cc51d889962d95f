//! An archive to copy, and the program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use shoebox::archive::Archive;

use super::server::{KEY, SECRET};
use crate::appliance::support::shoebox;
use crate::store::support::{album, archive_new_item};

/// A directory with an archive in it.
pub struct Stage {
    pub dir: tempfile::TempDir,
}

impl Stage {
    /// An archive of so many items, a few kilobytes each.
    pub fn new(items: usize) -> Self {
        let stage = Self { dir: crate::store::support::fast_dir() };
        crate::sync::support::init(&stage.data());
        stage.add(0..items, 4000);
        stage
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("archive")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Archives items of these numbers.
    pub fn add(&self, numbers: std::ops::Range<usize>, size: usize) {
        let archive = self.open();
        for number in numbers.clone() {
            let bytes = bytes(number as u64, size);
            let stored = archive_new_item(&archive.store, &format!("item-{number}"), &bytes).unwrap();
            archive.index.writer().apply(stored).unwrap();
        }
        if numbers.start == 0 {
            let stored = archive.store.put_album(&album(1, None, &["item-0", "item-1"])).unwrap();
            archive.index.writer().apply_album(stored).unwrap();
        }
        std::sync::Arc::into_inner(archive).unwrap().index.close().unwrap();
    }

    pub fn open(&self) -> std::sync::Arc<Archive> {
        crate::sync::support::open(&self.data())
    }

    /// The program on this archive.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = shoebox();
        command.args(args).env("SHOEBOX_DATA", self.data());
        command
    }

    /// The same, with a server behind this address.
    pub fn at(&self, endpoint: &str, args: &[&str]) -> Command {
        let mut command = self.command(args);
        command
            .env("SHOEBOX_S3_ENDPOINT", endpoint)
            .env("SHOEBOX_S3_KEY", KEY)
            .env("SHOEBOX_S3_SECRET", SECRET);
        command
    }
}

/// Bytes unlike any others.
pub fn bytes(seed: u64, size: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; size + rng.usize(0..1000)];
    rng.fill(&mut bytes);
    bytes
}

/// The files that are the truth of an archive, by their paths in it.
pub fn truth(data: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for dir in ["blobs", "records", "albums"] {
        for file in crate::store::support::files_below(&data.join(dir)) {
            let name = file.strip_prefix(data).unwrap().to_str().unwrap().to_owned();
            files.insert(name, std::fs::read(&file).unwrap());
        }
    }
    files
}

/// Changes a byte of a file that is protected.
pub fn spoil(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
}
