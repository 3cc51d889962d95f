//! Facts of videos, through nom-exif.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::Offset;
use nom_exif::{EntryValue, Exif, ExifDateTime, ExifTag, MediaParser, MediaSource, TrackInfo, TrackInfoTag};

use super::kind::Kind;
use super::{block, moment, still};
use crate::model::{CaptureTime, MediaFacts, PositionedReader, ReadAt, TimeSource};

/// Adds what the video says to `facts`.
pub fn read(kind: Kind, bytes: Arc<dyn ReadAt>, facts: &mut MediaFacts) {
    if !(kind.is_boxes() || matches!(kind, Kind::Matroska | Kind::Webm)) {
        return;
    }
    let track = MediaSource::seekable(PositionedReader::new(bytes))
        .and_then(|source| MediaParser::new().parse_track(source));
    if let Ok(track) = track {
        take(&track, facts);
    }
}

fn take(track: &TrackInfo, facts: &mut MediaFacts) {
    let text = |tag| track.get(tag).and_then(EntryValue::as_str).and_then(still::clean);
    let number = |tag| track.get(tag).and_then(EntryValue::try_as_integer).filter(|&n| n > 0);
    let side = |tag| number(tag).and_then(|n| u32::try_from(n).ok());
    facts.make = text(TrackInfoTag::Make);
    facts.model = text(TrackInfoTag::Model);
    facts.duration_ms = number(TrackInfoTag::DurationMs).map(i64::unsigned_abs);
    if let (Some(width), Some(height)) = (side(TrackInfoTag::Width), side(TrackInfoTag::Height)) {
        facts.width = Some(width);
        facts.height = Some(height);
    }
    facts.taken = track
        .get(TrackInfoTag::CreateDate)
        .and_then(EntryValue::as_datetime)
        .and_then(|at| capture(&at, TimeSource::Video));
    if let Some(gps) = track.gps_info() {
        place(gps.latitude_decimal(), gps.longitude_decimal(), facts);
    }
}

/// Canon's CR3 is a photo in a video's container; only nom-exif opens it.
pub fn read_still(bytes: Arc<dyn ReadAt>, facts: &mut MediaFacts) {
    if !block::are_tame(&*bytes) {
        return;
    }
    let found = MediaSource::seekable(PositionedReader::new(bytes))
        .and_then(|source| MediaParser::new().parse_exif(source));
    let Ok(found) = found else { return };
    let exif: Exif = found.into();
    let text = |tag| exif.get(tag).and_then(EntryValue::as_str).and_then(still::clean);
    let number = |tag| exif.get(tag).and_then(EntryValue::try_as_integer);
    facts.make = text(ExifTag::Make);
    facts.model = text(ExifTag::Model);
    facts.lens = text(ExifTag::LensModel);
    facts.taken = [ExifTag::DateTimeOriginal, ExifTag::CreateDate, ExifTag::ModifyDate]
        .into_iter()
        .find_map(|tag| capture(&exif.get(tag)?.as_datetime()?, TimeSource::Exif));
    facts.orientation =
        number(ExifTag::Orientation).and_then(|n| u8::try_from(n).ok()).filter(|n| (1..=8).contains(n));
    let side = |tag| number(tag).and_then(|n| u32::try_from(n).ok()).filter(|&n| n > 0);
    if let (Some(width), Some(height)) = (side(ExifTag::ExifImageWidth), side(ExifTag::ExifImageHeight)) {
        facts.width = Some(width);
        facts.height = Some(height);
    }
    if let Some(gps) = exif.gps_info() {
        place(gps.latitude_decimal(), gps.longitude_decimal(), facts);
    }
}

/// A container's own clock is UTC (offset 0); Apple's key brings the wall clock and its offset.
fn capture(at: &ExifDateTime, source: TimeSource) -> Option<CaptureTime> {
    let (local, offset_s) = match at {
        ExifDateTime::Aware(at) => {
            let offset_s = at.offset().local_minus_utc();
            let instant = instant(at.timestamp(), at.timestamp_subsec_nanos())?;
            (Offset::from_seconds(offset_s).ok()?.to_datetime(instant), Some(offset_s))
        }
        ExifDateTime::Naive(at) => {
            let instant = instant(at.and_utc().timestamp(), at.and_utc().timestamp_subsec_nanos())?;
            (Offset::UTC.to_datetime(instant), None)
        }
    };
    let believable = if source == TimeSource::Video {
        moment::is_plausible_video(&local)
    } else {
        moment::wall_clock(&local.to_string()).is_some()
    };
    believable.then_some(CaptureTime { local, offset_s, source })
}

fn instant(seconds: i64, nanoseconds: u32) -> Option<Timestamp> {
    // A leap second counts past a whole one.
    Timestamp::new(seconds, i32::try_from(nanoseconds.min(999_999_999)).ok()?).ok()
}

fn place(latitude: Option<f64>, longitude: Option<f64>, facts: &mut MediaFacts) {
    let (Some(latitude), Some(longitude)) = (latitude, longitude) else { return };
    let known = latitude != 0.0 || longitude != 0.0;
    if known && latitude.abs() <= 90.0 && longitude.abs() <= 180.0 {
        facts.latitude = Some(latitude);
        facts.longitude = Some(longitude);
    }
}
