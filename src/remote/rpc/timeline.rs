//! `lcxiM`: the library's timeline, newest capture first (contract 5.6, 5.7).

use serde_json::{Value, json};

use super::fields::Fields;
use crate::model::{DedupKey, MediaKey, Quality, RemoteItem};
use crate::remote::{Cursor, ListPage, RemoteError};

/// The call's name.
pub const RPCID: &str = "lcxiM";

/// Items asked for at once: the most that the site accepts.
const PAGE: u32 = 500;
/// Library and archive section together.
const SOURCE_BOTH: u32 = 3;

/// The arguments for the page at `from`.
pub fn args(from: Option<&Cursor>) -> Value {
    json!([from.map(|c| &c.0), null, PAGE, null, 1, SOURCE_BOTH])
}

/// Reads one page. Rows that do not decode are set aside; if none decodes, the page has drifted.
pub fn decode(payload: &Value) -> Result<ListPage, RemoteError> {
    let page = Fields::new(RPCID, payload)?;
    let next = page.text(2)?.filter(|c| !c.is_empty()).map(|c| Cursor(c.to_owned()));
    let rows = page.list(1)?.unwrap_or_default();
    if rows.is_empty() && next.is_none() && payload.as_array().is_none_or(Vec::is_empty) {
        // `[]` is a throttled answer as often as an empty library (contract 5.4).
        return Err(RemoteError::Transient(format!("{RPCID}: Google answered with an empty page")));
    }
    let mut items = Vec::with_capacity(rows.len());
    let mut rejected = Vec::new();
    let mut first_error = None;
    for row in rows {
        match item(RPCID, row) {
            Ok(item) => items.push(item),
            Err(e) => {
                rejected.push(e.to_string());
                first_error.get_or_insert(e);
            }
        }
    }
    match first_error {
        Some(e) if items.is_empty() => Err(e),
        _ => Ok(ListPage { items, rejected, next }),
    }
}

/// Reads one media item (contract 5.6), dense or with a sparse tail.
pub fn item(what: &'static str, row: &Value) -> Result<RemoteItem, RemoteError> {
    let f = Fields::new(what, row)?;
    let key = f.text(1)?.and_then(MediaKey::new).ok_or_else(|| f.drift(1))?;
    let thumb = f.message(2)?;
    let taken_ms = f.integer(3)?.ok_or_else(|| f.drift(3))?;
    let quota = f.message(FIELD_QUOTA)?;
    Ok(RemoteItem {
        key,
        dedup_key: f.text(4)?.and_then(DedupKey::new),
        taken_ms: Some(taken_ms),
        zone_offset_ms: f.integer(5)?,
        uploaded_ms: f.integer(6)?,
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
    })
}

const FIELD_VIDEO: u32 = 76_647_426;
/// The moving half of a Live Photo: flag, duration, -, address.
pub const FIELD_LIVE: u32 = 146_008_172;
const FIELD_FAVOURITE: u32 = 163_238_866;
const FIELD_QUOTA: u32 = 318_563_170;
const FIELD_DESCRIPTION: u32 = 396_644_657;
const FIELD_ALBUMS: u32 = 525_000_002;

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
            Value::String(text) => found.extend(MediaKey::new(text)),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::ErrorClass;

    const KEY: &str = "AF1QipAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn dense() -> Value {
        json!([KEY, ["https://lh3/x", 4000, 3000], 1_600_000_000_000_i64, "qZk-NkcGgWq6PiVxeFDCbJzQ2J0",
            7_200_000, 1_600_000_500_000_i64, ["owner"], [[4], [17]], 2, null, null, null, null, true, null,
            {"163238866": [true], "396644657": ["a note"], "318563170": [[1, 55, 2]],
             "525000002": [["AF1QipAlbum"]], "76647426": [61_000]}])
    }

    #[test]
    fn dense_and_sparse_rows_read_the_same() {
        let sparse = json!([KEY, ["https://lh3/x", 4000, 3000], 1_600_000_000_000_i64,
            "qZk-NkcGgWq6PiVxeFDCbJzQ2J0", 7_200_000, 1_600_000_500_000_i64, ["owner"], [[4]], 2,
            {"14": 1, "163238866": [1], "396644657": ["a note"], "318563170": [[1, 55, 2]],
             "525000002": ["AF1QipAlbum"], "76647426": [61_000]}]);
        let a = item(RPCID, &dense()).unwrap();
        assert_eq!(a, item(RPCID, &sparse).unwrap());
        assert_eq!((a.width, a.height, a.duration_ms), (Some(4000), Some(3000), Some(61_000)));
        assert!(a.archived && a.favourite && !a.live);
        assert_eq!(a.quality, Quality::Original);
        assert_eq!(a.albums[0].as_str(), "AF1QipAlbum");
        assert_eq!(a.description.as_deref(), Some("a note"));
    }

    #[test]
    fn swapped_positions_are_drift_and_one_odd_row_is_not() {
        let mut odd = dense();
        odd.as_array_mut().unwrap().swap(2, 3);
        let page = decode(&json!([[dense(), odd.clone()], "next", "1"])).unwrap();
        assert_eq!((page.items.len(), page.rejected.len()), (1, 1));
        assert_eq!(page.next, Some(Cursor("next".into())));
        let error = decode(&json!([[odd], "next"])).unwrap_err();
        assert_eq!(error.class(), ErrorClass::RemoteChanged);
        assert!(!error.to_string().contains(KEY), "values leak: {error}");
    }

    #[test]
    fn the_end_has_no_cursor_and_an_empty_answer_is_doubted() {
        for end in [json!([[dense()], null, "5"]), json!([[dense()], ""]), json!([[dense()]])] {
            assert_eq!(decode(&end).unwrap().next, None);
        }
        assert_eq!(decode(&json!([])).unwrap_err().class(), ErrorClass::Transient);
        assert!(decode(&json!([null, "cursor"])).unwrap().next.is_some());
        assert!(decode(&json!([null, null, "0"])).unwrap().items.is_empty());
    }
}
