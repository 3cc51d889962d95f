//! The files that are the truth of an archive, by their places: what a second copy has to have, and what it gives back.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::blob::Temporary;
use super::layout::RecordName;
use super::{Store, StoreError};
use crate::model::Sha256;
use crate::model::digest::digests_of;

/// Longest record that is taken in, bytes; real ones have a few kilobytes.
const LONGEST_RECORD: u64 = 64 << 20;
/// Bytes that are written at once.
const CHUNK: usize = 512 * 1024;

/// A file that never changes once it has its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Immutable {
    /// The bytes of a part.
    Blob(Sha256),
    /// A revision of an item.
    Record(RecordName),
    /// A revision of an album.
    Album(RecordName),
}

/// A directory of such files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// `blobs/ab`
    Blobs(u8),
    /// `records/ab`
    Records(u8),
    /// `albums`
    Albums,
}

impl Group {
    /// The directories of blobs.
    pub fn blobs() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(Self::Blobs)
    }

    /// The directories of records, those of albums last.
    pub fn records() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(Self::Records).chain([Self::Albums])
    }

    /// Its path below the archive, without a slash at the end.
    pub fn path(&self) -> String {
        match self {
            Self::Blobs(shard) => format!("blobs/{shard:02x}"),
            Self::Records(shard) => format!("records/{shard:02x}"),
            Self::Albums => "albums".to_owned(),
        }
    }

    /// The file of this name in it; nothing for what shoebox would not have put there.
    pub fn file(&self, name: &str) -> Option<Immutable> {
        let file = match self {
            Self::Blobs(_) => Immutable::Blob(Sha256::from_hex(name)?),
            Self::Records(_) => Immutable::Record(RecordName::parse(name.as_ref())?),
            Self::Albums => Immutable::Album(RecordName::parse(name.as_ref())?),
        };
        (file.group() == *self && file.name() == name).then_some(file)
    }
}

impl Immutable {
    /// SHA-256 of its bytes, which is in its name.
    pub fn sha256(&self) -> &Sha256 {
        match self {
            Self::Blob(sha256) => sha256,
            Self::Record(name) | Self::Album(name) => &name.sha256,
        }
    }

    /// The directory it is in.
    pub fn group(&self) -> Group {
        match self {
            Self::Blob(sha256) => Group::Blobs(sha256.bytes()[0]),
            Self::Record(name) => Group::Records(name.shard()),
            Self::Album(_) => Group::Albums,
        }
    }

    /// Its name in that directory.
    pub fn name(&self) -> String {
        match self {
            Self::Blob(sha256) => sha256.hex(),
            Self::Record(name) | Self::Album(name) => name.file_name(),
        }
    }

    /// Its path below the archive.
    pub fn path(&self) -> String {
        format!("{}/{}", self.group().path(), self.name())
    }
}

/// What came of bytes that were offered as a file of the archive.
#[derive(Debug)]
pub enum TakenIn {
    /// They are what the name says, and durable under it.
    Sound,
    /// They are not: what they are. Nothing of them is kept.
    Other(String),
    /// They could not be read to their end. Nothing of them is kept.
    Unreadable(io::Error),
}

