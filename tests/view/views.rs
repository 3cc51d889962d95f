//! The shipped views, each with what belongs there; and the views as they were.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use shoebox::model::{
    AlbumKind, ArchivedAlbum, ArchivedItem, Creation, ItemState, MediaKey, Origin, PartRole,
};
use shoebox::view::layout::{View, parse, shipped};
use shoebox::view::source::{load, load_past};
use shoebox::view::tree::{Realm, part_ino};
use shoebox::view::{News, Source, Tree};

use super::support::{Library, album, item, part};

const AT: &str = "2020-05-06T07:08:09";

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn files(tree: &Tree, view: &str) -> Vec<String> {
    let prefix = format!("{view}/");
    tree.leaves(view).into_iter().map(|leaf| leaf.path.strip_prefix(&prefix).unwrap().to_owned()).collect()
}

fn ordinals(albums: &[ArchivedAlbum]) -> HashMap<MediaKey, u64> {
    let keys = albums.iter().flat_map(|album| &album.revisions).flat_map(|revision| &revision.items);
    keys.map(|key| (key.clone(), key.as_str().strip_prefix("AF1QipKey").unwrap().parse().unwrap())).collect()
}

fn grown(items: &[ArchivedItem], albums: &[ArchivedAlbum]) -> Tree {
    let mut tree = Tree::new(&shipped(), Realm::Now);
    tree.apply(items.to_vec());
    tree.apply_albums(albums, &ordinals(albums));
    tree
}

