//! What is where: folders by date and by camera, in memory, the same however often it is built.
//!
//! Names are dealt by the items' numbers: the first with a stem keeps it bare, later ones get a suffix made
//! from their key. Items are applied in the order of their numbers (the index guarantees it), so a name
//! once dealt never changes, and a tree built after a restart equals the one before.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::model::camera;
use crate::model::digest::digests_of;
use crate::model::name::{LONGEST, folded, safe, split};
use crate::model::{ArchivedPart, PartRole, Sha256};

/// Inode number of the root.
pub const ROOT: u64 = 1;
/// Files' inodes begin here; directories have the next higher bit.
const FILES: u64 = 16;
const DIRECTORIES: u64 = 1 << 62;
/// Room in a name for what is added to tell it apart.
const ROOM: usize = 24;

/// A file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileNode {
    /// Name of the blob.
    pub sha256: Sha256,
    /// Bytes.
    pub size: u64,
    /// Capture time.
    pub mtime: SystemTime,
}

/// One entry of a directory listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// File name.
    pub name: Arc<str>,
    /// Inode number.
    pub ino: u64,
}

struct Directory {
    parent: u64,
    entries: BTreeMap<Arc<str>, u64>,
    /// Folded stems that are taken, and by which item.
    stems: HashMap<String, u64>,
    /// Folded names of subdirectories.
    folders: HashMap<String, u64>,
    changed: SystemTime,
    /// The listing as it was last asked for.
    listing: Option<Arc<[Entry]>>,
}

/// What an inode is.
pub enum Node<'a> {
    /// A directory: number of subdirectories and time of its last change.
    Directory(usize, SystemTime),
    /// A file.
    File(&'a FileNode),
}

/// The whole tree.
pub struct Tree {
    directories: HashMap<u64, Directory>,
    files: HashMap<u64, FileNode>,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// The views without any item.
    pub fn new() -> Self {
        let root = Directory::new(ROOT);
        let mut tree = Self { directories: HashMap::from([(ROOT, root)]), files: HashMap::new() };
        let mut ignored = BTreeSet::new();
        tree.folder(&["by-date"], &mut ignored);
        tree.folder(&["by-camera"], &mut ignored);
        tree
    }

    /// Inode number of a part: follows from the item's number, so it survives restarts and rebuilds.
    pub fn file_ino(ordinal: u64, role: PartRole) -> u64 {
        FILES + (ordinal << 2 | u64::from(role.code()))
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no file.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Adds parts that are not there yet; returns the directories that changed.
    pub fn apply(&mut self, parts: &[ArchivedPart]) -> BTreeSet<u64> {
        let mut changed = BTreeSet::new();
        let mut order: Vec<&ArchivedPart> = parts.iter().collect();
        order.sort_by_key(|part| (part.ordinal, part.role));
        for part in order {
            let ino = Self::file_ino(part.ordinal, part.role);
            if self.files.contains_key(&ino) {
                continue;
            }
            let mtime = SystemTime::from(part.taken.instant());
            self.files.insert(ino, FileNode { sha256: part.sha256, size: part.size, mtime });
            let (year, month) = (part.taken.local.year(), part.taken.local.month());
            let (year, month) = (format!("{year:04}"), format!("{year:04}-{month:02}"));
            let camera = camera::folder(part.make.as_deref(), part.model.as_deref());
            let camera = camera.unwrap_or_else(|| "Unknown camera".into());
            for path in [["by-date", &year, &month], ["by-camera", &camera, &year]] {
                let folder = self.folder(&path, &mut changed);
                self.place(folder, part, ino, &mut changed);
            }
        }
        changed
    }

    /// The directory with that path, made if needed. Names that differ only in case are one folder.
    fn folder(&mut self, path: &[&str], changed: &mut BTreeSet<u64>) -> u64 {
        let mut at = ROOT;
        let mut full = String::new();
        for piece in path {
            let piece = safe(piece, LONGEST);
            let key = folded(&piece);
            full.push('/');
            full.push_str(&key);
            let Some(directory) = self.directories.get_mut(&at) else { return at };
            at = match directory.folders.get(&key) {
                Some(&known) => known,
                None => {
                    let mut ino = directory_ino(&full);
                    while self.directories.contains_key(&ino) {
                        ino = DIRECTORIES | (ino + 1);
                    }
                    self.directories.insert(ino, Directory::new(at));
                    if let Some(directory) = self.directories.get_mut(&at) {
                        directory.folders.insert(key.clone(), ino);
                        directory.stems.insert(key, u64::MAX);
                        directory.insert(piece.into(), ino);
                    }
                    changed.insert(at);
                    ino
                }
            };
        }
        at
    }

    /// Deals the part a name in the folder.
    fn place(&mut self, folder: u64, part: &ArchivedPart, ino: u64, changed: &mut BTreeSet<u64>) {
        let Some(directory) = self.directories.get_mut(&folder) else { return };
        let item = safe(&part.item_name, LONGEST - ROOM);
        let own = safe(&part.name, LONGEST - ROOM);
        let (stem, item_extension) = split(&item);
        let (stem, extension) = match part.role {
            PartRole::Original => (stem.to_owned(), item_extension),
            PartRole::Edited => (format!("{stem}-edited"), split(&own).1),
            // The halves of a Live Photo share their base name.
            PartRole::Motion => (stem.to_owned(), split(&own).1),
        };
        let stem = directory.stem(stem, part);
        let mut name = if extension.is_empty() { stem } else { format!("{stem}.{extension}") };
        // Two halves of one item with one extension: possible only with a hostile name.
        if directory.entries.contains_key(name.as_str()) {
            name = format!("{name}~{}", part.role.word());
        }
        directory.insert(name.into(), ino);
        changed.insert(folder);
    }

    /// What an inode is.
    pub fn node(&self, ino: u64) -> Option<Node<'_>> {
        if let Some(file) = self.files.get(&ino) {
            return Some(Node::File(file));
        }
        let directory = self.directories.get(&ino)?;
        Some(Node::Directory(directory.folders.len(), directory.changed))
    }

