//! One file on its way to the far end.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use object_store::{
    MultipartUpload, ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload,
};
use sha2::Digest as _;
use tokio_util::sync::CancellationToken;

use super::Replica;
use super::seal::{Recipient, Sealing, sealed_sizes};
use super::target::in_words;
use crate::model::Sha256;
use crate::model::digest::sha256_of;
use crate::store::{Immutable, Store, StoreError};
use crate::token_bucket::TokenBucket;

/// Bytes that are sent in one request: a file that is under way holds the one that goes out, and the next one.
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
    /// Somebody asked to stop.
    Stopped,
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
            Self::Stopped => f.write_str("stopped when asked"),
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
        stop: &CancellationToken,
    ) -> Result<u64, Failure> {
        let here = |error: io::Error| Failure::Here(error.to_string());
        let local = store.open_file(file)?;
        let size = local.metadata().map_err(here)?.len();
        let part = PART.max(usize::try_from(size / MOST_PARTS).unwrap_or(PART));
        let mut outgoing = Outgoing::new(local, part, &self.recipients).map_err(here)?;
        // In a directory a file gets its name when it was read back, as in an archive.
        let directory = self.target.directory();
        let object = match directory {
            Some(_) => self.path(&format!("{}{}{UNPROVEN}", file.path(), self.suffix())),
            None => self.object(file),
        };
        let first = outgoing.next().await.map_err(here)?;
        let sent = if first.len() < part {
            outgoing.require(file)?;
            let sent = first.len() as u64;
            pace.wait(first.len()).await;
            self.put(&object, first, size, replace || directory.is_some()).await?;
            sent
        } else {
            let options = PutMultipartOptions::default();
            let begun = within(0, self.objects.put_multipart_opts(&object, options));
            let mut upload = begun.await?;
            match in_parts(upload.as_mut(), &mut outgoing, first, file, pace, stop).await {
                Ok(sent) => sent,
                Err(failure) => {
                    // What was sent of it would cost money without being a file. If that cannot be said, the far end's
                    // own rules for unfinished uploads apply.
                    let _ = within(0, upload.abort()).await;
                    return Err(failure);
                }
            }
        };
        match directory {
            Some(directory) => self.prove(directory, file, &object, outgoing.sent()).await?,
            None => {
                let there = within(0, self.objects.head(&object)).await?.size;
                if there != sent && !self.may_have(size, there) {
                    return Err(Failure::Altered(format!("{sent} bytes were sent, it has {there}")));
                }
            }
        }
        Ok(sent)
    }

    async fn put(
        &self,
        object: &ObjectPath,
        bytes: Vec<u8>,
        size: u64,
        replace: bool,
    ) -> Result<(), Failure> {
        let (length, bytes) = (bytes.len() as u64, Bytes::from(bytes));
        let put = |mode: PutMode| {
            let options = PutOptions { mode, ..PutOptions::default() };
            within(length, self.objects.put_opts(object, PutPayload::from(bytes.clone()), options))
        };
        if !replace && self.conditional.load(Ordering::Relaxed) {
            match put(PutMode::Create).await {
                // By whom, or by an earlier attempt whose answer was lost: its size is looked at like any other's.
                Err(object_store::Error::AlreadyExists { .. }) => {
                    let there = within(0, self.objects.head(object)).await?.size;
                    return match self.may_have(size, there) {
                        true => Ok(()),
                        false => {
                            Err(Failure::Altered(format!("it has {there} bytes there, and {size} here")))
                        }
                    };
                }
                Err(error) if is_unknown_there(&error) => self.conditional.store(false, Ordering::Relaxed),
                other => return Ok(other.map(|_| ())?),
            }
        }
        Ok(put(PutMode::Overwrite).await.map(|_| ())?)
    }

    /// A server compares what has arrived with its checksum; a directory does not: the medium is read again before the
    /// file gets its name.
    async fn prove(
        &self,
        directory: &Path,
        file: &Immutable,
        unproven: &ObjectPath,
        wanted: Sha256,
    ) -> Result<(), Failure> {
        let from = directory.join(unproven.as_ref());
        let to = directory.join(self.object(file).as_ref());
        let proven = tokio::task::spawn_blocking(move || {
            let found = read_back(&from)?;
            if found != wanted {
                std::fs::remove_file(&from)?;
                let why = format!("what was read back has the SHA-256 {found}: look after the disk");
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            std::fs::rename(&from, &to)?;
            to.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
        });
        let proven = proven.await.map_err(io::Error::other).and_then(|proven| proven);
        proven.map_err(|error| Failure::Altered(error.to_string()))
    }
}

/// The end of a file's name in a directory until it was read back.
const UNPROVEN: &str = ".part";

/// Whether the server says that it does not know conditions.
pub(super) fn is_unknown_there(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotImplemented { .. })
        || in_words(error).starts_with("NotImplemented")
}

