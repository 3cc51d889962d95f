//! R20: whatever a stranger's camera, phone or malice called a file: its name in a view is legal everywhere, its own
//! in its directory, leads back to its item and is the same in every run; and nothing printed moves a cursor.

use std::collections::{BTreeMap, BTreeSet};

use shoebox::model::name::{LONGEST, fold, is_invisible, is_junk};
use shoebox::model::{ArchivedItem, PartRole};
use shoebox::view::Tree;
use shoebox::view::layout::parse;
use shoebox::view::tree::{Realm, part_ino};
use unicode_normalization::UnicodeNormalization as _;

use super::{Count, Row, seed};
use crate::appliance::support::{shoebox, text};
use crate::store::support::{key, now, part as record_part, put, record};
use crate::sync::support::{init, open};
use crate::view::support::{item, part};

const NAMES: Count = Count(100_000, 1_000_000, 10_000_000);

pub const ROWS: &[Row] = &[Row {
    number: 20,
    tried: "hostile names in directories of a thousand: legal, unique, stable, and harmless where they are printed",
    counts: &[NAMES],
}];

const DIRECTORY: usize = 1000;

const NASTY: [&str; 40] = [
    "/",
    "\0",
    ".",
    "..",
    "../../etc/passwd",
    " ",
    ". .",
    "\n",
    "\t",
    "\x1b[2J",
    "\x7f",
    "\u{85}",
    "\u{202e}gpj.exe",
    "\u{2066}",
    "\u{200b}",
    "\u{feff}",
    "\u{301}",
    "e\u{301}",
    "\u{e9}",
    "\u{1f468}\u{200d}\u{1f469}",
    "\u{fffd}",
    "\u{d7ff}",
    "\u{e000}",
    "\u{10ffff}",
    "\u{212b}",
    "\u{c5}",
    "\u{ac00}",
    "\u{1100}\u{1161}",
    "\u{fb00}",
    "\u{130}",
    "\u{df}",
    "~",
    "~01234567",
    "-edited",
    ".jpg",
    ".JPEG",
    ".xmp",
    "con",
    "Thumbs.db",
    "@eaDir",
];

/// Some are made of the others: the same in another case, composed or not, with a dot or a suffix more.
fn hostile(random: &mut fastrand::Rng, others: &[String]) -> String {
    let other = random.choice(others).filter(|_| random.u8(..3) == 0);
    if let Some(other) = other {
        return match random.u8(..7) {
            0 => other.to_uppercase(),
            1 => other.to_lowercase(),
            2 => other.nfd().collect(),
            3 => format!("{other}."),
            4 => format!("{other}~{:08x}", random.u32(..)),
            5 => format!("{other}.xmp"),
            _ => other.clone(),
        };
    }
    let mut name = String::new();
    for _ in 0..random.usize(..8) {
        match random.u8(..4) {
            0 => name.push(random.char(..)),
            1 => (0..random.usize(..60)).for_each(|_| name.push(random.alphanumeric())),
            _ => name.push_str(NASTY[random.usize(..NASTY.len())]),
        }
    }
    if random.bool() {
        name.push_str(random.choice([".jpg", ".JPG", ".heic", ".MOV"].iter()).unwrap());
    }
    name
}

fn grown(pieces: &[&[ArchivedItem]]) -> Tree {
    let views = parse("shipped = false\n[view]\nall = \"{year}/{name}\"\n").unwrap();
    let mut tree = Tree::new(&views, Realm::Now);
    for piece in pieces {
        tree.apply(piece.to_vec());
    }
    tree
}

/// Paths by inode.
fn named(tree: &Tree) -> BTreeMap<u64, String> {
    tree.leaves("all").into_iter().map(|leaf| (leaf.attr.ino, leaf.path)).collect()
}

fn assert_legal(name: &str, raw: &str) {
    assert!(!name.is_empty() && name.len() <= LONGEST, "{raw:?}: {} bytes", name.len());
    assert!(!name.contains('/') && !name.chars().any(is_invisible), "{raw:?}: {name:?}");
    assert!(name != "." && name != ".." && !is_junk(name), "{raw:?}: {name:?}");
    assert!(!name.ends_with(['.', ' ']) && !name.starts_with([' ', '.']), "{raw:?}: {name:?}");
    assert!(name.nfc().eq(name.chars()), "{raw:?}: {name:?} is not NFC");
}

