//! The index as text: what derives from records and nothing else, so that two indexes of the same records
//! give the same bytes.

use std::io::Write;
use std::path::Path;

use data_encoding::HEXLOWER;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::Value;

use super::IndexError;

/// Tables and columns in order. `change` is left out: it counts arrivals, which a rebuild deals anew.
const TABLES: [(&str, &str); 9] = [
    (
        "item",
        "SELECT key, formerly, known_as, ordinal, seq, record, account, state, name, since_ms, added_ms, remote, dedup
         FROM item ORDER BY key",
    ),
    ("feed", "SELECT ordinal, doc FROM feed ORDER BY ordinal"),
    ("past_item", "SELECT ordinal, seq, doc FROM past_item ORDER BY ordinal, seq"),
    ("album_revision", "SELECT album, seq, doc FROM album_revision ORDER BY album, seq"),
    (
        "part",
        "SELECT ordinal, position, role, version, latest, name, sha256, sha1, size, verdict FROM part ORDER BY ordinal, position",
    ),
    ("record", "SELECT sha256, ordinal, seq, former FROM record ORDER BY sha256"),
    (
        "album",
        "SELECT key, formerly, seq, record, account, state, kind, title, count, modified_ms FROM album ORDER BY key",
    ),
    ("album_item", "SELECT album, position, key FROM album_item ORDER BY album, position"),
    ("album_record", "SELECT sha256, album, seq FROM album_record ORDER BY sha256"),
];

pub(super) fn dump(path: &Path, conn: &Connection, to: &mut impl Write) -> Result<(), IndexError> {
    let sql = IndexError::sql(path);
    let snapshot = conn.unchecked_transaction().map_err(&sql)?;
    for (table, query) in TABLES {
        let mut query = snapshot.prepare(query).map_err(&sql)?;
        let columns = query.column_count();
        let mut rows = query.query([]).map_err(&sql)?;
        while let Some(row) = rows.next().map_err(&sql)? {
            let mut line = vec![Value::from(table)];
            for column in 0..columns {
                line.push(plain(row.get_ref(column).map_err(&sql)?));
            }
            writeln!(to, "{}", Value::from(line)).map_err(IndexError::io("write the dump of", path))?;
        }
    }
    Ok(())
}

fn plain(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(bytes) => HEXLOWER.encode(bytes).into(),
    }
}
