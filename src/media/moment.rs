//! Dates as cameras write them.

use jiff::civil::DateTime;

/// Photography begins; anything earlier is an unset clock or rubbish.
const FIRST_YEAR: i16 = 1826;
/// No file of a consumer's digital video is older; 1904 and 1970 are the zero of a clock.
const FIRST_VIDEO_YEAR: i16 = 1990;

/// Reads `YYYY:MM:DD HH:MM:SS` and its relatives (`-` or `/` in the date, `T` between, digits of a second,
/// time missing). Blank, zero and impossible dates are `None`.
pub fn wall_clock(text: &str) -> Option<DateTime> {
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    let (date, time) = match text.split_once([' ', 'T']) {
        Some((date, time)) => (date, time.trim()),
        None => (text, ""),
    };
    let date: Vec<&str> = date.split([':', '-', '/']).collect();
    let &[year, month, day] = date.as_slice() else { return None };
    if year.len() != 4 {
        return None;
    }
    let (year, month, day) = (number(year)?, number(month)?, number(day)?);
    if year < FIRST_YEAR || (month, day) == (0, 0) {
        return None;
    }
    let clock = time.trim_end_matches('Z');
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let (hour, minute, second) = match clock.split(':').collect::<Vec<_>>().as_slice() {
        [""] => (0, 0, 0),
        &[h, m] => (number(h)?, number(m)?, 0),
        // A leap second is the last one that the calendar knows.
        &[h, m, s] if s.trim().is_empty() => (number(h)?, number(m)?, 0),
        &[h, m, s] => (number(h)?, number(m)?, number::<i8>(s)?.min(59)),
        _ => return None,
    };
    DateTime::new(year, month, day, hour, minute, second, nanoseconds(fraction).unwrap_or(0))
        .ok()
        .filter(|at| !is_clock_zero(at))
}

