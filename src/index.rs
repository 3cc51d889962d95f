//! The index: what the records say, in a form that can be asked. SQLite, and disposable: [`rebuild()`] makes
//! it again from the records alone, and only retries and past runs are lost with it.
//!
//! One thread owns the writing connection ([`IndexWriter`]); every reader has a connection of its own
//! ([`IndexReader`]). The writer takes only [`StoredRecord`](crate::store::StoredRecord)s: there is never a
//! row without a durable record.

use std::path::{Path, PathBuf};

use crate::model::ArchiveId;

mod albums;
mod apply;
mod backup;
mod connection;
mod dump;
mod error;
mod feed;
mod listings;
pub(crate) mod packed;
mod reader;
mod rebuild;
mod words;
mod writer;

pub use albums::KnownAlbum;
pub use error::IndexError;
pub use feed::PartFacts;
pub use listings::{Balance, Listing, Sighting};
pub use packed::pack;
pub use reader::{Failure, IndexReader, KnownItem, Totals};
pub use rebuild::{RebuildReport, rebuild};
pub use writer::{IndexWriter, RunNote};

use writer::WriterThread;

/// An opened index.
pub struct Index {
    path: PathBuf,
    id: ArchiveId,
    writer: Option<WriterThread>,
}

impl Index {
    /// Makes an empty index for an archive.
    ///
    /// # Errors
    /// Where there is one already, or what the system answers.
    pub fn create(path: &Path, id: &ArchiveId) -> Result<(), IndexError> {
        let conn = connection::create(path, id)?;
        connection::close(path, conn)
    }

    /// Opens an index for reading and writing. After an unclean stop its pages are checked first.
    ///
    /// # Errors
    /// Those of [`IndexError::is_curable`] mean that [`rebuild()`] will help.
    pub fn open(path: &Path, id: &ArchiveId) -> Result<Self, IndexError> {
        let conn = connection::open_writer(path, id)?;
        let writer = Some(WriterThread::start(path, conn)?);
        Ok(Self { path: path.to_owned(), id: id.clone(), writer })
    }

    /// Opens an index for reading; its writer refuses everything.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn open_read_only(path: &Path, id: &ArchiveId) -> Result<Self, IndexError> {
        connection::open_reader(path, id)?;
        Ok(Self { path: path.to_owned(), id: id.clone(), writer: None })
    }

    /// A handle that sends work to the writing thread.
    pub fn writer(&self) -> IndexWriter {
        IndexWriter::new(&self.path, self.writer.as_ref())
    }

    /// A new reader with its own connection.
    ///
    /// # Errors
    /// When the connection cannot be made.
    pub fn reader(&self) -> Result<IndexReader, IndexError> {
        IndexReader::open(&self.path, &self.id)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends the writing thread after what is queued, and merges the log into the file. Dropping the index
    /// does the same but cannot report.
    ///
    /// # Errors
    /// When the log cannot be merged; nothing is lost then, the next start does it.
    pub fn close(mut self) -> Result<(), IndexError> {
        self.writer.take().map_or(Ok(()), WriterThread::finish)
    }
}
