//! Programs that nobody here wrote, on a mounted view: what they see is the same after a restart, and the same as
//! on the files themselves.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use shoebox::view::Mounted;

use super::support::{Stage, content, item};

fn run(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {args:?}: {:?}\n{out}\n{err}", output.status);
    output
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Real files of cameras, and some that are the same bytes twice.
fn photos() -> (Stage, Vec<PathBuf>) {
    let stage = Stage::new();
    fs::set_permissions(stage.dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let media = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/media");
    let mut files: Vec<PathBuf> = fs::read_dir(media)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e != "json" && e != "md" && e != "rs"))
        .collect();
    files.sort();
    for (ordinal, file) in (1..).zip(&files) {
        let bytes = fs::read(file).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        stage.library.add(item(ordinal, name, "2020-05-06T07:08:09", &bytes), &bytes);
    }
    for ordinal in 100..103 {
        let bytes = content(7, 3000);
        stage
            .library
            .add(item(ordinal, &format!("twin: {ordinal}.jpg"), "2021-01-02T03:04:05", &bytes), &bytes);
    }
    (stage, files)
}

/// What a program says before and after a restart.
fn twice(stage: &Stage, mut look: impl FnMut() -> String) -> (String, Mounted) {
    let mounted = stage.mount(true);
    let before = look();
    mounted.stop().unwrap();
    let mounted = stage.mount(false);
    let after = look();
    assert_eq!(before, after, "not the same after a restart");
    (before, mounted)
}

#[test]
fn rsync_finds_nothing_to_do_after_a_copy() {
    let (stage, files) = photos();
    let view = format!("{}/", stage.view().join("by-date").display());
    let copy = format!("{}/", stage.dir.path().join("copy").display());
    let mounted = stage.mount(true);
    run("rsync", &["-a", &view, &copy]);
    mounted.stop().unwrap();
    let (said, mounted) =
        twice(&stage, || text(&run("rsync", &["-ain", "--checksum", "--delete", &view, &copy])));
    assert_eq!(said, "");
    let copied = text(&run("find", &[&copy, "-type", "f"]));
    assert_eq!(copied.lines().count(), files.len() + 3);
    mounted.unmount().unwrap();
}

#[test]
fn exiftool_says_of_the_view_what_it_says_of_the_files() {
    let (stage, files) = photos();
    // What is about the place of a file and not the file.
    let about_place = [
        "SourceFile",
        "FileName",
        "Directory",
        "File:",
        "FileModify",
        "FileAccess",
        "FileInode",
        "FilePermissions",
    ];
    let facts = |args: &[&str]| -> BTreeSet<String> {
        let output = Command::new("exiftool").args(["-json", "-q", "-r"]).args(args).output().unwrap();
        let read: Vec<serde_json::Map<String, serde_json::Value>> =
            serde_json::from_slice(&output.stdout).unwrap();
        read.into_iter()
            .map(|mut facts| {
                facts.retain(|name, _| !about_place.iter().any(|place| name.starts_with(place)));
                serde_json::to_string(&facts).unwrap()
            })
            .collect()
    };
    let originals: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
    let expected = facts(&originals);
    let month = stage.view().join("by-date/2020");
    let (_, mounted) = twice(&stage, || {
        let seen = facts(&[month.to_str().unwrap()]);
        assert_eq!(seen, expected);
        String::new()
    });
    assert!(expected.len() > 20, "{}", expected.len());
    mounted.unmount().unwrap();
}

