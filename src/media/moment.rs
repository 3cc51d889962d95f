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
        &[h, m, s] => (number(h)?, number(m)?, number::<i8>(s)?.min(59)),
        _ => return None,
    };
    DateTime::new(year, month, day, hour, minute, second, nanoseconds(fraction).unwrap_or(0))
        .ok()
        .filter(|at| !is_clock_zero(at))
}

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
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
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
    fn offsets() {
        assert_eq!(offset_s("+02:00"), Some(7200));
        assert_eq!(offset_s("-0530"), Some(-19800));
        assert_eq!(offset_s("Z"), Some(0));
        for bad in ["", "   :  ", "02:00", "+99:00", "+01:75", "é1:00"] {
            assert_eq!(offset_s(bad), None, "{bad}");
        }
    }
}
