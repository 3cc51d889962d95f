//! Is the file whole? Its own structure tells: end markers, box sizes, declared lengths.
//!
//! Lenient where real files are odd (bytes after the end, unknown kinds), strict where a cut shows.

use super::kind::{self, Kind};
use crate::model::ReadAt;

/// Most segments, boxes or chunks that are walked.
const MOST_STEPS: usize = 200_000;

/// Says what is missing of a file that is not whole. Kinds without a checkable structure pass.
pub fn check(bytes: &dyn ReadAt) -> Result<(), String> {
    let size = bytes.size().map_err(|e| format!("it cannot be read: {e}"))?;
    if size == 0 {
        return Err("the file is empty".into());
    }
    let cut = |what: &str| Err(format!("the file is cut: {what}"));
    let file = File { bytes, size };
    match kind::of(bytes) {
        Kind::Html => Err("it is a web page".into()),
        Kind::Jpeg if !file.jpeg_ends() => cut("no end of the picture"),
        Kind::Png if !file.png_ends() => cut("no IEND chunk"),
        Kind::Gif if !file.gif_ends() => cut("no trailer"),
        Kind::WebP | Kind::Avi if !file.riff_is_complete() => cut("shorter than its RIFF header says"),
        Kind::Heic | Kind::Avif | Kind::Cr3 | Kind::Mp4 | Kind::Mov | Kind::ThreeGp if !file.boxes_fit() => {
            cut("a box is longer than the file")
        }
        Kind::Mkv | Kind::WebM if !file.matroska_is_complete() => cut("a segment is longer than the file"),
        _ => Ok(()),
    }
}

struct File<'a> {
    bytes: &'a dyn ReadAt,
    size: u64,
}

impl File<'_> {
    fn take<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        let mut out = [0; N];
        let mut got = 0;
        while got < N {
            match self.bytes.read_at(&mut out[got..], at + got as u64) {
                Ok(n @ 1..) => got += n,
                _ => return None,
            }
        }
        Some(out)
    }

    /// Whether `what` stands anywhere from `from` to the end.
    fn contains(&self, what: [u8; 2], from: u64) -> bool {
        let mut buffer = vec![0; 256 * 1024];
        let (mut at, mut last) = (from, None);
        while let Ok(n @ 1..) = self.bytes.read_at(&mut buffer, at) {
            let piece = &buffer[..n];
            let across = last == Some(what[0]) && piece[0] == what[1];
            if across || piece.windows(2).any(|pair| pair == what) {
                return true;
            }
            last = piece.last().copied();
            at += n as u64;
        }
        false
    }

    /// Segments up to the scan, then an end-of-image marker: at the very end, or before a trailer.
    fn jpeg_ends(&self) -> bool {
        let mut at = 2;
        for _ in 0..MOST_STEPS {
            let Some([0xff, marker]) = self.take::<2>(at) else { return false };
            match marker {
                0xff => at += 1,
                0xd9 => return true,
                0x01 | 0xd0..=0xd8 => at += 2,
                _ => {
                    let Some(length) = self.take::<2>(at + 2) else { return false };
                    at += 2 + u64::from(u16::from_be_bytes(length)).max(2);
                    if marker == 0xda {
                        return self.take::<2>(self.size - 2) == Some([0xff, 0xd9])
                            || self.contains([0xff, 0xd9], at);
                    }
                }
            }
        }
        false
    }

    fn png_ends(&self) -> bool {
        let mut at = 8;
        for _ in 0..MOST_STEPS {
            let Some(head) = self.take::<8>(at) else { return false };
            let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
            at += 12 + u64::from(length);
            if &head[4..] == b"IEND" {
                return at <= self.size;
            }
        }
        false
    }

    /// The trailer is the last byte that is not padding.
    fn gif_ends(&self) -> bool {
        let from = self.size.saturating_sub(64);
        let mut tail = vec![0; 64];
        let n = self.bytes.read_at(&mut tail, from).unwrap_or(0);
        tail[..n].iter().rev().find(|&&b| b != 0).is_some_and(|&b| b == 0x3b)
    }

    fn riff_is_complete(&self) -> bool {
        self.take::<4>(4).is_some_and(|length| u64::from(u32::from_le_bytes(length)) + 8 <= self.size + 1)
    }

    fn boxes_fit(&self) -> bool {
        let mut at = 0;
        for _ in 0..MOST_STEPS {
            if at == self.size {
                return true;
            }
            let Some(head) = self.take::<8>(at) else {
                // A few bytes after the last box are padding that some writers leave.
                return at < self.size;
            };
            let known = head[4..].iter().all(|b| b.is_ascii_graphic() || *b == b' ' || *b == 0xa9);
            let length = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
                // To the end of the file; or padding.
                0 => return true,
                1 => match self.take::<8>(at + 8) {
                    Some(long) => u64::from_be_bytes(long),
                    None => return false,
                },
                short => u64::from(short),
            };
            if !known || length < 8 {
                // Not a box: a vendor's trailer after complete boxes.
                return at > 0;
            }
            match at.checked_add(length) {
                Some(next) if next <= self.size => at = next,
                _ => return false,
            }
        }
        false
    }

    /// Top-level elements with a known size end within the file.
    fn matroska_is_complete(&self) -> bool {
        let mut at = 0;
        while at < self.size {
            let Some((_, id_length)) = self.vint(at, false) else { return true };
            let Some((length, size_length)) = self.vint(at + id_length, true) else { return true };
            let unknown = length == (1 << (7 * size_length)) - 1;
            if unknown {
                return true;
            }
            match at.checked_add(id_length + size_length).and_then(|at| at.checked_add(length)) {
                Some(next) if next <= self.size => at = next,
                _ => return false,
            }
        }
        true
    }

    /// A variable-length integer: value and length; identifiers keep their marker.
    fn vint(&self, at: u64, drop_marker: bool) -> Option<(u64, u64)> {
        let [first] = self.take::<1>(at)?;
        let length = u64::from(first.leading_zeros()) + 1;
        if length > 8 {
            return None;
        }
        let mut value = if drop_marker { u64::from(first) & ((1 << (8 - length)) - 1) } else { first.into() };
        for i in 1..length {
            let [next] = self.take::<1>(at + i)?;
            value = value << 8 | u64::from(next);
        }
        Some((value, length))
    }
}
