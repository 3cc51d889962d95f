//! Between values of the model and columns: the words are those of the records.

use rusqlite::types::{FromSqlError, Type};
use serde::de::value::{Error as WordError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};
use serde::{Deserialize, Serialize};

/// The word of an enumeration, as serde writes it.
pub(super) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        // The column's CHECK refuses it.
        other => format!("{other:?}"),
    }
}

/// The value behind a word.
pub(super) fn from_word<T: for<'de> Deserialize<'de>>(
    row: &rusqlite::Row<'_>,
    column: &str,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    let from: StrDeserializer<'_, WordError> = text.as_str().into_deserializer();
    T::deserialize(from).map_err(|error| unreadable(Type::Text, error))
}

/// The value behind JSON text.
pub(super) fn from_json<T: DeserializeOwned>(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| unreadable(Type::Text, error))
}

/// A value with a text form of its own.
pub(super) fn parsed<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    row: &rusqlite::Row<'_>,
    column: &str,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error| unreadable(Type::Text, error))
}

/// A value of the model made from a column by `make`, where it accepts the column's content.
pub(super) fn valid<C: rusqlite::types::FromSql, T>(
    row: &rusqlite::Row<'_>,
    column: &str,
    make: impl FnOnce(C) -> Option<T>,
) -> rusqlite::Result<T> {
    make(row.get(column)?).ok_or_else(|| unreadable(Type::Null, FromSqlError::InvalidType))
}

/// A count or size; columns hold what fits `i64`.
pub(super) fn unsigned(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<u64> {
    valid(row, column, |number: i64| u64::try_from(number).ok())
}

/// For a column; a value beyond `i64` becomes the largest, which no real size or count is.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unreadable(kind: Type, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, kind, Box::new(error))
}