#[test]
fn every_shipped_view_shows_what_belongs_there() {
    let amsterdam = Some((52.3702, 4.8952));
    let items = [
        ArchivedItem {
            favourite: true,
            position: amsterdam,
            lens: Some("EF 50mm".into()),
            ..item(1, "A.jpg", AT, b"1")
        },
        ArchivedItem { archived: true, date_conflict: true, ..item(2, "B.CR2", "2020-05-07T00:00:00", b"2") },
        ArchivedItem {
            state: ItemState::Gone,
            media_type: Some("video/mp4".into()),
            ..item(3, "C.mp4", AT, b"3")
        },
        ArchivedItem { creation: Some(Creation::Animation), ..item(4, "D-ANIMATION.gif", AT, b"4") },
        ArchivedItem { make: None, model: None, ..item(5, "Screenshot_2020.png", AT, b"5") },
        ArchivedItem {
            parts: vec![
                part(PartRole::Original, 1, "L.HEIC", b"6"),
                part(PartRole::Edited, 1, "L.jpg", b"6e"),
                part(PartRole::Motion, 1, "L.MOV", b"6m"),
            ],
            ..item(6, "L.HEIC", AT, b"6")
        },
        ArchivedItem { foreign: true, owner: Some("AF1QOther".into()), ..item(7, "S.jpg", AT, b"7") },
        ArchivedItem {
            account: "1002".into(),
            origin: Some(Origin::Scanner),
            ..item(8, "what: \"this\"?.jpg", AT, b"8")
        },
    ];
    let mut shared = album("AF1QipShared", "Their trip", &[&[7]]);
    shared.revisions[0].kind = AlbumKind::Shared;
    shared.revisions[0].owner = Some("AF1QOther".into());
    let mut tree = grown(&items, &[album("AF1QipOwn", "Trip", &[&[4, 1, 6]]), shared]);
    tree.apply([ArchivedItem {
        added: now() - jiff::SignedDuration::from_hours(24 * 90),
        ..item(9, "A.jpg", AT, b"1")
    }]);
    tree.apply_twins(&[vec![1, 9]]);
    let of = |view: &str| files(&tree, view);

    assert_eq!(of("all")[..2], ["2020/05/06/A.jpg", &format!("2020/05/06/{}", suffixed(&tree, "all", "A~"))]);
    assert_eq!(of("all").len(), 11);
    assert_eq!(of("by-date").len(), 11);
    assert!(of("by-camera").contains(&"Unknown camera/2020/2020-05/Screenshot_2020.png".into()));
    // A scanner is no camera, whatever maker it names.
    let scans: Vec<_> = of("by-camera").into_iter().filter(|path| path.starts_with("Scanner/")).collect();
    assert_eq!(scans, ["Scanner/2020/2020-05/what: \"this\"?.jpg"]);
    assert_eq!(of("date-conflicts"), ["2020/2020-05/B.CR2"]);
    assert_eq!(of("by-lens"), ["EF 50mm/2020/2020-05/A.jpg"]);
    assert_eq!(
        of("by-album"),
        [
            "Trip/00001 D-ANIMATION.gif",
            "Trip/00002 A.jpg",
            "Trip/00003 L-edited.jpg",
            "Trip/00003 L.HEIC",
            "Trip/00003 L.MOV"
        ]
    );
    assert_eq!(of("by-place"), ["Netherlands/Amsterdam/2020-05/A.jpg"]);
    let mut types: BTreeMap<String, usize> = BTreeMap::new();
    for path in of("by-type") {
        *types.entry(path.split('/').next().unwrap().to_owned()).or_default() += 1;
    }
    let expected =
        [("Animations", 1), ("Live", 3), ("Photos", 4), ("Raw", 1), ("Screenshots", 1), ("Videos", 1)];
    assert_eq!(types, expected.map(|(kind, n)| (kind.to_owned(), n)).into());
    assert_eq!(of("by-account").iter().filter(|path| path.starts_with("1002/")).count(), 1);
    assert_eq!(of("favourites"), ["2020/2020-05/A.jpg"]);
    assert_eq!(of("archived"), ["2020/2020-05/B.CR2"]);
    assert_eq!(of("shared"), ["AF1QOther/Their trip/00001 S.jpg"]);
    let twins = of("duplicates");
    assert_eq!(twins.len(), 2);
    assert_eq!(twins[0].split_once('/').unwrap().0.len(), 12);
    assert_eq!(twins[0].split_once('/').unwrap().0, twins[1].split_once('/').unwrap().0);
    assert_eq!(of("not-in-album").len(), 5, "{:?}", of("not-in-album"));
    assert_eq!(of("gone-from-google"), ["2020/2020-05/C.mp4"]);
    assert_eq!(of("recent").len(), 10, "all but the one of 90 days ago");
    assert_eq!(of("edited").len(), 3);
    assert_eq!(of("videos"), ["2020/2020-05/C.mp4"]);
    assert_eq!(of("immich").len(), 10, "each item once: no edited rendition");
    assert!(of("smb").contains(&"2020/2020-05/what： ＂this＂？.jpg".into()));
    assert!(of("photoprism").contains(&"2020/2020-05/what: \"this\"?.jpg".into()));
}

fn suffixed(tree: &Tree, view: &str, begin: &str) -> String {
    let names = files(tree, view).into_iter().filter_map(|path| Some(path.rsplit_once('/')?.1.to_owned()));
    names.into_iter().find(|name| name.starts_with(begin)).unwrap()
}

#[test]
fn what_a_view_leaves_out_or_takes_in_later_renames_nothing() {
    let favourite = |n, name: &str| ArchivedItem { favourite: true, ..item(n, name, AT, &[n as u8]) };
    let mut tree = grown(&[item(1, "A.jpg", AT, b"1"), favourite(2, "A.jpg"), favourite(3, "a.jpg")], &[]);
    let before = files(&tree, "favourites");
    assert_eq!(before.len(), 2);
    // The first becomes a favourite, the second is none any more: the third is called as before.
    tree.apply([
        ArchivedItem { change: 4, ..favourite(1, "A.jpg") },
        ArchivedItem { change: 5, ..item(2, "A.jpg", AT, &[2]) },
    ]);
    let after = files(&tree, "favourites");
    assert!(after.contains(&"2020/2020-05/A.jpg".into()));
    let third = before.iter().find(|name| name.contains("/a~")).unwrap();
    assert!(after.contains(third), "{before:?} {after:?}");
    // And so it is after a restart.
    let again = grown(&[favourite(1, "A.jpg"), item(2, "A.jpg", AT, &[2]), favourite(3, "a.jpg")], &[]);
    assert_eq!(files(&again, "favourites"), after);
}

