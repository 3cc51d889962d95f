//! One writer at a time: an advisory lock on the file `lock`, which dies with its process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::StoreError;
use super::layout::Layout;

/// The held lock.
pub(super) struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Whoever comes while the next holder has not written its name yet is not told this one.
        let _ = self.file.set_len(0);
    }
}

impl Lock {
    pub(super) fn take(layout: &Layout, now: Timestamp) -> Result<Self, StoreError> {
        let path = layout.root().join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(StoreError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked { root: layout.root().to_owned(), holder: holder(&file) });
            }
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", &path)(error)),
        }
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let text = format!("process {} on {host} (since {now:.0})\n", std::process::id());
        // A courtesy to whoever comes second; on a full volume there is no room for it, and it can be done without.
        let _ = file.set_len(0).and_then(|()| file.write_all(text.as_bytes()));
        Ok(Self { file })
    }
}

/// What the holder wrote about itself. It may be writing just now, over what one before it wrote that was killed:
/// as long as that names nobody who lives, it is looked at again. (A holder on another machine, or in another
/// container, cannot be looked for; it is named after a second all the same.)
fn holder(file: &File) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let mut bytes = [0; 1024];
        let length = file.read_at(&mut bytes, 0).unwrap_or(0);
        let text = String::from_utf8_lossy(&bytes[..length]);
        let text: String = text.trim().chars().filter(|c| !c.is_control()).collect();
        let id = text.strip_prefix("process ").and_then(|rest| rest.split(' ').next());
        let lives = id.is_some_and(|id| Path::new("/proc").join(id).exists());
        if lives || Instant::now() >= until {
            return if text.is_empty() { "another process".to_owned() } else { text };
        }
        std::thread::sleep(PATIENCE / 100);
    }
}

/// Longest time that a holder is given to write its name.
const PATIENCE: Duration = Duration::from_secs(1);
