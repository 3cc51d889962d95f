//! The folder of a camera: one tidy name for what makers write in many ways.

/// Names that makers go by, for what they write. Longest first where one begins another.
const BRANDS: [(&str, &str); 38] = [
    ("nikon corporation", "Nikon"),
    ("nikon", "Nikon"),
    ("canon inc.", "Canon"),
    ("canon", "Canon"),
    ("olympus imaging corp.", "Olympus"),
    ("olympus corporation", "Olympus"),
    ("olympus optical co.,ltd", "Olympus"),
    ("olympus optical co ltd", "Olympus"),
    ("olympus", "Olympus"),
    ("om digital solutions", "OM System"),
    ("eastman kodak company", "Kodak"),
    ("jk imaging", "Kodak"),
    ("kodak", "Kodak"),
    ("fuji photo film", "Fujifilm"),
    ("fujifilm corporation", "Fujifilm"),
    ("fujifilm", "Fujifilm"),
    ("asahi optical", "Pentax"),
    ("pentax corporation", "Pentax"),
    ("pentax", "Pentax"),
    ("ricoh imaging company", "Ricoh"),
    ("ricoh", "Ricoh"),
    ("konica minolta", "Konica Minolta"),
    ("minolta", "Minolta"),
    ("sony ericsson", "Sony Ericsson"),
    ("sony", "Sony"),
    ("panasonic", "Panasonic"),
    ("leica camera ag", "Leica"),
    ("leica", "Leica"),
    ("casio computer", "Casio"),
    ("casio", "Casio"),
    ("samsung", "Samsung"),
    ("apple", "Apple"),
    ("google", "Google"),
    ("hmd global", "Nokia"),
    ("nokia", "Nokia"),
    ("lge", "LG"),
    ("lg electronics", "LG"),
    ("seiko epson", "Epson"),
];

/// The folder's name, `Brand Model`; none if neither maker nor model says anything.
pub fn folder(make: Option<&str>, model: Option<&str>) -> Option<String> {
    let make = make.and_then(clean).filter(|m| !is_noise(m));
    let model = model.and_then(clean);
    let brand = make.as_deref().map(brand);
    let model = model.map(|model| {
        let model = model.split([',', '\u{ff0c}']).next().unwrap_or_default().trim().to_owned();
        let words = [make.as_deref().unwrap_or_default(), brand.as_deref().unwrap_or_default()];
        strip_leading(&model, &words)
    });
    let name = match (brand, model.filter(|m| !m.is_empty())) {
        (Some(brand), Some(model)) => format!("{brand} {model}"),
        (Some(brand), None) => brand,
        (None, Some(model)) => model,
        (None, None) => return None,
    };
    let safe: String =
        name.chars().map(|c| if r#"<>:"/\|?*"#.contains(c) { '-' } else { c }).take(64).collect();
    let safe = safe.trim_matches(|c: char| c == '.' || c.is_whitespace()).to_owned();
    (!safe.is_empty()).then_some(safe)
}

/// Cut at NUL, underscores are spaces, white space is single.
fn clean(text: &str) -> Option<String> {
    let text = text.split('\0').next()?.replace('_', " ");
    if text.chars().any(|c| c.is_control() || c == '\u{fffd}') {
        return None;
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.trim_matches(|c| "<>\",- ".contains(c)).to_owned();
    (!text.is_empty()).then_some(text)
}

/// What no maker is called.
fn is_noise(make: &str) -> bool {
    let lower = make.to_ascii_lowercase();
    make.chars().all(|c| c.is_ascii_digit())
        || ["make", "camera", "digital", "picasa", "x"].contains(&lower.as_str())
}

fn brand(make: &str) -> String {
    let lower = make.to_lowercase();
    let known = BRANDS.iter().find(|(written, _)| {
        lower.strip_prefix(written).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
    });
    match known {
        Some((_, brand)) => (*brand).to_owned(),
        None => {
            let companies = ["co.,ltd.", "co., ltd.", "co.,ltd", "corporation", "corp.", "inc.", "ltd."];
            let mut text = make;
            for word in companies {
                // Compared without case on ASCII words only, so the byte length is the same.
                if text.len() > word.len() && text.is_char_boundary(text.len() - word.len()) {
                    let (head, tail) = text.split_at(text.len() - word.len());
                    if tail.eq_ignore_ascii_case(word) {
                        text = head.trim_end_matches([' ', ',']);
                    }
                }
            }
            text.to_owned()
        }
    }
}

/// Models often begin with the maker again, some twice.
fn strip_leading(model: &str, words: &[&str]) -> String {
    let mut model = model;
    loop {
        let first = words.iter().flat_map(|text| [Some(*text), text.split(' ').next()]).flatten();
        let next = first.filter(|word| !word.is_empty()).find_map(|word| {
            let head = model.get(..word.len())?;
            let rest = model.get(word.len()..)?;
            (head.eq_ignore_ascii_case(word) && rest.starts_with([' ', '-']))
                .then(|| rest.trim_start_matches([' ', '-']))
        });
        match next {
            Some(rest) if !rest.is_empty() => model = rest,
            _ => return model.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_get_one_tidy_folder_each() {
        for (make, model, wanted) in [
            ("NIKON CORPORATION", "NIKON D70", "Nikon D70"),
            ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
            ("Canon", "Canon Canon EOS 5D", "Canon EOS 5D"),
            ("samsung", "SM-G991B", "Samsung SM-G991B"),
            ("Apple", "iPhone 13 Pro", "Apple iPhone 13 Pro"),
            ("Google", "Pixel 7", "Google Pixel 7"),
            ("OLYMPUS IMAGING CORP.  ", "E-M5MarkII", "Olympus E-M5MarkII"),
            ("SONY", "ILCE-7M3\0\0", "Sony ILCE-7M3"),
            ("Acme Optics Co.,Ltd.", "Z/1: <x>", "Acme Optics Z-1- -x"),
            ("", "Lonely", "Lonely"),
            ("Apple", "", "Apple"),
        ] {
            assert_eq!(folder(Some(make), Some(model)).as_deref(), Some(wanted));
        }
        assert_eq!(folder(None, None), None);
        assert_eq!(folder(Some("Camera"), Some("...")), None);
    }
}
