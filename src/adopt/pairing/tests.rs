//! The names that exports really have.
#![allow(clippy::unwrap_used)]
use super::*;

fn said(title: &str) -> Sidecar {
    Sidecar { title: title.into(), ..Sidecar::default() }
}

/// `original + edited ~ motion < json`, one for each photo; then what is left.
fn shown(files: &[&str], json: &[(&str, &str)]) -> Vec<String> {
    let said: Vec<Sidecar> = json.iter().map(|(_, title)| said(title)).collect();
    let sidecars: Vec<(&str, &Sidecar)> =
        json.iter().zip(&said).map(|((name, _), said)| (*name, said)).collect();
    let Pairs { groups, left } = pair(files, &sidecars);
    let group = |group: Group| {
        let part =
            |mark: &str, at: Option<usize>| at.map_or(String::new(), |at| format!(" {mark} {}", files[at]));
        let about = group.sidecar.map_or(String::new(), |at| format!(" < {}", json[at].0));
        format!("{}{}{}{about}", files[group.original], part("+", group.edited), part("~", group.motion))
    };
    let left = left.into_iter().map(|at| format!("? {}", json[at].0));
    groups.into_iter().map(group).chain(left).collect()
}

/// Every file alone with the JSON beside it, as the title tells nothing.
fn one(file: &str, json: &str) {
    assert_eq!(shown(&[file], &[(json, "")]), [format!("{file} < {json}")]);
}

#[test]
fn a_json_is_found_by_its_name_in_every_form() {
    one("IMG_1.jpg", "IMG_1.jpg.json");
    one("IMG_1.jpg", "IMG_1.jpg.supplemental-metadata.json");
    one("Screenshot_2017-07-05-10-05-26.png", "Screenshot_2017-07-05-10-05-26.png.supplementa.json");
    one("D7157814-D2D5-4A62-AFCE-9CF465CB7D66.jpeg", "D7157814-D2D5-4A62-AFCE-9CF465CB7D66.jpeg.supp.json");
    one(
        "Screenshot_20220207_102421_com.snapchat.android.jpg",
        "Screenshot_20220207_102421_com.snapchat.androi.json",
    );
    one(
        "Urlaub in Knaufspesch in der Schneifel (38).JPG",
        "Urlaub in Knaufspesch in der Schneifel (38).JP.json",
    );
    one("x.jpg", "x.jpg..json");
    one(
        "PXL_20240506_142610305.LONG_EXPOSURE-01.COVER.jpg",
        "PXL_20240506_142610305.LONG_EXPOSURE-01.COVER..json",
    );
    one(
        "PXL_20230809_203449253.LONG_EXPOSURE-02.ORIGINA.jpg",
        "PXL_20230809_203449253.LONG_EXPOSURE-02.ORIGIN.json",
    );
    one(
        "13039_327707840323_537645323_9470255_27214_n(1).jpg",
        "13039_327707840323_537645323_9470255_27214_n.j(1).json",
    );
    one(
        "Backyard_ceremony_wedding_photography_xxxxxxx_m(494).jpg",
        "Backyard_ceremony_wedding_photography_xxxxxxx_(494).json",
    );
    // Lengths are counted in UTF-16, and an emoji is two.
    one(
        "😀😃😄😁😆😅😂🤣🥲☺️😊😇🙂🙃😉😌😍🥰😘😗😙😚😋😛.jpg",
        "😀😃😄😁😆😅😂🤣🥲☺️😊😇🙂🙃😉😌😍🥰😘😗😙😚😋.json",
    );
    // Numbers of the person's own stay where they are.
    one("img_(87).(vacation stuff).lol(87).jpg", "img_(87).(vacation stuff).lol.jpg(87).json");
    one("Negative0-36-35(1).jpg", "Negative0-36-35(1).jpg.supplemental-metadata.json");
    one("Negative0-36-35(1)(1).jpg", "Negative0-36-35(1).jpg.supplemental-metadata(1).json");
    one("FullSizeRender(1)(1).HEIC", "FullSizeRender(1)(1).HEIC.supplemental-metadata.json");
    one("skytree (2).jpg", "skytree (2).jpg.supplemental-metadata.json");
    one("21.12(1).11 - 1", "21.12.11 - 1.supplemental-metadata(1).json");
    one("2013-12-23(1).jpg", "2013-12-23.supplemental-metadata(1).json");
    one("2_25_14 - 15.jpg", "2_25_14 - 15.supplemental-metadata.json");
    one("2021-08-08T15_36_24+02_00.JPEG", "2021-08-08T15_36_24+02_00.JPEG.supplemental-me.json");
    // Numbers stand at the end, or where the file has them.
    one("IMG_3479(1).JPG", "IMG_3479.JPG(1).json");
    one("IMG_3479(1).JPG", "IMG_3479.JPG.supplemental-metadata(1).json");
    one("IMG_3479(12).JPG", "IMG_3479(12).JPG.json");
    // Case, composed letters, names without an extension.
    one("IMG_1.JPG", "IMG_1.jpg.json");
    one("Ma\u{308}rz.jpg", "M\u{e4}rz.jpg.json");
    one("03.03.13 - 1", "03.03.13 - 1.json");
    one("Strand.jpg", "Strand.json");
}

