//! Items whose originals are the same bytes: twice in one account, or in the libraries of two people.
//!
//! What two people have is shown once where everybody's photos are shown together: by the item with the lower number.
//! The other one says so (`repeat`), as long as it has nothing that the first has not: no edit of its own, no other date
//! or place, and is not in the library where that one is gone or archived.

use std::collections::{BTreeMap, BTreeSet};

use super::change::Touched;
use super::items::{Items, flag};
use super::{Changes, Tree};
use crate::model::{PartRole, Sha256};

/// The flags that follow from others' bytes.
const FLAGS: u16 = flag::TWIN | flag::REPEAT;

impl Items {
    /// Which of [`flag::TWIN`] and [`flag::REPEAT`] items have whose originals are the same bytes.
    pub fn alike(&self, group: &[u32]) -> Vec<(u32, u16)> {
        let mut group = group.to_vec();
        group.sort_unstable_by_key(|&slot| self.get(slot).ordinal);
        // The first of each account stands for all of it: there may be many.
        let mut first: BTreeMap<u16, (u32, usize)> = BTreeMap::new();
        for &slot in &group {
            first.entry(self.get(slot).account).or_insert((slot, 0)).1 += 1;
        }
        let flags = |slot: u32| {
            let own = self.get(slot);
            let twin = first.get(&own.account).is_some_and(|(_, count)| *count > 1);
            let repeat = first.iter().any(|(account, (other, _))| {
                *account != own.account
                    && self.get(*other).ordinal < own.ordinal
                    && self.says_no_more(slot, *other)
            });
            (if twin { flag::TWIN } else { 0 }) | (if repeat { flag::REPEAT } else { 0 })
        };
        group.iter().map(|&slot| (slot, flags(slot))).collect()
    }

    /// Whether an item has no file, date or place that the other one has not, and is not there where that one is not.
    fn says_no_more(&self, slot: u32, other: u32) -> bool {
        let (own, others) = (self.get(slot), self.get(other));
        // Who deletes or archives hers does not hide his.
        let apart = flag::GONE | flag::ARCHIVED;
        let same = others.flags & apart & !own.flags == 0
            && self.taken(slot) == self.taken(other)
            && self.local(slot) == self.local(other)
            && own.place == others.place;
        same && self.parts(slot).all(|part| self.parts(other).any(|its| its.sha256 == part.sha256))
    }

    fn original(&self, slot: u32) -> Option<Sha256> {
        self.part(slot, PartRole::Original).map(|part| part.sha256)
    }
}

impl Tree {
    /// Notes groups of items that have the same bytes, by number: all that have them.
    pub fn apply_twins(&mut self, twins: &[Vec<u64>]) -> Changes {
        let mut touched = Touched::default();
        for group in twins {
            let group: Vec<u32> = group.iter().filter_map(|ordinal| self.items.find(*ordinal)).collect();
            self.mark_alike(&group, &mut touched);
        }
        self.settle(touched)
    }

    /// Groups of items whose originals are the same bytes, by number.
    pub fn twins(&self) -> Vec<Vec<u64>> {
        let twins = self.items.twins();
        let ordinal = |slot: u32| self.items.get(slot).ordinal;
        twins.into_iter().map(|group| group.into_iter().map(ordinal).collect()).collect()
    }

    /// Originals that an item had and has, where these are not the same.
    pub(super) fn parted(&self, before: u32, now: u32) -> Vec<Sha256> {
        let (was, is) = (self.items.original(before), self.items.original(now));
        if was == is { Vec::new() } else { was.into_iter().chain(is).collect() }
    }

    /// Items have left these bytes or come to them: those who have them may have lost a twin. Not before their names are
    /// dealt: what has none yet cannot be withdrawn.
    pub(super) fn rejoin(&mut self, bytes: &BTreeSet<Sha256>) -> Changes {
        let mut touched = Touched::default();
        if bytes.is_empty() {
            return touched.changes;
        }
        let mut alike: BTreeMap<Sha256, Vec<u32>> = BTreeMap::new();
        for slot in self.items.in_order() {
            if let Some(own) = self.items.original(slot).filter(|own| bytes.contains(own)) {
                alike.entry(own).or_default().push(slot);
            }
        }
        alike.values().for_each(|group| self.mark_alike(group, &mut touched));
        self.settle(touched)
    }

    /// Items have gone: those who had the same bytes may have lost a twin.
    pub(super) fn mark_lonely(&mut self) -> Changes {
        let twins: BTreeSet<u32> = self.items.twins().into_iter().flatten().collect();
        let is_lonely = |slot: &u32| self.items.get(*slot).flags & FLAGS != 0 && !twins.contains(slot);
        let lonely: Vec<u32> = self.items.in_order().filter(is_lonely).collect();
        let mut touched = Touched::default();
        for slot in lonely {
            self.mark_alike(&[slot], &mut touched);
        }
        self.settle(touched)
    }

    fn mark_alike(&mut self, group: &[u32], touched: &mut Touched) {
        for (slot, flags) in self.items.alike(group) {
            if self.items.get(slot).flags & FLAGS != flags {
                self.withdraw(slot, touched);
                for one in [flag::TWIN, flag::REPEAT] {
                    self.items.set_flag(slot, one, flags & one != 0);
                }
                self.show(slot, touched);
            }
        }
    }
}
