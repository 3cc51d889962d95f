//! File names: from what a stranger's camera wrote to what every file system can hold.

use unicode_normalization::UnicodeNormalization as _;

use super::PartRole;

/// Longest name, bytes: the limit of Linux file systems.
pub const LONGEST: usize = 255;
/// Longest extension, bytes; anything longer behind a dot is part of the name.
const LONGEST_EXTENSION: usize = 10;
/// Room for what a view adds to a stem: the suffix of a collision and the word of a part.
pub const ROOM: usize = SUFFIX_LEN + "-edited".len() + PREFIX_LEN + ".xmp".len();
/// Bytes that a view may put in front of a name.
pub const PREFIX_LEN: usize = 40;
/// Longest stem, bytes.
const LONGEST_STEM: usize = LONGEST - ROOM - 1 - LONGEST_EXTENSION;
/// Bytes of a collision's suffix: `~` and eight hex digits.
const SUFFIX_LEN: usize = 9;
/// What stands for a name of which nothing is left.
const UNNAMED: &str = "unnamed";

/// A file name made safe, in two pieces: `IMG_1` and `jpg`.
///
/// Whole, or with what [`write_stem`] adds, it is NFC, never empty, at most [`LONGEST`] bytes and has no
/// slash, control or invisible character, no leading dot and no trailing dot or blank. Making a safe name
/// safe again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SafeName {
    stem: String,
    extension: String,
}

impl SafeName {
    /// Makes any text a safe name.
    pub fn new(raw: &str) -> Self {
        if let Some((stem, extension)) = plain(raw) {
            return Self { stem: stem.to_owned(), extension: extension.to_owned() };
        }
        let kept: String =
            raw.chars().map(|c| if c == '/' { '_' } else { c }).filter(|c| !is_invisible(*c)).collect();
        let kept = if kept.is_ascii() { kept } else { kept.nfc().collect() };
        let name = trim(&kept);
        let (stem, extension) = split(name);
        let stem = cut(stem, LONGEST_STEM);
        // Alone, a stem ends a name; before an extension it may end as it likes.
        let stem = if extension.is_empty() { trim(stem) } else { stem.trim_start() };
        let whole_is_junk = is_junk(&format!("{stem}.{extension}")) || is_junk(stem);
        let stem = match stem.strip_prefix('.') {
            // A leading dot would hide the photo from everything that browses.
            Some(rest) => format!("_{rest}"),
            None if stem.is_empty() => UNNAMED.to_owned(),
            None if whole_is_junk => format!("_{stem}"),
            None => stem.to_owned(),
        };
        // What was cut off, or put in front, may have made it a name with an extension (`..heic` is `_.heic` now). Names
        // that read the same must come apart the same, or nobody sees that two of them clash.
        let (stem, extension) = if extension.is_empty() { split(&stem) } else { (stem.as_str(), extension) };
        let stem = match stem.rsplit_once('.') {
            // Too long for an extension, and not where case is ignored: `x.A26LTEBH\u{fb00}` is `x.A26LTEBHFF` there.
            Some((before, tail)) if extension.is_empty() && is_extension(&fold(tail)) => {
                format!("{before}_{tail}")
            }
            _ => stem.to_owned(),
        };
        Self { stem, extension: extension.to_owned() }
    }

    /// The extension of a part of the item that has this name: the part's own, if it has one that does not make the
    /// item's stem a name that nobody may have (`Thumbs` and `db`).
    pub fn extension_of(&self, part_name: &str) -> String {
        let own = match plain(part_name) {
            Some((_, extension)) => extension.to_owned(),
            None => Self::new(part_name).extension,
        };
        if own.is_empty() || is_junk(&format!("{}.{own}", self.stem)) { self.extension.clone() } else { own }
    }

    /// The name without extension.
    pub fn stem(&self) -> &str {
        &self.stem
    }

    /// The extension without its dot; may be empty.
    pub fn extension(&self) -> &str {
        &self.extension
    }

