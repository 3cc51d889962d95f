//! The upkeep of a running appliance.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::archive::Archive;
use crate::upkeep;

/// How often is looked whether upkeep is due; the first time after a start, when the first pass is on its way.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// After an error; the same line every minute is one that nobody reads.
const AFTER_ERROR: Duration = Duration::from_secs(3600);

/// Does the upkeep, whenever it is due, until asked to stop; what it answers comes when it has stopped.
pub fn keep_up(
    archive: Arc<Archive>,
    settings: Option<upkeep::Settings>,
    stop: CancellationToken,
) -> tokio::sync::oneshot::Receiver<()> {
    let (ended, wait) = tokio::sync::oneshot::channel();
    let Some(settings) = settings else { return wait };
    let runtime = tokio::runtime::Handle::current();
    // A thread of its own: the runtime would wait for one of its own before it ends.
    std::thread::spawn(move || {
        let pause =
            |time| runtime.block_on(async { tokio::time::timeout(time, stop.cancelled()).await.is_err() });
        let mut next = LOOK_EVERY;
        while pause(next) {
            next = LOOK_EVERY;
            let now = super::clock().now();
            if !upkeep::is_due(&archive, now) {
                continue;
            }
            match upkeep::day(&archive, now, &settings, &mut |_| match stop.is_cancelled() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }) {
                Ok(report) => tracing::info!(
                    files = report.blobs,
                    bytes = report.bytes,
                    damaged = upkeep::standing(&archive.store).len(),
                    mended = report.mended,
                    "read again today"
                ),
                Err(error) => {
                    tracing::error!("the upkeep could not be done, and is tried again in an hour: {error}");
                    next = AFTER_ERROR;
                }
            }
        }
        drop(archive);
        let _nobody_waits = ended.send(());
    });
    wait
}
