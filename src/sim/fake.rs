//! The same library without browser and sockets, for the many tests that need neither.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::json;

use super::faults::{Fault, RequestClass};
use super::library::SimItem;
use super::{Faults, Ledger, Library, LiveAs, SimConfig};
use crate::model::{ItemDetails, MediaKey, PartRole, Quality, RemoteItem};
use crate::remote::{Body, ByteStream, Claim, Cursor, Download, ListPage, Offer, RemoteError, RemoteLibrary};

/// A library behind the trait, with the fault script where it makes sense.
pub struct FakeLibrary {
    library: Library,
    faults: Faults,
    page: usize,
    fetches: AtomicU64,
}

impl FakeLibrary {
    /// The library that a simulator of this configuration would serve; Live Photos come as clips.
    pub fn new(config: SimConfig) -> Self {
        let config = SimConfig { live: LiveAs::Clip, ..config };
        let (seed, page) = (config.seed, config.page);
        Self { library: Library::new(config), faults: Faults::new(seed), page, fetches: AtomicU64::new(0) }
    }

    /// The truth.
    pub fn ledger(&self) -> Ledger {
        self.library.ledger()
    }

    /// The library, to change it.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// The fault script.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Files fetched so far.
    pub fn fetches(&self) -> u64 {
        self.fetches.load(Ordering::Relaxed)
    }

    async fn strike(&self, class: RequestClass, item: Option<&str>) -> Result<Vec<Fault>, RemoteError> {
        let struck = self.faults.strike(&class, item);
        for fault in &struck {
            match fault {
                Fault::Latency(delay) => tokio::time::sleep(*delay).await,
                Fault::Status(429 | 503, after) => {
                    let after = after.map(Duration::from_secs);
                    return Err(RemoteError::Throttled { reason: "status 429".into(), after });
                }
                Fault::Status(status, _) => return Err(RemoteError::Transient(format!("status {status}"))),
                Fault::Reset | Fault::Null => {
                    return Err(RemoteError::Transient("the connection broke".into()));
                }
                Fault::SessionExpired => {
                    return Err(RemoteError::SignedOut { evidence: "the session has lapsed".into() });
                }
                Fault::Drift => {
                    let what = "fake".to_owned();
                    return Err(RemoteError::Drift {
                        what,
                        at: "field 3".into(),
                        skeleton: "[text(27)]".into(),
                    });
                }
                _ => {}
            }
        }
        Ok(struck)
    }

    fn remote_item(&self, item: &SimItem) -> RemoteItem {
        RemoteItem {
            key: key_of(item),
            dedup_key: crate::model::DedupKey::new(&self.library.dedup_key(item)),
            taken_ms: Some(item.taken_ms),
            zone_offset_ms: Some(item.zone_ms),
            uploaded_ms: Some(item.uploaded_ms),
            width: Some(720),
            height: Some(480),
            duration_ms: None,
            live: item.live,
            archived: item.archived,
            favourite: item.favourite,
            partial_upload: false,
            description: item.description.clone(),
            owner: None,
            albums: item.albums.iter().filter_map(|&n| MediaKey::new(&self.library.album_key(n))).collect(),
            quality: quality(item),
        }
    }

    fn find(&self, key: &MediaKey) -> Result<Arc<SimItem>, RemoteError> {
        self.library.find(key.as_str()).ok_or_else(|| RemoteError::Item("Google does not find it".into()))
    }
}

#[expect(clippy::expect_used, reason = "the library makes its keys valid")]
fn key_of(item: &SimItem) -> MediaKey {
    MediaKey::new(&item.key).expect("a key of the library")
}

fn quality(item: &SimItem) -> Quality {
    if item.storage_saver { Quality::StorageSaver } else { Quality::Original }
}

impl RemoteLibrary for FakeLibrary {
    fn account(&self) -> String {
        "117000000000000000001".into()
    }

