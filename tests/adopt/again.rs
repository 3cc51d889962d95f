//! What an import brings beside an earlier one, and what it must not take for something else.

use std::path::Path;
use std::sync::Arc;

use shoebox::adopt::Options;
use shoebox::model::{ItemRecord, ItemState, PartRole};
use shoebox::sim::fake::FakeLibrary;
use shoebox::sim::{LedgerItem, LiveAs, SimConfig};

use super::support::*;
use crate::sync::support::{assert_equal, open, pass};

/// A JSON as Takeout writes it, with further fields.
fn json(title: &str, more: &str) -> Vec<u8> {
    let text = format!(r#"{{"title":"{title}","photoTakenTime":{{"timestamp":"1234567890"}}{more}}}"#);
    text.into_bytes()
}

fn hashes(record: &ItemRecord) -> Vec<(PartRole, u32, String)> {
    record.parts.iter().map(|part| (part.role, part.version, part.sha256.hex())).collect()
}

fn sha256(bytes: &[u8]) -> String {
    shoebox::model::digest::digests_of(bytes).sha256.hex()
}

const VIDEO: &[u8] = include_bytes!("../media/mp4_utc.mp4");

#[test]
fn another_edit_of_the_same_photo_is_a_further_version() {
    let Stage { archive, there, _dir } = stage();
    for (year, edit) in [("2021", 11), ("2024", 12)] {
        let at = |name: &str| format!("{year}/Takeout/Google Photos/Photos from 2009/{name}");
        write(&there, &at("IMG.jpg"), &photo(10));
        write(&there, &at("IMG-edited.jpg"), &photo(edit));
        write(&there, &at("IMG.jpg.json"), &json("IMG.jpg", ""));
        let report = adopt(&archive, &[there.join(year)], &Options::default());
        assert_eq!((report.new, report.archived), if year == "2021" { (1, 0) } else { (0, 1) }, "{report:?}");
    }
    let want = [
        (PartRole::Original, 1, sha256(&photo(10))),
        (PartRole::Edited, 1, sha256(&photo(11))),
        (PartRole::Edited, 2, sha256(&photo(12))),
    ];
    assert_eq!(hashes(&record(&archive, "IMG.jpg")), want);
    let again = adopt(&archive, &[there], &Options::default());
    assert_eq!((again.new, again.revised), (0, 0), "{again:?}");
}

/// What a library shows of an item is for the library to say; but nothing is left without a record.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_the_library_does_not_have_is_a_photo_of_its_own() {
    let Stage { archive: dir, there, _dir } = stage();
    let library = Arc::new(FakeLibrary::new(SimConfig { items: 60, ..SimConfig::default() }));
    crate::sync::support::init(&dir);
    let archive = open(&dir);
    pass(&archive, &library).await;
    drop(archive);
    let ledger = library.ledger();
    let is_plain = |item: &&LedgerItem| item.parts.len() == 1 && item.name.starts_with("PXL_");
    let item = ledger.items.iter().find(is_plain).unwrap();
    write(&there, "a.jpg", &library.library().original(&item.key).unwrap());
    write(&there, "a-edited.jpg", &photo(13));
    let dry = adopt(&dir, std::slice::from_ref(&there), &Options { dry_run: true, ..Options::default() });
    let report = adopt(&dir, std::slice::from_ref(&there), &Options::default());
    assert_eq!((report.new, report.archived), (1, 1), "{report:?}");
    assert_eq!((dry.new, dry.archived), (1, 1), "{dry:?}");
    assert_eq!(hashes(&record(&dir, "a-edited.jpg")), [(PartRole::Original, 1, sha256(&photo(13)))]);
    assert_eq!(record(&dir, &item.name).parts.len(), 1);
}

/// A video that is only called like a Live Photo does not keep Google's from being fetched.
#[tokio::test(flavor = "multi_thread")]
async fn the_librarys_own_video_is_fetched_where_another_was_adopted() {
    for live in [LiveAs::Zip, LiveAs::Clip] {
        let Stage { archive: dir, there, _dir } = stage();
        let library =
            Arc::new(FakeLibrary::with_live(live, SimConfig { items: 120, ..SimConfig::default() }));
        let ledger = library.ledger();
        let is_live = |item: &&LedgerItem| {
            item.parts.iter().any(|part| part.role == "motion")
                && item.dedup_key.len() == 27
                && !item.storage_saver
        };
        let item = ledger.items.iter().find(is_live).unwrap();
        let (stem, extension) = item.name.rsplit_once('.').unwrap();
        let at = |name: &str| format!("Takeout/Google Photos/Photos from 2009/{name}");
        let name = format!("{stem}.{extension}");
        write(&there, &at(&name), &library.library().original(&item.key).unwrap());
        write(&there, &at(&format!("{stem}.MP4")), VIDEO);
        write(&there, &at(&format!("{name}.json")), &json(&name, ""));
        adopt(&dir, &[there], &Options::default());
        assert_eq!(record(&dir, &item.name).parts.len(), 2, "the test tests nothing");
        let archive = open(&dir);
        pass(&archive, &library).await;
        assert_equal(&archive, &ledger);
    }
}

