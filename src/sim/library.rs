//! The simulated library: items from a seed, and the truth about them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, RwLock};

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use super::generate::item;
use super::media::{self, Exif, LIVE, STOCK};
use super::picture::{Encoding, encoded};
use super::processing::Processing;
use super::{FileBytes, LiveAs, SimConfig};
use crate::model::digest::digests_of;
use crate::model::{Digests, PartRole};

/// What kind of file an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Jpeg,
    Png,
    WebP,
    Stock(usize),
}

/// One item, as Google would know it.
#[derive(Clone, Debug)]
pub(crate) struct SimItem {
    pub(crate) serial: u64,
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The item whose bytes these are: itself, or an earlier one for an exact duplicate.
    pub(crate) bytes_of: u64,
    pub(crate) exif: Option<Exif>,
    pub(crate) taken_ms: i64,
    pub(crate) zone_ms: i64,
    pub(crate) uploaded_ms: i64,
    pub(crate) favourite: bool,
    pub(crate) archived: bool,
    pub(crate) albums: Vec<usize>,
    pub(crate) live: bool,
    pub(crate) edited: bool,
    pub(crate) storage_saver: bool,
    pub(crate) dedup: DedupForm,
    pub(crate) description: Option<String>,
    pub(crate) listed: bool,
    /// Moves with every edit (contract 5.6, position 14).
    pub(crate) counter: i64,
    /// In the trash since.
    pub(crate) trashed_ms: Option<i64>,
    /// The phone has uploaded a smaller copy so far.
    pub(crate) partial: bool,
    /// Where Google believes it was taken: degrees, name.
    pub(crate) place: Option<(f64, f64, &'static str)>,
    /// Somebody else's: only in that shared container.
    pub(crate) shared: Option<usize>,
    pub(crate) processing: Option<Processing>,
}

/// How the item's content key is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DedupForm {
    Plain,
    Suffixed,
    Empty,
}

/// The truth about the library, for tests to compare with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ledger {
    /// Every item there ever was.
    pub items: Vec<LedgerItem>,
}

/// The truth about an item.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LedgerItem {
    /// Media key.
    pub key: String,
    /// File name as uploaded.
    pub name: String,
    /// Content key as listed.
    pub dedup_key: String,
    /// Capture instant, milliseconds.
    pub taken_ms: i64,
    /// Zone offset, milliseconds.
    pub zone_offset_ms: i64,
    /// Upload instant, milliseconds.
    pub uploaded_ms: i64,
    /// Favourite.
    pub favourite: bool,
    /// In the archive section.
    pub archived: bool,
    /// Titles of its albums.
    pub albums: Vec<String>,
    /// Recompressed by Google.
    pub storage_saver: bool,
    /// Still in the library.
    pub listed: bool,
    /// In somebody else's shared container: title, or key where it has none.
    #[serde(default)]
    pub shared: Option<String>,
    /// Description.
    #[serde(default)]
    pub description: Option<String>,
    /// Whether its page gives it out: a video that is still processed is not.
    #[serde(default = "yes")]
    pub downloadable: bool,
    /// Its files.
    pub parts: Vec<LedgerPart>,
}

fn yes() -> bool {
    true
}

/// The truth about a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LedgerPart {
    /// `original`, `edited` or `motion`.
    pub role: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256, hex.
    pub sha256: String,
    /// SHA-1, hex.
    pub sha1: String,
}

/// Titles of the account's own albums; one has none.
pub(crate) const ALBUMS: [&str; 5] =
    ["Summer in Norway", "The cats", "Grandma's 80th", "Größe & Ünïcode 🎈", ""];

/// Item, part, and which version of it.
type FileId = (u64, PartRole, i64);

/// The library while it is served.
pub struct Library {
    config: SimConfig,
    pub(crate) items: RwLock<Vec<Arc<SimItem>>>,
    by_key: RwLock<HashMap<String, usize>>,
    pub(crate) albums: super::albums::Albums,
    /// The timeline as it was asked for last; forgotten with every change.
    sorted: Mutex<Option<Arc<Vec<Arc<SimItem>>>>>,
    digests: Mutex<HashMap<FileId, Digests>>,
    files: Mutex<HashMap<FileId, Bytes>>,
}

impl Library {
    /// Makes the library of this configuration.
    pub(crate) fn new(config: SimConfig) -> Self {
        let mut items: Vec<_> =
            (0..config.items as u64).map(|serial| Arc::new(item(&config, serial))).collect();
        items.extend(super::albums::foreign_items(&config));
        let by_key = items.iter().enumerate().map(|(i, item)| (item.key.clone(), i)).collect();
        Self {
            albums: super::albums::Albums::new(&config),
            sorted: Mutex::default(),
            config,
            items: RwLock::new(items),
            by_key: RwLock::new(by_key),
            digests: Mutex::default(),
            files: Mutex::default(),
        }
    }

    pub(crate) fn change(&self, key: &str, change: impl FnOnce(&mut SimItem)) {
        if let Some(index) = self.index_of(key) {
            let mut items = self.items.write().unwrap_or_else(|p| p.into_inner());
            change(Arc::make_mut(&mut items[index]));
        }
        self.forget_order();
    }

