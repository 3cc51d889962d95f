//! XMP: dates, camera, place; and where Google's phones say that a video lies behind the picture.

use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

use super::super::moment;
use super::super::said::{By, Found, clean};
use crate::model::{CaptureTime, TimeSource};

/// Longest document that is read, bytes: editors write their whole history into it, behind what counts here.
pub const LONGEST: u64 = 1024 * 1024;
/// Elements, texts and attributes after which enough is read.
const MOST_STEPS: u32 = 100_000;
/// Things in one file that its XMP may list.
const MOST_ITEMS: usize = 64;

const RDF: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#";
const EXIF: &str = "http://ns.adobe.com/exif/1.0/";
const TIFF: &str = "http://ns.adobe.com/tiff/1.0/";
const XMP: &str = "http://ns.adobe.com/xap/1.0/";
const PHOTOSHOP: &str = "http://ns.adobe.com/photoshop/1.0/";
const AUX: &str = "http://ns.adobe.com/exif/1.0/aux/";
const EXIF_EX: &str = "http://cipa.jp/exif/1.0/";
const CAMERA: &str = "http://ns.google.com/photos/1.0/camera/";
const ITEM: &str = "http://ns.google.com/photos/1.0/container/item/";

/// What is read of a document; the dates in the order in which they are believed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    Taken,
    PhotoshopCreated,
    Created,
    Digitised,
    Make,
    Model,
    Lens,
    OtherLens,
    Orientation,
    Latitude,
    Longitude,
    Tool,
    Motion,
    MicroVideo,
    MicroVideoOffset,
    MotionOffset,
}

const SLOTS: [(&str, &str, Slot); 17] = [
    (EXIF, "DateTimeOriginal", Slot::Taken),
    (PHOTOSHOP, "DateCreated", Slot::PhotoshopCreated),
    (XMP, "CreateDate", Slot::Created),
    (EXIF, "DateTimeDigitized", Slot::Digitised),
    (TIFF, "Make", Slot::Make),
    (TIFF, "Model", Slot::Model),
    (TIFF, "Orientation", Slot::Orientation),
    (AUX, "Lens", Slot::OtherLens),
    (EXIF_EX, "LensModel", Slot::Lens),
    (EXIF, "GPSLatitude", Slot::Latitude),
    (EXIF, "GPSLongitude", Slot::Longitude),
    (XMP, "CreatorTool", Slot::Tool),
    (CAMERA, "MotionPhoto", Slot::Motion),
    (CAMERA, "MicroVideo", Slot::MicroVideo),
    (CAMERA, "MicroVideoOffset", Slot::MicroVideoOffset),
    (CAMERA, "MotionPhotoOffset", Slot::MotionOffset),
    (TIFF, "Software", Slot::Tool),
];

/// Adds what the document says. The answer is how far from the end of the file its video begins, if it says that there
/// is one: 0 where it does not say how far.
pub fn read(document: &[u8], found: &mut Found) -> Option<u64> {
    let longest = usize::try_from(LONGEST).unwrap_or(usize::MAX);
    let text = String::from_utf8_lossy(document.get(..longest).unwrap_or(document));
    // Padding and packet marks in front and behind are nothing to a reader of XML.
    let text = text.trim_matches(|c: char| c == '\0' || c == '\u{feff}' || c.is_whitespace());
    let mut reading = Reading::default();
    reading.walk(text);
    reading.tell(found)
}

/// Something that lies in the file, as Google's container lists it.
#[derive(Default)]
struct Item {
    motion: bool,
    length: u64,
    padding: u64,
}

#[derive(Default)]
struct Reading {
    slots: Vec<(Slot, String)>,
    items: Vec<Item>,
    steps: u32,
}

impl Reading {
    fn walk(&mut self, text: &str) {
        let mut reader = NsReader::from_str(text);
        reader.config_mut().check_end_names = false;
        let (mut depth, mut described) = (0_u32, None);
        let mut property = None;
        loop {
            self.steps += 1;
            if self.steps > MOST_STEPS {
                return;
            }
            // A document that ends in nonsense still says what stood before.
            let Ok(event) = reader.read_event() else { return };
            match &event {
                Event::Start(element) | Event::Empty(element) => {
                    let (space, name) = reader.resolver().resolve_element(element.name());
                    let is_description = is_in(&space, RDF) && name.as_ref() == "Description";
                    if described.is_some_and(|at| depth == at + 1) {
                        property = slot(&space, name.as_ref());
                    }
                    if is_description && described.is_none_or(|at| at == depth) {
                        described = Some(depth);
                    }
                    let top = described == Some(depth);
                    self.attributes(&reader, element, top);
                    if matches!(event, Event::Start(_)) {
                        depth += 1;
                    } else if described.is_some_and(|at| depth == at + 1) {
                        property = None;
                    }
                }
                Event::End(_) => {
                    depth = depth.saturating_sub(1);
                    if described.is_some_and(|at| depth == at + 1) {
                        property = None;
                    }
                }
                Event::Text(text) => self.text(property, text),
                Event::CData(text) => self.text(property, text),
                Event::Eof => return,
                _ => {}
            }
        }
    }

