use std::collections::BTreeMap;

use shoebox::model::name::fold;
use shoebox::model::{ArchivedItem, PartRole};
use shoebox::view::Tree;
use shoebox::view::layout::{View, parse};
use shoebox::view::tree::{Attr, Changes, Listing, ROOT, Realm, part_ino};

use super::support::{item, part, seed};

const TWO: &str = r#"
shipped = false
[view]
by-date = "{year}/{year}-{month}/{name}"
by-camera = "{camera}/{year}/{name}"
"#;

fn two() -> Vec<View> {
    parse(TWO).unwrap()
}

fn grown(items: &[ArchivedItem]) -> Tree {
    let mut tree = Tree::new(&two(), Realm::Now);
    tree.apply(items.to_vec());
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
    let tree = grown(&[item(7, "IMG_1.JPG", "2020-05-06T07:08:09", b"one")]);
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
    let (date, camera) = (tree.leaves("by-date"), tree.leaves("by-camera"));
    assert_eq!(date[0].attr, camera[0].attr);
    assert_eq!(date[0].attr.ino, part_ino(7, PartRole::Original, 1));
    assert_eq!(date[0].attr.size, 3);
    assert_eq!(date[0].attr.mtime.to_string(), "2020-05-06T07:08:09Z");
    assert_eq!(date[0].attr.links, 2);
}

#[test]
fn an_empty_tree_still_has_its_views() {
    assert_eq!(paths(&Tree::new(&two(), Realm::Now)), ["", "/by-camera", "/by-date"]);
}

#[test]
fn a_third_clash_renames_neither_of_the_first_two() {
    let clash = |ordinal, name| item(ordinal, name, "2020-05-06T07:08:09", &[ordinal as u8]);
    let mut tree = grown(&[clash(1, "IMG_1.jpg"), clash(2, "img_1.JPG")]);
    let before = names(&tree, "by-date/2020/2020-05");
    assert_eq!(before.len(), 2);
    assert!(before.contains(&"IMG_1.jpg".into()));
    tree.apply([clash(3, "IMG_1.JPG")]);
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
    let honest = grown(&[item(1, "A.jpg", at, b"1"), item(2, "A.jpg", at, b"2")]);
    let suffixed = names(&honest, "by-date/2020/2020-05").into_iter().find(|n| n.contains('~')).unwrap();
    // An item with a lower number sits on the very name that item 2 would get.
    let tree = grown(&[item(0, &suffixed, at, b"0"), item(1, "A.jpg", at, b"1"), item(2, "A.jpg", at, b"2")]);
    let all = names(&tree, "by-date/2020/2020-05");
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(all.contains(&suffixed) && all.contains(&"A.jpg".into()));
}

#[test]
fn parts_of_an_item_share_its_stem_also_under_a_suffix() {
    let at = "2020-05-06T07:08:09";
    let other = item(1, "IMG_1.MOV", at, b"film");
    let still = item(2, "IMG_1.HEIC", at, b"still");
    let mut whole = still.clone();
    whole.parts.push(part(PartRole::Motion, 1, "x.MOV", b"m"));
    whole.parts.push(part(PartRole::Edited, 1, "y.jpg", b"e"));
    let tree = grown(std::slice::from_ref(&whole));
    assert_eq!(names(&tree, "by-date/2020/2020-05"), ["IMG_1-edited.jpg", "IMG_1.HEIC", "IMG_1.MOV"]);
    // A part that comes later finds its name as if it had always been there.
    let mut later = grown(&[still.clone(), item(3, "IMG_1-edited.jpg", at, b"x")]);
    let before = names(&later, "by-date/2020/2020-05");
    later.apply([ArchivedItem { change: 9, ..whole.clone() }]);
    let after = names(&later, "by-date/2020/2020-05");
    assert!(before.iter().all(|name| after.contains(name)), "{before:?} {after:?}");
    let tree = grown(&[other, whole]);
    let all = names(&tree, "by-date/2020/2020-05");
    assert_eq!(all.len(), 4, "{all:?}");
    let suffixed: Vec<&String> = all.iter().filter(|name| name.contains('~')).collect();
    assert_eq!(suffixed.len(), 3, "all three parts of the second item move together: {all:?}");
    assert!(suffixed.iter().all(|name| name.starts_with(&suffixed[0][..14])), "{all:?}");
}

