//! WebP: chunks of RIFF.

use super::super::said::{By, Found};
use super::super::source::Source;
use super::super::tag::xmp;
use super::tiff;

/// Chunks that are looked at: each picture of an animation is one.
const MOST_CHUNKS: usize = 10_000;

/// Adds what the picture says.
pub fn read(source: &mut Source<'_>, found: &mut Found) -> Option<()> {
    let mut at = 12;
    let mut animated = 0;
    for _ in 0..MOST_CHUNKS {
        let Some(head) = source.get(at, 8) else { break };
        let name = *head.first_chunk::<4>()?;
        let (body, length) = (at + 8, u64::from(source.le32(at + 4)?));
        let end = (body + length).min(source.size());
        match &name {
            b"VP8X" => {
                let (width, height) = (le24(source, body + 4)? + 1, le24(source, body + 7)? + 1);
                found.pixels(By::Header, width, height);
            }
            // One byte of signature, then 14 bits each.
            b"VP8L" => {
                if let Some(bits) = source.le32(body + 1) {
                    found.pixels(By::Header, (bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1);
                }
            }
            // Three bytes of frame tag, three of start code, then 14 bits and 2 of scale each.
            b"VP8 " => {
                if let (Some(width), Some(height)) = (source.le16(body + 6), source.le16(body + 8)) {
                    found.pixels(By::Header, width & 0x3fff, height & 0x3fff);
                }
            }
            b"ANMF" => animated += u64::from(le24(source, body + 12).unwrap_or(0)),
            b"EXIF" => {
                tiff::read(source, body, end, found);
            }
            b"XMP " => {
                if let Some(document) = source.copy(body, (end - body).min(xmp::LONGEST)) {
                    xmp::read(&document, found);
                }
            }
            _ => {}
        }
        at = body + length + length % 2;
    }
    found.duration_ms.by(By::Header, (animated > 0).then_some(animated));
    Some(())
}

fn le24(source: &mut Source<'_>, at: u64) -> Option<u32> {
    source.number(at, 3, false).and_then(|n| u32::try_from(n).ok())
}
