//! The directory name of a camera, from the maker and model that it wrote.

use unicode_normalization::UnicodeNormalization as _;

use super::name::is_invisible;

/// Makers as files spell them and as people do; whole words, compared without case. Where
/// one spelling begins another, the longer comes first.
const BRANDS: &[(&str, &str)] = &[
    ("Konica Minolta", "Konica Minolta"),
    ("Sony Ericsson", "Sony Ericsson"),
    ("Eastman Kodak", "Kodak"),
    ("JK Imaging", "Kodak"),
    ("Kodak", "Kodak"),
    ("OM Digital Solutions", "OM System"),
    ("Olympus", "Olympus"),
    ("Pentax Ricoh Imaging", "Ricoh"),
    ("Pentax", "Pentax"),
    ("Asahi", "Pentax"),
    ("Ricoh", "Ricoh"),
    ("Fuji Photo Film", "Fujifilm"),
    ("Fujifilm", "Fujifilm"),
    ("Canon", "Canon"),
    ("Nikon", "Nikon"),
    ("Sony", "Sony"),
    ("Panasonic", "Panasonic"),
    ("Samsung", "Samsung"),
    ("Casio", "Casio"),
    ("Minolta", "Minolta"),
    ("Konica", "Konica"),
    ("Sanyo", "Sanyo"),
    ("Sigma", "Sigma"),
    ("Hewlett Packard", "HP"),
    ("HP", "HP"),
    ("Seiko Epson", "Epson"),
    ("Epson", "Epson"),
    ("Leica", "Leica"),
    ("Hasselblad", "Hasselblad"),
    ("Phase One", "Phase One"),
    ("Leaf", "Leaf"),
    ("Mamiya", "Mamiya"),
    ("Kyocera", "Kyocera"),
    ("Polaroid", "Polaroid"),
    ("Rollei", "Rollei"),
    ("Vivitar", "Vivitar"),
    ("Reconyx", "Reconyx"),
    ("FLIR", "FLIR"),
    ("GoPro", "GoPro"),
    ("Insta360", "Insta360"),
    ("Parrot", "Parrot"),
    ("DJI", "DJI"),
    ("JVC", "JVC"),
    ("General Imaging", "GE"),
    ("Noritsu Koki", "Noritsu"),
    ("Apple", "Apple"),
    ("Google", "Google"),
    ("HMD Global", "Nokia"),
    ("Nokia", "Nokia"),
    ("LG", "LG"),
    ("LGE", "LG"),
    ("HTC", "HTC"),
    ("Huawei", "Huawei"),
    ("Honor", "Honor"),
    ("Xiaomi", "Xiaomi"),
    ("OnePlus", "OnePlus"),
    ("Oppo", "Oppo"),
    ("realme", "realme"),
    ("Vivo", "Vivo"),
    ("Motorola", "Motorola"),
    ("Lenovo", "Lenovo"),
    ("BlackBerry", "BlackBerry"),
    ("Microsoft", "Microsoft"),
    ("Asus", "Asus"),
    ("ZTE", "ZTE"),
    ("Fairphone", "Fairphone"),
    ("Nothing", "Nothing"),
];

/// What stands in the maker's field without being one.
const NO_MAKERS: &[&str] = &["make", "camera", "digital", "digital camera", "picasa", "x"];

/// Words of firms that are no part of a name.
const FIRM_WORDS: &[&str] = &[
    "ag",
    "co",
    "company",
    "corp",
    "corporation",
    "digital",
    "electric",
    "electronics",
    "gmbh",
    "imaging",
    "inc",
    "international",
    "limited",
    "ltd",
    "optical",
    "systems",
    "technology",
];

/// Firms whose cameras carry another brand; a brand in the model wins over them.
const PARENTS: &[&str] = &["Ricoh", "Pentax"];

/// Most characters of a maker that nobody knows: some write their address.
const LONGEST_MAKER: usize = 24;
/// Most characters in the name of a directory.
const LONGEST: usize = 64;

/// One name for each camera: `Canon EOS 5D`, `Nikon D70`, `Apple iPhone 13 Pro`.
///
/// Pure: the same pair always gives the same name. The name is safe as a directory name also on Windows.
/// `None` where maker and model say nothing.
pub fn camera_dir(make: Option<&str>, model: Option<&str>) -> Option<String> {
    let make = make.and_then(tidy).filter(|make| !is_no_maker(make));
    let model = model.and_then(tidy).filter(|model| is_model(model));
    let mut brand = make.as_deref().map(brand_of).unwrap_or_default();
    let mut model = model.map(|model| trim_model(&model)).unwrap_or_default();
    // The model's own brand counts where the maker says nothing or is a parent firm.
    if (brand.is_empty() || PARENTS.contains(&brand.as_str()))
        && let Some((known, _)) = known_brand(&model)
    {
        known.clone_into(&mut brand);
    }
    let first_word = make.as_deref().and_then(|make| make.split([' ', '-', '.']).next()).unwrap_or_default();
    while let Some(rest) = without_brand(&model, &brand, first_word) {
        model = rest;
    }
    let name = match (brand.is_empty(), model.is_empty()) {
        (true, true) => return None,
        (false, true) => brand,
        (true, false) => model,
        (false, false) => format!("{brand} {model}"),
    };
    safe(&name)
}

