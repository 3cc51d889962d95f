//! Sidecars that consumers write, through a real mount; and that nothing else can be written.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use shoebox::view::{Mounted, ViewOptions};

use super::support::{Stage, content};

const MONTH: &str = "immich/2020/2020-05";

fn stage() -> (Stage, PathBuf) {
    let stage = Stage::new();
    fs::set_permissions(stage.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    stage.library.fill(1, 3, 1000);
    let overlay = stage.dir.path().join("sidecars");
    (stage, overlay)
}

fn mount(stage: &Stage, overlay: &Path) -> Mounted {
    let options = ViewOptions { overlay: Some(overlay.to_owned()), ..stage.options(true) };
    stage.mount_as(&options).unwrap()
}

/// Everything that was kept of a sidecar, oldest first.
fn history(overlay: &Path, name: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(overlay.join("history").join(MONTH).join(name)) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

#[test]
fn a_sidecar_that_a_consumer_writes_stays_with_its_history() {
    let (stage, overlay) = stage();
    let mounted = mount(&stage, &overlay);
    let folder = stage.view().join(MONTH);
    let generated = folder.join("IMG_00001.jpg.xmp");
    let before = fs::read_to_string(&generated).unwrap();
    // Written in place, as most programs do.
    fs::write(&generated, "first").unwrap();
    assert_eq!(fs::read_to_string(&generated).unwrap(), "first");
    assert_eq!(fs::metadata(&generated).unwrap().len(), 5);
    fs::write(&generated, "second!").unwrap();
    OpenOptions::new().append(true).open(&generated).unwrap().write_all(b" more").unwrap();
    assert_eq!(fs::read_to_string(&generated).unwrap(), "second! more");
    // The names are listed once each, the new one too.
    fs::write(folder.join("IMG_00002.xmp"), "other way of naming").unwrap();
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "IMG_00001.jpg",
            "IMG_00001.jpg.xmp",
            "IMG_00002.jpg",
            "IMG_00002.jpg.xmp",
            "IMG_00002.xmp",
            "IMG_00003.jpg",
            "IMG_00003.jpg.xmp"
        ]
    );
    for entry in fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        use std::os::unix::fs::DirEntryExt as _;
        assert_eq!(entry.ino(), fs::metadata(entry.path()).unwrap().ino(), "{entry:?}");
    }
    let kept = history(&overlay, "IMG_00001.jpg.xmp");
    // What was generated can be generated again.
    assert_eq!(kept, ["first", "second!"]);
    // It survives a restart, with its inode; and where it is taken away, the generated one shows again.
    let ino = fs::metadata(&generated).unwrap().ino();
    mounted.stop().unwrap();
    let mounted = mount(&stage, &overlay);
    assert_eq!(fs::read_to_string(&generated).unwrap(), "second! more");
    assert_eq!(fs::metadata(&generated).unwrap().ino(), ino);
    fs::remove_file(&generated).unwrap();
    assert_eq!(fs::read_to_string(&generated).unwrap(), before);
    assert_eq!(history(&overlay, "IMG_00001.jpg.xmp").last().unwrap(), "second! more");
    mounted.unmount().unwrap();
}

#[test]
fn exiftool_and_another_user_may_write_a_sidecar() {
    let (stage, overlay) = stage();
    let mounted = mount(&stage, &overlay);
    let folder = stage.view().join(MONTH);
    let sidecar = folder.join("IMG_00003.jpg.xmp");
    // It writes another file and renames it.
    let wrote = Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "exiftool",
            "-overwrite_original",
            "-XMP:Rating=4",
        ])
        .arg(&sidecar)
        .output()
        .unwrap();
    assert!(wrote.status.success(), "{}", String::from_utf8_lossy(&wrote.stderr));
    let rating = Command::new("exiftool").args(["-s3", "-XMP:Rating"]).arg(&sidecar).output().unwrap();
    assert_eq!(String::from_utf8(rating.stdout).unwrap().trim(), "4");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 6, "nothing is left over");
    mounted.unmount().unwrap();
}

#[test]
fn nothing_but_sidecars_beside_photos_can_be_written() {
    let (stage, overlay) = stage();
    let mounted = mount(&stage, &overlay);
    let folder = stage.view().join(MONTH);
    let photo = folder.join("IMG_00001.jpg");
    let erofs = |what: &str, result: std::io::Result<()>| {
        let error = result.expect_err(what);
        assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem, "{what}: {error}");
    };
    erofs("write a photo", OpenOptions::new().write(true).open(&photo).map(drop));
    erofs("truncate a photo", fs::write(&photo, "x"));
    erofs("a new photo", fs::write(folder.join("new.jpg"), "x"));
    erofs("unlink", fs::remove_file(&photo));
    erofs("rename", fs::rename(&photo, folder.join("other.jpg")));
    erofs("rename to a sidecar", fs::rename(&photo, folder.join("other.xmp")));
    erofs("mkdir", fs::create_dir(folder.join("new")));
    erofs("rmdir", fs::remove_dir(&folder));
    erofs("link", fs::hard_link(&photo, folder.join("other.xmp")));
    erofs("symlink", std::os::unix::fs::symlink("x", folder.join("other.xmp")));
    erofs("chmod", fs::set_permissions(&photo, fs::Permissions::from_mode(0o777)));
    erofs("a sidecar in the root", fs::write(stage.view().join("x.xmp"), "x"));
    erofs("a sidecar among years", fs::write(stage.view().join("immich/2020/x.xmp"), "x"));
    fs::write(folder.join("IMG_00001.xmp"), "mine").unwrap();
    erofs("a sidecar onto a photo", fs::rename(folder.join("IMG_00001.xmp"), &photo));
    let too_large = OpenOptions::new().write(true).open(folder.join("IMG_00001.xmp")).unwrap();
    assert!(too_large.set_len(1 << 30).is_err());
    assert!(fs::read(&photo).unwrap() == content(1, 1000));
    mounted.unmount().unwrap();
}
