//! A JPEG runs from its start marker over segments and scans to an end marker.

use std::io;

use super::{Window, Wrong, wrong};
use crate::model::ReadAt;

const END: u8 = 0xd9;
const SCAN: u8 = 0xda;

/// Walks the segments, then looks for the end marker behind the first scan. What follows it (the video of a
/// motion photo, a maker's trailer, a second picture) is not looked at.
pub fn walk(bytes: &dyn ReadAt, size: u64) -> Result<(), Wrong> {
    let mut view = Window::new(bytes);
    let mut at = 2;
    let mut scanning = false;
    loop {
        let Some(marker_at) = next_marker(&mut view, at, scanning)? else {
            let place = if scanning { "its end marker" } else { "its picture" };
            return wrong(format!("the JPEG is cut off: it ends at byte {size} before {place}"));
        };
        let (marker, after) = marker_at;
        at = after;
        match marker {
            END if scanning => return Ok(()),
            END => return wrong("the JPEG holds no picture"),
            // Markers without a body.
            0x01 | 0xd0..=0xd8 => {}
            _ => {
                let (Some(high), Some(low)) = (view.byte(at)?, view.byte(at + 1)?) else { continue };
                let length = u64::from(u16::from_be_bytes([high, low]));
                scanning |= marker == SCAN;
                // Some cameras write a zero length; the search for the next marker then starts right here.
                at += length.max(2);
            }
        }
    }
}

/// The next marker at or behind `at`, and where its body starts. Between segments anything up to the next
/// 0xff is padding; inside a scan 0xff 0x00 is data.
fn next_marker(view: &mut Window<'_>, mut at: u64, scanning: bool) -> io::Result<Option<(u8, u64)>> {
    loop {
        let Some(offset) = view.find(at, 0xff)? else { return Ok(None) };
        at = offset + 1;
        match view.byte(at)? {
            None => return Ok(None),
            Some(0xff | 0x00) => {}
            // Below the frame headers nothing is defined; in a scan it is a damaged byte that viewers skip.
            Some(0x02..=0xbf) if scanning => {}
            Some(marker) => return Ok(Some((marker, at + 1))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::check;

    const JPEG: &[u8] = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xda\x00\x03c\x11\xff\x00\x22\xff\xd0\x33\xff\xc4\x00\x03d\xff\xda\x00\x02\x44\xff\xd9";

    #[test]
    fn every_shorter_one_is_cut_off() {
        check(&JPEG.to_vec()).unwrap();
        for cut in 3..JPEG.len() {
            assert!(check(&JPEG[..cut].to_vec()).is_err(), "{cut} bytes pass");
        }
    }

    #[test]
    fn trailers_are_no_damage() {
        check(&[JPEG, b"\0\0\0\x18ftypmp42 and a film"].concat()).unwrap();
        check(&[JPEG, &[0; 4096]].concat()).unwrap();
    }

    #[test]
    fn an_end_marker_inside_a_segment_is_none() {
        let thumbnail = b"\xff\xd8\xff\xe1\x00\x06\xff\xd8\xff\xd9\xff\xda\x00\x03c\x11\x22";
        assert!(check(&thumbnail.to_vec()).unwrap_err().contains("end marker"));
    }
}
