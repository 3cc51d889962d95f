//! From a page of rows to work: what is new, what has changed, what was set aside before.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::Pass;
use super::report::Outcome;
use crate::index::{IndexError, IndexReader, KnownItem, Sighting};
use crate::model::{ErrorClass, ItemDetails, MediaKey, PartRole, Quality, RemoteItem};
use crate::plan::{self, Task};
use crate::remote::{ListPage, RemoteError, RemoteLibrary, Through};

/// One item to be fetched, or to be revised.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) item: RemoteItem,
    pub(crate) details: ItemDetails,
    /// Google gave no name: the download's own is taken.
    pub(crate) unnamed: bool,
    /// What is archived of it already.
    pub(crate) known: Option<Box<KnownItem>>,
    /// Whether its files are to be looked at, and which of those that are archived may have changed.
    pub(crate) fetch: bool,
    pub(crate) again: Vec<PartRole>,
    /// It was set aside, perhaps because a file of it was found damaged: its archived files are read before they are
    /// relied upon.
    pub(crate) in_doubt: bool,
    /// The shared album through which it is reached.
    pub(crate) through: Option<Through>,
    /// To be noted when all of it is done: noted earlier, a change would be forgotten with an interrupted pass.
    pub(crate) sighting: Option<Sighting>,
}

/// What a page brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Items that no page of this pass had shown before.
    pub(crate) fresh: usize,
    /// Of these, never seen in any pass.
    pub(crate) new: usize,
}

/// A change that only a counter shows may be a change of every counter: beyond so many, it is ignored.
const COUNTER_BUDGET: usize = 500;

/// Turns pages into work.
pub(crate) struct Lister<R> {
    pub(crate) pass: Arc<Pass<R>>,
    queue: mpsc::Sender<Work>,
    reader: Arc<Mutex<IndexReader>>,
    failed: HashSet<MediaKey>,
    hasher: RandomState,
    /// Short hashes of the keys seen in this pass: a million fit in a few megabytes.
    seen: HashSet<u64>,
    /// What is on its way already: an item must not be archived by two tasks at once.
    queued: HashSet<u64>,
    pub(crate) account: String,
    /// The listing that sightings belong to.
    pub(crate) listing: u64,
    counter_budget: usize,
    /// Items seen that are in the archive section.
    pub(crate) hidden: u64,
}

impl<R: RemoteLibrary> Lister<R> {
    pub(crate) fn new(pass: &Arc<Pass<R>>, queue: mpsc::Sender<Work>) -> Result<Self, Outcome> {
        let failed = |e: IndexError| Outcome::from(e);
        let reader = pass.archive.index.reader().map_err(failed)?;
        let (account, failures) = (pass.remote.account(), reader.failures().map_err(failed)?);
        let own = failures.into_iter().filter(|failure| failure.account == account);
        Ok(Self {
            failed: own.map(|failure| failure.key).collect(),
            account,
            pass: Arc::clone(pass),
            queue,
            reader: Arc::new(Mutex::new(reader)),
            hasher: RandomState::new(),
            seen: HashSet::new(),
            queued: HashSet::new(),
            listing: 0,
            counter_budget: COUNTER_BUDGET,
            hidden: 0,
        })
    }

