//! Where a picture keeps its Exif block, and whether that block may be decoded.
//!
//! The decoder works in memory, where neither the reading budget nor the time limit of a file holds it back:
//! directories that point into one another become entries by the square of their length, and a megabyte of zeros that
//! claims to be text becomes a million texts. So a block is walked before it is decoded.

use super::budget::read_up_to;
use super::kind::Kind;
use super::pixels;
use crate::model::ReadAt;

/// Longest block, bytes. One in a JPEG has 64 KiB at most; raw photos keep their directories in front of the pixels,
/// and this much of a file holds them.
pub const LONGEST: usize = 2 * 1024 * 1024;
/// Most entries of all directories together; cameras write some hundred.
const MOST_ENTRIES: usize = 20_000;
/// Bytes of all texts together.
const MOST_TEXT: usize = 1024 * 1024;
/// Directories in a row that the decoder reads.
const MOST_DIRECTORIES: usize = 8;
/// Segments or chunks of a picture that are looked at; a large PNG has thousands.
const MOST_STEPS: usize = 100_000;
/// How far the next segment of a JPEG may be from the end of the last one.
const WINDOW: usize = 4096;
/// How a JPEG announces the block.
const ANNOUNCED: &[u8] = b"Exif\0\0";

/// The block of a picture that is no TIFF itself; `None` where there is none, or a longer one than anybody writes.
pub fn find(kind: Kind, bytes: &dyn ReadAt) -> Option<Vec<u8>> {
    match kind {
        Kind::Jpeg => jpeg(bytes),
        Kind::Png => chunks(bytes, 8, b"eXIf", |head| {
            let [a, b, c, d, name @ ..] = head;
            (name, u32::from_be_bytes([a, b, c, d]), 4)
        }),
        Kind::Webp => chunks(bytes, 12, b"EXIF", |head| {
            let [name @ .., a, b, c, d] = head;
            let length = u32::from_le_bytes([a, b, c, d]);
            (name, length, u64::from(length % 2))
        }),
        Kind::Heif | Kind::Avif => heif(bytes),
        _ => None,
    }
}

/// The first segment that announces itself, in front of the picture.
fn jpeg(bytes: &dyn ReadAt) -> Option<Vec<u8>> {
    let mut at = 2;
    for _ in 0..MOST_STEPS {
        let window = read_up_to(bytes, at, WINDOW).ok()?;
        at += window.iter().position(|byte| *byte == 0xff)? as u64;
        let head = read_up_to(bytes, at, 4).ok()?;
        match *head.get(1)? {
            0xff => at += 1,
            0x00 | 0x01 | 0xd0..=0xd7 => at += 2,
            0xd8..=0xda => return None,
            marker => {
                let length = u16::from_be_bytes(*head.last_chunk()?);
                if head.len() < 4 {
                    return None;
                }
                if marker == 0xe1 {
                    let body = read_up_to(bytes, at + 4, usize::from(length).checked_sub(2)?).ok()?;
                    if let Some(block) = body.strip_prefix(ANNOUNCED) {
                        return Some(block.to_vec());
                    }
                }
                at += 2 + u64::from(length);
            }
        }
    }
    None
}

/// The chunk of that name; `read` takes name, length and what follows the chunk from its head.
fn chunks(
    bytes: &dyn ReadAt,
    mut at: u64,
    wanted: &[u8; 4],
    read: impl Fn([u8; 8]) -> ([u8; 4], u32, u64),
) -> Option<Vec<u8>> {
    for _ in 0..MOST_STEPS {
        let head = read_up_to(bytes, at, 8).ok()?;
        let (name, length, more) = read(*head.first_chunk()?);
        if name == *wanted {
            return exactly(bytes, at + 8, u64::from(length));
        }
        at += 8 + u64::from(length) + more;
    }
    None
}

/// That many bytes, if they are there and no more than a block may have.
fn exactly(bytes: &dyn ReadAt, at: u64, length: u64) -> Option<Vec<u8>> {
    let length = usize::try_from(length).ok().filter(|length| *length <= LONGEST)?;
    read_up_to(bytes, at, length).ok().filter(|block| block.len() == length)
}

/// Numbers from the front of some bytes.
struct Numbers<'a>(&'a [u8]);

impl<'a> Numbers<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Of 0 to 8 bytes, the most significant first.
    fn next(&mut self, size: usize) -> Option<u64> {
        (size <= 8)
            .then(|| self.bytes(size))?
            .map(|taken| taken.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
    }
}

/// The item of type `Exif`: its id is in one box, its place in another.
fn heif(bytes: &dyn ReadAt) -> Option<Vec<u8>> {
    let brands = read_up_to(bytes, 0, 1024).ok()?;
    let (_, brands) = pixels::boxes(&brands).next()?;
    if !brands.get(8..)?.chunks_exact(4).any(|brand| brand == b"mif1" || brand == b"msf1") {
        return None;
    }
    let meta = pixels::part(bytes, b"meta")?;
    let boxes = || pixels::boxes(meta.get(12..).unwrap_or_default());
    let last = |name: &[u8; 4]| boxes().filter(|(found, _)| found == name).map(|(_, body)| body).last();
    let id = exif_item(last(b"iinf")?)?;
    let mut block = Vec::new();
    let (inside, extents) = places(last(b"iloc")?, id)?;
    for (offset, length) in extents {
        if inside {
            let body = last(b"idat")?.get(usize::try_from(offset).ok()?..)?;
            let length = if length == 0 { body.len() } else { usize::try_from(length).ok()? };
            block.extend_from_slice(body.get(..length)?);
        } else {
            let length = if length == 0 { bytes.size().ok()?.checked_sub(offset)? } else { length };
            block.extend(exactly(bytes, offset, length)?);
        }
        if block.len() > LONGEST {
            return None;
        }
    }
    // The block begins where its first four bytes say, counted from behind them.
    let skip = usize::try_from(Numbers(&block).next(4)?).ok()?.checked_add(4)?;
    (skip <= block.len()).then(|| block.split_off(skip))
}

