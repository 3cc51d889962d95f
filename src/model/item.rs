//! What the remote library says about an item.

use serde::{Deserialize, Serialize};

use super::{DedupKey, MediaKey, RemoteFacts};

/// Which file of an item a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartRole {
    /// The file as it was uploaded.
    Original,
    /// Google's rendition of the item's edits.
    Edited,
    /// The video half of a Live Photo.
    Motion,
}

impl PartRole {
    /// All roles, in the order of their codes.
    pub const ALL: [Self; 3] = [Self::Original, Self::Edited, Self::Motion];

    /// A small stable number: part of inode numbers and of the index; never renumber.
    pub const fn code(self) -> u8 {
        match self {
            Self::Original => 0,
            Self::Edited => 1,
            Self::Motion => 2,
        }
    }

    /// The role with that code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.code() == code)
    }

    /// The word used in records and reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Edited => "edited",
            Self::Motion => "motion",
        }
    }
}

/// The quality Google keeps the item in (contract 5.6, field 318563170).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Quality {
    /// The bytes that were uploaded.
    Original,
    /// Recompressed by Google ("storage saver"): the upload itself no longer exists.
    StorageSaver,
    /// Not said.
    #[default]
    Unknown,
}

/// Where Google says an item was taken, by the person's word or by its own guess.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Its name, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Something that Google has made of other items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Creation {
    /// A moving picture of several photos.
    Animation,
    /// Several photos in one.
    Collage,
    /// A photo with effects.
    Effects,
    /// A wide picture of several photos.
    Panorama,
}

impl Creation {
    /// Google names what it makes.
    pub fn of_name(name: &str) -> Option<Self> {
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        // A second download of the same name carries a number.
        let stem = stem.split('(').next().unwrap_or(stem).trim_end();
        let endings =
            [("-ANIMATION", Self::Animation), ("-COLLAGE", Self::Collage), ("-EFFECTS", Self::Effects)];
        let ending = endings.iter().find(|(ending, _)| stem.ends_with(ending)).map(|(_, kind)| *kind);
        ending.or_else(|| stem.contains("MV-PANO").then_some(Self::Panorama))
    }
}

/// One row of a listing.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteItem {
    /// The item's key.
    pub key: MediaKey,
    /// Content key, if listed.
    pub dedup_key: Option<DedupKey>,
    /// Capture instant, milliseconds since 1970 UTC.
    pub taken_ms: Option<i64>,
    /// Zone offset at capture, milliseconds east of UTC.
    pub zone_offset_ms: Option<i64>,
    /// Upload instant, milliseconds since 1970 UTC.
    pub uploaded_ms: Option<i64>,
    /// Width in pixels.
    pub width: Option<u32>,
    /// Height in pixels.
    pub height: Option<u32>,
    /// Length of a video, milliseconds.
    pub duration_ms: Option<u64>,
    /// Whether the item has a moving half of its own (Live Photo).
    pub live: bool,
    /// In the archive section of the library.
    pub archived: bool,
    /// Marked as favourite.
    pub favourite: bool,
    /// The phone has not finished uploading; a smaller copy stands in.
    pub partial_upload: bool,
    /// Short description, if listed.
    pub description: Option<String>,
    /// Key of the owning account, if listed.
    pub owner: Option<String>,
    /// Keys of the albums that contain the item.
    pub albums: Vec<MediaKey>,
    /// Stored quality.
    pub quality: Quality,
    /// Bytes that count against the account's storage; 0 for those that do not.
    pub charged: Option<u64>,
    /// Where Google says it was taken.
    pub place: Option<Place>,
    /// When it was moved to the trash, milliseconds since 1970 UTC.
    pub trashed_ms: Option<i64>,
    /// Somebody else's: shared with the account, not saved to its library.
    pub foreign: bool,
    /// What Google has made it, if the listing says so.
    pub creation: Option<Creation>,
    /// A small number that changes when the item is edited (contract 5.6, position 14); its meaning is a guess.
    pub counter: Option<i64>,
}

impl RemoteItem {
    /// An item as it was recorded: what stands for a row that tells nothing but the key.
    pub fn as_recorded(key: MediaKey, facts: &RemoteFacts) -> Self {
        Self {
            dedup_key: facts.dedup_key.clone(),
            taken_ms: facts.taken_ms,
            zone_offset_ms: facts.zone_offset_ms,
            uploaded_ms: facts.uploaded_ms,
            width: facts.width,
            height: facts.height,
            duration_ms: facts.duration_ms,
            archived: facts.archived,
            favourite: facts.favourite,
            partial_upload: facts.partial_upload,
            description: facts.description.clone(),
            owner: facts.owner.clone(),
            albums: facts.albums.clone(),
            quality: facts.quality,
            charged: facts.charged,
            place: facts.place.clone(),
            trashed_ms: facts.trashed_ms,
            foreign: facts.foreign,
            creation: facts.creation,
            ..Self::unknown(key)
        }
    }

    /// An item of which nothing but the key is known.
    pub fn unknown(key: MediaKey) -> Self {
        Self {
            key,
            dedup_key: None,
            taken_ms: None,
            zone_offset_ms: None,
            uploaded_ms: None,
            width: None,
            height: None,
            duration_ms: None,
            live: false,
            archived: false,
            favourite: false,
            partial_upload: false,
            description: None,
            owner: None,
            albums: Vec::new(),
            quality: Quality::Unknown,
            charged: None,
            place: None,
            trashed_ms: None,
            foreign: false,
            creation: None,
            counter: None,
        }
    }
}

/// What the bulk call adds to a listed item.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemDetails {
    /// The item's key.
    pub key: MediaKey,
    /// File name as uploaded; hostile until made an archive name.
    pub name: String,
    /// Bytes of the stored file, if said.
    pub size: Option<u64>,
    /// Full description, if any.
    pub description: Option<String>,
    /// Stored quality, if said.
    pub quality: Quality,
}

#[cfg(test)]
mod tests {
    use super::Creation;

    #[test]
    fn what_google_makes_is_told_by_its_name() {
        for (name, made) in [
            ("IMG_20180101-ANIMATION.gif", Some(Creation::Animation)),
            ("IMG_1-COLLAGE(1).jpg", Some(Creation::Collage)),
            ("IMG_1-EFFECTS.jpg", Some(Creation::Effects)),
            ("MV-PANO_1.jpg", Some(Creation::Panorama)),
            ("my COLLAGE.jpg", None),
            ("-ANIMATION", Some(Creation::Animation)),
        ] {
            assert_eq!(Creation::of_name(name), made, "{name}");
        }
    }
}