    fn text(&mut self, property: Option<Slot>, text: &str) {
        let text = text.trim();
        if let Some(slot) = property
            && !text.is_empty()
        {
            self.fill(slot, text);
        }
    }

    /// The first word counts.
    fn fill(&mut self, slot: Slot, text: &str) {
        if text.len() <= 4096 && self.slots.iter().all(|(known, _)| *known != slot) {
            self.slots.push((slot, text.to_owned()));
        }
    }

    /// Properties of a description may be written as attributes; so are the things in Google's container.
    fn attributes(&mut self, reader: &NsReader<&[u8]>, element: &BytesStart<'_>, top: bool) {
        let mut item = Item::default();
        let mut is_item = false;
        for attribute in element.attributes().with_checks(false).flatten() {
            self.steps += 1;
            if self.steps > MOST_STEPS {
                return;
            }
            let (space, name) = reader.resolver().resolve_attribute(attribute.key);
            let value = attribute.value.trim();
            if is_in(&space, ITEM) {
                is_item = true;
                match name.as_ref() {
                    "Semantic" => item.motion = value == "MotionPhoto",
                    "Length" => item.length = value.parse().unwrap_or(0),
                    "Padding" => item.padding = value.parse().unwrap_or(0),
                    _ => {}
                }
            } else if top && let Some(slot) = slot(&space, name.as_ref()) {
                let value = quick_xml::escape::unescape(value).unwrap_or_default();
                self.fill(slot, value.trim());
            }
        }
        if is_item && self.items.len() < MOST_ITEMS {
            self.items.push(item);
        }
    }

    fn value(&self, slot: Slot) -> Option<&str> {
        self.slots.iter().find(|(known, _)| *known == slot).map(|(_, text)| text.as_str())
    }

    fn tell(&self, found: &mut Found) -> Option<u64> {
        let text = |slot| self.value(slot).and_then(clean);
        found.make.by(By::Xmp, text(Slot::Make));
        found.model.by(By::Xmp, text(Slot::Model));
        found.lens.by(By::Xmp, text(Slot::Lens).or_else(|| text(Slot::OtherLens)));
        found.software.by(By::Xmp, text(Slot::Tool));
        let orientation = self.value(Slot::Orientation).and_then(|n| n.parse().ok());
        found.orientation.by(By::Xmp, orientation.filter(|n| (1..=8).contains(n)));
        let degrees = |slot| self.value(slot).and_then(degrees);
        if let (Some(latitude), Some(longitude)) = (degrees(Slot::Latitude), degrees(Slot::Longitude)) {
            found.place(By::Xmp, latitude, longitude);
        }
        for slot in [Slot::Taken, Slot::PhotoshopCreated, Slot::Created, Slot::Digitised] {
            let at = self.value(slot).and_then(moment::stamp);
            found.date(at.map(|(local, offset_s)| CaptureTime { local, offset_s, source: TimeSource::Xmp }));
        }
        self.motion()
    }

    /// Where the video begins, from the end of the file.
    fn motion(&self) -> Option<u64> {
        let is_set = |slot| self.value(slot) == Some("1");
        if !is_set(Slot::Motion) && !is_set(Slot::MicroVideo) {
            return None;
        }
        // Behind the video may lie other things.
        let video = self.items.iter().position(|item| item.motion);
        let listed = video.map(|at| {
            let lengths = self.items[at..].iter().map(|item| item.length.saturating_add(item.padding));
            lengths.fold(0, u64::saturating_add)
        });
        let number = |slot| self.value(slot).and_then(|n| n.parse().ok());
        Some(
            listed
                .filter(|n| *n > 0)
                .or_else(|| number(Slot::MicroVideoOffset))
                .or_else(|| number(Slot::MotionOffset))
                .unwrap_or(0),
        )
    }
}

fn is_in(space: &ResolveResult<'_>, wanted: &str) -> bool {
    matches!(space, ResolveResult::Bound(Namespace(name)) if *name == wanted)
}

fn slot(space: &ResolveResult<'_>, name: &str) -> Option<Slot> {
    SLOTS.iter().find(|(of, known, _)| *known == name && is_in(space, of)).map(|(.., slot)| *slot)
}

