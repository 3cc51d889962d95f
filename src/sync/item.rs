//! One item: its addresses, its files, its record. What fails is repeated, then set aside.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::civil::DateTime;

use super::Pass;
use super::claims::Claim;
use super::lister::Work;
use super::mint::Minted;
use super::report::Outcome;
use crate::ingest::verify::Expectation;
use crate::ingest::{self, IngestError, Origin, Revision, StoredPart};
use crate::model::name;
use crate::model::{
    ErrorClass, FetchEvidence, PartRecord, PartRole, Quality, RemoteItem, Sha1, Sha256, Verdict,
};
use crate::remote::steady::steady;
use crate::remote::viewer::Seen;
use crate::remote::{self, Body, Offer, RemoteError, RemoteLibrary};
use crate::store::{PartialBlob, QuarantineNote, RecordName};

/// One item on its way into the archive.
pub(crate) struct Item<R> {
    pass: Arc<Pass<R>>,
    work: Work,
    /// Bytes that were doubted, by part: should they come again, Google holds no others.
    doubted: HashMap<PartRole, Sha256>,
    stored: Vec<StoredPart>,
    /// Parts whose very bytes are archived under another key: nothing to fetch.
    adopted: Vec<PartRecord>,
    /// Addresses made ahead; used once.
    offers: Option<Result<Vec<Offer>, RemoteError>>,
    /// The latest addresses say that the item was edited.
    edited: bool,
    /// Wall clock of the capture as the photo's page showed it.
    shown: Option<DateTime>,
    /// The photo's page named another file than the one that came.
    misnamed: bool,
    /// Head of the latest answer that brought bytes.
    head: Option<String>,
}

/// Refusals because of load that an item may meet before they count as its own trouble.
const MOST_THROTTLED: usize = 12;

/// By so much a file may exceed twice the listed size, which may be of another part: the clip of a Live Photo, a
/// rendition.
const MORE_THAN_LISTED: u64 = 64 << 20;
/// No file at Google is larger, bytes: it takes videos of up to 20 GB.
const LARGEST: u64 = 32 << 30;

/// Longest wait for somebody else who fetches the same upload.
const LONGEST_CLAIM: Duration = Duration::from_secs(600);

/// What an attempt left undone.
struct Trouble {
    error: IngestError,
    role: PartRole,
}

impl<R: RemoteLibrary> Item<R> {
    pub(crate) fn new(pass: Arc<Pass<R>>, minted: Minted) -> Self {
        let Minted { work, offers } = minted;
        let (doubted, stored, adopted) = (HashMap::new(), Vec::new(), Vec::new());
        Self {
            pass,
            work,
            doubted,
            stored,
            adopted,
            offers,
            edited: false,
            shown: None,
            misnamed: false,
            head: None,
        }
    }

    /// Archives it. An `Err` concerns every item and ends the pass; trouble of this item alone does not.
    pub(crate) async fn archive(mut self) -> Result<(), Outcome> {
        let stop = self.pass.stop.clone();
        if !self.work.fetch {
            return self.finish(None).await;
        }
        if self.work.in_doubt {
            self.look_at_files().await.map_err(Outcome::from)?;
        }
        let _claim = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            // Whoever has it may keep quiet hours, which are not ours: then the same bytes come twice.
            claim = tokio::time::timeout(LONGEST_CLAIM, self.claim()) => claim.ok(),
        };
        let mut delays = self.pass.pace.delays(self.pass.options.attempts);
        let mut waits = self.pass.pace.delays(MOST_THROTTLED);
        loop {
            let attempt = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                attempt = self.attempt() => attempt,
            };
            let Err(trouble) = attempt else { return self.finish(None).await };
            match trouble.error.class() {
                ErrorClass::Transient if is_futile(&trouble.error) => {
                    return self.finish(Some(trouble)).await;
                }
                ErrorClass::Transient => {}
                // Drift of a single item's answer is that item's trouble; the listing judges the rest.
                ErrorClass::RemoteChanged => return self.finish(Some(trouble)).await,
                _ => return Err(trouble.error.into()),
            }
            if let IngestError::Remote(error) = &trouble.error {
                self.pass.pace.heard(error);
            }
            if let IngestError::Rejected { sha256, .. } = &trouble.error {
                self.doubted.insert(trouble.role, *sha256);
            }
            // A server under load is no fault of this item: everybody waits, and nobody's attempts are spent.
            let overload = matches!(trouble.error, IngestError::Remote(RemoteError::Throttled { .. }));
            let next = if overload { waits.next() } else { delays.next() };
            let Some(delay) = next else { return self.finish(Some(trouble)).await };
            tracing::debug!(key = %self.work.item.key, "{}; trying again", trouble.error);
            self.pass.progress.add_retry();
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    /// One attempt at all parts that are still missing, with fresh addresses.
    async fn attempt(&mut self) -> Result<(), Trouble> {
        let trouble = |role| move |error: RemoteError| Trouble { error: error.into(), role };
        let offers = match self.offers.take() {
            Some(offers) => offers,
            None => {
                self.pass.pace.call_turn().await;
                self.pass.remote.offers(&self.work.item.key, self.work.through.as_ref()).await
            }
        };
        let offers = offers.map_err(trouble(PartRole::Original))?;
        self.adopt().await.map_err(|error| Trouble { error, role: PartRole::Original })?;
        self.edited = offers.iter().any(|offer| offer.role == PartRole::Edited);
        for offer in offers {
            if self.is_safe(offer.role) {
                continue;
            }
            let role = offer.role;
            let parts = self.fetch(&offer).await.map_err(|error| Trouble { error, role })?;
            self.stored.extend(parts);
        }
        Ok(())
    }

