use jiff::Timestamp;
use shoebox::model::name::fold;
use shoebox::model::{ArchivedPart, PartRole};
use shoebox::view::Tree;
use shoebox::view::tree::{BY_CAMERA, BY_DATE, ROOT, part_ino};

use super::support::{part, seed};

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn grown(parts: &[ArchivedPart]) -> Tree {
    let mut tree = Tree::new(now());
    tree.apply(parts, now());
    tree
}

fn paths(tree: &Tree) -> Vec<String> {
    tree.paths().into_iter().map(|(path, _)| path).collect()
}

fn names(tree: &Tree, directory: &str) -> Vec<String> {
    let prefix = format!("/{directory}/");
    let below = |path: String| path.strip_prefix(&prefix).map(str::to_owned);
    paths(tree).into_iter().filter_map(below).filter(|name| !name.contains('/')).collect()
}

#[test]
fn an_item_is_in_both_views_with_the_same_inode() {
    let tree = grown(&[part(7, "IMG_1.JPG", "2020-05-06T07:08:09", b"one")]);
    assert_eq!(
        paths(&tree),
        [
            "",
            "/by-camera",
            "/by-camera/Canon EOS 5D",
            "/by-camera/Canon EOS 5D/2020",
            "/by-camera/Canon EOS 5D/2020/IMG_1.JPG",
            "/by-date",
            "/by-date/2020",
            "/by-date/2020/2020-05",
            "/by-date/2020/2020-05/IMG_1.JPG",
        ]
    );
    let (date, camera) = (tree.leaves(BY_DATE), tree.leaves(BY_CAMERA));
    assert_eq!(date[0].attr, camera[0].attr);
    assert_eq!(date[0].attr.ino, part_ino(7, PartRole::Original));
    assert_eq!(date[0].attr.size, 3);
    assert_eq!(date[0].attr.mtime.to_string(), "2020-05-06T07:08:09Z");
    assert_eq!(date[0].attr.links, 2);
}

#[test]
fn an_empty_tree_still_has_its_views() {
    assert_eq!(paths(&Tree::new(now())), ["", "/by-camera", "/by-date"]);
}

#[test]
fn a_third_clash_renames_neither_of_the_first_two() {
    let clash = |ordinal, name| part(ordinal, name, "2020-05-06T07:08:09", &[ordinal as u8]);
    let mut tree = grown(&[clash(1, "IMG_1.jpg"), clash(2, "img_1.JPG")]);
    let before = names(&tree, "by-date/2020/2020-05");
    assert_eq!(before.len(), 2);
    assert!(before.contains(&"IMG_1.jpg".into()));
    tree.apply(&[clash(3, "IMG_1.JPG")], now());
    let after = names(&tree, "by-date/2020/2020-05");
    assert_eq!(after.len(), 3);
    assert!(before.iter().all(|name| after.contains(name)), "{before:?} {after:?}");
    let folded: std::collections::BTreeSet<String> = after.iter().map(|name| fold(name)).collect();
    assert_eq!(folded.len(), 3, "names differ by more than case: {after:?}");
    let suffixed = after.iter().find(|name| name.starts_with("IMG_1~")).unwrap();
    assert_eq!(suffixed.len(), "IMG_1~01234567.JPG".len());
}

#[test]
fn a_name_that_pretends_to_be_a_suffix_gains_nothing() {
    let at = "2020-05-06T07:08:09";
    let honest = grown(&[part(1, "A.jpg", at, b"1"), part(2, "A.jpg", at, b"2")]);
    let suffixed = names(&honest, "by-date/2020/2020-05").into_iter().find(|n| n.contains('~')).unwrap();
    // An item with a lower number sits on the very name that item 2 would get.
    let tree = grown(&[part(0, &suffixed, at, b"0"), part(1, "A.jpg", at, b"1"), part(2, "A.jpg", at, b"2")]);
    let all = names(&tree, "by-date/2020/2020-05");
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(all.contains(&suffixed) && all.contains(&"A.jpg".into()));
}

#[test]
fn parts_of_an_item_share_its_stem_also_under_a_suffix() {
    let at = "2020-05-06T07:08:09";
    let other = part(1, "IMG_1.MOV", at, b"film");
    let still = part(2, "IMG_1.HEIC", at, b"still");
    let motion =
        ArchivedPart { role: PartRole::Motion, name: "x.MOV".into(), ..part(2, "IMG_1.HEIC", at, b"m") };
    let edited =
        ArchivedPart { role: PartRole::Edited, name: "y.jpg".into(), ..part(2, "IMG_1.HEIC", at, b"e") };
    let tree = grown(&[still.clone(), motion.clone(), edited.clone()]);
    assert_eq!(names(&tree, "by-date/2020/2020-05"), ["IMG_1-edited.jpg", "IMG_1.HEIC", "IMG_1.MOV"]);
    let tree = grown(&[other, still, motion, edited]);
    let all = names(&tree, "by-date/2020/2020-05");
    assert_eq!(all.len(), 4, "{all:?}");
    let suffixed: Vec<&String> = all.iter().filter(|name| name.contains('~')).collect();
    assert_eq!(suffixed.len(), 3, "all three parts of the second item move together: {all:?}");
    assert!(suffixed.iter().all(|name| name.starts_with(&suffixed[0][..14])), "{all:?}");
}

