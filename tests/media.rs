//! The readers of hostile bytes, against exiftool's word and against damage.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use shoebox::media::{self, whole};
use shoebox::model::ReadAt;

#[derive(Deserialize)]
struct Truth {
    taken: Option<String>,
    make: Option<String>,
    model: Option<String>,
    size: Option<(u32, u32)>,
    duration_ms: Option<u64>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/media")
}

fn read(path: &Path) -> Arc<dyn ReadAt> {
    Arc::new(fs::read(path).unwrap())
}

/// What the two libraries do not read. A better reader must take its line out of here.
const GAPS: &[(&str, &str)] = &[
    ("IMG_2927.MOV", "camera"),
    ("IMG_2927.MOV", "taken"),
    ("avchd.mts", "duration"),
    ("avchd.mts", "size"),
    ("avi_idit.avi", "duration"),
    ("avi_idit.avi", "size"),
    ("avi_idit.avi", "taken"),
    ("avif_exif.avif", "size"),
    ("dvd.mpg", "size"),
    ("gif_xmp.gif", "camera"),
    ("gif_xmp.gif", "size"),
    ("gif_xmp.gif", "taken"),
    ("heic_exif.heic", "size"),
    ("heic_mpvd_motion.heic", "size"),
    ("jpg_gpsdate_only.jpg", "taken"),
    ("jpg_iptc_only.jpg", "taken"),
    ("jpg_xmp_exif_dto.jpg", "taken"),
    ("jpg_xmp_only.jpg", "camera"),
    ("jpg_xmp_only.jpg", "taken"),
    ("mov_apple_keys.mov", "camera"),
    ("mov_apple_keys.mov", "taken"),
    ("mp4_android_keys.mp4", "camera"),
    ("orf_synth.ORF", "camera"),
    ("orf_synth.ORF", "size"),
    ("orf_synth.ORF", "taken"),
    ("png_raw_profile_exif.png", "camera"),
    ("png_raw_profile_exif.png", "taken"),
    ("png_tEXt_creation_time.png", "taken"),
    ("png_xmp.png", "camera"),
    ("png_xmp.png", "taken"),
];

#[test]
fn facts_agree_with_exiftool_but_for_the_known_gaps() {
    let truth: BTreeMap<String, Truth> =
        serde_json::from_slice(&fs::read(folder().join("oracle.json")).unwrap()).unwrap();
    let mut wrong = BTreeSet::new();
    let mut checked = 0;
    for (name, truth) in &truth {
        let facts = media::inspect(read(&folder().join(name)), name);
        let mut check = |field: &str, differs: bool| {
            checked += 1;
            if differs {
                wrong.insert((name.clone(), field.to_owned()));
            }
        };
        if let Some(taken) = &truth.taken {
            check(
                "taken",
                facts.taken.map(|t| t.local.strftime("%Y-%m-%dT%H:%M:%S").to_string()).as_ref()
                    != Some(taken),
            );
        }
        if truth.make.is_some() || truth.model.is_some() {
            check("camera", (facts.make, facts.model) != (truth.make.clone(), truth.model.clone()));
        }
        if let Some((width, height)) = truth.size {
            check("size", (facts.width, facts.height) != (Some(width), Some(height)));
        }
        if let Some(duration) = truth.duration_ms {
            check("duration", facts.duration_ms.is_none_or(|ms| ms.abs_diff(duration) > 60));
        }
    }
    let known = GAPS.iter().map(|&(name, field)| (name.to_owned(), field.to_owned())).collect();
    assert_eq!(wrong, known, "of {checked} facts");
    assert!(checked > 90, "{checked}");
}

#[test]
fn whole_files_pass_and_cut_ones_do_not() {
    let mut cut_found = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e == "md" || e == "json") {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        whole::check(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let kind = media::kind::of(&bytes);
        use media::kind::Kind::{Avif, Gif, Heic, Jpeg, Mov, Mp4, Png, WebP};
        if [Jpeg, Png, Gif, WebP, Heic, Avif, Mp4, Mov].contains(&kind) {
            let cut = bytes[..bytes.len() * 2 / 3].to_vec();
            if whole::check(&cut).is_err() {
                cut_found += 1;
            } else {
                // A motion photo's still is whole before its video; nothing else may pass.
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                let motion = ["MVIMG", "PXL_", "samsung_sef", "jpg_exif_after_icc"]
                    .iter()
                    .any(|m| name.starts_with(m));
                assert!(motion, "{name} passes when cut");
            }
        }
    }
    assert!(cut_found >= 25, "{cut_found}");
    assert!(whole::check(&b"<!DOCTYPE html><html>".to_vec()).is_err());
    assert!(whole::check(&Vec::new()).is_err());
}

/// The larger corpus, where `SHOEBOX_CORPUS` names one: whatever exiftool reads without complaint is whole.
#[test]
fn real_files_are_whole() {
    let Some(corpus) = std::env::var_os("SHOEBOX_CORPUS") else { return };
    let mut refused = Vec::new();
    for entry in fs::read_dir(Path::new(&corpus).join("collected")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        media::inspect(Arc::new(bytes.clone()), "x");
        if let Err(e) = whole::check(&bytes) {
            refused.push(format!("{}: {e}", path.file_name().unwrap().to_string_lossy()));
        }
    }
    // Fixtures that their own projects cut short.
    let trimmed = |line: &&String| {
        !["trimmed", "crash_", "endless", "oom_", "shortened", "exiftool__"].iter().any(|t| line.contains(t))
    };
    let refused: Vec<_> = refused.iter().filter(trimmed).collect();
    assert!(refused.len() <= 6, "{refused:#?}");
}

/// Damaged files never panic, hang or eat memory. `SEED` replays a run, `CASES` makes it longer.
#[test]
fn damage_costs_facts_and_nothing_else() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("SEED").unwrap_or_else(|| fastrand::u64(..));
    let cases = number("CASES").unwrap_or(20_000);
    println!(
        "replay with: SEED={seed} CASES={cases} cargo nextest run --features sim damage_costs --no-capture"
    );
    let mut random = fastrand::Rng::with_seed(seed);
    let files: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.metadata().unwrap().len() < 70_000 && path.extension().is_some_and(|e| e != "json")
        })
        .map(|path| fs::read(path).unwrap())
        .collect();
    for _ in 0..cases {
        let mut bytes = files[random.usize(..files.len())].clone();
        for _ in 0..random.usize(1..8) {
            let at = random.usize(..bytes.len());
            match random.u8(..4) {
                0 => bytes[at] ^= 1 << random.u8(..8),
                1 => bytes.truncate(at.max(1)),
                2 => {
                    let end = (at + 4).min(bytes.len());
                    bytes[at..end].fill(0xff);
                }
                _ => {
                    let from = random.usize(..bytes.len());
                    let n = random.usize(..64).min(bytes.len() - from).min(bytes.len() - at);
                    bytes.copy_within(from..from + n, at);
                }
            }
        }
        // Either verdict is fine; coming back is what counts.
        let _verdict = whole::check(&bytes);
        media::inspect(Arc::new(bytes), "damaged");
    }
}
