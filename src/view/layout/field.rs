//! The facts that templates and conditions speak of.

use crate::model::origin::is_screenshot;

/// A fact about an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the table in `layout` says what each is")]
pub enum Field {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Added,
    Camera,
    Lens,
    Country,
    Region,
    City,
    Type,
    Album,
    Position,
    Owner,
    Account,
    Content,
    Name,
}

impl Field {
    /// All fields with the words for them and what stands where nothing is known.
    pub const ALL: [(Self, &'static str, &'static str); 19] = [
        (Self::Year, "year", ""),
        (Self::Month, "month", ""),
        (Self::Day, "day", ""),
        (Self::Hour, "hour", ""),
        (Self::Minute, "minute", ""),
        (Self::Second, "second", ""),
        (Self::Added, "added", ""),
        (Self::Camera, "camera", "Unknown camera"),
        (Self::Lens, "lens", "Unknown lens"),
        (Self::Country, "country", "Unknown country"),
        (Self::Region, "region", "Unknown region"),
        (Self::City, "city", "Unknown city"),
        (Self::Type, "type", "Other"),
        (Self::Album, "album", ""),
        (Self::Position, "position", ""),
        (Self::Owner, "owner", "Unknown owner"),
        (Self::Account, "account", ""),
        (Self::Content, "content", ""),
        (Self::Name, "name", ""),
    ];

    /// The field with that name.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, name, _)| *name == word).map(|(field, ..)| field)
    }

    /// Its name.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(field, ..)| *field == self).map_or("", |(_, name, _)| name)
    }

    /// What stands for it where nothing is known.
    pub fn unknown(self) -> &'static str {
        Self::ALL.iter().find(|(field, ..)| *field == self).map_or("", |(.., unknown)| unknown)
    }

    /// Whether its text is short and of known length, so that it can stand beside a name.
    pub const fn is_short(self) -> bool {
        use Field::{Added, Day, Hour, Minute, Month, Position, Second, Year};
        matches!(self, Year | Month | Day | Hour | Minute | Second | Added | Position)
    }
}

/// What kind of thing an item is; the first that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Made of several photos by Google, or a GIF.
    Animation,
    /// A picture of a screen, by its name.
    Screenshot,
    /// A camera's raw file.
    Raw,
    /// A Live Photo or Motion Photo with its video beside it.
    Live,
    /// A video.
    Video,
    /// Any other picture.
    Photo,
    /// Neither picture nor video, as far as is known.
    Other,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 7] =
        [Self::Animation, Self::Screenshot, Self::Raw, Self::Live, Self::Video, Self::Photo, Self::Other];

    /// Its directory.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Animation => "Animations",
            Self::Screenshot => "Screenshots",
            Self::Raw => "Raw",
            Self::Live => "Live",
            Self::Video => "Videos",
            Self::Photo => "Photos",
            Self::Other => "Other",
        }
    }

    /// By the media type, the name, whether there is a motion part, and whether Google made an animation.
    pub fn of(media_type: Option<&str>, name: &str, live: bool, animation: bool) -> Self {
        let media_type = media_type.unwrap_or_default();
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let first = |text: &str| text.bytes().next().map(|byte| byte.to_ascii_lowercase());
        let end = first(extension);
        // The first letters tell most of them apart.
        let is_of = |list: &[&str]| {
            list.iter().any(|known| first(known) == end && known.eq_ignore_ascii_case(extension))
        };
        if animation || media_type == "image/gif" {
            Self::Animation
        } else if is_screenshot(name) {
            Self::Screenshot
        } else if is_of(&RAW) {
            Self::Raw
        } else if live {
            Self::Live
        } else if media_type.starts_with("video/") || is_of(&VIDEO) {
            Self::Video
        } else if media_type.starts_with("image/") || is_of(&PHOTO) {
            Self::Photo
        } else {
            Self::Other
        }
    }
}

const RAW: [&str; 18] = [
    "3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "iiq", "kdc", "mrw", "nef", "nrw", "orf", "pef",
    "raf", "rw2", "srw",
];
const VIDEO: [&str; 14] =
    ["3g2", "3gp", "asf", "avi", "divx", "m2t", "m2ts", "m4v", "mkv", "mov", "mp4", "mpg", "mts", "wmv"];
const PHOTO: [&str; 11] = ["avif", "bmp", "heic", "heif", "jpe", "jpeg", "jpg", "png", "tif", "tiff", "webp"];
