//! The items and their parts, packed. Slots are only ever added, so that a listing taken earlier stays valid.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256 as Hash};

use super::texts::{Named, Numbers};
use super::{Attr, part_ino};
use crate::model::name::{self, SafeName};
use crate::model::{BorrowedItem, Creation, ItemState, PartRole, Sha256};
use crate::view::layout::Kind;
use crate::view::sidecar;

/// All items.
#[derive(Default)]
pub struct Items {
    slots: Vec<Item>,
    parts: Vec<Part>,
    stems: String,
    extensions: Vec<Box<str>>,
    extension_ids: HashMap<Box<str>, u16, RandomState>,
    by_ordinal: Ordinals,
    round: u8,
}

/// What is so of an item; bits of [`Item::flags`].
pub mod flag {
    /// Marked as favourite.
    pub const FAVOURITE: u16 = 1;
    /// In the archive section.
    pub const ARCHIVED: u16 = 1 << 1;
    /// No longer in the library.
    pub const GONE: u16 = 1 << 2;
    /// Somebody else's.
    pub const FOREIGN: u16 = 1 << 3;
    /// In an album that is there.
    pub const IN_ALBUM: u16 = 1 << 4;
    /// Its bytes are those of another item of the same account, too.
    pub const TWIN: u16 = 1 << 5;
    /// Among the latest additions.
    pub const RECENT: u16 = 1 << 6;
    /// What stands for its camera is none.
    pub const NO_CAMERA: u16 = 1 << 7;
    /// What is known of its date contradicts itself.
    pub const DATE_CONFLICT: u16 = 1 << 8;
    /// An earlier item of another account is the same photo.
    pub const REPEAT: u16 = 1 << 9;
}

/// One revision of an item.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its number.
    pub ordinal: u64,
    change: u32,
    /// Begins the SHA-256 of the key; suffixes come from it.
    mark: u32,
    /// What names share that may not stand beside each other; see [`clash`].
    pub clash: u64,
    seconds: i64,
    /// Year, month and day of capture by the clock of the place.
    pub date: (i16, u8, u8),
    nanoseconds: i32,
    offset_s: i32,
    /// When this revision was recorded: seconds since 1970.
    pub since: u32,
    /// Days since 1970.
    pub added: i32,
    stem_at: u32,
    parts_at: u32,
    /// Number of its camera.
    pub camera: u32,
    /// Number of its lens.
    pub lens: u32,
    /// Number of its place.
    pub place: u32,
    /// Number of its owner.
    pub owner: u32,
    /// Bytes that its description takes in a sidecar.
    pub described: u16,
    /// Number of its account.
    pub account: u16,
    /// Bits of [`flag`].
    pub flags: u16,
    /// What kind of thing it is.
    pub kind: Kind,
    stem_len: u8,
    parts: u8,
    /// The reload in which it was last applied.
    round: u8,
    /// In how many places its original is shown.
    pub links: u8,
}

/// One version of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The blob.
    pub sha256: Sha256,
    /// Bytes, in halves: a whole number would make each part four bytes longer.
    size: [u32; 2],
    extension: u16,
    /// Which version; 255 also stands for all later ones.
    pub version: u8,
    /// Which file.
    pub role: PartRole,
}

impl Items {
    /// Room for that many more.
    pub fn reserve(&mut self, items: usize) {
        self.slots.reserve_exact(items);
        self.parts.reserve_exact(items + items / 8);
        self.stems.reserve_exact(items * 12);
    }

    /// Where the latest known revision of the item with that number is kept.
    pub fn find(&self, ordinal: u64) -> Option<u32> {
        self.by_ordinal.get(ordinal)
    }

