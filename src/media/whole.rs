//! Is a file whole? Proof from its structure, for bytes that no hash vouches for.
//!
//! The question is "was it cut off, or is it something else altogether", not "is every pixel right": odd but
//! complete files pass, and so does every kind whose end cannot be told.

mod boxes;
mod jpeg;

use std::io;

use super::kind::{self, Kind};
use super::source::{read_exact_at, read_up_to};
use crate::model::ReadAt;

/// Chunks, blocks or boxes after which a walk gives up and lets the file pass.
const MOST_STEPS: u32 = 4_000_000;

/// Checks that a file is whole.
///
/// Reads JPEG and GIF to the end and only the headers of the others. The answer says what is wrong, as the
/// end of the sentence "this is not the photo: …".
///
/// # Errors
/// What is wrong: nothing in it, a page instead of a photo, cut off, or what the system answered to a read.
pub fn check(bytes: &dyn ReadAt) -> Result<(), String> {
    walk(bytes).map_err(|wrong| match wrong {
        Wrong::Io(e) => format!("it cannot be read: {e}"),
        Wrong::Said(why) => why,
    })
}

/// Why a walk ended before the file did.
pub(super) enum Wrong {
    Io(io::Error),
    Said(String),
}

impl From<io::Error> for Wrong {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

pub(super) fn wrong<T>(why: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong::Said(why.into()))
}

fn walk(bytes: &dyn ReadAt) -> Result<(), Wrong> {
    let size = bytes.size()?;
    if size == 0 {
        return wrong("the file is empty");
    }
    let kind = kind::of_head(&read_up_to(bytes, 0, 1024)?);
    match kind {
        Kind::Page => wrong("a web page or an error message came instead of the file"),
        Kind::Gzip => wrong("it came packed, as no photo is"),
        Kind::Jpeg => jpeg::walk(bytes, size),
        Kind::Png => png(bytes, size),
        Kind::Gif => gif(bytes, size),
        Kind::Webp | Kind::Avi => riff(bytes, size),
        Kind::Matroska | Kind::Webm => matroska(bytes, size),
        Kind::Tiff | Kind::Cr2 | Kind::Orf | Kind::Rw2 => tiff(bytes, size),
        Kind::Zip => zip(bytes, size),
        kind if kind.is_boxes() => boxes::walk(kind, bytes, size),
        _ => Ok(()),
    }
}

/// Chunks up to `IEND`; what a tool appends behind it is its own affair.
fn png(bytes: &dyn ReadAt, size: u64) -> Result<(), Wrong> {
    let mut at = 8;
    for _ in 0..MOST_STEPS {
        let mut head = [0; 8];
        if !read_exact_at(bytes, &mut head, at)? {
            return wrong(format!("the PNG is cut off: it ends at byte {size} before its IEND chunk"));
        }
        let [a, b, c, d, name @ ..] = head;
        // Length, name, the chunk and its checksum.
        at += 12 + u64::from(u32::from_be_bytes([a, b, c, d]));
        if at > size {
            return wrong(format!("the PNG is cut off at byte {size}"));
        }
        if &name == b"IEND" {
            return Ok(());
        }
    }
    Ok(())
}

/// Blocks up to the trailer.
fn gif(bytes: &dyn ReadAt, size: u64) -> Result<(), Wrong> {
    let table = |flags: u8| if flags & 0x80 != 0 { 3 << ((flags & 7) + 1) } else { 0 };
    let mut view = Window::new(bytes);
    let cut = || wrong(format!("the GIF is cut off: it ends at byte {size} before its trailer"));
    let Some(flags) = view.byte(10)? else { return cut() };
    let mut at = 13 + table(flags);
    for _ in 0..MOST_STEPS {
        match view.byte(at)? {
            None => return cut(),
            Some(0x3b) => return Ok(()),
            // An extension: its label, then sub-blocks.
            Some(0x21) => at += 2,
            // An image: its frame, a colour table, the code size, then sub-blocks.
            Some(0x2c) => match view.byte(at + 9)? {
                Some(flags) => at += 11 + table(flags),
                None => return cut(),
            },
            // Stray padding between blocks.
            Some(0) => {
                at += 1;
                continue;
            }
            Some(_) => return wrong(format!("the GIF is damaged at byte {at}")),
        }
        loop {
            let Some(length) = view.byte(at)? else { return cut() };
            at += 1 + u64::from(length);
            if length == 0 {
                break;
            }
        }
    }
    Ok(())
}

