//! Facts of photos: kamadak-exif decodes the Exif block; nom-exif opens the one container it does not know.

use std::sync::Arc;

use exif::{Context, Exif, In, Reader, Tag, Value};

use super::budget::read_up_to;
use super::kind::Kind;
use super::{block, moment, pixels, video};
use crate::model::{CaptureTime, MediaFacts, ReadAt, TimeSource};

const SUBFILE_TYPE: Tag = Tag(Context::Tiff, 0xfe);
/// Longest text taken from a file, characters.
const LONGEST_TEXT: usize = 128;

/// Adds what the photo says to `facts`.
pub fn read(kind: Kind, bytes: Arc<dyn ReadAt>, facts: &mut MediaFacts) {
    let size = pixels::of(kind, &*bytes);
    if kind == Kind::Cr3 {
        video::read_still(Arc::clone(&bytes), facts);
    } else if let Some(exif) = decode(kind, &*bytes) {
        take(&exif, kind, facts);
    }
    if let Some((width, height)) = size {
        facts.width = Some(width);
        facts.height = Some(height);
    }
}

/// Finds and decodes the Exif block; what a damaged one still holds counts.
fn decode(kind: Kind, bytes: &dyn ReadAt) -> Option<Exif> {
    let found = match kind {
        Kind::Tiff | Kind::Cr2 | Kind::Orf | Kind::Rw2 => {
            let mut head = read_up_to(bytes, 0, block::LONGEST).ok()?;
            // Olympus and Panasonic write a TIFF and call it otherwise.
            match head.get_mut(..4)? {
                mark @ [b'I', ..] => mark.copy_from_slice(b"II*\0"),
                mark => mark.copy_from_slice(b"MM\0*"),
            }
            head
        }
        Kind::Raf => {
            // The camera's own JPEG lies inside; its offset is at 84, its length at 88.
            let place = read_up_to(bytes, 84, 8).ok()?;
            let offset = u32::from_be_bytes(*place.first_chunk()?);
            let length = u32::from_be_bytes(*place.last_chunk()?) as usize;
            let jpeg = read_up_to(bytes, u64::from(offset), length.min(block::LONGEST)).ok()?;
            block::find(Kind::Jpeg, &jpeg)?
        }
        kind => block::find(kind, bytes)?,
    };
    if !block::is_tame(&found) {
        return None;
    }
    let mut reader = Reader::new();
    reader.continue_on_error(true);
    reader.read_raw(found).or_else(|e| e.distill_partial_result(|_| {})).ok()
}

fn take(exif: &Exif, kind: Kind, facts: &mut MediaFacts) {
    facts.make = text(exif, Tag::Make);
    facts.model = text(exif, Tag::Model);
    facts.lens = text(exif, Tag::LensModel);
    facts.taken = taken(exif);
    facts.orientation = number(exif, Tag::Orientation)
        .and_then(|n| u8::try_from(n).ok())
        .filter(|orientation| (1..=8).contains(orientation));
    let of = |width, height| {
        let (width, height) = (number(exif, width)?, number(exif, height)?);
        (width > 0 && height > 0).then_some((width, height))
    };
    let exif_size = || of(Tag::PixelXDimension, Tag::PixelYDimension);
    let size = match kind {
        // Bit 0 of the subfile type marks a preview: then the first directory is not the picture.
        Kind::Tiff if number(exif, SUBFILE_TYPE).unwrap_or(0) & 1 == 0 => {
            of(Tag::ImageWidth, Tag::ImageLength).or_else(exif_size)
        }
        // The block is that of the preview inside.
        Kind::Raf => None,
        _ => exif_size(),
    };
    if let Some((width, height)) = size {
        facts.width = Some(width);
        facts.height = Some(height);
    }
    if let Some((latitude, longitude)) = position(exif) {
        facts.latitude = Some(latitude);
        facts.longitude = Some(longitude);
    }
}

/// The first date that is one: taken, digitised, last changed.
fn taken(exif: &Exif) -> Option<CaptureTime> {
    let dates = [
        (Tag::DateTimeOriginal, Tag::OffsetTimeOriginal, Tag::SubSecTimeOriginal),
        (Tag::DateTimeDigitized, Tag::OffsetTimeDigitized, Tag::SubSecTimeDigitized),
        (Tag::DateTime, Tag::OffsetTime, Tag::SubSecTime),
    ];
    dates.into_iter().find_map(|(date, offset, fraction)| {
        let local = moment::wall_clock(&raw_text(exif, date)?)?;
        let fraction = raw_text(exif, fraction).and_then(|digits| moment::nanoseconds(&digits));
        let local = match fraction {
            Some(ns) => local.with().subsec_nanosecond(ns).build().unwrap_or(local),
            None => local,
        };
        let offset = raw_text(exif, offset).or_else(|| raw_text(exif, Tag::OffsetTime));
        let offset_s = offset.and_then(|text| moment::offset_s(&text));
        Some(CaptureTime { local, offset_s, source: TimeSource::Exif })
    })
}

/// Degrees north and east; 0,0 is what devices write that do not know.
fn position(exif: &Exif) -> Option<(f64, f64)> {
    let degrees = |tag, reference, negative: char, most: f64| {
        let parts: Vec<f64> = match &exif.get_field(tag, In::PRIMARY)?.value {
            Value::Rational(parts) => parts.iter().map(exif::Rational::to_f64).collect(),
            // Some phones write signed ones.
            Value::SRational(parts) => parts.iter().map(exif::SRational::to_f64).collect(),
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
    (latitude != 0.0 || longitude != 0.0).then_some((latitude, longitude))
}

fn number(exif: &Exif, tag: Tag) -> Option<u32> {
    exif.get_field(tag, In::PRIMARY)?.value.get_uint(0)
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

/// Text as written, without the padding; rubbish and emptiness are `None`.
pub fn clean(text: &str) -> Option<String> {
    let text = text.split('\0').next().unwrap_or_default().trim();
    let rubbish = text.contains(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER);
    (!text.is_empty() && !rubbish).then(|| text.chars().take(LONGEST_TEXT).collect())
}
