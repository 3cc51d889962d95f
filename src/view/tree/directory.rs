//! The directories of the tree.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use super::{Attr, ROOT};

/// Directories' inodes lie in `[RANGE, 2 * RANGE)`: far above those of parts, and exact in a double, which is
/// what programs in JavaScript keep inodes in.
const RANGE: u64 = 1 << 51;
/// Those of the past lie in `[PAST, 2 * PAST)`: the day, then a number within the day.
const PAST: u64 = 1 << 52;
const DAY_BITS: u32 = 36;

/// The time that a tree shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Realm {
    /// As it is.
    Now,
    /// As it was at the end of a day, in UTC.
    Day(Date),
}

impl Realm {
    /// The day to which a directory's inode belongs, if that is in the past.
    pub fn of_ino(ino: u64) -> Option<Date> {
        let day = ino.checked_sub(PAST)? >> DAY_BITS;
        jiff::civil::date(2000, 1, 1).checked_add(jiff::Span::new().days(i64::try_from(day).ok()?)).ok()
    }

    /// The inode of the root.
    pub fn root(self) -> u64 {
        self.inode("", 0)
    }

    fn inode(self, path: &str, attempt: u32) -> u64 {
        let mut hash = Sha256::new().chain_update(path);
        if attempt > 0 {
            hash.update(attempt.to_be_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        let number = digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
        match self {
            Self::Now if path.is_empty() => ROOT,
            Self::Now => RANGE + number % RANGE,
            Self::Day(day) => {
                let since = day.since((jiff::Unit::Day, jiff::civil::date(2000, 1, 1)));
                let days = since.map_or(0, |span| span.get_days().clamp(0, 0xffff)).unsigned_abs();
                let number = if path.is_empty() { 0 } else { 1 + number % ((1 << DAY_BITS) - 1) };
                PAST + (u64::from(days) << DAY_BITS) + number
            }
        }
    }
}

/// All directories. Their places in the list are only ever added; the first is the root.
pub struct Directories {
    realm: Realm,
    list: Vec<Directory>,
    /// By the path of keys, which stays whatever spelling is shown.
    by_path: HashMap<String, u32>,
    by_ino: HashMap<u64, u32>,
}

struct Directory {
    path: String,
    ino: u64,
    parent: u32,
    name: String,
    changed: Timestamp,
    children: Arc<Vec<u32>>,
    leaf: Option<Leaf>,
}

/// What a directory with files shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The view.
    pub view: u16,
    /// The group of items.
    pub group: u32,
}

impl Directories {
    /// The root alone.
    pub fn new(realm: Realm) -> Self {
        let root = Directory {
            path: String::new(),
            ino: realm.root(),
            parent: 0,
            name: String::new(),
            changed: Timestamp::UNIX_EPOCH,
            children: Arc::default(),
            leaf: None,
        };
        Self {
            realm,
            by_path: HashMap::from([(String::new(), 0)]),
            by_ino: HashMap::from([(root.ino, 0)]),
            list: vec![root],
        }
    }

    /// The directory at a path of (key, shown name) pairs, made where it is missing; also the inodes of the
    /// directories that got a new child.
    pub fn find_or_make(&mut self, path: &[(String, String)], then: Timestamp) -> (u32, Vec<u64>) {
        let mut grown = Vec::new();
        let (mut at, mut walked) = (0, String::new());
        for (key, name) in path {
            if !walked.is_empty() {
                walked.push('/');
            }
            walked.push_str(key);
            at = match self.by_path.get(&walked) {
                Some(found) => *found,
                None => {
                    grown.push(self.list[at as usize].ino);
                    self.make(at, &walked, name, then)
                }
            };
        }
        (at, grown)
    }

    fn make(&mut self, parent: u32, path: &str, name: &str, then: Timestamp) -> u32 {
        let new = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        // Two of some thousand paths meet in one of 2^51 numbers about never; then the later one moves on.
        let ino = (0_u32..)
            .map(|attempt| self.realm.inode(path, attempt))
            .find(|ino| !self.by_ino.contains_key(ino));
        let ino = ino.unwrap_or(RANGE);
        self.list.push(Directory {
            path: path.to_owned(),
            ino,
            parent,
            name: name.to_owned(),
            changed: then,
            children: Arc::default(),
            leaf: None,
        });
        self.by_path.insert(path.to_owned(), new);
        self.by_ino.insert(ino, new);
        let at = self.list[parent as usize]
            .children
            .partition_point(|&child| self.list[child as usize].name.as_str() < name);
        let parent = &mut self.list[parent as usize];
        Arc::make_mut(&mut parent.children).insert(at, new);
        parent.touch(then);
        new
    }