/// What two spellings of one camera share: letters, digits and `+`, without case.
pub fn camera_fold(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric() || *c == '+').flat_map(char::to_lowercase).collect()
}

/// The text without padding; rubbish is `None`.
fn tidy(text: &str) -> Option<String> {
    let text = text.split('\0').next().unwrap_or_default();
    if text.contains(|c: char| is_invisible(c) || c == char::REPLACEMENT_CHARACTER) {
        return None;
    }
    let words: Vec<&str> =
        text.split(|c: char| c == '_' || c.is_whitespace()).filter(|w| !w.is_empty()).collect();
    let text = words.join(" ");
    let text = text.trim_matches(['<', '>', '"', ',', '-', ' ']);
    (!text.is_empty()).then(|| text.to_owned())
}

fn is_no_maker(make: &str) -> bool {
    make.chars().all(|c| c.is_ascii_digit() || c == ' ')
        || NO_MAKERS.iter().any(|word| make.eq_ignore_ascii_case(word))
}

/// The brand that begins this text, and what follows it.
fn known_brand(text: &str) -> Option<(&'static str, &str)> {
    BRANDS.iter().find_map(|(spelling, brand)| Some((*brand, after_words(text, spelling)?)))
}

/// What follows `words` at the beginning of `text`, if they are whole words there; a hyphen counts as blank.
fn after_words<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    let start = text.get(..words.len())?;
    let same =
        start.chars().zip(words.chars()).all(|(a, b)| a.eq_ignore_ascii_case(&b) || (a == '-' && b == ' '));
    let rest = text.get(words.len()..)?;
    let whole = !rest.starts_with(|c: char| c.is_alphanumeric());
    (same && whole).then_some(rest)
}

/// The maker as people call it; unknown ones keep their words but those of the firm.
fn brand_of(make: &str) -> String {
    if let Some((brand, _)) = known_brand(make) {
        return brand.to_owned();
    }
    // Several lines of address, or `Firm, country`: the name comes first.
    let name = make.split([',', ';', '(']).next().unwrap_or_default();
    let mut words: Vec<&str> = name.split(' ').collect();
    while let Some(last) = words.last() {
        let word = last.trim_matches(['.', ' ']).to_lowercase();
        if words.len() > 1 && FIRM_WORDS.contains(&word.as_str()) {
            words.pop();
        } else {
            break;
        }
    }
    let name: String = words.join(" ").chars().take(LONGEST_MAKER).collect();
    name.trim_matches(['.', ' ']).to_owned()
}

/// Numbers with points and blanks in them are versions of a program.
fn is_model(model: &str) -> bool {
    let is_number =
        model.contains([' ', '.']) && model.chars().all(|c| c.is_ascii_digit() || c == ' ' || c == '.');
    !is_number && model.chars().any(|c| c.is_alphanumeric() && c != '0')
}

/// The model without other markets' names, firmware and the words that every camera bears.
fn trim_model(model: &str) -> String {
    let model = model.split([',', ';']).next().unwrap_or_default();
    let model = model.split(" / ").next().unwrap_or_default();
    let model = model.split(" (V").next().unwrap_or_default();
    let mut model = model.trim().to_owned();
    for tail in [" digital camera", " zoom"] {
        let keep = model.len().saturating_sub(tail.len());
        let is_tail = model.get(keep..).is_some_and(|end| end.eq_ignore_ascii_case(tail));
        // `DC210 Zoom` is a model; `DX4900 ZOOM DIGITAL CAMERA` is DX4900.
        if !is_tail {
            break;
        }
        model.truncate(keep);
    }
    for number in ["IV", "III", "II"] {
        model = model.replace(&format!("Mark{number}"), &format!(" Mark {number}"));
    }
    model.replace("  ", " ")
}

/// The model without a brand or the maker's first word in front; `None` if there is none, or if nothing that
/// names a camera would be left (`OM-1` of OM System).
fn without_brand(model: &str, brand: &str, first_word: &str) -> Option<String> {
    let rest = known_brand(model)
        .filter(|(known, _)| *known == brand)
        .map(|(_, rest)| rest)
        .or_else(|| Some(brand).filter(|b| !b.is_empty()).and_then(|brand| after_words(model, brand)))
        .or_else(|| {
            Some(first_word).filter(|word| word.len() > 2).and_then(|word| after_words(model, word))
        })?;
    let rest = rest.trim_start_matches([' ', '-', '/', ':']).trim();
    (rest.chars().count() != 1).then(|| rest.to_owned())
}

