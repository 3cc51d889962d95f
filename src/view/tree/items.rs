//! The items and their parts, packed. Slots are only ever added, so that a listing taken earlier stays valid.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256 as Hash};

use super::cameras::Cameras;
use super::deal::Entry;
use super::{Attr, VIEWS, part_ino};
use crate::model::name::{self, SafeName};
use crate::model::{ArchivedPart, PartRole, Sha256};

/// All items.
#[derive(Default)]
pub struct Items {
    slots: Vec<Item>,
    parts: Vec<Part>,
    stems: String,
    extensions: Vec<Box<str>>,
    extension_ids: HashMap<Box<str>, u32>,
    by_ordinal: BTreeMap<u64, u32>,
    round: u8,
}

#[derive(Clone)]
struct Item {
    ordinal: u64,
    change: u64,
    mtime: Timestamp,
    /// Begins the SHA-256 of the key; suffixes come from it.
    mark: u64,
    stem_at: usize,
    parts_at: u32,
    spelling: u32,
    year: i16,
    month: i8,
    stem_len: u8,
    parts: u8,
    /// The reload in which it was last applied.
    round: u8,
}

/// One part of an item.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The blob.
    pub sha256: Sha256,
    size: u64,
    extension: u32,
    role: PartRole,
}

impl Items {
    /// Where the item with that number is kept.
    pub fn find(&self, ordinal: u64) -> Option<u32> {
        self.by_ordinal.get(&ordinal).copied()
    }

    /// Keeps the item made of these parts, all of the same revision. `None` if that changes nothing.
    /// Inodes whose bytes or times differ from before go to `altered`.
    pub fn take(
        &mut self,
        ordinal: u64,
        parts: &[&ArchivedPart],
        cameras: &mut Cameras,
        altered: &mut BTreeSet<u64>,
    ) -> Option<u32> {
        let first = parts.first()?;
        let old = self.find(ordinal);
        let known = old.and_then(|old| self.slots.get(old as usize)).filter(|item| item.round == self.round);
        let known = known.map(|item| item.change);
        if known.is_some_and(|change| change > first.change) {
            return None;
        }
        let mut drafts: Vec<Part> = Vec::with_capacity(parts.len());
        let mut stem = String::new();
        for part in parts {
            let name = SafeName::of_part(&part.item_name, &part.name);
            let extension = self.extension_id(name.extension());
            name.stem().clone_into(&mut stem);
            drafts.retain(|draft| draft.role != part.role);
            drafts.push(Part { sha256: part.sha256, size: part.size, extension, role: part.role });
        }
        // Parts of the very same revision that came in an earlier call.
        if let (Some(old), true) = (old, known == Some(first.change)) {
            for part in self.parts_of(old) {
                if drafts.iter().all(|draft| draft.role != part.role) {
                    drafts.push(*part);
                }
            }
        }
        drafts.sort_unstable_by_key(|part| part.role);
        let item = Item {
            ordinal,
            change: first.change,
            mtime: first.taken.instant(),
            mark: mark(first.key.as_str()),
            stem_at: self.stems.len(),
            parts_at: u32::try_from(self.parts.len()).unwrap_or(u32::MAX),
            spelling: cameras.spelling_of(first.make.as_deref(), first.model.as_deref()),
            year: first.taken.local.year().max(0),
            month: first.taken.local.month(),
            stem_len: u8::try_from(stem.len()).unwrap_or(u8::MAX),
            parts: u8::try_from(drafts.len()).unwrap_or(u8::MAX),
            round: self.round,
        };
        if let Some(old) = old {
            for draft in &drafts {
                let before = self.part(old, draft.role);
                let same_time = self.slots[old as usize].mtime == item.mtime;
                if before.is_some_and(|b| b.sha256 != draft.sha256 || b.size != draft.size || !same_time) {
                    altered.insert(part_ino(ordinal, draft.role));
                }
            }
            if self.is_same(old, &item, &stem, &drafts) {
                let known = &mut self.slots[old as usize];
                (known.change, known.round) = (item.change, item.round);
                return None;
            }
        }
        let slot = u32::try_from(self.slots.len()).ok()?;
        self.stems.push_str(&stem);
        self.parts.extend(drafts);
        self.slots.push(item);
        self.by_ordinal.insert(ordinal, slot);
        Some(slot)
    }

