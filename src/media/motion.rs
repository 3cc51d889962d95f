//! Is there a video inside a still? Phones append it to the picture (Motion Photo); it stays where it is, and
//! whoever looks for the moving half of an item is told that it is there.

use super::budget::{read_exact_at, read_up_to};
use super::kind::Kind;
use crate::model::ReadAt;

/// Segments of a JPEG that are walked for its XMP.
const MOST_SEGMENTS: usize = 64;
/// Boxes of a HEIC at the top level.
const MOST_BOXES: usize = 64;
/// Entries of Samsung's trailer.
const MOST_ENTRIES: u32 = 64;
/// How XMP announces itself in a JPEG.
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
/// Samsung's name for a video among the things it appends.
const SAMSUNG_VIDEO: u16 = 0x0a30;

/// Whether the still carries its video.
pub fn is_embedded(kind: Kind, bytes: &dyn ReadAt) -> bool {
    match kind {
        Kind::Jpeg => says_xmp(bytes).unwrap_or(false) || says_samsung(bytes).unwrap_or(false),
        Kind::Heif => has_box(bytes, *b"mpvd").unwrap_or(false) || says_samsung(bytes).unwrap_or(false),
        _ => false,
    }
}

/// Google's marks: `MotionPhoto` of today, `MicroVideo` of before, as attribute or as element.
fn says_xmp(bytes: &dyn ReadAt) -> Option<bool> {
    let mut at = 2_u64;
    for _ in 0..MOST_SEGMENTS {
        let mut head = [0; 4];
        if !read_exact_at(bytes, &mut head, at).ok()? || head[0] != 0xff || matches!(head[1], 0xd9 | 0xda) {
            return Some(false);
        }
        let length = u16::from_be_bytes([head[2], head[3]]);
        if head[1] == 0xe1 {
            let body = read_up_to(bytes, at + 4, usize::from(length).saturating_sub(2)).ok()?;
            if let Some(xmp) = body.strip_prefix(XMP) {
                let text = String::from_utf8_lossy(xmp);
                return Some(["MotionPhoto", "MicroVideo"].iter().any(|mark| is_set(&text, mark)));
            }
        }
        at += 2 + u64::from(length);
    }
    None
}

/// `…:Mark="1"` or `…:Mark>1<`.
fn is_set(xmp: &str, mark: &str) -> bool {
    xmp.split(&format!(":{mark}")).skip(1).any(|rest| {
        let value = rest.trim_start_matches(['=', '>', '"', '\'', ' ']);
        value.starts_with('1') && !rest.starts_with(|c: char| c.is_alphanumeric())
    })
}

/// Samsung ends a file with a directory of what it has appended: `SEFH` … `SEFT`.
fn says_samsung(bytes: &dyn ReadAt) -> Option<bool> {
    let size = bytes.size().ok()?;
    let tail = read_up_to(bytes, size.checked_sub(8)?, 8).ok()?;
    if tail.get(4..8)? != b"SEFT" {
        return Some(false);
    }
    let length = u32::from_le_bytes(tail.get(..4)?.try_into().ok()?);
    let start = size.checked_sub(8)?.checked_sub(u64::from(length))?;
    let head = read_up_to(bytes, start, 12).ok()?;
    if head.get(..4)? != b"SEFH" {
        return Some(false);
    }
    let count = u32::from_le_bytes(head.get(8..12)?.try_into().ok()?).min(MOST_ENTRIES);
    let entries = read_up_to(bytes, start + 12, 12 * count as usize).ok()?;
    let kind_of = |entry: &[u8]| Some(u16::from_le_bytes(entry.get(2..4)?.try_into().ok()?));
    Some(entries.chunks_exact(12).any(|entry| kind_of(entry) == Some(SAMSUNG_VIDEO)))
}

/// Whether an ISO file has a box of that name at its top level.
fn has_box(bytes: &dyn ReadAt, name: [u8; 4]) -> Option<bool> {
    let size = bytes.size().ok()?;
    let mut at = 0_u64;
    for _ in 0..MOST_BOXES {
        if at >= size {
            break;
        }
        let mut head = [0; 16];
        let read = read_up_to(bytes, at, 16).ok()?;
        head.get_mut(..read.len())?.copy_from_slice(&read);
        if head[4..8] == name {
            return Some(true);
        }
        let length = match u32::from_be_bytes(head[..4].try_into().ok()?) {
            0 => break,
            1 => u64::from_be_bytes(head[8..16].try_into().ok()?),
            length => u64::from(length),
        };
        at = at.checked_add(length.max(8))?;
    }
    Some(false)
}
