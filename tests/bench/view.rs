//! Bytes through the view, beside the blobs' own files and beside other FUSE file systems over these: the same
//! files, warm, one after the other in every round. `ROUNDS=n` sets how many.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::google::program;
use super::{fill, median, number, walk};

const MIB: u64 = 1 << 20;
const PHOTOS: usize = 150;

/// One way to the same files.
struct Way {
    name: &'static str,
    long: PathBuf,
    photos: Vec<PathBuf>,
}

/// A file system that ends with the figure.
pub struct Mounted {
    at: PathBuf,
    child: Child,
}

impl Mounted {
    /// Where it is.
    pub fn at(&self) -> &Path {
        &self.at
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).stderr(Stdio::null()).status();
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = shoebox::view::mountpoint::release(&self.at);
    }
}

/// Shows `data` at a new place by a command; `None` where the program is not there.
pub fn mounted(
    dir: &Path,
    name: &str,
    command: &mut Command,
    ready: impl Fn(&Path) -> bool,
) -> Option<Mounted> {
    let at = dir.join(name);
    fs::create_dir_all(&at).unwrap();
    let child = command.arg(&at).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
    let mounted = Mounted { at, child };
    let until = Instant::now() + Duration::from_secs(20);
    while !ready(&mounted.at) {
        if Instant::now() > until {
            println!("{name}: could not be mounted here");
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(mounted)
}

/// The long file first, then the photos.
fn way(name: &'static str, root: &Path) -> Way {
    let mut files = walk(root);
    files.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).unwrap().len()));
    let long = files.remove(0);
    assert_eq!(files.len(), PHOTOS, "{name}");
    Way { name, long, photos: files }
}

/// The whole figure.
pub fn against_native(dir: &Path) {
    let data = dir.join("archive");
    fill(&data, &[(1, 512 * MIB), (PHOTOS, 4 * MIB)]);
    let blobs = data.join("blobs");
    let view = |name, options: &[&str]| {
        let mut command = Command::new(program("shoebox"));
        command.arg("mount").args(options).arg("--data").arg(&data).env("SHOEBOX_LOG", "error");
        mounted(dir, name, &mut command, |at| at.join("by-date").exists())
    };
    let filled = |at: &Path| fs::read_dir(at).is_ok_and(|mut entries| entries.next().is_some());
    let bind =
        |name, options: &[&str]| mounted(dir, name, Command::new("bindfs").args(options).arg(&blobs), filled);
    let others = [
        ("view", view("view", &[]), "by-date"),
        ("view without passthrough", view("plain", &["--no-passthrough"]), "by-date"),
        ("bindfs", bind("bindfs", &["-f"]), ""),
        (
            "bindfs with caches",
            bind("cached", &["-f", "-o", "kernel_cache,entry_timeout=3600,attr_timeout=3600"]),
            "",
        ),
        (
            "rclone mount",
            mounted(dir, "rclone", Command::new("rclone").args(["mount", "--read-only"]).arg(&blobs), filled),
            "",
        ),
    ];
    let mut ways = vec![way("native", &blobs)];
    for (name, mounted, below) in &others {
        ways.extend(mounted.as_ref().map(|mounted| way(name, &mounted.at.join(below))));
    }
    for (what, one) in [
        ("512 MiB read through", read_long as fn(&Way) -> Duration),
        ("150 photos of 4 MiB read whole", read_photos),
        ("20,000 times 4 KiB anywhere", read_random),
        ("150 files opened and closed", open_photos),
    ] {
        let mut times: Vec<Vec<Duration>> = vec![Vec::new(); ways.len()];
        for way in &ways {
            one(way);
        }
        for round in 0..number("ROUNDS", 5) {
            let mut order: Vec<usize> = (0..ways.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for at in order {
                times[at].push(one(&ways[at]));
            }
        }
        let native = median(times[0].clone());
        for (way, own) in ways.iter().zip(&times).skip(1) {
            let ratio = |(own, native): (&Duration, &Duration)| native.as_secs_f64() / own.as_secs_f64();
            let mut ratios: Vec<f64> = own.iter().zip(&times[0]).map(ratio).collect();
            ratios.sort_by(f64::total_cmp);
            println!(
                "bytes  {what}, warm: {} {:.1} ms, native {:.1} ms, ratio {:.2} ({:.2} to {:.2})",
                way.name,
                median(own.clone()).as_secs_f64() * 1e3,
                native.as_secs_f64() * 1e3,
                ratios[ratios.len() / 2],
                ratios[0],
                ratios[ratios.len() - 1],
            );
        }
    }
}

fn timed(work: impl FnOnce(&mut [u8])) -> Duration {
    let mut buffer = vec![0; usize::try_from(MIB).unwrap()];
    let began = Instant::now();
    work(&mut buffer);
    began.elapsed()
}

fn read_whole(path: &Path, buffer: &mut [u8]) {
    let file = File::open(path).unwrap();
    let mut at = 0;
    loop {
        match file.read_at(buffer, at).unwrap() {
            0 => break,
            n => at += n as u64,
        }
    }
}

fn read_long(way: &Way) -> Duration {
    timed(|buffer| read_whole(&way.long, buffer))
}

fn read_photos(way: &Way) -> Duration {
    timed(|buffer| way.photos.iter().for_each(|path| read_whole(path, buffer)))
}

fn read_random(way: &Way) -> Duration {
    let mut random = fastrand::Rng::with_seed(1);
    let file = File::open(&way.long).unwrap();
    timed(|buffer| {
        for _ in 0..20_000 {
            file.read_exact_at(&mut buffer[..4096], random.u64(..511 * MIB)).unwrap();
        }
    })
}

fn open_photos(way: &Way) -> Duration {
    timed(|_| way.photos.iter().for_each(|path| drop(File::open(path).unwrap())))
}