#[test]
fn an_album_grows_shrinks_and_is_renamed_without_moving_what_stays() {
    let items: Vec<ArchivedItem> = (1..=6).map(|n| item(n, &format!("{n}.jpg"), AT, &[n as u8])).collect();
    let one = album("AF1QipA", "Trip", &[&[1, 2, 3]]);
    let mut tree = grown(&items, std::slice::from_ref(&one));
    let before = tree.leaves("by-album");
    let two = album("AF1QipA", "Trip", &[&[1, 2, 3], &[5, 1, 4, 3, 6]]);
    let changes = tree.apply_albums(std::slice::from_ref(&two), &ordinals(std::slice::from_ref(&two)));
    assert_eq!(
        files(&tree, "by-album"),
        [
            "Trip/00000.5 5.jpg",
            "Trip/00001 1.jpg",
            "Trip/00002 4.jpg",
            "Trip/00003 3.jpg",
            "Trip/00004 6.jpg"
        ]
    );
    // Others left the view of what is in no album.
    let gone: Vec<&String> =
        changes.removed.iter().map(|(_, name)| name).filter(|name| name.contains(' ')).collect();
    assert_eq!(gone, ["00002 2.jpg"], "what stays is not told");
    let after = tree.leaves("by-album");
    for leaf in before.iter().filter(|leaf| !leaf.path.ends_with("2.jpg")) {
        assert!(after.contains(leaf), "{} moved", leaf.path);
    }
    assert_eq!(tree.paths(), grown(&items, std::slice::from_ref(&two)).paths());
    // Another album of that title gets a directory of its own, also after the first was renamed.
    let mut three = two.clone();
    three.revisions.push(two.revisions[1].clone());
    three.revisions[2].title = "Journey".into();
    let mut other = album("AF1QipB", "TRIP", &[&[6]]);
    other.revisions[0].since = now() + jiff::SignedDuration::from_secs(1000);
    let changes =
        tree.apply_albums(&[three.clone(), other.clone()], &ordinals(&[three.clone(), other.clone()]));
    // One is in two albums now: of that file alone the number of links is another.
    assert_eq!(changes.relinked, [part_ino(6, PartRole::Original, 1)].into());
    let folders: std::collections::BTreeSet<String> =
        files(&tree, "by-album").iter().map(|path| path.split('/').next().unwrap().to_owned()).collect();
    let folders: Vec<String> = folders.into_iter().collect();
    assert_eq!(folders.len(), 2);
    assert_eq!(folders[0], "Journey");
    assert!(folders[1].starts_with("TRIP~"), "{folders:?}");
    assert_eq!(tree.paths(), grown(&items, &[three, other]).paths());
}

#[test]
fn an_item_that_is_archived_after_its_album_finds_its_place() {
    let album = album("AF1QipA", "Trip", &[&[1, 2]]);
    let known = ordinals(std::slice::from_ref(&album)).into_iter().filter(|(_, n)| *n == 1).collect();
    let mut tree = Tree::new(&shipped(), Realm::Now);
    tree.apply([item(1, "1.jpg", AT, b"1")]);
    tree.apply_albums(std::slice::from_ref(&album), &known);
    assert_eq!(files(&tree, "by-album"), ["Trip/00001 1.jpg"]);
    tree.apply([item(2, "2.jpg", AT, b"2")]);
    assert_eq!(files(&tree, "by-album"), ["Trip/00001 1.jpg", "Trip/00002 2.jpg"]);
    assert!(!files(&tree, "not-in-album").iter().any(|path| path.contains("2.jpg")));
}