    /// Whether a part needs no fetching: this pass has it, or an earlier one and nothing says it has changed.
    fn is_safe(&self, role: PartRole) -> bool {
        let now = self.stored.iter().any(|part| part.entry.role == role)
            || self.adopted.iter().any(|part| part.role == role);
        now || (self.is_archived(role) && !self.work.again.contains(&role))
    }

    fn is_archived(&self, role: PartRole) -> bool {
        self.work.known.as_ref().is_some_and(|known| known.parts.iter().any(|(have, _)| *have == role))
    }

    /// The SHA-1 of the upload, where the listing gives it and Google holds those bytes.
    fn upload(&self) -> Option<Sha1> {
        let item = &self.work.item;
        item.dedup_key.as_ref().filter(|_| !item.partial_upload)?.sha1()
    }

    /// Keeps other items with the same bytes waiting: what this one brings need not come twice.
    async fn claim(&self) -> Option<Claim> {
        Some(self.pass.options.shared.claims.take(self.upload()?).await)
    }

    /// Reads what is archived of it: what is damaged or gone is fetched again.
    async fn look_at_files(&mut self) -> Result<(), IngestError> {
        let Some(known) = &self.work.known else { return Ok(()) };
        let (parts, store) = (known.parts.clone(), self.pass.archive.store.clone());
        let unsound = ingest::blocking(move || {
            let mut unsound = Vec::new();
            for (role, sha256) in parts {
                if !store.is_sound(&sha256)? {
                    unsound.push(role);
                }
            }
            Ok(unsound)
        });
        self.work.again.extend(unsound.await?);
        Ok(())
    }

    /// Takes the original from the archive where the same upload is there already, under another key.
    async fn adopt(&mut self) -> Result<(), IngestError> {
        let Some(upload) = self.upload().filter(|_| !self.is_safe(PartRole::Original)) else { return Ok(()) };
        let pass = Arc::clone(&self.pass);
        // A Live Photo may share its still with a plain photo; what is taken over must have the video, too.
        let live = self.work.item.live;
        let found = ingest::blocking(move || {
            let reader = pass.reader.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let Some(name) = reader.record_with(&upload)? else { return Ok(None) };
            let record = pass.archive.store.read_record(&name)?;
            let parts = &record.record().parts;
            let Some(still) = parts.iter().find(|part| part.sha1 == upload) else { return Ok(None) };
            // One that was adopted may only be called like the still: then Google's own word is asked for.
            let is_its_video = |part: &&PartRecord| {
                let mark = &part.facts.content_id;
                part.role == PartRole::Motion
                    && (part.fetched.via != FetchEvidence::ADOPTED
                        || (mark.is_some() && *mark == still.facts.content_id))
            };
            let videos = parts.iter().filter(|part| live && is_its_video(part));
            let video = videos.max_by_key(|part| part.version);
            if live && video.is_none() {
                return Ok(None);
            }
            for part in std::iter::once(still).chain(video) {
                // A damaged file is nothing to rely upon; the bytes that are fetched instead mend it.
                if !pass.archive.store.is_sound(&part.sha256)? {
                    return Ok(None);
                }
            }
            Ok(Some((still.clone(), video.cloned())))
        });
        if let Some((still, video)) = found.await? {
            tracing::debug!(key = %self.work.item.key, "these bytes are archived under another key");
            let (role, verdict) = (PartRole::Original, Verdict::MatchesUpload);
            let name = self.work.details.name.clone();
            self.adopted.push(PartRecord { role, verdict, name, version: 1, ..still });
            if let Some(video) = video.filter(|_| !self.is_safe(PartRole::Motion)) {
                let name = self.part_name(PartRole::Motion);
                self.adopted.push(PartRecord { name, version: 1, ..video });
            }
        }
        Ok(())
    }

