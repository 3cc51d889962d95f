//! Names that Google gives: validated once here, plain values inside.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{Sha1, Sha256};

/// How the keys begin that are dealt here, and none of a library.
const LOCAL: &str = "local-";

/// A media key: the name of an item or album in a library (`AF1Qip…`, 44 characters on the real site;
/// 1 to 128 of `[A-Za-z0-9_-]` are accepted, so that it is always a safe file name).
///
/// Keys are not content identities: one photo may have several, and keys vanish and return. What was adopted and is
/// in no library that is known has a key of the archive's own, which begins with `local-`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct MediaKey(String);

impl MediaKey {
    /// Validates a key; `None` if it has other characters or another length.
    pub fn new(text: &str) -> Option<Self> {
        let ok = (1..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        ok.then(|| Self(text.to_owned()))
    }

    /// A key that a library gives: never one of the archive's own.
    pub fn of_library(text: &str) -> Option<Self> {
        Self::new(text).filter(|key| !key.is_local())
    }

    /// The archive's own key of what was adopted: of an item by the bytes of its original, of an album by its title.
    pub fn local(kind: &str, content: &Sha256) -> Self {
        Self(format!("{LOCAL}{kind}-{}", &content.hex()[..40]))
    }

    /// Whether it is the archive's own.
    pub fn is_local(&self) -> bool {
        self.0.starts_with(LOCAL)
    }

    /// The key's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MediaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MediaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MediaKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).ok_or_else(|| de::Error::custom("not a media key"))
    }
}

/// Google's content key of an item, as it was listed (contract 6): 27 characters of base64url are the
/// SHA-1 of the uploaded bytes; a `:<hex>` suffix or an empty key promises nothing about the bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DedupKey(String);

impl DedupKey {
    /// Keeps the key as listed; an empty one is `None`.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty() && text.len() <= 256).then(|| Self(text.to_owned()))
    }

    /// The key's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The SHA-1 of the uploaded bytes, where the key is exactly that.
    pub fn sha1(&self) -> Option<Sha1> {
        Sha1::from_slice(&BASE64URL_NOPAD.decode(self.0.as_bytes()).ok()?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_are_safe_file_names() {
        assert!(MediaKey::new("AF1QipM_-9").is_some());
        for bad in ["", "..", "a/b", "a b", "ü", &"x".repeat(129)] {
            assert!(MediaKey::new(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn no_library_can_speak_of_what_was_adopted() {
        let own = MediaKey::local("item", &crate::model::digest::digests_of(b"abc").sha256);
        assert_eq!(own.as_str(), "local-item-ba7816bf8f01cfea414140de5dae2223b00361a3");
        assert!(own.is_local() && MediaKey::new(own.as_str()).is_some());
        assert_eq!(MediaKey::of_library(own.as_str()), None);
        assert!(MediaKey::of_library("AF1QipM_-9").is_some());
    }

    #[test]
    fn only_a_plain_dedup_key_is_a_hash() {
        let plain = DedupKey::new("qZk-NkcGgWq6PiVxeFDCbJzQ2J0").unwrap();
        assert_eq!(plain.sha1().unwrap().hex(), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(DedupKey::new("qZk-NkcGgWq6PiVxeFDCbJzQ2J0:18f").unwrap().sha1(), None);
        assert_eq!(DedupKey::new(""), None);
    }
}
