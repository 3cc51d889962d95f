//! Opening SQLite the one way that keeps what was committed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::IndexError;
use crate::model::ArchiveId;

const SCHEMA: &str = include_str!("schema.sql");
/// Version of `schema.sql`. An index of any other version is made again from the records.
pub(super) const VERSION: i64 = 7;
/// `SHOE`, in the header of the file.
const APPLICATION_ID: i64 = 0x5348_4F45;
/// Versions from 3.7.0 to 3.51.2 can lose commits when the log is reset.
const OLDEST_SQLITE: i32 = 3_051_003;

/// Makes an empty index.
pub(super) fn create(path: &Path, id: &ArchiveId) -> Result<Connection, IndexError> {
    check_sqlite()?;
    check_volume(path)?;
    if path.exists() {
        return Err(IndexError::Exists { path: path.to_owned() });
    }
    let sql = IndexError::sql(path);
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags).map_err(&sql)?;
    configure_writer(&conn).map_err(&sql)?;
    let mut fill = || {
        let tx = conn.transaction()?;
        tx.execute_batch(SCHEMA)?;
        let mut insert = tx.prepare("INSERT INTO meta (name, value) VALUES (?1, ?2)")?;
        insert.execute(["archive_id", id.as_str()])?;
        insert.execute(["epoch", &format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..))])?;
        drop(insert);
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", VERSION)?;
        tx.commit()
    };
    fill().map_err(&sql)?;
    Ok(conn)
}

/// Opens for writing; checks the pages where the last writer did not end well.
pub(super) fn open_writer(path: &Path, id: &ArchiveId) -> Result<Connection, IndexError> {
    check_sqlite()?;
    check_volume(path)?;
    // A clean end leaves no log, or an empty one while others read.
    let unclean = fs::metadata(side_file(path, "-wal")).is_ok_and(|meta| meta.len() > 0);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = open(path, id, flags)?;
    configure_writer(&conn).map_err(IndexError::sql(path))?;
    if unclean {
        check_pages(path, &conn)?;
    }
    Ok(conn)
}

/// Opens for reading.
pub(super) fn open_reader(path: &Path, id: &ArchiveId) -> Result<Connection, IndexError> {
    check_sqlite()?;
    let conn = open(path, id, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.pragma_update(None, "query_only", true).map_err(IndexError::sql(path))?;
    Ok(conn)
}

fn open(path: &Path, id: &ArchiveId, flags: OpenFlags) -> Result<Connection, IndexError> {
    match fs::metadata(path) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(IndexError::Missing { path: path.to_owned() });
        }
        Err(error) => return Err(IndexError::io("open", path)(error)),
    }
    let sql = IndexError::sql(path);
    let conn = Connection::open_with_flags(path, flags).map_err(&sql)?;
    configure(&conn).map_err(&sql)?;
    let number = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(&sql);
    let application = number("application_id")?;
    if application != APPLICATION_ID {
        let found = format!("application id {application:#x}");
        return Err(IndexError::Foreign { path: path.to_owned(), found });
    }
    let found = number("user_version")?;
    if found != VERSION {
        return Err(IndexError::Version { path: path.to_owned(), found, known: VERSION });
    }
    let owner = meta(&conn, "archive_id").map_err(&sql)?;
    if owner != id.as_str() {
        return Err(IndexError::Foreign { path: path.to_owned(), found: format!("archive {owner}") });
    }
    Ok(conn)
}

/// A value of the table `meta`.
pub(super) fn meta(conn: &Connection, name: &str) -> rusqlite::Result<String> {
    conn.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))
}

/// Merges the log into the file and closes.
pub(super) fn close(path: &Path, conn: Connection) -> Result<(), IndexError> {
    let sql = IndexError::sql(path);
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(&sql)?;
    conn.close().map_err(|(_, error)| sql(error))
}

/// SQLite's own check of the file, without the cross-check of indexes.
pub(super) fn check_pages(path: &Path, conn: &Connection) -> Result<(), IndexError> {
    check(path, conn, "PRAGMA quick_check(1)")
}

