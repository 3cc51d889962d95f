//! One file on its way to the far end.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::{Mutex, PoisonError};

use object_store::path::Path as ObjectPath;
use object_store::{
    MultipartUpload, ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload,
};
use sha2::Digest as _;

use super::Replica;
use super::seal::{Sealing, sealed_sizes};
use super::target::in_words;
use crate::model::Sha256;
use crate::store::{Immutable, Store, StoreError};
use crate::token_bucket::TokenBucket;

/// Bytes that are sent in one request: this much memory, twice, for each file that is under way.
const PART: usize = 8 << 20;
/// Parts that a server accepts of one file are 10,000.
const MOST_PARTS: u64 = 9_000;
/// Bytes read at once.
const CHUNK: usize = 256 * 1024;

/// Why a file was not sent.
#[derive(Debug)]
pub(super) enum Failure {
    /// It is damaged here, or cannot be read.
    Here(String),
    /// The far end did not take it.
    There(object_store::Error),
    /// The far end has it now, and it is not what was sent.
    Altered(String),
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        Self::There(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Here(error.to_string())
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Here(why) => write!(f, "it is damaged here: {why}"),
            Self::There(error) => f.write_str(&in_words(error)),
            Self::Altered(why) => write!(f, "the far end has it differently: {why}"),
        }
    }
}

/// How fast files may be sent, all together.
#[derive(Default)]
pub(super) struct Pace(Option<Mutex<TokenBucket>>);

impl Pace {
    /// So many bytes per second in the long run; parts go out whole.
    pub(super) fn new(bandwidth: Option<u64>) -> Self {
        Self(bandwidth.map(|rate| Mutex::new(TokenBucket::new(rate as f64, rate as f64))))
    }

    async fn wait(&self, bytes: usize) {
        if let Some(bucket) = &self.0 {
            let wait = bucket.lock().unwrap_or_else(PoisonError::into_inner).take(bytes as f64);
            tokio::time::sleep(wait).await;
        }
    }
}

impl Replica {
    /// Whether a file of `size` bytes here may have so many there.
    pub(super) fn may_have(&self, size: u64, there: u64) -> bool {
        match self.recipients.len() {
            0 => size == there,
            recipients => sealed_sizes(size, recipients).contains(&there),
        }
    }

    /// Sends a file; returns the bytes that went. It is hashed on its way: what is damaged here does not get there.
    /// `replace` is for what was found damaged there; otherwise what is there stays.
    pub(super) async fn send(
        &self,
        store: &Store,
        file: &Immutable,
        replace: bool,
        pace: &Pace,
    ) -> Result<u64, Failure> {
        let here = |error: io::Error| Failure::Here(error.to_string());
        let local = store.open_file(file)?;
        let size = local.metadata().map_err(here)?.len();
        let object = self.object(file);
        let part = PART.max(usize::try_from(size / MOST_PARTS).unwrap_or(PART));
        let sealing = match self.is_sealed() {
            true => Some(Sealing::new(&self.recipients).map_err(here)?),
            false => None,
        };
        let mut outgoing = Outgoing { local, hasher: sha2::Sha256::new(), sealing, ready: Vec::new(), part };
        let first = outgoing.next().await.map_err(here)?;
        let sent = if first.len() < part {
            outgoing.require(file)?;
            self.put(&object, first, size, replace, pace).await?
        } else {
            let options = PutMultipartOptions::default();
            let mut upload = self.objects.put_multipart_opts(&object, options).await?;
            match in_parts(upload.as_mut(), outgoing, first, file, pace).await {
                Ok(sent) => sent,
                Err(failure) => {
                    // What was sent of it would cost money without being a file. If that cannot be said, the far end's
                    // own rules for unfinished uploads apply.
                    let _ = upload.abort().await;
                    return Err(failure);
                }
            }
        };
        let there = self.objects.head(&object).await?.size;
        if there != sent && !self.may_have(size, there) {
            return Err(Failure::Altered(format!("{sent} bytes were sent, it has {there}")));
        }
        self.read_back(file, &object).await?;
        Ok(sent)
    }

    async fn put(
        &self,
        object: &ObjectPath,
        bytes: Vec<u8>,
        size: u64,
        replace: bool,
        pace: &Pace,
    ) -> Result<u64, Failure> {
        let sent = bytes.len() as u64;
        pace.wait(bytes.len()).await;
        let mode = match (replace, self.target.directory()) {
            (false, None) => PutMode::Create,
            // A condition needs hard links, which many a disk that is carried about does not have; nobody else writes there.
            (false, Some(_))
                if self.objects.head(object).await.is_ok_and(|there| self.may_have(size, there.size)) =>
            {
                return Ok(sent);
            }
            _ => PutMode::Overwrite,
        };
        let options = PutOptions { mode, ..PutOptions::default() };
        match self.objects.put_opts(object, PutPayload::from(bytes), options).await {
            // By whom, or by an earlier attempt whose answer was lost: its size is looked at like any other's.
            Err(object_store::Error::AlreadyExists { .. }) if !replace => {
                let there = self.objects.head(object).await?.size;
                if self.may_have(size, there) { Ok(there) } else { self.overwrite_is_needed(there, size) }
            }
            other => {
                other?;
                Ok(sent)
            }
        }
    }

