//! GIF: blocks; XMP is an extension whose text is no sub-blocks, but ends as if it were.

use super::super::said::{By, Found};
use super::super::source::Source;
use super::super::tag::xmp;

/// Blocks that are looked at.
const MOST_BLOCKS: usize = 20_000;
/// Sub-blocks of all of them: a picture is cut into pieces of 255 bytes.
const MOST_PIECES: usize = 60_000;
const XMP: &[u8] = b"XMP DataXMP";

/// Adds what the picture says.
pub fn read(source: &mut Source<'_>, found: &mut Found) -> Option<()> {
    found.pixels(By::Header, source.le16(6)?, source.le16(8)?);
    let table = |flags: u8| if flags & 0x80 != 0 { 3_u64 << ((flags & 7) + 1) } else { 0 };
    let mut at = 13 + table(byte(source, 10)?);
    let mut pieces = MOST_PIECES;
    let mut has_xmp = false;
    for _ in 0..MOST_BLOCKS {
        match byte(source, at)? {
            0x21 => {
                if !has_xmp
                    && source
                        .get(at + 1, 13)
                        .is_some_and(|head| head.starts_with(b"\xff\x0b") && head.ends_with(XMP))
                {
                    has_xmp = true;
                    let rest = (source.size() - at - 14).min(xmp::LONGEST);
                    let text = source.copy(at + 14, rest)?;
                    // Behind the text stand all bytes downwards, so that readers of sub-blocks come out at the end.
                    let end = text.windows(3).position(|w| w == b"\x01\xff\xfe").unwrap_or(text.len());
                    xmp::read(text.get(..end)?, found);
                }
                at += 2;
            }
            0x2c => at += 11 + table(byte(source, at + 9)?),
            // Stray padding.
            0 => {
                at += 1;
                continue;
            }
            _ => return Some(()),
        }
        loop {
            pieces = pieces.checked_sub(1)?;
            let length = byte(source, at)?;
            at += 1 + u64::from(length);
            if length == 0 {
                break;
            }
        }
    }
    Some(())
}

fn byte(source: &mut Source<'_>, at: u64) -> Option<u8> {
    source.get(at, 1)?.first().copied()
}