    /// What a directory shows from now on.
    pub fn set_leaf(&mut self, at: u32, leaf: Leaf) {
        self.list[at as usize].leaf = Some(leaf);
    }

    /// Takes a directory without files away, and its parents that are empty then, but never a view itself; the
    /// answer names what went: the parent's inode, the name, its own inode.
    pub fn drop_leaf(&mut self, at: u32) -> Vec<(u64, String, u64)> {
        self.list[at as usize].leaf = None;
        self.touch(at, Timestamp::MIN);
        let mut dropped = Vec::new();
        let mut at = at;
        while self.is_disposable(at) {
            let (parent, path) = (self.list[at as usize].parent, self.list[at as usize].path.clone());
            self.by_path.remove(&path);
            let ino = self.list[at as usize].ino;
            self.by_ino.remove(&ino);
            let name = self.list[at as usize].name.clone();
            let parent_directory = &mut self.list[parent as usize];
            Arc::make_mut(&mut parent_directory.children).retain(|&child| child != at);
            parent_directory.touch(Timestamp::MIN);
            dropped.push((parent_directory.ino, name, ino));
            at = parent;
        }
        dropped
    }

    fn is_disposable(&self, at: u32) -> bool {
        let directory = &self.list[at as usize];
        directory.leaf.is_none() && directory.children.is_empty() && directory.path.contains('/')
    }

    /// Notes that the entries of a directory changed, by something that was recorded then.
    pub fn touch(&mut self, at: u32, then: Timestamp) {
        self.list[at as usize].touch(then);
    }

    /// What a directory shows, if it has files.
    pub fn leaf(&self, at: u32) -> Option<Leaf> {
        self.list[at as usize].leaf
    }

    /// The directory with that inode.
    pub fn by_ino(&self, ino: u64) -> Option<u32> {
        self.by_ino.get(&ino).copied()
    }

    /// The child directory with that name.
    pub fn child(&self, at: u32, name: &str) -> Option<u32> {
        let children = &self.list[at as usize].children;
        let found = children.binary_search_by(|&child| self.list[child as usize].name.as_str().cmp(name));
        children.get(found.ok()?).copied()
    }

    /// Child directories in the order of names.
    pub fn children(&self, at: u32) -> Arc<Vec<u32>> {
        Arc::clone(&self.list[at as usize].children)
    }

    /// The shown name.
    pub fn name(&self, at: u32) -> &str {
        &self.list[at as usize].name
    }

    /// The path from the root, as it is shown.
    pub fn path(&self, at: u32) -> String {
        let mut names = Vec::new();
        let mut at = at;
        while at != 0 {
            names.push(self.list[at as usize].name.as_str());
            at = self.list[at as usize].parent;
        }
        names.reverse();
        names.join("/")
    }

    /// The inode of the parent; the root is its own.
    pub fn parent_ino(&self, at: u32) -> u64 {
        self.list[self.list[at as usize].parent as usize].ino
    }

    /// The attributes.
    pub fn attr(&self, at: u32) -> Attr {
        let directory = &self.list[at as usize];
        let children = u32::try_from(directory.children.len()).unwrap_or(u32::MAX - 2);
        Attr { ino: directory.ino, size: 0, mtime: directory.changed, is_dir: true, links: 2 + children }
    }
}

impl Directory {
    /// A directory's time is that of the latest record that changed it, so that it is the same after a restart.
    /// Kernels compare the time of a directory to know whether a listing they keep is still good, so every
    /// change moves it, however old the record.
    fn touch(&mut self, then: Timestamp) {
        let next = self.changed.saturating_add(SignedDuration::from_nanos(1)).unwrap_or(self.changed);
        self.changed = then.max(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inodes_of_the_past_tell_their_day_and_all_are_exact_in_a_double() {
        let day = jiff::civil::date(2026, 3, 1);
        for path in ["", "by-date", "by-date/2020"] {
            let ino = Realm::Day(day).inode(path, 0);
            assert_eq!(Realm::of_ino(ino), Some(day));
            assert!(ino < 1 << 53);
            let now = Realm::Now.inode(path, 0);
            assert_eq!(Realm::of_ino(now), None);
        }
    }
}
