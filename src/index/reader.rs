//! Questions to the index.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use super::words::{from_json, from_word, parsed, signed, unsigned, valid};
use super::{IndexError, RunNote, connection, dump};
use crate::model::{ArchiveId, ItemDetails, ItemState, MediaKey, PartRole, RemoteFacts, Sha256, Verdict};
use crate::store::RecordName;

/// What the index knows of an item.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownItem {
    /// The account in whose library it is.
    pub account: String,
    /// Latest revision.
    pub seq: u32,
    /// The item's number.
    pub ordinal: u64,
    /// SHA-256 of the latest record.
    pub record_sha256: Sha256,
    /// Whether it was in the library.
    pub state: ItemState,
    /// File name as uploaded.
    pub name: String,
    /// Its files.
    pub parts: Vec<(PartRole, Sha256)>,
    /// What Google said then; compared with what it says now, it shows a change.
    pub remote: RemoteFacts,
}

impl KnownItem {
    /// The details of item `key` as they were recorded.
    pub fn details(&self, key: &MediaKey) -> ItemDetails {
        ItemDetails {
            key: key.clone(),
            name: self.name.clone(),
            size: self.remote.size,
            description: self.remote.description.clone(),
            quality: self.remote.quality,
        }
    }
}

/// Sums over the archive: the latest revision of each item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Items.
    pub items: u64,
    /// Of these, no longer in the library.
    pub gone: u64,
    /// Files of items.
    pub parts: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Different blobs behind the parts.
    pub blobs: u64,
    /// Bytes of these blobs.
    pub blob_bytes: u64,
    /// Parts by verdict; verdicts without parts are absent.
    pub verdicts: Vec<(Verdict, u64)>,
    /// Items that could not be archived so far.
    pub failures: u64,
}

/// An item that could not be archived so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The account that lists it.
    pub account: String,
    /// The item.
    pub key: MediaKey,
    /// Its file name, or what stands for it.
    pub name: String,
    /// Why, the last time.
    pub reason: String,
    /// First failure.
    pub first_at: Timestamp,
    /// Last failure.
    pub last_at: Timestamp,
    /// Number of failures.
    pub attempts: u64,
}

/// A reading connection. It can move to another thread but not be shared; open one for each.
pub struct IndexReader {
    path: PathBuf,
    conn: Connection,
    file: (u64, u64),
}

impl IndexReader {
    /// Opens a connection for reading.
    ///
    /// # Errors
    /// As [`Index::open`](super::Index::open).
    pub fn open(path: &Path, id: &ArchiveId) -> Result<Self, IndexError> {
        let conn = connection::open_reader(path, id)?;
        let file = file_id(path)?;
        Ok(Self { path: path.to_owned(), conn, file })
    }

    /// Whether the file was replaced by a rebuilt one since: then this reader sees the old one for ever.
    ///
    /// # Errors
    /// When the file cannot be looked at.
    pub fn is_replaced(&self) -> Result<bool, IndexError> {
        Ok(file_id(&self.path)? != self.file)
    }

