//! Single shards, what stands of what was found, and repair from a copy.

use std::fs;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use shoebox::model::Sha256;
use shoebox::store::scrub::{Finding, FindingKind, scrub_shard, still_stands};
use shoebox::store::{Group, Immutable, SecondCopy, Store};

use super::support::*;

/// An archive, its one item's blob and record.
fn filled() -> (TestArchive, Store, PathBuf, PathBuf) {
    let archive = TestArchive::new();
    let store = archive.open();
    archive_new_item(&store, "item", b"the bytes").unwrap();
    let only = |dir: &str| files_below(&archive.root().join(dir)).remove(0);
    let (blob, record) = (only("blobs"), only("records"));
    (archive, store, blob, record)
}

/// A copy in a directory.
struct Copy(PathBuf);

impl SecondCopy for Copy {
    fn open(&self, file: &Immutable) -> io::Result<Option<Box<dyn Read + Send>>> {
        match fs::File::open(self.0.join(file.path())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => Ok(Some(Box::new(other?))),
        }
    }

    fn files_in(&self, group: Group) -> io::Result<Vec<Immutable>> {
        let names = fs::read_dir(self.0.join(group.path()))?.map(|entry| entry.unwrap().file_name());
        Ok(names.filter_map(|name| group.file(name.to_str()?)).collect())
    }
}

fn copy(archive: &TestArchive) -> Copy {
    let to = archive.outside("copy");
    assert!(Command::new("cp").arg("-a").args([archive.root(), to.clone()]).status().unwrap().success());
    Copy(to)
}

fn spoil(file: &Path) {
    fs::set_permissions(file, fs::Permissions::from_mode(0o640)).unwrap();
    fs::write(file, b"not these").unwrap();
}

fn finding(path: &Path) -> Finding {
    Finding { kind: FindingKind::Damaged, path: path.to_owned(), detail: String::new() }
}

#[test]
fn a_copy_mends_what_is_damaged_or_gone_and_the_bad_bytes_stay() {
    for (is_gone, of_blob) in [(false, true), (false, false), (true, true), (true, false)] {
        let (archive, store, blob, record) = filled();
        let copy = copy(&archive);
        let file = if of_blob { blob } else { record };
        let sound = fs::read(&file).unwrap();
        assert!(store.mend_from(&copy, &finding(&file)).unwrap().is_empty(), "there was nothing to mend");
        if is_gone {
            fs::remove_file(&file).unwrap()
        } else {
            spoil(&file)
        }
        assert_eq!(store.mend_from(&copy, &finding(&file)).unwrap(), std::slice::from_ref(&file));
        assert_eq!(fs::read(&file).unwrap(), sound);
        let aside = files_below(&archive.root().join("quarantine"));
        let kept: Vec<_> = aside.iter().map(|file| fs::read(file).unwrap()).collect();
        assert_eq!(kept, if is_gone { vec![] } else { vec![b"not these".to_vec()] });
        assert_legal(&store);
    }
}

#[test]
fn a_copy_that_is_damaged_too_changes_nothing() {
    for of_blob in [true, false] {
        let (archive, store, blob, record) = filled();
        let copy = copy(&archive);
        let file = if of_blob { blob } else { record };
        let theirs = copy.0.join(file.strip_prefix(archive.root()).unwrap());
        for spoilt in [true, false] {
            spoil(&file);
            if spoilt {
                spoil(&theirs)
            } else {
                fs::remove_file(&theirs).unwrap()
            }
            assert!(store.mend_from(&copy, &finding(&file)).unwrap().is_empty());
            assert_eq!(fs::read(&file).unwrap(), b"not these");
            assert_eq!(archive.tmp_files(), Vec::<PathBuf>::new());
        }
    }
}

