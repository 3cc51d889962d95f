//! The files of the simulated library: valid media, each with bytes and Exif of its own.

use super::picture::{Encoding, encoded};

/// Cameras of the simulated family: maker and model as the camera writes them.
pub const CAMERAS: [(&str, &str); 8] = [
    ("Google", "Pixel 7"),
    ("Apple", "iPhone 13 Pro"),
    ("NIKON CORPORATION", "NIKON D70"),
    ("Canon", "Canon EOS 5D"),
    ("samsung", "SM-G991B"),
    ("SONY", "ILCE-7M3"),
    ("FUJIFILM", "X-T30"),
    ("OLYMPUS CORPORATION", "E-M5MarkII"),
];

/// What a drawn JPEG's Exif says.
#[derive(Clone, Debug, Default)]
pub struct Exif {
    /// Index into [`CAMERAS`].
    pub camera: Option<usize>,
    /// `YYYY:MM:DD HH:MM:SS`, as written.
    pub taken: Option<String>,
    /// `+HH:MM`.
    pub offset: Option<String>,
    /// Degrees north and east.
    pub place: Option<(f64, f64)>,
    /// Orientation, 1 to 8.
    pub orientation: Option<u16>,
}

/// A drawn JPEG with Exif.
pub fn jpeg(seed: u64, width: u32, height: u32, quality: u8, exif: Option<&Exif>) -> Vec<u8> {
    let plain = encoded(seed, width, height, Encoding::Jpeg(quality));
    match exif {
        Some(exif) => with_app1(&plain, &exif_block(exif)),
        None => plain,
    }
}

/// A JPEG of exactly `size` bytes (at least 2,000): comment segments of noise before a small picture.
pub fn padded_jpeg(seed: u64, size: u64, exif: &Exif) -> Vec<u8> {
    let small = with_app1(SMALL, &exif_block(exif));
    let mut room = usize::try_from(size).unwrap_or(usize::MAX).saturating_sub(small.len());
    let mut out = Vec::with_capacity(small.len() + room);
    out.extend_from_slice(&small[..2]);
    let mut random = fastrand::Rng::with_seed(seed);
    while room > 4 {
        let mut body = (room - 4).min(65_533 - 2);
        // Never leave a rest too small for a segment header.
        if (1..=4).contains(&(room - 4 - body)) {
            body -= 8;
        }
        out.extend_from_slice(&[0xff, 0xfe]);
        out.extend_from_slice(&u16::try_from(body + 2).unwrap_or(u16::MAX).to_be_bytes());
        let at = out.len();
        out.resize(at + body, 0);
        random.fill(&mut out[at..]);
        room -= body + 4;
    }
    out.extend_from_slice(&small[2..]);
    out
}

/// A tiny picture that the padded files end with.
const SMALL: &[u8] = include_bytes!("../../tests/media/small.jpg");

fn with_app1(jpeg: &[u8], block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len() + 2).unwrap_or(u16::MAX);
    [&jpeg[..2], &[0xff, 0xe1], &length.to_be_bytes()[..], block, &jpeg[2..]].concat()
}

/// One entry of an Exif directory.
struct Entry {
    tag: u16,
    kind: u16,
    count: u32,
    data: Vec<u8>,
}

fn text(tag: u16, value: &str) -> Entry {
    let mut data = value.as_bytes().to_vec();
    data.push(0);
    Entry { tag, kind: 2, count: data.len() as u32, data }
}

fn long(tag: u16, value: u32) -> Entry {
    Entry { tag, kind: 4, count: 1, data: value.to_le_bytes().to_vec() }
}

fn degrees(tag: u16, value: f64) -> Entry {
    let seconds = (value.abs() * 3600.0 * 100.0).round() as u32;
    let parts = [(seconds / 360_000, 1), (seconds / 6000 % 60, 1), (seconds % 6000, 100)];
    let data =
        parts.iter().flat_map(|&(n, d): &(u32, u32)| [n.to_le_bytes(), d.to_le_bytes()].concat()).collect();
    Entry { tag, kind: 5, count: 3, data }
}

