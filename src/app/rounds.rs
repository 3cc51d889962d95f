//! When the passes of a running appliance begin.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::index::RunNote;
use crate::model::Clock;
use crate::schedule::Schedule;
use crate::sync::report::Outcome;

/// How often the wall clock is looked at: it may be set, and the machine may have slept.
const LOOK: Duration = Duration::from_secs(30);
/// Longest wait; what is later than that is looked at again.
const LONGEST: Duration = Duration::from_secs(400 * 24 * 3600);
/// While nobody is signed in, Google is asked no more often than this: asking does not mend it.
const BETWEEN_PROBES: SignedDuration = SignedDuration::from_hours(1);
/// A pass that could not go on is tried again after so many minutes, if its schedule would let it wait longer.
const RETRIES: [i64; 3] = [10, 60, 240];

/// How a pass ended, as far as the next one is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As well as it could.
    Through,
    /// Nobody is signed in.
    SignInNeeded,
    /// It did not get through, for a reason that may pass by itself.
    Failed,
}

impl Ended {
    /// What an outcome means; a pass that could not start has none.
    pub fn of(outcome: Option<&Outcome>) -> Self {
        match outcome {
            Some(Outcome::SignInNeeded(_)) => Self::SignInNeeded,
            Some(Outcome::Failed(_)) | None => Self::Failed,
            Some(_) => Self::Through,
        }
    }
}

/// The order of passes.
#[derive(Clone, Debug)]
pub struct Rounds {
    schedule: Schedule,
    jitter: Duration,
    zone: TimeZone,
    /// When the last pass began, by the clock as it is now.
    last: Option<Timestamp>,
    /// Passes that have failed in a row.
    failed: usize,
    /// Whether the last pass found nobody signed in.
    signed_out: bool,
}

impl Rounds {
    /// Goes on after the last pass that the index knows of. One that was cut short or failed does not count: it is made up
    /// for at once.
    pub fn after(last: Option<&RunNote>, schedule: Schedule, jitter: Duration, zone: TimeZone) -> Self {
        let through = |run: &&RunNote| ["complete", "partial"].contains(&run.outcome.as_str());
        let last = last.filter(through).map(|run| run.started);
        Self { schedule, jitter, zone, last, failed: 0, signed_out: false }
    }

    /// Another schedule from now on.
    pub fn change(&mut self, schedule: Schedule, jitter: Duration) {
        (self.schedule, self.jitter) = (schedule, jitter);
    }

    /// When the next pass begins: a moment that is past means at once.
    pub fn next(&mut self, now: Timestamp) -> Timestamp {
        // A start in the future was told by a clock that was wrong then or is wrong now.
        self.last = self.last.map(|last| last.min(now));
        let due = self.schedule.due(self.last, now, &self.zone);
        // What is overdue is not put off any longer.
        let by = if due > now { self.jitter.mul_f64(fastrand::f64()) } else { Duration::ZERO };
        let due = due.checked_add(by).unwrap_or(due);
        let after =
            |time: SignedDuration| self.last.and_then(|last| last.checked_add(time).ok()).unwrap_or(due);
        if self.signed_out {
            return due.max(after(BETWEEN_PROBES));
        }
        let retry = self.failed.checked_sub(1).and_then(|nth| RETRIES.get(nth));
        retry.map_or(due, |&minutes| due.min(after(SignedDuration::from_mins(minutes))))
    }

    /// A pass that began then has ended: when the next one begins.
    pub fn ended(&mut self, began: Timestamp, how: Ended, now: Timestamp) -> Timestamp {
        self.last = Some(began);
        self.failed = if how == Ended::Failed { self.failed + 1 } else { 0 };
        self.signed_out = how == Ended::SignInNeeded;
        self.next(now)
    }
}

