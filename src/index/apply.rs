//! One record into rows. The order in which revisions come does not matter, nor how often they come.

use rusqlite::{Connection, OptionalExtension, params};

use super::words::{signed, word};
use crate::model::PartRole;
use crate::store::{StoredAlbum, StoredRecord};

/// Why a record was not applied.
pub(super) enum Refusal {
    /// It contradicts another record.
    Conflict(String),
    /// SQLite refused.
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// Applies a record; nothing changes where it was applied before.
pub(super) fn apply(conn: &Connection, stored: &StoredRecord) -> Result<(), Refusal> {
    let record = stored.record();
    let hash = stored.sha256().bytes().as_slice();
    let ordinal = i64::try_from(record.ordinal)
        .map_err(|_| Refusal::Conflict(format!("its number {} is too large", record.ordinal)))?;
    if conn.prepare_cached("SELECT 1 FROM record WHERE sha256 = ?1")?.exists([hash])? {
        return Ok(());
    }
    let latest: Option<i64> = {
        let mut query =
            conn.prepare_cached("SELECT ordinal, key, seq FROM item WHERE ordinal = ?1 OR key = ?2")?;
        let mut rows = query.query(params![ordinal, record.key.as_str()])?;
        let mut latest = None;
        while let Some(row) = rows.next()? {
            let (number, key): (i64, String) = (row.get(0)?, row.get(1)?);
            if number != ordinal {
                return Err(Refusal::Conflict(format!("the item's number is {number}, not {ordinal}")));
            }
            if key != record.key.as_str() {
                return Err(Refusal::Conflict(format!("its number {ordinal} belongs to item {key}")));
            }
            latest = Some(row.get(2)?);
        }
        latest
    };
    match latest {
        Some(seq) if seq == i64::from(record.seq) => {
            return Err(Refusal::Conflict(format!("there is another revision {seq}")));
        }
        Some(seq) if seq > i64::from(record.seq) => {}
        _ => replace_item(conn, stored, ordinal)?,
    }
    conn.prepare_cached("INSERT INTO record (sha256, ordinal, seq) VALUES (?1, ?2, ?3)")?
        .execute(params![hash, ordinal, record.seq])?;
    // An archived item has not failed, whatever went wrong before.
    conn.prepare_cached("DELETE FROM failure WHERE key = ?1")?.execute([record.key.as_str()])?;
    Ok(())
}

fn replace_item(conn: &Connection, stored: &StoredRecord, ordinal: i64) -> Result<(), Refusal> {
    let record = stored.record();
    let change: Option<i64> = conn
        .prepare_cached("SELECT max(change) FROM item")?
        .query_row([], |row| row.get(0))
        .optional()?
        .flatten();
    let facts = record.part(PartRole::Original).map(|part| &part.facts);
    let remote = serde_json::to_value(&record.remote)
        .map_err(|error| Refusal::Conflict(error.to_string()))?
        .to_string();
    conn.prepare_cached(
        "INSERT INTO item (ordinal, key, change, seq, record, account, state, name, taken_local,
             taken_offset_s, taken_source, make, model, remote, dedup)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
         ON CONFLICT (ordinal) DO UPDATE SET
             change = excluded.change, seq = excluded.seq, record = excluded.record,
             account = excluded.account, state = excluded.state, name = excluded.name,
             taken_local = excluded.taken_local, taken_offset_s = excluded.taken_offset_s,
             taken_source = excluded.taken_source, make = excluded.make, model = excluded.model,
             remote = excluded.remote, dedup = excluded.dedup",
    )?
    .execute(params![
        ordinal,
        record.key.as_str(),
        change.unwrap_or(0) + 1,
        record.seq,
        stored.sha256().bytes().as_slice(),
        record.account,
        word(&record.state),
        record.name,
        record.taken.local.to_string(),
        record.taken.offset_s,
        word(&record.taken.source),
        facts.and_then(|facts| facts.make.as_deref()),
        facts.and_then(|facts| facts.model.as_deref()),
        remote,
        record.remote.dedup_key.as_ref().map(|key| key.as_str()),
    ])?;
    conn.prepare_cached("DELETE FROM part WHERE ordinal = ?1")?.execute([ordinal])?;
    let mut insert = conn.prepare_cached(
        "INSERT INTO part (ordinal, position, role, version, latest, name, sha256, sha1, size, verdict)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    for (position, part) in (0_i64..).zip(&record.parts) {
        insert.execute(params![
            ordinal,
            position,
            part.role.code(),
            part.version,
            record.part(part.role).is_some_and(|latest| latest.version == part.version),
            part.name,
            part.sha256.bytes().as_slice(),
            part.sha1.bytes().as_slice(),
            signed(part.size),
            part.verdict.word(),
        ])?;
    }
    Ok(())
}

/// Applies an album's record; nothing changes where it was applied before.
pub(super) fn apply_album(conn: &Connection, stored: &StoredAlbum) -> Result<(), Refusal> {
    let (record, hash) = (stored.record(), stored.sha256().bytes().as_slice());
    let key = record.key.as_str();
    if conn.prepare_cached("SELECT 1 FROM album_record WHERE sha256 = ?1")?.exists([hash])? {
        return Ok(());
    }
    let latest: Option<u32> = conn
        .prepare_cached("SELECT seq FROM album WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    match latest {
        Some(seq) if seq == record.seq => {
            return Err(Refusal::Conflict(format!("there is another revision {seq}")));
        }
        Some(seq) if seq > record.seq => {}
        _ => replace_album(conn, stored)?,
    }
    conn.prepare_cached("INSERT INTO album_record (sha256, album, seq) VALUES (?1, ?2, ?3)")?
        .execute(params![hash, key, record.seq])?;
    Ok(())
}

fn replace_album(conn: &Connection, stored: &StoredAlbum) -> Result<(), Refusal> {
    let record = stored.record();
    let key = record.key.as_str();
    conn.prepare_cached(
        "INSERT INTO album (key, seq, record, account, state, kind, title, count, modified_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (key) DO UPDATE SET seq = excluded.seq, record = excluded.record,
             account = excluded.account, state = excluded.state, kind = excluded.kind,
             title = excluded.title, count = excluded.count, modified_ms = excluded.modified_ms",
    )?
    .execute(params![
        key,
        record.seq,
        stored.sha256().bytes().as_slice(),
        record.account,
        word(&record.state),
        word(&record.kind),
        record.title,
        record.count.map(signed),
        record.modified_ms,
    ])?;
    conn.prepare_cached("DELETE FROM album_item WHERE album = ?1")?.execute([key])?;
    let mut insert =
        conn.prepare_cached("INSERT INTO album_item (album, position, key) VALUES (?1, ?2, ?3)")?;
    for (position, item) in (0_i64..).zip(&record.items) {
        insert.execute(params![key, position, item.as_str()])?;
    }
    Ok(())
}
