//! Files that were fetched lately, up to a number of bytes; those that nobody asked for the longest go first. May be
//! deleted at any time.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::once_more;
use crate::model::Sha256;
use crate::model::digest::sha256_of;

/// How names of unfinished files begin.
const UNFINISHED: &str = "fetching-";

/// The cache.
pub(super) struct Cache {
    dir: PathBuf,
    limit: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<String, Entry>,
    /// Names by the time of their last use.
    by_use: BTreeMap<u64, String>,
    bytes: u64,
    /// Counts uses.
    now: u64,
    /// Names that somebody fetches right now; whoever wants the same waits.
    fetching: HashMap<String, Arc<Mutex<()>>>,
}

struct Entry {
    size: u64,
    used: u64,
    /// Whether its bytes were hashed since the start: what a power cut has left may be anything.
    proven: bool,
}

impl Cache {
    /// Takes over what an earlier process left, as far as it can be proven.
    pub(super) fn open(dir: &Path, limit: u64) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let mut state = State::default();
        let mut left = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            match Sha256::from_hex(&name) {
                Some(_) if meta.is_file() => left.push((meta.modified()?, name, meta.len())),
                // Blocks have no hash to hold them against.
                _ if meta.is_file() && is_ours(&name) => fs::remove_file(entry.path())?,
                _ => {
                    let why = format!("it holds {name}, which is not shoebox's: choose an empty directory");
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
                }
            }
        }
        left.sort();
        for (_, name, size) in left {
            state.insert(name, size, false);
        }
        let cache = Self { dir: dir.to_owned(), limit, state: Mutex::new(state) };
        cache.make_room();
        Ok(cache)
    }

    /// Whether a file is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.state().entries.contains_key(name)
    }

    /// The file of this name, which `fetch` writes if it is not there; it returns the number of bytes. Where `wanted` is
    /// known, what was fetched must hash to it.
    pub(super) fn get(
        &self,
        name: &str,
        wanted: Option<&Sha256>,
        fetch: &mut dyn FnMut(&mut File) -> io::Result<u64>,
    ) -> io::Result<File> {
        if let Some(file) = self.proven(name) {
            return Ok(file);
        }
        let turn = Arc::clone(self.state().fetching.entry(name.to_owned()).or_default());
        let got = {
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            match self.proven(name).map(Ok).or_else(|| self.left(name, wanted).map(Ok)) {
                Some(there) => there,
                None => self.fetch(name, wanted, fetch),
            }
        };
        let mut state = self.state();
        drop(turn);
        // The last one who waits takes the turn away.
        if state.fetching.get(name).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            state.fetching.remove(name);
        }
        drop(state);
        got
    }

    /// A file that is known to be sound.
    fn proven(&self, name: &str) -> Option<File> {
        let mut state = self.state();
        if !state.entries.get(name)?.proven {
            return None;
        }
        state.touch(name);
        // Somebody may have deleted it.
        File::open(self.dir.join(name)).ok()
    }

    /// A file of an earlier process, if it is sound.
    fn left(&self, name: &str, wanted: Option<&Sha256>) -> Option<File> {
        let wanted = wanted?;
        if !self.has(name) {
            return None;
        }
        let mut file = File::open(self.dir.join(name)).ok()?;
        if hash(&mut file).ok()? != *wanted {
            return None;
        }
        let mut state = self.state();
        state.touch(name);
        state.entries.get_mut(name)?.proven = true;
        Some(file)
    }

    fn fetch(
        &self,
        name: &str,
        wanted: Option<&Sha256>,
        fetch: &mut dyn FnMut(&mut File) -> io::Result<u64>,
    ) -> io::Result<File> {
        let unfinished = self.dir.join(format!("{UNFINISHED}{:016x}", fastrand::u64(..)));
        let fetched = once_more(|| {
            let mut file =
                File::options().read(true).write(true).create(true).truncate(true).open(&unfinished)?;
            let size = fetch(&mut file)?;
            match wanted {
                Some(wanted) if hash(&mut file)? != *wanted => {
                    Err(io::Error::new(io::ErrorKind::InvalidData, "its bytes are damaged at the far end"))
                }
                _ => Ok(size),
            }
        });
        let path = self.dir.join(name);
        let kept = fetched.and_then(|size| {
            let file = File::open(&unfinished)?;
            fs::rename(&unfinished, &path)?;
            Ok((file, size))
        });
        match kept {
            Ok((file, size)) => {
                self.state().insert(name.to_owned(), size, true);
                self.make_room();
                Ok(file)
            }
            Err(error) => {
                let _ = fs::remove_file(&unfinished);
                Err(error)
            }
        }
    }

    /// Lets go of what was not used the longest. Whoever has it open reads on.
    fn make_room(&self) {
        let mut gone = Vec::new();
        {
            let mut state = self.state();
            while state.bytes > self.limit && state.by_use.len() > 1 {
                let Some((_, name)) = state.by_use.pop_first() else { break };
                if let Some(entry) = state.entries.remove(&name) {
                    state.bytes -= entry.size;
                }
                gone.push(name);
            }
            // With the lock: nobody shall fetch one anew while the old one is taken away.
            for name in gone {
                if let Err(error) = fs::remove_file(self.dir.join(&name)) {
                    tracing::debug!("{name} stays in the cache: {error}");
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn insert(&mut self, name: String, size: u64, proven: bool) {
        self.now += 1;
        let entry = Entry { size, used: self.now, proven };
        if let Some(old) = self.entries.insert(name.clone(), entry) {
            self.by_use.remove(&old.used);
            self.bytes -= old.size;
        }
        self.bytes += size;
        self.by_use.insert(self.now, name);
    }

    fn touch(&mut self, name: &str) {
        self.now += 1;
        let now = self.now;
        if let Some(entry) = self.entries.get_mut(name) {
            let before = std::mem::replace(&mut entry.used, now);
            if let Some(name) = self.by_use.remove(&before) {
                self.by_use.insert(now, name);
            }
        }
    }
}

/// Whether a file can only be one that we left: half a file, or a block.
fn is_ours(name: &str) -> bool {
    let half = name
        .strip_prefix(UNFINISHED)
        .is_some_and(|n| n.len() == 16 && n.bytes().all(|b| b.is_ascii_hexdigit()));
    let block = name.split_once('.').is_some_and(|(sha256, n)| {
        Sha256::from_hex(sha256).is_some() && !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())
    });
    half || block
}

fn hash(file: &mut File) -> io::Result<Sha256> {
    file.rewind()?;
    sha256_of(file).map(|(sha256, _)| sha256)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::digest::digests_of;
    use std::io::{Read as _, Write as _};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Fetches these bytes, and counts.
    fn bytes<'a>(bytes: &'a [u8], times: &'a AtomicUsize) -> impl FnMut(&mut File) -> io::Result<u64> + 'a {
        move |to| {
            times.fetch_add(1, Ordering::SeqCst);
            to.write_all(bytes)?;
            Ok(bytes.len() as u64)
        }
    }

    fn read(mut file: File) -> Vec<u8> {
        let mut read = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut read).unwrap();
        read
    }

    #[test]
    fn what_was_not_used_the_longest_goes_and_an_open_file_stays_readable() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), 250).unwrap();
        let times = AtomicUsize::new(0);
        let get = |name: &str, byte: u8| cache.get(name, None, &mut bytes(&[byte; 100], &times)).unwrap();
        let first = get("a.0", 1);
        get("b.0", 2);
        get("a.0", 1);
        get("c.0", 3);
        assert!(cache.has("a.0") && !cache.has("b.0") && cache.has("c.0"));
        get("d.0", 4);
        assert!(!cache.has("a.0") && fs::read_dir(dir.path()).unwrap().count() == 2);
        assert_eq!(read(first), [1; 100]);
        assert_eq!(times.load(Ordering::SeqCst), 4);
    }

    #[test]
    fn many_who_want_the_same_fetch_it_once() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), 1000).unwrap();
        let times = AtomicUsize::new(0);
        let wanted = digests_of(b"x").sha256;
        std::thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    let file = cache.get(&wanted.hex(), Some(&wanted), &mut |to| {
                        std::thread::sleep(std::time::Duration::from_millis(20));
                        bytes(b"x", &times)(to)
                    });
                    assert_eq!(read(file.unwrap()), b"x");
                });
            }
        });
        assert_eq!(times.load(Ordering::SeqCst), 1);
        assert!(cache.state().fetching.is_empty());
    }

    #[test]
    fn what_an_earlier_process_left_is_hashed_and_blocks_are_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (good, bad) = (digests_of(b"good").sha256, digests_of(b"bad").sha256);
        fs::write(dir.path().join(good.hex()), b"good").unwrap();
        fs::write(dir.path().join(bad.hex()), b"\0\0\0").unwrap();
        fs::write(dir.path().join(format!("{good}.0")), b"block").unwrap();
        fs::write(dir.path().join("fetching-0123456789abcdef"), b"half").unwrap();
        let cache = Cache::open(dir.path(), 1000).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        let times = AtomicUsize::new(0);
        let get = |sha: &Sha256, with: &[u8]| {
            read(cache.get(&sha.hex(), Some(sha), &mut bytes(with, &times)).unwrap())
        };
        assert_eq!(get(&good, b"never"), b"good");
        assert_eq!(get(&bad, b"bad"), b"bad");
        assert_eq!(times.load(Ordering::SeqCst), 1);
        fs::remove_file(dir.path().join(good.hex())).unwrap();
        assert_eq!(get(&good, b"good"), b"good", "somebody emptied the cache");
    }

    #[test]
    fn a_directory_with_files_of_somebody_else_is_refused_and_left_alone() {
        for name in ["IMG_0001.jpg", "fetching-1", "notes.1", "album"] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(name);
            if name == "album" {
                fs::create_dir(&path).unwrap()
            } else {
                fs::write(&path, b"mine").unwrap()
            }
            let error = Cache::open(dir.path(), 1000).err().unwrap();
            assert!(error.to_string().contains(name) && path.exists(), "{error}");
        }
    }

    #[test]
    fn other_bytes_than_wanted_are_never_given_out() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), 1000).unwrap();
        let times = AtomicUsize::new(0);
        let wanted = digests_of(b"right").sha256;
        assert!(cache.get(&wanted.hex(), Some(&wanted), &mut bytes(b"wrong", &times)).is_err());
        assert!(!cache.has(&wanted.hex()) && fs::read_dir(dir.path()).unwrap().count() == 0);
        let right = cache.get(&wanted.hex(), Some(&wanted), &mut bytes(b"right", &times)).unwrap();
        assert_eq!(read(right), b"right");
    }
}
