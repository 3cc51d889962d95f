//! The envelope of a batchexecute call and answer (contract 5.1, 5.3, 5.4).

use serde_json::{Value, json};

use super::fields::skeleton;
use crate::remote::RemoteError;

/// Longest body that is read, in bytes: a page of 500 items has less than one MB, and what JSON says in two bytes
/// takes thirty in memory.
const LONGEST: usize = 16 << 20;

/// The `f.req` value of some calls of the same kind; several are told apart by their number.
pub fn request(rpcid: &str, calls: &[Value]) -> String {
    let tag = |n: usize| if calls.len() == 1 { "generic".to_owned() } else { (n + 1).to_string() };
    let calls: Vec<_> =
        calls.iter().enumerate().map(|(n, args)| json!([rpcid, args.to_string(), null, tag(n)])).collect();
    json!([calls]).to_string()
}

/// Finds the answers to `count` calls of `rpcid` in a response body and parses their payloads, in the order
/// of the calls.
///
/// Both framings are read (chunks with lengths, and one array). Lengths are not trusted: each chunk is one
/// complete JSON value, so a cut body shows as one that does not end.
pub fn payloads(
    rpcid: &str,
    count: usize,
    body: &str,
) -> Result<Vec<Result<Value, RemoteError>>, RemoteError> {
    let mut rows = Vec::new();
    let cut = read_rows(rpcid, count, body, &mut rows).err();
    if let Some(cut) = cut.filter(|_| rows.is_empty()) {
        return Err(cut);
    }
    let answers = (1..=count).map(|number| {
        let row = rows.iter().find(|row| count == 1 || is_tagged(row, number));
        row.map_or_else(
            || Err(RemoteError::Transient(format!("{rpcid}: the answer ended without its row"))),
            |row| payload_of(rpcid, row),
        )
    });
    Ok(answers.collect())
}

/// The tag of a call comes back at index 6, as text.
fn is_tagged(row: &[Value], number: usize) -> bool {
    row.get(6).and_then(Value::as_str).and_then(|tag| tag.parse().ok()) == Some(number)
}

fn payload_of(rpcid: &str, row: &[Value]) -> Result<Value, RemoteError> {
    if let Some(error) = row.get(5).filter(|error| !error.is_null()) {
        return Err(rpc_error(rpcid, error));
    }
    match row.get(2) {
        Some(Value::String(text)) => {
            let payload = serde_json::from_str(&mend_surrogates(text)).map_err(|e| {
                RemoteError::Transient(format!("{rpcid}: the payload is cut or not JSON: {e}"))
            })?;
            if payload == Value::Null || payload == json!([]) {
                return Err(RemoteError::Nothing(rpcid.into()));
            }
            Ok(payload)
        }
        Some(Value::Null) | None => Err(RemoteError::Nothing(rpcid.into())),
        Some(other) => {
            Err(RemoteError::Drift { what: rpcid.into(), at: "payload".into(), skeleton: skeleton(other) })
        }
    }
}

/// Collects the rows of `rpcid` until there are `count` or the body ends.
fn read_rows(rpcid: &str, count: usize, body: &str, found: &mut Vec<Vec<Value>>) -> Result<(), RemoteError> {
    if body.len() > LONGEST {
        return Err(RemoteError::Transient(format!("{rpcid}: the answer has {} bytes", body.len())));
    }
    let Some(mut rest) = body.trim_start_matches('\u{feff}').trim_start().strip_prefix(")]}'") else {
        return Err(RemoteError::Drift {
            what: rpcid.into(),
            at: "framing".into(),
            skeleton: format!("{} bytes that do not begin with the usual guard", body.len()),
        });
    };
    while found.len() < count {
        rest = rest.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        if rest.is_empty() {
            return Err(RemoteError::Transient(format!("{rpcid}: the answer ended without its row")));
        }
        let mut chunks = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let chunk = match chunks.next() {
            Some(Ok(chunk)) => chunk,
            Some(Err(e)) => {
                return Err(RemoteError::Transient(format!("{rpcid}: the answer was cut short: {e}")));
            }
            None => continue,
        };
        rest = &rest[chunks.byte_offset()..];
        let Value::Array(rows) = chunk else { continue };
        for row in rows {
            let Value::Array(row) = row else { continue };
            if row.first() == Some(&json!("wrb.fr")) && row.get(1) == Some(&json!(rpcid)) {
                found.push(row);
            } else if row.first() == Some(&json!("er")) {
                let code = row.get(5).and_then(Value::as_i64).unwrap_or(0);
                return Err(RemoteError::Transient(format!("{rpcid}: refused with error {code}")));
            }
        }
    }
    Ok(())
}

