//! The way a person would do it: the grid, the photo viewer, the keyboard. No call of our own is made; the
//! page makes them. Slower than the others, and the one way that has kept working for years (contract 3, 4).

mod download;
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
use super::google::{GooglePhotos, Session};
use super::{Cursor, ListPage, RemoteError};
use crate::model::{MediaKey, RemoteItem};

pub(super) use photo::Lane;
pub use photo::Seen;

/// What the scripts share.
const PAGE: &str = include_str!("viewer/page.js");
/// Photos that one step of a listing brings, at least, if there are so many.
const STEP: u32 = 300;
/// How long one step may walk before it returns what it has; then it may wait for empty tiles for 15 s more.
const STEP_MS: u32 = 8_000;
/// Longest wait for a script that waits by itself.
pub(super) const SCRIPT: Duration = Duration::from_secs(28);
/// Tries of the readiness probe, a third of a second each.
const PROBES: u32 = 60;
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
}

impl Place {
    fn top_of(place: usize) -> Self {
        Self { place, top: 0.0, photo: None }
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

/// What a place turns out to be.
enum Opened {
    Grid(Grid),
    Empty,
    /// It does not answer to the keyboard, and begins with this photo.
    Deaf(String),
}

/// What one step of walking brings.
#[derive(Deserialize)]
struct Walked {
    photos: Vec<(String, String)>,
    end: bool,
    top: f64,
    height: f64,
    stuck: String,
    skeleton: String,
    /// The photo farthest down.
    last: Option<String>,
}

/// Runs a script with the functions of `page.js` at hand.
pub(super) async fn run<T: serde::de::DeserializeOwned>(tab: &Tab, script: &str) -> Result<T, RemoteError> {
    tab.evaluate(&format!("(async () => {{ {PAGE}\n return {script}; }})()"), SCRIPT).await
}

fn drift(at: &str, skeleton: String) -> RemoteError {
    RemoteError::Drift { what: "the page of the library".into(), at: at.into(), skeleton }
}

impl GooglePhotos {
    /// One step down the grid. A lost tab goes on where the cursor says, with some overlap.
    pub(super) async fn list_grid(&self, from: Option<&Cursor>) -> Result<ListPage, RemoteError> {
        let at = match from {
            None => Place::top_of(0),
            // A position of another kind of listing: from the top.
            Some(cursor) => serde_json::from_str(&cursor.0).unwrap_or(Place::top_of(0)),
        };
        let guard = self.session().await?;
        let session = guard.as_ref().ok_or_else(|| RemoteError::Browser("no browser".into()))?;
        let mut slot = session.grid.lock().await;
        if let Some(photo) = &at.photo {
            return self.list_by_keys(session, &mut slot, &at, photo).await;
        }
        let kept = slot.take().filter(|grid| from.is_some() && grid.at == at);
        let (mut grid, start) = match kept {
            Some(grid) => (grid, None),
            None => match self.open_grid(session, &at).await? {
                Opened::Grid(grid) => (grid, Some(at.top)),
                Opened::Empty => return Ok(page(Vec::new(), self.next_place(&at))),
                Opened::Deaf(first) => {
                    tracing::warn!("the grid of photos does not answer; listing by the arrow keys");
                    let items = item(&first, "", locale::words("en"), at.place).into_iter().collect();
                    return Ok(page(items, Place { photo: Some(first), ..at }.cursor()));
                }
            },
        };
        let start = start.map_or_else(|| "null".to_owned(), |top| top.to_string());
        let walked: Walked = run(&grid.tab, &format!("await walk({STEP}, {STEP_MS}, {start})")).await?;
        // Where nothing came before the gap, the keys have nowhere to begin.
        if !walked.stuck.is_empty() && (walked.last.is_none() || walked.photos.is_empty()) {
            grid.tab.close().await;
            return Err(drift(&walked.stuck, walked.skeleton));
        }
        tracing::debug!(photos = walked.photos.len(), top = walked.top, height = walked.height, "listed");
        let items =
            walked.photos.iter().filter_map(|(key, label)| item(key, label, grid.words, at.place)).collect();
        if walked.end || !walked.stuck.is_empty() {
            grid.tab.close().await;
            if !walked.end && at.place > 0 {
                // Keys lead through the library alone: what is missing here must be told.
                let place = PLACES.get(at.place).copied().unwrap_or_default();
                let rest =
                    format!("the page {place} goes no further ({}); {}", walked.stuck, walked.skeleton);
                return Ok(ListPage { rejected: vec![rest], ..page(items, self.next_place(&at)) });
            }
            if !walked.end {
                tracing::warn!("the grid of photos is stuck ({}); listing by the arrow keys", walked.stuck);
            }
            // What looks like the end may be a grid that does not go on: the keys know.
            let keys = walked.last.filter(|_| at.place == 0);
            let next = keys.map_or_else(
                || self.next_place(&at),
                |last| Place { place: at.place, top: walked.top, photo: Some(last) }.cursor(),
            );
            return Ok(page(items, next));
        }
        grid.at = Place { top: walked.top, ..at };
        let next = grid.at.cursor();
        *slot = Some(grid);
        Ok(page(items, next))
    }

    fn next_place(&self, at: &Place) -> Option<Cursor> {
        let next = Place::top_of(at.place + 1);
        next.cursor().filter(|_| next.place < PLACES.len())
    }

    /// Opens a place and waits until it answers to the keyboard.
    async fn open_grid(&self, session: &Session, at: &Place) -> Result<Opened, RemoteError> {
        let path = PLACES.get(at.place).copied().unwrap_or("/");
        let tab = session.chromium.new_tab().await?;
        tab.pretend_focus().await?;
        let landing = tab.open(&format!("https://photos.google.com{path}"), Duration::from_secs(40)).await?;
        photo::check_landing(&landing, path).inspect_err(|e| {
            if matches!(e, RemoteError::SignedOut { .. }) {
                self.suspect();
            }
        })?;
        let lang: String = run(&tab, "language()").await?;
        for _ in 0..PROBES {
            tab.press_key("ArrowRight", false).await?;
            tokio::time::sleep(Duration::from_millis(300)).await;
            let focused: Option<String> = run(&tab, "focused()").await?;
            if focused.is_some() {
                let (at, words, passed) = (at.clone(), locale::words(&lang), HashSet::new());
                return Ok(Opened::Grid(Grid { tab, at, words, passed }));
            }
            // The library itself is never taken for empty; other places may well be.
            let photos: usize = run(&tab, "anchors().length").await?;
            if at.place > 0 && photos == 0 && landing.ready == "complete" {
                tokio::time::sleep(Duration::from_secs(2)).await;
                if run::<usize>(&tab, "anchors().length").await? == 0 {
                    tab.close().await;
                    return Ok(Opened::Empty);
                }
            }
        }
        let skeleton = run(&tab, "skeleton()").await.unwrap_or_default();
        let first: Option<String> = run(&tab, "anchors().map(keyOf).filter(Boolean)[0] || null").await?;
        tab.close().await;
        match first {
            Some(first) if at.place == 0 => Ok(Opened::Deaf(first)),
            _ => Err(drift("no photo takes the focus", skeleton)),
        }
    }
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
        ..RemoteItem::unknown(MediaKey::new(key)?)
    })
}
