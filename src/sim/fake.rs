//! The same library without browser and sockets, for the many tests that need neither.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::content::content;
use super::faults::{Fault, RequestClass};
use super::google::{Counters, Google};
use super::library::SimItem;
use super::{Faults, Ledger, Library, LiveAs, SimConfig, rpc};
use crate::model::{AlbumKind, ItemDetails, MediaKey, PartRole, RemoteAlbum, RemoteItem};
use crate::remote::rpc::{albums, counts, details, frame, info, recent, timeline, trash};
use crate::remote::{
    AlbumListing, AlbumPage, Body, ByteStream, Claim, Cursor, Download, ListPage, Offer, RemoteError,
    RemoteLibrary, Through, TimelineCounts,
};

/// A library behind the trait, with the fault script where it makes sense.
pub struct FakeLibrary {
    google: Arc<Google>,
    fetches: AtomicU64,
}

impl FakeLibrary {
    /// The library that a simulator of this configuration would serve; Live Photos come as clips.
    pub fn new(config: SimConfig) -> Self {
        Self::with_live(LiveAs::Clip, config)
    }

    /// The same, where Live Photos come in this way.
    pub fn with_live(live: LiveAs, config: SimConfig) -> Self {
        Self::of(Arc::new(Google::new(SimConfig { live, ..config })))
    }

    /// The library of a simulator: the addresses of its files are those that the simulator serves.
    pub(super) fn of(google: Arc<Google>) -> Self {
        Self { google, fetches: AtomicU64::new(0) }
    }

    /// The truth.
    pub fn ledger(&self) -> Ledger {
        self.library().ledger()
    }

    /// The library, to change it.
    pub fn library(&self) -> &Library {
        &self.google.library
    }

    /// The fault script.
    pub fn faults(&self) -> &Faults {
        &self.google.faults
    }

    /// What was asked so far.
    pub fn counters(&self) -> Counters {
        self.google.counters()
    }

    /// Files fetched so far.
    pub fn fetches(&self) -> u64 {
        self.fetches.load(Ordering::Relaxed)
    }

