//! When a photo was taken: the wall clock where it was taken, and how far that was from UTC.

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{MediaFacts, RemoteFacts, RemoteItem};

/// Where a capture time comes from; where several are known, the first of this list is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeSource {
    /// The file's own Exif: taken, or digitised.
    Exif,
    /// A wall clock in the metadata of a QuickTime or MP4 file.
    VideoKeys,
    /// XMP.
    Xmp,
    /// IPTC.
    Iptc,
    /// An AVI's date, by the camera's clock.
    Avi,
    /// What a camcorder writes into its pictures.
    Avchd,
    /// A video container's own clock, UTC.
    Video,
    /// A PNG's creation time.
    Png,
    /// The name of the file.
    Name,
    /// Exif's or PNG's date of the last change.
    Modified,
    /// The satellites' clock, UTC.
    Gps,
    /// Google's capture time.
    Google,
    /// The upload instant: nothing better is known.
    Upload,
    /// Nothing is known at all; stands for 1970.
    None,
}

impl TimeSource {
    /// Whether whoever reads the file itself finds it there.
    pub const fn is_in_file(self) -> bool {
        !matches!(self, Self::Name | Self::Google | Self::Upload | Self::None)
    }

    /// In words, after "the date is …".
    pub const fn words(self) -> &'static str {
        match self {
            Self::Exif => "by the file's own word",
            Self::VideoKeys => "by the video's own word",
            Self::Xmp => "by its XMP",
            Self::Iptc => "by its IPTC",
            Self::Avi => "by the AVI's own word",
            Self::Avchd => "by the camcorder's word",
            Self::Video => "by the video's clock, which is UTC",
            Self::Png => "by the PNG's own word",
            Self::Name => "by the file's name",
            Self::Modified => "when the file was last changed",
            Self::Gps => "by the satellites' clock, which is UTC",
            Self::Google => "by Google's word",
            Self::Upload => "when it was uploaded: nothing better is known",
            Self::None => "nothing is known",
        }
    }
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

/// What Google says of the time of an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GoogleTimes {
    /// Capture instant, milliseconds since 1970 UTC.
    pub taken_ms: Option<i64>,
    /// Zone offset at capture, milliseconds east of UTC.
    pub zone_offset_ms: Option<i64>,
    /// Upload instant, milliseconds since 1970 UTC.
    pub uploaded_ms: Option<i64>,
}

impl From<&RemoteItem> for GoogleTimes {
    fn from(item: &RemoteItem) -> Self {
        let RemoteItem { taken_ms, zone_offset_ms, uploaded_ms, .. } = *item;
        Self { taken_ms, zone_offset_ms, uploaded_ms }
    }
}

impl From<&RemoteFacts> for GoogleTimes {
    fn from(facts: &RemoteFacts) -> Self {
        let RemoteFacts { taken_ms, zone_offset_ms, uploaded_ms, .. } = *facts;
        Self { taken_ms, zone_offset_ms, uploaded_ms }
    }
}

impl GoogleTimes {
    /// Google's word on the capture, unless it is but the instant of the upload.
    pub fn capture(&self) -> Option<CaptureTime> {
        let taken_ms = self.taken_ms?;
        let is_upload = self.uploaded_ms.is_some_and(|uploaded| uploaded.abs_diff(taken_ms) < 1000);
        (!is_upload).then(|| CaptureTime::from_millis(taken_ms, self.zone_offset_ms, TimeSource::Google))?
    }
}

/// Farther apart than any two zones' clocks, with an hour to spare.
const CORRECTED: SignedDuration = SignedDuration::from_hours(15);
/// Nobody uploaded photos to Google before.
const FIRST_UPLOAD: i16 = 2004;
/// A camera whose clock is so far ahead of the upload has never been set.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

