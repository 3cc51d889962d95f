//! Exif: a small clean block is made of what the directories of a file hold, and kamadak-exif decodes its values.
//!
//! The decoder never meets the file's own structure. Directories that point into one another, megabytes of zeros that
//! claim to be text, pointers of a wrong type: all of that ends in the walk of [`super::super::container::tiff`].

use exif::{Exif, In, Reader, Tag, Value};
use jiff::civil::DateTime;

use super::super::moment;
use super::super::said::{By, Found, clean};
use crate::model::{CaptureTime, TimeSource};

/// Directories of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// The first one.
    First,
    /// Exif's own.
    Exif,
    /// The satellites'.
    Gps,
}

/// One entry, its value as it lies in the file.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it belongs.
    pub table: Table,
    /// Its number.
    pub tag: u16,
    /// How the value is written.
    pub kind: u16,
    /// How many of them.
    pub count: u32,
    /// The value.
    pub value: Vec<u8>,
}

/// Adds what the entries say.
pub fn read(entries: &[Entry], big: bool, found: &mut Found) {
    if entries.is_empty() {
        return;
    }
    let mut reader = Reader::new();
    reader.continue_on_error(true);
    let decoded = reader.read_raw(block(entries, big)).or_else(|e| e.distill_partial_result(|_| {}));
    if let Ok(exif) = decoded {
        take(&exif, found);
    }
}

