//! The readers of files: against what exiftool reads, and against damage.

#[path = "media/agreement.rs"]
mod agreement;
#[path = "media/made.rs"]
mod made;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use agreement::Oracle;
use shoebox::media::{self, inspect, kind, whole};
use shoebox::model::ReadAt;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/media")
}

/// What exiftool 13.59 reads of the files in `tests/media/`.
fn expected() -> BTreeMap<String, Oracle> {
    serde_json::from_slice(&fs::read(folder().join("oracle.json")).unwrap()).unwrap()
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap()
}

#[test]
fn whole_files_are_whole_and_cut_ones_are_not() {
    for name in expected().keys() {
        let whole_file = bytes(name);
        whole::check(&whole_file).unwrap_or_else(|why| panic!("{name}: {why}"));
        let kind = kind::of(&whole_file);
        // These end where they end; nothing in them tells their length.
        let endless =
            matches!(kind, kind::Kind::Tiff | kind::Kind::Orf | kind::Kind::MpegTs | kind::Kind::Mpeg);
        // Half of a motion photo may be a whole photo.
        let motion = whole_file.windows(4).skip(64).any(|window| window == b"ftyp");
        if !endless && !motion {
            for keep in [whole_file.len() / 4, whole_file.len() / 2, whole_file.len() * 3 / 4] {
                let cut = whole_file[..keep].to_vec();
                assert!(whole::check(&cut).is_err(), "{keep} bytes of {name} pass as whole");
            }
        }
    }
}

/// Flipped bits, extreme numbers, cuts, repeated blocks: no panic, no endless loop, no lost thread.
#[test]
fn twenty_thousand_damaged_files_harm_nobody() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let (seed, cases) =
        (number("SEED").unwrap_or_else(|| fastrand::u64(..)), number("CASES").unwrap_or(20_000));
    println!("replay with SEED={seed} CASES={cases}");
    let mut random = fastrand::Rng::with_seed(seed);
    let files: Vec<(String, Vec<u8>)> =
        expected().into_keys().map(|name| (name.clone(), bytes(&name))).collect();
    let (mut judged_whole, mut dated) = (0_u64, 0_u64);
    for _ in 0..cases {
        let (name, original) = &files[random.usize(..files.len())];
        let mut file = original.clone();
        for _ in 0..random.usize(1..8) {
            damage(&mut file, &mut random);
        }
        judged_whole += u64::from(whole::check(&file).is_ok());
        // Without the net that would catch a panic.
        let (kind, found) = media::look(&file);
        let facts = media::facts(kind, &found, name);
        dated += u64::from(facts.taken.is_some());
        assert!(facts.width.is_none_or(|width| width > 0));
        assert!(facts.latitude.is_none_or(|degrees| degrees.abs() <= 90.0));
        assert!(facts.orientation.is_none_or(|orientation| (1..=8).contains(&orientation)));
    }
    println!("{judged_whole} pass as whole, {dated} keep a date");
    // The damage is neither nothing nor everything.
    for kept in [judged_whole, dated] {
        assert!(kept > cases / 20 && kept < cases * 19 / 20, "{kept} of {cases}");
    }
}

fn damage(file: &mut Vec<u8>, random: &mut fastrand::Rng) {
    if file.is_empty() {
        return;
    }
    // Headers are where parsers look.
    let reach = if random.bool() { file.len() } else { file.len().min(2048) };
    let at = random.usize(..reach);
    match random.u8(..5) {
        0 => file[at] ^= 1 << random.u8(..8),
        1 => file[at] = random.u8(..),
        2 => file[at..].iter_mut().take(4).for_each(|byte| *byte = 0xff),
        3 => file.truncate(at),
        _ => {
            let to = (at + random.usize(..64)).min(file.len());
            let block = file[at..to].to_vec();
            file.splice(at..at, block);
        }
    }
}

/// Bytes that only pretend: a length far beyond what is there, or a read that fails.
struct Broken(Vec<u8>);

impl ReadAt for Broken {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
        if offset >= 4096 {
            return Err(std::io::Error::other("bad sector"));
        }
        self.0.read_at(buf, offset)
    }

    fn size(&self) -> std::io::Result<u64> {
        Ok(1 << 40)
    }
}

#[test]
fn a_disk_that_fails_costs_the_facts_and_says_so() {
    for name in expected().keys() {
        let facts = inspect(&Broken(bytes(name)), name);
        assert!(facts.media_type.is_some(), "{name}");
        // Only what came without trouble counts as read by this version.
        let is_whole = bytes(name).len() <= 4096;
        assert!(
            is_whole || facts.extractor == media::UNREAD || facts == inspect(&bytes(name), name),
            "{name}: {facts:?}"
        );
    }
    let film = inspect(&Broken(bytes("mp4_utc.mp4")), "mp4_utc.mp4");
    assert_eq!(film.extractor, media::UNREAD);
    let jpeg = Broken(bytes("jpg_full_offset_gps.jpg").into_iter().take(4096).chain(vec![0; 4096]).collect());
    assert!(whole::check(&jpeg).unwrap_err().contains("bad sector"));
}

/// Counts what is read of some bytes, in front of which lie others that are all zero.
struct Counting {
    head: Vec<u8>,
    gap: u64,
    tail: Vec<u8>,
    read: AtomicU64,
}

impl ReadAt for Counting {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        for (byte, at) in buf.iter_mut().zip(offset..) {
            let behind = at.checked_sub(self.head.len() as u64 + self.gap);
            let byte_at = |bytes: &[u8], at: u64| bytes.get(usize::try_from(at).unwrap()).copied();
            *byte = match behind {
                Some(at) => byte_at(&self.tail, at).unwrap(),
                None => byte_at(&self.head, at).unwrap_or(0),
            };
        }
        Ok(buf.len())
    }

    fn size(&self) -> std::io::Result<u64> {
        Ok(self.head.len() as u64 + self.gap + self.tail.len() as u64)
    }
}

#[test]
fn of_a_large_file_little_is_read() {
    let film = bytes("mp4_utc.mp4");
    let part = |name: &[u8]| film.windows(4).position(|window| window == name).unwrap() - 4;
    let gap = 3_000_000_000_u64;
    // What is played is 3 GB; the table of contents comes behind it.
    let mut head = film[..part(b"mdat")].to_vec();
    head.extend([0, 0, 0, 1]);
    head.extend(b"mdat");
    head.extend((gap + 16).to_be_bytes());
    let large = Counting { head, gap, tail: film[part(b"moov")..].to_vec(), read: AtomicU64::new(0) };
    let facts = inspect(&large, "mp4_utc.mp4");
    assert_eq!(facts, inspect(&film, "mp4_utc.mp4"));
    let read = large.read.into_inner();
    assert!(read < 64 * 1024, "{read} bytes");
    // Half of all files say everything in so many bytes.
    let mut each: Vec<u64> = expected()
        .keys()
        .map(|name| {
            let file = Counting { head: bytes(name), gap: 0, tail: Vec::new(), read: AtomicU64::new(0) };
            inspect(&file, name);
            file.read.into_inner()
        })
        .collect();
    each.sort_unstable();
    assert!(each[each.len() / 2] <= 32 * 1024, "{each:?}");
}
