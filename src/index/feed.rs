//! What the view is fed with: items and albums, whole or what changed, and their past.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::words::{from_json, from_word, parsed, signed, unsigned, valid};
use super::{IndexError, IndexReader};
use crate::model::{
    ArchivedAlbum, ArchivedItem, ArchivedPart, CaptureTime, ItemState, MediaKey, PartRole, Place,
    RemoteFacts, Sha1, Sha256, TimeSource, Verdict,
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
    /// SHA-1 of the bytes.
    pub sha1: Sha1,
    /// How far it is proven.
    pub verdict: Verdict,
    /// When it was taken.
    pub taken: CaptureTime,
}

impl IndexReader {
    /// Calls `each` with the latest revision of every item, lowest number first.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn items(&self, mut each: impl FnMut(ArchivedItem)) -> Result<(), IndexError> {
        self.ask(|conn| {
            // Both tables lie in the order of numbers: one walk through each.
            let mut items =
                conn.prepare(&format!("SELECT {} FROM item ORDER BY ordinal", NAMES.join(", ")))?;
            let columns = Columns::of(&items)?;
            let mut parts = conn.prepare(&format!("{PARTS} ORDER BY ordinal, position"))?;
            let (mut items, mut parts) = (items.query([])?, parts.query([])?);
            let mut next = parts.next()?.map(part).transpose()?;
            let mut words = Words::default();
            while let Some(row) = items.next()? {
                let mut item = archived_item(row, &columns, &mut words)?;
                item.parts.reserve_exact(1);
                while let Some((ordinal, mut part_of)) = next.take() {
                    if ordinal > item.ordinal {
                        next = Some((ordinal, part_of));
                        break;
                    }
                    if ordinal == item.ordinal {
                        if part_of.name == item.name {
                            part_of.name = Arc::clone(&item.name);
                        }
                        item.parts.push(part_of);
                    }
                    next = parts.next()?.map(part).transpose()?;
                }
                each(item);
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
            let columns = Columns::of(&query)?;
            let mut rows = query.query(params![signed(change), limit])?;
            let mut items = Vec::new();
            while let Some(row) = rows.next()? {
                let mut item = archived_item(row, &columns, &mut Words::default())?;
                item.parts = parts_of(conn, signed(item.ordinal))?;
                items.push(item);
            }
            Ok(items)
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
            let mut query =
                conn.prepare_cached("SELECT key, change FROM album WHERE change > ?1 ORDER BY change")?;
            let mut history =
                conn.prepare_cached("SELECT doc FROM album_revision WHERE album = ?1 ORDER BY seq")?;
            let mut rows = query.query([signed(change)])?;
            let mut albums = Vec::new();
            while let Some(row) = rows.next()? {
                let key = valid(row, "key", |text: String| MediaKey::new(&text))?;
                let revisions = history.query_map([key.as_str()], |row| from_json(row, "doc"))?;
                let revisions = revisions.collect::<rusqlite::Result<_>>()?;
                albums.push(ArchivedAlbum { change: unsigned(row, "change")?, key, revisions });
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
            let mut query = conn.prepare_cached("SELECT ordinal FROM item WHERE key = ?1")?;
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

    /// Groups of items whose originals are the same bytes, each by number; with `of`, only the groups of these
    /// items.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn twins(&self, of: Option<&[u64]>) -> Result<Vec<Vec<u64>>, IndexError> {
        self.ask(|conn| {
            let mut groups: BTreeMap<Vec<u8>, Vec<u64>> = BTreeMap::new();
            let mut note = |row: &Row<'_>| -> rusqlite::Result<()> {
                groups.entry(row.get("sha256")?).or_default().push(unsigned(row, "ordinal")?);
                Ok(())
            };
            match of {
                None => {
                    let mut query = conn.prepare(ALL_TWINS)?;
                    let mut rows = query.query([])?;
                    while let Some(row) = rows.next()? {
                        note(row)?;
                    }
                }
                Some(of) => {
                    let mut query = conn.prepare_cached(TWINS_OF)?;
                    for &ordinal in of {
                        let mut rows = query.query([signed(ordinal)])?;
                        while let Some(row) = rows.next()? {
                            note(row)?;
                        }
                    }
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
            conn.prepare_cached(
                "SELECT item.key, part.sha1, part.verdict, item.taken_local, item.taken_offset_s,
                     item.taken_source, item.favourite, item.description, item.latitude, item.longitude,
                     item.remote
                 FROM part JOIN item ON item.ordinal = part.ordinal
                 WHERE part.ordinal = ?1 AND part.sha256 = ?2 LIMIT 1",
            )?
            .query_row(params![signed(ordinal), sha256.bytes().as_slice()], |row| {
                let position: Option<(f64, f64)> =
                    row.get::<_, Option<f64>>("latitude")?.zip(row.get("longitude")?);
                let remote: RemoteFacts = from_json(row, "remote")?;
                // The position of the item is the file's own where it has one.
                let google = remote.place.filter(|place| position == Some((place.latitude, place.longitude)));
                Ok(PartFacts {
                    favourite: row.get("favourite")?,
                    description: row.get("description")?,
                    place: google,
                    key: valid(row, "key", |text: String| MediaKey::new(&text))?,
                    sha1: valid(row, "sha1", |bytes: Vec<u8>| Sha1::from_slice(&bytes))?,
                    verdict: from_word(row, "verdict")?,
                    taken: CaptureTime {
                        local: parsed(row, "taken_local")?,
                        offset_s: row.get("taken_offset_s")?,
                        source: from_word(row, "taken_source")?,
                    },
                })
            })
            .optional()
        })
    }
}

const PARTS: &str = "SELECT ordinal, role, version, name, sha256, size FROM part";
const PARTS_OF: &str = "SELECT ordinal, role, version, name, sha256, size FROM part WHERE ordinal = ?1
    ORDER BY position";
const ITEMS_AFTER: &str = "SELECT * FROM item WHERE change > ?1 ORDER BY change LIMIT ?2";
const ALL_TWINS: &str = "
    SELECT part.ordinal, part.sha256 FROM part
    JOIN (SELECT sha256 FROM part GROUP BY sha256 HAVING count(*) > 1) AS twin ON twin.sha256 = part.sha256
    WHERE part.role = 0 AND part.latest = 1";
const TWINS_OF: &str = "
    SELECT twin.ordinal, twin.sha256 FROM part
    JOIN part AS twin ON twin.sha256 = part.sha256 AND twin.role = 0 AND twin.latest = 1
    WHERE part.ordinal = ?1 AND part.role = 0 AND part.latest = 1";

/// The latest revision of an item that is there.
pub(super) fn item_of(conn: &Connection, ordinal: i64) -> rusqlite::Result<ArchivedItem> {
    let mut query = conn.prepare_cached("SELECT * FROM item WHERE ordinal = ?1")?;
    let columns = Columns::of(&query)?;
    let mut item = query.query_row([ordinal], |row| archived_item(row, &columns, &mut Words::default()))?;
    item.parts = parts_of(conn, ordinal)?;
    Ok(item)
}

fn parts_of(conn: &Connection, ordinal: i64) -> rusqlite::Result<Vec<ArchivedPart>> {
    conn.prepare_cached(PARTS_OF)?.query_map([ordinal], |row| Ok(part(row)?.1))?.collect()
}

/// Where the columns are: finding them by name for each of a million rows would take most of the time.
struct Columns([usize; 23]);

const NAMES: [&str; 23] = [
    "change",
    "ordinal",
    "key",
    "account",
    "state",
    "since_ms",
    "added_ms",
    "name",
    "taken_local",
    "taken_offset_s",
    "taken_source",
    "make",
    "model",
    "lens",
    "media_type",
    "latitude",
    "longitude",
    "favourite",
    "archived",
    "foreign_item",
    "owner",
    "description",
    "creation",
];

impl Columns {
    fn of(statement: &rusqlite::Statement<'_>) -> rusqlite::Result<Self> {
        let mut places = [0; 23];
        for (place, name) in places.iter_mut().zip(NAMES) {
            *place = statement.column_index(name)?;
        }
        Ok(Self(places))
    }
}

/// Words that come again in row after row, each kept once.
#[derive(Default)]
struct Words(HashSet<Arc<str>>);

impl Words {
    fn keep(&mut self, word: &str) -> Arc<str> {
        if let Some(known) = self.0.get(word) {
            return Arc::clone(known);
        }
        let word: Arc<str> = word.into();
        self.0.insert(Arc::clone(&word));
        word
    }
}

fn archived_item(row: &Row<'_>, columns: &Columns, words: &mut Words) -> rusqlite::Result<ArchivedItem> {
    let at = &columns.0;
    let number = |n: usize| -> rusqlite::Result<u64> {
        u64::try_from(row.get::<_, i64>(at[n])?).map_err(|error| wrong(at[n], error))
    };
    let instant = |n: usize| -> rusqlite::Result<Timestamp> {
        Timestamp::from_millisecond(row.get(at[n])?).map_err(|error| wrong(at[n], error))
    };
    let text = |n: usize| -> rusqlite::Result<&str> { Ok(row.get_ref(at[n])?.as_str()?) };
    let invalid = |n: usize| rusqlite::Error::InvalidColumnType(at[n], NAMES[n].into(), Type::Text);
    let mut word = |n: usize| -> rusqlite::Result<Option<Arc<str>>> {
        match row.get_ref(at[n])? {
            ValueRef::Null => Ok(None),
            value => Ok(Some(words.keep(value.as_str()?))),
        }
    };
    let (make, model, lens, media_type) = (word(11)?, word(12)?, word(13)?, word(14)?);
    let latitude: Option<f64> = row.get(at[15])?;
    let longitude: Option<f64> = row.get(at[16])?;
    Ok(ArchivedItem {
        change: number(0)?,
        ordinal: number(1)?,
        key: MediaKey::new(text(2)?).ok_or_else(|| invalid(2))?,
        account: words.keep(text(3)?),
        state: match text(4)? {
            "present" => ItemState::Present,
            "gone" => ItemState::Gone,
            _ => return Err(invalid(4)),
        },
        since: instant(5)?,
        added: instant(6)?,
        name: text(7)?.into(),
        taken: CaptureTime {
            local: text(8)?.parse().map_err(|error: jiff::Error| wrong(at[8], error))?,
            offset_s: row.get(at[9])?,
            source: match text(10)? {
                "exif" => TimeSource::Exif,
                "video" => TimeSource::Video,
                "google" => TimeSource::Google,
                "upload" => TimeSource::Upload,
                "none" => TimeSource::None,
                _ => return Err(invalid(10)),
            },
        },
        make,
        model,
        lens,
        media_type,
        position: latitude.zip(longitude),
        favourite: row.get(at[17])?,
        archived: row.get(at[18])?,
        foreign: row.get(at[19])?,
        creation: match row.get_ref(at[22])? {
            ValueRef::Null => None,
            _ => Some(from_word(row, "creation")?),
        },
        owner: row.get(at[20])?,
        description: row.get(at[21])?,
        parts: Vec::new(),
    })
}

fn wrong(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

/// In the order of columns of [`PARTS`].
fn part(row: &Row<'_>) -> rusqlite::Result<(u64, ArchivedPart)> {
    let sha256 = Sha256::from_slice(row.get_ref(4)?.as_blob()?)
        .ok_or_else(|| rusqlite::Error::InvalidColumnType(4, "sha256".into(), Type::Blob))?;
    let code = u8::try_from(row.get::<_, i64>(1)?).ok().and_then(PartRole::from_code);
    let part = ArchivedPart {
        role: code.ok_or_else(|| rusqlite::Error::InvalidColumnType(1, "role".into(), Type::Integer))?,
        version: row.get(2)?,
        name: row.get_ref(3)?.as_str()?.into(),
        sha256,
        size: u64::try_from(row.get::<_, i64>(5)?).map_err(|error| wrong(5, error))?,
    };
    Ok((u64::try_from(row.get::<_, i64>(0)?).map_err(|error| wrong(0, error))?, part))
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
        for sql in [ITEMS_AFTER, PARTS_OF, TWINS_OF, "SELECT ordinal FROM item WHERE key = ?1"] {
            let plan = plan(&conn, sql);
            assert!(plan.iter().all(|step| step.starts_with("SEARCH")), "{sql}: {plan:?}");
        }
    }
}
