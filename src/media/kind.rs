//! What kind of file it is, by its first bytes.

use crate::model::ReadAt;

/// Kinds that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// GIF.
    Gif,
    /// WebP.
    WebP,
    /// HEIC and HEIF.
    Heic,
    /// AVIF.
    Avif,
    /// TIFF, and the raw formats built on it.
    Tiff,
    /// Canon CR3.
    Cr3,
    /// Fujifilm RAF.
    Raf,
    /// Windows bitmap.
    Bmp,
    /// MPEG-4.
    Mp4,
    /// QuickTime.
    Mov,
    /// 3GPP.
    ThreeGp,
    /// Matroska.
    Mkv,
    /// WebM.
    WebM,
    /// AVI.
    Avi,
    /// MPEG transport stream, AVCHD among them.
    Mts,
    /// MPEG program stream.
    Mpg,
    /// Zip.
    Zip,
    /// A web page.
    Html,
    /// Something else.
    Unknown,
}

impl Kind {
    /// Media type, where it is known.
    pub fn media_type(self) -> Option<&'static str> {
        Some(match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::WebP => "image/webp",
            Self::Heic => "image/heic",
            Self::Avif => "image/avif",
            Self::Tiff => "image/tiff",
            Self::Cr3 => "image/x-canon-cr3",
            Self::Raf => "image/x-fuji-raf",
            Self::Bmp => "image/bmp",
            Self::Mp4 => "video/mp4",
            Self::Mov => "video/quicktime",
            Self::ThreeGp => "video/3gpp",
            Self::Mkv => "video/x-matroska",
            Self::WebM => "video/webm",
            Self::Avi => "video/x-msvideo",
            Self::Mts => "video/mp2t",
            Self::Mpg => "video/mpeg",
            Self::Zip => "application/zip",
            Self::Html => "text/html",
            Self::Unknown => return None,
        })
    }

    /// A picture.
    pub fn is_still(self) -> bool {
        self.media_type().is_some_and(|t| t.starts_with("image/"))
    }

    /// A video.
    pub fn is_video(self) -> bool {
        self.media_type().is_some_and(|t| t.starts_with("video/"))
    }
}

/// Tells the kind of a file.
pub fn of(bytes: &dyn ReadAt) -> Kind {
    let mut head = [0; 512];
    let mut n = 0;
    while n < head.len() {
        match bytes.read_at(&mut head[n..], n as u64) {
            Ok(0) | Err(_) => break,
            Ok(more) => n += more,
        }
    }
    of_head(&head[..n])
}

fn of_head(head: &[u8]) -> Kind {
    let at = |from: usize, what: &[u8]| head.get(from..).is_some_and(|rest| rest.starts_with(what));
    match () {
        () if at(0, b"\xff\xd8\xff") => Kind::Jpeg,
        () if at(0, b"\x89PNG\r\n\x1a\n") => Kind::Png,
        () if at(0, b"GIF87a") || at(0, b"GIF89a") => Kind::Gif,
        () if at(0, b"RIFF") && at(8, b"WEBP") => Kind::WebP,
        () if at(0, b"RIFF") && at(8, b"AVI ") => Kind::Avi,
        () if at(4, b"ftyp") => of_brand(head),
        () if [&b"moov"[..], b"mdat", b"wide", b"free", b"skip"].iter().any(|box_type| at(4, box_type)) => {
            Kind::Mov
        }
        () if at(0, b"II*\0") || at(0, b"MM\0*") || at(0, b"IIRO") || at(0, b"IIRS") || at(0, b"IIU\0") => {
            Kind::Tiff
        }
        () if at(0, b"FUJIFILMCCD-RAW") => Kind::Raf,
        () if at(0, b"\x1aE\xdf\xa3") => {
            if head.windows(4).take(64).any(|w| w == b"webm") {
                Kind::WebM
            } else {
                Kind::Mkv
            }
        }
        () if at(0, b"\0\0\x01\xba") || at(0, b"\0\0\x01\xb3") => Kind::Mpg,
        () if at(0, b"G") && at(188, b"G") || at(4, b"G") && at(196, b"G") => Kind::Mts,
        () if at(0, b"PK\x03\x04") || at(0, b"PK\x05\x06") => Kind::Zip,
        () if at(0, b"BM") && at(6, &[0; 4]) => Kind::Bmp,
        () if is_html(head) => Kind::Html,
        () => Kind::Unknown,
    }
}

/// By the brands of a `ftyp` box: the major one first, then the compatible ones.
fn of_brand(head: &[u8]) -> Kind {
    let end = head.first_chunk::<4>().map_or(0, |size| u32::from_be_bytes(*size) as usize).min(head.len());
    let major = head.get(8..12).unwrap_or_default();
    let others = head.get(16..end).unwrap_or_default();
    for brand in std::iter::once(major).chain(others.chunks_exact(4)) {
        match brand {
            b"avif" | b"avis" => return Kind::Avif,
            b"heic" | b"heix" | b"hevc" | b"heim" | b"heis" | b"mif1" | b"msf1" => return Kind::Heic,
            b"crx " => return Kind::Cr3,
            b"qt  " => return Kind::Mov,
            [b'3', b'g', ..] => return Kind::ThreeGp,
            b"isom" | b"iso2" | b"iso4" | b"iso5" | b"iso6" | b"mp41" | b"mp42" | b"avc1" | b"M4V "
            | b"MSNV" => {
                return Kind::Mp4;
            }
            _ => {}
        }
    }
    Kind::Mp4
}

fn is_html(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head).trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    ["<!doctype html", "<html", "<head", "<title", "<body", "<script"].iter().any(|tag| text.starts_with(tag))
}
