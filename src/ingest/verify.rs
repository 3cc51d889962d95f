//! Are these bytes, as far as can be known, the whole original of this item?

use std::sync::Arc;

use jiff::SignedDuration;
use jiff::civil::DateTime;

use crate::media;
use crate::model::{DedupKey, Digests, PartRole, Quality, ReadAt, Sha256, TimeSource};

/// What is known beforehand of the bytes of one part.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// Which part.
    pub role: PartRole,
    /// Google's content key of the upload.
    pub dedup_key: Option<DedupKey>,
    /// Quality that Google keeps.
    pub quality: Quality,
    /// Size that Google lists for the stored file.
    pub listed_size: Option<u64>,
    /// Whether that size must be this part's: of an edited or two-part item nobody knows which file it is of.
    pub size_is_firm: bool,
    /// Length that the server claimed for this transfer.
    pub claimed_length: Option<u64>,
    /// Wall clock of the capture as the photo's page shows it, to the minute, for bytes that came from there.
    pub shown: Option<DateTime>,
    /// What an earlier transfer of the same part from a fresh address brought, if it was doubted.
    pub seen_before: Option<Sha256>,
}

impl Expectation {
    /// Accepts the bytes or says what is wrong with them.
    ///
    /// SHA-1 equal to the upload's settles it. A difference is accepted only where it is explained (storage
    /// saver), or where a second transfer brought the very same bytes in the listed size: then it is Google
    /// that holds other bytes, and the verdict will say `unproven`. A wrong file, sent twice, has another size.
    pub fn check(&self, bytes: &Arc<dyn ReadAt>, digests: &Digests) -> Result<(), String> {
        if digests.size == 0 {
            return Err("the file is empty".into());
        }
        if let Some(claimed) = self.claimed_length.filter(|&claimed| claimed != digests.size) {
            return Err(format!("{} bytes came, the server had announced {claimed}", digests.size));
        }
        let upload = self.dedup_key.as_ref().and_then(DedupKey::sha1);
        let original = self.role == PartRole::Original;
        if original && upload == Some(digests.sha1) {
            return Ok(());
        }
        media::whole::check(&**bytes)?;
        let repeated = self.seen_before == Some(digests.sha256);
        if !repeated && let Some(other) = self.other_time(bytes) {
            return Err(other);
        }
        if !original {
            return Ok(());
        }
        let sizes_agree = self.listed_size == Some(digests.size);
        let came = format!("{} bytes came, {} are listed", digests.size, self.listed_size.unwrap_or(0));
        if upload.is_some() && self.quality != Quality::StorageSaver {
            return match (sizes_agree, repeated) {
                (true, true) => Ok(()),
                (true, false) => Err("the hash is not that of the upload".into()),
                (false, _) => Err(format!("neither hash nor size are those of the upload ({came})")),
            };
        }
        let size_must_agree = self.size_is_firm && self.listed_size.is_some();
        if size_must_agree && !sizes_agree && !repeated { Err(came) } else { Ok(()) }
    }

    /// A page hands out files by name, and two photos may have the same one: then the time tells. Only a
    /// doubt, because a person may have set another time in Google Photos.
    fn other_time(&self, bytes: &Arc<dyn ReadAt>) -> Option<String> {
        let shown = self.shown?;
        let facts = media::inspect(&**bytes, "");
        // A video tells its time in UTC.
        facts.media_type.filter(|kind| kind.starts_with("image/"))?;
        // What a program that rewrites files puts down, and the satellites' UTC, are no time that a page shows.
        let taken =
            facts.taken.filter(|taken| !matches!(taken.source, TimeSource::Modified | TimeSource::Gps));
        let local = taken?.local;
        let apart = local.duration_since(shown).abs();
        (apart >= SignedDuration::from_mins(1))
            .then(|| format!("it was taken at {local}, and its page shows {shown}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::digest::digests_of;

    const TEXT: &[u8] = b"some unknown kind of file";

    fn expectation() -> Expectation {
        Expectation {
            role: PartRole::Original,
            dedup_key: DedupKey::new(&digests_of(TEXT).sha1.dedup()),
            quality: Quality::Unknown,
            listed_size: Some(TEXT.len() as u64),
            size_is_firm: true,
            claimed_length: None,
            shown: None,
            seen_before: None,
        }
    }

    fn shared(bytes: &[u8]) -> Arc<dyn ReadAt> {
        Arc::new(bytes.to_vec())
    }

    fn check(expected: &Expectation, bytes: &[u8]) -> Result<(), String> {
        expected.check(&shared(bytes), &digests_of(bytes))
    }

    #[test]
    fn the_uploads_hash_settles_it_even_where_the_listing_is_wrong() {
        let expected = Expectation { listed_size: Some(1), ..expectation() };
        check(&expected, TEXT).unwrap();
        let claimed = Expectation { claimed_length: Some(99), ..expectation() };
        assert!(check(&claimed, TEXT).unwrap_err().contains("99"));
    }

    #[test]
    fn other_bytes_are_accepted_only_with_an_explanation() {
        let altered: Vec<u8> = TEXT.iter().map(|b| b ^ 1).collect();
        assert!(check(&expectation(), &altered).unwrap_err().contains("hash"));
        let repeated = Expectation { seen_before: Some(digests_of(&altered).sha256), ..expectation() };
        check(&repeated, &altered).unwrap();
        let saver = Expectation { quality: Quality::StorageSaver, ..expectation() };
        check(&saver, &altered).unwrap();
        let longer = [TEXT, TEXT].concat();
        assert!(
            check(&Expectation { seen_before: Some(digests_of(&longer).sha256), ..expectation() }, &longer)
                .is_err()
        );
        assert!(check(&saver, &longer).unwrap_err().contains("listed"));
    }

    #[test]
    fn a_web_page_and_nothing_are_no_photo() {
        let nothing_known = Expectation { dedup_key: None, listed_size: None, ..expectation() };
        assert!(check(&nothing_known, b"").is_err());
        assert!(check(&nothing_known, b"<!doctype html><html></html>").is_err());
        check(&nothing_known, TEXT).unwrap();
    }

    #[test]
    fn a_namesake_is_told_by_its_time_until_it_comes_again() {
        let jpeg = std::fs::read("tests/media/jpg_full_offset_gps.jpg").unwrap();
        let taken = media::inspect(&*shared(&jpeg), "").taken.unwrap().local;
        let shown = |minutes: i64| Some(taken.checked_add(SignedDuration::from_mins(minutes)).unwrap());
        let nothing_known = Expectation { dedup_key: None, listed_size: None, ..expectation() };
        check(&Expectation { shown: shown(0), ..nothing_known.clone() }, &jpeg).unwrap();
        let doubt = Expectation { shown: shown(7), ..nothing_known };
        assert!(check(&doubt, &jpeg).unwrap_err().contains("its page shows"));
        check(&Expectation { seen_before: Some(digests_of(&jpeg).sha256), ..doubt }, &jpeg).unwrap();
    }
}
