//! What was taken in becomes records: a photo that nobody knew a new one, one that is there already at most a further
//! revision. Albums come last, when it is known under which keys their photos are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Map;

use super::AdoptError;
use super::candidates::{Candidate, part_name};
use super::intake::{LeftOut, Taken};
use super::report::AdoptReport;
use super::source::Survey;
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
    /// Where to; nowhere in a dry run.
    pub archive: Option<&'a Archive>,
    /// What is archived.
    pub reader: IndexReader,
    /// The files.
    pub survey: &'a Survey,
    /// What came of it so far.
    pub report: AdoptReport,
    /// Photos by folder; some folders are albums.
    pub members: BTreeMap<Arc<str>, Vec<Member>>,
    /// Keys by what Takeout says of a photo: title and capture.
    pub by_sidecar: BTreeMap<(String, Option<i64>), Member>,
    /// Keys by path, for links.
    pub by_path: BTreeMap<std::path::PathBuf, MediaKey>,
    /// Whether anybody asks for `by_path`.
    pub has_links: bool,
    now: Timestamp,
    /// Originals that this adoption has seen, and whether they are new.
    seen: BTreeMap<Sha256, MediaKey>,
    /// Recorded, not indexed yet, and their originals.
    waiting: Vec<StoredRecord>,
    unindexed: BTreeSet<Sha256>,
}

impl<'a> Ledger<'a> {
    /// An empty one.
    pub fn new(
        archive: Option<&'a Archive>,
        reader: IndexReader,
        survey: &'a Survey,
        now: Timestamp,
    ) -> Self {
        Self {
            archive,
            reader,
            survey,
            report: AdoptReport::default(),
            members: BTreeMap::new(),
            by_sidecar: BTreeMap::new(),
            by_path: BTreeMap::new(),
            has_links: !survey.links.is_empty(),
            now,
            seen: BTreeMap::new(),
            waiting: Vec::new(),
            unindexed: BTreeSet::new(),
        }
    }