    /// Changes whenever the index is made anew; positions of [`IndexReader::items_after`] start over then.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn epoch(&self) -> Result<String, IndexError> {
        self.ask(|conn| connection::meta(conn, "epoch"))
    }

    /// The items among `keys` that are archived.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn known(&self, keys: &[MediaKey]) -> Result<HashMap<MediaKey, KnownItem>, IndexError> {
        self.ask(|conn| {
            let mut items = conn.prepare_cached(KNOWN_ITEM)?;
            let mut parts = conn.prepare_cached(KNOWN_PARTS)?;
            let mut known = HashMap::new();
            for key in keys {
                let Some(mut item) = items.query_row([key.as_str()], known_item).optional()? else {
                    continue;
                };
                for part in parts.query_map([signed(item.ordinal)], |row| {
                    Ok((role(row)?, valid(row, "sha256", |bytes: Vec<u8>| Sha256::from_slice(&bytes))?))
                })? {
                    item.parts.push(part?);
                }
                known.insert(key.clone(), item);
            }
            Ok(known)
        })
    }

    /// The position of the latest change; 0 in an empty archive.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn last_change(&self) -> Result<u64, IndexError> {
        self.number("SELECT coalesce(max(change), 0) AS n FROM feed")
    }

    /// Sums over the archive.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn totals(&self) -> Result<Totals, IndexError> {
        self.ask(|conn| {
            let number = |sql: &str| conn.query_row(sql, [], |row| unsigned(row, "n"));
            let mut verdicts =
                conn.prepare("SELECT verdict, count(*) AS n FROM part GROUP BY verdict ORDER BY verdict")?;
            let (blobs, blob_bytes) = conn.query_row(
                "SELECT count(*) AS n, coalesce(sum(size), 0) AS bytes
                 FROM (SELECT max(size) AS size FROM part GROUP BY sha256)",
                [],
                |row| Ok((unsigned(row, "n")?, unsigned(row, "bytes")?)),
            )?;
            Ok(Totals {
                items: number("SELECT count(*) AS n FROM item")?,
                gone: number("SELECT count(*) AS n FROM item WHERE state = 'gone'")?,
                parts: number("SELECT count(*) AS n FROM part")?,
                bytes: number("SELECT coalesce(sum(size), 0) AS n FROM part")?,
                blobs,
                blob_bytes,
                verdicts: verdicts
                    .query_map([], |row| Ok((from_word(row, "verdict")?, unsigned(row, "n")?)))?
                    .collect::<rusqlite::Result<_>>()?,
                failures: number("SELECT count(*) AS n FROM failure")?,
            })
        })
    }

    /// Calls `each` with every blob of the latest revisions and its size in bytes, in the order of names.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn blobs(&self, mut each: impl FnMut(Sha256, u64)) -> Result<(), IndexError> {
        self.ask(|conn| {
            let mut query = conn.prepare("SELECT sha256, max(size) AS size FROM part GROUP BY sha256")?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                let sha256 = valid(row, "sha256", |bytes: Vec<u8>| Sha256::from_slice(&bytes))?;
                each(sha256, unsigned(row, "size")?);
            }
            Ok(())
        })
    }

    /// The blobs of one shard, that is with this first byte, sorted, each with its size in bytes.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn shard_blobs(&self, shard: u8) -> Result<Vec<(Sha256, u64)>, IndexError> {
        let (mut first, mut last) = ([0; 32], [0xff; 32]);
        (first[0], last[0]) = (shard, shard);
        self.ask(|conn| {
            conn.prepare_cached(
                "SELECT sha256, max(size) AS size FROM part WHERE sha256 BETWEEN ?1 AND ?2
                 GROUP BY sha256 ORDER BY sha256",
            )?
            .query_map([first.as_slice(), last.as_slice()], |row| {
                let sha256 = valid(row, "sha256", |bytes: Vec<u8>| Sha256::from_slice(&bytes))?;
                Ok((sha256, unsigned(row, "size")?))
            })?
            .collect()
        })
    }

    /// The items of which a blob is a file in its latest version: account, key and name.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn holders(&self, sha256: &Sha256) -> Result<Vec<(String, MediaKey, String)>, IndexError> {
        self.ask(|conn| {
            conn.prepare_cached(
                "SELECT DISTINCT i.account, i.key, i.name FROM part p JOIN item i USING (ordinal)
                 WHERE p.sha256 = ?1 AND p.latest = 1 ORDER BY i.key",
            )?
            .query_map([sha256.bytes().as_slice()], |row| {
                let key = valid(row, "key", |text: String| MediaKey::new(&text))?;
                Ok((row.get("account")?, key, row.get("name")?))
            })?
            .collect()
        })
    }

    /// The last `n` runs, latest first.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn last_runs(&self, n: usize) -> Result<Vec<RunNote>, IndexError> {
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        self.ask(|conn| {
            conn.prepare("SELECT * FROM run ORDER BY id DESC LIMIT ?1")?.query_map([n], run_note)?.collect()
        })
    }

    /// The last run of each account, by their names.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn last_run_of_each(&self) -> Result<Vec<RunNote>, IndexError> {
        self.ask(|conn| {
            conn.prepare(
                "SELECT * FROM run WHERE id IN (SELECT max(id) FROM run GROUP BY account) ORDER BY account",
            )?
            .query_map([], run_note)?
            .collect()
        })
    }

    /// The last run of an account, by the name that runs are noted under.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn last_run_of(&self, account: &str) -> Result<Option<RunNote>, IndexError> {
        self.ask(|conn| {
            conn.prepare("SELECT * FROM run WHERE account = ?1 ORDER BY id DESC LIMIT 1")?
                .query_row([account], run_note)
                .optional()
        })
    }

    /// When the last run of an account ended that was complete.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn last_complete(&self, account: &str) -> Result<Option<Timestamp>, IndexError> {
        self.ask(|conn| {
            conn.prepare(
                "SELECT ended FROM run WHERE account = ?1 AND outcome = 'complete' ORDER BY id DESC LIMIT 1",
            )?
            .query_row([account], |row| parsed(row, "ended"))
            .optional()
        })
    }

    /// The items that could not be archived so far, by key.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn failures(&self) -> Result<Vec<Failure>, IndexError> {
        self.ask(|conn| {
            conn.prepare("SELECT * FROM failure ORDER BY key, account")?
                .query_map([], |row| {
                    Ok(Failure {
                        account: row.get("account")?,
                        key: valid(row, "key", |text: String| MediaKey::new(&text))?,
                        name: row.get("name")?,
                        reason: row.get("reason")?,
                        first_at: parsed(row, "first_at")?,
                        last_at: parsed(row, "last_at")?,
                        attempts: unsigned(row, "attempts")?,
                    })
                })?
                .collect()
        })
    }

    /// Whether a record was applied.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn has_record(&self, sha256: &Sha256) -> Result<bool, IndexError> {
        self.ask(|conn| {
            conn.prepare_cached("SELECT 1 FROM record WHERE sha256 = ?1")?.exists([sha256.bytes().as_slice()])
        })
    }

    /// The names of all applied records, of items and then of albums.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn record_names(
        &self,
        mut item: impl FnMut(RecordName),
        mut album: impl FnMut(RecordName),
    ) -> Result<(), IndexError> {
        self.ask(|conn| {
            let each = |sql, take: &mut dyn FnMut(RecordName)| {
                let mut query = conn.prepare(sql)?;
                let mut rows = query.query([])?;
                while let Some(row) = rows.next()? {
                    take(RecordName {
                        key: valid(row, "key", |text: String| MediaKey::new(&text))?,
                        seq: row.get("seq")?,
                        sha256: valid(row, "sha256", |bytes: Vec<u8>| Sha256::from_slice(&bytes))?,
                    });
                }
                Ok(())
            };
            each("SELECT r.sha256, r.seq, iif(r.former, i.formerly, i.key) AS key FROM record r JOIN item i USING (ordinal)", &mut item)?;
            each("SELECT sha256, seq, album AS key FROM album_record", &mut album)
        })
    }

    /// Number of applied records.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn records(&self) -> Result<u64, IndexError> {
        self.number("SELECT count(*) AS n FROM record")
    }

    /// The highest item number; 0 in an empty archive.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn highest_ordinal(&self) -> Result<u64, IndexError> {
        self.number("SELECT coalesce(max(ordinal), 0) AS n FROM item")
    }

    /// Everything that derives from records as text, the same for the same records.
    ///
    /// # Errors
    /// When SQLite or the writer refuses.
    pub fn canonical_dump(&self, to: &mut impl std::io::Write) -> Result<(), IndexError> {
        dump::dump(&self.path, &self.conn, to)
    }

    /// SQLite's whole check of the file.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] says what is wrong.
    pub fn check(&self) -> Result<(), IndexError> {
        connection::check_all(&self.path, &self.conn)
    }

    pub(super) fn number(&self, sql: &str) -> Result<u64, IndexError> {
        self.ask(|conn| conn.prepare_cached(sql)?.query_row([], |row| unsigned(row, "n")))
    }

    /// All statements of one question see the same state.
    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, IndexError> {
        let ask = || {
            let snapshot = self.conn.unchecked_transaction()?;
            question(&snapshot)
        };
        ask().map_err(IndexError::sql(&self.path))
    }
}

