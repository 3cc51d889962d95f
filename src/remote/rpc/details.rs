//! `EWgK9e`: names and sizes of many items (contract 5.7).

use serde_json::{Value, json};

use super::fields::Fields;
use super::item::quality_of;
use crate::model::{ItemDetails, MediaKey, Quality};
use crate::remote::RemoteError;

/// The call's name.
pub const RPCID: &str = "EWgK9e";

/// The arguments for these items. The second half is a field mask that asks for name, size and quota.
pub fn args(keys: &[MediaKey]) -> Value {
    let keys: Vec<_> = keys.iter().map(|key| json!([key])).collect();
    let mut mask = vec![Value::Null; 36];
    mask[24] = json!([]);
    mask[35] = json!([]);
    json!([[[keys], [mask]]])
}

/// Reads the answer; items without a usable row are left out, none usable at all is drift.
pub fn decode(payload: &Value) -> Result<Vec<ItemDetails>, RemoteError> {
    let outer = Fields::new(RPCID, payload)?;
    let inner = outer.message(1)?.ok_or_else(|| outer.drift(1))?;
    let rows = inner.list(2)?.unwrap_or_default();
    let mut found = Vec::with_capacity(rows.len());
    let mut first_error = None;
    for row in rows {
        match item(row) {
            Ok(details) => found.extend(details),
            Err(e) => {
                first_error.get_or_insert(e);
            }
        }
    }
    match first_error {
        Some(e) if found.is_empty() => Err(e),
        _ => Ok(found),
    }
}

fn item(row: &Value) -> Result<Option<ItemDetails>, RemoteError> {
    let row = Fields::new(RPCID, row)?;
    let key = row.text(1)?.and_then(MediaKey::of_library).ok_or_else(|| row.drift(1))?;
    let Some(info) = row.message(2)? else { return Ok(None) };
    let name = info.text(4)?.ok_or_else(|| info.drift(4))?.to_owned();
    let size = match info.integer(10)? {
        None => None,
        Some(size) => Some(u64::try_from(size).map_err(|_| info.drift(10))?).filter(|&size| size > 0),
    };
    let quota = info.list(35)?.or_else(|| info.last_list());
    Ok(Some(ItemDetails {
        key,
        name,
        size,
        description: info.text(3)?.filter(|t| !t.is_empty()).map(str::to_owned),
        quality: quota.map_or(Quality::Unknown, quality_of),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::ErrorClass;

    #[test]
    fn the_request_is_the_one_the_site_knows() {
        let keys = [MediaKey::new("a").unwrap(), MediaKey::new("b").unwrap()];
        let text = args(&keys).to_string();
        assert!(text.starts_with(r#"[[[[["a"],["b"]]],[[null,"#), "{text}");
        assert_eq!(text.matches("null").count(), 34);
    }

    fn info(name: Value, size: Value) -> Value {
        let mut slots = vec![Value::Null; 35];
        slots[2] = json!("note");
        slots[3] = name;
        slots[9] = size;
        slots[34] = json!([1, 55, 1, 0]);
        Value::Array(slots)
    }

    #[test]
    fn names_sizes_and_quality_are_read() {
        let payload = json!([[null, [["k1", info(json!("a.jpg"), json!(55))], ["k2", null]]]]);
        let found = decode(&payload).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].size), ("a.jpg", Some(55)));
        assert_eq!(found[0].quality, Quality::StorageSaver);
    }

    #[test]
    fn a_name_that_is_no_text_is_drift() {
        let payload = json!([[null, [["k1", info(json!(5), json!("x"))]]]]);
        assert_eq!(decode(&payload).unwrap_err().class(), ErrorClass::RemoteChanged);
        assert_eq!(decode(&json!([5])).unwrap_err().class(), ErrorClass::RemoteChanged);
    }
}
