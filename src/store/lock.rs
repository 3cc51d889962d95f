//! One writer at a time: an advisory lock on the file `lock`, which dies with its process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};

use jiff::Timestamp;

use super::StoreError;
use super::layout::Layout;

/// The held lock.
pub(super) struct Lock {
    _file: File,
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
        let mut write = || {
            file.set_len(0)?;
            file.write_all(text.as_bytes())
        };
        write().map_err(StoreError::io("write", &path))?;
        Ok(Self { _file: file })
    }
}

/// What the holder wrote about itself; it may be writing just now.
fn holder(file: &File) -> String {
    let mut text = String::new();
    let _ = file.take(1024).read_to_string(&mut text);
    let text: String = text.trim().chars().filter(|c| !c.is_control()).collect();
    if text.is_empty() { "another process".to_owned() } else { text }
}
