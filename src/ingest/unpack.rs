//! A Live Photo comes as a zip of its still and its video; each becomes a part.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use zip::ZipArchive;

use super::verify::Expectation;
use super::{IngestError, Origin, StoredPart, keep_one};
use crate::media::kind;
use crate::model::{PartRole, PositionedReader, ReadAt};
use crate::store::{PartialBlob, Store};

/// More entries than a still, its video and their edited twins are not a Live Photo.
const MOST_ENTRIES: usize = 4;
/// Photos hardly compress; more than this is a bomb.
const MOST_RATIO: u64 = 20;
/// Bytes that are read to find and list the entries: a zip of gigabytes may be nothing but names of entries, and all
/// of them come to memory before anybody can count them.
const MOST_DIRECTORY: u64 = 1024 * 1024;
const CHUNK: usize = 256 * 1024;

/// Unpacks the zip into the original (the still) and the motion part (the video), each verified like a
/// download of its own. The zip itself is Google's wrapping and is not kept.
pub fn live_photo(
    store: &Store,
    zip: PartialBlob,
    name: &str,
    expected: &Expectation,
    origin: &Origin,
) -> Result<Vec<StoredPart>, IngestError> {
    let sha256 = zip.digests().sha256;
    if let Some(claimed) = expected.claimed_length.filter(|&claimed| claimed != zip.digests().size) {
        let reason = format!("{} bytes came, the server had announced {claimed}", zip.digests().size);
        return Err(IngestError::Rejected { reason, sha256, partial: Box::new(zip) });
    }
    match entries(store, &zip) {
        Ok((still, motion)) => {
            let mut parts = Vec::new();
            for (role, entry) in [(PartRole::Original, Some(still)), (PartRole::Motion, motion)] {
                let Some(entry) = entry else { continue };
                let expected = Expectation {
                    role,
                    // The listing's size is of the still, or of both: no promise for either half.
                    size_is_firm: false,
                    claimed_length: Some(entry.partial.digests().size),
                    ..expected.clone()
                };
                let name = if role == PartRole::Original { name } else { &entry.name };
                parts.push(keep_one(store, entry.partial, name, &expected, origin)?);
            }
            Ok(parts)
        }
        Err(Trouble::Store(e)) => Err(e),
        Err(Trouble::Zip(reason)) => Err(IngestError::Rejected { reason, sha256, partial: Box::new(zip) }),
    }
}

/// Bytes of which only so many are read.
struct Metered {
    bytes: Arc<dyn ReadAt>,
    left: AtomicU64,
}

impl ReadAt for Metered {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let n = self.bytes.read_at(buf, offset)?;
        let left = self.left.load(Ordering::Relaxed).checked_sub(n as u64);
        self.left
            .store(left.ok_or_else(|| io::Error::other("its directory is too long"))?, Ordering::Relaxed);
        Ok(n)
    }

    fn size(&self) -> io::Result<u64> {
        self.bytes.size()
    }
}

/// Opens a zip whose directory may take so many bytes.
///
/// # Errors
/// What is wrong with it.
pub fn open_zip(
    bytes: Arc<dyn ReadAt>,
    most_directory: u64,
) -> Result<ZipArchive<PositionedReader>, zip::result::ZipError> {
    let metered = Arc::new(Metered { bytes, left: AtomicU64::new(most_directory) });
    let archive = ZipArchive::new(PositionedReader::new(metered.clone()))?;
    metered.left.store(u64::MAX, Ordering::Relaxed);
    Ok(archive)
}

struct Entry {
    name: String,
    partial: PartialBlob,
}

enum Trouble {
    Zip(String),
    Store(IngestError),
}

fn zip_trouble(e: impl std::fmt::Display) -> Trouble {
    Trouble::Zip(format!("the zip of a Live Photo cannot be read: {e}"))
}

/// The still and, if there is one, the video.
fn entries(store: &Store, zip: &PartialBlob) -> Result<(Entry, Option<Entry>), Trouble> {
    let bytes = zip.bytes();
    let packed = bytes.size().map_err(zip_trouble)?;
    let mut archive = open_zip(bytes, MOST_DIRECTORY).map_err(zip_trouble)?;
    if archive.len() > MOST_ENTRIES {
        return Err(Trouble::Zip(format!("the zip holds {} files: no Live Photo", archive.len())));
    }
    let (mut still, mut motion) = (None, None);
    for number in 0..archive.len() {
        let mut file = archive.by_index(number).map_err(zip_trouble)?;
        if file.is_dir() {
            continue;
        }
        // Only its last piece is a name; it is never used as a path.
        let path = file.name().map_err(zip_trouble)?;
        let name = path.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
        if file.size() > packed.saturating_mul(MOST_RATIO) {
            return Err(Trouble::Zip("the zip claims to unpack to far more than photos do".into()));
        }
        let partial = extract(store, &mut file)?;
        let is_video = kind::of(&*partial.bytes()).is_video();
        let slot = if is_video { &mut motion } else { &mut still };
        if slot.is_some() {
            return Err(Trouble::Zip("the zip holds several stills or several videos".into()));
        }
        *slot = Some(Entry { name, partial });
    }
    match still.or_else(|| motion.take()) {
        Some(still) => Ok((still, motion)),
        None => Err(Trouble::Zip("the zip is empty".into())),
    }
}

fn extract<R: Read>(store: &Store, file: &mut zip::read::ZipFile<'_, R>) -> Result<PartialBlob, Trouble> {
    let store_trouble = |e| Trouble::Store(IngestError::Store(e));
    // `begin` with the claimed size stops an entry that unpacks to more than it says.
    let mut partial = store.begin(Some(file.size())).map_err(store_trouble)?;
    let mut buffer = vec![0; CHUNK];
    loop {
        let n = file.read(&mut buffer).map_err(zip_trouble)?;
        if n == 0 {
            return Ok(partial);
        }
        partial.write(&buffer[..n]).map_err(store_trouble)?;
    }
}
