//! Deals the names of one directory.

use std::collections::HashSet;

use super::items::Items;
use crate::model::PartRole;
use crate::model::name::fold;

/// One file of a directory; its name is composed when it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where the item is kept.
    pub slot: u32,
    /// How often its name clashed: 0 is the bare name, every other number another suffix.
    pub level: u16,
    /// Code of the part's role.
    pub role: u8,
}

impl Entry {
    /// The part's role.
    pub fn role(self) -> PartRole {
        PartRole::from_code(self.role).unwrap_or(PartRole::Original)
    }
}

/// Names for these items, lowest number first; the entries come back in the order of their names.
///
/// Programs that read photos take files of one stem for one photo. So all parts of an item get the same
/// suffix, chosen such that none of them has the stem of a part of an earlier item.
pub fn deal(items: &Items, slots: &[u32]) -> Vec<Entry> {
    let mut taken: HashSet<String> = HashSet::with_capacity(slots.len());
    let mut named: Vec<(String, Entry)> = Vec::with_capacity(slots.len());
    let mut candidates: Vec<(String, String, Entry)> = Vec::new();
    for &slot in slots {
        for level in 0..=u16::MAX {
            candidates.clear();
            for role in items.roles(slot) {
                let entry = Entry { slot, level, role: role.code() };
                let mut name = String::with_capacity(32);
                items.write_stem(entry, &mut name);
                let stem = fold(&name);
                items.write_extension(entry, &mut name);
                candidates.push((stem, name, entry));
            }
            if candidates.iter().any(|(stem, ..)| taken.contains(stem)) {
                continue;
            }
            for (stem, name, entry) in candidates.drain(..) {
                taken.insert(stem);
                named.push((name, entry));
            }
            break;
        }
    }
    named.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    named.into_iter().map(|(_, entry)| entry).collect()
}

/// The names of `old` that do not stand for the same inode in `new`; both are in the order of names.
pub fn lost(items: &Items, old: &[Entry], new: &[Entry]) -> Vec<String> {
    let name_of = |entry: Entry| {
        let mut name = String::new();
        items.write_name(entry, &mut name);
        name
    };
    let mut lost = Vec::new();
    let mut rest = new.iter().peekable();
    let mut now = rest.next().map(|&entry| (name_of(entry), entry));
    for &entry in old {
        let name = name_of(entry);
        while now.as_ref().is_some_and(|(now, _)| *now < name) {
            now = rest.next().map(|&entry| (name_of(entry), entry));
        }
        let same = now.as_ref().is_some_and(|(now, there)| {
            *now == name && there.role == entry.role && items.ordinal(there.slot) == items.ordinal(entry.slot)
        });
        if !same {
            lost.push(name);
        }
    }
    lost
}
