//! Which of a file's dates is believed, and how far the wall clock was from UTC then.

use jiff::SignedDuration;
use jiff::tz::Offset;

use super::said::Found;
use super::{name, zone};
use crate::model::{CaptureTime, TimeSource};

/// A clock and the satellites differ by a whole number of these, and by a few minutes of their own.
const QUARTER: i64 = 15 * 60;
/// The most that they differ beside that.
const DRIFT: i64 = 5 * 60;
/// The farthest zone.
const FARTHEST: i64 = 14 * 3600;
/// The name and the last change tell of the same moment if they are no farther apart.
const SAME: SignedDuration = SignedDuration::from_hours(15);

/// All dates that the file and its name tell, the one that is believed first, each with its zone where that can be known.
pub fn judge(found: &Found, named: &str) -> Vec<CaptureTime> {
    let mut dates = found.dates.clone();
    let named = name::date(named);
    dates.extend(named);
    dates.extend(found.satellite.map(|local| CaptureTime {
        local,
        offset_s: Some(0),
        source: TimeSource::Gps,
    }));
    if found.clock_is_local {
        for date in dates.iter_mut().filter(|date| date.source == TimeSource::Video) {
            date.offset_s = None;
        }
    }
    dates.sort_by_key(|date| date.source);
    // A program that rewrites a file changes its date; one that agrees with the name was not, and knows the second.
    if let [first, ..] = dates.as_slice()
        && first.source == TimeSource::Name
        && let Some(at) = dates.iter().position(|date| date.source == TimeSource::Modified)
        && dates[at].local.duration_since(first.local).abs() <= SAME
    {
        dates[..=at].rotate_right(1);
    }
    dates.iter().map(|date| resolve(*date, &dates, found)).collect()
}

fn resolve(date: CaptureTime, all: &[CaptureTime], found: &Found) -> CaptureTime {
    let place = found.position.value().copied();
    if date.is_utc_clock() {
        let told = all.iter().find(|other| !other.is_utc_clock() && other.offset_s.is_some());
        let by_name = || {
            let local = all.iter().find(|other| {
                other.source == TimeSource::Name && other.offset_s.is_none() && name::has_time(other)
            })?;
            quarters(local.local.duration_since(date.local))
        };
        let by_place = || place.and_then(|(north, east)| zone::offset_at(north, east, date.instant()));
        let offset = found
            .zone_s
            .or_else(|| told.and_then(|other| other.offset_s))
            .or_else(by_name)
            .or_else(by_place)
            .and_then(|seconds| Offset::from_seconds(seconds).ok());
        return match offset {
            Some(offset) => CaptureTime {
                local: offset.to_datetime(date.instant()),
                offset_s: Some(offset.seconds()),
                source: date.source,
            },
            None => date,
        };
    }
    let by_satellite = || quarters(date.local.duration_since(found.satellite?));
    let by_place = || place.and_then(|(north, east)| zone::offset_of(north, east, date.local));
    let offset_s = date.offset_s.or(found.zone_s).or_else(by_satellite).or_else(by_place);
    CaptureTime { offset_s, ..date }
}

/// A whole number of quarters of an hour, if it is nearly one, in seconds.
fn quarters(apart: SignedDuration) -> Option<i32> {
    let seconds = apart.as_secs();
    let rounded = (seconds + QUARTER / 2).div_euclid(QUARTER) * QUARTER;
    let near = (seconds - rounded).abs() < DRIFT && rounded.abs() <= FARTHEST;
    near.then(|| i32::try_from(rounded).ok())?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::said::By;
    use super::*;

    fn at(local: &str, offset_s: Option<i32>, source: TimeSource) -> CaptureTime {
        CaptureTime { local: local.parse().unwrap(), offset_s, source }
    }

    fn best(found: &Found, name: &str) -> (String, Option<i32>, TimeSource) {
        let date = judge(found, name)[0];
        (date.local.to_string(), date.offset_s, date.source)
    }

    #[test]
    fn the_order_of_belief() {
        let order = [
            at("2001-01-01T00:00:00", None, TimeSource::Exif),
            at("2002-01-01T00:00:00", None, TimeSource::VideoKeys),
            at("2003-01-01T00:00:00", None, TimeSource::Xmp),
            at("2004-01-01T00:00:00", None, TimeSource::Iptc),
            at("2005-01-01T00:00:00", None, TimeSource::Avi),
            at("2006-01-01T00:00:00", None, TimeSource::Avchd),
            at("2007-01-01T00:00:00", Some(0), TimeSource::Video),
            at("2008-01-01T00:00:00", None, TimeSource::Png),
            at("2010-01-01T00:00:00", None, TimeSource::Modified),
            at("2011-01-01T00:00:00", Some(0), TimeSource::Gps),
        ];
        for first in 0..order.len() {
            let mut dates = order[first..].to_vec();
            dates.reverse();
            let found = Found { dates, ..Found::default() };
            assert_eq!(judge(&found, "")[0].source, order[first].source);
            // The name comes before the last change.
            let expected = order[first].source.min(TimeSource::Name);
            assert_eq!(judge(&found, "IMG_20090101_000001.jpg")[0].source, expected);
        }
    }

    #[test]
    fn a_last_change_that_agrees_with_the_name_knows_better() {
        let found =
            Found { dates: vec![at("2009-01-01T10:00:03", None, TimeSource::Modified)], ..Found::default() };
        assert_eq!(best(&found, "IMG_20090101_100000.jpg").2, TimeSource::Modified);
        assert_eq!(best(&found, "IMG_20081201_100000.jpg").2, TimeSource::Name);
    }

    #[test]
    fn utc_becomes_the_wall_clock_by_the_best_that_is_known() {
        let video = at("2023-08-22T11:38:06", Some(0), TimeSource::Video);
        let mut found = Found { dates: vec![video], ..Found::default() };
        assert_eq!(best(&found, "a.mp4"), ("2023-08-22T11:38:06".into(), Some(0), TimeSource::Video));
        found.position.by(By::Keys, Some((35.68, 139.69)));
        assert_eq!(best(&found, "a.mp4").0, "2023-08-22T20:38:06", "by the place");
        assert_eq!(best(&found, "20230822_143803.mp4").0, "2023-08-22T14:38:06", "by the name");
        found.zone_s = Some(-3600);
        assert_eq!(best(&found, "20230822_143803.mp4").0, "2023-08-22T10:38:06", "by the phone");
        let camera = Found { dates: vec![video], clock_is_local: true, ..Found::default() };
        assert_eq!(best(&camera, "a.mp4"), ("2023-08-22T11:38:06".into(), None, TimeSource::Video));
    }

    #[test]
    fn a_wall_clock_is_never_moved_and_gets_its_zone() {
        let exif = at("2020-07-01T12:00:00", None, TimeSource::Exif);
        let mut found = Found { dates: vec![exif], ..Found::default() };
        assert_eq!(best(&found, "").1, None);
        found.position.by(By::Exif, Some((52.5, 13.4)));
        assert_eq!(best(&found, ""), ("2020-07-01T12:00:00".into(), Some(7200), TimeSource::Exif));
        found.satellite = Some("2020-07-01T09:01:02".parse().unwrap());
        assert_eq!(best(&found, "").1, Some(10_800), "the satellites' clock knows better than the border");
        found.satellite = Some("2020-06-01T09:01:02".parse().unwrap());
        assert_eq!(best(&found, "").1, Some(7200), "an old fix says nothing");
        found.dates[0].offset_s = Some(0);
        assert_eq!(best(&found, "").1, Some(0), "the file's own word");
    }
}