#[test]
fn an_older_revision_is_ignored_and_a_newer_one_moves_the_item() {
    let mut tree = grown(&[ArchivedPart { change: 5, ..part(1, "A.jpg", "2020-05-06T07:08:09", b"a") }]);
    let was = tree.paths();
    let changes =
        tree.apply(&[ArchivedPart { change: 4, ..part(1, "OLD.jpg", "2001-01-01T00:00:00", b"a") }], now());
    assert_eq!(tree.paths(), was);
    assert!(changes.directories.is_empty() && changes.removed.is_empty());
    let month = tree.leaves(BY_DATE)[0].path.clone();
    assert_eq!(month, "by-date/2020/2020-05/A.jpg");
    let old_month =
        tree.lookup(tree.lookup(tree.lookup(ROOT, BY_DATE).unwrap().ino, "2020").unwrap().ino, "2020-05");
    let changes =
        tree.apply(&[ArchivedPart { change: 6, ..part(1, "A.jpg", "2021-01-01T00:00:00", b"a") }], now());
    assert_eq!(tree.leaves(BY_DATE)[0].path, "by-date/2021/2021-01/A.jpg");
    assert!(changes.removed.contains(&(old_month.unwrap().ino, "A.jpg".into())));
    assert!(changes.altered.contains(&part_ino(1, PartRole::Original)), "its time changed");
    assert!(!paths(&tree).iter().any(|path| path.contains("2020")), "empty directories go");
}

#[test]
fn the_same_again_changes_nothing() {
    let parts = [part(1, "A.jpg", "2020-05-06T07:08:09", b"a")];
    let mut tree = grown(&parts);
    let changes = tree.apply(&parts, now());
    assert_eq!(changes, shoebox::view::tree::Changes::default());
    tree.begin_reload();
    assert_eq!(tree.apply(&parts, now()), shoebox::view::tree::Changes::default());
    assert_eq!(tree.end_reload(now()), shoebox::view::tree::Changes::default());
}

#[test]
fn a_reload_removes_only_what_did_not_come_back_and_only_at_its_end() {
    let at = "2020-05-06T07:08:09";
    let mut tree = grown(&[part(1, "A.jpg", at, b"a"), part(2, "B.jpg", at, b"b")]);
    tree.begin_reload();
    tree.apply(&[ArchivedPart { change: 1, ..part(2, "B.jpg", at, b"b") }], now());
    assert_eq!(names(&tree, "by-date/2020/2020-05"), ["A.jpg", "B.jpg"]);
    tree.end_reload(now());
    assert_eq!(names(&tree, "by-date/2020/2020-05"), ["B.jpg"]);
    assert_eq!(tree.attr(part_ino(1, PartRole::Original)), None);
    assert_eq!(tree.parts(), 1);
}

#[test]
fn cameras_that_differ_only_in_spelling_share_a_directory_named_by_the_first() {
    let at = "2020-05-06T07:08:09";
    let camera = |ordinal, model: &str| ArchivedPart {
        make: Some("OLYMPUS CORPORATION".into()),
        model: Some(model.into()),
        ..part(ordinal, &format!("{ordinal}.jpg"), at, &[ordinal as u8])
    };
    let one = grown(&[camera(1, "E-M5 MARK III"), camera(2, "E-M5MarkIII")]);
    let mut other = grown(&[camera(2, "E-M5MarkIII")]);
    assert_eq!(names(&other, "by-camera"), ["Olympus E-M5 Mark III"]);
    let changes = other.apply(&[camera(1, "E-M5 MARK III")], now());
    assert_eq!(names(&one, "by-camera"), ["Olympus E-M5 MARK III"]);
    assert_eq!(one.paths(), other.paths());
    assert!(changes.removed.iter().any(|(_, name)| name == "Olympus E-M5 Mark III"));
}

#[test]
fn items_without_a_camera_are_found_too() {
    let tree =
        grown(&[ArchivedPart { make: None, model: None, ..part(1, "a.png", "1999-12-31T23:59:59", b"a") }]);
    assert_eq!(names(&tree, "by-camera/Unknown camera/1999"), ["a.png"]);
}

