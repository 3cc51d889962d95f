//! The tree that people browse, in memory: pure, fed with archived parts, the same whatever order they come in.
//!
//! # Promises
//! * The tree is a function of the set of parts. Directories, names, inodes and times do not depend on the
//!   order or grouping in which [`Tree::apply`] got them, so they are the same after a restart.
//! * A part's inode is made of its item's number and its role and is never another part's. A directory's is
//!   made of its path.
//! * In each directory the item with the lowest number keeps its name; a later one with the same stem (case
//!   and extension ignored) gets a suffix from its key. So a third clash renames neither of the first two,
//!   the parts of an item share their stem, and no others do.
//! * Items that left the library stay: what is archived is shown.

mod cameras;
mod deal;
mod directory;
mod items;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use self::cameras::Cameras;
pub use self::deal::Entry;
use self::directory::Directories;
use self::items::Items;
use crate::model::{ArchivedPart, PartRole, Sha256};

/// The inode of the root directory.
pub const ROOT: u64 = 1;
/// Numbers of items at or above this are refused; their inodes would meet those of directories.
const MOST_ORDINAL: u64 = 1 << 48;

/// The directory of items by capture date.
pub const BY_DATE: &str = "by-date";
/// The directory of items by camera.
pub const BY_CAMERA: &str = "by-camera";
/// Where items without a camera are.
pub const UNKNOWN_CAMERA: &str = "Unknown camera";
/// Number of places in which each part is shown: the link count of files.
pub const VIEWS: u32 = 2;

/// The tree.
pub struct Tree {
    items: Items,
    cameras: Cameras,
    directories: Directories,
    parts: u64,
}

/// What a file or directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr {
    /// Inode number.
    pub ino: u64,
    /// Bytes; 0 for a directory.
    pub size: u64,
    /// Of a file its capture time, of a directory the time of its last change.
    pub mtime: Timestamp,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Links: places that show the file, or subdirectories and two.
    pub links: u32,
}

/// What a change of the tree makes stale in the caches of others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Inodes of directories whose listing changed.
    pub directories: BTreeSet<u64>,
    /// Names that no longer stand for the same inode, by directory.
    pub removed: BTreeSet<(u64, String)>,
    /// Inodes of files whose bytes or times changed.
    pub altered: BTreeSet<u64>,
}

impl Changes {
    /// Adds what another change makes stale.
    pub fn merge(&mut self, other: Self) {
        self.directories.extend(other.directories);
        self.removed.extend(other.removed);
        self.altered.extend(other.altered);
    }
}

/// The entries of a directory at one moment; stays as it is while the tree changes.
#[derive(Clone)]
pub struct Listing {
    own: u64,
    parent: u64,
    children: Arc<Vec<u32>>,
    files: Arc<Vec<Entry>>,
}

/// One file of a walk over the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Path from the root, without a leading slash.
    pub path: String,
    /// Its attributes.
    pub attr: Attr,
    /// The blob with its bytes.
    pub sha256: Sha256,
}

/// The inode of a part.
pub const fn part_ino(ordinal: u64, role: PartRole) -> u64 {
    16 + (ordinal << 2 | role.code() as u64)
}

const fn split_ino(ino: u64) -> Option<(u64, u8)> {
    match ino.checked_sub(16) {
        Some(rest) => Some((rest >> 2, (rest & 3) as u8)),
        None => None,
    }
}

impl Tree {
    /// A tree that holds nothing but its views; `now` is the time of its directories.
    pub fn new(now: Timestamp) -> Self {
        let mut directories = Directories::new(now);
        for view in [BY_DATE, BY_CAMERA] {
            directories.find_or_make(&[(view, view)], now);
        }
        Self { items: Items::default(), cameras: Cameras::default(), directories, parts: 0 }
    }

    /// Takes new or changed parts. All parts of one revision of an item come in one call; an older revision
    /// than the one known is ignored. `now` becomes the time of the directories that change.
    pub fn apply(&mut self, parts: &[ArchivedPart], now: Timestamp) -> Changes {
        let mut by_item: BTreeMap<u64, Vec<&ArchivedPart>> = BTreeMap::new();
        for part in parts {
            if part.ordinal >= MOST_ORDINAL {
                tracing::error!("item {} has the number {}, too high to be shown", part.key, part.ordinal);
                continue;
            }
            let known = by_item.entry(part.ordinal).or_default();
            match known.first().map(|first| first.change.cmp(&part.change)) {
                Some(std::cmp::Ordering::Greater) => {}
                Some(std::cmp::Ordering::Less) => *known = vec![part],
                _ => known.push(part),
            }
        }
        let mut touched = Touched::default();
        let mut changes = Changes::default();
        for (ordinal, parts) in by_item {
            let old = self.items.find(ordinal);
            let Some(new) = self.items.take(ordinal, &parts, &mut self.cameras, &mut changes.altered) else {
                continue;
            };
            self.replace(old, Some(new), &mut touched, &mut changes, now);
        }
        self.settle(touched, changes, now)
    }

