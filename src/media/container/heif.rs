//! HEIC and AVIF: items, of which one is the picture, and others its Exif and XMP.

use super::super::said::{By, Found};
use super::super::source::Source;
use super::super::tag::xmp;
use super::{iso, jpeg, tiff};

/// Items of one file that are looked at: a large picture is cut into a hundred tiles.
const MOST_ITEMS: u64 = 4096;
/// Longest Exif block: phones put a picture into it.
const LONGEST: u64 = 2 * 1024 * 1024;

/// Items of XMP that are read: a thousand of them may be the same bytes.
const MOST_DOCUMENTS: usize = 4;

/// What one item is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Is {
    Exif,
    Xmp,
}

/// Adds what the picture says.
pub fn read(source: &mut Source<'_>, found: &mut Found) -> Option<()> {
    let end = source.size();
    let top = iso::parts(source, 0, end);
    found.motion |= top.iter().any(|part| part.name == *b"mpvd");
    let mut announced = None;
    if let Some(meta) = top.iter().find(|part| part.name == *b"meta") {
        picture(source, *meta, found, &mut announced);
    } else if let Some(movie) = top.iter().find(|part| part.name == *b"moov") {
        super::movie::movie(source, *movie, found);
    }
    let begins = |source: &mut Source<'_>, from_end: u64| {
        source.get(end.checked_sub(from_end)? + 4, 4).map(|name| name == b"ftyp")
    };
    found.motion |= match announced {
        Some(0) | None => false,
        Some(from_end) => begins(source, from_end).unwrap_or(false),
    } || jpeg::has_samsung_video(source).unwrap_or(false);
    Some(())
}

fn picture(
    source: &mut Source<'_>,
    meta: iso::Part,
    found: &mut Found,
    video: &mut Option<u64>,
) -> Option<()> {
    let inside = iso::parts(source, meta.body + 4, meta.end);
    let one = |name: &[u8; 4]| inside.iter().find(|part| part.name == *name).copied();
    let primary = one(b"pitm").and_then(|part| {
        let wide = source.number(part.body, 1, true)? > 0;
        source.number(part.body + 4, if wide { 4 } else { 2 }, true)
    });
    if let Some(part) = one(b"iprp") {
        properties(source, part, primary, found);
    }
    let wanted = one(b"iinf").map(|part| items(source, part)).unwrap_or_default();
    let places = one(b"iloc").and_then(|part| places(source, part, &wanted)).unwrap_or_default();
    let data = one(b"idat");
    let (mut has_exif, mut documents) = (false, 0);
    for (id, is) in wanted {
        // Of several blocks the first is the picture's; edited photos keep others.
        if is == Is::Exif && has_exif {
            continue;
        }
        let Some(place) = places.iter().find(|place| place.id == id) else { continue };
        has_exif |= is == Is::Exif && item(source, place, is, data, found, video).is_some();
        if is == Is::Xmp && documents < MOST_DOCUMENTS {
            documents += 1;
            item(source, place, is, data, found, video);
        }
    }
    Some(())
}

/// Reads one item where it lies; pieces are put together first.
fn item(
    source: &mut Source<'_>,
    place: &Place,
    is: Is,
    data: Option<iso::Part>,
    found: &mut Found,
    video: &mut Option<u64>,
) -> Option<()> {
    let (base, limit) = if place.in_data { (data?.body, data?.end) } else { (0, source.size()) };
    let extent = |&(offset, length): &(u64, u64)| {
        let start = base.checked_add(offset).filter(|start| *start < limit)?;
        let end = if length == 0 { limit } else { start.checked_add(length)?.min(limit) };
        Some((start, end))
    };
    if is == Is::Exif
        && let [single] = place.extents.as_slice()
    {
        let (start, end) = extent(single)?;
        // The block begins where its first four bytes say, counted from behind them; some leave these four out.
        let skip = u64::from(source.be32(start)?).saturating_add(4);
        let start = if start + skip < end && is_tiff(source, start + skip) { start + skip } else { start };
        tiff::read(source, start, end.min(start + LONGEST), found);
        return Some(());
    }
    let mut whole = Vec::new();
    for single in &place.extents {
        let (start, end) = extent(single)?;
        let length = (end - start).min(LONGEST - (whole.len() as u64).min(LONGEST));
        whole.extend(source.copy(start, length)?);
    }
    match is {
        Is::Exif => {
            let length = whole.len() as u64;
            tiff::read(&mut Source::new(&whole), 0, length, found);
        }
        Is::Xmp => *video = video.or(xmp::read(&whole, found)),
    }
    Some(())
}

fn is_tiff(source: &mut Source<'_>, at: u64) -> bool {
    source.get(at, 4).is_some_and(|mark| mark == b"II*\0" || mark == b"MM\0*" || mark == b"Exif")
}