#[test]
fn exports_of_two_people_are_kept_apart() {
    let Stage { archive, there, _dir } = stage();
    let at = |who: &str, name: &str| format!("{who}/Takeout/Google Photos/Photos from 2020/{name}");
    write(&there, &at("alice", "IMG_1.jpg"), &photo(20));
    write(&there, &at("bob", "IMG_1.jpg"), &photo(21));
    write(&there, &at("bob", "IMG_1.jpg.json"), &json("IMG_1.jpg", r#","people":[{"name":"Bob"}]"#));
    // Of another product.
    write(&there, "bob/Takeout/Drive/scan.jpg", &photo(22));
    let report = adopt(&archive, &[there], &Options::default());
    assert_eq!((report.new, report.described), (2, 1), "{report:?}");
    assert_eq!(report.elsewhere.get("Drive"), Some(&1));
    for record in records(&archive).remove("IMG_1.jpg").unwrap() {
        let is_bobs = record.parts[0].sha256.hex() == sha256(&photo(21));
        assert_eq!(!record.adopted.unwrap().people.is_empty(), is_bobs);
    }
}

#[test]
fn a_second_import_moves_no_path() {
    let Stage { archive, there, _dir } = stage();
    write(&there, "plain/DSC 1 (copy).jpg", &photo(30));
    let at = |name: &str| format!("Takeout/Google Photos/Photos from 2009/{name}");
    write(&there, &at("DSC_1.jpg"), &photo(30));
    write(
        &there,
        &at("DSC_1.jpg.json"),
        &json("DSC_1.jpg", r#","description":"By the sea","favorited":true"#),
    );
    adopt(&archive, &[there.join("plain")], &Options::default());
    let before = paths_of(&archive, "by-date");
    let report = adopt(&archive, &[there.join("Takeout")], &Options::default());
    assert_eq!((report.new, report.revised), (0, 1), "{report:?}");
    assert_eq!(paths_of(&archive, "by-date"), before);
    let known = record(&archive, "DSC 1 (copy).jpg");
    assert!(known.remote.favourite && known.remote.description.as_deref() == Some("By the sea"));
}

#[test]
fn what_was_thrown_away_is_not_called_present() {
    let Stage { archive, there, _dir } = stage();
    let at = |name: &str| format!("Takeout/Google Photos/Papierkorb/{name}");
    write(&there, &at("a.jpg"), &photo(40));
    write(&there, &at("a.jpg.json"), &json("a.jpg", r#","trashed":true"#));
    adopt(&archive, &[there], &Options::default());
    assert_eq!(record(&archive, "a.jpg").state, ItemState::Gone);
    assert_eq!(paths_of(&archive, "gone-from-google").len(), 1);
}

#[test]
fn an_original_that_is_gone_from_the_disk_comes_back_from_the_import() {
    let Stage { archive, there, _dir } = stage();
    write(&there, "a.jpg", &photo(50));
    adopt(&archive, std::slice::from_ref(&there), &Options::default());
    let hash = sha256(&photo(50));
    let blob = archive.join("blobs").join(&hash[..2]).join(&hash);
    std::fs::remove_file(&blob).unwrap();
    let report = adopt(&archive, &[there], &Options::default());
    assert_eq!((report.new, report.archived), (0, 1), "{report:?}");
    assert_eq!(std::fs::read(blob).unwrap(), photo(50));
}

/// Halves of what cannot be read now wait for it.
#[test]
fn the_video_of_a_photo_that_cannot_be_read_is_no_item_of_its_own() {
    let Stage { archive, there, _dir } = stage();
    let path = there.join("a.zip");
    let still = photo(60);
    let at = |name: &str| format!("Takeout/Google Photos/Photos from 2009/{name}");
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in [("a.jpg", &still[..]), ("a.mp4", VIDEO), ("a.jpg.json", &json("a.jpg", ""))] {
        zip.start_file(at(name), options).unwrap();
        std::io::Write::write_all(&mut zip, bytes).unwrap();
    }
    zip.finish().unwrap();
    // One byte of the photo: the zip's own sum tells.
    let whole = std::fs::read(&path).unwrap();
    let mut broken = whole.clone();
    let begins = whole.windows(still.len()).position(|window| window == still).unwrap();
    broken[begins + still.len() / 2] ^= 0xff;
    std::fs::write(&path, broken).unwrap();
    let report = adopt(&archive, std::slice::from_ref(&path), &Options::default());
    assert_eq!((report.new, report.trouble.len()), (0, 1), "{report:?}");
    std::fs::write(&path, whole).unwrap();
    let report = adopt(&archive, &[path], &Options::default());
    assert_eq!((report.new, report.trouble.len()), (1, 0), "{report:?}");
    assert_eq!(record(&archive, "a.jpg").parts.len(), 2);
}

#[test]
fn a_pipe_holds_nobody_up() {
    let Stage { archive, there, _dir } = stage();
    let pipe: &Path = &there.join("pipe.jpg");
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600));
    rustix::fs::mknodat(rustix::fs::CWD, pipe, kind, mode, 0).unwrap();
    let report = adopt(&archive, &[pipe.to_owned()], &Options::default());
    assert_eq!(report.new, 0);
    assert!(report.trouble.len() + report.damaged.len() == 1, "{report:?}");
}