    /// Asks the index, off the async threads.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&IndexReader) -> Result<T, IndexError> + Send + 'static,
    ) -> Result<T, Outcome> {
        let reader = Arc::clone(&self.reader);
        let answer = tokio::task::spawn_blocking(move || {
            question(&reader.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
        });
        answer.await.map_err(|e| Outcome::Failed(e.to_string()))?.map_err(Outcome::from)
    }

    /// Begins anew: pages may show again what they have shown.
    pub(crate) fn begin_anew(&mut self, listing: u64) {
        self.listing = listing;
        self.seen.clear();
        self.hidden = 0;
    }

    /// What earlier passes owe: items that were set aside, and items that were shown but not reached.
    pub(crate) async fn owed(&self, listing: u64) -> Result<Vec<MediaKey>, Outcome> {
        let account = self.account.clone();
        let mut owed = self.ask(move |index| index.missing(&account, listing, usize::MAX)).await?;
        owed.extend(self.failed.iter().cloned());
        Ok(owed)
    }

    /// Whether this pass has seen it.
    pub(crate) fn has_seen(&self, key: &MediaKey) -> bool {
        self.seen.contains(&self.hasher.hash_one(key))
    }

    /// Takes a page of the account's own library. `whole` rows tell everything a listing can; the others
    /// (of the upload order) lack facts, so they neither change what is archived nor count as sightings of it.
    pub(crate) async fn take(&mut self, page: ListPage, whole: bool) -> Result<Taken, Outcome> {
        for reason in &page.rejected {
            tracing::warn!("a row of the listing cannot be read: {reason}");
        }
        self.pass.progress.add_unreadable(page.rejected.len() as u64);
        // A thin row is no word about what is archived; that it was shown counts all the same.
        let (shown, whole) = (whole, whole && !page.thin);
        let Self { seen, hasher, .. } = self;
        let mut items = page.items;
        items.retain(|item| seen.insert(hasher.hash_one(&item.key)));
        let fresh = items.len();
        self.hidden += items.iter().filter(|item| item.archived).count() as u64;
        let keys: Vec<_> = items.iter().map(|item| item.key.clone()).collect();
        let account = self.account.clone();
        let (mut known, sightings) =
            self.ask(move |index| Ok((index.known(&keys)?, index.sightings(&account, &keys)?))).await?;
        let mut wanted = Vec::new();
        let mut sighted = Vec::new();
        let mut new = 0;
        for item in items {
            let before = sightings.get(&item.key);
            let sighting = sighting(&item);
            let recorded = known.get(&item.key).filter(|_| page.thin);
            let item =
                recorded.map_or(item.clone(), |known| RemoteItem::as_recorded(item.key, &known.remote));
            let task = plan::task(&item, known.remove(&item.key), &self.failed, before, sighting.mark);
            new += usize::from(matches!(task, Task::Archive) && before.is_none());
            if shown && !whole && !matches!(task, Task::Archive) {
                sighted.push(undone(&sighting, before));
            } else if whole || matches!(task, Task::Archive) {
                let done = matches!(task, Task::Archive | Task::Keep);
                sighted.push(if done { sighting.clone() } else { undone(&sighting, before) });
            }
            let task = match task {
                Task::Revise { .. } | Task::Recheck(_) if !whole => Task::Keep,
                Task::Recheck(_) if self.counter_budget == 0 => {
                    sighted.push(sighting.clone());
                    Task::Keep
                }
                Task::Recheck(known) => {
                    self.counter_budget -= 1;
                    Task::Recheck(known)
                }
                other => other,
            };
            let sighting = whole.then_some(sighting);
            wanted.extend(work(item, task).map(|work| Work { sighting, ..work }));
        }
        self.note(sighted).await?;
        self.pass.progress.add_listed(fresh as u64, (fresh - wanted.len()) as u64, wanted.len() as u64);
        self.describe_and_queue(wanted).await?;
        Ok(Taken { fresh, new })
    }

    /// Takes items that others share and that the person wants.
    pub(crate) async fn take_shared(
        &mut self,
        items: Vec<RemoteItem>,
        through: &Through,
    ) -> Result<(), Outcome> {
        let Self { seen, hasher, .. } = self;
        let mut items = items;
        items.retain(|item| seen.insert(hasher.hash_one(&item.key)));
        let listed = items.len() as u64;
        let keys: Vec<_> = items.iter().map(|item| item.key.clone()).collect();
        let mut known = self.ask(move |index| index.known(&keys)).await?;
        let mut wanted = Vec::new();
        for item in items {
            let sighting = sighting(&item);
            // What another account of this archive has needs no second word; it tells more of its own.
            if known.get(&item.key).is_some_and(|known| known.account != self.account) {
                continue;
            }
            let task = plan::task(&item, known.remove(&item.key), &self.failed, None, sighting.mark);
            wanted.extend(work(item, task).map(|work| Work { through: Some(through.clone()), ..work }));
        }
        self.pass.progress.add_listed(listed, listed - wanted.len() as u64, wanted.len() as u64);
        self.describe_and_queue(wanted).await
    }

    async fn note(&self, sighted: Vec<Sighting>) -> Result<(), Outcome> {
        if sighted.is_empty() {
            return Ok(());
        }
        self.pass.listing.store(self.listing, std::sync::atomic::Ordering::Relaxed);
        let (pass, account, listing) = (Arc::clone(&self.pass), self.account.clone(), self.listing);
        let noted = tokio::task::spawn_blocking(move || {
            pass.archive.index.writer().note_sightings(listing, &account, sighted)
        });
        noted.await.map_err(|e| Outcome::Failed(e.to_string()))?.map_err(Outcome::from)
    }

    async fn describe_and_queue(&mut self, mut wanted: Vec<Work>) -> Result<(), Outcome> {
        let Self { queued, hasher, .. } = self;
        wanted.retain(|work| queued.insert(hasher.hash_one(&work.item.key)));
        while !wanted.is_empty() {
            let rest = wanted.split_off(wanted.len().min(R::DESCRIBE_BATCH));
            let batch = std::mem::replace(&mut wanted, rest);
            let keys: Vec<_> = batch.iter().map(|work| work.item.key.clone()).collect();
            let mut details = self.describe(&keys).await?;
            for mut work in batch {
                match details.remove(&work.item.key) {
                    Some(details) => work.details = details,
                    None => work.unnamed = true,
                }
                tokio::select! {
                    sent = self.queue.send(work) => if sent.is_err() {
                        return Err(Outcome::Interrupted);
                    },
                    () = self.pass.stop.cancelled() => return Err(Outcome::Interrupted),
                }
            }
        }
        Ok(())
    }

    async fn describe(&self, keys: &[MediaKey]) -> Result<HashMap<MediaKey, ItemDetails>, Outcome> {
        let details = self.persist("names and sizes", || self.pass.remote.describe(keys)).await?;
        Ok(details.into_iter().map(|details| (details.key.clone(), details)).collect())
    }

    /// Repeats a call that every item depends on, until it succeeds, a person is needed or patience ends.
    pub(crate) async fn persist<T, F>(&self, what: &str, call: impl Fn() -> F) -> Result<T, Outcome>
    where
        F: Future<Output = Result<T, RemoteError>>,
    {
        match self.try_persist(call).await? {
            Ok(value) => Ok(value),
            Err(error) => Err(Outcome::of(error.class(), format!("{what} could not be had: {error}"))),
        }
    }

    /// As [`Self::persist`]; the inner error is the last one where patience ended or repeating cannot help.
    pub(crate) async fn try_persist<T, F>(
        &self,
        call: impl Fn() -> F,
    ) -> Result<Result<T, RemoteError>, Outcome>
    where
        F: Future<Output = Result<T, RemoteError>>,
    {
        let pass = &self.pass;
        // A listing that fails costs the whole run: more patience than for one item.
        let mut delays = pass.pace.delays(pass.options.attempts + 3);
        loop {
            let result = tokio::select! {
                () = pass.stop.cancelled() => return Err(Outcome::Interrupted),
                result = async { pass.pace.call_turn().await; call().await } => result,
            };
            let error = match result {
                Ok(value) => return Ok(Ok(value)),
                Err(e) => e,
            };
            pass.pace.heard(&error);
            // What an item lacks, or a shape that we do not know, asking again does not mend.
            let hopeless = matches!(error, RemoteError::Item(_) | RemoteError::NotThisWay(_))
                || error.class() != ErrorClass::Transient;
            let Some(delay) = delays.next().filter(|_| !hopeless) else { return Ok(Err(error)) };
            tracing::info!("{error}; trying again");
            pass.progress.add_retry();
            tokio::select! {
                () = pass.stop.cancelled() => return Err(Outcome::Interrupted),
                () = tokio::time::sleep(delay) => {}
            }
        }
    }
}

