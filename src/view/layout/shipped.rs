//! The views that are there without any configuration.

use super::{Filter, Template, View};
use crate::model::PartRole;

/// Name, path, condition, what it is.
const SHIPPED: [(&str, &str, &str, &str); 21] = [
    ("all", "{year}/{month}/{day}/{name}", "not repeat", "everything, by day"),
    ("by-date", "{year}/{year}-{month}/{name}", "not repeat", "everything, by month"),
    ("by-camera", "{camera}/{year}/{year}-{month}/{name}", "not repeat", "by camera, then month"),
    ("by-lens", "{lens}/{year}/{year}-{month}/{name}", "lens and not repeat", "by lens, then month"),
    ("by-album", "{album}/{position} {name}", "not shared", "the account's own albums, in their order"),
    ("by-place", "{country}/{city}/{year}-{month}/{name}", "placed and not repeat", "by country and city"),
    ("by-type", "{type}/{year}/{year}-{month}/{name}", "not repeat", "photos, videos, raw files and so on"),
    ("by-account", "{account}/{year}/{year}-{month}/{name}", "", "each person's own library"),
    ("favourites", "{year}/{year}-{month}/{name}", "favourite", "marked as favourite"),
    ("archived", "{year}/{year}-{month}/{name}", "archived", "in the archive section of Google Photos"),
    ("shared", "{owner}/{album}/{position} {name}", "shared", "what others share, by person and album"),
    ("duplicates", "{content}/{name}", "duplicate", "the same bytes more than once, side by side"),
    ("not-in-album", "{year}/{year}-{month}/{name}", "not in-album", "in no album"),
    ("gone-from-google", "{year}/{year}-{month}/{name}", "gone", "deleted at Google, kept here"),
    ("recent", "{year}-{month}/{name}", "recent and not repeat", "added in the last 30 days"),
    ("edited", "{year}/{year}-{month}/{name}", "edited", "with an edited rendition"),
    (
        "date-conflicts",
        "{year}/{year}-{month}/{name}",
        "date-conflict and not repeat",
        "of which the dates contradict each other",
    ),
    ("videos", "{year}/{year}-{month}/{name}", "video and not repeat", "videos alone, for media servers"),
    ("immich", "{year}/{year}-{month}/{name}", "not repeat", "for Immich: each item once, with sidecars"),
    (
        "photoprism",
        "{year}/{year}-{month}/{name}",
        "not repeat",
        "for PhotoPrism: files of one photo share a name",
    ),
    ("smb", "{year}/{year}-{month}/{name}", "not repeat", "for Windows and Samba: names that both accept"),
];

/// All shipped views.
pub fn shipped() -> Vec<View> {
    let view = |(name, path, show, about): (&str, &str, &str, &str)| {
        let (Ok(path), Ok(show)) = (Template::parse(path), Filter::parse(show)) else { return None };
        let parts = match name {
            // An edited rendition would be a second asset there.
            "immich" => vec![PartRole::Original, PartRole::Motion],
            _ => PartRole::ALL.to_vec(),
        };
        let (name, about) = (name.to_owned(), about.to_owned());
        let (sidecars, portable) = (name == "immich", name == "smb");
        Some(View { name, about, path, show, parts, sidecars, portable })
    };
    SHIPPED.into_iter().filter_map(view).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn all_shipped_views_are_well_formed() {
        assert_eq!(super::shipped().len(), super::SHIPPED.len());
    }
}