/// So long may an answer take; a request that carries bytes may go out as slowly as 16 KiB a second.
pub(super) async fn within<T>(
    bytes: u64,
    answer: impl Future<Output = object_store::Result<T>>,
) -> object_store::Result<T> {
    const SLOWEST: u64 = 16 * 1024;
    /// What the library's own attempts take, and one answer.
    const PATIENCE: Duration = Duration::from_secs(180);
    let limit = PATIENCE + Duration::from_secs(bytes / SLOWEST);
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| {
        let source = format!("no answer within {} seconds", limit.as_secs()).into();
        Err(object_store::Error::Generic { store: "replica", source })
    })
}

fn read_back(path: &Path) -> io::Result<Sha256> {
    let there = File::open(path)?;
    // Advice only; where it is not taken, memory is read.
    let _ = rustix::fs::fadvise(&there, 0, None, rustix::fs::Advice::DontNeed);
    sha256_of(there).map(|(sha256, _)| sha256)
}

/// Sends the parts of a large file, one behind the other.
async fn in_parts(
    upload: &mut dyn MultipartUpload,
    outgoing: &mut Outgoing,
    first: Vec<u8>,
    file: &Immutable,
    pace: &Pace,
    stop: &CancellationToken,
) -> Result<u64, Failure> {
    let mut sent = 0;
    let mut part = first;
    loop {
        sent += part.len() as u64;
        let is_last = part.len() < outgoing.part;
        pace.wait(part.len()).await;
        if stop.is_cancelled() {
            return Err(Failure::Stopped);
        }
        if !part.is_empty() {
            let length = part.len() as u64;
            let going = upload.put_part(PutPayload::from(std::mem::take(&mut part)));
            let going = within(length, going);
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
    // In a directory this flushes all of it.
    within(sent, upload.complete()).await?;
    Ok(sent)
}

/// A file that is read, hashed and encrypted part by part.
struct Outgoing {
    local: File,
    hasher: sha2::Sha256,
    sealing: Option<Sealing>,
    /// Of what goes out, where that is something else.
    sealed: Option<sha2::Sha256>,
    /// Bytes for the next part.
    ready: Vec<u8>,
    part: usize,
}

impl Outgoing {
    fn new(local: File, part: usize, recipients: &[Recipient]) -> io::Result<Self> {
        let sealing = if recipients.is_empty() { None } else { Some(Sealing::new(recipients)?) };
        let hasher = sha2::Sha256::new();
        let sealed = sealing.is_some().then(|| hasher.clone());
        Ok(Self { local, sealed, hasher, sealing, ready: Vec::new(), part })
    }

    /// The next part; a shorter one is the last.
    async fn next(&mut self) -> io::Result<Vec<u8>> {
        let stand_in = Self::new(self.local.try_clone()?, self.part, &[])?;
        let mut own = std::mem::replace(self, stand_in);
        let (own, part) = tokio::task::spawn_blocking(move || {
            let part = own.read();
            (own, part)
        })
        .await
        .map_err(io::Error::other)?;
        *self = own;
        part
    }

    /// SHA-256 of what went out.
    fn sent(&self) -> Sha256 {
        let of = self.sealed.as_ref().unwrap_or(&self.hasher);
        Sha256::new(of.clone().finalize().into())
    }

    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut chunk = vec![0; CHUNK];
        while self.ready.len() < self.part {
            // By doubling it would come to twice as much.
            if self.ready.len() >= CHUNK {
                self.ready.reserve_exact((self.part + 2 * CHUNK).saturating_sub(self.ready.len()));
            }
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
        let part = std::mem::replace(&mut self.ready, rest);
        if let Some(sealed) = &mut self.sealed {
            sealed.update(&part);
        }
        Ok(part)
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
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::digest::digests_of;
    use crate::replica::Target;

    #[tokio::test]
    async fn what_a_disk_gives_back_otherwise_gets_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let target: Target = dir.path().to_str().unwrap().parse().unwrap();
        let replica = Replica::new(target.open(true).unwrap(), &target, Vec::new(), Vec::new());
        let wanted = digests_of(b"as it was sent").sha256;
        let file = Immutable::Blob(wanted);
        let (unproven, named) =
            (replica.path(&format!("{}{UNPROVEN}", file.path())), dir.path().join(file.path()));
        let part = dir.path().join(unproven.as_ref());
        std::fs::create_dir_all(part.parent().unwrap()).unwrap();
        for (bytes, is_right) in [(&b"as it came back"[..], false), (b"as it was sent", true)] {
            std::fs::write(&part, bytes).unwrap();
            let proven = replica.prove(dir.path(), &file, &unproven, wanted).await;
            assert_eq!((proven.is_ok(), named.exists(), part.exists()), (is_right, is_right, false));
        }
    }

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
