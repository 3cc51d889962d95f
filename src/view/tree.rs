//! The tree that people browse, in memory: pure, fed with what is archived.
//!
//! # Promises
//! `view/SEMANTICS.md` lists them, each with its test. In short: inodes and names follow from
//! records alone; what is added renames and moves nothing that is there; items that left the library stay.
//!
//! # How
//! `items` holds facts, packed. A view (`shape`) puts every item into a group (`groups`) by its template;
//! names are dealt within groups, whatever the view's condition leaves out. A directory shows one group; its
//! list of files is made when somebody looks (`files`).

mod albums;
mod arrange;
mod change;
mod directory;
mod files;
mod groups;
mod items;
mod loading;
mod naming;
mod shape;
mod texts;
mod twins;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use self::albums::Albums;
use self::change::Touched;
pub use self::directory::Realm;
use self::directory::{Directories, Leaf};
pub use self::files::Entry;
use self::files::Shelf;
use self::groups::Groups;
use self::items::{Items, flag};
pub use self::loading::{Loading, Sink};
use self::shape::{Shape, shapes};
use self::texts::Named;
use crate::model::{ArchivedItem, BorrowedItem, PartRole, Sha256};
use crate::view::layout::View;

/// The inode of the root directory.
pub const ROOT: u64 = 1;
/// Numbers of items at or above this are refused; their inodes would meet those of directories.
const MOST_ORDINAL: u64 = 1 << 40;
/// Versions of a part from this on share an inode.
const MOST_VERSIONS: u8 = 127;
/// Days before the last addition that count as recent.
const RECENT_DAYS: i32 = 30;

/// The tree.
pub struct Tree {
    shapes: Arc<[Shape]>,
    items: Items,
    named: Named,
    albums: Albums,
    groups: Groups,
    directories: Directories,
    shelf: Shelf,
    newest: i32,
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
    /// Inodes of files that more or fewer places show, the directories of which have not all changed.
    pub relinked: BTreeSet<u64>,
}

impl Changes {
    /// Adds what another change makes stale.
    pub fn merge(&mut self, other: Self) {
        self.directories.extend(other.directories);
        self.removed.extend(other.removed);
        self.altered.extend(other.altered);
        self.relinked.extend(other.relinked);
    }
}

/// The entries of a directory at one moment; stays as it is while the tree changes.
#[derive(Clone)]
pub struct Listing {
    own: u64,
    parent: u64,
    leaf: Option<Leaf>,
    children: Arc<Vec<u32>>,
    files: Arc<Vec<Entry>>,
    past: Option<Arc<Tree>>,
    beside: Arc<Vec<(String, u64)>>,
}

impl Listing {
    /// A listing of a tree of the past, which stays as long as the listing.
    pub fn of(self, past: Option<Arc<Tree>>) -> Self {
        Self { past, ..self }
    }

    /// A listing with files that are not of the tree: names and inodes, shown behind it.
    pub fn beside(self, files: Vec<(String, u64)>) -> Self {
        Self { beside: Arc::new(files), ..self }
    }

    /// Which file of the tree stands at that place, counted from 0.
    pub fn file_index(&self, at: usize) -> Option<usize> {
        at.checked_sub(2 + self.children.len())
    }

    /// The file at that place behind the entries of the tree.
    pub fn file_beside(&self, at: usize) -> Option<&(String, u64)> {
        self.beside.get(self.file_index(at)?.checked_sub(self.files.len())?)
    }

    /// The tree of the past that it was taken from.
    pub fn past(&self) -> Option<&Tree> {
        self.past.as_deref()
    }
}

/// What a sidecar is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidecar {
    /// The item's number.
    pub ordinal: u64,
    /// The blob of its original.
    pub original: Sha256,
    /// Bytes that it must have.
    pub size: u64,
    /// Titles of the albums that it is in.
    pub albums: Vec<String>,
}

/// One file of a walk over the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked {
    /// Path from the root, without a leading slash.
    pub path: String,
    /// Its attributes.
    pub attr: Attr,
    /// The blob with its bytes; of a sidecar, that of its original.
    pub sha256: Sha256,
    /// Whether it is a sidecar, which is made when it is asked for.
    pub is_sidecar: bool,
}

