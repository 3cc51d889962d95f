//! A later version reads more out of files than an earlier one did: what it knows better becomes a further revision of
//! the record, from the blobs that are there. Earlier revisions stay as they are, and so do numbers and inodes.
//!
//! What would make a path move is left to a person, who sees it first (`shoebox migrate --dry-run`); the rest is done
//! by itself, a while after the upgrade.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::ops::ControlFlow;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::UpkeepError;
use super::state::State;
use crate::archive::Archive;
use crate::media::kind::Kind;
use crate::media::{self, EXTRACTOR};
use crate::model::{
    ArchivedItem, CaptureTime, Clock, Hasher, ItemRecord, MediaFacts, PartRole, Sha256, TimeSource,
};
use crate::store::{RecordName, Store, StoreError};

/// Items that are looked at together.
const GROUP: usize = 200;
/// What could not be read is tried again after this time.
const AGAIN: SignedDuration = SignedDuration::from_hours(24);

/// How far the facts of an archive have been read anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reread {
    /// The version of the extractor.
    extractor: u32,
    /// The index whose changes are counted.
    epoch: String,
    /// The last change of it that was looked at.
    after: u64,
    /// When all of them were.
    ended: Option<Timestamp>,
    /// Items whose files could not be read.
    skipped: u64,
    /// Items whose paths would move: they wait for a person.
    pub waiting: u64,
}

/// What came of reading facts anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Items looked at.
    pub items: u64,
    /// Records that got a further revision.
    pub revised: u64,
    /// Items whose paths would move, and were left as they are.
    pub waiting: u64,
    /// Items whose files could not be read; they are tried again the next day.
    pub skipped: u64,
    /// Whether the end was reached.
    pub done: bool,
}

/// One item whose facts are known better now.
#[derive(Clone, Debug)]
pub struct Better {
    /// What is recorded.
    pub before: ArchivedItem,
    /// What would be.
    pub after: ArchivedItem,
    record: ItemRecord,
}

impl Better {
    /// Whether a view may show it elsewhere, or with another time.
    pub fn moves(&self) -> bool {
        let shown = |item: &ArchivedItem| {
            let camera = (item.make.clone(), item.model.clone(), item.lens.clone(), item.origin);
            (item.taken, item.date_conflict, camera, item.media_type.clone(), item.position)
        };
        shown(&self.before) != shown(&self.after)
    }
}

/// What a look at one item has found.
enum Look {
    /// Nothing that is not recorded.
    Known,
    /// Something.
    Better(Box<Better>),
    /// Its files cannot be read as they should be.
    Unread,
}

/// Items whose paths would move by what is known better now, as far as that is known.
pub fn waiting(store: &Store) -> u64 {
    State::load(store).reread.waiting
}

/// Whether there may be items whose facts an earlier version read, or could not read.
///
/// # Errors
/// When the index cannot be read.
pub fn is_due(archive: &Archive, now: Timestamp) -> Result<bool, UpkeepError> {
    let reread = State::load(&archive.store).reread;
    let reader = archive.index.reader()?;
    let is_known = reread.extractor == EXTRACTOR && reread.epoch == reader.epoch()?;
    let Some(ended) = reread.ended.filter(|_| is_known) else { return Ok(true) };
    Ok(reader.last_change()? > reread.after || (reread.skipped > 0 && is_old(ended, now)))
}

/// A clock that was set back makes old what is not.
fn is_old(ended: Timestamp, now: Timestamp) -> bool {
    let age = now.duration_since(ended);
    age >= AGAIN || age < SignedDuration::ZERO
}

