//! What programs see that read a mounted view: exact sizes, times and inodes. (That nothing can be written is R19,
//! among the promises.)

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{DirEntryExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use shoebox::model::PartRole;
use shoebox::view::tree::part_ino;

use super::support::{Stage, content, item, ordinal_of};

const MONTH: &str = "by-date/2020/2020-05";

/// Every file by its path below `dir`.
fn walk(dir: &Path) -> BTreeMap<PathBuf, fs::Metadata> {
    let (mut found, mut open) = (BTreeMap::new(), vec![dir.to_owned()]);
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let entry = entry.unwrap();
            let meta = fs::metadata(entry.path()).unwrap();
            assert_eq!(entry.ino(), meta.ino(), "what the listing says and what stat says is one inode");
            if meta.is_dir() {
                assert_eq!(meta.mode() & 0o7777, 0o555);
                open.push(entry.path());
            } else {
                found.insert(entry.path().strip_prefix(dir).unwrap().to_owned(), meta);
            }
        }
    }
    found
}

#[test]
fn sizes_times_and_inodes_are_exact_and_survive_a_restart() {
    let stage = Stage::new();
    stage.library.fill(1, 250, 1000);
    let old = content(251, 10);
    stage.library.add(item(251, "old.jpg", "1912-04-14T23:40:00", &old), &old);
    let mounted = stage.mount(true);
    let before = walk(&stage.view());
    let by_date =
        |found: &BTreeMap<PathBuf, _>| found.keys().filter(|path| path.starts_with("by-date")).count();
    assert_eq!(by_date(&before), 251);
    for (path, meta) in &before {
        let ordinal = ordinal_of(meta.ino());
        if path.extension().is_some_and(|extension| extension == "xmp") {
            assert_eq!(meta.len(), fs::read(stage.view().join(path)).unwrap().len() as u64);
            continue;
        }
        let size = if ordinal == 251 { old.len() } else { content(ordinal, 1000).len() };
        assert_eq!(meta.len(), size as u64, "{}", path.display());
        let taken = stage.library.held.lock().unwrap().items[ordinal as usize - 1].taken.instant();
        assert_eq!(meta.mtime(), taken.as_second(), "{}", path.display());
        assert_eq!(meta.mode() & 0o7777, 0o444);
        let places = before.values().filter(|other| other.ino() == meta.ino()).count();
        assert_eq!(meta.nlink(), places as u64, "{}", path.display());
    }
    assert!(before.contains_key(Path::new("by-date/1912/1912-04/old.jpg")));
    mounted.unmount().unwrap();
    stage.library.fill(252, 1, 1000);
    let mounted = stage.mount(true);
    let after = walk(&stage.view());
    assert_eq!(by_date(&after), 252);
    for (path, meta) in before {
        assert_eq!(after[&path].ino(), meta.ino(), "{}", path.display());
        assert_eq!(after[&path].mtime(), meta.mtime(), "{}", path.display());
    }
    mounted.unmount().unwrap();
}

