//! Copies of the index. The records are the truth, so these save only the history of runs and retries, and the time
//! that making the index again takes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};

use super::connection::{self, side_file};
use super::{Index, IndexError};

/// How the names of copies start.
const PREFIX: &str = "index-";
/// How they end.
const SUFFIX: &str = ".sqlite";

impl Index {
    /// Copies the index into `dir` while others use it, opens the copy and checks all of it; then removes the oldest
    /// copies beyond `keep`. A copy that fails its check does not get a name.
    ///
    /// # Errors
    /// When the copy cannot be written or does not hold what the index does.
    pub fn backup(&self, dir: &Path, now: Timestamp, keep: usize) -> Result<PathBuf, IndexError> {
        fs::create_dir_all(dir).map_err(IndexError::io("create", dir))?;
        let new = dir.join("unfinished.sqlite");
        for leftover in
            [new.clone(), side_file(&new, "-wal"), side_file(&new, "-shm"), side_file(&new, "-journal")]
        {
            match fs::remove_file(&leftover) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(IndexError::io("remove", &leftover)(error));
                }
                _ => {}
            }
        }
        let records = self.copy(&new)?;
        let copy = connection::open_reader(&new, &self.id)?;
        connection::check_all(&new, &copy)?;
        let copied: u64 = copy
            .query_row("SELECT count(*) AS n FROM record", [], |row| super::words::unsigned(row, "n"))
            .map_err(IndexError::sql(&new))?;
        drop(copy);
        if copied != records {
            let why = format!("the copy has {copied} records, the index {records}");
            return Err(IndexError::Damaged { path: new, why });
        }
        let path = dir.join(format!("{PREFIX}{}{SUFFIX}", now.strftime("%Y%m%dT%H%M%SZ")));
        fs::rename(&new, &path).map_err(IndexError::io("rename", &new))?;
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(IndexError::io("flush directory", dir))?;
        prune(dir, keep)?;
        Ok(path)
    }

    /// Copies one moment of the index; returns the number of its records.
    fn copy(&self, to: &Path) -> Result<u64, IndexError> {
        let sql = IndexError::sql(to);
        let from = connection::open_reader(&self.path, &self.id)?;
        // A transaction holds on to one moment; whoever writes is not kept waiting.
        let moment = from.unchecked_transaction().map_err(&sql)?;
        let records = moment
            .query_row("SELECT count(*) AS n FROM record", [], |row| super::words::unsigned(row, "n"))
            .map_err(&sql)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut copy = Connection::open_with_flags(to, flags).map_err(&sql)?;
        Backup::new(&from, &mut copy).and_then(|backup| backup.step(-1)).map_err(&sql)?;
        // One file, not three.
        copy.query_row("PRAGMA journal_mode=DELETE", [], |_| Ok(())).map_err(&sql)?;
        copy.close().map_err(|(_, error)| sql(error))?;
        File::open(to).and_then(|file| file.sync_all()).map_err(IndexError::io("flush", to))?;
        Ok(records)
    }
}

/// Removes the oldest copies; anything else in the directory is somebody's own.
fn prune(dir: &Path, keep: usize) -> Result<(), IndexError> {
    let entries = fs::read_dir(dir).map_err(IndexError::io("list", dir))?;
    let mut copies: Vec<_> = entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX))
        })
        .map(|entry| entry.path())
        .collect();
    copies.sort();
    let surplus = copies.len().saturating_sub(keep);
    for old in &copies[..surplus] {
        fs::remove_file(old).map_err(IndexError::io("remove", old))?;
    }
    Ok(())
}
