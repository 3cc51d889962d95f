//! Sending what the far end lacks.
//!
//! Here and there are listed directory by directory, so that memory does not grow with the archive but for 32 bytes for
//! each new record. Nothing is believed from an earlier time: what is there is what the far end lists, with its size.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::send::{Failure, Pace};
use super::target::in_words;
use super::{Replica, ReplicaError, patiently};
use crate::model::{MediaKey, Sha256};
use crate::store::{Group, Immutable, Store};

/// Directories that are listed at the same time.
const LISTS: usize = 8;
/// Attempts at one file, beside those that each request gets.
const TRIES: usize = 4;
/// Files in a row that fail before nobody believes that the next one goes.
const GIVE_UP: u32 = 12;
/// How long what is under way may take to end when somebody asks to stop.
const GRACE: Duration = Duration::from_secs(5);

/// How to send.
#[derive(Clone, Debug)]
pub struct PushSettings {
    /// Files that are sent at the same time; each takes some 32 MiB of memory.
    pub workers: usize,
    /// Most bytes per second, all together.
    pub bandwidth: Option<u64>,
    /// What was found damaged at the far end: it is sent again, and replaced.
    pub resend: BTreeSet<Immutable>,
}

impl Default for PushSettings {
    fn default() -> Self {
        Self { workers: 4, bandwidth: None, resend: BTreeSet::new() }
    }
}

/// A file that did not get there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Trouble {
    /// Its path below the archive.
    pub file: String,
    /// Why.
    pub why: String,
}

/// What was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PushReport {
    /// Files sent.
    pub sent: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Of these, files that replaced damaged ones.
    pub replaced: u64,
    /// Files that were there before.
    pub there: u64,
    /// Files that did not get there; the next time tries them again.
    pub failed: Vec<Trouble>,
    /// Records that wait until the files get there of which they speak.
    pub waiting: u64,
    /// Whether it was ended early, because somebody asked for it.
    pub stopped: bool,
}

impl PushReport {
    /// Whether everything that was there when it began is at the far end now.
    pub fn is_complete(&self) -> bool {
        !self.stopped && self.failed.is_empty() && self.waiting == 0
    }
}

/// How far it is, for whoever watches.
#[derive(Debug, Default)]
pub struct Progress {
    /// Files sent so far.
    pub sent: AtomicU64,
    /// Bytes sent so far.
    pub bytes: AtomicU64,
    /// Files found to be there already.
    pub there: AtomicU64,
}

/// One file to send.
struct Job {
    file: Immutable,
    replace: bool,
}

impl Replica {
    /// Sends everything that the archive has and the far end lacks, blobs before records, until asked to stop.
    ///
    /// # Errors
    /// When the far end refuses or does not answer any more. What concerns single files is in the report.
    pub async fn push(
        &self,
        store: &Store,
        settings: &PushSettings,
        progress: &Progress,
        stop: &CancellationToken,
    ) -> Result<PushReport, ReplicaError> {
        let push = Push {
            replica: self,
            store,
            settings,
            progress,
            stop,
            pace: Pace::new(settings.bandwidth),
            report: Mutex::default(),
            held_back: Mutex::default(),
            in_a_row: AtomicU32::new(0),
        };
        let stopped = async {
            stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        let ended = tokio::select! {
            ended = push.all() => Some(ended),
            () = stopped => None,
        };
        let mut report = push.report.into_inner().unwrap_or_else(PoisonError::into_inner);
        report.sent = progress.sent.load(Ordering::Relaxed);
        report.bytes = progress.bytes.load(Ordering::Relaxed);
        report.there = progress.there.load(Ordering::Relaxed);
        report.stopped = stop.is_cancelled();
        report.failed.sort();
        match ended {
            Some(Err(error)) if !report.stopped => Err(error),
            _ => Ok(report),
        }
    }
}

struct Push<'a> {
    replica: &'a Replica,
    store: &'a Store,
    settings: &'a PushSettings,
    progress: &'a Progress,
    stop: &'a CancellationToken,
    pace: Pace,
    report: Mutex<PushReport>,
    /// Blobs that did not get there: no record that speaks of them may.
    held_back: Mutex<HashSet<Sha256>>,
    /// Files that failed since the last one that went.
    in_a_row: AtomicU32,
}

