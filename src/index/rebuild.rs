//! The index again, from the records alone. The old one stays until the new one is whole.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::IndexError;
use super::apply::{Refusal, apply, apply_album};
use super::connection::{self, side_file};
use crate::store::{Store, StoreError};

/// Records that share a transaction.
const GROUP: usize = 10_000;

/// What a rebuild found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RebuildReport {
    /// Records applied.
    pub records: u64,
    /// Items.
    pub items: u64,
    /// Files of items.
    pub parts: u64,
    /// Records that could not be read.
    pub unreadable: u64,
    /// What is wrong with records or among them, one sentence each; all else is in the index.
    pub findings: Vec<String>,
}

/// Makes the index at `path` from the records of `store` and puts it in place of the old one.
///
/// # Errors
/// When the records cannot be listed or the new index cannot be written; the old one is still there then.
pub fn rebuild(store: &Store, path: &Path) -> Result<RebuildReport, IndexError> {
    let new = side_file(path, ".new");
    for leftover in
        [new.clone(), side_file(&new, "-wal"), side_file(&new, "-shm"), side_file(&new, "-journal")]
    {
        remove(&leftover)?;
    }
    let conn = connection::create(&new, store.id())?;
    let sql = IndexError::sql(&new);
    // Not durable while it grows: it is flushed as a whole before it takes its place.
    conn.pragma_update(None, "synchronous", "off").map_err(&sql)?;
    let mut report = fill(store, &new, &conn)?;
    connection::check_all(&new, &conn)?;
    let count = |sql_text: &str| conn.query_row(sql_text, [], |row| super::words::unsigned(row, "n"));
    report.items = count("SELECT count(*) AS n FROM item").map_err(&sql)?;
    report.parts = count("SELECT count(*) AS n FROM part").map_err(&sql)?;
    connection::close(&new, conn)?;
    File::open(&new).and_then(|file| file.sync_all()).map_err(IndexError::io("flush", &new))?;
    swap(&new, path)?;
    Ok(report)
}

fn fill(store: &Store, new: &Path, conn: &Connection) -> Result<RebuildReport, IndexError> {
    let sql = IndexError::sql(new);
    let mut report = RebuildReport::default();
    conn.execute_batch("BEGIN IMMEDIATE").map_err(&sql)?;
    for (n, record) in (1_usize..).zip(store.records()) {
        match record {
            Ok(record) => match apply(conn, &record) {
                Ok(()) => report.records += 1,
                Err(Refusal::Sql(error)) => return Err(sql(error)),
                Err(Refusal::Conflict(why)) => report.findings.push(
                    IndexError::Conflict {
                        key: record.record().key.clone(),
                        record: record.sha256().hex(),
                        why,
                    }
                    .to_string(),
                ),
            },
            // A disk that fails to answer is not a damaged record: the old index must stay.
            Err(error @ StoreError::Io { .. }) => return Err(error.into()),
            Err(error) => {
                report.unreadable += u64::from(!matches!(error, StoreError::Stray { .. }));
                report.findings.push(error.to_string());
            }
        }
        if n % GROUP == 0 {
            conn.execute_batch("COMMIT; BEGIN IMMEDIATE").map_err(&sql)?;
        }
    }
    for name in store.album_names()? {
        match name.and_then(|name| store.read_album(&name)) {
            Ok(album) => match apply_album(conn, &album) {
                Ok(()) => report.records += 1,
                Err(Refusal::Sql(error)) => return Err(sql(error)),
                Err(Refusal::Conflict(why)) => {
                    report.findings.push(format!("album {}: {why}", album.record().key));
                }
            },
            Err(error @ StoreError::Io { .. }) => return Err(error.into()),
            Err(error) => report.findings.push(error.to_string()),
        }
    }
    conn.execute_batch("COMMIT").map_err(&sql)?;
    Ok(report)
}

/// Puts the new index in place. The old one's log must go first, or SQLite would apply it to the new one.
/// A cut between the two leaves the old index a little behind the records, which every start makes up for.
fn swap(new: &Path, path: &Path) -> Result<(), IndexError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // Merges the old log where that is possible; a damaged index cannot, and need not.
    if let Ok(old) = Connection::open_with_flags(path, flags) {
        let _ = old.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }
    remove(&side_file(path, "-wal"))?;
    remove(&side_file(path, "-shm"))?;
    fs::rename(new, path).map_err(IndexError::io("replace", path))?;
    let dir = path.parent().filter(|dir| *dir != Path::new("")).unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(IndexError::io("flush directory", dir))
}

fn remove(path: &Path) -> Result<(), IndexError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(IndexError::io("remove", path)(error)),
        _ => Ok(()),
    }
}