#[test]
fn two_facts_that_are_written_alike_have_two_directories() {
    let views: Vec<View> = parse("shipped = false\n[view]\na = \"{lens}/{name}\"").unwrap();
    let lens =
        |n, lens: &'static str| ArchivedItem { lens: Some(lens.into()), ..item(n, "x.jpg", AT, &[n as u8]) };
    let mut tree = Tree::new(&views, Realm::Now);
    tree.apply([lens(1, "a/b"), lens(2, "a_b"), lens(3, "A_B")]);
    let paths = files(&tree, "a");
    assert_eq!(paths.len(), 3);
    assert_eq!(paths[0], "a_b/x.jpg");
    assert!(paths[1..].iter().all(|path| path.starts_with("a_b~2/")), "{paths:?}");
}

#[test]
fn the_past_is_shown_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let library = Library::new(dir.path());
    let at = |day: &str| format!("{day}T12:00:00Z").parse::<Timestamp>().unwrap();
    let first = ArchivedItem {
        since: at("2026-03-01"),
        added: at("2026-03-01"),
        favourite: true,
        ..item(1, "A.jpg", AT, b"1")
    };
    library.add(first.clone(), b"1");
    let mut edited = ArchivedItem { since: at("2026-03-05"), favourite: false, ..first };
    edited.parts.push(part(PartRole::Edited, 1, "A.jpg", b"1e"));
    library.add(edited, b"1e");
    let second =
        ArchivedItem { since: at("2026-03-03"), added: at("2026-03-03"), ..item(2, "B.jpg", AT, b"2") };
    library.add(ArchivedItem { since: at("2026-03-06"), state: ItemState::Gone, ..second.clone() }, b"2");
    library.held.lock().unwrap().items.insert(2, ArchivedItem { change: 3, ..second });
    library.held.lock().unwrap().items[3].change = 4;
    let mut trip = album("AF1QipA", "Trip", &[&[1], &[1, 2]]);
    trip.revisions[0].since = at("2026-03-02");
    trip.revisions[1].since = at("2026-03-04");
    library.held.lock().unwrap().albums.push(trip);
    let on = |day: &str| load_past(library.source().as_mut(), &shipped(), day.parse().unwrap()).unwrap();

    assert_eq!(files(&on("2026-02-28"), "by-date"), [""; 0]);
    assert_eq!(files(&on("2026-03-01"), "by-date"), ["2020/2020-05/A.jpg"]);
    assert_eq!(files(&on("2026-03-01"), "favourites"), ["2020/2020-05/A.jpg"]);
    assert_eq!(files(&on("2026-03-01"), "by-album"), [""; 0]);
    assert_eq!(files(&on("2026-03-02"), "by-album"), ["Trip/00001 A.jpg"]);
    assert_eq!(files(&on("2026-03-03"), "by-date").len(), 2);
    assert_eq!(files(&on("2026-03-04"), "by-album"), ["Trip/00001 A.jpg", "Trip/00002 B.jpg"]);
    assert_eq!(files(&on("2026-03-04"), "edited"), [""; 0]);
    assert_eq!(files(&on("2026-03-05"), "edited").len(), 2);
    assert_eq!(files(&on("2026-03-05"), "favourites"), [""; 0]);
    assert_eq!(files(&on("2026-03-05"), "gone-from-google"), [""; 0]);
    let last = on("2026-03-06");
    assert_eq!(files(&last, "gone-from-google"), ["2020/2020-05/B.jpg"]);
    let today = load(library.source().as_mut(), &shipped()).unwrap();
    assert_eq!(today.leaves("by-date"), last.leaves("by-date"), "a file is the same file then and now");
    assert_eq!(library.source().days().unwrap().len(), 4);
}

/// What somebody's library is called, as the archive records it.
fn called(account: &str, names: &[&str]) -> ArchivedAlbum {
    let revisions: Vec<&[u64]> = names.iter().map(|_| &[][..]).collect();
    let mut library = album(&format!("library-{account}"), "", &revisions);
    for (revision, name) in library.revisions.iter_mut().zip(names) {
        revision.kind = AlbumKind::Library;
        revision.owner = Some(account.to_owned());
        revision.title = (*name).to_owned();
    }
    library
}

