//! R28: archives that earlier versions wrote open, and everything in them is as it was. `archives/` has one of each
//! format, written once and never again. A newer one is refused with a sentence. The index may be thrown away on the
//! way, whenever it is interrupted; records are not touched.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use shoebox::archive::index_path;
use shoebox::model::PartRole;
use shoebox::store::FORMAT;

use super::{Count, Row, seed};
use crate::appliance::support::{shoebox, text};
use crate::index::archive::dump;
use crate::store::support::{findings, key, part, put, record, revision};
use crate::sync::support::{files, init, open};

const KILLS: Count = Count(40, 300, 1000);

pub const ROWS: &[Row] = &[Row {
    number: 28,
    tried: "archives of every format opened, newer ones refused; an index of another version made anew, killed at a random step",
    counts: &[KILLS],
}];

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promises/archives")
}

/// Every file of an archive as it must be found, and what an index says of its items.
fn told(root: &Path) -> String {
    let archive = open(root);
    assert!(
        archive.recovery.findings.is_empty() && archive.recovery.lost.is_empty(),
        "{:?}",
        archive.recovery
    );
    assert_eq!(findings(&archive.store), []);
    let mut lines = Vec::new();
    let reader = archive.index.reader().unwrap();
    reader
        .items(0..=u64::MAX, |item| {
            let (key, taken) = (&item.key, item.taken.local);
            for part in &item.parts {
                let (role, name) = (part.role.word(), &part.name);
                lines.push(format!("{key} {taken} {role} {name} {} {}\n", part.size, part.sha256));
            }
        })
        .unwrap();
    lines.concat()
}

/// A copy without what a running program adds.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// Items with all that a record of this format may have.
fn write(root: &Path) {
    init(root);
    let archive = open(root);
    let store = &archive.store;
    let picture = put(store, b"a picture").unwrap();
    let film = put(store, b"a film").unwrap();
    let parts = vec![
        part(PartRole::Original, "IMG_1.HEIC", picture.digests()),
        part(PartRole::Motion, "IMG_1.MOV", film.digests()),
    ];
    let mut first = record(&key("AF1QipFirst"), store.next_ordinal().unwrap(), parts);
    first.remote.description = Some("Grandma's bike, \u{f6}lig".to_owned());
    let first = store.put_record(&first, &[&picture, &film]).unwrap();
    let mut described = revision(&first);
    described.remote.favourite = true;
    let described = store.put_record(&described, &[]).unwrap();
    let other = put(store, b"another picture").unwrap();
    let parts = vec![part(PartRole::Original, "a b.jpg", other.digests())];
    let second = record(&key("AF1QipSecond"), store.next_ordinal().unwrap(), parts);
    let second = store.put_record(&second, &[&other]).unwrap();
    for stored in [first, described, second] {
        archive.index.writer().apply(stored).unwrap();
    }
}

/// `UPDATE=1` keeps an archive of the present format, if there is none.
#[test]
fn r28_an_archive_of_this_format_is_kept() {
    let place = kept().join(format!("v{FORMAT}"));
    if !place.exists() && std::env::var_os("UPDATE").is_some() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("archive");
        write(&root);
        let says = told(&root);
        for gone in ["lock", "tmp", "quarantine"] {
            let path = root.join(gone);
            fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path)).unwrap();
        }
        copy(&root, &place.join("archive"));
        fs::write(place.join("told.txt"), says).unwrap();
    }
    assert!(place.exists(), "UPDATE=1 cargo nextest run --features sim r28 keeps one");
}

#[test]
fn r28_archives_of_every_format_open() {
    let mut formats = 0;
    for entry in fs::read_dir(kept()).unwrap().map(Result::unwrap) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("archive");
        copy(&entry.path().join("archive"), &root);
        let before = truth_of(&root);
        assert!(before.len() > 6, "{before:?}");
        let want = fs::read_to_string(entry.path().join("told.txt")).unwrap();
        assert_eq!(told(&root), want, "{}", entry.path().display());
        // And without the index that came with it.
        fs::remove_file(index_path(&root)).unwrap();
        assert_eq!(told(&root), want, "{}", entry.path().display());
        assert_eq!(truth_of(&root), before);
        formats += 1;
    }
    assert_eq!(formats, FORMAT, "one archive of each format");
}

/// The files that are the truth, with their bytes' hashes.
fn truth_of(root: &Path) -> Vec<(String, String)> {
    let names = ["archive.json", "blobs", "records"].map(|name| root.join(name));
    let mut found: Vec<_> = files(root)
        .into_keys()
        .filter(|path| names.iter().any(|name| Path::new(path).starts_with(name)))
        .map(|path| {
            let sha256 = shoebox::model::digest::digests_of(&fs::read(&path).unwrap()).sha256;
            (path, sha256.hex())
        })
        .collect();
    found.sort();
    found
}

