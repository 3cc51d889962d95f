//! MP4, QuickTime, 3GP: a film's boxes, its user data, and its keys.

use jiff::Timestamp;
use jiff::tz::Offset;

use super::super::moment;
use super::super::said::{By, Found, Said, clean, clean_bytes};
use super::super::source::Source;
use super::super::tag::xmp;
use super::{iso, jpeg, raw};
use crate::model::{CaptureTime, TimeSource};

/// Seconds from the first day of 1904, from which QuickTime counts, to that of 1970.
const EPOCH: u64 = 2_082_844_800;
/// Longest text of a field.
const LONGEST_TEXT: u64 = 1024;
/// Keys of one film.
const MOST_KEYS: u32 = 256;
const XMP: &[u8] =
    &[0xbe, 0x7a, 0xcf, 0xcb, 0x97, 0xa9, 0x42, 0xe8, 0x9c, 0x71, 0x99, 0x94, 0x91, 0xe3, 0xaf, 0xac];
/// Fields of cameras from before the clock of a film was UTC.
const OWN_CLOCK: [&[u8; 4]; 5] = [b"CNTH", b"NCDT", b"NCTG", b"MVTG", b"TAGS"];

/// Adds what the film says.
pub fn read(source: &mut Source<'_>, found: &mut Found) {
    let end = source.size();
    for part in iso::parts(source, 0, end) {
        match &part.name {
            b"moov" => movie(source, part, found),
            b"pnot" => found.clock_is_local = true,
            b"uuid" => document(source, part, found),
            b"meta" => sony(source, part, found),
            _ => {}
        }
    }
}

/// Adds what is in the box `moov`.
pub fn movie(source: &mut Source<'_>, movie: iso::Part, found: &mut Found) {
    let (mut scale, mut pieces) = (None, None);
    for part in iso::parts(source, movie.body, movie.end) {
        match &part.name {
            b"mvhd" => scale = header(source, part, found),
            b"trak" => drop(track(source, part, found)),
            b"udta" => user_data(source, part, found),
            b"meta" => keys(source, part, found),
            b"uuid" => document(source, part, found),
            b"mvex" => pieces = Some(part),
            _ => {}
        }
    }
    // A film in pieces may tell its length here, and 0 in its head.
    if found.duration_ms.value().is_none_or(|ms| *ms == 0)
        && let Some((scale, pieces)) = scale.zip(pieces)
        && let Some(part) = iso::find(source, pieces.body, pieces.end, b"mehd")
    {
        let wide = source.number(part.body, 1, true) == Some(1);
        let length = source.number(part.body + 4, if wide { 8 } else { 4 }, true);
        found.duration_ms = Said::default();
        found.duration_ms.by(By::Header, length.and_then(|length| scaled(length, scale)));
    }
}

/// The answer is how many units of time make a second.
fn header(source: &mut Source<'_>, part: iso::Part, found: &mut Found) -> Option<u32> {
    let wide = source.number(part.body, 1, true)? == 1;
    let size = if wide { 8 } else { 4 };
    let made = source.number(part.body + 4, size, true)?;
    let scale = part.body + 4 + 2 * size as u64;
    let (scale, length) = (source.be32(scale)?, source.number(scale + 4, size, true)?);
    found.date(clock(made));
    let unknown = if wide { u64::MAX } else { u64::from(u32::MAX) };
    found.duration_ms.by(By::Header, scaled(length, scale).filter(|_| length != unknown));
    Some(scale)
}

/// A length in milliseconds.
fn scaled(length: u64, scale: u32) -> Option<u64> {
    let milliseconds = (u128::from(length) * 1000).checked_div(u128::from(scale))?;
    // Longer than a year is no film.
    u64::try_from(milliseconds).ok().filter(|ms| *ms < 366 * 24 * 3600 * 1000)
}

/// The clock of a container; some count from 1970 all the same.
fn clock(seconds: u64) -> Option<CaptureTime> {
    let seconds = i64::try_from(seconds.checked_sub(EPOCH).unwrap_or(seconds)).ok()?;
    let local = Offset::UTC.to_datetime(Timestamp::from_second(seconds).ok()?);
    moment::is_plausible_video(&local).then_some(CaptureTime {
        local,
        offset_s: Some(0),
        source: TimeSource::Video,
    })
}