    async fn fetch(&mut self, offer: &Offer) -> Result<Vec<StoredPart>, IngestError> {
        let pass = Arc::clone(&self.pass);
        let store = &pass.archive.store;
        let turn = pass.pace.download_turn().await;
        let (mut partial, mut origin) = self.transfer(offer).await?;
        let saver = self.quality() == Quality::StorageSaver;
        let proven = offer.role == PartRole::Original && self.upload().is_some() && !saver;
        // The viewer compares names and times, and a page at a time is slow enough.
        if !proven && (!offer.url.starts_with("viewer:") || self.misnamed) {
            // Google gives no hash of these: another item's file in their place would be believed.
            pass.progress.add_bytes(partial.size());
            let again = self.transfer(offer).await?;
            self.agree(offer.role, partial, &again.0).await?;
            (partial, origin) = again;
        }
        if proven && self.upload() != Some(partial.digests().sha1) {
            // However often another item's file comes, it is not this one's.
            let sha256 = partial.digests().sha256;
            if self.is_anothers(sha256).await? {
                let reason = "these are the bytes of another item".into();
                return Err(IngestError::Rejected { reason, sha256, partial: Box::new(partial) });
            }
        }
        if let (true, PartRole::Original, Some(name)) = (self.work.unnamed, offer.role, &origin.claim.name)
            // The name of Google's wrapping is none of the photo's.
            && !name.to_ascii_lowercase().ends_with(".zip")
        {
            self.work.details.name.clone_from(name);
        }
        // The network is free for the next file while this one is verified and made durable.
        drop(turn);
        pass.progress.add_bytes(partial.size());
        let expected = self.expectation(offer.role, origin.claim.length);
        let (store, name) = (store.clone(), self.part_name(offer.role));
        ingest::blocking(move || ingest::keep(&store, partial, &name, &expected, &origin)).await
    }

    /// One transfer of an offered file.
    async fn transfer(&mut self, offer: &Offer) -> Result<(PartialBlob, Origin), IngestError> {
        let pass = Arc::clone(&self.pass);
        // A browser writes its downloads itself and asks nobody for room.
        pass.archive.store.has_room_for(self.work.details.size.unwrap_or(0))?;
        let began = Instant::now();
        let download = pass.remote.fetch(offer).await?;
        let waited = began.elapsed();
        if let Some(seen) = &download.seen {
            self.learn(seen);
        }
        let (mut origin, body) = Origin::of(download, pass.clock.now());
        self.head.clone_from(&origin.claim.head);
        let body = match body {
            Body::Stream(stream) => Body::Stream(steady(stream, self.most_bytes(&origin.claim))),
            file @ Body::File(_) => file,
        };
        let partial = ingest::receive(&pass.archive.store, pass.pace.measured(body), &origin.claim).await?;
        pass.pace.went_well(waited);
        origin.at = pass.clock.now();
        Ok((partial, origin))
    }

    /// More bytes than this are no file of this item.
    fn most_bytes(&self, claim: &remote::Claim) -> u64 {
        let listed =
            self.work.details.size.map(|size| size.saturating_mul(2).saturating_add(MORE_THAN_LISTED));
        claim.length.or(listed).unwrap_or(LARGEST)
    }

    /// Two transfers must agree, and not be what another item is known to hold, unless that comes again from
    /// a fresh address.
    async fn agree(
        &self,
        role: PartRole,
        first: PartialBlob,
        second: &PartialBlob,
    ) -> Result<(), IngestError> {
        let sha256 = first.digests().sha256;
        let reject = |reason: &str, first| {
            Err(IngestError::Rejected { reason: reason.into(), sha256, partial: Box::new(first) })
        };
        if sha256 != second.digests().sha256 {
            return reject("two transfers of it brought different bytes", first);
        }
        if self.doubted.get(&role) == Some(&sha256) {
            return Ok(());
        }
        if self.is_anothers(sha256).await? {
            return reject("these are the bytes of another item", first);
        }
        Ok(())
    }