fn any_command(root: &Path) -> Command {
    let mut command = shoebox();
    command.args(["sync", "--browser", "/no/such/browser", "--data"]).arg(root);
    command.env("SHOEBOX_PROFILE", root.with_extension("profile")).stdin(Stdio::null());
    command
}

#[test]
fn r28_newer_archives_and_records_are_refused_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("archive");
    write(&root);
    let json = root.join("archive.json");
    let text_now = fs::read_to_string(&json).unwrap();
    fs::set_permissions(&json, fs::Permissions::from_mode(0o640)).unwrap();
    let newer = text_now.replace(&format!("\"format\": {FORMAT}"), &format!("\"format\": {}", FORMAT + 1));
    assert_ne!(newer, text_now);
    fs::write(&json, &newer).unwrap();
    let before = files(&root);
    let output = any_command(&root).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("update shoebox") && said.lines().count() == 1, "{said}");
    assert_eq!(files(&root), before);
    fs::write(&json, &text_now).unwrap();
    // A record of a later schema: named, and left alone; the others are there.
    let record = files(&root.join("records")).into_keys().find(|path| path.contains("AF1QipSecond")).unwrap();
    let later = fs::read_to_string(&record).unwrap().replacen("\"schema\":1", "\"schema\":2", 1);
    let sha256 = shoebox::model::digest::digests_of(later.as_bytes()).sha256;
    let renamed = Path::new(&record).with_file_name(format!("AF1QipSecond.1.{sha256}.json"));
    assert!(later.contains("\"schema\":2"), "{later}");
    fs::remove_file(&record).unwrap();
    fs::write(&renamed, &later).unwrap();
    fs::remove_file(index_path(&root)).unwrap();
    let archive = open(&root);
    let findings = archive.recovery.findings.join("\n");
    assert!(findings.contains("schema 2") && findings.contains("update shoebox"), "{findings}");
    assert_eq!(
        archive.index.reader().unwrap().known(&[key("AF1QipFirst"), key("AF1QipSecond")]).unwrap().len(),
        1
    );
    assert_eq!(fs::read_to_string(&renamed).unwrap(), later);
}

/// Runs a command under `strace`, which writes its log there.
fn traced(root: &Path, log: &Path, options: &[String]) -> std::process::ExitStatus {
    let program = any_command(root);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(log).args(options);
    command.arg(program.get_program()).args(program.get_args());
    command.env("SHOEBOX_PROFILE", root.with_extension("profile"));
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
}

/// Killed at any of the changes that making the index anew makes to files: the next start makes it, from records that
/// are as they were.
#[test]
fn r28_an_index_of_another_version_is_made_anew_whenever_it_is_killed() {
    const CALLS: &str = "pwrite64,ftruncate,rename,unlink,fsync,fdatasync";
    let mut random = fastrand::Rng::with_seed(seed("r28_an_index"));
    let dir = tempfile::tempdir().unwrap();
    let (root, log) = (dir.path().join("archive"), dir.path().join("log"));
    write(&root);
    let want = dump(&open(&root));
    let index = fs::read(index_path(&root)).unwrap();
    let before = truth_of(&root);
    let of_version = |change: i32| {
        for file in files(&root).into_keys().filter(|path| path.contains("/index.sqlite")) {
            fs::remove_file(file).unwrap();
        }
        // `user_version` is the big-endian number at byte 60 of the file.
        let mut bytes = index.clone();
        let version = i32::from_be_bytes(bytes[60..64].try_into().unwrap());
        bytes[60..64].copy_from_slice(&(version + change).to_be_bytes());
        fs::write(index_path(&root), &bytes).unwrap();
    };
    of_version(1);
    assert!(open(&root).recovery.rebuilt.as_ref().unwrap().contains("version"));
    of_version(-1);
    traced(&root, &log, &["-e".into(), format!("trace={CALLS}")]);
    let called = fs::read_to_string(&log).unwrap();
    let calls: Vec<&str> = called
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1)?.split('(').next())
        .filter(|call| CALLS.split(',').any(|known| known == *call))
        .collect();
    assert!(calls.len() > 50, "{called}");
    let mut killed = 0;
    for _ in 0..KILLS.get() {
        let at = random.usize(..calls.len());
        let (call, nth) = (calls[at], calls[..=at].iter().filter(|call| **call == calls[at]).count());
        of_version(if random.bool() { 1 } else { -1 });
        let inject = format!("inject={call}:signal=KILL:when={nth}");
        let status = traced(&root, &log, &["-e".into(), format!("trace={call}"), "-e".into(), inject]);
        killed += usize::from(status.code().is_none());
        assert_eq!(truth_of(&root), before, "{call} {nth}: the truth has changed");
        assert_eq!(dump(&open(&root)), want, "{call} {nth}");
    }
    assert!(killed * 2 > KILLS.get(), "killed only {killed} times");
}
