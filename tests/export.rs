//! Leaving: plain folders with the view's names, whole and provable, and nothing overwritten.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use shoebox::archive::Archive;
use shoebox::export::{self, ExportError, ExportReport, Options};
use shoebox::model::{CaptureTime, ErrorClass, PartRole, TimeSource};
use shoebox::store::RealDisk;
use tokio_util::sync::CancellationToken;

use crate::store::support::*;

const MONTH: &str = "1999/1999-12";

/// An archive of photos, two of one name.
fn archive(stage: &TestArchive) -> Archive {
    let archive = Archive::open(&stage.root(), Arc::new(RealDisk), clock()).unwrap();
    archive.store.set_reserve(Some(0));
    for (name, file, bytes) in
        [("a", "IMG_1.jpg", "one"), ("b", "img_1.JPG", "two"), ("c", "back\\slash.jpg", "")]
    {
        let blob = put(&archive.store, bytes.as_bytes()).unwrap();
        let part = part(PartRole::Original, file, blob.digests());
        let mut item = record(&key(name), archive.store.next_ordinal().unwrap(), vec![part]);
        item.name = file.into();
        let local = "1999-12-31T23:59:58".parse().unwrap();
        item.taken = CaptureTime { local, offset_s: Some(0), source: TimeSource::Exif };
        let stored = archive.store.put_record(&item, &[&blob]).unwrap();
        archive.index.writer().apply(stored).unwrap();
    }
    archive
}