#[test]
fn a_scanner_for_duplicates_finds_the_same_before_and_after_a_restart() {
    let (stage, _) = photos();
    let view = stage.view().join("by-date");
    let (found, mounted) =
        twice(&stage, || text(&run("fdupes", &["-r", "-q", "-o", "name", view.to_str().unwrap()])));
    let twins = found.lines().filter(|line| line.contains("/twin: ")).count();
    assert_eq!(twins, 3, "{found}");
    mounted.unmount().unwrap();
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A Samba server of its own on the view for Windows.
fn samba(stage: &Stage) -> (Server, u16) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let state = stage.dir.path().join("samba");
    fs::create_dir_all(&state).unwrap();
    let directories: String = [
        "private dir",
        "lock directory",
        "state directory",
        "cache directory",
        "pid directory",
        "ncalrpc dir",
    ]
    .iter()
    .map(|name| format!("  {name} = {}\n", state.display()))
    .collect();
    let configuration = format!(
        "[global]\n  smb ports = {port}\n  interfaces = 127.0.0.1/8\n  bind interfaces only = yes\n\
         \x20 map to guest = Bad User\n  server role = standalone server\n  disable spoolss = yes\n  load printers = no\n\
         \x20 log file = {0}/log\n{directories}\
         [photos]\n  path = {1}\n  read only = yes\n  guest ok = yes\n",
        state.display(),
        stage.view().join("smb").display()
    );
    let file = state.join("smb.conf");
    fs::write(&file, configuration).unwrap();
    let server = Command::new("smbd")
        .args(["--foreground", "--no-process-group", "--configfile"])
        .arg(&file)
        .spawn()
        .unwrap_or_else(|e| panic!("smbd: {e}"));
    (Server(server), port)
}

#[test]
fn samba_serves_the_view_for_windows() {
    let (stage, files) = photos();
    let mounted = stage.mount(true);
    let (server, port) = samba(&stage);
    let smbclient = |command: &str| {
        Command::new("smbclient")
            .args(["//127.0.0.1/photos", "-N", "-p", &port.to_string(), "-c", command])
            .output()
            .unwrap()
    };
    let until = Instant::now() + Duration::from_secs(30);
    while !smbclient("ls").status.success() {
        assert!(Instant::now() < until, "{}", String::from_utf8_lossy(&smbclient("ls").stdout));
        std::thread::sleep(Duration::from_millis(100));
    }
    let listed = text(&smbclient("recurse; ls"));
    let listed_files = listed
        .lines()
        .filter(|line| line.contains("  R ") || line.contains("  AR ") || line.contains(" N "))
        .count();
    assert_eq!(listed_files, files.len() + 3, "{listed}");
    assert!(listed.contains("twin： 100.jpg"), "a colon would be mangled: {listed}");
    for file in files.iter().step_by(7) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let to = stage.dir.path().join("fetched");
        let got = smbclient(&format!("get \"2020/2020-05/{name}\" {}", to.display()));
        assert!(got.status.success(), "{}", text(&got));
        assert!(fs::read(&to).unwrap() == fs::read(file).unwrap(), "{name}");
        let refused = smbclient(&format!("del \"2020/2020-05/{name}\""));
        assert!(text(&refused).contains("NT_STATUS"), "{}", text(&refused));
    }
    drop(server);
    mounted.unmount().unwrap();
}

/// What an NFS server does: it keeps a handle and comes back with it after a restart.
#[test]
fn a_file_is_reopened_by_its_handle_after_a_restart() {
    const SCRIPT: &str = r#"
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
class Handle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("data", ctypes.c_ubyte * 128)]
mode, mount, path, keep = sys.argv[1:]
handle = Handle()
if mode == "take":
    handle.bytes = 128
    number = ctypes.c_int()
    if libc.name_to_handle_at(-100, path.encode(), ctypes.byref(handle), ctypes.byref(number), 0) != 0:
        sys.exit("take: " + os.strerror(ctypes.get_errno()))
    open(keep, "wb").write(bytes(handle))
else:
    ctypes.memmove(ctypes.byref(handle), open(keep, "rb").read(), ctypes.sizeof(handle))
    at = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
    file = libc.open_by_handle_at(at, ctypes.byref(handle), os.O_RDONLY)
    if file < 0:
        sys.exit("open: " + os.strerror(ctypes.get_errno()))
    data = b""
    while piece := os.read(file, 1 << 20):
        data += piece
    sys.stdout.buffer.write(data)
"#;
    let stage = Stage::new();
    stage.library.fill(1, 5, 50_000);
    let (view, keep) = (stage.view(), stage.dir.path().join("handle"));
    let path = view.join("by-date/2020/2020-05/IMG_00003.jpg");
    let python = |mode: &str| {
        run(
            "python3",
            &["-c", SCRIPT, mode, view.to_str().unwrap(), path.to_str().unwrap(), keep.to_str().unwrap()],
        )
    };
    let mounted = stage.mount(true);
    python("take");
    mounted.stop().unwrap();
    let mounted = stage.mount(true);
    assert!(python("open").stdout == content(3, 50_000));
    mounted.unmount().unwrap();
}
