//! One photo in the viewer: its info panel, its menu, its downloads.

use std::sync::atomic::Ordering;
use std::time::Duration;

use data_encoding::BASE64;
use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use super::locale::{self, Words};
use super::{drift, names, run};
use crate::model::{MediaKey, PartRole};
use crate::remote::browser::Chromium;
use crate::remote::browser::downloads::Begun;
use crate::remote::browser::tab::{Landing, Tab};
use crate::remote::google::{GooglePhotos, Session};
use crate::remote::{Download, Offer, RemoteError, lanes};

/// Photos that one tab shows before it is replaced: tabs of the site grow.
const USES: u32 = 200;
/// Longest wait for a photo's page.
const OPEN: Duration = Duration::from_secs(30);
/// How long a download may take to begin before it is asked for again.
const BEGIN: Duration = Duration::from_secs(6);
/// How often the page is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(700);
/// How often it is asked for.
const ASKS: u32 = 4;
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
struct Fields {
    name: String,
    date: String,
    time: String,
    zone: String,
    description: String,
}

/// A tab that shows a photo.
pub(in crate::remote) struct Lane {
    tab: Tab,
    uses: u32,
    shows: Option<MediaKey>,
    seen: Option<Seen>,
    words: &'static Words,
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
    /// What a photo's menu offers.
    pub(in crate::remote) async fn viewer_offers(&self, key: &MediaKey) -> Result<Vec<Offer>, RemoteError> {
        let labels = self.in_lane(key, |_, lane, key| {
            Box::pin(async move {
                open_menu(lane, key).await?;
                let labels: Vec<String> = run(&lane.tab, "await entriesWithin(3000)").await?;
                close_menu(&lane.tab).await?;
                Ok(labels)
            })
        });
        let labels = labels.await?;
        let kinds: Vec<_> = labels.iter().filter_map(|label| kind(label)).collect();
        let offer = |role, choice: &str| Offer { role, url: format!("viewer:{key}/{choice}") };
        let mut offers = Vec::new();
        if kinds.contains(&Choice::Original) {
            offers.push(offer(PartRole::Original, "original"));
            offers.push(offer(PartRole::Edited, "current"));
        } else {
            offers.push(offer(PartRole::Original, "current"));
        }
        if kinds.contains(&Choice::Video) {
            offers.push(offer(PartRole::Motion, "video"));
        }
        Ok(offers)
    }

    /// Downloads one of the offers of [`Self::viewer_offers`].
    pub(in crate::remote) async fn viewer_fetch(&self, offer: &str) -> Result<Download, RemoteError> {
        let unknown = || RemoteError::Item("not an offer of the viewer".into());
        let (key, choice) = offer.split_once('/').ok_or_else(unknown)?;
        let key = MediaKey::new(key).ok_or_else(unknown)?;
        let choice = match choice {
            "original" => Choice::Original,
            "video" => Choice::Video,
            _ => Choice::Current,
        };
        let stall = self.settings.stall;
        let done = self.in_lane(&key, |chromium, lane, key| {
            Box::pin(async move {
                let begun = begin(chromium, lane, key, choice).await?;
                let download = lanes::finish(chromium, begun, stall).await?;
                Ok(Download { via: "viewer", seen: lane.seen.clone(), ..download })
            })
        });
        let download = done.await?;
        self.downloads.fetch_add(1, Ordering::Relaxed);
        Ok(download)
    }

