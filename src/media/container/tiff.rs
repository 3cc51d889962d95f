//! TIFF directories: of pictures, of raw photos, and of the Exif block inside other containers.

use super::super::said::{By, Found};
use super::super::source::Source;
use super::super::tag::exif::{self, Entry, Table};
use super::super::tag::{apple, iptc, xmp};

/// Entries of all directories together that are looked at; cameras write some hundred.
const MOST_ENTRIES: u32 = 4000;
/// Directories beside one another.
const MOST_DIRECTORIES: usize = 16;
/// Longest value that is decoded, bytes; only comments are longer.
const LONGEST_VALUE: u64 = 4096;

const SUBFILE_TYPE: u16 = 0xfe;
const WIDTH: u16 = 0x100;
const LENGTH: u16 = 0x101;
const ORIENTATION: u16 = 0x112;
const SUB_DIRECTORIES: u16 = 0x14a;
const XMP: u16 = 0x2bc;
const IPTC: u16 = 0x83bb;
const EXIF: u16 = 0x8769;
const GPS: u16 = 0x8825;
const MAKER_NOTE: u16 = 0x927c;
const EXIF_WIDTH: u16 = 0xa002;
const EXIF_LENGTH: u16 = 0xa003;

/// What the decoder is given of the first directory, and of Exif's own; of the satellites' all.
const OF_FIRST: [u16; 5] = [0x10f, 0x110, ORIENTATION, 0x131, 0x132];
const OF_EXIF: [u16; 13] =
    [0x9003, 0x9004, 0x9010, 0x9011, 0x9012, 0x9286, 0x9290, 0x9291, 0x9292, 0xa300, 0xa433, 0xa434, 0xa432];

/// The sizes that the directories tell, for whoever knows what kind of file it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sizes {
    /// Of the first directory, unless it calls itself a smaller rendition.
    pub first: Option<(u32, u32)>,
    /// The largest of those that call themselves the whole picture.
    pub whole: Option<(u32, u32)>,
    /// Exif's word.
    pub exif: Option<(u32, u32)>,
    /// Panasonic's: the sensor's borders.
    pub sensor: Option<(u32, u32)>,
}

/// Adds what the block between `start` and `end` says. The mark of a TIFF may stand a few bytes behind the beginning:
/// some put an announcement or a length in front.
pub fn read(source: &mut Source<'_>, start: u64, end: u64, found: &mut Found) -> Sizes {
    read_as(source, start, end, found, None)
}

/// The same where the caller knows the byte order of a file with another mark.
pub fn read_as(source: &mut Source<'_>, start: u64, end: u64, found: &mut Found, big: Option<bool>) -> Sizes {
    let Some((base, big)) = big.map(|big| (start, big)).or_else(|| mark(source, start, end)) else {
        return Sizes::default();
    };
    let mut walk = Walk::new(source, base, end, big);
    walk.all();
    let Walk { entries, sizes, documents, .. } = walk;
    exif::read(&entries, big, found);
    for document in documents {
        match document {
            Document::Xmp(at, length) => {
                if let Some(text) = source.copy(at, length) {
                    xmp::read(&text, found);
                }
            }
            Document::Iptc(at, length) => {
                if let Some(datasets) = source.get(at, usize::try_from(length).unwrap_or(usize::MAX)) {
                    iptc::read(datasets, found);
                }
            }
            Document::MakerNote(at, length) => {
                apple::read(source, at, length, found);
            }
        }
    }
    sizes
}

/// Adds what a block says of which the first directory is Exif's own, or that of the satellites: Canon writes them so.
pub fn read_part(source: &mut Source<'_>, start: u64, end: u64, found: &mut Found, satellites: bool) {
    let Some((base, big)) = mark(source, start, end) else { return };
    let mut walk = Walk::new(source, base, end, big);
    if let Some(at) = walk.number(base + 4, 4) {
        walk.directory(at, if satellites { Place::Gps } else { Place::Exif });
    }
    let Walk { entries, sizes, .. } = walk;
    exif::read(&entries, big, found);
    if let Some((width, height)) = sizes.exif {
        found.pixels(By::Exif, width, height);
    }
}

/// Where the block really begins, and whether its numbers begin with the most significant byte.
fn mark(source: &mut Source<'_>, start: u64, end: u64) -> Option<(u64, bool)> {
    let length = usize::try_from(end.checked_sub(start)?).unwrap_or(usize::MAX).min(36);
    let head = source.up_to(start, length)?;
    head.windows(4).zip(start..).find_map(|(window, at)| match window {
        b"II*\0" => Some((at, false)),
        b"MM\0*" => Some((at, true)),
        _ => None,
    })
}

