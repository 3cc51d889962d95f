//! H.264: the size in its parameters, and the date that camcorders write beside each picture.

use super::super::super::moment;
use super::super::super::said::{By, Found, clean};
use crate::model::{CaptureTime, TimeSource};

/// Longest unit that is looked at; pictures are longer, what counts here is not.
const LONGEST: usize = 4096;
/// The name of a camcorder's data: 16 bytes, then `MDPM`.
const CAMCORDER: &[u8] = b"\x17\xee\x8c\x60\xf8\x4d\x11\xd9\x8c\xd6\x08\x00\x20\x0c\x9a\x66MDPM";

/// Adds what a unit of this type says; it ends where the next begins.
pub fn unit(kind: u8, bytes: &[u8], found: &mut Found) {
    if !matches!(kind, 6 | 7) {
        return;
    }
    let bytes = bytes.get(..LONGEST).unwrap_or(bytes);
    let end = bytes.windows(3).position(|window| window == [0, 0, 1]).unwrap_or(bytes.len());
    let plain = unescape(&bytes[..end]);
    if kind == 7 {
        if let Some((width, height)) = size(&plain) {
            found.pixels(By::Header, width, height);
        }
    } else if let Some(at) = plain.windows(CAMCORDER.len()).position(|window| window == CAMCORDER) {
        camcorder(&plain[at + CAMCORDER.len()..], found);
    }
}

/// Without the threes that keep pictures from looking like the beginning of a unit.
fn unescape(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut zeros = 0;
    for byte in bytes {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        plain.push(*byte);
    }
    plain
}

/// Entries of a number and four bytes. Dates are decimal digits, two in a byte.
fn camcorder(bytes: &[u8], found: &mut Found) {
    let Some((count, mut rest)) = bytes.split_first() else { return };
    let (mut day, mut time, mut model) = (None, None, Vec::new());
    // Degrees, minutes and seconds north, then east, and whether these are south or west.
    let (mut degrees, mut against) = ([None; 6], [false; 2]);
    for _ in 0..*count {
        let Some((&[tag, a, b, c, d], after)) = rest.split_first_chunk() else { break };
        match tag {
            0x18 => day = Some([a, b, c, d]),
            0x19 => time = Some([a, b, c, d]),
            0xe0 => {
                let make = match u16::from_be_bytes([a, b]) {
                    0x0103 => Some("Panasonic"),
                    0x0108 => Some("Sony"),
                    0x1011 => Some("Canon"),
                    0x1104 => Some("JVC"),
                    _ => None,
                };
                found.make.by(By::Avchd, make.map(str::to_owned));
            }
            0xb1 => against[0] = a == b'S',
            0xb5 => against[1] = a == b'W',
            0xb2..=0xb4 => degrees[usize::from(tag - 0xb2)] = ratio([a, b, c, d]),
            0xb6..=0xb8 => degrees[usize::from(tag - 0xb6) + 3] = ratio([a, b, c, d]),
            0xe4..=0xe6 => model.extend([a, b, c, d]),
            _ => {}
        }
        rest = after;
    }
    let whole = |at: usize| {
        let part = |n: usize| degrees[at + n];
        Some(part(0)? + part(1).unwrap_or(0.0) / 60.0 + part(2).unwrap_or(0.0) / 3600.0)
    };
    if let (Some(north), Some(east)) = (whole(0), whole(3)) {
        let sign = |against: bool| if against { -1.0 } else { 1.0 };
        found.place(By::Avchd, sign(against[0]) * north, sign(against[1]) * east);
    }
    found.model.by(By::Avchd, clean(&String::from_utf8_lossy(&model)));
    let Some(([zone, century, year, month], [day, hour, minute, second])) = day.zip(time) else { return };
    let text = format!("{century:02x}{year:02x}:{month:02x}:{day:02x} {hour:02x}:{minute:02x}:{second:02x}");
    let half_hours = i32::from(zone >> 1 & 15) * 2 + i32::from(zone & 1);
    let sign = if zone & 0x20 == 0 { 1 } else { -1 };
    let offset_s = (zone & 0x80 == 0 && half_hours <= 28).then_some(sign * half_hours * 1800);
    found.date(moment::wall_clock(&text).filter(moment::is_plausible_video).map(|local| CaptureTime {
        local,
        offset_s,
        source: TimeSource::Avchd,
    }));
}