    /// Begins anew without forgetting: the sequence of changes starts over, as after the index was made
    /// again. Items that are not applied until [`Tree::end_reload`] are gone then, and not before.
    pub fn begin_reload(&mut self) {
        self.items.next_round();
    }

    /// Removes what [`Tree::begin_reload`] found and nobody applied since.
    pub fn end_reload(&mut self, now: Timestamp) -> Changes {
        let mut touched = Touched::default();
        let mut changes = Changes::default();
        for slot in self.items.forget_unseen() {
            self.replace(Some(slot), None, &mut touched, &mut changes, now);
        }
        self.settle(touched, changes, now)
    }

    /// Files in one view.
    pub fn parts(&self) -> u64 {
        self.parts
    }

    /// The attributes of an inode.
    pub fn attr(&self, ino: u64) -> Option<Attr> {
        if let Some(directory) = self.directories.by_ino(ino) {
            return Some(self.directories.attr(directory));
        }
        let (ordinal, code) = split_ino(ino)?;
        let slot = self.items.find(ordinal)?;
        self.items.attr(slot, PartRole::from_code(code)?)
    }

    /// The blob of a file.
    pub fn blob(&self, ino: u64) -> Option<Sha256> {
        let (ordinal, code) = split_ino(ino)?;
        let slot = self.items.find(ordinal)?;
        self.items.part(slot, PartRole::from_code(code)?).map(|part| part.sha256)
    }

    /// What stands under a name in a directory.
    pub fn lookup(&self, parent: u64, name: &str) -> Option<Attr> {
        let directory = self.directories.by_ino(parent)?;
        if let Some(child) = self.directories.child(directory, name) {
            return Some(self.directories.attr(child));
        }
        let files = self.directories.files(directory);
        let mut buffer = String::new();
        let found = files.binary_search_by(|entry| {
            buffer.clear();
            self.items.write_name(*entry, &mut buffer);
            buffer.as_str().cmp(name)
        });
        let entry = files.get(found.ok()?)?;
        self.items.attr(entry.slot, entry.role())
    }

    /// The entries of a directory as they are now; `None` if it is none.
    pub fn listing(&self, ino: u64) -> Option<Listing> {
        let directory = self.directories.by_ino(ino)?;
        Some(Listing {
            own: ino,
            parent: self.directories.parent_ino(directory),
            children: self.directories.children(directory),
            files: Arc::clone(self.directories.files(directory)),
        })
    }

    /// Entry `at` of a listing: its name and attributes. The first two are `.` and `..`; `None` at the end.
    pub fn entry(&self, listing: &Listing, at: usize) -> Option<(String, Attr)> {
        let directory = |ino| self.directories.by_ino(ino).map(|directory| self.directories.attr(directory));
        match at {
            // A directory that went meanwhile still has its own dots.
            0 => Some((".".into(), directory(listing.own).unwrap_or(self.directories.attr(0)))),
            1 => Some(("..".into(), directory(listing.parent).unwrap_or(self.directories.attr(0)))),
            at => {
                let at = at - 2;
                if let Some(&child) = listing.children.get(at) {
                    return Some((self.directories.name(child).to_owned(), self.directories.attr(child)));
                }
                let entry = *listing.files.get(at - listing.children.len())?;
                let mut name = String::new();
                self.items.write_name(entry, &mut name);
                Some((name, self.items.attr(entry.slot, entry.role())?))
            }
        }
    }