/// SQLite's whole check of the file, and of the references between tables.
pub(super) fn check_all(path: &Path, conn: &Connection) -> Result<(), IndexError> {
    check(path, conn, "PRAGMA integrity_check(1)")?;
    let mut broken = conn.prepare("PRAGMA foreign_key_check").map_err(IndexError::sql(path))?;
    if broken.exists([]).map_err(IndexError::sql(path))? {
        return Err(IndexError::Damaged {
            path: path.to_owned(),
            why: "a reference leads nowhere".to_owned(),
        });
    }
    Ok(())
}

fn check(path: &Path, conn: &Connection, pragma: &str) -> Result<(), IndexError> {
    let answer: String = conn.query_row(pragma, [], |row| row.get(0)).map_err(IndexError::sql(path))?;
    if answer == "ok" { Ok(()) } else { Err(IndexError::Damaged { path: path.to_owned(), why: answer }) }
}

/// `index.sqlite-wal` and `index.sqlite-shm`.
pub(super) fn side_file(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// For every connection.
fn configure(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    // An I/O error in mapped memory would be a signal, not an error.
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn configure_writer(conn: &Connection) -> rusqlite::Result<()> {
    configure(conn)?;
    conn.pragma_update(None, "journal_mode", "wal")?;
    // NORMAL forgets commits at a power cut.
    conn.pragma_update(None, "synchronous", "full")?;
    conn.pragma_update(None, "wal_autocheckpoint", 1000)?;
    conn.pragma_update(None, "journal_size_limit", 64 << 20)
}

fn check_sqlite() -> Result<(), IndexError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(IndexError::OldSqlite { found: rusqlite::version().to_owned() });
    }
    Ok(())
}

/// Refuses volumes on which file locks and shared memory do not work.
fn check_volume(path: &Path) -> Result<(), IndexError> {
    let dir = match path.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    };
    let stat = rustix::fs::statfs(dir)
        .map_err(|error| IndexError::io("look at the volume of", path)(error.into()))?;
    // As in the kernel's magic.h.
    let kind = match stat.f_type as u32 {
        0x6969 => "NFS",
        0x517B | 0xFE53_4D42 | 0xFF53_4D42 => "SMB",
        0x0102_1997 => "9p",
        _ => return Ok(()),
    };
    Err(IndexError::NetworkVolume { path: path.to_owned(), kind })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_pragma_is_in_force() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("i");
        let id = ArchiveId::from_random([1; 16]);
        close(&path, create(&path, &id).unwrap()).unwrap();
        let number = |conn: &Connection, name: &str| -> i64 {
            conn.pragma_query_value(None, name, |row| row.get(0)).unwrap()
        };
        let writer = open_writer(&path, &id).unwrap();
        for (name, value) in [
            ("synchronous", 2),
            ("foreign_keys", 1),
            ("trusted_schema", 0),
            ("cell_size_check", 1),
            ("wal_autocheckpoint", 1000),
            ("journal_size_limit", 64 << 20),
            ("busy_timeout", 5000),
        ] {
            assert_eq!(number(&writer, name), value, "{name}");
        }
        let mode: String = writer.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        let reader = open_reader(&path, &id).unwrap();
        assert_eq!(number(&reader, "query_only"), 1);
        assert!(reader.execute("DELETE FROM meta", []).is_err());
    }

    #[test]
    fn another_archives_index_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("i");
        create(&path, &ArchiveId::from_random([1; 16])).unwrap();
        let error = open_writer(&path, &ArchiveId::from_random([2; 16])).unwrap_err();
        assert!(matches!(error, IndexError::Foreign { .. }) && error.is_curable(), "{error}");
    }

    #[test]
    fn another_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("i");
        let id = ArchiveId::from_random([1; 16]);
        let conn = create(&path, &id).unwrap();
        conn.pragma_update(None, "user_version", VERSION + 1).unwrap();
        close(&path, conn).unwrap();
        let error = open_writer(&path, &id).unwrap_err();
        assert!(matches!(error, IndexError::Version { found, .. } if found == VERSION + 1), "{error}");
    }
}