/// Reads facts anew, goes on where an earlier call was stopped, and revises what moves no path. `each` is called for
/// every item; it may stop the reading.
///
/// # Errors
/// When the archive or its state cannot be read or written. A file that is damaged or gone keeps its facts.
pub fn reread(
    archive: &Archive,
    clock: &dyn Clock,
    each: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<Report, UpkeepError> {
    let epoch = archive.index.reader()?.epoch()?;
    let now = clock.now();
    let mut state = State::load(&archive.store).reread;
    let is_other = state.extractor != EXTRACTOR || state.epoch != epoch;
    if is_other || (state.skipped > 0 && state.ended.is_some_and(|ended| is_old(ended, now))) {
        state = Reread { extractor: EXTRACTOR, epoch, ..Reread::default() };
    }
    // What waits was counted when all were looked at; it comes again whenever somebody revises it.
    let counts = state.ended.take().is_none();
    let mut report = Report::default();
    let mut seen = BTreeSet::new();
    let mut after = state.after;
    let ended = survey(archive, &mut after, now, each, &mut |step| {
        match step {
            Step::Looked(ordinal, look) => {
                report.items += 1;
                let is_new = counts && seen.insert(ordinal);
                match look {
                    Look::Known => {}
                    Look::Unread => report.skipped += 1,
                    Look::Better(better) if better.moves() => report.waiting += u64::from(is_new),
                    Look::Better(better) => report.revised += u64::from(apply(archive, &better)?),
                }
            }
            // A kill repeats one group, in which nothing is revised or counted twice.
            Step::Reached(after) => {
                let (waiting, skipped) = (state.waiting + report.waiting, state.skipped + report.skipped);
                save(archive, Reread { after, waiting, skipped, ..state.clone() })?;
                seen.clear();
            }
        }
        Ok(())
    })?;
    report.done = ended;
    if ended {
        let (waiting, skipped) = (state.waiting + report.waiting, state.skipped + report.skipped);
        save(archive, Reread { after, ended: Some(now), waiting, skipped, ..state })?;
    }
    Ok(report)
}

fn save(archive: &Archive, reread: Reread) -> Result<(), UpkeepError> {
    let mut state = State::load(&archive.store);
    state.reread = reread;
    Ok(state.save(&archive.store)?)
}

/// Looks at all items, whatever was done before; `take` gets what is known better, one after the other.
///
/// # Errors
/// When the archive cannot be read, and those of `take`.
pub fn all(
    archive: &Archive,
    now: Timestamp,
    take: &mut dyn FnMut(Better) -> Result<(), UpkeepError>,
) -> Result<(), UpkeepError> {
    survey(archive, &mut 0, now, &mut || ControlFlow::Continue(()), &mut |step| match step {
        Step::Looked(_, Look::Better(better)) => take(*better),
        _ => Ok(()),
    })
    .map(drop)
}

/// Nothing waits any more.
///
/// # Errors
/// When the state cannot be written.
pub fn settled(archive: &Archive, now: Timestamp) -> Result<(), UpkeepError> {
    let reader = archive.index.reader()?;
    let (epoch, after) = (reader.epoch()?, reader.last_change()?);
    let skipped = State::load(&archive.store).reread.skipped;
    save(archive, Reread { extractor: EXTRACTOR, epoch, after, ended: Some(now), skipped, waiting: 0 })
}

/// How a look at all items goes on.
enum Step {
    /// The item of that number was looked at.
    Looked(u64, Look),
    /// So were all up to this change.
    Reached(u64),
}

type Take<'a> = dyn FnMut(Step) -> Result<(), UpkeepError> + 'a;

/// Looks at all items that changed after `after`, and moves that along; whether the end was reached.
fn survey(
    archive: &Archive,
    after: &mut u64,
    now: Timestamp,
    each: &mut dyn FnMut() -> ControlFlow<()>,
    take: &mut Take<'_>,
) -> Result<bool, UpkeepError> {
    let reader = archive.index.reader()?;
    loop {
        let items = reader.items_after(*after, GROUP)?;
        let Some(last) = items.last().map(|item| item.change) else { return Ok(true) };
        let keys: Vec<_> = items.iter().map(|item| item.key.clone()).collect();
        let known = reader.known(&keys)?;
        for item in items {
            if each().is_break() {
                return Ok(false);
            }
            let Some(known) = known.get(&item.key) else { continue };
            let name = RecordName { key: item.key.clone(), seq: known.seq, sha256: known.record_sha256 };
            let ordinal = item.ordinal;
            let look = better(&archive.store, &name, item, now).unwrap_or_else(|error| {
                // Upkeep finds and mends it; its facts can wait.
                tracing::debug!("{error}");
                Look::Unread
            });
            take(Step::Looked(ordinal, look))?;
        }
        *after = last;
        take(Step::Reached(last))?;
    }
}

/// What a record would be by what is known now.
fn better(store: &Store, name: &RecordName, item: ArchivedItem, now: Timestamp) -> Result<Look, StoreError> {
    let stored = store.read_record(name)?;
    let old = stored.record();
    if old.parts.iter().all(|part| part.facts.extractor >= EXTRACTOR) {
        return Ok(Look::Known);
    }
    let mut record = old.clone();
    let mut unread = false;
    for part in record.parts.iter_mut().filter(|part| part.facts.extractor < EXTRACTOR) {
        let file = match store.open_blob(&part.sha256) {
            Ok(file) => file,
            Err(StoreError::MissingBlob { .. }) => {
                unread = true;
                continue;
            }
            Err(error) => return Err(error),
        };
        let facts = media::inspect(&file, &part.name);
        let kept = MediaFacts { extractor: facts.extractor, ..part.facts.clone() };
        // What says less than it did is damaged, or was misread before: its hash tells.
        let is_doubtful = is_poorer(&facts, &part.facts) && !is_sound(file, &part.sha256);
        if facts.extractor < EXTRACTOR || is_doubtful {
            unread = true;
        } else if facts != kept {
            part.facts = facts;
        }
    }
    if record.parts == old.parts {
        return Ok(if unread { Look::Unread } else { Look::Known });
    }
    let first = store.revisions(old.formerly.as_ref().unwrap_or(&old.key))?.into_iter().next();
    let first = match first.filter(|first| first != name) {
        Some(first) => store.read_record(&first)?.record().clone(),
        None => old.clone(),
    };
    // The version from which the date was first taken: others came later.
    let original = record.parts.iter().filter(|part| part.role == PartRole::Original);
    if let Some(original) = original.min_by_key(|part| part.version) {
        // By what Google said at first: what somebody changed there later has moved no path either.
        let taken = CaptureTime::choose(&original.facts, &first.remote);
        // Of what was adopted without any date, the file's own change is the best that there is.
        let is_of_file = taken.source == TimeSource::None && old.taken.source == TimeSource::Upload;
        record.taken = if is_of_file { old.taken } else { taken };
    }
    record.seq = old.seq + 1;
    record.previous = Some(name.sha256);
    record.recorded_at = now;
    let after = ArchivedItem::of(&record, item.change + 1, item.added);
    Ok(Look::Better(Box::new(Better { before: item, after, record })))
}

/// Whether the bytes are those of that name.
fn is_sound(mut file: File, sha256: &Sha256) -> bool {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return hasher.finish().sha256 == *sha256,
            Ok(n) => hasher.update(&buffer[..n]),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

/// Whether something that was known is not any more.
fn is_poorer(now: &MediaFacts, before: &MediaFacts) -> bool {
    let is_nothing = now.media_type.as_deref() == Some(Kind::Other.media_type());
    let lost = |before: bool, now: bool| before && !now;
    is_nothing
        || lost(before.taken.is_some(), now.taken.is_some())
        || lost(before.make.is_some() || before.model.is_some(), now.make.is_some() || now.model.is_some())
        || lost(before.lens.is_some(), now.lens.is_some())
        || lost(before.width.is_some(), now.width.is_some())
        || lost(before.orientation.is_some(), now.orientation.is_some())
        || lost(before.duration_ms.is_some(), now.duration_ms.is_some())
        || lost(before.content_id.is_some(), now.content_id.is_some())
        || lost(before.embedded_motion, now.embedded_motion)
        || lost(before.latitude.is_some(), now.latitude.is_some())
}

/// Records it; not where somebody else has revised the item in between.
///
/// # Errors
/// When it cannot be written.
pub fn apply(archive: &Archive, better: &Better) -> Result<bool, UpkeepError> {
    let _turn = archive.turn();
    let known = archive.index.reader()?.known(std::slice::from_ref(&better.record.key))?;
    let latest = known.get(&better.record.key).map(|known| known.record_sha256);
    if latest != better.record.previous {
        return Ok(false);
    }
    let stored = archive.store.put_record(&better.record, &[])?;
    archive.index.writer().apply(stored)?;
    Ok(true)
}