fn sighting(item: &RemoteItem) -> Sighting {
    let at =
        item.taken_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::UNIX_EPOCH);
    Sighting {
        key: item.key.clone(),
        // UTC, as Google counts are compared in.
        month: at.strftime("%Y-%m").to_string(),
        mark: plan::mark(item),
        counter: item.counter,
    }
}

/// The item was shown, but what its row says now is still to be dealt with.
fn undone(now: &Sighting, before: Option<&Sighting>) -> Sighting {
    Sighting {
        month: before.map_or_else(|| now.month.clone(), |before| before.month.clone()),
        mark: before.map_or(!now.mark, |before| before.mark),
        counter: before.and_then(|before| before.counter),
        ..now.clone()
    }
}

fn work(item: RemoteItem, task: Task) -> Option<Work> {
    let in_doubt = matches!(task, Task::Complete(..));
    let (known, fetch, again) = match task {
        Task::Keep => return None,
        Task::Archive => (None, true, Vec::new()),
        Task::Complete(known, again) => (Some(known), true, again),
        Task::Recheck(known) => (Some(known), true, vec![PartRole::Edited]),
        Task::Revise { known, fetch, again } => (Some(known), fetch, again),
    };
    let details = unknown_details(&item, known.as_deref());
    Some(Work { item, details, unnamed: false, known, fetch, again, in_doubt, through: None, sighting: None })
}

/// What stands for the details until Google gives them, or for ever: what is archived, or the key as name.
fn unknown_details(item: &RemoteItem, known: Option<&KnownItem>) -> ItemDetails {
    let nothing = || ItemDetails {
        key: item.key.clone(),
        name: item.key.to_string(),
        size: None,
        description: None,
        quality: Quality::Unknown,
    };
    known.map_or_else(nothing, |known| known.details(&item.key))
}
