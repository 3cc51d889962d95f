//! What a listing and the index together ask for. Pure.

use std::collections::{HashMap, HashSet};

use crate::index::KnownItem;
use crate::model::{MediaKey, RemoteItem};

/// What is to be done about one listed item.
#[derive(Debug, PartialEq)]
pub enum Task {
    /// Never seen: fetch every part.
    Archive,
    /// Archived, but an earlier run set a part aside: fetch what is missing.
    Complete(Box<KnownItem>),
    /// Nothing.
    Keep,
}

/// Decides for one item. An item that is not listed any more asks for nothing: absence is no evidence.
pub fn task(item: &RemoteItem, known: &mut HashMap<MediaKey, KnownItem>, failed: &HashSet<MediaKey>) -> Task {
    match known.remove(&item.key) {
        None => Task::Archive,
        Some(known) if failed.contains(&item.key) => Task::Complete(Box::new(known)),
        Some(_) => Task::Keep,
    }
}