    async fn list(&self, from: Option<&Cursor>) -> Result<ListPage, RemoteError> {
        let struck = self.strike(RequestClass::Rpc(Some("lcxiM".into())), None).await?;
        let mut listed = self.library.timeline();
        for fault in &struck {
            match fault {
                Fault::EmptyListing => listed.clear(),
                Fault::ShrunkenListing(n) => listed.truncate(*n),
                _ => {}
            }
        }
        let start = match from {
            None => 0,
            Some(Cursor(place)) => {
                let (ms, key) = place.split_once('/').unwrap_or(("0", ""));
                let ms = ms.parse().unwrap_or(0);
                listed.partition_point(|item| (item.taken_ms, item.key.as_str()) >= (ms, key))
            }
        };
        let rows: Vec<_> = listed.iter().skip(start).take(self.page).collect();
        let next = rows
            .last()
            .filter(|_| start + rows.len() < listed.len())
            .map(|last| Cursor(format!("{}/{}", last.taken_ms, last.key)));
        let items = rows.into_iter().map(|item| self.remote_item(item)).collect();
        Ok(ListPage { items, rejected: Vec::new(), next })
    }

    async fn describe(&self, keys: &[MediaKey]) -> Result<Vec<ItemDetails>, RemoteError> {
        self.strike(RequestClass::Rpc(Some("EWgK9e".into())), None).await?;
        let found = keys.iter().filter_map(|key| self.library.find(key.as_str()));
        Ok(found
            .map(|item| ItemDetails {
                key: key_of(&item),
                name: item.name.clone(),
                size: Some(self.library.digests(&item, PartRole::Original).size),
                description: item.description.clone(),
                quality: quality(&item),
            })
            .collect())
    }

    async fn offers(&self, key: &MediaKey) -> Result<Vec<Offer>, RemoteError> {
        self.strike(RequestClass::Rpc(Some("VrseUb".into())), Some(key.as_str())).await?;
        let item = self.find(key)?;
        let roles = self.library.roles(&item).into_iter();
        Ok(roles.map(|role| Offer { role, url: json!([item.key, role.code()]).to_string() }).collect())
    }

    async fn fetch(&self, offer: &Offer) -> Result<Download, RemoteError> {
        let (key, role): (MediaKey, u8) =
            serde_json::from_str(&offer.url).map_err(|_| RemoteError::Item("not our address".into()))?;
        self.fetches.fetch_add(1, Ordering::Relaxed);
        let struck = self.strike(RequestClass::Download, Some(key.as_str())).await?;
        let mut item = self.find(&key)?;
        if struck.contains(&Fault::WrongFile)
            && let Some(other) =
                self.library.timeline().into_iter().find(|other| other.bytes_of != item.bytes_of)
        {
            item = other;
        }
        let role = PartRole::from_code(role).unwrap_or(PartRole::Original);
        let mut bytes = self.library.file(&item, role);
        let mut length = bytes.len() as u64;
        let mut tail: Option<RemoteError> = None;
        for fault in &struck {
            match fault {
                Fault::Truncate(at) => {
                    bytes.truncate(usize::try_from(*at).unwrap_or(usize::MAX).min(bytes.len() - 1));
                    tail = Some(RemoteError::Transient("the transfer was cut".into()));
                }
                Fault::Stall(at) => {
                    bytes.truncate(usize::try_from(*at).unwrap_or(usize::MAX).min(bytes.len() - 1));
                    tail = Some(RemoteError::Transient("the transfer stalled".into()));
                }
                Fault::AlterByte => {
                    let mut altered = bytes.to_vec();
                    let middle = altered.len() / 2;
                    altered[middle] ^= 0x20;
                    bytes = Bytes::from(altered);
                }
                Fault::Html => {
                    bytes = Bytes::from_static(b"<!doctype html><html>Try again later</html>");
                    length = bytes.len() as u64;
                }
                _ => {}
            }
        }
        let mut chunks: Vec<Result<Bytes, RemoteError>> = Vec::new();
        while !bytes.is_empty() {
            chunks.push(Ok(bytes.split_to(bytes.len().min(64 << 10))));
        }
        chunks.extend(tail.map(Err));
        let body: ByteStream = futures_util::stream::iter(chunks).boxed();
        let claim = Claim { length: Some(length), media_type: None, name: None };
        Ok(Download { claim, via: "direct", host: "fake".into(), body: Body::Stream(body) })
    }
}