impl Store {
    /// The files in a directory, sorted: by name, then by revision. What does not belong there is left out.
    ///
    /// # Errors
    /// When it cannot be listed; one that is not there is empty.
    pub fn files_in(&self, group: Group) -> Result<Vec<Immutable>, StoreError> {
        let dir = self.root().join(group.path());
        let entries = match self.inner.disk.list(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("list", &dir)(error)),
        };
        let files = entries.iter().filter(|entry| !entry.is_dir);
        let mut files: Vec<_> = files.filter_map(|entry| group.file(entry.name.to_str()?)).collect();
        // By number of the revision, not by its digits.
        files.sort_unstable();
        Ok(files)
    }

    /// Where a file of the archive is, or would be.
    pub fn file_path(&self, file: &Immutable) -> PathBuf {
        self.root().join(file.path())
    }

    /// The file of the archive that is or would be at this path.
    pub fn file_at(&self, path: &Path) -> Option<Immutable> {
        let name = path.file_name()?.to_str()?;
        let blob = Sha256::from_hex(name).map(Immutable::Blob);
        let record = || RecordName::parse(name.as_ref());
        let candidates = [blob, record().map(Immutable::Record), record().map(Immutable::Album)];
        candidates.into_iter().flatten().find(|file| self.file_path(file) == path)
    }

    /// Opens a file of the archive; its content is not hashed.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn open_file(&self, file: &Immutable) -> Result<File, StoreError> {
        let path = self.file_path(file);
        self.inner.disk.open(&path).map_err(StoreError::io("open", &path))
    }

    /// Whether the file is there and has the bytes that its name promises. Reads it whole.
    ///
    /// # Errors
    /// When the system cannot tell; a medium that cannot be read is damage, not an error.
    pub fn is_sound_file(&self, file: &Immutable) -> Result<bool, StoreError> {
        match self.inner.is_sound(&self.file_path(file), file.sha256()) {
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(false),
            other => other,
        }
    }

    /// Takes in the bytes of a file from a copy of this archive. They are hashed, and refused if they are others. Where
    /// there is a damaged file under the name, it goes to quarantine; a sound one stays.
    ///
    /// # Errors
    /// When this archive cannot be written.
    pub fn take_in(&self, file: &Immutable, from: &mut dyn Read) -> Result<TakenIn, StoreError> {
        match file {
            Immutable::Blob(sha256) => self.take_in_blob(sha256, from),
            Immutable::Record(_) | Immutable::Album(_) => self.take_in_record(file, from),
        }
    }

    fn take_in_blob(&self, sha256: &Sha256, from: &mut dyn Read) -> Result<TakenIn, StoreError> {
        let mut partial = self.begin(None)?;
        let mut chunk = vec![0; CHUNK];
        loop {
            match from.read(&mut chunk) {
                Ok(0) => break,
                Ok(n) => partial.write(&chunk[..n])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Ok(TakenIn::Unreadable(error)),
            }
        }
        let found = partial.digests().sha256;
        match partial.verify(|_, digests| other_bytes(&digests.sha256, sha256)) {
            Ok(verified) => {
                self.put(verified)?;
                Ok(TakenIn::Sound)
            }
            Err(_) => Ok(TakenIn::Other(format!("its bytes have the SHA-256 {found}"))),
        }
    }

    fn take_in_record(&self, file: &Immutable, from: &mut dyn Read) -> Result<TakenIn, StoreError> {
        let mut bytes = Vec::new();
        if let Err(error) = from.take(LONGEST_RECORD + 1).read_to_end(&mut bytes) {
            return Ok(TakenIn::Unreadable(error));
        }
        if bytes.len() as u64 > LONGEST_RECORD {
            return Ok(TakenIn::Other(format!("it has more than {LONGEST_RECORD} bytes")));
        }
        if let Err(why) = other_bytes(&digests_of(&bytes).sha256, file.sha256()) {
            return Ok(TakenIn::Other(why));
        }
        let (inner, to) = (&self.inner, self.file_path(file));
        inner.writable()?;
        inner.admit_record(bytes.len() as u64)?;
        let tmp = inner.layout.tmp();
        let pending = inner.disk.create(&tmp).map_err(StoreError::io("create a file in", &tmp))?;
        let pending = Temporary::new(pending, inner.clone());
        let size = bytes.len() as u64;
        inner.disk.append(pending.get(), &bytes).map_err(inner.refused("write", &to, size))?;
        inner.make_durable(pending.get(), &to, file.sha256())?;
        match inner.disk.publish(pending.get(), &to) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !inner.is_sound(&to, file.sha256())? {
                    inner.mend(pending.get(), &to)?;
                }
            }
            Err(error) => return Err(inner.refused("publish", &to, 0)(error)),
        }
        inner.sync_dir(to.parent().unwrap_or(self.root()))?;
        Ok(TakenIn::Sound)
    }
}

fn other_bytes(found: &Sha256, wanted: &Sha256) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("its bytes have the SHA-256 {found}")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::layout::SHARDS;
    use super::*;
    use crate::model::MediaKey;

    #[test]
    fn files_are_known_by_their_places_and_nowhere_else() {
        let sha256 = digests_of(b"x").sha256;
        let name = RecordName { key: MediaKey::new("AF1Qip").unwrap(), seq: 2, sha256 };
        for file in [Immutable::Blob(sha256), Immutable::Record(name.clone()), Immutable::Album(name)] {
            assert_eq!(file.group().file(&file.name()), Some(file.clone()));
            assert_eq!(file.path(), format!("{}/{}", file.group().path(), file.name()));
            // Records of items and of albums have names of one kind.
            let places =
                Group::blobs().chain(Group::records()).filter(|group| group.file(&file.name()).is_some());
            let expected: &[Group] = match &file {
                Immutable::Blob(sha256) => &[Group::Blobs(sha256.bytes()[0])],
                Immutable::Record(name) | Immutable::Album(name) => {
                    &[Group::Records(name.shard()), Group::Albums]
                }
            };
            assert_eq!(places.collect::<Vec<_>>(), expected, "{file:?}");
            assert_eq!(file.group().file(&file.name().to_uppercase()), None);
        }
        assert_eq!(Group::blobs().count() + Group::records().count(), 2 * usize::from(SHARDS) + 1);
    }
}
