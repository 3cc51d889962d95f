//! Mounting, unmounting, and what a predecessor left.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use shoebox::model::ErrorClass;
use shoebox::view::layout::shipped;
use shoebox::view::{Mounted, ViewError, ViewOptions};

use super::support::{Library, Stage, content, eventually, item, mounts_at};

const MONTH: &str = "by-date/2020/2020-05";
/// Tells [`a_process_that_holds_a_mount`] where; a test run by hand does not have it.
const HOLD: &str = "SHOEBOX_TEST_HOLD_MOUNT";

/// Not a test of its own: with [`HOLD`] set this process mounts that stage and waits to be killed.
#[test]
fn a_process_that_holds_a_mount() {
    let Some(dir) = std::env::var_os(HOLD).map(std::path::PathBuf::from) else { return };
    let library = Library::new(&dir);
    library.fill(1, 5, 5000);
    let options = ViewOptions {
        threads: ViewOptions::NEAR,
        passthrough: true,
        store: library.dir.clone(),
        xattrs: false,
        overlay: None,
        views: shipped(),
    };
    let open = Box::new(library.open_blob());
    let mounted =
        Mounted::start(library.source(), library.source(), open, &dir.join("view"), &options).unwrap();
    println!("mounted");
    // Until the parent kills us, or is gone itself.
    let _ = std::io::stdin().read(&mut [0]);
    mounted.stop().unwrap();
}

fn holder(stage: &Stage) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "view::lifecycle::a_process_that_holds_a_mount", "--nocapture"])
        .env(HOLD, stage.dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("mounted")), "the child could not mount");
    child
}

#[test]
fn a_dead_mount_of_a_killed_predecessor_is_cleared() {
    let stage = Stage::new();
    stage.library.fill(1, 5, 5000);
    for _ in 0..2 {
        let mut child = holder(&stage);
        let mut open = File::open(stage.view().join(MONTH).join("IMG_00003.jpg")).unwrap();
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        assert_eq!(
            fs::metadata(stage.view()).unwrap_err().raw_os_error(),
            Some(107),
            "ENOTCONN: a dead mount"
        );
        let mounted = stage.mount(true);
        assert_eq!(mounts_at(&stage.view()), 2, "the view and its guard");
        assert_eq!(fs::read_dir(stage.view().join(MONTH)).unwrap().count(), 5);
        // The kernel goes on reading for who had a file open under the dead one, where it read it itself.
        let mut bytes = Vec::new();
        if open.read_to_end(&mut bytes).is_ok() {
            assert!(bytes == content(3, 5000));
        }
        mounted.unmount().unwrap();
        assert_eq!(mounts_at(&stage.view()), 0);
    }
}

#[test]
fn unmounting_with_an_open_file_works_and_the_file_reads_on() {
    for passthrough in [true, false] {
        let stage = Stage::new();
        stage.library.fill(1, 2, 300_000);
        let mounted = stage.mount(passthrough);
        let mut open = File::open(stage.view().join(MONTH).join("IMG_00001.jpg")).unwrap();
        let mut first = vec![0; 1000];
        open.read_exact(&mut first).unwrap();
        mounted.unmount().unwrap();
        assert_eq!(mounts_at(&stage.view()), 0);
        let mut rest = Vec::new();
        open.read_to_end(&mut rest).unwrap();
        assert!([first, rest].concat() == content(1, 300_000));
        // And the place is free again at once.
        let again = stage.mount(passthrough);
        assert!(fs::read(stage.view().join(MONTH).join("IMG_00002.jpg")).unwrap() == content(2, 300_000));
        again.unmount().unwrap();
    }
}

#[test]
fn a_second_view_on_the_same_place_is_refused() {
    let stage = Stage::new();
    stage.library.fill(1, 2, 100);
    let mounted = stage.mount(true);
    let Err(error) = stage.try_mount(true) else { panic!("mounted twice") };
    assert!(matches!(error, ViewError::Busy(..)), "{error}");
    assert!(error.to_string().contains("shoebox") && error.to_string().contains("unmount it first"));
    assert_eq!(error.class(), ErrorClass::Environment);
    assert_eq!(mounts_at(&stage.view()), 2);
    mounted.unmount().unwrap();
}

