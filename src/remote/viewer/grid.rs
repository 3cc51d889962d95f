//! Down the grid, screen by screen. Where tiles stay empty, the arrow keys lead across, and the grid goes on after.

use std::collections::HashSet;
use std::time::Duration;

use serde::Deserialize;

use super::locale;
use super::photo::check_landing;
use super::{Gap, Grid, PLACES, Place, drift, item, page, run};
use crate::model::RemoteItem;
use crate::remote::google::{GooglePhotos, Session};
use crate::remote::{Cursor, ListPage, RemoteError};

/// Photos that one step of a listing brings, at least, if there are so many.
const STEP: u32 = 300;
/// How long one step may walk before it returns what it has; then it may wait for empty tiles for 15 s more.
const STEP_MS: u32 = 8_000;
/// One look for photos beyond empty tiles, and how many looks there are.
const LOOK_MS: u32 = 8_000;
const LOOKS: u32 = 12;
/// What a walk says where tiles stay empty.
const EMPTY: &str = "empty tiles";
/// Tries of the readiness probe, a third of a second each.
const PROBES: u32 = 60;

/// What a place turns out to be.
enum Opened {
    Grid(Grid),
    Empty,
    /// It does not answer to the keyboard, and begins with this photo.
    Deaf(String),
}

/// What is found beyond empty tiles.
#[derive(Deserialize)]
struct Beyond {
    photos: Vec<(String, String)>,
    top: f64,
    after: Option<String>,
    end: bool,
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

impl Grid {
    fn items(&self, photos: &[(String, String)]) -> Vec<RemoteItem> {
        photos.iter().filter_map(|(key, label)| item(key, label, self.words, self.at.place)).collect()
    }

    /// Looks for the first photo after the empty tiles in sight, and lists what it passes by.
    async fn beyond(&self) -> Result<(Beyond, Vec<RemoteItem>), RemoteError> {
        let script = format!("await afterGap({LOOK_MS}, {})", quoted(self.at.past()));
        let (mut items, mut looks) = (Vec::new(), 1);
        loop {
            let beyond: Beyond = run(&self.tab, &script).await?;
            items.extend(self.items(&beyond.photos));
            if beyond.end || beyond.after.is_some() || looks == LOOKS {
                return Ok((beyond, items));
            }
            looks += 1;
        }
    }
}

/// A key, or nothing, as the scripts take it.
fn quoted(key: Option<&str>) -> String {
    serde_json::to_string(&key).unwrap_or_else(|_| "null".to_owned())
}

impl GooglePhotos {
    /// One step down the grid. A lost tab goes on where the cursor says, with some overlap.
    pub(in crate::remote) async fn list_grid(&self, from: Option<&Cursor>) -> Result<ListPage, RemoteError> {
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
        let walk = format!("await walk({STEP}, {STEP_MS}, {start}, {})", quoted(at.past()));
        let walked: Walked = run(&grid.tab, &walk).await?;
        // Where nothing came before the gap, the keys have nowhere to begin.
        if !walked.stuck.is_empty() && (walked.last.is_none() || walked.photos.is_empty()) {
            grid.tab.close().await;
            return Err(drift(&walked.stuck, walked.skeleton));
        }
        tracing::debug!(photos = walked.photos.len(), top = walked.top, height = walked.height, "listed");
        let items = grid.items(&walked.photos);
        if walked.end || !walked.stuck.is_empty() {
            let done = self.leave_grid(&grid, walked, items).await;
            grid.tab.close().await;
            return done;
        }
        grid.at.top = walked.top;
        let next = grid.at.cursor();
        *slot = Some(grid);
        Ok(page(items, next))
    }

    /// The grid has ended, or does not go on.
    async fn leave_grid(
        &self,
        grid: &Grid,
        walked: Walked,
        mut items: Vec<RemoteItem>,
    ) -> Result<ListPage, RemoteError> {
        let at = &grid.at;
        let mut next = Place { top: walked.top, gap: None, ..at.clone() };
        if walked.stuck == EMPTY {
            let (beyond, more) = grid.beyond().await?;
            if beyond.after.is_some() && beyond.after.as_deref() == at.past() {
                return Err(drift("the same empty tiles again", walked.skeleton));
            }
            items.extend(more);
            (next.top, next.gap) = (beyond.top, Some(Gap { after: beyond.after }));
        }
        if at.place > 0 {
            // Keys lead through the library alone: what is missing here must be told.
            let place = PLACES.get(at.place).copied().unwrap_or_default();
            let told = format!("the page {place} goes no further: {}; {}", walked.stuck, walked.skeleton);
            let rejected = if walked.end { Vec::new() } else { vec![told] };
            let next = next.past().and_then(|_| next.cursor()).or_else(|| self.next_place(at));
            return Ok(ListPage { rejected, ..page(items, next) });
        }
        if !walked.end {
            tracing::warn!("the grid of photos does not go on ({}); listing by the arrow keys", walked.stuck);
        }
        // What looks like the end may be a grid that does not go on: the keys know.
        next.photo = walked.last;
        let cursor = if next.photo.is_some() { next.cursor() } else { self.next_place(at) };
        Ok(page(items, cursor))
    }

    pub(super) fn next_place(&self, at: &Place) -> Option<Cursor> {
        let next = Place::top_of(at.place + 1);
        next.cursor().filter(|_| next.place < PLACES.len())
    }

    /// Opens a place and waits until it answers to the keyboard.
    async fn open_grid(&self, session: &Session, at: &Place) -> Result<Opened, RemoteError> {
        let path = PLACES.get(at.place).copied().unwrap_or("/");
        let tab = session.chromium.new_tab().await?;
        tab.pretend_focus().await?;
        let landing = tab.open(&format!("https://photos.google.com{path}"), Duration::from_secs(40)).await?;
        check_landing(&landing, path).inspect_err(|e| {
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
