//! JPEG: segments in front of the picture, and what phones append behind it.

use super::super::said::{By, Found};
use super::super::source::Source;
use super::super::tag::{iptc, xmp};
use super::tiff;

/// Segments that are looked at; a profile of colours is a dozen.
const MOST_SEGMENTS: usize = 1024;
/// How far the next segment may be from the end of the last one.
const GAP: usize = 4096;
const EXIF: &[u8] = b"Exif\0\0";
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
const PHOTOSHOP: &[u8] = b"Photoshop 3.0\0";
/// Entries of Samsung's trailer.
const MOST_ENTRIES: u32 = 64;
/// Samsung's name for a video among the things it appends.
const SAMSUNG_VIDEO: u32 = 0x0a30;

/// Adds what the picture says.
pub fn read(source: &mut Source<'_>, found: &mut Found) {
    let size = source.size();
    let mut announced = None;
    picture(source, 0, size, found, &mut announced);
    let begins = |source: &mut Source<'_>, from_end: u64| {
        let at = size.checked_sub(from_end)?;
        source.get(at + 4, 4).map(|name| name == b"ftyp")
    };
    // A phone that says so may have been cut off, or edited by what knows nothing of it.
    found.motion |= match announced {
        Some(0) => true,
        Some(from_end) => begins(source, from_end).unwrap_or(false),
        None => false,
    } || has_samsung_video(source).unwrap_or(false);
}

/// The segments between `start` and `end`; what XMP says of a video goes to `video`.
pub fn picture(
    source: &mut Source<'_>,
    start: u64,
    end: u64,
    found: &mut Found,
    video: &mut Option<u64>,
) -> Option<()> {
    let mut at = start + 2;
    let mut has_exif = false;
    for _ in 0..MOST_SEGMENTS {
        at += source.up_to(at, GAP)?.iter().position(|byte| *byte == 0xff)? as u64;
        let marker = *source.get(at, 2)?.get(1)?;
        match marker {
            0xff => {
                at += 1;
                continue;
            }
            0x00 | 0x01 | 0xd0..=0xd8 => {
                at += 2;
                continue;
            }
            0xd9 | 0xda => return None,
            _ => {}
        }
        let (body, length) = (at + 4, u64::from(source.be16(at + 2)?).checked_sub(2)?);
        let next = (body + length).min(end);
        match marker {
            // Frame headers; 0xc4, 0xc8 and 0xcc are others.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let (height, width) = (source.be16(body + 1)?, source.be16(body + 3)?);
                // Some write more between this and the picture.
                found.pixels(By::Header, width, height);
            }
            0xe1 if !has_exif && begins(source, body, EXIF) => {
                tiff::read(source, body + 6, next, found);
                has_exif = true;
            }
            0xe1 if begins(source, body, XMP) => {
                let mark = XMP.len() as u64;
                if let Some(document) = source.copy(body + mark, next.saturating_sub(body + mark)) {
                    *video = video.or(xmp::read(&document, found));
                }
            }
            0xed if begins(source, body, PHOTOSHOP) => {
                let mark = PHOTOSHOP.len() as u64;
                if let Some(resources) = source.copy(body + mark, next.saturating_sub(body + mark))
                    && let Some(datasets) = iptc::of_photoshop(&resources)
                {
                    iptc::read(datasets, found);
                }
            }
            _ => {}
        }
        at = next;
    }
    None
}

fn begins(source: &mut Source<'_>, at: u64, mark: &[u8]) -> bool {
    source.get(at, mark.len()).is_some_and(|head| head == mark)
}

/// Samsung ends a file with a directory of what it has appended: `SEFH` … `SEFT`.
pub fn has_samsung_video(source: &mut Source<'_>) -> Option<bool> {
    let tail = source.size().checked_sub(8)?;
    if source.get(tail + 4, 4)? != b"SEFT" {
        return Some(false);
    }
    let start = tail.checked_sub(u64::from(source.le32(tail)?))?;
    if source.get(start, 4)? != b"SEFH" {
        return Some(false);
    }
    for n in 0..u64::from(source.le32(start + 8)?.min(MOST_ENTRIES)) {
        if source.le16(start + 12 + 12 * n + 2)? == SAMSUNG_VIDEO {
            return Some(true);
        }
    }
    Some(false)
}