/// The size of the primary item, else the largest that is described: tiles and thumbnails are smaller than the whole;
/// and how it is turned, where its Exif does not say.
fn properties(
    source: &mut Source<'_>,
    part: iso::Part,
    primary: Option<u64>,
    found: &mut Found,
) -> Option<()> {
    let inside = iso::parts(source, part.body, part.end);
    let container = inside.iter().find(|part| part.name == *b"ipco")?;
    let all = iso::parts(source, container.body, container.end);
    let size = |source: &mut Source<'_>, part: &iso::Part| {
        (part.name == *b"ispe").then(|| Some((source.be32(part.body + 4)?, source.be32(part.body + 8)?)))?
    };
    let own: Vec<iso::Part> = primary
        .and_then(|primary| {
            let part = inside.iter().find(|part| part.name == *b"ipma")?;
            let numbers = associated(source, *part, primary)?;
            Some(numbers.into_iter().filter_map(|n| all.get(n.checked_sub(1)?).copied()).collect())
        })
        .unwrap_or_default();
    if let Some(turned) = own.iter().find(|part| part.name == *b"irot") {
        // Quarters, against the clock.
        let orientation = match source.number(turned.body, 1, true).map(|n| n & 3) {
            Some(1) => Some(8),
            Some(2) => Some(3),
            Some(3) => Some(6),
            _ => None,
        };
        found.orientation.by(By::Header, orientation);
    }
    let described = own.iter().find_map(|part| size(source, part));
    let largest = || {
        let sizes = all.iter().filter_map(|part| size(source, part));
        sizes.max_by_key(|(width, height)| u64::from(*width) * u64::from(*height))
    };
    let (width, height) = described.or_else(largest)?;
    found.pixels(By::Header, width, height);
    Some(())
}

/// The numbers, from 1, of the properties of an item.
fn associated(source: &mut Source<'_>, part: iso::Part, wanted: u64) -> Option<Vec<usize>> {
    let head = source.be32(part.body)?;
    let (version, wide) = (head >> 24, head & 1 == 1);
    let id_size = if version == 0 { 2 } else { 4 };
    let mut at = part.body + 8;
    for _ in 0..u64::from(source.be32(part.body + 4)?).min(MOST_ITEMS) {
        let id = source.number(at, id_size, true)?;
        let count = source.number(at + id_size as u64, 1, true)?;
        at += id_size as u64 + 1;
        let size = if wide { 2 } else { 1 };
        if id == wanted {
            let mask = if wide { 0x7fff } else { 0x7f };
            let number = |n: u64| source.number(at + n * size as u64, size, true);
            return (0..count).map(number).map(|n| usize::try_from(n? & mask).ok()).collect();
        }
        at += count * size as u64;
    }
    None
}

/// The items that say something.
fn items(source: &mut Source<'_>, part: iso::Part) -> Vec<(u64, Is)> {
    let narrow = source.number(part.body, 1, true) == Some(0);
    let parts = iso::parts(source, part.body + if narrow { 6 } else { 8 }, part.end);
    let mut of = |part: &iso::Part| {
        let size = if source.number(part.body, 1, true)? == 2 { 2 } else { 4 };
        let id = source.number(part.body + 4, size, true)?;
        let kind = part.body + 4 + size as u64 + 2;
        match source.get(kind, 4)? {
            b"Exif" => Some((id, Is::Exif)),
            b"mime" => {
                let length = usize::try_from(part.end.checked_sub(kind + 4)?).ok()?.min(256);
                let rest = source.get(kind + 4, length)?;
                let mark = b"application/rdf+xml";
                rest.windows(mark.len()).any(|window| window == mark).then_some((id, Is::Xmp))
            }
            _ => None,
        }
    };
    parts.iter().filter(|part| part.name == *b"infe").filter_map(&mut of).collect()
}

/// Where an item lies: in the file, or in the box of data.
struct Place {
    id: u64,
    in_data: bool,
    /// Offset and length, 0 for the rest.
    extents: Vec<(u64, u64)>,
}

fn places(source: &mut Source<'_>, part: iso::Part, wanted: &[(u64, Is)]) -> Option<Vec<Place>> {
    let version = source.number(part.body, 1, true)?;
    let wide = if version == 2 { 4 } else { 2 };
    let sizes = usize::try_from(source.be16(part.body + 4)?).ok()?;
    let (of_offset, of_length, of_base) = (sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15);
    let of_index = if version == 0 { 0 } else { sizes & 15 };
    if [of_offset, of_length, of_base, of_index].iter().any(|size| *size > 8) {
        return None;
    }
    let mut at = part.body + 6;
    let mut next = |size: usize| {
        let n = if at + size as u64 <= part.end { source.number(at, size, true) } else { None };
        at += size as u64;
        n
    };
    let mut found = Vec::new();
    for _ in 0..next(wide)?.min(MOST_ITEMS) {
        // What is cut off in the middle has told of those before.
        let Some(id) = next(wide) else { break };
        let method = if version == 0 { 0 } else { next(2)? & 15 };
        let elsewhere = next(2)? != 0;
        let base = next(of_base)?;
        let mut extents = Vec::new();
        for _ in 0..next(2)? {
            next(of_index)?;
            let extent = (base.checked_add(next(of_offset)?)?, next(of_length)?);
            if extents.len() < 64 {
                extents.push(extent);
            }
        }
        if !elsewhere && method <= 1 && wanted.iter().any(|(wanted, _)| *wanted == id) {
            found.push(Place { id, in_data: method == 1, extents });
        }
    }
    Some(found)
}
