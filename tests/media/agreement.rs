//! The facts of files beside what exiftool says of them: those in the repository, and those of `SHOEBOX_CORPUS`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::civil::DateTime;
use serde::Deserialize;
use shoebox::media::inspect;
use shoebox::model::MediaFacts;
use shoebox::model::camera::camera_dir;

use super::{expected, folder};

/// What exiftool reads of one file.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Oracle {
    date: Option<Date>,
    make: Option<String>,
    model: Option<String>,
    lens: Option<String>,
    gps: Option<(f64, f64)>,
    size: Option<(u32, u32)>,
    orientation: Option<u8>,
    duration: Option<f64>,
    content_id: Option<String>,
    mime: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    motion: Option<serde_json::Value>,
    malformed: bool,
}

#[derive(Debug, Deserialize)]
struct Date {
    dt: String,
    off: Option<String>,
    src: String,
}

/// Differences that stay, each with its reason; `*` is every file.
const REASONS: &[(&str, &str, &str)] = &[
    ("avchd.mts", "mime", "video/mp2t is the registered name of what exiftool calls video/m2ts"),
    ("exiftool__M2TS.mts", "mime", "as above"),
    ("metadata-extractor-images__Sony ILCE-7M3 (A7M3).mts", "mime", "as above"),
    (
        "metadata-extractor-images__Sony ILCE-7M3 (A7M3).mts",
        "extra date",
        "its pictures carry one, which exiftool reads only when asked to look into them",
    ),
    ("exiftool__M2TS.mts", "duration", "one packet: there are no two times between which something lasts"),
    ("exiftool__Pentax.avi", "date", "the file says 12:14:34; exiftool drops the seconds of this spelling"),
    ("nom-exif__crash_moov-trak", "mime", "M4V is MP4"),
    ("androidx-media__sample_MP.heic", "extra date", "its Exif block has one, which exiftool does not give"),
    ("nom-exif__exif-no-tz.jpg", "extra date", "its Exif block has one, which exiftool does not give"),
];

/// Longest time for one file. No measure of speed: a busy machine must not be taken for a reader that hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// The fields that count, and the least share of files in which they agree.
const LEAST: &[(&str, f64)] =
    &[("date", 0.99), ("make", 0.99), ("model", 0.99), ("gps", 0.99), ("size", 0.99), ("duration", 0.98)];

/// Field by field: whether it agrees, where exiftool has a value.
fn compare(facts: &MediaFacts, oracle: &Oracle) -> Vec<(&'static str, bool)> {
    let text =
        |want: &Option<String>, got: &Option<String>| want.as_ref().map(|want| Some(want) == got.as_ref());
    let duration = facts.duration_ms.map(|ms| ms as f64 / 1000.0);
    let checks = [
        ("date", oracle.date.as_ref().map(|date| same_moment(facts, date))),
        ("offset", oracle.date.as_ref().and_then(|date| same_offset(facts, date))),
        ("make", text(&oracle.make, &facts.make)),
        ("model", text(&oracle.model, &facts.model)),
        ("lens", text(&oracle.lens, &facts.lens)),
        (
            "gps",
            oracle.gps.map(|(north, east)| {
                let near = |a: Option<f64>, b: f64| a.is_some_and(|a| (a - b).abs() < 1e-4);
                near(facts.latitude, north) && near(facts.longitude, east)
            }),
        ),
        ("size", oracle.size.map(|size| facts.width.zip(facts.height) == Some(size))),
        ("orientation", oracle.orientation.map(|orientation| facts.orientation == Some(orientation))),
        (
            "duration",
            oracle
                .duration
                .map(|want| duration.is_some_and(|got| (got - want).abs() <= (want * 0.02).max(0.1))),
        ),
        ("content id", text(&oracle.content_id, &facts.content_id)),
        ("motion", Some(oracle.motion.is_some() == facts.embedded_motion)),
        ("mime", text(&oracle.mime, &facts.media_type)),
        // A date in the name is no date in the file.
        ("extra date", oracle.date.is_none().then(|| facts.taken.is_none_or(|taken| is_named(taken.source)))),
    ];
    checks.into_iter().filter_map(|(field, same)| Some((field, same?))).collect()
}

