//! Dates in names: phones, programs and messengers put them there, and nothing else may be left.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::moment;
use crate::model::{CaptureTime, TimeSource};

/// Digits of the longest number that phones put behind a date.
const LONGEST_NUMBER: usize = 9;

/// The date that a file's name tells, if it tells one. Without a time of the day, midnight.
pub fn date(name: &str) -> Option<CaptureTime> {
    let claim = |local, offset_s| CaptureTime { local, offset_s, source: TimeSource::Name };
    if let Some(local) = written(name) {
        // Google's phones write UTC.
        return Some(claim(local, name.starts_with("PXL_").then_some(0)));
    }
    let digits = name.strip_prefix("FB_IMG_").or_else(|| name.strip_prefix("received_"))?;
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    let milliseconds = (length == 13).then(|| digits.get(..13)?.parse().ok())??;
    let local = Offset::UTC.to_datetime(Timestamp::from_millisecond(milliseconds).ok()?);
    (2000..2100).contains(&local.year()).then(|| claim(local, Some(0)))
}

/// `YYYYMMDD` and `HHMMSS` with or without marks between their parts, and not within a longer number.
fn written(name: &str) -> Option<DateTime> {
    let bytes = name.as_bytes();
    (0..bytes.len()).find_map(|at| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        if before.is_some_and(u8::is_ascii_digit) {
            return None;
        }
        let (date, end) = parts(bytes, at, [4, 2, 2])?;
        let [year, month, day] = date;
        if !(1900..2100).contains(&year) {
            return None;
        }
        // One or a few signs, as in `2020-01-02 at 03.04.05`.
        let gap = bytes.get(end..)?.iter().take(4).take_while(|byte| !byte.is_ascii_digit()).count();
        let time = parts(bytes, end + gap, [2, 2, 2]).filter(|(_, end)| {
            // Milliseconds may follow, nothing else.
            matches!(digits(bytes, *end), 0 | 3)
        });
        // Numbers that go on at once or for long are no dates: Facebook's begin like one.
        if time.is_none() && (digits(bytes, end) > 0 || digits(bytes, end + gap) > LONGEST_NUMBER) {
            return None;
        }
        let [hour, minute, second] = time.map_or([0; 3], |(time, _)| time);
        moment::wall_clock(&format!("{year:04}:{month:02}:{day:02} {hour:02}:{minute:02}:{second:02}"))
    })
}

/// Digits from that place on.
fn digits(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Three numbers of so many digits with at most one mark between two of them, and where they end.
fn parts(bytes: &[u8], mut at: usize, lengths: [usize; 3]) -> Option<([u32; 3], usize)> {
    let mut found = [0; 3];
    for (n, length) in lengths.into_iter().enumerate() {
        if n > 0 && bytes.get(at).is_some_and(|byte| matches!(byte, b'-' | b'_' | b'.' | b':')) {
            at += 1;
        }
        let digits = bytes.get(at..at + length)?;
        found[n] = std::str::from_utf8(digits)
            .ok()
            .filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?
            .parse()
            .ok()?;
        at += length;
    }
    Some((found, at))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_of_phones_programs_and_messengers() {
        let of = |name| date(name).map(|at| (at.local.to_string(), at.offset_s));
        let local = |text: &str| Some((text.to_owned(), None));
        let utc = |text: &str| Some((text.to_owned(), Some(0)));
        assert_eq!(of("IMG_20200102_030405.jpg"), local("2020-01-02T03:04:05"));
        assert_eq!(of("VID_20200102_030405123.mp4"), local("2020-01-02T03:04:05"));
        assert_eq!(of("20230822_143803.mp4"), local("2023-08-22T14:38:03"));
        assert_eq!(of("2016-05-04 03.02.01.jpg"), local("2016-05-04T03:02:01"));
        assert_eq!(of("Screenshot_20210203-040506.png"), local("2021-02-03T04:05:06"));
        assert_eq!(of("Screenshot 2021-02-03 at 04.05.06.png"), local("2021-02-03T04:05:06"));
        assert_eq!(of("signal-2021-02-03-040506.jpg"), local("2021-02-03T04:05:06"));
        assert_eq!(of("PXL_20230715_064510123.MP.jpg"), utc("2023-07-15T06:45:10"));
        assert_eq!(of("IMG-20180405-WA0007.jpg"), local("2018-04-05T00:00:00"));
        assert_eq!(of("2020-01-02-1234567.jpg"), local("2020-01-02T00:00:00"));
        assert_eq!(of("FB_IMG_1525000000000.jpg"), utc("2018-04-29T11:06:40"));
        for nothing in [
            "IMG_1234.jpg",
            "DSC20201399.jpg",
            "120200102_030405.jpg",
            "2020010203040599999.jpg",
            "20201302.jpg",
            "FB_IMG_15250000000001.jpg",
            "19121203_10152345678901234_n.jpg",
            "é2020é01é02",
            "",
        ] {
            assert_eq!(of(nothing), None, "{nothing}");
        }
    }
}
