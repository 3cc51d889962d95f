//! The one way into the archive: receive, verify, store, record, index.
//!
//! ```text
//! Download ──receive──▶ PartialBlob ──verify──▶ VerifiedBlob ──store──▶ StoredBlob ──record──▶ StoredRecord ──▶ index
//! ```
//! Each arrow is one function here; the types make another order impossible.

pub mod unpack;
pub mod verify;

use futures_util::StreamExt;
use jiff::Timestamp;
use serde_json::Map;

use self::verify::Expectation;
use crate::index::IndexError;
use crate::media;
use crate::model::record::SCHEMA;
use crate::model::{
    CaptureTime, ErrorClass, FetchEvidence, ItemDetails, ItemRecord, ItemState, PartRecord, PartRole,
    RemoteFacts, RemoteItem, Sha256, Verdict,
};
use crate::remote::{Body, Claim, Download, RemoteError};
use crate::store::{PartialBlob, Store, StoreError, StoredBlob};

/// Why a part did not enter the archive.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The transfer failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The archive failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The bytes came, and are not what they should be.
    #[error("{reason}")]
    Rejected {
        /// What is wrong with them.
        reason: String,
        /// Their name, to recognise them should they come again.
        sha256: Sha256,
        /// The bytes, to be looked at.
        partial: Box<PartialBlob>,
    },
}

impl IngestError {
    /// Bytes that must become free before it can go on, where the volume is full.
    pub fn lacks_space(&self) -> Option<u64> {
        match self {
            Self::Store(error) => error.lacks_space(),
            Self::Index(error) => error.lacks_space(),
            Self::Remote(_) | Self::Rejected { .. } => None,
        }
    }

    /// The class that decides retry and exit code.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Remote(e) => e.class(),
            Self::Store(e) => e.class(),
            Self::Index(e) => e.class(),
            Self::Rejected { .. } => ErrorClass::Transient,
        }
    }
}

/// A part that is safe, with what is known of it.
pub struct StoredPart {
    /// Proof that its bytes are durable.
    pub blob: StoredBlob,
    /// Its entry in the record.
    pub entry: PartRecord,
}

/// Chunks that may wait between network and disk; the HTTP library's are at most 400 KiB.
const WAITING_CHUNKS: usize = 8;

/// Receives a download into the archive's `tmp`, hashing as it arrives.
pub async fn receive(store: &Store, body: Body, claim: &Claim) -> Result<PartialBlob, IngestError> {
    let mut stream = match body {
        Body::File(path) => {
            let store = store.clone();
            return blocking(move || store.adopt(&path).map_err(IngestError::from)).await;
        }
        Body::Stream(stream) => stream,
    };
    let (sender, mut chunks) = tokio::sync::mpsc::channel::<bytes::Bytes>(WAITING_CHUNKS);
    let (store, length) = (store.clone(), claim.length);
    let writer = tokio::task::spawn_blocking(move || {
        let mut partial = store.begin(length)?;
        while let Some(chunk) = chunks.blocking_recv() {
            partial.write(&chunk)?;
        }
        Ok::<_, StoreError>(partial)
    });
    let mut cut = None;
    while let Some(chunk) = stream.next().await {
        match chunk {
            // A closed channel means that writing failed: the writer says why.
            Ok(chunk) => {
                if sender.send(chunk).await.is_err() {
                    break;
                }
            }
            Err(e) => {
                cut = Some(e);
                break;
            }
        }
    }
    drop(sender);
    let partial = writer.await.map_err(|e| RemoteError::Transient(e.to_string()))??;
    match cut {
        Some(e) => Err(e.into()),
        None => Ok(partial),
    }
}

/// Where a part's bytes came from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// `direct` or `browser`.
    pub via: &'static str,
    /// Host that served them.
    pub host: String,
    /// What the server claimed.
    pub claim: Claim,
    /// When the last byte arrived.
    pub at: Timestamp,
}

impl Origin {
    /// Splits a download into its bytes and where they come from; `at` is set when they are there.
    pub fn of(download: Download, now: Timestamp) -> (Self, Body) {
        let Download { claim, via, host, body, seen: _ } = download;
        (Self { via, host, claim, at: now }, body)
    }
}

/// Verifies received bytes and makes them durable; a Live Photo's zip becomes its two parts.
/// Blocking: hashes, reads and syncs files.
pub fn keep(
    store: &Store,
    partial: PartialBlob,
    name: &str,
    expected: &Expectation,
    origin: &Origin,
) -> Result<Vec<StoredPart>, IngestError> {
    if expected.role == PartRole::Original
        && media::kind::of(&*partial.bytes()) == media::kind::Kind::Zip
        && !name.to_ascii_lowercase().ends_with(".zip")
    {
        return unpack::live_photo(store, partial, name, expected, origin);
    }
    Ok(vec![keep_one(store, partial, name, expected, origin)?])
}

