//! What was taken in becomes records: a photo that nobody knew a new one, one that is there already at most a further
//! revision. Albums come last, when it is known under which keys their photos are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Map;

use super::AdoptError;
use super::candidates::{Candidate, part_name};
use super::intake::{LeftOut, Taken};
use super::place::export;
use super::report::AdoptReport;
use super::source::Survey;
use super::takeout::Sidecar;
use crate::archive::Archive;
use crate::index::IndexReader;
use crate::media;
use crate::model::record::SCHEMA;
use crate::model::{
    Adopted, CaptureTime, FetchEvidence, ItemRecord, ItemState, LOCAL_ACCOUNT, MediaFacts, MediaKey,
    PartRecord, PartRole, RemoteFacts, Sha256, TimeSource, Verdict,
};
use crate::store::{Store, StoreError, StoredRecord};

/// Records that are indexed together.
const GROUP: usize = 500;

/// A file of a photo, and what became of it.
pub type Part = (PartRole, usize, Result<Taken, LeftOut>);

/// A photo in an album.
#[derive(Clone)]
pub struct Member {
    /// When it was taken.
    pub taken: CaptureTime,
    /// Its key in the archive.
    pub key: MediaKey,
}

/// Writes records, and counts.
pub struct Ledger<'a> {
    /// The archive; opened for reading in a dry run.
    pub archive: &'a Archive,
    /// Only counts.
    pub dry_run: bool,
    /// What is archived.
    pub reader: IndexReader,
    /// The files.
    pub survey: &'a Survey,
    /// What came of it so far.
    pub report: AdoptReport,
    /// Photos by folder; some folders are albums.
    pub members: BTreeMap<Arc<str>, Vec<Member>>,
    /// Keys by export and by what Takeout says of a photo: title and capture.
    pub by_sidecar: BTreeMap<(String, String, Option<i64>), Member>,
    /// Keys by path, for links.
    pub by_path: BTreeMap<std::path::PathBuf, MediaKey>,
    /// Photos of a Takeout without JSON, by their bytes: another copy may have one.
    pub undescribed: BTreeMap<Sha256, String>,
    /// Whether anybody asks for `by_path`.
    has_links: bool,
    now: Timestamp,
    /// Originals that this adoption has seen.
    seen: BTreeMap<Sha256, MediaKey>,
    /// Of these, those with a JSON.
    described: BTreeSet<Sha256>,
    /// Recorded, not indexed yet, and the bytes of their files.
    waiting: Vec<StoredRecord>,
    unindexed: BTreeSet<Sha256>,
}

/// A file of a photo that was taken in.
type Whole = (PartRole, usize, Taken);

impl<'a> Ledger<'a> {
    /// An empty one.
    pub fn new(
        archive: &'a Archive,
        dry_run: bool,
        reader: IndexReader,
        survey: &'a Survey,
        now: Timestamp,
    ) -> Self {
        Self {
            archive,
            dry_run,
            reader,
            survey,
            report: AdoptReport::default(),
            members: BTreeMap::new(),
            by_sidecar: BTreeMap::new(),
            by_path: BTreeMap::new(),
            undescribed: BTreeMap::new(),
            has_links: !survey.links.is_empty(),
            now,
            seen: BTreeMap::new(),
            described: BTreeSet::new(),
            waiting: Vec::new(),
            unindexed: BTreeSet::new(),
        }
    }

    /// Enters a photo all of whose files were dealt with.
    ///
    /// # Errors
    /// When the archive cannot be read or written.
    pub fn enter(&mut self, candidate: &Candidate<'_>, parts: Vec<Part>) -> Result<(), AdoptError> {
        // Of a photo that could not be read now, the halves wait for it: alone, they would be photos of their own for ever.
        let waits = parts.iter().any(|(role, _, taken)| {
            *role == PartRole::Original && matches!(taken, Err(LeftOut::Unread(_) | LeftOut::Unwanted))
        });
        let mut whole: Vec<Whole> = Vec::new();
        for (role, file, taken) in parts {
            match taken {
                Ok(_) if waits => {}
                Ok(taken) => whole.push((role, file, taken)),
                Err(why) => self.leave_out(file, role, why),
            }
        }
        whole.sort_by_key(|(role, ..)| *role);
        // Halves without their original are photos of their own, and so is what belongs to another one.
        let alone = if whole.first().is_none_or(|(role, ..)| *role != PartRole::Original) {
            std::mem::take(&mut whole)
        } else {
            let strange = self.strange(candidate, &whole)?;
            let (strange, own) = whole.into_iter().partition(|(role, ..)| strange.contains(role));
            whole = own;
            strange
        };
        if !whole.is_empty() {
            self.enter_whole(candidate, whole)?;
        }
        alone.into_iter().try_for_each(|part| self.enter_alone(candidate.folder, part))
    }

