//! One photo in the viewer: the tab that shows it, and its info panel.

use std::time::Duration;

use data_encoding::BASE64;
use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::Deserialize;
use tokio::time::Instant;

use super::locale::{self, Words};
use super::{drift, run};
use crate::model::MediaKey;
use crate::remote::RemoteError;
use crate::remote::browser::Chromium;
use crate::remote::browser::tab::{Landing, Tab};
use crate::remote::google::{GooglePhotos, Session};

/// Photos that one tab shows before it is replaced: tabs of the site grow.
const USES: u32 = 200;
/// Longest wait for a photo's page.
const OPEN: Duration = Duration::from_secs(30);
/// How long the info panel may take, all attempts together.
const PANEL: Duration = Duration::from_secs(12);

/// What the page says of a photo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// File name.
    pub name: String,
    /// Capture instant, milliseconds since 1970 UTC; by the local clock as if it were UTC where no zone is shown.
    pub taken_ms: Option<i64>,
    /// Wall clock of the capture, to the minute.
    pub local: Option<DateTime>,
    /// Zone offset, milliseconds east of UTC.
    pub zone_offset_ms: Option<i64>,
    /// Description.
    pub description: Option<String>,
    /// The download has another name, twice the same one: the bytes need more proof.
    pub named_otherwise: bool,
}

#[derive(Deserialize)]
pub(crate) struct Fields {
    name: String,
    date: String,
    time: String,
    zone: String,
    description: String,
}

/// A tab that shows a photo.
pub(in crate::remote) struct Lane {
    pub(super) tab: Tab,
    uses: u32,
    shows: Option<MediaKey>,
    pub(super) seen: Option<Seen>,
    pub(super) words: &'static Words,
}

/// Judges where a page of the library's site has landed.
pub(super) fn check_landing(landing: &Landing, path: &str) -> Result<(), RemoteError> {
    if landing.place.starts_with("https://accounts.google.com/") || landing.place.ends_with("/photos/about/")
    {
        return Err(RemoteError::SignedOut { evidence: "a page was sent to the sign-in".into() });
    }
    match landing.status {
        404 | 410 => return Err(RemoteError::Item("Google does not find its page".into())),
        429 | 503 => {
            return Err(RemoteError::Throttled { reason: format!("status {}", landing.status), after: None });
        }
        status if status >= 400 => {
            return Err(RemoteError::Transient(format!("a page was answered with status {status}")));
        }
        _ => {}
    }
    // The site may put the account's number in front.
    let own = landing.place.strip_prefix("https://photos.google.com").unwrap_or_default();
    let own = own.strip_prefix("/u/").and_then(|rest| rest.split_once('/')).map_or(own, |(_, rest)| rest);
    if own.trim_matches('/') == path.trim_matches('/') {
        Ok(())
    } else {
        Err(RemoteError::Transient("a page of the library led elsewhere".into()))
    }
}

impl GooglePhotos {
    /// Does something in a tab that shows the photo. A tab in which it failed is closed.
    pub(super) async fn in_lane<T, F>(&self, key: &MediaKey, work: F) -> Result<T, RemoteError>
    where
        F: for<'a> FnOnce(
            &'a Chromium,
            &'a mut Lane,
            &'a MediaKey,
        )
            -> std::pin::Pin<Box<dyn Future<Output = Result<T, RemoteError>> + Send + 'a>>,
    {
        let _turn = self.lanes.acquire().await.map_err(|e| RemoteError::Browser(e.to_string()))?;
        let guard = self.session().await?;
        let session = guard.as_ref().ok_or_else(|| RemoteError::Browser("no browser".into()))?;
        let mut lane = self.viewer_lane(session, key).await?;
        let result = match show(&mut lane, key).await {
            Ok(()) => work(&session.chromium, &mut lane, key).await,
            Err(e) => Err(e),
        };
        match &result {
            Ok(_) if lane.uses < USES => session.viewers.lock().await.push(lane),
            Ok(_) => lane.tab.close().await,
            Err(e) => {
                self.keep_look(key, &lane.tab, e).await;
                lane.tab.close().await;
                if matches!(e, RemoteError::SignedOut { .. }) {
                    // One page may be odd; whether the session is lost, the next look decides.
                    self.suspect();
                    return Err(RemoteError::Transient(e.to_string()));
                }
            }
        }
        result
    }

    /// Keeps how the page looked when a photo could not be had: one picture and skeleton for each photo.
    async fn keep_look(&self, key: &MediaKey, tab: &Tab, error: &RemoteError) {
        let Some(folder) = &self.settings.evidence else { return };
        let Ok(Some(picture)) = tab.screenshot().await.map(|png| BASE64.decode(png.as_bytes()).ok()) else {
            return;
        };
        let skeleton: String = run(tab, "skeleton()").await.unwrap_or_default();
        let text = format!("{}\n{error}\n{skeleton}\n", Timestamp::now());
        let (png, txt) = (folder.join(format!("{key}.page.png")), folder.join(format!("{key}.page.txt")));
        let kept = tokio::task::spawn_blocking(move || {
            std::fs::write(png, picture)?;
            std::fs::write(txt, text)
        });
        if let Ok(Err(e)) = kept.await {
            tracing::debug!(%key, "the picture could not be kept: {e}");
        }
    }

    /// The idle tab that shows the photo already, or any, or a new one.
    async fn viewer_lane(&self, session: &Session, key: &MediaKey) -> Result<Lane, RemoteError> {
        let idle = {
            let mut idle = session.viewers.lock().await;
            let at = idle.iter().position(|lane| lane.shows.as_ref() == Some(key));
            at.map(|at| idle.swap_remove(at)).or_else(|| {
                let spare = idle.len() >= self.settings.lanes.max(1);
                spare.then(|| idle.remove(0))
            })
        };
        if let Some(lane) = idle {
            return Ok(lane);
        }
        let tab = session.chromium.new_tab().await?;
        tab.pretend_focus().await?;
        Ok(Lane { tab, uses: 0, shows: None, seen: None, words: locale::words("en") })
    }
}

