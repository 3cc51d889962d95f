//! What files say about themselves: kind, whole or not, capture time, camera, size.
//!
//! Everything here reads bytes that strangers wrote. [`inspect`] never fails: it runs the parsers on a thread
//! of their own, with a time limit and a reading budget, and a parser that gives up, panics or runs wild
//! costs one file its facts. The readers of containers ([`still`], [`video`]) are replaceable; both fill a
//! [`MediaFacts`].

pub mod block;
pub mod budget;
pub mod guard;
pub mod kind;
pub mod moment;
pub mod motion;
pub mod pixels;
pub mod still;
pub mod thumbnail;
pub mod video;
pub mod whole;

use std::sync::Arc;

use self::budget::Budget;
use self::kind::Kind;
use crate::model::{MediaFacts, ReadAt};

/// Version of what [`inspect`] knows; raised when a change would give other facts for the same bytes.
pub const EXTRACTOR: u32 = 2;

/// Reads what a file says about itself. `name` refines the media type of raw photos and names the item in logs.
///
/// Never fails and never takes longer than [`guard::TIME_LIMIT`]: what cannot be read stays unknown. Reads at
/// most [`budget::MOST_BYTES`] bytes.
pub fn inspect(bytes: Arc<dyn ReadAt>, name: &str) -> MediaFacts {
    let kind = kind::of(&*bytes);
    let typed = MediaFacts {
        extractor: EXTRACTOR,
        media_type: Some(kind.media_type_of(name).to_owned()),
        ..MediaFacts::default()
    };
    let bounded: Arc<dyn ReadAt> = Arc::new(Budget::new(bytes));
    let base = typed.clone();
    let read = move || {
        let mut facts = base;
        if kind.is_video() {
            video::read(kind, bounded, &mut facts);
        } else if kind.is_still() {
            facts.embedded_motion = motion::is_embedded(kind, &*bounded);
            still::read(kind, bounded, &mut facts);
        }
        facts
    };
    if kind == Kind::Other {
        return typed;
    }
    match guard::run(name, read) {
        Ok(facts) => facts,
        Err(reason) => {
            tracing::warn!("no facts of {name:?}: {reason}; the file itself is kept as it is");
            typed
        }
    }
}
