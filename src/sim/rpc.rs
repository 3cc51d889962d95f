//! batchexecute: framing exactly as recorded (contract 5.3), and the calls of this stage.

use std::io;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_DISPOSITION};
use hyper::http::request::Parts;
use serde_json::{Map, Value, json};

use super::answer::{Answer, add_cookies, afflict, plain, set};
use super::faults::{Fault, RequestClass};
use super::google::{Google, before};
use super::library::{Kind, SimItem};
use super::listings::{OWNER, actor};
use super::media::STOCK;
use super::{LiveAs, Session, listings, lookups};
use crate::model::PartRole;

/// Calls that change a library (contract 5.7): answered, counted, never obeyed.
const MUTATING: [&str; 21] = [
    "XwAOJf", "OXvT9d", "E1Cajb", "laUYf", "ycV3Nd", "LjmOue", "QD9nKf", "Ftfh0", "w7TP3c", "StLnCe",
    "Pp2Xxe", "EtUHOe", "DaSgWe", "AQNOFd", "V8RKJ", "Es7fke", "SusGud", "mdpdU", "C2V01c", "R9U8ab",
    "yXN3Hd",
];

/// Most keys in one EWgK9e call: what a known client asks for. More bring nulls on the real site, and now and
/// then fewer do, too (contract 5.7).
const MOST_DETAILS: usize = 5000;

/// What may be done with an item (contract 5.6).
pub(crate) const CAPABILITIES: [i64; 3] = [4, 17, 18];

/// Answers one POST to batchexecute.
pub(crate) async fn answer(google: &Google, parts: &Parts, body: &[u8]) -> io::Result<Answer> {
    let query = form(parts.uri.query().unwrap_or_default().as_bytes());
    let fields = form(body);
    let calls = read_calls(fields.get("f.req").map_or("", String::as_str));
    for (rpcid, ..) in calls.iter().flatten() {
        google.count(|c| *c.rpcs.entry(rpcid.clone()).or_insert(0) += 1);
        if MUTATING.contains(&rpcid.as_str()) {
            google.count(|c| c.mutating += 1);
        }
    }
    let class = RequestClass::Rpc(calls.as_ref().and_then(|calls| Some(calls.first()?.0.clone())));
    let struck = google.faults.strike(&class, None);
    if let Some(answer) = before(google, &struck).await? {
        return Ok(answer);
    }
    if !google.session.admits(&parts.headers) {
        return Ok(plain(
            StatusCode::OK,
            "text/html; charset=utf-8",
            "<!doctype html><title>Sign in</title>",
        ));
    }
    if fields.get("at") != Some(&google.session.token()) {
        google.count(|c| c.bad_tokens += 1);
        return Ok(refused());
    }
    let Some(calls) = calls else { return Ok(refused()) };
    // The site's own script changes together with the shapes.
    let struck: Vec<_> = if parts.headers.contains_key("x-sim-page") {
        struck.into_iter().filter(|fault| *fault != Fault::Drift).collect()
    } else {
        struck
    };
    let mut rows = Vec::new();
    for (rpcid, args, tag) in &calls {
        let payload = match serde_json::from_str::<Value>(args) {
            Ok(_) if rpcid == lookups::LOCKED_FOLDER && !struck.contains(&Fault::Null) => {
                lookups::locked_folder(google, query.get("rapt"))
            }
            Ok(args) if !struck.contains(&Fault::Null) => call(google, rpcid, &args, &struck),
            Ok(_) => Ok(Value::Null),
            Err(_) => Err(3),
        };
        let payload = if struck.contains(&Fault::Nothing) { Ok(json!([])) } else { payload };
        rows.push(match payload {
            Ok(Value::Null) => json!(["wrb.fr", rpcid, null, null, null, null, tag]),
            Ok(payload) => json!(["wrb.fr", rpcid, hostile_text(&payload), null, null, null, tag]),
            Err(code) => json!(["wrb.fr", rpcid, null, null, null, [code], tag]),
        });
    }
    let chunked = query.get("rt").is_some_and(|rt| rt == "c");
    let mut answer = framed(&rows, chunked, StatusCode::OK);
    add_cookies(&mut answer, &Session::freshness());
    afflict(answer, &struck).await
}

/// The payload as text. A name may hold half a surrogate pair on the real site, which only JSON escapes can
/// express: the marker in a name becomes one.
fn hostile_text(payload: &Value) -> String {
    payload.to_string().replace("lone\u{fffd}surrogate", "lone\\ud83dsurrogate")
}

fn refused() -> Answer {
    framed(&[json!(["er", null, null, null, null, 400, null, null, null, 3])], true, StatusCode::BAD_REQUEST)
}

