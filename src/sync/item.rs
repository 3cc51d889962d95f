//! One item: its addresses, its files, its record. What fails is repeated, then set aside.

use std::collections::HashMap;
use std::sync::Arc;

use super::Pass;
use super::listing::Work;
use super::report::Outcome;
use crate::ingest::verify::Expectation;
use crate::ingest::{self, IngestError, Origin, Revision, StoredPart};
use crate::model::{ErrorClass, PartRole, Quality, Sha256};
use crate::remote::{Offer, RemoteError, RemoteLibrary};
use crate::store::{PartialBlob, QuarantineNote, RecordName};

/// One item on its way into the archive.
pub(crate) struct Item<R> {
    pass: Arc<Pass<R>>,
    work: Work,
    /// Bytes that were doubted, by part: should they come again, Google holds no others.
    doubted: HashMap<PartRole, Sha256>,
    stored: Vec<StoredPart>,
    /// The latest addresses say that the item was edited.
    edited: bool,
}

/// What an attempt left undone.
struct Trouble {
    error: IngestError,
    role: PartRole,
}

impl<R: RemoteLibrary> Item<R> {
    pub(crate) fn new(pass: Arc<Pass<R>>, work: Work) -> Self {
        Self { pass, work, doubted: HashMap::new(), stored: Vec::new(), edited: false }
    }

    /// Archives it. An `Err` concerns every item and ends the pass; trouble of this item alone does not.
    pub(crate) async fn archive(mut self) -> Result<(), Outcome> {
        let stop = self.pass.stop.clone();
        let mut delays = self.pass.pace.delays(self.pass.options.attempts);
        loop {
            let attempt = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                attempt = self.attempt() => attempt,
            };
            let Err(trouble) = attempt else { return self.finish(None).await };
            match trouble.error.class() {
                ErrorClass::Transient => {}
                // Drift of a single item's answer is that item's trouble; the listing judges the rest.
                ErrorClass::RemoteChanged => return self.finish(Some(trouble)).await,
                class => return Err(Outcome::of(class, trouble.error.to_string())),
            }
            if let IngestError::Remote(RemoteError::Throttled { after: Some(after), .. }) = &trouble.error {
                self.pass.pace.hold(*after);
            }
            if let IngestError::Rejected { sha256, .. } = &trouble.error {
                self.doubted.insert(trouble.role, *sha256);
            }
            let Some(delay) = delays.next() else { return self.finish(Some(trouble)).await };
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
        self.pass.pace.wait().await;
        let offers =
            self.pass.remote.offers(&self.work.item.key).await.map_err(trouble(PartRole::Original))?;
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

    fn is_safe(&self, role: PartRole) -> bool {
        let known = self.work.known.as_ref();
        known.is_some_and(|known| known.parts.iter().any(|(have, _)| *have == role))
            || self.stored.iter().any(|part| part.entry.role == role)
    }

    async fn fetch(&self, offer: &Offer) -> Result<Vec<StoredPart>, IngestError> {
        let pass = &self.pass;
        let store = &pass.archive.store;
        let turn = pass.turns.acquire().await.map_err(|e| RemoteError::Transient(e.to_string()))?;
        pass.pace.wait().await;
        let download = pass.remote.fetch(offer).await?;
        let (mut origin, body) = Origin::of(download, pass.clock.now());
        let partial = ingest::receive(store, body, &origin.claim).await?;
        origin.at = pass.clock.now();
        // The network is free for the next file while this one is verified and made durable.
        drop(turn);
        pass.progress.add_bytes(partial.size());
        let expected = self.expectation(offer.role, origin.claim.length);
        let (store, name) = (store.clone(), self.part_name(offer.role));
        ingest::blocking(move || ingest::keep(&store, partial, &name, &expected, &origin)).await
    }

    fn expectation(&self, role: PartRole, claimed_length: Option<u64>) -> Expectation {
        let Work { item, details, .. } = &self.work;
        let quality = if details.quality == Quality::Unknown { item.quality } else { details.quality };
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
        let failed = |e: IngestError| Outcome::of(e.class(), e.to_string());
        let have_original = self.is_safe(PartRole::Original);
        let new_parts = self.stored.len() as u64;
        if have_original && new_parts > 0 {
            let stored = std::mem::take(&mut self.stored);
            let (pass, work) = (Arc::clone(&self.pass), self.work.clone());
            ingest::blocking(move || record(&pass, &work, &stored)).await.map_err(failed)?;
            self.pass.progress.add_archived(new_parts);
        }
        match trouble {
            Some(trouble) => self.set_aside(trouble).await.map_err(failed),
            None if self.work.known.is_some() => self.clear_failure().await.map_err(failed),
            None => Ok(()),
        }
    }

    async fn clear_failure(self) -> Result<(), IngestError> {
        let (pass, key) = (self.pass, self.work.item.key);
        ingest::blocking(move || {
            pass.archive.index.writer().clear_failure(&key)?;
            Ok(())
        })
        .await
    }

    async fn set_aside(self, trouble: Trouble) -> Result<(), IngestError> {
        let reason = format!("{}: {}", trouble.role.word(), trouble.error);
        tracing::warn!(key = %self.work.item.key, name = ?self.work.details.name, "set aside: {reason}");
        self.pass.progress.add_set_aside();
        let (pass, key, name) = (self.pass, self.work.item.key, self.work.details.name);
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
                    response: None,
                };
                pass.archive.store.quarantine(bytes, &note)?;
            }
            pass.archive.index.writer().note_failure(&key, &name, &reason, at)?;
            Ok(())
        })
        .await
    }
}

/// Composes, stores and indexes the record. Blocking.
fn record<R: RemoteLibrary>(pass: &Pass<R>, work: &Work, stored: &[StoredPart]) -> Result<(), IngestError> {
    let store = &pass.archive.store;
    let previous = match &work.known {
        Some(known) => {
            let (key, seq) = (work.item.key.clone(), known.seq);
            Some(store.read_record(&RecordName { key, seq, sha256: known.record_sha256 })?)
        }
        None => None,
    };
    let account = pass.remote.account();
    let _turn = pass.recording.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let revision = Revision {
        previous: previous.as_ref().map(|stored| (stored.record(), *stored.sha256())),
        item: &work.item,
        details: &work.details,
        account: &account,
        at: pass.clock.now(),
    };
    let record = ingest::compose(store, &revision, stored)?;
    let blobs: Vec<_> = stored.iter().map(|part| &part.blob).collect();
    let record = store.put_record(&record, &blobs)?;
    pass.archive.index.writer().apply(record)?;
    Ok(())
}