    /// The whole name.
    pub fn text(&self) -> String {
        let mut name = self.stem.clone();
        write_extension(&mut name, &self.extension);
        name
    }
}

/// Stem and extension of a name that is safe as it is: letters, digits and a few signs of ASCII, as cameras write
/// them. Most names are, and a million of them are looked at when a view begins.
fn plain(name: &str) -> Option<(&str, &str)> {
    let ordinary = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'(' | b')');
    let ends = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    let is_plain = name.len() <= LONGEST_STEM && bytes.iter().all(|b| ordinary(*b));
    if !is_plain || !ends(bytes.first()) || !ends(bytes.last()) || is_junk(name) {
        return None;
    }
    match name.rsplit_once('.') {
        Some((stem, extension))
            if is_extension(extension) && ends(stem.as_bytes().last()) && !is_junk(stem) =>
        {
            Some((stem, extension))
        }
        _ => None,
    }
}

/// Appends a name without its extension: the stem, the suffix that tells it from others of that name, and the
/// word of its part (see [`word`]).
pub fn write_stem(to: &mut String, stem: &str, suffix: Option<u32>, word: &str) {
    use std::fmt::Write as _;
    to.push_str(stem);
    if let Some(suffix) = suffix {
        // Writing into a String cannot fail.
        let _ = write!(to, "~{suffix:08x}");
    }
    to.push_str(word);
}

/// Appends the extension of a name, if there is one.
pub fn write_extension(to: &mut String, extension: &str) {
    if !extension.is_empty() {
        to.push('.');
        to.push_str(extension);
    }
}

/// The word in the name of a part: a motion part shares the stem, unless its extension is the original's too.
pub fn word(role: PartRole, same_extension_as_original: bool) -> &'static str {
    match role {
        PartRole::Original => "",
        PartRole::Edited => "-edited",
        PartRole::Motion if same_extension_as_original => "-motion",
        PartRole::Motion => "",
    }
}

/// Names under which file servers and desktops keep their own things, and which programs that read photos skip.
/// Nothing of ours has such a name, so the answer to whoever asks for one is known: it is not there.
pub fn is_junk(name: &str) -> bool {
    const WHOLE: [&str; 10] = [
        "@eadir",
        "@__thumb",
        "@recycle",
        "@recently-snapshot",
        "#recycle",
        "#snapshot",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "$recycle.bin",
    ];
    let begins = |with: &str| name.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    name.starts_with('.')
        || WHOLE.iter().any(|junk| name.eq_ignore_ascii_case(junk))
        || begins("synofile_thumb_")
        || begins("system volume information")
}

/// A name that Windows takes too: what it forbids is replaced by characters that look alike (as rclone does),
/// and its names of devices get a `_` in front. Most names come back as they are.
pub fn portable(name: &str) -> std::borrow::Cow<'_, str> {
    const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
    // Before a suffix too: `con~01234567` must be what `con` with that suffix is.
    let first = name.split(['.', '~']).next().unwrap_or(name);
    let lower = first.trim_end().to_ascii_lowercase();
    let numbered = |prefix| {
        let number = lower.strip_prefix(prefix).map(str::as_bytes);
        matches!(number, Some([b'0'..=b'9'])) || matches!(lower.strip_prefix(prefix), Some("¹" | "²" | "³"))
    };
    let device = DEVICES.contains(&lower.as_str()) || numbered("com") || numbered("lpt");
    let bad = |c: char| matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*' | '\\');
    if !device && !name.contains(bad) {
        return name.into();
    }
    let alike = |c| match c {
        '<' => '＜',
        '>' => '＞',
        ':' => '：',
        '"' => '＂',
        '|' => '｜',
        '?' => '？',
        '*' => '＊',
        '\\' => '＼',
        c => c,
    };
    let mut portable = if device { "_".to_owned() } else { String::new() };
    portable.extend(name.chars().map(alike));
    portable.truncate(portable.floor_char_boundary(LONGEST_STEM));
    portable.into()
}