impl Push<'_> {
    async fn all(&self) -> Result<(), ReplicaError> {
        // The records first: a photo that is archived while its blob's directory was looked at already waits for the
        // next time, as its record does.
        let mut waiting = HashSet::new();
        let mut lists = self.lists(Group::records());
        while let Some(lacking) = lists.try_next().await? {
            waiting.extend(lacking.jobs.iter().map(|job| *job.file.sha256()));
        }
        drop(lists);
        self.blobs().await?;
        self.records(&waiting).await?;
        self.replica.require_volume()
    }

    async fn blobs(&self) -> Result<(), ReplicaError> {
        self.lists(Group::blobs())
            .map_ok(|lacking| stream::iter(self.counted(lacking).into_iter().map(Ok)))
            .try_flatten()
            .take_until(self.stop.cancelled())
            .try_for_each_concurrent(self.settings.workers.max(1), |job| async move {
                if !self.deliver(&job).await? {
                    locked(&self.held_back).insert(*job.file.sha256());
                }
                Ok(())
            })
            .await
    }

    async fn records(&self, waiting: &HashSet<Sha256>) -> Result<(), ReplicaError> {
        self.lists(Group::records())
            .map_ok(|lacking| {
                let jobs = self.counted(lacking);
                // The revisions of one item behind each other: what is there is never without what was before it.
                let mut chains: BTreeMap<MediaKey, Vec<Job>> = BTreeMap::new();
                for job in jobs.into_iter().filter(|job| waiting.contains(job.file.sha256())) {
                    if let Immutable::Record(name) | Immutable::Album(name) = &job.file {
                        chains.entry(name.key.clone()).or_default().push(job);
                    }
                }
                stream::iter(chains.into_values().map(Ok))
            })
            .try_flatten()
            .take_until(self.stop.cancelled())
            .try_for_each_concurrent(self.settings.workers.max(1), |chain| async move {
                for (n, job) in chain.iter().enumerate() {
                    if self.must_wait(&job.file).await? || !self.deliver(job).await? {
                        locked(&self.report).waiting += (chain.len() - n) as u64;
                        break;
                    }
                }
                Ok(())
            })
            .await
    }

    /// What the far end lacks, directory by directory. Listed by tasks of their own: what nobody polls while a long file
    /// goes out would run into its time limit.
    fn lists(
        &self,
        groups: impl Iterator<Item = Group>,
    ) -> impl Stream<Item = Result<Lacking, ReplicaError>> + Unpin {
        let (replica, store) = (self.replica.clone(), self.store.clone());
        let resend = Arc::new(self.settings.resend.clone());
        let groups: Vec<_> = groups.collect();
        Box::pin(
            stream::iter(groups)
                .map(move |group| {
                    let (replica, store, resend) = (replica.clone(), store.clone(), Arc::clone(&resend));
                    tokio::spawn(async move { lacking(&replica, store, &resend, group).await })
                })
                .buffered(LISTS)
                .map(|listed| listed.unwrap_or_else(|e| Err(ReplicaError::Usage(e.to_string())))),
        )
    }

    fn counted(&self, lacking: Lacking) -> Vec<Job> {
        self.progress.there.fetch_add(lacking.there, Ordering::Relaxed);
        lacking.jobs
    }

    /// Whether a record speaks of a blob that is not at the far end: it waits then. One that cannot be read waits, too.
    async fn must_wait(&self, file: &Immutable) -> Result<bool, ReplicaError> {
        let Immutable::Record(name) = file else { return Ok(false) };
        let record = match self.store.read_record(name) {
            Ok(record) => record,
            Err(error) => {
                self.trouble(file, error.to_string());
                return Ok(true);
            }
        };
        for part in &record.record().parts {
            if locked(&self.held_back).contains(&part.sha256) {
                return Ok(true);
            }
            let blob = Immutable::Blob(part.sha256);
            if self.store.has_blob(&part.sha256).unwrap_or(false) || self.replica.has(&blob).await? {
                continue;
            }
            self.trouble(&blob, "it is gone here, and was never sent".to_owned());
            locked(&self.held_back).insert(part.sha256);
            return Ok(true);
        }
        Ok(false)
    }

    fn trouble(&self, file: &Immutable, why: String) {
        let trouble = Trouble { file: file.path(), why };
        tracing::warn!("{} did not get to the replica: {}", trouble.file, trouble.why);
        locked(&self.report).failed.push(trouble);
    }

    /// Sends one file, again and again if need be; whether it is there now.
    async fn deliver(&self, job: &Job) -> Result<bool, ReplicaError> {
        self.replica.require_volume()?;
        let mut replace = job.replace;
        let mut pauses = ExponentialBuilder::default().with_jitter().with_max_times(TRIES - 1).build();
        loop {
            let failure = match self.replica.send(self.store, &job.file, replace, &self.pace, self.stop).await
            {
                Ok(bytes) => {
                    self.progress.sent.fetch_add(1, Ordering::Relaxed);
                    self.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
                    self.in_a_row.store(0, Ordering::Relaxed);
                    locked(&self.report).replaced += u64::from(job.replace);
                    return Ok(true);
                }
                Err(failure) => failure,
            };
            let far = match &failure {
                Failure::There(
                    error @ (object_store::Error::PermissionDenied { .. }
                    | object_store::Error::Unauthenticated { .. }),
                ) => return Err(self.replica.failed(error)),
                Failure::There(error) => Some(in_words(error)),
                Failure::Altered(_) => {
                    // What we ourselves have brought there wrong is not left there.
                    replace = true;
                    Some(failure.to_string())
                }
                Failure::Here(_) => None,
                Failure::Stopped => return Ok(false),
            };
            if far.is_some()
                && !self.stop.is_cancelled()
                && let Some(pause) = pauses.next()
            {
                tracing::debug!("{} is tried again: {failure}", job.file.path());
                tokio::time::sleep(pause).await;
                continue;
            }
            self.trouble(&job.file, failure.to_string());
            if let Some(why) = far
                && self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= GIVE_UP
            {
                return Err(ReplicaError::Unreachable { target: self.replica.target().to_string(), why });
            }
            return Ok(false);
        }
    }
}

