//! Bookkeeping of listings: what Google showed, when, and whether its own counts agreed. It may be lost with
//! the index; the next complete listing makes it again.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};

use super::words::{parsed, signed, unsigned, valid};
use super::{IndexError, IndexReader, IndexWriter};
use crate::model::MediaKey;

/// What Google showed last of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The item.
    pub key: MediaKey,
    /// Month of capture by Google's word, `YYYY-MM`.
    pub month: String,
    /// Stands for everything the row said; another row gives another mark.
    pub mark: i64,
    /// The row's own counter, if it has one.
    pub counter: Option<i64>,
}

/// A complete listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Its number; they grow.
    pub id: u64,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Items it showed.
    pub listed: u64,
    /// Google's own count then, if it could be had.
    pub counted: Option<u64>,
    /// Whether both said the same.
    pub agrees: bool,
    /// Google's counts by range, as JSON.
    pub ranges: Option<String>,
    /// Its rows told hardly more than the keys.
    pub thin: bool,
}

/// How a month or an album adds up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Items that Google shows.
    pub shown: u64,
    /// Of these, archived whole.
    pub archived: u64,
    /// Of these, set aside, wholly or in part.
    pub set_aside: u64,
    /// Of these, nothing of both: not fetched yet.
    pub missing: u64,
    /// Of those archived, the ones in the library's archive section.
    pub hidden: u64,
}

impl IndexWriter {
    /// Notes that a listing of a whole library begins.
    ///
    /// # Errors
    /// When it cannot be committed.
    pub fn begin_listing(&self, id: u64, account: &str, at: Timestamp) -> Result<(), IndexError> {
        let account = account.to_owned();
        self.execute(move |conn| {
            conn.execute(
                "INSERT INTO listing (id, account, started) VALUES (?1, ?2, ?3)",
                params![signed(id), account, at.to_string()],
            )
        })
    }

    /// Notes what a page of the listing showed.
    ///
    /// # Errors
    /// When it cannot be committed.
    pub fn note_sightings(&self, id: u64, account: &str, seen: Vec<Sighting>) -> Result<(), IndexError> {
        let account = account.to_owned();
        self.execute(move |conn| {
            let mut insert = conn.prepare_cached(
                "INSERT INTO sighting (account, key, listing, month, mark, counter)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (account, key) DO UPDATE SET listing = excluded.listing,
                     month = excluded.month, mark = excluded.mark, counter = excluded.counter",
            )?;
            for Sighting { key, month, mark, counter } in &seen {
                insert.execute(params![account, key.as_str(), signed(id), month, mark, counter])?;
            }
            Ok(seen.len())
        })
    }

    /// Notes that the listing is complete. Sightings of listings before the last two are forgotten.
    ///
    /// # Errors
    /// When it cannot be committed.
    pub fn end_listing(&self, account: &str, end: &Listing) -> Result<(), IndexError> {
        let (account, end) = (account.to_owned(), end.clone());
        self.execute(move |conn| {
            conn.execute(
                "UPDATE listing SET ended = ?2, listed = ?3, counted = ?4, agrees = ?5, ranges = ?6, thin = ?7
                 WHERE id = ?1 AND account = ?8",
                params![
                    signed(end.id),
                    end.ended.to_string(),
                    signed(end.listed),
                    end.counted.map(signed),
                    end.agrees,
                    end.ranges,
                    end.thin,
                    account
                ],
            )?;
            conn.execute(
                "DELETE FROM listing WHERE account = ?1 AND ended IS NULL AND id < ?2",
                params![account, signed(end.id)],
            )
        })
    }

    /// Replaces Google's counts of the last complete listing by newer ones that were accounted for.
    ///
    /// # Errors
    /// When it cannot be committed.
    pub fn note_ranges(&self, id: u64, account: &str, ranges: &str) -> Result<(), IndexError> {
        let (account, ranges) = (account.to_owned(), ranges.to_owned());
        self.execute(move |conn| {
            conn.execute(
                "UPDATE listing SET ranges = ?3 WHERE id = ?1 AND account = ?2",
                params![signed(id), account, ranges],
            )
        })
    }
}