/// What is read after the directories, by place and length.
enum Document {
    Xmp(u64, u64),
    Iptc(u64, u64),
    MakerNote(u64, u64),
}

struct Walk<'s, 'a> {
    source: &'s mut Source<'a>,
    base: u64,
    end: u64,
    big: bool,
    entries: Vec<Entry>,
    sizes: Sizes,
    seen: Vec<u64>,
    looked_at: u32,
    documents: Vec<Document>,
}

/// Which directory is walked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    First,
    Exif,
    Gps,
    /// One below the first, or after it: only its size counts.
    Other,
}

/// One entry as it lies in the file: the place of its value, and its length.
struct Raw {
    tag: u16,
    kind: u16,
    count: u32,
    at: u64,
    length: u64,
}

impl<'s, 'a> Walk<'s, 'a> {
    fn new(source: &'s mut Source<'a>, base: u64, end: u64, big: bool) -> Self {
        let (entries, seen, documents) = (Vec::new(), Vec::new(), Vec::new());
        Self { source, base, end, big, entries, sizes: Sizes::default(), seen, looked_at: 0, documents }
    }

    fn number(&mut self, at: u64, size: usize) -> Option<u64> {
        (at.checked_add(size as u64)? <= self.end).then(|| self.source.number(at, size, self.big))?
    }

    fn all(&mut self) {
        let mut next = self.number(self.base + 4, 4);
        let mut place = Place::First;
        for _ in 0..MOST_DIRECTORIES {
            let Some(at) = next.filter(|at| *at != 0) else { return };
            next = self.directory(at, place);
            place = Place::Other;
        }
    }

    /// Takes down a directory and those that it points at; the answer is where the next one is.
    fn directory(&mut self, at: u64, place: Place) -> Option<u64> {
        let start = self.base.checked_add(at)?;
        if self.seen.contains(&start) || self.seen.len() >= MOST_DIRECTORIES {
            return None;
        }
        self.seen.push(start);
        let count = self.number(start, 2)?;
        let (mut width, mut length, mut subfile) = (None, None, None);
        for n in 0..count {
            self.looked_at += 1;
            if self.looked_at > MOST_ENTRIES {
                return None;
            }
            let Some(raw) = self.raw(start + 2 + 12 * n) else { continue };
            match (place, raw.tag) {
                (Place::First | Place::Other, WIDTH) => width = self.value(&raw),
                (Place::First | Place::Other, LENGTH) => length = self.value(&raw),
                (Place::First | Place::Other, SUBFILE_TYPE) => subfile = self.value(&raw),
                (Place::First, SUB_DIRECTORIES) => self.below(&raw),
                (Place::First, EXIF) => self.follow(&raw, Place::Exif),
                (Place::First, GPS) => self.follow(&raw, Place::Gps),
                // One of each: a directory may name the same bytes a thousand times.
                (Place::First, XMP) if raw.length <= xmp::LONGEST && !self.has_xmp() => {
                    self.documents.push(Document::Xmp(raw.at, raw.length));
                }
                (Place::First, IPTC) if raw.length <= 65_536 && !self.has_iptc() => {
                    self.documents.push(Document::Iptc(raw.at, raw.length));
                }
                (Place::Exif, MAKER_NOTE) => self.documents.push(Document::MakerNote(raw.at, raw.length)),
                (Place::Exif, EXIF_WIDTH) => width = self.value(&raw),
                (Place::Exif, EXIF_LENGTH) => length = self.value(&raw),
                (Place::First, tag) if OF_FIRST.contains(&tag) => self.keep(Table::First, &raw),
                // Some raws write into the first directory what belongs into Exif's.
                (Place::First | Place::Exif, tag) if OF_EXIF.contains(&tag) => self.keep(Table::Exif, &raw),
                (Place::Gps, 0..=31) => self.keep(Table::Gps, &raw),
                _ => {}
            }
        }
        let size = width.zip(length).filter(|size| size.0 > 0 && size.1 > 0);
        let larger = |a: Option<(u32, u32)>, b: (u32, u32)| match a {
            Some(a) if u64::from(a.0) * u64::from(a.1) >= u64::from(b.0) * u64::from(b.1) => Some(a),
            _ => Some(b),
        };
        match (place, size) {
            (Place::Exif, size) => self.sizes.exif = self.sizes.exif.or(size),
            (Place::First, size) if subfile.unwrap_or(0) & 1 == 0 => self.sizes.first = size,
            _ => {}
        }
        if let (Place::First | Place::Other, Some(0), Some(size)) = (place, subfile, size) {
            self.sizes.whole = larger(self.sizes.whole, size);
        }
        if place == Place::First {
            self.sizes.sensor = self.sensor(start, count);
        }
        // Behind the entries. Only the first directory's chain is of use.
        matches!(place, Place::First | Place::Other).then(|| self.number(start + 2 + 12 * count, 4))?
    }

