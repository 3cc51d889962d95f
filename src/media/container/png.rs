//! PNG: chunks, of which some hold texts, some of these packed, and some of those whole documents in hexadecimal.

use std::io::Read as _;

use super::super::moment;
use super::super::said::{By, Found, clean_bytes};
use super::super::source::Source;
use super::super::tag::{iptc, xmp};
use super::tiff;
use crate::model::{CaptureTime, TimeSource};

/// Chunks that are looked at; a large picture has thousands.
const MOST_CHUNKS: usize = 20_000;
/// Texts and Exif blocks that are read: a few bytes of packed text are megabytes unpacked.
const MOST_TEXTS: usize = 16;
/// Longest text, packed.
const LONGEST_TEXT: u64 = 1024 * 1024;
/// And unpacked; in hexadecimal a document is twice as long.
const LONGEST_UNPACKED: u64 = 2 * 1024 * 1024;

/// Adds what the picture says. Some write their Exif behind the picture, so the walk goes to the end.
pub fn read(source: &mut Source<'_>, found: &mut Found) -> Option<()> {
    found.pixels(By::Header, source.be32(16)?, source.be32(20)?);
    let (mut at, mut texts) = (8, 0);
    for _ in 0..MOST_CHUNKS {
        let (length, name) = (u64::from(source.be32(at)?), *source.get(at + 4, 4)?.first_chunk::<4>()?);
        let body = at + 8;
        match &name {
            b"eXIf" if texts < MOST_TEXTS => {
                texts += 1;
                tiff::read(source, body, (body + length).min(source.size()), found);
            }
            b"tEXt" | b"zTXt" | b"iTXt" if length <= LONGEST_TEXT && texts < MOST_TEXTS => {
                let chunk = source.copy(body, length)?;
                if let Some((key, rest)) = wanted(&chunk) {
                    texts += 1;
                    text(&name, &key, rest, found);
                }
            }
            b"tIME" => {
                let change = source.get(body, 7).and_then(|time| {
                    let [high, low, month, day, hour, minute, second] = *time.first_chunk()?;
                    let year = u16::from_be_bytes([high, low]);
                    let text = format!("{year:04}:{month:02}:{day:02} {hour:02}:{minute:02}:{second:02}");
                    moment::wall_clock(&text)
                });
                found.date(change.map(|local| CaptureTime {
                    local,
                    offset_s: Some(0),
                    source: TimeSource::Modified,
                }));
            }
            b"IEND" => return Some(()),
            _ => {}
        }
        // Length, name, the chunk and its checksum.
        at += 12 + length;
    }
    None
}

/// The key of a text that says something, and what follows it.
fn wanted(chunk: &[u8]) -> Option<(String, &[u8])> {
    let end = chunk.iter().position(|byte| *byte == 0)?;
    let key = String::from_utf8_lossy(chunk.get(..end)?).into_owned();
    let wanted = key.starts_with("Raw profile type")
        || matches!(&*key, "XML:com.adobe.xmp" | "Software")
        || key.eq_ignore_ascii_case("creation time");
    wanted.then_some((key, chunk.get(end + 1..)?))
}

fn text(name: &[u8; 4], key: &str, rest: &[u8], found: &mut Found) -> Option<()> {
    let value = match name {
        b"tEXt" => rest.to_vec(),
        b"zTXt" => unpack(rest.get(1..)?)?,
        _ => {
            // Packed or not, how, a language and the key in it.
            let (&[packed, _], rest) = rest.split_first_chunk()?;
            let mut parts = rest.splitn(3, |byte| *byte == 0);
            let value = parts.nth(2)?;
            if packed == 1 { unpack(value)? } else { value.to_vec() }
        }
    };
    match key {
        "XML:com.adobe.xmp" => {
            xmp::read(&value, found);
        }
        "Software" => found.software.by(By::Header, clean_bytes(&value)),
        profile if profile.starts_with("Raw profile type") => {
            let bytes = hexadecimal(&value)?;
            match profile.trim_start_matches("Raw profile type").trim() {
                "exif" | "APP1" => match bytes.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0") {
                    Some(document) => drop(xmp::read(document, found)),
                    None => drop(tiff::read(&mut Source::new(&bytes), 0, bytes.len() as u64, found)),
                },
                "xmp" => drop(xmp::read(&bytes, found)),
                "iptc" => iptc::read(iptc::of_photoshop(&bytes).unwrap_or(&bytes), found),
                _ => {}
            }
        }
        _ => {
            let at = moment::spoken(&String::from_utf8_lossy(&value));
            found.date(at.map(|(local, offset_s)| CaptureTime { local, offset_s, source: TimeSource::Png }));
        }
    }
    Some(())
}

fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    // What is damaged at its end says what stood before.
    let read = flate2::read::ZlibDecoder::new(packed).take(LONGEST_UNPACKED).read_to_end(&mut text);
    (read.is_ok() || !text.is_empty()).then_some(text)
}

/// `\nexif\n    1234\n45786966…`: a name, a length, and the bytes in lines of hexadecimal.
fn hexadecimal(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii_start();
    let name = text.iter().position(|byte| *byte == b'\n')?;
    let rest = text.get(name..)?.trim_ascii_start();
    let length = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    let mut digits = rest.get(length..)?.iter().filter_map(|byte| char::from(*byte).to_digit(16));
    let mut bytes = Vec::new();
    while let (Some(high), Some(low)) = (digits.next(), digits.next()) {
        bytes.push(u8::try_from(high << 4 | low).ok()?);
    }
    Some(bytes)
}
