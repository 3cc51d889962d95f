//! Bytes of one file into the store: hashed in the same pass, looked at, made durable. Several files at once.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

use super::source::{Found, Survey};
use crate::index::{IndexError, IndexReader};
use crate::media::{self, kind};
use crate::model::{Digests, Hasher, MediaFacts, PartRole, Sha1, Sha256};
use crate::store::{PartialBlob, Store, StoreError, StoredBlob};

/// Bytes read at once.
const CHUNK: usize = 512 * 1024;

/// A file that is, or would be, in the store.
pub struct Taken {
    /// Its hashes and size.
    pub digests: Digests,
    /// What it says of itself, if it was read now.
    pub facts: Option<MediaFacts>,
    /// Proof that it is durable, if it was stored now.
    pub blob: Option<StoredBlob>,
}

/// Why a file was left out.
pub enum LeftOut {
    /// Its content is none of a photo or video.
    NoPhoto,
    /// It is cut off, or something else is wrong with it.
    Damaged(String),
    /// It cannot be read.
    Unread(String),
    /// No library has it, and only what a library has was asked for.
    Unwanted,
}

/// What the archive has, and what it got since.
pub struct Known {
    blobs: Mutex<HashSet<Sha256>>,
    sizes: Mutex<HashSet<u64>>,
}

impl Known {
    /// What the index knows.
    pub fn of(reader: &IndexReader) -> Result<Self, IndexError> {
        let (mut blobs, mut sizes) = (HashSet::new(), HashSet::new());
        reader.blobs(|sha256, size| {
            blobs.insert(sha256);
            sizes.insert(size);
        })?;
        Ok(Self { blobs: Mutex::new(blobs), sizes: Mutex::new(sizes) })
    }

    /// Whether it is there; what is gone from the disk although the index knows it is taken in once more.
    fn has(&self, digests: &Digests, store: Option<&Store>) -> bool {
        let blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = blobs.contains(&digests.sha256);
        drop(blobs);
        let is_there = |store: &Store| {
            let file = store.open_blob(&digests.sha256).map(|file| file.metadata().ok());
            file.is_ok_and(|meta| meta.is_some_and(|meta| meta.len() == digests.size))
        };
        is_known && store.is_none_or(is_there)
    }

    /// Whether there may be such a file: then it is hashed before it is copied.
    fn may_have(&self, size: u64) -> bool {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner).contains(&size)
    }

    fn add(&self, digests: &Digests) {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner).insert(digests.sha256);
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner).insert(digests.size);
    }
}

/// Takes files in.
pub struct Intake<'a> {
    /// Where they are.
    pub survey: &'a Survey,
    /// Where they go; nowhere in a dry run.
    pub store: Option<&'a Store>,
    /// What is there.
    pub known: Known,
    /// Damaged files are taken in like others.
    pub keep_damaged: bool,
    /// Only these originals are taken in.
    pub only: Option<&'a HashSet<Sha1>>,
}

