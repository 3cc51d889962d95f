//! `EzkLib`: recently added, newest upload first (contract 5.7). Finds what was uploaded with an old date.

use serde_json::{Value, json};

use super::fields::Fields;
use super::item;
use crate::remote::{Cursor, ListPage, RemoteError};

/// The call's name.
pub const RPCID: &str = "EzkLib";

/// The arguments for the page at `from`.
pub fn args(from: Option<&Cursor>) -> Value {
    json!(["", [[4, "ra", 0, 0]], from.map(|c| &c.0)])
}

/// Reads one page.
pub fn decode(payload: &Value) -> Result<ListPage, RemoteError> {
    let page = Fields::new(RPCID, payload)?;
    let next = page.text(2)?.filter(|c| !c.is_empty()).map(|c| Cursor(c.to_owned()));
    let (items, rejected) = item::rows(RPCID, page.list(1)?.unwrap_or_default())?;
    Ok(ListPage { items, rejected, next, thin: false })
}