#[test]
fn r20_hostile_names_are_legal_unique_and_stable() {
    let mut random = fastrand::Rng::with_seed(seed("r20_hostile_names"));
    for _ in 0..NAMES.get().div_ceil(DIRECTORY) {
        let mut raw: Vec<String> = Vec::new();
        let mut items = Vec::new();
        let mut pool: Vec<String> = Vec::new();
        for n in 1..=DIRECTORY as u64 {
            if n == DIRECTORY as u64 / 2 {
                // Whoever sees the view may call a file as another one is called there.
                let shown = named(&grown(&[&items]));
                pool.extend(shown.into_values().map(|path| path.rsplit('/').next().unwrap().to_owned()));
            }
            raw.push(hostile(&mut random, &pool));
            pool.push(raw[raw.len() - 1].clone());
            let mut item = item(n, &raw[raw.len() - 1], "2020-05-06T07:08:09", &n.to_le_bytes());
            if n % 10 == 0 {
                item.parts.push(part(PartRole::Edited, 1, &hostile(&mut random, &pool), b"e"));
                item.parts.push(part(PartRole::Motion, 1, &hostile(&mut random, &pool), b"m"));
            }
            items.push(item);
        }
        let tree = grown(&[&items]);
        let names = named(&tree);
        let files: usize = items.iter().map(|item| item.parts.len()).sum();
        if names.len() != files {
            let shown = tree.leaves("all");
            let hidden = items.iter().flat_map(|item| item.parts.iter().map(move |part| (item, part)));
            let hidden: Vec<_> = hidden
                .filter(|(item, part)| !names.contains_key(&part_ino(item.ordinal, part.role, 1)))
                .map(|(item, part)| (&item.name, part.role, &part.name))
                .collect();
            panic!("{} files, {} shown, hidden: {hidden:?}", files, shown.len());
        }
        let mut folded = BTreeSet::new();
        for (ino, path) in &names {
            let name = path.rsplit('/').next().unwrap();
            let raw = &raw[crate::view::support::ordinal_of(*ino) as usize - 1];
            assert_legal(name, raw);
            assert!(folded.insert(fold(name)), "{name:?} is there twice, or but for its case");
        }
        // Another run, and one in which they came in pieces.
        assert_eq!(named(&grown(&[&items])), names);
        let (first, second) = items.split_at(random.usize(..DIRECTORY));
        assert_eq!(named(&grown(&[first, second])), names);
    }
}

/// What reaches terminals and logs has no control character, and nothing that hides or turns text.
#[test]
fn r20_nothing_printed_moves_a_cursor() {
    const NAME: &str = "a\u{1b}[2J\u{202e}gpj.exe\u{200b}\r\nb\u{7}\u{9b}.jpg";
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("archive");
    init(&data);
    {
        let archive = open(&data);
        let blob = put(&archive.store, b"bytes").unwrap();
        let parts = vec![record_part(PartRole::Original, NAME, blob.digests())];
        let mut item = record(&key("AF1QipHostile"), archive.store.next_ordinal().unwrap(), parts);
        item.name = NAME.to_owned();
        item.remote.description = Some(NAME.to_owned());
        let stored = archive.store.put_record(&item, &[&blob]).unwrap();
        archive.index.writer().apply(stored).unwrap();
        archive.index.writer().note_failure("1001", &key("AF1QipOther"), NAME, NAME, now()).unwrap();
    }
    let export = dir.path().join("export");
    let commands: [&[&str]; 10] = [
        &["status"],
        &["status", "--json"],
        &["quarantine", "list"],
        &["quarantine", "show", "AF1QipOther"],
        &["quarantine", "show", NAME],
        &["report"],
        &["report", "--json"],
        &["view", "preview", "by-date"],
        &["verify"],
        &["export", export.to_str().unwrap()],
    ];
    let mut told = 0;
    for args in commands {
        let output = shoebox().args(args).env("SHOEBOX_DATA", &data).output().unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        let bad: Vec<_> = said.chars().filter(|c| *c != '\n' && is_invisible(*c)).collect();
        assert!(bad.is_empty(), "{args:?}: {bad:?} in {said:?}");
        assert!(!said.contains("\nb"), "{args:?}: a name began a line: {said:?}");
        told += usize::from(said.contains("gpj.exe"));
    }
    assert!(told >= 4, "only {told} commands named it: is this the right test?");
}