    /// The entry of that name.
    pub fn lookup(&self, directory: u64, name: &str) -> Option<u64> {
        self.directories.get(&directory)?.entries.get(name).copied()
    }

    /// The directory above.
    pub fn parent(&self, directory: u64) -> Option<u64> {
        self.directories.get(&directory).map(|d| d.parent)
    }

    /// The entries of a directory, sorted; later changes do not touch it.
    pub fn listing(&mut self, directory: u64) -> Option<Arc<[Entry]>> {
        let directory = self.directories.get_mut(&directory)?;
        let Directory { entries, listing, .. } = directory;
        let listing = listing.get_or_insert_with(|| {
            entries.iter().map(|(name, &ino)| Entry { name: Arc::clone(name), ino }).collect()
        });
        Some(Arc::clone(listing))
    }

    /// Every file with its path, below one view.
    pub fn paths(&self, view: &str) -> Vec<(String, u64)> {
        let mut found = Vec::new();
        let mut open: Vec<(String, u64)> =
            self.lookup(ROOT, view).map(|ino| (String::new(), ino)).into_iter().collect();
        while let Some((path, ino)) = open.pop() {
            let Some(directory) = self.directories.get(&ino) else {
                found.push((path, ino));
                continue;
            };
            for (name, &child) in &directory.entries {
                let below = if path.is_empty() { name.to_string() } else { format!("{path}/{name}") };
                open.push((below, child));
            }
        }
        found.sort();
        found
    }
}

impl Directory {
    fn new(parent: u64) -> Self {
        Self {
            parent,
            entries: BTreeMap::new(),
            stems: HashMap::new(),
            folders: HashMap::new(),
            changed: SystemTime::now(),
            listing: None,
        }
    }

    /// Gives the item a stem that no other item has here, also where case does not count.
    fn stem(&mut self, stem: String, part: &ArchivedPart) -> String {
        let hash = digests_of(part.key.as_str().as_bytes()).sha256.hex();
        let candidates = [stem.clone(), format!("{stem}~{}", &hash[..8]), format!("{stem}~{}", &hash[..16])];
        for candidate in candidates {
            let owner = *self.stems.entry(folded(&candidate)).or_insert(part.ordinal);
            if owner == part.ordinal {
                return candidate;
            }
        }
        format!("{stem}~{}", part.ordinal)
    }

