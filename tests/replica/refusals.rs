//! Places where no replica may be, and what is said of them.

use super::server::Server;
use super::support::*;
use crate::appliance::support::{run, succeed, text};

/// Exit code and complaint.
async fn refused(command: std::process::Command) -> (Option<i32>, String) {
    let output = run(command).await;
    (output.status.code(), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_something_else_is_left_alone() {
    let (stage, other) = (Stage::new(3), Stage::new(3));
    let disk = stage.path("disk");
    let disk = disk.to_str().unwrap();
    succeed(stage.command(&["replicate", disk])).await;
    // Another archive's.
    let (code, told) = refused(other.command(&["replicate", disk])).await;
    assert!(code == Some(1) && told.contains("it is a replica of archive"), "{told}");
    let (code, told) = refused(other.command(&["verify", "--repair-from", disk])).await;
    assert!(code == Some(1) && told.contains("it is a replica of archive"), "{told}");
    // Somebody's holiday.
    let photos = stage.path("photos");
    std::fs::create_dir(&photos).unwrap();
    std::fs::write(photos.join("beach.jpg"), b"x").unwrap();
    let (code, told) = refused(stage.command(&["replicate", photos.to_str().unwrap()])).await;
    assert!(code == Some(1) && told.contains("beach.jpg") && told.contains("empty place"), "{told}");
    assert_eq!(std::fs::read_dir(&photos).unwrap().count(), 1);
    // The archive itself, by another name, and a place in it.
    std::os::unix::fs::symlink(stage.data(), stage.path("link")).unwrap();
    for itself in [stage.data(), stage.path("link"), stage.data().join("blobs"), stage.data().join("not/yet")]
    {
        let (code, told) = refused(stage.command(&["replicate", itself.to_str().unwrap()])).await;
        assert!(code == Some(4) && told.contains("the archive itself"), "{told}");
    }
    // A disk that is not plugged in: its empty directory, or none at all.
    std::fs::rename(disk, stage.path("unplugged")).unwrap();
    std::fs::create_dir(disk).unwrap();
    for written in [disk, &format!("{disk}/")] {
        let (code, told) = refused(stage.command(&["replicate", written])).await;
        assert!(
            code == Some(1) && told.contains("--begin-anew") && told.contains("volume mounted"),
            "{told}"
        );
    }
    assert_eq!(std::fs::read_dir(disk).unwrap().count(), 0, "something was written");
    succeed(stage.command(&["replicate", disk, "--begin-anew"])).await;
    let deep = stage.path("not/there");
    let (code, told) = refused(stage.command(&["replicate", deep.to_str().unwrap()])).await;
    assert!(code == Some(1) && told.contains("cannot be reached"), "{told}");
    // Nothing to restore from, and no place to restore to.
    let empty = stage.path("empty");
    std::fs::create_dir(&empty).unwrap();
    let mut restore = stage.command(&["restore", empty.to_str().unwrap()]);
    restore.env("SHOEBOX_DATA", stage.path("new"));
    let (code, told) = refused(restore).await;
    assert!(code == Some(1) && told.contains("there is no replica"), "{told}");
    let (code, told) = refused(other.command(&["restore", disk])).await;
    assert!(code == Some(4) && told.contains("is archive"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_or_is_not_there_is_told_apart() {
    let server = Server::start().await;
    let stage = Stage::new(3);
    let mut wrong = stage.at(&server.endpoint(), &["replicate", "s3://photos/x"]);
    wrong.env("SHOEBOX_S3_SECRET", "another");
    let (code, told) = refused(wrong).await;
    assert!(code == Some(1) && told.contains("refuses") && told.contains("key, secret and rights"), "{told}");
    assert!(!told.contains("another"), "{told}");
    let mut none = stage.at(&server.endpoint(), &["replicate", "s3://photos/x"]);
    none.env_remove("SHOEBOX_S3_SECRET");
    let (code, told) = refused(none).await;
    assert!(code == Some(4) && told.contains("SHOEBOX_S3_SECRET"), "{told}");
    let endpoint = server.endpoint();
    drop(server);
    let before = std::time::Instant::now();
    let (code, told) = refused(stage.at(&endpoint, &["replicate", "s3://photos/x"])).await;
    assert!(code == Some(1) && told.contains("cannot be reached"), "{told}");
    assert!(before.elapsed().as_secs() < 60, "it took {:?} to say so", before.elapsed());
    let (code, told) = refused(stage.command(&["replicate", "gs://photos"])).await;
    assert!(code == Some(4) && told.contains("s3://BUCKET/PREFIX"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_goes_away_in_the_middle_is_not_made_up_for() {
    use shoebox::replica::push::{Progress, PushSettings};
    use shoebox::replica::{Replica, Target};
    let stage = Stage::new(5);
    let disk = stage.path("disk");
    let target: Target = disk.to_str().unwrap().parse().unwrap();
    let archive = stage.open();
    let replica = Replica::begin(&target, &archive.store, Vec::new(), false).await.unwrap();
    std::fs::rename(&disk, stage.path("unplugged")).unwrap();
    for is_another in [false, true] {
        if is_another {
            std::fs::create_dir(&disk).unwrap();
        }
        let stop = tokio_util::sync::CancellationToken::new();
        let pushed =
            replica.push(&archive.store, &PushSettings::default(), &Progress::default(), &stop).await;
        assert!(pushed.unwrap_err().to_string().contains("its disk is not there any more"));
        assert_eq!(disk.exists(), is_another);
        assert!(!is_another || std::fs::read_dir(&disk).unwrap().count() == 0, "something was written");
    }
}
