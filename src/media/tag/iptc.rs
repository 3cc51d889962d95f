//! IPTC: the date of press photos and of scans that somebody dated by hand.

use super::super::moment;
use super::super::said::Found;
use crate::model::{CaptureTime, TimeSource};

/// Adds the date of these datasets.
pub fn read(datasets: &[u8], found: &mut Found) {
    let (mut date, mut time) = (None, None);
    let mut rest = datasets;
    while let [0x1c, record, dataset, high, low, body @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some((value, after)) = body.split_at_checked(length) else { break };
        match (record, dataset) {
            (2, 55) => date = date.or(std::str::from_utf8(value).ok()),
            (2, 60) => time = time.or(std::str::from_utf8(value).ok()),
            _ => {}
        }
        rest = after;
    }
    found.date(date.and_then(|date| moment_of(date, time.unwrap_or_default())));
}

/// `20040226` and `062751-0500`.
fn moment_of(date: &str, time: &str) -> Option<CaptureTime> {
    let digits: String = date.chars().filter(char::is_ascii_digit).collect();
    let (year, day) = digits.split_at_checked(4).filter(|(_, day)| day.len() == 4)?;
    let (clock, zone) = match time.find(['+', '-']) {
        Some(at) => time.split_at(at),
        None => (time, ""),
    };
    let clock: String = clock.chars().filter(char::is_ascii_digit).collect();
    let clock = match clock.as_bytes() {
        [a, b, c, d, e, f, ..] => [*a, *b, b':', *c, *d, b':', *e, *f].map(char::from).iter().collect(),
        _ => String::new(),
    };
    let has_time = !clock.is_empty();
    let local = moment::wall_clock(&format!("{year}:{}:{} {clock}", &day[..2], &day[2..]))?;
    let offset_s = moment::offset_s(zone).filter(|_| has_time);
    Some(CaptureTime { local, offset_s, source: TimeSource::Iptc })
}

/// The datasets among Photoshop's resources.
pub fn of_photoshop(mut resources: &[u8]) -> Option<&[u8]> {
    while let Some(rest) = resources.strip_prefix(b"8BIM") {
        let (id, rest) = rest.split_first_chunk::<2>()?;
        // A name of which the length is the first byte; name and content are padded to an even length.
        let name = usize::from(*rest.first()?) + 1;
        let rest = rest.get(name + name % 2..)?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let body = rest.get(..length)?;
        if u16::from_be_bytes(*id) == 0x0404 {
            return Some(body);
        }
        resources = rest.get(length + length % 2..).unwrap_or_default();
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn dates_with_and_without_time() {
        let read = |date, time| moment_of(date, time).map(|at| (at.local.to_string(), at.offset_s));
        assert_eq!(read("20061029", "062751-0500"), Some(("2006-10-29T06:27:51".into(), Some(-18_000))));
        assert_eq!(read("20040226", ""), Some(("2004-02-26T00:00:00".into(), None)));
        assert_eq!(read("2004-02-26", "0627"), Some(("2004-02-26T00:00:00".into(), None)));
        assert_eq!((read("00000000", "000000"), read("2004", ""), read("äöü", "é")), (None, None, None));
    }

    #[test]
    fn datasets_are_found_behind_other_resources() {
        let resources = b"8BIM\x03\xed\x01x\0\0\0\x03abc\08BIM\x04\x04\0\0\0\0\0\x06\x1c\x02\x37\0\x01x";
        assert_eq!(of_photoshop(resources), Some(&b"\x1c\x02\x37\0\x01x"[..]));
        assert_eq!(of_photoshop(b"8BIM\x04\x04\0\0\xff\xff\xff\xff"), None);
    }
}
