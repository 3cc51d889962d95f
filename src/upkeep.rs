//! What an archive needs while nobody looks: everything is read again within a month, a little each day; damage is
//! mended, from another copy at once, from Google with the next sync; the index is copied every night.
//!
//! The archive is read shard by shard, the one that has waited longest first. Some are read each day, so that all have
//! had their turn a little before the time is over; those that have waited almost as long as they may are read whatever
//! the day's number. Time and bytes of a day are limited. What was found damaged is looked at again before all else.

pub mod facts;
mod state;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::archive::{self, Archive};
use crate::index::IndexError;
use crate::model::{ErrorClass, Sha256};
use crate::store::scrub::{self, Finding, FindingKind};
use crate::store::{Immutable, SecondCopy, Store, StoreError};

pub use state::{Day, State, standing};

/// The shortest time within which everything can be read again, days.
const LEAST_DAYS: u64 = 7;
/// Shards of an archive.
const SHARDS: usize = 256;
/// Files after which progress is saved, and the time after which it is saved though there were fewer.
const SAVE_FILES: u64 = 1000;
const SAVE_EVERY: Duration = Duration::from_secs(300);

/// How an archive is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Every file is read again within this time; at least seven days.
    pub within: Duration,
    /// Most time spent on reading in a day.
    pub time: Duration,
    /// Most bytes read in a day.
    pub bytes: Option<u64>,
    /// Other copies of the archive, from which damage is mended; the first that has what is lacking.
    pub copies: Vec<CopyAt>,
    /// Copies of the index that are kept.
    pub backups: usize,
}

/// Where another copy of the archive is. It is opened when something must be mended: it may lie on a disk that is plugged
/// in now and then.
#[derive(Clone)]
pub struct CopyAt {
    name: String,
    open: Arc<OpenCopy>,
}

type OpenCopy = dyn Fn(&Store) -> Result<Box<dyn SecondCopy>, String> + Send + Sync;

impl std::fmt::Debug for CopyAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CopyAt").field(&self.name).finish()
    }
}

impl CopyAt {
    /// A copy by the name that people know, and how it is opened; the error is a sentence.
    pub fn new(
        name: String,
        open: impl Fn(&Store) -> Result<Box<dyn SecondCopy>, String> + Send + Sync + 'static,
    ) -> Self {
        Self { name, open: Arc::new(open) }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            within: Duration::from_secs(30 * 24 * 3600),
            time: Duration::from_secs(4 * 3600),
            bytes: None,
            copies: Vec::new(),
            backups: 7,
        }
    }
}

impl Settings {
    fn days(&self) -> u64 {
        (self.within.as_secs() / (24 * 3600)).max(LEAST_DAYS)
    }

    /// Shards of a day: some days are left for those on which the machine is off.
    fn quota(&self) -> usize {
        SHARDS.div_ceil((self.days() - 4) as usize)
    }

    /// Age at which a shard is read whatever the day's number: the machine may be off for the next two days.
    fn overdue(&self) -> SignedDuration {
        SignedDuration::from_hours(24 * (self.days() as i64 - 3))
    }
}

/// Why a day's upkeep could not be done.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    /// From the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// From the index.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl UpkeepError {
    /// Who has to act.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Store(error) => error.class(),
            Self::Index(error) => error.class(),
        }
    }
}

/// What a call of [`day`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Shards read to their end.
    pub shards: u64,
    /// Files hashed.
    pub blobs: u64,
    /// Bytes hashed.
    pub bytes: u64,
    /// What was found and not known before.
    pub new: Vec<Finding>,
    /// Files that were damaged or gone and are sound now.
    pub mended: u64,
    /// The copy of the index.
    pub backup: Option<PathBuf>,
    /// Whether the day's reading is done; if not, it was stopped and goes on with the next call.
    pub done: bool,
}

/// Whether there is something to do at this time.
pub fn is_due(archive: &Archive, now: Timestamp) -> bool {
    let state = State::load(&archive.store);
    state.day.as_ref().is_none_or(|day| !day.covers(now) || !day.done)
}