#[test]
fn what_two_people_have_is_shown_once_where_all_are_together() {
    let of = |account: &str, item: ArchivedItem| ArchivedItem { account: account.to_owned().into(), ..item };
    let anna = item(1, "A.jpg", AT, b"1");
    let ben = of("1002", item(2, "IMG_7.jpg", AT, b"1"));
    let mut tree = grown(&[anna.clone(), ben.clone()], &[]);
    tree.apply_twins(&tree.twins());
    let by = |tree: &Tree, view: &str| files(tree, view);
    assert_eq!(by(&tree, "by-date"), ["2020/2020-05/A.jpg"]);
    assert_eq!(by(&tree, "by-account"), ["1001/2020/2020-05/A.jpg", "1002/2020/2020-05/IMG_7.jpg"]);
    assert!(by(&tree, "duplicates").is_empty());

    // Whoever says more of it is shown: an edit, another date, a place.
    let edit = |part_of: &ArchivedItem, change: u64| ArchivedItem {
        change,
        parts: vec![part_of.parts[0].clone(), part(PartRole::Edited, 1, "IMG_7.jpg", b"1e")],
        ..part_of.clone()
    };
    for (change, more) in [
        (10, edit(&ben, 10)),
        (20, of("1002", ArchivedItem { change: 20, ..item(2, "IMG_7.jpg", "2019-01-01T00:00:00", b"1") })),
        (30, ArchivedItem { change: 30, position: Some((52.3702, 4.8952)), ..ben.clone() }),
        (40, of("1002", ArchivedItem { change: 40, ..item(2, "IMG_7.jpg", AT, b"other") })),
    ] {
        tree.apply([more]);
        tree.apply_twins(&tree.twins());
        assert!(by(&tree, "by-date").len() > 1, "{change}: {:?}", by(&tree, "by-date"));
        tree.apply([ArchivedItem { change: change + 1, ..ben.clone() }]);
        tree.apply_twins(&tree.twins());
        assert_eq!(by(&tree, "by-date"), ["2020/2020-05/A.jpg"], "{change}");
    }
    // The one that stood for both has other bytes now.
    tree.apply([ArchivedItem { change: 50, ..item(1, "A.jpg", AT, b"new") }]);
    assert_eq!(by(&tree, "by-date"), ["2020/2020-05/A.jpg", "2020/2020-05/IMG_7.jpg"]);
}

