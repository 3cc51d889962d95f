//! Kinds of files, told by their first bytes.

use super::source::read_up_to;
use crate::model::ReadAt;

/// What a file is by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// GIF.
    Gif,
    /// WebP.
    Webp,
    /// HEIC and its relatives.
    Heif,
    /// AVIF.
    Avif,
    /// TIFF, and the raw formats that are TIFF (DNG, NEF, ARW, PEF …).
    Tiff,
    /// Canon CR2, a TIFF with a mark.
    Cr2,
    /// Canon CR3.
    Cr3,
    /// Olympus ORF, a TIFF with another magic number.
    Orf,
    /// Panasonic RW2, a TIFF with another magic number.
    Rw2,
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
    Matroska,
    /// WebM.
    Webm,
    /// AVI.
    Avi,
    /// Windows Media.
    Asf,
    /// MPEG transport stream (MTS, M2TS).
    MpegTs,
    /// MPEG program stream.
    Mpeg,
    /// Zip.
    Zip,
    /// Something packed with gzip: an answer that nobody unpacked. Never a photo.
    Gzip,
    /// A web page or a server's answer: HTML, XML or JSON. Never a photo.
    Page,
    /// Anything else.
    Other,
}

/// Enough for every mark, and for a page that begins with blanks or a comment.
const HEAD: usize = 1024;

/// Tells the kind of these bytes; what cannot be read is [`Kind::Other`].
pub fn of(bytes: &dyn ReadAt) -> Kind {
    read_up_to(bytes, 0, HEAD).map_or(Kind::Other, |head| of_head(&head))
}

/// Tells the kind by the first bytes of a file.
pub fn of_head(head: &[u8]) -> Kind {
    let at = |offset: usize, mark: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(mark));
    match head {
        _ if at(0, b"\xff\xd8\xff") => Kind::Jpeg,
        _ if at(0, b"\x89PNG\r\n\x1a\n") => Kind::Png,
        _ if at(0, b"GIF87a") || at(0, b"GIF89a") => Kind::Gif,
        _ if at(0, b"RIFF") && at(8, b"WEBP") => Kind::Webp,
        _ if at(0, b"RIFF") && at(8, b"AVI ") => Kind::Avi,
        _ if at(0, b"II*\0") && at(8, b"CR") => Kind::Cr2,
        _ if at(0, b"II*\0") || at(0, b"MM\0*") || at(0, b"II+\0") || at(0, b"MM\0+") => Kind::Tiff,
        _ if at(0, b"IIRO") || at(0, b"IIRS") || at(0, b"MMOR") => Kind::Orf,
        _ if at(0, b"IIU\0") => Kind::Rw2,
        _ if at(0, b"FUJIFILMCCD-RAW") => Kind::Raf,
        _ if at(4, b"ftyp") => iso_brand(head),
        _ if is_bare_quicktime(head) => Kind::Mov,
        _ if at(0, b"\x1a\x45\xdf\xa3") => {
            if head.windows(4).take(64).any(|w| w == b"webm") {
                Kind::Webm
            } else {
                Kind::Matroska
            }
        }
        _ if at(0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11") => Kind::Asf,
        _ if at(0, b"\0\0\x01\xba") || at(0, b"\0\0\x01\xb3") => Kind::Mpeg,
        _ if is_transport_stream(head) => Kind::MpegTs,
        _ if at(0, b"PK\x03\x04") || at(0, b"PK\x05\x06") => Kind::Zip,
        _ if at(0, b"\x1f\x8b\x08") => Kind::Gzip,
        _ if at(0, b"BM") && head.len() >= 26 && at(6, b"\0\0\0\0") => Kind::Bmp,
        _ if is_page(head) => Kind::Page,
        _ => Kind::Other,
    }
}

impl Kind {
    /// The media type, for example `image/jpeg`.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
            Self::Heif => "image/heic",
            Self::Avif => "image/avif",
            Self::Tiff => "image/tiff",
            Self::Cr2 => "image/x-canon-cr2",
            Self::Cr3 => "image/x-canon-cr3",
            Self::Orf => "image/x-olympus-orf",
            Self::Rw2 => "image/x-panasonic-rw2",
            Self::Raf => "image/x-fujifilm-raf",
            Self::Bmp => "image/bmp",
            Self::Mp4 => "video/mp4",
            Self::Mov => "video/quicktime",
            Self::ThreeGp => "video/3gpp",
            Self::Matroska => "video/x-matroska",
            Self::Webm => "video/webm",
            Self::Avi => "video/x-msvideo",
            Self::Asf => "video/x-ms-asf",
            Self::MpegTs => "video/mp2t",
            Self::Mpeg => "video/mpeg",
            Self::Zip => "application/zip",
            Self::Gzip => "application/gzip",
            Self::Page => "text/html",
            Self::Other => "application/octet-stream",
        }
    }

    /// The media type; the name's extension tells apart the raw formats that are TIFF by content.
    pub fn media_type_of(self, name: &str) -> &'static str {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        if self != Self::Tiff || extension.len() > 3 {
            return self.media_type();
        }
        match extension.to_ascii_lowercase().as_str() {
            "dng" => "image/x-adobe-dng",
            "nef" | "nrw" => "image/x-nikon-nef",
            "arw" | "sr2" | "srf" => "image/x-sony-arw",
            "pef" => "image/x-pentax-pef",
            "srw" => "image/x-samsung-srw",
            "3fr" | "fff" => "image/x-hasselblad-3fr",
            "iiq" => "image/x-phaseone-iiq",
            "erf" => "image/x-epson-erf",
            "kdc" | "dcr" => "image/x-kodak-dcr",
            "mef" | "mos" => "image/x-raw",
            _ => self.media_type(),
        }
    }

    /// Whether it holds moving pictures.
    pub const fn is_video(self) -> bool {
        matches!(
            self,
            Self::Mp4
                | Self::Mov
                | Self::ThreeGp
                | Self::Matroska
                | Self::Webm
                | Self::Avi
                | Self::Asf
                | Self::MpegTs
                | Self::Mpeg
        )
    }

    /// Whether it is a picture.
    pub const fn is_still(self) -> bool {
        !self.is_video() && !matches!(self, Self::Zip | Self::Gzip | Self::Page | Self::Other)
    }

    /// Whether it is made of ISO base media boxes.
    pub const fn is_boxes(self) -> bool {
        matches!(self, Self::Heif | Self::Avif | Self::Cr3 | Self::Mp4 | Self::Mov | Self::ThreeGp)
    }
}