    /// Keeps a revision of an item. `None` if that changes nothing.
    pub fn take(&mut self, item: &BorrowedItem<'_>, named: &mut Named) -> Option<u32> {
        if item.parts.is_empty() {
            return None;
        }
        let old = self.find(item.ordinal);
        let known = old.map(|old| &self.slots[old as usize]).filter(|known| known.round == self.round);
        let change = u32::try_from(item.change).unwrap_or(u32::MAX);
        if known.is_some_and(|known| known.change > change) {
            return None;
        }
        let safe = SafeName::new(&item.name);
        let mut parts: Vec<Part> = Vec::with_capacity(item.parts.len());
        for part in &item.parts {
            let extension = if part.name == item.name {
                self.extension_id(safe.extension())
            } else {
                self.extension_id(&safe.extension_of(&part.name))
            };
            parts.push(Part {
                sha256: part.sha256,
                size: halves(part.size),
                extension,
                version: u8::try_from(part.version).unwrap_or(u8::MAX),
                role: part.role,
            });
        }
        // The latest version of a role comes first.
        parts.sort_unstable_by_key(|part| (part.role, std::cmp::Reverse(part.version)));
        parts.truncate(u8::MAX.into());
        let instant = item.taken.instant();
        let local = jiff::tz::Offset::UTC.to_timestamp(item.taken.local).unwrap_or(instant);
        let kept = old.map_or(0, |old| {
            self.slots[old as usize].flags & (flag::IN_ALBUM | flag::TWIN | flag::REPEAT | flag::RECENT)
        });
        let live = item.parts.iter().any(|part| part.role == PartRole::Motion);
        let animation = item.creation == Some(Creation::Animation);
        let new = Item {
            ordinal: item.ordinal,
            change,
            mark: first_four(Hash::new().chain_update(item.first_key().as_str())),
            clash: clash(safe.stem(), None),
            seconds: instant.as_second(),
            nanoseconds: instant.subsec_nanosecond(),
            offset_s: i32::try_from(local.as_second() - instant.as_second()).unwrap_or(0),
            date: (
                item.taken.local.year().max(0),
                item.taken.local.month().unsigned_abs(),
                item.taken.local.day().unsigned_abs(),
            ),
            since: u32::try_from(item.since.as_second()).unwrap_or(0),
            described: item.description.as_deref().map_or(0, sidecar::text_len),
            added: i32::try_from(item.added.as_second().div_euclid(86_400)).unwrap_or(0),
            stem_at: u32::try_from(self.stems.len()).unwrap_or(u32::MAX),
            parts_at: u32::try_from(self.parts.len()).unwrap_or(u32::MAX),
            camera: named.camera(item.make.as_deref(), item.model.as_deref(), item.origin),
            lens: item.lens.as_deref().map_or(0, |lens| named.lenses.id(lens.trim())),
            place: named.place(item.position),
            owner: item.owner.as_deref().map_or(0, |owner| named.owners.id(owner)),
            account: u16::try_from(named.accounts.id(&item.account)).unwrap_or(0),
            flags: kept
                | if item.favourite { flag::FAVOURITE } else { 0 }
                | if item.archived { flag::ARCHIVED } else { 0 }
                | if item.state == ItemState::Gone { flag::GONE } else { 0 }
                | if item.foreign { flag::FOREIGN } else { 0 }
                | if item.origin.is_some() { flag::NO_CAMERA } else { 0 }
                | if item.date_conflict { flag::DATE_CONFLICT } else { 0 },
            kind: Kind::of(item.media_type.as_deref(), &item.name, live, animation),
            stem_len: u8::try_from(safe.stem().len()).unwrap_or(u8::MAX),
            parts: u8::try_from(parts.len()).unwrap_or(u8::MAX),
            round: self.round,
            links: 0,
        };
        if let Some(old) = old {
            let known = &self.slots[old as usize];
            let place = Item {
                change: known.change,
                round: known.round,
                stem_at: known.stem_at,
                parts_at: known.parts_at,
                links: known.links,
                ..new.clone()
            };
            if *known == place && self.stem(known) == safe.stem() && self.all_parts(old) == parts {
                let known = &mut self.slots[old as usize];
                (known.change, known.round) = (new.change, new.round);
                return None;
            }
        }
        let slot = u32::try_from(self.slots.len()).ok()?;
        self.stems.push_str(safe.stem());
        self.parts.extend(parts);
        self.slots.push(new);
        self.by_ordinal.set(item.ordinal, slot);
        Some(slot)
    }

    /// Takes all items of another list, whose numbers are all higher; `named` are its texts here.
    pub fn append(&mut self, other: Self, named: &Numbers) {
        let Ok(stems) = u32::try_from(self.stems.len()) else { return };
        let Ok(parts) = u32::try_from(self.parts.len()) else { return };
        let extensions: Vec<u16> =
            other.extensions.iter().map(|extension| self.extension_id(extension)).collect();
        self.stems.push_str(&other.stems);
        self.parts.extend(other.parts.into_iter().map(|part| Part {
            extension: extensions.get(usize::from(part.extension)).copied().unwrap_or(u16::MAX),
            ..part
        }));
        for item in other.slots {
            let Ok(slot) = u32::try_from(self.slots.len()) else { return };
            self.by_ordinal.set(item.ordinal, slot);
            self.slots.push(Item {
                stem_at: item.stem_at + stems,
                parts_at: item.parts_at + parts,
                camera: named.cameras.of(item.camera),
                lens: named.lenses.of(item.lens),
                place: named.places.of(item.place),
                owner: named.owners.of(item.owner),
                account: u16::try_from(named.accounts.of(item.account.into())).unwrap_or(0),
                ..item
            });
        }
    }

