//! The readers of files: against what exiftool reads, and against damage.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::civil::DateTime;
use serde::Deserialize;
use shoebox::media::{inspect, kind, whole};
use shoebox::model::{MediaFacts, ReadAt};

/// What exiftool 13.59 reads of the files in `tests/media/`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Expected {
    media_type: Option<String>,
    taken: Option<String>,
    offset_s: Option<i32>,
    make: Option<String>,
    model: Option<String>,
    lens: Option<String>,
    orientation: Option<u8>,
    width: Option<u32>,
    height: Option<u32>,
    latitude: Option<f64>,
    longitude: Option<f64>,
    duration_s: Option<f64>,
    embedded_motion: bool,
}

/// What the libraries do not read. Each line is a promise to shrink: a gap that is closed must be struck out,
/// or the test fails.
const GAPS: &[(&str, &[&str])] = &[
    // Metadata in XMP or IPTC alone, or as text chunks of PNG.
    ("gif_xmp.gif", &["taken", "make"]),
    ("jpg_iptc_only.jpg", &["taken"]),
    ("jpg_xmp_exif_dto.jpg", &["taken"]),
    ("jpg_xmp_only.jpg", &["taken", "make", "model", "lens", "position"]),
    ("png_raw_profile_exif.png", &["taken", "make", "model"]),
    ("png_tEXt_creation_time.png", &["taken"]),
    ("png_xmp.png", &["taken", "make"]),
    // A date that only the satellite knows.
    ("jpg_gpsdate_only.jpg", &["taken"]),
    // QuickTime keys and user data as ffmpeg writes them: the date comes from the header, in UTC.
    ("IMG_2927.MOV", &["taken", "make", "model"]),
    ("mov_apple_keys.mov", &["taken", "make", "model", "position"]),
    ("mp4_android_keys.mp4", &["make", "model", "position"]),
    ("3gp_old_phone.3gp", &["position"]),
    // Containers that no library of ours opens; exiftool names the transport stream otherwise.
    ("avchd.mts", &["media type", "size", "duration"]),
    ("avi_idit.avi", &["taken", "size", "duration"]),
    ("dvd.mpg", &["size"]),
    // The size is in a sub-directory of the TIFF.
    ("orf_synth.ORF", &["size"]),
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/media")
}

fn expected() -> BTreeMap<String, Expected> {
    serde_json::from_slice(&fs::read(folder().join("expected.json")).unwrap()).unwrap()
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap()
}

/// The facts that differ, by name.
fn differences(facts: &MediaFacts, expected: &Expected) -> BTreeSet<&'static str> {
    let near = |a: Option<f64>, b: Option<f64>, by: f64| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() < by,
        (a, b) => a.is_none() && b.is_none(),
    };
    // exiftool's fractions of a second went through a float.
    let same_time = |a: DateTime, b: DateTime| a.duration_since(b).abs().as_micros() < 1000;
    let taken = match (facts.taken, &expected.taken) {
        (Some(a), Some(b)) => same_time(a.local, b.parse().unwrap()) && a.offset_s == expected.offset_s,
        (a, b) => a.is_none() && b.is_none(),
    };
    let duration = facts.duration_ms.map(|ms| ms as f64 / 1000.0);
    let checks = [
        ("media type", facts.media_type == expected.media_type),
        ("taken", taken),
        ("make", facts.make == expected.make),
        ("model", facts.model == expected.model),
        ("lens", facts.lens == expected.lens),
        ("orientation", facts.orientation == expected.orientation),
        ("size", (facts.width, facts.height) == (expected.width, expected.height)),
        (
            "position",
            near(facts.latitude, expected.latitude, 1e-4) && near(facts.longitude, expected.longitude, 1e-4),
        ),
        ("motion", facts.embedded_motion == expected.embedded_motion),
        ("duration", near(duration, expected.duration_s, 0.1)),
    ];
    checks.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
}

#[test]
fn facts_agree_with_exiftool_but_for_the_known_gaps() {
    let gaps: BTreeMap<_, _> = GAPS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (name, expected) in expected() {
        let facts = inspect(Arc::new(bytes(&name)), &name);
        let found = differences(&facts, &expected);
        let known: BTreeSet<_> =
            gaps.get(name.as_str()).copied().unwrap_or_default().iter().copied().collect();
        if found != known {
            wrong.push(format!("{name}: differs in {found:?}, known {known:?}\n  {facts:?}\n  {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
        let facts = inspect(Arc::new(file), name);
        // A reader that was killed leaves no more than the media type.
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
        let facts = inspect(Arc::new(Broken(bytes(name))), name);
        assert!(facts.media_type.is_some(), "{name}");
    }
    let jpeg = Broken(bytes("jpg_full_offset_gps.jpg").into_iter().take(4096).chain(vec![0; 4096]).collect());
    assert!(whole::check(&jpeg).unwrap_err().contains("bad sector"));
}
