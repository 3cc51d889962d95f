//! A tar as a stream. Own, because what reads names without a limit reads as much as a stranger likes: of the library
//! at hand, a name of ten gigabytes of zeros, packed to ten megabytes, becomes ten gigabytes of memory.

use std::io::{self, Read};

const BLOCK: usize = 512;
/// No path is longer, nor what else stands in front of a file, bytes.
const LONGEST_NAME: u64 = 64 * 1024;
/// Bytes skipped at once.
const CHUNK: usize = 256 * 1024;

/// A file of a tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path, as it stands there.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// When it was last changed, seconds since 1970.
    pub modified: i64,
}

/// Calls `each` with every regular file; what it does not read is skipped. `each` answers whether to go on.
///
/// # Errors
/// What reading answers, and [`io::ErrorKind::InvalidData`] for what is no tar, or is cut off.
pub fn each(
    mut from: impl Read,
    each: &mut dyn FnMut(&Entry, &mut dyn Read) -> io::Result<bool>,
) -> io::Result<()> {
    let mut said = Said::default();
    let mut is_first = true;
    loop {
        let mut header = [0; BLOCK];
        if !fill(&mut from, &mut header)? {
            // Some writers leave the two empty blocks at the end out.
            return if is_first { Err(bad("it is empty")) } else { Ok(()) };
        }
        if header.iter().all(|&byte| byte == 0) {
            return Ok(());
        }
        if !sum_is_right(&header) {
            return Err(bad(if is_first { "it is no tar" } else { "the tar is damaged" }));
        }
        is_first = false;
        let size =
            said.size.take().or_else(|| number(&header[124..136])).ok_or_else(|| bad("a size is none"))?;
        let kind = header[156];
        let padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
        let mut content = (&mut from).take(size);
        let mut go_on = true;
        match kind {
            b'L' => said.path = Some(text(until_zero(&short(&mut content)?))),
            b'x' => said.read(&short(&mut content)?),
            b'0' | 0 | b'7' => {
                let path = said.path.take().unwrap_or_else(|| path_in(&header));
                let modified = number(&header[136..148]).and_then(|s| i64::try_from(s).ok()).unwrap_or(0);
                go_on = each(&Entry { path, size, modified }, &mut content)?;
            }
            _ => said = Said::default(),
        }
        let left = content.limit();
        if !go_on {
            return Ok(());
        }
        skip(&mut from, left.saturating_add(padding))?;
    }
}

/// What stands in front of a file about it.
#[derive(Default)]
struct Said {
    path: Option<String>,
    size: Option<u64>,
}

