//! Calls that look single things up: an item's details, items by their hash, addresses of several files, the
//! locked folder (contract 5.7).

use std::collections::HashMap;

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD};
use serde_json::{Value, json};

use super::google::Google;
use super::library::SimItem;
use super::listings::{OWNER, actor, own_album};
use super::media::CAMERAS;
use super::rpc::{CAPABILITIES, item_json};
use crate::model::PartRole;

/// One call; none if it is not one of ours. The error is a gRPC-style code.
pub(crate) fn call(google: &Google, rpcid: &str, args: &Value) -> Option<Result<Value, i64>> {
    Some(match rpcid {
        "fDcn4b" => extended(google, args),
        "swbisb" => by_hash(google, args),
        "pLFTfd" => addresses(google, args),
        _ => return None,
    })
}

/// What the info panel shows, and more: `[mediaKey, 1, authKey, null, 1]`.
fn extended(google: &Google, args: &Value) -> Result<Value, i64> {
    let library = &google.library;
    let item = library.find(args.get(0).and_then(Value::as_str).ok_or(3)?).ok_or(5)?;
    let size = library.digests(&item, PartRole::Original).size;
    let (width, height) = library.pixels(&item);
    let mut slots = vec![Value::Null; 32];
    slots[0] = json!(item.key);
    slots[1] = json!(item.description);
    slots[2] = json!(item.name);
    slots[3] = json!(item.taken_ms);
    slots[4] = json!(item.zone_ms);
    slots[5] = json!(size);
    slots[6] = json!(width);
    slots[7] = json!(height);
    slots[11] = json!(library.dedup_key(&item));
    slots[12] = json!(CAPABILITIES.map(|capability| [capability]));
    if let Some((latitude, longitude, name)) = item.place {
        let place = json!([(latitude * 1e7).round() as i64, (longitude * 1e7).round() as i64]);
        slots[9] = json!([place, false, null, 2]);
        slots[13] = json!([place, false, [[null, [[name, null, 1, false, false]], "place-id"]]]);
    }
    let albums = item.albums.iter();
    slots[19] = albums
        .map(|&n| json!([library.albums.key(n), null, {"7": [], "72930366": own_album(google, n)}]))
        .collect();
    slots[23] = camera(&item);
    // From a phone: an Android one, or of the other kind.
    slots[27] = json!([1, [null, null, if item.live { 3 } else { 1 }]]);
    slots[28] = actor(OWNER);
    slots[30] = json!([1, size, if item.storage_saver { 1 } else { 2 }]);
    let map = item.place.map(|_| "https://maps.google.com/maps/vt/data=simulated");
    Ok(json!([slots, map]))
}

fn camera(item: &SimItem) -> Value {
    let Some(camera) = item.exif.as_ref().and_then(|exif| exif.camera) else { return Value::Null };
    let (maker, model) = CAMERAS[camera];
    json!([maker, model, null, 4.2, 1.8, 100, 0.01])
}

/// `[[hash, …], null, 3, 0]`: those that are in the library, each with the hash as it was asked for.
fn by_hash(google: &Google, args: &Value) -> Result<Value, i64> {
    let wanted = args.get(0).and_then(Value::as_array).ok_or(3)?;
    let timeline = google.library.timeline();
    let by_hash: HashMap<_, _> =
        timeline.iter().rev().map(|item| (google.library.upload_hash(item), item)).collect();
    let mut found = Vec::new();
    for hash in wanted {
        let text = hash.as_str().ok_or(3)?;
        let sha1 = [BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD]
            .iter()
            .find_map(|encoding| encoding.decode(text.as_bytes()).ok())
            .filter(|sha1| sha1.len() == 20)
            .ok_or(3)?;
        let item = by_hash.get(&BASE64URL_NOPAD.encode(&sha1));
        found.extend(item.map(|item| json!([text, item_json(google, item)])));
    }
    Ok(json!([found]))
}

/// `[[key, …], null, authKey]`: where each file is now.
fn addresses(google: &Google, args: &Value) -> Result<Value, i64> {
    let keys = args.get(0).and_then(Value::as_array).ok_or(3)?;
    let mut found = Vec::new();
    for key in keys {
        let item = google.library.find(key.as_str().ok_or(3)?).ok_or(5)?;
        let role = if item.edited { PartRole::Edited } else { PartRole::Original };
        let address = item.processing.is_none().then(|| google.address_of(&item, role));
        found.push(json!([item.key, address]));
    }
    Ok(json!([found]))
}

/// The call for what is in the locked folder.
pub(crate) const LOCKED_FOLDER: &str = "nMFwOc";

/// Nothing of the locked folder is told to who has not just proven again who they are. There is nothing in it.
pub(crate) fn locked_folder(google: &Google, shown: Option<&String>) -> Result<Value, i64> {
    if shown != Some(&proof(google)) {
        return Err(7);
    }
    Ok(json!([null, []]))
}

/// What the page of the locked folder has of that proof, and sends with its calls.
pub(crate) fn proof(google: &Google) -> String {
    format!("AEjHL4{}", &google.session.token()[6..38])
}
