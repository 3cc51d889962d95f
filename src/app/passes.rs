//! The passes of a running appliance, one after the other: when they are due, and when somebody asks for one.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::rounds::{Ended, Rounds, wait_until};
use super::tell::Tell;
use super::{AccountSettings, Source, SyncSettings, sync};
use crate::archive::Archive;
use crate::login::{self, Finding};
use crate::model::{Clock as _, SystemClock};
use crate::notice::Event;
use crate::schedule::Schedule;
use crate::serve::{Account, Asked, State};
use crate::sync::ListingMode;
use crate::sync::progress::Progress;
use crate::sync::report::{Outcome, SyncReport};

/// How often a full volume is looked at.
const LOOK_FOR_ROOM: Duration = Duration::from_secs(10);
/// How often a login that needs somebody, or a visit that failed, is looked at again.
const BETWEEN_LOOKS: SignedDuration = SignedDuration::from_hours(1);

/// Why a wait is over.
enum Wake {
    /// The time has come, there is room again, or everything is to end.
    Due,
    /// Somebody has signed in.
    SignedIn,
    /// Somebody asks for a pass.
    Asked(Asked),
    /// The settings are to be read again.
    Reread,
}

/// How passes are made, as the settings say now.
struct Plan {
    rounds: Rounds,
    how: SyncSettings,
}

/// What the passes are made with.
pub struct Passes<'a> {
    /// The archive.
    pub archive: &'a Arc<Archive>,
    /// What the page shows.
    pub state: &'a State,
    /// Whose passes they are.
    pub account: &'a Account,
    /// Who tells its owner.
    pub tell: &'a Tell,
    /// Who tells what concerns the archive.
    pub herald: &'a Tell,
    /// Who tells each of the accounts' owners.
    pub voices: &'a [Arc<Tell>],
    /// Ring after each pass.
    pub passed: &'a [Arc<Notify>],
    /// Asks everything to end.
    pub stop: &'a CancellationToken,
}

