//! The rules that keep the house plain: who may name whom, how long a file may be, that no test is forgotten.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a part of `src/` may import of ours, and why no more.
const MAY_IMPORT: &[(&str, &[&str], &str)] = &[
    ("model", &[], "the vocabulary is pure, so that everything can be built on it"),
    ("small_file", &[], "everybody may keep one"),
    ("store", &["model", "small_file"], "the truth on disk must not depend on how it got there or is shown"),
    ("index", &["model", "store"], "a disposable view of the records: it reads the store, nothing else"),
    ("media", &["model"], "readers of hostile bytes are replaceable and know nothing of the archive"),
    ("remote", &["model", "small_file"], "the far side can change without the archive noticing"),
    ("archive", &["model", "store", "index"], "lock, store and index opened together"),
    ("ingest", &["model", "store", "index", "media", "remote"], "the one way in joins both sides"),
    (
        "adopt",
        &["model", "store", "index", "archive", "ingest", "media"],
        "the other way in, from files that are there; the far side is not asked",
    ),
    (
        "replica",
        &["model", "store", "index", "archive", "small_file", "token_bucket"],
        "a copy of what is there; how it got there is nothing to it",
    ),
    ("token_bucket", &[], "a rule about time alone"),
    ("plan", &["model", "index"], "a pure decision over a listing and the index"),
    (
        "sync",
        &["model", "store", "index", "archive", "ingest", "plan", "remote", "token_bucket"],
        "drives one pass",
    ),
    (
        "proof",
        &["model", "store", "index", "archive", "remote"],
        "holds Google's counts against what is there; reads only",
    ),
    ("view", &["model", "store", "index"], "reads what is there; can neither fetch nor write the archive"),
    (
        "upkeep",
        &["model", "store", "index", "archive", "media", "small_file"],
        "keeps what is there, and what is known of it; the far side is the next sync's",
    ),
    ("doctor", &["store", "remote", "view"], "tries the very operations that these rely on"),
    (
        "export",
        &["model", "store", "index", "view", "archive", "media"],
        "the view's names, as plain files, and small pictures",
    ),
    (
        "serve",
        &[
            "archive",
            "doctor",
            "index",
            "login",
            "media",
            "model",
            "proof",
            "remote",
            "replica",
            "small_file",
            "store",
            "sync",
            "upkeep",
            "view",
        ],
        "tells what a pass, the login and the archive say",
    ),
    ("notice", &["model", "small_file"], "the ways to people know nothing of what there is to tell"),
    ("login", &["model", "remote", "small_file"], "how a login stands, and the browser in which it is made"),
    ("schedule", &[], "a rule about time alone"),
    ("telemetry", &["sync"], "shows the progress of a pass"),
    ("signals", &["exit"], "a second signal ends with the documented code"),
    (
        "exit",
        &[
            "adopt", "archive", "index", "ingest", "model", "remote", "replica", "store", "sync", "upkeep",
            "view", "export",
        ],
        "turns every error into an exit code",
    ),
    (
        "fuzz",
        &["adopt", "cli", "index", "media", "model", "notice", "remote", "store"],
        "opens private parsers to those who feed them bytes",
    ),
    ("sim", &["model", "remote"], "stands on the far side: it plays Google, it never sees an archive"),
];

/// A library is named in one place only, so that it can be replaced.
const ONLY_IN: &[(&str, &[&str], &str)] = &[
    (
        "chromiumoxide",
        &["src/remote/", "src/telemetry.rs"],
        "the browser protocol (telemetry keeps it quiet)",
    ),
    ("fuser", &["src/view/fuse.rs", "src/view/fuse/", "src/view/mount.rs", "src/telemetry.rs"], "FUSE"),
    ("rusqlite", &["src/index.rs", "src/index/", "src/remote/browser/cookie_jar.rs"], "SQL"),
    ("clap", &["src/cli.rs", "src/cli/", "src/bin/photos-sim.rs"], "the command line"),
    ("indicatif", &["src/telemetry.rs", "src/telemetry/"], "the terminal"),
    ("axum", &["src/serve/", "src/sim/", "src/sim.rs"], "HTTP"),
    ("exif", &["src/media/"], "Exif"),
    ("quick_xml", &["src/media/tag/xmp.rs"], "XMP"),
    ("tzf_rs", &["src/media/zone.rs"], "zones"),
    ("image", &["src/media/thumbnail.rs", "src/sim/", "src/sim.rs"], "pictures"),
    ("lettre", &["src/notice/"], "mail"),
    ("rcgen", &["src/serve/tls.rs", "src/sim/"], "making certificates"),
    ("rustls_platform_verifier", &["src/notice/mqtt/"], "TLS to a broker"),
    ("argon2", &["src/serve/door.rs"], "passwords"),
    ("croner", &["src/schedule.rs"], "cron expressions"),
    ("object_store", &["src/replica.rs", "src/replica/"], "object storage"),
    ("age", &["src/replica/seal.rs"], "encryption"),
    ("zip", &["src/ingest/unpack.rs", "src/adopt/source.rs", "src/sim/"], "zip"),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // What a compiler leaves is not ours.
            if !path.ends_with("target") {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Every source file by its path from the repository's root, without comments.
fn code() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    sources(&root.join("src"), &mut found);
    let strip = |text: String| -> String {
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
    };
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            (name, strip(fs::read_to_string(path).unwrap()))
        })
        .collect()
}

