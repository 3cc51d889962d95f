//! Files of ISO base media boxes: HEIC, AVIF, CR3, MP4, QuickTime, 3GP.

use super::super::kind::Kind;
use super::super::source::read_up_to;
use super::{MOST_STEPS, Wrong, wrong};
use crate::model::ReadAt;

/// The boxes of the top level follow one another to the end of the file, and the ones that matter are there.
pub fn walk(kind: Kind, bytes: &dyn ReadAt, size: u64) -> Result<(), Wrong> {
    let picture = matches!(kind, Kind::Heif | Kind::Avif);
    let needed: &[u8; 4] = if picture { b"meta" } else { b"moov" };
    let (mut at, mut described) = (0, false);
    for _ in 0..MOST_STEPS {
        let head = read_up_to(bytes, at, 16)?;
        let Some((length, name)) = header(&head, size - at) else {
            // Too short for a box, or no name: what a tool or a phone appended.
            if described {
                return Ok(());
            }
            return wrong(missing(needed, size));
        };
        let end = at.saturating_add(length);
        if end > size {
            return wrong(format!("it is cut off: its {name:?} part ends at byte {end} and it has {size}"));
        }
        described |= name.as_bytes() == needed || (picture && name == "moov");
        at = end;
        if at == size {
            break;
        }
    }
    if described { Ok(()) } else { wrong(missing(needed, size)) }
}

fn missing(needed: &[u8; 4], size: u64) -> String {
    let needed = String::from_utf8_lossy(needed);
    format!(
        "it is cut off: the {needed:?} part, without which nothing can play it, is not in its {size} bytes"
    )
}

/// Length and name of a box; `None` where no box can begin.
fn header(head: &[u8], rest: u64) -> Option<(u64, String)> {
    let short = u64::from(u32::from_be_bytes(*head.first_chunk()?));
    let name = head.get(4..8)?;
    // Apple's names of metadata begin with 0xa9; all others are printable.
    if !name.iter().all(|&b| (0x20..0x7f).contains(&b) || b == 0xa9) {
        return None;
    }
    let (length, least) = match short {
        // To the end of the file.
        0 => (rest, 8),
        1 => (u64::from_be_bytes(*head.get(8..)?.first_chunk()?), 16),
        short => (short, 8),
    };
    (length >= least).then(|| (length, String::from_utf8_lossy(name).into_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::check;

    const MP4: &[u8] = b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x0amdatab\0\0\0\x0cmoovabcd";

    #[test]
    fn every_shorter_one_is_cut_off() {
        check(&MP4.to_vec()).unwrap();
        for cut in 8..MP4.len() {
            assert!(check(&MP4[..cut].to_vec()).is_err(), "{cut} bytes pass");
        }
    }

    #[test]
    fn a_last_box_may_be_open_and_trailers_may_follow() {
        check(&b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x08moov\0\0\0\0mdatabcdefg".to_vec()).unwrap();
        check(&[MP4, &[0; 5]].concat()).unwrap();
        check(&[MP4, b"\0\0\x0a\x30\0\0\0\x10\0\0\0\0\0\0\0\0SEFT"].concat()).unwrap();
    }

    #[test]
    fn wide_lengths_are_read() {
        let wide = b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x01mdat\0\0\0\0\0\0\0\x11x\0\0\0\x08moov";
        check(&wide.to_vec()).unwrap();
        let mut cut = wide.to_vec();
        cut[30] = 0xff;
        assert!(check(&cut).unwrap_err().contains("mdat"));
    }
}