fn track(source: &mut Source<'_>, part: iso::Part, found: &mut Found) -> Option<()> {
    let media = iso::find(source, part.body, part.end, b"mdia")?;
    let handler = iso::find(source, media.body, media.end, b"hdlr")?;
    if source.get(handler.body + 8, 4)? != b"vide" {
        return None;
    }
    let head = iso::find(source, part.body, part.end, b"tkhd")?;
    let matrix = head.body + if source.number(head.body, 1, true)? == 1 { 52 } else { 40 };
    // Numbers with 16 bits behind the point.
    let (width, height) = (source.be32(matrix + 36)? >> 16, source.be32(matrix + 40)? >> 16);
    if width > 0 && height > 0 {
        found.pixels(By::Header, width, height);
    } else if let Some((width, height)) = sample_size(source, media) {
        found.pixels(By::Header, width, height);
    }
    let one = 0x1_0000_u32;
    let turned = (source.be32(matrix)?, source.be32(matrix + 4)?);
    let orientation = match turned {
        (0, n) if n == one => Some(6),
        (n, 0) if n == one.wrapping_neg() => Some(3),
        (0, n) if n == one.wrapping_neg() => Some(8),
        _ => None,
    };
    found.orientation.by(By::Header, orientation);
    Some(())
}

/// The size by the description of the samples.
fn sample_size(source: &mut Source<'_>, media: iso::Part) -> Option<(u32, u32)> {
    let mut part = media;
    for name in [b"minf", b"stbl", b"stsd"] {
        part = iso::find(source, part.body, part.end, name)?;
    }
    let entry = iso::part(source, part.body + 8, part.end)?;
    Some((source.be16(entry.body + 24)?, source.be16(entry.body + 26)?))
}

fn user_data(source: &mut Source<'_>, data: iso::Part, found: &mut Found) {
    for part in iso::parts(source, data.body, data.end) {
        if OWN_CLOCK.contains(&&part.name) {
            found.clock_is_local = true;
        }
        match &part.name {
            b"meta" => keys(source, part, found),
            b"XMP_" => {
                if let Some(text) = source.copy(part.body, (part.end - part.body).min(xmp::LONGEST)) {
                    xmp::read(&text, found);
                }
            }
            b"loci" => drop(place_3gp(source, part, found)),
            b"CNTH" => drop(canon(source, part, found)),
            b"FIRM" | b"GPMF" => gopro(source, part, found),
            name => {
                let Some(text) = field(source, part) else { continue };
                match name {
                    b"\xa9day" | b"date" => found.date(wall_clock(&text)),
                    b"\xa9mak" | b"manu" => found.make.by(By::UserData, clean(&text)),
                    b"\xa9mod" | b"\xa9mdl" | b"modl" => found.model.by(By::UserData, clean(&text)),
                    b"\xa9swr" => found.software.by(By::UserData, clean(&text)),
                    b"\xa9xyz" => place(By::UserData, &text, found),
                    _ => {}
                }
            }
        }
    }
}

/// The text of a field: some begin with its length and a language, some with a version and a language, some at once.
fn field(source: &mut Source<'_>, part: iso::Part) -> Option<String> {
    let length = part.end - part.body;
    if length > LONGEST_TEXT {
        return None;
    }
    let bytes = source.copy(part.body, length)?;
    let text = match part.name.first()? {
        0xa9 => {
            let (head, rest) = bytes.split_first_chunk::<4>()?;
            let [high, low, ..] = *head;
            rest.get(..usize::from(u16::from_be_bytes([high, low])).min(rest.len()))?
        }
        _ if bytes.starts_with(&[0, 0, 0, 0]) => bytes.get(6..)?,
        _ => &bytes,
    };
    Some(String::from_utf8_lossy(text).trim_matches('\0').to_owned())
}

/// A wall clock in words; a year alone is the year of a film.
fn wall_clock(text: &str) -> Option<CaptureTime> {
    let (local, offset_s) = moment::stamp(text)?;
    moment::is_plausible_video(&local).then_some(CaptureTime {
        local,
        offset_s,
        source: TimeSource::VideoKeys,
    })
}