fn exif_item(iinf: &[u8]) -> Option<u64> {
    let version = *iinf.first()?;
    let items = pixels::boxes(iinf.get(if version == 0 { 6 } else { 8 }..)?);
    let id = |body: &[u8]| {
        let mut numbers = Numbers(body.get(4..)?);
        let id = numbers.next(if *body.first()? == 2 { 2 } else { 4 })?;
        numbers.bytes(2)?;
        (numbers.bytes(4)? == b"Exif").then_some(id)
    };
    items.filter(|(name, _)| name == b"infe").filter_map(|(_, body)| id(body)).last()
}

/// Whether an item lies in the box of data rather than in the file, and where: offsets and lengths, 0 for the rest.
fn places(iloc: &[u8], wanted: u64) -> Option<(bool, Vec<(u64, u64)>)> {
    let version = *iloc.first()?;
    let wide = if version == 2 { 4 } else { 2 };
    let mut numbers = Numbers(iloc.get(4..)?);
    let sizes = usize::try_from(numbers.next(2)?).ok()?;
    let (of_offset, of_length, of_base) = (sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15);
    let of_index = if version == 0 { 0 } else { sizes & 15 };
    for _ in 0..numbers.next(wide)? {
        let id = numbers.next(wide)?;
        let method = if version == 0 { 0 } else { numbers.next(2)? & 15 };
        let source = numbers.next(2)?;
        let base = numbers.next(of_base)?;
        let mut extents = Vec::new();
        for _ in 0..numbers.next(2)? {
            numbers.next(of_index)?;
            let (offset, length) = (base.checked_add(numbers.next(of_offset)?)?, numbers.next(of_length)?);
            if id == wanted {
                extents.push((offset, length));
            }
        }
        if id == wanted {
            return (method <= 1 && source == 0).then_some((method == 1, extents));
        }
    }
    None
}

/// Whether decoding a block takes no more memory than a few times its own length.
pub fn is_tame(block: &[u8]) -> bool {
    let mut walk = Walk { block, little: block.starts_with(b"II"), entries: 0, text: 0 };
    let mut at = walk.number(4, 4);
    for _ in 0..MOST_DIRECTORIES {
        let Some(directory) = at.filter(|at| *at != 0) else { break };
        at = walk.directory(directory, 0);
    }
    block.len() <= LONGEST && walk.entries <= MOST_ENTRIES && walk.text <= MOST_TEXT
}

/// Whether that is so of all blocks of a CR3: they lie in Canon's own box, beside one another.
pub fn are_tame(bytes: &dyn ReadAt) -> bool {
    let movie = pixels::part(bytes, b"moov").unwrap_or_default();
    let canon = pixels::boxes(movie.get(8..).unwrap_or_default()).filter(|(name, _)| name == b"uuid");
    // Its own name of 16 bytes comes first.
    let inside = canon.flat_map(|(_, body)| pixels::boxes(body.get(16..).unwrap_or_default()));
    let mut blocks = inside.filter(|(name, _)| name.starts_with(b"CMT")).map(|(_, body)| body).peekable();
    blocks.peek().is_some() && blocks.all(is_tame)
}

/// A walk over the directories of a block as the decoder takes it; where it goes wrong for that, it ends here too.
struct Walk<'a> {
    block: &'a [u8],
    little: bool,
    entries: usize,
    text: usize,
}

impl Walk<'_> {
    fn number(&self, at: usize, size: usize) -> Option<usize> {
        let bytes = self.block.get(at..at.checked_add(size)?)?;
        let add = |n: usize, byte: &u8| n << 8 | usize::from(*byte);
        Some(if self.little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) })
    }

    /// Counts a directory and those that it points at; the answer is where the next one is.
    fn directory(&mut self, at: usize, depth: usize) -> Option<usize> {
        let count = self.number(at, 2)?;
        for entry in (0..count).map(|n| at + 2 + 12 * n) {
            // More is not decoded anyway.
            if self.entries > MOST_ENTRIES {
                return None;
            }
            self.entries += 1;
            let (tag, kind) = (self.number(entry, 2)?, self.number(entry + 2, 2)?);
            let (length, place) = (self.number(entry + 4, 4)?, self.number(entry + 8, 4)?);
            // Exif, GPS, interoperability.
            let points = matches!(tag, 0x8769 | 0x8825 | 0xa005);
            match kind {
                // What is longer than the block is not decoded.
                2 if length <= self.block.len() => self.text += length,
                1 | 3 | 4 if points && depth < 3 => {
                    let size: usize = match kind {
                        1 => 1,
                        3 => 2,
                        _ => 4,
                    };
                    let value = if size.saturating_mul(length) <= 4 { entry + 8 } else { place };
                    if let Some(child) = self.number(value, size) {
                        self.directory(child, depth + 1);
                    }
                }
                _ => {}
            }
        }
        self.number(at + 2 + 12 * count, 4)
    }
}
