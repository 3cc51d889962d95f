//! A later version reads more out of files than an earlier one did: what it knows better becomes a further revision of
//! the record, from the blobs that are there. Earlier revisions stay as they are, and so do numbers and inodes.
//!
//! What would make a path move is left to a person, who sees it first (`shoebox migrate --dry-run`); the rest is done
//! by itself, a while after the upgrade.

use std::ops::ControlFlow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::UpkeepError;
use super::state::State;
use crate::archive::Archive;
use crate::media::kind::Kind;
use crate::media::{self, EXTRACTOR};
use crate::model::{ArchivedItem, CaptureTime, Clock, ItemRecord, MediaFacts, PartRole};
use crate::store::{RecordName, Store, StoreError};

/// Items that are looked at together.
const GROUP: usize = 200;

/// How far the facts of an archive have been read anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reread {
    /// The version of the extractor.
    extractor: u32,
    /// The index whose changes are counted.
    epoch: String,
    /// The last change of it that was looked at.
    after: u64,
    /// All of them were.
    done: bool,
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
            (item.taken, camera, item.media_type.clone(), item.position)
        };
        shown(&self.before) != shown(&self.after)
    }
}

/// Items whose paths would move by what is known better now, as far as that is known.
pub fn waiting(store: &Store) -> u64 {
    State::load(store).reread.waiting
}

/// Whether there may be items whose facts an earlier version read.
///
/// # Errors
/// When the index cannot be read.
pub fn is_due(archive: &Archive) -> Result<bool, UpkeepError> {
    let reread = State::load(&archive.store).reread;
    let known = reread.extractor == EXTRACTOR && reread.epoch == archive.index.reader()?.epoch()?;
    Ok(!known || !reread.done)
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
    let mut state = State::load(&archive.store);
    if state.reread.extractor != EXTRACTOR || state.reread.epoch != epoch {
        state.reread = Reread { extractor: EXTRACTOR, epoch: epoch.clone(), ..Reread::default() };
    }
    let mut report = Report::default();
    let before = state.reread.waiting;
    let mut after = state.reread.after;
    let ended = survey(archive, &mut after, clock.now(), each, &mut |better, reached| {
        match better {
            Some(better) if better.moves() => report.waiting += 1,
            Some(better) => report.revised += u64::from(apply(archive, &better)?),
            None => report.items += 1,
        }
        // Now and then: a kill repeats little, and a repeated item is not revised twice.
        if let Some(reached) = reached {
            let mut state = State::load(&archive.store);
            let (epoch, waiting) = (epoch.clone(), before + report.waiting);
            // Not done before the end: a kill here must not leave what an earlier version wrote of itself.
            state.reread = Reread { extractor: EXTRACTOR, epoch, after: reached, done: false, waiting };
            state.save(&archive.store)?;
        }
        Ok(())
    })?;
    report.done = ended;
    state = State::load(&archive.store);
    state.reread =
        Reread { extractor: EXTRACTOR, epoch, after, done: ended, waiting: before + report.waiting };
    state.save(&archive.store)?;
    Ok(report)
}

/// Reads the facts of all items anew, whatever was done before; the answer is what is known better.
///
/// # Errors
/// When the archive cannot be read.
pub fn all(archive: &Archive, now: Timestamp) -> Result<Vec<Better>, UpkeepError> {
    let mut found = Vec::new();
    survey(archive, &mut 0, now, &mut || ControlFlow::Continue(()), &mut |better, _| {
        found.extend(better);
        Ok(())
    })?;
    Ok(found)
}

/// Nothing waits any more.
///
/// # Errors
/// When the state cannot be written.
pub fn settled(archive: &Archive) -> Result<(), UpkeepError> {
    let mut state = State::load(&archive.store);
    let (epoch, after) = (archive.index.reader()?.epoch()?, archive.index.reader()?.last_change()?);
    state.reread = Reread { extractor: EXTRACTOR, epoch, after, done: true, waiting: 0 };
    Ok(state.save(&archive.store)?)
}

type Take<'a> = dyn FnMut(Option<Better>, Option<u64>) -> Result<(), UpkeepError> + 'a;

/// Looks at all items that changed after `after`, and moves that along; whether the end was reached. `take` gets each
/// that is known better, `None` for each that was looked at, and how far it has come after some.
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
            take(None, None)?;
            let Some(known) = known.get(&item.key) else { continue };
            let name = RecordName { key: item.key.clone(), seq: known.seq, sha256: known.record_sha256 };
            match better(&archive.store, &name, item, now) {
                Ok(None) => {}
                Ok(better) => take(better, None)?,
                // Upkeep finds and mends it; its facts can wait.
                Err(error) => tracing::debug!("{error}"),
            }
        }
        *after = last;
        take(None, Some(last))?;
    }
}

/// What a record would be by what is known now; nothing where it says that already.
fn better(
    store: &Store,
    name: &RecordName,
    item: ArchivedItem,
    now: Timestamp,
) -> Result<Option<Better>, StoreError> {
    let stored = store.read_record(name)?;
    let old = stored.record();
    if old.parts.iter().all(|part| part.facts.extractor >= EXTRACTOR) {
        return Ok(None);
    }
    let mut record = old.clone();
    for part in record.parts.iter_mut().filter(|part| part.facts.extractor < EXTRACTOR) {
        let file = match store.open_blob(&part.sha256) {
            Ok(file) => file,
            Err(StoreError::MissingBlob { .. }) => continue,
            Err(error) => return Err(error),
        };
        let facts = media::inspect(&file, &part.name);
        let kept = MediaFacts { extractor: facts.extractor, ..part.facts.clone() };
        if facts != kept && !is_poorer(&facts, &part.facts) {
            part.facts = facts;
        }
    }
    if record.parts == old.parts {
        return Ok(None);
    }
    let first = store.revisions(&old.key)?.into_iter().next();
    let first = match first.filter(|first| first != name) {
        Some(first) => store.read_record(&first)?.record().remote.clone(),
        None => old.remote.clone(),
    };
    if let Some(original) = record.part(PartRole::Original) {
        // By what Google said at first: what somebody changed there later has moved no path either.
        let facts = &original.facts;
        record.taken = CaptureTime::choose(facts, &first);
    }
    record.seq = old.seq + 1;
    record.previous = Some(name.sha256);
    record.recorded_at = now;
    let after = ArchivedItem::of(&record, item.change + 1, item.added);
    Ok(Some(Better { before: item, after, record }))
}

/// Whether something that was known is not any more. A later extractor knows more, not less: then the bytes could not be
/// read as they should be, and what was known of them stays.
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