/// One or more RIFF chunks (long AVI files have several), each inside the file.
fn riff(bytes: &dyn ReadAt, size: u64) -> Result<(), Wrong> {
    let mut at = 0;
    for _ in 0..MOST_STEPS {
        if at >= size {
            break;
        }
        let mut head = [0; 8];
        if !read_exact_at(bytes, &mut head, at)? || !head.starts_with(b"RIFF") {
            // Behind the first chunk only another RIFF is ours to judge.
            return Ok(());
        }
        let [.., a, b, c, d] = head;
        let length = u64::from(u32::from_le_bytes([a, b, c, d]));
        // A recorder that never came back to write the length leaves zero.
        if length == 0 {
            return Ok(());
        }
        let end = at + 8 + length;
        if end > size {
            return wrong(format!("it is cut off: it announces {end} bytes and has {size}"));
        }
        at = end + length % 2;
    }
    Ok(())
}

/// The EBML header, then segments whose length is known.
fn matroska(bytes: &dyn ReadAt, size: u64) -> Result<(), Wrong> {
    let mut at = 0;
    let mut segments = 0;
    for _ in 0..MOST_STEPS {
        if at >= size {
            break;
        }
        let head = read_up_to(bytes, at, 12)?;
        let Some((id, id_length)) = vint(&head, false) else { break };
        let Some((length, length_length)) = vint(head.get(id_length..).unwrap_or_default(), true) else {
            break;
        };
        segments += u32::from(id == 0x1853_8067);
        let body = at + (id_length + length_length) as u64;
        // All ones: a live recording whose length nobody knew.
        if length == (1 << (7 * length_length)) - 1 {
            return Ok(());
        }
        at = body.saturating_add(length);
        if at > size {
            return wrong(format!("the video is cut off: it announces {at} bytes and has {size}"));
        }
    }
    if segments == 0 {
        wrong(format!("the video is cut off at byte {size}: it has no segment"))
    } else {
        Ok(())
    }
}

/// Matroska's numbers: the leading zeros of the first byte tell how many follow; an id keeps its marker bit.
fn vint(bytes: &[u8], drop_marker: bool) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = first.leading_zeros() as usize + 1;
    if length > 8 {
        return None;
    }
    let marker = 0x80_u8 >> (length - 1);
    let start = u64::from(if drop_marker { first & !marker } else { first });
    let value = bytes.get(1..length)?.iter().fold(start, |value, &byte| value << 8 | u64::from(byte));
    Some((value, length))
}

/// The first directory lies inside the file; where the pixels end, makers disagree.
fn tiff(bytes: &dyn ReadAt, size: u64) -> Result<(), Wrong> {
    let mut head = [0; 16];
    if !read_exact_at(bytes, &mut head[..8], 0)? {
        return wrong(format!("it is cut off at byte {size}"));
    }
    let little = head[0] == b'I';
    let [_, _, magic_a, magic_b, a, b, c, d, ..] = head;
    // BigTIFF (43) has wider offsets and is let through.
    if magic_a == b'+' || magic_b == b'+' {
        return Ok(());
    }
    let offset = if little { u32::from_le_bytes([a, b, c, d]) } else { u32::from_be_bytes([a, b, c, d]) };
    if u64::from(offset) + 2 > size {
        return wrong(format!("it is cut off: its directory is at byte {offset} and it has {size}"));
    }
    Ok(())
}

/// The directory at the end of a zip, and the room before it.
fn zip(bytes: &dyn ReadAt, size: u64) -> Result<(), Wrong> {
    let from = size.saturating_sub(22 + 65_535);
    let tail = read_up_to(bytes, from, 22 + 65_535)?;
    let found = tail.windows(4).rposition(|window| window == b"PK\x05\x06");
    let end = found.and_then(|at| Some((from + at as u64, *tail.get(at + 12..)?.first_chunk()?)));
    let Some((end_at, [a, b, c, d, e, f, g, h])) = end else {
        return wrong(format!("the zip is cut off: no directory before byte {size}"));
    };
    let (length, offset) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    let zip64 = offset == u32::MAX || length == u32::MAX;
    if !zip64 && u64::from(offset) + u64::from(length) > end_at {
        return wrong("the zip is damaged: its directory is not where it says");
    }
    Ok(())
}

