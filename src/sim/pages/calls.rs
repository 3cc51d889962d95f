//! Calls that only the pages make: prepared zips. And what of the fault script concerns a page.

use hyper::{StatusCode, Uri};
use serde_json::{Map, Value, json};

use crate::sim::answer::{Answer, plain};
use crate::sim::faults::Fault;
use crate::sim::google::Google;

/// One call; none if it is not one of ours. The error is a gRPC-style code.
pub(crate) fn call(google: &Google, rpcid: &str, args: &Value) -> Option<Result<Value, i64>> {
    Some(match rpcid {
        "yCLA7" => prepare(google, args),
        "dnv2s" => poll(google, args),
        _ => return None,
    })
}

fn prepare(google: &Google, args: &Value) -> Result<Value, i64> {
    let keys = args.get(0).and_then(Value::as_array).ok_or(3)?;
    let keys: Option<Vec<_>> = keys.iter().map(|key| key.get(0)?.as_str().map(str::to_owned)).collect();
    let keys = keys.filter(|keys| !keys.is_empty()).ok_or(3)?;
    Ok(json!([google.zips.prepare(keys)]))
}

fn poll(google: &Google, args: &Value) -> Result<Value, i64> {
    let token = args.pointer("/0/0").and_then(Value::as_str).ok_or(3)?;
    if !google.zips.is_ready(token).ok_or(5)? {
        return Ok(json!([[[[token, 1], 0]]]));
    }
    let bytes = google.zips.bytes(google, token).ok_or(5)?;
    let url = format!("https://doc-export.googleusercontent.com/download/{token}");
    Ok(json!([[[[token, 4, [["Photos-001.zip", url, bytes.len(), bytes.len()]]], 0], 100, 2]]))
}

/// What goes wrong with this doing of a page: asked by the page itself.
pub(crate) fn faults(google: &Google, uri: &Uri) -> Answer {
    let query = uri.query().unwrap_or_default();
    let value = |name: &str| {
        let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        percent_encoding::percent_decode_str(found.unwrap_or_default()).decode_utf8_lossy().into_owned()
    };
    let (doing, key) = (value("doing"), value("key"));
    let mut told = Map::new();
    for fault in google.faults.strike_page(&doing, &key) {
        if let Fault::Page(fault) = fault {
            told.insert(fault.word().to_owned(), fault.value());
        }
    }
    if let Some(item) = google.library.find(&key)
        && let Some(state) = item.processing
    {
        told.insert("state".to_owned(), json!(state.word()));
    }
    plain(StatusCode::OK, "application/json; charset=utf-8", Value::Object(told).to_string())
}
