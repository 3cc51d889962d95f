//! What files say about themselves: read by shoebox, by exiftool, and merely read.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use shoebox::media::inspect;

use super::median;

/// Copies of each file: names are opened anew, bytes come from the page cache.
const COPIES: usize = 200;

/// One thread over thousands of small files of all kinds, in the page cache.
pub fn against_exiftool(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    let mut kinds: Vec<PathBuf> =
        fs::read_dir("tests/media").unwrap().map(|entry| entry.unwrap().path()).collect();
    if let Some(corpus) = std::env::var_os("SHOEBOX_CORPUS") {
        kinds.extend(fs::read_dir(Path::new(&corpus).join("collected")).unwrap().map(|e| e.unwrap().path()));
    }
    kinds.retain(|path| path.extension().is_some_and(|e| e != "json" && e != "md" && e != "rs"));
    kinds.sort();
    let (mut files, mut bytes) = (Vec::new(), 0);
    for copy in 0..COPIES {
        for kind in &kinds {
            let path = dir.join(format!("{copy:03} {}", kind.file_name().unwrap().to_string_lossy()));
            bytes += fs::copy(kind, &path).unwrap();
            files.push(path);
        }
    }
    let time = |each: &mut dyn FnMut(&Path)| {
        let run = |each: &mut dyn FnMut(&Path)| {
            let began = Instant::now();
            files.iter().for_each(|path| each(path));
            began.elapsed()
        };
        run(each);
        median((0..5).map(|_| run(each)).collect())
    };
    let mut dated = 0_u64;
    let ours = time(&mut |path| {
        let name = path.file_name().unwrap().to_string_lossy();
        dated += u64::from(inspect(&File::open(path).unwrap(), &name).taken.is_some());
    });
    assert!(dated > 0);
    let mut buffer = Vec::new();
    let whole = time(&mut |path| {
        buffer.clear();
        File::open(path).unwrap().read_to_end(&mut buffer).unwrap();
    });
    let mut window = vec![0; 16 * 1024];
    let first = time(&mut |path| {
        File::open(path).unwrap().read_at(&mut window, 0).unwrap();
    });
    let few = &files[..kinds.len() * 2];
    let began = Instant::now();
    let mut exiftool = Command::new("exiftool");
    exiftool.args(["-fast2", "-q", "-q", "-json"]).args(few).stdout(Stdio::null()).stderr(Stdio::null());
    let status = exiftool.status();
    let theirs = status.is_ok().then(|| rate(few.len(), began.elapsed()));
    println!(
        "facts of {} files ({} MB) in the page cache, one thread: shoebox {:.0} files/s, all bytes read {:.0}, the first 16 KiB \
         read {:.0}, exiftool -fast2 in one batch {}",
        files.len(),
        bytes / 1_000_000,
        rate(files.len(), ours),
        rate(files.len(), whole),
        rate(files.len(), first),
        theirs.map_or("not there".into(), |theirs| format!(
            "{theirs:.0}, ratio {:.0}",
            rate(files.len(), ours) / theirs
        )),
    );
}

fn rate(files: usize, time: Duration) -> f64 {
    files as f64 / time.as_secs_f64()
}
