//! What the view needs to know of an item, in some hundred bytes: one row to read and little to decode for each of
//! a million items.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use crate::model::{
    ArchivedItem, BorrowedItem, BorrowedPart, CaptureTime, Creation, ItemState, MediaKey, Origin, PartRole,
    Sha256, TimeSource,
};

/// [`ArchivedItem`] without its number and change, in the order in which it is written.
#[derive(Serialize, Deserialize)]
struct Packed<'a> {
    key: &'a str,
    formerly: Option<&'a str>,
    account: &'a str,
    state: ItemState,
    since_ms: i64,
    added_ms: i64,
    name: &'a str,
    local: Local,
    offset_s: Option<i32>,
    source: TimeSource,
    make: Option<&'a str>,
    model: Option<&'a str>,
    lens: Option<&'a str>,
    origin: Option<Origin>,
    date_conflict: bool,
    media_type: Option<&'a str>,
    position: Option<(f64, f64)>,
    favourite: bool,
    archived: bool,
    foreign: bool,
    creation: Option<Creation>,
    owner: Option<&'a str>,
    description: Option<&'a str>,
    #[serde(borrow)]
    parts: Vec<PackedPart<'a>>,
}

/// Year, month, day, hour, minute, second, nanosecond.
type Local = (i16, i8, i8, i8, i8, i8, i32);

#[derive(Serialize, Deserialize)]
struct PackedPart<'a> {
    role: u8,
    version: u32,
    /// Left out where it is the item's.
    name: Option<&'a str>,
    sha256: &'a [u8],
    size: u64,
}

/// The bytes of an item's row.
///
/// # Errors
/// None that is known; those of the encoder.
pub fn pack(item: &ArchivedItem) -> Result<Vec<u8>, postcard::Error> {
    let local = item.taken.local;
    postcard::to_allocvec(&Packed {
        key: item.key.as_str(),
        formerly: item.formerly.as_ref().map(MediaKey::as_str),
        account: &item.account,
        state: item.state,
        since_ms: item.since.as_millisecond(),
        added_ms: item.added.as_millisecond(),
        name: &item.name,
        local: (
            local.year(),
            local.month(),
            local.day(),
            local.hour(),
            local.minute(),
            local.second(),
            local.subsec_nanosecond(),
        ),
        offset_s: item.taken.offset_s,
        source: item.taken.source,
        make: item.make.as_deref(),
        model: item.model.as_deref(),
        lens: item.lens.as_deref(),
        origin: item.origin,
        date_conflict: item.date_conflict,
        media_type: item.media_type.as_deref(),
        position: item.position,
        favourite: item.favourite,
        archived: item.archived,
        foreign: item.foreign,
        creation: item.creation,
        owner: item.owner.as_deref(),
        description: item.description.as_deref(),
        parts: item
            .parts
            .iter()
            .map(|part| PackedPart {
                role: part.role.code(),
                version: part.version,
                name: (part.name != item.name).then_some(&*part.name),
                sha256: part.sha256.bytes(),
                size: part.size,
            })
            .collect(),
    })
}

/// The item behind the bytes, borrowed from them; `None` if they are damaged.
pub(crate) fn unpack(ordinal: u64, change: u64, bytes: &[u8]) -> Option<BorrowedItem<'_>> {
    let packed: Packed<'_> = postcard::from_bytes(bytes).ok()?;
    let (year, month, day, hour, minute, second, nanosecond) = packed.local;
    let mut parts = Vec::with_capacity(packed.parts.len());
    for part in packed.parts {
        parts.push(BorrowedPart {
            role: PartRole::from_code(part.role)?,
            version: part.version,
            name: part.name.unwrap_or(packed.name).into(),
            sha256: Sha256::from_slice(part.sha256)?,
            size: part.size,
        });
    }
    Some(BorrowedItem {
        change,
        ordinal,
        key: MediaKey::new(packed.key)?,
        formerly: match packed.formerly {
            Some(key) => Some(MediaKey::new(key)?),
            None => None,
        },
        account: packed.account.into(),
        state: packed.state,
        since: Timestamp::from_millisecond(packed.since_ms).ok()?,
        added: Timestamp::from_millisecond(packed.added_ms).ok()?,
        name: packed.name.into(),
        taken: CaptureTime {
            local: DateTime::new(year, month, day, hour, minute, second, nanosecond).ok()?,
            offset_s: packed.offset_s,
            source: packed.source,
        },
        make: packed.make.map(Cow::Borrowed),
        model: packed.model.map(Cow::Borrowed),
        lens: packed.lens.map(Cow::Borrowed),
        origin: packed.origin,
        date_conflict: packed.date_conflict,
        media_type: packed.media_type.map(Cow::Borrowed),
        position: packed.position,
        favourite: packed.favourite,
        archived: packed.archived,
        foreign: packed.foreign,
        creation: packed.creation,
        owner: packed.owner.map(Cow::Borrowed),
        description: packed.description.map(Cow::Borrowed),
        parts,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::ArchivedPart;

    #[test]
    fn what_is_packed_comes_out_and_damage_is_noticed() {
        let part = |role, name: &'static str| ArchivedPart {
            role,
            version: 3,
            name: name.into(),
            sha256: Sha256::new([7; 32]),
            size: u64::MAX,
        };
        let item = ArchivedItem {
            change: 9,
            ordinal: 8,
            key: MediaKey::new("AF1QipKey").unwrap(),
            formerly: MediaKey::new("local-item-1"),
            account: "1001".into(),
            state: ItemState::Gone,
            since: Timestamp::from_millisecond(1_700_000_000_123).unwrap(),
            added: Timestamp::from_millisecond(-1).unwrap(),
            name: "größer/..\0.jpg".into(),
            taken: CaptureTime {
                local: "9999-12-31T23:59:59.999999999".parse().unwrap(),
                offset_s: Some(-3600),
                source: TimeSource::Upload,
            },
            make: Some("".into()),
            model: None,
            lens: Some("50 mm".into()),
            origin: Some(Origin::Edited),
            date_conflict: true,
            media_type: Some("image/jpeg".into()),
            position: Some((-89.5, 179.25)),
            favourite: true,
            archived: false,
            foreign: true,
            creation: Some(Creation::Collage),
            owner: Some("somebody".into()),
            description: Some("line\nline".into()),
            parts: vec![part(PartRole::Original, "größer/..\0.jpg"), part(PartRole::Motion, "b.mov")],
        };
        let bytes = pack(&item).unwrap();
        assert_eq!(unpack(8, 9, &bytes), Some(item));
        for cut in 0..bytes.len() {
            assert_eq!(unpack(8, 9, &bytes[..cut]), None, "{cut}");
        }
    }
}