/// A TIFF of three directories and their values.
fn block(entries: &[Entry], big: bool) -> Vec<u8> {
    let two = |n: usize| {
        let n = u16::try_from(n).unwrap_or(u16::MAX);
        if big { n.to_be_bytes() } else { n.to_le_bytes() }
    };
    let four = |n: usize| {
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        if big { n.to_be_bytes() } else { n.to_le_bytes() }
    };
    let of = |table| entries.iter().filter(move |entry| entry.table == table);
    let length = |table, pointers: usize| 2 + 12 * (of(table).count() + pointers) + 4;
    let (first, exif) = (8, 8 + length(Table::First, 2));
    let gps = exif + length(Table::Exif, 0);
    let mut values_at = gps + length(Table::Gps, 0);
    let mut directories = if big { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
    directories.extend(four(first));
    let mut values: Vec<u8> = Vec::new();
    for table in [Table::First, Table::Exif, Table::Gps] {
        let pointers: &[(u16, usize)] =
            if table == Table::First { &[(0x8769, exif), (0x8825, gps)] } else { &[] };
        directories.extend(two(of(table).count() + pointers.len()));
        for entry in of(table) {
            directories.extend(two(entry.tag.into()));
            directories.extend(two(entry.kind.into()));
            directories.extend(four(entry.count as usize));
            if entry.value.len() <= 4 {
                let mut short = entry.value.clone();
                short.resize(4, 0);
                directories.extend(short);
            } else {
                directories.extend(four(values_at));
                values_at += entry.value.len();
                values.extend(&entry.value);
            }
        }
        for (tag, place) in pointers {
            directories.extend(two((*tag).into()));
            directories.extend(two(4));
            directories.extend(four(1));
            directories.extend(four(*place));
        }
        directories.extend(four(0));
    }
    directories.extend(values);
    directories
}

fn take(exif: &Exif, found: &mut Found) {
    found.make.by(By::Exif, text(exif, Tag::Make));
    found.model.by(By::Exif, text(exif, Tag::Model));
    found.lens.by(By::Exif, text(exif, Tag::LensModel));
    found.software.by(By::Exif, text(exif, Tag::Software));
    found.comment.by(By::Exif, comment(exif));
    // 1 and 2 are scanners of film and of prints; 3 is a camera.
    found.scanned |= matches!(first_byte(exif, Tag::FileSource), Some(1 | 2));
    let orientation = number(exif, Tag::Orientation).and_then(|n| u8::try_from(n).ok());
    found.orientation.by(By::Exif, orientation.filter(|orientation| (1..=8).contains(orientation)));
    let dates = [
        (Tag::DateTimeOriginal, Tag::OffsetTimeOriginal, Tag::SubSecTimeOriginal, TimeSource::Exif),
        (Tag::DateTimeDigitized, Tag::OffsetTimeDigitized, Tag::SubSecTimeDigitized, TimeSource::Exif),
        (Tag::DateTime, Tag::OffsetTime, Tag::SubSecTime, TimeSource::Modified),
    ];
    for (date, offset, fraction, source) in dates {
        found.date(taken(exif, date, offset, fraction, source));
    }
    if let Some((latitude, longitude)) = position(exif) {
        found.place(By::Exif, latitude, longitude);
    }
    found.satellite = found.satellite.or_else(|| satellite(exif));
}

fn taken(exif: &Exif, date: Tag, offset: Tag, fraction: Tag, source: TimeSource) -> Option<CaptureTime> {
    let (local, own) = moment::stamp(&raw_text(exif, date)?)?;
    let fraction = raw_text(exif, fraction).and_then(|digits| moment::nanoseconds(&digits));
    let local = match fraction {
        Some(ns) => local.with().subsec_nanosecond(ns).build().unwrap_or(local),
        None => local,
    };
    let offset = raw_text(exif, offset).or_else(|| raw_text(exif, Tag::OffsetTime));
    let offset_s = offset.and_then(|text| moment::offset_s(&text)).or(own);
    Some(CaptureTime { local, offset_s, source })
}

/// Degrees north and east.
fn position(exif: &Exif) -> Option<(f64, f64)> {
    let degrees = |tag, reference, negative: char, most: f64| {
        let parts: Vec<f64> = match &exif.get_field(tag, In::PRIMARY)?.value {
            Value::Rational(parts) => parts.iter().map(exif::Rational::to_f64).collect(),
            // Some phones write signed ones.
            Value::SRational(parts) => parts.iter().map(exif::SRational::to_f64).collect(),
            Value::Ascii(lines) => in_words(&String::from_utf8_lossy(lines.first()?)),
            _ => return None,
        };
        let part = |n: usize| parts.get(n).copied().filter(|value| value.is_finite());
        let value = part(0)? + part(1).unwrap_or(0.0) / 60.0 + part(2).unwrap_or(0.0) / 3600.0;
        let south_or_west =
            raw_text(exif, reference).is_some_and(|r| r.trim_start().to_uppercase().starts_with(negative));
        (value.abs() <= most).then_some(if south_or_west { -value.abs() } else { value })
    };
    let latitude = degrees(Tag::GPSLatitude, Tag::GPSLatitudeRef, 'S', 90.0)?;
    let longitude = degrees(Tag::GPSLongitude, Tag::GPSLongitudeRef, 'W', 180.0)?;
    Some((latitude, longitude))
}

/// Degrees, minutes and seconds that somebody wrote as text: `52,00000,50,34.59`, `52 50 34.59`.
fn in_words(text: &str) -> Vec<f64> {
    let parts = text.split([' ', ',', ';', '\0']).filter(|part| !part.is_empty());
    parts.map_while(|part| part.parse().ok()).take(3).collect()
}

fn satellite(exif: &Exif) -> Option<DateTime> {
    let day = moment::wall_clock(&raw_text(exif, Tag::GPSDateStamp)?)?;
    let parts = match &exif.get_field(Tag::GPSTimeStamp, In::PRIMARY)?.value {
        Value::Rational(parts) => parts.iter().map(exif::Rational::to_f64).collect::<Vec<_>>(),
        _ => return None,
    };
    let &[hour, minute, second] = parts.as_slice() else { return None };
    let seconds = hour * 3600.0 + minute * 60.0 + second;
    // The calendar takes whole milliseconds; more is not written by anybody.
    (0.0..86_400.0).contains(&seconds).then(|| {
        let milliseconds = (seconds * 1000.0) as i64;
        day.checked_add(jiff::SignedDuration::from_millis(milliseconds)).ok()
    })?
}

fn number(exif: &Exif, tag: Tag) -> Option<u32> {
    exif.get_field(tag, In::PRIMARY)?.value.get_uint(0)
}

fn first_byte(exif: &Exif, tag: Tag) -> Option<u8> {
    match &exif.get_field(tag, In::PRIMARY)?.value {
        Value::Undefined(bytes, _) | Value::Byte(bytes) => bytes.first().copied(),
        _ => None,
    }
}

/// A comment behind eight bytes that name its letters, where it is in those of ASCII.
fn comment(exif: &Exif) -> Option<String> {
    match &exif.get_field(Tag::UserComment, In::PRIMARY)?.value {
        Value::Undefined(bytes, _) => clean(&String::from_utf8_lossy(bytes.strip_prefix(b"ASCII\0\0\0")?)),
        Value::Ascii(_) => text(exif, Tag::UserComment),
        _ => None,
    }
}

fn raw_text(exif: &Exif, tag: Tag) -> Option<String> {
    match &exif.get_field(tag, In::PRIMARY)?.value {
        Value::Ascii(lines) => Some(String::from_utf8_lossy(lines.first()?).into_owned()),
        _ => None,
    }
}

fn text(exif: &Exif, tag: Tag) -> Option<String> {
    clean(&raw_text(exif, tag)?)
}