/// The part a file belongs to: `src/remote/net.rs` is of `remote`.
fn part(file: &str) -> &str {
    let rest = file.strip_prefix("src/").unwrap();
    rest.split('/').next().unwrap().trim_end_matches(".rs")
}

fn names_after<'a>(text: &'a str, marker: &str) -> Vec<&'a str> {
    text.match_indices(marker)
        .filter(|(at, _)| !text[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        .flat_map(|(at, _)| {
            let rest = &text[at + marker.len()..];
            let word = |t: &'a str| t.trim().split(|c: char| !(c.is_alphanumeric() || c == '_')).next();
            match rest.strip_prefix('{') {
                // `use crate::{a::b, c}`: the first word after each comma of the outer level.
                Some(list) => {
                    let mut depth = 1;
                    let mut starts = vec![0];
                    for (i, c) in list.char_indices() {
                        match c {
                            '{' => depth += 1,
                            '}' => depth -= 1,
                            ',' if depth == 1 => starts.push(i + 1),
                            _ => {}
                        }
                        if depth == 0 {
                            break;
                        }
                    }
                    starts.into_iter().filter_map(|i| word(&list[i..])).collect::<Vec<_>>()
                }
                None => word(rest).into_iter().collect(),
            }
        })
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn imports_run_one_way() {
    let mut wrong = Vec::new();
    for (file, text) in code() {
        let own = part(&file);
        let Some((_, allowed, reason)) = MAY_IMPORT.iter().find(|(name, ..)| *name == own) else { continue };
        for name in names_after(&text, "crate::") {
            let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/{name}.rs")).exists();
            if ours && name != own && !allowed.contains(&name) {
                wrong.push(format!("{file} imports {name}: {reason}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_part_has_its_rule() {
    let top = ["lib", "main", "bin", "app", "cli"];
    for file in code().keys() {
        let part = part(file);
        let ruled = top.contains(&part) || MAY_IMPORT.iter().any(|(name, ..)| *name == part);
        assert!(ruled, "{file}: `{part}` has no import rule in this test");
    }
}

#[test]
fn libraries_are_named_in_one_place() {
    let mut wrong = Vec::new();
    for (file, text) in code() {
        for (library, places, what) in ONLY_IN {
            // Not the end of a longer name.
            let begins =
                |(at, _): (usize, &str)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let names_it = text.match_indices(&format!("{library}::")).any(begins)
                || text.contains(&format!("use {library};"));
            let allowed = places.iter().any(|place| file.starts_with(place));
            let qualified = text.contains(&format!("::{library}::"));
            if names_it && !allowed && !qualified {
                wrong.push(format!("{file} names {library}: {what} belongs into {places:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_product_does_not_know_the_simulator() {
    for (file, text) in code() {
        if part(&file) != "sim" && file != "src/bin/photos-sim.rs" && file != "src/lib.rs" {
            assert!(
                !text.contains("sim::") && !text.contains("feature = \"sim\""),
                "{file} names the simulator"
            );
        }
    }
}

#[test]
fn store_index_media_and_view_are_synchronous() {
    for (file, text) in code() {
        if ["model", "store", "index", "media", "view", "archive", "export"].contains(&part(&file)) {
            assert!(!text.contains("async ") && !text.contains("tokio::"), "{file} is asynchronous");
        }
    }
}

#[test]
fn files_are_short_and_names_are_plain() {
    for (file, text) in code() {
        let lines = text.lines().count();
        assert!(lines <= 600, "{file} has {lines} lines; 600 is the most");
        for word in ["Manager", "Utils", "Helper"] {
            assert!(!text.contains(word), "{file} names a {word}");
        }
        assert!(!file.ends_with("/mod.rs"), "{file}: folders are `x.rs` and `x/`");
    }
}

#[test]
fn no_test_file_is_forgotten() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut found = Vec::new();
    sources(&root, &mut found);
    let all: String = found.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    for path in found {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let stands_alone =
            name == "runner" || path.starts_with(root.join("bench")) || path.ends_with("fuzz/parsers.rs");
        assert!(
            stands_alone || all.contains(&format!("mod {name};")),
            "{} is in no `mod` line and never runs",
            path.display()
        );
    }
}

/// What the view promises names a test for each sentence; a promise without one is a wish.
#[test]
fn every_promise_of_the_view_names_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("src/view/SEMANTICS.md")).unwrap();
    let mut found = Vec::new();
    sources(&root.join("src"), &mut found);
    sources(&root.join("tests"), &mut found);
    let tests: String = found.into_iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ") && line.contains('`')).collect();
    assert!(rows.len() > 20, "the tables are not read: {rows:?}");
    for row in rows {
        let name = row.trim_end_matches(" |").rsplit("| ").next().unwrap().trim_matches('`');
        let marked =
            ["#[test]\nfn ", "#[test]\n    fn ", "#[tokio::test(flavor = \"multi_thread\")]\nasync fn "]
                .iter()
                .any(|mark| tests.contains(&format!("{mark}{name}()")));
        assert!(marked, "{row} names no test");
    }
}
