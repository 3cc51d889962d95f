//! Verification finds every damage, names it, and raises no false alarm.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use shoebox::store::Store;
use shoebox::store::scrub::{FindingKind, ScrubOptions, ScrubReport, checkpoint_path, scrub};

use super::support::*;

fn verify(store: &Store) -> ScrubReport {
    scrub(store, &ScrubOptions::default(), &|_| ControlFlow::Continue(())).unwrap()
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap();
    fs::write(path, bytes).unwrap();
}

fn filled(items: u16) -> (TestArchive, Store) {
    let archive = TestArchive::new();
    let store = archive.open();
    for n in 0..items {
        let blob = put(&store, &n.to_le_bytes().repeat(usize::from(n) + 1)).unwrap();
        let part = part(shoebox::model::PartRole::Original, "a.jpg", blob.digests());
        let record = record(&key(&format!("k{n}")), store.next_ordinal().unwrap(), vec![part]);
        store.put_record(&record, &[&blob]).unwrap();
    }
    (archive, store)
}

#[test]
fn a_sound_archive_raises_no_alarm() {
    let (_archive, store) = filled(60);
    put(&store, b"not recorded yet").unwrap();
    let report = verify(&store);
    assert_eq!(report.findings, []);
    assert!(report.complete);
    assert_eq!((report.records, report.blobs, report.unreferenced), (60, 61, 1));
    assert_eq!(report.bytes, (1..=60).map(|n| n * 2).sum::<u64>() + 16);
}

#[test]
fn every_kind_of_damage_is_found_and_named() {
    let (archive, store) = filled(200);
    let root = archive.root();
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut files = files_below(&root.join("blobs"));
    files.extend(files_below(&root.join("records")));
    random.shuffle(&mut files);
    let mut expected = BTreeSet::new();
    let is_record = |path: &Path| path.starts_with(root.join("records"));
    for (n, path) in files.iter().take(120).enumerate() {
        let damage = FindingKind::Damaged;
        match n % 6 {
            0 => change(path, |bytes| {
                let at = random.usize(..bytes.len());
                bytes[at] ^= 1 << random.u8(..8);
            }),
            1 => change(path, |bytes| bytes.truncate(random.usize(..bytes.len()))),
            2 => change(path, |bytes| bytes.push(0)),
            3 => change(path, |bytes| bytes.iter_mut().for_each(|byte| *byte = !*byte)),
            4 => {
                // Under a name that is none.
                let other = path.with_file_name(format!("copy-of-{n}"));
                fs::copy(path, &other).unwrap();
                expected.insert((FindingKind::Stray, other));
                continue;
            }
            _ if is_record(path) => continue,
            _ => {
                fs::remove_file(path).unwrap();
                expected.insert((FindingKind::Missing, path.clone()));
                continue;
            }
        }
        expected.insert((damage, path.clone()));
    }
    // A blob whose only record is unreadable may be missing unnoticed; the record is the finding then.
    let referenced: BTreeSet<PathBuf> = store
        .records()
        .filter_map(Result::ok)
        .flat_map(|stored| {
            stored.record().parts.iter().map(|part| store.blob_path(&part.sha256)).collect::<Vec<_>>()
        })
        .collect();
    expected.retain(|(kind, path)| *kind != FindingKind::Missing || referenced.contains(path));
    let found: BTreeSet<_> =
        verify(&store).findings.into_iter().map(|finding| (finding.kind, finding.path)).collect();
    assert_eq!(found, expected);
}

