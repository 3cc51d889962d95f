//! Content hashes: SHA-256 names a blob, SHA-1 is what Google keeps of an upload.

use std::fmt;
use std::io::{self, Read};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Digest as _;

macro_rules! digest_type {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Number of bytes.
            pub const LEN: usize = $len;

            /// Takes the raw bytes.
            pub const fn new(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            pub const fn bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Lower-case hex, as `sha256sum` and `sha1sum` print it.
            pub fn hex(&self) -> String {
                HEXLOWER.encode(&self.0)
            }

            /// Reads exactly the lower-case hex form; anything else is `None`.
            pub fn from_hex(text: &str) -> Option<Self> {
                let bytes = HEXLOWER.decode(text.as_bytes()).ok()?;
                Some(Self(bytes.try_into().ok()?))
            }

            /// Reads raw bytes of exactly the right length.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                Some(Self(bytes.try_into().ok()?))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.hex())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.hex())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::from_hex(&text).ok_or_else(|| {
                    de::Error::custom(concat!("expected ", stringify!($len), " bytes of lower-case hex"))
                })
            }
        }
    };
}

digest_type!(
    /// SHA-256 of a blob or record: its name in the store.
    Sha256,
    32
);
digest_type!(
    /// SHA-1 of a part: Google's dedupKey is its unpadded base64url form (contract 6).
    Sha1,
    20
);

impl Sha1 {
    /// The form Google uses as dedupKey: base64url without padding, 27 characters.
    pub fn dedup(&self) -> String {
        BASE64URL_NOPAD.encode(&self.0)
    }
}

/// Both hashes of one byte sequence, and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digests {
    /// SHA-256.
    pub sha256: Sha256,
    /// SHA-1.
    pub sha1: Sha1,
    /// Number of bytes hashed.
    pub size: u64,
}

/// Computes both hashes in one pass over the bytes.
#[derive(Clone, Default)]
pub struct Hasher {
    sha256: sha2::Sha256,
    sha1: sha1::Sha1,
    size: u64,
}

impl Hasher {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.sha1.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// Bytes seen so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of all bytes seen.
    pub fn finish(self) -> Digests {
        Digests {
            sha256: Sha256(self.sha256.finalize().into()),
            sha1: Sha1(self.sha1.finalize().into()),
            size: self.size,
        }
    }
}

/// SHA-256 and length of what can be read, to its end.
///
/// # Errors
/// What the reader answers.
pub fn sha256_of(mut from: impl Read) -> io::Result<(Sha256, u64)> {
    /// Bytes read at once.
    const CHUNK: usize = 256 * 1024;
    let (mut hasher, mut size) = (sha2::Sha256::new(), 0);
    let mut chunk = vec![0; CHUNK];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return Ok((Sha256(hasher.finalize().into()), size)),
            Ok(n) => {
                hasher.update(&chunk[..n]);
                size += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Both hashes of a slice.
pub fn digests_of(bytes: &[u8]) -> Digests {
    let mut hasher = Hasher::new();
    hasher.update(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn known_vectors_in_all_spellings() {
        let d = digests_of(b"abc");
        assert_eq!(d.sha256.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(d.sha1.hex(), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(d.sha1.dedup(), "qZk-NkcGgWq6PiVxeFDCbJzQ2J0");
        assert_eq!(d.size, 3);
        assert_eq!(Sha256::from_hex(&d.sha256.hex()), Some(d.sha256));
    }

    #[test]
    fn sloppy_hex_is_refused() {
        assert_eq!(Sha1::from_hex("A9993E364706816ABA3E25717850C26C9CD0D89D"), None);
        assert_eq!(Sha1::from_hex("a9"), None);
    }
}
