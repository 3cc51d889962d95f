//! What a lazy disk holds: what programs see, and what of it would survive if the power went now. Only a flush of a
//! file makes its bytes certain, only a flush of a directory its names; all else survives by chance, in pieces of a
//! sector and in any order. (No real file system is as bad; the rules of POSIX allow it.)

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};

use fuser::Errno;

/// Bytes that a medium writes as one.
const SECTOR: usize = 512;
pub const ROOT: u64 = 1;

#[derive(Clone, Default)]
pub struct Node {
    pub is_dir: bool,
    pub mode: u32,
    pub links: u32,
    /// As programs see it.
    pub bytes: Vec<u8>,
    pub names: BTreeMap<OsString, u64>,
    /// As it is certain to survive.
    flushed: Vec<u8>,
    flushed_names: BTreeMap<OsString, u64>,
    /// What was done to the bytes since.
    changes: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

/// Names of directories that change together, or not at all: what a name stands for afterwards.
type Names = Vec<(u64, OsString, Option<u64>)>;

pub struct LazyDisk {
    pub nodes: BTreeMap<u64, Node>,
    last: u64,
    /// Changes of names that are not certain yet, in order.
    names: Vec<Names>,
}

impl LazyDisk {
    pub fn new() -> Self {
        let root = Node { is_dir: true, mode: 0o755, links: 2, ..Node::default() };
        Self { nodes: BTreeMap::from([(ROOT, root)]), last: ROOT, names: Vec::new() }
    }

    pub fn node(&mut self, ino: u64) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&ino).ok_or(Errno::ENOENT)
    }

    pub fn find(&self, dir: u64, name: &OsStr) -> Result<u64, Errno> {
        self.nodes.get(&dir).and_then(|dir| dir.names.get(name)).copied().ok_or(Errno::ENOENT)
    }

    /// Changes names at once for programs; for the medium when it is flushed, or by chance.
    fn rename_all(&mut self, names: Names) {
        for (dir, name, to) in &names {
            let Some(dir) = self.nodes.get_mut(dir) else { continue };
            let before = match to {
                Some(ino) => dir.names.insert(name.clone(), *ino),
                None => dir.names.remove(name),
            };
            for (ino, more) in [(before, false), (*to, true)] {
                if let Some(node) = ino.and_then(|ino| self.nodes.get_mut(&ino)) {
                    node.links = if more { node.links + 1 } else { node.links - 1 };
                }
            }
        }
        self.names.push(names);
    }

    pub fn make(&mut self, dir: u64, name: &OsStr, is_dir: bool, mode: u32) -> Result<u64, Errno> {
        if self.find(dir, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        self.last += 1;
        let node = Node { is_dir, mode: mode & 0o7777, links: u32::from(is_dir), ..Node::default() };
        self.nodes.insert(self.last, node);
        self.rename_all(vec![(dir, name.to_owned(), Some(self.last))]);
        Ok(self.last)
    }

    pub fn link(&mut self, ino: u64, dir: u64, name: &OsStr) -> Result<(), Errno> {
        if self.find(dir, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        self.rename_all(vec![(dir, name.to_owned(), Some(ino))]);
        Ok(())
    }

    pub fn unlink(&mut self, dir: u64, name: &OsStr) -> Result<(), Errno> {
        let ino = self.find(dir, name)?;
        if !self.nodes[&ino].names.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        self.rename_all(vec![(dir, name.to_owned(), None)]);
        Ok(())
    }

    pub fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr), replace: bool) -> Result<(), Errno> {
        let ino = self.find(from.0, from.1)?;
        if !replace && self.find(to.0, to.1).is_ok() {
            return Err(Errno::EEXIST);
        }
        // The new name first, so that the node never is without one.
        self.rename_all(vec![(to.0, to.1.to_owned(), Some(ino)), (from.0, from.1.to_owned(), None)]);
        Ok(())
    }

    pub fn write(&mut self, ino: u64, at: usize, bytes: &[u8]) -> Result<(), Errno> {
        let node = self.node(ino)?;
        node.change(Change::Write(at, bytes.to_owned()));
        Ok(())
    }

    pub fn resize(&mut self, ino: u64, length: usize) -> Result<(), Errno> {
        self.node(ino)?.change(Change::Length(length));
        Ok(())
    }

    pub fn flush(&mut self, ino: u64) -> Result<(), Errno> {
        let node = self.node(ino)?;
        node.flushed.clone_from(&node.bytes);
        node.changes.clear();
        Ok(())
    }

    /// Flushes the names of a directory, and those elsewhere that changed together with them or before.
    pub fn flush_names(&mut self, dir: u64) {
        let (mut certain, mut open) = (Vec::new(), Vec::new());
        let mut touched: HashSet<(u64, OsString)> = HashSet::new();
        for names in std::mem::take(&mut self.names).into_iter().rev() {
            let is_due =
                |(at, name, _): &(u64, OsString, _)| *at == dir || touched.contains(&(*at, name.clone()));
            if names.iter().any(is_due) {
                touched.extend(names.iter().map(|(at, name, _)| (*at, name.clone())));
                certain.push(names);
            } else {
                open.push(names);
            }
        }
        open.reverse();
        self.names = open;
        certain.into_iter().rev().for_each(|names| self.keep_names(names));
    }

    fn keep_names(&mut self, names: Names) {
        for (dir, name, to) in names {
            let Some(dir) = self.nodes.get_mut(&dir) else { continue };
            match to {
                Some(ino) => drop(dir.flushed_names.insert(name, ino)),
                None => drop(dir.flushed_names.remove(&name)),
            }
        }
    }

    /// What is left when the power goes: everything certain, and what chance adds to it.
    pub fn forget(&mut self, random: &mut fastrand::Rng) {
        let odds = *random.choice(&[0, 1, 5, 9, 10]).unwrap_or(&5);
        for names in std::mem::take(&mut self.names) {
            if random.u8(..10) < odds {
                self.keep_names(names);
            }
        }
        for node in self.nodes.values_mut() {
            node.bytes = match random.u8(..3) {
                0 => std::mem::take(&mut node.flushed),
                1 => std::mem::take(&mut node.bytes),
                _ => node.torn(random),
            };
            node.flushed.clone_from(&node.bytes);
            node.changes.clear();
            node.names.clone_from(&node.flushed_names);
        }
        let mut links = BTreeMap::from([(ROOT, 2_u32)]);
        let (mut open, mut seen) = (vec![ROOT], BTreeSet::from([ROOT]));
        while let Some(dir) = open.pop() {
            for ino in self.nodes[&dir].names.values() {
                *links.entry(*ino).or_default() += 1;
                if seen.insert(*ino) {
                    open.push(*ino);
                }
            }
        }
        self.nodes.retain(|ino, _| seen.contains(ino));
        for (ino, node) in &mut self.nodes {
            node.links = links[ino] + u32::from(node.is_dir && *ino != ROOT);
        }
    }
}