    /// Adds an item and returns its key.
    pub(crate) fn push(&self, new: impl FnOnce(u64) -> SimItem) -> String {
        let mut items = self.items.write().unwrap_or_else(|p| p.into_inner());
        let new = Arc::new(new(items.len() as u64));
        let key = new.key.clone();
        self.by_key.write().unwrap_or_else(|p| p.into_inner()).insert(key.clone(), items.len());
        items.push(new);
        drop(items);
        self.forget_order();
        key
    }

    /// Gives an item another key; the old one is no longer known.
    pub(crate) fn move_key(&self, old: &str, new: &str) {
        let Some(index) = self.index_of(old) else { return };
        self.change(old, |item| new.clone_into(&mut item.key));
        let mut by_key = self.by_key.write().unwrap_or_else(|p| p.into_inner());
        by_key.remove(old);
        by_key.insert(new.to_owned(), index);
    }

    fn forget_order(&self) {
        self.sorted.lock().unwrap_or_else(|p| p.into_inner()).take();
    }

    fn index_of(&self, key: &str) -> Option<usize> {
        self.by_key.read().unwrap_or_else(|p| p.into_inner()).get(key).copied()
    }

    pub(crate) fn find(&self, key: &str) -> Option<Arc<SimItem>> {
        let index = self.index_of(key)?;
        Some(Arc::clone(&self.items.read().unwrap_or_else(|p| p.into_inner())[index]))
    }

    /// The bytes of an item's original.
    pub fn original(&self, key: &str) -> Option<Bytes> {
        self.find(key).map(|item| self.file(&item, PartRole::Original))
    }

    /// A snapshot of everything.
    pub(crate) fn everything(&self) -> Vec<Arc<SimItem>> {
        self.items.read().unwrap_or_else(|p| p.into_inner()).clone()
    }

    /// A snapshot of all items in the library, newest capture first.
    pub(crate) fn timeline(&self) -> Arc<Vec<Arc<SimItem>>> {
        let mut sorted = self.sorted.lock().unwrap_or_else(|p| p.into_inner());
        let timeline = sorted.get_or_insert_with(|| {
            let mut listed = self.everything();
            listed.retain(|item| item.listed && item.shared.is_none());
            listed.sort_by(|a, b| (b.taken_ms, &b.key).cmp(&(a.taken_ms, &a.key)));
            Arc::new(listed)
        });
        Arc::clone(timeline)
    }

    /// Any item with other bytes; itself where there is none.
    pub(crate) fn another(&self, item: &Arc<SimItem>) -> Arc<SimItem> {
        let timeline = self.timeline();
        let mut others = timeline.iter().cycle().skip(fastrand::usize(..timeline.len().max(1)));
        let other = others.by_ref().take(timeline.len()).find(|other| other.bytes_of != item.bytes_of);
        Arc::clone(other.unwrap_or(item))
    }

    /// What it was made from.
    pub(crate) fn settings(&self) -> &SimConfig {
        &self.config
    }

    /// Roles of the files that a complete archive of the item has.
    pub(crate) fn roles(&self, item: &SimItem) -> Vec<PartRole> {
        let mut roles = vec![PartRole::Original];
        if item.edited {
            roles.push(PartRole::Edited);
        }
        if item.live {
            roles.push(PartRole::Motion);
        }
        roles
    }

    /// Width and height of what was uploaded.
    pub(crate) fn pixels(&self, item: &SimItem) -> (u32, u32) {
        let width = self.config.picture_width;
        match item.kind {
            Kind::Jpeg => (width, width * 2 / 3),
            Kind::Png | Kind::WebP => (width / 2, width / 3),
            Kind::Stock(_) => (64, 48),
        }
    }

    /// The bytes that Google holds of a part.
    pub(crate) fn file(&self, item: &SimItem, role: PartRole) -> Bytes {
        let fixed = matches!(self.config.file_bytes, FileBytes::Fixed(_) | FileBytes::About(_));
        let id = (item.serial, role, version(item, role));
        if !fixed && let Some(bytes) = self.files.lock().unwrap_or_else(|p| p.into_inner()).get(&id) {
            return bytes.clone();
        }
        let bytes = Bytes::from(self.make(item, role));
        if !fixed {
            self.files.lock().unwrap_or_else(|p| p.into_inner()).insert(id, bytes.clone());
        }
        bytes
    }