/// `+34.0592-118.446+042.938/`: degrees, or degrees and minutes, or these and seconds, told apart by their digits.
fn place(by: By, text: &str, found: &mut Found) {
    let mut starts = text.match_indices(['+', '-']).map(|(at, _)| at);
    let (Some(first), Some(second)) = (starts.next(), starts.next()) else { return };
    let end = starts.next().or_else(|| text.find('/')).unwrap_or(text.len());
    let degrees = |piece: &str, digits: usize| {
        let value: f64 = piece.parse().ok().filter(|n: &f64| n.is_finite())?;
        let whole = piece.trim_start_matches(['+', '-']).split('.').next()?.len();
        let (sign, value) = (value.signum(), value.abs());
        Some(
            sign * match whole.checked_sub(digits)? {
                2 => (value / 100.0).trunc() + value % 100.0 / 60.0,
                4 => {
                    (value / 10_000.0).trunc()
                        + (value % 10_000.0 / 100.0).trunc() / 60.0
                        + value % 100.0 / 3600.0
                }
                _ => value,
            },
        )
    };
    let piece =
        |from: usize, to: usize| text.get(from..to).unwrap_or_default().trim_matches(['/', '\0', ' ']);
    let short = |piece: &str| piece.trim_start_matches(['+', '-']).split('.').next().unwrap_or("").len();
    let (north, east) = (piece(first, second), piece(second, end));
    let latitude = degrees(north, short(north).min(2));
    let longitude = degrees(east, short(east).min(3));
    if let (Some(latitude), Some(longitude)) = (latitude, longitude) {
        found.place(by, latitude, longitude);
    }
}

/// Old phones: a name, a role, then longitude and latitude with 16 bits behind the point.
fn place_3gp(source: &mut Source<'_>, part: iso::Part, found: &mut Found) -> Option<()> {
    let length = usize::try_from(part.end - part.body).ok()?.min(512);
    let body = source.get(part.body + 6, length.checked_sub(6)?)?;
    let rest = body.get(body.iter().position(|byte| *byte == 0)? + 2..)?;
    let number = |at: usize| {
        let bytes = rest.get(at..)?.first_chunk::<4>()?;
        Some(f64::from(i32::from_be_bytes(*bytes)) / 65_536.0)
    };
    let (longitude, latitude) = (number(0)?, number(4)?);
    found.place(By::UserData, latitude, longitude);
    Some(())
}

/// Canon's small picture has an Exif block of its own.
fn canon(source: &mut Source<'_>, part: iso::Part, found: &mut Found) -> Option<()> {
    let picture = iso::find(source, part.body, part.end, b"CNDA")?;
    let mut inside = Found::default();
    jpeg::picture(source, picture.body, picture.end, &mut inside, &mut None);
    found.make.by(By::UserData, inside.make.value().cloned());
    found.model.by(By::UserData, inside.model.value().cloned());
    for date in inside.dates {
        found.date(Some(date));
    }
    Some(())
}

/// GoPro's clock is the wall's up to HERO10; firmware from H22 on is of later ones.
fn gopro(source: &mut Source<'_>, part: iso::Part, found: &mut Found) {
    found.make.by(By::Header, Some("GoPro".into()));
    let length = usize::try_from(part.end - part.body).unwrap_or(0).min(8192);
    let Some(bytes) = source.get(part.body, length) else { return };
    if part.name == *b"FIRM" {
        // `H21.01.01.50.00`: the number is that of the camera; older ones begin with other letters.
        let text = String::from_utf8_lossy(bytes);
        let number = text.strip_prefix('H').and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
        found.clock_is_local |= number.is_none_or(|number| number < 22);
    } else if let Some(at) = bytes.windows(5).position(|window| window == b"MINFc") {
        // A name, a type, the size of one, how many.
        let text = bytes.get(at + 5..).and_then(|rest| {
            let (&[size, high, low], text) = rest.split_first_chunk()?;
            text.get(..usize::from(size) * usize::from(u16::from_be_bytes([high, low])))
        });
        found.model.by(By::Header, text.and_then(clean_bytes));
    }
}

/// Names and values apart, tied by number; or fields by their short names, as music has them.
fn keys(source: &mut Source<'_>, meta: iso::Part, found: &mut Found) {
    // Apple leaves out the version that the standard puts in front.
    let plain = source.get(meta.body + 4, 4).is_some_and(|name| name == b"hdlr");
    let inside = iso::parts(source, meta.body + if plain { 0 } else { 4 }, meta.end);
    let names = inside.iter().find(|part| part.name == *b"keys").map(|part| key_names(source, *part));
    let Some(list) = inside.iter().find(|part| part.name == *b"ilst") else { return };
    for part in iso::parts(source, list.body, list.end) {
        let Some(value) = iso::find(source, part.body, part.end, b"data") else { continue };
        let (body, length) = (value.body + 8, (value.end - value.body).saturating_sub(8));
        if length > LONGEST_TEXT {
            continue;
        }
        let Some(bytes) = source.copy(body, length) else { continue };
        let text = String::from_utf8_lossy(&bytes).trim_matches('\0').to_owned();
        let number = usize::try_from(u32::from_be_bytes(part.name)).unwrap_or(0);
        let name = names.as_ref().and_then(|names| names.get(number.checked_sub(1)?));
        match name.map(String::as_str) {
            Some(name) => key(name, &text, found),
            None if part.name == *b"\xa9day" && text.contains(':') => found.date(wall_clock(&text)),
            None => {}
        }
    }
}

