//! Videos, by nom-exif.

use jiff::civil::DateTime;
use jiff::tz::Offset;
use nom_exif::{EntryValue, MediaParser, MediaSource, TrackInfo, TrackInfoTag};

use super::budget::Budget;
use super::tidy;
use crate::model::{CaptureTime, MediaFacts, TimeSource};

/// Facts of a video.
pub fn facts(file: Budget) -> MediaFacts {
    let parsed = MediaSource::seekable(file).and_then(|source| MediaParser::new().parse_track(source));
    let Ok(info) = parsed else { return MediaFacts::default() };
    let place = info.gps_info();
    MediaFacts {
        taken: info.get(TrackInfoTag::CreateDate).and_then(taken),
        make: text(&info, TrackInfoTag::Make),
        model: text(&info, TrackInfoTag::Model),
        width: number(&info, TrackInfoTag::Width).and_then(|n| u32::try_from(n).ok()),
        height: number(&info, TrackInfoTag::Height).and_then(|n| u32::try_from(n).ok()),
        duration_ms: number(&info, TrackInfoTag::DurationMs),
        latitude: place.and_then(nom_exif::GPSInfo::latitude_decimal).filter(|d| d.abs() <= 90.0),
        longitude: place.and_then(nom_exif::GPSInfo::longitude_decimal).filter(|d| d.abs() <= 180.0),
        ..MediaFacts::default()
    }
}

fn text(info: &TrackInfo, tag: TrackInfoTag) -> Option<String> {
    tidy(info.get(tag)?.as_str()?)
}

fn number(info: &TrackInfo, tag: TrackInfoTag) -> Option<u64> {
    let value = info.get(tag)?;
    value.try_as_integer().and_then(|n| u64::try_from(n).ok()).filter(|&n| n > 0)
}

/// A container's UTC time has offset 0; Apple's own field brings the real one. Dates before video on
/// computers (1904, 1970) mean that the clock was never set.
fn taken(value: &EntryValue) -> Option<CaptureTime> {
    let (local, offset_s) = match value {
        EntryValue::DateTime(time) => {
            let offset = time.offset().local_minus_utc();
            let instant = jiff::Timestamp::from_second(time.timestamp()).ok()?;
            (Offset::from_seconds(offset).ok()?.to_datetime(instant), Some(offset))
        }
        EntryValue::NaiveDateTime(time) => {
            (time.to_string().replace(' ', "T").parse::<DateTime>().ok()?, None)
        }
        _ => return None,
    };
    (local.year() >= 1990).then_some(CaptureTime { local, offset_s, source: TimeSource::Video })
}
