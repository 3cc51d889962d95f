//! What a person was told already, so that trouble which lasts is told once, and then once a day. Kept in a file: a restart
//! tells nothing twice.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::Event;
use crate::small_file;

/// Trouble that lasts is told again after this time.
pub const BETWEEN_REMINDERS: SignedDuration = SignedDuration::from_hours(24);

/// What is told and not over.
#[derive(Debug)]
pub struct Memory {
    file: PathBuf,
    told: BTreeMap<String, Timestamp>,
}

impl Memory {
    /// Reads what is kept; what is not readable is as good as nothing.
    pub fn load(file: &Path) -> Self {
        let told =
            fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Self { file: file.to_owned(), told }
    }

    /// Trouble is there: nothing if it was told within a day, else whether it was told before.
    pub fn meets(&mut self, event: Event, now: Timestamp) -> Option<bool> {
        let told = self.told.get(event.word()).copied();
        let age = told.map(|told| now.duration_since(told));
        // What was told in the future was told by a clock that was wrong.
        if age.is_some_and(|age| age >= SignedDuration::ZERO && age < BETWEEN_REMINDERS) {
            return None;
        }
        self.told.insert(event.word().to_owned(), now);
        self.save();
        Some(told.is_some())
    }

    /// Whether it was told and is not over.
    pub fn is_told(&self, event: Event) -> bool {
        self.told.contains_key(event.word())
    }

    /// It is over: whether it had been told.
    pub fn is_over(&mut self, event: Event) -> bool {
        let was = self.told.remove(event.word()).is_some();
        if was {
            self.save();
        }
        was
    }

    fn save(&self) {
        if let Err(e) = small_file::replace(&self.file, &self.told) {
            tracing::warn!("what was told could not be kept in {}: {e}", self.file.display());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use jiff::ToSpan as _;

    #[test]
    fn trouble_that_lasts_is_told_once_a_day_also_over_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("told.json");
        let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut told = Vec::new();
        for hour in (0..60).step_by(6) {
            let mut memory = Memory::load(&file);
            told.extend(
                memory.meets(Event::RunFailed, begin + i64::from(hour).hours()).map(|again| (hour, again)),
            );
        }
        assert_eq!(told, [(0, false), (24, true), (48, true)]);
        let mut memory = Memory::load(&file);
        assert_eq!(memory.meets(Event::DiskLow, begin), Some(false), "another trouble is another matter");
        assert!(memory.is_over(Event::RunFailed) && !memory.is_over(Event::RunFailed));
        assert_eq!(memory.meets(Event::RunFailed, begin + 60.hours()), Some(false));
        // A clock that is set back ten years does not silence it.
        assert_eq!(memory.meets(Event::RunFailed, begin), Some(true));
    }
}