#[test]
fn another_user_may_read_and_the_volume_is_told_truly() {
    let stage = Stage::new();
    stage.library.fill(1, 3, 1000);
    let mounted = stage.mount(true);
    fs::set_permissions(stage.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let file = stage.view().join(MONTH).join("IMG_00002.jpg");
    let read = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "cat"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    assert!(read.stdout == content(2, 1000));
    let space = rustix::fs::statvfs(stage.view()).unwrap();
    let volume = rustix::fs::statvfs(&stage.library.dir).unwrap();
    assert_eq!(space.f_blocks * space.f_frsize, volume.f_blocks * volume.f_frsize);
    assert_eq!((space.f_bavail, space.f_files, space.f_namemax), (0, 3, 255));
    mounted.unmount().unwrap();
}

#[test]
fn junk_that_scanners_ask_for_is_not_there_and_does_not_stay_away() {
    let stage = Stage::new();
    stage.library.fill(1, 1, 1000);
    let mounted = stage.mount(true);
    let folder = stage.view().join(MONTH);
    for junk in [".DS_Store", "._IMG_00001.jpg", "@eaDir", "Thumbs.db", "desktop.ini", "IMG_00001.jpg.xmp"] {
        assert_eq!(fs::metadata(folder.join(junk)).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    }
    // A name that was asked for in vain appears all the same when its item comes.
    let late = folder.join("IMG_00002.jpg");
    assert!(!late.exists());
    stage.library.fill(2, 1, 1000);
    super::support::eventually("the new item", || late.exists());
    assert_eq!(fs::metadata(&late).unwrap().ino(), part_ino(2, PartRole::Original, 1));
    mounted.unmount().unwrap();
}

/// The view for Immich has sidecars: their sizes are exact, they say what Google knows, and they are read again
/// when that changes.
#[test]
fn sidecars_say_what_google_knows() {
    for passthrough in [true, false] {
        let stage = Stage::new();
        let bytes = content(1, 1000);
        let mut photo = item(1, "IMG_1.jpg", "2020-05-06T07:08:09", &bytes);
        photo.description = Some("Grandma's <first> bike".into());
        stage.library.add(photo.clone(), &bytes);
        let mounted = stage.mount(passthrough);
        let folder = stage.view().join("immich/2020/2020-05");
        let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["IMG_1.jpg", "IMG_1.jpg.xmp"]);
        let sidecar = folder.join("IMG_1.jpg.xmp");
        let before = fs::metadata(&sidecar).unwrap();
        let text = fs::read_to_string(&sidecar).unwrap();
        assert_eq!(before.len(), text.len() as u64);
        assert!(text.contains("Grandma&apos;s &lt;first&gt; bike") && !text.contains("Rating"), "{text}");
        // Nothing but a reader of XML that nobody here wrote can say that it is well formed.
        let lint = Command::new("python3")
            .args(["-c", "import sys, xml.dom.minidom as x; x.parse(sys.argv[1])"])
            .arg(&sidecar)
            .output()
            .unwrap();
        assert!(lint.status.success(), "{}", String::from_utf8_lossy(&lint.stderr));
        photo.favourite = true;
        photo.since += jiff::SignedDuration::from_secs(60);
        photo.description = Some("x".repeat(5000).into());
        stage.library.add(photo.clone(), &bytes);
        super::support::eventually("the new sidecar", || {
            let size = fs::metadata(&sidecar).unwrap().len();
            size == 8192 && fs::read_to_string(&sidecar).is_ok_and(|text| text.contains("<xmp:Rating>5<"))
        });
        let after = fs::metadata(&sidecar).unwrap();
        assert_eq!((before.len(), after.len()), (4096, 8192));
        assert_eq!(after.ino(), before.ino());
        assert_eq!(after.mtime(), before.mtime() + 60);
        assert_eq!(fs::read(&sidecar).unwrap().len(), 8192);
        mounted.unmount().unwrap();
    }
}

/// `getfattr` shows what is known, `ls -l` is as of any file; left out, the kernel is told never to ask.
#[test]
fn extended_attributes_tell_what_is_known() {
    let stage = Stage::new();
    stage.library.fill(1, 2, 1000);
    let file = stage.view().join(MONTH).join("IMG_00001.jpg");
    let mounted = stage.mount(true);
    let error = rustix::fs::getxattr(&file, "user.shoebox.sha256", &mut [0_u8; 64]).unwrap_err();
    assert_eq!(error, rustix::io::Errno::OPNOTSUPP);
    mounted.unmount().unwrap();
    let options = shoebox::view::ViewOptions { xattrs: true, ..stage.options(true) };
    let mounted = stage.mount_as(&options).unwrap();
    let digests = shoebox::model::digest::digests_of(&content(1, 1000));
    let shown = Command::new("getfattr").args(["-d", "--absolute-names"]).arg(&file).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    for line in [
        format!("user.shoebox.sha256=\"{}\"", digests.sha256.hex()),
        format!("user.shoebox.sha1=\"{}\"", digests.sha1.hex()),
        "user.shoebox.media_key=\"AF1QipKey1\"".into(),
        "user.shoebox.url=\"https://photos.google.com/photo/AF1QipKey1\"".into(),
        "user.shoebox.taken=\"2020-05-06T07:08:09+00:00\"".into(),
        "user.shoebox.verdict=\"matches-upload\"".into(),
        "user.shoebox.name=\"IMG_00001.jpg\"".into(),
    ] {
        assert!(shown.contains(&line), "{line} is not in {shown}");
    }
    let listed = Command::new("ls").arg("-l").arg(file.parent().unwrap()).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.lines().filter(|line| line.starts_with("-r--r--r-- ")).count() == 2, "{listed}");
    assert!(!listed.contains('+') && !listed.contains('?'), "no access lists, nothing unknown: {listed}");
    mounted.unmount().unwrap();
}