/// An Exif block with its `Exif\0\0` header.
fn exif_block(exif: &Exif) -> Vec<u8> {
    let mut main = Vec::new();
    if let Some((make, model)) = exif.camera.map(|n| CAMERAS[n % CAMERAS.len()]) {
        main.push(text(0x010f, make));
        main.push(text(0x0110, model));
    }
    if let Some(orientation) = exif.orientation {
        main.push(Entry { tag: 0x0112, kind: 3, count: 1, data: orientation.to_le_bytes().to_vec() });
    }
    let mut details = Vec::new();
    if let Some(taken) = &exif.taken {
        details.push(text(0x9003, taken));
    }
    if let Some(offset) = &exif.offset {
        details.push(text(0x9011, offset));
    }
    let place: Vec<Entry> = exif
        .place
        .map(|(north, east)| {
            vec![
                text(1, if north < 0.0 { "S" } else { "N" }),
                degrees(2, north),
                text(3, if east < 0.0 { "W" } else { "E" }),
                degrees(4, east),
            ]
        })
        .unwrap_or_default();
    // Directory sizes are known beforehand: the pointers only need the order.
    let pointers = usize::from(!details.is_empty()) + usize::from(!place.is_empty());
    let main_size = directory_size(&main) + 12 * pointers;
    let details_at = 8 + main_size;
    let place_at = details_at + if details.is_empty() { 0 } else { directory_size(&details) };
    if !details.is_empty() {
        main.push(long(0x8769, details_at as u32));
    }
    if !place.is_empty() {
        main.push(long(0x8825, place_at as u32));
    }
    let mut out = b"Exif\0\0II*\0\x08\0\0\0".to_vec();
    write_directory(&mut out, &main, 8);
    if !details.is_empty() {
        write_directory(&mut out, &details, details_at);
    }
    if !place.is_empty() {
        write_directory(&mut out, &place, place_at);
    }
    out
}

fn directory_size(entries: &[Entry]) -> usize {
    let beside: usize =
        entries.iter().filter(|e| e.data.len() > 4).map(|e| e.data.len().next_multiple_of(2)).sum();
    2 + entries.len() * 12 + 4 + beside
}

fn write_directory(out: &mut Vec<u8>, entries: &[Entry], at: usize) {
    let mut beside = Vec::new();
    let beside_at = at + 2 + entries.len() * 12 + 4;
    out.extend_from_slice(&(entries.len() as u16).to_le_bytes());
    for entry in entries {
        out.extend_from_slice(&entry.tag.to_le_bytes());
        out.extend_from_slice(&entry.kind.to_le_bytes());
        out.extend_from_slice(&entry.count.to_le_bytes());
        if entry.data.len() > 4 {
            out.extend_from_slice(&((beside_at + beside.len()) as u32).to_le_bytes());
            beside.extend_from_slice(&entry.data);
            if beside.len() % 2 == 1 {
                beside.push(0);
            }
        } else {
            let mut inline = entry.data.clone();
            inline.resize(4, 0);
            out.extend_from_slice(&inline);
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&beside);
}

/// A stock file that is no drawn picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stock {
    /// File name extension.
    pub extension: &'static str,
    /// Media type that the server claims.
    pub media_type: &'static str,
    /// A video.
    pub video: bool,
    bytes: &'static [u8],
}

macro_rules! stock {
    ($file:literal, $extension:literal, $type:literal, $video:literal) => {
        Stock {
            extension: $extension,
            media_type: $type,
            video: $video,
            bytes: include_bytes!(concat!("../../tests/media/", $file)),
        }
    };
}

/// All stock files.
pub const STOCK: [Stock; 11] = [
    stock!("heic_exif.heic", "HEIC", "image/heif", false),
    stock!("mp4_utc.mp4", "mp4", "video/mp4", true),
    stock!("mov_apple_keys.mov", "MOV", "video/quicktime", true),
    stock!("mp4_android_keys.mp4", "mp4", "video/mp4", true),
    stock!("3gp_old_phone.3gp", "3gp", "video/3gpp", true),
    stock!("webm_date.webm", "webm", "video/webm", true),
    stock!("mkv_date.mkv", "mkv", "video/x-matroska", true),
    stock!("gif_xmp.gif", "gif", "image/gif", false),
    stock!("tiff_exif.tif", "tif", "image/tiff", false),
    stock!("avif_exif.avif", "avif", "image/avif", false),
    stock!("arw_synth.ARW", "ARW", "image/x-sony-arw", false),
];

/// The video half of a Live Photo.
pub const LIVE: Stock = stock!("IMG_2927.MOV", "MOV", "video/quicktime", true);

impl Stock {
    /// The file with a serial number in a place where readers skip it.
    pub fn numbered(&self, serial: u64) -> Vec<u8> {
        let number = serial.to_be_bytes();
        let mut out = self.bytes.to_vec();
        match self.extension {
            // A comment before the trailer.
            "gif" => {
                out.pop();
                out.extend_from_slice(&[0x21, 0xfe, 16]);
                out.extend_from_slice(format!("{serial:016x}").as_bytes());
                out.extend_from_slice(&[0, 0x3b]);
            }
            // A void element after the segment.
            "webm" | "mkv" => {
                out.extend_from_slice(&[0xec, 0x88]);
                out.extend_from_slice(&number);
            }
            // Bytes that no directory points to.
            "tif" | "ARW" => out.extend_from_slice(&number),
            // A free box at the end.
            _ => {
                out.extend_from_slice(&16_u32.to_be_bytes());
                out.extend_from_slice(b"free");
                out.extend_from_slice(&number);
            }
        }
        out
    }
}
