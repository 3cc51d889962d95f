//! R19: whatever a program tries on a view, nothing changes, there or in the archive behind it.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

use rustix::fs::{CWD, FallocateFlags, FileType, Mode, OFlags, RenameFlags};

use super::Row;
use crate::sync::support::files;
use crate::view::support::{Stage, content};

pub const ROWS: &[Row] = &[Row {
    number: 19,
    tried: "every call that changes a file, a name, an attribute or a directory, on a mounted view",
    counts: &[],
}];

const MONTH: &str = "by-date/2020/2020-05";

#[test]
fn r19_every_change_is_refused_as_read_only() {
    for passthrough in [true, false] {
        every_change_is_refused(passthrough);
    }
}

fn every_change_is_refused(passthrough: bool) {
    let stage = Stage::new();
    stage.library.fill(1, 3, 1000);
    let mounted = stage.mount(passthrough);
    let before = files(&stage.library.dir);
    let folder = stage.view().join(MONTH);
    let (file, other) = (folder.join("IMG_00001.jpg"), folder.join("IMG_00002.jpg"));
    let erofs = |what: &str, result: std::io::Result<()>| {
        let error = result.expect_err(what);
        assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem, "{what}: {error}");
    };
    erofs("create", File::create(folder.join("new")).map(drop));
    erofs("open for writing", OpenOptions::new().write(true).open(&file).map(drop));
    erofs("open for both", OpenOptions::new().read(true).write(true).open(&file).map(drop));
    erofs("open for appending", OpenOptions::new().append(true).open(&file).map(drop));
    erofs("open with truncation", OpenOptions::new().write(true).custom_flags(0o1000).open(&file).map(drop));
    let unnamed = rustix::fs::open(&folder, OFlags::TMPFILE | OFlags::RDWR, Mode::from_raw_mode(0o600));
    let error = unnamed.expect_err("a file without a name");
    assert!([rustix::io::Errno::ROFS, rustix::io::Errno::OPNOTSUPP].contains(&error), "{error}");
    erofs("truncate", truncate(&file));
    erofs("mkdir", fs::create_dir(folder.join("new")));
    erofs("unlink", fs::remove_file(&file));
    erofs("rmdir", fs::remove_dir(&folder));
    erofs("rename", fs::rename(&file, folder.join("other")));
    erofs("rename over", fs::rename(&file, &other));
    for flags in [RenameFlags::NOREPLACE, RenameFlags::EXCHANGE] {
        let to = if flags == RenameFlags::EXCHANGE { other.clone() } else { folder.join("other") };
        erofs(
            "rename with flags",
            rustix::fs::renameat_with(CWD, &file, CWD, &to, flags).map_err(Into::into),
        );
    }
    erofs("link", fs::hard_link(&file, folder.join("other")));
    erofs("symlink", std::os::unix::fs::symlink("x", folder.join("other")));
    erofs("chmod", fs::set_permissions(&file, fs::Permissions::from_mode(0o777)));
    erofs("chmod of a directory", fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)));
    erofs("chown", std::os::unix::fs::chown(&file, Some(1), None));
    let times = fs::FileTimes::new().set_modified(std::time::SystemTime::now());
    erofs("utimes", File::open(&file).unwrap().set_times(times));
    let name = CString::new("user.x").unwrap();
    let set = rustix::fs::setxattr(&file, &name, b"1", rustix::fs::XattrFlags::empty());
    erofs("setxattr", set.map_err(Into::into));
    erofs("removexattr", rustix::fs::removexattr(&file, &name).map_err(Into::into));
    for kind in [FileType::Fifo, FileType::Socket, FileType::RegularFile] {
        let made = rustix::fs::mknodat(CWD, folder.join("node"), kind, Mode::from_raw_mode(0o600), 0);
        erofs("mknod", made.map_err(Into::into));
    }
    // What a descriptor for reading might still do.
    let opened = File::open(&file).unwrap();
    (&opened).write_all(b"x").unwrap_err();
    opened.set_len(0).unwrap_err();
    rustix::fs::fallocate(&opened, FallocateFlags::empty(), 0, 1 << 20).unwrap_err();
    rustix::fs::fallocate(&opened, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, 512)
        .unwrap_err();
    rustix::fs::ioctl_setflags(&opened, rustix::fs::IFlags::IMMUTABLE).unwrap_err();
    rustix::fs::copy_file_range(File::open(&other).unwrap(), None, &opened, None, 100).unwrap_err();
    assert!(fs::read(&file).unwrap() == content(1, 1000) && fs::read(&other).unwrap() == content(2, 1000));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
    mounted.unmount().unwrap();
    assert_eq!(files(&stage.library.dir), before);
}

fn truncate(path: &std::path::Path) -> std::io::Result<()> {
    let done = std::process::Command::new("truncate").args(["-c", "-s", "0"]).arg(path).output()?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    let refused = !done.status.success() && said.contains("Read-only file system");
    if refused {
        Err(std::io::ErrorKind::ReadOnlyFilesystem.into())
    } else {
        Err(std::io::Error::other(said))
    }
}
