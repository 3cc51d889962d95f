//! Is the file that came the one that the page names? Browser and site change names in known ways.

use percent_encoding::percent_decode_str;
use unicode_normalization::UnicodeNormalization as _;

/// Whether a download's suggested name can be of the item that the info panel names (contract 4.2): the
/// browser replaces characters by `_` and strips leading dots, the site converts some files (another
/// extension), encodes names, and packs Live Photos.
pub fn agree(suggested: &str, named: &str) -> bool {
    let suggested = suggested.trim();
    if suggested.is_empty() || suggested.eq_ignore_ascii_case("download") || named.is_empty() {
        return true;
    }
    if suggested.to_ascii_lowercase().ends_with(".zip") {
        return true;
    }
    // A name that is nothing but an ending: whatever the browser made of it is short.
    if named.trim().rsplit_once('.').is_some_and(|(stem, _)| stem.trim_matches(['.', ' ']).is_empty()) {
        return plain(suggested).len() <= 4;
    }
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let ours = [named.to_owned(), decoded(named)];
    let theirs = [suggested.to_owned(), decoded(suggested), decoded(&decoded(suggested))];
    ours.iter().any(|our| theirs.iter().any(|their| plain(our) == plain(their)))
}

/// A name without extension, without what a browser changes or numbers.
fn plain(name: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| if stem.is_empty() { name } else { stem });
    let numbered = stem.strip_suffix(')').and_then(|rest| {
        let (base, number) = rest.rsplit_once(" (")?;
        number.bytes().all(|b| b.is_ascii_digit()).then_some(base)
    });
    let letters = numbered.unwrap_or(stem).nfc().filter(|c| c.is_alphanumeric());
    // Long names are cut; what a header cannot carry is replaced.
    letters.filter(char::is_ascii).take(60).collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::agree;

    #[test]
    fn known_changes_agree_and_others_do_not() {
        for (suggested, named) in [
            ("IMG_1.jpg", "IMG_1.HEIC"),
            ("a_b.jpg", "a/b.jpg"),
            ("hidden.jpg", ".hidden.jpg"),
            ("100%2e.jpg", "100%2e.jpg"),
            ("Photos-001.zip", "IMG_2.HEIC"),
            ("download", "x.jpg"),
            ("IMG_1 (1).jpg", "IMG_1.jpg"),
            ("n\u{fc}r.jpg", "nu\u{308}r.jpg"),
            ("_.jpg", " .jpg"),
            ("jpg", ".jpg"),
            ("caf%25C3%25A9.jpg", "café.jpg"),
        ] {
            assert!(agree(suggested, named), "{suggested} and {named}");
        }
        for (suggested, named) in
            [("IMG_2.jpg", "IMG_1.jpg"), ("PXL_1.jpg", "IMG_1.jpg"), ("_.jpg", "n\u{fc}r.jpg")]
        {
            assert!(!agree(suggested, named), "{suggested} and {named}");
        }
    }
}
