//! Matroska and WebM: elements whose names and lengths are numbers of variable length.

use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use super::super::moment;
use super::super::said::{By, Found};
use super::super::source::Source;
use crate::model::{CaptureTime, TimeSource};

/// Elements that are looked at; what is played is passed over, a cluster at a time.
const MOST_ELEMENTS: u32 = 5000;
const DEEPEST: u32 = 4;
/// The first day of 2001, from which dates count.
const EPOCH: i64 = 978_307_200;

const SEGMENT: u64 = 0x1853_8067;
const INFO: u64 = 0x1549_a966;
const TRACKS: u64 = 0x1654_ae6b;
const TRACK: u64 = 0xae;
const VIDEO: u64 = 0xe0;
const CLUSTER: u64 = 0x1f43_b675;
const DATE: u64 = 0x4461;
const DURATION: u64 = 0x4489;
const SCALE: u64 = 0x2a_d7b1;
const WIDTH: u64 = 0xb0;
const HEIGHT: u64 = 0xba;

#[derive(Default)]
struct Film {
    scale: Option<u64>,
    duration: Option<f64>,
    width: Option<u32>,
    height: Option<u32>,
    looked_at: u32,
}

/// Adds what the film says.
pub fn read(source: &mut Source<'_>, found: &mut Found) {
    let mut film = Film::default();
    let end = source.size();
    walk(source, 0, end, 0, &mut film, found);
    // Nanoseconds of one unit; a millisecond where it is not said.
    let unit = film.scale.unwrap_or(1_000_000) as f64;
    let milliseconds = film.duration.map(|units| units * unit / 1e6);
    found
        .duration_ms
        .by(By::Header, milliseconds.filter(|ms| (1.0..3e10).contains(ms)).map(|ms| ms.round() as u64));
    if let (Some(width), Some(height)) = (film.width, film.height) {
        found.pixels(By::Header, width, height);
    }
}

fn walk(
    source: &mut Source<'_>,
    mut at: u64,
    end: u64,
    depth: u32,
    film: &mut Film,
    found: &mut Found,
) -> Option<()> {
    while at < end {
        film.looked_at += 1;
        if film.looked_at > MOST_ELEMENTS {
            return None;
        }
        let (name, name_length) = number(source, at, false)?;
        let (length, length_length) = number(source, at + name_length, true)?;
        let body = at + name_length + length_length;
        // A length that is not known yet when the film begins: to the end of what holds it.
        let unknown = length == (1 << (7 * length_length)) - 1;
        let next = if unknown { end } else { body.checked_add(length)?.min(end) };
        let size = usize::try_from(next.saturating_sub(body)).ok().filter(|size| *size <= 8);
        let integer = |source: &mut Source<'_>| source.number(body, size?, true);
        match name {
            SEGMENT | INFO | TRACKS | TRACK | VIDEO if depth < DEEPEST => {
                walk(source, body, next, depth + 1, film, found);
            }
            // What is played has no length here either: nothing behind it can be found.
            CLUSTER if unknown => return None,
            DATE => {
                let since = integer(source).map(u64::cast_signed);
                let instant = since.and_then(|ns| {
                    Timestamp::from_second(EPOCH).ok()?.checked_add(SignedDuration::from_nanos(ns)).ok()
                });
                let local = instant.map(|instant| Offset::UTC.to_datetime(instant));
                found.date(local.filter(moment::is_plausible_video).map(|local| CaptureTime {
                    local,
                    offset_s: Some(0),
                    source: TimeSource::Video,
                }));
            }
            DURATION => {
                let bits = integer(source);
                film.duration = match size {
                    Some(4) => bits.and_then(|n| u32::try_from(n).ok()).map(|n| f32::from_bits(n).into()),
                    Some(8) => bits.map(f64::from_bits),
                    _ => None,
                };
            }
            SCALE => film.scale = integer(source).filter(|n| *n > 0),
            WIDTH => film.width = film.width.or(integer(source).and_then(|n| n.try_into().ok())),
            HEIGHT => film.height = film.height.or(integer(source).and_then(|n| n.try_into().ok())),
            _ => {}
        }
        at = next;
    }
    Some(())
}

/// A number whose first bit that is set tells its length, and that length. Names keep that bit, lengths lose it.
fn number(source: &mut Source<'_>, at: u64, lose: bool) -> Option<(u64, u64)> {
    let first = *source.get(at, 1)?.first()?;
    let length = first.leading_zeros() + 1;
    if length > 8 {
        return None;
    }
    let whole = source.number(at, length as usize, true)?;
    let value = if lose { whole & ((1 << (7 * length)) - 1) } else { whole };
    Some((value, length.into()))
}
