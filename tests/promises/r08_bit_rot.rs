//! R8: whatever happens to the files of an archive behind our back, a full check names them, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use shoebox::archive::{Archive, index_path};
use shoebox::index::Index;
use shoebox::store::{RealDisk, Store};

use super::r03_crash_states::fast_dir;
use super::{Count, Row, seed};
use crate::appliance::support::shoebox;
use crate::store::support::*;

const DAMAGES: Count = Count(1000, 20_000);

pub const ROWS: &[Row] = &[Row {
    number: 8,
    tried: "files of an archive of 2,000 items damaged, exchanged, renamed, removed: each is named, and nothing else",
    counts: &[DAMAGES],
}];

const ITEMS: usize = 2000;
/// Damages between two checks.
const AT_ONCE: usize = 25;

/// One damage done; the files that a check must name for it.
fn damage(file: &Path, others: &[PathBuf], random: &mut fastrand::Rng) -> BTreeSet<PathBuf> {
    let mut bytes = fs::read(file).unwrap();
    let at = random.usize(..bytes.len());
    let mut named = BTreeSet::from([file.to_owned()]);
    let is_blob = file.extension().is_none();
    match random.u8(..7) {
        0 => bytes[at] ^= 1 << random.u8(..8),
        1 => bytes.truncate(at),
        2 => bytes.extend([random.u8(..), 0]),
        3 => bytes[at / 2..=at].fill(0xee),
        4 => {
            fs::remove_file(file).unwrap();
            return named;
        }
        5 => {
            // Under the name of something that is not in the archive.
            let name = file.file_name().unwrap().to_str().unwrap();
            let digit = if name.ends_with('0') { "1" } else { "0" };
            let other = match is_blob {
                true => file.with_file_name(format!("{}{digit}", &name[..name.len() - 1])),
                false => file.with_file_name(format!("{name}.bak")),
            };
            fs::rename(file, &other).unwrap();
            named.insert(other);
            return named;
        }
        _ => {
            // Two files change places.
            let other = others.iter().find(|other| other.extension() == file.extension()).unwrap();
            let between = file.with_extension("between");
            fs::rename(file, &between).unwrap();
            fs::rename(other, file).unwrap();
            fs::rename(between, other).unwrap();
            named.insert(other.clone());
            return named;
        }
    }
    fs::set_permissions(file, Permissions::from_mode(0o640)).unwrap();
    fs::write(file, bytes).unwrap();
    named
}

/// The files that `shoebox verify` names.
fn check(root: &Path) -> BTreeSet<PathBuf> {
    let output = shoebox().args(["verify", "--afresh", "--json", "--data"]).arg(root).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(output.status.code(), Some(i32::from(!findings.is_empty())));
    findings.iter().map(|finding| PathBuf::from(finding["path"].as_str().unwrap())).collect()
}

#[test]
fn r08_damage_is_found_and_named_and_nothing_else_is() {
    let mut random = fastrand::Rng::with_seed(seed("r08_damage"));
    let dir = fast_dir();
    let root = dir.path().join("archive");
    let id = Store::init(&root, Arc::new(RealDisk), clock()).unwrap();
    Index::create(&index_path(&root), &id).unwrap();
    {
        let archive = Archive::open(&root, Arc::new(RealDisk), clock()).unwrap();
        archive.store.set_reserve(Some(0));
        let writer = archive.index.writer();
        for n in 0..ITEMS {
            let bytes: Vec<u8> = (0..random.usize(200..6000)).map(|_| random.u8(..)).collect();
            let stored = archive_new_item(&archive.store, &format!("item-{n}"), &bytes).unwrap();
            writer.apply(stored).unwrap();
        }
        archive.index.close().unwrap();
    }
    let mut files = files_below(&root.join("blobs"));
    files.extend(files_below(&root.join("records")));
    assert_eq!((files.len(), check(&root)), (2 * ITEMS, BTreeSet::new()), "a false alarm");
    let mut done = 0;
    while done < DAMAGES.get() {
        random.shuffle(&mut files);
        let (struck, rest) = files.split_at(AT_ONCE);
        let sound: BTreeMap<_, _> =
            files.iter().take(AT_ONCE * 5).map(|file| (file, fs::read(file).unwrap())).collect();
        let mut expected = BTreeSet::new();
        for (n, file) in struck.iter().enumerate() {
            // Each changes places with one of its own.
            expected.extend(damage(file, &rest[n * 3..(n + 1) * 3 + 20], &mut random));
        }
        let found = check(&root);
        let unnamed: Vec<_> = expected.difference(&found).collect();
        let mut false_alarms: Vec<_> = found.difference(&expected).collect();
        // A record that is damaged leaves its blob without a record, which is no damage.
        false_alarms.retain(|path| path.exists() || !expected.contains(*path));
        assert!(unnamed.is_empty() && false_alarms.is_empty(), "{unnamed:?} {false_alarms:?}");
        done += AT_ONCE;
        for file in expected {
            let _ = fs::remove_file(file);
        }
        for (file, bytes) in sound {
            let _ = fs::remove_file(file);
            fs::write(file, bytes).unwrap();
            fs::set_permissions(file, Permissions::from_mode(0o440)).unwrap();
        }
    }
    assert_eq!(check(&root), BTreeSet::new());
    println!("{done} damages, each named");
}

/// A record that was taken away is told at the next start and by every verification, although the index that knew it is
/// made again.
#[test]
fn r08_a_record_that_is_taken_away_is_not_forgotten() {
    let archive = TestArchive::new();
    let opened = crate::index::archive::open(&archive);
    let kept = archive_item(&opened.store, Some(&opened.index.writer()), "kept", b"1").unwrap();
    let taken = archive_item(&opened.store, Some(&opened.index.writer()), "taken", b"2").unwrap();
    opened.index.close().unwrap();
    drop(opened.store);
    let records = files_below(&archive.root().join("records"));
    let hash = taken.sha256().hex();
    let path = records.iter().find(|path| path.to_str().unwrap().contains(&hash)).unwrap().clone();
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(check(&archive.root()), BTreeSet::from([path.clone()]), "before the next start");
    for _ in 0..2 {
        let opened = crate::index::archive::open(&archive);
        let reader = opened.index.reader().unwrap();
        assert!(reader.has_record(kept.sha256()).unwrap() && !reader.has_record(taken.sha256()).unwrap());
        opened.index.close().unwrap();
        drop(opened.store);
        assert_eq!(check(&archive.root()), BTreeSet::from([path.clone()]), "after a start");
    }
    // From a copy.
    fs::write(&path, bytes).unwrap();
    drop(crate::index::archive::open(&archive));
    assert_eq!(check(&archive.root()), BTreeSet::new());
}
