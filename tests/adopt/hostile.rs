//! Archives that lie, folders that cannot be read, and adoptions that are ended by force.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use shoebox::adopt::{self, Options};
use shoebox::sim::fake::FakeLibrary;
use shoebox::sim::takeout::{Form, Takeout};
use shoebox::sim::{FileBytes, SimConfig};
use tokio_util::sync::CancellationToken;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::support::*;
use crate::appliance::support::shoebox;
use crate::store::support::assert_legal;
use crate::sync::support::open;

fn zip(path: &Path, entries: &[(&str, &[u8])]) {
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, bytes) in entries {
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

#[test]
fn paths_in_an_archive_file_name_nothing_outside() {
    let stage = stage();
    let outside = stage.there.join("outside.jpg");
    let entries: &[(&str, &[u8])] = &[
        ("../outside.jpg", &photo(1)),
        ("/etc/shoebox.jpg", &photo(2)),
        ("a\\..\\b\\windows.jpg", &photo(3)),
        ("__MACOSX/._a.jpg", &photo(4)),
    ];
    zip(&stage.there.join("evil.zip"), entries);
    let report = adopt(&stage.archive, &[stage.there.join("evil.zip")], &Options::default());
    assert_eq!((report.new, report.trouble.len()), (3, 0), "{report:?}");
    assert!(!outside.exists() && !Path::new("/etc/shoebox.jpg").exists());
    let names: Vec<String> = records(&stage.archive).into_keys().collect();
    assert_eq!(names, ["outside.jpg", "shoebox.jpg", "windows.jpg"]);
}

#[test]
fn a_bomb_is_named_and_the_rest_goes_on() {
    let stage = stage();
    let mut bomb = photo(5);
    bomb.resize(64 << 20, 0);
    zip(&stage.there.join("bomb.zip"), &[("bomb.jpg", &bomb), ("fine.jpg", &photo(6))]);
    let report = adopt(&stage.archive, &[stage.there], &Options::default());
    assert_eq!(report.new, 1, "{report:?}");
    assert!(report.trouble.len() == 1 && report.trouble[0].contains("bomb.jpg"), "{:?}", report.trouble);
}

#[test]
fn what_stands_before_the_cut_of_a_part_is_adopted() {
    for form in [Form::Tgz, Form::Zip] {
        let stage = stage();
        let library = FakeLibrary::new(SimConfig { items: 60, ..SimConfig::default() });
        Takeout { form, part: 256 << 10, ..Takeout::default() }
            .export(library.library(), &stage.there)
            .unwrap();
        let mut parts: Vec<PathBuf> =
            std::fs::read_dir(&stage.there).unwrap().map(|entry| entry.unwrap().path()).collect();
        parts.sort();
        let cut = File::options().write(true).open(&parts[0]).unwrap();
        cut.set_len(cut.metadata().unwrap().len() / 2).unwrap();
        let report = adopt(&stage.archive, std::slice::from_ref(&stage.there), &Options::default());
        let named = report.trouble.iter().filter(|line| line.contains("-001.")).count();
        assert!(named > 0, "{form:?}: {:?}", report.trouble);
        assert!(report.new > 10, "{form:?}: {report:?}");
        assert_eq!(report.damaged, Vec::<String>::new());
        let archive = open(&stage.archive);
        assert_legal(&archive.store);
    }
}

#[test]
fn links_circles_and_closed_folders_end_nothing() {
    let stage = stage();
    write(&stage.there, "a/one.jpg", &photo(7));
    symlink("..", stage.there.join("a/up")).unwrap();
    symlink("nowhere", stage.there.join("a/broken.jpg")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        stage.there.join("a/pipe.jpg"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    write(&stage.there, "empty.jpg", b"");
    let report = adopt(&stage.archive, std::slice::from_ref(&stage.there), &Options::default());
    assert_eq!((report.new, report.damaged.len()), (1, 1), "{report:?}");
    // Its own photos are no source.
    let archive = open(&stage.archive);
    let inside = [stage.archive.join("blobs")];
    let now = jiff::Timestamp::now();
    let refused = adopt::run(&archive, &inside, &Options::default(), now, &CancellationToken::new());
    assert!(refused.unwrap_err().to_string().contains("within the archive"));
    let above = [stage.archive.parent().unwrap().to_owned()];
    let report = adopt::run(&archive, &above, &Options::default(), now, &CancellationToken::new()).unwrap();
    assert_eq!((report.new, report.archived), (0, 1), "{report:?}");
}

/// Kills at random moments, then the same command: nothing is lost, doubled or left over.
#[test]
fn an_adoption_that_is_killed_goes_on() {
    let stage = stage();
    let config = SimConfig { items: 120, file_bytes: FileBytes::Fixed(200_000), ..SimConfig::default() };
    let library = FakeLibrary::new(config);
    Takeout { part: 8 << 20, ..Takeout::default() }.export(library.library(), &stage.there).unwrap();
    crate::sync::support::init(&stage.archive);
    let command = || {
        let mut command = shoebox();
        command.args(["adopt", "--data"]).arg(&stage.archive).arg(&stage.there);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let seed = crate::promises::seed("an_adoption_that_is_killed");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut struck = 0;
    for _ in 0..20 {
        let mut child = command().spawn().unwrap();
        std::thread::sleep(Duration::from_millis(random.u64(20..500)));
        struck += usize::from(child.try_wait().unwrap().is_none());
        let _ = child.kill();
        child.wait().unwrap();
    }
    assert!(struck >= 5, "only {struck} of 20 kills hit a running adoption");
    let done =
        shoebox().args(["adopt", "--json", "--data"]).arg(&stage.archive).arg(&stage.there).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let all: Vec<_> = records(&stage.archive).into_values().flatten().collect();
    let wanted: std::collections::BTreeSet<_> =
        library.ledger().items.iter().map(|item| item.parts[0].sha256.clone()).collect();
    let have: std::collections::BTreeSet<_> = all.iter().map(|record| record.parts[0].sha256.hex()).collect();
    assert_eq!(have, wanted);
    assert_eq!(all.len(), wanted.len());
    let archive = open(&stage.archive);
    assert_legal(&archive.store);
    drop(archive);
    let cats: std::collections::BTreeSet<_> = library
        .ledger()
        .items
        .iter()
        .filter(|item| item.albums.iter().any(|title| title == "The cats"))
        .map(|item| item.parts[0].sha256.clone())
        .collect();
    assert_eq!(albums(&stage.archive)["The cats"].len(), cats.len());
}