const KNOWN_ITEM: &str = "SELECT ordinal, seq, record, account, state, name, remote FROM item WHERE key = ?1";
const KNOWN_PARTS: &str = "SELECT role, sha256 FROM part WHERE ordinal = ?1 AND latest = 1 ORDER BY position";
fn known_item(row: &Row<'_>) -> rusqlite::Result<KnownItem> {
    Ok(KnownItem {
        seq: row.get("seq")?,
        ordinal: unsigned(row, "ordinal")?,
        record_sha256: valid(row, "record", |bytes: Vec<u8>| Sha256::from_slice(&bytes))?,
        account: row.get("account")?,
        state: from_word(row, "state")?,
        name: row.get("name")?,
        parts: Vec::new(),
        remote: from_json(row, "remote")?,
    })
}

fn run_note(row: &Row<'_>) -> rusqlite::Result<RunNote> {
    Ok(RunNote {
        account: row.get("account")?,
        started: parsed(row, "started")?,
        ended: parsed(row, "ended")?,
        outcome: row.get("outcome")?,
        listed: unsigned(row, "listed")?,
        archived: unsigned(row, "archived")?,
        quarantined: unsigned(row, "quarantined")?,
        failed: unsigned(row, "failed")?,
        bytes: unsigned(row, "bytes")?,
    })
}