    /// A file that belongs to no other.
    fn enter_alone(&mut self, folder: &Arc<str>, (_, file, taken): Whole) -> Result<(), AdoptError> {
        let lone = Candidate {
            folder,
            files: Vec::new(),
            name: self.survey.files[file].name.clone(),
            sidecar: None,
            known_as: None,
            is_paired: false,
            is_edit_guess: false,
        };
        self.enter_whole(&lone, vec![(PartRole::Original, file, taken)])
    }

    fn leave_out(&mut self, file: usize, role: PartRole, why: LeftOut) {
        let found = &self.survey.files[file];
        let place = self.survey.place(found);
        match why {
            LeftOut::NoPhoto => {
                let extension =
                    found.name.rsplit_once('.').map_or("", |(_, extension)| extension).to_lowercase();
                *self.report.others.entry(extension).or_default() += 1;
            }
            LeftOut::Damaged(why) => self.report.damaged.push(format!("{place}: {why}")),
            LeftOut::Unread(why) => self.report.trouble.push(format!("{place}: {why}")),
            LeftOut::Unwanted => self.report.not_in_library += u64::from(role == PartRole::Original),
        }
    }

    /// Which files are none of this photo's, whatever they are called: of a still and a video, Apple's mark tells, or who
    /// put them there; of an edit that is guessed, the time.
    fn strange(&self, candidate: &Candidate<'_>, parts: &[Whole]) -> Result<Vec<PartRole>, AdoptError> {
        let mut strange = Vec::new();
        if self.dry_run || parts.len() < 2 {
            return Ok(strange);
        }
        let original = self.facts(&parts[0])?;
        let is_video =
            |facts: &MediaFacts| facts.media_type.as_ref().is_some_and(|kind| kind.starts_with("video/"));
        for part in &parts[1..] {
            let facts = self.facts(part)?;
            let belongs = match part.0 {
                PartRole::Motion => {
                    let marks = match (&original.content_id, &facts.content_id) {
                        (Some(still), Some(video)) => still == video,
                        _ => candidate.is_paired,
                    };
                    marks && is_video(&facts) && !is_video(&original)
                }
                _ => {
                    let taken = |facts: &MediaFacts| {
                        facts.taken.filter(|taken| taken.source.is_in_file()).map(|taken| taken.local)
                    };
                    let is_alike = is_video(&facts) == is_video(&original);
                    let is_same = taken(&facts).is_some() && taken(&facts) == taken(&original);
                    is_alike && (is_same || !candidate.is_edit_guess)
                }
            };
            if !belongs {
                strange.push(part.0);
            }
        }
        Ok(strange)
    }

    fn facts(&self, (_, file, taken): &Whole) -> Result<MediaFacts, StoreError> {
        facts(&self.archive.store, taken, &self.survey.files[*file].name)
    }