fn run(archive: &Archive, target: &Path) -> Result<ExportReport, ExportError> {
    export::run(archive, target, &Options::default(), &CancellationToken::new())
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn folders_names_times_and_hashes_and_again_nothing_to_do() {
    let stage = TestArchive::new();
    let archive = archive(&stage);
    let target = stage.outside("plain");
    let report = run(&archive, &target).unwrap();
    assert_eq!((report.copied, report.kept, report.complete), (3, 0, true));
    assert_eq!(names(&target), ["1999", "SHA256SUMS"]);
    let month = target.join(MONTH);
    assert_eq!(names(&month).len(), 3);
    assert_eq!(fs::read(month.join("IMG_1.jpg")).unwrap(), b"one");
    let meta = fs::metadata(month.join("IMG_1.jpg")).unwrap();
    assert_eq!(meta.mtime(), 946_684_798);
    assert_eq!(meta.nlink(), 1, "a copy of its own, not the archive's file");
    let checked = Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
        .current_dir(&target)
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
    let report = run(&archive, &target).unwrap();
    assert_eq!((report.copied, report.kept, report.complete), (0, 3, true));
}

#[test]
fn what_is_in_the_way_is_left_alone_unless_it_is_the_same() {
    let stage = TestArchive::new();
    let archive = archive(&stage);
    let target = stage.outside("plain");
    let month = target.join(MONTH);
    fs::create_dir_all(&month).unwrap();
    // The right bytes, put there by somebody else, today.
    fs::write(month.join("IMG_1.jpg"), "one").unwrap();
    assert_eq!(run(&archive, &target).unwrap().kept, 1);
    fs::remove_dir_all(&target).unwrap();
    fs::create_dir_all(&month).unwrap();
    // Other bytes of the same length.
    fs::write(month.join("IMG_1.jpg"), "ONE").unwrap();
    let report = run(&archive, &target).unwrap();
    assert_eq!((report.copied, report.left_out, report.complete), (2, 1, true));
    assert_eq!(fs::read(month.join("IMG_1.jpg")).unwrap(), b"ONE");
    assert_eq!(failed(&target), [format!("{MONTH}/IMG_1.jpg")], "the list proves what is not there");
}

/// Files that `sha256sum` finds wrong or missing in an export.
fn failed(target: &Path) -> Vec<String> {
    let output =
        Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(target).output().unwrap();
    assert!(!output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().filter_map(|line| Some(line.split_once(": FAILED")?.0.to_owned())).collect()
}

#[test]
fn a_target_inside_the_archive_is_refused_before_anything_is_made() {
    let stage = TestArchive::new();
    let archive = archive(&stage);
    let before = names(&stage.root());
    for inside in ["plain", "blobs", "a/b/c", ""] {
        let error = run(&archive, &stage.root().join(inside)).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Usage, "{error}");
    }
    // Also by another way round.
    let link = stage.outside("link");
    std::os::unix::fs::symlink(stage.root(), &link).unwrap();
    assert!(matches!(run(&archive, &link.join("plain")), Err(ExportError::Inside(_))));
    assert_eq!(names(&stage.root()), before);
}

/// Puts other bytes where those are archived, or none.
fn spoil(root: &Path, bytes: &str, to: Option<&str>) {
    let hash = shoebox::model::digest::digests_of(bytes.as_bytes()).sha256.hex();
    let blob = root.join("blobs").join(&hash[..2]).join(hash);
    if blob.exists() {
        fs::remove_file(&blob).unwrap();
    }
    if let Some(other) = to {
        fs::write(&blob, other).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_is_named_and_the_rest_goes_along() {
    use crate::appliance::support::{run, shoebox, succeed, text};
    let stage = TestArchive::new();
    drop(archive(&stage));
    spoil(&stage.root(), "one", Some("eno"));
    spoil(&stage.root(), "two", None);
    let target = stage.outside("plain");
    let month = target.join(MONTH);
    // Where a sidecar would be there is a directory.
    let in_the_way = month.join("back\\slash.jpg.json");
    fs::create_dir_all(&in_the_way).unwrap();
    let export = || {
        let mut command = shoebox();
        command.args(["export", "--sidecars", "--catalogue", "--data"]).arg(stage.root()).arg(&target);
        command
    };
    let output = run(export()).await;
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("1 files copied"), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("3 files could not be written"), "{}", text(&output.stdout));
    let told = text(&output.stderr);
    let told: Vec<_> = told.lines().filter(|line| line.contains("left out")).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    for (name, advice) in
        [("IMG_1.jpg", "run `shoebox verify`"), ("img_1", "run `shoebox verify`"), (".json", "move it away")]
    {
        assert!(told.iter().any(|line| line.contains(name) && line.contains(advice)), "{told:?}");
    }
    // No name for damaged bytes, nothing half, and no sidecar of what is not there.
    let all = ["back\\slash.jpg", "back\\slash.jpg.json", "back\\slash.jpg.xmp"];
    assert_eq!(names(&month), all);
    let page = fs::read_to_string(target.join("catalogue/month-1999-12.html")).unwrap();
    assert!(page.contains("slash.jpg") && !page.to_lowercase().contains("img_1"), "{page}");
    assert_eq!(failed(&target).len(), 3, "the list proves what is not there");
    // Once it is all there again, the same command brings the rest.
    spoil(&stage.root(), "one", Some("one"));
    spoil(&stage.root(), "two", Some("two"));
    fs::remove_dir(&in_the_way).unwrap();
    let told = succeed(export()).await;
    assert!(told.starts_with("2 files copied"), "{told}");
    checked(&target);
    assert_eq!(names(&month).len(), 9);
}

#[test]
fn nothing_is_put_beside_what_somebody_else_has_there() {
    let stage = TestArchive::new();
    let archive = archive(&stage);
    let target = stage.outside("plain");
    let month = target.join(MONTH);
    fs::create_dir_all(&month).unwrap();
    fs::write(month.join("IMG_1.jpg"), "another photo").unwrap();
    let options = Options { sidecars: true, catalogue: true, ..Options::default() };
    let report = export::run(&archive, &target, &options, &CancellationToken::new()).unwrap();
    assert_eq!((report.copied, report.left_out, report.sidecars), (2, 1, 4));
    let beside: Vec<_> = names(&month).into_iter().filter(|name| name.starts_with("IMG_1.jpg")).collect();
    assert_eq!(beside, ["IMG_1.jpg"]);
    let page = fs::read_to_string(target.join("catalogue/month-1999-12.html")).unwrap();
    assert!(!page.contains("IMG_1.jpg"), "{page}");
}

#[test]
fn a_name_that_the_target_does_not_take_is_left_out() {
    let stage = TestArchive::new();
    let archive = archive(&stage);
    // So deep that the shortest path in it is as long as one may be.
    let mut target = stage.outside("deep");
    let longest = 4095 - format!("/{MONTH}/back\\slash.jpg").len() - 1;
    while target.as_os_str().len() + 202 < longest {
        target.push("x".repeat(200));
    }
    target.push("x".repeat(longest - target.as_os_str().len()));
    let report = run(&archive, &target).unwrap();
    assert!(report.complete && report.copied == 0 && report.left_out == 3, "{report:?}");
}

/// Of a damaged original no small picture, of a damaged record no sidecar, and a page that is somebody's stays.
#[test]
fn damage_and_others_pages_cost_what_they_concern_alone() {
    let stage = TestArchive::new();
    let archive = archive(&stage);
    let picture = fs::read("tests/media/jpg_full_offset_gps.jpg").unwrap();
    let blob = put(&archive.store, &picture).unwrap();
    let photo = part(PartRole::Original, "photo.jpg", blob.digests());
    let mut item = record(&key("d"), archive.store.next_ordinal().unwrap(), vec![photo]);
    item.name = "photo.jpg".into();
    let stored = archive.store.put_record(&item, &[&blob]).unwrap();
    archive.index.writer().apply(stored).unwrap();
    let target = stage.outside("plain");
    assert_eq!(run(&archive, &target).unwrap().copied, 4);
    let blob = stage.root().join("blobs").join(&blob.digests().sha256.hex()[..2]);
    let blob = blob.join(shoebox::model::digest::digests_of(&picture).sha256.hex());
    fs::remove_file(&blob).unwrap();
    let mut damaged = picture.clone();
    damaged[picture.len() / 2] ^= 1;
    fs::write(&blob, damaged).unwrap();
    let records = files_below(&stage.root().join("records"));
    let is_of_one = |path: &&std::path::PathBuf| fs::read_to_string(path).unwrap().contains("IMG_1.jpg");
    let one = records.iter().find(is_of_one).unwrap();
    fs::remove_file(one).unwrap();
    fs::write(one, "{").unwrap();
    let page = target.join("catalogue/month-1999-12.html");
    fs::create_dir_all(page.parent().unwrap()).unwrap();
    fs::write(&page, "my own").unwrap();
    let options = Options { sidecars: true, catalogue: true, ..Options::default() };
    let export = || export::run(&archive, &target, &options, &CancellationToken::new()).unwrap();
    let report = export();
    assert_eq!((report.kept, report.left_out, report.complete), (4, 3, true), "{report:?}");
    assert_eq!(fs::read_to_string(&page).unwrap(), "my own");
    assert_eq!(failed(&target), ["catalogue/month-1999-12.html"]);
    let pictures = || {
        files_below(&target.join("catalogue"))
            .iter()
            .filter(|path| path.extension().unwrap() == "jpg")
            .count()
    };
    assert_eq!(pictures(), 0);
    // Mended, all of it is there.
    fs::write(&blob, &picture).unwrap();
    fs::remove_file(&page).unwrap();
    assert_eq!((export().left_out, pictures()), (1, 1), "the record is still damaged");
    checked(&target);
}

#[test]
fn an_archive_that_is_gone_ends_it_at_once() {
    let stage = TestArchive::new();
    let archive = archive(&stage);
    fs::rename(stage.root().join("archive.json"), stage.root().join("elsewhere.json")).unwrap();
    spoil(&stage.root(), "one", None);
    let error = run(&archive, &stage.outside("plain")).unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
}

#[test]
fn a_stopped_export_says_so_and_goes_on_later() {
    let stage = TestArchive::new();
    let archive = archive(&stage);
    let target = stage.outside("plain");
    let stop = CancellationToken::new();
    stop.cancel();
    let report = export::run(&archive, &target, &Options::default(), &stop).unwrap();
    assert!(!report.complete && !target.join("SHA256SUMS").exists());
    // A half-written file of a killed run is written again.
    fs::create_dir_all(target.join(MONTH)).unwrap();
    let hash = shoebox::model::digest::digests_of(b"one").sha256.hex();
    File::create(target.join(MONTH).join(format!(".shoebox-{}.part", &hash[..16])))
        .unwrap()
        .set_len(99)
        .unwrap();
    assert!(run(&archive, &target).unwrap().complete);
    assert_eq!(fs::read(target.join(MONTH).join("IMG_1.jpg")).unwrap(), b"one");
    assert_eq!(names(&target.join(MONTH)).len(), 3, "and leaves nothing behind");
}

/// What `sha256sum` says of an export, and the number of files that it read.
fn checked(target: &Path) -> usize {
    let output = Command::new("sha256sum")
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(target)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    output.stdout.iter().filter(|byte| **byte == b'\n').count()
}

/// A library with everything in it, adopted from its Takeout.
fn library(dir: &Path) -> std::path::PathBuf {
    use shoebox::sim::takeout::Takeout;
    use shoebox::sim::{SimConfig, fake::FakeLibrary};
    let export = dir.join("takeout");
    let library = FakeLibrary::new(SimConfig { items: 60, ..SimConfig::default() });
    Takeout::default().export(library.library(), &export).unwrap();
    let data = dir.join("archive");
    crate::adopt::support::adopt(&data, &[export], &shoebox::adopt::Options::default());
    data
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_with_all_that_is_known_is_proven_by_sha256sum_and_opened_in_a_browser() {
    use chromiumoxide::{Browser, BrowserConfig};
    use futures_util::StreamExt as _;

    use crate::appliance::support::{shoebox, succeed};
    let dir = fast_dir();
    let data = library(dir.path());
    let target = dir.path().join("plain");
    let export = |args: &[&str]| {
        let mut command = shoebox();
        command.arg("export").arg("--data").arg(&data).arg(&target).args(args);
        command
    };
    let all = ["--sidecars", "--catalogue"];
    let told = succeed(export(&all)).await;
    assert!(told.contains("sidecars written") && told.contains("catalogue/index.html"), "{told}");
    let files = files_below(&target);
    // Everything that is there is in the list, but for the list and the note of what is ours.
    let (list, note) = (target.join("SHA256SUMS"), target.join(".shoebox-sidecars"));
    let listed = files.iter().filter(|file| **file != list && **file != note).count();
    assert_eq!(checked(&target), listed);
    assert!(list.is_file() && note.is_file());
    // Each original has its XMP, which exiftool reads, and its record.
    let of = |ending: &str| files.iter().filter(|file| file.to_str().unwrap().ends_with(ending)).count();
    let items = shoebox::archive::Archive::open_read_only(&data, Arc::new(RealDisk), clock()).unwrap();
    let items = items.index.reader().unwrap().item_count().unwrap() as usize;
    assert!(items > 40);
    assert_eq!((of(".xmp"), of(".json")), (items, items));
    let xmp = Command::new("exiftool")
        .args(["-q", "-r", "-ext", "xmp", "-if", "$Error"])
        .arg(&target)
        .output()
        .unwrap();
    assert!(xmp.stdout.is_empty(), "{}", String::from_utf8_lossy(&xmp.stdout));
    for json in files.iter().filter(|file| file.extension().is_some_and(|ending| ending == "json")) {
        let record: serde_json::Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
        let original = fs::read(json.with_extension("")).unwrap();
        let hash = shoebox::model::digest::digests_of(&original).sha256.hex();
        assert_eq!(record["parts"][0]["sha256"], hash, "{}", json.display());
    }
    // In a browser, from the disk: every page, every picture, every link.
    let profile = tempfile::tempdir().unwrap();
    let config = BrowserConfig::builder().no_sandbox().user_data_dir(profile.path()).build().unwrap();
    let (mut browser, mut handler) = Browser::launch(config).await.unwrap();
    let handling = tokio::spawn(async move { while handler.next().await.is_some() {} });
    let tab = browser.new_page("about:blank").await.unwrap();
    let open = async |page: &str| {
        tab.goto(format!("file://{}/catalogue/{page}", target.display())).await.unwrap();
        // Also those pictures that would be loaded only when somebody scrolls there.
        let seen = tab.evaluate_function(
            "async () => {
                const images = [...document.images];
                for (const image of images) { image.loading = 'eager'; try { await image.decode(); } catch {} }
                const links = [...document.links].map(link => link.getAttribute('href'));
                return { broken: images.filter(image => !image.naturalWidth).length, images: images.length,
                         links, title: document.title, text: document.body.innerText };
            }",
        );
        seen.await.unwrap().into_value::<serde_json::Value>().unwrap()
    };
    let index = open("index.html").await;
    assert!(index["text"].as_str().unwrap().contains(&format!("{items} photos and videos")), "{index}");
    let (mut tiles, mut pictures) = (0, 0);
    let pages: Vec<String> = serde_json::from_value(index["links"].clone()).unwrap();
    assert!(pages.iter().any(|page| page.starts_with("album-")) && pages.len() > 5, "{pages:?}");
    for page in pages {
        let seen = open(&page).await;
        assert_eq!(seen["broken"], 0, "{page}: {seen}");
        for link in seen["links"].as_array().unwrap().iter().map(|link| link.as_str().unwrap()) {
            let path = percent_encoding::percent_decode_str(link).decode_utf8().unwrap();
            assert!(target.join("catalogue").join(&*path).is_file(), "{page} leads to {link}");
            tiles += usize::from(page.starts_with("month-") && link.starts_with("../"));
        }
        pictures += seen["images"].as_u64().unwrap();
    }
    assert!(tiles >= items && pictures > 20, "{tiles} tiles, {pictures} pictures");
    browser.close().await.unwrap();
    browser.wait().await.unwrap();
    handling.abort();
    // Again: nothing is copied, nothing written, and what somebody else made of a sidecar stays.
    let xmp = files.iter().find(|file| file.extension().is_some_and(|ending| ending == "xmp")).unwrap();
    // It keeps our mark, as a text editor's does.
    let edited = fs::read_to_string(xmp).unwrap() + "<!-- darktable -->";
    fs::write(xmp, edited).unwrap();
    // However often: what it left alone once is not its own the next time.
    for _ in 0..3 {
        let told = succeed(export(&all)).await;
        assert!(told.starts_with("0 files copied") && !told.contains("sidecars written"), "{told}");
        assert!(told.contains("1 sidecars were changed"), "{told}");
        assert!(fs::read_to_string(xmp).unwrap().contains("darktable"));
        assert_eq!(checked(&target), listed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_view_can_be_taken_along() {
    use crate::appliance::support::{run, shoebox, succeed, text};
    let dir = fast_dir();
    let data = library(dir.path());
    let export = |target: &str, args: &[&str]| {
        let mut command = shoebox();
        command.arg("export").arg("--data").arg(&data).arg(dir.path().join(target)).args(args);
        command
    };
    for view in ["immich", "photoprism", "by-album"] {
        succeed(export(view, &["--view", view])).await;
        let target = dir.path().join(view);
        let listed = files_below(&target).into_iter().filter(|file| {
            let name = file.file_name().unwrap();
            name != "SHA256SUMS" && name != ".shoebox-sidecars"
        });
        assert_eq!(checked(&target), listed.count(), "{view}");
        // As the mounted view has them, sidecars included where it has some.
        let mut preview = shoebox();
        preview.args(["view", "preview", "--limit", "100000", view, "--data"]).arg(&data);
        let previewed = succeed(preview).await;
        for path in previewed.lines().filter_map(|line| line.strip_prefix(&format!("{view}/"))) {
            assert!(target.join(path).is_file(), "{view}: {path}");
        }
        let xmp =
            files_below(&target).iter().filter(|file| file.extension().is_some_and(|e| e == "xmp")).count();
        assert_eq!(xmp > 0, view == "immich", "{view}: {xmp} sidecars");
    }
    succeed(export("mine", &["--path", "{year}/{name}", "--show", "not video"])).await;
    assert!(files_below(&dir.path().join("mine")).len() > 20);
    let ours = run(export("ours", &["--catalogue", "--path", "catalogue/{name}"])).await;
    assert!(
        !ours.status.success() && text(&ours.stderr).contains("where the list of hashes or the catalogue is")
    );
    let page = dir.path().join("theirs/catalogue/index.html");
    fs::create_dir_all(page.parent().unwrap()).unwrap();
    fs::write(&page, "my own").unwrap();
    let theirs = run(export("theirs", &["--catalogue"])).await;
    assert!(
        !theirs.status.success() && text(&theirs.stderr).contains("index.html"),
        "{}",
        text(&theirs.stderr)
    );
    assert_eq!(fs::read_to_string(&page).unwrap(), "my own");
    assert_eq!(names(&dir.path().join("theirs")), ["catalogue"], "told before anything is copied");
    let wrong = run(export("wrong", &["--view", "by-mood"])).await;
    assert!(!wrong.status.success() && text(&wrong.stderr).contains("there is no view `by-mood`"));
    assert!(!dir.path().join("wrong").exists());
}
