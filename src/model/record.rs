//! The immutable documents that are the truth of an archive. `store/FORMAT.md` specifies them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::capture::GoogleTimes;
use super::{
    CaptureTime, Creation, DedupKey, ItemDetails, MediaFacts, MediaKey, PartRole, Place, Quality, RemoteItem,
    Sha1, Sha256, TimeSource, Verdict,
};

/// Whether the item was still in the library when the record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemState {
    /// In the library.
    Present,
    /// No longer listed.
    Gone,
}

/// One revision of an item. Serialises to canonical JSON: keys sorted, one newline at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemRecord {
    /// Version of this document's shape; 1.
    pub schema: u32,
    /// The item's key.
    pub key: MediaKey,
    /// Revision, from 1.
    pub seq: u32,
    /// SHA-256 of the previous revision's file; none for the first.
    pub previous: Option<Sha256>,
    /// The item's number in this archive: unique, never reused, the same in every revision. Inode
    /// numbers and the order in which colliding names are dealt follow from it.
    pub ordinal: u64,
    /// The account (Google's numeric id) whose library listed the item.
    pub account: String,
    /// When this revision was written.
    pub recorded_at: Timestamp,
    /// State at that time.
    pub state: ItemState,
    /// File name as uploaded.
    pub name: String,
    /// The capture time chosen for folders and modification times.
    pub taken: CaptureTime,
    /// What Google said.
    pub remote: RemoteFacts,
    /// The files, original first.
    pub parts: Vec<PartRecord>,
    /// The archive's own key under which the same item was adopted, before a library showed it under `key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formerly: Option<MediaKey>,
    /// What was known of it where it was adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<Adopted>,
    /// Fields that this version does not know; kept through a round trip.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// What is known of an item from where it was adopted, beyond what a library says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopted {
    /// Path of the original there; within an archive file, behind that file's name.
    pub from: String,
    /// Names of the people on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub people: Vec<String>,
    /// The media key by which its folder was called. A hint: keys change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_as: Option<MediaKey>,
}

/// The account of what was adopted and is in no library that is known.
pub const LOCAL_ACCOUNT: &str = "local";

impl ItemRecord {
    /// Whether the file, its name and Google contradict one another about when it was taken. What a program that
    /// rewrites files puts down, and old fixes of satellites, contradict nothing.
    pub fn has_date_conflict(&self) -> bool {
        let facts = self.part(PartRole::Original).map(|part| &part.facts);
        let all: Vec<CaptureTime> = facts
            .into_iter()
            .flat_map(|facts| facts.taken.iter().chain(&facts.other_dates))
            .copied()
            .collect();
        let has_wall_clock = all.iter().any(|date| date.source == TimeSource::VideoKeys);
        // The second date of one source is when a print was scanned; a film that was copied has another clock.
        let own = all.iter().enumerate().filter(|(at, date)| {
            let is_first = all[..*at].iter().all(|before| before.source != date.source);
            is_first
                && match date.source {
                    TimeSource::Modified | TimeSource::Gps => false,
                    TimeSource::Video => !has_wall_clock,
                    _ => true,
                }
        });
        let own = own.map(|(_, date)| *date);
        let google = GoogleTimes::from(&self.remote).capture();
        own.chain(google).any(|date| self.taken.contradicts(&date))
    }
}

/// What Google said about the item when the record was written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RemoteFacts {
    /// Content key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedup_key: Option<DedupKey>,
    /// Capture instant, milliseconds since 1970 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_ms: Option<i64>,
    /// Zone offset at capture, milliseconds east of UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone_offset_ms: Option<i64>,
    /// Upload instant, milliseconds since 1970 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploaded_ms: Option<i64>,
    /// Width in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Length of a video, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Listed size of the stored file, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Key of the owning account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Keys of the albums that contain it, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub albums: Vec<MediaKey>,
    /// Marked as favourite.
    pub favourite: bool,
    /// In the archive section.
    pub archived: bool,
    /// Stored quality.
    pub quality: Quality,
    /// Bytes that count against the account's storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charged: Option<u64>,
    /// Where Google says it was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// When it was moved to the trash, milliseconds since 1970 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trashed_ms: Option<i64>,
    /// Somebody else's, shared with the account.
    #[serde(skip_serializing_if = "is_false")]
    pub foreign: bool,
    /// Made by Google of other items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation: Option<Creation>,
    /// The phone had not finished uploading it.
    #[serde(skip_serializing_if = "is_false")]
    pub partial_upload: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
pub(super) fn is_false(flag: &bool) -> bool {
    !flag
}

impl RemoteFacts {
    /// What a listing row and the bulk call say together.
    pub fn of(item: &RemoteItem, details: &ItemDetails) -> Self {
        let quality = match details.quality {
            Quality::Unknown => item.quality,
            known => known,
        };
        Self {
            dedup_key: item.dedup_key.clone(),
            taken_ms: item.taken_ms,
            zone_offset_ms: item.zone_offset_ms,
            uploaded_ms: item.uploaded_ms,
            width: item.width,
            height: item.height,
            duration_ms: item.duration_ms,
            size: details.size,
            description: details.description.clone().or_else(|| item.description.clone()),
            owner: item.owner.clone(),
            albums: item.albums.clone(),
            favourite: item.favourite,
            archived: item.archived,
            quality,
            charged: item.charged,
            place: item.place.clone(),
            trashed_ms: item.trashed_ms,
            foreign: item.foreign,
            creation: item.creation.or_else(|| Creation::of_name(&details.name)),
            partial_upload: item.partial_upload,
        }
    }
}

