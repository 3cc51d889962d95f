//! What a listing and the index together ask for. Pure.

use std::collections::HashMap;

use crate::index::KnownItem;
use crate::model::{MediaKey, PartRole, RemoteItem};

/// What is to be done about one listed item.
#[derive(Debug, PartialEq, Eq)]
pub enum Task {
    /// Never seen: fetch every part.
    Archive,
    /// Archived, but an earlier run set a part aside: fetch what is missing.
    Complete {
        /// Parts that are safe already.
        have: Vec<PartRole>,
    },
    /// Nothing.
    Keep,
}

/// Decides for one item. An item that is not listed any more asks for nothing: absence is no evidence.
pub fn task(item: &RemoteItem, known: &HashMap<MediaKey, KnownItem>) -> Task {
    match known.get(&item.key) {
        None => Task::Archive,
        Some(known) if known.failed => {
            Task::Complete { have: known.parts.iter().map(|(role, _)| *role).collect() }
        }
        Some(_) => Task::Keep,
    }
}
