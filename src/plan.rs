//! What a listed row and the index together ask for. Pure.

use std::collections::HashSet;

use crate::index::{KnownItem, Sighting};
use crate::model::digest::digests_of;
use crate::model::{ItemDetails, ItemState, MediaKey, PartRole, Quality, RemoteFacts, RemoteItem};

/// What is to be done about one listed item.
#[derive(Debug, PartialEq)]
pub enum Task {
    /// Never seen: fetch every part.
    Archive,
    /// Archived, but an earlier run set a part aside: fetch what is missing, and what may have changed since.
    Complete(Box<KnownItem>, Vec<PartRole>),
    /// Something that Google says of it has changed: write a further revision.
    Revise {
        /// What is archived.
        known: Box<KnownItem>,
        /// Whether its files may have changed too.
        fetch: bool,
        /// The archived parts that may be other bytes now.
        again: Vec<PartRole>,
    },
    /// Only its counter has moved: perhaps an edit.
    Recheck(Box<KnownItem>),
    /// Nothing.
    Keep,
}

/// Decides for one item by what is archived of it, what failed before, and what its row said last. An item
/// that is not listed any more asks for nothing: absence is no evidence.
pub fn task(
    item: &RemoteItem,
    known: Option<KnownItem>,
    failed: &HashSet<MediaKey>,
    before: Option<&Sighting>,
    mark: i64,
) -> Task {
    let Some(known) = known.map(Box::new) else { return Task::Archive };
    let returned = known.state == ItemState::Gone;
    let changed = match before {
        Some(before) => before.mark != mark,
        None => says_otherwise(item, &known.remote),
    };
    let counted = before.and_then(|before| before.counter).zip(item.counter);
    let counter_moved = counted.is_some_and(|(then, now)| then != now);
    let mut again = changed_parts(item, &known);
    let grew = (item.width, item.height) != (known.remote.width, known.remote.height);
    let fetch = !again.is_empty() || grew || counter_moved || returned;
    if fetch {
        again.push(PartRole::Edited);
    }
    if failed.contains(&item.key) {
        return Task::Complete(known, again);
    }
    if changed || returned {
        return Task::Revise { known, fetch, again };
    }
    if counter_moved { Task::Recheck(known) } else { Task::Keep }
}

/// A number that stands for what the row says.
pub fn mark(item: &RemoteItem) -> i64 {
    let text =
        serde_json::to_string(&RemoteFacts::of(item, &no_details(item.key.clone()))).unwrap_or_default();
    let mut first = [0; 8];
    first.copy_from_slice(&digests_of(text.as_bytes()).sha256.bytes()[..8]);
    i64::from_le_bytes(first)
}

/// Whether a row contradicts what is recorded. A listing does not tell everything that the records hold.
fn says_otherwise(item: &RemoteItem, recorded: &RemoteFacts) -> bool {
    let row = RemoteFacts::of(item, &no_details(item.key.clone()));
    let same = RemoteFacts {
        size: recorded.size,
        // Most are told by their names, which a listing does not give.
        creation: row.creation.or(recorded.creation),
        quality: if row.quality == Quality::Unknown { recorded.quality } else { row.quality },
        description: match (&row.description, &recorded.description) {
            // Listings shorten it.
            (Some(short), Some(full)) if full.starts_with(short.trim_end_matches('…')) => {
                Some(full.clone())
            }
            (None, full) => full.clone(),
            (short, _) => short.clone(),
        },
        ..row
    };
    same != *recorded
}

/// Parts whose bytes the listing says are others now.
fn changed_parts(item: &RemoteItem, known: &KnownItem) -> Vec<PartRole> {
    let completed = known.remote.partial_upload && !item.partial_upload;
    let other_key = item.dedup_key.is_some() && item.dedup_key != known.remote.dedup_key;
    if completed || other_key { vec![PartRole::Original] } else { Vec::new() }
}

fn no_details(key: MediaKey) -> ItemDetails {
    ItemDetails { key, name: String::new(), size: None, description: None, quality: Quality::Unknown }
}
