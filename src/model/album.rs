//! Albums: what a listing says of one, and the record that keeps it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::digest::digests_of;
use super::{ItemState, MediaKey, Sha256};

/// What kind of container an album is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlbumKind {
    /// Made by the account itself.
    Own,
    /// Made by somebody else and shared with the account.
    Shared,
    /// Photos that somebody sent without making an album.
    Bundle,
    /// The library of a partner.
    Partner,
    /// An account's own library as a whole: what whoever runs the archive calls it. Its items are those of the account.
    Library,
}

impl AlbumKind {
    /// Whether its photos belong to the account's own library.
    pub const fn is_own(self) -> bool {
        matches!(self, Self::Own)
    }

    /// The word used in records and reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Shared => "shared",
            Self::Bundle => "bundle",
            Self::Partner => "partner",
            Self::Library => "library",
        }
    }
}

/// An album as listed.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteAlbum {
    /// Its key; of an album that appears in both listings, the one of the album list.
    pub key: MediaKey,
    /// Other keys of the same album (the sharing list has ids of its own).
    pub aliases: Vec<MediaKey>,
    /// What gives access to a shared album. A secret: neither logged nor recorded.
    pub access: Option<String>,
    /// Kind.
    pub kind: AlbumKind,
    /// Title, if it has one.
    pub title: Option<String>,
    /// Number of items, by Google's count.
    pub count: Option<u64>,
    /// The picture on its cover.
    pub cover: Option<MediaKey>,
    /// Key of whoever made it.
    pub owner: Option<String>,
    /// When it was made, milliseconds since 1970 UTC.
    pub created_ms: Option<i64>,
    /// When something about it last changed, milliseconds since 1970 UTC.
    pub modified_ms: Option<i64>,
}

/// One revision of an album. Serialises like [`ItemRecord`](super::ItemRecord).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlbumRecord {
    /// Version of this document's shape; 1.
    pub schema: u32,
    /// The album's key.
    pub key: MediaKey,
    /// Revision, from 1.
    pub seq: u32,
    /// SHA-256 of the previous revision's file; none for the first.
    pub previous: Option<Sha256>,
    /// The account (Google's numeric id) that sees the album.
    pub account: String,
    /// When this revision was written.
    pub recorded_at: Timestamp,
    /// Whether it was still there.
    pub state: ItemState,
    /// Kind.
    pub kind: AlbumKind,
    /// Title, as it came; empty if it has none.
    pub title: String,
    /// Other keys of the same album, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<MediaKey>,
    /// The picture on its cover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cover: Option<MediaKey>,
    /// Key of whoever made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Keys of the people who take part, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// When it was made, milliseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_ms: Option<i64>,
    /// When it last changed at Google, milliseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_ms: Option<i64>,
    /// Google's count of its items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Its items in the album's order, by the key under which the archive knows (or would know) them.
    pub items: Vec<MediaKey>,
    /// The archive's own key under which the same album was adopted, before the library showed it under `key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formerly: Option<MediaKey>,
    /// Fields that this version does not know; kept through a round trip.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl AlbumRecord {
    /// The canonical bytes: UTF-8 JSON, keys sorted at every level, one newline at the end.
    pub fn to_bytes(&self) -> Vec<u8> {
        super::record::canonical(self)
    }

    /// Reads a record's bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// The first record of the name that whoever runs the archive gives an account.
    pub fn library(account: &str, name: &str, at: Timestamp) -> Self {
        let digest = digests_of(account.as_bytes()).sha256.hex();
        Self {
            schema: 1,
            // Invariant: letters, digits and a hyphen make a key.
            key: MediaKey::new(&format!("library-{}", &digest[..32])).expect("well-formed"),
            seq: 1,
            previous: None,
            account: account.to_owned(),
            recorded_at: at,
            state: ItemState::Present,
            kind: AlbumKind::Library,
            title: name.to_owned(),
            aliases: Vec::new(),
            cover: None,
            owner: Some(account.to_owned()),
            members: Vec::new(),
            created_ms: None,
            modified_ms: None,
            count: None,
            items: Vec::new(),
            formerly: None,
            unknown: Map::new(),
        }
    }

    /// Whether two revisions say the same, whenever and by whomever they were written.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let bare = |record: &Self| Self {
            seq: 1,
            previous: None,
            recorded_at: Timestamp::UNIX_EPOCH,
            modified_ms: None,
            ..record.clone()
        };
        bare(self) == bare(other)
    }
}
