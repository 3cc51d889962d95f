//! XMP sidecars: what Google knows of an item and its file does not say, for programs that read photos.
//!
//! A sidecar holds the description, the albums as tags, a favourite as five stars, Google's place where the file
//! has none, and the capture time where the file has none (a time in a sidecar overrules the file's in most
//! programs, so it is left out where it could do harm).
//!
//! Its size is known before it is made: a packet padded with blanks to a multiple of [`BLOCK`] bytes, as the
//! standard foresees.

use std::fmt::Write as _;

use super::tree::Sidecar;
use crate::index::PartFacts;
use crate::model::TimeSource;

/// Sizes are multiples of this, bytes.
pub const BLOCK: u64 = 4096;
/// More than everything takes that is not a text, bytes.
const FIXED: u64 = 1800;
/// More than a tag takes beside its text, bytes; each tag is written twice.
const TAG: u64 = 24;
/// Longest description, bytes; the rest is cut.
const LONGEST: usize = 60_000;

/// Bytes that a description takes.
pub fn text_len(text: &str) -> u16 {
    u16::try_from(escaped(cut(text)).len().min(LONGEST)).unwrap_or(u16::MAX)
}

/// The size of a sidecar with a description of that length and these tags, bytes.
pub fn size<'a>(described: u16, tags: impl Iterator<Item = &'a str>) -> u64 {
    let tags: u64 = tags.map(|tag| 2 * (TAG + escaped(tag).len() as u64)).sum();
    (FIXED + u64::from(described) + tags).next_multiple_of(BLOCK)
}

/// The sidecar.
pub fn render(wanted: &Sidecar, facts: &PartFacts) -> Vec<u8> {
    let mut text = String::from(
        "<?xpacket begin=\"\u{feff}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n\
         <x:xmpmeta xmlns:x=\"adobe:ns:meta/\" x:xmptk=\"shoebox\">\n \
         <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\n  \
         <rdf:Description rdf:about=\"\"\n    \
         xmlns:dc=\"http://purl.org/dc/elements/1.1/\"\n    \
         xmlns:digiKam=\"http://www.digikam.org/ns/1.0/\"\n    \
         xmlns:exif=\"http://ns.adobe.com/exif/1.0/\"\n    \
         xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\">\n",
    );
    // Writing into a String cannot fail.
    if facts.favourite {
        text.push_str("   <xmp:Rating>5</xmp:Rating>\n");
    }
    if !facts.taken.source.is_in_file() && facts.taken.source != TimeSource::None {
        let zone = match facts.taken.offset_s {
            Some(s) => {
                let (sign, s) = (if s < 0 { '-' } else { '+' }, s.unsigned_abs());
                format!("{sign}{:02}:{:02}", s / 3600, s / 60 % 60)
            }
            // A name tells what the clock on the wall showed.
            None if facts.taken.source == TimeSource::Name => String::new(),
            // Google's and the upload's instants are in UTC where no zone is known.
            None => "Z".to_owned(),
        };
        let local = facts.taken.local.strftime("%Y-%m-%dT%H:%M:%S");
        let _ = writeln!(text, "   <exif:DateTimeOriginal>{local}{zone}</exif:DateTimeOriginal>");
    }
    if let Some(place) = &facts.place {
        let _ =
            writeln!(text, "   <exif:GPSLatitude>{}</exif:GPSLatitude>", degrees(place.latitude, ['N', 'S']));
        let _ = writeln!(
            text,
            "   <exif:GPSLongitude>{}</exif:GPSLongitude>",
            degrees(place.longitude, ['E', 'W'])
        );
    }
    let mut rest = String::new();
    if !wanted.albums.is_empty() {
        for (name, list) in [("dc:subject", "Bag"), ("digiKam:TagsList", "Seq")] {
            let _ = writeln!(rest, "   <{name}><rdf:{list}>");
            for album in &wanted.albums {
                let _ = writeln!(rest, "    <rdf:li>{}</rdf:li>", escaped(album));
            }
            let _ = writeln!(rest, "   </rdf:{list}></{name}>");
        }
    }
    rest.push_str("  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n");
    const END: &str = "\n<?xpacket end=\"w\"?>\n";
    if let Some(description) = facts.description.as_deref().filter(|text| !text.is_empty()) {
        const OPEN: &str = "   <dc:description><rdf:Alt><rdf:li xml:lang=\"x-default\">";
        const CLOSE: &str = "</rdf:li></rdf:Alt></dc:description>\n";
        // What is recorded this moment may be longer than what the size was reckoned from.
        let size = usize::try_from(wanted.size).unwrap_or(usize::MAX);
        let taken = text.len() + rest.len() + END.len() + OPEN.len() + CLOSE.len();
        let room = size.saturating_sub(taken);
        let mut inner = String::new();
        for c in cut(description).chars() {
            let mut buffer = [0; 4];
            let piece = escaped(c.encode_utf8(&mut buffer));
            if inner.len() + piece.len() > room {
                break;
            }
            inner.push_str(&piece);
        }
        text.push_str(OPEN);
        text.push_str(&inner);
        text.push_str(CLOSE);
    }
    text.push_str(&rest);
    let padding = usize::try_from(wanted.size).unwrap_or(0).saturating_sub(text.len() + END.len());
    text.extend(std::iter::repeat_n(' ', padding));
    text.push_str(END);
    text.into_bytes()
}

