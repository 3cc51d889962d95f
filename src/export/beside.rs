//! What is known of a photo, in files beside it: XMP for programs that read photos, and the record itself.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::{ExportError, ExportReport, Sums, io_error};
use crate::index::IndexReader;
use crate::model::digest::digests_of;
use crate::model::{PartRole, Sha256};
use crate::store::{RecordName, Store, StoreError};
use crate::view::sidecar;
use crate::view::tree::{Tree, Walked, role_of};

/// Writes them.
pub(super) struct Beside<'a, 'b> {
    pub(super) target: &'a Path,
    pub(super) sums: &'a mut Sums<'b>,
    pub(super) report: &'a mut ExportReport,
}

impl Beside<'_, '_> {
    /// The XMP of an item.
    pub(super) fn xmp(
        &mut self,
        tree: &Tree,
        reader: &IndexReader,
        leaf: &Walked,
        path: &str,
    ) -> Result<(), ExportError> {
        let Some(wanted) = tree.sidecar(leaf.attr.ino) else { return Ok(()) };
        let Some(facts) = reader.part_facts(wanted.ordinal, &wanted.original)? else { return Ok(()) };
        self.write(path, &sidecar::render(&wanted, &facts), |there| contains(there, b"x:xmptk=\"shoebox\""))
    }

    /// The latest records of the items, each beside its originals under the name with `.json` behind it; whether it came to
    /// the end.
    pub(super) fn json<'a>(
        &mut self,
        store: &Store,
        reader: &IndexReader,
        tree: &Tree,
        files: impl Iterator<Item = (&'a Walked, &'a str)>,
        stop: &CancellationToken,
    ) -> Result<bool, ExportError> {
        let mut places: HashMap<u64, Vec<&str>> = HashMap::new();
        for (leaf, path) in files.filter(|(leaf, _)| role_of(leaf.attr.ino) == Some(PartRole::Original)) {
            if let Some(ordinal) = tree.ordinal(leaf.attr.ino) {
                places.entry(ordinal).or_default().push(path);
            }
        }
        let mut names = Vec::new();
        for name in store.record_names() {
            match name {
                Ok(name) => names.push(name),
                Err(StoreError::Stray { path }) => tracing::warn!("{} is no record", path.display()),
                Err(error) => return Err(error.into()),
            }
        }
        let mut names = names.into_iter().peekable();
        while let Some(name) = names.next() {
            if stop.is_cancelled() {
                return Ok(false);
            }
            // The names of one item follow each other, the latest last.
            if names.peek().is_none_or(|next| next.key != name.key) {
                self.record(store, reader, &name, &places)?;
            }
        }
        Ok(true)
    }

    fn record(
        &mut self,
        store: &Store,
        reader: &IndexReader,
        name: &RecordName,
        places: &HashMap<u64, Vec<&str>>,
    ) -> Result<(), ExportError> {
        let stored = store.read_record(name)?;
        let record = stored.record();
        let (Some(places), Some(original)) = (places.get(&record.ordinal), record.parts.first()) else {
            return Ok(());
        };
        // Of an item that was adopted and then shown by a library, the library's holds.
        let holds =
            reader.part_facts(record.ordinal, &original.sha256)?.is_some_and(|it| it.key == record.key);
        if holds {
            let bytes = record.to_bytes();
            for place in places {
                self.write(&format!("{place}.json"), &bytes, is_record)?;
            }
        }
        Ok(())
    }

    /// Whether a file is as an earlier export has left it. Where no list tells, it must look like one of ours.
    fn is_unchanged(&self, path: &str, there: &[u8], looks_like_ours: &dyn Fn(&[u8]) -> bool) -> bool {
        match self.sums.earlier.get(path) {
            Some(then) => digests_of(there).sha256 == *then,
            None => self.sums.earlier.is_empty() && looks_like_ours(there),
        }
    }

    /// Writes one; what another program has made of it stays.
    fn write(
        &mut self,
        path: &str,
        bytes: &[u8],
        is_ours: impl Fn(&[u8]) -> bool,
    ) -> Result<(), ExportError> {
        let to = self.target.join(path);
        let there = match fs::read(&to) {
            Ok(there) => Some(there),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(ExportError::Io(to, error)),
        };
        match there {
            Some(there) if there != bytes && !self.is_unchanged(path, &there, &is_ours) => {
                self.report.foreign += 1;
                return self.sums.add(path, &digests_of(&there).sha256);
            }
            Some(there) if there == bytes => {}
            _ => {
                replace(&to, bytes)?;
                self.report.sidecars += 1;
            }
        }
        self.sums.add(path, &digests_of(bytes).sha256)
    }
}

/// Puts bytes under a name, whole or not at all; returns their hash.
pub(super) fn replace(to: &Path, bytes: &[u8]) -> Result<Sha256, ExportError> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(io_error(folder))?;
    }
    let sha256 = digests_of(bytes).sha256;
    // By the name, since two may have the same bytes at the same time.
    let own = digests_of(to.as_os_str().as_encoded_bytes()).sha256.hex();
    let partial = to.with_file_name(format!(".shoebox-{}.part", &own[..16]));
    fs::write(&partial, bytes).map_err(io_error(&partial))?;
    fs::rename(&partial, to).map_err(io_error(to))?;
    Ok(sha256)
}

fn is_record(bytes: &[u8]) -> bool {
    crate::model::ItemRecord::from_bytes(bytes).is_ok()
}

pub(super) fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