/// The inode of a version of a part: made of the item's number, the role and the version, and never another's.
pub fn part_ino(ordinal: u64, role: PartRole, version: u8) -> u64 {
    16 + (ordinal << 10 | u64::from(version.min(MOST_VERSIONS)) << 3 | u64::from(role.code()))
}

/// The role of the part that a file's inode stands for; nothing for directories and sidecars.
pub fn role_of(ino: u64) -> Option<PartRole> {
    split_ino(ino).map(|(_, role, _)| role)
}

/// The inode of an item's sidecar.
pub const fn sidecar_ino(ordinal: u64) -> u64 {
    16 + (ordinal << 10 | SIDECAR)
}

/// The bit of sidecars in an inode.
const SIDECAR: u64 = 4;

fn split_ino(ino: u64) -> Option<(u64, PartRole, u8)> {
    let rest = ino.checked_sub(16)?;
    let role = PartRole::from_code(u8::try_from(rest & 3).ok()?)?;
    let part = rest & SIDECAR == 0 && rest >> 10 < MOST_ORDINAL;
    part.then_some((rest >> 10, role, u8::try_from(rest >> 3 & 127).ok()?))
}

/// Whether an inode is that of a sidecar.
pub fn is_sidecar(ino: u64) -> bool {
    sidecar_of(ino).is_some()
}

fn sidecar_of(ino: u64) -> Option<u64> {
    let ordinal = ino.checked_sub(16)? >> 10;
    (ordinal < MOST_ORDINAL && ino == sidecar_ino(ordinal)).then_some(ordinal)
}

fn is_showable(item: &BorrowedItem<'_>) -> bool {
    if item.ordinal >= MOST_ORDINAL {
        tracing::error!("item {} has the number {}, too high to be shown", item.key, item.ordinal);
    }
    item.ordinal < MOST_ORDINAL
}

impl Tree {
    /// A tree that holds nothing but its views.
    pub fn new(views: &[View], realm: Realm) -> Self {
        let mut directories = Directories::new(realm);
        for view in views {
            directories.find_or_make(&[(view.name.clone(), view.name.clone())], Timestamp::UNIX_EPOCH);
        }
        Self {
            shapes: shapes(views).into(),
            items: Items::default(),
            named: Named::default(),
            albums: Albums::default(),
            groups: Groups::default(),
            directories,
            shelf: Shelf::default(),
            newest: i32::MIN,
            parts: 0,
        }
    }

    /// Takes new or changed items; an older revision than the one known is ignored.
    pub fn apply(&mut self, items: impl IntoIterator<Item = ArchivedItem>) -> Changes {
        let mut touched = Touched::default();
        let newest = self.newest;
        let mut parted = BTreeSet::new();
        for item in items {
            parted.extend(self.take(&item, &mut touched));
        }
        if self.newest > newest {
            self.renew_recent(&mut touched);
        }
        let mut changes = self.settle(touched);
        changes.merge(self.rejoin(&parted));
        changes
    }

    /// Takes one; the originals that it had and has, where these are not the same.
    fn take(&mut self, item: &ArchivedItem, touched: &mut Touched) -> Vec<Sha256> {
        if !is_showable(item) {
            return Vec::new();
        }
        let old = self.items.find(item.ordinal);
        let Some(new) = self.items.take(item, &mut self.named) else { return Vec::new() };
        self.parts += self.items.parts(new).count() as u64;
        if let Some(old) = old {
            self.parts -= self.items.parts(old).count() as u64;
            self.withdraw(old, touched);
            for part in self.items.parts(new) {
                let same = self.items.version(old, part.role, part.version.min(MOST_VERSIONS));
                let same_time = self.items.taken(old) == self.items.taken(new);
                if same.is_some_and(|same| !same_time || same.sha256 != part.sha256) {
                    let ino = part_ino(item.ordinal, part.role, part.version);
                    touched.changes.altered.insert(ino);
                }
            }
        }
        // An item that was adopted has another key once a library shows it: albums may wait for that.
        for key in item.keys() {
            self.albums.arrived(key, item.ordinal);
        }
        // Or an album knows it already, which was read a moment later.
        self.items.set_flag(new, flag::IN_ALBUM, !self.albums.of(item.ordinal).is_empty());
        self.newest = self.newest.max(self.items.get(new).added);
        let recent = self.is_recent(new);
        self.items.set_flag(new, flag::RECENT, recent);
        self.show(new, touched);
        old.map(|old| self.parted(old, new)).unwrap_or_default()
    }