    fn insert(&mut self, name: Arc<str>, ino: u64) {
        self.entries.insert(name, ino);
        self.listing = None;
        // Strictly later, whatever the clock does: the kernel compares it to judge its caches.
        self.changed = SystemTime::now().max(self.changed + Duration::from_nanos(1));
    }
}

/// From the path, so that it survives restarts.
fn directory_ino(path: &str) -> u64 {
    let digest = digests_of(path.as_bytes()).sha256;
    let mut number = [0; 8];
    number.copy_from_slice(&digest.bytes()[..8]);
    DIRECTORIES | (u64::from_be_bytes(number) >> 3)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::{CaptureTime, ItemState, MediaKey, Sha1, TimeSource, Verdict};

    fn part(ordinal: u64, name: &str, role: PartRole) -> ArchivedPart {
        let local = jiff::civil::date(2021, 5, 6).at(7, 8, 9, 0);
        ArchivedPart {
            change: ordinal,
            ordinal,
            role,
            key: MediaKey::new(&format!("key{ordinal}")).unwrap(),
            item_name: name.into(),
            name: if role == PartRole::Motion { "x.MOV".into() } else { name.into() },
            sha256: Sha256::new([ordinal as u8; 32]),
            sha1: Sha1::new([0; 20]),
            size: 1,
            verdict: Verdict::Unproven,
            taken: CaptureTime { local, offset_s: None, source: TimeSource::Exif },
            make: Some("Google".into()),
            model: Some(if ordinal.is_multiple_of(2) { "Pixel 7" } else { "PIXEL 7" }.into()),
            state: ItemState::Present,
        }
    }

    fn names(tree: &Tree) -> Vec<String> {
        tree.paths("by-date")
            .into_iter()
            .map(|(path, _)| path.rsplit('/').next().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_third_collision_renames_nobody_and_halves_stay_together() {
        use PartRole::{Edited, Motion, Original};
        let mut tree = Tree::new();
        tree.apply(&[part(1, "IMG_1.JPG", Original)]);
        tree.apply(&[part(2, "img_1.jpg", Original), part(2, "img_1.jpg", Motion)]);
        let before = names(&tree);
        assert_eq!(before[0], "IMG_1.JPG");
        let stem = before[2].split('.').next().unwrap().to_owned();
        assert!(stem.starts_with("img_1~"), "{before:?}");
        assert!(
            before.contains(&format!("{stem}.MOV")) && before.contains(&format!("{stem}.jpg")),
            "{before:?}"
        );
        tree.apply(&[part(3, "IMG_1.png", Original), part(3, "IMG_1.png", Edited)]);
        let after = names(&tree);
        assert!(before.iter().all(|name| after.contains(name)));
        assert_eq!(after.len(), 5);
        assert!(!after.contains(&"IMG_1.png".to_owned()), "unrelated files share a base name: {after:?}");
    }

    #[test]
    fn the_tree_is_the_same_however_it_was_built() {
        let parts: Vec<_> = (1..60)
            .flat_map(|n| {
                let name = ["a.jpg", "A.jpg", "..", "b/c.png", "a.JPG"][n as usize % 5];
                [part(n, name, PartRole::Original), part(n, name, PartRole::Motion)]
            })
            .collect();
        let mut whole = Tree::new();
        whole.apply(&parts);
        let mut grown = Tree::new();
        for pair in parts.chunks(2) {
            grown.apply(&pair[..1]);
            grown.apply(&pair[1..]);
        }
        for view in ["by-date", "by-camera"] {
            assert_eq!(whole.paths(view), grown.paths(view));
            assert_eq!(whole.paths(view).len(), parts.len());
        }
        let cameras = whole.listing(whole.lookup(ROOT, "by-camera").unwrap()).unwrap();
        assert_eq!(cameras.len(), 1, "spellings of one camera are one folder");
    }

    #[test]
    fn inodes_follow_from_numbers_and_never_meet() {
        let mut tree = Tree::new();
        tree.apply(&[part(5, "a.jpg", PartRole::Original)]);
        let (_, ino) = tree.paths("by-date")[0].clone();
        assert_eq!(ino, Tree::file_ino(5, PartRole::Original));
        assert_eq!(tree.paths("by-camera")[0].1, ino);
        assert!(Tree::file_ino(1 << 59, PartRole::Motion) < DIRECTORIES);
    }
}
