//! The real disk: what each step refuses.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use shoebox::store::{Disk, RealDisk};

use super::support::fast_dir;

#[test]
fn only_files_are_opened_and_no_link_is_followed() {
    let dir = fast_dir();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("file"), b"bytes").unwrap();
    symlink(at("file"), at("link")).unwrap();
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    assert!(RealDisk.open(&at("file")).is_ok());
    for name in ["link", "pipe", "."] {
        assert!(RealDisk.open(&at(name)).is_err(), "{name} was opened");
    }
    assert_eq!(RealDisk.open(&at("nothing")).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_directory_may_be_there_already_and_nothing_else() {
    let dir = fast_dir();
    let at = |name: &str| dir.path().join(name);
    RealDisk.make_dir(&at("new")).unwrap();
    assert_eq!(fs::metadata(at("new")).unwrap().permissions().mode() & 0o027, 0, "others may look into it");
    RealDisk.make_dir(&at("new")).unwrap();
    fs::write(at("file"), b"bytes").unwrap();
    assert_eq!(RealDisk.make_dir(&at("file")).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(RealDisk.make_dir(&at("missing/new")).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_pending_file_takes_a_free_name_only_and_is_sealed() {
    let dir = fast_dir();
    let to = dir.path().join("published");
    assert_eq!(
        RealDisk.create_named(&dir.path().join("missing")).map(drop).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    for create in [Disk::create, RealDisk::create_named as fn(&RealDisk, &std::path::Path) -> _] {
        let _ = fs::remove_file(&to);
        let file = create(&RealDisk, dir.path()).unwrap();
        RealDisk.allocate(&file, 1 << 20).unwrap();
        RealDisk.append(&file, b"bytes").unwrap();
        RealDisk.seal(&file).unwrap();
        RealDisk.publish(&file, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"bytes");
        assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o440);
        let other = create(&RealDisk, dir.path()).unwrap();
        RealDisk.append(&other, b"other").unwrap();
        assert_eq!(RealDisk.publish(&other, &to).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&to).unwrap(), b"bytes");
    }
}

#[test]
fn entries_come_in_order_and_directories_are_told_apart() {
    let dir = fast_dir();
    fs::write(dir.path().join("b"), b"").unwrap();
    fs::create_dir(dir.path().join("a")).unwrap();
    fs::write(dir.path().join("c"), b"").unwrap();
    let entries = RealDisk.list(dir.path()).unwrap();
    let told: Vec<_> = entries.iter().map(|entry| (entry.name.to_str().unwrap(), entry.is_dir)).collect();
    assert_eq!(told, [("a", true), ("b", false), ("c", false)]);
    let space = RealDisk.space(dir.path()).unwrap();
    assert!(space.free > 1 << 20 && space.total >= space.free, "{space:?}");
}