#[test]
fn anothers_mount_at_the_same_place_is_left_alone() {
    let stage = Stage::new();
    stage.library.fill(1, 2, 100);
    let first = stage.mount(true);
    assert!(first.is_alive());
    // Somebody unmounts ours, and another view takes the place: what a restart looks like.
    rustix::mount::unmount(stage.view(), rustix::mount::UnmountFlags::DETACH).unwrap();
    eventually("ours ends", || !first.is_alive());
    let second = stage.mount(true);
    first.unmount().unwrap();
    assert_eq!(mounts_at(&stage.view()), 2);
    assert!(second.is_alive());
    assert_eq!(fs::read_dir(stage.view().join(MONTH)).unwrap().count(), 2);
    second.unmount().unwrap();
}

#[test]
fn a_place_that_will_not_do_is_named_with_the_reason() {
    let stage = Stage::new();
    stage.library.fill(1, 1, 100);
    let refused = |view: &std::path::Path| {
        let library = &stage.library;
        let open = Box::new(library.open_blob());
        let start = Mounted::start(library.source(), library.source(), open, view, &stage.options(true));
        let Err(error) = start else { panic!("mounted on {}", view.display()) };
        assert!(error.to_string().contains(view.to_str().unwrap()), "{error}");
        error
    };
    let file = stage.dir.path().join("file");
    fs::write(&file, b"x").unwrap();
    assert!(matches!(refused(&file), ViewError::Mountpoint(..)));
    let full = stage.dir.path().join("full");
    fs::create_dir_all(full.join("something")).unwrap();
    assert!(matches!(refused(&full), ViewError::NotEmpty(_)));
    let inside = stage.library.dir.join("view");
    fs::create_dir(&inside).unwrap();
    assert!(matches!(refused(&inside), ViewError::Inside(_)));
}

/// Where the root of a shared volume bears a view and its process is killed, no container can start with that
/// volume any more.
#[test]
fn the_root_of_a_shared_volume_is_refused_and_a_directory_inside_is_not() {
    let stage = Stage::new();
    stage.library.fill(1, 2, 100);
    let volume = stage.dir.path().join("volume");
    fs::create_dir(&volume).unwrap();
    let mount = |arguments: &[&str]| {
        assert!(Command::new("mount").args(arguments).arg(&volume).status().unwrap().success());
    };
    mount(&["--bind", volume.to_str().unwrap()]);
    mount(&["--make-rshared"]);
    let start = |place: &std::path::Path| {
        let (library, options) = (&stage.library, stage.options(true));
        Mounted::start(library.source(), library.source(), Box::new(library.open_blob()), place, &options)
    };
    let refused = start(&volume).err().map(|error| error.to_string()).unwrap_or_default();
    let inside = start(&volume.join("photos")).map(|mounted| {
        let seen = fs::read_dir(volume.join("photos").join(MONTH)).unwrap().count();
        mounted.unmount().unwrap();
        seen
    });
    assert!(Command::new("umount").arg("-l").arg(&volume).status().unwrap().success());
    assert!(refused.contains("root of a shared volume") && refused.contains("volume/photos"), "{refused}");
    assert_eq!(inside.unwrap(), 2);
}

#[test]
fn an_unreadable_source_shows_nothing_rather_than_an_empty_tree() {
    let stage = Stage::new();
    stage.library.held.lock().unwrap().broken = Some("the index is locked".into());
    let start = stage.try_mount(true);
    assert!(matches!(start, Err(ViewError::Source(why)) if why.contains("locked")));
    assert!(fs::read_dir(stage.view()).is_err());
    shoebox::view::mountpoint::release(&stage.view()).unwrap();
}