/// Single bytes through a window that moves forwards, so that a walk is not a system call per byte.
struct Window<'a> {
    bytes: &'a dyn ReadAt,
    start: u64,
    held: Vec<u8>,
}

impl<'a> Window<'a> {
    const SIZE: usize = 128 * 1024;

    fn new(bytes: &'a dyn ReadAt) -> Self {
        Self { bytes, start: 0, held: Vec::new() }
    }

    /// The byte at `offset`; `None` behind the end.
    fn byte(&mut self, offset: u64) -> io::Result<Option<u8>> {
        let inside = |start: u64, held: &[u8]| {
            usize::try_from(offset.checked_sub(start)?).ok().and_then(|at| held.get(at).copied())
        };
        if let Some(byte) = inside(self.start, &self.held) {
            return Ok(Some(byte));
        }
        self.held = read_up_to(self.bytes, offset, Self::SIZE)?;
        self.start = offset;
        Ok(self.held.first().copied())
    }

    /// Where the next byte of this value is, from `offset` on; `None` if there is none.
    fn find(&mut self, mut offset: u64, value: u8) -> io::Result<Option<u64>> {
        while self.byte(offset)?.is_some() {
            // The window holds the byte at `offset` now.
            let from = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
            let rest = self.held.get(from..).unwrap_or_default();
            if let Some(at) = rest.iter().position(|&byte| byte == value) {
                return Ok(Some(offset + at as u64));
            }
            offset += rest.len() as u64;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn verdict(bytes: &[u8]) -> Result<(), String> {
        check(&bytes.to_vec())
    }

    /// Whole as it is, not whole at every length below `from_the_end` bytes less.
    fn only_whole_passes(bytes: &[u8], cuts: std::ops::Range<usize>) {
        verdict(bytes).unwrap();
        for cut in cuts {
            assert!(verdict(&bytes[..cut]).is_err(), "{} bytes of {} pass", cut, bytes.len());
        }
    }

    #[test]
    fn nothing_and_pages_are_no_photos_and_the_unknown_passes() {
        assert!(verdict(b"").unwrap_err().contains("empty"));
        assert!(verdict(b"<!doctype html><title>Error 500</title>").unwrap_err().contains("web page"));
        verdict(b"what is this").unwrap();
    }

    #[test]
    fn png_ends_with_iend() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\x02IHDRab\0\0\0\0\0\0\0\0IEND\xae\x42\x60\x82";
        only_whole_passes(png, 8..png.len());
        verdict(&[png.as_slice(), b"trailer"].concat()).unwrap();
    }

    #[test]
    fn gif_ends_with_its_trailer() {
        let gif =
            b"GIF89a\x01\0\x01\0\x80\0\0abcdef\x21\xf9\x04abcd\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02ab\0\x3b";
        only_whole_passes(gif, 6..gif.len());
    }

    #[test]
    fn riff_is_as_long_as_it_says() {
        let webp = b"RIFF\x0c\0\0\0WEBPVP8 \0\0\0\0";
        only_whole_passes(webp, 12..webp.len());
        let unfinished = b"RIFF\0\0\0\0AVI LIST";
        verdict(unfinished).unwrap();
    }

    #[test]
    fn matroska_segments_fit() {
        let mkv = b"\x1a\x45\xdf\xa3\x82ab\x18\x53\x80\x67\x84abcd";
        only_whole_passes(mkv, 4..mkv.len());
        verdict(b"\x1a\x45\xdf\xa3\x82ab\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xffabc").unwrap();
    }

    #[test]
    fn a_zip_needs_its_directory() {
        let zip = b"PK\x03\x04abcdPK\x05\x06\0\0\0\0\0\0\0\0\x04\0\0\0\x04\0\0\0\0\0";
        verdict(zip).unwrap();
        assert!(verdict(&zip[..20]).is_err());
    }
}
