//! Albums: the account's list (`Z5xsfc`), the sharing list (`F2A0H`), an album's contents (`snAcKc`) and a
//! partner's library (`e9T5je`); contract 5.7.

use serde_json::{Value, json};

use super::fields::Fields;
use super::item;
use crate::model::{AlbumKind, MediaKey, RemoteAlbum};
use crate::remote::{AlbumListing, AlbumPage, Cursor, RemoteError};

/// The account's albums.
pub const LIST: &str = "Z5xsfc";
/// Albums and bundles that are shared, under ids of their own.
pub const SHARED: &str = "F2A0H";
/// What is in an album.
pub const CONTENTS: &str = "snAcKc";
/// A partner's library.
pub const PARTNER: &str = "e9T5je";

/// Albums asked for at once.
const PAGE: u32 = 100;
/// What an entry of the album list says of its album.
const FIELD_ALBUM: u32 = 72_930_366;

/// The arguments for a page of the account's list. An empty text as cursor would be refused.
pub fn list_args(from: Option<&Cursor>) -> Value {
    json!([from.map(|c| &c.0), null, null, null, 1, null, null, PAGE, [2], 5])
}

/// The arguments for a page of the sharing list.
pub fn shared_args(from: Option<&Cursor>) -> Value {
    json!([from.map(|c| &c.0), null, 2, null, 3])
}

/// The arguments for a page of an album's contents.
pub fn contents_args(album: &RemoteAlbum, from: Option<&Cursor>) -> Value {
    json!([album.key, from.map(|c| &c.0), null, album.access])
}

/// The arguments for a page of a partner's library.
pub fn partner_args(album: &RemoteAlbum, from: Option<&Cursor>) -> Value {
    json!([from.map(|c| &c.0), null, [null, [[[2, 1]]], [album.key], [null, album.access], 1]])
}

/// Reads a page of the account's list. An album that does not decode is left out, with the reason.
pub fn list(payload: &Value) -> Result<AlbumListing, RemoteError> {
    listing(LIST, payload, own_entry)
}

/// Reads a page of the sharing list.
pub fn shared(payload: &Value) -> Result<AlbumListing, RemoteError> {
    listing(SHARED, payload, shared_entry)
}

fn listing(
    what: &'static str,
    payload: &Value,
    read: impl Fn(&Value) -> Result<Option<RemoteAlbum>, RemoteError>,
) -> Result<AlbumListing, RemoteError> {
    let page = Fields::new(what, payload)?;
    let next = page.text(2)?.filter(|c| !c.is_empty()).map(|c| Cursor(c.to_owned()));
    let (mut albums, mut rejected, mut first) = (Vec::new(), Vec::new(), None);
    for row in page.list(1)?.unwrap_or_default() {
        match read(row) {
            Ok(album) => albums.extend(album),
            Err(e) => {
                rejected.push(e.to_string());
                first.get_or_insert(e);
            }
        }
    }
    match first {
        Some(e) if albums.is_empty() => Err(e),
        _ => Ok(AlbumListing { albums, rejected, next }),
    }
}

