//! What made a picture, where it was no camera: recognised by name, program and what little the file says.

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

/// What made a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A picture of a screen.
    Screenshot,
    /// A scanner.
    Scanner,
    /// It came by a messenger, which takes away what a camera says.
    Messenger,
    /// A program that draws or edits, and leaves nothing of a camera.
    Edited,
}

/// What a file says of that.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traces<'a> {
    /// Its name.
    pub name: &'a str,
    /// Maker, as written.
    pub make: Option<&'a str>,
    /// Model, as written.
    pub model: Option<&'a str>,
    /// What wrote the file.
    pub software: Option<&'a str>,
    /// What a phone notes of it.
    pub comment: Option<&'a str>,
    /// Exif says that a scanner made it.
    pub scanned: bool,
}

/// How names of pictures of screens begin, in the languages that phones speak.
const SCREEN: [&str; 9] = [
    "screenshot",
    "screen shot",
    "bildschirmfoto",
    "schermafbeelding",
    "captura de pantalla",
    "capture d’écran",
    "capture d'écran",
    "schermata",
    "skärmavbild",
];
/// How names that messengers give begin.
const MESSENGER: [&str; 10] = [
    "whatsapp ",
    "fb_img_",
    "received_",
    "signal-",
    "mmexport",
    "snapchat-",
    "telegram-",
    "viber_image",
    "line_",
    "photo_20",
];
/// Devices and programs that scan; the first two are devices.
const SCANNERS: [&str; 5] = ["scan", "perfection v", "mp navigator", "silverfast", "photomyne"];
/// Programs that edit, as they write themselves down.
const EDITORS: [&str; 20] = [
    "adobe",
    "photoshop",
    "lightroom",
    "snapseed",
    "gimp",
    "picasa",
    "vsco",
    "instagram",
    "picsart",
    "pixelmator",
    "affinity",
    "darktable",
    "rawtherapee",
    "canva",
    "facetune",
    "capture one",
    "luminar",
    "paint",
    "photoscape",
    "acdsee",
];

impl Origin {
    /// What made a file with these traces; nothing where a camera did, or nobody knows.
    pub fn of(traces: &Traces<'_>) -> Option<Self> {
        let holds = |text: Option<&str>, words: &[&str]| {
            let text = text.unwrap_or_default().to_lowercase();
            words.iter().any(|word| text.contains(word))
        };
        let scanner = |text: Option<&str>| holds(text, &SCANNERS[..2]);
        if traces.scanned || scanner(traces.model) || scanner(traces.make) {
            return Some(Self::Scanner);
        }
        if traces.make.is_some() || traces.model.is_some() {
            return None;
        }
        if is_screenshot(traces.name) || traces.comment.is_some_and(|c| c.eq_ignore_ascii_case("screenshot"))
        {
            Some(Self::Screenshot)
        } else if is_messenger(traces.name) {
            Some(Self::Messenger)
        } else if holds(traces.software, &SCANNERS) {
            Some(Self::Scanner)
        } else if holds(traces.software, &EDITORS) {
            Some(Self::Edited)
        } else {
            None
        }
    }

    /// The directory of what has no camera.
    pub const fn directory(self) -> &'static str {
        match self {
            Self::Screenshot => "Screenshots",
            Self::Scanner => "Scanner",
            Self::Messenger => "Messengers",
            Self::Edited => "Edited elsewhere",
        }
    }
}

/// Whether a name is one that phones and computers give pictures of their screens.
pub fn is_screenshot(name: &str) -> bool {
    if name.is_ascii() {
        return begins(name, &SCREEN);
    }
    // Some systems write a letter and its accent apart.
    let name: String = name.nfc().collect();
    begins(&name, &SCREEN)
}

/// `IMG-20180405-WA0007.jpg` is WhatsApp's.
fn is_messenger(name: &str) -> bool {
    let whatsapp = || {
        let rest = name.get(4..)?;
        let (day, number) = rest.split_once("-WA")?;
        Some(day.len() == 8 && day.bytes().chain(number.bytes().take(4)).all(|b| b.is_ascii_digit()))
    };
    begins(name, &MESSENGER) || whatsapp().unwrap_or(false)
}

fn begins(name: &str, with: &[&str]) -> bool {
    let first = |text: &str| text.bytes().next().map(|byte| byte.to_ascii_lowercase());
    // The first letters tell most of them apart.
    with.iter().any(|with| {
        first(with) == first(name)
            && name.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_camera_is_told_apart() {
        let named = |name| Origin::of(&Traces { name, ..Traces::default() });
        assert_eq!(named("Screenshot_20210203-040506.png"), Some(Origin::Screenshot));
        assert_eq!(named("Capture d’écran 2020.png"), Some(Origin::Screenshot));
        assert_eq!(named("Ska\u{308}rmavbild 2020.png"), Some(Origin::Screenshot));
        assert_eq!(named("IMG-20180405-WA0007.jpg"), Some(Origin::Messenger));
        assert_eq!(named("signal-2021-02-03-040506.jpg"), Some(Origin::Messenger));
        assert_eq!((named("IMG_1234.JPG"), named("IMG-WA"), named("é-WA")), (None, None, None));
        let software = |software| Origin::of(&Traces { software: Some(software), ..Traces::default() });
        assert_eq!(software("Adobe Photoshop 21.0 (Macintosh)"), Some(Origin::Edited));
        assert_eq!(software("VueScan 9 x64"), Some(Origin::Scanner));
        assert_eq!(software("16.1.2"), None);
        let screen = Traces { comment: Some("Screenshot"), name: "IMG_0001.PNG", ..Traces::default() };
        assert_eq!(Origin::of(&screen), Some(Origin::Screenshot));
    }

    #[test]
    fn a_camera_stays_one_whatever_edited_its_picture_and_a_scanner_is_none() {
        let canon = Traces { make: Some("Canon"), model: Some("Canon EOS 5D"), ..Traces::default() };
        assert_eq!(Origin::of(&Traces { software: Some("Adobe Lightroom"), ..canon }), None);
        assert_eq!(Origin::of(&Traces { model: Some("CanoScan 9000F"), ..canon }), Some(Origin::Scanner));
        assert_eq!(Origin::of(&Traces { scanned: true, ..canon }), Some(Origin::Scanner));
    }
}