/// Two numbers of two bytes, as a fraction.
fn ratio([a, b, c, d]: [u8; 4]) -> Option<f64> {
    let (above, below) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    (below > 0).then(|| f64::from(above) / f64::from(below))
}

/// Width and height of a set of parameters, without what is cut off at the borders.
fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut bits = Bits { bytes, at: 0 };
    let profile = bits.take(8)?;
    bits.take(16)?;
    bits.number()?;
    let mut chroma = 1;
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134) {
        chroma = bits.number()?;
        if chroma == 3 {
            bits.take(1)?;
        }
        bits.number()?;
        bits.number()?;
        bits.take(1)?;
        if bits.take(1)? == 1 {
            for list in 0..if chroma == 3 { 12 } else { 8 } {
                if bits.take(1)? == 1 {
                    bits.pass_list(if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.number()?;
    match bits.number()? {
        0 => drop(bits.number()?),
        1 => {
            bits.take(1)?;
            bits.number()?;
            bits.number()?;
            for _ in 0..bits.number()?.min(255) {
                bits.number()?;
            }
        }
        _ => {}
    }
    bits.number()?;
    bits.take(1)?;
    let (across, down) = (bits.number()?.checked_add(1)?, bits.number()?.checked_add(1)?);
    let frames = bits.take(1)?;
    if frames == 0 {
        bits.take(1)?;
    }
    bits.take(1)?;
    let rows = 2 - frames;
    let (mut width, mut height) = (across.checked_mul(16)?, down.checked_mul(16 * rows)?);
    if bits.take(1)? == 1 {
        let (left, right, top, bottom) = (bits.number()?, bits.number()?, bits.number()?, bits.number()?);
        let (x, y) = match chroma {
            1 => (2, 2 * rows),
            2 => (2, rows),
            _ => (1, rows),
        };
        width = width.checked_sub(left.checked_add(right)?.checked_mul(x)?)?;
        height = height.checked_sub(top.checked_add(bottom)?.checked_mul(y)?)?;
    }
    Some((width, height)).filter(|(width, height)| *width <= 65_536 && *height <= 65_536)
}

/// Bits, the most significant first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    /// As many bits as zeros stood in front of them.
    fn number(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
        }
        if zeros > 31 {
            return None;
        }
        ((1_u32 << zeros) - 1).checked_add(self.take(zeros)?)
    }

    fn pass_list(&mut self, length: u32) -> Option<()> {
        let (mut last, mut next) = (8_i64, 8_i64);
        for _ in 0..length {
            if next != 0 {
                let n = i64::from(self.number()?);
                let delta = if n % 2 == 0 { -(n / 2) } else { n / 2 + 1 };
                next = (last + delta).rem_euclid(256);
            }
            if next != 0 {
                last = next;
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_camcorder_tells_when_and_where() {
        let entries: &[[u8; 5]] = &[
            [0x18, 0x02, 0x20, 0x08, 0x12],
            [0x19, 0x31, 0x23, 0x16, 0x24],
            [0xb1, b'S', 0, 0, 0],
            [0xb2, 0, 33, 0, 1],
            [0xb3, 0, 51, 0, 1],
            [0xb4, 0, 30, 0, 10],
            [0xb5, b'E', 0, 0, 0],
            [0xb6, 0, 151, 0, 1],
            [0xb7, 0, 12, 0, 1],
            [0xe0, 0x01, 0x08, 0, 0],
        ];
        let mut bytes = vec![entries.len() as u8];
        bytes.extend(entries.iter().flatten());
        let mut found = Found::default();
        camcorder(&bytes, &mut found);
        assert_eq!(found.dates[0].local.to_string(), "2008-12-31T23:16:24");
        assert_eq!(found.dates[0].offset_s, Some(3600));
        assert_eq!(found.make.value().unwrap(), "Sony");
        let (north, east) = *found.position.value().unwrap();
        assert!((north + 33.85).abs() < 0.01 && (east - 151.2).abs() < 1e-9, "{north} {east}");
        for end in 0..bytes.len() {
            camcorder(&bytes[..end], &mut Found::default());
        }
    }
}