#[test]
fn whatever_changes_hides_no_bytes_and_comes_to_what_loading_shows() {
    let mut random = fastrand::Rng::with_seed(super::support::seed());
    // With those that ask for what changes beside the items: albums, and what accounts are called.
    let views = parse(
        "[view.hers]\npath = '{year}/{name}'\nshow = 'account = \"Anna\"'\n\
         [view.in-t]\npath = '{year}/{year}-{month}/{name}'\nshow = 'album = \"T\"'\n\
         [view.loose]\npath = '{year}/{year}-{month}/{name}'\nshow = 'not in-album'\n\
         [view.each]\npath = '{account}/{album}/{position} {name}'\n",
    )
    .unwrap();
    for _ in 0..60 {
        let dir = tempfile::tempdir().unwrap();
        let library = Library::new(dir.path());
        let mut tree = Tree::new(&views, Realm::Now);
        let mut albums: BTreeMap<u8, ArchivedAlbum> = BTreeMap::new();
        let mut source = library.source();
        for step in 0..40_u64 {
            let ordinal = random.u64(1..9);
            let bytes = [b"a", b"b", b"c"][random.usize(..3)];
            let mut new = item(ordinal, &format!("{}.jpg", random.u8(1..4)), AT, bytes);
            new.account = ["1001", "1002", "local"][(ordinal % 3) as usize].into();
            if random.u8(..4) == 0 {
                new.taken.local = "2019-01-01T00:00:00".parse().unwrap();
            }
            if random.u8(..4) == 0 {
                new.parts.push(part(PartRole::Edited, 1, "e.jpg", [&b"e1"[..], b"e2"][random.usize(..2)]));
            }
            library.add(new, bytes);
            if step % 5 == 0 {
                let account = ["1001", "1002"][random.usize(..2)];
                let name = ["Anna", "Ben", "1001"][random.usize(..3)];
                library.held.lock().unwrap().albums.push(called(account, &[name]));
            }
            if random.u8(..3) == 0 {
                let title = ["T", "t", "U"][random.usize(..3)];
                let items: Vec<u64> = (1..9).filter(|_| random.u8(..3) == 0).collect();
                let number = random.u8(..3);
                let mut new = album(&format!("AF1QipAlbum{number}"), title, &[&items]);
                let own =
                    albums.entry(number).or_insert(ArchivedAlbum { revisions: Vec::new(), ..new.clone() });
                new.revisions[0].since += jiff::SignedDuration::from_secs(step.cast_signed());
                own.revisions.append(&mut new.revisions);
                library.held.lock().unwrap().albums.push(own.clone());
            }
            if let News::Some(items, rest) = source.news().unwrap() {
                tree.apply(items);
                shoebox::view::source::add_rest(&mut tree, &rest);
            }
            let loaded = load(&mut *library.source(), &views).unwrap();
            let all = |tree: &Tree| -> Vec<_> {
                let leaves = views.iter().flat_map(|view| tree.leaves(&view.name));
                let mut all: Vec<_> =
                    leaves.map(|leaf| (leaf.path, leaf.attr.ino, leaf.attr.links, leaf.sha256)).collect();
                all.sort();
                all
            };
            assert_eq!(tree.parts(), loaded.parts(), "after {step}");
            let (grown, loaded) = (all(&tree), all(&loaded));
            let differing: Vec<_> = grown
                .iter()
                .filter(|leaf| !loaded.contains(leaf))
                .chain(loaded.iter().filter(|leaf| !grown.contains(leaf)))
                .collect();
            assert!(differing.is_empty(), "after {step}: {differing:?}");
            let shown = |view: &str| -> std::collections::BTreeSet<_> {
                tree.leaves(view).into_iter().map(|leaf| leaf.sha256).collect()
            };
            assert_eq!(shown("by-date"), shown("by-account"), "after {step}: bytes are hidden");
        }
    }
}

#[test]
fn an_account_has_the_name_that_it_was_given_last() {
    let items =
        [item(1, "A.jpg", AT, b"1"), ArchivedItem { account: "1002".into(), ..item(2, "B.jpg", AT, b"2") }];
    let mut tree = grown(&items, &[called("1001", &["Anna"])]);
    assert_eq!(files(&tree, "by-account"), ["1002/2020/2020-05/B.jpg", "Anna/2020/2020-05/A.jpg"]);
    // Two of one name stay apart.
    tree.apply_albums(&[called("1002", &["anna"])], &HashMap::new());
    assert_eq!(files(&tree, "by-account"), ["1002/2020/2020-05/B.jpg", "Anna/2020/2020-05/A.jpg"]);
    let changes = tree.apply_albums(&[called("1001", &["Anna", "Cleo"])], &HashMap::new());
    assert!(!changes.removed.is_empty());
    let mut now = files(&tree, "by-account");
    now.sort();
    assert_eq!(now, ["Cleo/2020/2020-05/A.jpg", "anna/2020/2020-05/B.jpg"]);
    assert!(files(&tree, "by-album").is_empty());
    // A condition may name it, or Google's number of it.
    for whose in ["cleo", "1001"] {
        let views = parse(&format!(
            "shipped = false\n[view.hers]\npath = '{{name}}'\nshow = 'account = \"{whose}\"'"
        ))
        .unwrap();
        let mut tree = Tree::new(&views, Realm::Now);
        tree.apply_albums(&[called("1001", &["Cleo"])], &HashMap::new());
        tree.apply(items.to_vec());
        assert_eq!(files(&tree, "hers"), ["A.jpg"], "{whose}");
    }
}
