//! Google Takeout: the export of a simulated library in every form, then a sync.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use shoebox::adopt::{Library, Options};
use shoebox::model::{LOCAL_ACCOUNT, MediaKey, PartRole, Sha1, Verdict};
use shoebox::remote::RemoteLibrary;
use shoebox::sim::SimConfig;
use shoebox::sim::fake::FakeLibrary;
use shoebox::sim::takeout::{Form, Takeout, Words};
use shoebox::sync::report::Outcome;

use super::support::*;
use crate::sync::support::{assert_equal, contents, open, pass, truth};

const ITEMS: usize = 300;

fn library() -> Arc<FakeLibrary> {
    Arc::new(FakeLibrary::new(SimConfig { items: ITEMS, page: 100, ..SimConfig::default() }))
}

fn paths(dir: &std::path::Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Everything of the library is in the archive, each photo once and with what Google knows of it.
fn assert_adopted(dir: &std::path::Path, library: &FakeLibrary, report: &shoebox::adopt::AdoptReport) {
    assert_eq!(
        (&report.trouble, &report.damaged, &report.unmatched),
        (&vec![], &vec![], &vec![]),
        "{report:?}"
    );
    assert_eq!(report.undescribed, Vec::<String>::new());
    let ledger = library.ledger();
    let listed: Vec<_> = ledger.items.iter().filter(|item| item.listed && item.shared.is_none()).collect();
    let by_original: BTreeMap<&str, Vec<_>> = listed.iter().fold(BTreeMap::new(), |mut all, item| {
        all.entry(item.parts[0].sha256.as_str()).or_insert_with(Vec::new).push(item);
        all
    });
    let records: Vec<_> = records(dir).into_values().flatten().collect();
    assert_eq!(records.len(), by_original.len());
    for record in &records {
        let original = record.part(PartRole::Original).unwrap();
        let same = by_original.get(original.sha256.hex().as_str());
        let same = same.unwrap_or_else(|| panic!("{:?}: {:?} is no original", record.name, record.adopted));
        let item = same.iter().find(|item| item.name == record.name);
        let item = item.unwrap_or_else(|| panic!("{} is none of {:?}", record.name, same[0].name));
        assert_eq!(record.account, LOCAL_ACCOUNT);
        assert_eq!(
            record.remote.taken_ms.map(|ms| ms / 1000),
            Some(item.taken_ms.div_euclid(1000)),
            "{}",
            item.name
        );
        assert_eq!(record.remote.favourite, item.favourite, "{}", item.name);
        assert_eq!(record.remote.archived, item.archived, "{}", item.name);
        assert_eq!(record.remote.description, item.description.clone().filter(|text| !text.is_empty()));
        let have: BTreeSet<_> = record.parts.iter().map(|part| part.sha256.hex()).collect();
        let want: BTreeSet<_> = item.parts.iter().map(|part| part.sha256.clone()).collect();
        assert_eq!(have, want, "{}", item.name);
    }
}

#[test]
fn every_form_of_an_export_is_adopted_whole() {
    for (form, old_names, words) in [
        (Form::Zip, false, Words::ENGLISH),
        (Form::Tgz, true, Words::GERMAN),
        (Form::Folder, true, Words::ENGLISH),
    ] {
        let stage = tempfile::tempdir().unwrap();
        let (archive, export) = (stage.path().join("archive"), stage.path().join("export"));
        let library = library();
        let takeout = Takeout { form, old_names, words, part: 512 << 10 };
        let exported = takeout.export(library.library(), &export).unwrap();
        let paths = paths(&export);
        assert!(form == Form::Folder || paths.len() > 3, "{paths:?}");
        let options = Options { dry_run: true, ..Options::default() };
        std::fs::create_dir(&archive).unwrap();
        let dry = adopt(&archive, &paths, &options);
        assert_eq!(records(&archive).len(), 0);
        let report = adopt(&archive, &paths, &Options::default());
        assert_eq!((dry.new, dry.new_bytes, dry.repeated), (report.new, report.new_bytes, report.repeated));
        assert_eq!(report.files, exported.len() as u64);
        assert_adopted(&archive, &library, &report);
        // Albums have what they had, whatever else is in the folder.
        let titles = albums(&archive);
        for title in ["Summer in Norway", "The cats", "Grandma's 80th", "Größe & Ünïcode 🎈"] {
            let want: BTreeSet<_> = {
                let ledger = library.ledger();
                let of = ledger
                    .items
                    .iter()
                    .filter(|item| item.listed && item.albums.iter().any(|of| of == title));
                of.map(|item| item.parts[0].sha256.clone()).collect()
            };
            assert_eq!(titles[title].len(), want.len(), "{title}");
        }
        assert!(titles.contains_key(""), "{:?}", titles.keys());
        // Once more: nothing is new, and nothing is written.
        let before = crate::sync::support::files(&archive.join("records"));
        let again = adopt(&archive, &paths, &Options::default());
        assert_eq!((again.new, again.revised, again.albums), (0, 0, 0), "{again:?}");
        assert_eq!(again.archived, report.new);
        assert_eq!(crate::sync::support::files(&archive.join("records")), before);
    }
}

/// What was adopted is not fetched; it goes on under the library's key, with its number.
#[tokio::test(flavor = "multi_thread")]
async fn a_sync_fetches_only_what_was_missing() {
    let stage = tempfile::tempdir().unwrap();
    let (dir, export) = (stage.path().join("archive"), stage.path().join("export"));
    // The long tier takes 5,000.
    let items = std::env::var("ADOPTED").map_or(ITEMS, |items| items.parse().unwrap());
    let library = Arc::new(FakeLibrary::new(SimConfig { items, page: 100, ..SimConfig::default() }));
    Takeout { part: (items as u64) << 10 << 1, ..Takeout::default() }
        .export(library.library(), &export)
        .unwrap();
    let mut paths = paths(&export);
    let is_whole = items != ITEMS;
    if is_whole {
        // Names repeat among so many: without its JSON, a video would be taken for that of a still of the same name.
        (0..100).for_each(|_| drop(library.library().add_item()));
    } else {
        // One part was lost.
        paths.remove(1);
    }
    std::fs::create_dir(&dir).unwrap();
    let first = adopt(&dir, &paths, &Options::default());
    assert!(first.new > 100, "{first:?}");
    assert_eq!((first.unmatched.is_empty(), first.undescribed.is_empty()), (is_whole, is_whole), "{first:?}");
    let before: BTreeMap<u64, String> =
        records(&dir).into_values().flatten().map(|record| (record.ordinal, record.name)).collect();
    let (dates_before, albums_before) = (paths_of(&dir, "by-date"), paths_of(&dir, "by-album"));
    assert!(dates_before.len() > 100 && albums_before.len() > 10);
    let archive = open(&dir);
    let last = archive.index.reader().unwrap().albums_after(0).unwrap().last().unwrap().change;
    let report = pass(&archive, &library).await;
    assert_eq!(report.outcome(), &Outcome::Complete, "{}", report.sentence());
    if is_whole {
        return fetched_only_what_was_missing(&archive, &library);
    }
    assert_equal(&archive, &library.ledger());
    // A mounted view, which has seen everything up to there, is told of each album that is the library's now.
    let told = archive.index.reader().unwrap().albums_after(last).unwrap();
    let all = archive.index.reader().unwrap().albums().unwrap();
    assert_eq!(told.len(), all.len());
    assert!(told.iter().filter(|album| album.formerly.is_some()).count() >= 4, "{told:?}");
    // Each file counts once, whatever its item was called.
    let report = shoebox::proof::report(&archive, jiff::Timestamp::now()).unwrap();
    let counted: BTreeMap<String, u64> =
        report.verdicts.into_iter().map(|(verdict, sum)| (verdict, sum.files)).collect();
    drop(archive);
    let after: Vec<_> = records(&dir).into_values().flatten().collect();
    let mut verdicts: BTreeMap<String, u64> = BTreeMap::new();
    for part in after.iter().flat_map(|record| &record.parts) {
        *verdicts.entry(part.verdict.word().to_owned()).or_default() += 1;
    }
    assert_eq!(counted, verdicts);
    for record in &after {
        assert!(!record.key.is_local(), "{} is left over", record.name);
        if let Some(name) = before.get(&record.ordinal) {
            assert_eq!(*name, record.name);
            assert!(record.formerly.as_ref().is_some_and(MediaKey::is_local), "{name}");
        }
    }
    // The originals that were adopted were not fetched.
    let ledger = library.ledger();
    let counters = library.counters();
    let proven = |record: &&shoebox::model::ItemRecord| {
        before.contains_key(&record.ordinal) && record.parts[0].verdict == Verdict::MatchesUpload
    };
    let mut spared = 0;
    for record in after.iter().filter(proven) {
        let item = ledger.items.iter().find(|item| item.key == record.key.as_str()).unwrap();
        let fetched = counters.downloads.get(&format!("{}/original", item.key));
        let is_plain = item.parts.len() == 1;
        assert!(!is_plain || fetched.is_none(), "{} was fetched {fetched:?} times", item.name);
        spared += usize::from(fetched.is_none());
    }
    println!(
        "{items} items: {} adopted, {spared} originals spared, {} files fetched",
        first.new,
        counters.files()
    );
    assert!(spared > 100, "{spared}");
    // Whoever reads the archive finds everything where it was.
    let dates = paths_of(&dir, "by-date");
    for (path, inode) in &dates_before {
        assert_eq!(dates.get(path), Some(inode), "{path}");
    }
    let albums = paths_of(&dir, "by-album");
    let titles = |paths: &BTreeMap<String, u64>| -> BTreeSet<String> {
        paths.keys().map(|path| path.split('/').next().unwrap().to_owned()).collect()
    };
    assert_eq!(titles(&albums), titles(&albums_before));
    // And what was recorded first is still known by its name.
    let archive = open(&dir);
    let lost = shoebox::archive::lost_records(&archive.store, &archive.index.reader().unwrap()).unwrap();
    assert_eq!(lost, Vec::<PathBuf>::new());
    crate::store::support::assert_legal(&archive.store);
    let days = archive.index.reader().unwrap().past_items().unwrap();
    assert!(days.iter().filter(|item| item.key.is_local()).count() > 100);
    drop(archive);
    // The index that comes of the records alone is the same.
    let archive = open(&dir);
    let (mut one, mut other) = (Vec::new(), Vec::new());
    archive.index.reader().unwrap().canonical_dump(&mut one).unwrap();
    drop(archive);
    std::fs::remove_file(dir.join("index.sqlite")).unwrap();
    let archive = open(&dir);
    archive.index.reader().unwrap().canonical_dump(&mut other).unwrap();
    assert_eq!(String::from_utf8(one).unwrap(), String::from_utf8(other).unwrap());
}

/// Of very many: nothing is lacking, and next to nothing of what was adopted came again.
fn fetched_only_what_was_missing(archive: &shoebox::archive::Archive, library: &FakeLibrary) {
    let ledger = library.ledger();
    let (have, want) = (contents(archive, &ledger), truth(&ledger));
    let lacking = want.iter().filter(|(key, parts)| {
        let own = have.get(*key);
        parts.iter().any(|(role, sha256)| own.and_then(|own| own.get(role)) != Some(sha256))
    });
    assert_eq!(lacking.map(|(key, _)| key.clone()).collect::<Vec<_>>(), Vec::<String>::new());
    // Two stills and one clip of one name: nobody can tell by names whose it is, and it may stay with the wrong one.
    let too_much = want.iter().filter(|(key, parts)| have[*key].len() > parts.len()).count();
    let downloads = library.counters().downloads;
    let fetched =
        |item: &&shoebox::sim::LedgerItem| downloads.contains_key(&format!("{}/original", item.key));
    let originals = ledger.items.iter().filter(fetched).count();
    // What Google has made smaller, and what has no key, has no hash to be recognised by.
    let unproven =
        ledger.items.iter().filter(|item| item.storage_saver || item.dedup_key.len() != 27).count();
    // A video that is only called like its still is not taken for Google's: both come.
    let live = ledger.items.iter().filter(|item| item.parts.iter().any(|part| part.role == "motion")).count();
    let files: usize = ledger.items.iter().map(|item| item.parts.len()).sum();
    println!(
        "{} items of {files} files: {originals} originals fetched, 100 of them new, {unproven} without a hash, {live} with a video; {} files \
         in all; {too_much} clips with the wrong still",
        ledger.items.len(),
        downloads.values().sum::<u64>(),
    );
    assert!(too_much * 200 < ledger.items.len());
    assert!(originals <= 100 + unproven + live, "{originals} originals were fetched");
}

/// A listing beforehand tells what need not be downloaded, and may leave out the rest.
#[tokio::test(flavor = "multi_thread")]
async fn the_library_says_what_it_has() {
    let stage = tempfile::tempdir().unwrap();
    let (dir, export) = (stage.path().join("archive"), stage.path().join("export"));
    let library = library();
    Takeout::default().export(library.library(), &export).unwrap();
    write(&export, "mine/only-here.jpg", &photo(77));
    std::fs::create_dir(&dir).unwrap();
    let mut uploads = std::collections::HashSet::new();
    let mut from = None;
    loop {
        let page = library.list(from.as_ref()).await.unwrap();
        uploads.extend(page.items.iter().filter_map(|item| item.dedup_key.as_ref()?.sha1()));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    let other = Sha1::new([7; 20]);
    uploads.insert(other);
    let count = uploads.len() as u64;
    let known = Library { uploads, archived: Default::default() };
    let options = Options { dry_run: true, library: Some(known.clone()), ..Options::default() };
    let dry = adopt(&dir, std::slice::from_ref(&export), &options);
    assert!(dry.in_library > 200 && dry.in_library_bytes > 0, "{dry:?}");
    assert_eq!(dry.to_download, Some(count - dry.in_library));
    let options = Options { library: Some(known), only_library: true, ..Options::default() };
    let report = adopt(&dir, &[export], &options);
    assert_eq!(report.in_library, dry.in_library);
    assert!(report.not_in_library > 0);
    assert_eq!(report.new, dry.in_library, "{report:?}");
    assert!(!records(&dir).contains_key("only-here.jpg"));
}

/// The other way round: what a library has shown already is not adopted again, and only what it does not tell is added.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_sync_only_people_are_news() {
    let stage = tempfile::tempdir().unwrap();
    let (dir, export) = (stage.path().join("archive"), stage.path().join("export"));
    let library = Arc::new(FakeLibrary::new(SimConfig { items: 60, ..SimConfig::default() }));
    Takeout::default().export(library.library(), &export).unwrap();
    crate::sync::support::init(&dir);
    let archive = open(&dir);
    pass(&archive, &library).await;
    drop(archive);
    let blobs = crate::sync::support::files(&dir.join("blobs"));
    let report = adopt(&dir, std::slice::from_ref(&export), &Options::default());
    assert!(report.new == 0 && report.revised > 0 && report.albums == 0, "{report:?}");
    assert_eq!(crate::sync::support::files(&dir.join("blobs")), blobs);
    let all: Vec<_> = records(&dir).into_values().flatten().collect();
    let with_people: Vec<_> =
        all.iter().filter(|record| record.adopted.as_ref().is_some_and(|a| !a.people.is_empty())).collect();
    assert_eq!(with_people.len() as u64, report.revised);
    assert!(with_people.iter().all(|record| record.formerly.is_none() && record.seq > 1));
    // A sync finds nothing changed, and forgets nobody.
    let archive = open(&dir);
    let report = pass(&archive, &library).await;
    assert_eq!((report.revised, report.archived), (0, 0), "{}", report.sentence());
}

/// gphotos-cdp's scripts write dates into the files: then it is the folder's name that tells which item it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_copy_becomes_an_earlier_version_of_its_item() {
    let stage = tempfile::tempdir().unwrap();
    let (dir, there) = (stage.path().join("archive"), stage.path().join("there"));
    let library = Arc::new(FakeLibrary::new(SimConfig { items: 60, ..SimConfig::default() }));
    let ledger = library.ledger();
    let is_plain = |item: &&shoebox::sim::LedgerItem| {
        item.parts.len() == 1 && item.name.starts_with("PXL_") && item.dedup_key.len() == 27
    };
    let item = ledger.items.iter().find(is_plain).unwrap();
    write(&there, &format!("{}/{}", item.key, item.name), &photo(4711));
    // Something else lies in another one's folder.
    let other = ledger.items.iter().filter(is_plain).nth(1).unwrap();
    write(&there, &format!("{}/astray.jpg", other.key), &photo(4712));
    std::fs::create_dir(&dir).unwrap();
    adopt(&dir, &[there], &Options::default());
    let before = paths_of(&dir, "by-date");
    let archive = open(&dir);
    pass(&archive, &library).await;
    assert_equal(&archive, &ledger);
    drop(archive);
    let record = self::record(&dir, &item.name);
    assert_eq!(record.key.as_str(), item.key);
    let versions: Vec<_> = record.parts.iter().map(|part| (part.version, part.sha256.hex())).collect();
    assert_eq!(versions.len(), 2);
    assert_eq!(versions[1], (2, item.parts[0].sha256.clone()));
    let after = paths_of(&dir, "by-date");
    // Other bytes are another inode; the place is the same.
    assert!(before.len() == 2 && before.keys().all(|path| after.contains_key(path)), "{before:?}");
    assert!(self::record(&dir, "astray.jpg").key.is_local());
}
