//! Positional protobuf-JSON with a sparse tail (contract 5.5), and the skeleton printed when it drifts.

use serde_json::{Map, Value};

use crate::remote::RemoteError;

/// One message: field k stands at index k-1, or under the text key k of a trailing object.
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    what: &'static str,
    slots: &'a [Value],
    tail: Option<&'a Map<String, Value>>,
    whole: &'a Value,
}

impl<'a> Fields<'a> {
    /// Reads `value` as a message of the call `what`.
    pub fn new(what: &'static str, value: &'a Value) -> Result<Self, RemoteError> {
        let Value::Array(slots) = value else {
            return Err(drift(what, "message", value));
        };
        let (slots, tail) = match slots.split_last() {
            Some((Value::Object(tail), rest)) => (rest, Some(tail)),
            _ => (slots.as_slice(), None),
        };
        Ok(Self { what, slots, tail, whole: value })
    }

    /// Field `number` (from 1); null and absent are both `None`.
    pub fn field(&self, number: u32) -> Option<&'a Value> {
        let slot = usize::try_from(number).ok().and_then(|n| self.slots.get(n.checked_sub(1)?));
        slot.filter(|value| !value.is_null())
            .or_else(|| self.tail?.get(&number.to_string()))
            .filter(|value| !value.is_null())
    }

    /// A field that must be text if present.
    pub fn text(&self, number: u32) -> Result<Option<&'a str>, RemoteError> {
        self.field(number).map(|v| v.as_str().ok_or_else(|| self.drift(number))).transpose()
    }

    /// A field that must be an integer if present. Integers also come as text (64-bit JSON habit).
    pub fn integer(&self, number: u32) -> Result<Option<i64>, RemoteError> {
        let read = |v: &Value| v.as_i64().or_else(|| v.as_str()?.parse().ok());
        self.field(number).map(|v| read(v).ok_or_else(|| self.drift(number))).transpose()
    }

    /// A time, milliseconds since 1970 UTC. One that the calendar does not have is no reason to lose an item: it is
    /// not known.
    pub fn time(&self, number: u32) -> Result<Option<i64>, RemoteError> {
        Ok(self.integer(number)?.filter(|ms| is_time(*ms)))
    }

    /// A field that must be a list if present.
    pub fn list(&self, number: u32) -> Result<Option<&'a [Value]>, RemoteError> {
        self.field(number)
            .map(|v| v.as_array().map(Vec::as_slice).ok_or_else(|| self.drift(number)))
            .transpose()
    }

    /// A field that must be a message if present.
    pub fn message(&self, number: u32) -> Result<Option<Self>, RemoteError> {
        self.field(number).map(|v| Fields::new(self.what, v).map_err(|_| self.drift(number))).transpose()
    }

    /// A flag: true, false, 1, 0 or absent.
    pub fn flag(&self, number: u32) -> Result<bool, RemoteError> {
        match self.field(number) {
            None => Ok(false),
            Some(Value::Bool(b)) => Ok(*b),
            Some(v) => v.as_i64().map(|n| n != 0).ok_or_else(|| self.drift(number)),
        }
    }

    /// The last list-valued slot, wherever the message ends.
    pub fn last_list(&self) -> Option<&'a [Value]> {
        self.slots.last().and_then(Value::as_array).map(Vec::as_slice)
    }

    /// The error for a field that is not what it should be.
    pub fn drift(&self, number: u32) -> RemoteError {
        drift(self.what, &format!("field {number}"), self.whole)
    }
}

/// The error for an answer of an unknown shape.
pub fn drift(what: &str, at: &str, value: &Value) -> RemoteError {
    RemoteError::Drift { what: what.into(), at: at.into(), skeleton: skeleton(value) }
}

/// Whether the calendar has a time, milliseconds since 1970 UTC: then it can be reckoned with.
pub fn is_time(ms: i64) -> bool {
    jiff::Timestamp::from_millisecond(ms).is_ok()
}

/// The shape of a value: types and lengths, never contents; at most about 600 characters.
pub fn skeleton(value: &Value) -> String {
    let mut out = String::new();
    sketch(value, 0, &mut out);
    out
}

const LONGEST: usize = 600;

fn sketch(value: &Value, depth: usize, out: &mut String) {
    match value {
        _ if out.len() > LONGEST => out.push('…'),
        Value::Null => out.push('-'),
        Value::Bool(_) => out.push_str("bool"),
        Value::Number(n) => out.push_str(if n.is_f64() { "float" } else { "int" }),
        Value::String(s) => out.push_str(&format!("text({})", s.chars().count())),
        Value::Array(list) if depth >= 4 => out.push_str(&format!("[{}…]", list.len())),
        Value::Array(list) => {
            out.push('[');
            for (i, item) in list.iter().enumerate() {
                if out.ends_with('…') {
                    break;
                }
                if i > 0 {
                    out.push(',');
                }
                sketch(item, depth + 1, out);
            }
            out.push(']');
        }
        // Keys are field numbers on the real site; a foreign key may be a secret, so only numbers show.
        Value::Object(map) => {
            out.push('{');
            for (i, (key, item)) in map.iter().enumerate() {
                if out.ends_with('…') {
                    break;
                }
                if i > 0 {
                    out.push(',');
                }
                let number = key.len() <= 12 && key.bytes().all(|b| b.is_ascii_digit());
                out.push_str(if number { key } else { "key" });
                out.push(':');
                sketch(item, depth + 1, out);
            }
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_is_found_in_its_slot_or_in_the_tail() {
        let dense = json!(["k", null, 7]);
        let sparse = json!(["k", {"3": 7, "146008172": [1]}]);
        for value in [&dense, &sparse] {
            let fields = Fields::new("x", value).unwrap();
            assert_eq!(fields.integer(3).unwrap(), Some(7));
            assert_eq!(fields.field(2), None);
        }
        let fields = Fields::new("x", &sparse).unwrap();
        assert!(fields.list(146_008_172).unwrap().is_some());
    }

    #[test]
    fn a_skeleton_shows_types_and_no_values() {
        let value = json!(["secret-token", 5, 1.5, null, true, {"7": "alice@example.com", "alice": 1}]);
        let text = skeleton(&value);
        assert_eq!(text, "[text(12),int,float,-,bool,{7:text(17),key:int}]");
        let long = Value::Array(vec![json!("x"); 10_000]);
        assert!(skeleton(&long).len() < 700);
    }
}