#[test]
fn an_older_revision_is_ignored_and_a_newer_one_moves_the_item() {
    let mut tree = grown(&[ArchivedItem { change: 5, ..item(1, "A.jpg", "2020-05-06T07:08:09", b"a") }]);
    let was = tree.paths();
    let changes = tree.apply([ArchivedItem { change: 4, ..item(1, "OLD.jpg", "2001-01-01T00:00:00", b"a") }]);
    assert_eq!(tree.paths(), was);
    assert!(changes.directories.is_empty() && changes.removed.is_empty());
    let month = tree.leaves("by-date")[0].path.clone();
    assert_eq!(month, "by-date/2020/2020-05/A.jpg");
    let old_month =
        tree.lookup(tree.lookup(tree.lookup(ROOT, "by-date").unwrap().ino, "2020").unwrap().ino, "2020-05");
    let changes = tree.apply([ArchivedItem { change: 6, ..item(1, "A.jpg", "2021-01-01T00:00:00", b"a") }]);
    assert_eq!(tree.leaves("by-date")[0].path, "by-date/2021/2021-01/A.jpg");
    assert!(changes.removed.contains(&(old_month.unwrap().ino, "A.jpg".into())));
    assert!(changes.altered.contains(&part_ino(1, PartRole::Original, 1)), "its time changed");
    assert!(!paths(&tree).iter().any(|path| path.contains("2020")), "empty directories go");
}

#[test]
fn the_same_again_changes_nothing() {
    let parts = [item(1, "A.jpg", "2020-05-06T07:08:09", b"a")];
    let mut tree = grown(&parts);
    let changes = tree.apply(parts.clone());
    assert_eq!(changes, Changes::default());
    tree.begin_reload();
    assert_eq!(tree.apply(parts.clone()), Changes::default());
    assert_eq!(tree.end_reload(), Changes::default());
}

#[test]
fn a_reload_removes_only_what_did_not_come_back_and_only_at_its_end() {
    let at = "2020-05-06T07:08:09";
    let mut tree = grown(&[item(1, "A.jpg", at, b"a"), item(2, "B.jpg", at, b"b")]);
    tree.begin_reload();
    tree.apply([ArchivedItem { change: 1, ..item(2, "B.jpg", at, b"b") }]);
    assert_eq!(names(&tree, "by-date/2020/2020-05"), ["A.jpg", "B.jpg"]);
    tree.end_reload();
    assert_eq!(names(&tree, "by-date/2020/2020-05"), ["B.jpg"]);
    assert_eq!(tree.attr(part_ino(1, PartRole::Original, 1)), None);
    assert_eq!(tree.parts(), 1);
}

#[test]
fn cameras_that_differ_only_in_spelling_share_a_directory_named_by_the_first() {
    let at = "2020-05-06T07:08:09";
    let camera = |ordinal, model: &'static str| ArchivedItem {
        make: Some("OLYMPUS CORPORATION".into()),
        model: Some(model.into()),
        ..item(ordinal, &format!("{ordinal}.jpg"), at, &[ordinal as u8])
    };
    let mut tree = grown(&[camera(1, "E-M5 MARK III"), camera(2, "E-M5MarkIII")]);
    assert_eq!(names(&tree, "by-camera"), ["Olympus E-M5 MARK III"]);
    tree.apply([camera(3, "E-M5MARKIII")]);
    assert_eq!(names(&tree, "by-camera"), ["Olympus E-M5 MARK III"]);
}

#[test]
fn items_without_a_camera_are_found_too() {
    let tree =
        grown(&[ArchivedItem { make: None, model: None, ..item(1, "a.png", "1999-12-31T23:59:59", b"a") }]);
    assert_eq!(names(&tree, "by-camera/Unknown camera/1999"), ["a.png"]);
}

