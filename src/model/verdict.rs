//! How far the bytes of a part are proven to be what was uploaded.

use serde::{Deserialize, Serialize};

use super::{DedupKey, Digests, PartRole, Quality};

/// The verdict on one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// SHA-1 equals Google's dedupKey: the very bytes that were uploaded.
    MatchesUpload,
    /// No hash to compare with, but the size is the one Google lists.
    SizeMatches,
    /// Known not to be the upload, and why is known: storage saver, an edited rendition.
    DiffersExpected,
    /// Nothing to compare with, or a difference that nothing explains.
    Unproven,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::MatchesUpload, Self::SizeMatches, Self::DiffersExpected, Self::Unproven];

    /// The word used in records and reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::MatchesUpload => "matches-upload",
            Self::SizeMatches => "size-matches",
            Self::DiffersExpected => "differs-expected",
            Self::Unproven => "unproven",
        }
    }

    /// What it means, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::MatchesUpload => "proven: the very bytes that were uploaded, by Google's own hash",
            Self::SizeMatches => "the size that Google lists; there is no hash to compare with",
            Self::DiffersExpected => "not the upload, as expected: storage saver or edited",
            Self::Unproven => "nothing to compare with",
        }
    }

    /// Judges a part by what Google says of the item.
    ///
    /// `listed_size` is the stored file's size in bytes where Google gives one for this part.
    pub fn judge(
        role: PartRole,
        digests: &Digests,
        dedup: Option<&DedupKey>,
        listed_size: Option<u64>,
        quality: Quality,
    ) -> Self {
        if role == PartRole::Original {
            match dedup.and_then(DedupKey::sha1) {
                Some(upload) if upload == digests.sha1 => return Self::MatchesUpload,
                Some(_) if quality == Quality::StorageSaver => return Self::DiffersExpected,
                Some(_) => return Self::Unproven,
                None => {}
            }
        }
        if role == PartRole::Edited || quality == Quality::StorageSaver {
            return Self::DiffersExpected;
        }
        match listed_size {
            Some(size) if size == digests.size => Self::SizeMatches,
            _ => Self::Unproven,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::digest::digests_of;

    #[test]
    fn the_upload_hash_decides_first() {
        let d = digests_of(b"abc");
        let own = DedupKey::new(&d.sha1.dedup());
        let other = DedupKey::new(&digests_of(b"x").sha1.dedup());
        let copy = DedupKey::new("qZk-NkcGgWq6PiVxeFDCbJzQ2J0:1");
        let judge = |role, key: &Option<DedupKey>, size, quality| {
            Verdict::judge(role, &d, key.as_ref(), size, quality)
        };
        use PartRole::{Edited, Original};
        use Quality::{StorageSaver, Unknown};
        assert_eq!(judge(Original, &own, Some(9), StorageSaver), Verdict::MatchesUpload);
        assert_eq!(judge(Original, &other, Some(3), StorageSaver), Verdict::DiffersExpected);
        assert_eq!(judge(Original, &other, Some(3), Unknown), Verdict::Unproven);
        assert_eq!(judge(Original, &copy, Some(3), Unknown), Verdict::SizeMatches);
        assert_eq!(judge(Original, &None, Some(4), Unknown), Verdict::Unproven);
        assert_eq!(judge(Edited, &own, None, Unknown), Verdict::DiffersExpected);
    }
}