/// gRPC-style codes (contract 5.4).
fn rpc_error(rpcid: &str, error: &Value) -> RemoteError {
    let code = error.get(0).and_then(Value::as_i64);
    match code {
        Some(16) => RemoteError::SignedOut { evidence: format!("{rpcid} answered \"unauthenticated\"") },
        Some(8) => RemoteError::Throttled { reason: format!("{rpcid}: quota exhausted"), after: None },
        Some(5) => RemoteError::Item(format!("{rpcid}: Google does not find it")),
        Some(7) => RemoteError::Item(format!("{rpcid}: Google does not permit it")),
        Some(3) => RemoteError::Drift {
            what: rpcid.into(),
            at: "request".into(),
            skeleton: "Google calls our arguments invalid (error 3)".into(),
        },
        Some(code) => RemoteError::Transient(format!("{rpcid}: error {code} at Google")),
        None => RemoteError::Drift { what: rpcid.into(), at: "error".into(), skeleton: skeleton(error) },
    }
}

/// Replaces escapes of lone surrogates (`\ud83d` without its other half) by U+FFFD: a hostile file name may
/// hold one, and a JSON parser refuses the whole page for it.
fn mend_surrogates(text: &str) -> String {
    let bytes = text.as_bytes();
    let unit = |at: usize| -> Option<u32> {
        let hex = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(hex, 16).ok()
    };
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let mut kept = 0;
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            at += 1;
            continue;
        }
        match unit(at) {
            Some(0xd800..=0xdbff) if matches!(unit(at + 6), Some(0xdc00..=0xdfff)) => at += 12,
            Some(0xd800..=0xdfff) => {
                out.push_str(&text[kept..at]);
                out.push_str("\\ufffd");
                at += 6;
                kept = at;
            }
            Some(_) => at += 6,
            None => at += 2,
        }
    }
    out.push_str(text.get(kept..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn payload(rpcid: &str, body: &str) -> Result<Value, RemoteError> {
        payloads(rpcid, 1, body)?.remove(0)
    }

    #[test]
    fn answers_of_a_batch_come_in_any_order_and_one_may_fail() {
        let row = |tag: &str, text: Value| json!([["wrb.fr", "abc", text, null, null, null, tag]]);
        let failed = json!([["wrb.fr", "abc", null, null, null, [5], "2"], ["di", 5]]);
        let body = chunked(&[row("3", json!("[3]")), failed, row("1", json!("[1]"))]);
        let answers = payloads("abc", 3, &body).unwrap();
        assert_eq!(answers[0].as_ref().unwrap(), &json!([1]));
        assert!(matches!(answers[1], Err(RemoteError::Item(_))));
        assert_eq!(answers[2].as_ref().unwrap(), &json!([3]));
        // A cut body costs the calls whose rows are missing.
        let cut = chunked(&[row("1", json!("[1]"))]);
        let answers = payloads("abc", 2, &cut).unwrap();
        assert!(answers[0].is_ok() && answers[1].is_err());
        let text = request("abc", &[json!([1]), json!([2])]);
        assert!(text.contains(r#""1""#) && text.contains(r#""2""#), "{text}");
    }

    fn chunked(rows: &[Value]) -> String {
        let mut body = String::from(")]}'\n\n");
        for row in rows {
            let text = row.to_string();
            body.push_str(&format!("{}\n{text}\n", text.encode_utf16().count() + 2));
        }
        body
    }

    #[test]
    fn both_framings_are_read() {
        let row = json!(["wrb.fr", "abc", "[1,\"x\"]", null, null, null, "generic"]);
        let other = json!([["wrb.fr", "zzz", "[]", null, null, null, "2"]]);
        let body = chunked(&[other, json!([row, ["di", 5]]), json!([["e", 4, null, null, 99]])]);
        assert_eq!(payload("abc", &body).unwrap(), json!([1, "x"]));
        let single = format!(")]}}'\n\n{}", json!([row, ["di", 5]]));
        assert_eq!(payload("abc", &single).unwrap(), json!([1, "x"]));
    }

    #[test]
    fn every_kind_of_failure_has_its_class() {
        use crate::model::ErrorClass::*;
        let class = |row: Value| payload("abc", &chunked(&[json!([row])])).unwrap_err().class();
        let err = |code: i64| json!(["wrb.fr", "abc", null, null, null, [code], "g"]);
        assert_eq!(class(err(16)), NeedsHuman);
        assert_eq!(class(err(3)), RemoteChanged);
        assert_eq!(class(err(13)), Transient);
        assert_eq!(class(json!(["wrb.fr", "abc", null, null, null, null, "g"])), Transient);
        assert_eq!(payload("abc", "<!doctype html>").unwrap_err().class(), RemoteChanged);
        let good = chunked(&[json!([["wrb.fr", "abc", "[1]", null, null, null, "g"]])]);
        for cut in 4..good.len() - 1 {
            if let Err(e) = payload("abc", &good[..cut]) {
                assert_eq!(e.class(), Transient, "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_lone_surrogate_costs_one_character_not_the_page() {
        let text = r#"["a\ud83db","\ud83d\ude00","\\ud83d","\udc00"]"#;
        let value: Value = serde_json::from_str(&mend_surrogates(text)).unwrap();
        assert_eq!(value, json!(["a\u{fffd}b", "😀", "\\ud83d", "\u{fffd}"]));
    }
}
