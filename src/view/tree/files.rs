//! The files of directories, in the order of names, made when they are asked for and kept while there is room.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::model::PartRole;

/// One file of a directory; its name is composed when it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where the item is kept.
    pub slot: u32,
    /// How often its name clashed.
    pub level: u16,
    /// Code of the part's role.
    role: u8,
    /// Whether it is the sidecar of that part.
    pub is_sidecar: bool,
}

impl Entry {
    /// The file of a part, or its sidecar.
    pub const fn new(slot: u32, level: u16, role: PartRole, is_sidecar: bool) -> Self {
        Self { slot, level, role: role.code(), is_sidecar }
    }

    /// The part's role.
    pub fn role(self) -> PartRole {
        PartRole::from_code(self.role).unwrap_or(PartRole::Original)
    }
}

/// Entries that are kept, over all directories: 64 MB of them.
const MOST_ENTRIES: usize = 8_000_000;

/// The lists that were made.
#[derive(Default)]
pub struct Shelf {
    lists: Mutex<Lists>,
}

#[derive(Default)]
struct Lists {
    by_directory: HashMap<u32, Arc<Vec<Entry>>>,
    oldest_first: VecDeque<u32>,
    entries: usize,
}

impl Shelf {
    /// The files of a directory, made if they are not there.
    pub fn get(&self, directory: u32, make: impl FnOnce() -> Vec<Entry>) -> Arc<Vec<Entry>> {
        if let Some(list) = self.lists().by_directory.get(&directory) {
            return Arc::clone(list);
        }
        // Without the lock: two may make the same list, which only costs time.
        let list = Arc::new(make());
        let mut lists = self.lists();
        if lists.by_directory.insert(directory, Arc::clone(&list)).is_none() {
            lists.entries += list.len();
            lists.oldest_first.push_back(directory);
        }
        while lists.entries > MOST_ENTRIES && lists.oldest_first.len() > 1 {
            let Some(oldest) = lists.oldest_first.pop_front() else { break };
            lists.give_up(oldest);
        }
        list
    }

    /// Forgets the files of a directory, because they changed.
    pub fn forget(&mut self, directory: u32) {
        let lists = self.lists.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        if lists.give_up(directory) {
            lists.oldest_first.retain(|&kept| kept != directory);
        }
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Lists {
    fn give_up(&mut self, directory: u32) -> bool {
        let dropped = self.by_directory.remove(&directory);
        self.entries -= dropped.as_ref().map_or(0, |list| list.len());
        dropped.is_some()
    }
}