    /// Does something in a tab that shows the photo. A tab in which it failed is closed.
    async fn in_lane<T, F>(&self, key: &MediaKey, work: F) -> Result<T, RemoteError>
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

fn seen(words: &Words, fields: Fields) -> Seen {
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

#[derive(Deserialize)]
struct Point {
    x: f64,
    y: f64,
}

fn json(words: &Words) -> String {
    serde_json::to_string(words).unwrap_or_default()
}

/// What an entry of the menu downloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    /// The item as it is shown: with its edits.
    Current,
    /// The upload of an edited item.
    Original,
    /// The moving half.
    Video,
}

/// What a menu entry's label means, in whatever language: the shortcut stands in one, the words "original"
/// and "video" are much the same everywhere.
fn kind(label: &str) -> Option<Choice> {
    let label = label.to_lowercase();
    if label.contains("+d") {
        return Some(Choice::Current);
    }
    let loads =
        ["download", "herunterladen", "pobierz", "télécharger", "descargar", "scarica", "baixar", "letölt"];
    if !loads.iter().any(|word| label.contains(word)) {
        return None;
    }
    let has = |words: &[&str]| words.iter().any(|word| label.contains(word));
    if has(&["original", "oryginał", "origineel", "originale"]) {
        Some(Choice::Original)
    } else if has(&["video", "vídeo", "vidéo", "film"]) {
        Some(Choice::Video)
    } else {
        None
    }
}

/// Opens the menu of the photo's layer.
async fn open_menu(lane: &Lane, key: &MediaKey) -> Result<(), RemoteError> {
    let words = json(lane.words);
    for attempt in 0..3 {
        let found = run::<Option<Point>>(&lane.tab, &format!("target(moreButton('{key}', {words}))")).await?;
        match found {
            Some(point) if attempt < 2 => lane.tab.click(point.x, point.y).await?,
            _ => {
                let click = format!("(b => !!b && (b.click(), true))(moreButton('{key}', {words}))");
                if !run::<bool>(&lane.tab, &click).await? {
                    break;
                }
            }
        }
        if !run::<Vec<String>>(&lane.tab, "await entriesWithin(2500)").await?.is_empty() {
            return Ok(());
        }
    }
    is_shown(lane, key).await?;
    Err(drift("the photo's menu", run(&lane.tab, "skeleton()").await.unwrap_or_default()))
}

/// Closes an open menu. Escape without one would leave the photo.
async fn close_menu(tab: &Tab) -> Result<(), RemoteError> {
    if run::<usize>(tab, "entries().length").await? > 0 {
        tab.press_key("Escape", false).await?;
    }
    Ok(())
}

/// Asks for a download until the right one begins.
async fn begin(
    chromium: &Chromium,
    lane: &mut Lane,
    key: &MediaKey,
    choice: Choice,
) -> Result<Begun, RemoteError> {
    let frame = lane.tab.id().inner().clone();
    let words = json(lane.words);
    let mut other: Option<String> = None;
    let mut refusals = 0;
    for ask in 0..ASKS {
        let mut begun = chromium.downloads().expect(&frame);
        request(lane, key, choice, ask).await?;
        let until = Instant::now() + BEGIN;
        let outcome = loop {
            match timeout(LOOK, &mut begun).await {
                Ok(begun) => break Some(begun),
                Err(_) if Instant::now() > until => break None,
                Err(_) => {}
            }
            if let Err(e) = is_shown(lane, key).await {
                chromium.downloads().forget(&frame);
                return Err(e);
            }
            if notice(lane, key, &words).await? == "processing" {
                break None;
            }
        };
        match outcome {
            Some(Ok(begun)) => {
                let named = lane.seen.as_ref().map_or("", |seen| seen.name.as_str());
                let video = choice == Choice::Video;
                if video || names::agree(&begun.name, named) {
                    return Ok(begun);
                }
                // The site and the browser change names in more ways than anybody has listed.
                if other.as_ref() == Some(&begun.name)
                    && let Some(seen) = &mut lane.seen
                {
                    seen.named_otherwise = true;
                    return Ok(begun);
                }
                lanes::cancel(chromium, &begun.guid).await;
                if let Some(file) = chromium.downloads().file(&begun.guid) {
                    // Gone already where it was cut short.
                    let _gone = tokio::fs::remove_file(file).await;
                }
                other = Some(begun.name);
            }
            Some(Err(_)) => return Err(RemoteError::Browser("the browser forgot a download".into())),
            None => chromium.downloads().forget(&frame),
        }
        if notice(lane, key, &words).await? == "processing" {
            refusals += 1;
            // Said twice, it is not just a slip of the page.
            if refusals > 1 {
                let named = lane.seen.as_ref().map_or("this video", |seen| seen.name.as_str());
                return Err(RemoteError::NotYet(format!(
                    "Google is still processing {named}; it cannot be downloaded yet"
                )));
            }
            if run::<bool>(&lane.tab, "dialogs().length > 0").await? {
                lane.tab.press_key("Escape", false).await?;
            }
        }
        if !chromium.is_alive() {
            return Err(RemoteError::Browser("the browser went away before a download".into()));
        }
        if ask + 1 == ASKS && notice(lane, key, &words).await? == "notice" {
            return Err(RemoteError::Item("the page shows a notice instead of downloading it".into()));
        }
    }
    let what = if other.is_some() { "sent files of other names" } else { "started no download" };
    Err(RemoteError::Transient(format!("the page {what}")))
}

/// Whether the tab still shows the photo: an address that is answered with a page, or not at all, takes its place.
async fn is_shown(lane: &Lane, key: &MediaKey) -> Result<(), RemoteError> {
    if run::<bool>(&lane.tab, &format!("layerOf('{key}') !== null")).await? {
        return Ok(());
    }
    match lane.tab.look().await? {
        Some(landing) if !landing.place.starts_with("https://photos.google.com/photo/") => {
            Err(lanes::refusal(&landing))
        }
        _ => Err(RemoteError::Transient("the photo went away from its page".into())),
    }
}

/// What the page says instead of starting a download: `processing`, `notice` or nothing.
async fn notice(lane: &Lane, key: &MediaKey, words: &str) -> Result<String, RemoteError> {
    run(&lane.tab, &format!("notice('{key}', {words})")).await
}

/// One request: by the keyboard first, by the menu when that does not help or when only it can.
async fn request(lane: &Lane, key: &MediaKey, choice: Choice, ask: u32) -> Result<(), RemoteError> {
    if choice == Choice::Current && ask.is_multiple_of(2) {
        close_menu(&lane.tab).await?;
        run::<bool>(&lane.tab, "unfocus()").await?;
        return lane.tab.press_key("D", true).await;
    }
    open_menu(lane, key).await?;
    let labels: Vec<String> = run(&lane.tab, "await entriesWithin(2500)").await?;
    let Some(at) = labels.iter().position(|label| kind(label) == Some(choice)) else {
        close_menu(&lane.tab).await?;
        return Err(RemoteError::Item("the menu does not offer this file any more".into()));
    };
    run::<bool>(&lane.tab, &format!("(e => !!e && (e.focus(), true))(entries()[{at}])")).await?;
    lane.tab.press_key("Enter", false).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn menu_entries_are_told_apart_in_every_language() {
        for (label, meaning) in [
            ("Download - Shift+D", Some(Choice::Current)),
            ("Herunterladen - Umschalttaste+D", Some(Choice::Current)),
            ("Download original", Some(Choice::Original)),
            ("Original herunterladen", Some(Choice::Original)),
            ("Pobierz oryginał", Some(Choice::Original)),
            ("Video downloaden", Some(Choice::Video)),
            ("Download all", None),
            ("Move to trash", None),
            ("Delete from device", None),
        ] {
            assert_eq!(kind(label), meaning, "{label}");
        }
    }

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
