//! The replica of a running appliance: what is new goes there after each run, and a drill shows now and then that it
//! can be restored.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::replica::{KeepReplica, drilled, hold_drill, sentence};
use super::tell::Tell;
use crate::archive::Archive;
use crate::model::ErrorClass;
use crate::notice::Event;
use crate::replica::check::CheckReport;
use crate::replica::{ReplicaError, Target, journal};

/// When is looked first: the first run is on its way then.
const FIRST_LOOK: Duration = Duration::from_secs(15);
/// The longest time between two looks, and the time until one that failed is made up for.
const LOOK_EVERY: Duration = Duration::from_secs(24 * 3600);
const AFTER_FAILURE: Duration = Duration::from_secs(3600);
/// The longest time until a drill that failed is held again.
const AFTER_FAILED_DRILL: SignedDuration = SignedDuration::from_hours(24);
/// Drills that could not be held, one after the other, of which somebody is told.
const UNHELD: u32 = 3;
/// A line that is bad for so long is worth a word.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);
/// Files that a drill draws.
const SAMPLE: usize = 100;

/// Keeps the replica up to date until asked to stop. `passed` rings after each run.
pub fn keep(
    archive: Arc<Archive>,
    settings: KeepReplica,
    passed: Arc<Notify>,
    tell: Arc<Tell>,
    stop: CancellationToken,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let (mut next, mut unheld) = (FIRST_LOOK, 0);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = passed.notified() => {}
                () = tokio::time::sleep(next) => {}
            }
            next = if send(&archive, &settings, &tell, &stop).await { LOOK_EVERY } else { AFTER_FAILURE };
            if next == LOOK_EVERY && is_drill_due(&archive, &settings) && !stop.is_cancelled() {
                drill(&archive, &settings, &tell, &stop, &mut unheld).await;
            }
        }
    })
}

/// Sends what is new; whether everything is there now.
async fn send(archive: &Archive, settings: &KeepReplica, tell: &Tell, stop: &CancellationToken) -> bool {
    let target = &settings.replicate.far.target;
    let nothing_known = CheckReport::default();
    let behind = match settings.replicate.push(&archive.store, false, &nothing_known, stop).await {
        Ok(report) if report.is_complete() => {
            if report.sent > 0 {
                tracing::info!("{}", sentence(&report, target));
            } else {
                tracing::debug!("{}", sentence(&report, target));
            }
            if !journal::of(&archive.store, target).is_in_trouble() {
                say_that_it_is_well(tell, target);
            }
            return true;
        }
        Ok(report) if report.stopped => return false,
        Ok(report) => {
            tracing::warn!("{}", sentence(&report, target));
            None
        }
        Err(error) => {
            tracing::error!(
                "the replica could not be brought up to date, and is tried again in an hour: {error}"
            );
            Some(error)
        }
    };
    // A bad line mends itself; what needs somebody does not.
    let needs_somebody =
        behind.as_ref().is_some_and(|error: &ReplicaError| error.class() != ErrorClass::Transient);
    let since = journal::of(&archive.store, target).failing_since;
    let is_long = since.is_some_and(|since| age(since) >= PATIENCE);
    if needs_somebody || is_long {
        let why = behind.map_or_else(|| "some files did not get there".to_owned(), |error| error.to_string());
        let text = format!(
            "The second copy at {target} does not get what is new: {why}. What is archived here is safe; `shoebox \
             replicate` tries again at once."
        );
        tell.trouble(Event::ReplicaBehind, "The second copy is behind", &text);
    }
    false
}

fn say_that_it_is_well(tell: &Tell, target: &Target) {
    tell.is_over(&[Event::ReplicaBehind], &format!("Everything that is archived is at {target}, too."));
}

fn age(since: Timestamp) -> SignedDuration {
    super::clock().now().duration_since(since)
}

fn is_drill_due(archive: &Archive, settings: &KeepReplica) -> bool {
    let far = &settings.replicate.far;
    if !settings.replicate.recipients.is_empty() && far.identity.is_none() {
        // Who keeps the key elsewhere holds the drill there.
        return false;
    }
    let known = journal::of(&archive.store, &far.target);
    let every = SignedDuration::try_from(settings.drill_every).unwrap_or(SignedDuration::MAX);
    // What failed may have failed for a bad line.
    let every = if known.drill_failed.is_some() { every.min(AFTER_FAILED_DRILL) } else { every };
    known.drilled.is_none_or(|drilled| age(drilled) >= every)
}

/// Holds a drill and tells what it came to. `unheld` counts those that came to nothing, one after the other.
async fn drill(
    archive: &Arc<Archive>,
    settings: &KeepReplica,
    tell: &Tell,
    stop: &CancellationToken,
    unheld: &mut u32,
) {
    let (archive, far, stop) = (Arc::clone(archive), settings.replicate.far.clone(), stop.clone());
    let target = far.target.clone();
    let runtime = tokio::runtime::Handle::current();
    let (over, held) = tokio::sync::oneshot::channel();
    // A thread of its own: the runtime would wait for one of its own before it ends.
    std::thread::spawn(move || {
        let report = hold_drill(&archive, &far, SAMPLE, None, &runtime, &stop);
        drop(archive);
        let _nobody_waits = over.send(report);
    });
    let (title, text) = match held.await {
        Ok(Ok(report)) if report.stopped => return,
        Ok(Ok(report)) if report.is_good() => {
            *unheld = 0;
            tracing::info!("drill: {}", drilled(&report, &target));
            say_that_it_is_well(tell, &target);
            return;
        }
        Ok(Ok(report)) => ("The second copy cannot be restored", drilled(&report, &target)),
        Ok(Err(error)) => {
            ("No drill could be held", format!("The drill at {target} could not be held: {error:#}"))
        }
        Err(_) => ("No drill could be held", format!("The drill at {target} ended by itself")),
    };
    tracing::error!("drill: {text}");
    *unheld += 1;
    if title.starts_with("The") || *unheld >= UNHELD {
        tell.trouble(Event::ReplicaBehind, title, &text);
    }
}