    /// Begins anew without forgetting: the sequence of changes starts over, as after the index was made
    /// again. Items that are not applied until [`Tree::end_reload`] are gone then, and not before.
    pub fn begin_reload(&mut self) {
        self.items.next_round();
    }

    /// Removes what [`Tree::begin_reload`] found and nobody applied since.
    pub fn end_reload(&mut self) -> Changes {
        let mut touched = Touched::default();
        for slot in self.items.forget_unseen() {
            self.parts -= self.items.parts(slot).count() as u64;
            self.withdraw(slot, &mut touched);
        }
        let mut changes = self.settle(touched);
        changes.merge(self.mark_lonely());
        changes
    }

    /// Gives back memory that only loading needs.
    pub fn rest(&mut self) {
        self.named.rest();
    }

    /// Files of the archive, each counted once.
    pub fn parts(&self) -> u64 {
        self.parts
    }

    /// The attributes of the root.
    pub fn attr_of_root(&self) -> Attr {
        self.directories.attr(0)
    }

    /// The attributes of an inode.
    pub fn attr(&self, ino: u64) -> Option<Attr> {
        if let Some(directory) = self.directories.by_ino(ino) {
            return Some(self.directories.attr(directory));
        }
        if let Some(ordinal) = sidecar_of(ino) {
            return Some(self.sidecar_attr(self.items.find(ordinal)?));
        }
        let (ordinal, role, version) = split_ino(ino)?;
        let slot = self.items.find(ordinal)?;
        let part = self.items.version(slot, role, version)?;
        Some(Attr { links: self.links(slot, role), ..self.items.attr(slot, part) })
    }

    /// The inode of a directory's parent; the root is its own.
    pub fn parent(&self, ino: u64) -> Option<u64> {
        self.directories.by_ino(ino).map(|directory| self.directories.parent_ino(directory))
    }

    /// The path of a directory from the root, as it is shown.
    pub fn path(&self, ino: u64) -> Option<String> {
        self.directories.by_ino(ino).map(|directory| self.directories.path(directory))
    }

    /// Whether a directory is one that shows files.
    pub fn is_leaf(&self, ino: u64) -> bool {
        self.directories.by_ino(ino).is_some_and(|directory| self.directories.leaf(directory).is_some())
    }

    /// Where an item's sidecar is shown: directories and names.
    pub fn sidecar_places(&self, ino: u64) -> Vec<(String, String)> {
        let Some(slot) = sidecar_of(ino).and_then(|ordinal| self.items.find(ordinal)) else {
            return Vec::new();
        };
        let mut places = Vec::new();
        for (view, shape) in (0_u16..).zip(self.shapes.iter()).filter(|(_, shape)| shape.view.sidecars) {
            for album in self.albums_for(shape, slot) {
                let key = shape.key(slot, album, &self.facts());
                let Some(group) = self.groups.find(shape.domain, key) else { continue };
                let held = self.groups.get(group);
                let shown = held.shown.iter().find(|(known, ..)| *known == view);
                let entry = Entry::new(slot, held.level(slot), PartRole::Original, true);
                if let (true, Some((_, directory, _))) = (shape.shows(slot, album, &self.facts()), shown) {
                    let mut name = String::new();
                    self.write_name(Leaf { view, group }, entry, &mut name);
                    places.push((self.directories.path(*directory), name));
                }
            }
        }
        places
    }

    /// The blob of a file.
    pub fn blob(&self, ino: u64) -> Option<Sha256> {
        let (ordinal, role, version) = split_ino(ino)?;
        let slot = self.items.find(ordinal)?;
        self.items.version(slot, role, version).map(|part| part.sha256)
    }

    /// What the sidecar with that inode is made of, beside what the index knows.
    pub fn sidecar(&self, ino: u64) -> Option<Sidecar> {
        let slot = self.items.find(sidecar_of(ino)?)?;
        let ordinal = self.items.get(slot).ordinal;
        let original = self.items.part(slot, PartRole::Original)?;
        let albums =
            self.albums.of(ordinal).iter().map(|album| self.albums.get(*album).title.clone()).collect();
        Some(Sidecar { ordinal, original: original.sha256, size: self.sidecar_attr(slot).size, albums })
    }

