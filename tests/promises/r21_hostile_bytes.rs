//! R21: whatever bytes come from outside, no parser of them panics, hangs or takes the machine's memory. `docker/fuzz`
//! makes inputs up; here are those that it has found worth keeping, and changes of them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::{Count, Row, seed};

#[path = "../fuzz/entries.rs"]
mod entries;

use entries::{TARGETS, Target};

const CHANGED: Count = Count(20_000, 200_000, 2_000_000);

pub const ROWS: &[Row] = &[Row {
    number: 21,
    tried: "inputs of every parser of outside bytes, stored ones and changes of them, within seconds and 256 MiB (and `docker/fuzz`, which makes up others)",
    counts: &[CHANGED],
}];

/// Memory for all parsers together, bytes: far below what an appliance has.
const MEMORY: u64 = 256 << 20;
/// Longest time for one input. No measure of speed: a busy machine must not be taken for a parser that hangs.
const PATIENCE: Duration = Duration::from_secs(20);

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// The stored inputs of a target, in the order of their names.
fn stored(target: &Target) -> Vec<PathBuf> {
    let mut places = vec![fuzz().join("corpus").join(target.name), fuzz().join("crashes").join(target.name)];
    if matches!(target.name, "still" | "video" | "whole") {
        places.push(fuzz().join("../media"));
    }
    let files = places.iter().filter_map(|place| fs::read_dir(place).ok()).flatten();
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// A stored input with a few changes; none for number 0.
fn changed(files: &[PathBuf], file: usize, number: u64) -> Vec<u8> {
    const NUMBERS: [u32; 8] = [0, 1, 0x7f, 0xff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];
    let mut bytes = fs::read(&files[file]).unwrap();
    if number == 0 {
        return bytes;
    }
    let mut random = fastrand::Rng::with_seed(number);
    for _ in 0..random.usize(1..=4) {
        if bytes.is_empty() {
            bytes.push(random.u8(..));
        }
        // Most of what matters stands in front.
        let end = if random.bool() { bytes.len() } else { bytes.len().min(256) };
        let at = random.usize(..end);
        let piece = at..(at + random.usize(1..=32)).min(bytes.len());
        match random.u8(..8) {
            0 => bytes[at] ^= 1 << random.u8(..8),
            1 => bytes[at] = random.u8(..),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(piece)),
            4 => drop(bytes.splice(at..at, bytes[piece].to_vec()).collect::<Vec<_>>()),
            5 | 6 => {
                let value = NUMBERS[random.usize(..NUMBERS.len())];
                let value = if random.bool() { value.to_be_bytes() } else { value.to_le_bytes() };
                let end = bytes.len().min(at + 4);
                bytes[at..end].copy_from_slice(&value[..end - at]);
            }
            _ => {
                let other = fs::read(&files[random.usize(..files.len())]).unwrap();
                let from = random.usize(..=other.len());
                bytes.truncate(at);
                bytes.extend(&other[from..]);
            }
        }
    }
    bytes
}

/// What one target is handed: stored files, each by its place among them and the number of its changes.
struct Inputs {
    target: &'static Target,
    files: Vec<PathBuf>,
    all: Vec<(usize, u64)>,
}

fn inputs(seed: u64) -> Vec<Inputs> {
    let mut random = fastrand::Rng::with_seed(seed);
    let each = CHANGED.get() / TARGETS.len();
    let of = |target| {
        let files = stored(target);
        let whole = (0..files.len()).map(|file| (file, 0));
        let changed = (0..each).map(|_| (random.usize(..files.len()), random.u64(1..)));
        let all = whole.chain(changed).collect();
        Inputs { target, files, all }
    };
    TARGETS.iter().map(of).collect()
}

#[test]
fn r21_no_bytes_panic_hang_or_fill_the_memory() {
    let seed = seed("r21_no_bytes");
    let inputs = inputs(seed);
    let mut all = inputs.iter().flat_map(|of| of.all.iter().map(move |one| (of.target, &of.files, *one)));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["promises::r21_hostile_bytes::eats", "--exact", "--ignored", "--nocapture"])
        .env("EATS_SEED", seed.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || output.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
    // Before the first input is the child's own start; a line of a dot follows each.
    let mut current = None;
    let why = loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) if line == "eaten" => break None,
            Ok(line) if line == "." => current = all.next(),
            Ok(_) => {}
            Err(mpsc::RecvTimeoutError::Timeout) => break Some("takes longer than any input may"),
            Err(mpsc::RecvTimeoutError::Disconnected) => break Some("ends its process"),
        }
    };
    let Some(why) = why else {
        assert!(child.wait().unwrap().success() && all.next().is_none());
        return;
    };
    // It may be gone already.
    let _ = child.kill();
    child.wait().unwrap();
    let Some((target, files, (file, number))) = current else {
        panic!("the process ended before the first input")
    };
    let kept = std::env::temp_dir().join(format!("r21-{}-{number:x}", target.name));
    fs::write(&kept, changed(files, file, number)).unwrap();
    panic!(
        "{} {why}: {} with the changes of {number}. Keep it: cp {} tests/fuzz/crashes/{}/",
        target.name,
        files[file].display(),
        kept.display(),
        target.name
    );
}

#[test]
#[ignore = "the process that the other test starts"]
fn eats() {
    let Some(seed) = std::env::var("EATS_SEED").ok().and_then(|text| text.parse().ok()) else { return };
    // What is behind the limit cannot be had: the process ends.
    setrlimit(Resource::Data, Rlimit { current: Some(MEMORY), maximum: Some(MEMORY) }).unwrap();
    let mut out = std::io::stdout();
    out.write_all(b"\n").unwrap();
    for Inputs { target, files, all } in inputs(seed) {
        for (file, number) in all {
            out.write_all(b".\n").unwrap();
            (target.eat)(&changed(&files, file, number));
        }
    }
    out.write_all(b"eaten\n").unwrap();
}

#[test]
fn r21_every_target_has_inputs_and_all_of_them_are_small() {
    let mut size = 0;
    for target in TARGETS {
        assert!(!stored(target).is_empty(), "{} has no stored input", target.name);
    }
    for place in ["corpus", "crashes"] {
        for dir in fs::read_dir(fuzz().join(place)).unwrap() {
            let dir = dir.unwrap();
            let target = TARGETS.iter().find(|target| dir.file_name() == target.name);
            let Some(target) = target else { panic!("{} belongs to no target", dir.path().display()) };
            for file in fs::read_dir(dir.path()).unwrap() {
                let length = file.unwrap().metadata().unwrap().len();
                assert!(length <= target.longest as u64, "{} has a file of {length} bytes", target.name);
                size += length;
            }
        }
    }
    assert!(size < 2 << 20, "{size} bytes");
}

/// All entries of a zip come to memory before anybody can count them.
#[test]
fn r21_a_zip_that_is_nothing_but_names_is_not_listed() {
    let entry = [&b"PK\x01\x02"[..], &[0; 24], &[1, 0], &[0; 16], b"a"].concat();
    let count = 60_000_u16;
    let mut zip = entry.repeat(count.into());
    let length = u32::try_from(zip.len()).unwrap();
    zip.extend([&b"PK\x05\x06"[..], &[0; 4]].concat());
    zip.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    zip.extend([length.to_le_bytes(), [0; 4]].concat());
    zip.extend([0; 2]);
    let error = entries::unpack_as_live_photo(&zip).err().unwrap();
    assert!(error.to_string().contains("directory is too long"), "{error}");
}