#[test]
fn swapped_blobs_and_a_gap_in_a_chain_are_found() {
    let (archive, store) = filled(3);
    let blobs = files_below(&archive.root().join("blobs"));
    let aside = archive.outside("aside");
    fs::rename(&blobs[0], &aside).unwrap();
    fs::rename(&blobs[1], &blobs[0]).unwrap();
    fs::rename(&aside, &blobs[1]).unwrap();
    let first = store.records().next().unwrap().unwrap();
    let second = store.put_record(&revision(&first), &[]).unwrap();
    let third = store.put_record(&revision(&second), &[]).unwrap();
    let (second, third) = (second.sha256().hex(), third.sha256().hex());
    let path_of = |hash: &str| {
        let mut all = files_below(&archive.root().join("records")).into_iter();
        all.find(|path| path.to_string_lossy().contains(hash)).unwrap()
    };
    let third = path_of(&third);
    fs::remove_file(path_of(&second)).unwrap();
    let findings = verify(&store).findings;
    let found: Vec<_> = findings.iter().map(|finding| (finding.kind, finding.path.clone())).collect();
    assert_eq!(
        found,
        [
            (FindingKind::Damaged, blobs[0].clone()),
            (FindingKind::Damaged, blobs[1].clone()),
            (FindingKind::Missing, third),
        ]
    );
    assert!(findings[2].detail.contains("revision 2"));
}

#[test]
fn an_interrupted_verification_goes_on_where_it_stopped() {
    for threads in [1, 4] {
        let (archive, store) = filled(120);
        let bad = files_below(&archive.root().join("blobs"));
        for path in [&bad[3], &bad[60], &bad[119]] {
            change(path, |bytes| bytes[0] ^= 1);
        }
        let options =
            ScrubOptions { threads: NonZero::new(threads), checkpoint: Some(checkpoint_path(&store)) };
        let hashed = AtomicU64::new(0);
        let mut runs = 0;
        let report = loop {
            runs += 1;
            let here = AtomicU64::new(0);
            let report = scrub(&store, &options, &|progress| {
                hashed.fetch_add(1, Ordering::Relaxed);
                assert_eq!(progress.expected_blobs, 120);
                let stop = here.fetch_add(1, Ordering::Relaxed) >= 10;
                if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .unwrap();
            if report.complete {
                break report;
            }
            assert!(checkpoint_path(&store).exists());
        };
        assert!(runs > 5, "{runs}");
        assert_eq!(hashed.into_inner(), 120, "every blob once, in {runs} runs on {threads} threads");
        assert_eq!(report.blobs, 120);
        let found: Vec<_> = report.findings.iter().map(|finding| finding.path.clone()).collect();
        assert_eq!(found, [bad[3].clone(), bad[60].clone(), bad[119].clone()]);
        assert!(!checkpoint_path(&store).exists());
    }
}

#[test]
fn a_checkpoint_that_is_garbage_or_of_another_archive_is_not_believed() {
    let (archive, store) = filled(5);
    let (_other, other) = filled(1);
    let options = ScrubOptions { threads: NonZero::new(1), checkpoint: Some(checkpoint_path(&store)) };
    let stopped = scrub(&store, &options, &|_| ControlFlow::Break(())).unwrap();
    assert!(!stopped.complete);
    let foreign = fs::read_to_string(checkpoint_path(&store))
        .unwrap()
        .replace(store.id().as_str(), other.id().as_str());
    for text in [foreign.as_str(), "", "{", "[]"] {
        fs::write(checkpoint_path(&store), text).unwrap();
        let report = scrub(&store, &options, &|_| ControlFlow::Continue(())).unwrap();
        assert_eq!(report.blobs, 5);
    }
    drop(archive);
}

#[test]
fn records_of_albums_are_read_too() {
    let (archive, store) = filled(3);
    let first = store.put_album(&album(1, None, &["k1"])).unwrap();
    assert!(store.put_album(&album(2, None, &["k1"])).is_err(), "it does not continue the first");
    store.put_album(&album(2, Some(*first.sha256()), &["k1", "k2"])).unwrap();
    let report = verify(&store);
    assert_eq!((report.findings.len(), report.records), (0, 5));
    let mut files = files_below(&archive.root().join("albums"));
    files.sort();
    change(&files[1], |bytes| bytes[9] ^= 1);
    fs::remove_file(&files[0]).unwrap();
    let kinds: Vec<_> = verify(&store).findings.into_iter().map(|finding| finding.kind).collect();
    assert!(
        kinds.len() == 2 && kinds.contains(&FindingKind::Missing) && kinds.contains(&FindingKind::Damaged),
        "{kinds:?}"
    );
}