/// Reads what [`wall_clock`] reads, with a zone behind it or without: seconds east of UTC.
pub fn stamp(text: &str) -> Option<(DateTime, Option<i32>)> {
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    // Behind the date, where hyphens are something else.
    let time = text.find([' ', 'T']).unwrap_or(text.len());
    let zone = text.get(time..)?.find(['+', '-', 'Z', 'z']).map(|at| time + at);
    let (clock, zone) = match zone {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    Some((wall_clock(clock)?, offset_s(zone)))
}

/// Reads dates as people and old programs write them: `Mon Mar 10 15:04:43 2003`, `Tue, 02 Aug 2011 12:01:00 +0200`,
/// `2001/ 1/27  1:42PM`, and what [`stamp`] reads.
pub fn spoken(text: &str) -> Option<(DateTime, Option<i32>)> {
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    if let Some(at) = stamp(text) {
        return Some(at);
    }
    let (mut year, mut month, mut day, mut clock, mut zone) = (None, None, None, None, None);
    let mut afternoon = None;
    let spaced = text.replace("/ ", "/0").replace(',', " ");
    for word in spaced.split_whitespace() {
        let upper = word.to_ascii_uppercase();
        let (word, half) = match (upper.strip_suffix("AM"), upper.strip_suffix("PM")) {
            (Some(rest), _) => (rest, Some(false)),
            (_, Some(rest)) => (rest, Some(true)),
            _ => (upper.as_str(), None),
        };
        afternoon = afternoon.or(half);
        let digits = word.bytes().all(|byte| byte.is_ascii_digit()) && !word.is_empty();
        if word.contains(':') {
            clock = clock.or(Some(word.to_owned()));
        } else if let Some(n) = MONTHS.iter().position(|name| word.starts_with(name)) {
            month = month.or(i8::try_from(n + 1).ok());
        } else if digits && word.len() == 4 {
            year = year.or(number::<i16>(word));
        } else if digits && word.len() <= 2 {
            day = day.or(number::<i8>(word));
        } else if word.starts_with(['+', '-']) {
            zone = zone.or(offset_s(word));
        } else if matches!(word, "GMT" | "UTC") {
            zone = zone.or(Some(0));
        } else if let [y, m, d] = word.split(['/', '-']).collect::<Vec<_>>().as_slice() {
            (year, month, day) = (year.or(number(y)), month.or(number(m)), day.or(number(d)));
        }
    }
    let date = format!("{:04}:{:02}:{:02}", year?, month?, day?);
    let local = wall_clock(&format!("{date} {}", clock.unwrap_or_default()))?;
    let hour = match (afternoon, local.hour()) {
        (Some(true), hour @ 1..=11) => hour + 12,
        (Some(false), 12) => 0,
        (_, hour) => hour,
    };
    Some((local.with().hour(hour).build().ok()?, zone))
}

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

/// Reads a fraction of a second: the digits after the point.
pub fn nanoseconds(digits: &str) -> Option<i32> {
    let digits = digits.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nine: String = digits.chars().chain("000000000".chars()).take(9).collect();
    nine.parse().ok()
}

/// Reads `+02:00`, `-0530` or `Z` as seconds east of UTC.
pub fn offset_s(text: &str) -> Option<i32> {
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest.split_once(':') {
        Some(parts) => parts,
        None if rest.len() == 4 => rest.split_at_checked(2)?,
        None => (rest, "0"),
    };
    let (hours, minutes): (i32, i32) = (number(hours)?, number(minutes)?);
    (hours <= 14 && minutes < 60).then(|| sign * (hours * 3600 + minutes * 60))
}

/// Whether a video's date can be one.
pub fn is_plausible_video(at: &DateTime) -> bool {
    at.year() >= FIRST_VIDEO_YEAR && !is_clock_zero(at)
}

/// The first seconds of a clock that was never set.
fn is_clock_zero(at: &DateTime) -> bool {
    let day = (at.year(), at.month(), at.day());
    (day == (1904, 1, 1) || day == (1970, 1, 1)) && at.hour() == 0 && at.minute() == 0
}

fn number<T: std::str::FromStr>(digits: &str) -> Option<T> {
    let digits = digits.trim();
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn spellings_of_one_moment() {
        for text in
            ["2020:01:02 03:04:05", "2020-01-02T03:04:05Z", "2020/01/02 03:04:05\0", " 2020:01:02 03:04:05 "]
        {
            assert_eq!(wall_clock(text).unwrap().to_string(), "2020-01-02T03:04:05", "{text}");
        }
        assert_eq!(wall_clock("2020:01:02").unwrap().to_string(), "2020-01-02T00:00:00");
        assert_eq!(wall_clock("2020:01:02 03:04:  ").unwrap().to_string(), "2020-01-02T03:04:00");
        assert_eq!(wall_clock("2020:01:02 03:04").unwrap().to_string(), "2020-01-02T03:04:00");
        assert_eq!(wall_clock("2020:01:02 03:04:05.25").unwrap().subsec_nanosecond(), 250_000_000);
        assert_eq!(wall_clock("2016:12:31 23:59:60").unwrap().second(), 59);
    }

    #[test]
    fn nonsense_is_no_date() {
        for text in [
            "",
            "    :  :     :  :  ",
            "0000:00:00 00:00:00",
            "2020:00:00 00:00:00",
            "2020:13:01 00:00:00",
            "2020:02:30 00:00:00",
            "2020:01:01 25:00:00",
            "1004:05:06 00:00:00",
            "1970:01:01 00:00:00",
            "1904:01:01 00:00:00",
            "20:01:02 03:04:05",
            "+020:01:02 03:04:05",
            "éééé:01:02",
            "2020",
        ] {
            assert_eq!(wall_clock(text), None, "{text}");
        }
        assert!(wall_clock("1970:01:01 13:30:00").is_some());
    }

    #[test]
    fn zones_stand_behind_the_time() {
        let of = |text| stamp(text).map(|(local, offset)| (local.to_string(), offset));
        let at = |offset| Some(("2020-01-02T03:04:05".to_owned(), offset));
        assert_eq!(of("2020:01:02 03:04:05-07:00"), at(Some(-25_200)));
        assert_eq!(of("2020-01-02T03:04:05+0530"), at(Some(19_800)));
        assert_eq!(of("2020-01-02T03:04:05Z"), at(Some(0)));
        assert_eq!(of("2020-01-02 03:04:05"), at(None));
        assert_eq!(of("2020-01-02"), Some(("2020-01-02T00:00:00".into(), None)));
        assert_eq!((of("2010"), of("2020-01-02Tx+02:00")), (None, None));
    }

    #[test]
    fn dates_as_people_write_them() {
        let of = |text| spoken(text).map(|(local, offset)| (local.to_string(), offset));
        assert_eq!(of("Mon Mar 10 15:04:43 2003\n\0"), Some(("2003-03-10T15:04:43".into(), None)));
        assert_eq!(of("Tue, 02 Aug 2011 12:01:00 +0200"), Some(("2011-08-02T12:01:00".into(), Some(7200))));
        assert_eq!(of("2 August 2011 12:01:00 GMT"), Some(("2011-08-02T12:01:00".into(), Some(0))));
        assert_eq!(of("2001/ 1/27  1:42PM"), Some(("2001-01-27T13:42:00".into(), None)));
        assert_eq!(of("2005:08:17 11:42:43"), Some(("2005-08-17T11:42:43".into(), None)));
        for nothing in ["", "yesterday", "Mon Mar 99 15:04:43 2003", "12:00", "é/é/é", "99PM"] {
            assert_eq!(of(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn offsets() {
        assert_eq!(offset_s("+02:00"), Some(7200));
        assert_eq!(offset_s("-0530"), Some(-19800));
        assert_eq!(offset_s("Z"), Some(0));
        for bad in ["", "   :  ", "02:00", "+99:00", "+999999999:00", "+01:75", "é1:00"] {
            assert_eq!(offset_s(bad), None, "{bad}");
        }
    }
}
