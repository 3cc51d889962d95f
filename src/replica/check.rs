//! Is everything at the far end, unaltered: all of it read again and hashed, or names and sizes compared.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::restore::shared;
use super::{Fetcher, ReplicaError};
use crate::model::digest::sha256_of;
use crate::store::{Group, Immutable, SecondCopy as _, Store};

/// Attempts at one file: what is wrong only once was wrong on the way.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);

/// A file that is not as it should be at the far end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wrong {
    /// Which.
    pub file: Immutable,
    /// What is wrong.
    pub why: String,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Files looked at there.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Files of the archive that are not there yet.
    pub missing: Vec<Immutable>,
    /// Files there that are damaged.
    pub damaged: Vec<Wrong>,
    /// Files of the archive itself that are damaged, as far as sizes show it.
    pub damaged_here: Vec<Immutable>,
    /// Files there that the archive does not have: lost here, or of a later time.
    pub only_there: Vec<Immutable>,
    /// Whether it was ended early.
    pub stopped: bool,
}

/// Compares a replica with its archive. `deeply` reads every file there and hashes it.
///
/// # Errors
/// When the far end cannot be listed. What cannot be read is damaged.
pub fn check(
    fetcher: &Fetcher,
    store: &Store,
    deeply: bool,
    workers: usize,
    stop: &CancellationToken,
) -> Result<CheckReport, ReplicaError> {
    let report = Mutex::new(CheckReport::default());
    let (files, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
    let groups: Vec<_> = Group::blobs().chain(Group::records()).collect();
    shared(&groups, workers, stop, |group| {
        let there: BTreeMap<_, _> = fetcher.list(*group)?.into_iter().collect();
        let here = store.files_in(*group)?;
        let mut found = CheckReport::default();
        for file in &here {
            if !there.contains_key(file) {
                found.missing.push(file.clone());
            }
        }
        for (file, size) in &there {
            if stop.is_cancelled() {
                break;
            }
            files.fetch_add(1, Ordering::Relaxed);
            if here.binary_search(file).is_err() {
                found.only_there.push(file.clone());
            }
            if deeply {
                match hash(fetcher, file) {
                    Ok(read) => {
                        bytes.fetch_add(read, Ordering::Relaxed);
                    }
                    Err(why) => found.damaged.push(Wrong { file: file.clone(), why }),
                }
            }
            // Where sizes differ, one of the two is wrong, and it need not be the copy.
            let Some(why) = wrong_size(fetcher, store, file, *size) else { continue };
            if !store.is_sound_file(file).unwrap_or(false) {
                found.damaged_here.push(file.clone());
            } else if !deeply {
                found.damaged.push(Wrong { file: file.clone(), why });
            }
        }
        let mut report = report.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        report.missing.extend(found.missing);
        report.damaged.extend(found.damaged);
        report.only_there.extend(found.only_there);
        report.damaged_here.extend(found.damaged_here);
        Ok(())
    })?;
    let mut report = report.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    report.files = files.into_inner();
    report.bytes = bytes.into_inner();
    report.stopped = stop.is_cancelled();
    report.missing.sort();
    report.damaged.sort();
    report.only_there.sort();
    report.damaged_here.sort();
    Ok(report)
}

fn wrong_size(fetcher: &Fetcher, store: &Store, file: &Immutable, there: u64) -> Option<String> {
    let here = std::fs::metadata(store.file_path(file)).ok()?.len();
    let may_be = fetcher.replica().may_have(here, there);
    (!may_be).then(|| format!("it has {there} bytes there, and {here} here"))
}

/// Reads a file and compares its hash; returns its length, or what is wrong with it.
fn hash(fetcher: &Fetcher, file: &Immutable) -> Result<u64, String> {
    let once = || -> io::Result<u64> {
        let Some(from) = fetcher.open(file)? else { return Err(io::ErrorKind::NotFound.into()) };
        let (found, size) = sha256_of(from)?;
        if found == *file.sha256() {
            return Ok(size);
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("its {size} bytes have the SHA-256 {found}")))
    };
    with_patience(once)
}

/// Tries something several times; the last error as a sentence. Other bytes that come twice the same are what is there;
/// while they differ, they were changed on the way. What is not there does not come by waiting.
pub(super) fn with_patience<T>(mut once: impl FnMut() -> io::Result<T>) -> Result<T, String> {
    let mut tries = 1;
    let mut others = Vec::new();
    loop {
        let error = match once() {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let why = error.to_string();
        let is_sure = match error.kind() {
            io::ErrorKind::NotFound => true,
            io::ErrorKind::InvalidData => others.contains(&why),
            _ => false,
        };
        if is_sure || tries >= TRIES {
            return Err(why);
        }
        if error.kind() == io::ErrorKind::InvalidData {
            others.push(why);
        }
        std::thread::sleep(PAUSE * 2_u32.pow(tries - 1));
        tries += 1;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn other_bytes_are_damage_when_they_come_twice_the_same() {
        let other = |name: u32| io::Error::new(io::ErrorKind::InvalidData, format!("SHA-256 {name}"));
        let asked = |answers: Vec<io::Result<u32>>| {
            let (mut n, mut answers) = (0, answers.into_iter());
            let end = with_patience(|| {
                n += 1;
                answers.next().unwrap()
            });
            (end, n)
        };
        assert_eq!(asked(vec![Err(other(1)), Err(other(2)), Ok(7)]), (Ok(7), 3), "twice on the way");
        assert_eq!(asked(vec![Err(other(1)), Err(other(1))]), (Err("SHA-256 1".into()), 2), "damage");
        assert_eq!(asked(vec![Err(io::ErrorKind::NotFound.into())]).1, 1);
        let never = (1..=4).map(|name| Err(other(name))).collect();
        assert_eq!(asked(never), (Err("SHA-256 4".into()), 4));
    }
}
