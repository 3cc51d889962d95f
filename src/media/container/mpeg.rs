//! MPEG: transport streams of camcorders (MTS, M2TS), and program streams of discs (MPG). Neither has a table of
//! contents: the first half megabyte and the last are looked through.

mod h264;

use super::super::said::{By, Found};
use super::super::source::Source;

/// Bytes that are looked through at each end.
const END: u64 = 512 * 1024;
/// Ticks of the clock in a millisecond.
const TICKS: u64 = 90;
/// The clock begins again after so many ticks.
const ROUND: u64 = 1 << 33;

/// Adds what a transport stream says.
pub fn transport(source: &mut Source<'_>, found: &mut Found) -> Option<()> {
    let size = source.size();
    let head = source.copy(0, size.min(END))?;
    // In M2TS a clock of four bytes precedes each packet.
    let (skip, step) = if head.first() == Some(&0x47) { (0, 188) } else { (4, 192) };
    let mut stream = Stream::default();
    for packet in head.get(skip..)?.chunks(step).filter_map(|packet| packet.get(..188)) {
        stream.packet(packet);
    }
    look(&stream.video, found);
    let tail_at = size.saturating_sub(END) / step as u64 * step as u64;
    let tail = source.copy(tail_at, (size - tail_at).min(END + step as u64))?;
    let first = stream.first;
    stream.last = None;
    for packet in tail.get(skip..)?.chunks(step).filter_map(|packet| packet.get(..188)) {
        stream.packet(packet);
    }
    duration(first, stream.last, found);
    Some(())
}

/// Adds what a program stream says.
pub fn program(source: &mut Source<'_>, found: &mut Found) -> Option<()> {
    let size = source.size();
    let head = source.copy(0, size.min(END))?;
    look(&head, found);
    let first = stamps(&head).next();
    let tail = source.copy(size.saturating_sub(END), size.min(END))?;
    duration(first, stamps(&tail).last(), found);
    Some(())
}

fn duration(first: Option<u64>, last: Option<u64>, found: &mut Found) {
    let ticks = first.zip(last).map(|(first, last)| (last + ROUND - first) % ROUND);
    // A clock that was set back is none.
    let ms = ticks.filter(|ticks| *ticks > 0 && *ticks < ROUND / 2).map(|ticks| ticks / TICKS);
    found.duration_ms.by(By::Header, ms);
}

/// What the packets of a transport stream carry.
#[derive(Default)]
struct Stream {
    table: Option<u16>,
    pictures: Option<u16>,
    /// What tells the time where there are no pictures.
    sound: Option<u16>,
    video: Vec<u8>,
    /// Times at which something is shown, in ticks: the first and the last.
    first: Option<u64>,
    last: Option<u64>,
}

impl Stream {
    fn packet(&mut self, packet: &[u8]) -> Option<()> {
        let (&[mark, high, low, control], rest) = packet.split_first_chunk()?;
        if mark != 0x47 {
            return None;
        }
        let begins = high & 0x40 != 0;
        let number = u16::from_be_bytes([high & 0x1f, low]);
        let body = match control >> 4 & 3 {
            1 => rest,
            3 => rest.get(1 + usize::from(*rest.first()?)..)?,
            _ => return None,
        };
        if number == 0 && begins {
            // The table of the first programme; 0 is the network's.
            let section = body.get(1 + usize::from(*body.first()?)..)?;
            let mut programmes = section.get(8..)?.chunks_exact(4).filter(|entry| entry[..2] != [0, 0]);
            let place = |entry: &[u8]| u16::from_be_bytes([entry[2] & 0x1f, entry[3]]);
            self.table = self.table.or_else(|| programmes.next().map(place));
        } else if Some(number) == self.table && begins {
            self.programme(body.get(1 + usize::from(*body.first()?)..)?);
        } else if Some(number) == self.pictures.or(self.sound) {
            let body = match begins.then(|| pes(body)).flatten() {
                Some((time, rest)) => {
                    self.first = self.first.or(time);
                    self.last = time.or(self.last);
                    rest
                }
                None => body,
            };
            if (self.video.len() as u64) < END {
                self.video.extend(body);
            }
        }
        Some(())
    }