    /// Enters a photo all of whose files were dealt with.
    ///
    /// # Errors
    /// When the archive cannot be read or written.
    pub fn enter(&mut self, candidate: &Candidate<'_>, parts: Vec<Part>) -> Result<(), AdoptError> {
        let mut whole = Vec::new();
        for (role, file, taken) in parts {
            match taken {
                Ok(taken) => whole.push((role, file, taken)),
                Err(why) => self.leave_out(file, role, why),
            }
        }
        whole.sort_by_key(|(role, ..)| *role);
        let mut alone = Vec::new();
        if whole.first().is_none_or(|(role, ..)| *role != PartRole::Original) {
            // Halves without their original are photos of their own.
            alone = std::mem::take(&mut whole);
        } else if let Some(at) = whole.iter().position(|(role, ..)| *role == PartRole::Motion)
            && !self.belongs_together(candidate, &whole)?
        {
            alone.push(whole.remove(at));
        }
        for (_, file, taken) in alone {
            let name = self.survey.files[file].name.clone();
            let lone = Candidate {
                folder: candidate.folder,
                files: Vec::new(),
                name,
                sidecar: None,
                known_as: None,
                is_paired: false,
            };
            self.enter_whole(&lone, vec![(PartRole::Original, file, taken)])?;
        }
        if whole.is_empty() { Ok(()) } else { self.enter_whole(candidate, whole) }
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

    /// Whether a still and the video of the same name are two halves: Apple's mark says so, or who put them there.
    fn belongs_together(
        &self,
        candidate: &Candidate<'_>,
        parts: &[(PartRole, usize, Taken)],
    ) -> Result<bool, AdoptError> {
        let Some(archive) = self.archive else { return Ok(true) };
        let mut marks = Vec::new();
        for (role, file, taken) in parts.iter().filter(|(role, ..)| *role != PartRole::Edited) {
            let facts = facts(&archive.store, taken, &self.survey.files[*file].name)?;
            let is_video = facts.media_type.is_some_and(|kind| kind.starts_with("video/"));
            if is_video != (*role == PartRole::Motion) {
                return Ok(false);
            }
            marks.push(facts.content_id);
        }
        Ok(match marks.as_slice() {
            [Some(still), Some(video)] => still == video,
            _ => candidate.is_paired,
        })
    }

    fn enter_whole(
        &mut self,
        candidate: &Candidate<'_>,
        parts: Vec<(PartRole, usize, Taken)>,
    ) -> Result<(), AdoptError> {
        let (_, file, original) = &parts[0];
        let sha256 = original.digests.sha256;
        let found = &self.survey.files[*file];
        self.report.described += u64::from(candidate.sidecar.is_some());
        if candidate.sidecar.is_none() && self.survey.notes.contains_key(&found.folder) {
            self.report.undescribed.push(self.survey.place(found));
        }
        let path = self.survey.path(found).filter(|_| self.has_links).map(std::path::Path::to_owned);
        self.report.repeated += u64::from(self.seen.contains_key(&sha256));
        if self.unindexed.contains(&sha256) {
            self.flush()?;
        }
        let known = self.reader.holding(&sha256)?;
        let (key, taken) = match (known, self.archive) {
            (Some(name), Some(archive)) => {
                let is_news = !self.seen.contains_key(&sha256);
                let before = archive.store.read_record(&name)?;
                self.report.archived += u64::from(is_news);
                let at = (name.key.clone(), before.record().taken);
                if let Some(record) = self.completed(archive, &before, candidate, &parts)? {
                    self.report.revised += u64::from(is_news);
                    self.put(archive, &record, &parts)?;
                }
                at
            }
            (Some(name), None) => {
                self.report.archived += u64::from(!self.seen.contains_key(&sha256));
                (name.key, CaptureTime::choose(&MediaFacts::default(), &RemoteFacts::default()))
            }
            (None, archive) => {
                if !self.seen.contains_key(&sha256) {
                    self.report.new += 1;
                    self.report.new_bytes +=
                        parts.iter().map(|(_, _, taken)| taken.digests.size).sum::<u64>();
                }
                let key = MediaKey::local("item", &sha256);
                let record = match archive {
                    Some(archive) => Some((archive, self.record(archive, key.clone(), candidate, &parts)?)),
                    None => None,
                };
                let mut taken = CaptureTime::choose(&MediaFacts::default(), &RemoteFacts::default());
                if let Some((archive, record)) = record {
                    taken = record.taken;
                    self.put(archive, &record, &parts)?;
                }
                (key, taken)
            }
        };
        self.seen.insert(sha256, key.clone());
        if let Some(path) = path {
            self.by_path.insert(path, key.clone());
        }
        if let Some(sidecar) = candidate.sidecar {
            let said = (sidecar.title.clone(), sidecar.taken_ms);
            self.by_sidecar.entry(said).or_insert_with(|| Member { taken, key: key.clone() });
        }
        self.members.entry(Arc::clone(candidate.folder)).or_default().push(Member { taken, key });
        Ok(())
    }

    /// The first record of a photo.
    fn record(
        &self,
        archive: &Archive,
        key: MediaKey,
        candidate: &Candidate<'_>,
        parts: &[(PartRole, usize, Taken)],
    ) -> Result<ItemRecord, AdoptError> {
        let entries = self.entries(archive, candidate, parts)?;
        let remote = candidate.sidecar.map(super::takeout::Sidecar::remote).unwrap_or_default();
        let file = &self.survey.files[parts[0].1];
        Ok(ItemRecord {
            schema: SCHEMA,
            key,
            seq: 1,
            previous: None,
            ordinal: archive.store.next_ordinal()?,
            account: LOCAL_ACCOUNT.to_owned(),
            recorded_at: self.now,
            state: ItemState::Present,
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

    fn entries(
        &self,
        archive: &Archive,
        candidate: &Candidate<'_>,
        parts: &[(PartRole, usize, Taken)],
    ) -> Result<Vec<PartRecord>, AdoptError> {
        let entry = |(role, file, taken): &(PartRole, usize, Taken)| {
            let name = part_name(candidate, *role, &self.survey.files[*file]);
            Ok(PartRecord {
                role: *role,
                version: 1,
                sha256: taken.digests.sha256,
                sha1: taken.digests.sha1,
                size: taken.digests.size,
                verdict: Verdict::Unproven,
                facts: facts(&archive.store, taken, &name)?,
                name,
                fetched: FetchEvidence {
                    at: self.now,
                    via: "adopted".to_owned(),
                    host: String::new(),
                    claimed_length: None,
                    claimed_type: None,
                    tool: concat!("shoebox ", env!("CARGO_PKG_VERSION")).to_owned(),
                },
                unknown: Map::new(),
            })
        };
        parts.iter().map(entry).collect()
    }

    /// A further revision of what is there, if more is known of it now.
    fn completed(
        &self,
        archive: &Archive,
        before: &StoredRecord,
        candidate: &Candidate<'_>,
        parts: &[(PartRole, usize, Taken)],
    ) -> Result<Option<ItemRecord>, AdoptError> {
        let old = before.record();
        let is_original =
            old.part(PartRole::Original).is_some_and(|part| part.sha256 == parts[0].2.digests.sha256);
        if !is_original {
            return Ok(None);
        }
        let mut new = old.clone();
        if old.account == LOCAL_ACCOUNT {
            // What a library shows is for the library to say; of what was adopted, the first JSON is more than none.
            if let Some(sidecar) = candidate.sidecar.filter(|_| old.remote == RemoteFacts::default()) {
                new.remote = sidecar.remote();
                new.name.clone_from(&candidate.name);
                new.parts[0].name.clone_from(&candidate.name);
                let modified = self.survey.files[parts[0].1].modified;
                new.taken = taken(&new.parts[0].facts, &new.remote, modified);
            }
            let lacking: Vec<_> = parts.iter().filter(|(role, ..)| old.part(*role).is_none()).collect();
            for part in lacking {
                new.parts.extend(self.entries(archive, candidate, &[(part.0, part.1, again(&part.2))])?);
            }
            new.parts.sort_by_key(|part| (part.role, part.version));
        }
        let people = candidate.sidecar.map(|sidecar| sidecar.people.as_slice()).unwrap_or_default();
        let mut adopted = old.adopted.clone().unwrap_or_default();
        let unnamed: Vec<String> =
            people.iter().filter(|name| !adopted.people.contains(name)).cloned().collect();
        adopted.people.extend(unnamed);
        if old.account == LOCAL_ACCOUNT && adopted.known_as.is_none() {
            adopted.known_as.clone_from(&candidate.known_as);
        }
        if adopted != old.adopted.clone().unwrap_or_default() {
            if adopted.from.is_empty() {
                adopted.from = self.survey.place(&self.survey.files[parts[0].1]);
            }
            new.adopted = Some(adopted);
        }
        if new == *old {
            return Ok(None);
        }
        Ok(Some(ItemRecord {
            seq: old.seq + 1,
            previous: Some(*before.sha256()),
            recorded_at: self.now,
            ..new
        }))
    }

    fn put(
        &mut self,
        archive: &Archive,
        record: &ItemRecord,
        parts: &[(PartRole, usize, Taken)],
    ) -> Result<(), AdoptError> {
        let blobs: Vec<_> = parts.iter().filter_map(|(_, _, taken)| taken.blob.as_ref()).collect();
        match archive.store.put_record(record, &blobs) {
            Ok(stored) => {
                self.unindexed.insert(parts[0].2.digests.sha256);
                self.waiting.push(stored);
            }
            // Something about this one; a blob without a record is found again by the next adoption.
            Err(error @ (StoreError::Chain { .. } | StoreError::Unproven { .. })) => {
                self.report.trouble.push(format!("{}: {error}", record.name));
            }
            Err(error) => return Err(error.into()),
        }
        if self.waiting.len() >= GROUP {
            self.flush()?;
        }
        Ok(())
    }

    /// Takes into the index what is recorded.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn flush(&mut self) -> Result<(), AdoptError> {
        let Some(archive) = self.archive else { return Ok(()) };
        self.unindexed.clear();
        for answer in archive.index.writer().apply_all(self.waiting.drain(..)) {
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

fn again(taken: &Taken) -> Taken {
    Taken { digests: taken.digests, facts: taken.facts.clone(), blob: None }
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
