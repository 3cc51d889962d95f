//! Raw photos: TIFF by another name, or with something of its own around it.

use super::super::kind::Kind;
use super::super::said::{By, Found};
use super::super::source::Source;
use super::{iso, jpeg, movie, tiff};

/// Canon's own box in a CR3.
pub const CANON: &[u8] =
    &[0x85, 0xc0, 0xb6, 0x87, 0x82, 0x0f, 0x11, 0xe0, 0x81, 0x11, 0xf4, 0xce, 0x46, 0x2b, 0x6a, 0x48];

/// Adds what a picture of TIFF directories says.
pub fn read(kind: Kind, source: &mut Source<'_>, found: &mut Found) -> Option<()> {
    let end = source.size();
    let big = source.get(0, 2)? == b"MM";
    let sizes = tiff::read_as(source, 0, end, found, Some(big));
    let size = match kind {
        // The first directory is that of the picture inside.
        Kind::Cr2 => sizes.exif.or(sizes.first),
        Kind::Rw2 => sizes.sensor.or(sizes.first).or(sizes.exif),
        Kind::Orf => sizes.first.or(sizes.exif),
        _ => sizes.whole.or(sizes.first).or(sizes.exif),
    };
    if let Some((width, height)) = size {
        found.pixels(By::Header, width, height);
    }
    Some(())
}

/// Fujifilm's: a JPEG of the camera's own lies inside; where, is said at 84, and how large the picture is, at 92.
pub fn raf(source: &mut Source<'_>, found: &mut Found) -> Option<()> {
    let (start, length) = (u64::from(source.be32(84)?), u64::from(source.be32(88)?));
    let mut inside = Found::default();
    jpeg::picture(source, start, (start + length).min(source.size()), &mut inside, &mut None);
    // That is the size of the JPEG.
    inside.size = Default::default();
    *found = inside;
    let directory = u64::from(source.be32(92)?);
    let mut at = directory + 4;
    let (mut full, mut cropped) = (None, None);
    for _ in 0..source.be32(directory)?.min(256) {
        let (tag, length) = (source.be16(at)?, u64::from(source.be16(at + 2)?));
        let mut size = || Some((source.be16(at + 6)?, source.be16(at + 4)?));
        match tag {
            0x100 => full = size(),
            0x111 => cropped = size(),
            _ => {}
        }
        at += 4 + length;
    }
    let (width, height) = cropped.or(full)?;
    found.pixels(By::Header, width, height);
    Some(())
}

/// Canon's: a film of one picture, with a TIFF for each directory in a box of Canon's.
pub fn cr3(source: &mut Source<'_>, found: &mut Found) -> Option<()> {
    let end = source.size();
    let film = iso::find(source, 0, end, b"moov")?;
    let parts = iso::parts(source, film.body, film.end);
    for part in parts.into_iter().filter(|part| part.name == *b"uuid") {
        if source.get(part.body, CANON.len())? != CANON {
            continue;
        }
        for block in iso::parts(source, part.body + 16, part.end) {
            match &block.name {
                // One block each: the first directory, Exif's own, the satellites'.
                b"CMT1" => {
                    let sizes = tiff::read(source, block.body, block.end, found);
                    if let Some((width, height)) = sizes.first {
                        found.pixels(By::Header, width, height);
                    }
                }
                b"CMT2" => tiff::read_part(source, block.body, block.end, found, false),
                b"CMT4" => tiff::read_part(source, block.body, block.end, found, true),
                _ => {}
            }
        }
    }
    // The film of one picture has a length; its clock is the camera's, and told better by Exif.
    let mut inside = Found::default();
    movie::movie(source, film, &mut inside);
    found.duration_ms = inside.duration_ms;
    Some(())
}