#[test]
fn albums_are_mended_with_their_earlier_revisions() {
    let (archive, store, ..) = filled();
    let first = store.put_album(&album(1, None, &["item"])).unwrap();
    store.put_album(&album(2, Some(*first.sha256()), &[])).unwrap();
    let copy = copy(&archive);
    let files = files_below(&archive.root().join("albums"));
    files.iter().for_each(|file| fs::remove_file(file).unwrap());
    let mut mended = store.mend_from(&copy, &finding(&files[1])).unwrap();
    mended.sort();
    assert_eq!(mended, files);
    let name = shoebox::store::RecordName::parse(files[0].file_name().unwrap()).unwrap();
    assert_eq!(store.album_path(&name), files[0]);
}

#[test]
fn a_finding_stands_until_its_own_file_is_sound() {
    let (_archive, store, blob, record) = filled();
    for file in [blob, record] {
        assert!(!still_stands(&store, &finding(&file)), "{}", file.display());
        let sound = fs::read(&file).unwrap();
        spoil(&file);
        assert!(still_stands(&store, &finding(&file)), "{}", file.display());
        fs::write(&file, sound).unwrap();
    }
    // Another record of the same shard is none of its business.
    let dir = store.root().join("records/00");
    let stray = dir.join("holiday.jpg");
    assert!(!still_stands(&store, &finding(&stray)));
    fs::write(&stray, b"x").unwrap();
    assert!(still_stands(&store, &finding(&stray)));
}

#[test]
fn a_shard_is_read_on_after_the_last_file_that_was_read() {
    let archive = TestArchive::new();
    let store = archive.open();
    // Two files of one shard.
    let mut by_shard = std::collections::BTreeMap::<u8, Vec<(Sha256, u64)>>::new();
    let (shard, blobs) = (0_u32..)
        .find_map(|n| {
            let bytes = n.to_le_bytes();
            let sha256 = shoebox::model::digest::digests_of(&bytes).sha256;
            let shard = sha256.bytes()[0];
            let here = by_shard.entry(shard).or_default();
            here.push((sha256, 4));
            put(&store, &bytes).unwrap();
            (here.len() == 2).then(|| (shard, here.clone()))
        })
        .unwrap();
    let mut expected = blobs;
    expected.sort();
    let whole = scrub_shard(&store, shard, None, &expected, &mut |_, _| ControlFlow::Continue(()));
    assert_eq!((whole.blobs, whole.bytes, whole.findings.len()), (2, 8, 0));
    let part = scrub_shard(&store, shard, None, &expected, &mut |_, _| ControlFlow::Break(()));
    assert_eq!((part.blobs, part.stopped_after), (1, Some(expected[0].0)));
    let rest =
        scrub_shard(&store, shard, part.stopped_after, &expected, &mut |_, _| ControlFlow::Continue(()));
    assert_eq!((rest.blobs, rest.bytes, rest.stopped_after), (1, 4, None));
    // A directory is no blob, whatever its name; nor is a file of another shard.
    let missing = store.blob_path(&expected[0].0);
    fs::remove_file(&missing).unwrap();
    fs::create_dir(&missing).unwrap();
    let report = scrub_shard(&store, shard, None, &expected, &mut |_, _| ControlFlow::Continue(()));
    let kinds: Vec<_> = report.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!((report.blobs, kinds), (1, vec![FindingKind::Stray, FindingKind::Missing]));
}

#[test]
fn what_two_notes_call_lost_is_told_once_until_it_comes_back() {
    let (archive, store, blob, record) = filled();
    let gone = [archive.root().join("records/00/gone.json"), archive.root().join("records/01/gone.json")];
    assert_eq!(store.noted_lost().unwrap(), []);
    store.note_lost(&[gone[0].clone(), gone[1].clone(), blob, record]).unwrap();
    fs::write(
        archive.root().join("quarantine/lost-records.later.txt"),
        "records/00/gone.json\n\n../../etc/shadow\n",
    )
    .unwrap();
    let lost: Vec<_> = store.noted_lost().unwrap().into_iter().map(|(file, _)| file).collect();
    assert_eq!(lost, gone);
    fs::create_dir_all(gone[0].parent().unwrap()).unwrap();
    fs::write(&gone[0], b"{}").unwrap();
    let lost: Vec<_> = store.noted_lost().unwrap().into_iter().map(|(file, _)| file).collect();
    assert_eq!(lost, gone[1..]);
}