impl Passes<'_> {
    /// Makes passes until asked to stop.
    pub async fn go_on(&self, settings: &AccountSettings, source: &dyn Source) -> anyhow::Result<()> {
        let clock = SystemClock;
        let last = self.archive.index.reader()?.last_run_of(self.account.noted_as())?;
        let mut plan = Plan {
            rounds: Rounds::after(
                last.as_ref(),
                settings.schedule.clone(),
                settings.jitter,
                TimeZone::system(),
            ),
            how: settings.sync.clone(),
        };
        let mut next = plan.rounds.next(clock.now());
        let (mut before, mut lacking) = (None, None);
        self.say_plan(&settings.schedule, next, clock.now());
        loop {
            self.state.due(self.account, next);
            let listing = match self.wait_for_turn(next, lacking).await {
                Wake::Due | Wake::SignedIn | Wake::Asked(Asked::Now) => ListingMode::Auto,
                Wake::Asked(Asked::Whole) => ListingMode::Whole,
                Wake::Asked(Asked::SetAside) => ListingMode::SetAside,
                Wake::Reread => {
                    next = self.read_again(&mut plan, source).unwrap_or(next);
                    continue;
                }
            };
            let turn = tokio::select! {
                turn = self.account.desk.turn() => turn,
                () = self.stop.cancelled() => return Ok(()),
            };
            if self.stop.is_cancelled() {
                return Ok(());
            }
            // Somebody may have changed them while another used the browser.
            if self.account.reread.notified().now_or_never().is_some() {
                self.read_again(&mut plan, source);
            }
            let began = clock.now();
            // Who has signed in before this run need not start another.
            let _heard = self.account.desk.signed_in.notified().now_or_never();
            // Another attempt at a few items is no look at the library: nobody is told of it, and the plan stands.
            let whole = listing != ListingMode::SetAside;
            let run = whole.then(|| self.tell.run_begins());
            let ended = self.pass(&plan.how, listing).await;
            drop(turn);
            let well = Ended::of(ended.as_ref().ok().map(SyncReport::outcome));
            self.say(&ended, well, before);
            self.account.desk.observe(finding(&ended, &plan.how));
            if let Some(run) = run {
                self.tell.run_ended(run, &ended);
                before = Some(well);
            }
            next = if whole {
                plan.rounds.ended(began, well, clock.now())
            } else {
                plan.rounds.next(clock.now())
            };
            let needed = match ended.as_ref().map(SyncReport::outcome) {
                Ok(Outcome::DiskFull { needed, .. }) => Some(*needed),
                _ => None,
            };
            // The volume is everybody's.
            if whole && !self.tell.reaches_all_of(self.herald) {
                match ended.as_ref().map(|report| (report.outcome(), report.sentence())) {
                    Ok((Outcome::DiskFull { .. }, text)) => {
                        self.herald.trouble(Event::DiskLow, "The volume is full", &text);
                    }
                    // Whose run it has stopped knows best.
                    Ok((Outcome::Complete | Outcome::Partial, text)) if !self.is_full_for_anybody() => {
                        self.herald.is_over(&[Event::DiskLow], &text);
                    }
                    _ => {}
                }
            }
            lacking = if whole { needed } else { needed.or(lacking) };
            self.state.ended(self.account, began, ended);
            self.state.due(self.account, next);
            self.passed.iter().for_each(|bell| bell.notify_one());
        }
    }

    fn is_full_for_anybody(&self) -> bool {
        self.voices.iter().any(|voice| voice.is_in(Event::DiskLow))
    }

    /// Reads the settings again; when the next pass is due then.
    fn read_again(&self, plan: &mut Plan, source: &dyn Source) -> Option<Timestamp> {
        let now = SystemClock.now();
        let new = source.read().and_then(|all| {
            self.herald.change(all.tell);
            let found = all.accounts.into_iter().find(|account| account.name == self.account.name);
            found.ok_or_else(|| "it is no longer among the accounts; the next start leaves it out".to_owned())
        });
        match new {
            Ok(new) => {
                plan.rounds.change(new.schedule.clone(), new.jitter);
                // Profile and what passes share are this process's for as long as it lives.
                let (profile, shared) =
                    (std::mem::take(&mut plan.how.profile), plan.how.options.shared.clone());
                plan.how = SyncSettings { profile, ..new.sync };
                plan.how.options.shared = shared;
                self.tell.change(new.tell);
                let next = plan.rounds.next(now);
                tracing::info!("{}the settings were read again", self.whose());
                self.say_plan(&new.schedule, next, now);
                Some(next)
            }
            Err(why) => {
                tracing::error!("{}the settings stay as they were: {why}", self.whose());
                None
            }
        }
    }

    async fn pass(&self, how: &SyncSettings, listing: ListingMode) -> Result<SyncReport, String> {
        let mut how = how.clone();
        how.options.listing = listing;
        let progress = Arc::new(Progress::default());
        self.state.begins(self.account, Arc::clone(&progress));
        sync::pass(self.archive, &how, &progress, self.stop).await.map_err(|e| e.to_string())
    }

    /// Waits until the next pass is due, somebody wants something, or the bytes that are lacking are there; visits the library meanwhile, if that is due, and
    /// reminds whoever is needed.
    async fn wait_for_turn(&self, next: Timestamp, lacking: Option<u64>) -> Wake {
        let (desk, stop, clock) = (&*self.account.desk, self.stop, &SystemClock);
        // Where one pass is due when the last one ends, people are heard all the same.
        if self.account.reread.notified().now_or_never().is_some() {
            return Wake::Reread;
        }
        if let Some(asked) = self.account.asked().now_or_never() {
            return Wake::Asked(asked);
        }
        let mut tried: Option<Timestamp> = None;
        while clock.now() < next && !stop.is_cancelled() {
            let after = |at: Timestamp| at.checked_add(BETWEEN_LOOKS).unwrap_or(next);
            // What came to nothing is tried again in an hour.
            let visit = desk.login().visit_due().map(|due| tried.map_or(due, |tried| due.max(after(tried))));
            let until = visit.unwrap_or(next).min(next).min(after(clock.now()));
            tokio::select! {
                // What was changed before a run was asked for counts for it.
                biased;
                () = self.account.reread.notified() => return Wake::Reread,
                asked = self.account.asked() => return Wake::Asked(asked),
                () = desk.signed_in.notified() => return Wake::SignedIn,
                () = wait_until(until, clock, stop) => {}
                () = self.room(lacking) => return Wake::Due,
            }
            desk.remind();
            if visit.is_some_and(|due| due <= clock.now()) && clock.now() < next && !stop.is_cancelled() {
                tried = Some(clock.now());
                tokio::select! {
                    turn = desk.turn() => desk.visit(&turn, stop).await,
                    () = stop.cancelled() => return Wake::Due,
                }
            }
        }
        Wake::Due
    }

    /// Waits until the volume has so much room; where nothing is lacking, for ever.
    async fn room(&self, lacking: Option<u64>) {
        let Some(needed) = lacking else { return std::future::pending().await };
        while self.archive.store.has_room_for(needed).is_err() {
            tokio::time::sleep(LOOK_FOR_ROOM).await;
        }
        tracing::info!("the volume has room again; going on");
    }

    /// How a pass ended, in the log.
    fn say(&self, ended: &Result<SyncReport, String>, well: Ended, before: Option<Ended>) {
        match ended {
            Err(e) => tracing::error!("{}the run could not start: {e}", self.whose()),
            // Said once: the same line every hour is one that nobody reads.
            Ok(report) if well == Ended::SignInNeeded && before == Some(well) => {
                tracing::debug!("{}{}", self.whose(), report.sentence());
            }
            Ok(report) if well == Ended::SignInNeeded => {
                tracing::warn!("{}{}", self.whose(), report.sentence())
            }
            Ok(report) => tracing::info!("{}{}", self.whose(), report.sentence()),
        }
    }

    /// What the log says of the plan.
    fn say_plan(&self, schedule: &Schedule, next: Timestamp, now: Timestamp) {
        let when = if next <= now {
            "begins now".to_owned()
        } else {
            format!("begins at {}", next.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M %Z"))
        };
        tracing::info!("{}runs by the schedule `{}`; the next one {when}", self.whose(), schedule.text());
        if schedule.is_hasty() {
            tracing::warn!(
                "so many runs bring nothing, and Google may take them amiss: every hour is plenty"
            );
        }
    }

    /// Begins a line of the log, where there are several accounts.
    fn whose(&self) -> String {
        self.account.name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default()
    }
}

/// What a pass has found out about the login.
fn finding(ended: &Result<SyncReport, String>, settings: &SyncSettings) -> Finding {
    let Ok(report) = ended else { return Finding::Unclear };
    match (report.outcome(), &report.account) {
        (Outcome::SignInNeeded(why), _) => Finding::signed_out(why),
        (_, Some(account)) => Finding::SignedIn {
            account: account.clone(),
            renewal_refused: report
                .renewal_refused
                .then(|| login::not_renewed(settings.browser.chrome.is_some())),
        },
        _ => Finding::Unclear,
    }
}
