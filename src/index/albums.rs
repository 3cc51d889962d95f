//! Questions about albums.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Params, Row, params};

use super::listings::{Balance, balance};
use super::words::{from_word, unsigned, valid};
use super::{IndexError, IndexReader};
use crate::model::{AlbumKind, DedupKey, ItemState, LOCAL_ACCOUNT, MediaKey, PartRole, Sha1, Sha256};
use crate::store::RecordName;

/// What the index knows of an album.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownAlbum {
    /// Name of its latest record.
    pub record: RecordName,
    /// The account that sees it.
    pub account: String,
    /// Whether it was there.
    pub state: ItemState,
    /// Kind.
    pub kind: AlbumKind,
    /// Title; empty if it has none.
    pub title: String,
    /// Google's count of its items then.
    pub count: Option<u64>,
    /// When it had changed last, milliseconds since 1970 UTC.
    pub modified_ms: Option<i64>,
}

/// The items with a file of these bytes.
pub(super) const HOLDING: &str = "SELECT item.key, item.seq, item.record
    FROM part JOIN item ON item.ordinal = part.ordinal
    WHERE part.sha256 = ?1 ORDER BY part.role, item.ordinal LIMIT 1";
/// The adopted item with that original.
pub(super) const ADOPTED_BYTES: &str = "SELECT item.key, item.seq, item.record
    FROM part JOIN item ON item.ordinal = part.ordinal
    WHERE part.sha1 = ?1 AND part.role = 0 AND part.latest = 1 AND item.account = ?2
    ORDER BY item.ordinal LIMIT 1";
/// The adopted item that is said to have that key.
pub(super) const ADOPTED_HINT: &str = "SELECT key, seq, record FROM item
    WHERE known_as = ?1 AND account = ?2 ORDER BY ordinal LIMIT 1";
/// The number of items of an album that are archived.
pub(super) const ALBUM_SIZE: &str = "SELECT count(*) AS n
    FROM album_item JOIN item ON (item.key = album_item.key OR item.formerly = album_item.key)
    WHERE album_item.album = ?1";

