//! The lister: page after page of the timeline, compared with the index, described, queued.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use tokio::sync::mpsc;

use super::Pass;
use super::report::Outcome;
use crate::index::{IndexReader, KnownItem};
use crate::model::{ErrorClass, ItemDetails, MediaKey, Quality, RemoteItem};
use crate::plan::{self, Task};
use crate::remote::{Cursor, ListPage, RemoteError, RemoteLibrary};

/// One item to be fetched.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) item: RemoteItem,
    pub(crate) details: ItemDetails,
    /// What is archived of it already.
    pub(crate) known: Option<Box<KnownItem>>,
}

type Wanted = Vec<(RemoteItem, Option<Box<KnownItem>>)>;

/// Lists everything and queues what is wanted.
pub(crate) async fn list<R: RemoteLibrary>(pass: Arc<Pass<R>>, queue: mpsc::Sender<Work>) -> Outcome {
    match list_all(&pass, &queue).await {
        Ok(()) => Outcome::Complete,
        Err(outcome) => {
            pass.stop.cancel();
            outcome
        }
    }
}

async fn list_all<R: RemoteLibrary>(pass: &Arc<Pass<R>>, queue: &mpsc::Sender<Work>) -> Result<(), Outcome> {
    let reader = pass.archive.index.reader().map_err(|e| Outcome::Failed(e.to_string()))?;
    let failures = reader.failures().map_err(|e| Outcome::Failed(e.to_string()))?;
    let failed: HashSet<_> = failures.into_iter().map(|failure| failure.key).collect();
    let mut reader = Some(reader);
    // Pages may repeat items: a set of short hashes remembers a million keys in a few megabytes.
    let hasher = RandomState::new();
    let mut seen = HashSet::new();
    let mut cursors = HashSet::new();
    let mut from: Option<Cursor> = None;
    loop {
        let page = page(pass, from.as_ref()).await?;
        for reason in &page.rejected {
            tracing::warn!("a row of the listing cannot be read: {reason}");
        }
        pass.progress.add_unreadable(page.rejected.len() as u64);
        let fresh: Vec<_> =
            page.items.into_iter().filter(|item| seen.insert(hasher.hash_one(&item.key))).collect();
        let wanted = compare(pass, &mut reader, &failed, fresh).await?;
        describe_and_queue(pass, queue, wanted).await?;
        let Some(next) = page.next else { break };
        if !cursors.insert(hasher.hash_one(&next.0)) {
            return Err(Outcome::Failed("Google's listing runs in a circle; try again later".into()));
        }
        from = Some(next);
    }
    pass.progress.listing_is_done();
    doubt_short_listing(&mut reader, seen.len() as u64);
    Ok(())
}

/// Nothing is ever removed because it was not listed; but a person should know that a listing was short.
fn doubt_short_listing(reader: &mut Option<IndexReader>, listed: u64) {
    let archived = reader.as_mut().and_then(|reader| reader.totals().ok()).map_or(0, |totals| totals.items);
    if archived > listed {
        tracing::warn!(
            archived,
            listed,
            "Google listed fewer items than are archived; nothing is removed from the archive"
        );
    }
}

/// Splits a page into what is there already and what is wanted.
async fn compare<R: RemoteLibrary>(
    pass: &Arc<Pass<R>>,
    reader: &mut Option<IndexReader>,
    failed: &HashSet<MediaKey>,
    items: Vec<RemoteItem>,
) -> Result<Wanted, Outcome> {
    let Some(own) = reader.take() else { return Err(Outcome::Failed("no index".into())) };
    let keys: Vec<_> = items.iter().map(|item| item.key.clone()).collect();
    let looked_up = tokio::task::spawn_blocking(move || {
        let known = own.known(&keys);
        (own, known)
    });
    let (own, known) = looked_up.await.map_err(|e| Outcome::Failed(e.to_string()))?;
    *reader = Some(own);
    let mut known = known.map_err(|e| Outcome::Failed(e.to_string()))?;
    let listed = items.len() as u64;
    let mut wanted = Vec::new();
    for item in items {
        match plan::task(&item, &mut known, failed) {
            Task::Archive => wanted.push((item, None)),
            Task::Complete(known) => wanted.push((item, Some(known))),
            Task::Keep => {}
        }
    }
    pass.progress.add_listed(listed, listed - wanted.len() as u64, wanted.len() as u64);
    Ok(wanted)
}

async fn describe_and_queue<R: RemoteLibrary>(
    pass: &Arc<Pass<R>>,
    queue: &mpsc::Sender<Work>,
    mut wanted: Wanted,
) -> Result<(), Outcome> {
    while !wanted.is_empty() {
        let rest = wanted.split_off(wanted.len().min(R::DESCRIBE_BATCH));
        let batch = std::mem::replace(&mut wanted, rest);
        let keys: Vec<_> = batch.iter().map(|(item, _)| item.key.clone()).collect();
        let mut details = describe(pass, &keys).await?;
        for (item, known) in batch {
            let details = details.remove(&item.key).unwrap_or_else(|| nameless(&item));
            let work = Work { item, details, known };
            tokio::select! {
                sent = queue.send(work) => if sent.is_err() {
                    return Err(Outcome::Interrupted);
                },
                () = pass.stop.cancelled() => return Err(Outcome::Interrupted),
            }
        }
    }
    Ok(())
}

/// An item without details is archived all the same, under its key.
fn nameless(item: &RemoteItem) -> ItemDetails {
    tracing::warn!(key = %item.key, "Google gives no name for this item; it is archived under its key");
    ItemDetails {
        key: item.key.clone(),
        name: item.key.to_string(),
        size: None,
        description: None,
        quality: Quality::Unknown,
    }
}

async fn describe<R: RemoteLibrary>(
    pass: &Arc<Pass<R>>,
    keys: &[MediaKey],
) -> Result<HashMap<MediaKey, ItemDetails>, Outcome> {
    let details = persist(pass, "names and sizes", || pass.remote.describe(keys)).await?;
    Ok(details.into_iter().map(|details| (details.key.clone(), details)).collect())
}

async fn page<R: RemoteLibrary>(pass: &Arc<Pass<R>>, from: Option<&Cursor>) -> Result<ListPage, Outcome> {
    persist(pass, "the listing", || pass.remote.list(from)).await
}

/// Repeats a call that every item depends on, until it succeeds, a person is needed or patience ends.
async fn persist<R, T, F>(pass: &Arc<Pass<R>>, what: &str, call: impl Fn() -> F) -> Result<T, Outcome>
where
    R: RemoteLibrary,
    F: Future<Output = Result<T, RemoteError>>,
{
    // A listing that fails costs the whole run: more patience than for one item.
    let mut delays = pass.pace.delays(pass.options.attempts + 3);
    loop {
        let result = tokio::select! {
            () = pass.stop.cancelled() => return Err(Outcome::Interrupted),
            result = async { pass.pace.wait().await; call().await } => result,
        };
        let error = match result {
            Ok(value) => return Ok(value),
            Err(e) => e,
        };
        if let RemoteError::Throttled { after: Some(after), .. } = &error {
            pass.pace.hold(*after);
        }
        let delay = delays.next().filter(|_| error.class() == ErrorClass::Transient);
        let Some(delay) = delay else {
            return Err(Outcome::of(error.class(), format!("{what} could not be had: {error}")));
        };
        tracing::info!("{error}; trying again");
        pass.progress.add_retry();
        tokio::select! {
            () = pass.stop.cancelled() => return Err(Outcome::Interrupted),
            () = tokio::time::sleep(delay) => {}
        }
    }
}