/// The index is made anew while the view is up: nobody ever sees fewer files.
#[test]
fn a_new_index_never_empties_the_tree() {
    let stage = Stage::new();
    stage.library.fill(1, 200, 10);
    let mounted = stage.mount(true);
    let folder = stage.view().join(MONTH);
    let newest = item(201, "Z.jpg", "2020-05-31T00:00:00", b"z");
    stage.library.add(newest, b"z");
    let mut most = 0;
    eventually("the new item, through reloads", || {
        let count = fs::read_dir(&folder).unwrap().count();
        assert!(count >= 200 && count >= most, "{count} after {most}");
        most = count;
        stage.library.held.lock().unwrap().epoch += 1;
        count == 201
    });
    mounted.unmount().unwrap();
}

/// Between two views, after a failed start, and for whoever asks at the worst moment: an error, never an empty
/// tree.
#[test]
fn where_a_view_was_every_question_gets_an_error() {
    let stage = Stage::new();
    stage.library.fill(1, 5, 100);
    let refused = || {
        let errors = [
            fs::read_dir(stage.view()).map(drop).unwrap_err(),
            fs::metadata(stage.view().join(MONTH)).map(drop).unwrap_err(),
        ];
        errors.iter().all(|error| error.raw_os_error() == Some(107))
    };
    // A first start that fails.
    stage.library.held.lock().unwrap().broken = Some("the index is locked".into());
    assert!(stage.try_mount(true).is_err());
    assert!(refused());
    stage.library.held.lock().unwrap().broken = None;
    let mounted = stage.mount(true);
    assert_eq!(fs::read_dir(stage.view().join(MONTH)).unwrap().count(), 5);
    mounted.stop().unwrap();
    assert!(refused());
    assert_eq!(mounts_at(&stage.view()), 1, "the guard");
    let again = stage.mount(true);
    assert_eq!(fs::read_dir(stage.view().join(MONTH)).unwrap().count(), 5);
    again.unmount().unwrap();
    assert_eq!(mounts_at(&stage.view()), 0);
    assert_eq!(fs::read_dir(stage.view()).unwrap().count(), 0);
}

/// A scanner in a loop through restarts and kills: it sees everything or an error, and what it has open reads
/// on or fails. New openings work within seconds.
#[test]
fn a_scanner_never_sees_fewer_files_than_before() {
    let count = |name: &str, default: u64| std::env::var(name).map_or(default, |n| n.parse().unwrap());
    let (restarts, kills) = (count("RESTARTS", 50), count("KILLS", 20));
    let stage = Stage::new();
    stage.library.fill(1, 5, 5000);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let scans = std::sync::atomic::AtomicU64::new(0);
    let scan = || -> std::io::Result<usize> {
        let mut seen = 0;
        for entry in fs::read_dir(stage.view().join(MONTH))? {
            let entry = entry?;
            let bytes = fs::read(entry.path())?;
            let ordinal = entry.file_name().to_str().unwrap()["IMG_".len()..][..5].parse().unwrap();
            assert!(bytes == content(ordinal, 5000), "wrong bytes");
            seen += 1;
        }
        Ok(seen)
    };
    let mut child = holder(&stage);
    assert_eq!(scan().unwrap(), 5);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    // An error is an error; a listing is complete.
                    if let Ok(seen) = scan() {
                        assert_eq!(seen, 5);
                        scans.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                    let views =
                        fs::read_dir(stage.view()).and_then(|views| views.collect::<Result<Vec<_>, _>>());
                    match views {
                        Ok(views) => assert_eq!(views.len(), shipped().len()),
                        Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::NotFound),
                    }
                }
            });
        }
        for round in 0..restarts + kills {
            if round % (restarts + kills) < restarts {
                drop(child.stdin.take());
            } else {
                child.kill().unwrap();
            }
            child.wait().unwrap();
            let began = std::time::Instant::now();
            child = holder(&stage);
            assert_eq!(scan().unwrap(), 5);
            assert!(began.elapsed().as_secs() < 5, "new openings work within 5 s");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(scans.into_inner() > 0, "the scanner saw the view at times");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(mounts_at(&stage.view()) <= 2, "no pile of mounts");
    shoebox::view::mountpoint::release(&stage.view()).unwrap();
    assert_eq!(mounts_at(&stage.view()), 0);
}
