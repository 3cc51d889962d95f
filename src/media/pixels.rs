//! Width and height from the picture's own header, where Exif need not say.

use super::budget::{read_exact_at, read_up_to};
use super::kind::Kind;
use crate::model::ReadAt;

/// A JPEG whose frame header has not come after this many segments is none.
const MOST_SEGMENTS: usize = 256;
/// The boxes that describe the pictures of a HEIC or AVIF.
const MOST_META: usize = 1024 * 1024;

/// Width and height in pixels as stored; `None` where the header does not say.
pub fn of(kind: Kind, bytes: &dyn ReadAt) -> Option<(u32, u32)> {
    let (width, height) = match kind {
        Kind::Jpeg => jpeg(bytes)?,
        Kind::Png => {
            let head = read_up_to(bytes, 16, 8).ok()?;
            (be32(&head, 0)?, be32(&head, 4)?)
        }
        Kind::Gif => {
            let head = read_up_to(bytes, 6, 4).ok()?;
            (le16(&head, 0)?, le16(&head, 2)?)
        }
        Kind::Webp => webp(&read_up_to(bytes, 12, 18).ok()?)?,
        Kind::Heif | Kind::Avif => heif(bytes)?,
        Kind::Bmp => {
            let head = read_up_to(bytes, 18, 8).ok()?;
            (le32(&head, 0)?, le32(&head, 4)?.cast_signed().unsigned_abs())
        }
        _ => return None,
    };
    (width > 0 && height > 0).then_some((width, height))
}

/// Walks the segments up to the frame header.
fn jpeg(bytes: &dyn ReadAt) -> Option<(u32, u32)> {
    let mut at = 2_u64;
    for _ in 0..MOST_SEGMENTS {
        let mut head = [0; 9];
        // The frame header is at least this long; shorter segments at the very end end the walk.
        if !read_exact_at(bytes, &mut head, at).ok()? || head[0] != 0xff {
            return None;
        }
        match head[1] {
            0xff => at += 1,
            0x01 | 0xd0..=0xd8 => at += 2,
            0xd9 | 0xda => return None,
            // Frame headers; 0xc4, 0xc8 and 0xcc are others.
            marker @ 0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                return Some((be16(&head, 7)?, be16(&head, 5)?));
            }
            _ => at += 2 + u64::from(be16(&head, 2)?),
        }
    }
    None
}

/// The first chunk of a WebP, from its name on.
fn webp(chunk: &[u8]) -> Option<(u32, u32)> {
    let body = chunk.get(8..)?;
    match chunk.get(..4)? {
        b"VP8X" => Some((le24(body, 4)? + 1, le24(body, 7)? + 1)),
        // One byte of signature, then 14 bits each.
        b"VP8L" => {
            let bits = le32(body, 1)?;
            Some(((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1))
        }
        // Three bytes of frame tag, three of start code, then 14 bits and 2 of scale each.
        b"VP8 " => Some((le16(body, 6)? & 0x3fff, le16(body, 8)? & 0x3fff)),
        _ => None,
    }
}

/// The largest picture described: tiles and thumbnails are smaller than the whole.
fn heif(bytes: &dyn ReadAt) -> Option<(u32, u32)> {
    let meta = part(bytes, b"meta")?;
    let properties = inner(inner(meta.get(12..)?, b"iprp")?, b"ipco")?;
    boxes(properties)
        .filter(|(name, _)| name == b"ispe")
        .filter_map(|(_, body)| Some((be32(body, 4)?, be32(body, 8)?)))
        .max_by_key(|&(width, height)| u64::from(width) * u64::from(height))
}

/// A box of a file's top level, from its length on, and no more of it than descriptions of pictures have. The boxes in
/// `meta` begin at byte 12, those in `moov` at byte 8.
pub(super) fn part(bytes: &dyn ReadAt, name: &[u8; 4]) -> Option<Vec<u8>> {
    let size = bytes.size().ok()?;
    let mut at = 0;
    for _ in 0..64 {
        let head = read_up_to(bytes, at, 16).ok()?;
        let (length, header) = match be32(&head, 0)? {
            0 => (size - at, 8),
            1 => (u64::from(be32(&head, 8)?) << 32 | u64::from(be32(&head, 12)?), 16),
            length => (u64::from(length), 8),
        };
        if head.get(4..8)? == name.as_slice() {
            let most = usize::try_from(length).unwrap_or(usize::MAX).min(MOST_META);
            return read_up_to(bytes, at, most).ok();
        }
        if length < header {
            return None;
        }
        at = at.checked_add(length)?;
    }
    None
}

fn inner<'a>(bytes: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(bytes).find(|(found, _)| found == name).map(|(_, body)| body)
}

/// The boxes in a row of boxes; ends at the first that is not one.
pub(super) fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let length = be32(bytes, 0)? as usize;
        let length = if length == 0 { bytes.len() } else { length };
        let name = *bytes.get(4..)?.first_chunk::<4>()?;
        let body = bytes.get(8..length.min(bytes.len()))?;
        bytes = bytes.get(length..).unwrap_or_default();
        Some((name, body))
    })
}

fn be16(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?)))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn le16(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?)))
}

fn le24(bytes: &[u8], at: usize) -> Option<u32> {
    Some(le16(bytes, at)? | u32::from(*bytes.get(at + 2)?) << 16)
}

fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
