//! How far a pass is: counters that any thread may read while it runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use jiff::SignedDuration;

/// Counters of one pass.
#[derive(Debug, Default)]
pub struct Progress {
    listed: AtomicU64,
    listing_done: AtomicBool,
    kept: AtomicU64,
    wanted: AtomicU64,
    archived: AtomicU64,
    parts: AtomicU64,
    bytes: AtomicU64,
    set_aside: AtomicU64,
    unreadable: AtomicU64,
    retries: AtomicU64,
    revised: AtomicU64,
    unchanged: AtomicU64,
    gone: AtomicU64,
    albums: AtomicU64,
    without_video: AtomicU64,
    lists_everything: AtomicBool,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Items listed so far.
    pub listed: u64,
    /// Whether the listing is complete.
    pub listing_done: bool,
    /// Items that were archived already.
    pub kept: u64,
    /// Items that this pass has to fetch.
    pub wanted: u64,
    /// Items archived by this pass.
    pub archived: u64,
    /// Files stored by this pass.
    pub parts: u64,
    /// Bytes received by this pass.
    pub bytes: u64,
    /// Items of which something was set aside.
    pub set_aside: u64,
    /// Listing rows that could not be read.
    pub unreadable: u64,
    /// Attempts that had to be repeated.
    pub retries: u64,
    /// Items of which only the facts were recorded anew.
    pub revised: u64,
    /// Items that were looked at and had not changed.
    pub unchanged: u64,
    /// Items that are no longer in the library.
    pub gone: u64,
    /// Albums recorded anew.
    pub albums: u64,
    /// Live Photos archived by this pass whose video Google did not hand out.
    pub without_video: u64,
    /// Whether the whole library is listed, or only what is new.
    pub lists_everything: bool,
}

/// How fast a pass is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Items archived per second.
    pub items_per_second: f64,
    /// Bytes received per second.
    pub bytes_per_second: u64,
    /// Time that the rest takes at this pace, where there is a rest and a pace.
    pub left: Option<SignedDuration>,
}

impl Snapshot {
    /// The pace of a pass that began so long ago.
    pub fn pace(&self, elapsed: Duration) -> Pace {
        let seconds = elapsed.as_secs_f64().max(0.001);
        let rate = self.archived as f64 / seconds;
        let rest = self.wanted.saturating_sub(self.archived + self.set_aside);
        Pace {
            items_per_second: rate,
            bytes_per_second: (self.bytes as f64 / seconds) as u64,
            left: (rate > 0.0 && rest > 0).then(|| SignedDuration::from_secs((rest as f64 / rate) as i64)),
        }
    }
}

impl Progress {
    /// The counters now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            listed: self.listed.load(Relaxed),
            listing_done: self.listing_done.load(Relaxed),
            kept: self.kept.load(Relaxed),
            wanted: self.wanted.load(Relaxed),
            archived: self.archived.load(Relaxed),
            parts: self.parts.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            set_aside: self.set_aside.load(Relaxed),
            unreadable: self.unreadable.load(Relaxed),
            retries: self.retries.load(Relaxed),
            revised: self.revised.load(Relaxed),
            unchanged: self.unchanged.load(Relaxed),
            gone: self.gone.load(Relaxed),
            albums: self.albums.load(Relaxed),
            without_video: self.without_video.load(Relaxed),
            lists_everything: self.lists_everything.load(Relaxed),
        }
    }

    pub(crate) fn add_listed(&self, items: u64, kept: u64, wanted: u64) {
        self.listed.fetch_add(items, Relaxed);
        self.kept.fetch_add(kept, Relaxed);
        self.wanted.fetch_add(wanted, Relaxed);
    }

    pub(crate) fn listing_is_done(&self) {
        self.listing_done.store(true, Relaxed);
    }

    pub(crate) fn add_archived(&self, parts: u64) {
        self.archived.fetch_add(1, Relaxed);
        self.parts.fetch_add(parts, Relaxed);
    }

    pub(crate) fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn add_set_aside(&self) {
        self.set_aside.fetch_add(1, Relaxed);
    }

    pub(crate) fn add_unreadable(&self, rows: u64) {
        self.unreadable.fetch_add(rows, Relaxed);
    }

    pub(crate) fn add_revised(&self) {
        self.revised.fetch_add(1, Relaxed);
    }

    pub(crate) fn add_unchanged(&self) {
        self.unchanged.fetch_add(1, Relaxed);
    }

    pub(crate) fn add_gone(&self) {
        self.gone.fetch_add(1, Relaxed);
    }

    pub(crate) fn add_album(&self) {
        self.albums.fetch_add(1, Relaxed);
    }

    pub(crate) fn add_without_video(&self) {
        self.without_video.fetch_add(1, Relaxed);
    }

    /// The whole library is listed: what a look at the news has counted does not count.
    pub(crate) fn lists_everything(&self) {
        self.listed.store(0, Relaxed);
        self.kept.store(0, Relaxed);
        self.lists_everything.store(true, Relaxed);
    }

    pub(crate) fn add_retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }
}
