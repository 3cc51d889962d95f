//! From photo to photo by the arrow keys: slower than the grid, and right where the grid is not. It begins where
//! the grid ends, so that a grid that ends too early is found out.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use super::photo::check_landing;
use super::{Grid, Place, drift, item, locale, page, run};
use crate::model::MediaKey;
use crate::remote::browser::tab::Tab;
use crate::remote::google::{GooglePhotos, Session};
use crate::remote::{ListPage, RemoteError};

/// Photos that one step brings at most, and how long it may take.
const STEP: usize = 100;
const STEP_TIME: Duration = Duration::from_secs(12);
/// Presses without a further photo that make the one that is shown the last.
const PRESSES: u32 = 3;
/// How long a press may take to show the next photo, milliseconds: a second press would pass one by.
const FIRST_PRESS_MS: u32 = 6000;
const NEXT_PRESS_MS: u32 = 1500;
/// Longest wait for a photo's page.
const OPEN: Duration = Duration::from_secs(30);

impl GooglePhotos {
    /// The photos after `photo`, in the order of the viewer.
    pub(super) async fn list_by_keys(
        &self,
        session: &Session,
        slot: &mut Option<Grid>,
        at: &Place,
        photo: &str,
    ) -> Result<ListPage, RemoteError> {
        let mut grid = match slot.take().filter(|grid| grid.at == *at) {
            Some(grid) => grid,
            None => open(session, at, photo).await?,
        };
        let (mut items, mut shown, mut last) = (Vec::new(), photo.to_owned(), false);
        let until = Instant::now() + STEP_TIME;
        while items.len() < STEP && Instant::now() < until {
            match next(&grid.tab, &shown).await? {
                // Some viewers begin again after the last photo.
                Some(key) if grid.passed.insert(key.clone()) => {
                    items.extend(item(&key, "", grid.words, at.place));
                    shown = key;
                }
                _ => {
                    last = true;
                    break;
                }
            }
        }
        tracing::debug!(photos = items.len(), "listed by the arrow keys");
        if last {
            grid.tab.close().await;
            return Ok(page(items, self.next_place(at)));
        }
        grid.at = Place { photo: Some(shown), ..at.clone() };
        let cursor = grid.at.cursor();
        *slot = Some(grid);
        Ok(page(items, cursor))
    }
}

async fn open(session: &Session, at: &Place, photo: &str) -> Result<Grid, RemoteError> {
    let key = MediaKey::new(photo).ok_or_else(|| drift("the last photo of the grid", String::new()))?;
    let tab = session.chromium.new_tab().await?;
    tab.pretend_focus().await?;
    let path = format!("/photo/{key}");
    let landing = tab.open(&format!("https://photos.google.com{path}"), OPEN).await?;
    check_landing(&landing, &path)?;
    if !run::<bool>(&tab, &format!("await layerWithin('{key}', 12000)")).await? {
        let skeleton = run(&tab, "skeleton()").await.unwrap_or_default();
        tab.close().await;
        return Err(drift("the photo's layer", skeleton));
    }
    let lang: String = run(&tab, "language()").await?;
    let passed = HashSet::from([photo.to_owned()]);
    Ok(Grid { tab, at: at.clone(), words: locale::words(&lang), passed })
}

/// The photo after the one that is shown, if there is one.
async fn next(tab: &Tab, shown: &str) -> Result<Option<String>, RemoteError> {
    for press in 0..PRESSES {
        let patience = if press == 0 { FIRST_PRESS_MS } else { NEXT_PRESS_MS };
        run::<bool>(tab, "unfocus()").await?;
        tab.press_key("ArrowRight", false).await?;
        let moved: Option<String> = run(tab, &format!("await movedFrom('{shown}', {patience})")).await?;
        if moved.is_some() {
            return Ok(moved);
        }
    }
    Ok(None)
}
