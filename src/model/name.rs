//! File names: from what a stranger's camera wrote to what every file system can hold.

use std::fmt::Write as _;

use unicode_normalization::UnicodeNormalization;

/// Longest name, bytes: the limit of the file systems people use.
pub const LONGEST: usize = 255;

/// Makes a hostile name harmless: NFC, no separators, control, direction or zero-width characters, no `.`
/// or `..`, no trailing dot or space, at most `longest` bytes with the extension kept, never empty.
pub fn safe(name: &str, longest: usize) -> String {
    let cleaned: String = name.nfc().map(|c| if is_harmful(c) { '_' } else { c }).collect();
    let cleaned = cleaned.trim_end_matches(['.', ' ']).trim_start_matches(' ');
    let (stem, extension) = split(cleaned);
    let extension = cut(extension, 32).trim_end_matches(' ');
    let dot = if extension.is_empty() { "" } else { "." };
    let stem = cut(stem, longest.saturating_sub(dot.len() + extension.len()));
    let stem = stem.trim_end_matches(' ');
    if stem.is_empty() && extension.is_empty() {
        return "unnamed".into();
    }
    format!("{}{dot}{extension}", if stem.is_empty() { "unnamed" } else { stem })
}

/// Characters that change what a name means or how it is shown.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '/' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Stem and extension; a leading dot does not begin an extension.
pub fn split(name: &str) -> (&str, &str) {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && !extension.is_empty() => (stem, extension),
        _ => (name, ""),
    }
}

/// At most `longest` bytes, whole characters.
fn cut(text: &str, longest: usize) -> &str {
    let mut end = text.len().min(longest);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// What two names must differ in to be told apart everywhere, Windows and macOS included.
pub fn folded(name: &str) -> String {
    name.nfd().flat_map(char::to_lowercase).nfc().collect()
}

/// A name for a terminal or a log line: what could move the cursor or hide text is written as an escape.
pub fn printable(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if is_harmful(c) && c != '/' {
            // Writing into a string cannot fail.
            let _infallible = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn attacks_become_plain_names() {
        for (hostile, plain) in [
            ("../../etc/passwd", ".._.._etc_passwd"),
            ("..", "unnamed"),
            ("", "unnamed"),
            (" .jpg", ".jpg"),
            ("tail. ", "tail"),
            ("a\u{202e}gpj.exe", "a_gpj.exe"),
            ("two\nlines.jpg", "two_lines.jpg"),
            ("nu\u{308}r.jpg", "nür.jpg"),
            ("nul\0byte.jpg", "nul_byte.jpg"),
        ] {
            assert_eq!(safe(hostile, LONGEST), plain, "{hostile:?}");
        }
        let long = safe(&format!("{}.jpg", "ü".repeat(300)), LONGEST);
        assert!(long.len() <= LONGEST && long.ends_with("ü.jpg"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100_000, ..ProptestConfig::default() })]
        #[test]
        fn every_name_is_legal(name in any::<String>(), longest in 40_usize..256) {
            let safe = safe(&name, longest);
            prop_assert!(!safe.is_empty() && safe.len() <= longest);
            prop_assert!(safe != "." && safe != "..");
            prop_assert!(!safe.chars().any(is_harmful));
            prop_assert!(!safe.ends_with(['.', ' ']));
            prop_assert_eq!(super::safe(&safe, longest), safe.clone());
            prop_assert_eq!(safe.nfc().collect::<String>(), safe);
        }
    }
}