    fn raw(&mut self, entry: u64) -> Option<Raw> {
        if entry + 12 > self.end {
            return None;
        }
        let tag = u16::try_from(self.number(entry, 2)?).ok()?;
        let kind = u16::try_from(self.number(entry + 2, 2)?).ok()?;
        let count = u32::try_from(self.number(entry + 4, 4)?).ok()?;
        let length = u64::from(count) * width_of(kind)?;
        let at = if length <= 4 { entry + 8 } else { self.base + self.number(entry + 8, 4)? };
        (at.checked_add(length)? <= self.end).then_some(Raw { tag, kind, count, at, length })
    }

    fn has_xmp(&self) -> bool {
        self.documents.iter().any(|document| matches!(document, Document::Xmp(..)))
    }

    fn has_iptc(&self) -> bool {
        self.documents.iter().any(|document| matches!(document, Document::Iptc(..)))
    }

    /// The first number of an entry, whatever integer it is.
    fn value(&mut self, raw: &Raw) -> Option<u32> {
        let size = usize::try_from(width_of(raw.kind)?).ok().filter(|size| *size <= 4)?;
        (raw.count > 0 && raw.kind != 2)
            .then(|| self.number(raw.at, size))?
            .and_then(|n| u32::try_from(n).ok())
    }

    fn follow(&mut self, raw: &Raw, place: Place) {
        if let Some(at) = self.value(raw) {
            self.directory(at.into(), place);
        }
    }

    fn below(&mut self, raw: &Raw) {
        let Some(width) = width_of(raw.kind).filter(|width| *width == 4) else { return };
        for n in 0..u64::from(raw.count.min(8)) {
            if let Some(at) = self.number(raw.at + n * width, 4) {
                self.directory(at, Place::Other);
            }
        }
    }

    fn keep(&mut self, table: Table, raw: &Raw) {
        let known = self.entries.iter().any(|entry| entry.table == table && entry.tag == raw.tag);
        if known || raw.count == 0 {
            return;
        }
        if raw.tag == ORIENTATION && table == Table::First {
            // Some write it as a signed or a wide number.
            if let Some(n) = self.value(raw).and_then(|n| u16::try_from(n).ok()) {
                let value = if self.big { n.to_be_bytes() } else { n.to_le_bytes() };
                self.entries.push(Entry { table, tag: raw.tag, kind: 3, count: 1, value: value.to_vec() });
            }
            return;
        }
        // A long text says what it says at its beginning.
        let (count, length) = match raw.kind {
            1 | 2 | 7 | 129 => (raw.length.min(LONGEST_VALUE), raw.length.min(LONGEST_VALUE)),
            _ => (raw.count.into(), raw.length),
        };
        let is_text =
            table == Table::First || matches!(raw.tag, 0x9003..=0x9012 | 0x9290..=0x9292 | 0xa433 | 0xa434);
        let kind = match raw.kind {
            1 | 7 | 129 if is_text => 2,
            kind => kind,
        };
        if length <= LONGEST_VALUE
            && let (Some(value), Ok(count)) = (self.source.copy(raw.at, length), u32::try_from(count))
        {
            self.entries.push(Entry { table, tag: raw.tag, kind, count, value });
        }
    }

    /// Panasonic's raws give the borders of the picture on the sensor: tags 4 to 7.
    fn sensor(&mut self, start: u64, count: u64) -> Option<(u32, u32)> {
        let mut borders = [None; 4];
        for n in 0..count.min(16) {
            let raw = self.raw(start + 2 + 12 * n)?;
            if let 4..=7 = raw.tag {
                borders[usize::from(raw.tag) - 4] = self.value(&raw);
            }
        }
        let [top, left, bottom, right] = borders;
        let (width, height) = (right?.checked_sub(left?)?, bottom?.checked_sub(top?)?);
        (width > 0 && height > 0).then_some((width, height))
    }
}

/// Bytes of one value of a type.
const fn width_of(kind: u16) -> Option<u64> {
    match kind {
        1 | 2 | 6 | 7 | 129 => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 => Some(8),
        _ => None,
    }
}
