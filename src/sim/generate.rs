//! Items from a seed: every class of them, and the names that people and malice give.

use super::library::{ALBUMS, DedupForm, Kind, SimItem, key_text};
use super::media::{self, Exif, STOCK};
use super::processing::Processing;
use super::{FileBytes, SimConfig};

const DAY: i64 = 86_400_000;
/// 2004-06-01, where the library begins.
const FIRST_DAY: i64 = 1_086_048_000_000;

/// Those of the names below that end the runs of clients which do well on the real site: a path, the longest
/// name that a file system takes, the folder above, half a character.
const UNSAVABLE: [u64; 4] = [0, 6, 13, 17];

/// Drawn pictures come in three formats.
const FORMATS: usize = 3 + STOCK.len();

/// Names that somebody's camera, or somebody's malice, gave.
fn hostile_name(serial: u64) -> Option<String> {
    let long = format!("{}.jpg", "l".repeat(251));
    let names = [
        "../../etc/passwd",
        "a/b.jpg",
        "CON.jpg",
        "🏔️ Gipfel 🎉.jpg",
        "evil\u{202e}gpj.exe.jpg",
        "nu\u{308}r.jpg",
        &long,
        "100%2e.jpg",
        ".hidden.jpg",
        "two\nlines.jpg",
        "IMG_0001.JPG",
        "img_0001.jpg",
        "IMG_0001.JPG",
        "..",
        " .jpg",
        "tail. ",
        "nul\0byte.jpg",
        "lone\u{fffd}surrogate.jpg",
        "<b>&amp;\"quote\".jpg",
    ];
    names.get(serial as usize).map(|&name| name.to_owned())
}

pub(crate) fn item(config: &SimConfig, serial: u64) -> SimItem {
    let mut random = fastrand::Rng::with_seed(config.seed.wrapping_mul(0x2545_f491).wrapping_add(serial));
    let span = 20 * 365 * DAY;
    let taken_ms = if serial < config.items as u64 {
        FIRST_DAY + (random.i64(0..span) / 1000) * 1000
    } else {
        FIRST_DAY + span + serial as i64 * 60_000
    };
    let zone_ms = [0, 3_600_000, 7_200_000, -28_800_000, 32_400_000][random.usize(..5)];
    let fixed = matches!(config.file_bytes, FileBytes::Fixed(_) | FileBytes::About(_));
    let dice = random.u32(..100);
    let kind = match dice {
        _ if fixed => Kind::Jpeg,
        _ if config.file_bytes == FileBytes::EachFormat => match serial as usize % FORMATS {
            0 => Kind::Jpeg,
            1 => Kind::Png,
            2 => Kind::WebP,
            stock => Kind::Stock(stock - 3),
        },
        0..=77 => Kind::Jpeg,
        78..=80 => Kind::Png,
        81..=82 => Kind::WebP,
        83..=87 => Kind::Stock(0),
        88..=91 => Kind::Stock(1),
        92..=93 => Kind::Stock(2),
        _ => Kind::Stock(3 + random.usize(..STOCK.len() - 3)),
    };
    let jpeg = kind == Kind::Jpeg && !fixed;
    let special = random.u32(..100);
    let local = super::wall_clock(taken_ms, zone_ms);
    let extension = match kind {
        Kind::Jpeg => "jpg",
        Kind::Png => "png",
        Kind::WebP => "webp",
        Kind::Stock(n) => STOCK[n].extension,
    };
    let live = jpeg && (4..9).contains(&special);
    let savable = config.unsavable_names || !UNSAVABLE.contains(&serial);
    let name = hostile_name(serial).filter(|_| !fixed && savable).unwrap_or_else(|| {
        let stamp = local.strftime("%Y%m%d_%H%M%S");
        match random.u8(..3) {
            0 => format!("IMG_{:04}.{}", 1 + serial % 900, extension.to_uppercase()),
            1 => format!("PXL_{stamp}.{extension}"),
            _ => format!("{stamp}.{extension}"),
        }
    });
    let taken = local.strftime("%Y:%m:%d %H:%M:%S").to_string();
    let exif = match special {
        96.. => None,
        95 => Some(Exif { taken: Some("0000:00:00 00:00:00".into()), ..Exif::default() }),
        _ => Some(Exif {
            camera: Some(random.usize(..media::CAMERAS.len())),
            taken: Some(taken),
            offset: random.bool().then(|| super::offset_text(zone_ms)),
            place: random.bool().then(|| (random.f64() * 120.0 - 60.0, random.f64() * 340.0 - 170.0)),
            orientation: Some(1),
        }),
    };
    let duplicate = jpeg && serial > 40 && special == 10 && !live;
    let bytes_of = if duplicate { serial - 1 - random.u64(..20) } else { serial };
    let mut item = SimItem {
        serial,
        key: key_text(config.own_seed(), serial),
        name,
        kind,
        bytes_of,
        exif,
        taken_ms,
        zone_ms,
        uploaded_ms: taken_ms + random.i64(60_000..40 * DAY),
        favourite: random.u8(..20) == 0,
        archived: random.u8(..25) == 0,
        albums: (0..ALBUMS.len()).filter(|_| random.u8(..8) == 0).collect(),
        live,
        edited: jpeg && (12..15).contains(&special),
        storage_saver: jpeg && (16..18).contains(&special),
        dedup: match special {
            _ if fixed => DedupForm::Plain,
            20 => DedupForm::Suffixed,
            21 => DedupForm::Empty,
            _ => DedupForm::Plain,
        },
        description: (random.u8(..10) == 0)
            .then(|| format!("Note {serial}: \"quoted\", ünïcode ☀️; and </script>")),
        listed: true,
        counter: 17,
        trashed_ms: None,
        partial: false,
        place: (random.u8(..6) == 0).then_some((60.391_263, 5.322_054, "Bergen")),
        shared: None,
        processing: matches!(kind, Kind::Stock(n) if STOCK[n].video)
            .then(|| Processing::of(config.seed, serial, config.processing))
            .flatten(),
    };
    // What Google makes of other photos bears its names.
    let made = match kind {
        Kind::Stock(n) if STOCK[n].extension == "gif" => Some("ANIMATION.gif"),
        Kind::Jpeg if jpeg && special == 30 => Some("COLLAGE.jpg"),
        Kind::Jpeg if jpeg && special == 31 => Some("EFFECTS.jpg"),
        _ => None,
    };
    if let Some(ending) = made.filter(|_| serial > 40) {
        item.name = format!("IMG_{serial:05}-{ending}");
    }
    if duplicate {
        // The very bytes of the earlier item, whatever they are.
        let twin = self::item(config, bytes_of);
        (item.kind, item.exif, item.bytes_of, item.storage_saver) =
            (twin.kind, twin.exif, twin.bytes_of, twin.storage_saver);
    }
    item
}
