//! AVI: lists of chunks of RIFF.

use super::super::moment;
use super::super::said::{By, Found, clean_bytes};
use super::super::source::Source;
use crate::model::{CaptureTime, TimeSource};

/// Chunks that are looked at.
const MOST_CHUNKS: u32 = 2000;
const DEEPEST: u32 = 4;
/// Longest text.
const LONGEST_TEXT: u64 = 256;

/// Adds what the film says.
pub fn read(source: &mut Source<'_>, found: &mut Found) {
    let (mut looked_at, end) = (0, source.size());
    let mut stream = None;
    walk(source, 12, end, 0, &mut looked_at, &mut stream, found);
    let ms = stream.and_then(|(micros, frames)| micros.checked_mul(frames)).map(|micros| micros / 1000);
    found.duration_ms.by(By::Header, ms.filter(|ms| *ms > 0));
}

/// `stream` becomes the microseconds of one frame of the film, and how many there are.
fn walk(
    source: &mut Source<'_>,
    mut at: u64,
    end: u64,
    depth: u32,
    looked_at: &mut u32,
    stream: &mut Option<(u64, u64)>,
    found: &mut Found,
) -> Option<()> {
    while at + 8 <= end {
        *looked_at += 1;
        if *looked_at > MOST_CHUNKS {
            return None;
        }
        let name = *source.get(at, 4)?.first_chunk::<4>()?;
        let (body, length) = (at + 8, u64::from(source.le32(at + 4)?));
        let next = body + length + length % 2;
        match &name {
            // What is played is passed over.
            b"LIST" if depth < DEEPEST && source.get(body, 4)? != b"movi" => {
                walk(source, body + 4, (body + length).min(end), depth + 1, looked_at, stream, found);
            }
            b"avih" => {
                found.pixels(By::Header, source.le32(body + 32)?, source.le32(body + 36)?);
                *stream = stream.or(Some((source.le32(body)?.into(), source.le32(body + 16)?.into())));
            }
            b"strh" if source.get(body, 4)? == b"vids" => {
                // The stream counts in fractions: so many parts of a second for one frame.
                let (scale, rate) = (u64::from(source.le32(body + 20)?), u64::from(source.le32(body + 24)?));
                let frames = u64::from(source.le32(body + 32)?);
                if let Some(micros) = (scale * 1_000_000).checked_div(rate)
                    && micros > 0
                    && frames > 0
                {
                    // The film's own number is that of the first gigabyte.
                    *stream = Some((micros, stream.map_or(frames, |(_, number)| number.max(frames))));
                }
            }
            b"IDIT" | b"ICRD" => {
                let text = source.copy(body, length.min(LONGEST_TEXT))?;
                let at = moment::spoken(&String::from_utf8_lossy(&text));
                found.date(
                    at.filter(|(local, _)| moment::is_plausible_video(local))
                        .map(|(local, offset_s)| CaptureTime { local, offset_s, source: TimeSource::Avi }),
                );
            }
            b"ISFT" => {
                let text = source.copy(body, length.min(LONGEST_TEXT))?;
                found.software.by(By::Header, clean_bytes(&text));
            }
            _ => {}
        }
        at = next;
    }
    Some(())
}