    fn enter_whole(&mut self, candidate: &Candidate<'_>, mut parts: Vec<Whole>) -> Result<(), AdoptError> {
        let (_, file, original) = &parts[0];
        let sha256 = original.digests.sha256;
        let found = &self.survey.files[*file];
        let place = self.survey.place(found);
        if candidate.sidecar.is_some() {
            self.report.described += u64::from(self.described.insert(sha256));
            self.undescribed.remove(&sha256);
        } else if self.survey.notes.contains_key(&found.folder) && !self.described.contains(&sha256) {
            self.undescribed.insert(sha256, place.clone());
        }
        let path = self.survey.path(found).filter(|_| self.has_links).map(std::path::Path::to_owned);
        let is_first = !self.seen.contains_key(&sha256);
        self.report.repeated += u64::from(!is_first);
        if parts.iter().any(|(_, _, taken)| self.unindexed.contains(&taken.digests.sha256)) {
            self.flush()?;
        }
        let mut left = Vec::new();
        let (key, taken) = match self.reader.holding(&sha256)? {
            Some(name) => {
                let before = match self.archive.store.read_record(&name) {
                    Ok(before) => before,
                    Err(error @ StoreError::Io { .. }) => return Err(error.into()),
                    Err(error) => {
                        self.report.trouble.push(format!("{place}: {error}"));
                        return Ok(());
                    }
                };
                self.report.archived += u64::from(is_first);
                let (record, alone) = self.completed(&before, candidate, &parts)?;
                if let Some(record) = record {
                    self.report.revised += u64::from(self.put(&record, &parts)? && is_first);
                }
                left = alone;
                (name.key, before.record().taken)
            }
            None => {
                let key = MediaKey::local("item", &sha256);
                let record =
                    if self.dry_run { None } else { Some(self.record(key.clone(), candidate, &parts)?) };
                let is_in = match &record {
                    Some(record) => self.put(record, &parts)?,
                    None => true,
                };
                if is_first && is_in {
                    self.report.new += 1;
                    self.report.new_bytes +=
                        parts.iter().map(|(_, _, taken)| taken.digests.size).sum::<u64>();
                }
                let nothing = CaptureTime::choose(&MediaFacts::default(), &RemoteFacts::default());
                (key, record.map_or(nothing, |record| record.taken))
            }
        };
        self.seen.insert(sha256, key.clone());
        if let Some(path) = path {
            self.by_path.insert(path, key.clone());
        }
        if let Some(sidecar) = candidate.sidecar {
            let said = (export(candidate.folder).to_owned(), sidecar.title.clone(), sidecar.taken_ms);
            self.by_sidecar.entry(said).or_insert_with(|| Member { taken, key: key.clone() });
        }
        self.members.entry(Arc::clone(candidate.folder)).or_default().push(Member { taken, key });
        parts.retain(|(role, ..)| left.contains(role));
        parts.into_iter().try_for_each(|part| self.enter_alone(candidate.folder, part))
    }

    /// The first record of a photo.
    fn record(
        &self,
        key: MediaKey,
        candidate: &Candidate<'_>,
        parts: &[Whole],
    ) -> Result<ItemRecord, AdoptError> {
        let entries =
            parts.iter().map(|part| self.entry(candidate, part, 1)).collect::<Result<Vec<_>, _>>()?;
        let remote = candidate.sidecar.map(Sidecar::remote).unwrap_or_default();
        let file = &self.survey.files[parts[0].1];
        let is_trashed = candidate.sidecar.is_some_and(|sidecar| sidecar.trashed);
        Ok(ItemRecord {
            schema: SCHEMA,
            key,
            seq: 1,
            previous: None,
            ordinal: self.archive.store.next_ordinal()?,
            account: LOCAL_ACCOUNT.to_owned(),
            recorded_at: self.now,
            // What was thrown away stays thrown away.
            state: if is_trashed { ItemState::Gone } else { ItemState::Present },
            name: candidate.name.clone(),
            taken: taken(&entries[0].facts, &remote, file.modified),
            remote,
            parts: entries,
            formerly: None,
            adopted: Some(Adopted {
                from: self.survey.place(file),
                people: candidate.sidecar.map(|sidecar| sidecar.people.clone()).unwrap_or_default(),
                known_as: candidate.known_as.clone(),
            }),
            unknown: Map::new(),
        })
    }

    fn entry(&self, candidate: &Candidate<'_>, part: &Whole, version: u32) -> Result<PartRecord, AdoptError> {
        let (role, file, taken) = part;
        let name = part_name(candidate, *role, &self.survey.files[*file]);
        // Nothing was stored in a dry run.
        let facts =
            if self.dry_run { MediaFacts::default() } else { facts(&self.archive.store, taken, &name)? };
        Ok(PartRecord {
            role: *role,
            version,
            sha256: taken.digests.sha256,
            sha1: taken.digests.sha1,
            size: taken.digests.size,
            verdict: Verdict::Unproven,
            facts,
            name,
            fetched: FetchEvidence {
                at: self.now,
                via: FetchEvidence::ADOPTED.to_owned(),
                host: String::new(),
                claimed_length: None,
                claimed_type: None,
                tool: FetchEvidence::TOOL.to_owned(),
            },
            unknown: Map::new(),
        })
    }