fn is_named(source: shoebox::model::TimeSource) -> bool {
    source == shoebox::model::TimeSource::Name
}

/// The same wall clock, or the same instant where both know their zone.
fn same_moment(facts: &MediaFacts, date: &Date) -> bool {
    let Some(taken) = facts.taken else { return false };
    let day: Option<jiff::civil::Date> = (date.dt.len() == 10).then(|| date.dt.parse().unwrap());
    if let Some(day) = day {
        return taken.local.date() == day;
    }
    let want: DateTime = date.dt.parse().unwrap();
    let near = |a: DateTime, b: DateTime| a.duration_since(b).abs().as_secs() <= 1;
    let instant = |local: DateTime, offset: i32| {
        local.checked_sub(jiff::SignedDuration::from_secs(offset.into())).unwrap()
    };
    near(taken.local, want)
        || match (taken.offset_s, date.off.as_deref().and_then(seconds)) {
            (Some(ours), Some(theirs)) => near(instant(taken.local, ours), instant(want, theirs)),
            _ => false,
        }
}

/// Whether the zone agrees, where the file names one: what a clock in UTC says is moved to the place's own.
fn same_offset(facts: &MediaFacts, date: &Date) -> Option<bool> {
    let want = date.off.as_deref().and_then(seconds)?;
    (!matches!(date.src.as_str(), "qt_create" | "mkv" | "gps"))
        .then(|| facts.taken.is_some_and(|taken| taken.offset_s == Some(want)))
}

fn seconds(offset: &str) -> Option<i32> {
    shoebox::media::moment::offset_s(offset)
}

/// What came of a set of files.
#[derive(Default)]
struct Agreement {
    /// By type of file and field: how many agree, how many differ for a known reason, of how many.
    counts: BTreeMap<(String, &'static str), [u32; 3]>,
    /// Those without a known reason.
    unexplained: BTreeSet<String>,
    explained: BTreeSet<String>,
}

impl Agreement {
    fn take(&mut self, name: &str, path: &Path, oracle: &Oracle) {
        let file = File::open(path).unwrap();
        let begun = Instant::now();
        let facts = inspect(&file, name);
        assert!(begun.elapsed() < PATIENCE, "{name} took {:?}", begun.elapsed());
        for (field, same) in compare(&facts, oracle) {
            let reason = REASONS.iter().find(|(of, which, _)| *of == name && *which == field);
            match (same, reason) {
                (false, Some((.., reason))) => {
                    self.explained.insert(format!("{name}: {field}: {reason}"));
                }
                // What exiftool itself calls broken is nobody's oracle.
                (false, None) if oracle.malformed => {}
                (false, None) => {
                    self.unexplained.insert(format!("{name}: {field}: {facts:?}\n    exiftool: {oracle:?}"));
                }
                (true, Some(_)) => panic!("{name}: {field} agrees now; strike out its reason"),
                (true, None) => {}
            }
            if oracle.malformed {
                continue;
            }
            for kind in [oracle.kind.clone(), "all".into()] {
                let count = self.counts.entry((kind, field)).or_default();
                count[0] += u32::from(same);
                count[1] += u32::from(!same && reason.is_some());
                count[2] += 1;
            }
        }
    }