/// Waits for an instant of the wall clock, or until asked to stop.
pub async fn wait_until(due: Timestamp, clock: &dyn Clock, stop: &CancellationToken) {
    let wait = |now| Duration::try_from(due.duration_since(now)).unwrap_or_default();
    // A clock that is set back makes nobody wait longer than was left.
    let latest = Instant::now() + wait(clock.now()).min(LONGEST);
    loop {
        let left = wait(clock.now()).min(latest.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(left.min(LOOK)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::FixedClock;
    use jiff::ToSpan as _;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn rounds(schedule: &str, runs: &[RunNote]) -> Rounds {
        Rounds::after(runs.first(), schedule.parse().unwrap(), Duration::ZERO, TimeZone::UTC)
    }

    fn run(started: &str, outcome: &str) -> RunNote {
        let (started, outcome) = (at(started), outcome.to_owned());
        RunNote {
            account: String::new(),
            started,
            ended: started,
            outcome,
            listed: 0,
            archived: 0,
            quarantined: 0,
            failed: 0,
            bytes: 0,
        }
    }

    #[test]
    fn a_restart_neither_repeats_a_pass_nor_leaves_one_out() {
        let now = at("2026-05-01T12:00:00Z");
        let next = |runs: &[RunNote]| rounds("every 6h", runs).next(now);
        assert_eq!(next(&[]), now);
        assert_eq!(next(&[run("2026-05-01T10:00:00Z", "complete")]), at("2026-05-01T16:00:00Z"));
        assert_eq!(next(&[run("2026-05-01T10:00:00Z", "partial")]), at("2026-05-01T16:00:00Z"));
        assert!(next(&[run("2026-04-01T10:00:00Z", "complete")]) < now);
        for unfinished in ["interrupted", "failed", "sign-in-needed", "disk-full"] {
            let runs = [run("2026-05-01T11:00:00Z", unfinished), run("2026-05-01T10:00:00Z", "complete")];
            assert_eq!(next(&runs), now, "{unfinished}");
        }
    }

    #[test]
    fn what_failed_is_tried_again_sooner_than_a_day_later_and_not_all_the_time() {
        let mut rounds = rounds("30 3 * * *", &[]);
        let (mut now, mut waits) = (at("2026-05-01T03:30:00Z"), Vec::new());
        for _ in 0..5 {
            let next = rounds.ended(now, Ended::Failed, now + 1.minute());
            waits.push(next.duration_since(now).as_mins());
            now = next;
        }
        assert_eq!(waits, [10, 60, 240, 1130, 1440]);
        let next = rounds.ended(now, Ended::Through, now + 2.hours());
        assert_eq!(
            rounds.ended(next, Ended::Failed, next),
            next + 10.minutes(),
            "counted on after a success"
        );
    }

    #[test]
    fn another_look_at_the_plan_changes_nothing() {
        let mut rounds = rounds("30 3 * * *", &[]);
        let now = at("2026-05-01T03:30:00Z");
        assert_eq!(rounds.ended(now, Ended::Failed, now + 1.minute()), now + 10.minutes());
        rounds.change("30 4 * * *".parse().unwrap(), Duration::ZERO);
        assert_eq!(rounds.next(now + 2.minutes()), now + 10.minutes(), "the retry is forgotten");
        rounds.ended(now, Ended::SignInNeeded, now + 1.minute());
        rounds.change("every 20m".parse().unwrap(), Duration::ZERO);
        assert_eq!(rounds.next(now + 2.minutes()), now + 1.hour(), "the probe comes too early");
    }

    #[test]
    fn nobody_asks_google_all_the_time_whether_somebody_signed_in() {
        let mut rounds = rounds("every 20m", &[]);
        let now = at("2026-05-01T12:00:00Z");
        assert_eq!(rounds.ended(now, Ended::SignInNeeded, now + 1.minute()), now + 1.hour());
        assert_eq!(rounds.ended(now, Ended::Through, now + 1.minute()), now + 20.minutes());
    }

    #[test]
    fn jitter_puts_off_what_is_due_later_and_never_by_more_than_itself() {
        let now = at("2026-05-01T12:00:00Z");
        let jitter = Duration::from_secs(600);
        let with = |runs: &[RunNote]| {
            Rounds::after(runs.first(), "every 6h".parse().unwrap(), jitter, TimeZone::UTC).next(now)
        };
        let due = at("2026-05-01T16:00:00Z");
        let seen: Vec<_> = (0..200).map(|_| with(&[run("2026-05-01T10:00:00Z", "complete")])).collect();
        assert!(seen.iter().all(|next| (due..=due + 10.minutes()).contains(next)));
        assert!(seen.iter().any(|next| *next > due + 3.minutes()));
        assert_eq!(with(&[]), now, "the first one is put off");
    }

    #[test]
    fn a_clock_that_is_set_back_years_starves_nothing() {
        let mut rounds = rounds("every 6h", &[run("2036-05-01T10:00:00Z", "complete")]);
        let now = at("2026-05-01T12:00:00Z");
        assert_eq!(rounds.next(now), now + 6.hours());
        assert_eq!(rounds.next(now + 1.hour()), now + 6.hours(), "moves away while it is waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_by_either_clock_whichever_is_first() {
        let begin = at("2026-05-01T12:00:00Z");
        let stop = CancellationToken::new();
        // The clock on the wall stands still, as one that was set back does.
        let clock = FixedClock::new(begin);
        let (started, due) = (Instant::now(), begin + 6.hours());
        wait_until(due, &clock, &stop).await;
        assert_eq!(started.elapsed(), Duration::from_secs(6 * 3600));
        // The machine sleeps for a day.
        let started = Instant::now();
        tokio::join!(wait_until(due, &clock, &stop), async { clock.set(begin + 24.hours()) });
        assert!(started.elapsed() <= LOOK);
        wait_until(begin, &clock, &stop).await;
    }
}
