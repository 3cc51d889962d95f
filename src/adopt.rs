//! Taking over what people have already: Takeout zips, folders of other programs, plain folders.
//!
//! ```text
//! paths ──survey──▶ files, JSON ──pairing──▶ photos ──intake──▶ blobs ──ledger──▶ records ──▶ index
//!        (zip directories, tars once)        (names)  (hashed once, several at a time)
//! ```
//! Nothing is unpacked, and what is adopted from is never changed. A photo is known by its bytes: adopting may be stopped
//! and repeated, and what a library shows later with the same SHA-1 is the same item under another key, which keeps its
//! number and its paths ([`ItemRecord::formerly`](crate::model::ItemRecord)) and need not be downloaded.

mod albums;
pub(crate) mod candidates;
mod intake;
mod ledger;
mod pairing;
mod place;
mod report;
pub(crate) mod source;
pub(crate) mod takeout;
pub(crate) mod tape;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use self::candidates::{Candidate, Pictures, part_name};
use self::intake::{Intake, Known, LeftOut, Taken};
use self::ledger::{Ledger, Part};
pub use self::report::AdoptReport;
use crate::archive::Archive;
use crate::index::IndexError;
use crate::model::{ErrorClass, PartRole, Sha1};
use crate::store::StoreError;

/// Files that are taken in at the same time: while one waits for the disk, others are hashed.
const AT_ONCE: usize = 4;
/// Photos that are read at most before those in front of them are recorded.
const AHEAD: usize = 1000;
/// How often a long adoption is heard of.
const HEARD: Duration = Duration::from_secs(15);

/// Why an adoption ended early.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// A path that was given.
    #[error(transparent)]
    Path(io::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl AdoptError {
    /// The class that decides the exit code.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Path(error) if error.kind() == io::ErrorKind::InvalidInput => ErrorClass::Usage,
            Self::Path(_) => ErrorClass::Environment,
            Self::Store(error) => error.class(),
            Self::Index(error) => error.class(),
        }
    }
}

/// How to adopt.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only tell what would be done.
    pub dry_run: bool,
    /// Take in files that are cut off.
    pub keep_damaged: bool,
    /// What the library has, if it was listed.
    pub library: Option<Library>,
    /// Take in only what the library has.
    pub only_library: bool,
}

/// What a library has, by the SHA-1 of the uploads.
#[derive(Clone, Debug, Default)]
pub struct Library {
    /// Of all its items that tell.
    pub uploads: HashSet<Sha1>,
    /// Of those that are archived.
    pub archived: HashSet<Sha1>,
}

/// Adopts everything below the paths. The archive is opened for reading where nothing shall be written.
///
/// # Errors
/// [`AdoptError`]; trouble with one file is in the report.
pub fn run(
    archive: &Archive,
    paths: &[PathBuf],
    options: &Options,
    now: Timestamp,
    stop: &CancellationToken,
) -> Result<AdoptReport, AdoptError> {
    tracing::info!("looking at what is there");
    let survey = source::survey(paths, archive.store.root(), stop).map_err(AdoptError::Path)?;
    let Pictures { candidates, strays, elsewhere } = candidates::candidates(&survey);
    tracing::info!(files = survey.files.len(), photos = candidates.len(), "taking in what is new");
    let reader = archive.index.reader()?;
    let known = Known::of(&reader)?;
    let to = (!options.dry_run).then_some(archive);
    let library = options.library.as_ref();
    let intake = Intake {
        survey: &survey,
        store: to.map(|archive| &archive.store),
        known,
        keep_damaged: options.keep_damaged,
        only: library.filter(|_| options.only_library).map(|library| &library.uploads),
    };
    let mut ledger = Ledger::new(archive, options.dry_run, reader, &survey, now);
    let looked = take_in(&intake, &candidates, &mut ledger, library, stop);
    // What was recorded is indexed and put into its albums, however it ended.
    let settled = albums::record(&mut ledger, &strays, now);
    looked?;
    settled?;
    let mut report = ledger.report;
    report.dry_run = options.dry_run;
    report.complete = !stop.is_cancelled();
    report.files = survey.files.len() as u64;
    report.bytes = survey.files.iter().map(|file| file.size).sum();
    for (extension, n) in &survey.others {
        *report.others.entry(extension.clone()).or_default() += n;
    }
    report.elsewhere = elsewhere;
    report.trouble.extend(survey.trouble.iter().cloned());
    Ok(report)
}