/// `application/x-www-form-urlencoded`.
fn form(text: &[u8]) -> std::collections::HashMap<String, String> {
    let decode =
        |t: &str| percent_encoding::percent_decode_str(&t.replace('+', " ")).decode_utf8_lossy().into_owned();
    String::from_utf8_lossy(text)
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

type Call = (String, String, Value);

/// `[[[rpcid, "<args>", null, tag], …]]`.
fn read_calls(text: &str) -> Option<Vec<Call>> {
    let value: Value = serde_json::from_str(text).ok()?;
    let calls = value.get(0)?.as_array()?;
    calls
        .iter()
        .map(|call| {
            Some((call.get(0)?.as_str()?.to_owned(), call.get(1)?.as_str()?.to_owned(), call.get(3)?.clone()))
        })
        .collect()
}

fn framed(rows: &[Value], chunked: bool, status: StatusCode) -> Answer {
    let mut out = String::from(")]}'\n\n");
    let timing = [json!(["di", 57]), json!(["af.httprm", 56, "-6482398349834", 21])];
    if chunked {
        for (number, row) in rows.iter().enumerate() {
            let mut chunk = vec![row.clone()];
            if number + 1 == rows.len() {
                chunk.extend(timing.iter().cloned());
            }
            push_chunk(&mut out, &Value::Array(chunk));
        }
        // The closing row tells the size of the whole, itself included.
        let mut size = out.len();
        for _ in 0..3 {
            let mut tail = String::new();
            push_chunk(&mut tail, &json!([["e", 4, null, null, size]]));
            size = out.len() + tail.len();
        }
        push_chunk(&mut out, &json!([["e", 4, null, null, size]]));
    } else {
        out.push_str(&Value::Array(rows.iter().chain(&timing).cloned().collect()).to_string());
    }
    let mut answer = plain(status, "application/json; charset=utf-8", Bytes::from(out));
    set(&mut answer, CACHE_CONTROL, "no-cache, no-store, max-age=0, must-revalidate");
    set(
        &mut answer,
        CONTENT_DISPOSITION,
        "attachment; filename=\"response.bin\"; filename*=UTF-8''response.bin",
    );
    answer
}

/// Length in UTF-16 units of line feed, JSON and line feed; JSON on one line.
fn push_chunk(out: &mut String, value: &Value) {
    let text = value.to_string();
    out.push_str(&format!("{}\n{text}\n", text.encode_utf16().count() + 2));
}

/// One call; the error is a gRPC-style code.
pub(crate) fn call(google: &Google, rpcid: &str, args: &Value, struck: &[Fault]) -> Result<Value, i64> {
    let drifts = struck.contains(&Fault::Drift);
    if let Some(listing) = listings::answer(google, rpcid, args, struck) {
        let moved = drifts && rpcid != "lcxiM";
        return listing
            .map(|payload| if moved { json!([["moved"], { "answer": payload }]) } else { payload });
    }
    match rpcid {
        "EWgK9e" if drifts => Ok(json!([{ "7": [[]] }])),
        "VrseUb" if drifts => Ok(json!([["moved"], 5, [[4]]])),
        "EWgK9e" => details(google, args),
        "VrseUb" => info(google, args),
        "EzWwHf" | "EzwWhf" => {
            Ok(json!([null, null, null, null, null, null, [1_000_000, 16_106_127_360_i64, false, 900_000]]))
        }
        _ if MUTATING.contains(&rpcid) => Ok(json!([])),
        _ => lookups::call(google, rpcid, args)
            .or_else(|| super::pages::calls::call(google, rpcid, args))
            .unwrap_or(Err(3)),
    }
}

fn details(google: &Google, args: &Value) -> Result<Value, i64> {
    let keys = args.pointer("/0/0/0").and_then(Value::as_array).ok_or(3)?;
    if args.pointer("/0/1/0").and_then(Value::as_array).is_none_or(|mask| mask.len() != 36) {
        return Err(3);
    }
    if keys.len() > MOST_DETAILS {
        return Ok(Value::Null);
    }
    let rows: Vec<_> = keys
        .iter()
        .filter_map(|key| google.library.find(key.get(0)?.as_str()?))
        // Nothing about what belongs to others.
        .filter(|item| item.shared.is_none())
        .map(|item| json!([item.key, details_json(google, &item), null, null, null, [item.key, []]]))
        .collect();
    Ok(json!([[null, rows]]))
}

fn details_json(google: &Google, item: &SimItem) -> Value {
    let size = google.library.digests(item, PartRole::Original).size;
    let mut slots = vec![Value::Null; 35];
    slots[2] = json!(item.description);
    slots[3] = json!(item.name);
    slots[6] = json!(item.taken_ms);
    slots[7] = json!(item.zone_ms);
    slots[8] = json!(item.uploaded_ms);
    slots[9] = json!(size);
    slots[10] = json!(100);
    slots[34] = json!([1, size, if item.storage_saver { 1 } else { 2 }, 0, null, 1]);
    Value::Array(slots)
}

fn info(google: &Google, args: &Value) -> Result<Value, i64> {
    let key = args.get(0).and_then(Value::as_str).ok_or(3)?;
    // An empty album is refused, a null one is the library (contract 5.7).
    if args.get(4).is_some_and(|album| album.as_str() == Some("")) {
        return Err(3);
    }
    let item = google.library.find(key).ok_or(5)?;
    if let Some(container) = item.shared {
        let list = &google.library.albums;
        let shown = args.get(2).and_then(Value::as_str);
        let album = args.get(4).and_then(Value::as_str);
        let in_own = item.albums.iter().any(|&number| album == Some(list.key(number).as_str()));
        if container != super::albums::PARTNER && !in_own && shown != Some(list.access(container).as_str()) {
            return Err(7);
        }
    }
    let address = |role| google.address_of(&item, role);
    let (current, upload) = if item.edited {
        (address(PartRole::Edited), Some(address(PartRole::Original)))
    } else {
        (address(PartRole::Original), None)
    };
    let current = item.processing.is_none().then_some(current);
    let mut slots = vec![timeline_json(google, &item), json!(current), json!([[4], [17]]), actor(OWNER)];
    if let Some(upload) = upload {
        // Always in its place: a known client reads it there only.
        slots.extend([Value::Null, Value::Null, Value::Null, json!(upload)]);
    }
    let (description, thumb) = (json!(item.description), json!(thumb_address(&item)));
    if item.serial % 2 == 1 {
        slots.push(json!({"11": description, "13": thumb}));
    } else {
        slots.resize(10, Value::Null);
        slots.extend([description, Value::Null, thumb]);
    }
    Ok(Value::Array(slots))
}

fn thumb_address(item: &SimItem) -> String {
    format!("https://lh3.googleusercontent.com/{}", item.key)
}

/// A media item (contract 5.6): every other one with its tail early.
pub(crate) fn item_json(google: &Google, item: &SimItem) -> Value {
    item_with_tail(google, item, item.serial % 2 == 1)
}

/// A media item as the timeline and its own page have it: 16 slots, because whether it is archived is told.
pub(crate) fn timeline_json(google: &Google, item: &SimItem) -> Value {
    item_with_tail(google, item, false)
}

fn item_with_tail(google: &Google, item: &SimItem, early: bool) -> Value {
    let library = &google.library;
    let (width, height) = library.pixels(item);
    let thumb = json!([
        thumb_address(item),
        width,
        height,
        null,
        null,
        null,
        null,
        null,
        [width, height, 1, null, null],
        [4_473_924]
    ]);
    let mut tail = Map::new();
    tail.insert("163238866".into(), json!([item.favourite]));
    if let Some(description) = &item.description {
        tail.insert("396644657".into(), json!([description]));
    }
    if item.name.ends_with("-ANIMATION.gif") {
        tail.insert("139842850".into(), json!([1]));
    }
    if matches!(item.kind, Kind::Stock(n) if STOCK[n].video) {
        tail.insert(
            "76647426".into(),
            json!([1000, null, 64, 48, null, 4, 134, [[37, 64, 48]], [[1, null, 64, 48]], true]),
        );
    }
    if item.live {
        let clip = (library.live_as() == LiveAs::Clip).then(|| google.address_of(item, PartRole::Motion));
        tail.insert("146008172".into(), json!([18, 1500, null, clip]));
    }
    if !item.albums.is_empty() {
        let albums: Vec<_> = item.albums.iter().map(|&n| json!([library.albums.key(n)])).collect();
        tail.insert("525000002".into(), json!(albums));
    }
    tail.insert("318563170".into(), json!([[1, 1000, if item.storage_saver { 1 } else { 2 }]]));
    let place = match item.place {
        Some((latitude, longitude, name)) => {
            let e7 = |degrees: f64| (degrees * 1e7).round() as i64;
            json!([[], [[e7(latitude), e7(longitude)], null, null, true, [[null, [[name]], "place-id"]]]])
        }
        None => json!([[], [null, null, null, false]]),
    };
    tail.insert("129168200".into(), place);
    if let Some(trashed) = item.trashed_ms {
        tail.insert("225032867".into(), json!([trashed]));
    }
    let mut slots = vec![
        json!(item.key),
        thumb,
        json!(item.taken_ms),
        json!(library.dedup_key(item)),
        json!(item.zone_ms),
        json!(item.uploaded_ms),
        json!(["AF1QipMtheownersactorkeythatis44characterslng"]),
        json!(CAPABILITIES.map(|capability| [capability])),
        json!(2),
    ];
    let upload = if item.partial { json!([20]) } else { Value::Null };
    if !early {
        slots.extend([
            Value::Null,
            Value::Null,
            Value::Null,
            upload,
            json!(item.archived),
            json!(item.counter),
        ]);
    } else {
        tail.insert("13".into(), upload);
        tail.insert("14".into(), json!(item.archived));
        tail.insert("15".into(), json!(item.counter));
    }
    slots.push(Value::Object(tail));
    Value::Array(slots)
}