    /// From now on every item counts as unseen.
    pub fn next_round(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// Forgets the items that were not taken in this round; says where they are kept.
    pub fn forget_unseen(&mut self) -> Vec<u32> {
        let (slots, round) = (&self.slots, self.round);
        self.by_ordinal.drop_where(|slot| slots[slot as usize].round != round)
    }

    /// A revision.
    pub fn get(&self, slot: u32) -> &Item {
        &self.slots[slot as usize]
    }

    /// Notes in how many places the original is shown.
    pub fn set_links(&mut self, slot: u32, links: u8) {
        self.slots[slot as usize].links = links;
    }

    /// Sets or clears a flag; whether that changed it.
    pub fn set_flag(&mut self, slot: u32, flag: u16, on: bool) -> bool {
        let flags = &mut self.slots[slot as usize].flags;
        let before = *flags;
        *flags = if on { before | flag } else { before & !flag };
        *flags != before
    }

    /// All items, lowest number first.
    pub fn in_order(&self) -> impl Iterator<Item = u32> + '_ {
        self.by_ordinal.slots()
    }

    /// Items whose originals are the same bytes, in groups.
    pub fn twins(&self) -> Vec<Vec<u32>> {
        let original = |slot: u32| self.part(slot, PartRole::Original).map(|part| part.sha256);
        let mut by_hash: Vec<(u64, u32)> = self
            .in_order()
            .filter_map(|slot| Some((u64::from_be_bytes(*original(slot)?.bytes().first_chunk()?), slot)))
            .collect();
        by_hash.sort_unstable();
        let mut twins = Vec::new();
        for alike in by_hash.chunk_by(|(a, _), (b, _)| a == b).filter(|alike| alike.len() > 1) {
            let mut groups: BTreeMap<Sha256, Vec<u32>> = BTreeMap::new();
            for &(_, slot) in alike {
                groups.entry(original(slot).unwrap_or(Sha256::new([0; 32]))).or_default().push(slot);
            }
            twins.extend(groups.into_values().filter(|group| group.len() > 1));
        }
        twins
    }

    /// The latest version of each part.
    pub fn parts(&self, slot: u32) -> impl Iterator<Item = &Part> + '_ {
        let mut last = None;
        self.all_parts(slot).iter().filter(move |part| last.replace(part.role) != Some(part.role))
    }

    /// The latest version of the part with that role.
    pub fn part(&self, slot: u32, role: PartRole) -> Option<&Part> {
        self.all_parts(slot).iter().find(|part| part.role == role)
    }

    /// A version of a part.
    pub fn version(&self, slot: u32, role: PartRole, version: u8) -> Option<&Part> {
        self.all_parts(slot)
            .iter()
            .find(|part| part.role == role && part.version.min(super::MOST_VERSIONS) == version)
    }

    /// The attributes of a part, but for its links.
    pub fn attr(&self, slot: u32, part: &Part) -> Attr {
        let item = self.get(slot);
        Attr {
            ino: part_ino(item.ordinal, part.role, part.version),
            size: u64::from(part.size[0]) << 32 | u64::from(part.size[1]),
            mtime: self.taken(slot),
            is_dir: false,
            links: 1,
        }
    }

    /// When an item was taken.
    pub fn taken(&self, slot: u32) -> Timestamp {
        let item = self.get(slot);
        Timestamp::new(item.seconds, item.nanoseconds).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// When it was taken by the clock of the place, as if that were UTC: seconds since 1970.
    pub fn local(&self, slot: u32) -> i64 {
        let item = self.get(slot);
        item.seconds + i64::from(item.offset_s)
    }

    /// The extension of a part.
    pub fn extension(&self, part: &Part) -> &str {
        &self.extensions[part.extension as usize]
    }

    /// The stem of an item's name.
    pub fn stem_of(&self, slot: u32) -> &str {
        self.stem(self.get(slot))
    }

    /// The suffix of a clashing name: from the key alone, and another one for every further clash.
    pub fn suffix(&self, slot: u32, level: u16) -> u32 {
        let mark = self.get(slot).mark;
        match level {
            1 => mark,
            level => {
                first_four(Hash::new().chain_update(mark.to_be_bytes()).chain_update(level.to_be_bytes()))
            }
        }
    }

    fn stem(&self, item: &Item) -> &str {
        let at = item.stem_at as usize;
        &self.stems[at..at + usize::from(item.stem_len)]
    }

    fn all_parts(&self, slot: u32) -> &[Part] {
        let item = self.get(slot);
        let at = item.parts_at as usize;
        &self.parts[at..at + usize::from(item.parts)]
    }

    fn extension_id(&mut self, extension: &str) -> u16 {
        if let Some(id) = self.extension_ids.get(extension) {
            return *id;
        }
        let id = u16::try_from(self.extensions.len()).unwrap_or(u16::MAX);
        self.extensions.push(extension.into());
        self.extension_ids.insert(extension.into(), id);
        id
    }
}