impl IndexReader {
    /// All albums, by title, then key; libraries are none.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn albums(&self) -> Result<Vec<KnownAlbum>, IndexError> {
        self.ask(|conn| {
            conn.prepare("SELECT * FROM album WHERE kind <> 'library' ORDER BY title, key")?
                .query_map([], known_album)?
                .collect()
        })
    }

    /// How whoever runs the archive calls the accounts that have a name, by Google's numbers of them.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn account_names(&self) -> Result<BTreeMap<String, String>, IndexError> {
        self.ask(|conn| {
            conn.prepare_cached("SELECT account, title FROM album WHERE kind = 'library'")?
                .query_map([], |row| Ok((row.get("account")?, row.get("title")?)))?
                .collect()
        })
    }

    /// One album.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn album(&self, key: &MediaKey) -> Result<Option<KnownAlbum>, IndexError> {
        self.ask(|conn| {
            conn.prepare_cached("SELECT * FROM album WHERE key = ?1")?
                .query_row([key.as_str()], known_album)
                .optional()
        })
    }

    /// The titles of the albums that an item is in, by their keys; an untitled one has an empty title.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn albums_of(&self, key: &MediaKey) -> Result<Vec<(MediaKey, String)>, IndexError> {
        self.ask(|conn| {
            conn.prepare_cached(
                "SELECT album.key, album.title FROM album_item JOIN album ON album.key = album_item.album
                 WHERE album_item.key IN (?1, (SELECT formerly FROM item WHERE key = ?1))
                 ORDER BY album.title, album.key",
            )?
            .query_map([key.as_str()], |row| {
                Ok((valid(row, "key", |text: String| MediaKey::new(&text))?, row.get("title")?))
            })?
            .collect()
        })
    }

    /// The items of an album that are archived, by number, in its order, without the first `skip`.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn album_items(&self, key: &MediaKey, skip: usize, most: usize) -> Result<Vec<u64>, IndexError> {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.ask(|conn| {
            conn.prepare_cached(
                "SELECT item.ordinal FROM album_item JOIN item ON (item.key = album_item.key OR item.formerly = album_item.key)
                 WHERE album_item.album = ?1 ORDER BY album_item.position LIMIT ?3 OFFSET ?2",
            )?
            .query_map(params![key.as_str(), number(skip), number(most)], |row| unsigned(row, "ordinal"))?
            .collect()
        })
    }

    /// The number of items of an album that are archived.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn album_size(&self, key: &MediaKey) -> Result<u64, IndexError> {
        self.ask(|conn| conn.prepare_cached(ALBUM_SIZE)?.query_row([key.as_str()], |row| unsigned(row, "n")))
    }

    /// How an album adds up: `shown` is the number of its items in the latest record.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn album_balance(&self, key: &MediaKey) -> Result<Balance, IndexError> {
        self.ask(|conn| {
            conn.prepare_cached(
                "SELECT count(*) AS shown,
                     coalesce(sum(item.key IS NOT NULL AND failure.key IS NULL), 0) AS archived,
                     coalesce(sum(failure.key IS NOT NULL), 0) AS set_aside,
                     coalesce(sum(item.key IS NULL AND failure.key IS NULL), 0) AS missing,
                     0 AS hidden
                 FROM album_item
                 JOIN album ON album.key = album_item.album
                 LEFT JOIN item ON (item.key = album_item.key OR item.formerly = album_item.key)
                 LEFT JOIN failure ON failure.account = album.account AND failure.key = album_item.key
                 WHERE album_item.album = ?1",
            )?
            .query_row([key.as_str()], balance)
        })
    }

    /// Number of items in an own album that the listing of the library has never shown: others put them there.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn foreign_in(&self, key: &MediaKey) -> Result<u64, IndexError> {
        self.ask(|conn| {
            conn.prepare_cached(
                "SELECT count(*) AS n FROM album_item
                 JOIN album ON album.key = album_item.album
                 LEFT JOIN item ON (item.key = album_item.key OR item.formerly = album_item.key)
                 LEFT JOIN sighting ON sighting.key = album_item.key AND sighting.account = album.account
                 WHERE album_item.album = ?1 AND item.key IS NULL AND sighting.key IS NULL",
            )?
            .query_row([key.as_str()], |row| unsigned(row, "n"))
        })
    }

    /// The archived item of the account's library with that content key, if there is exactly such a one.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn item_by_dedup(&self, account: &str, dedup: &DedupKey) -> Result<Option<MediaKey>, IndexError> {
        self.dedup(
            "SELECT key FROM item WHERE dedup = ?1 AND account = ?2 ORDER BY state DESC, ordinal LIMIT 1",
            params![dedup.as_str(), account],
        )
    }

    /// The archived item with that content key, whosever it is.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn item_of_anyone_by_dedup(&self, dedup: &DedupKey) -> Result<Option<MediaKey>, IndexError> {
        self.dedup(
            "SELECT key FROM item WHERE dedup = ?1 ORDER BY state DESC, ordinal LIMIT 1",
            params![dedup.as_str()],
        )
    }

    fn dedup(&self, sql: &str, by: impl Params) -> Result<Option<MediaKey>, IndexError> {
        self.ask(|conn| {
            conn.prepare_cached(sql)?
                .query_row(by, |row| valid(row, "key", |text: String| MediaKey::new(&text)))
                .optional()
        })
    }

    /// The latest record of an item that has a part with this SHA-1; of one that has a Live Photo's video beside it, if
    /// there is such a one.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn record_with(&self, sha1: &Sha1) -> Result<Option<RecordName>, IndexError> {
        self.ask(|conn| {
            conn.prepare_cached(
                "SELECT item.key, item.seq, item.record FROM part JOIN item ON item.ordinal = part.ordinal
                 WHERE part.sha1 = ?1
                 ORDER BY NOT EXISTS (SELECT 1 FROM part video WHERE video.ordinal = item.ordinal AND video.role = ?2),
                          item.ordinal
                 LIMIT 1",
            )?
            .query_row(params![sha1.bytes().as_slice(), PartRole::Motion.code()], record_name)
            .optional()
        })
    }

    /// Whether all archived items among `few` are among `many`, under whatever keys.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn covers(&self, many: &[MediaKey], few: &[MediaKey]) -> Result<bool, IndexError> {
        let many: std::collections::HashSet<u64> = self.ordinals(many)?.into_values().collect();
        Ok(self.ordinals(few)?.values().all(|ordinal| many.contains(ordinal)))
    }

    /// The record of an item that has a file with these bytes, the one whose original they are first.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn holding(&self, sha256: &Sha256) -> Result<Option<RecordName>, IndexError> {
        self.ask(|conn| {
            conn.prepare_cached(HOLDING)?.query_row([sha256.bytes().as_slice()], record_name).optional()
        })
    }

    /// What was adopted and is the same as an item that a library shows for the first time: its original has this
    /// SHA-1, or else it is said to have this key.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn adopted(&self, sha1: &Sha1, key: &MediaKey) -> Result<Option<RecordName>, IndexError> {
        self.ask(|conn| {
            let same_bytes = conn
                .prepare_cached(ADOPTED_BYTES)?
                .query_row(params![sha1.bytes().as_slice(), LOCAL_ACCOUNT], record_name)
                .optional()?;
            let by_hint = |conn: &rusqlite::Connection| {
                conn.prepare_cached(ADOPTED_HINT)?
                    .query_row(params![key.as_str(), LOCAL_ACCOUNT], record_name)
                    .optional()
            };
            same_bytes.map_or_else(|| by_hint(conn), |found| Ok(Some(found)))
        })
    }

    /// Whether these bytes are the original of another item of the account than `key`. Others may well have the same
    /// photo, and what was only adopted may be this very item.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn is_anothers_original(
        &self,
        account: &str,
        key: &MediaKey,
        sha256: &Sha256,
    ) -> Result<bool, IndexError> {
        self.ask(|conn| {
            conn.prepare_cached(
                "SELECT 1 FROM part JOIN item ON item.ordinal = part.ordinal
                 WHERE part.sha256 = ?1 AND part.role = 0 AND item.key <> ?2 AND item.account = ?3",
            )?
            .exists(params![sha256.bytes().as_slice(), key.as_str(), account])
        })
    }

    /// Whether an album record was applied.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn has_album_record(&self, sha256: &Sha256) -> Result<bool, IndexError> {
        self.ask(|conn| {
            conn.prepare_cached("SELECT 1 FROM album_record WHERE sha256 = ?1")?
                .exists([sha256.bytes().as_slice()])
        })
    }

    /// Number of applied album records.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn album_records(&self) -> Result<u64, IndexError> {
        self.number("SELECT count(*) AS n FROM album_record")
    }
}

fn known_album(row: &Row<'_>) -> rusqlite::Result<KnownAlbum> {
    Ok(KnownAlbum {
        record: record_name(row)?,
        account: row.get("account")?,
        state: from_word(row, "state")?,
        kind: from_word(row, "kind")?,
        title: row.get("title")?,
        count: row.get::<_, Option<i64>>("count")?.and_then(|n| u64::try_from(n).ok()),
        modified_ms: row.get("modified_ms")?,
    })
}

fn record_name(row: &Row<'_>) -> rusqlite::Result<RecordName> {
    Ok(RecordName {
        key: valid(row, "key", |text: String| MediaKey::new(&text))?,
        seq: u32::try_from(unsigned(row, "seq")?).unwrap_or(u32::MAX),
        sha256: valid(row, "record", |bytes: Vec<u8>| Sha256::from_slice(&bytes))?,
    })
}
