//! One pass over a library: list, plan, fetch, ingest; bounded memory, one bad item never stops it.
//!
//! ```text
//! lister ──work──▶ addresses ──▶ items in flight ──(download turn)──▶ ingest ──▶ index
//! ```
//! The lister reads page after page and asks the index what is new or changed. Addresses are made in batches,
//! ahead of need. Each item is a task of its own: a turn to download, then verification, storage and record,
//! so that addresses and disks are busy while the network is. First the account's own library, then albums
//! and what others share.

pub mod albums;
mod claims;
mod item;
mod lister;
mod listing;
mod mint;
pub mod pace;
mod pages;
pub mod progress;
pub mod quiet;
pub mod report;
mod tombstones;
pub mod uploads;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::albums::Wanted;
use self::claims::Claims;
use self::item::Item;
use self::lister::Work;
use self::pace::{Limits, Line, Pace};
use self::progress::Progress;
use self::report::{Outcome, SyncReport};
use crate::archive::Archive;
use crate::index::IndexReader;
use crate::ingest::{self, IngestError};
use crate::model::{AlbumRecord, Clock};
use crate::remote::RemoteLibrary;

/// What a pass lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ListingMode {
    /// What is new; the whole library when that is due, or in doubt.
    #[default]
    Auto,
    /// The whole library.
    Whole,
    /// Only what earlier passes set aside.
    SetAside,
}

/// How a pass is run.
#[derive(Clone, Debug)]
pub struct SyncOptions {
    /// How fast.
    pub limits: Limits,
    /// Attempts per part before it is set aside.
    pub attempts: usize,
    /// What is listed.
    pub listing: ListingMode,
    /// Age of the last complete listing at which another one is due.
    pub whole_every: Duration,
    /// Which albums of others are archived.
    pub albums: Wanted,
    /// How whoever runs the archive calls the account, where there are several.
    pub name: Option<String>,
    /// How the others are called.
    pub others: Vec<String>,
    /// What passes for other accounts share with this one.
    pub shared: Shared,
    /// Seed of the jitter.
    pub seed: u64,
}

impl Default for SyncOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            attempts: 5,
            listing: ListingMode::Auto,
            whole_every: Duration::from_secs(7 * 24 * 3600),
            albums: Wanted::default(),
            name: None,
            others: Vec::new(),
            shared: Shared::default(),
            seed: fastrand::u64(..),
        }
    }
}