/// What names share that are the same to a file system that ignores case.
pub fn fold(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    // Upper case first joins what has one upper form and two lower ones, such as both Greek sigmas.
    name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfc().collect()
}

/// A name for a terminal or a log line: what could move the cursor or hide text is written as an escape.
pub fn printable(name: &str) -> String {
    let escape = |c: char| if is_invisible(c) { c.escape_unicode().to_string() } else { c.to_string() };
    name.chars().map(escape).collect()
}

/// JSON for a terminal: the same values, with nothing in them that moves the cursor or hides text.
pub fn printable_json(json: &str) -> String {
    use std::fmt::Write as _;
    let mut printable = String::with_capacity(json.len());
    for c in json.chars() {
        if is_invisible(c) {
            // Outside strings there is none; within them, this is how JSON writes any character.
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(printable, "\\u{unit:04x}");
            }
        } else {
            printable.push(c);
        }
    }
    printable
}

/// Whether a character shows nothing, or changes how others show: controls, the marks that turn the direction
/// of writing (`gpj.exe` for `exe.jpg`), zero-width ones, and separators of lines.
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Without blanks in front, and without blanks and dots at the end, which Windows drops.
fn trim(name: &str) -> &str {
    name.trim_start().trim_end_matches(|c: char| c == '.' || c.is_whitespace())
}

