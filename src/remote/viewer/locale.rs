//! The texts of the pages in the languages that are known, and what their dates mean. Only used where
//! structure does not tell.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use serde::Serialize;

/// The texts of one language (contract 3.6). Empty ones are unknown.
#[derive(Debug, Serialize)]
pub struct Words {
    /// As in `<html lang>`, without region.
    #[serde(skip)]
    pub tag: &'static str,
    /// Before the name in the info panel.
    pub filename: &'static str,
    /// Before the date.
    pub date: &'static str,
    /// Before the time of day.
    pub time: &'static str,
    /// The button that opens the panel.
    pub info: &'static str,
    /// The button of the menu.
    pub more: &'static str,
    /// Parts of what the page says of a video that cannot be downloaded yet.
    pub processing: [&'static str; 3],
    /// Short names of months; a name in the page begins with one, whatever its case.
    #[serde(skip)]
    months: [&'static str; 12],
}

const ENGLISH: Words = Words {
    tag: "en",
    filename: "Filename:",
    date: "Date taken:",
    time: "Time taken:",
    info: "Open info",
    more: "More options",
    processing: PROCESSING,
    months: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};

/// English, also inside pages of other languages.
const PROCESSING: [&str; 3] =
    ["Video still is processing", "Video is still processing", "Your video will be ready soon"];

const OTHERS: [Words; 4] = [
    Words {
        tag: "nl",
        filename: "Bestandsnaam:",
        date: "Fotodatum:",
        time: "Tijdsduur:",
        info: "Info openen",
        more: "Meer opties",
        processing: PROCESSING,
        months: ["jan", "feb", "mrt", "apr", "mei", "jun", "jul", "aug", "sep", "okt", "nov", "dec"],
    },
    Words {
        tag: "de",
        filename: "Dateiname:",
        date: "Aufnahmedatum:",
        time: "Aufnahmezeit:",
        info: "Info öffnen",
        more: "Weitere Optionen",
        processing: ["wird noch verarbeitet", "ist bald fertig", "Video is still processing"],
        months: ["jan", "feb", "mär", "apr", "mai", "jun", "jul", "aug", "sep", "okt", "nov", "dez"],
    },
    Words {
        tag: "pl",
        filename: "Nazwa pliku:",
        date: "Data wykonania zdjęcia:",
        time: "Godzina wykonania zdjęcia:",
        info: "Otwórz informacje",
        more: "Więcej opcji",
        processing: PROCESSING,
        months: ["sty", "lut", "mar", "kwi", "maj", "cze", "lip", "sie", "wrz", "paź", "lis", "gru"],
    },
    Words {
        tag: "fr",
        filename: "",
        date: "",
        time: "",
        info: "",
        more: "",
        processing: PROCESSING,
        months: ["janv", "févr", "mars", "avr", "mai", "juin", "juil", "août", "sept", "oct", "nov", "déc"],
    },
];

/// The texts of a page's language; English where it is not known.
pub fn words(lang: &str) -> &'static Words {
    let language = lang.split('-').next().unwrap_or_default().to_ascii_lowercase();
    OTHERS.iter().find(|words| words.tag == language).unwrap_or(&ENGLISH)
}

impl Words {
    /// Reads a date such as `Feb 12, 2025`, `12 feb 2025`, `12. März 2025`; a missing year is the latest one
    /// that does not lie in the future.
    pub fn date(&self, text: &str, now: Timestamp) -> Option<Date> {
        let words: Vec<String> = text
            .split(|c: char| c.is_whitespace() || matches!(c, ',' | '.' | '-'))
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect();
        let numbers = || words.iter().filter_map(|word| word.parse::<i16>().ok());
        let day = i8::try_from(numbers().find(|n| (1..=31).contains(n))?).ok()?;
        let month = words.iter().find_map(|word| {
            let at = self.months.iter().position(|month| word.starts_with(month))?;
            i8::try_from(at + 1).ok()
        })?;
        if let Some(year) = numbers().find(|n| (1800..=9999).contains(n)) {
            return Date::new(year, month, day).ok();
        }
        let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
        let this_year = Date::new(today.year(), month, day).ok();
        // Tomorrow by UTC may be today where the photo was taken.
        let limit = today.tomorrow().ok()?;
        this_year.filter(|date| *date <= limit).or_else(|| Date::new(today.year() - 1, month, day).ok())
    }
}

/// Reads a time of day at the end of a text: `Wed, 6:34 PM`, `18:34`, `6:34:39\u{202f}PM`.
pub fn time(text: &str) -> Option<Time> {
    let at = text.find(':')?;
    let start = text[..at]
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |i| i + text[i..].chars().next().map_or(1, char::len_utf8));
    let rest = &text[start..];
    let clock: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == ':').collect();
    let mut parts = clock.split(':').map(str::parse::<i8>);
    let (mut hour, minute) = (parts.next()?.ok()?, parts.next()?.ok()?);
    let second = parts.next().and_then(Result::ok).unwrap_or(0);
    let tail = rest[clock.len()..].to_ascii_lowercase();
    if tail.contains("pm") && hour < 12 {
        hour += 12;
    } else if tail.contains("am") && hour == 12 {
        hour = 0;
    }
    Time::new(hour, minute, second, 0).ok()
}