    /// Whether these bytes are archived as the original of another item.
    async fn is_anothers(&self, sha256: Sha256) -> Result<bool, IngestError> {
        let (pass, key) = (Arc::clone(&self.pass), self.work.item.key.clone());
        ingest::blocking(move || {
            let reader = pass.reader.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            Ok(reader.is_anothers_original(&pass.remote.account(), &key, &sha256)?)
        })
        .await
    }

    fn quality(&self) -> Quality {
        let Work { item, details, .. } = &self.work;
        if details.quality == Quality::Unknown { item.quality } else { details.quality }
    }

    /// Takes over what the photo's page says, where the listing has said less.
    fn learn(&mut self, seen: &Seen) {
        self.shown = seen.local;
        self.misnamed = seen.named_otherwise;
        let Work { item, details, unnamed, .. } = &mut self.work;
        if *unnamed && !seen.name.is_empty() {
            details.name.clone_from(&seen.name);
            *unnamed = false;
        }
        details.description = details.description.take().or_else(|| seen.description.clone());
        if item.zone_offset_ms.is_none() {
            // The tile's time is local and has seconds; the panel's is too, with its zone beside it.
            let exact = item.taken_ms.map(|ms| ms - seen.zone_offset_ms.unwrap_or(0));
            let same = |exact: &i64| seen.taken_ms.is_none_or(|ms| (exact - ms).abs() < 60_000);
            item.taken_ms = exact.filter(same).or(seen.taken_ms).or(item.taken_ms);
            item.zone_offset_ms = seen.zone_offset_ms;
        }
    }

    fn expectation(&self, role: PartRole, claimed_length: Option<u64>) -> Expectation {
        let Work { item, details, .. } = &self.work;
        let quality = self.quality();
        // Of an edited, unfinished or two-part item nobody knows which file the listed size is of.
        let unclear = self.edited || item.partial_upload || item.live;
        Expectation {
            role,
            // While a phone is still uploading, Google holds a smaller stand-in.
            dedup_key: item.dedup_key.clone().filter(|_| !item.partial_upload),
            quality,
            listed_size: details.size.filter(|_| role == PartRole::Original),
            size_is_firm: !unclear,
            claimed_length,
            shown: self.shown,
            seen_before: self.doubted.get(&role).copied(),
        }
    }

    /// Name of a part by the item's name; a zip names its own parts.
    fn part_name(&self, role: PartRole) -> String {
        let name = &self.work.details.name;
        match (role, name.rsplit_once('.')) {
            (PartRole::Motion, Some((stem, _))) => format!("{stem}.mov"),
            (PartRole::Motion, None) => format!("{name}.mov"),
            _ => name.clone(),
        }
    }

    /// Writes the record of what is safe, and notes what is not.
    async fn finish(mut self, trouble: Option<Trouble>) -> Result<(), Outcome> {
        let failed = |e: IngestError| Outcome::from(e);
        let have_original = self.is_safe(PartRole::Original) || self.is_archived(PartRole::Original);
        let fetched = self.stored.len() as u64;
        if trouble.is_none() {
            self.tell_without_video();
        }
        if let (Some(_), Some(known)) = (&trouble, &self.work.known) {
            // What Google says now stays unrecorded until the files that it calls for are there: recorded
            // already, it would no longer ask for them.
            self.work.item = RemoteItem::as_recorded(self.work.item.key.clone(), &known.remote);
            self.work.details = known.details(&self.work.item.key);
        }
        if have_original {
            let (stored, adopted) = (std::mem::take(&mut self.stored), std::mem::take(&mut self.adopted));
            let (pass, work) = (Arc::clone(&self.pass), self.work.clone());
            let is_new = work.known.is_none();
            let written = ingest::blocking(move || record(&pass, &work, &stored, &adopted)).await;
            match written.map_err(failed)? {
                true if is_new || fetched > 0 => self.pass.progress.add_archived(fetched),
                true => self.pass.progress.add_revised(),
                false => self.pass.progress.add_unchanged(),
            }
        }
        match trouble {
            Some(trouble) => self.set_aside(trouble).await.map_err(failed),
            None if self.work.known.is_some() => self.settle().await.map_err(failed),
            None => Ok(()),
        }
    }

    /// Says that Google calls a new still live, but has handed out no video of it, neither beside it nor in it.
    fn tell_without_video(&self) {
        let still = self.stored.iter().find(|part| part.entry.role == PartRole::Original);
        let alone = still.is_some_and(|still| !still.entry.facts.embedded_motion);
        if self.work.item.live && alone && !self.is_safe(PartRole::Motion) {
            let (key, name) = (&self.work.item.key, &self.work.details.name);
            tracing::warn!(%key, ?name, "Google calls this a Live Photo, but handed out no video of it");
            self.pass.progress.add_without_video();
        }
    }