#[test]
fn numbers_keep_equal_names_apart() {
    let files = ["IMG_1.jpg", "IMG_1(1).jpg", "IMG_1(2).jpg"];
    let json = [
        ("IMG_1.jpg(2).json", "IMG_1.jpg"),
        ("IMG_1.jpg.json", "IMG_1.jpg"),
        ("IMG_1.jpg(1).json", "IMG_1.jpg"),
    ];
    assert_eq!(
        shown(&files, &json),
        [
            "IMG_1.jpg < IMG_1.jpg.json",
            "IMG_1(1).jpg < IMG_1.jpg(1).json",
            "IMG_1(2).jpg < IMG_1.jpg(2).json",
        ]
    );
}

#[test]
fn the_title_tells_which_of_two_is_meant() {
    // Two names that are alike for as long as a JSON's name is.
    let (a, b) = (
        "Screenshot_2024-01-14-14-13-33-16_948cd9899890c1",
        "Screenshot_2024-01-14-14-13-33-16_948cd9899890d2",
    );
    let files = [format!("{a}.jpg"), format!("{b}.jpg")];
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let json = [("Screenshot_2024-01-14-14-13-33-16_948cd9899890.json", files[1])];
    assert_eq!(shown(&files, &json), [files[0].to_owned(), format!("{} < {}", files[1], json[0].0)]);
    // A still and a video without extensions in the JSON's name.
    let json = [("IMG_1.json", "IMG_1.mov")];
    assert_eq!(shown(&["IMG_1.jpg", "IMG_1.mov"], &json), ["IMG_1.jpg", "IMG_1.mov < IMG_1.json"]);
    // The name in the archive is another one than the title.
    let json = [("anything.json", "a/b: what?.jpg")];
    assert_eq!(shown(&["a_b_ what_.jpg"], &json), ["a_b_ what_.jpg < anything.json"]);
}