    /// A further revision of what is there, if more is known of it now; and the files that the item does not take, although
    /// nobody has them: these are photos of their own, or nobody would ever see them.
    fn completed(
        &self,
        before: &StoredRecord,
        candidate: &Candidate<'_>,
        parts: &[Whole],
    ) -> Result<(Option<ItemRecord>, Vec<PartRole>), AdoptError> {
        let old = before.record();
        let is_local = old.account == LOCAL_ACCOUNT;
        let original = parts[0].2.digests.sha256;
        let is_original = old.part(PartRole::Original).is_some_and(|part| part.sha256 == original);
        let mut new = old.clone();
        let mut alone = Vec::new();
        for part in &parts[1..] {
            let (role, _, taken) = part;
            let sha256 = taken.digests.sha256;
            if old.parts.iter().any(|part| part.sha256 == sha256) {
                continue;
            }
            if is_original && is_local {
                let version = old.part(*role).map_or(1, |latest| latest.version + 1);
                new.parts.push(self.entry(candidate, part, version)?);
            } else if self.reader.holding(&sha256)?.is_none() {
                // What a library shows of an item is for the library to say.
                alone.push(*role);
            }
        }
        new.parts.sort_by_key(|part| (part.role, part.version));
        if is_original {
            // Of what was adopted, the first JSON is more than none. The name and the date stay: paths follow from them.
            if let Some(sidecar) =
                candidate.sidecar.filter(|_| is_local && old.remote == RemoteFacts::default())
            {
                new.remote = sidecar.remote();
            }
            new.adopted = self.more_of(old, candidate, parts[0].1);
        }
        let record = (new != *old).then(|| ItemRecord {
            seq: old.seq + 1,
            previous: Some(*before.sha256()),
            recorded_at: self.now,
            ..new
        });
        Ok((record, alone))
    }

    /// What is known of an item's adoption, with what this one adds.
    fn more_of(&self, old: &ItemRecord, candidate: &Candidate<'_>, file: usize) -> Option<Adopted> {
        let before = old.adopted.clone().unwrap_or_default();
        let mut adopted = before.clone();
        for name in candidate.sidecar.iter().flat_map(|sidecar| &sidecar.people) {
            if !adopted.people.contains(name) {
                adopted.people.push(name.clone());
            }
        }
        if old.account == LOCAL_ACCOUNT && adopted.known_as.is_none() {
            adopted.known_as.clone_from(&candidate.known_as);
        }
        if adopted == before {
            return old.adopted.clone();
        }
        if adopted.from.is_empty() {
            adopted.from = self.survey.place(&self.survey.files[file]);
        }
        Some(adopted)
    }

    /// Writes a record; whether that went well.
    fn put(&mut self, record: &ItemRecord, parts: &[Whole]) -> Result<bool, AdoptError> {
        if self.dry_run {
            return Ok(true);
        }
        let blobs: Vec<_> = parts.iter().filter_map(|(_, _, taken)| taken.blob.as_ref()).collect();
        match self.archive.store.put_record(record, &blobs) {
            Ok(stored) => {
                self.unindexed.extend(parts.iter().map(|(_, _, taken)| taken.digests.sha256));
                self.waiting.push(stored);
            }
            // Something about this one; a blob without a record is found again by the next adoption.
            Err(error @ (StoreError::Chain { .. } | StoreError::Unproven { .. })) => {
                self.report.trouble.push(format!("{}: {error}", record.name));
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
        if self.waiting.len() >= GROUP {
            self.flush()?;
        }
        Ok(true)
    }

    /// Takes into the index what is recorded.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn flush(&mut self) -> Result<(), AdoptError> {
        self.unindexed.clear();
        for answer in self.archive.index.writer().apply_all(self.waiting.drain(..)) {
            answer?;
        }
        Ok(())
    }
}

/// What a file says of itself, read from the store where it was not read on its way there.
fn facts(store: &Store, taken: &Taken, name: &str) -> Result<MediaFacts, StoreError> {
    match &taken.facts {
        Some(facts) => Ok(facts.clone()),
        None => Ok(media::inspect(&store.open_blob(&taken.digests.sha256)?, name)),
    }
}

/// When it was taken; where nobody says, when the file was last changed.
fn taken(facts: &MediaFacts, remote: &RemoteFacts, modified: Option<Timestamp>) -> CaptureTime {
    let taken = CaptureTime::choose(facts, remote);
    if taken.source != TimeSource::None {
        return taken;
    }
    let changed =
        modified.and_then(|at| CaptureTime::from_millis(at.as_millisecond(), None, TimeSource::Upload));
    changed.unwrap_or(taken)
}
