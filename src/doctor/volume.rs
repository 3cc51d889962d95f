//! Whether a volume can hold an archive: tried with the very operations that archiving uses, in a directory of its own.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytesize::ByteSize;
use rustix::fs::IFlags;

use super::Finding;
use crate::store::{Disk, Pending, RealDisk, default_reserve};

/// A directory that goes away with its value.
struct Place(PathBuf);

impl Place {
    /// Below an archive's `tmp/`, whose leftovers the next start clears; else in the directory itself.
    fn make(data: &Path) -> io::Result<Self> {
        let within = data.join("tmp");
        let within = if within.is_dir() { within } else { data.to_owned() };
        let place = within.join(format!(".shoebox-doctor-{:08x}", fastrand::u32(..)));
        fs::create_dir(&place)?;
        Ok(Self(place))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed is named by the next start of an archive.
        let _ = fs::remove_dir_all(&self.0);
    }
}

type Check = fn(&Path) -> io::Result<Finding>;

const CHECKS: [(&str, Check); 10] = [
    ("kind", kind),
    ("publishing", publishing),
    ("replacing", replacing),
    ("directories", directories),
    ("lock", lock),
    ("names", names),
    ("case", case),
    ("protection", protection),
    ("checksums", checksums),
    ("space", space),
];

/// Examines the volume of an archive, or of the directory that shall become one. Changes nothing that is there.
pub fn examine(data: &Path) -> Vec<Finding> {
    let place = match Place::make(data) {
        Ok(place) => place,
        Err(error) => {
            if error.kind() == io::ErrorKind::NotFound {
                let advice = "mount the volume, make the directory, and ask again";
                return vec![Finding::bad("writing", format!("there is no {}", data.display()), advice)];
            }
            let found = format!("nothing can be written to {}: {error}", data.display());
            let advice = "give the user that shoebox runs as write access to the directory, and \
                          check that the volume is mounted and not read-only";
            return vec![Finding::bad("writing", found, advice)];
        }
    };
    CHECKS
        .iter()
        .map(|(about, check)| {
            check(&place.0).unwrap_or_else(|error| {
                let advice = "keep the archive on a local disk with ext4, XFS, Btrfs or ZFS";
                Finding::bad(about, format!("it could not be tried: {error}"), advice)
            })
        })
        .chain([clock(&place.0)])
        .collect()
}

/// File systems by the number that `statfs` gives (`statfs(2)`).
fn kind(place: &Path) -> io::Result<Finding> {
    #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "a number of 32 bits")]
    let number = rustix::fs::statfs(place)?.f_type as u32;
    let network = "an index on a network share is damaged sooner or later: keep the archive on a disk of the \
                   machine that shoebox runs on, and copy it elsewhere from there";
    Ok(match number {
        0x6969 => Finding::doubtful("kind", "the volume is an NFS share", network),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => {
            Finding::doubtful("kind", "the volume is a Windows share", network)
        }
        0x4d44 | 0x2011_bab0 => Finding::bad(
            "kind",
            "the volume is FAT or exFAT, which forgets names when the power fails",
            "format the disk with ext4, XFS, Btrfs or ZFS",
        ),
        0x0102_1994 | 0x8584_58f6 => Finding::bad(
            "kind",
            "the volume is in memory and gone with the next restart",
            "mount a disk there",
        ),
        0x794c_7630 => Finding::bad(
            "kind",
            "the directory belongs to the container and is gone with it",
            "mount a volume there (`volumes:` in compose.yaml)",
        ),
        0xef53 => Finding::good("kind", "ext4"),
        0x5846_5342 => Finding::good("kind", "XFS"),
        0x9123_683e => Finding::good("kind", "Btrfs"),
        0x2fc1_2fc1 => Finding::good("kind", "ZFS"),
        other => Finding::doubtful(
            "kind",
            format!("the file system (number {other:#x}) is none that shoebox is tested on"),
            "prefer ext4, XFS, Btrfs or ZFS where you can choose",
        ),
    })
}

fn written(place: &Path) -> io::Result<Pending> {
    let file = RealDisk.create(place)?;
    RealDisk.append(&file, b"doctor")?;
    RealDisk.seal(&file)?;
    RealDisk.sync(&file)?;
    Ok(file)
}

fn publishing(place: &Path) -> io::Result<Finding> {
    let (file, path) = (written(place)?, place.join("published"));
    RealDisk.publish(&file, &path)?;
    if fs::read(&path)? != b"doctor" {
        let advice = "check the disk and the memory of this machine before anything is archived";
        return Ok(Finding::bad("publishing", "what was written reads back differently", advice));
    }
    Ok(match file.name() {
        None => Finding::good("publishing", "files get their name when they are complete, and not before"),
        Some(_) => Finding::good("publishing", "files get their final name when they are complete"),
    })
}

