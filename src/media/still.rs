//! Pictures: Exif by kamadak-exif, and the size that the container itself states.

use std::io::{BufReader, Read, Seek, SeekFrom};

use exif::{Exif, In, Reader, Tag, Value};
use jiff::civil::{Date, DateTime, Time};

use super::budget::Budget;
use super::kind::Kind;
use super::tidy;
use crate::model::{CaptureTime, MediaFacts, TimeSource};

/// Facts of a picture.
pub fn facts(mut file: Budget, kind: Kind) -> MediaFacts {
    let (width, height) = match kind {
        Kind::Jpeg => jpeg_size(&mut file).unzip(),
        Kind::Png => png_size(&mut file).unzip(),
        _ => (None, None),
    };
    let stated = MediaFacts { width, height, ..MediaFacts::default() };
    if file.seek(SeekFrom::Start(0)).is_err() {
        return stated;
    }
    let exif = Reader::new().continue_on_error(true).read_from_container(&mut BufReader::new(file));
    // With damaged entries the others still count.
    let Ok(exif) = exif.or_else(|e| e.distill_partial_result(|_| {})) else { return stated };
    MediaFacts {
        taken: taken(&exif),
        make: text(&exif, Tag::Make),
        model: text(&exif, Tag::Model),
        lens: text(&exif, Tag::LensModel),
        width: width
            .or_else(|| number(&exif, Tag::PixelXDimension))
            .or_else(|| number(&exif, Tag::ImageWidth)),
        height: height
            .or_else(|| number(&exif, Tag::PixelYDimension))
            .or_else(|| number(&exif, Tag::ImageLength)),
        orientation: number(&exif, Tag::Orientation)
            .and_then(|n| u8::try_from(n).ok())
            .filter(|n| (1..=8).contains(n)),
        latitude: degrees(&exif, Tag::GPSLatitude, Tag::GPSLatitudeRef, "S", 90.0),
        longitude: degrees(&exif, Tag::GPSLongitude, Tag::GPSLongitudeRef, "W", 180.0),
        ..stated
    }
}

fn text(exif: &Exif, tag: Tag) -> Option<String> {
    match &exif.get_field(tag, In::PRIMARY)?.value {
        Value::Ascii(parts) => tidy(&String::from_utf8_lossy(parts.first()?)),
        _ => None,
    }
}

fn number(exif: &Exif, tag: Tag) -> Option<u32> {
    exif.get_field(tag, In::PRIMARY)?.value.get_uint(0).filter(|&n| n > 0)
}

fn taken(exif: &Exif) -> Option<CaptureTime> {
    let pairs = [
        (Tag::DateTimeOriginal, Tag::OffsetTimeOriginal),
        (Tag::DateTimeDigitized, Tag::OffsetTimeDigitized),
        (Tag::DateTime, Tag::OffsetTime),
    ];
    pairs.into_iter().find_map(|(time, offset)| {
        let local = wall_clock(&text(exif, time)?)?;
        let offset = text(exif, offset).or_else(|| text(exif, Tag::OffsetTime));
        Some(CaptureTime {
            local,
            offset_s: offset.and_then(|t| offset_seconds(&t)),
            source: TimeSource::Exif,
        })
    })
}

/// `2021:05:06 07:08:09` and its relatives with `-`, `/` or `T`; zeroes and years before photography are
/// no dates.
fn wall_clock(text: &str) -> Option<DateTime> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|piece| !piece.is_empty());
    let mut next = |most: usize| numbers.next().filter(|piece| piece.len() <= most)?.parse::<i16>().ok();
    let (year, month, day) = (next(4)?, next(2)?, next(2)?);
    let (hour, minute, second) = (next(2).unwrap_or(0), next(2).unwrap_or(0), next(2).unwrap_or(0));
    if year < 1826 {
        return None;
    }
    let small = |n: i16| i8::try_from(n).ok();
    let date = Date::new(year, small(month)?, small(day)?).ok()?;
    let time = Time::new(small(hour)?, small(minute)?, small(second.min(59))?, 0).ok()?;
    Some(date.to_datetime(time))
}

/// `+02:00`.
fn offset_seconds(text: &str) -> Option<i32> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return (text == "Z").then_some(0),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    ((0..=15).contains(&hours) && (0..60).contains(&minutes)).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Degrees, minutes and seconds; signed rationals are accepted, a position of zero is none.
fn degrees(exif: &Exif, tag: Tag, side: Tag, negative: &str, most: f64) -> Option<f64> {
    let parts: Vec<f64> = match &exif.get_field(tag, In::PRIMARY)?.value {
        Value::Rational(parts) => parts.iter().map(exif::Rational::to_f64).collect(),
        Value::SRational(parts) => parts.iter().map(exif::SRational::to_f64).collect(),
        _ => return None,
    };
    let part = |n: usize| parts.get(n).copied().filter(|p| p.is_finite()).unwrap_or(0.0);
    let value = part(0) + part(1) / 60.0 + part(2) / 3600.0;
    let sign = if text(exif, side)? == negative { -1.0 } else { 1.0 };
    (value.is_finite() && value > 0.0 && value <= most).then_some(sign * value)
}

fn exactly<const N: usize>(file: &mut Budget, at: u64) -> Option<[u8; N]> {
    let mut out = [0; N];
    file.seek(SeekFrom::Start(at)).ok()?;
    file.read_exact(&mut out).ok()?;
    Some(out)
}

fn jpeg_size(file: &mut Budget) -> Option<(u32, u32)> {
    let mut at = 2;
    for _ in 0..500 {
        let [0xff, marker, a, b] = exactly::<4>(file, at)? else { return None };
        // Start of frame; the neighbours C4, C8 and CC are something else.
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
            let [_, h1, h2, w1, w2] = exactly::<5>(file, at + 4)?;
            return Some((u16::from_be_bytes([w1, w2]).into(), u16::from_be_bytes([h1, h2]).into()));
        }
        at += if marker == 0xff { 1 } else { 2 + u64::from(u16::from_be_bytes([a, b])) };
    }
    None
}

fn png_size(file: &mut Budget) -> Option<(u32, u32)> {
    let head = exactly::<8>(file, 16)?;
    let number =
        |from: usize| u32::from_be_bytes([head[from], head[from + 1], head[from + 2], head[from + 3]]);
    Some((number(0), number(4)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn dates_are_read_in_every_spelling_and_nonsense_is_none() {
        for text in ["2021:05:06 07:08:09", "2021-05-06T07:08:09.12", "2021/05/06 07:08:09"] {
            assert_eq!(wall_clock(text).unwrap().to_string(), "2021-05-06T07:08:09", "{text}");
        }
        assert_eq!(wall_clock("2021:05:06").unwrap().to_string(), "2021-05-06T00:00:00");
        for text in
            ["0000:00:00 00:00:00", "    :  :     :  :  ", "", "2021:13:01 00:00:00", "1700:01:01 00:00:00"]
        {
            assert_eq!(wall_clock(text), None, "{text}");
        }
    }

    #[test]
    fn offsets_are_read_strictly() {
        assert_eq!(offset_seconds("+05:30"), Some(19_800));
        assert_eq!(offset_seconds("-08:00"), Some(-28_800));
        assert_eq!(offset_seconds("Z"), Some(0));
        for bad in ["", "5", "+99:00", "+02", "ü:00"] {
            assert_eq!(offset_seconds(bad), None, "{bad}");
        }
    }
}