/// Hostile and clashing names, several roles, revisions that move: whatever the order and the batches, the
/// tree is the same, every name is found, and nothing is listed twice.
#[test]
fn the_tree_depends_on_the_set_of_parts_alone() {
    let mut random = fastrand::Rng::with_seed(seed());
    for _ in 0..150 {
        let mut parts: Vec<Vec<ArchivedPart>> = Vec::new();
        let mut latest = std::collections::BTreeMap::new();
        for change in 1..=random.u64(1..60) {
            let ordinal = random.u64(1..30);
            let name =
                ["IMG_1.jpg", "img_1.JPG", "IMG_1.MOV", "IMG_1-edited.jpg", "IMG_1~b5bb9d80.jpg", "../x", ""]
                    [random.usize(..7)];
            let taken =
                ["2020-05-06T07:08:09", "2020-06-06T07:08:09", "2021-01-01T00:00:00"][random.usize(..3)];
            let model = ["EOS 5D", "EOS-5D", "eos 5d", "D70"][random.usize(..4)];
            let revision: Vec<ArchivedPart> = PartRole::ALL[..random.usize(1..=3)]
                .iter()
                .map(|&role| ArchivedPart {
                    change,
                    role,
                    model: Some(model.into()),
                    name: ["a.jpg", "a.mov", "a"][random.usize(..3)].into(),
                    ..part(ordinal, name, taken, &[random.u8(..4)])
                })
                .collect();
            latest.insert(ordinal, revision.clone());
            parts.push(revision);
        }
        let in_order: Vec<ArchivedPart> = latest.values().flatten().cloned().collect();
        let expected = grown(&in_order);
        let mut tree = Tree::new(now());
        random.shuffle(&mut parts);
        while !parts.is_empty() {
            let batch: Vec<ArchivedPart> =
                parts.split_off(parts.len() - random.usize(1..=parts.len())).into_iter().flatten().collect();
            tree.apply(&batch, now());
        }
        assert_eq!(tree.paths(), expected.paths());
        assert_eq!(tree.leaves(BY_CAMERA), expected.leaves(BY_CAMERA));
        assert_eq!(tree.parts(), in_order.len() as u64);
        check(&tree);
    }
}

/// Every listed name is found with the listed attributes; listings are sorted and without clashes.
fn check(tree: &Tree) {
    let mut open = vec![ROOT];
    while let Some(ino) = open.pop() {
        let listing = tree.listing(ino).unwrap();
        let entries: Vec<_> = (0..).map_while(|at| tree.entry(&listing, at)).collect();
        assert_eq!(entries[0].1.ino, ino);
        let listed: Vec<&str> = entries[2..].iter().map(|(name, _)| name.as_str()).collect();
        assert!(listed.is_sorted(), "{listed:?}");
        let folded: std::collections::BTreeSet<String> = listed.iter().map(|name| fold(name)).collect();
        assert_eq!(folded.len(), listed.len(), "{listed:?}");
        for (name, attr) in &entries[2..] {
            assert_eq!(tree.lookup(ino, name), Some(*attr));
            assert_eq!(tree.attr(attr.ino), Some(*attr));
            if attr.is_dir {
                assert!(attr.ino < 1 << 53, "exact in a double");
                open.push(attr.ino);
            } else {
                assert!(tree.blob(attr.ino).is_some());
            }
        }
        assert_eq!(tree.lookup(ino, ".DS_Store"), None);
    }
}

#[test]
fn a_listing_stays_as_it_was_while_the_tree_changes() {
    let at = "2020-05-06T07:08:09";
    let mut tree = grown(&[part(2, "B.jpg", at, b"b"), part(3, "C.jpg", at, b"c")]);
    let year = tree.lookup(tree.lookup(ROOT, BY_DATE).unwrap().ino, "2020").unwrap().ino;
    let month = tree.lookup(year, "2020-05").unwrap();
    let listing = tree.listing(month.ino).unwrap();
    let before: Vec<_> = (2..).map_while(|at| tree.entry(&listing, at)).collect();
    let changes = tree.apply(&[part(4, "A.jpg", at, b"a"), part(1, "B.jpg", at, b"x")], now());
    let after: Vec<_> = (2..).map_while(|at| tree.entry(&listing, at)).collect();
    assert_eq!(before, after);
    assert!(changes.removed.contains(&(month.ino, "B.jpg".into())), "another inode has that name now");
    // The clock stood still, the directory's time did not.
    assert!(tree.attr(month.ino).unwrap().mtime > month.mtime);
    assert!(changes.directories.contains(&month.ino));
}
