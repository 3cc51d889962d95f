//! The one thing that only Apple's maker note tells: which video belongs to a Live Photo.

use super::super::said::{By, Found, clean_bytes};
use super::super::source::Source;

/// How Apple's maker note begins; two bytes of version and the byte order follow.
const ANNOUNCED: &[u8] = b"Apple iOS\0";
const CONTENT_IDENTIFIER: u32 = 0x11;

/// Adds the identifier, if this is Apple's maker note and has one. Its offsets count from its beginning.
pub fn read(source: &mut Source<'_>, start: u64, length: u64, found: &mut Found) -> Option<()> {
    if source.get(start, ANNOUNCED.len())? != ANNOUNCED {
        return None;
    }
    let directory = start + 14;
    for n in 0..u64::from(source.be16(directory)?.min(200)) {
        let entry = directory + 2 + 12 * n;
        if source.be16(entry)? == CONTENT_IDENTIFIER {
            let (count, place) = (u64::from(source.be32(entry + 4)?), u64::from(source.be32(entry + 8)?));
            if count <= 64 && place + count <= length {
                let text = source.copy(start + place, count)?;
                found.content_id.by(By::MakerNote, clean_bytes(&text));
            }
            return Some(());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_identifier_is_found_where_the_note_says_and_nowhere_outside_it() {
        let id = b"1745E022-9712-43C7-B024-F308EC6413CB\0";
        let mut note = b"in front of it Apple iOS\0\0\x01MM\0\x02".to_vec();
        let start = 15;
        // A number, then the text at byte 46 of the note.
        note.extend(b"\0\x01\0\x09\0\0\0\x01\0\0\0\x0e");
        note.extend(b"\0\x11\0\x02\0\0\0\x25\0\0\0\x2e");
        note.extend([0; 6]);
        note.extend(id);
        let length = note.len() as u64 - start;
        let read = |length| {
            let mut found = Found::default();
            read(&mut Source::new(&note), start, length, &mut found);
            found.content_id.value().cloned()
        };
        assert_eq!(read(length).unwrap(), "1745E022-9712-43C7-B024-F308EC6413CB");
        assert_eq!(read(length - 1), None);
    }
}