/// Several threads read and store, this one records.
fn take_in(
    intake: &Intake<'_>,
    candidates: &[Candidate<'_>],
    ledger: &mut Ledger<'_>,
    library: Option<&Library>,
    stop: &CancellationToken,
) -> Result<(), AdoptError> {
    let place: BTreeMap<usize, (usize, PartRole)> = (0..)
        .zip(candidates)
        .flat_map(|(at, candidate)| candidate.files.iter().map(move |&(role, file)| (file, (at, role))))
        .collect();
    let tapes: Vec<usize> = intake.survey.tapes().collect();
    let next = AtomicUsize::new(0);
    let entered = Entered::default();
    let (sender, dealt_with) = mpsc::sync_channel::<Result<(usize, Part), StoreError>>(64);
    // Ends the readers when the recorder has ended: they must not fill a disk that nobody looks at.
    let stop = stop.child_token();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            let (sender, next, place, tapes, stop) = (sender.clone(), &next, &place, &tapes, &stop);
            let entered = &entered;
            scope.spawn(move || {
                while !stop.is_cancelled() {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    if !entered.wait_for(turn.saturating_sub(tapes.len() + AHEAD), stop) {
                        return;
                    }
                    let done = match (tapes.get(turn), turn.checked_sub(tapes.len())) {
                        (Some(&tape), _) => play(intake, candidates, tape, place, &sender, stop),
                        (None, Some(at)) if at < candidates.len() => one(intake, candidates, at, &sender),
                        _ => return,
                    };
                    if let Err(error) = done {
                        // Nobody listens any more where this fails.
                        let _ = sender.send(Err(error));
                        return;
                    }
                }
            });
        }
        drop(sender);
        let recorded = record_all(candidates, ledger, library, &dealt_with, &entered, &stop);
        stop.cancel();
        // Whoever still waits for room in the channel is woken.
        drop(dealt_with);
        recorded
    })
}

/// How far the recorder has come. Nobody reads far ahead of it: behind one video of hours, the facts of a whole library
/// would wait in memory, and a kill would cost all of their hashing.
#[derive(Default)]
struct Entered {
    photos: Mutex<usize>,
    moved: Condvar,
}

impl Entered {
    /// All photos before this one are dealt with.
    fn up_to(&self, photo: usize) {
        *self.photos.lock().unwrap_or_else(PoisonError::into_inner) = photo;
        self.moved.notify_all();
    }

