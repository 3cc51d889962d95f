//! What a photo's menu offers, and how it is downloaded: by the keyboard first, by the menu where that does not
//! help, until the right file begins.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::photo::{Lane, Point, json};
use super::{drift, names, run};
use crate::model::{MediaKey, PartRole};
use crate::remote::browser::Chromium;
use crate::remote::browser::downloads::Begun;
use crate::remote::browser::tab::Tab;
use crate::remote::google::GooglePhotos;
use crate::remote::{Download, Offer, RemoteError, lanes};

/// How long a download may take to begin before it is asked for again.
const BEGIN: Duration = Duration::from_secs(6);
/// How often the page is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(700);
/// How often it is asked for.
const ASKS: u32 = 4;

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
        let key = MediaKey::of_library(key).ok_or_else(unknown)?;
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
}
