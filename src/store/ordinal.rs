//! Item numbers: dealt once, never reused, the same after a rebuild because records hold them.

use std::collections::HashSet;

use super::{Store, StoreError, lock};

/// Numbers kept free for each unreadable record: the item behind it has one of its own, and numbers that
/// were dealt but never recorded may lie before it.
const GAP: u64 = 1000;

#[derive(Default)]
pub(super) struct Ordinals {
    /// The next number; unknown until the records were read.
    next: Option<u64>,
    /// Dealt, not recorded yet.
    dealt: HashSet<u64>,
}

impl Store {
    /// Deals a number that no item of the archive has, from 1. Unique among threads.
    ///
    /// The first call reads all records, unless [`Store::raise_ordinals`] has said where to start.
    ///
    /// # Errors
    /// When the records cannot be listed, or the store was opened for reading.
    pub fn next_ordinal(&self) -> Result<u64, StoreError> {
        self.inner.writable()?;
        let mut ordinals = lock(&self.inner.ordinals);
        let next = match ordinals.next {
            Some(next) => next,
            None => self.first_free_ordinal()?,
        };
        ordinals.next = Some(next + 1);
        ordinals.dealt.insert(next);
        Ok(next)
    }

    /// Says what a reading of all records has found: the highest number and how many records were
    /// unreadable. Saves [`Store::next_ordinal`] the same reading; never lowers the next number.
    pub fn raise_ordinals(&self, highest: u64, unreadable: u64) {
        let mut ordinals = lock(&self.inner.ordinals);
        let next = after(highest, unreadable);
        ordinals.next = Some(ordinals.next.map_or(next, |old| old.max(next)));
    }

    fn first_free_ordinal(&self) -> Result<u64, StoreError> {
        let (mut highest, mut unreadable) = (0, 0);
        for record in self.records() {
            match record {
                Ok(stored) => highest = highest.max(stored.record().ordinal),
                Err(error @ StoreError::Io { .. }) => return Err(error),
                Err(_) => unreadable += 1,
            }
        }
        Ok(after(highest, unreadable))
    }

    /// Whether a first revision may use the number.
    pub(super) fn is_dealt(&self, ordinal: u64) -> bool {
        lock(&self.inner.ordinals).dealt.contains(&ordinal)
    }

    pub(super) fn ordinal_used(&self, ordinal: u64) {
        lock(&self.inner.ordinals).dealt.remove(&ordinal);
    }
}

fn after(highest: u64, unreadable: u64) -> u64 {
    highest.saturating_add(unreadable.saturating_mul(GAP)).saturating_add(1)
}