    /// Every file below one of the views, in the order of directories and names.
    pub fn leaves(&self, view: &str) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        if let Some(directory) = self.directories.child(0, view) {
            self.walk(directory, view, &mut leaves);
        }
        leaves
    }

    /// Every path below the root with its inode, directories included, in order; what must survive a restart.
    pub fn paths(&self) -> Vec<(String, u64)> {
        let mut paths = Vec::new();
        let mut open = vec![(0, String::new())];
        while let Some((directory, path)) = open.pop() {
            paths.push((path.clone(), self.directories.attr(directory).ino));
            for &child in self.directories.children(directory).iter() {
                open.push((child, format!("{path}/{}", self.directories.name(child))));
            }
            for &entry in self.directories.files(directory).iter() {
                let mut name = format!("{path}/");
                self.items.write_name(entry, &mut name);
                paths.push((name, part_ino(self.items.ordinal(entry.slot), entry.role())));
            }
        }
        paths.sort();
        paths
    }

    fn walk(&self, directory: u32, path: &str, leaves: &mut Vec<Leaf>) {
        for &child in self.directories.children(directory).iter() {
            self.walk(child, &format!("{path}/{}", self.directories.name(child)), leaves);
        }
        for &entry in self.directories.files(directory).iter() {
            let mut name = format!("{path}/");
            self.items.write_name(entry, &mut name);
            let attr = self.items.attr(entry.slot, entry.role());
            let part = self.items.part(entry.slot, entry.role());
            if let (Some(attr), Some(part)) = (attr, part) {
                leaves.push(Leaf { path: name, attr, sha256: part.sha256 });
            }
        }
    }

    /// Notes in which directories an item was and is.
    fn replace(
        &mut self,
        old: Option<u32>,
        new: Option<u32>,
        touched: &mut Touched,
        changes: &mut Changes,
        now: Timestamp,
    ) {
        if let Some(old) = old {
            self.parts -= self.items.count(old);
            touched.cameras.insert(self.items.camera(old, &self.cameras));
            for directory in self.places(old, changes, now) {
                touched.directories.entry(directory).or_default().gone.insert(old);
            }
        }
        if let Some(new) = new {
            self.parts += self.items.count(new);
            touched.cameras.insert(self.items.camera(new, &self.cameras));
            for directory in self.places(new, changes, now) {
                touched.directories.entry(directory).or_default().come.push(new);
            }
        }
    }

    /// The directories in which an item is shown, made where they are missing.
    fn places(&mut self, slot: u32, changes: &mut Changes, now: Timestamp) -> [u32; VIEWS as usize] {
        let (year, month) = self.items.date(slot);
        let camera = self.items.camera(slot, &self.cameras);
        let year = format!("{year:04}");
        let month = format!("{year}-{month:02}");
        let (fold, spelling) = self.cameras.names(camera);
        let by_date = [(BY_DATE, BY_DATE), (&year, &year), (&month, &month)];
        let by_camera = [(BY_CAMERA, BY_CAMERA), (fold, spelling), (&year, &year)];
        [by_date.as_slice(), by_camera.as_slice()].map(|path| {
            let (directory, grown) = self.directories.find_or_make(path, now);
            changes.directories.extend(grown);
            directory
        })
    }

    /// Deals the names in all directories that an item left or entered, and says what changed.
    fn settle(&mut self, touched: Touched, mut changes: Changes, now: Timestamp) -> Changes {
        for (directory, Touch { gone, come }) in touched.directories {
            let old = Arc::clone(self.directories.files(directory));
            let mut slots: Vec<u32> =
                old.iter().map(|entry| entry.slot).filter(|slot| !gone.contains(slot)).collect();
            slots.extend(come);
            slots.sort_unstable_by_key(|&slot| (self.items.ordinal(slot), slot));
            slots.dedup();
            let new = deal::deal(&self.items, &slots);
            let own = self.directories.attr(directory).ino;
            if !old.is_empty() {
                for name in deal::lost(&self.items, &old, &new) {
                    changes.removed.insert((own, name));
                }
            }
            changes.directories.insert(own);
            let dropped = self.directories.set_files(directory, new, now);
            changes.directories.extend(dropped.iter().map(|(parent, _)| *parent));
            changes.removed.extend(dropped);
        }
        for camera in touched.cameras {
            if !self.cameras.choose_spelling(camera, &self.items) {
                continue;
            }
            let (fold, spelling) = self.cameras.names(camera);
            if let Some((parent, old)) = self.directories.rename(&[BY_CAMERA, fold], spelling, now) {
                changes.directories.insert(parent);
                changes.removed.insert((parent, old));
            }
        }
        changes
    }
}

/// What a batch changes, before names are dealt.
#[derive(Default)]
struct Touched {
    directories: BTreeMap<u32, Touch>,
    cameras: BTreeSet<u32>,
}

#[derive(Default)]
struct Touch {
    gone: HashSet<u32>,
    come: Vec<u32>,
}
