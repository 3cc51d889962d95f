//! What the view needs to know of the archive, as the index hands it over.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    AlbumKind, AlbumRecord, CaptureTime, Creation, ItemRecord, ItemState, MediaKey, Origin, PartRole, Sha256,
};

/// One revision of an item, with texts of its own.
pub type ArchivedItem = BorrowedItem<'static>;

/// One version of a file of an item, with a name of its own.
pub type ArchivedPart = BorrowedPart<'static>;

/// One revision of an item, whose texts may lie in a row that is just read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BorrowedItem<'a> {
    /// Position in the index' sequence of changes; grows with every applied record.
    pub change: u64,
    /// The item's number in the archive.
    pub ordinal: u64,
    /// The item's key.
    pub key: MediaKey,
    /// The archive's own key under which it was adopted.
    pub formerly: Option<MediaKey>,
    /// The account whose library listed it.
    pub account: Cow<'a, str>,
    /// Whether the item was in the library.
    pub state: ItemState,
    /// When this revision was recorded.
    pub since: Timestamp,
    /// When the first revision was recorded.
    pub added: Timestamp,
    /// The item's file name, as uploaded.
    pub name: Cow<'a, str>,
    /// Capture time.
    pub taken: CaptureTime,
    /// Camera maker of the original, as written in the file.
    pub make: Option<Cow<'a, str>>,
    /// Camera model of the original, as written in the file.
    pub model: Option<Cow<'a, str>>,
    /// Lens, as written in the file.
    pub lens: Option<Cow<'a, str>>,
    /// What made the original, where that was no camera.
    pub origin: Option<Origin>,
    /// What is known of its date contradicts itself.
    pub date_conflict: bool,
    /// Media type of the original, by content.
    pub media_type: Option<Cow<'a, str>>,
    /// Degrees north and east: by the file's own word, else by Google's.
    pub position: Option<(f64, f64)>,
    /// Marked as favourite.
    pub favourite: bool,
    /// In the archive section of the library.
    pub archived: bool,
    /// Somebody else's, shared with the account.
    pub foreign: bool,
    /// What Google has made of other items.
    pub creation: Option<Creation>,
    /// Key of whoever owns it, if that was said.
    pub owner: Option<Cow<'a, str>>,
    /// Description, by Google.
    pub description: Option<Cow<'a, str>>,
    /// Its files, every version of each.
    pub parts: Vec<BorrowedPart<'a>>,
}

/// One version of a file of an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BorrowedPart<'a> {
    /// Which file.
    pub role: PartRole,
    /// Which version of it, from 1.
    pub version: u32,
    /// The part's own file name.
    pub name: Cow<'a, str>,
    /// Name of the blob.
    pub sha256: Sha256,
    /// Bytes.
    pub size: u64,
}

impl ArchivedItem {
    /// What a record says of an item; `change` and `added` come from the index.
    pub fn of(record: &ItemRecord, change: u64, added: Timestamp) -> Self {
        let facts = record.part(PartRole::Original).map(|part| &part.facts);
        let own = facts.and_then(|facts| Some((facts.latitude?, facts.longitude?)));
        let place = record.remote.place.as_ref().map(|place| (place.latitude, place.longitude));
        Self {
            change,
            ordinal: record.ordinal,
            key: record.key.clone(),
            formerly: record.formerly.clone(),
            account: record.account.clone().into(),
            state: record.state,
            since: to_millisecond(record.recorded_at),
            added: to_millisecond(added),
            name: record.name.clone().into(),
            taken: record.taken,
            make: facts.and_then(|facts| facts.make.clone().map(Cow::Owned)),
            model: facts.and_then(|facts| facts.model.clone().map(Cow::Owned)),
            lens: facts.and_then(|facts| facts.lens.clone().map(Cow::Owned)),
            origin: facts.and_then(|facts| facts.origin),
            date_conflict: record.has_date_conflict(),
            media_type: facts.and_then(|facts| facts.media_type.clone().map(Cow::Owned)),
            position: own.or(place),
            favourite: record.remote.favourite,
            archived: record.remote.archived,
            foreign: record.remote.foreign,
            creation: record.remote.creation,
            owner: record.remote.owner.clone().map(Cow::Owned),
            description: record.remote.description.clone().map(Cow::Owned),
            parts: record
                .parts
                .iter()
                .map(|part| ArchivedPart {
                    role: part.role,
                    version: part.version,
                    name: part.name.clone().into(),
                    sha256: part.sha256,
                    size: part.size,
                })
                .collect(),
        }
    }
}

impl BorrowedItem<'_> {
    /// The key that names follow from: the first one under which the archive knew it.
    pub fn first_key(&self) -> &MediaKey {
        self.formerly.as_ref().unwrap_or(&self.key)
    }

    /// All keys under which albums may name it.
    pub fn keys(&self) -> impl Iterator<Item = &MediaKey> {
        self.formerly.iter().chain([&self.key])
    }

    /// The same with texts of its own.
    pub fn into_owned(self) -> ArchivedItem {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let part = |part: BorrowedPart<'_>| ArchivedPart {
            role: part.role,
            version: part.version,
            name: own(part.name),
            sha256: part.sha256,
            size: part.size,
        };
        ArchivedItem {
            change: self.change,
            ordinal: self.ordinal,
            key: self.key,
            formerly: self.formerly,
            account: own(self.account),
            state: self.state,
            since: self.since,
            added: self.added,
            name: own(self.name),
            taken: self.taken,
            make: self.make.map(own),
            model: self.model.map(own),
            lens: self.lens.map(own),
            origin: self.origin,
            date_conflict: self.date_conflict,
            media_type: self.media_type.map(own),
            position: self.position,
            favourite: self.favourite,
            archived: self.archived,
            foreign: self.foreign,
            creation: self.creation,
            owner: self.owner.map(own),
            description: self.description.map(own),
            parts: self.parts.into_iter().map(part).collect(),
        }
    }
}

/// The index keeps milliseconds.
fn to_millisecond(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// An album with its whole history.
#[derive(Clone, Debug, PartialEq)]
pub struct ArchivedAlbum {
    /// Position in the index' sequence of changes of albums.
    pub change: u64,
    /// The album's key.
    pub key: MediaKey,
    /// The archive's own key under which it was adopted.
    pub formerly: Option<MediaKey>,
    /// Its revisions, oldest first; at least one.
    pub revisions: Vec<AlbumRevision>,
}

/// What an album was at one time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlbumRevision {
    /// When it was recorded.
    pub since: Timestamp,
    /// Whether it was there.
    pub state: ItemState,
    /// Kind.
    pub kind: AlbumKind,
    /// Title; empty if it has none.
    pub title: String,
    /// Key of whoever made it.
    pub owner: Option<String>,
    /// Its items, in its order.
    pub items: Vec<MediaKey>,
}

impl AlbumRevision {
    /// What a record says of an album.
    pub fn of(record: &AlbumRecord) -> Self {
        Self {
            since: record.recorded_at,
            state: record.state,
            kind: record.kind,
            title: record.title.clone(),
            owner: record.owner.clone(),
            items: record.items.clone(),
        }
    }
}