/// Does the upkeep of a day, or the rest of it. `each` is called for every file that was read; it may stop the
/// reading, which the next call goes on with.
///
/// # Errors
/// When the archive or its state cannot be written. What cannot be read is a finding.
pub fn day(
    archive: &Archive,
    now: Timestamp,
    settings: &Settings,
    each: &mut dyn FnMut(&Sha256) -> ControlFlow<()>,
) -> Result<Report, UpkeepError> {
    let mut state = State::load(&archive.store);
    let mut report = Report::default();
    let is_done = state.day.as_ref().is_some_and(|day| day.covers(now) && day.done);
    let began_anew = state.day.as_ref().is_none_or(|day| !day.covers(now));
    if began_anew {
        state.day = Some(Day { began: now, ..Day::default() });
    }
    recheck(archive, &mut state, settings, now, &mut report)?;
    state.save(&archive.store)?;
    if began_anew {
        report.backup = back_up(archive, now, settings);
    }
    if is_done {
        return Ok(Report { done: true, ..report });
    }
    let mut reading = Reading { archive, settings, now, report, state, saved: Instant::now(), unsaved: 0 };
    let finished = reading.shards(each)?;
    let Reading { mut report, mut state, .. } = reading;
    if let Some(day) = &mut state.day {
        day.done = finished;
    }
    report.done = finished;
    state.save(&archive.store)?;
    if let Some(age) = state.oldest(now).filter(|age| finished && *age > settings.overdue()) {
        tracing::warn!(
            "some files were last read {} days ago: {} hours a day are too short to read everything within {} days",
            age.as_hours() / 24,
            settings.time.as_secs() / 3600,
            settings.days()
        );
    }
    Ok(report)
}

/// Copies the index; that it cannot is no reason to leave the files unread.
fn back_up(archive: &Archive, now: Timestamp, settings: &Settings) -> Option<PathBuf> {
    let dir = archive.store.root().join("backup");
    let size = std::fs::metadata(archive.index.path()).map_or(0, |meta| meta.len());
    let copied = match archive.store.has_room_for(size) {
        Ok(()) => archive.index.backup(&dir, now, settings.backups).map_err(UpkeepError::from),
        Err(error) => Err(error.into()),
    };
    copied.inspect_err(|error| tracing::warn!("the index was not copied: {error}")).ok()
}

/// Looks again at what is known to be damaged, which a sync may have mended: what is sound now is not told any more.
///
/// # Errors
/// When the state cannot be written.
pub fn look_again(archive: &Archive) -> Result<(), UpkeepError> {
    let mut state = State::load(&archive.store);
    if forget_mended(archive, &mut state) > 0 {
        state.save(&archive.store)?;
    }
    Ok(())
}

fn forget_mended(archive: &Archive, state: &mut State) -> usize {
    let before = state.findings.len();
    state.findings.retain(|finding| {
        let stands = scrub::still_stands(&archive.store, finding);
        if !stands {
            tracing::info!("{} is as it should be again", finding.path.display());
        }
        stands
    });
    before - state.findings.len()
}

/// Looks again at what was found before, and tries to mend it.
fn recheck(
    archive: &Archive,
    state: &mut State,
    settings: &Settings,
    now: Timestamp,
    report: &mut Report,
) -> Result<(), UpkeepError> {
    forget_mended(archive, state);
    let mut wrong = std::mem::take(&mut state.findings);
    let reader = archive.index.reader()?;
    for path in archive::lost_records(&archive.store, &reader)? {
        wrong.push(Finding { kind: FindingKind::Missing, path, detail: "the index knows it".to_owned() });
    }
    for (path, _) in archive.store.noted_lost()? {
        wrong.push(Finding {
            kind: FindingKind::Missing,
            path,
            detail: "an earlier index knew it".to_owned(),
        });
    }
    wrong.sort();
    wrong.dedup_by(|a, b| a.path == b.path);
    for finding in wrong {
        deal_with(archive, state, settings, now, finding, report)?;
    }
    Ok(())
}

/// Mends what a finding tells of, or sees to it that the next sync does, or remembers it.
fn deal_with(
    archive: &Archive,
    state: &mut State,
    settings: &Settings,
    now: Timestamp,
    finding: Finding,
    report: &mut Report,
) -> Result<(), UpkeepError> {
    let is_new = !state.known.contains(&finding.path);
    if is_new {
        tracing::error!("damage found: {}: {}", finding.path.display(), finding.detail);
    }
    let store = &archive.store;
    for copy in &settings.copies {
        match (copy.open)(store) {
            Ok(opened) => {
                let mended = mend(archive, opened.as_ref(), &finding)?;
                report.mended += mended;
                if mended > 0 && !scrub::still_stands(store, &finding) {
                    tracing::info!("{} was mended from {}", finding.path.display(), copy.name);
                    state.known.remove(&finding.path);
                    return Ok(());
                }
            }
            Err(error) => tracing::warn!("the copy cannot be used: {error}"),
        }
    }
    let name = finding.path.file_name().unwrap_or_default();
    if let Some(sha256) = name.to_str().and_then(Sha256::from_hex)
        && finding.path == store.blob_path(&sha256)
    {
        let reason =
            format!("a file of it was found damaged on {}: it is fetched again", now.strftime("%Y-%m-%d"));
        for (account, key, name) in archive.index.reader()?.holders(&sha256)? {
            archive.index.writer().note_failure(&account, &key, &name, &reason, now)?;
        }
    }
    state.known.insert(finding.path.clone());
    if is_new {
        report.new.push(finding.clone());
    }
    state.findings.push(finding);
    Ok(())
}

