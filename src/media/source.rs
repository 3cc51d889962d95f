//! Bytes of one file for parsers: by place, a window at a time, and never more than a budget allows.

use std::io;
use std::time::{Duration, Instant};

use crate::model::ReadAt;

/// Bytes that the parsers of one file may read together.
pub const MOST_BYTES: u64 = 8 * 1024 * 1024;
/// Time that they have; a disk that sleeps wakes in less.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Longest piece that is handed out at once, bytes.
const LONGEST: usize = 2 * 1024 * 1024;
/// Read at the beginning, and where a parser goes on reading: most files say everything in so many bytes.
const WINDOW: usize = 16 * 1024;
/// Read where a parser jumps to; it may well jump on.
const SIP: usize = 1024;
/// Questions that the parsers of one file may ask: what is in the window costs no reading.
const MOST_QUESTIONS: u32 = 2_000_000;

/// A file under a parser.
pub struct Source<'a> {
    bytes: &'a dyn ReadAt,
    size: u64,
    window: Vec<u8>,
    /// Where the window begins.
    start: u64,
    left: u64,
    questions: u32,
    until: Instant,
    interrupted: bool,
}

impl<'a> Source<'a> {
    /// A fresh budget over these bytes.
    pub fn new(bytes: &'a dyn ReadAt) -> Self {
        let (size, interrupted) = bytes.size().map_or((0, true), |size| (size, false));
        Self {
            bytes,
            size,
            window: Vec::new(),
            start: 0,
            left: MOST_BYTES,
            questions: MOST_QUESTIONS,
            until: Instant::now() + TIME_LIMIT,
            interrupted,
        }
    }

    /// Bytes of the file.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Whether bytes that are there did not come, or not in time: another time the file may say more.
    pub const fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// Bytes that were read of it.
    pub const fn read(&self) -> u64 {
        MOST_BYTES - self.left
    }

    /// Exactly that many bytes; `None` where the file, the budget or the time ends before.
    pub fn get(&mut self, at: u64, length: usize) -> Option<&[u8]> {
        self.up_to(at, length).filter(|piece| piece.len() == length)
    }

    /// Up to that many bytes, fewer at the end of the file.
    pub fn up_to(&mut self, at: u64, most: usize) -> Option<&[u8]> {
        self.questions = self.questions.checked_sub(1)?;
        let there = self.size.checked_sub(at)?;
        let length = usize::try_from(there).unwrap_or(usize::MAX).min(most);
        if length > LONGEST {
            return None;
        }
        let inside = at.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        let skip = match inside.filter(|skip| skip.saturating_add(length) <= self.window.len()) {
            Some(skip) => skip,
            None => {
                self.fill(at, length)?;
                0
            }
        };
        self.window.get(skip..skip + length)
    }

    fn fill(&mut self, at: u64, length: usize) -> Option<()> {
        if Instant::now() > self.until {
            self.interrupted = true;
            return None;
        }
        let end = self.start + self.window.len() as u64;
        let goes_on = at >= self.start && at <= end.saturating_add(SIP as u64);
        let there = usize::try_from(self.size - at).unwrap_or(usize::MAX);
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let want = length.max(if goes_on { WINDOW } else { SIP }).min(there).min(left);
        if want < length {
            return None;
        }
        self.window.resize(want, 0);
        self.start = at;
        let done = read_into(self.bytes, &mut self.window, at).unwrap_or_else(|_| {
            self.interrupted = true;
            0
        });
        self.window.truncate(done);
        self.left -= done as u64;
        (done >= length).then_some(())
    }

    /// That many bytes of one's own.
    pub fn copy(&mut self, at: u64, length: u64) -> Option<Vec<u8>> {
        self.get(at, usize::try_from(length).ok()?).map(<[u8]>::to_vec)
    }

    /// A number of so many bytes, at most 8.
    pub fn number(&mut self, at: u64, size: usize, big: bool) -> Option<u64> {
        let add = |n: u64, byte: &u8| n << 8 | u64::from(*byte);
        let bytes = self.get(at, size)?;
        Some(if big { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    }

    /// Two bytes, the most significant first.
    pub fn be16(&mut self, at: u64) -> Option<u32> {
        self.get(at, 2)?.first_chunk().map(|bytes| u32::from(u16::from_be_bytes(*bytes)))
    }

    /// Four bytes, the most significant first.
    pub fn be32(&mut self, at: u64) -> Option<u32> {
        self.get(at, 4)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// Two bytes, the least significant first.
    pub fn le16(&mut self, at: u64) -> Option<u32> {
        self.get(at, 2)?.first_chunk().map(|bytes| u32::from(u16::from_le_bytes(*bytes)))
    }

    /// Four bytes, the least significant first.
    pub fn le32(&mut self, at: u64) -> Option<u32> {
        self.get(at, 4)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }
}

/// Fills the buffer from `offset` on, less at the end of the file; how much of it.
fn read_into(bytes: &dyn ReadAt, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        match bytes.read_at(&mut buf[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

/// Reads exactly `buf.len()` bytes at `offset`; `false` if the file ends before.
pub fn read_exact_at(bytes: &dyn ReadAt, buf: &mut [u8], offset: u64) -> io::Result<bool> {
    Ok(read_into(bytes, buf, offset)? == buf.len())
}

/// Up to `most` bytes at `offset`; fewer only at the end of the file.
pub fn read_up_to(bytes: &dyn ReadAt, offset: u64, most: usize) -> io::Result<Vec<u8>> {
    let there = bytes.size()?.saturating_sub(offset);
    let mut buf = vec![0; usize::try_from(there).unwrap_or(usize::MAX).min(most)];
    let done = read_into(bytes, &mut buf, offset)?;
    buf.truncate(done);
    Ok(buf)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reading_ends_with_the_budget() {
        let file = vec![7_u8; usize::try_from(MOST_BYTES).unwrap() * 2];
        let mut source = Source::new(&file);
        let step = u64::try_from(LONGEST).unwrap();
        let pieces = (0..8).filter(|n| source.get(n * step, LONGEST).is_some()).count();
        assert_eq!((pieces as u64 * step, source.read()), (MOST_BYTES, MOST_BYTES));
        assert_eq!(source.get(0, 1), None);
    }

    #[test]
    fn a_jump_takes_a_sip_and_the_end_is_the_end() {
        let file: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let mut source = Source::new(&file);
        assert_eq!(source.get(0, 2), Some(&[0, 1][..]));
        assert_eq!(source.read(), WINDOW as u64);
        assert_eq!(source.number(50_001, 2, true), Some(0x51 << 8 | 0x52));
        assert_eq!(source.read(), (WINDOW + SIP) as u64);
        assert_eq!(source.up_to(99_998, 10).map(<[u8]>::len), Some(2));
        assert_eq!(source.get(99_998, 3), None);
        assert_eq!(source.get(u64::MAX, 1), None);
    }
}