/// Safe as a directory name everywhere, at most [`LONGEST`] characters.
fn safe(name: &str) -> Option<String> {
    let safe: String = name
        .chars()
        .map(|c| if r#"<>:"/\|?*"#.contains(c) || c.is_control() { '-' } else { c })
        .take(LONGEST)
        .collect();
    let safe = safe.trim().trim_end_matches(['.', ' ']).trim_start_matches('.');
    let safe: String = safe.nfc().collect();
    (!safe.is_empty()).then_some(safe)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn makers_and_models_as_cameras_write_them() {
        let cases = [
            ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
            ("Canon", "EOS R5", "Canon EOS R5"),
            ("Canon", "Canon Canon EOS 5D", "Canon EOS 5D"),
            ("Canon", "Canon EOS 350D DIGITAL", "Canon EOS 350D DIGITAL"),
            ("Canon", "Canon DIGITAL IXUS 430", "Canon DIGITAL IXUS 430"),
            ("NIKON CORPORATION", "NIKON D70", "Nikon D70"),
            ("NIKON", "COOLPIX P310", "Nikon COOLPIX P310"),
            ("NIKON", "00000", "Nikon"),
            ("Apple", "iPhone 13 Pro", "Apple iPhone 13 Pro"),
            ("Google", "Pixel 7", "Google Pixel 7"),
            ("samsung", "SM-G991B", "Samsung SM-G991B"),
            ("SAMSUNG", "SAMSUNG-SM-N900A", "Samsung SM-N900A"),
            ("Samsung Techwin", "<KENOX S730  / Samsung S730>", "Samsung KENOX S730"),
            ("EASTMAN KODAK COMPANY", "KODAK DX4900 ZOOM DIGITAL CAMERA", "Kodak DX4900"),
            ("Eastman Kodak Company", "DC210 Zoom (V05.00)", "Kodak DC210 Zoom"),
            ("JK Imaging, Ltd.       ", "KODAK PIXPRO SP360", "Kodak PIXPRO SP360"),
            ("OLYMPUS IMAGING CORP.  ", "E-P3", "Olympus E-P3"),
            ("OLYMPUS OPTICAL CO.,LTD", "E-20,E-20N,E-20P", "Olympus E-20"),
            ("OLYMPUS CORPORATION", "E-M10MarkII", "Olympus E-M10 Mark II"),
            ("OM Digital Solutions", "OM-1", "OM System OM-1"),
            ("RICOH IMAGING COMPANY, LTD.", "PENTAX K-3", "Pentax K-3"),
            ("PENTAX RICOH IMAGING", "GR", "Ricoh GR"),
            ("PENTAX Corporation", "PENTAX *ist D", "Pentax -ist D"),
            ("Asahi Optical Co.,Ltd", "PENTAX Optio 430", "Pentax Optio 430"),
            ("FUJI PHOTO FILM CO., LTD.", "SP-2500", "Fujifilm SP-2500"),
            ("HMD Global", "Nokia 8.3 5G", "Nokia 8.3 5G"),
            ("LGE", "Nexus 4", "LG Nexus 4"),
            ("LG Electronics", "LG-D855", "LG D855"),
            ("HTC", "HTC_TyTN_II", "HTC TyTN II"),
            ("Hewlett-Packard", "HP PhotoSmart C812 (V09.33)", "HP PhotoSmart C812"),
            ("SEIKO EPSON CORP.", "PhotoPC 3000Z", "Epson PhotoPC 3000Z"),
            ("Konica Minolta Camera, Inc.", "DiMAGE A2", "Konica Minolta DiMAGE A2"),
            ("LEICA CAMERA AG", "LEICA T (Typ 701)", "Leica T (Typ 701)"),
            ("Phase One", "IQ180", "Phase One IQ180"),
            ("Jolla", "Jolla", "Jolla"),
            ("Trust.", "Gemini11", "Trust Gemini11"),
            ("SONY\0\0", "DSC-RX1R", "Sony DSC-RX1R"),
            ("", "EPSON Perfection 2480/2580", "Epson Perfection 2480-2580"),
            ("Camera", "", ""),
            ("12336", "", ""),
            ("000\x1b0", "0000000000000", ""),
            ("", "", ""),
        ];
        for (make, model, name) in cases {
            let found = camera_dir(Some(make), Some(model)).unwrap_or_default();
            assert_eq!(found, name, "{make:?} {model:?}");
        }
        assert_eq!(camera_dir(None, None), None);
    }

    #[test]
    fn hostile_text_gives_safe_names_or_none() {
        for text in ["../../etc", "a/b", "..", ".", "\u{202e}gpj", "con:", &"x".repeat(5000), "é\u{301}\0"] {
            let Some(name) = camera_dir(Some(text), Some(text)) else { continue };
            assert!(!name.contains(['/', '\\', ':', '\0']) && name != "." && name != "..", "{name:?}");
            assert!(name.chars().count() <= LONGEST);
        }
    }

    #[test]
    fn spellings_of_one_camera_fold_together() {
        assert_eq!(camera_fold("Olympus E-M5MarkIII"), camera_fold("Olympus E-M5 Mark III"));
        assert_ne!(camera_fold("Vivo X90 Pro+"), camera_fold("Vivo X90 Pro"));
    }
}