/// Shows the photo and reads its panel.
async fn show(lane: &mut Lane, key: &MediaKey) -> Result<(), RemoteError> {
    if lane.shows.as_ref() == Some(key) {
        return Ok(());
    }
    lane.shows = None;
    lane.uses += 1;
    let path = format!("/photo/{key}");
    let landing = lane.tab.open(&format!("https://photos.google.com{path}"), OPEN).await?;
    check_landing(&landing, &path)?;
    if !run::<bool>(&lane.tab, &format!("await layerWithin('{key}', 12000)")).await? {
        return Err(drift("the photo's layer", run(&lane.tab, "skeleton()").await.unwrap_or_default()));
    }
    let lang: String = run(&lane.tab, "language()").await?;
    lane.words = locale::words(&lang);
    lane.seen = panel(lane, key).await?;
    lane.shows = Some(key.clone());
    Ok(())
}

/// Opens the info panel and reads it. Where it does not come, the download names the file.
async fn panel(lane: &Lane, key: &MediaKey) -> Result<Option<Seen>, RemoteError> {
    let words = json(lane.words);
    let until = Instant::now() + PANEL;
    let mut patience = 400;
    for attempt in 0.. {
        let read: Option<Fields> =
            run(&lane.tab, &format!("await fieldsWithin('{key}', {words}, {patience})")).await?;
        if let Some(fields) = read {
            return Ok(Some(seen(lane.words, fields)));
        }
        if Instant::now() > until {
            break;
        }
        patience = 2500;
        // The button only opens; the key would close a panel that is just coming.
        let button = format!("target(infoButton('{key}', {words}))");
        match run::<Option<Point>>(&lane.tab, &button).await? {
            Some(point) if attempt % 3 != 2 => lane.tab.click(point.x, point.y).await?,
            _ => lane.tab.press_key("i", false).await?,
        }
    }
    tracing::debug!(%key, "the info panel did not come");
    Ok(None)
}

pub(crate) fn seen(words: &Words, fields: Fields) -> Seen {
    let date = words.date(&fields.date, Timestamp::now());
    let local = date.zip(locale::time(&fields.time)).map(|(date, time)| date.to_datetime(time));
    let local_ms = local.and_then(|local| local.to_zoned(jiff::tz::TimeZone::UTC).ok());
    let local_ms = local_ms.map(|zoned| zoned.timestamp().as_millisecond());
    let zone = locale::zone_ms(&fields.zone);
    Seen {
        name: fields.name,
        taken_ms: local_ms.map(|ms| ms - zone.unwrap_or(0)),
        local,
        zone_offset_ms: zone,
        description: Some(fields.description).filter(|text| !text.is_empty()),
        named_otherwise: false,
    }
}

/// Where to click, in pixels of the window.
#[derive(Deserialize)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

pub(super) fn json(words: &Words) -> String {
    serde_json::to_string(words).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn landings_are_judged() {
        let landing = |place: &str, status| Landing {
            place: place.into(),
            status,
            kind: "text/html".into(),
            ready: "complete".into(),
            marked: false,
        };
        let check = |place: &str, status| check_landing(&landing(place, status), "/photo/k");
        check("https://photos.google.com/photo/k", 200).unwrap();
        check("https://photos.google.com/u/1/photo/k", 200).unwrap();
        assert!(matches!(check("https://photos.google.com/photo/k", 404), Err(RemoteError::Item(_))));
        assert!(matches!(
            check("https://photos.google.com/photo/k", 429),
            Err(RemoteError::Throttled { .. })
        ));
        assert!(matches!(check("https://photos.google.com/photo/x", 200), Err(RemoteError::Transient(_))));
        let sign_in = check("https://accounts.google.com/v3/signin/identifier", 200);
        assert!(matches!(sign_in, Err(RemoteError::SignedOut { .. })));
    }
}
