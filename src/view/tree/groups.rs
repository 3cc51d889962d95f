//! Groups of items whose names must differ: all that the directories of a template put in one place, whether a
//! view shows them there or not. So a name depends neither on what a view leaves out nor on what comes later.

use std::collections::{HashMap, HashSet};

use super::items::{Items, clash};

/// What tells the groups of one domain apart: the numbers of the template's facts, the album last.
pub type Key = [u32; 7];

/// All groups.
#[derive(Default)]
pub struct Groups {
    list: Vec<Group>,
    by_key: HashMap<(u16, Key), u32, Quick>,
}

/// One group.
#[derive(Default)]
pub struct Group {
    key: Key,
    /// Its items in the order of their numbers.
    members: Vec<u32>,
    /// How often the names of these items clashed; of all others, never.
    levels: HashMap<u32, u16>,
    /// In which views it is a directory: the view, the directory, and how many items it shows.
    pub shown: Vec<(u16, u32, u32)>,
}

impl Groups {
    /// The group with that key, made where it is missing.
    pub fn find_or_make(&mut self, domain: u16, key: Key) -> u32 {
        let next = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        let group = *self.by_key.entry((domain, key)).or_insert(next);
        if group == next {
            self.list.push(Group::new(key));
        }
        group
    }

    /// Takes a group that was made elsewhere; its number.
    pub fn adopt(&mut self, domain: u16, key: Key, group: Group) -> u32 {
        let number = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.list.push(group);
        self.by_key.insert((domain, key), number);
        number
    }

    /// The group with that key.
    pub fn find(&self, domain: u16, key: Key) -> Option<u32> {
        self.by_key.get(&(domain, key)).copied()
    }

    /// A group.
    pub fn get(&self, group: u32) -> &Group {
        &self.list[group as usize]
    }

    /// A group.
    pub fn get_mut(&mut self, group: u32) -> &mut Group {
        &mut self.list[group as usize]
    }
}

impl Group {
    /// A group without items.
    pub fn new(key: Key) -> Self {
        Self { key, ..Self::default() }
    }

    /// Gives back memory that it does not need for the items that it has.
    pub fn settle(&mut self) {
        self.members.shrink_to_fit();
    }

    /// The album whose items these are.
    pub fn album(&self) -> Option<u32> {
        self.key[6].checked_sub(1)
    }

    /// The items, in the order of their numbers.
    pub fn members(&self) -> &[u32] {
        &self.members
    }

    /// How often an item's name clashed: 0 is the bare name, every other number another suffix.
    pub fn level(&self, slot: u32) -> u16 {
        if self.levels.is_empty() { 0 } else { self.levels.get(&slot).copied().unwrap_or(0) }
    }

    /// Adds an item.
    pub fn add(&mut self, slot: u32, items: &Items) {
        let ordinal = items.get(slot).ordinal;
        let last = self.members.last().map(|&last| items.get(last).ordinal);
        if last.is_none_or(|last| last < ordinal) {
            self.members.push(slot);
            return;
        }
        match self.members.binary_search_by_key(&ordinal, |&member| items.get(member).ordinal) {
            Ok(at) => self.members[at] = slot,
            Err(at) => self.members.insert(at, slot),
        }
    }

    /// Adds an item with a higher number than all others.
    pub fn push(&mut self, slot: u32) {
        self.members.push(slot);
    }

    /// Takes an item out.
    pub fn remove(&mut self, slot: u32, items: &Items) {
        let ordinal = items.get(slot).ordinal;
        if let Ok(at) = self.members.binary_search_by_key(&ordinal, |&member| items.get(member).ordinal) {
            self.members.remove(at);
        }
    }

    /// Deals the names again; the items whose names changed, with their levels before.
    ///
    /// Programs that read photos take files of one stem for one photo. So all parts of an item get the same
    /// suffix, chosen such that no stem of theirs is that of an earlier item's part, be it there or only possible.
    pub fn deal(&mut self, items: &Items) -> Vec<(u32, u16)> {
        let mut taken: HashSet<u64, Passed> = HashSet::with_capacity_and_hasher(self.members.len(), Passed);
        let mut levels = HashMap::new();
        for &slot in &self.members {
            if taken.insert(items.get(slot).clash) {
                continue;
            }
            let free = (1..=u16::MAX)
                .find(|level| taken.insert(clash(items.stem_of(slot), Some(items.suffix(slot, *level)))));
            levels.insert(slot, free.unwrap_or(u16::MAX));
        }
        let before = std::mem::replace(&mut self.levels, levels);
        let mut changed: Vec<(u32, u16)> = Vec::new();
        for &slot in before.keys().chain(self.levels.keys()) {
            let was = before.get(&slot).copied().unwrap_or(0);
            if was != self.level(slot) {
                changed.push((slot, was));
            }
        }
        changed.sort_unstable();
        changed.dedup();
        changed
    }
}

/// A short hash for short keys that nobody outside can choose.
#[derive(Clone, Copy, Default)]
pub struct Quick;

impl std::hash::BuildHasher for Quick {
    type Hasher = Mixed;

    fn build_hasher(&self) -> Mixed {
        Mixed(0)
    }
}

/// The hash so far.
pub struct Mixed(u64);

impl std::hash::Hasher for Mixed {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_ne_bytes(word));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

/// The numbers are hashes already.
#[derive(Clone, Copy, Default)]
struct Passed;

impl std::hash::BuildHasher for Passed {
    type Hasher = Through;

    fn build_hasher(&self) -> Through {
        Through(0)
    }
}

struct Through(u64);

impl std::hash::Hasher for Through {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