fn role(row: &Row<'_>) -> rusqlite::Result<PartRole> {
    valid(row, "role", PartRole::from_code)
}

fn file_id(path: &Path) -> Result<(u64, u64), IndexError> {
    let meta = std::fs::metadata(path).map_err(IndexError::io("look at", path))?;
    Ok((meta.dev(), meta.ino()))
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    pub(in crate::index) fn plan(conn: &Connection, sql: &str) -> Vec<String> {
        let mut query = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let parameters = vec![rusqlite::types::Null; query.parameter_count()];
        let rows = query.query_map(rusqlite::params_from_iter(parameters), |row| row.get("detail")).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn questions_that_are_asked_for_every_item_use_indexes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("i");
        let conn = connection::create(&path, &ArchiveId::from_random([1; 16])).unwrap();
        for sql in [
            KNOWN_ITEM,
            KNOWN_PARTS,
            "SELECT 1 FROM record WHERE sha256 = ?1",
            "SELECT ordinal, key, formerly, seq FROM item WHERE ordinal = ?1 OR key = ?2",
            "SELECT ordinal FROM item WHERE key = ?1 OR formerly = ?1",
            super::super::albums::HOLDING,
            super::super::albums::ADOPTED_BYTES,
            super::super::albums::ADOPTED_HINT,
            super::super::albums::ALBUM_SIZE,
        ] {
            let plan = plan(&conn, sql);
            assert!(
                plan.iter().all(|step| step.starts_with("SEARCH")
                    || step.starts_with("MULTI-INDEX")
                    || step.starts_with("INDEX")
                    // Of a few rows.
                    || (sql.contains("LIMIT 1") && step.starts_with("USE TEMP B-TREE"))),
                "{sql}: {plan:?}"
            );
        }
    }
}