fn replacing(place: &Path) -> io::Result<Finding> {
    let (first, second, path) = (written(place)?, RealDisk.create(place)?, place.join("once"));
    RealDisk.append(&second, b"other")?;
    RealDisk.publish(&first, &path)?;
    let refused = RealDisk.publish(&second, &path).is_err();
    if refused && fs::read(&path)? == b"doctor" {
        Ok(Finding::good("replacing", "a name that is taken is never given again"))
    } else {
        let advice = "keep the archive on a local disk with ext4, XFS, Btrfs or ZFS";
        Ok(Finding::bad("replacing", "a file can be replaced by another of its name", advice))
    }
}

fn directories(place: &Path) -> io::Result<Finding> {
    RealDisk.sync_dir(place)?;
    Ok(Finding::good("directories", "names are flushed to the disk"))
}

fn lock(place: &Path) -> io::Result<Finding> {
    let path = place.join("lock");
    let (first, second) = (File::create(&path)?, File::open(&path)?);
    first.lock()?;
    Ok(match second.try_lock() {
        Err(fs::TryLockError::WouldBlock) => Finding::good("lock", "a second writer is kept out"),
        Err(fs::TryLockError::Error(error)) => return Err(error),
        Ok(()) => Finding::bad(
            "lock",
            "two programs can hold the same lock",
            "never let two shoeboxes use this volume, and keep the archive on a local disk",
        ),
    })
}

fn names(place: &Path) -> io::Result<Finding> {
    // The longest names of an archive have 255 bytes: refused files in quarantine, with their notes.
    let longest = place.join("n".repeat(255));
    Ok(match File::create(longest) {
        Ok(_) => Finding::good("names", "names may have 255 bytes"),
        Err(error) => Finding::bad(
            "names",
            format!("a name of 255 bytes is refused: {error}"),
            "keep the archive outside of encrypted folders that shorten names (eCryptfs, CryFS)",
        ),
    })
}

fn case(place: &Path) -> io::Result<Finding> {
    File::create(place.join("Case"))?;
    Ok(match fs::OpenOptions::new().write(true).create_new(true).open(place.join("cASE")) {
        Ok(_) => Finding::good("case", "names that differ in case are different names"),
        Err(_) => Finding::bad(
            "case",
            "names that differ in case alone are the same name here",
            "turn case folding off for this directory, or keep the archive on another volume: Google's keys \
             differ in case",
        ),
    })
}

fn protection(place: &Path) -> io::Result<Finding> {
    let path = place.join("sealed");
    let file = written(place)?;
    RealDisk.publish(&file, &path)?;
    Ok(match fs::metadata(&path)?.permissions().mode() & 0o777 {
        0o440 => Finding::good("protection", "originals are write-protected"),
        mode => Finding::doubtful(
            "protection",
            format!("files cannot be write-protected (they have mode {mode:o})"),
            "let no other program write to this directory",
        ),
    })
}

fn checksums(place: &Path) -> io::Result<Finding> {
    let flags = rustix::fs::ioctl_getflags(File::open(place)?);
    Ok(match flags {
        Ok(flags) if flags.contains(IFlags::NOCOW) => Finding::doubtful(
            "checksums",
            "Btrfs keeps no checksums here (chattr +C), so it cannot tell when the disk errs",
            "`chattr -C` on the empty directory before anything is archived; shoebox verifies by itself either way",
        ),
        // Most file systems have none of their own.
        _ => Finding::good("checksums", "those of the file system, where it has any, are not turned off"),
    })
}

fn space(place: &Path) -> io::Result<Finding> {
    let space = RealDisk.space(place)?;
    let reserve = default_reserve(space.total);
    let (free, kept) = (ByteSize(space.free), ByteSize(reserve));
    Ok(if space.free > reserve {
        Finding::good("space", format!("{free} are free; {kept} of them are kept free"))
    } else {
        Finding::bad(
            "space",
            format!("{free} are free, and {kept} are always kept free"),
            "make room or use a larger disk; shoebox goes on by itself when there is room",
        )
    })
}

/// Whether the volume has the same time as this machine: a share may not.
fn clock(place: &Path) -> Finding {
    let differs = || -> io::Result<u64> {
        let mut file = File::create(place.join("clock"))?;
        file.write_all(b"now")?;
        let (there, here) = (file.metadata()?.modified()?, SystemTime::now());
        Ok(here.duration_since(there).unwrap_or_else(|error| error.duration()).as_secs())
    };
    match differs() {
        Ok(seconds) if seconds < 60 => Finding::good("time stamps", "they follow this machine's clock"),
        Ok(seconds) => Finding::doubtful(
            "time stamps",
            format!("they differ from this machine's clock by {seconds} s"),
            "let the machine that keeps the volume set its clock by the network",
        ),
        Err(error) => {
            Finding::doubtful("time stamps", format!("it could not be tried: {error}"), "try again")
        }
    }
}