/// What passes share that may go on at the same time, each for an account of its own.
#[derive(Clone, Default)]
pub struct Shared {
    /// Uploads that are being fetched: two people may have the same photo.
    claims: Claims,
    /// The line, if there is a cap on what comes over it.
    line: Line,
    /// As whom each profile was seen last, by the accounts' names.
    signed_in: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Shared {
    /// A profile is signed in to a Google account, by its address or number.
    ///
    /// # Errors
    /// The name of another of these accounts, if that one is signed in to the same.
    pub fn is_signed_in(&self, name: &str, account: &str) -> Result<(), String> {
        let mut all = self.signed_in.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match all.iter().find(|(other, known)| *other != name && *known == account) {
            Some((other, _)) => Err(other.clone()),
            None => {
                all.insert(name.to_owned(), account.to_owned());
                Ok(())
            }
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
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
    /// The listing that sightings belong to.
    pub(crate) listing: AtomicU64,
    /// For short questions of items.
    pub(crate) reader: Mutex<IndexReader>,
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
    let reader = match archive.index.reader() {
        Ok(reader) => Mutex::new(reader),
        Err(e) => return SyncReport::new(&progress, e.into(), started, clock.now()),
    };
    let pass = Arc::new(Pass {
        reader,
        listing: AtomicU64::new(0),
        pace: Pace::new(options.seed, options.limits, &options.shared.line, Arc::clone(&clock)),
        // A child: our own reasons to stop shall not stop the caller.
        stop: stop.child_token(),
        archive,
        remote,
        clock,
        options,
        progress,
    });
    tokio::select! {
        () = pass.pace.wait() => {}
        () = pass.stop.cancelled() => {
            return SyncReport::new(&pass.progress, Outcome::Interrupted, started, pass.clock.now());
        }
    }
    pass.remote.prepare().await;
    if let Err(e) = name_account(&pass).await {
        tracing::warn!("the account's name could not be recorded: {e}");
    }
    let mut outcome = stage(&pass, listing::list).await;
    if outcome == Outcome::Complete && pass.options.listing != ListingMode::SetAside {
        outcome = stage(&pass, albums::list).await;
    }
    let outcome = if stop.is_cancelled() { Outcome::Interrupted } else { outcome };
    let report = SyncReport::new(&pass.progress, outcome, started, pass.clock.now());
    // Another attempt at a few items is no run: the next one would be put off by it.
    if pass.options.listing != ListingMode::SetAside
        && let Err(e) = pass
            .archive
            .index
            .writer()
            .note_run(&report.note(pass.options.name.as_deref().unwrap_or_default()))
    {
        tracing::warn!("the run could not be noted in the index: {e}");
    }
    report
}

/// Records how the account is called here, if that is news.
async fn name_account<R: RemoteLibrary>(pass: &Arc<Pass<R>>) -> Result<(), IngestError> {
    let Some(name) = pass.options.name.clone() else { return Ok(()) };
    let pass = Arc::clone(pass);
    ingest::blocking(move || {
        let first = AlbumRecord::library(&pass.remote.account(), &name, pass.clock.now());
        let store = &pass.archive.store;
        let _turn = pass.archive.turn();
        let record = match store.album_revisions(&first.key)?.last() {
            Some(latest) => {
                let known = store.read_album(latest)?;
                if known.record().title == name {
                    return Ok(());
                }
                let (seq, previous) = (known.record().seq + 1, Some(*known.sha256()));
                AlbumRecord { seq, previous, unknown: known.record().unknown.clone(), ..first }
            }
            None => first,
        };
        pass.archive.index.writer().apply_album(store.put_album(&record)?)?;
        Ok(())
    })
    .await
}

/// Lists, and archives what the listing asks for.
async fn stage<R, L, F>(pass: &Arc<Pass<R>>, list: L) -> Outcome
where
    R: RemoteLibrary,
    L: FnOnce(Arc<Pass<R>>, mpsc::Sender<Work>) -> F,
    F: Future<Output = Result<(), Outcome>> + Send + 'static,
{
    let in_flight = pass.options.limits.workers.max(1) * AHEAD;
    let (sender, queue) = mpsc::channel::<Work>(in_flight * 2);
    let (ready, mut minted) = mpsc::channel(R::OFFER_BATCH);
    let (listing, stop) = (list(Arc::clone(pass), sender), pass.stop.clone());
    let lister = tokio::spawn(async move { listing.await.inspect_err(|_| stop.cancel()) });
    let minter = tokio::spawn(mint::mint(Arc::clone(pass), queue, ready));
    let mut items = JoinSet::new();
    let mut fatal = None;
    loop {
        tokio::select! {
            Some(done) = items.join_next() => keep_first(&mut fatal, pass, done),
            work = minted.recv(), if items.len() < in_flight => match work {
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
    let listed = match lister.await {
        Ok(Ok(())) => Outcome::Complete,
        Ok(Err(outcome)) => outcome,
        Err(e) => Outcome::Failed(format!("the lister failed: {e}")),
    };
    if let Err(e) = minter.await {
        fatal.get_or_insert(Outcome::Failed(format!("a task failed: {e}")));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_profiles_are_not_signed_in_to_one_account() {
        let shared = Shared::default();
        assert_eq!(shared.is_signed_in("Anna", "a@example.org"), Ok(()));
        assert_eq!(shared.is_signed_in("Ben", "a@example.org"), Err("Anna".into()));
        assert_eq!(shared.is_signed_in("Ben", "b@example.org"), Ok(()));
        // Whoever has gone over to another one leaves the first to others.
        assert_eq!(shared.is_signed_in("Anna", "c@example.org"), Ok(()));
        assert_eq!(shared.clone().is_signed_in("Cleo", "a@example.org"), Ok(()));
    }
}