/// Brings back from a copy what a finding tells of. Records go into the index, and the files that they speak of are
/// looked at: while a record was lost, nobody knew of these. Returns the number of files.
///
/// # Errors
/// As [`day`].
pub fn mend(archive: &Archive, copy: &dyn SecondCopy, finding: &Finding) -> Result<u64, UpkeepError> {
    let store = &archive.store;
    let mended = store.mend_from(copy, finding)?;
    let mut files = mended.len() as u64;
    for path in &mended {
        let applied = match store.file_at(path) {
            Some(Immutable::Record(name)) => {
                let record = store.read_record(&name)?;
                for part in &record.record().parts {
                    let path = store.blob_path(&part.sha256);
                    let lost = Finding { kind: FindingKind::Missing, path, detail: String::new() };
                    files += store.mend_from(copy, &lost)?.len() as u64;
                }
                archive.index.writer().apply(record)
            }
            Some(Immutable::Album(name)) => archive.index.writer().apply_album(store.read_album(&name)?),
            Some(Immutable::Blob(_)) | None => continue,
        };
        match applied {
            Err(error @ IndexError::Conflict { .. }) => tracing::warn!("{error}"),
            other => other?,
        }
    }
    Ok(files)
}

/// The reading of one call.
struct Reading<'a> {
    archive: &'a Archive,
    settings: &'a Settings,
    now: Timestamp,
    report: Report,
    state: State,
    saved: Instant,
    unsaved: u64,
}

impl Reading<'_> {
    /// Reads shards until the day's share is done; whether it is.
    fn shards(&mut self, each: &mut dyn FnMut(&Sha256) -> ControlFlow<()>) -> Result<bool, UpkeepError> {
        let began = Instant::now();
        let before = self.state.day.clone().unwrap_or_default();
        let budget = self.settings.time.saturating_sub(Duration::from_secs(before.seconds));
        while let Some(shard) = self.next() {
            let after = self.state.current.filter(|(current, _)| *current == shard).map(|(_, after)| after);
            let expected = self.archive.index.reader()?.shard_blobs(shard)?;
            let mut stopped = false;
            let mut failed = None;
            let (settings, saving) = (self.settings, &mut *self);
            let found =
                scrub::scrub_shard(&saving.archive.store, shard, after, &expected, &mut |name, size| {
                    let day = saving.state.day.get_or_insert_default();
                    day.bytes += size;
                    day.seconds = before.seconds + began.elapsed().as_secs();
                    let spent =
                        began.elapsed() >= budget || settings.bytes.is_some_and(|most| day.bytes >= most);
                    stopped |= each(name).is_break();
                    saving.unsaved += 1;
                    if saving.unsaved >= SAVE_FILES || saving.saved.elapsed() >= SAVE_EVERY {
                        saving.state.current = Some((shard, *name));
                        failed = saving.save().err();
                    }
                    if stopped || spent || failed.is_some() {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                });
            failed.map_or(Ok(()), Err)?;
            self.report.blobs += found.blobs;
            self.report.bytes += found.bytes;
            for finding in found.findings {
                if !self.state.findings.iter().any(|known| known.path == finding.path) {
                    let Self { archive, state, settings, now, report, .. } = self;
                    deal_with(archive, state, settings, *now, finding, report)?;
                }
            }
            if let Some(name) = found.stopped_after {
                self.state.current = Some((shard, name));
                return Ok(!stopped);
            }
            self.state.current = None;
            self.state.read.insert(shard, self.now);
            self.state.day.get_or_insert_default().shards += 1;
            self.report.shards += 1;
            self.save()?;
        }
        Ok(true)
    }

    /// The shard that is read next: one that was begun, else the one that has waited longest.
    fn next(&self) -> Option<u8> {
        let done = self.state.day.as_ref().map_or(0, |day| day.shards) as usize;
        let (shard, age) = self.state.longest(self.now);
        let overdue = age.is_some_and(|age| age > self.settings.overdue());
        match self.state.current {
            Some((current, _)) if done < self.settings.quota() || overdue => Some(current),
            _ => (done < self.settings.quota() || overdue).then_some(shard),
        }
    }

    fn save(&mut self) -> Result<(), UpkeepError> {
        self.saved = Instant::now();
        self.unsaved = 0;
        Ok(self.state.save(&self.archive.store)?)
    }
}
