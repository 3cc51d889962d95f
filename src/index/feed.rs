//! What the view is fed with: items and albums, whole or what changed, and their past.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::packed::unpack;
use super::words::{from_json, from_word, parsed, signed, unsigned, valid};
use super::{IndexError, IndexReader};
use crate::model::{
    ArchivedAlbum, ArchivedItem, BorrowedItem, CaptureTime, MediaKey, Place, RemoteFacts, Sha1, Sha256,
    Verdict,
};

/// What the archive knows of a part and its item beyond what the tree needs; for who asks.
#[derive(Clone, Debug, PartialEq)]
pub struct PartFacts {
    /// Marked as favourite.
    pub favourite: bool,
    /// Description, by Google.
    pub description: Option<String>,
    /// Where Google says it was taken, if the file itself does not say.
    pub place: Option<Place>,
    /// The item's key.
    pub key: MediaKey,
    /// The part's name as it was uploaded or given, which may be nothing that a file can be called.
    pub name: String,
    /// SHA-1 of the bytes.
    pub sha1: Sha1,
    /// How far it is proven.
    pub verdict: Verdict,
    /// When it was taken.
    pub taken: CaptureTime,
}

impl IndexReader {
    /// Calls `each` with the latest revision of every item whose number is in the range, lowest number first.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn items(
        &self,
        numbers: RangeInclusive<u64>,
        mut each: impl FnMut(&BorrowedItem<'_>),
    ) -> Result<(), IndexError> {
        self.ask(|conn| {
            let mut query = conn.prepare_cached(
                "SELECT ordinal, change, doc FROM feed WHERE ordinal BETWEEN ?1 AND ?2 ORDER BY ordinal",
            )?;
            let mut rows = query.query([signed(*numbers.start()), signed(*numbers.end())])?;
            while let Some(row) = rows.next()? {
                each(&archived_item(row)?);
            }
            Ok(())
        })
    }

    /// At most `limit` items that changed after position `change`, in the order of changes. Ask again with the
    /// last `change` until nothing comes.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn items_after(&self, change: u64, limit: usize) -> Result<Vec<ArchivedItem>, IndexError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.ask(|conn| {
            let mut query = conn.prepare_cached(ITEMS_AFTER)?;
            let item = |row: &Row<'_>| archived_item(row).map(BorrowedItem::into_owned);
            query.query_map(params![signed(change), limit], item)?.collect()
        })
    }

    /// Earlier revisions of items, by number and revision.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn past_items(&self) -> Result<Vec<ArchivedItem>, IndexError> {
        self.ask(|conn| {
            conn.prepare("SELECT doc FROM past_item ORDER BY ordinal, seq")?
                .query_map([], |row| from_json(row, "doc"))?
                .collect()
        })
    }

    /// The albums that changed after position `change`, each with its whole history, in the order of changes.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn albums_after(&self, change: u64) -> Result<Vec<ArchivedAlbum>, IndexError> {
        self.ask(|conn| {
            let mut query = conn.prepare_cached(
                "SELECT key, formerly, change FROM album WHERE change > ?1 ORDER BY change",
            )?;
            let mut history =
                conn.prepare_cached("SELECT doc FROM album_revision WHERE album = ?1 ORDER BY seq")?;
            let mut rows = query.query([signed(change)])?;
            let mut albums = Vec::new();
            while let Some(row) = rows.next()? {
                let key = valid(row, "key", |text: String| MediaKey::new(&text))?;
                let formerly: Option<String> = row.get("formerly")?;
                let formerly = formerly.and_then(|text| MediaKey::new(&text));
                let revisions = history.query_map([key.as_str()], |row| from_json(row, "doc"))?;
                let revisions = revisions.collect::<rusqlite::Result<_>>()?;
                albums.push(ArchivedAlbum { change: unsigned(row, "change")?, key, formerly, revisions });
            }
            Ok(albums)
        })
    }

    /// The days, in UTC, on which something was recorded: days since 1970, rising.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn days(&self) -> Result<Vec<i32>, IndexError> {
        self.ask(|conn| {
            let mut days: std::collections::BTreeSet<i32> = std::collections::BTreeSet::new();
            let mut item = conn.prepare(
                "SELECT DISTINCT added_ms / 86400000 AS day FROM item
                 UNION SELECT DISTINCT since_ms / 86400000 FROM item",
            )?;
            for day in item.query_map([], |row| row.get::<_, i32>(0))? {
                days.insert(day?);
            }
            for table in ["past_item", "album_revision"] {
                let mut query = conn.prepare(&format!(
                    "SELECT DISTINCT substr(json_extract(doc, '$.since'), 1, 10) AS day FROM {table}"
                ))?;
                for day in query.query_map([], |row| parsed::<jiff::civil::Date>(row, "day"))? {
                    let since = day?.since((jiff::Unit::Day, jiff::civil::date(1970, 1, 1)));
                    days.extend(since.map(|span| span.get_days()));
                }
            }
            Ok(days.into_iter().collect())
        })
    }

    /// The number of archived items.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn item_count(&self) -> Result<u64, IndexError> {
        self.number("SELECT count(*) AS n FROM item")
    }

    /// The numbers of the items among `keys` that are archived.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn ordinals(&self, keys: &[MediaKey]) -> Result<HashMap<MediaKey, u64>, IndexError> {
        self.ask(|conn| {
            let mut query =
                conn.prepare_cached("SELECT ordinal FROM item WHERE key = ?1 OR formerly = ?1")?;
            let mut found = HashMap::with_capacity(keys.len());
            for key in keys {
                let ordinal = query.query_row([key.as_str()], |row| unsigned(row, "ordinal")).optional()?;
                if let Some(ordinal) = ordinal {
                    found.insert(key.clone(), ordinal);
                }
            }
            Ok(found)
        })
    }

    /// Groups of items whose originals are the same bytes as that of one of these, each by number.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn twins(&self, of: &[u64]) -> Result<Vec<Vec<u64>>, IndexError> {
        self.ask(|conn| {
            let mut groups: BTreeMap<Vec<u8>, Vec<u64>> = BTreeMap::new();
            let mut query = conn.prepare_cached(TWINS_OF)?;
            for &ordinal in of {
                let mut rows = query.query([signed(ordinal)])?;
                while let Some(row) = rows.next()? {
                    groups.entry(row.get("sha256")?).or_default().push(unsigned(row, "ordinal")?);
                }
            }
            for group in groups.values_mut() {
                group.sort_unstable();
                group.dedup();
            }
            Ok(groups.into_values().filter(|group| group.len() > 1).collect())
        })
    }

    /// What is known of a part.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn part_facts(&self, ordinal: u64, sha256: &Sha256) -> Result<Option<PartFacts>, IndexError> {
        self.ask(|conn| {
            let facts = conn
                .prepare_cached(
                    "SELECT part.name, part.sha1, part.verdict, item.remote
                     FROM part JOIN item ON item.ordinal = part.ordinal
                     WHERE part.ordinal = ?1 AND part.sha256 = ?2 LIMIT 1",
                )?
                .query_row(params![signed(ordinal), sha256.bytes().as_slice()], |row| {
                    let sha1 = valid(row, "sha1", |bytes: Vec<u8>| Sha1::from_slice(&bytes))?;
                    let place = from_json::<RemoteFacts>(row, "remote")?.place;
                    Ok((row.get("name")?, sha1, from_word(row, "verdict")?, place))
                })
                .optional()?;
            let Some((name, sha1, verdict, place)) = facts else { return Ok(None) };
            let item = item_of(conn, signed(ordinal))?;
            Ok(Some(PartFacts {
                favourite: item.favourite,
                // The position of the item is the file's own where it has one.
                place: place.filter(|place| item.position == Some((place.latitude, place.longitude))),
                description: item.description.map(Cow::into_owned),
                key: item.key,
                name,
                sha1,
                verdict,
                taken: item.taken,
            }))
        })
    }
}

