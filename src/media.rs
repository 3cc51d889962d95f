//! What files say about themselves: kind, whole or not, capture time, camera, place, size.
//!
//! Everything here reads bytes that strangers wrote. [`inspect`] never fails: every reader has a budget of bytes, time
//! and steps ([`source`]), takes down what it finds ([`said`]), and one that gives up costs one file some of its facts.
//! `container` knows where a file of each kind keeps what it says, `tag` the languages in which that is written;
//! [`date`] judges which date to believe, [`zone`] how far the clock was from UTC.

mod container;
pub mod date;
pub mod guard;
pub mod kind;
pub mod moment;
pub mod name;
pub mod said;
pub mod source;
pub(crate) mod tag;
pub mod thumbnail;
pub mod whole;
pub mod zone;

use std::panic::{AssertUnwindSafe, catch_unwind};

use self::container::{avi, gif, heif, jpeg, matroska, movie, mpeg, png, raw, webp};
use self::kind::Kind;
use self::said::{By, Found};
use self::source::Source;
use crate::model::origin::{Origin, Traces};
use crate::model::{CaptureTime, MediaFacts, ReadAt};

/// Version of what [`inspect`] knows; raised when a change would give other facts for the same bytes.
pub const EXTRACTOR: u32 = 3;

/// Stands for the version where a file could not be read as it should be: it is tried again.
pub const UNREAD: u32 = 0;

/// Reads what a file says about itself. `name` refines the media type of raw photos, and may tell a date.
///
/// Never fails: what cannot be read stays unknown. Reads at most [`source::MOST_BYTES`] bytes, takes no longer than
/// [`source::TIME_LIMIT`].
pub fn inspect(bytes: &dyn ReadAt, name: &str) -> MediaFacts {
    let (kind, found) = read(bytes, name);
    facts(kind, &found, name)
}

/// What a file is and everything that it says, before anything is judged.
pub fn read(bytes: &dyn ReadAt, name: &str) -> (Kind, Found) {
    // A fault in a reader must not cost more than the facts of the file that found it.
    catch_unwind(AssertUnwindSafe(|| look(bytes))).unwrap_or_else(|_| {
        tracing::error!("a reader failed on {name:?}: please report it; the file is kept as it is");
        (kind::of(bytes), Found { interrupted: true, ..Found::default() })
    })
}

/// The same without the net below it, for those who look for faults.
pub fn look(bytes: &dyn ReadAt) -> (Kind, Found) {
    let mut source = Source::new(bytes);
    let kind = source.up_to(0, 1024).map_or(Kind::Other, kind::of_head);
    let mut found = Found::default();
    match kind {
        Kind::Jpeg => jpeg::read(&mut source, &mut found),
        Kind::Png => drop(png::read(&mut source, &mut found)),
        Kind::Gif => drop(gif::read(&mut source, &mut found)),
        Kind::Webp => drop(webp::read(&mut source, &mut found)),
        Kind::Heif | Kind::Avif => drop(heif::read(&mut source, &mut found)),
        Kind::Bmp => bitmap(&mut source, &mut found),
        Kind::Tiff | Kind::Cr2 | Kind::Orf | Kind::Rw2 => drop(raw::read(kind, &mut source, &mut found)),
        Kind::Raf => drop(raw::raf(&mut source, &mut found)),
        Kind::Cr3 => drop(raw::cr3(&mut source, &mut found)),
        Kind::Mp4 | Kind::Mov | Kind::ThreeGp => movie::read(&mut source, &mut found),
        Kind::Matroska | Kind::Webm => matroska::read(&mut source, &mut found),
        Kind::Avi => avi::read(&mut source, &mut found),
        Kind::MpegTs => drop(mpeg::transport(&mut source, &mut found)),
        Kind::Mpeg => drop(mpeg::program(&mut source, &mut found)),
        Kind::Asf | Kind::Zip | Kind::Gzip | Kind::Page | Kind::Other => {}
    }
    found.interrupted |= source.is_interrupted();
    (kind, found)
}

/// The best of what was found.
pub fn facts(kind: Kind, found: &Found, name: &str) -> MediaFacts {
    let mut dates = date::judge(found, name).into_iter();
    let taken = dates.next();
    // What agrees to the second adds nothing.
    let mut other_dates: Vec<CaptureTime> = Vec::new();
    for date in dates {
        let same = |known: &CaptureTime| known.instant().duration_since(date.instant()).abs().as_secs() == 0;
        if !taken.iter().chain(&other_dates).any(same) {
            other_dates.push(date);
        }
    }
    let (width, height) = found.size.value().copied().unzip();
    let (latitude, longitude) = found.position.value().copied().unzip();
    MediaFacts {
        extractor: if found.interrupted { UNREAD } else { EXTRACTOR },
        media_type: Some(kind.media_type_of(name).to_owned()),
        taken,
        other_dates,
        make: found.make.value().cloned(),
        model: found.model.value().cloned(),
        lens: found.lens.value().cloned(),
        origin: Origin::of(&Traces {
            name,
            make: found.make.value().map(String::as_str),
            model: found.model.value().map(String::as_str),
            software: found.software.value().map(String::as_str),
            comment: found.comment.value().map(String::as_str),
            scanned: found.scanned,
        }),
        width,
        height,
        orientation: found.orientation.value().copied(),
        duration_ms: found.duration_ms.value().copied(),
        content_id: found.content_id.value().cloned(),
        embedded_motion: found.motion,
        latitude,
        longitude,
    }
}

fn bitmap(source: &mut Source<'_>, found: &mut Found) {
    if let (Some(width), Some(height)) = (source.le32(18), source.le32(22)) {
        // A picture that is stored from the top has a height below nothing.
        found.pixels(By::Header, width, height.cast_signed().unsigned_abs());
    }
}