fn keep_one(
    store: &Store,
    partial: PartialBlob,
    name: &str,
    expected: &Expectation,
    origin: &Origin,
) -> Result<StoredPart, IngestError> {
    let bytes = partial.bytes();
    let verified = partial.verify(|bytes, digests| expected.check(&bytes, digests)).map_err(|rejected| {
        let sha256 = rejected.partial.digests().sha256;
        IngestError::Rejected { reason: rejected.reason, sha256, partial: Box::new(rejected.partial) }
    })?;
    let digests = *verified.digests();
    let facts = media::inspect(&*bytes, name);
    let blob = store.put(verified)?;
    let verdict = Verdict::judge(
        expected.role,
        &digests,
        expected.dedup_key.as_ref(),
        expected.listed_size.filter(|_| expected.size_is_firm),
        expected.quality,
    );
    let entry = PartRecord {
        role: expected.role,
        version: 1,
        name: name.to_owned(),
        sha256: digests.sha256,
        sha1: digests.sha1,
        size: digests.size,
        verdict,
        facts,
        fetched: FetchEvidence {
            at: origin.at,
            via: origin.via.to_owned(),
            host: origin.host.clone(),
            claimed_length: origin.claim.length,
            claimed_type: origin.claim.media_type.clone(),
            tool: FetchEvidence::TOOL.to_owned(),
        },
        unknown: Map::new(),
    };
    Ok(StoredPart { blob, entry })
}

/// What a new record builds on.
pub struct Revision<'a> {
    /// The latest record of the item and the hash of its file, if there is one.
    pub previous: Option<(&'a ItemRecord, Sha256)>,
    /// What was adopted and turns out to be this item, if there is no such record.
    pub heir_of: Option<&'a ItemRecord>,
    /// The item as listed.
    pub item: &'a RemoteItem,
    /// Its name and size.
    pub details: &'a ItemDetails,
    /// The account that listed it.
    pub account: &'a str,
    /// Now.
    pub at: Timestamp,
}

/// Composes the record that acknowledges the parts; parts of the previous revision stay. `None` where it
/// would say nothing that the previous revision does not.
pub fn compose(
    store: &Store,
    revision: &Revision<'_>,
    parts: &[PartRecord],
) -> Result<Option<ItemRecord>, StoreError> {
    let Revision { previous, heir_of, item, details, account, at } = revision;
    // What the view's paths follow from stays as it was first recorded.
    let first = previous.map(|(record, _)| record).or(*heir_of);
    let mut entries: Vec<PartRecord> = first.map(|record| record.parts.clone()).unwrap_or_default();
    for part in parts {
        let same_role = entries.iter().filter(|entry| entry.role == part.role);
        // Other bytes than before are a further version: the earlier ones stay. The same bytes are no news.
        let Some(latest) = same_role.max_by_key(|entry| entry.version) else {
            entries.push(part.clone());
            continue;
        };
        if latest.sha256 == part.sha256 {
            // The same bytes are proven where they were only adopted.
            let (role, version) = (latest.role, latest.version);
            let same = |entry: &&mut PartRecord| entry.role == role && entry.version == version;
            if heir_of.is_some()
                && let Some(entry) = entries.iter_mut().find(same)
            {
                entry.verdict = part.verdict;
            }
        } else {
            let version = latest.version + 1;
            entries.push(PartRecord { version, ..part.clone() });
        }
    }
    entries.sort_by_key(|entry| (entry.role, entry.version));
    let remote = RemoteFacts::of(item, details);
    let is_news = previous.is_none_or(|(record, _)| {
        record.remote != remote || record.parts != entries || record.state != ItemState::Present
    });
    if !is_news {
        return Ok(None);
    }
    let no_facts = crate::model::MediaFacts::default();
    let facts = entries.first().map_or(&no_facts, |entry| &entry.facts);
    let ordinal = match first {
        Some(record) => record.ordinal,
        None => store.next_ordinal()?,
    };
    Ok(Some(ItemRecord {
        schema: SCHEMA,
        key: item.key.clone(),
        seq: previous.map_or(1, |(record, _)| record.seq + 1),
        previous: previous.map(|(_, sha256)| sha256),
        ordinal,
        account: (*account).to_owned(),
        recorded_at: *at,
        state: ItemState::Present,
        name: first.map_or_else(|| details.name.clone(), |record| record.name.clone()),
        taken: first.map_or_else(|| CaptureTime::choose(facts, *item), |record| record.taken),
        remote,
        parts: entries,
        formerly: match previous {
            Some((record, _)) => record.formerly.clone(),
            None => heir_of.map(|record| record.key.clone()),
        },
        adopted: first.and_then(|record| record.adopted.clone()),
        unknown: previous.map(|(record, _)| record.unknown.clone()).unwrap_or_default(),
    }))
}

/// Runs blocking work off the async threads.
pub async fn blocking<T, F>(work: F) -> Result<T, IngestError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, IngestError> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| IngestError::Remote(RemoteError::Transient(format!("a worker failed: {e}"))))?
}