const ITEM_OF: &str = "SELECT ordinal, change, doc FROM feed WHERE ordinal = ?1";
const ITEMS_AFTER: &str = "SELECT ordinal, change, doc FROM feed WHERE change > ?1 ORDER BY change LIMIT ?2";
const TWINS_OF: &str = "
    SELECT twin.ordinal, twin.sha256 FROM part
    JOIN part AS twin ON twin.sha256 = part.sha256 AND twin.role = 0 AND twin.latest = 1
    WHERE part.ordinal = ?1 AND part.role = 0 AND part.latest = 1";

/// The latest revision of an item that is there.
pub(super) fn item_of(conn: &Connection, ordinal: i64) -> rusqlite::Result<ArchivedItem> {
    conn.prepare_cached(ITEM_OF)?.query_row([ordinal], |row| archived_item(row).map(BorrowedItem::into_owned))
}

/// In the order of columns of [`ITEM_OF`].
fn archived_item<'r>(row: &'r Row<'_>) -> rusqlite::Result<BorrowedItem<'r>> {
    let number = |at: usize| -> rusqlite::Result<u64> {
        let number: i64 = row.get(at)?;
        u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(at, number))
    };
    let doc = row.get_ref(2)?.as_blob()?;
    unpack(number(0)?, number(1)?, doc)
        .ok_or_else(|| rusqlite::Error::InvalidColumnType(2, "doc".into(), Type::Blob))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::connection;
    use super::super::reader::tests::plan;
    use super::*;
    use crate::model::ArchiveId;

    #[test]
    fn changes_and_twins_are_found_by_indexes() {
        let dir = tempfile::tempdir().unwrap();
        let conn = connection::create(&dir.path().join("i"), &ArchiveId::from_random([1; 16])).unwrap();
        for sql in [ITEMS_AFTER, ITEM_OF, TWINS_OF, "SELECT ordinal FROM item WHERE key = ?1"] {
            let plan = plan(&conn, sql);
            assert!(plan.iter().all(|step| step.starts_with("SEARCH")), "{sql}: {plan:?}");
        }
    }
}
