//! Damage mended from another copy of the archive. Nothing of a copy is believed: each file is hashed, and is what its
//! name says or is left where it is.

use std::io::{self, Read};
use std::path::PathBuf;

use super::immutable::{Group, Immutable, TakenIn};
use super::scrub::Finding;
use super::{Store, StoreError};

/// Attempts at one file of a copy.
const TRIES: usize = 3;

/// Another copy of an archive, wherever it is.
pub trait SecondCopy: Send + Sync {
    /// The bytes of a file, as the copy has them; nothing where it has no such file.
    ///
    /// # Errors
    /// When the copy cannot tell.
    fn open(&self, file: &Immutable) -> io::Result<Option<Box<dyn Read + Send>>>;

    /// The files in a directory, sorted by name.
    ///
    /// # Errors
    /// When the copy cannot tell.
    fn files_in(&self, group: Group) -> io::Result<Vec<Immutable>>;
}

impl Store {
    /// Mends what a finding tells of, as far as the copy has what is lacking; returns the files that are sound now and
    /// were not. The bad bytes are kept in quarantine.
    ///
    /// # Errors
    /// When this archive cannot be written; what the copy lacks is no error.
    pub fn mend_from(&self, copy: &dyn SecondCopy, finding: &Finding) -> Result<Vec<PathBuf>, StoreError> {
        self.inner.writable()?;
        let Some(file) = self.file_at(&finding.path) else { return Ok(Vec::new()) };
        let candidates = match &file {
            Immutable::Blob(_) => vec![file],
            // What is wrong may be an earlier revision than the file that showed it.
            Immutable::Record(of) | Immutable::Album(of) => {
                let files = copy.files_in(file.group()).unwrap_or_default();
                let same = |file: &Immutable| matches!(file, Immutable::Record(name) | Immutable::Album(name) if name.key == of.key);
                files.into_iter().filter(same).collect()
            }
        };
        let mut mended = Vec::new();
        for file in candidates {
            if self.is_sound_file(&file)? {
                continue;
            }
            if let Some(why) = self.take_in_from(copy, &file)? {
                tracing::warn!("the copy's {} is of no use: {why}", file.path());
            } else {
                mended.push(self.file_path(&file));
            }
        }
        Ok(mended)
    }

    /// Takes in one file, however often a line breaks; returns why it could not, if so.
    fn take_in_from(&self, copy: &dyn SecondCopy, file: &Immutable) -> Result<Option<String>, StoreError> {
        let mut why = String::new();
        for _ in 0..TRIES {
            let opened = match copy.open(file) {
                Ok(Some(mut bytes)) => self.take_in(file, &mut bytes)?,
                Ok(None) => return Ok(Some("it has none".to_owned())),
                Err(error) => TakenIn::Unreadable(error),
            };
            why = match opened {
                TakenIn::Sound => return Ok(None),
                TakenIn::Other(why) => why,
                TakenIn::Unreadable(error) => format!("it cannot be read: {error}"),
            };
        }
        Ok(Some(why))
    }
}
