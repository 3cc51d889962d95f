//! When the next run is due: by the wall clock, so that a cron expression means what it says, and yet so that no clock that
//! jumps leaves a run out for long.

use std::str::FromStr;
use std::time::Duration;

use croner::Cron;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Shortest time between two runs.
const SHORTEST: Duration = Duration::from_secs(1);
/// More often brings nothing, and Google may take it amiss.
const HASTY: Duration = Duration::from_secs(10 * 60);

/// When runs begin.
#[derive(Clone, Debug)]
pub struct Schedule {
    rule: Rule,
    text: String,
}

#[derive(Clone, Debug)]
enum Rule {
    /// From start to start.
    Every(Duration),
    /// Five fields, by the clock of a zone.
    Cron(Box<Cron>),
}

impl Schedule {
    /// When the next run is due, given when the last one began. An instant that is past means: at once. A run that was
    /// missed, because the machine was off, is made up for once, however many were missed.
    pub fn due(&self, last: Option<Timestamp>, now: Timestamp, zone: &TimeZone) -> Timestamp {
        let Some(last) = last else { return now };
        // A start in the future is a clock that was wrong then or is wrong now.
        let last = last.min(now);
        match &self.rule {
            Rule::Every(time) => SignedDuration::try_from(*time)
                .ok()
                .and_then(|time| last.checked_add(time).ok())
                .unwrap_or(Timestamp::MAX),
            Rule::Cron(cron) => cron
                .find_next_occurrence(&last.to_zoned(zone.clone()), false)
                // Nothing in the future matches: `0 0 30 2 *` is refused when it is read, all else comes some day.
                .map_or(Timestamp::MAX, |next| next.timestamp()),
        }
    }

    /// Whether it asks Google more often than is wise.
    pub fn is_hasty(&self) -> bool {
        matches!(self.rule, Rule::Every(time) if time < HASTY)
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl FromStr for Schedule {
    type Err = String;

    /// `every 6h`, `6h`, `@daily`, or a cron expression such as `30 3 * * *`.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let bare =
            text.strip_prefix("every ").or_else(|| text.strip_prefix("@every ")).unwrap_or(text).trim();
        if bare.starts_with(|c: char| c.is_ascii_digit()) && !bare.contains(' ') {
            let span: jiff::SignedDuration = span(bare)?;
            let time = Duration::try_from(span).map_err(|_| format!("`{text}` is negative"))?;
            if time < SHORTEST {
                return Err(format!("`{text}` is more often than once a second"));
            }
            return Ok(Self { rule: Rule::Every(time), text: text.to_owned() });
        }
        let help =
            "write `every 6h`, `@daily`, or five fields as cron has them: `30 3 * * *` is 3:30 every day";
        let parser =
            croner::parser::CronParser::builder().seconds(croner::parser::Seconds::Disallowed).build();
        let cron = parser.parse(text).map_err(|e| format!("`{text}` is no schedule ({e}): {help}"))?;
        // From a day that is no leap day's eve, so that even the 29th of February has its four years.
        let from = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
        cron.find_next_occurrence(&from, true).map_err(|_| format!("`{text}` never comes: {help}"))?;
        Ok(Self { rule: Rule::Cron(Box::new(cron)), text: text.to_owned() })
    }
}

/// A time in words; days have 24 hours.
///
/// # Errors
/// When it is none, in words.
pub fn span(text: &str) -> Result<SignedDuration, String> {
    let bad = |_| format!("`{text}` is not a time such as 20s, 5m, 6h or 7d");
    let span: jiff::Span = text.parse().map_err(bad)?;
    span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(bad)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn due(schedule: &str, last: &str, now: &str, zone: &str) -> Timestamp {
        let zone = TimeZone::get(zone).unwrap();
        schedule.parse::<Schedule>().unwrap().due(Some(at(last)), at(now), &zone)
    }

    #[test]
    fn the_first_run_is_at_once() {
        let now = at("2026-01-01T12:00:00Z");
        for text in ["every 6h", "30 3 * * *", "@monthly"] {
            assert_eq!(text.parse::<Schedule>().unwrap().due(None, now, &TimeZone::UTC), now);
        }
    }

    #[test]
    fn every_counts_from_start_to_start() {
        let next = due("6h", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "UTC");
        assert_eq!(next, at("2026-01-01T06:00:00Z"));
        assert_eq!(
            due("every 1d", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "UTC"),
            at("2026-01-02T00:00:00Z")
        );
    }

    #[test]
    fn cron_is_by_the_clock_on_the_wall_in_both_changes_of_summer_time() {
        let berlin = |last, now| due("30 3 * * *", last, now, "Europe/Berlin");
        // Winter, the day of the change, summer.
        assert_eq!(berlin("2026-03-27T02:30:00Z", "2026-03-27T03:00:00Z"), at("2026-03-28T02:30:00Z"));
        assert_eq!(berlin("2026-03-28T02:30:00Z", "2026-03-28T03:00:00Z"), at("2026-03-29T01:30:00Z"));
        // An hour that is left out: its run is not.
        let lost = due("30 2 * * *", "2026-03-28T01:30:00Z", "2026-03-28T02:00:00Z", "Europe/Berlin");
        assert!(lost > at("2026-03-29T00:00:00Z") && lost < at("2026-03-29T02:00:00Z"), "{lost}");
        // An hour that comes twice: one run.
        let twice = due("30 2 * * *", "2026-10-24T00:30:00Z", "2026-10-24T01:00:00Z", "Europe/Berlin");
        let after = due("30 2 * * *", &twice.to_string(), &twice.to_string(), "Europe/Berlin");
        assert_eq!(after, at("2026-10-26T01:30:00Z"), "after {twice}");
    }

    #[test]
    fn what_was_missed_is_made_up_for_once() {
        let now = "2026-01-20T12:00:00Z";
        assert!(due("30 3 * * *", "2026-01-01T03:30:00Z", now, "UTC") < at(now));
        // Begun at once, the next one is the next one.
        assert_eq!(due("30 3 * * *", now, now, "UTC"), at("2026-01-21T03:30:00Z"));
    }

    #[test]
    fn a_start_in_the_future_is_a_wrong_clock() {
        let now = "2026-01-01T00:00:00Z";
        assert_eq!(due("6h", "2036-01-01T00:00:00Z", now, "UTC"), at("2026-01-01T06:00:00Z"));
        assert_eq!(due("0 3 * * *", "2036-01-01T00:00:00Z", now, "UTC"), at("2026-01-01T03:00:00Z"));
    }

    #[test]
    fn nonsense_is_refused_with_what_to_write() {
        for bad in [
            "",
            "soon",
            "every",
            "0s",
            "-6h",
            "61 * * * *",
            "* * * *",
            "0 0 30 2 *",
            "* * * * * *",
            "every 6 h x",
        ] {
            let error = bad.parse::<Schedule>().unwrap_err();
            assert!(error.contains('`'), "{bad}: {error}");
        }
        for good in
            ["0 3 * * *", "*/15 * * * *", "@hourly", "@daily", "0 3 29 2 *", "0 4 * * SUN", "90m", "every 6h"]
        {
            assert_eq!(good.parse::<Schedule>().unwrap().text(), good);
        }
    }
}
