//! Files that are made here, each for what one reader must not miss.

use shoebox::media::inspect;
use shoebox::model::MediaFacts;

use super::bytes;

/// A box: its length, its name, what is in it.
fn part(name: &[u8; 4], inside: &[&[u8]]) -> Vec<u8> {
    let body = inside.concat();
    let length = u32::try_from(8 + body.len()).unwrap();
    [&length.to_be_bytes()[..], name, &body].concat()
}

/// A film's head: made at noon UTC of 2020-05-06, so many thousandths of a second long.
fn head(length: u32) -> Vec<u8> {
    // Seconds since 1904.
    let made = (1_588_766_400_u32 + 2_082_844_800).to_be_bytes();
    part(b"mvhd", &[&[0; 4], &made, &made, &1000_u32.to_be_bytes(), &length.to_be_bytes(), &[0; 80]])
}

fn film(inside: &[&[u8]]) -> MediaFacts {
    let file = [part(b"ftyp", &[b"mp42\0\0\0\0mp42"]), part(b"moov", inside)].concat();
    inspect(&file, "")
}

/// Canon's own name for its boxes.
const CANON: &[u8] =
    &[0x85, 0xc0, 0xb6, 0x87, 0x82, 0x0f, 0x11, 0xe0, 0x81, 0x11, 0xf4, 0xce, 0x46, 0x2b, 0x6a, 0x48];

#[test]
fn the_clock_of_old_action_cameras_is_the_walls_and_of_new_ones_utc() {
    for (firmware, offset_s) in [
        (&b"HD8.01.02.51.00"[..], None),
        (b"H21.01.01.50.00", None),
        (b"H22.01.01.10.00", Some(0)),
        (b"H31.01.01.10.00", Some(0)),
    ] {
        let facts = film(&[&head(5000), &part(b"udta", &[&part(b"FIRM", &[firmware])])]);
        let taken = facts.taken.unwrap();
        assert_eq!((taken.local.to_string().as_str(), taken.offset_s), ("2020-05-06T12:00:00", offset_s));
        assert_eq!((facts.make.as_deref(), facts.duration_ms), (Some("GoPro"), Some(5000)));
    }
}

#[test]
fn the_phones_own_zone_moves_the_clock_of_the_container() {
    let key = b"com.samsung.android.utc_offset";
    let keys = part(
        b"keys",
        &[&[0, 0, 0, 0, 0, 0, 0, 1], &u32::try_from(8 + key.len()).unwrap().to_be_bytes(), b"mdta", key],
    );
    let value = part(b"data", &[&[0, 0, 0, 1, 0, 0, 0, 0], b"+0900"]);
    let list = part(b"ilst", &[&part(&[0, 0, 0, 1], &[&value])]);
    let meta = part(b"meta", &[&[0; 4], &part(b"hdlr", &[&[0; 24]]), &keys, &list]);
    let taken = film(&[&head(5000), &meta]).taken.unwrap();
    assert_eq!((taken.local.to_string().as_str(), taken.offset_s), ("2020-05-06T21:00:00", Some(32_400)));
}

#[test]
fn canons_small_picture_tells_the_camera_wherever_it_lies() {
    let picture = part(b"CNTH", &[&part(b"CNDA", &[&bytes("jpg_full_offset_gps.jpg")])]);
    let own = inspect(&bytes("jpg_full_offset_gps.jpg"), "");
    for place in [part(b"udta", &[&picture]), part(b"uuid", &[CANON, &picture])] {
        let facts = film(&[&head(5000), &place]);
        assert_eq!((&facts.make, &facts.model, facts.taken), (&own.make, &own.model, own.taken));
        assert_eq!(facts.width, None, "that of the small picture");
    }
}

#[test]
fn a_film_in_pieces_tells_its_length_elsewhere() {
    let pieces = part(b"mvex", &[&part(b"mehd", &[&[0; 4], &7000_u32.to_be_bytes()])]);
    for length in [0, u32::MAX] {
        assert_eq!(film(&[&head(length), &pieces]).duration_ms, Some(7000));
    }
    assert_eq!(film(&[&head(5000), &pieces]).duration_ms, Some(5000));
}

#[test]
fn a_heic_without_exif_is_turned_as_it_says() {
    let size = part(b"ispe", &[&[0; 4], &40_u32.to_be_bytes(), &30_u32.to_be_bytes()]);
    let tile = part(b"ispe", &[&[0; 4], &512_u32.to_be_bytes(), &512_u32.to_be_bytes()]);
    for (turned, orientation) in [(0, None), (1, Some(8)), (2, Some(3)), (3, Some(6))] {
        let container = part(b"ipco", &[&tile, &size, &part(b"irot", &[&[turned]])]);
        // Item 1 has the second and the third of these.
        let of = part(b"ipma", &[&[0; 4], &1_u32.to_be_bytes(), &[0, 1, 2, 0x82, 3]]);
        let inside = [part(b"pitm", &[&[0, 0, 0, 0, 0, 1]]), part(b"iprp", &[&container, &of])].concat();
        let file = [part(b"ftyp", &[b"heic\0\0\0\0mif1heic"]), part(b"meta", &[&[0; 4], &inside])].concat();
        let facts = inspect(&file, "");
        assert_eq!((facts.width, facts.height, facts.orientation), (Some(40), Some(30), orientation));
    }
}

#[test]
fn an_avi_of_more_than_a_gigabyte_is_as_long_as_its_stream() {
    let chunk = |name: &[u8; 4], body: &[u8]| {
        [&name[..], &u32::try_from(body.len()).unwrap().to_le_bytes(), body].concat()
    };
    let numbers = |values: &[u32]| values.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    // A tenth of a second each; ten of them in the first part, a hundred in all.
    let avih = chunk(b"avih", &numbers(&[100_000, 0, 0, 0, 10, 0, 1, 0, 320, 240, 0, 0, 0, 0]));
    let stream = [b"vidsMJPG".to_vec(), numbers(&[0, 0, 0, 1, 10, 0, 100, 0, 0, 0])].concat();
    let streams = chunk(b"LIST", &[b"strl".to_vec(), chunk(b"strh", &stream)].concat());
    let list = chunk(b"LIST", &[b"hdrl".to_vec(), avih, streams].concat());
    let file = chunk(b"RIFF", &[b"AVI ".to_vec(), list].concat());
    let facts = inspect(&file, "");
    assert_eq!((facts.duration_ms, facts.width, facts.height), (Some(10_000), Some(320), Some(240)));
}

#[test]
fn segments_of_a_jpeg_between_its_frame_and_its_picture_count() {
    let whole = bytes("jpg_full_offset_gps.jpg");
    let mut at = 2;
    let mut segments = Vec::new();
    while whole[at + 1] != 0xda {
        let end = at + 2 + usize::from(u16::from_be_bytes([whole[at + 2], whole[at + 3]]));
        segments.push(&whole[at..end]);
        at = end;
    }
    // The frame first, what Exif says last.
    segments.sort_by_key(|segment| match segment[1] {
        0xc0..=0xc2 => 0,
        0xe1 => 2,
        _ => 1,
    });
    let file = [&whole[..2], &segments.concat(), &whole[at..]].concat();
    assert_ne!(file, whole);
    assert_eq!(inspect(&file, ""), inspect(&whole, ""));
}
