//! Which of a file's dates is believed, and how far the wall clock was from UTC then.

use jiff::tz::Offset;

use super::said::Found;
use super::{name, zone};
use crate::model::{CaptureTime, TimeSource};

/// The zones of the world are whole halves of an hour from UTC, but for these, in seconds: Nepal, Eucla, Chatham.
const HALF: i64 = 30 * 60;
const ODD: [i64; 3] = [20_700, 31_500, 45_900];
/// The farthest zone.
const FARTHEST: i64 = 14 * 3600;
/// How far two clocks that tell of the same moment may be apart, beside their zones: one is written a little later.
const SAME: i64 = 120;
/// How old the satellites' last word may be where nothing else tells the zone.
const FIX: i64 = 300;
/// How far the name of a video is from the beginning or the end of what the container tells.
const NAMED: i64 = 60;

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
        && let Some(at) = dates.iter().position(|date| agrees(date, first))
    {
        dates[..=at].rotate_right(1);
    }
    let mut resolved: Vec<CaptureTime> = dates.iter().map(|date| resolve(*date, &dates, found)).collect();
    // Some write down when a recording ended. Seconds matter to nobody, the day does.
    if let Some(first) = resolved.first_mut().filter(|first| first.source == TimeSource::Video)
        && let Some(begun) = named.filter(|named| named.offset_s.is_none() && !named.is_day_alone())
        && begun.local.date() != first.local.date()
        && (0..=length(found) + NAMED).contains(&first.local.duration_since(begun.local).as_secs())
    {
        first.local = begun.local;
    }
    resolved
}

/// Whether a last change tells of the moment that the name does.
fn agrees(date: &CaptureTime, named: &CaptureTime) -> bool {
    // A PNG's is in UTC: it says nothing of the wall's clock.
    if date.source != TimeSource::Modified || date.offset_s == Some(0) {
        return false;
    }
    let apart = date.local.duration_since(named.local).as_secs();
    match (named.offset_s, named.is_day_alone()) {
        (Some(_), _) => zone_of(apart, SAME).is_some(),
        (None, false) => apart.abs() <= SAME,
        (None, true) => date.local.date() == named.local.date(),
    }
}

/// Seconds that the film lasts.
fn length(found: &Found) -> i64 {
    found.duration_ms.value().map_or(0, |ms| i64::try_from(ms / 1000).unwrap_or(0))
}

fn resolve(date: CaptureTime, all: &[CaptureTime], found: &Found) -> CaptureTime {
    let place = found.position.value().copied();
    if date.is_utc_clock() {
        let told = all.iter().find(|other| !other.is_utc_clock() && other.offset_s.is_some());
        let by_name = || {
            let local = all.iter().find(|other| {
                other.source == TimeSource::Name && other.offset_s.is_none() && !other.is_day_alone()
            })?;
            // The name tells when it began, the container that or when it ended.
            let apart = local.local.duration_since(date.local).as_secs();
            let near = |apart| zone_of(apart, NAMED).map(|zone| ((apart - i64::from(zone)).abs(), zone));
            [near(apart), near(apart + length(found))].into_iter().flatten().min().map(|(_, zone)| zone)
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
    let by_place = place.and_then(|(north, east)| zone::offset_of(north, east, date.local));
    let by_satellite = |most| zone_of(date.local.duration_since(found.satellite?).as_secs(), most);
    let by_world = || match by_place {
        // A clock that was never put forward is whole hours off; anything else is an old fix.
        Some(by_place) => by_satellite(SAME).filter(|zone| (zone - by_place) % 3600 == 0).or(Some(by_place)),
        None => by_satellite(FIX),
    };
    let offset_s = date.offset_s.or(found.zone_s).or_else(by_world);
    CaptureTime { offset_s, ..date }
}

/// The zone of which two clocks are so far apart, but for `most` seconds.
fn zone_of(apart: i64, most: i64) -> Option<i32> {
    let half = (apart + HALF / 2).div_euclid(HALF) * HALF;
    let zone = ODD.into_iter().find(|odd| (apart - odd).abs() <= most).unwrap_or(half);
    let near = (apart - zone).abs() <= most && zone.abs() <= FARTHEST;
    near.then(|| i32::try_from(zone).ok())?
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
    fn a_photo_that_was_edited_the_next_morning_stays_on_its_day() {
        let modified = |local, offset_s| Found {
            dates: vec![at(local, offset_s, TimeSource::Modified)],
            ..Found::default()
        };
        let edited = modified("2020-01-03T08:00:00", None);
        assert_eq!(best(&edited, "IMG_20200102_230000.jpg").0, "2020-01-02T23:00:00");
        // The time of a PNG is UTC: it was the next day in Tokyo.
        let screen = modified("2021-02-03T22:00:00", Some(0));
        assert_eq!(best(&screen, "Screenshot_20210204-070000.png").0, "2021-02-04T07:00:00");
        // A name in UTC, and the wall clock of the same moment.
        let pixel = modified("2023-07-14T23:45:11", None);
        assert_eq!(best(&pixel, "PXL_20230715_064510123.jpg").0, "2023-07-14T23:45:11");
        assert_eq!(best(&edited, "IMG-20200103-WA0001.jpg").2, TimeSource::Modified);
        assert_eq!(best(&edited, "IMG-20200102-WA0001.jpg").2, TimeSource::Name);
    }

    #[test]
    fn a_video_whose_container_tells_its_end_is_in_no_odd_zone() {
        let film = |ended: &str, minutes: u64| {
            let mut found = Found { dates: vec![at(ended, Some(0), TimeSource::Video)], ..Found::default() };
            found.duration_ms.by(By::Header, Some(minutes * 60_000));
            found
        };
        for minutes in [0, 4, 7, 13, 28, 59] {
            let found = film(&format!("2023-08-22T12:{minutes:02}:05"), minutes);
            let (local, offset_s, _) = best(&found, "20230822_140000.mp4");
            assert_eq!((offset_s, &local[11..14]), (Some(7200), "14:"), "{minutes}: {local}");
        }
        // Begun before midnight, ended after it.
        assert_eq!(best(&film("2023-08-22T22:10:00", 20), "20230822_235000.mp4").0, "2023-08-22T23:50:00");
        // Another film of the same day.
        assert_eq!(best(&film("2023-08-22T12:13:00", 2), "20230822_140000.mp4").1, Some(0));
    }

    #[test]
    fn an_old_fix_makes_no_zone() {
        let exif = at("2020-07-01T12:00:00", None, TimeSource::Exif);
        let mut found = Found { dates: vec![exif], ..Found::default() };
        found.position.by(By::Exif, Some((52.5, 13.4)));
        for minutes in [3, 12, 15, 17, 29, 31, 44] {
            found.satellite = exif.local.checked_sub(jiff::Span::new().minutes(120 + minutes)).ok();
            assert_eq!(best(&found, "").1, Some(7200), "{minutes} minutes old");
        }
        // Nepal is no multiple of half an hour from UTC.
        let nepal = Found {
            dates: vec![exif],
            satellite: Some("2020-07-01T06:14:40".parse().unwrap()),
            ..Found::default()
        };
        assert_eq!(best(&nepal, "").1, Some(20_700));
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