    /// A table: a line for each type of file, a column for each field.
    fn report(&self) -> String {
        let fields: BTreeSet<&str> = self.counts.keys().map(|(_, field)| *field).collect();
        let kinds: BTreeSet<&String> = self.counts.keys().map(|(kind, _)| kind).collect();
        let mut text = format!("{:16}", "");
        fields.iter().for_each(|field| write!(text, "{field:>13}").unwrap());
        for kind in kinds {
            write!(text, "\n{kind:16}").unwrap();
            for field in &fields {
                let cell =
                    self.counts.get(&(kind.clone(), *field)).map(|[same, _, all]| format!("{same}/{all}"));
                write!(text, "{:>13}", cell.unwrap_or_default()).unwrap();
            }
        }
        for (title, lines) in [("differs, and why", &self.explained), ("differs", &self.unexplained)] {
            lines.iter().for_each(|line| write!(text, "\n{title}: {line}").unwrap());
        }
        text
    }
}

#[test]
fn facts_agree_with_exiftool() {
    let mut agreement = Agreement::default();
    for (name, oracle) in expected() {
        agreement.take(&name, &folder().join(&name), &oracle);
    }
    let report = agreement.report();
    println!("{report}");
    assert!(agreement.unexplained.is_empty(), "{report}");
}

/// A larger corpus than may be given away, where there is one: `oracle.json` beside folders of files.
#[test]
fn facts_agree_with_exiftool_over_a_corpus() {
    let Some(corpus) = std::env::var_os("SHOEBOX_CORPUS").map(PathBuf::from) else {
        println!("SHOEBOX_CORPUS names no folder");
        return;
    };
    #[derive(Deserialize)]
    struct Listed {
        #[serde(default)]
        malformed: bool,
        oracle: Oracle,
    }
    #[derive(Deserialize)]
    struct Listing {
        files: BTreeMap<String, Listed>,
    }
    let listing: Listing = serde_json::from_slice(&fs::read(corpus.join("oracle.json")).unwrap()).unwrap();
    let folders: Vec<PathBuf> = fs::read_dir(&corpus)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    let mut agreement = Agreement::default();
    for (name, listed) in listing.files {
        let path = folders.iter().map(|folder| folder.join(&name)).find(|path| path.exists());
        let oracle = Oracle { malformed: listed.malformed, ..listed.oracle };
        agreement.take(&name, &path.unwrap_or_else(|| panic!("{name} is nowhere")), &oracle);
    }
    // Whatever else lies there: damaged files of which nobody knows what they should say.
    for path in
        folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path())
    {
        let begun = Instant::now();
        inspect(&File::open(&path).unwrap(), "");
        assert!(begun.elapsed() < PATIENCE, "{} took {:?}", path.display(), begun.elapsed());
    }
    let report = agreement.report();
    println!("{report}");
    for (field, least) in LEAST {
        let [same, known, all] = agreement.counts[&("all".to_owned(), *field)];
        let share = f64::from(same + known) / f64::from(all);
        assert!(share >= *least, "{field}: {share:.4}\n{report}");
    }
}

/// Makers and models as hundreds of cameras write them, and the one folder wanted for each.
#[test]
fn cameras_have_the_names_that_are_wanted() {
    let Some(corpus) = std::env::var_os("SHOEBOX_CORPUS").map(PathBuf::from) else {
        println!("SHOEBOX_CORPUS names no folder");
        return;
    };
    let table = fs::read_to_string(corpus.join("camera_names.tsv")).unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in table.lines().skip(1) {
        let [make, model, want] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line:?}") };
        let text = |text: &str| Some(unescape(text)).filter(|text| !text.is_empty());
        let got = camera_dir(text(make).as_deref(), text(model).as_deref()).unwrap_or_default();
        count += 1;
        // The name of that camera, whose maker's first word is in it.
        let want = if want == "OM System 1" { "OM System OM-1" } else { want };
        if got != want {
            wrong.push(format!("{make:?} {model:?}: {got:?}, wanted {want:?}"));
        }
    }
    assert!(count > 600 && wrong.is_empty(), "{} of {count}\n{}", wrong.len(), wrong.join("\n"));
}

/// `\\x1b` is one character.
fn unescape(text: &str) -> String {
    let mut parts = text.split("\\x");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        plain.push(char::from(u8::from_str_radix(digits, 16).unwrap()));
        plain.push_str(rest);
    }
    plain
}
