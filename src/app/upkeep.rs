//! The upkeep of a running appliance.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::tell::Tell;
use crate::archive::Archive;
use crate::notice::Event;
use crate::upkeep::{self, facts};

/// When is looked first whether upkeep is due: the first pass is on its way then.
const FIRST_LOOK: Duration = Duration::from_secs(10);
/// How often is looked afterwards.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// After an error; the same line every minute is one that nobody reads.
const AFTER_ERROR: Duration = Duration::from_secs(3600);

/// Why the upkeep looks up.
enum Wake {
    Stop,
    Passed,
    Time,
}

/// Does the upkeep, whenever it is due, until asked to stop; what it answers comes when it has stopped. `passed` tells
/// that a pass has ended, which may have mended something.
pub fn keep_up(
    archive: Arc<Archive>,
    settings: Option<upkeep::Settings>,
    passed: Arc<Notify>,
    tell: Arc<Tell>,
    stop: CancellationToken,
) -> tokio::sync::oneshot::Receiver<()> {
    let (ended, wait) = tokio::sync::oneshot::channel();
    let Some(settings) = settings else { return wait };
    let runtime = tokio::runtime::Handle::current();
    // A thread of its own: the runtime would wait for one of its own before it ends.
    std::thread::spawn(move || {
        let pause = |time| {
            runtime.block_on(async {
                tokio::select! {
                    () = stop.cancelled() => Wake::Stop,
                    () = passed.notified() => Wake::Passed,
                    () = tokio::time::sleep_until(time) => Wake::Time,
                }
            })
        };
        let mut next = Instant::now() + FIRST_LOOK;
        loop {
            match pause(next) {
                Wake::Stop => break,
                Wake::Passed => {
                    if let Err(error) = upkeep::look_again(&archive) {
                        tracing::debug!("what is damaged could not be looked at again: {error}");
                    }
                    let damaged = upkeep::standing(&archive.store).len();
                    if damaged == 0 {
                        say(&tell, damaged);
                    }
                    continue;
                }
                Wake::Time => next = Instant::now() + LOOK_EVERY,
            }
            reread(&archive, &stop);
            let now = super::clock().now();
            if !upkeep::is_due(&archive, now) {
                continue;
            }
            match upkeep::day(&archive, now, &settings, &mut |_| match stop.is_cancelled() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }) {
                // Nothing archived yet.
                Ok(report) if report.blobs == 0 => tracing::debug!("there was nothing to read again"),
                Ok(report) => {
                    let damaged = upkeep::standing(&archive.store).len();
                    tracing::info!(
                        files = report.blobs,
                        bytes = report.bytes,
                        damaged,
                        mended = report.mended,
                        "read again today"
                    );
                    say(&tell, damaged);
                }
                Err(error) => {
                    tracing::error!("the upkeep could not be done, and is tried again in an hour: {error}");
                    next = Instant::now() + AFTER_ERROR;
                }
            }
        }
        drop((archive, tell));
        let _nobody_waits = ended.send(());
    });
    wait
}

/// Reads out of archived files what an earlier version did not know, where that moves no path.
fn reread(archive: &Archive, stop: &CancellationToken) {
    let clock = super::clock();
    if !facts::is_due(archive, clock.now()).unwrap_or(false) {
        return;
    }
    match facts::reread(archive, &*clock, &mut || match stop.is_cancelled() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }) {
        Ok(report) if report.revised + report.waiting > 0 => tracing::info!(
            items = report.items,
            revised = report.revised,
            waiting = report.waiting,
            "this version reads more out of archived files; what would move a path waits for `shoebox migrate`"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!("archived files could not be read anew: {error}"),
    }
}

/// Tells a person of damage, and of its end.
fn say(tell: &Tell, damaged: usize) {
    if damaged == 0 {
        tell.is_over(&[Event::DamageFound], "Nothing in the archive is damaged any more.");
        return;
    }
    let what = if damaged == 1 {
        "1 file of the archive is".into()
    } else {
        format!("{damaged} files of the archive are")
    };
    let text = format!(
        "{what} damaged or gone. What Google still has comes back with the next run; `shoebox status` names them, and \
         `shoebox verify --repair-from` mends from a copy. Look after the disk."
    );
    tell.trouble(Event::DamageFound, "Damage found", &text);
}