#[test]
fn an_edited_photo_belongs_to_the_one_it_was_made_of() {
    for word in EDITED {
        let edited = format!("IMG_1-{word}.jpg");
        assert_eq!(shown(&["IMG_1.jpg", &edited], &[]), [format!("IMG_1.jpg + {edited}")]);
    }
    let json = [("IMG_1.jpg.json", ""), ("IMG_1.jpg(1).json", "")];
    let files = ["IMG_1.jpg", "IMG_1(1).jpg", "IMG_1-edited(1).jpg", "IMG_1-muokattu.jpg"];
    assert_eq!(
        shown(&files, &json),
        [
            "IMG_1.jpg + IMG_1-muokattu.jpg < IMG_1.jpg.json",
            "IMG_1(1).jpg + IMG_1-edited(1).jpg < IMG_1.jpg(1).json",
        ]
    );
    // A word that nobody has told us of, in a Takeout; and what is none.
    assert_eq!(
        shown(&["IMG_1.jpg", "IMG_1-breytt.jpg"], &json[..1]),
        ["IMG_1.jpg + IMG_1-breytt.jpg < IMG_1.jpg.json"]
    );
    assert_eq!(shown(&["IMG_1.jpg", "IMG_1-breytt.jpg"], &[]), ["IMG_1.jpg", "IMG_1-breytt.jpg"]);
    assert_eq!(
        shown(&["IMG.jpg", "IMG-2.jpg"], &[("IMG.jpg.json", "")]),
        ["IMG.jpg < IMG.jpg.json", "IMG-2.jpg"]
    );
    // Nothing is left of the word but a number; and what Google has made of it.
    let long = "original_1d4caa6f-16c6-4c3d-901b-9387de10e528_P";
    let (file, edited, about) = (
        format!("{long}.jpg"),
        format!("{long}(1).jpg"),
        "original_1d4caa6f-16c6-4c3d-901b-9387de10e528_.json",
    );
    assert_eq!(shown(&[&file, &edited], &[(about, "")]), [format!("{file} + {edited} < {about}")]);
    let made = ["IMG_1.jpg", "IMG_1-EFFECTS.jpg"];
    assert_eq!(shown(&made, &json[..1]), ["IMG_1.jpg < IMG_1.jpg.json", "IMG_1-EFFECTS.jpg"]);
    assert_eq!(shown(&["A~2.jpg", "A~2-edited.jpg", "A.jpg"], &[]), ["A~2.jpg + A~2-edited.jpg", "A.jpg"]);
    assert_eq!(
        shown(&["S_2.png", "S_22-edited.png"], &[("S_2.png.json", "")]),
        ["S_2.png < S_2.png.json", "S_22-edited.png"]
    );
    // Uploaded under such a name, it is a photo of its own.
    let own = [("IMG_1.jpg.json", ""), ("IMG_1-edited.jpg.json", "")];
    assert_eq!(shown(&["IMG_1.jpg", "IMG_1-edited.jpg"], &own).len(), 2);
    // The word is cut with the name.
    let long = "PXL_20220405_090123740.PORTRAIT-01.COVER_1234";
    let (file, edited) = (format!("{long}.jpg"), format!("{long}-ed.jpg"));
    assert_eq!(shown(&[&file, &edited], &[]), [format!("{file} + {edited}")]);
    assert_eq!(shown(&["IMG_1-edited.jpg"], &[]), ["IMG_1-edited.jpg"]);
    // gphotos-cdp has it the other way round.
    assert_eq!(shown(&["IMG_1.jpg", "IMG_1_original.jpg"], &[]), ["IMG_1_original.jpg + IMG_1.jpg"]);
}

#[test]
fn the_moving_half_of_a_photo_is_found() {
    let json = [("IMG_1.HEIC.json", "IMG_1.HEIC")];
    assert_eq!(shown(&["IMG_1.HEIC", "IMG_1.MP4"], &json), ["IMG_1.HEIC ~ IMG_1.MP4 < IMG_1.HEIC.json"]);
    assert_eq!(shown(&["IMG_1.HEIC", "IMG_1_HEVC.MOV"], &[]), ["IMG_1.HEIC ~ IMG_1_HEVC.MOV"]);
    assert_eq!(shown(&["PXL_1.MP", "PXL_1.MP.jpg"], &[]), ["PXL_1.MP.jpg ~ PXL_1.MP"]);
    assert_eq!(shown(&["PXL_1.jpg", "PXL_1.MP"], &[]), ["PXL_1.jpg ~ PXL_1.MP"]);
    assert_eq!(shown(&["PXL_1.MP~2", "PXL_1.MP~2.jpg"], &[]), ["PXL_1.MP~2.jpg ~ PXL_1.MP~2"]);
    assert_eq!(
        shown(&["IMG_1(1).HEIC", "IMG_1(1).MOV", "IMG_1.MOV"], &[]),
        ["IMG_1(1).HEIC ~ IMG_1(1).MOV", "IMG_1.MOV"]
    );
    assert_eq!(shown(&["MVIMG_2018.jpg", "MVIMG_2018"], &[]), ["MVIMG_2018.jpg ~ MVIMG_2018"]);
    let files = ["IMG_2552.HEIC", "IMG_2552.JPG", "IMG_2552.MP4", "IMG_2552(1).MP4"];
    assert_eq!(shown(&files, &[]), ["IMG_2552.HEIC ~ IMG_2552.MP4", "IMG_2552.JPG ~ IMG_2552(1).MP4"]);
    // A video with a JSON of its own is one of its own.
    let both = [("IMG_1.HEIC.json", ""), ("IMG_1.MOV.json", "")];
    assert_eq!(shown(&["IMG_1.HEIC", "IMG_1.MOV"], &both).len(), 2);
}