fn own_entry(row: &Value) -> Result<Option<RemoteAlbum>, RemoteError> {
    let entry = Fields::new(LIST, row)?;
    let key = entry.text(1)?.and_then(MediaKey::of_library).ok_or_else(|| entry.drift(1))?;
    let album = entry.message(FIELD_ALBUM)?.ok_or_else(|| entry.drift(FIELD_ALBUM))?;
    let kind = match album.integer(1)? {
        Some(4) => AlbumKind::Shared,
        _ => AlbumKind::Own,
    };
    let times = album.message(3)?;
    let time = |n| times.map_or(Ok(None), |times: Fields<'_>| times.time(n));
    let envelope = album.text(9)?.and_then(MediaKey::of_library);
    Ok(Some(RemoteAlbum {
        aliases: envelope.filter(|envelope| *envelope != key).into_iter().collect(),
        key,
        access: album.text(6)?.map(str::to_owned),
        kind,
        title: album.text(2)?.filter(|t| !t.is_empty()).map(str::to_owned),
        count: album.integer(4)?.and_then(|n| u64::try_from(n).ok()),
        cover: cover(&entry, 2),
        owner: first_text(entry.field(7)),
        created_ms: time(5)?,
        modified_ms: time(10)?,
    }))
}

fn shared_entry(row: &Value) -> Result<Option<RemoteAlbum>, RemoteError> {
    let entry = Fields::new(SHARED, row)?;
    let key = entry.text(7)?.and_then(MediaKey::of_library).ok_or_else(|| entry.drift(7))?;
    let kind = match entry.integer(1)? {
        Some(1) => AlbumKind::Shared,
        Some(4) => AlbumKind::Bundle,
        // A conversation, an invitation: nothing that holds photos.
        _ => return Ok(None),
    };
    Ok(Some(RemoteAlbum {
        aliases: entry
            .text(18)?
            .and_then(MediaKey::of_library)
            .filter(|link| *link != key)
            .into_iter()
            .collect(),
        key,
        access: entry.text(8)?.map(str::to_owned),
        kind,
        title: entry.text(2)?.filter(|t| !t.is_empty()).map(str::to_owned),
        count: entry.integer(4)?.and_then(|n| u64::try_from(n).ok()),
        cover: cover(&entry, 3),
        owner: first_text(entry.field(11)),
        created_ms: entry.time(5)?,
        modified_ms: None,
    }))
}

/// Reads a page of an album's contents. An empty album has null for its items.
pub fn contents(payload: &Value) -> Result<AlbumPage, RemoteError> {
    let page = Fields::new(CONTENTS, payload)?;
    let next = page.text(3)?.filter(|c| !c.is_empty()).map(|c| Cursor(c.to_owned()));
    let (items, rejected) = item::rows(CONTENTS, page.list(2)?.unwrap_or_default())?;
    let about = page.message(4)?.ok_or_else(|| page.drift(4))?;
    Ok(AlbumPage {
        items,
        rejected,
        next,
        count: about.integer(22)?.and_then(|n| u64::try_from(n).ok()),
        cover: cover(&about, 41),
        members: people(about.field(10)),
    })
}

/// Reads a page of a partner's library.
pub fn partner(payload: &Value) -> Result<AlbumPage, RemoteError> {
    let page = Fields::new(PARTNER, payload)?;
    let next = page.text(1)?.filter(|c| !c.is_empty()).map(|c| Cursor(c.to_owned()));
    let (items, rejected) = item::rows(PARTNER, page.list(2)?.unwrap_or_default())?;
    Ok(AlbumPage { items, rejected, next, count: None, cover: None, members: people(page.field(3)) })
}

/// The key of the cover: it stands alone, or begins a message. A picture's address is none.
fn cover(entry: &Fields<'_>, number: u32) -> Option<MediaKey> {
    first_text(entry.field(number))
        .filter(|text| !text.contains(['/', ':']))
        .as_deref()
        .and_then(MediaKey::of_library)
}

/// The first text of a value that is one or begins with one.
fn first_text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()).filter(|t| !t.is_empty()),
        Value::Array(list) => first_text(list.first()),
        _ => None,
    }
}

/// Keys of people: a list of messages that begin with one.
fn people(value: Option<&Value>) -> Vec<String> {
    let mut keys: Vec<_> =
        value.and_then(Value::as_array).into_iter().flatten().filter_map(|p| first_text(Some(p))).collect();
    keys.sort();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::ErrorClass;

    #[test]
    fn own_and_shared_entries_are_read_from_slots_and_tail() {
        let tail = json!({"72930366": [1, "Norway", [1, 2, null, null, 5, null, null, 8, 9, 10], 3, false, "auth",
            [], null, "envelope"]});
        let own = json!(["AF1a", ["AF1cover"], null, null, null, null, ["owner"], [[1]], tail]);
        let page = list(&json!([[own, [7]], "more", [1], [1]])).unwrap();
        assert_eq!((page.albums.len(), page.rejected.len()), (1, 1));
        let album = &page.albums[0];
        assert_eq!(album.title.as_deref(), Some("Norway"));
        assert_eq!((album.count, album.created_ms, album.modified_ms), (Some(3), Some(5), Some(10)));
        assert_eq!(album.aliases[0].as_str(), "envelope");
        assert_eq!(album.cover.as_ref().unwrap().as_str(), "AF1cover");
        let bundle = json!([4, null, null, 2, 5, null, "AF1b", "auth"]);
        let page = shared(&json!([[bundle, [9, null, null, 0, 0, null, "AF1c"]], null])).unwrap();
        assert_eq!(page.albums.len(), 1);
        assert_eq!((page.albums[0].kind, page.albums[0].title.clone()), (AlbumKind::Bundle, None));
        assert_eq!(list(&json!([[[7]], null])).unwrap_err().class(), ErrorClass::RemoteChanged);
    }

    #[test]
    fn an_empty_album_is_empty_and_one_without_itself_is_drift() {
        let about = json!(["AF1a", "Norway"]);
        let page = contents(&json!([null, null, "", about])).unwrap();
        assert!(page.items.is_empty() && page.next.is_none());
        assert_eq!(contents(&json!([null, null, ""])).unwrap_err().class(), ErrorClass::RemoteChanged);
    }
}
