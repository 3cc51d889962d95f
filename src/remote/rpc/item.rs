//! One media item, as every listing gives it (contract 5.6).

use serde_json::{Value, json};

use super::fields::Fields;
use crate::model::{Creation, DedupKey, MediaKey, Place, Quality, RemoteItem};
use crate::remote::RemoteError;

/// Reads the rows of a listing. Those that do not decode are set aside with the reason; if none decodes, the
/// listing has drifted.
pub fn rows(what: &'static str, rows: &[Value]) -> Result<(Vec<RemoteItem>, Vec<String>), RemoteError> {
    let mut items = Vec::with_capacity(rows.len());
    let mut rejected = Vec::new();
    let mut first_error = None;
    for row in rows {
        match item(what, row) {
            Ok(item) => items.push(item),
            Err(e) => {
                rejected.push(e.to_string());
                first_error.get_or_insert(e);
            }
        }
    }
    match first_error {
        Some(e) if items.is_empty() => Err(e),
        _ => Ok((items, rejected)),
    }
}

/// Reads one media item (contract 5.6), dense or with a sparse tail.
pub fn item(what: &'static str, row: &Value) -> Result<RemoteItem, RemoteError> {
    let f = Fields::new(what, row)?;
    let key = f.text(1)?.and_then(MediaKey::of_library).ok_or_else(|| f.drift(1))?;
    let thumb = f.message(2)?;
    // Every listing tells it; where it does not, fields have moved.
    f.integer(3)?.ok_or_else(|| f.drift(3))?;
    let quota = f.message(FIELD_QUOTA)?;
    Ok(RemoteItem {
        key,
        dedup_key: f.text(4)?.and_then(DedupKey::new),
        taken_ms: f.time(3)?,
        zone_offset_ms: f.integer(5)?,
        uploaded_ms: f.time(6)?,
        width: pixels(thumb, 2)?,
        height: pixels(thumb, 3)?,
        duration_ms: video_duration(&f)?,
        live: f.field(FIELD_LIVE).is_some(),
        archived: f.flag(14)?,
        favourite: f.message(FIELD_FAVOURITE)?.map_or(Ok(false), |m| m.flag(1))?,
        partial_upload: f.list(13)?.is_some_and(|state| state.first() == Some(&json!(20))),
        description: first_text(&f, FIELD_DESCRIPTION)?,
        owner: first_text(&f, 7)?,
        albums: albums(&f)?,
        quality: quota.map_or(Ok(Quality::Unknown), |q| quality(&q))?,
        charged: quota.and_then(|q| charged(&q)),
        place: f.message(FIELD_PLACE)?.and_then(|place| self::place(&place)),
        trashed_ms: f.message(FIELD_TRASHED)?.map_or(Ok(None), |m| m.time(1))?,
        foreign: f.list(8)?.is_some_and(is_foreign),
        creation: f.field(FIELD_ANIMATION).map(|_| Creation::Animation),
        counter: f.integer(15).ok().flatten(),
    })
}

const FIELD_VIDEO: u32 = 76_647_426;
/// The moving half of a Live Photo: flag, duration, -, address.
pub const FIELD_LIVE: u32 = 146_008_172;
const FIELD_FAVOURITE: u32 = 163_238_866;
const FIELD_QUOTA: u32 = 318_563_170;
const FIELD_ANIMATION: u32 = 139_842_850;
const FIELD_DESCRIPTION: u32 = 396_644_657;
const FIELD_ALBUMS: u32 = 525_000_002;
const FIELD_PLACE: u32 = 129_168_200;
const FIELD_TRASHED: u32 = 225_032_867;
/// Among an item's capabilities: it belongs to somebody else (contract 5.6).
const NOT_OWNED: i64 = 27;

fn is_foreign(capabilities: &[Value]) -> bool {
    let number = |entry: &Value| entry.as_i64().or_else(|| entry.get(0)?.as_i64());
    capabilities.iter().any(|entry| number(entry) == Some(NOT_OWNED))
}

/// `[[], [[latitude e7, longitude e7], -, -, bool, [[-, [[name, …]], id]]]]`; a guess that does not read is
/// no place, not drift.
fn place(field: &Fields<'_>) -> Option<Place> {
    let place = field.message(2).ok()??;
    let point = place.list(1).ok()??;
    let degrees = |n: usize| Some(point.get(n)?.as_f64()? / 1e7);
    let (latitude, longitude) = (degrees(0)?, degrees(1)?);
    if latitude.abs() > 90.0 || longitude.abs() > 180.0 {
        return None;
    }
    let name = place.field(5).and_then(|names| names.pointer("/0/1/0/0")).and_then(Value::as_str);
    Some(Place { latitude, longitude, name: name.filter(|n| !n.is_empty()).map(str::to_owned) })
}

/// Bytes that count, 0 where flag 2 says that they do not.
fn charged(quota: &Fields<'_>) -> Option<u64> {
    let inner = quota.message(1).ok().flatten().unwrap_or(*quota);
    match inner.integer(1).ok()?? {
        2 => Some(0),
        _ => inner.integer(2).ok()?.and_then(|bytes| u64::try_from(bytes).ok()),
    }
}

fn pixels(thumb: Option<Fields<'_>>, number: u32) -> Result<Option<u32>, RemoteError> {
    let Some(thumb) = thumb else { return Ok(None) };
    Ok(thumb.integer(number)?.and_then(|n| u32::try_from(n).ok()).filter(|&n| n > 0))
}

fn video_duration(f: &Fields<'_>) -> Result<Option<u64>, RemoteError> {
    let Some(video) = f.message(FIELD_VIDEO)? else { return Ok(None) };
    Ok(video.integer(1)?.and_then(|ms| u64::try_from(ms).ok()))
}

fn first_text(f: &Fields<'_>, number: u32) -> Result<Option<String>, RemoteError> {
    let Some(list) = f.list(number)? else { return Ok(None) };
    match list.first() {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|t| !t.is_empty())),
        Some(_) => Err(f.drift(number)),
    }
}

/// Which albums hold the item: a list of keys, or of lists that begin with one.
fn albums(f: &Fields<'_>) -> Result<Vec<MediaKey>, RemoteError> {
    let mut found = Vec::new();
    let mut open: Vec<&Value> = f.list(FIELD_ALBUMS)?.unwrap_or_default().iter().collect();
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => found.extend(MediaKey::of_library(text)),
            Value::Array(list) => open.extend(list),
            _ => {}
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// `[[1|2, bytes charged, 2 = original | other, …]]`, or the inner list alone.
fn quality(quota: &Fields<'_>) -> Result<Quality, RemoteError> {
    let inner = quota.message(1).ok().flatten();
    Ok(match inner.unwrap_or(*quota).integer(3)? {
        Some(2) => Quality::Original,
        Some(_) => Quality::StorageSaver,
        None => Quality::Unknown,
    })
}

/// The quality said by a bare quota list.
pub fn quality_of(list: &[Value]) -> Quality {
    match list.get(2).and_then(Value::as_i64) {
        Some(2) => Quality::Original,
        Some(_) => Quality::StorageSaver,
        None => Quality::Unknown,
    }
}
