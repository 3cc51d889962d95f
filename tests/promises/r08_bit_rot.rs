//! R8: whatever happens to the files of an archive behind our back, a full check names them, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use shoebox::archive::{Archive, index_path};
use shoebox::index::Index;
use shoebox::model::Sha256;
use shoebox::sim::SimConfig;
use shoebox::sim::fake::FakeLibrary;
use shoebox::store::{RealDisk, Store};
use shoebox::sync::report::Outcome;
use shoebox::upkeep::{self, Settings};

use super::{Count, Row, seed};
use crate::appliance::support::shoebox;
use crate::store::support::*;
use crate::sync::support::{assert_equal, pass};

const DAMAGES: Count = Count(1000, 10_000, 50_000);

pub const ROWS: &[Row] = &[Row {
    number: 8,
    tried: "files of an archive of 2,000 items damaged, exchanged, renamed, removed: each is named, and nothing else; what a copy or Google still has is mended",
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

/// Damages everything in turn; what a copy has comes back, and the bad bytes are kept.
#[test]
fn r08_damage_is_mended_from_a_copy() {
    let mut random = fastrand::Rng::with_seed(seed("r08_damage_is_mended"));
    let dir = fast_dir();
    let (root, copy) = (dir.path().join("archive"), dir.path().join("copy"));
    crate::sync::support::init(&root);
    {
        let archive = crate::sync::support::open(&root);
        archive.store.set_reserve(Some(0));
        for n in 0..60 {
            let bytes: Vec<u8> = (0..random.usize(200..6000)).map(|_| random.u8(..)).collect();
            let stored = archive_new_item(&archive.store, &format!("item-{n}"), &bytes).unwrap();
            archive.index.writer().apply(stored).unwrap();
        }
    }
    assert!(super::volume::run("cp", &["-a", root.to_str().unwrap(), copy.to_str().unwrap()]));
    let repair = |from: &Path| {
        let mut command = shoebox();
        command.args(["verify", "--afresh", "--json", "--repair-from"]).arg(from).arg("--data").arg(&root);
        command.output().unwrap()
    };
    let mut files = files_below(&root.join("blobs"));
    files.extend(files_below(&root.join("records")));
    let before: BTreeMap<_, _> = files.iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect();
    for _ in 0..4 {
        random.shuffle(&mut files);
        let (struck, rest) = files.split_at(20);
        let mut damaged = BTreeSet::new();
        for (n, file) in struck.iter().enumerate() {
            damaged.extend(damage(file, &rest[n..n + 40], &mut random));
        }
        let strays: Vec<_> = damaged.iter().filter(|file| !before.contains_key(*file)).collect();
        let bad: Vec<_> = damaged.iter().filter(|file| before.contains_key(*file) && file.exists()).collect();
        let bad: BTreeSet<_> = bad.into_iter().map(|file| fs::read(file).unwrap()).collect();
        let output = repair(&copy);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        // What does not belong there is somebody's own, and nothing that a copy could mend.
        let findings = report["findings"].as_array().unwrap();
        let left: BTreeSet<_> =
            findings.iter().map(|finding| PathBuf::from(finding["path"].as_str().unwrap())).collect();
        assert_eq!(left, strays.iter().copied().cloned().collect(), "{report}");
        for file in strays {
            fs::remove_file(file).unwrap();
        }
        for (file, bytes) in &before {
            assert_eq!(&fs::read(file).unwrap(), bytes, "{}", file.display());
        }
        let kept: BTreeSet<_> =
            files_below(&root.join("quarantine")).iter().map(|file| fs::read(file).unwrap()).collect();
        assert!(bad.is_subset(&kept), "bad bytes were thrown away");
    }
    assert_eq!(check(&root), BTreeSet::new());
    // A copy that is damaged in the same place, or of another archive, helps nobody and harms nothing.
    let file = files.iter().find(|file| file.extension().is_none()).unwrap();
    for root in [&root, &copy] {
        let file = root.join(file.strip_prefix(dir.path().join("archive")).unwrap());
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        fs::write(&file, b"bad").unwrap();
    }
    assert_eq!(repair(&copy).status.code(), Some(1));
    assert_eq!(check(&root), BTreeSet::from([file.clone()]));
    let other = TestArchive::new();
    let refused = repair(&other.root());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("a replica of archive"), "{said}");
}

/// Upkeep finds damage, and the next pass over the library mends what is still there.
#[tokio::test(flavor = "multi_thread")]
async fn r08_damage_is_mended_from_google() {
    let mut random = fastrand::Rng::with_seed(seed("r08_damage_is_mended_from_google"));
    let dir = tempfile::tempdir().unwrap();
    crate::sync::support::init(dir.path());
    let archive = crate::sync::support::open(dir.path());
    let library = Arc::new(FakeLibrary::new(SimConfig { items: 60, page: 40, ..SimConfig::default() }));
    pass(&archive, &library).await;
    let mut items: Vec<_> = library.ledger().items.into_iter().filter(|item| item.listed).collect();
    random.shuffle(&mut items);
    let struck: BTreeSet<PathBuf> = items
        .iter()
        .take(12)
        .map(|item| archive.store.blob_path(&Sha256::from_hex(&item.parts[0].sha256).unwrap()))
        .collect();
    for (n, file) in struck.iter().enumerate() {
        match n % 3 {
            0 => fs::remove_file(file).unwrap(),
            _ => {
                fs::set_permissions(file, Permissions::from_mode(0o640)).unwrap();
                fs::write(file, format!("bad {n}")).unwrap();
            }
        }
    }
    let settings = Settings::default();
    let mut today = now();
    let mut found = BTreeSet::new();
    for _ in 0..30 {
        today += jiff::SignedDuration::from_hours(24);
        let report = upkeep::day(&archive, today, &settings, &mut |_| ControlFlow::Continue(())).unwrap();
        found.extend(report.new.into_iter().map(|finding| finding.path));
    }
    assert_eq!(found, struck);
    let fetched = library.fetches();
    let report = pass(&archive, &library).await;
    assert_eq!(report.outcome(), &Outcome::Complete, "{}", report.sentence());
    let fetched = library.fetches() - fetched;
    // What has no hash at Google comes twice, a Live Photo in two parts.
    assert!((12..=36).contains(&fetched), "{fetched} files were fetched for 12 that were damaged");
    assert_equal(&archive, &library.ledger());
    today += jiff::SignedDuration::from_hours(24);
    upkeep::day(&archive, today, &settings, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(upkeep::standing(&archive.store), []);
    let kept = files_below(&dir.path().join("quarantine"));
    assert_eq!(kept.iter().filter(|file| file.to_str().unwrap().contains("/damaged.")).count(), 8);
    // What Google does not have any more stays a finding, and is told in the same words every day.
    let gone = &items[20];
    let file = archive.store.blob_path(&Sha256::from_hex(&gone.parts[0].sha256).unwrap());
    fs::remove_file(&file).unwrap();
    library.library().trash_item(&gone.key);
    for _ in 0..30 {
        today += jiff::SignedDuration::from_hours(24);
        upkeep::day(&archive, today, &settings, &mut |_| ControlFlow::Continue(())).unwrap();
    }
    pass(&archive, &library).await;
    let standing: Vec<_> = upkeep::standing(&archive.store).into_iter().map(|finding| finding.path).collect();
    assert_eq!(standing, [file]);
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