fn is_extension(text: &str) -> bool {
    (1..=LONGEST_EXTENSION).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// A name without its extension, and that, if it has one.
fn split(name: &str) -> (&str, &str) {
    match name.rsplit_once('.') {
        Some((stem, extension)) if folds_to_extension(extension) && !trim(stem).is_empty() => {
            (stem, extension)
        }
        _ => (name, ""),
    }
}

/// Whether a file system that ignores case may take it for an extension: `x.jpegß` is `x.JPEGSS` to some, and must not
/// be beside it as if their stems were different.
fn folds_to_extension(text: &str) -> bool {
    is_extension(text) || (text.len() <= LONGEST_EXTENSION && is_extension(&fold(text)))
}

/// The longest beginning of at most `most` bytes that ends with a whole character.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_an_extension_only_where_case_is_ignored_is_none_anywhere() {
        let long = SafeName::new("x.A26LTEBH\u{fb00}");
        assert_eq!((long.text().as_str(), long.extension()), ("x_A26LTEBH\u{fb00}", ""));
        assert_eq!(SafeName::new(&long.text()), long);
        assert_eq!(SafeName::new("x.A26LTEBHFF").extension(), "A26LTEBHFF");
    }

    #[test]
    fn ordinary_names_stay() {
        for name in
            ["IMG_1234.JPG", "PXL_20230715_064510123.MP.jpg", "Foto's (3).heic", "日本.png", "a", "a.b c"]
        {
            assert_eq!(SafeName::new(name).text(), name);
        }
    }

    #[test]
    fn hostile_names_become_harmless() {
        for (raw, safe) in [
            ("", "unnamed"),
            (".", "unnamed"),
            ("..", "unnamed"),
            ("...", "unnamed"),
            (" . ", "unnamed"),
            ("../../etc/passwd", "_._.._etc_passwd"),
            ("/etc/passwd", "_etc_passwd"),
            ("a\0b\n.jpg", "ab.jpg"),
            ("photo\u{202e}gpj.exe", "photogpj.exe"),
            ("\u{feff}IMG\u{200b}_1.jpg", "IMG_1.jpg"),
            (".hidden.jpg", "_hidden.jpg"),
            ("..heic", "_.heic"),
            (".jpg", "_jpg"),
            ("@eaDir", "_@eaDir"),
            ("Thumbs.db", "_Thumbs.db"),
            ("SYNOFILE_THUMB_M.jpg", "_SYNOFILE_THUMB_M.jpg"),
            ("IMG.jpg. .", "IMG.jpg"),
            ("  IMG.jpg", "IMG.jpg"),
            ("e\u{301}.jpg", "é.jpg"),
            ("no.such extension", "no.such extension"),
            ("IMG.", "IMG"),
        ] {
            assert_eq!(SafeName::new(raw).text(), safe, "{raw:?}");
        }
    }

    #[test]
    fn the_short_way_and_the_long_way_make_the_same_name() {
        for name in
            ["IMG_1.jpg", "a.b.c.jpg", "x(1).jpeg", "Thumbs.db", "1.jpg", "IMG..jpg", "n", "a.longextension"]
        {
            if let Some((stem, extension)) = plain(name) {
                // A character that is left out keeps a name from the short way.
                let long = SafeName::new(&format!("\u{200b}{name}"));
                assert_eq!((stem, extension), (long.stem(), long.extension()), "{name}");
            }
        }
        assert!(plain("IMG_1.jpg").is_some() && plain("Thumbs.db").is_none());
    }

    #[test]
    fn a_long_name_keeps_its_extension_and_whole_characters() {
        let name = SafeName::new(&format!("{}.jpeg", "é".repeat(300))).text();
        assert!(name.len() <= LONGEST && name.ends_with("é.jpeg"), "{}", name.len());
    }

    #[test]
    fn parts_share_the_stem() {
        assert_eq!(SafeName::new("IMG_1.HEIC").extension_of("movie.MOV"), "MOV");
        assert_eq!(SafeName::new("IMG_1.HEIC").extension_of("x"), "HEIC");
        assert_eq!(SafeName::new("Thumbs.jpg").extension_of("x.db"), "jpg");
        assert_eq!(SafeName::new("desktop").extension_of("x.ini"), "");
        assert_eq!(word(PartRole::Motion, true), "-motion");
    }

    #[test]
    fn a_printed_name_cannot_move_the_cursor() {
        assert_eq!(printable("a/b\x1b[2J\u{202e}ü.jpg"), "a/b\\u{1b}[2J\\u{202e}ü.jpg");
    }

    #[test]
    fn case_and_composition_fold() {
        assert_eq!(fold("IMG.JPG"), fold("img.jpg"));
        assert_eq!(fold("ÉΣ"), fold("e\u{301}ς"));
        assert_ne!(fold("a"), fold("b"));
    }

    const NASTY: [&str; 22] = [
        "/",
        "\0",
        ".",
        "..",
        " ",
        "\u{202e}",
        "\u{200b}",
        "\u{301}",
        "é",
        "\u{1f468}\u{200d}\u{1f469}",
        "~",
        "-edited",
        ".jpg",
        ".JPEG",
        "\u{212b}",
        "\u{ac00}",
        "ﬀ",
        "\u{958}",
        "\u{a0}",
        "\u{3000}",
        "\\",
        "con",
    ];

    fn hostile(random: &mut fastrand::Rng) -> String {
        let mut name = String::new();
        for _ in 0..random.usize(..12) {
            match random.u8(..3) {
                0 => name.push_str(NASTY[random.usize(..NASTY.len())]),
                1 => name.push(random.char(..)),
                _ => (0..random.usize(..60)).for_each(|_| name.push(random.alphanumeric())),
            }
        }
        name
    }

    #[test]
    fn promises_hold_for_a_hundred_thousand_hostile_names() {
        let seed = std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
        println!("SEED={seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..100_000 {
            let raw = hostile(&mut random);
            let safe = SafeName::new(&raw);
            let mut longest = String::new();
            let word = word(PartRole::ALL[random.usize(..3)], random.bool());
            write_stem(&mut longest, safe.stem(), Some(random.u32(..)), word);
            write_extension(&mut longest, safe.extension());
            for name in [&longest, &safe.text()] {
                assert!(!name.is_empty() && name.len() <= LONGEST, "{raw:?}");
                assert!(!name.contains('/') && !name.chars().any(is_invisible), "{raw:?}");
                assert!(!is_junk(name) && !name.ends_with(['.', ' ']), "{raw:?}");
                assert!(name.nfc().eq(name.chars()), "{raw:?} is not NFC");
            }
            assert_eq!(SafeName::new(&safe.text()), safe, "{raw:?}");
        }
    }
}