/// A number that stems share which may not be beside each other in a directory: case, composition and the words
/// of parts do not count, since `IMG_1-edited` would stand for a part of `IMG_1`. Two others that share one by
/// chance only get a suffix without need.
pub fn clash(stem: &str, suffix: Option<u32>) -> u64 {
    let plain = stem.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') && stem.len() > 4;
    let folded = if plain { String::new() } else { name::fold(stem) };
    let mut bare = if plain { stem } else { &folded };
    // Before a suffix a word is no part's: `A-edited~01234567` is what such a name really looks like.
    while let Some(less) = without_word(bare).filter(|_| suffix.is_none()) {
        bare = less;
    }
    // After the words are gone: `con-motion` may be a part of `con`.
    let bare = if plain && bare.len() > 4 { bare.into() } else { name::portable(bare) };
    // FNV-1a, then mixed: short and the same on every machine.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bare.bytes().for_each(|byte| add(byte.to_ascii_lowercase()));
    if let Some(suffix) = suffix {
        format!("~{suffix:08x}").bytes().for_each(add);
    }
    hash ^ (hash >> 29)
}

#[expect(clippy::cast_possible_truncation, reason = "the halves of a number")]
const fn halves(size: u64) -> [u32; 2] {
    [(size >> 32) as u32, size as u32]
}

/// A stem without the word of a part at its end.
fn without_word(stem: &str) -> Option<&str> {
    let (less, word) = stem.split_at_checked(stem.len().checked_sub("-edited".len())?)?;
    (word.eq_ignore_ascii_case("-edited") || word.eq_ignore_ascii_case("-motion")).then_some(less)
}

fn first_four(hash: Hash) -> u32 {
    let digest: [u8; 32] = hash.finalize().into();
    digest.first_chunk().map_or(0, |first| u32::from_be_bytes(*first))
}

/// Slots by number. Numbers are dealt one after the other, so most are places in a list.
#[derive(Default)]
struct Ordinals {
    dense: Vec<u32>,
    sparse: BTreeMap<u64, u32>,
}

const NONE: u32 = u32::MAX;

impl Ordinals {
    fn get(&self, ordinal: u64) -> Option<u32> {
        let dense = usize::try_from(ordinal).ok().and_then(|at| self.dense.get(at)).copied();
        dense.filter(|slot| *slot != NONE).or_else(|| self.sparse.get(&ordinal).copied())
    }

    fn set(&mut self, ordinal: u64, slot: u32) {
        match usize::try_from(ordinal) {
            Ok(at) if at < self.dense.len() => self.dense[at] = slot,
            // A gap of some numbers that never came to an item; a wild one is not worth a list.
            Ok(at) if at < self.dense.len() + 4096 => {
                self.dense.resize(at, NONE);
                self.dense.push(slot);
            }
            _ => {
                self.sparse.insert(ordinal, slot);
            }
        }
    }

    fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.dense.iter().copied().filter(|slot| *slot != NONE).chain(self.sparse.values().copied())
    }

    fn drop_where(&mut self, gone: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut dropped = Vec::new();
        for slot in &mut self.dense {
            if *slot != NONE && gone(*slot) {
                dropped.push(std::mem::replace(slot, NONE));
            }
        }
        self.sparse.retain(|_, slot| {
            let gone = gone(*slot);
            if gone {
                dropped.push(*slot);
            }
            !gone
        });
        dropped
    }
}
