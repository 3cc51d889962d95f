//! Boxes of the ISO base media format: HEIC, AVIF, CR3, MP4, QuickTime, 3GP.

use super::super::source::Source;

/// Boxes beside one another that are looked at: a recording in pieces has thousands.
const MOST_PARTS: usize = 3000;

/// A box.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Its name.
    pub name: [u8; 4],
    /// Where its content begins.
    pub body: u64,
    /// Where it ends.
    pub end: u64,
}

/// The boxes between two places, up to the first that is none.
pub fn parts(source: &mut Source<'_>, start: u64, end: u64) -> Vec<Part> {
    let mut found = Vec::new();
    let mut at = start;
    while found.len() < MOST_PARTS
        && let Some(part) = part(source, at, end)
    {
        at = part.end;
        found.push(part);
    }
    found
}

/// The box at a place.
pub fn part(source: &mut Source<'_>, at: u64, end: u64) -> Option<Part> {
    if at.checked_add(8)? > end {
        return None;
    }
    let (length, name) = (source.be32(at)?, *source.get(at + 4, 4)?.first_chunk()?);
    let (header, length) = match length {
        // To the end.
        0 => (8, end - at),
        1 => (16, source.number(at + 8, 8, true)?),
        length => (8, u64::from(length)),
    };
    if length < header || at + header > end {
        return None;
    }
    // What is cut off at its end may still say something.
    Some(Part { name, body: at + header, end: at.saturating_add(length).min(end) })
}

/// The first box of that name.
pub fn find(source: &mut Source<'_>, start: u64, end: u64, name: &[u8; 4]) -> Option<Part> {
    parts(source, start, end).into_iter().find(|part| part.name == *name)
}
