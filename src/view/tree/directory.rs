//! The directories of the tree.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use super::deal::Entry;
use super::{Attr, ROOT};

/// Directories' inodes lie in `[RANGE, 2 * RANGE)`: far above those of parts, and exact in a double, which is
/// what programs in JavaScript keep inodes in.
const RANGE: u64 = 1 << 51;

/// All directories. Their places in the list are only ever added; the first is the root.
pub struct Directories {
    list: Vec<Directory>,
    /// By the path of keys, which stays when a camera's directory is renamed.
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
    files: Arc<Vec<Entry>>,
}

impl Directories {
    /// The root alone.
    pub fn new(now: Timestamp) -> Self {
        let root = Directory {
            path: String::new(),
            ino: ROOT,
            parent: 0,
            name: String::new(),
            changed: now,
            children: Arc::default(),
            files: Arc::default(),
        };
        Self {
            list: vec![root],
            by_path: HashMap::from([(String::new(), 0)]),
            by_ino: HashMap::from([(ROOT, 0)]),
        }
    }

    /// The directory at a path of (key, shown name) pairs, made where it is missing; also the inodes of the
    /// directories that got a new child.
    pub fn find_or_make(&mut self, path: &[(&str, &str)], now: Timestamp) -> (u32, Vec<u64>) {
        let whole = path.iter().map(|(key, _)| *key).collect::<Vec<_>>().join("/");
        if let Some(found) = self.by_path.get(&whole) {
            return (*found, Vec::new());
        }
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
                    self.make(at, &walked, name, now)
                }
            };
        }
        (at, grown)
    }

    fn make(&mut self, parent: u32, path: &str, name: &str, now: Timestamp) -> u32 {
        let new = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        // Two of some thousand paths meet in one of 2^51 numbers about never; then the later one moves on.
        let ino = (0_u32..).map(|attempt| inode(path, attempt)).find(|ino| !self.by_ino.contains_key(ino));
        let ino = ino.unwrap_or(RANGE);
        self.list.push(Directory {
            path: path.to_owned(),
            ino,
            parent,
            name: name.to_owned(),
            changed: now,
            children: Arc::default(),
            files: Arc::default(),
        });
        self.by_path.insert(path.to_owned(), new);
        self.by_ino.insert(ino, new);
        let at = self.list[parent as usize]
            .children
            .partition_point(|&child| self.list[child as usize].name.as_str() < name);
        let parent = &mut self.list[parent as usize];
        Arc::make_mut(&mut parent.children).insert(at, new);
        parent.touch(now);
        new
    }

    /// Gives a directory its files. One without any goes, and so do its parents that are empty then, but
    /// never a view itself; the answer names what went, by parent's inode.
    pub fn set_files(&mut self, at: u32, files: Vec<Entry>, now: Timestamp) -> Vec<(u64, String)> {
        let directory = &mut self.list[at as usize];
        directory.files = Arc::new(files);
        directory.touch(now);
        let mut dropped = Vec::new();
        let mut at = at;
        while self.is_disposable(at) {
            let (parent, path) = (self.list[at as usize].parent, self.list[at as usize].path.clone());
            self.by_path.remove(&path);
            self.by_ino.remove(&self.list[at as usize].ino);
            let name = self.list[at as usize].name.clone();
            let parent_directory = &mut self.list[parent as usize];
            Arc::make_mut(&mut parent_directory.children).retain(|&child| child != at);
            parent_directory.touch(now);
            dropped.push((parent_directory.ino, name));
            at = parent;
        }
        dropped
    }

    fn is_disposable(&self, at: u32) -> bool {
        let directory = &self.list[at as usize];
        directory.files.is_empty() && directory.children.is_empty() && directory.path.contains('/')
    }

    /// Shows a directory under another name; the parent's inode and the old name if that changed anything.
    pub fn rename(&mut self, path: &[&str], name: &str, now: Timestamp) -> Option<(u64, String)> {
        let at = *self.by_path.get(&path.join("/"))?;
        let directory = &mut self.list[at as usize];
        if directory.name == name {
            return None;
        }
        let old = std::mem::replace(&mut directory.name, name.to_owned());
        let parent = directory.parent;
        let mut children = self.list[parent as usize].children.to_vec();
        children.sort_unstable_by(|&a, &b| self.list[a as usize].name.cmp(&self.list[b as usize].name));
        let parent = &mut self.list[parent as usize];
        parent.children = Arc::new(children);
        parent.touch(now);
        Some((parent.ino, old))
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

    /// Files in the order of names.
    pub fn files(&self, at: u32) -> &Arc<Vec<Entry>> {
        &self.list[at as usize].files
    }

    /// The shown name.
    pub fn name(&self, at: u32) -> &str {
        &self.list[at as usize].name
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
    /// Kernels compare the time of a directory to know whether a listing they keep is still good, so every
    /// change moves it, however coarse or wrong the clock.
    fn touch(&mut self, now: Timestamp) {
        let next = self.changed.saturating_add(SignedDuration::from_nanos(1)).unwrap_or(self.changed);
        self.changed = now.max(next);
    }
}

fn inode(path: &str, attempt: u32) -> u64 {
    let mut hash = Sha256::new().chain_update(path);
    if attempt > 0 {
        hash.update(attempt.to_be_bytes());
    }
    let digest: [u8; 32] = hash.finalize().into();
    RANGE + digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first)) % RANGE
}
