//! What is known of a photo, in files beside it: XMP for programs that read photos, and the record itself.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::error::{ExportError, io_error, refused};
use super::file::discard;
use super::{ExportReport, Sums};
use crate::index::IndexReader;
use crate::model::digest::digests_of;
use crate::model::{PartRole, Sha256};
use crate::store::{RecordName, Store, StoreError};
use crate::view::sidecar;
use crate::view::tree::{Tree, Walked, role_of};

/// Hashes of all sidecars that exports have written here, one a line: what has another one is somebody else's work.
const OURS: &str = ".shoebox-sidecars";

/// Writes them.
pub(super) struct Beside<'a, 'b> {
    target: &'a Path,
    sums: &'a mut Sums<'b>,
    report: &'a mut ExportReport,
    ours: HashSet<Sha256>,
    /// Where they are added, before the sidecars themselves are written; there is none before the first.
    note: Option<File>,
}

impl<'a, 'b> Beside<'a, 'b> {
    pub(super) fn begin(
        target: &'a Path,
        sums: &'a mut Sums<'b>,
        report: &'a mut ExportReport,
    ) -> Result<Self, ExportError> {
        let path = target.join(OURS);
        let lines = match fs::read_to_string(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(ExportError::Io(path, error));
            }
            lines => lines.unwrap_or_default(),
        };
        // The last line may be half of one.
        let ours = lines.lines().filter_map(Sha256::from_hex).collect();
        Ok(Self { target, sums, report, ours, note: None })
    }

    /// Notes that a sidecar with this hash is ours.
    fn note(&mut self, sha256: &Sha256) -> Result<(), ExportError> {
        if !self.ours.insert(*sha256) {
            return Ok(());
        }
        let path = self.target.join(OURS);
        let note = match &mut self.note {
            Some(note) => note,
            none => {
                let file = File::options().append(true).create(true).open(&path);
                none.insert(file.map_err(io_error(&path))?)
            }
        };
        // A line of its own, whatever an earlier one was cut to.
        writeln!(note, "\n{sha256}").map_err(io_error(&path))
    }

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
        self.write(path, &sidecar::render(&wanted, &facts))
    }

    /// The latest records of the items, each beside its originals under the name with `.json` behind it; whether it came to
    /// the end.
    pub(super) fn json<'f>(
        &mut self,
        store: &Store,
        reader: &IndexReader,
        tree: &Tree,
        files: &[(&'f Walked, &'f str)],
        stop: &CancellationToken,
    ) -> Result<bool, ExportError> {
        let mut places: HashMap<u64, Vec<&str>> = HashMap::new();
        for (leaf, path) in
            files.iter().filter(|(leaf, _)| role_of(leaf.attr.ino) == Some(PartRole::Original))
        {
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
        let stored = match store.read_record(name) {
            Ok(stored) => stored,
            Err(StoreError::Io { path, source, .. }) => {
                return self.report.leave_out(ExportError::Unreadable(path, source));
            }
            // Whose it is, it cannot say.
            Err(error) => return self.report.leave_out(error.into()),
        };
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
                self.write(&format!("{place}.json"), &bytes)?;
            }
        }
        Ok(())
    }

    /// Writes one; what another program has made of it stays. Where none can be, the list misses it.
    fn write(&mut self, path: &str, bytes: &[u8]) -> Result<(), ExportError> {
        let wanted = digests_of(bytes).sha256;
        let there = match self.put(&self.target.join(path), bytes, &wanted) {
            Ok(there) => there,
            Err(error) => {
                self.report.leave_out(error)?;
                wanted
            }
        };
        self.sums.add(path, &there)
    }

    /// The hash of what is there in the end.
    fn put(&mut self, to: &Path, bytes: &[u8], wanted: &Sha256) -> Result<Sha256, ExportError> {
        let there = match fs::read(to) {
            Ok(there) => Some(digests_of(&there).sha256),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(ExportError::Different(to.to_owned()));
            }
            Err(error) => return Err(refused(self.target, to)(error)),
        };
        match there {
            Some(there) if there != *wanted && !self.ours.contains(&there) => {
                self.report.foreign += 1;
                return Ok(there);
            }
            Some(there) if there == *wanted => {}
            _ => {
                self.note(wanted)?;
                replace(self.target, to, bytes)?;
                self.report.sidecars += 1;
            }
        }
        Ok(*wanted)
    }
}

/// Puts bytes under a name below the target, whole or not at all; returns their hash.
pub(super) fn replace(target: &Path, to: &Path, bytes: &[u8]) -> Result<Sha256, ExportError> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(refused(target, to))?;
    }
    let sha256 = digests_of(bytes).sha256;
    // By the name, since two may have the same bytes at the same time.
    let own = digests_of(to.as_os_str().as_encoded_bytes()).sha256.hex();
    let partial = to.with_file_name(format!(".shoebox-{}.part", &own[..16]));
    let written = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, to));
    written.map_err(refused(target, to)).inspect_err(|_| discard(&partial))?;
    Ok(sha256)
}