    async fn strike(&self, class: RequestClass, item: Option<&str>) -> Result<Vec<Fault>, RemoteError> {
        let struck = self.google.faults.strike(&class, item);
        for fault in &struck {
            match fault {
                Fault::Latency(delay) => tokio::time::sleep(*delay).await,
                Fault::Status(429 | 503, after) => {
                    let after = after.map(Duration::from_secs);
                    return Err(RemoteError::Throttled { reason: "status 429".into(), after });
                }
                Fault::Status(status, _) => return Err(RemoteError::Transient(format!("status {status}"))),
                Fault::Reset | Fault::Null | Fault::Nothing => {
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

    /// One call, answered as over the wire: what the simulator says, read as the product reads it.
    async fn call(&self, rpcid: &str, args: &Value, item: Option<&str>) -> Result<Value, RemoteError> {
        let struck = self.strike(RequestClass::Rpc(Some(rpcid.into())), item).await?;
        self.answer(rpcid, args, &struck)
    }

    fn answer(&self, rpcid: &str, args: &Value, struck: &[Fault]) -> Result<Value, RemoteError> {
        self.google.count(|c| *c.rpcs.entry(rpcid.to_owned()).or_insert(0) += 1);
        let row = match rpc::call(&self.google, rpcid, args, struck) {
            Ok(payload) => json!(["wrb.fr", rpcid, payload.to_string(), null, null, null, "generic"]),
            Err(code) => json!(["wrb.fr", rpcid, null, null, null, [code], "generic"]),
        };
        let body = format!(")]}}'\n\n{}", json!([row]));
        frame::payloads(rpcid, 1, &body)?.pop().unwrap_or_else(|| Err(RemoteError::Item("no answer".into())))
    }

    fn find(&self, key: &str) -> Result<Arc<SimItem>, RemoteError> {
        self.library().find(key).ok_or_else(|| RemoteError::Item("Google does not find it".into()))
    }
}

impl RemoteLibrary for FakeLibrary {
    fn account(&self) -> String {
        self.google.config.account_id()
    }

    async fn list(&self, from: Option<&Cursor>) -> Result<ListPage, RemoteError> {
        timeline::decode(&self.call(timeline::RPCID, &timeline::args(from, None), None).await?)
    }

    async fn list_before(&self, ms: i64) -> Result<ListPage, RemoteError> {
        timeline::decode(&self.call(timeline::RPCID, &timeline::args(None, Some(ms)), None).await?)
    }

    async fn look_up(&self, key: &MediaKey) -> Result<RemoteItem, RemoteError> {
        info::item(key, &self.call(info::RPCID, &info::args(key, None), Some(key.as_str())).await?)
    }

    async fn recent(&self, from: Option<&Cursor>) -> Result<ListPage, RemoteError> {
        recent::decode(&self.call(recent::RPCID, &recent::args(from), None).await?)
    }

    async fn counts(&self) -> Result<Option<TimelineCounts>, RemoteError> {
        counts::decode(&self.call(counts::RPCID, &counts::args(), None).await?).map(Some)
    }

    async fn trash(&self, from: Option<&Cursor>) -> Result<ListPage, RemoteError> {
        trash::decode(&self.call(trash::RPCID, &trash::args(from), None).await?)
    }

    async fn albums(&self, shared: bool, from: Option<&Cursor>) -> Result<AlbumListing, RemoteError> {
        if shared {
            return albums::shared(&self.call(albums::SHARED, &albums::shared_args(from), None).await?);
        }
        albums::list(&self.call(albums::LIST, &albums::list_args(from), None).await?)
    }

    async fn album_items(
        &self,
        album: &RemoteAlbum,
        from: Option<&Cursor>,
    ) -> Result<AlbumPage, RemoteError> {
        if album.kind == AlbumKind::Partner {
            let args = albums::partner_args(album, from);
            return albums::partner(&self.call(albums::PARTNER, &args, None).await?);
        }
        albums::contents(&self.call(albums::CONTENTS, &albums::contents_args(album, from), None).await?)
    }

    async fn describe(&self, keys: &[MediaKey]) -> Result<Vec<ItemDetails>, RemoteError> {
        details::decode(&self.call(details::RPCID, &details::args(keys), None).await?)
    }

    async fn offers(&self, key: &MediaKey, through: Option<&Through>) -> Result<Vec<Offer>, RemoteError> {
        let args = info::args(key, through);
        info::decode(key, &self.call(info::RPCID, &args, Some(key.as_str())).await?)
    }

    async fn fetch(&self, offer: &Offer) -> Result<Download, RemoteError> {
        let token = offer.url.rsplit('/').next().unwrap_or_default().trim_end_matches("?authuser=0");
        let token = token.strip_prefix("AP1Gcz").or_else(|| token.strip_prefix("ADGPM2")).unwrap_or_default();
        let (key, role) = self
            .google
            .addresses
            .redeem(token)
            .map_err(|status| RemoteError::Transient(format!("status {status}")))?;
        self.fetches.fetch_add(1, Ordering::Relaxed);
        self.google.count(|c| *c.downloads.entry(format!("{key}/{}", role.word())).or_insert(0) += 1);
        let struck = self.strike(RequestClass::Download, Some(&key)).await?;
        let mut item = self.find(&key)?;
        let mut role = role;
        if struck.contains(&Fault::WrongFile) {
            (item, role) = (self.library().another(&item), PartRole::Original);
        }
        let (mut bytes, name, _) = content(&self.google, &item, role);
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
                Fault::AlterByte => bytes = super::answer::altered(&bytes),
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
        let claim = Claim { length: Some(length), media_type: None, name: Some(name), head: None };
        Ok(Download { claim, via: "direct", host: "fake".into(), body: Body::Stream(body), seen: None })
    }
}