impl IndexReader {
    /// A number that no listing of the account has had yet.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn next_listing(&self, account: &str) -> Result<u64, IndexError> {
        self.ask(|conn| {
            conn.prepare_cached("SELECT coalesce(max(id), 0) + 1 AS n FROM listing WHERE account = ?1")?
                .query_row([account], |row| unsigned(row, "n"))
        })
    }

    /// The last `n` complete listings of an account, latest first.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn last_listings(&self, account: &str, n: usize) -> Result<Vec<Listing>, IndexError> {
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        self.ask(|conn| {
            conn.prepare_cached(
                "SELECT * FROM listing WHERE account = ?1 AND ended IS NOT NULL ORDER BY id DESC LIMIT ?2",
            )?
            .query_map(params![account, n], listing)?
            .collect()
        })
    }

    /// Accounts that were listed, in the order of their names.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn accounts(&self) -> Result<Vec<String>, IndexError> {
        self.ask(|conn| {
            conn.prepare("SELECT DISTINCT account FROM listing ORDER BY account")?
                .query_map([], |row| row.get(0))?
                .collect()
        })
    }

    /// What was seen last of some items.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn sightings(
        &self,
        account: &str,
        keys: &[MediaKey],
    ) -> Result<HashMap<MediaKey, Sighting>, IndexError> {
        self.ask(|conn| {
            let mut query = conn.prepare_cached(SIGHTING)?;
            let mut found = HashMap::new();
            for key in keys {
                let sighting = query
                    .query_row([account, key.as_str()], |row| {
                        Ok(Sighting {
                            key: key.clone(),
                            month: row.get("month")?,
                            mark: row.get("mark")?,
                            counter: row.get("counter")?,
                        })
                    })
                    .optional()?;
                found.extend(sighting.map(|sighting| (key.clone(), sighting)));
            }
            Ok(found)
        })
    }

    /// Items of the account's own library that are archived as present but were not shown by listing
    /// `since` or a later one.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn absent_since(&self, account: &str, since: u64) -> Result<Vec<MediaKey>, IndexError> {
        self.ask(|conn| {
            conn.prepare_cached(
                "SELECT item.key FROM item
                 LEFT JOIN sighting ON sighting.account = item.account AND sighting.key = item.key
                 WHERE item.account = ?1 AND item.state = 'present'
                     AND coalesce(sighting.listing, 0) < ?2
                     AND json_extract(item.remote, '$.foreign') IS NOT 1
                 ORDER BY item.key",
            )?
            .query_map(params![account, signed(since)], |row| {
                valid(row, "key", |text: String| MediaKey::new(&text))
            })?
            .collect()
        })
    }

    /// How each month of listing `id` adds up, by month.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn months(&self, account: &str, id: u64) -> Result<Vec<(String, Balance)>, IndexError> {
        self.ask(|conn| {
            conn.prepare(
                "SELECT sighting.month AS name, count(*) AS shown,
                     sum(item.key IS NOT NULL AND failure.key IS NULL) AS archived,
                     sum(failure.key IS NOT NULL) AS set_aside,
                     sum(item.key IS NULL AND failure.key IS NULL) AS missing,
                     sum(coalesce(json_extract(item.remote, '$.archived'), 0)) AS hidden
                 FROM sighting
                 LEFT JOIN item ON item.key = sighting.key
                 LEFT JOIN failure ON failure.account = sighting.account AND failure.key = sighting.key
                 WHERE sighting.account = ?1 AND sighting.listing >= ?2
                 GROUP BY sighting.month ORDER BY sighting.month",
            )?
            .query_map(params![account, signed(id)], |row| Ok((row.get("name")?, balance(row)?)))?
            .collect()
        })
    }

    /// Items that the last listing showed and that are neither archived nor set aside.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn missing(&self, account: &str, id: u64, most: usize) -> Result<Vec<MediaKey>, IndexError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.ask(|conn| {
            conn.prepare(
                "SELECT sighting.key FROM sighting
                 LEFT JOIN item ON item.key = sighting.key
                 LEFT JOIN failure ON failure.account = sighting.account AND failure.key = sighting.key
                 WHERE sighting.account = ?1 AND sighting.listing >= ?2
                     AND item.key IS NULL AND failure.key IS NULL
                 ORDER BY sighting.key LIMIT ?3",
            )?
            .query_map(params![account, signed(id), most], |row| {
                valid(row, "key", |text: String| MediaKey::new(&text))
            })?
            .collect()
        })
    }
}

const SIGHTING: &str = "SELECT month, mark, counter FROM sighting WHERE account = ?1 AND key = ?2";

pub(super) fn balance(row: &Row<'_>) -> rusqlite::Result<Balance> {
    Ok(Balance {
        shown: unsigned(row, "shown")?,
        archived: unsigned(row, "archived")?,
        set_aside: unsigned(row, "set_aside")?,
        missing: unsigned(row, "missing")?,
        hidden: unsigned(row, "hidden")?,
    })
}

fn listing(row: &Row<'_>) -> rusqlite::Result<Listing> {
    Ok(Listing {
        id: unsigned(row, "id")?,
        started: parsed(row, "started")?,
        ended: parsed(row, "ended")?,
        listed: unsigned(row, "listed")?,
        counted: row.get::<_, Option<i64>>("counted")?.and_then(|n| u64::try_from(n).ok()),
        agrees: row.get("agrees")?,
        ranges: row.get("ranges")?,
        thin: row.get("thin")?,
    })
}
