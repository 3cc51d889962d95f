//! From photo to photo by the arrow keys: slower than the grid, and right where the grid is not. It leads across
//! tiles of the grid that stay empty, and begins where the grid ends, so that one that ends too early is found out.

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
/// Presses on a page just opened, which may be deaf at first; where nothing comes of them is the end.
const PRESSES: u32 = 3;
/// How long a press may take to show the next photo, milliseconds, and one that has others after it.
const PATIENCE_MS: u32 = 6000;
const NEXT_PRESS_MS: u32 = 1500;
/// Longest wait for a photo's page.
const OPEN: Duration = Duration::from_secs(30);

impl GooglePhotos {
    /// The photos after `photo`, in the order of the viewer; where it crosses a gap, up to the photo after it.
    pub(super) async fn list_by_keys(
        &self,
        session: &Session,
        slot: &mut Option<Grid>,
        at: &Place,
        photo: &str,
    ) -> Result<ListPage, RemoteError> {
        let kept = slot.take().filter(|grid| grid.at == *at);
        let mut fresh = kept.is_none();
        let mut grid = match kept {
            Some(grid) => grid,
            None => open(session, at, photo, HashSet::new()).await?,
        };
        let (mut items, mut shown, mut last) = (Vec::new(), photo.to_owned(), false);
        let crossed = |shown: &str| at.past() == Some(shown);
        let until = Instant::now() + STEP_TIME;
        while !crossed(&shown) && items.len() < STEP && Instant::now() < until {
            let next = match next(&grid.tab, &shown, fresh).await {
                Ok(next) => next,
                Err(error) => {
                    grid.tab.close().await;
                    return Err(error);
                }
            };
            match next {
                // Some viewers begin again after the last photo.
                Some(key) if grid.passed.insert(key.clone()) => {
                    items.extend(item(&key, "", grid.words, at.place));
                    (shown, fresh) = (key, false);
                }
                // A page that is busy with what it passed by looks like one at the end: only a new one counts.
                None if !fresh => {
                    grid.tab.close().await;
                    (grid, fresh) = (open(session, at, &shown, grid.passed).await?, true);
                }
                _ => {
                    last = true;
                    break;
                }
            }
        }
        tracing::debug!(photos = items.len(), "listed by the arrow keys");
        if last || crossed(&shown) {
            grid.tab.close().await;
            // After the gap the grid goes on.
            let on = at.past().and_then(|_| Place { photo: None, ..at.clone() }.cursor());
            // The grid has tiles that nobody has seen the photos of.
            let lost = (last && at.gap.is_some())
                .then(|| format!("photos after {shown} do not come, neither in the grid nor by the keys"));
            let rejected = lost.into_iter().collect();
            return Ok(ListPage { rejected, ..page(items, on.or_else(|| self.next_place(at))) });
        }
        grid.at = Place { photo: Some(shown), ..at.clone() };
        let cursor = grid.at.cursor();
        *slot = Some(grid);
        Ok(page(items, cursor))
    }
}

async fn open(
    session: &Session,
    at: &Place,
    photo: &str,
    mut passed: HashSet<String>,
) -> Result<Grid, RemoteError> {
    let key =
        MediaKey::of_library(photo).ok_or_else(|| drift("the last photo of the grid", String::new()))?;
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
    passed.insert(photo.to_owned());
    Ok(Grid { tab, at: at.clone(), words: locale::words(&lang), passed })
}

/// The photo after the one that is shown, if there is one.
async fn next(tab: &Tab, shown: &str, fresh: bool) -> Result<Option<String>, RemoteError> {
    let presses = if fresh { PRESSES } else { 1 };
    for press in 0..presses {
        let patience = if press == 0 || press + 1 == presses { PATIENCE_MS } else { NEXT_PRESS_MS };
        let moved = press_and_see(tab, "ArrowRight", shown, patience).await?;
        match moved {
            Some(here) if press > 0 => return one_step(tab, shown, here).await.map(Some),
            Some(here) => return Ok(Some(here)),
            None => (),
        }
    }
    Ok(None)
}

async fn press_and_see(
    tab: &Tab,
    key: &str,
    shown: &str,
    patience_ms: u32,
) -> Result<Option<String>, RemoteError> {
    run::<bool>(tab, "unfocus()").await?;
    tab.press_key(key, false).await?;
    run(tab, &format!("await movedFrom('{shown}', {patience_ms})")).await
}

/// After several presses: each may have counted, so back to `shown`, and one photo on from there.
async fn one_step(tab: &Tab, shown: &str, mut here: String) -> Result<String, RemoteError> {
    for _ in 0..PRESSES {
        match press_and_see(tab, "ArrowLeft", &here, PATIENCE_MS).await? {
            Some(back) if back == shown => {
                let moved = press_and_see(tab, "ArrowRight", shown, PATIENCE_MS).await?;
                return moved.ok_or_else(|| unsteady(shown));
            }
            Some(back) => here = back,
            None => break,
        }
    }
    Err(unsteady(shown))
}

fn unsteady(shown: &str) -> RemoteError {
    RemoteError::Transient(format!("the viewer does not go steadily on from the photo {shown}"))
}