fn iso_brand(head: &[u8]) -> Kind {
    let size = head.first_chunk::<4>().map_or(0, |size| u32::from_be_bytes(*size)) as usize;
    let end = size.clamp(16, head.len().max(16)).min(head.len());
    let major = head.get(8..12).unwrap_or_default();
    let compatible = || head.get(16..end).unwrap_or_default().chunks_exact(4);
    match major {
        b"avif" | b"avis" => Kind::Avif,
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" => Kind::Heif,
        // The general brands say only "pictures"; the codec is in the list of compatible brands.
        b"mif1" | b"msf1" | b"mif2" | b"miaf" => {
            if compatible().any(|brand| brand == b"avif" || brand == b"avis") {
                Kind::Avif
            } else {
                Kind::Heif
            }
        }
        b"crx " => Kind::Cr3,
        b"qt  " => Kind::Mov,
        [b'3', b'g', ..] => Kind::ThreeGp,
        _ => Kind::Mp4,
    }
}

/// QuickTime files from before `ftyp` begin with any of its boxes.
fn is_bare_quicktime(head: &[u8]) -> bool {
    let boxes: [&[u8]; 6] = [b"moov", b"mdat", b"wide", b"pnot", b"free", b"skip"];
    head.get(4..8).is_some_and(|name| boxes.contains(&name))
}

/// Packets of 188 bytes begin with 0x47; in M2TS a clock of 4 bytes precedes each.
fn is_transport_stream(head: &[u8]) -> bool {
    let every = |start: usize, step: usize| (0..4).all(|n| head.get(start + n * step) == Some(&0x47));
    every(0, 188) || every(4, 192)
}

fn is_page(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let start = head.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(head.len());
    let text = head[start..].to_ascii_lowercase();
    let begins = |mark: &[u8]| text.starts_with(mark);
    let holds = |mark: &[u8]| text.windows(mark.len()).any(|window| window == mark);
    begins(b"<!doctype html")
        || begins(b"<html")
        || begins(b"<head")
        || begins(b"<body")
        || begins(b"<script")
        || begins(b"<title")
        || (begins(b"<!--") && holds(b"<html"))
        || (begins(b"<?xml") && !holds(b"<svg"))
        || begins(b"<error>")
        || begins(b")]}'")
        || ((begins(b"{") || begins(b"[{")) && holds(b"\"error\""))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn marks() {
        let cases: &[(&[u8], Kind)] = &[
            (b"\xff\xd8\xff\xe0", Kind::Jpeg),
            (b"RIFF\0\0\0\0WEBPVP8 ", Kind::Webp),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", Kind::Avif),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", Kind::Heif),
            (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", Kind::Mov),
            (b"\0\0\0\x14ftyp3gp4\0\0\0\0isom", Kind::ThreeGp),
            (b"\0\0\0\x14ftypisom\0\0\0\0isom", Kind::Mp4),
            (b"\0\0\0\x08wide", Kind::Mov),
            (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", Kind::Webm),
            (b"PK\x03\x04", Kind::Zip),
            (b"\x1f\x8b\x08\0", Kind::Gzip),
            (b"\r\n <!DOCTYPE HTML><p>", Kind::Page),
            (b"\xef\xbb\xbf<html lang=nl>", Kind::Page),
            (b"<?xml version='1.0'?><Error><Code>AccessDenied", Kind::Page),
            (b"{\"error\": {\"code\": 429}}", Kind::Page),
            (b")]}'\n\n123", Kind::Page),
            (b"<?xml version='1.0'?><svg/>", Kind::Other),
            (b"", Kind::Other),
            (b"ftyp", Kind::Other),
            (b"\0\0\0\x08ftyp", Kind::Mp4),
        ];
        for (head, kind) in cases {
            assert_eq!(of_head(head), *kind, "{}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn a_raw_photo_is_named_by_its_extension_only_where_the_content_agrees() {
        assert_eq!(Kind::Tiff.media_type_of("a.NEF"), "image/x-nikon-nef");
        assert_eq!(Kind::Tiff.media_type_of("a.tif"), "image/tiff");
        assert_eq!(Kind::Jpeg.media_type_of("a.NEF"), "image/jpeg");
    }
}
