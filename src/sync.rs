//! One pass over a library: list, plan, fetch, ingest; bounded memory, one bad item never stops it.
//!
//! ```text
//! lister ──work──▶ items in flight ──(download turn)──▶ ingest ──▶ index
//! ```
//! The lister reads page after page and asks the index what is new. Each new item is a task of its own:
//! address, then one of `workers` turns to download, then verification, storage and record, so that
//! addresses and disks are busy while the network is.

mod item;
mod listing;
pub mod pace;
pub mod progress;
pub mod report;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::item::Item;
use self::listing::Work;
use self::pace::Pace;
use self::progress::Progress;
use self::report::{Outcome, SyncReport};
use crate::archive::Archive;
use crate::model::Clock;
use crate::remote::RemoteLibrary;

/// How a pass is run.
#[derive(Clone, Copy, Debug)]
pub struct SyncOptions {
    /// Downloads at the same time.
    pub workers: usize,
    /// Attempts per part before it is set aside.
    pub attempts: usize,
    /// Longest wait between attempts, also if the server asks for a longer one.
    pub longest_wait: Duration,
    /// Seed of the jitter.
    pub seed: u64,
}

impl Default for SyncOptions {
    fn default() -> Self {
        Self { workers: 4, attempts: 5, longest_wait: Duration::from_secs(120), seed: fastrand::u64(..) }
    }
}

/// Items in flight per download turn: enough that addresses are ready before a turn is free.
const AHEAD: usize = 3;

/// What every task of a pass shares.
pub(crate) struct Pass<R> {
    pub(crate) archive: Arc<Archive>,
    pub(crate) remote: Arc<R>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: SyncOptions,
    pub(crate) pace: Pace,
    pub(crate) turns: Semaphore,
    /// One record at a time: an item's number must not become visible before a lower one, because names in
    /// the view are dealt by number.
    pub(crate) recording: Mutex<()>,
    pub(crate) progress: Arc<Progress>,
    /// Ends the pass: a person asked, or something happened that concerns every item.
    pub(crate) stop: CancellationToken,
}

/// Runs one pass. Whatever happens on the way, the report says how far it came.
pub async fn run<R: RemoteLibrary>(
    archive: Arc<Archive>,
    remote: Arc<R>,
    clock: Arc<dyn Clock>,
    options: SyncOptions,
    progress: Arc<Progress>,
    stop: CancellationToken,
) -> SyncReport {
    let started = clock.now();
    let pass = Arc::new(Pass {
        turns: Semaphore::new(options.workers.max(1)),
        recording: Mutex::new(()),
        pace: Pace::new(options.seed, options.longest_wait),
        // A child: our own reasons to stop shall not stop the caller.
        stop: stop.child_token(),
        archive,
        remote,
        clock,
        options,
        progress,
    });
    let outcome = work_through(&pass).await;
    let outcome = if stop.is_cancelled() { Outcome::Interrupted } else { outcome };
    let report = SyncReport::new(&pass.progress, outcome, started, pass.clock.now());
    if let Err(e) = pass.archive.index.writer().note_run(&report.note()) {
        tracing::warn!("the run could not be noted in the index: {e}");
    }
    report
}

async fn work_through<R: RemoteLibrary>(pass: &Arc<Pass<R>>) -> Outcome {
    let in_flight = pass.options.workers.max(1) * AHEAD;
    let (sender, mut queue) = mpsc::channel::<Work>(in_flight * 2);
    let lister = tokio::spawn(listing::list(Arc::clone(pass), sender));
    let mut items = JoinSet::new();
    let mut fatal = None;
    loop {
        tokio::select! {
            Some(done) = items.join_next() => keep_first(&mut fatal, pass, done),
            work = queue.recv(), if items.len() < in_flight => match work {
                Some(work) => {
                    items.spawn(Item::new(Arc::clone(pass), work).archive());
                }
                None => break,
            },
        }
    }
    while let Some(done) = items.join_next().await {
        keep_first(&mut fatal, pass, done);
    }
    let listed = lister.await.unwrap_or_else(|e| Outcome::Failed(format!("the lister failed: {e}")));
    fatal.unwrap_or(listed)
}

/// Remembers the first reason that ends the pass, and ends it.
fn keep_first<R>(
    fatal: &mut Option<Outcome>,
    pass: &Pass<R>,
    done: Result<Result<(), Outcome>, tokio::task::JoinError>,
) {
    let outcome = match done {
        Ok(Ok(())) => return,
        Ok(Err(outcome)) => outcome,
        Err(e) => Outcome::Failed(format!("a task failed: {e}")),
    };
    pass.stop.cancel();
    fatal.get_or_insert(outcome);
}
