//! Folders that other programs, and people, have made.

use std::os::unix::fs::symlink;

use shoebox::adopt::Options;
use shoebox::model::{PartRole, TimeSource};

use super::support::*;

fn stage() -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf) {
    let stage = tempfile::tempdir().unwrap();
    let (archive, there) = (stage.path().join("archive"), stage.path().join("there"));
    std::fs::create_dir(&archive).unwrap();
    std::fs::create_dir(&there).unwrap();
    (stage, archive, there)
}

const STILL: &[u8] = include_bytes!("../media/jpg_full_offset_gps.jpg");
const VIDEO: &[u8] = include_bytes!("../media/mp4_utc.mp4");

#[test]
fn gphotos_cdp_keeps_each_photo_in_a_folder_of_its_key() {
    let (_stage, archive, there) = stage();
    let key = "AF1QipOyLtYKtmMPyLhse9O8lOcWmb6LND5-jHBh9wUC";
    let edited = "AF1QipPyLtYKtmMPyLhse9O8lOcWmb6LND5-jHBh9wUD";
    write(&there, &format!("{key}/IMG_1.jpg"), STILL);
    write(&there, &format!("{key}/IMG_1.mp4"), VIDEO);
    write(&there, &format!("{edited}/IMG_2.jpg"), &photo(2));
    write(&there, &format!("{edited}/IMG_2_original.jpg"), &photo(3));
    let report = adopt(&archive, &[there], &Options::default());
    assert_eq!((report.new, report.trouble.len()), (2, 0), "{report:?}");
    let live = record(&archive, "IMG_1.jpg");
    assert_eq!(live.adopted.as_ref().unwrap().known_as.as_ref().unwrap().as_str(), key);
    assert_eq!(
        live.parts.iter().map(|part| part.role).collect::<Vec<_>>(),
        [PartRole::Original, PartRole::Motion]
    );
    let turned = record(&archive, "IMG_2_original.jpg");
    assert_eq!(turned.parts[1].role, PartRole::Edited);
    assert_eq!(turned.parts[1].name, "IMG_2.jpg");
}

#[test]
fn gphotos_sync_has_albums_of_links() {
    let (_stage, archive, there) = stage();
    write(&there, "photos/2019/07/a.jpg", &photo(1));
    write(&there, "photos/2019/07/b.jpg", &photo(2));
    std::fs::create_dir_all(there.join("albums/2019/0714 By the sea")).unwrap();
    for name in ["b.jpg", "a.jpg"] {
        symlink(
            format!("../../../photos/2019/07/{name}"),
            there.join("albums/2019/0714 By the sea").join(name),
        )
        .unwrap();
    }
    // A link to what was not given is nobody's business.
    symlink("/etc/passwd", there.join("albums/2019/0714 By the sea/c.jpg")).unwrap();
    let report = adopt(&archive, &[there], &Options::default());
    assert_eq!((report.new, report.albums), (2, 1), "{report:?}");
    assert_eq!(albums(&archive)["By the sea"], ["a.jpg", "b.jpg"]);
}

/// On a file system that can, an adoption takes no room, and what becomes of the import later is not the archive's.
#[test]
fn bytes_are_shared_where_the_file_system_can() {
    const SIZE: usize = 4 << 20;
    let Some(volume) = crate::promises::volume::Volume::sharing(400 << 20) else {
        eprintln!("no xfs can be mounted here: not tried");
        return;
    };
    let (archive, there) = (volume.at().join("archive"), volume.at().join("there"));
    std::fs::create_dir(&archive).unwrap();
    for seed in 0..12 {
        let mut bytes = photo(seed);
        // What follows the end of a JPEG is part of the file all the same.
        bytes.resize_with(SIZE + seed as usize, || fastrand::u8(..));
        write(&there, &format!("{seed}.jpg"), &bytes);
    }
    crate::sync::support::init(&archive);
    rustix::fs::sync();
    let free = || {
        let stat = rustix::fs::statvfs(volume.at()).unwrap();
        stat.f_bavail * stat.f_frsize
    };
    let before = free();
    let opened = crate::sync::support::open(&archive);
    opened.store.set_reserve(Some(0));
    let report = adopt_into(&opened, std::slice::from_ref(&there), &Options::default());
    assert_eq!((report.new, report.damaged.len()), (12, 0), "{report:?}");
    rustix::fs::sync();
    let taken = before.saturating_sub(free());
    assert!(taken < SIZE as u64, "{taken} bytes were taken for {} that could be shared", 12 * SIZE);
    std::fs::write(there.join("3.jpg"), b"another program writes over it").unwrap();
    crate::store::support::assert_legal(&opened.store);
    drop(opened);
    volume.unmount();
}

#[test]
fn plain_folders_are_read_for_what_the_files_say() {
    let (_stage, archive, there) = stage();
    write(&there, "2020/DSC_1.jpg", STILL);
    write(&there, "copy of that.jpg", STILL);
    write(&there, "no date.png", include_bytes!("../media/Screenshot_20210203-040506.png"));
    write(&there, "cut.jpg", &STILL[..STILL.len() / 2]);
    write(&there, "notes.txt", b"milk");
    write(&there, "odd.bin", b"no photo at all");
    write(&there, "@eaDir/DSC_1.jpg", STILL);
    write(&there, "clip.mp4", VIDEO);
    write(&there, "clip.jpg", &photo(9));
    let report = adopt(&archive, std::slice::from_ref(&there), &Options::default());
    assert_eq!((report.new, report.repeated), (4, 1), "{report:?}");
    assert_eq!(report.damaged.len(), 1);
    assert!(report.damaged[0].contains("cut.jpg"), "{:?}", report.damaged);
    assert_eq!((report.others.get("txt"), report.others.get("bin")), (Some(&1), Some(&1)));
    // Without Apple's mark, a video that is called like a photo is a video.
    assert_eq!(record(&archive, "clip.jpg").parts.len(), 1);
    // Of two copies, the one that stands first gives the name.
    let dated = record(&archive, "copy of that.jpg");
    assert_eq!(dated.taken.source, TimeSource::Exif);
    assert!(dated.adopted.unwrap().from.ends_with("there/copy of that.jpg"));
    assert_eq!(record(&archive, "clip.jpg").taken.source, TimeSource::Upload);
    // Asked to, it keeps what is cut off; and what is there was not touched.
    let again =
        adopt(&archive, std::slice::from_ref(&there), &Options { keep_damaged: true, ..Options::default() });
    assert_eq!((again.new, again.damaged.len()), (1, 0), "{again:?}");
    assert_eq!(std::fs::read(there.join("2020/DSC_1.jpg")).unwrap(), STILL);
}