/// `52,50.5747N`, `52,50,34.5N`, `-33.85`.
fn degrees(text: &str) -> Option<f64> {
    let (text, sign) = match text.chars().last()? {
        'S' | 's' | 'W' | 'w' => (text.get(..text.len() - 1)?, -1.0),
        'N' | 'n' | 'E' | 'e' => (text.get(..text.len() - 1)?, 1.0),
        _ => (text, 1.0),
    };
    let parts: Option<Vec<f64>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    let parts = parts.filter(|parts| parts.len() <= 3 && parts.iter().all(|part| part.is_finite()))?;
    let part = |n: usize| parts.get(n).copied().unwrap_or(0.0);
    Some(sign * (part(0) + part(1) / 60.0 + part(2) / 3600.0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn document(body: &str) -> String {
        format!(
            "<?xpacket begin='\u{feff}'?><x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='{RDF}'>{body}</rdf:RDF></x:xmpmeta>\0\0"
        )
    }

    fn read_of(body: &str) -> (Found, Option<u64>) {
        let mut found = Found::default();
        let motion = read(document(body).as_bytes(), &mut found);
        (found, motion)
    }

    #[test]
    fn attributes_and_elements_say_the_same_by_any_prefix() {
        let attributes = format!(
            "<rdf:Description xmlns:a='{TIFF}' xmlns:b='{EXIF}' a:Make='Canon' b:DateTimeOriginal='2020-01-02T03:04:05.5+02:00' b:GPSLatitude='33,51.5S' b:GPSLongitude='151,12,30E'/>"
        );
        let elements = format!(
            "<rdf:Description xmlns:tiff='{TIFF}'><tiff:Make>Canon</tiff:Make></rdf:Description>\
             <rdf:Description xmlns:e='{EXIF}'><e:DateTimeOriginal>2020-01-02T03:04:05.5+02:00</e:DateTimeOriginal>\
             <e:GPSLatitude>33,51.5S</e:GPSLatitude><e:GPSLongitude>151,12,30E</e:GPSLongitude></rdf:Description>"
        );
        for body in [attributes, elements] {
            let (found, motion) = read_of(&body);
            assert_eq!(found.make.value().unwrap(), "Canon");
            assert_eq!(found.dates[0].local.to_string(), "2020-01-02T03:04:05.5");
            assert_eq!(found.dates[0].offset_s, Some(7200));
            let (latitude, longitude) = found.position.value().unwrap();
            assert!((latitude + 33.858_333).abs() < 1e-5 && (longitude - 151.208_333).abs() < 1e-5);
            assert_eq!(motion, None);
        }
    }

    #[test]
    fn what_a_history_tells_of_other_files_is_not_of_this_one() {
        let (found, _) = read_of(&format!(
            "<rdf:Description xmlns:x='http://ns.adobe.com/xap/1.0/mm/' xmlns:tiff='{TIFF}'><x:Ingredients><rdf:Bag><rdf:li><rdf:Description tiff:Make='Nikon'><tiff:Model>D70</tiff:Model></rdf:Description></rdf:li></rdf:Bag></x:Ingredients></rdf:Description>"
        ));
        assert_eq!((found.make.value(), found.model.value()), (None, None));
    }

    #[test]
    fn a_video_is_found_from_the_end_with_all_that_follows_it() {
        let (_, motion) = read_of(&format!(
            "<rdf:Description xmlns:C='{CAMERA}' xmlns:I='{ITEM}' C:MotionPhoto='1'><d><rdf:Seq>\
             <rdf:li><i I:Semantic='Primary' I:Length='0'/></rdf:li>\
             <rdf:li><i I:Semantic='MotionPhoto' I:Length='100' I:Padding='4'/></rdf:li>\
             <rdf:li><i I:Semantic='Depth' I:Length='20'/></rdf:li></rdf:Seq></d></rdf:Description>"
        ));
        assert_eq!(motion, Some(124));
        let (_, motion) = read_of(&format!(
            "<rdf:Description xmlns:C='{CAMERA}' C:MicroVideo='1' C:MicroVideoOffset='77'/>"
        ));
        assert_eq!(motion, Some(77));
        let (_, motion) = read_of(&format!("<rdf:Description xmlns:C='{CAMERA}' C:MotionPhoto='0'/>"));
        assert_eq!(motion, None);
    }

    #[test]
    fn a_cut_document_says_what_it_still_does() {
        let whole =
            document(&format!("<rdf:Description xmlns:t='{TIFF}' t:Make='Canon'><t:Model>5D</t:Model>"));
        for end in 0..whole.len() {
            read(&whole.as_bytes()[..end], &mut Found::default());
        }
        let mut found = Found::default();
        read(whole.split("</t:Model>").next().unwrap().as_bytes(), &mut found);
        assert_eq!(found.make.value().unwrap(), "Canon");
    }
}
