//! Quiet hours: when a household wants its line, or its sleep, for itself.

use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

/// A span of every day, by the local clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    from: Time,
    to: Time,
}

impl QuietHours {
    /// How long they still last at an instant; `None` outside them.
    pub fn left_at(&self, now: Timestamp) -> Option<Duration> {
        self.left(now.to_zoned(TimeZone::system()).time())
    }

    fn left(&self, now: Time) -> Option<Duration> {
        let within = if self.from <= self.to {
            self.from <= now && now < self.to
        } else {
            now >= self.from || now < self.to
        };
        let day = 24 * 3600;
        let second = |time: Time| {
            i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second())
        };
        let left = (second(self.to) - second(now)).rem_euclid(day);
        let left = u64::try_from(left).unwrap_or(0).max(1);
        within.then(|| Duration::from_secs(left))
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
        let at = |hour, minute| Time::new(hour, minute, 0, 0).unwrap();
        let evening: QuietHours = "18:00-23:30".parse().unwrap();
        assert_eq!(evening.left(at(17, 59)), None);
        assert_eq!(evening.left(at(18, 0)), Some(Duration::from_secs(5 * 3600 + 1800)));
        assert_eq!(evening.left(at(23, 30)), None);
        let night: QuietHours = "22:00-06:00".parse().unwrap();
        assert_eq!(night.left(at(23, 0)), Some(Duration::from_secs(7 * 3600)));
        assert_eq!(night.left(at(5, 59)), Some(Duration::from_secs(60)));
        assert_eq!(night.left(at(12, 0)), None);
        for bad in ["18:00", "18-19", "25:00-01:00", "08:00-08:00", ""] {
            assert!(bad.parse::<QuietHours>().is_err(), "{bad}");
        }
    }
}