    fn programme(&mut self, section: &[u8]) -> Option<()> {
        let length = usize::from(u16::from_be_bytes([section.get(1)? & 0x0f, *section.get(2)?]));
        let end = (3 + length).saturating_sub(4).min(section.len());
        let skip = usize::from(u16::from_be_bytes([section.get(10)? & 0x0f, *section.get(11)?]));
        let mut entries = section.get(12 + skip..end)?;
        while let Some((&[kind, high, low, more, length], rest)) = entries.split_first_chunk() {
            // MPEG-1, MPEG-2, MPEG-4, H.264, H.265.
            let number = u16::from_be_bytes([high & 0x1f, low]);
            if matches!(kind, 0x01 | 0x02 | 0x10 | 0x1b | 0x24) {
                self.pictures = self.pictures.or(Some(number));
            } else {
                self.sound = self.sound.or(Some(number));
            }
            entries = rest.get(usize::from(u16::from_be_bytes([more & 0x0f, length]))..)?;
        }
        Some(())
    }
}

/// When a piece is shown, if it says so, and what follows its head.
fn pes(body: &[u8]) -> Option<(Option<u64>, &[u8])> {
    let rest = body.strip_prefix(&[0, 0, 1])?.get(3..)?;
    let (&[_, flags, length], _) = rest.split_first_chunk()?;
    let time = (flags & 0x80 != 0).then(|| stamp(rest.get(3..8)?)).flatten();
    Some((time, rest.get(3 + usize::from(length)..)?))
}

/// Five bytes of which each ends in a set bit.
fn stamp(bytes: &[u8]) -> Option<u64> {
    let &[a, b, c, d, e] = bytes.first_chunk()?;
    if a & 1 & c & e == 0 {
        return None;
    }
    let (a, b, c, d, e) = (u64::from(a), u64::from(b), u64::from(c), u64::from(d), u64::from(e));
    Some((a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1)
}

/// The times of the pieces of a program stream.
fn stamps(bytes: &[u8]) -> impl Iterator<Item = u64> {
    starts(bytes).filter(|(code, _)| matches!(code, 0xc0..=0xef)).filter_map(|(_, rest)| {
        let mut rest = rest.get(2..)?;
        if rest.first()? >> 6 == 2 {
            return (rest.get(1)? & 0x80 != 0).then(|| stamp(rest.get(3..8)?))?;
        }
        // MPEG-1: padding, the size of a buffer, the time.
        let padding = rest.iter().take(16).take_while(|byte| **byte == 0xff).count();
        rest = rest.get(padding..)?;
        if rest.first()? >> 6 == 1 {
            rest = rest.get(2..)?;
        }
        matches!(rest.first()? >> 4, 2 | 3).then(|| stamp(rest.get(..5)?))?
    })
}

/// The places behind `00 00 01`: the code there, and what follows it.
fn starts(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = bytes.get(at..)?;
            let &[a, b, c, code] = rest.first_chunk()?;
            if (a, b, c) == (0, 0, 1) {
                at += 3;
                return Some((code, rest.get(4..)?));
            }
            at += 1;
        }
    })
}

/// What the pictures themselves say.
fn look(video: &[u8], found: &mut Found) {
    for (code, rest) in starts(video) {
        match code {
            // A sequence begins: twelve bits each.
            0xb3 => {
                if let Some(&[a, b, c]) = rest.first_chunk() {
                    let (a, b, c) = (u32::from(a), u32::from(b), u32::from(c));
                    found.pixels(By::Header, a << 4 | b >> 4, (b & 15) << 8 | c);
                }
            }
            code if code & 0x80 == 0 => h264::unit(code & 0x1f, rest, found),
            _ => {}
        }
    }
}
