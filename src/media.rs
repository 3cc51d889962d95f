//! What a file says about itself, read from hostile bytes: bounded in time, bytes and consequences.

pub mod budget;
pub mod kind;
mod still;
mod video;
pub mod whole;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use self::budget::Budget;
use crate::model::{MediaFacts, ReadAt};

/// Version of the readers; recorded with the facts.
pub const EXTRACTOR: u32 = 1;

/// Bytes that may be read of one file.
const MOST_BYTES: u64 = 8 << 20;
/// Time that the readers may take for one file.
const LONGEST: Duration = Duration::from_secs(5);
/// Readers that may run wild before no further file is looked into.
const MOST_WILD: usize = 8;

static WILD: AtomicUsize = AtomicUsize::new(0);

/// Reads the facts of a file. Never fails: a reader that panics or runs wild costs this file its facts.
pub fn inspect(bytes: Arc<dyn ReadAt>, name: &str) -> MediaFacts {
    let kind = kind::of(&*bytes);
    let unknown = MediaFacts {
        extractor: EXTRACTOR,
        media_type: kind.media_type().map(str::to_owned),
        ..MediaFacts::default()
    };
    if !(kind.is_still() || kind.is_video()) || WILD.load(Ordering::Relaxed) >= MOST_WILD {
        return unknown;
    }
    let (sender, facts) = mpsc::channel();
    let budget = Budget::new(bytes, MOST_BYTES);
    let reader = thread::Builder::new().name("facts".into()).spawn(move || {
        let read =
            AssertUnwindSafe(
                || if kind.is_video() { video::facts(budget) } else { still::facts(budget, kind) },
            );
        // The receiver is gone if this took too long.
        let _late = sender.send(catch_unwind(read).unwrap_or_default());
    });
    let facts = match reader {
        Ok(_) => facts.recv_timeout(LONGEST),
        Err(_) => return unknown,
    };
    match facts {
        Ok(facts) => MediaFacts { extractor: unknown.extractor, media_type: unknown.media_type, ..facts },
        Err(_) => {
            WILD.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(name = ?name, "its metadata could not be read in time; it is archived without");
            unknown
        }
    }
}

/// A text from a file: cut at the first NUL, without control characters, or nothing.
fn tidy(text: &str) -> Option<String> {
    let text: String = text.split('\0').next()?.chars().filter(|c| !c.is_control()).collect();
    let text = text.trim();
    (!text.is_empty() && text.chars().count() <= 200).then(|| text.to_owned())
}
