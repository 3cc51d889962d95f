//! The files that somebody has open, one slot per inode.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::errno::FsError;
use crate::model::{ReadAt, Sha256};

/// Open files; `B` stands for a file that the kernel reads by itself.
///
/// The kernel insists on one `B` per inode for as long as any handle is open, and on one way of reading: so
/// the first opening decides, later ones share, and the last release forgets.
pub struct OpenFiles<B> {
    table: Mutex<HashMap<u64, Slot<B>>>,
}

struct Slot<B> {
    sha256: Sha256,
    users: usize,
    file: Arc<Mutex<Option<Opened<B>>>>,
}

/// How an open file is read.
pub enum Opened<B> {
    /// The kernel reads it.
    Backed(Arc<B>),
    /// We read it.
    Ours(Arc<dyn ReadAt>),
    /// We made it.
    Made(Arc<Vec<u8>>),
}

impl<B> Clone for Opened<B> {
    fn clone(&self) -> Self {
        match self {
            Self::Backed(backing) => Self::Backed(Arc::clone(backing)),
            Self::Ours(file) => Self::Ours(Arc::clone(file)),
            Self::Made(bytes) => Self::Made(Arc::clone(bytes)),
        }
    }
}

impl<B> Default for OpenFiles<B> {
    fn default() -> Self {
        Self { table: Mutex::default() }
    }
}

impl<B> OpenFiles<B> {
    /// Shares the open file of an inode, or opens it.
    ///
    /// # Errors
    /// What `open` answers; [`FsError::Stale`] while the inode is open with the bytes of another blob (its
    /// item got a new revision): both at once cannot be served.
    pub fn open(
        &self,
        ino: u64,
        sha256: Sha256,
        open: impl FnOnce() -> io::Result<Opened<B>>,
    ) -> Result<Opened<B>, FsError> {
        let shared = {
            let mut table = self.table();
            let slot = table.entry(ino).or_insert_with(|| Slot { sha256, users: 0, file: Arc::default() });
            if slot.sha256 != sha256 {
                return Err(FsError::Stale);
            }
            slot.users += 1;
            Arc::clone(&slot.file)
        };
        // The disk is asked without the table's lock; who opens the same inode meanwhile waits here.
        let mut file = shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(file) = &*file {
            return Ok(file.clone());
        }
        match open() {
            Ok(opened) => {
                *file = Some(opened.clone());
                Ok(opened)
            }
            Err(e) => {
                drop(file);
                self.release(ino);
                Err(FsError::Io(e))
            }
        }
    }

    /// The open file of an inode.
    pub fn get(&self, ino: u64) -> Option<Opened<B>> {
        let shared = Arc::clone(&self.table().get(&ino)?.file);
        let file = shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        file.clone()
    }

    /// One user less; the last one closes.
    pub fn release(&self, ino: u64) {
        let last = {
            let mut table = self.table();
            let Some(slot) = table.get_mut(&ino) else { return };
            slot.users -= 1;
            if slot.users == 0 { table.remove(&ino) } else { None }
        };
        // Closing asks the kernel; without the lock, since other openings would wait for that.
        drop(last);
    }

    fn table(&self) -> MutexGuard<'_, HashMap<u64, Slot<B>>> {
        self.table.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    const ONE: Sha256 = Sha256::new([1; 32]);
    const TWO: Sha256 = Sha256::new([2; 32]);

    fn id(opened: &Opened<usize>) -> usize {
        match opened {
            Opened::Backed(id) => **id,
            Opened::Ours(_) | Opened::Made(_) => panic!("not backed"),
        }
    }

    #[test]
    fn all_openings_of_an_inode_at_once_share_one_backing() {
        let files = OpenFiles::<usize>::default();
        let made = AtomicUsize::new(0);
        for round in 0..200 {
            let barrier = Barrier::new(8);
            let ids: Vec<usize> = thread::scope(|scope| {
                let open = || {
                    barrier.wait();
                    let make = || Ok(Opened::Backed(Arc::new(made.fetch_add(1, Ordering::SeqCst))));
                    id(&files.open(7, ONE, make).unwrap())
                };
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(ids, [round; 8]);
            (0..8).for_each(|_| files.release(7));
            assert!(files.get(7).is_none());
        }
    }

    #[test]
    fn the_last_release_closes_and_a_failure_leaves_nothing() {
        let files = OpenFiles::<usize>::default();
        let backed = |id| move || Ok(Opened::Backed(Arc::new(id)));
        files.open(7, ONE, backed(1)).unwrap();
        files.open(7, ONE, backed(2)).unwrap();
        files.release(7);
        assert_eq!(id(&files.open(7, ONE, backed(3)).unwrap()), 1);
        files.release(7);
        files.release(7);
        assert!(files.open(7, ONE, || Err(io::Error::other("no"))).is_err());
        assert!(files.get(7).is_none());
        assert_eq!(id(&files.open(7, ONE, backed(4)).unwrap()), 4);
    }

    #[test]
    fn two_blobs_are_never_open_under_one_inode() {
        let files = OpenFiles::<usize>::default();
        let open = |sha| files.open(7, sha, || Ok(Opened::Backed(Arc::new(0))));
        open(ONE).unwrap();
        assert!(matches!(open(TWO), Err(FsError::Stale)));
        files.release(7);
        open(TWO).unwrap();
    }
}
