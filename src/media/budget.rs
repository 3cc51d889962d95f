//! A reader that stops giving after so many bytes.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use crate::model::{PositionedReader, ReadAt};

/// Reads like the file, until the budget is spent.
pub struct Budget {
    inner: PositionedReader,
    left: u64,
}

impl Budget {
    /// At most `bytes` bytes of the file.
    pub fn new(file: Arc<dyn ReadAt>, bytes: u64) -> Self {
        Self { inner: PositionedReader::new(file), left: bytes }
    }
}

impl Read for Budget {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !buf.is_empty() {
            return Err(io::Error::other("more of the file was wanted than metadata needs"));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let n = self.inner.read(&mut buf[..most])?;
        self.left -= n as u64;
        Ok(n)
    }
}

impl Seek for Budget {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}