/// Hostile and clashing names, several roles, revisions that move: however it grew, the tree is that of the
/// latest revisions, every name is found, nothing is listed twice, and what the kernel is told is enough.
#[test]
fn the_tree_depends_on_the_latest_revisions_alone() {
    let mut random = fastrand::Rng::with_seed(seed());
    for _ in 0..150 {
        let mut tree = Tree::new(&two(), Realm::Now);
        let mut latest: BTreeMap<u64, ArchivedItem> = BTreeMap::new();
        let mut change = 0;
        for _ in 0..random.u64(1..12) {
            let mut batch: BTreeMap<u64, ArchivedItem> = BTreeMap::new();
            for _ in 0..random.u64(1..10) {
                change += 1;
                let known = latest.len() as u64;
                let ordinal =
                    if random.bool() { known + batch.len() as u64 + 1 } else { random.u64(1..=known + 1) };
                let name = [
                    "IMG_1.jpg",
                    "img_1.JPG",
                    "IMG_1.MOV",
                    "IMG_1-edited.jpg",
                    "IMG_1~b5bb9d80.jpg",
                    "../x",
                    "",
                ][random.usize(..7)];
                let taken =
                    ["2020-05-06T07:08:09", "2020-06-06T07:08:09", "2021-01-01T00:00:00"][random.usize(..3)];
                let mut revision = item(ordinal, name, taken, &[random.u8(..4)]);
                revision.change = change;
                revision.model = Some(["EOS 5D", "D70"][random.usize(..2)].into());
                let other = ["a.jpg", "a.mov", "a"][random.usize(..3)];
                for role in &PartRole::ALL[1..random.usize(1..=3)] {
                    revision.parts.push(part(*role, 1, other, &[random.u8(..4)]));
                }
                batch.insert(ordinal, revision);
            }
            latest.extend(batch.clone());
            let before = tree.paths();
            let changes = tree.apply(batch.into_values());
            let after: BTreeMap<String, u64> = tree.paths().into_iter().collect();
            let by_path: BTreeMap<&str, u64> =
                before.iter().map(|(path, ino)| (path.as_str(), *ino)).collect();
            for (path, ino) in &before {
                if after.get(path) != Some(ino) {
                    let (parent, name) = path.rsplit_once('/').unwrap();
                    let told = changes.removed.contains(&(by_path[parent], name.to_owned()));
                    assert!(told, "nobody said that {path} went: {changes:?}");
                }
            }
        }
        let in_order: Vec<ArchivedItem> = latest.values().cloned().collect();
        let expected = grown(&in_order);
        assert_eq!(tree.paths(), expected.paths());
        assert_eq!(tree.leaves("by-camera"), expected.leaves("by-camera"));
        assert_eq!(tree.parts(), in_order.iter().map(|item| item.parts.len() as u64).sum::<u64>());
        check(&tree);
    }
}

/// Every listed name is found with the listed attributes; listings are sorted and without clashes.
fn check(tree: &Tree) {
    let mut open = vec![ROOT];
    let mut places: BTreeMap<u64, u32> = BTreeMap::new();
    while let Some(ino) = open.pop() {
        let listing = tree.listing(ino).unwrap();
        let entries: Vec<_> = (0..).map_while(|at| entry(tree, &listing, at)).collect();
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
                *places.entry(attr.ino).or_default() += 1;
            }
        }
        assert_eq!(tree.lookup(ino, ".DS_Store"), None);
    }
    for (ino, places) in places {
        assert_eq!(tree.attr(ino).unwrap().links, places, "links are places");
    }
}

/// Name and attributes; without the latter, inode and kind are the same.
fn entry(tree: &Tree, listing: &Listing, at: usize) -> Option<(String, Attr)> {
    let (mut name, mut again) = (String::new(), String::new());
    let attr = tree.entry(listing, at, false, &mut name)?;
    let bare = tree.entry(listing, at, true, &mut again).unwrap();
    assert_eq!((name.as_str(), attr.ino, attr.is_dir), (again.as_str(), bare.ino, bare.is_dir));
    Some((name, attr))
}

#[test]
fn a_listing_stays_as_it_was_while_the_tree_changes() {
    let at = "2020-05-06T07:08:09";
    let mut tree = grown(&[item(2, "B.jpg", at, b"b"), item(3, "C.jpg", at, b"c")]);
    let year = tree.lookup(tree.lookup(ROOT, "by-date").unwrap().ino, "2020").unwrap().ino;
    let month = tree.lookup(year, "2020-05").unwrap();
    let listing = tree.listing(month.ino).unwrap();
    let before: Vec<_> = (2..).map_while(|at| entry(&tree, &listing, at)).collect();
    let changes = tree.apply([item(4, "A.jpg", at, b"a"), item(1, "B.jpg", at, b"x")]);
    let after: Vec<_> = (2..).map_while(|at| entry(&tree, &listing, at)).collect();
    assert_eq!(before, after);
    assert!(changes.removed.contains(&(month.ino, "B.jpg".into())), "another inode has that name now");
    // The clock stood still, the directory's time did not.
    assert!(tree.attr(month.ino).unwrap().mtime > month.mtime);
    assert!(changes.directories.contains(&month.ino));
}