#[test]
fn what_belongs_to_none_is_told() {
    let json = [("IMG_2.jpg.json", "IMG_2.jpg"), ("IMG_1.jpg(1).json", "IMG_1.jpg")];
    assert_eq!(shown(&["IMG_1.jpg"], &json), ["IMG_1.jpg", "? IMG_2.jpg.json", "? IMG_1.jpg(1).json"]);
}

#[test]
fn thousands_of_names_that_are_alike_are_told_apart() {
    let stem = "Backyard_ceremony_wedding_photography_xxxxxxx_m";
    let number = |n: usize| if n == 0 { String::new() } else { format!("({n})") };
    let files: Vec<String> = (0..5000).map(|n| format!("{stem}{}.jpg", number(n))).collect();
    let json: Vec<String> = (0..5000).map(|n| format!("{}{}.json", &stem[..46], number(n))).collect();
    let said = said("");
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let sidecars: Vec<(&str, &Sidecar)> = json.iter().map(|name| (name.as_str(), &said)).collect();
    let Pairs { groups, left } = pair(&files, &sidecars);
    assert_eq!((groups.len(), left.len()), (5000, 0));
    assert!(groups.iter().all(|group| group.sidecar == Some(group.original)));
    // The same name again and again, as nobody but malice writes it.
    let (files, sidecars) = (vec!["a.jpg"; 20_000], vec![("a.jpg.json", &said); 20_000]);
    assert_eq!(pair(&files, &sidecars).groups.len(), 20_000);
}

#[test]
fn a_number_alone_makes_no_edit() {
    let long = "01D1C847-D498-4814-9F10-6B81D768077B-1050-00000";
    let name = |ending: &str| format!("{long}{ending}");
    let about = |number: &str| format!("{}{number}.json", &long[..46]);
    // Two photos of one name and the video of the second.
    let (files, json) = ([name(".jpg"), name("(1).jpg"), name("(1).mp4")], [about(""), about("(1)")]);
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let json: Vec<(&str, &str)> = json.iter().map(|name| (name.as_str(), "")).collect();
    assert_eq!(
        shown(&files, &json),
        [format!("{} < {}", files[0], json[0].0), format!("{} ~ {} < {}", files[1], files[2], json[1].0)]
    );
    // Names that were never cut.
    let short =
        ["Screenshot_2020-01-02-03-04-05_com.app.jpg", "Screenshot_2020-01-02-03-04-05_com.app(1).jpg"];
    let about = "Screenshot_2020-01-02-03-04-05_com.app.jpg.sup.json";
    assert_eq!(shown(&short, &[(about, "")]), [format!("{} < {about}", short[0]), short[1].to_owned()]);
}

#[test]
fn what_is_guessed_is_marked() {
    let said = said("");
    let pairs = pair(&["Anna.jpg", "Anna-Maria.jpg"], &[("Anna.jpg.json", &said)]);
    assert!(pairs.groups.len() == 1 && pairs.groups[0].is_edit_guess);
    let pairs = pair(&["Anna.jpg", "Anna-edited.jpg"], &[("Anna.jpg.json", &said)]);
    assert!(pairs.groups.len() == 1 && !pairs.groups[0].is_edit_guess);
}