    /// Waits until the recorder has come so far; false where it is stopped before.
    fn wait_for(&self, photo: usize, stop: &CancellationToken) -> bool {
        let mut photos = self.photos.lock().unwrap_or_else(PoisonError::into_inner);
        while *photos < photo {
            if stop.is_cancelled() {
                return false;
            }
            let waited = self.moved.wait_timeout(photos, Duration::from_millis(100));
            photos = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// Takes in the files of one photo, but for those in tars.
fn one(
    intake: &Intake<'_>,
    candidates: &[Candidate<'_>],
    at: usize,
    sender: &mpsc::SyncSender<Result<(usize, Part), StoreError>>,
) -> Result<(), StoreError> {
    let candidate = &candidates[at];
    let tapes: Vec<usize> = intake.survey.tapes().collect();
    let mut is_unwanted = false;
    for &(role, file) in &candidate.files {
        let found = &intake.survey.files[file];
        if tapes.contains(&found.source) {
            continue;
        }
        let taken = if is_unwanted {
            Err(LeftOut::Unwanted)
        } else {
            guarded(|| intake.file(found, role, &part_name(candidate, role, found)))?
        };
        is_unwanted |= matches!(taken, Err(LeftOut::Unwanted));
        let _ = sender.send(Ok((at, (role, file, taken))));
    }
    Ok(())
}

/// One file at which a reader falls ends nothing: everybody would wait for it.
fn guarded(
    take: impl FnOnce() -> Result<Result<Taken, LeftOut>, StoreError>,
) -> Result<Result<Taken, LeftOut>, StoreError> {
    catch_unwind(AssertUnwindSafe(take)).unwrap_or_else(|_| {
        Ok(Err(LeftOut::Unread("its reader failed, which is a fault of shoebox: please report it".into())))
    })
}

/// Takes in what is in a tar, as it comes by.
fn play(
    intake: &Intake<'_>,
    candidates: &[Candidate<'_>],
    tape: usize,
    place: &BTreeMap<usize, (usize, PartRole)>,
    sender: &mpsc::SyncSender<Result<(usize, Part), StoreError>>,
    stop: &CancellationToken,
) -> Result<(), StoreError> {
    let mut failed = None;
    let mut came = HashSet::new();
    let read = intake.survey.play(tape, stop, &mut |file, content| {
        let Some(&(at, role)) = place.get(&file) else { return Ok(true) };
        let found = &intake.survey.files[file];
        let name = part_name(&candidates[at], role, found);
        match guarded(|| intake.stream(content, found.size, role, &name)) {
            Ok(taken) => {
                came.insert(file);
                let _ = sender.send(Ok((at, (role, file, taken))));
                Ok(!stop.is_cancelled())
            }
            Err(error) => {
                failed = Some(error);
                Ok(false)
            }
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    if stop.is_cancelled() {
        return Ok(());
    }
    // Where it ends before its time, the photos behind the end are not to be had.
    let why =
        read.err().map_or_else(|| "it is not in the tar any more".to_owned(), |error| error.to_string());
    for (&file, &(at, role)) in place {
        if intake.survey.files[file].source == tape && !came.contains(&file) {
            let _ = sender.send(Ok((at, (role, file, Err(LeftOut::Unread(why.clone()))))));
        }
    }
    Ok(())
}

fn record_all(
    candidates: &[Candidate<'_>],
    ledger: &mut Ledger<'_>,
    library: Option<&Library>,
    dealt_with: &mpsc::Receiver<Result<(usize, Part), StoreError>>,
    entered: &Entered,
    stop: &CancellationToken,
) -> Result<(), AdoptError> {
    // In the order in which they were found, so that the same files always give the same names; but for those in tars,
    // which come when they come.
    let tapes: Vec<usize> = ledger.survey.tapes().collect();
    let is_taped = |candidate: &Candidate<'_>| {
        candidate.files.iter().any(|(_, file)| tapes.contains(&ledger.survey.files[*file].source))
    };
    let mut order = (0..candidates.len())
        .filter(|&at| !is_taped(&candidates[at]))
        .collect::<Vec<_>>()
        .into_iter()
        .peekable();
    entered.up_to(order.peek().copied().unwrap_or(candidates.len()));
    let mut waiting: BTreeMap<usize, Vec<Part>> = BTreeMap::new();
    let mut found: HashSet<Sha1> = HashSet::new();
    let (mut done, mut heard) = (0_usize, Instant::now());
    for came in dealt_with {
        let (at, part) = came?;
        if let (PartRole::Original, Ok(Taken { digests, .. }), Some(library)) = (part.0, &part.2, library)
            && library.uploads.contains(&digests.sha1)
            && !library.archived.contains(&digests.sha1)
            && found.insert(digests.sha1)
        {
            ledger.report.in_library += 1;
            ledger.report.in_library_bytes += digests.size;
        }
        waiting.entry(at).or_default().push(part);
        let mut next = if is_taped(&candidates[at]) { Some(at) } else { order.peek().copied() };
        while let Some(at) = next {
            if waiting.get(&at).is_none_or(|parts| parts.len() < candidates[at].files.len()) {
                break;
            }
            let parts = waiting.remove(&at).unwrap_or_default();
            ledger.enter(&candidates[at], parts)?;
            done += 1;
            if order.next_if_eq(&at).is_some() {
                entered.up_to(order.peek().copied().unwrap_or(candidates.len()));
            }
            next = order.peek().copied();
        }
        if heard.elapsed() >= HEARD {
            heard = Instant::now();
            tracing::info!(photos = done, of = candidates.len(), new = ledger.report.new, "taking in");
        }
    }
    if let Some(library) = library.filter(|_| !stop.is_cancelled()) {
        let rest = library
            .uploads
            .iter()
            .filter(|upload| !found.contains(*upload) && !library.archived.contains(*upload));
        ledger.report.to_download = Some(rest.count() as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_reader_that_falls_leaves_one_file_out() {
        let fallen = guarded(|| panic!("on purpose"));
        assert!(matches!(fallen, Ok(Err(LeftOut::Unread(why))) if why.contains("please report")));
    }

    #[test]
    fn nobody_runs_far_ahead_and_nobody_waits_for_ever() {
        let (entered, stop) = (Entered::default(), CancellationToken::new());
        assert!(entered.wait_for(0, &stop));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| entered.wait_for(7, &stop));
            entered.up_to(6);
            assert!(!waiting.is_finished());
            entered.up_to(7);
            assert!(waiting.join().unwrap());
            let waiting = scope.spawn(|| entered.wait_for(8, &stop));
            stop.cancel();
            assert!(!waiting.join().unwrap());
        });
    }
}