impl Node {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.bytes);
        self.changes.push(change);
    }

    /// Each sector as it was after some of the changes, whatever the others are; the length likewise.
    fn torn(&self, random: &mut fastrand::Rng) -> Vec<u8> {
        if self.changes.is_empty() {
            return self.flushed.clone();
        }
        let mut bytes = self.flushed.clone();
        let done = random.usize(..=self.changes.len());
        self.changes[..done].iter().for_each(|change| change.apply(&mut bytes));
        let length = bytes.len();
        for begin in (0..length).step_by(SECTOR) {
            let mut sector = vec![0; SECTOR];
            copy(&mut sector, begin, 0, &self.flushed);
            let done = random.usize(..=self.changes.len());
            for change in &self.changes[..done] {
                match change {
                    Change::Write(at, written) => copy(&mut sector, begin, *at, written),
                    Change::Length(end) => sector[end.saturating_sub(begin).min(SECTOR)..].fill(0),
                }
            }
            let end = (begin + SECTOR).min(length);
            bytes[begin..end].copy_from_slice(&sector[..end - begin]);
        }
        bytes
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, written) => {
                let end = at + written.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[*at..end].copy_from_slice(written);
            }
            Self::Length(length) => bytes.resize(*length, 0),
        }
    }
}

/// Copies into the sector at `begin` what `bytes`, which lie at `at`, have for it.
fn copy(sector: &mut [u8], begin: usize, at: usize, bytes: &[u8]) {
    let (from, to) = (begin.max(at), (begin + sector.len()).min(at + bytes.len()));
    if from < to {
        sector[from - begin..to - begin].copy_from_slice(&bytes[from - at..to - at]);
    }
}

#[test]
fn what_is_flushed_survives_and_nothing_else_is_certain() {
    let name = OsStr::new;
    let (mut kept, mut torn, mut forgotten) = (0, 0, 0);
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut disk = LazyDisk::new();
        let flushed = disk.make(ROOT, name("flushed"), false, 0o600).unwrap();
        disk.write(flushed, 0, &[1; 2000]).unwrap();
        disk.flush(flushed).unwrap();
        disk.flush_names(ROOT);
        disk.write(flushed, 0, &[2; 2000]).unwrap();
        disk.make(ROOT, name("new"), false, 0o600).unwrap();
        disk.rename((ROOT, name("flushed")), (ROOT, name("renamed")), false).unwrap();
        disk.forget(&mut random);
        let found = [disk.find(ROOT, name("flushed")), disk.find(ROOT, name("renamed"))];
        assert_eq!(found.iter().flatten().collect::<Vec<_>>(), [&flushed], "a rename is whole or not at all");
        forgotten += usize::from(disk.find(ROOT, name("new")).is_err());
        let bytes = &disk.node(flushed).unwrap().bytes;
        assert!(
            bytes.len() == 2000 && bytes.chunks(SECTOR).all(|sector| sector.iter().all(|b| *b == sector[0]))
        );
        kept += usize::from(bytes[0] == 2);
        torn += usize::from(bytes[0] != bytes[1999]);
    }
    assert!(kept > 20 && torn > 20 && forgotten > 20, "{kept} {torn} {forgotten}");
}