    /// All of it is done: earlier failures and the change that called for it are history.
    async fn settle(self) -> Result<(), IngestError> {
        let (pass, work) = (self.pass, self.work);
        ingest::blocking(move || {
            let writer = pass.archive.index.writer();
            writer.clear_failure(&pass.remote.account(), &work.item.key)?;
            if let Some(sighting) = work.sighting {
                let listing = pass.listing.load(Ordering::Relaxed);
                writer.note_sightings(listing, &pass.remote.account(), vec![sighting])?;
            }
            Ok(())
        })
        .await
    }

    async fn set_aside(self, trouble: Trouble) -> Result<(), IngestError> {
        let reason = format!("{}: {}", trouble.role.word(), trouble.error);
        tracing::warn!(key = %self.work.item.key, name = ?self.work.details.name, "set aside: {reason}");
        self.pass.progress.add_set_aside();
        let (pass, key, name, head) = (self.pass, self.work.item.key, self.work.details.name, self.head);
        let bytes: Option<PartialBlob> = match trouble.error {
            IngestError::Rejected { partial, .. } => Some(*partial),
            _ => None,
        };
        ingest::blocking(move || {
            let at = pass.clock.now();
            if let Some(bytes) = bytes {
                let note = QuarantineNote {
                    key: Some(key.clone()),
                    role: Some(trouble.role),
                    name: Some(name.clone()),
                    reason: reason.clone(),
                    at,
                    response: head,
                };
                pass.archive.store.quarantine(bytes, &note)?;
            }
            let account = pass.remote.account();
            pass.archive.index.writer().note_failure(&account, &key, &name, &reason, at)?;
            Ok(())
        })
        .await
    }
}

/// Whether trying again in this pass is no use.
fn is_futile(error: &IngestError) -> bool {
    matches!(error, IngestError::Remote(RemoteError::NotYet(_)))
}

/// Composes, stores and indexes the record, unless it says nothing new. Blocking.
fn record<R: RemoteLibrary>(
    pass: &Pass<R>,
    work: &Work,
    stored: &[StoredPart],
    adopted: &[PartRecord],
) -> Result<bool, IngestError> {
    let store = &pass.archive.store;
    let account = pass.remote.account();
    let _turn = pass.archive.turn();
    // What was known when the work was planned may have got another revision since.
    let key = &work.item.key;
    let known = pass
        .reader
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .known(std::slice::from_ref(key))?;
    let previous = match known.get(key) {
        Some(known) => Some(store.read_record(&RecordName {
            key: key.clone(),
            seq: known.seq,
            sha256: known.record_sha256,
        })?),
        None => None,
    };
    let original = stored.iter().map(|part| &part.entry).chain(adopted);
    let original = original.clone().find(|part| part.role == PartRole::Original).map(|part| part.sha1);
    // What was adopted goes on under the library's key: a number and a path are for ever.
    let heir_of = match original {
        Some(sha1) if previous.is_none() && work.through.is_none() => {
            let reader = pass.reader.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let found = reader.adopted(&sha1, key)?.map(|name| store.read_record(&name)).transpose()?;
            // A key alone is a hint: with other bytes, the name must be the same, or a photo that is nowhere else would
            // be hidden behind this one.
            found.filter(|found| {
                let adopted = found.record();
                let same_bytes = adopted.part(PartRole::Original).is_some_and(|part| part.sha1 == sha1);
                same_bytes || name::fold(&adopted.name) == name::fold(&work.details.name)
            })
        }
        _ => None,
    };
    let revision = Revision {
        previous: previous.as_ref().map(|stored| (stored.record(), *stored.sha256())),
        heir_of: heir_of.as_ref().map(crate::store::StoredRecord::record),
        item: &work.item,
        details: &work.details,
        account: &account,
        at: pass.clock.now(),
    };
    let parts: Vec<_> = stored.iter().map(|part| &part.entry).chain(adopted).cloned().collect();
    let Some(record) = ingest::compose(store, &revision, &parts)? else { return Ok(false) };
    let blobs: Vec<_> = stored.iter().map(|part| &part.blob).collect();
    let record = store.put_record(&record, &blobs)?;
    pass.archive.index.writer().apply(record)?;
    Ok(true)
}
