//! The way a person would do it: the grid, the photo viewer, the keyboard. No call of our own is made; the
//! page makes them. Slower than the others, and the one way that has kept working for years (contract 3, 4).

mod download;
mod grid;
mod keys;
pub mod locale;
pub(crate) mod names;
pub(crate) mod photo;

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::locale::Words;
use super::browser::tab::Tab;
use super::{Cursor, ListPage, RemoteError};
use crate::model::{MediaKey, RemoteItem};

pub(super) use photo::Lane;
pub use photo::Seen;

/// What the scripts share.
const PAGE: &str = include_str!("viewer/page.js");
/// Longest wait for a script that waits by itself.
pub(super) const SCRIPT: Duration = Duration::from_secs(28);
/// Where the photos of a library are: archived ones have a place of their own.
const PLACES: [&str; 2] = ["/", "/archive"];

/// Where a listing stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Place {
    /// Position in [`PLACES`].
    place: usize,
    /// Pixels from the top.
    top: f64,
    /// The photo from which the arrow keys go on, where the grid does not.
    #[serde(default)]
    photo: Option<String>,
    /// The empty tiles that the keys lead across, or that the grid has gone on after.
    #[serde(default)]
    gap: Option<Gap>,
}

/// Tiles of the grid that never got their photos.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Gap {
    /// The first photo after them; none if none was found.
    after: Option<String>,
}

impl Place {
    fn top_of(place: usize) -> Self {
        Self { place, top: 0.0, photo: None, gap: None }
    }

    /// The photo up to which empty tiles are known of.
    fn past(&self) -> Option<&str> {
        self.gap.as_ref()?.after.as_deref()
    }

    fn cursor(&self) -> Option<Cursor> {
        serde_json::to_string(self).ok().map(Cursor)
    }
}

/// The tab that lists, and where it stands.
pub(super) struct Grid {
    tab: Tab,
    at: Place,
    words: &'static Words,
    /// Photos that the arrow keys have come by.
    passed: HashSet<String>,
}

/// Runs a script with the functions of `page.js` at hand.
pub(super) async fn run<T: serde::de::DeserializeOwned>(tab: &Tab, script: &str) -> Result<T, RemoteError> {
    tab.evaluate(&format!("(async () => {{ {PAGE}\n return {script}; }})()"), SCRIPT).await
}

fn drift(at: &str, skeleton: String) -> RemoteError {
    RemoteError::Drift { what: "the page of the library".into(), at: at.into(), skeleton }
}

fn page(items: Vec<RemoteItem>, next: Option<Cursor>) -> ListPage {
    ListPage { items, rejected: Vec::new(), next, thin: true }
}

/// What a tile tells of its photo: hardly more than the key.
fn item(key: &str, label: &str, words: &Words, place: usize) -> Option<RemoteItem> {
    let local = locale::label_time(words, label, Timestamp::now());
    let taken = local.and_then(|local| local.to_zoned(jiff::tz::TimeZone::UTC).ok());
    Some(RemoteItem {
        taken_ms: taken.map(|taken| taken.timestamp().as_millisecond()),
        archived: place == 1,
        ..RemoteItem::unknown(MediaKey::of_library(key)?)
    })
}