fn key_names(source: &mut Source<'_>, part: iso::Part) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = part.body + 8;
    for _ in 0..source.be32(part.body + 4).unwrap_or(0).min(MOST_KEYS) {
        let Some(length) = source.be32(at).map(u64::from).filter(|n| (8..=264).contains(n)) else { break };
        let Some(name) = source.copy(at + 8, length - 8) else { break };
        names.push(String::from_utf8_lossy(&name).into_owned());
        at += length;
    }
    names
}

fn key(name: &str, text: &str, found: &mut Found) {
    match name {
        "com.apple.quicktime.creationdate" => found.date(wall_clock(text)),
        "com.apple.quicktime.make" | "com.android.manufacturer" => found.make.by(By::Keys, clean(text)),
        "com.apple.quicktime.model" | "com.android.model" => found.model.by(By::Keys, clean(text)),
        "com.apple.quicktime.camera.lens_model" => found.lens.by(By::Keys, clean(text)),
        "com.apple.quicktime.software" => found.software.by(By::Keys, clean(text)),
        "com.apple.quicktime.location.ISO6709" => place(By::Keys, text, found),
        "com.apple.quicktime.content.identifier" => found.content_id.by(By::Keys, clean(text)),
        "com.samsung.android.utc_offset" => found.zone_s = moment::offset_s(text),
        _ => {}
    }
}

/// XMP in a box of Adobe's, or what Canon has in one of its own.
fn document(source: &mut Source<'_>, part: iso::Part, found: &mut Found) {
    if source.get(part.body, raw::CANON.len()).is_some_and(|name| name == raw::CANON) {
        if let Some(picture) = iso::find(source, part.body + 16, part.end, b"CNTH") {
            found.clock_is_local = true;
            canon(source, picture, found);
        }
        return;
    }
    if source.get(part.body, XMP.len()).is_some_and(|name| name == XMP) {
        let length = (part.end - part.body).saturating_sub(16).min(xmp::LONGEST);
        if let Some(text) = source.copy(part.body + 16, length) {
            xmp::read(&text, found);
        }
    }
}

/// Sony's cameras put a document beside the film.
fn sony(source: &mut Source<'_>, meta: iso::Part, found: &mut Found) {
    let Some(part) = iso::find(source, meta.body + 4, meta.end, b"xml ") else { return };
    let length = (part.end - part.body).min(65_536);
    let Some(bytes) = source.copy(part.body, length) else { return };
    let text = String::from_utf8_lossy(&bytes);
    let value = |element: &str, attribute: &str| {
        let rest = text.split_once(&format!("<{element} "))?.1.split('>').next()?;
        let value = rest.split_once(&format!("{attribute}=\""))?.1;
        value.split('"').next().map(str::to_owned)
    };
    if !text.contains("NonRealTimeMeta") {
        return;
    }
    found.date(value("CreationDate", "value").and_then(|at| wall_clock(&at)));
    found.make.by(By::Sony, value("Device", "manufacturer").and_then(|text| clean(&text)));
    found.model.by(By::Sony, value("Device", "modelName").and_then(|text| clean(&text)));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn places_as_phones_write_them() {
        let of = |text| {
            let mut found = Found::default();
            place(By::Keys, text, &mut found);
            found.position.value().map(|(a, b)| ((a * 1e4).round() / 1e4, (b * 1e4).round() / 1e4))
        };
        assert_eq!(of("+34.0592-118.4460+042.938/"), Some((34.0592, -118.446)));
        assert_eq!(of("-33.8567+151.2153/"), Some((-33.8567, 151.2153)));
        assert_eq!(of("+3403.552-11826.76/"), Some((34.0592, -118.446)));
        assert_eq!(of("+5.1+7.2"), Some((5.1, 7.2)));
        for nothing in ["", "+", "+a-b/", "+0.0+0.0/", "+91.0+0.0/", "+é1-é2/"] {
            assert_eq!(of(nothing), None, "{nothing}");
        }
    }
}