enum Trouble {
    Left(LeftOut),
    Store(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn unread(error: impl std::fmt::Display) -> Trouble {
    Trouble::Left(LeftOut::Unread(error.to_string()))
}

impl Intake<'_> {
    /// Takes in a file that can be read more than once. `name` is the one it will have.
    ///
    /// # Errors
    /// Only what concerns every file: a full disk, a failed flush.
    pub fn file(
        &self,
        file: &Found,
        role: PartRole,
        name: &str,
    ) -> Result<Result<Taken, LeftOut>, StoreError> {
        settle(self.try_file(file, role, name))
    }

    fn try_file(&self, file: &Found, role: PartRole, name: &str) -> Result<Taken, Trouble> {
        if file.size == 0 {
            return Err(Trouble::Left(LeftOut::Damaged("the file is empty".into())));
        }
        let hash_first = self.store.is_none() || (role == PartRole::Original && self.only.is_some());
        if hash_first || self.known.may_have(file.size) {
            let hashed = self.survey.open(file, |content| hash(content)).map_err(unread)?;
            let (digests, head) =
                hashed.transpose().map_err(unread)?.ok_or_else(|| unread("it is in a tar"))?;
            if !is_photo(&head) {
                return Err(Trouble::Left(LeftOut::NoPhoto));
            }
            self.require_wanted(&digests, role)?;
            if self.store.is_none() || self.known.has(&digests, self.store) {
                return Ok(Taken { digests, facts: None, blob: None });
            }
        }
        let Some(store) = self.store else { return Err(unread("nothing is written")) };
        if let Some(path) = self.survey.path(file) {
            let opened = super::source::open_file(path).map_err(unread)?;
            let mut head = [0; 1024];
            let n = io::Read::read(&mut &opened, &mut head).map_err(unread)?;
            if !is_photo(&head[..n]) {
                return Err(Trouble::Left(LeftOut::NoPhoto));
            }
            if let Some(shared) = store.share(&opened)? {
                return self.finish(store, shared, role, name);
            }
        }
        let received =
            self.survey.open(file, |content| receive(store, content, file.size)).map_err(unread)?;
        let partial = received.ok_or_else(|| unread("it is in a tar"))??;
        self.finish(store, partial, role, name)
    }

    /// Takes in a file that comes by once.
    ///
    /// # Errors
    /// As [`Self::file`].
    pub fn stream(
        &self,
        content: &mut dyn Read,
        size: u64,
        role: PartRole,
        name: &str,
    ) -> Result<Result<Taken, LeftOut>, StoreError> {
        settle(self.try_stream(content, size, role, name))
    }

    fn try_stream(
        &self,
        content: &mut dyn Read,
        size: u64,
        role: PartRole,
        name: &str,
    ) -> Result<Taken, Trouble> {
        let Some(store) = self.store else {
            let (digests, head) = hash(content).map_err(unread)?;
            if !is_photo(&head) {
                return Err(Trouble::Left(LeftOut::NoPhoto));
            }
            self.require_wanted(&digests, role)?;
            return Ok(Taken { digests, facts: None, blob: None });
        };
        if self.only.is_some() && role != PartRole::Original {
            // Whether its original is wanted may not be known yet, and it does not come by again.
            return Err(Trouble::Left(LeftOut::Unwanted));
        }
        let partial = receive(store, content, size)?;
        self.finish(store, partial, role, name)
    }

    fn require_wanted(&self, digests: &Digests, role: PartRole) -> Result<(), Trouble> {
        let is_wanted =
            role != PartRole::Original || self.only.is_none_or(|only| only.contains(&digests.sha1));
        if is_wanted { Ok(()) } else { Err(Trouble::Left(LeftOut::Unwanted)) }
    }

    fn finish(
        &self,
        store: &Store,
        partial: PartialBlob,
        role: PartRole,
        name: &str,
    ) -> Result<Taken, Trouble> {
        let digests = partial.digests();
        self.require_wanted(&digests, role)?;
        if self.known.has(&digests, Some(store)) {
            return Ok(Taken { digests, facts: None, blob: None });
        }
        let bytes = partial.bytes();
        let keep_damaged = self.keep_damaged;
        let verified =
            partial.verify(|bytes, _| if keep_damaged { Ok(()) } else { media::whole::check(&*bytes) });
        let verified = verified.map_err(|rejected| Trouble::Left(LeftOut::Damaged(rejected.reason)))?;
        let facts = media::inspect(&*bytes, name);
        let blob = store.put(verified)?;
        self.known.add(&digests);
        Ok(Taken { digests, facts: Some(facts), blob: Some(blob) })
    }
}

fn settle(result: Result<Taken, Trouble>) -> Result<Result<Taken, LeftOut>, StoreError> {
    match result {
        Ok(taken) => Ok(Ok(taken)),
        Err(Trouble::Left(why)) => Ok(Err(why)),
        Err(Trouble::Store(StoreError::TooLong { claimed })) => {
            Ok(Err(LeftOut::Damaged(format!("more bytes came than the {claimed} that were announced"))))
        }
        Err(Trouble::Store(error)) => Err(error),
    }
}

fn is_photo(head: &[u8]) -> bool {
    let media_type = kind::of_head(head).media_type();
    media_type.starts_with("image/") || media_type.starts_with("video/")
}

/// Both hashes, and the first bytes.
fn hash(content: &mut dyn Read) -> io::Result<(Digests, Vec<u8>)> {
    let (mut hasher, mut head) = (Hasher::new(), Vec::new());
    each_chunk(content, |chunk| {
        if head.is_empty() {
            head = chunk[..chunk.len().min(1024)].to_vec();
        }
        hasher.update(chunk);
        Ok::<(), io::Error>(())
    })??;
    Ok((hasher.finish(), head))
}

fn receive(store: &Store, content: &mut dyn Read, size: u64) -> Result<PartialBlob, Trouble> {
    let mut partial = None;
    each_chunk(content, |chunk| {
        let partial = match &mut partial {
            Some(partial) => partial,
            None if !is_photo(chunk) => return Err(Trouble::Left(LeftOut::NoPhoto)),
            none => none.insert(store.begin(Some(size))?),
        };
        Ok(partial.write(chunk)?)
    })
    .map_err(unread)??;
    partial.ok_or_else(|| Trouble::Left(LeftOut::Damaged("the file is empty".into())))
}

/// Calls `each` with full chunks; only the last one is shorter.
fn each_chunk<E>(
    content: &mut dyn Read,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> io::Result<Result<(), E>> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let mut have = 0;
        while have < CHUNK {
            match content.read(&mut buffer[have..]) {
                Ok(0) => break,
                Ok(n) => have += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if have == 0 {
            return Ok(Ok(()));
        }
        if let Err(error) = each(&buffer[..have]) {
            return Ok(Err(error));
        }
    }
}