/// `52,22.2120N`: degrees and minutes, as XMP writes positions.
fn degrees(value: f64, signs: [char; 2]) -> String {
    let sign = signs[usize::from(value < 0.0)];
    // Whole steps first, so that no minute is written as 60.
    let steps = (value.abs() * 60.0 * 10_000.0).round();
    let whole = (steps / 600_000.0).floor();
    format!("{whole},{:.4}{sign}", (steps - whole * 600_000.0) / 10_000.0)
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST / 6)]
}

/// A text for XML; what XML cannot hold is left out.
fn escaped(text: &str) -> std::borrow::Cow<'_, str> {
    let special = |c: char| {
        matches!(c, '&' | '<' | '>' | '"' | '\'' | '\u{fffe}' | '\u{ffff}')
            || (c.is_control() && !matches!(c, '\t' | '\n'))
    };
    if !text.contains(special) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            c if special(c) => {}
            c => escaped.push(c),
        }
    }
    escaped.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::{CaptureTime, MediaKey, Place, Sha1, Sha256, Verdict};

    fn facts(source: TimeSource) -> PartFacts {
        PartFacts {
            name: "IMG_1.jpg".into(),
            favourite: true,
            description: Some("a < b & \"c\"\u{0}\nü".into()),
            place: Some(Place { latitude: -33.8568, longitude: 151.99999999, name: None }),
            key: MediaKey::new("AF1QipKey1").unwrap(),
            sha1: Sha1::from_slice(&[0; 20]).unwrap(),
            verdict: Verdict::Unproven,
            taken: CaptureTime {
                local: "2020-05-06T07:08:09".parse().unwrap(),
                offset_s: Some(-12_600),
                source,
            },
        }
    }

    fn sidecar(described: u16, albums: &[&str]) -> Sidecar {
        Sidecar {
            ordinal: 1,
            original: Sha256::new([1; 32]),
            size: size(described, albums.iter().copied()),
            albums: albums.iter().map(|album| (*album).to_owned()).collect(),
        }
    }

    #[test]
    fn a_sidecar_says_what_the_file_does_not() {
        let facts = facts(TimeSource::Google);
        let wanted = sidecar(text_len(facts.description.as_deref().unwrap()), &["Trip & more", "Two"]);
        let text = String::from_utf8(render(&wanted, &facts)).unwrap();
        assert_eq!(text.len(), 4096);
        for part in [
            "<xmp:Rating>5</xmp:Rating>",
            "<exif:DateTimeOriginal>2020-05-06T07:08:09-03:30</exif:DateTimeOriginal>",
            "<exif:GPSLatitude>33,51.4080S</exif:GPSLatitude>",
            "<exif:GPSLongitude>152,0.0000E</exif:GPSLongitude>",
            "<rdf:li>Trip &amp; more</rdf:li>",
            "a &lt; b &amp; &quot;c&quot;\nü<",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        let own = facts_with_own_time();
        let text = String::from_utf8(render(&wanted, &own)).unwrap();
        assert!(!text.contains("DateTimeOriginal"), "a time in a sidecar would overrule the file's");
    }

    fn facts_with_own_time() -> PartFacts {
        facts(TimeSource::Exif)
    }

    #[test]
    fn whatever_it_holds_a_sidecar_has_the_size_that_was_told() {
        let seed = std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
        println!("SEED={seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..500 {
            let mut text = |most: usize| -> String {
                (0..random.usize(..most)).map(|_| if random.bool() { '&' } else { random.char(..) }).collect()
            };
            let description = text(20_000);
            let albums: Vec<String> = (0..5).map(|_| text(120)).collect();
            let albums: Vec<&str> = albums.iter().map(String::as_str).collect();
            let wanted = sidecar(text_len(&description), &albums);
            let facts = PartFacts { description: Some(description), ..facts(TimeSource::Google) };
            assert_eq!(render(&wanted, &facts).len() as u64, wanted.size);
            // Also when the description has grown since.
            let facts = PartFacts { description: Some("&".repeat(30_000)), ..facts };
            assert_eq!(render(&wanted, &facts).len() as u64, wanted.size);
        }
    }
}
