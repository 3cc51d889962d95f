//! The way through a listing of many pages, which ends only where Google says so.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use crate::remote::{Cursor, RemoteError};

/// Pages in a row that bring nothing and lead on: under load a few do; more are no listing.
const MOST_EMPTY: u32 = 20;

/// Which cursors a listing has led to.
#[derive(Default)]
pub(crate) struct Trail {
    seen: HashSet<u64>,
    hasher: RandomState,
    empty: u32,
}

impl Trail {
    /// Where to go on after a page that brought so many rows.
    pub(crate) fn after(&mut self, next: Option<Cursor>, rows: usize) -> Result<Option<Cursor>, RemoteError> {
        let Some(next) = next else { return Ok(None) };
        self.empty = if rows == 0 { self.empty + 1 } else { 0 };
        if !self.seen.insert(self.hasher.hash_one(&next.0)) {
            return Err(RemoteError::Transient("Google's listing runs in a circle; try again later".into()));
        }
        if self.empty > MOST_EMPTY {
            return Err(RemoteError::Transient(format!("{MOST_EMPTY} empty pages of a listing in a row")));
        }
        Ok(Some(next))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_circle_and_endless_emptiness_end_and_a_few_empty_pages_do_not() {
        let cursor = |n: u32| Some(Cursor(n.to_string()));
        let mut trail = Trail::default();
        assert_eq!(trail.after(None, 5).unwrap(), None);
        assert!((0..10).all(|n| trail.after(cursor(n), 0).is_ok()));
        assert!(trail.after(cursor(3), 7).is_err());
        let mut trail = Trail::default();
        assert!((0..100).all(|n| trail.after(cursor(n), 1).is_ok()));
        assert!((100..200).any(|n| trail.after(cursor(n), 0).is_err()));
    }
}
