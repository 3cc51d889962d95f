//! A ceiling on what a parser may read of one file.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::guard::TIME_LIMIT;
use crate::model::ReadAt;

/// Bytes that the parsers of one file may read together.
pub const MOST_BYTES: u64 = 8 * 1024 * 1024;

/// Bytes that can be read until the budget is spent or the time is over; after that every read fails.
pub struct Budget {
    bytes: Arc<dyn ReadAt>,
    left: AtomicU64,
    until: Instant,
}

impl Budget {
    /// A fresh budget over these bytes.
    pub fn new(bytes: Arc<dyn ReadAt>) -> Self {
        Self { bytes, left: AtomicU64::new(MOST_BYTES), until: Instant::now() + TIME_LIMIT }
    }
}

impl ReadAt for Budget {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 && !buf.is_empty() && offset < self.bytes.size()? {
            return Err(io::Error::other("the reading budget of this file is spent"));
        }
        // A parser that loops over reads ends here; only one that never reads again must be abandoned.
        if Instant::now() > self.until {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the time for this file is over"));
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let n = self.bytes.read_at(&mut buf[..most], offset)?;
        self.left.fetch_sub((n as u64).min(left), Ordering::Relaxed);
        Ok(n)
    }

    fn size(&self) -> io::Result<u64> {
        self.bytes.size()
    }
}

/// Reads exactly `buf.len()` bytes at `offset`; `false` if the file ends before.
pub fn read_exact_at(bytes: &dyn ReadAt, buf: &mut [u8], offset: u64) -> io::Result<bool> {
    let mut done = 0;
    while done < buf.len() {
        match bytes.read_at(&mut buf[done..], offset + done as u64) {
            Ok(0) => return Ok(false),
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(true)
}

/// Up to `most` bytes at `offset`; fewer only at the end of the file.
pub fn read_up_to(bytes: &dyn ReadAt, offset: u64, most: usize) -> io::Result<Vec<u8>> {
    let there = bytes.size()?.saturating_sub(offset);
    let mut buf = vec![0; usize::try_from(there).unwrap_or(usize::MAX).min(most)];
    let mut done = 0;
    while done < buf.len() {
        match bytes.read_at(&mut buf[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    buf.truncate(done);
    Ok(buf)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reading_ends_with_the_budget() {
        let size = usize::try_from(MOST_BYTES).unwrap() + 10;
        let budget = Budget::new(Arc::new(vec![7_u8; size]));
        let mut buf = vec![0; size];
        assert_eq!(budget.read_at(&mut buf, 0).unwrap() as u64, MOST_BYTES);
        assert!(budget.read_at(&mut buf, MOST_BYTES).is_err());
        // The end of the file is no overdraft.
        assert_eq!(budget.read_at(&mut buf, size as u64).unwrap(), 0);
    }
}