/// One file of an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartRecord {
    /// Which file.
    pub role: PartRole,
    /// Which version of that file, from 1: Google held other bytes at an earlier time, and they stay.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub version: u32,
    /// Its own file name, as it came.
    pub name: String,
    /// Name of the blob.
    pub sha256: Sha256,
    /// For comparison with Google's content key.
    pub sha1: Sha1,
    /// Bytes.
    pub size: u64,
    /// How far it is proven.
    pub verdict: Verdict,
    /// What the file says about itself.
    pub facts: MediaFacts,
    /// How the bytes came.
    pub fetched: FetchEvidence,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

fn first() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_first(version: &u32) -> bool {
    *version == 1
}

/// How the bytes of a part came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FetchEvidence {
    /// When the last byte arrived.
    pub at: Timestamp,
    /// `direct`, `browser`, `viewer` or `adopted`.
    pub via: String,
    /// Host that served it; empty where it was adopted.
    pub host: String,
    /// Length the server claimed, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_length: Option<u64>,
    /// Media type the server claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_type: Option<String>,
    /// Program and version that fetched it.
    pub tool: String,
}

impl FetchEvidence {
    /// `via` of what was adopted.
    pub const ADOPTED: &str = "adopted";
    /// `tool` of this program.
    pub const TOOL: &str = concat!("shoebox ", env!("CARGO_PKG_VERSION"));
}

impl ItemRecord {
    /// The canonical bytes: UTF-8 JSON, keys sorted at every level, one newline at the end.
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical(self)
    }

    /// Reads a record's bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// The latest version of the part with that role.
    pub fn part(&self, role: PartRole) -> Option<&PartRecord> {
        self.parts.iter().filter(|part| part.role == role).max_by_key(|part| part.version)
    }
}

/// The canonical bytes of a record: UTF-8 JSON, keys sorted at every level, one newline at the end.
pub(crate) fn canonical(record: &impl Serialize) -> Vec<u8> {
    // Going through Value sorts the keys: serde_json's map is a BTreeMap without `preserve_order`.
    #[expect(clippy::unwrap_used, reason = "a record holds strings, numbers and lists: always representable")]
    let mut bytes = serde_json::to_vec(&serde_json::to_value(record).unwrap()).unwrap();
    bytes.push(b'\n');
    bytes
}

/// Version of [`ItemRecord`]'s shape that this program writes.
pub const SCHEMA: u32 = 1;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn conflict(dates: &[(&str, TimeSource)], google: Option<(&str, &str)>) -> bool {
        let date = |(local, source): &(&str, TimeSource)| CaptureTime {
            local: local.parse().unwrap(),
            offset_s: None,
            source: *source,
        };
        let mut dates = dates.iter().map(date);
        let facts = MediaFacts { taken: dates.next(), other_dates: dates.collect(), ..MediaFacts::default() };
        let ms = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        let remote = RemoteFacts {
            taken_ms: google.map(|(taken, _)| ms(taken)),
            uploaded_ms: google.map(|(_, uploaded)| ms(uploaded)),
            ..RemoteFacts::default()
        };
        let sha256 = Sha256::new([7; 32]);
        let part = PartRecord {
            role: PartRole::Original,
            version: 1,
            name: String::new(),
            sha256,
            sha1: Sha1::new([7; 20]),
            size: 1,
            verdict: Verdict::Unproven,
            facts: facts.clone(),
            fetched: FetchEvidence {
                at: Timestamp::UNIX_EPOCH,
                via: String::new(),
                host: String::new(),
                claimed_length: None,
                claimed_type: None,
                tool: String::new(),
            },
            unknown: Map::new(),
        };
        let record = ItemRecord {
            schema: SCHEMA,
            key: MediaKey::new("k").unwrap(),
            seq: 1,
            previous: None,
            ordinal: 1,
            account: String::new(),
            recorded_at: Timestamp::UNIX_EPOCH,
            state: ItemState::Present,
            name: String::new(),
            taken: CaptureTime::choose(&facts, &remote),
            remote,
            parts: vec![part],
            formerly: None,
            adopted: None,
            unknown: Map::new(),
        };
        record.has_date_conflict()
    }

    #[test]
    fn only_what_cannot_be_reconciled_is_a_conflict() {
        use TimeSource::{Exif, Gps, Modified, Name, Video, VideoKeys, Xmp};
        let (photo, week) = ("2020-05-06T12:00:00", "2020-05-13T12:00:00");
        assert!(!conflict(&[], None) && !conflict(&[(photo, Exif)], None));
        assert!(conflict(&[(photo, Exif), (week, Xmp)], None));
        assert!(conflict(&[(photo, Exif), (week, Name)], None));
        // The hours of a zone, the day of a name without a time.
        assert!(!conflict(&[(photo, Exif), ("2020-05-06T23:00:00", Xmp)], None));
        assert!(!conflict(&[("2020-05-06T23:00:00", Exif), ("2020-05-06T00:00:00", Name)], None));
        // When a print was scanned, a file changed or copied, an old fix.
        assert!(!conflict(&[(photo, Exif), (week, Exif)], None));
        assert!(!conflict(&[(photo, Exif), (week, Modified), (week, Gps)], None));
        assert!(!conflict(&[(photo, VideoKeys), (week, Video)], None));
        // Somebody has corrected it at Google; there, the upload is no date.
        assert!(conflict(&[(photo, Exif)], Some(("2015-01-01T10:00:00Z", "2021-01-01T00:00:00Z"))));
        assert!(!conflict(&[(photo, Exif)], Some(("2021-01-01T00:00:00Z", "2021-01-01T00:00:00Z"))));
    }
}
