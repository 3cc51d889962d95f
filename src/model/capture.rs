//! When a photo was taken: the wall clock where it was taken, and how far that was from UTC.

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{MediaFacts, RemoteItem};

/// Where a capture time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeSource {
    /// The file's own Exif.
    Exif,
    /// A video container's own fields.
    Video,
    /// Google's capture time.
    Google,
    /// The upload instant: nothing better is known.
    Upload,
    /// Nothing is known at all; stands for 1970.
    None,
}

/// A capture time. Folders use `local` only; it is never shifted to another zone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaptureTime {
    /// Wall clock at the place of capture.
    pub local: DateTime,
    /// Seconds east of UTC, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_s: Option<i32>,
    /// Who says so.
    pub source: TimeSource,
}

impl CaptureTime {
    /// The instant; without an offset the wall clock is read as UTC.
    pub fn instant(&self) -> Timestamp {
        let offset = self.offset_s.and_then(|s| Offset::from_seconds(s).ok()).unwrap_or(Offset::UTC);
        offset.to_timestamp(self.local).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// From an instant in milliseconds since 1970 UTC and an offset in milliseconds.
    pub fn from_millis(ms: i64, offset_ms: Option<i64>, source: TimeSource) -> Option<Self> {
        let instant = Timestamp::from_millisecond(ms).ok()?;
        let offset_s = offset_ms.and_then(|ms| i32::try_from(ms / 1000).ok());
        let offset = match offset_s {
            Some(s) => Offset::from_seconds(s).ok()?,
            None => Offset::UTC,
        };
        let local = offset.to_datetime(instant);
        Some(Self { local, offset_s, source })
    }

    /// Chooses between the file's and Google's word, as `metadata.md` 6 argues.
    ///
    /// The file wins where it has a time (it has the wall clock; a missing offset is taken from Google),
    /// unless the two are more than 15 hours apart: then the person has corrected the date in Google Photos.
    pub fn choose(facts: &MediaFacts, item: &RemoteItem) -> Self {
        let google =
            item.taken_ms.and_then(|ms| Self::from_millis(ms, item.zone_offset_ms, TimeSource::Google));
        let upload = item.uploaded_ms.and_then(|ms| Self::from_millis(ms, None, TimeSource::Upload));
        let nothing = Self {
            local: jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0),
            offset_s: None,
            source: TimeSource::None,
        };
        match (facts.taken, google) {
            (Some(file), Some(google)) => {
                let file = file.with_offset_of(&google);
                let apart = google.instant().duration_since(file.instant()).abs();
                if apart > SignedDuration::from_hours(15) { google } else { file }
            }
            (Some(file), None) => file,
            (None, Some(google)) => google,
            (None, None) => upload.unwrap_or(nothing),
        }
    }

    /// Fills a missing offset: a file without one was taken in the zone Google knows, or nobody knows.
    /// A video's UTC time is moved to the wall clock there.
    fn with_offset_of(self, other: &Self) -> Self {
        match (self.offset_s, other.offset_s) {
            (None, Some(offset_s)) => Self { offset_s: Some(offset_s), ..self },
            (Some(0), Some(offset_s)) if self.source == TimeSource::Video => {
                let offset = Offset::from_seconds(offset_s).unwrap_or(Offset::UTC);
                let local = offset.to_datetime(self.instant());
                Self { local, offset_s: Some(offset_s), source: self.source }
            }
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::MediaKey;

    fn remote(taken: &str, offset_h: i64) -> RemoteItem {
        let at: Timestamp = taken.parse().unwrap();
        RemoteItem {
            taken_ms: Some(at.as_millisecond()),
            zone_offset_ms: Some(offset_h * 3_600_000),
            uploaded_ms: None,
            ..RemoteItem::unknown(MediaKey::new("k").unwrap())
        }
    }

    fn file(local: &str, offset_s: Option<i32>, source: TimeSource) -> MediaFacts {
        let taken = CaptureTime { local: local.parse().unwrap(), offset_s, source };
        MediaFacts { taken: Some(taken), ..MediaFacts::default() }
    }

    #[test]
    fn the_files_wall_clock_stands_and_google_supplies_the_zone() {
        let t = CaptureTime::choose(
            &file("2020-01-01T00:30:00", None, TimeSource::Exif),
            &remote("2019-12-31T22:30:00Z", 2),
        );
        assert_eq!(t.local.to_string(), "2020-01-01T00:30:00");
        assert_eq!(t.instant().to_string(), "2019-12-31T22:30:00Z");
    }

    #[test]
    fn a_utc_video_time_becomes_the_local_one() {
        let t = CaptureTime::choose(
            &file("2019-12-31T22:30:00", Some(0), TimeSource::Video),
            &remote("2019-12-31T22:30:00Z", 2),
        );
        assert_eq!(t.local.to_string(), "2020-01-01T00:30:00");
    }

    #[test]
    fn a_date_corrected_in_google_photos_wins() {
        let t = CaptureTime::choose(
            &file("2000-01-01T00:00:00", None, TimeSource::Exif),
            &remote("2015-06-01T10:00:00Z", 0),
        );
        assert_eq!(t.source, TimeSource::Google);
    }
}
