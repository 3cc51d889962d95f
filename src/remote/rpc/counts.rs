//! `rJ0tlb`: Google's own counts, from the index behind the timeline's scrubber (contract 5.7).

use serde_json::{Value, json};

use super::fields::{drift, is_time};
use crate::remote::{CountRange, RemoteError, TimelineCounts};

/// The call's name.
pub const RPCID: &str = "rJ0tlb";

/// More photos than anybody has; sums of such numbers stay far from what a `u64` holds.
const MOST: u64 = 1 << 32;

/// The arguments.
pub fn args() -> Value {
    json!([])
}

/// Reads the counts: ranges `[from, to, count, 1]` and, beside their list, the total. Only one client has
/// described the answer, so they are looked for rather than expected at fixed places.
pub fn decode(payload: &Value) -> Result<TimelineCounts, RemoteError> {
    let unknown = || drift(RPCID, "ranges", payload);
    let slots = payload.as_array().ok_or_else(unknown)?;
    let lists = slots.iter().filter_map(|slot| {
        let rows = slot.as_array()?;
        rows.iter().map(range).collect::<Option<Vec<_>>>()
    });
    let mut ranges = lists.max_by_key(Vec::len).ok_or_else(unknown)?;
    ranges.sort_unstable_by_key(|range| std::cmp::Reverse(range.to_ms));
    let whole_number = |v: &Value| v.as_u64().or_else(|| v.as_str()?.parse().ok());
    let total = slots.iter().find_map(whole_number).unwrap_or_else(|| ranges.iter().map(|r| r.count).sum());
    if total > MOST {
        return Err(unknown());
    }
    Ok(TimelineCounts { total, ranges })
}

fn range(row: &Value) -> Option<CountRange> {
    // 64-bit numbers come as text at times.
    let number = |n: usize| row.get(n).and_then(|v| v.as_i64().or_else(|| v.as_str()?.parse().ok()));
    let time = |n: usize| number(n).filter(|ms| is_time(*ms));
    let (one, two) = (time(0)?, time(1)?);
    let count = u64::try_from(number(2)?).ok().filter(|count| *count <= MOST)?;
    Some(CountRange { from_ms: one.min(two), to_ms: one.max(two), count })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::ErrorClass;

    #[test]
    fn ranges_and_total_are_found_newest_first() {
        let counts = decode(&json!([[[100, 199, 3, 1], [200, 299, 4, 1]], 7])).unwrap();
        assert_eq!(counts.total, 7);
        assert_eq!(counts.ranges[0], CountRange { from_ms: 200, to_ms: 299, count: 4 });
        assert_eq!(decode(&json!([[], 0])).unwrap().total, 0);
        assert_eq!(
            decode(&json!([[["100", "199", "3", 1]], "3"])).unwrap(),
            decode(&json!([[[100, 199, 3, 1]], 3])).unwrap()
        );
        assert_eq!(decode(&json!([[], [[100, 199, 3, 1]], 3])).unwrap().ranges.len(), 1);
        for absurd in
            [json!([[[1, 2, u64::MAX]]]), json!([[[i64::MIN, 2, 3]]]), json!([[[1, 2, 3]], u64::MAX])]
        {
            assert_eq!(decode(&absurd).unwrap_err().class(), ErrorClass::RemoteChanged, "{absurd}");
        }
        assert_eq!(decode(&json!([[["x", 1, 2]], 7])).unwrap_err().class(), ErrorClass::RemoteChanged);
    }
}
