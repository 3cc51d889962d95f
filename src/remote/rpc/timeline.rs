//! `lcxiM`: the library's timeline, newest capture first (contract 5.6, 5.7).

use serde_json::{Value, json};

use super::fields::Fields;
use super::item;
use crate::remote::{Cursor, ListPage, RemoteError};

/// The call's name.
pub const RPCID: &str = "lcxiM";

/// Items asked for at once: the most that the site accepts.
const PAGE: u32 = 500;
/// Library and archive section together.
const SOURCE_BOTH: u32 = 3;

/// The arguments for the page at `from`, or for the first page at or before an instant (milliseconds).
pub fn args(from: Option<&Cursor>, before_ms: Option<i64>) -> Value {
    json!([from.map(|c| &c.0), before_ms, PAGE, null, 1, SOURCE_BOTH])
}

/// The arguments for a handful of items, to see whether the answer is understood.
pub fn few() -> Value {
    json!([null, null, 5, null, 1, SOURCE_BOTH])
}

/// Reads one page. Rows that do not decode are set aside; if none decodes, the page has drifted.
pub fn decode(payload: &Value) -> Result<ListPage, RemoteError> {
    let page = Fields::new(RPCID, payload)?;
    let next = page.text(2)?.filter(|c| !c.is_empty()).map(|c| Cursor(c.to_owned()));
    let rows = page.list(1)?;
    // An end has its slots, be they null; an answer of which nothing is known is another shape.
    if rows.is_none() && next.is_none() && payload.as_array().is_none_or(|slots| slots.len() < 2) {
        return Err(page.drift(1));
    }
    let (items, rejected) = item::rows(RPCID, rows.unwrap_or_default())?;
    Ok(ListPage { items, rejected, next, thin: false })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::{ErrorClass, Quality};
    use crate::remote::rpc::item::item;

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
    fn the_end_has_no_cursor() {
        for end in [json!([[dense()], null, "5"]), json!([[dense()], ""]), json!([[dense()]])] {
            assert_eq!(decode(&end).unwrap().next, None);
        }
        assert_eq!(decode(&json!([{ "x": 1 }])).unwrap_err().class(), ErrorClass::RemoteChanged);
        assert!(decode(&json!([null, "cursor"])).unwrap().next.is_some());
        assert!(decode(&json!([null, null, "0"])).unwrap().items.is_empty());
    }
}
