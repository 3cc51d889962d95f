//! One record into rows. The order in which revisions come does not matter, nor how often they come.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::feed;
use super::packed::pack;
use super::words::{signed, word};
use crate::model::{AlbumRevision, ArchivedItem, ItemRecord};
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

/// Revisions under a former key are numbered so far below those under the present one.
const FORMER: i64 = 1 << 32;

/// Applies a record; nothing changes where it was applied before.
pub(super) fn apply(conn: &Connection, stored: &StoredRecord) -> Result<(), Refusal> {
    let record = stored.record();
    let hash = stored.sha256().bytes().as_slice();
    let ordinal = i64::try_from(record.ordinal)
        .map_err(|_| Refusal::Conflict(format!("its number {} is too large", record.ordinal)))?;
    if conn.prepare_cached("SELECT 1 FROM record WHERE sha256 = ?1")?.exists([hash])? {
        return Ok(());
    }
    let latest = latest(conn, record, ordinal)?;
    let is_past = matches!(latest, Some(Latest::Later));
    match latest {
        Some(Latest::Former(seq)) => {
            // The library's word on what was adopted: all that was recorded before lies behind it.
            let before = feed::item_of(conn, ordinal)?;
            conn.prepare_cached("UPDATE past_item SET seq = seq - ?2 WHERE ordinal = ?1")?
                .execute(params![ordinal, FORMER])?;
            conn.prepare_cached("UPDATE record SET former = 1 WHERE ordinal = ?1")?.execute([ordinal])?;
            replace_item(conn, stored, ordinal, before.added.min(record.recorded_at))?;
            keep_past(conn, &ArchivedItem { change: 0, added: before.since, ..before }, seq - FORMER)?;
        }
        Some(Latest::Later) => {
            let past = ArchivedItem::of(record, 0, record.recorded_at);
            keep_past(conn, &past, i64::from(record.seq) - FORMER)?;
            was_added(conn, ordinal, record.recorded_at)?;
        }
        Some(Latest::Same(seq)) if seq == i64::from(record.seq) => {
            return Err(Refusal::Conflict(format!("there is another revision {seq}")));
        }
        Some(Latest::Same(seq)) if seq > i64::from(record.seq) => {
            keep_past(conn, &ArchivedItem::of(record, 0, record.recorded_at), record.seq.into())?;
            was_added(conn, ordinal, record.recorded_at)?;
        }
        Some(Latest::Same(seq)) => {
            let before = feed::item_of(conn, ordinal)?;
            replace_item(conn, stored, ordinal, before.added.min(record.recorded_at))?;
            // The past is the same whatever the order in which it came.
            keep_past(conn, &ArchivedItem { change: 0, added: before.since, ..before }, seq)?;
        }
        None => replace_item(conn, stored, ordinal, record.recorded_at)?,
    }
    conn.prepare_cached("INSERT INTO record (sha256, ordinal, seq, former) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![hash, ordinal, record.seq, is_past])?;
    // An archived item has not failed, whatever went wrong before.
    conn.prepare_cached("DELETE FROM failure WHERE key = ?1")?.execute([record.key.as_str()])?;
    Ok(())
}

/// What is applied of an item already.
enum Latest {
    /// Its revision with this number.
    Same(i64),
    /// The revision with this number of the item that it was when it had been adopted.
    Former(i64),
    /// What it has become since it was adopted.
    Later,
}

fn latest(conn: &Connection, record: &ItemRecord, ordinal: i64) -> Result<Option<Latest>, Refusal> {
    let mut query =
        conn.prepare_cached("SELECT ordinal, key, formerly, seq FROM item WHERE ordinal = ?1 OR key = ?2")?;
    let mut rows = query.query(params![ordinal, record.key.as_str()])?;
    let mut latest = None;
    while let Some(row) = rows.next()? {
        let (number, key): (i64, String) = (row.get(0)?, row.get(1)?);
        let formerly: Option<String> = row.get(2)?;
        if number != ordinal {
            return Err(Refusal::Conflict(format!("the item's number is {number}, not {ordinal}")));
        }
        latest = Some(if key == record.key.as_str() {
            Latest::Same(row.get(3)?)
        } else if record.formerly.as_ref().is_some_and(|former| former.as_str() == key) {
            Latest::Former(row.get(3)?)
        } else if formerly.is_some_and(|formerly| formerly == record.key.as_str()) {
            Latest::Later
        } else {
            return Err(Refusal::Conflict(format!("its number {ordinal} belongs to item {key}")));
        });
    }
    Ok(latest)
}

/// Notes that the item was recorded at that time, which may be earlier than what is known.
fn was_added(conn: &Connection, ordinal: i64, at: Timestamp) -> Result<(), Refusal> {
    let latest = feed::item_of(conn, ordinal)?;
    if at.as_millisecond() < latest.added.as_millisecond() {
        conn.prepare_cached("UPDATE item SET added_ms = ?2 WHERE ordinal = ?1")?
            .execute(params![ordinal, at.as_millisecond()])?;
        put_feed(conn, &ArchivedItem { added: at, ..latest })?;
    }
    Ok(())
}

fn keep_past(conn: &Connection, item: &ArchivedItem, seq: i64) -> Result<(), Refusal> {
    conn.prepare_cached("INSERT OR REPLACE INTO past_item (ordinal, seq, doc) VALUES (?1, ?2, ?3)")?
        .execute(params![signed(item.ordinal), seq, json(item)?])?;
    Ok(())
}

fn json(value: &impl serde::Serialize) -> Result<String, Refusal> {
    serde_json::to_string(value).map_err(|error| Refusal::Conflict(error.to_string()))
}

/// What the view shows; `change` of the item does not matter.
fn put_feed(conn: &Connection, item: &ArchivedItem) -> Result<(), Refusal> {
    let doc = pack(item).map_err(|error| Refusal::Conflict(error.to_string()))?;
    conn.prepare_cached(
        "INSERT OR REPLACE INTO feed (ordinal, change, doc)
         VALUES (?1, (SELECT coalesce(max(change), 0) + 1 FROM feed), ?2)",
    )?
    .execute(params![signed(item.ordinal), doc])?;
    Ok(())
}

fn replace_item(
    conn: &Connection,
    stored: &StoredRecord,
    ordinal: i64,
    added: Timestamp,
) -> Result<(), Refusal> {
    let record = stored.record();
    let remote = serde_json::to_value(&record.remote)
        .map_err(|error| Refusal::Conflict(error.to_string()))?
        .to_string();
    conn.prepare_cached(
        "INSERT INTO item (ordinal, key, seq, record, account, state, name, since_ms, added_ms, remote, dedup,
             formerly, known_as)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
         ON CONFLICT (ordinal) DO UPDATE SET
             key = excluded.key, formerly = excluded.formerly, known_as = excluded.known_as, seq = excluded.seq, record = excluded.record, account = excluded.account,
             state = excluded.state, name = excluded.name, since_ms = excluded.since_ms,
             added_ms = excluded.added_ms, remote = excluded.remote, dedup = excluded.dedup",
    )?
    .execute(params![
        ordinal,
        record.key.as_str(),
        record.seq,
        stored.sha256().bytes().as_slice(),
        record.account,
        word(&record.state),
        record.name,
        record.recorded_at.as_millisecond(),
        added.as_millisecond(),
        remote,
        record.remote.dedup_key.as_ref().map(|key| key.as_str()),
        record.formerly.as_ref().map(|key| key.as_str()),
        record.adopted.as_ref().and_then(|adopted| adopted.known_as.as_ref()).map(|key| key.as_str()),
    ])?;
    put_feed(conn, &ArchivedItem::of(record, 0, added))?;
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
    let formerly = record.formerly.as_ref().map_or("", |former| former.as_str());
    let found: Option<(String, u32)> = conn
        .prepare_cached("SELECT key, seq FROM album WHERE key IN (?1, ?2) OR formerly = ?1")?
        .query_row([key, formerly], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    // The key under which it is known now, and the number of this revision there.
    let (mut known_as, mut seq) = (key.to_owned(), i64::from(record.seq));
    match found {
        Some((known, latest)) if known == key => match latest {
            latest if latest == record.seq => {
                return Err(Refusal::Conflict(format!("there is another revision {latest}")));
            }
            latest if latest > record.seq => {}
            _ => replace_album(conn, stored)?,
        },
        Some((known, _)) if known == formerly => {
            // The library's word on what was adopted.
            conn.prepare_cached("DELETE FROM album_item WHERE album = ?1")?.execute([&known])?;
            // Not removed: the number of its change would be given to what comes now, and nobody would see that.
            conn.prepare_cached("UPDATE album SET key = ?2 WHERE key = ?1")?
                .execute([known.as_str(), key])?;
            conn.prepare_cached("UPDATE album_revision SET album = ?2, seq = seq - ?3 WHERE album = ?1")?
                .execute(params![known, key, FORMER])?;
            replace_album(conn, stored)?;
        }
        Some((known, _)) => (known_as, seq) = (known, seq - FORMER),
        None => replace_album(conn, stored)?,
    }
    conn.prepare_cached("INSERT OR REPLACE INTO album_revision (album, seq, doc) VALUES (?1, ?2, ?3)")?
        .execute(params![known_as, seq, json(&AlbumRevision::of(record))?])?;
    conn.prepare_cached("INSERT INTO album_record (sha256, album, seq) VALUES (?1, ?2, ?3)")?
        .execute(params![hash, key, record.seq])?;
    Ok(())
}

fn replace_album(conn: &Connection, stored: &StoredAlbum) -> Result<(), Refusal> {
    let record = stored.record();
    let key = record.key.as_str();
    conn.prepare_cached(
        "INSERT INTO album (key, seq, record, account, state, kind, title, count, modified_ms, formerly, change)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, (SELECT coalesce(max(change), 0) + 1 FROM album))
         ON CONFLICT (key) DO UPDATE SET change = excluded.change, formerly = excluded.formerly, seq = excluded.seq, record = excluded.record,
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
        record.formerly.as_ref().map(|key| key.as_str()),
    ])?;
    conn.prepare_cached("DELETE FROM album_item WHERE album = ?1")?.execute([key])?;
    let mut insert =
        conn.prepare_cached("INSERT INTO album_item (album, position, key) VALUES (?1, ?2, ?3)")?;
    for (position, item) in (0_i64..).zip(&record.items) {
        insert.execute(params![key, position, item.as_str()])?;
    }
    Ok(())
}