    /// From now on every item counts as unseen.
    pub fn next_round(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// Forgets the items that were not taken in this round; says where they are kept.
    pub fn forget_unseen(&mut self) -> Vec<u32> {
        let (slots, round) = (&self.slots, self.round);
        let mut forgotten = Vec::new();
        self.by_ordinal.retain(|_, slot| {
            let seen = slots[*slot as usize].round == round;
            if !seen {
                forgotten.push(*slot);
            }
            seen
        });
        forgotten
    }

    /// The item's number.
    pub fn ordinal(&self, slot: u32) -> u64 {
        self.slots[slot as usize].ordinal
    }

    /// Year and month of capture.
    pub fn date(&self, slot: u32) -> (i16, i8) {
        let item = &self.slots[slot as usize];
        (item.year, item.month)
    }

    /// The camera that took it.
    pub fn camera(&self, slot: u32, cameras: &Cameras) -> u32 {
        cameras.camera_of(self.spelling(slot))
    }

    /// How this item spells its camera.
    pub fn spelling(&self, slot: u32) -> u32 {
        self.slots[slot as usize].spelling
    }

    /// All items, lowest number first.
    pub fn in_order(&self) -> impl Iterator<Item = u32> + '_ {
        self.by_ordinal.values().copied()
    }

    /// Number of parts.
    pub fn count(&self, slot: u32) -> u64 {
        self.slots[slot as usize].parts.into()
    }

    /// The roles of the item's parts.
    pub fn roles(&self, slot: u32) -> impl Iterator<Item = PartRole> + '_ {
        self.parts_of(slot).iter().map(|part| part.role)
    }

    /// The part with that role.
    pub fn part(&self, slot: u32, role: PartRole) -> Option<&Part> {
        self.parts_of(slot).iter().find(|part| part.role == role)
    }

    /// The attributes of a part.
    pub fn attr(&self, slot: u32, role: PartRole) -> Option<Attr> {
        let part = self.part(slot, role)?;
        let item = &self.slots[slot as usize];
        Some(Attr {
            ino: part_ino(item.ordinal, role),
            size: part.size,
            mtime: item.mtime,
            is_dir: false,
            links: VIEWS,
        })
    }

    /// Appends the name of an entry.
    pub fn write_name(&self, entry: Entry, to: &mut String) {
        self.write_stem(entry, to);
        self.write_extension(entry, to);
    }

    /// Appends what [`Items::write_stem`] leaves out.
    pub fn write_extension(&self, entry: Entry, to: &mut String) {
        if let Some(part) = self.part(entry.slot, entry.role()) {
            name::write_extension(to, &self.extensions[part.extension as usize]);
        }
    }

    /// Appends the name of an entry without its extension.
    pub fn write_stem(&self, entry: Entry, to: &mut String) {
        let Some(part) = self.part(entry.slot, entry.role()) else { return };
        let item = &self.slots[entry.slot as usize];
        let extension = |part: &Part| &*self.extensions[part.extension as usize];
        let same = self
            .part(entry.slot, PartRole::Original)
            .is_some_and(|original| extension(original).eq_ignore_ascii_case(extension(part)));
        let suffix = (entry.level > 0).then(|| suffix(item.mark, entry.level));
        name::write_stem(to, self.stem(item), suffix, name::word(part.role, same));
    }

    fn stem(&self, item: &Item) -> &str {
        &self.stems[item.stem_at..item.stem_at + usize::from(item.stem_len)]
    }

    fn parts_of(&self, slot: u32) -> &[Part] {
        let item = &self.slots[slot as usize];
        let at = item.parts_at as usize;
        &self.parts[at..at + usize::from(item.parts)]
    }

    fn is_same(&self, slot: u32, item: &Item, stem: &str, parts: &[Part]) -> bool {
        let known = &self.slots[slot as usize];
        let shown = |item: &Item| (item.mtime, item.mark, item.spelling, item.year, item.month);
        shown(known) == shown(item) && self.stem(known) == stem && self.parts_of(slot) == parts
    }

    fn extension_id(&mut self, extension: &str) -> u32 {
        if let Some(id) = self.extension_ids.get(extension) {
            return *id;
        }
        let id = u32::try_from(self.extensions.len()).unwrap_or(u32::MAX);
        self.extensions.push(extension.into());
        self.extension_ids.insert(extension.into(), id);
        id
    }
}

fn first_eight(hash: Hash) -> u64 {
    let digest: [u8; 32] = hash.finalize().into();
    digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

fn mark(key: &str) -> u64 {
    first_eight(Hash::new().chain_update(key))
}

/// The suffix of a clashing name: from the key alone, and another one for every further clash.
fn suffix(mark: u64, level: u16) -> u32 {
    let bits = match level {
        1 => mark,
        level => first_eight(Hash::new().chain_update(mark.to_be_bytes()).chain_update(level.to_be_bytes())),
    };
    (bits >> 32) as u32
}