    fn make(&self, item: &SimItem, role: PartRole) -> Vec<u8> {
        let (seed, serial) = (self.config.seed, item.bytes_of);
        let drawing = seed.wrapping_mul(0x9e37_79b9).wrapping_add(serial);
        let (width, height) = self.pixels(item);
        // Google's smaller copies and renditions.
        let (less, lower) = (self.config.picture_width * 2 / 3, self.config.picture_width * 4 / 9);
        match (role, item.kind) {
            (PartRole::Motion, _) => LIVE.numbered(drawing),
            (PartRole::Edited, _) => {
                let exif = item.exif.clone().unwrap_or_default();
                media::jpeg(drawing ^ 0xed17 ^ item.counter.unsigned_abs(), less, lower, 85, Some(&exif))
            }
            (PartRole::Original, Kind::Stock(n)) => STOCK[n].numbered(drawing),
            (PartRole::Original, Kind::Png) => encoded(drawing, width, height, Encoding::Png),
            (PartRole::Original, Kind::WebP) => encoded(drawing, width, height, Encoding::WebP),
            (PartRole::Original, Kind::Jpeg) => match self.config.file_bytes {
                FileBytes::Fixed(size) | FileBytes::About(size) => {
                    let size = match self.config.file_bytes {
                        FileBytes::About(size) => {
                            size / 2 + item.bytes_of.wrapping_mul(0x9e37_79b9) % size.max(1)
                        }
                        _ => size,
                    };
                    media::padded_jpeg(drawing, size, &item.exif.clone().unwrap_or_default())
                }
                // What a phone has sent so far of a large picture.
                _ if item.partial => media::jpeg(drawing, width / 3, height / 3, 60, item.exif.as_ref()),
                // Google keeps a smaller copy of what was uploaded in storage-saver quality.
                _ if item.storage_saver => media::jpeg(drawing, less, lower, 40, item.exif.as_ref()),
                FileBytes::Natural | FileBytes::EachFormat => {
                    media::jpeg(drawing, width, height, 85, item.exif.as_ref())
                }
            },
        }
    }

    pub(crate) fn digests(&self, item: &SimItem, role: PartRole) -> Digests {
        let id = (item.bytes_of, role, version(item, role));
        if let Some(known) = self.digests.lock().unwrap_or_else(|p| p.into_inner()).get(&id) {
            return *known;
        }
        let digests = digests_of(&self.file(item, role));
        self.digests.lock().unwrap_or_else(|p| p.into_inner()).insert(id, digests);
        digests
    }

    /// SHA-1 of what was uploaded, url-safe.
    pub(crate) fn upload_hash(&self, item: &SimItem) -> String {
        // The upload that Google recompressed no longer exists: any hash that no file has.
        if item.storage_saver {
            digests_of(format!("upload {}", item.serial).as_bytes()).sha1.dedup()
        } else {
            // The phone has said what it will send.
            let whole = SimItem { partial: false, ..item.clone() };
            self.digests(&whole, PartRole::Original).sha1.dedup()
        }
    }

    /// The content key as it is listed.
    pub(crate) fn dedup_key(&self, item: &SimItem) -> String {
        let upload = self.upload_hash(item);
        match item.dedup {
            DedupForm::Plain => upload,
            DedupForm::Suffixed => format!("{upload}:{:x}", item.uploaded_ms),
            DedupForm::Empty => String::new(),
        }
    }

    /// The truth now.
    pub fn ledger(&self) -> Ledger {
        let items = self.everything();
        let items = items.iter().map(|item| self.ledger_item(item)).collect();
        Ledger { items }
    }

    fn ledger_item(&self, item: &SimItem) -> LedgerItem {
        let parts = self.roles(item).into_iter().map(|role| {
            let digests = self.digests(item, role);
            LedgerPart {
                role: role.word().to_owned(),
                size: digests.size,
                sha256: digests.sha256.hex(),
                sha1: digests.sha1.hex(),
            }
        });
        LedgerItem {
            key: item.key.clone(),
            name: item.name.clone(),
            dedup_key: self.dedup_key(item),
            taken_ms: item.taken_ms,
            zone_offset_ms: item.zone_ms,
            uploaded_ms: item.uploaded_ms,
            favourite: item.favourite,
            archived: item.archived,
            albums: item.albums.iter().map(|&n| self.albums.title(n)).collect(),
            storage_saver: item.storage_saver,
            listed: item.listed,
            shared: item.shared.map(|n| self.albums.shared_title(n)),
            description: item.description.clone(),
            downloadable: item.processing.is_none(),
            parts: parts.collect(),
        }
    }

    /// How the video half of Live Photos is handed out.
    pub(crate) fn live_as(&self) -> LiveAs {
        self.config.live
    }
}

impl Ledger {
    /// SHA-256 of every file of every listed item, with how many items have it.
    pub fn wanted(&self) -> BTreeMap<String, usize> {
        let mut wanted = BTreeMap::new();
        let own = |item: &&LedgerItem| item.listed && item.shared.is_none();
        for part in self.items.iter().filter(own).flat_map(|item| &item.parts) {
            *wanted.entry(part.sha256.clone()).or_insert(0) += 1;
        }
        wanted
    }
}

pub(crate) fn key_text(seed: u64, serial: u64) -> String {
    // 38 characters after the prefix that all keys share (contract 1.1).
    let digest = digests_of(format!("{seed}/{serial}").as_bytes()).sha256;
    let text = BASE64URL_NOPAD.encode(digest.bytes());
    format!("AF1Qip{}", &text[..38])
}

/// Files of a part that differ while the item stays: edits, and uploads that were not finished.
fn version(item: &SimItem, role: PartRole) -> i64 {
    match role {
        PartRole::Edited => item.counter,
        PartRole::Original if item.partial => -1,
        _ => 0,
    }
}