    /// The number of the item to which a file belongs.
    pub fn ordinal(&self, ino: u64) -> Option<u64> {
        split_ino(ino).map(|(ordinal, ..)| ordinal).filter(|ordinal| self.items.find(*ordinal).is_some())
    }

    /// What stands under a name in a directory.
    pub fn lookup(&self, parent: u64, name: &str) -> Option<Attr> {
        let directory = self.directories.by_ino(parent)?;
        if let Some(child) = self.directories.child(directory, name) {
            return Some(self.directories.attr(child));
        }
        let leaf = self.directories.leaf(directory)?;
        let files = self.files(directory, leaf);
        let mut buffer = String::new();
        let found = files.binary_search_by(|entry| {
            buffer.clear();
            self.write_name(leaf, *entry, &mut buffer);
            buffer.as_str().cmp(name)
        });
        self.attr_of(*files.get(found.ok()?)?)
    }

    /// The entries of a directory as they are now; `None` if it is none.
    pub fn listing(&self, ino: u64) -> Option<Listing> {
        let directory = self.directories.by_ino(ino)?;
        let leaf = self.directories.leaf(directory);
        Some(Listing {
            own: ino,
            parent: self.directories.parent_ino(directory),
            leaf,
            children: self.directories.children(directory),
            files: leaf.map(|leaf| self.files(directory, leaf)).unwrap_or_default(),
            past: None,
            beside: Arc::default(),
        })
    }

    /// Entry `at` of a listing: its attributes; its name is appended. The first two are `.` and `..`; `None` at the
    /// end. Of a `bare` file inode and kind alone are true, which is cheaper.
    pub fn entry(&self, listing: &Listing, at: usize, bare: bool, name: &mut String) -> Option<Attr> {
        let directory = |ino| self.directories.by_ino(ino).map(|directory| self.directories.attr(directory));
        match at {
            // A directory that went meanwhile still has its own dots.
            0 | 1 => {
                let ino = if at == 0 { listing.own } else { listing.parent };
                name.push_str(if at == 0 { "." } else { ".." });
                Some(directory(ino).unwrap_or(self.directories.attr(0)))
            }
            at => {
                if let Some(&child) = listing.children.get(at - 2) {
                    name.push_str(self.directories.name(child));
                    return Some(self.directories.attr(child));
                }
                let entry = *listing.files.get(listing.file_index(at)?)?;
                self.write_name(listing.leaf?, entry, name);
                if bare { self.bare_attr_of(entry) } else { self.attr_of(entry) }
            }
        }
    }

    /// Every archived file below one of the views, in the order of directories and names.
    pub fn leaves(&self, view: &str) -> Vec<Walked> {
        let mut leaves = self.leaves_and_sidecars(view);
        leaves.retain(|leaf| !leaf.is_sidecar);
        leaves
    }

    /// Every file below one of the views, those that are made on demand as well.
    pub fn leaves_and_sidecars(&self, view: &str) -> Vec<Walked> {
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
            let Some(leaf) = self.directories.leaf(directory) else { continue };
            for &entry in self.files(directory, leaf).iter() {
                let mut name = format!("{path}/");
                self.write_name(leaf, entry, &mut name);
                paths.extend(self.attr_of(entry).map(|attr| (name, attr.ino)));
            }
        }
        paths.sort();
        paths
    }

    fn walk(&self, directory: u32, path: &str, leaves: &mut Vec<Walked>) {
        for &child in self.directories.children(directory).iter() {
            self.walk(child, &format!("{path}/{}", self.directories.name(child)), leaves);
        }
        let Some(leaf) = self.directories.leaf(directory) else { return };
        for &entry in self.files(directory, leaf).iter() {
            let mut name = format!("{path}/");
            self.write_name(leaf, entry, &mut name);
            let part = self.items.part(entry.slot, entry.role());
            if let (Some(attr), Some(part)) = (self.attr_of(entry), part) {
                leaves.push(Walked { path: name, attr, sha256: part.sha256, is_sidecar: entry.is_sidecar });
            }
        }
    }
}
