//! Who may see the page: one password for the household, set at the first visit, and sessions in a cookie.
//!
//! The password is kept as an argon2id hash, sessions as hashes of their tokens: whoever reads the files gains nothing. Wrong
//! passwords make everybody wait, longer each time.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use data_encoding::BASE64URL_NOPAD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::model::Clock;
use crate::model::digest::digests_of;
use crate::small_file::{self, random};

/// Shortest password, characters.
pub const SHORTEST: usize = 8;
/// A session that is not used for so long ends.
const LIFE: SignedDuration = SignedDuration::from_hours(24 * 30);
/// Most sessions at a time; the one that was unused longest gives way.
const MOST: usize = 64;
/// Wrong passwords that make nobody wait.
const FREE: u32 = 5;
/// Longest wait.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(15);

/// The door of the page.
pub struct Door {
    file: PathBuf,
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
    /// Held by whoever hashes a password.
    hashing: Mutex<()>,
}

#[derive(Default, Serialize, Deserialize)]
struct Kept {
    /// PHC string.
    password: Option<String>,
    /// Last use by SHA-256 of the token, hex.
    sessions: BTreeMap<String, Timestamp>,
}

#[derive(Default)]
struct Inner {
    kept: Kept,
    people: Patience,
    /// A script with an old password must not keep people out, nor one with the right password let others guess.
    scripts: Patience,
    /// Digest of the password that a script was let in with, so that it need not be hashed slowly each time.
    script: Option<String>,
}

/// How many wrong passwords there were, and until when none is looked at.
#[derive(Default)]
struct Patience {
    wrong: u32,
    closed_until: Option<Timestamp>,
}

impl Patience {
    /// Seconds that are to be waited.
    fn wait(&self, now: Timestamp) -> Option<u64> {
        let left = self.closed_until?.duration_since(now);
        // A clock that was set back must not close the door for years.
        (left > SignedDuration::ZERO && left <= LONGEST_WAIT).then(|| left.as_secs().unsigned_abs() + 1)
    }

    fn count(&mut self, right: bool, now: Timestamp) {
        if right {
            *self = Self::default();
            return;
        }
        self.wrong += 1;
        if self.wrong > FREE {
            let wait = SignedDuration::from_secs(1 << (self.wrong - FREE).min(10)).min(LONGEST_WAIT);
            self.closed_until = now.checked_add(wait).ok();
        }
    }
}

/// Why somebody is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The password is wrong.
    Wrong,
    /// Too many were: seconds until the next one is looked at.
    Wait(u64),
    /// It is too short.
    TooShort,
    /// There is one already.
    AlreadySet,
    /// It could not be kept.
    NotKept(String),
}

/// A token that was just made, to be given to the browser once.
pub struct Token(pub String);

