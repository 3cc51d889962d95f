//! Where a file is, and what it shares a folder with: the parts of one export do, exports of two people never.

use jiff::Timestamp;

use crate::model::name::is_junk;

/// What all parts of a Takeout have in common.
const TAKEOUT: &str = "Takeout";

/// What all files of an archive file or of a folder of a Takeout share: `name` without the number of the part. Takeout's
/// own names have the time of the export in them, so that its parts may lie anywhere.
pub fn base(parent: &str, name: &str) -> String {
    let export = export_of(name);
    if is_takeouts_own(export) { format!("//{export}") } else { format!("{parent}/{export}") }
}

/// `takeout-20240516T230250Z-003` and `takeout-20240516T230250Z-004 (1)` are of one export, and so are `part1` and `part2`.
fn export_of(name: &str) -> &str {
    let name = name.trim_end();
    let copy = name.strip_suffix(')').and_then(|rest| rest.rsplit_once(" ("));
    let name = copy.filter(|(_, number)| is_number(number)).map_or(name, |(name, _)| name);
    let without = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = name.len() - without.len();
    // Four digits are a year.
    if without.is_empty() || !(1..=3).contains(&digits) {
        return name;
    }
    without.trim_end_matches(['-', '_', ' ', '.'])
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// `takeout-20240516T230250Z`, `takeout-20250921T230250Z-3`.
fn is_takeouts_own(export: &str) -> bool {
    let Some(stamp) = export.strip_prefix("takeout-").and_then(|rest| rest.get(..16)) else { return false };
    let is = |at: usize, b: u8| if matches!(at, 8) { b == b'T' } else { b.is_ascii_digit() };
    stamp.ends_with('Z') && stamp.bytes().take(15).enumerate().all(|(at, b)| is(at, b))
}

/// A folder's path as all parts of its export name it.
pub fn shared(path: &str) -> String {
    let mark = path.match_indices(TAKEOUT).filter(|(at, mark)| {
        let end = at + mark.len();
        path[..*at].ends_with('/') && (end == path.len() || path[end..].starts_with('/'))
    });
    let Some((at, _)) = mark.last() else { return path.to_owned() };
    let (parent, name) = path[..at - 1].rsplit_once('/').unwrap_or(("", &path[..at - 1]));
    // What lies in an archive file has its base already.
    if parent == "/" || name.is_empty() {
        return path.to_owned();
    }
    format!("{}/{}", base(parent, name), &path[at..])
}

/// The product of Google that a folder of a Takeout belongs to.
pub fn product(folder: &str) -> Option<&str> {
    let (_, below) = folder.split_once("/Takeout/")?;
    below.split('/').next()
}

/// The export that a folder belongs to.
pub fn export(folder: &str) -> &str {
    folder.split_once("/Takeout/").map_or(folder, |(export, _)| export)
}

/// Folder and name of a path within an archive file with that base. The path names nothing on this machine.
pub fn split(base: &str, inner: &str) -> (String, String) {
    let mut pieces: Vec<&str> =
        inner.split(['/', '\\']).filter(|piece| !matches!(*piece, "" | "." | "..")).collect();
    let name = pieces.pop().unwrap_or_default().to_owned();
    // What Macs and disk stations add is no photo.
    if pieces.iter().any(|piece| *piece == "__MACOSX" || is_junk(piece)) {
        return (base.to_owned(), String::new());
    }
    pieces.insert(0, base);
    (pieces.join("/"), name)
}

/// Whether it is an archive file by its name.
pub fn is_archive(name: &str) -> bool {
    let name = name.to_lowercase();
    [".zip", ".tgz", ".tar.gz", ".tar"].iter().any(|ending| name.ends_with(ending))
}

/// The time at which a file was last changed, where that may say when a photo was taken: zips and tars that know none say
/// 1980 and 1970, and Takeout the day of the export.
pub fn changed(at: Option<Timestamp>, folder: &str, now: Timestamp) -> Option<Timestamp> {
    let is_possible = |at: &Timestamp| {
        let year = at.strftime("%Y").to_string().parse().unwrap_or(0);
        (1990..=9999).contains(&year) && *at <= now
    };
    at.filter(is_possible).filter(|_| product(folder).is_none())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn parts_of_one_export_meet_and_those_of_two_do_not() {
        let zip = |path: &str| {
            let (parent, name) = path.rsplit_once('/').unwrap();
            shared(&split(&base(parent, name), "Takeout/Google Photos/Sea/a.jpg").0)
        };
        let one = "//takeout-20240516T230250Z/Takeout/Google Photos/Sea";
        assert_eq!(zip("/a/takeout-20240516T230250Z-003"), one);
        assert_eq!(zip("/b/takeout-20240516T230250Z-004 (1)"), one);
        assert_eq!(shared("/c/takeout-20240516T230250Z-001/Takeout/Google Photos/Sea"), one);
        assert_eq!(
            zip("/a/takeout-20250921T230250Z-3-009"),
            "//takeout-20250921T230250Z-3/Takeout/Google Photos/Sea"
        );
        assert_eq!(zip("/a/part1"), zip("/a/part2"));
        assert_ne!(zip("/a/part1"), zip("/b/part1"));
        assert_ne!(zip("/a/2021"), zip("/a/2024"));
        let folder = |path: &str| shared(&format!("{path}/Takeout/Google Photos/Sea"));
        assert_eq!(folder("/x/part1"), folder("/x/part2"));
        assert_ne!(folder("/x/alice"), folder("/x/bob"));
        assert_ne!(folder("/x/alice"), folder("/y/alice"));
        assert_eq!(shared("/home/me/photos"), "/home/me/photos");
        assert_eq!(product(&folder("/x/alice")), Some("Google Photos"));
        assert_eq!((product("/home/me/photos"), export(one)), (None, "//takeout-20240516T230250Z"));
    }

    #[test]
    fn only_a_possible_time_is_one() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let at = |text: &str, folder: &str| changed(Some(text.parse().unwrap()), folder, now);
        assert!(at("2019-05-06T07:08:09Z", "/a").is_some());
        assert!(at("1980-01-01T00:00:00Z", "/a").is_none() && at("2027-01-01T00:00:00Z", "/a").is_none());
        assert!(at("2019-05-06T07:08:09Z", "/a/Takeout/Google Photos/Sea").is_none());
    }
}