impl CaptureTime {
    /// Whether this is the word of a clock in UTC, of which nobody knows how far it was from the wall's.
    pub fn is_utc_clock(&self) -> bool {
        self.offset_s == Some(0)
            && matches!(self.source, TimeSource::Video | TimeSource::Gps | TimeSource::Name)
    }

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
    /// unless the two are more than 15 hours apart: then the person has corrected the date in Google Photos. Where
    /// Google's time is that of the upload, Google knew nothing, and nobody has corrected anything.
    pub fn choose(facts: &MediaFacts, said: impl Into<GoogleTimes>) -> Self {
        let said = said.into();
        let upload = said.uploaded_ms.and_then(|ms| Self::from_millis(ms, None, TimeSource::Upload));
        let google = said.capture();
        let nothing = Self {
            local: jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0),
            offset_s: None,
            source: TimeSource::None,
        };
        let possible = |date: &&Self| {
            // An upload from before there was anything to upload to is none.
            let upload = upload.filter(|upload| upload.local.year() >= FIRST_UPLOAD);
            let limit = upload.and_then(|upload| upload.instant().checked_add(AHEAD).ok());
            limit.is_none_or(|limit| date.instant() <= limit)
        };
        let file = facts.taken.iter().chain(&facts.other_dates).find(possible).copied();
        match (file, google) {
            (Some(file), Some(google)) => {
                let file = file.with_offset_of(&google);
                let better = file.is_day_alone() && file.local.date() == google.local.date();
                if better || file.contradicts(&google) { google } else { file }
            }
            (Some(file), None) => file,
            (None, Some(google)) => google,
            (None, None) => {
                let seen = said.taken_ms.and_then(|ms| Self::from_millis(ms, None, TimeSource::Upload));
                upload.or(seen).unwrap_or(nothing)
            }
        }
    }

    /// Whether it is a name's word that tells the day and no time.
    pub fn is_day_alone(&self) -> bool {
        self.source == TimeSource::Name && self.local.time() == jiff::civil::Time::midnight()
    }

    /// Whether two dates cannot both be right, in whatever zone each was meant; a name may tell the day alone.
    pub fn contradicts(&self, other: &Self) -> bool {
        let most = if self.is_day_alone() || other.is_day_alone() { CORRECTED + AHEAD } else { CORRECTED };
        other.instant().duration_since(self.instant()).abs() > most
    }

    /// Fills a missing offset: a file without one was taken in the zone Google knows, or nobody knows.
    /// What a clock in UTC says is moved to the wall clock there.
    fn with_offset_of(self, other: &Self) -> Self {
        let Some(offset_s) = other.offset_s else { return self };
        if self.is_utc_clock() {
            let offset = Offset::from_seconds(offset_s).unwrap_or(Offset::UTC);
            return Self { local: offset.to_datetime(self.instant()), offset_s: Some(offset_s), ..self };
        }
        Self { offset_s: self.offset_s.or(Some(offset_s)), ..self }
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
    fn googles_time_is_better_than_a_name_that_tells_the_day_alone() {
        let day = file("2018-04-05T00:00:00", None, TimeSource::Name);
        let google = CaptureTime::choose(&day, &remote("2018-04-05T13:23:00Z", 2));
        assert_eq!(
            (google.local.to_string().as_str(), google.source),
            ("2018-04-05T15:23:00", TimeSource::Google)
        );
        assert_eq!(CaptureTime::choose(&day, &remote("2018-04-06T08:00:00Z", 2)).source, TimeSource::Name);
    }

    #[test]
    fn where_google_knows_only_the_upload_the_file_is_believed() {
        let old = file("1999-01-01T12:00:00", None, TimeSource::Iptc);
        let mut item = remote("2020-06-01T10:00:00Z", 0);
        item.uploaded_ms = item.taken_ms;
        assert_eq!(CaptureTime::choose(&old, &item).source, TimeSource::Iptc);
        // A camera that is ahead of the upload was never set.
        let ahead = file("2031-01-01T12:00:00", None, TimeSource::Exif);
        assert_eq!(CaptureTime::choose(&ahead, &item).source, TimeSource::Upload);
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
