//! A listing in which some files have no attributes.
//!
//! The protocol has a way to say so (an entry whose node is 0), but fuser 0.18 takes node and inode from the same
//! field, and programs take an entry without inode for a deleted one. So such an answer is written by us. fuser
//! then finds the question answered, which does no harm: the kernel numbers its questions and never uses a
//! number again.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, FileType};

/// `struct fuse_entry_out`, of protocol 7.9 and later.
const ENTRY: usize = 128;
/// `struct fuse_out_header`.
const HEADER: usize = 16;

/// The answer to a question for a listing with attributes.
#[derive(Default)]
pub struct Listing {
    bytes: Vec<u8>,
    /// Entries without attributes.
    bare: usize,
}

impl Listing {
    /// Appends an entry with its attributes, or without: the kernel then asks for them when somebody wants them.
    /// The kernel believes attributes for `ttl`.
    pub fn push(&mut self, next: u64, name: &str, attr: &FileAttr, ttl: Option<Duration>) {
        match ttl {
            Some(ttl) => self.attributes(attr, ttl),
            None => {
                self.bare += 1;
                self.bytes.resize(self.bytes.len() + ENTRY, 0);
            }
        }
        self.long(attr.ino.0);
        self.long(next);
        // Names have 255 bytes at most.
        self.int(u32::try_from(name.len()).unwrap_or(0));
        self.int(mode(attr) >> 12);
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
    }

    /// Whether any entry has no attributes.
    pub const fn is_partial(&self) -> bool {
        self.bare > 0
    }

    /// Sends it as the answer to the question of that number.
    ///
    /// # Errors
    /// What the kernel says; then the question has no answer yet.
    pub fn send(&self, device: impl AsFd, question: u64) -> io::Result<()> {
        let mut header = Vec::with_capacity(HEADER);
        let length = u32::try_from(HEADER + self.bytes.len()).map_err(io::Error::other)?;
        header.extend(length.to_ne_bytes());
        header.extend(0_i32.to_ne_bytes());
        header.extend(question.to_ne_bytes());
        rustix::io::writev(device, &[IoSlice::new(&header), IoSlice::new(&self.bytes)])?;
        Ok(())
    }

    fn attributes(&mut self, attr: &FileAttr, ttl: Duration) {
        let times = [attr.atime, attr.mtime, attr.ctime].map(since_epoch);
        // Node, generation, and how long entry and attributes are believed.
        for number in [attr.ino.0, 0, ttl.as_secs(), ttl.as_secs()] {
            self.long(number);
        }
        self.int(ttl.subsec_nanos());
        self.int(ttl.subsec_nanos());
        for number in [attr.ino.0, attr.size, attr.blocks] {
            self.long(number);
        }
        for (seconds, _) in times {
            self.bytes.extend(seconds.to_ne_bytes());
        }
        for (_, nanoseconds) in times {
            self.int(nanoseconds);
        }
        for number in [mode(attr), attr.nlink, attr.uid, attr.gid, attr.rdev, attr.blksize, 0] {
            self.int(number);
        }
    }

    fn long(&mut self, number: u64) {
        self.bytes.extend(number.to_ne_bytes());
    }

    fn int(&mut self, number: u32) {
        self.bytes.extend(number.to_ne_bytes());
    }
}

fn mode(attr: &FileAttr) -> u32 {
    let kind = if attr.kind == FileType::Directory { 0o040_000 } else { 0o100_000 };
    kind | u32::from(attr.perm)
}

/// Seconds since 1970, rounded down, and nanoseconds.
fn since_epoch(time: SystemTime) -> (i64, u32) {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (i64::try_from(after.as_secs()).unwrap_or(i64::MAX), after.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            match before.subsec_nanos() {
                0 => (-seconds, 0),
                nanoseconds => (-seconds - 1, 1_000_000_000 - nanoseconds),
            }
        }
    }
}