impl Door {
    /// Reads what is kept in a file. A password given by the configuration takes its place.
    pub fn open(file: &Path, configured: Option<&str>, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let kept = match fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| {
                io::Error::other(format!(
                    "{} cannot be read ({e}): remove it, and set the page's password again",
                    file.display()
                ))
            })?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Kept::default(),
            Err(e) => return Err(e),
        };
        let inner = Inner { kept, ..Inner::default() };
        let door = Self { file: file.to_owned(), clock, inner: Mutex::new(inner), hashing: Mutex::default() };
        if let Some(password) = configured {
            let mut inner = door.inner();
            let same = inner.kept.password.as_deref().is_some_and(|hash| matches(hash, password));
            if !same {
                inner.kept = Kept { password: Some(hash(password)?), sessions: BTreeMap::new() };
                door.save(&inner.kept)?;
            }
        }
        Ok(door)
    }

    /// Whether somebody has set a password.
    pub fn has_password(&self) -> bool {
        self.inner().kept.password.is_some()
    }

    /// Sets the first password.
    pub fn set(&self, password: &str) -> Result<Token, Refusal> {
        if password.chars().count() < SHORTEST {
            return Err(Refusal::TooShort);
        }
        let Ok(_one) = self.hashing.try_lock() else { return Err(Refusal::Wait(1)) };
        let hash = hash(password).map_err(|e| Refusal::NotKept(e.to_string()))?;
        let mut inner = self.inner();
        if inner.kept.password.is_some() {
            return Err(Refusal::AlreadySet);
        }
        inner.kept.password = Some(hash);
        self.let_in(&mut inner)
    }

    /// Opens a session for whoever knows the password.
    pub fn enter(&self, password: &str) -> Result<Token, Refusal> {
        self.check(password)?;
        self.let_in(&mut self.inner())
    }

    /// Whether a person's password is right.
    fn check(&self, password: &str) -> Result<(), Refusal> {
        self.tried(password, |inner| &mut inner.people)
    }

    /// Whether a script's password is right.
    pub fn check_script(&self, password: &str) -> Result<(), Refusal> {
        let digest = name_of(&format!("script {password}"));
        if self.inner().script.as_deref() == Some(&digest) {
            return Ok(());
        }
        self.tried(password, |inner| &mut inner.scripts)?;
        self.inner().script = Some(digest);
        Ok(())
    }

    fn tried(&self, password: &str, whose: fn(&mut Inner) -> &mut Patience) -> Result<(), Refusal> {
        // One at a time: each takes memory, and a hundred at once would be a hundred guesses before any is counted.
        let Ok(_one) = self.hashing.try_lock() else { return Err(Refusal::Wait(1)) };
        let now = self.clock.now();
        let hash = {
            let mut inner = self.inner();
            if let Some(seconds) = whose(&mut inner).wait(now) {
                return Err(Refusal::Wait(seconds));
            }
            inner.kept.password.clone()
        };
        // Slow on purpose: not while others wait for the lock.
        let right = hash.is_some_and(|hash| matches(&hash, password));
        whose(&mut self.inner()).count(right, now);
        if right { Ok(()) } else { Err(Refusal::Wrong) }
    }

    /// Whether a token opens the door.
    pub fn knows(&self, token: &str) -> bool {
        let (name, now) = (name_of(token), self.clock.now());
        let mut inner = self.inner();
        let Some(used) = inner.kept.sessions.get_mut(&name) else { return false };
        let age = now.duration_since(*used);
        if age >= LIFE {
            inner.kept.sessions.remove(&name);
            return false;
        }
        // Once a day is enough to know that it is used.
        if age.abs() >= SignedDuration::from_hours(24) {
            *used = now;
            if let Err(e) = self.save(&inner.kept) {
                tracing::warn!("{} cannot be written: {e}", self.file.display());
            }
        }
        true
    }

    /// Ends the session of a token.
    pub fn leave(&self, token: &str) {
        let mut inner = self.inner();
        inner.kept.sessions.remove(&name_of(token));
        if let Err(e) = self.save(&inner.kept) {
            tracing::warn!("{} cannot be written: {e}", self.file.display());
        }
    }

    fn let_in(&self, inner: &mut Inner) -> Result<Token, Refusal> {
        let refusal = |e: io::Error| Refusal::NotKept(e.to_string());
        let token = BASE64URL_NOPAD.encode(&random::<32>().map_err(refusal)?);
        let sessions = &mut inner.kept.sessions;
        while sessions.len() >= MOST {
            let oldest = sessions.iter().min_by_key(|(_, used)| **used).map(|(name, _)| name.clone());
            oldest.map(|name| sessions.remove(&name));
        }
        sessions.insert(name_of(&token), self.clock.now());
        self.save(&inner.kept).map_err(refusal)?;
        Ok(Token(token))
    }

    fn save(&self, kept: &Kept) -> io::Result<()> {
        small_file::replace(&self.file, kept)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// What proves that a form came from a page of ours: only a page that may read the session's token can have it.
pub fn form_key(token: &str) -> String {
    name_of(&format!("form {token}"))[..32].to_owned()
}

fn name_of(token: &str) -> String {
    digests_of(token.as_bytes()).sha256.hex()
}

/// 19 MiB and two passes: what OWASP recommends for argon2id.
fn argon() -> Argon2<'static> {
    let params = Params::new(19 * 1024, 2, 1, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &str) -> io::Result<String> {
    let failed = |e: argon2::password_hash::Error| io::Error::other(e.to_string());
    let salt = SaltString::encode_b64(&random::<16>()?).map_err(failed)?;
    argon().hash_password(password.as_bytes(), &salt).map(|hash| hash.to_string()).map_err(failed)
}

fn matches(hash: &str, password: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| argon().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::FixedClock;
    use jiff::ToSpan as _;

    fn door(dir: &Path, configured: Option<&str>) -> (Door, Arc<FixedClock>) {
        let clock = Arc::new(FixedClock::new("2026-01-01T00:00:00Z".parse().unwrap()));
        (Door::open(&dir.join("door.json"), configured, clock.clone()).unwrap(), clock)
    }

    #[test]
    fn the_first_visit_sets_the_password_and_no_second_one_does() {
        let dir = tempfile::tempdir().unwrap();
        let (one, _) = door(dir.path(), None);
        assert!(!one.has_password());
        assert_eq!(one.set("short").err(), Some(Refusal::TooShort));
        let token = one.set("a long password").ok().unwrap();
        assert!(one.knows(&token.0) && !one.knows("another"));
        assert_eq!(one.set("of somebody else").err(), Some(Refusal::AlreadySet));
        // A restart asks nobody again, and the file holds neither password nor token.
        let (again, _) = door(dir.path(), None);
        assert!(again.knows(&token.0) && again.enter("a long password").is_ok());
        let text = fs::read_to_string(dir.path().join("door.json")).unwrap();
        assert!(text.contains("$argon2id$") && !text.contains("a long password") && !text.contains(&token.0));
        again.leave(&token.0);
        assert!(!again.knows(&token.0));
    }

    #[test]
    fn guessing_takes_longer_and_longer() {
        let dir = tempfile::tempdir().unwrap();
        let (door, clock) = door(dir.path(), Some("a long password"));
        let mut now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut guesses = 0;
        for _ in 0..24 * 60 {
            now += 1.minute();
            clock.set(now);
            while door.check("guess").err() == Some(Refusal::Wrong) {
                guesses += 1;
            }
        }
        assert!(guesses < 120, "{guesses} guesses in a day");
        clock.set(now + 16.minutes());
        assert!(door.check("a long password").is_ok());
    }

    #[test]
    fn scripts_and_people_do_not_keep_each_other_out_nor_let_each_other_guess() {
        let dir = tempfile::tempdir().unwrap();
        let (door, _) = door(dir.path(), Some("a long password"));
        for _ in 0..10 {
            assert!(door.check_script("an old password").is_err());
        }
        assert!(matches!(door.check_script("a long password"), Err(Refusal::Wait(_))));
        door.check("a long password").unwrap();
        let (other, _) = self::door(dir.path(), Some("a long password"));
        other.check_script("a long password").unwrap();
        for _ in 0..10 {
            let _wrong = other.check("guess");
            other.check_script("a long password").unwrap();
        }
        assert!(matches!(other.check("guess"), Err(Refusal::Wait(_))), "a script lets others guess");
    }

    #[test]
    fn many_at_once_are_no_more_guesses_than_one_after_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let (door, _) = door(dir.path(), Some("a long password"));
        let begin = std::sync::Barrier::new(30);
        let guess = || {
            begin.wait();
            door.check("guess").err()
        };
        let answers: Vec<_> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..30).map(|_| scope.spawn(guess)).collect();
            all.into_iter().map(|one| one.join().unwrap().unwrap()).collect()
        });
        let looked_at = answers.iter().filter(|answer| **answer == Refusal::Wrong).count();
        assert!((1..=FREE as usize + 1).contains(&looked_at), "{looked_at} of 30 guesses were looked at");
    }

    #[test]
    fn a_session_that_nobody_uses_ends() {
        let dir = tempfile::tempdir().unwrap();
        let (door, clock) = door(dir.path(), Some("a long password"));
        let token = door.enter("a long password").ok().unwrap().0;
        let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for days in [1, 20, 45] {
            clock.set(begin + (days * 24).hours());
            assert!(door.knows(&token), "{days}");
        }
        clock.set(begin + (76 * 24).hours());
        assert!(!door.knows(&token));
    }

    #[test]
    fn another_configured_password_ends_all_sessions() {
        let dir = tempfile::tempdir().unwrap();
        let (one, _) = door(dir.path(), Some("a long password"));
        let token = one.enter("a long password").ok().unwrap().0;
        assert!(door(dir.path(), Some("a long password")).0.knows(&token));
        let (other, _) = door(dir.path(), Some("another password"));
        assert!(!other.knows(&token) && other.check("a long password").is_err());
    }
}