/// What the far end lacks of a directory, or has with a size that cannot be, and how much it has.
struct Lacking {
    jobs: Vec<Job>,
    there: u64,
}

async fn lacking(
    replica: &Replica,
    store: Store,
    resend: &BTreeSet<Immutable>,
    group: Group,
) -> Result<Lacking, ReplicaError> {
    replica.require_volume()?;
    let listed = patiently(|| replica.list(group)).await?;
    let on_far_end: BTreeMap<_, _> = listed.into_iter().collect();
    let here = tokio::task::spawn_blocking(move || {
        let sized = |file: Immutable| {
            let size = std::fs::metadata(store.file_path(&file)).map_or(0, |meta| meta.len());
            (file, size)
        };
        store.files_in(group).map(|files| files.into_iter().map(sized).collect::<Vec<_>>())
    });
    let here = here.await.map_err(|e| ReplicaError::Usage(e.to_string()))??;
    let mut lacking = Lacking { jobs: Vec::new(), there: 0 };
    for (file, size) in here {
        match on_far_end.get(&file) {
            None => lacking.jobs.push(Job { file, replace: false }),
            Some(there) if resend.contains(&file) || !replica.may_have(size, *there) => {
                lacking.jobs.push(Job { file, replace: true });
            }
            Some(_) => lacking.there += 1,
        }
    }
    Ok(lacking)
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