impl Said {
    /// Lines of `LENGTH KEY=VALUE`.
    fn read(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(blank) = rest.iter().position(|&byte| byte == b' ') {
            let length = std::str::from_utf8(&rest[..blank]).ok().and_then(|text| text.parse::<usize>().ok());
            let Some(line) = length.and_then(|length| rest.get(blank + 1..length)) else { return };
            rest = &rest[length.unwrap_or(rest.len())..];
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            if let Some(path) = line.strip_prefix(b"path=") {
                self.path = Some(text(path));
            } else if let Some(size) = line.strip_prefix(b"size=") {
                self.size = std::str::from_utf8(size).ok().and_then(|text| text.parse().ok());
            }
        }
    }
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Whether there was a whole block; an end within one is an error.
fn fill(from: &mut impl Read, block: &mut [u8; BLOCK]) -> io::Result<bool> {
    let mut have = 0;
    while have < BLOCK {
        match from.read(&mut block[have..]) {
            Ok(0) if have == 0 => return Ok(false),
            Ok(0) => return Err(bad("it is cut off")),
            Ok(n) => have += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn short(content: &mut io::Take<impl Read>) -> io::Result<Vec<u8>> {
    if content.limit() > LONGEST_NAME {
        return Err(bad("a name in it is longer than any name"));
    }
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn skip(from: &mut impl Read, mut left: u64) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        match from.read(&mut buffer[..most]) {
            Ok(0) => return Err(bad("it is cut off")),
            Ok(n) => left -= n as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The sum of all bytes, those of the sum itself taken as blanks; old writers count with a sign.
fn sum_is_right(header: &[u8; BLOCK]) -> bool {
    let byte = |at: usize| if (148..156).contains(&at) { b' ' } else { header[at] };
    let plain: i64 = (0..BLOCK).map(|at| i64::from(byte(at))).sum();
    let signed: i64 = (0..BLOCK).map(|at| i64::from(byte(at).cast_signed())).sum();
    let said = number(&header[148..156]).and_then(|sum| i64::try_from(sum).ok());
    said == Some(plain) || said == Some(signed)
}

/// A number in octal digits, or in bytes where the first has its highest bit set.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let first = u64::from(field[0] & 0x3f);
        return field[1..]
            .iter()
            .try_fold(first, |all, &byte| all.checked_mul(256)?.checked_add(byte.into()));
    }
    let digits = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

fn path_in(header: &[u8; BLOCK]) -> String {
    let (name, prefix) = (until_zero(&header[..100]), until_zero(&header[345..500]));
    let is_ustar = header[257..].starts_with(b"ustar\0");
    if is_ustar && !prefix.is_empty() { format!("{}/{}", text(prefix), text(name)) } else { text(name) }
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn header(name: &[u8], kind: u8, size: &[u8; 12]) -> Vec<u8> {
        let mut header = vec![0; BLOCK];
        header[..name.len()].copy_from_slice(name);
        header[124..136].copy_from_slice(size);
        header[156] = kind;
        header[257..263].copy_from_slice(b"ustar\0");
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        header
    }

    fn entry(name: &[u8], kind: u8, content: &[u8]) -> Vec<u8> {
        let size: [u8; 12] = format!("{:011o}\0", content.len()).into_bytes().try_into().unwrap();
        let mut bytes = header(name, kind, &size);
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    fn read(tar: &[u8]) -> (Vec<(String, String)>, io::Result<()>) {
        let mut found = Vec::new();
        let end = each(tar, &mut |entry, content| {
            let mut text = String::new();
            content.read_to_string(&mut text)?;
            found.push((entry.path.clone(), text));
            Ok(true)
        });
        (found, end)
    }

    #[test]
    fn names_come_in_three_ways() {
        let mut prefixed = entry(b"short.jpg", b'0', b"three");
        prefixed[345..350].copy_from_slice(b"a/b/c");
        prefixed[148..156].fill(b' ');
        let sum: u32 = prefixed[..BLOCK].iter().map(|&byte| u32::from(byte)).sum();
        prefixed[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let tar = [
            entry(b"././@LongLink", b'L', b"long/gnu.jpg\0"),
            entry(b"gnu", b'0', b"one"),
            entry(b"pax", b'x', "22 path=long/p\u{e4}x.jpg\n".as_bytes()),
            entry(b"pax", b'0', b"two"),
            prefixed,
            entry(b"folder/", b'5', b""),
            entry(b"link", b'2', b""),
            vec![0; 2 * BLOCK],
            b"whatever follows".to_vec(),
        ];
        let (found, end) = read(&tar.concat());
        end.unwrap();
        let named = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        assert_eq!(
            found,
            [
                named("long/gnu.jpg", "one"),
                named("long/p\u{e4}x.jpg", "two"),
                named("a/b/c/short.jpg", "three")
            ]
        );
    }

    #[test]
    fn what_lies_is_an_error_and_takes_no_memory() {
        let cut = entry(b"a", b'0', b"content");
        let (found, end) = read(&cut[..BLOCK + 3]);
        assert!(end.is_err() && found.len() <= 1);
        assert!(read(b"").1.is_err());
        assert!(read(&[7; BLOCK]).1.unwrap_err().to_string().contains("no tar"));
        // A name of gigabytes, and a size beyond all bounds in bytes.
        let name = header(b"././@LongLink", b'L', b"77777777777\0");
        assert!(read(&name).1.unwrap_err().to_string().contains("longer than any name"));
        let endless = header(b"a", b'0', &[0xff; 12]);
        assert!(read(&endless).1.is_err());
        let endless =
            [entry(b"x", b'x', b"29 size=18446744073709551615\n"), entry(b"a", b'0', b"b")].concat();
        assert!(read(&endless).1.is_err());
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]), Some(2 << 32));
    }
}
