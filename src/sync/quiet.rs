//! Quiet hours: when a household wants its line, or its sleep, for itself.

use std::str::FromStr;
use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// A span of every day, by the local clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    from: Time,
    to: Time,
}

impl QuietHours {
    /// How long they still last at an instant; `None` outside them.
    pub fn left_at(&self, now: Timestamp) -> Option<Duration> {
        self.left_in(&now.to_zoned(TimeZone::system()))
    }

    /// How long they still last by the clock of a zone; never longer than they really do, also in a night that has an
    /// hour more or less.
    pub fn left_in(&self, now: &Zoned) -> Option<Duration> {
        let time = now.time();
        let over_midnight = self.from > self.to;
        let within = if over_midnight {
            self.from <= time || time < self.to
        } else {
            self.from <= time && time < self.to
        };
        if !within {
            return None;
        }
        let ends_tomorrow = over_midnight && time >= self.from;
        let day = if ends_tomorrow { now.date().tomorrow().ok()? } else { now.date() };
        let end = now.time_zone().to_ambiguous_zoned(day.to_datetime(self.to)).earlier().ok()?;
        // In an hour that comes twice, or one that is left out, the end seems over; it comes soon.
        let left = Duration::try_from(now.duration_until(&end)).unwrap_or_default();
        Some(left.max(Duration::from_secs(1)))
    }
}

impl FromStr for QuietHours {
    type Err = String;

    /// `HH:MM-HH:MM`; the second may be on the next day.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not of the form 18:00-23:30");
        let (from, to) = text.split_once('-').ok_or_else(bad)?;
        let time = |part: &str| {
            let (hour, minute) = part.trim().split_once(':')?;
            Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
        };
        let (from, to) = (time(from).ok_or_else(bad)?, time(to).ok_or_else(bad)?);
        if from == to { Err("quiet hours must have a length".into()) } else { Ok(Self { from, to }) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn they_may_go_over_midnight() {
        let left = |quiet: &QuietHours, hour, minute| {
            let at = jiff::civil::date(2024, 6, 1).at(hour, minute, 0, 0);
            quiet.left_in(&at.to_zoned(TimeZone::UTC).unwrap())
        };
        let evening: QuietHours = "18:00-23:30".parse().unwrap();
        assert_eq!(left(&evening, 17, 59), None);
        assert_eq!(left(&evening, 18, 0), Some(Duration::from_secs(5 * 3600 + 1800)));
        assert_eq!(left(&evening, 23, 30), None);
        let night: QuietHours = "22:00-06:00".parse().unwrap();
        assert_eq!(left(&night, 23, 0), Some(Duration::from_secs(7 * 3600)));
        assert_eq!(left(&night, 5, 59), Some(Duration::from_secs(60)));
        assert_eq!(left(&night, 12, 0), None);
        for bad in ["18:00", "18-19", "25:00-01:00", "08:00-08:00", ""] {
            assert!(bad.parse::<QuietHours>().is_err(), "{bad}");
        }
    }
}