    fn overwrite_is_needed(&self, there: u64, size: u64) -> Result<u64, Failure> {
        Err(Failure::Altered(format!("it has {there} bytes there, and {size} here")))
    }

    /// A server compares what has arrived with its checksum; a directory does not, so that the medium is read again.
    async fn read_back(&self, file: &Immutable, object: &ObjectPath) -> Result<(), Failure> {
        let Some(directory) = self.target.directory().filter(|_| !self.is_sealed()) else { return Ok(()) };
        let path = directory.join(object.as_ref());
        let wanted = *file.sha256();
        let read = tokio::task::spawn_blocking(move || {
            let mut there = File::open(&path)?;
            // Advice only; where it is not taken, memory is read.
            let _ = rustix::fs::fadvise(&there, 0, None, rustix::fs::Advice::DontNeed);
            let mut hasher = sha2::Sha256::new();
            let mut chunk = vec![0; CHUNK];
            loop {
                match there.read(&mut chunk)? {
                    0 => return Ok(Sha256::new(hasher.finalize().into())),
                    n => hasher.update(&chunk[..n]),
                }
            }
        });
        let found = read.await.map_err(io::Error::other).and_then(|read: io::Result<Sha256>| read);
        match found {
            Ok(found) if found == wanted => Ok(()),
            Ok(found) => Err(Failure::Altered(format!("its bytes have the SHA-256 {found}"))),
            Err(error) => Err(Failure::Altered(format!("it cannot be read back: {error}"))),
        }
    }
}

/// Sends the parts of a large file, one behind the other.
async fn in_parts(
    upload: &mut dyn MultipartUpload,
    mut outgoing: Outgoing,
    first: Vec<u8>,
    file: &Immutable,
    pace: &Pace,
) -> Result<u64, Failure> {
    let mut sent = 0;
    let mut part = first;
    loop {
        sent += part.len() as u64;
        let is_last = part.len() < outgoing.part;
        pace.wait(part.len()).await;
        if !part.is_empty() {
            let going = upload.put_part(PutPayload::from(std::mem::take(&mut part)));
            if is_last {
                going.await?;
            } else {
                // The next part is read and encrypted while this one is on its way.
                let (went, next) = tokio::join!(going, outgoing.next());
                went?;
                part = next.map_err(|error| Failure::Here(error.to_string()))?;
            }
        }
        if is_last {
            break;
        }
    }
    outgoing.require(file)?;
    upload.complete().await?;
    Ok(sent)
}

/// A file that is read, hashed and encrypted part by part.
struct Outgoing {
    local: File,
    hasher: sha2::Sha256,
    sealing: Option<Sealing>,
    /// Bytes for the next part.
    ready: Vec<u8>,
    part: usize,
}

impl Outgoing {
    /// The next part; a shorter one is the last.
    async fn next(&mut self) -> io::Result<Vec<u8>> {
        let local = self.local.try_clone()?;
        let mut own = std::mem::replace(
            self,
            Self { local, hasher: sha2::Sha256::new(), sealing: None, ready: Vec::new(), part: self.part },
        );
        let (own, part) = tokio::task::spawn_blocking(move || {
            let part = own.read();
            (own, part)
        })
        .await
        .map_err(io::Error::other)?;
        *self = own;
        part
    }

    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut chunk = vec![0; CHUNK];
        while self.ready.len() < self.part {
            let n = match self.local.read(&mut chunk) {
                Ok(0) => {
                    if let Some(sealing) = self.sealing.take() {
                        self.ready.extend(sealing.finish()?);
                    }
                    break;
                }
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.hasher.update(&chunk[..n]);
            match &mut self.sealing {
                Some(sealing) => {
                    sealing.write(&chunk[..n])?;
                    self.ready.extend(sealing.take());
                }
                None => self.ready.extend_from_slice(&chunk[..n]),
            }
        }
        let rest = self.ready.split_off(self.ready.len().min(self.part));
        Ok(std::mem::replace(&mut self.ready, rest))
    }

    /// Whether what was read is what the name says.
    fn require(&self, file: &Immutable) -> Result<(), Failure> {
        let found = Sha256::new(self.hasher.clone().finalize().into());
        if found == *file.sha256() {
            return Ok(());
        }
        Err(Failure::Here(format!("its bytes have the SHA-256 {found}")))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_cap_holds_in_the_long_run() {
        let began = tokio::time::Instant::now();
        let pace = Pace::new(Some(2 << 20));
        for _ in 0..11 {
            pace.wait(PART).await;
        }
        // The burst of a second, then 2 MiB a second for what is left of 88 MiB.
        let took = began.elapsed();
        assert!(took >= Duration::from_secs(42) && took <= Duration::from_secs(44), "{took:?}");
        let none = Pace::new(None);
        none.wait(1 << 40).await;
        assert!(began.elapsed() == took);
    }
}