/// Reads `GMT-05:00`, `GMT+2`, `GMT`: milliseconds east of UTC.
pub fn zone_ms(text: &str) -> Option<i64> {
    let offset = text.strip_prefix("GMT")?.replace('\u{2212}', "-");
    if offset.is_empty() {
        return Some(0);
    }
    let (sign, digits) = match offset.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = digits.split_once(':').unwrap_or((digits, "0"));
    // Without a sign of their own.
    let (hours, minutes): (u16, u16) = (hours.trim().parse().ok()?, minutes.trim().parse().ok()?);
    (hours <= 18 && minutes < 60)
        .then_some(sign * (i64::from(hours) * 3_600_000 + i64::from(minutes) * 60_000))
}

/// The capture time that a tile's label ends with, `Photo - Landscape - Feb 12, 2025, 6:34:39 PM`; local, no
/// zone.
pub fn label_time(words: &Words, label: &str, now: Timestamp) -> Option<DateTime> {
    let end = label.rsplit(" - ").next()?;
    let clock = end.find(':').map_or(end.len(), |colon| end[..colon].rfind(' ').unwrap_or(0));
    Some(words.date(&end[..clock], now)?.to_datetime(time(end)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn dates_of_all_languages_are_read() {
        for (lang, text, date) in [
            ("en", "Feb 12, 2025", "2025-02-12"),
            ("en-GB", "12 Feb 2025", "2025-02-12"),
            ("nl", "12 mrt 2025", "2025-03-12"),
            ("de", "12. März 2025", "2025-03-12"),
            ("pl", "3 paź 2024", "2024-10-03"),
            ("fr", "3 févr. 2024", "2024-02-03"),
            ("en", "Feb 12", "2026-02-12"),
            ("en", "Nov 3", "2025-11-03"),
            ("en-US", "May 30, 2011", "2011-05-30"),
        ] {
            let read = words(lang).date(text, now()).map(|date| date.to_string());
            assert_eq!(read.as_deref(), Some(date), "{lang}: {text}");
        }
        assert_eq!(words("en").date("yesterday", now()), None);
    }

    #[test]
    fn times_and_zones_are_read() {
        for (text, read) in [
            ("Wed, 6:34 PM", "18:34:00"),
            ("6:34:39\u{202f}PM", "18:34:39"),
            ("Wed, 12:05 AM", "00:05:00"),
            ("wo 18:34", "18:34:00"),
            ("12:00 PM", "12:00:00"),
        ] {
            assert_eq!(time(text).map(|time| time.to_string()).as_deref(), Some(read), "{text}");
        }
        assert_eq!(zone_ms("GMT-05:00"), Some(-18_000_000));
        assert_eq!(zone_ms("GMT+5:30"), Some(19_800_000));
        for absurd in ["GMT+-9223372036854775807", "GMT--5", "GMT+5:-9223372036854775807"] {
            assert_eq!(zone_ms(absurd), None, "{absurd}");
        }
        assert_eq!((zone_ms("GMT"), zone_ms("CET")), (Some(0), None));
    }

    #[test]
    fn labels_give_the_local_time() {
        let label = "Photo - Landscape - Dec 29, 2023, 3:56:06\u{202f}PM";
        assert_eq!(label_time(words("en"), label, now()).unwrap().to_string(), "2023-12-29T15:56:06");
        let dutch = "Foto - Liggend - 29 dec 2023 15:56:06";
        assert_eq!(label_time(words("nl"), dutch, now()).unwrap().to_string(), "2023-12-29T15:56:06");
        assert_eq!(label_time(words("en"), "Photo", now()), None);
    }
}
