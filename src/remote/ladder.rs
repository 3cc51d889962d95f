//! What becomes of a method when a call changes its shape: that capability goes on the next way, the others
//! stay. The person is told once for each, with the place of the evidence.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use super::RemoteError;
use super::google::{GooglePhotos, Method};
use super::rpc::{details, info, timeline};
use crate::model::digest::digests_of;

/// Something that a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capability {
    /// Which photos there are.
    Listing,
    /// Their names and sizes.
    Names,
    /// Where their files are.
    Addresses,
}

impl Capability {
    /// Unknown answers in a row that make it a change and no oddity of one item.
    fn patience(self) -> u32 {
        match self {
            Self::Addresses => 3,
            Self::Listing | Self::Names => 1,
        }
    }

    fn next_way(self) -> &'static str {
        match self {
            Self::Listing => "photos are listed by scrolling through the library's page from now on",
            Self::Names => "names are taken from the photos' pages and the downloads from now on",
            Self::Addresses => "files are downloaded from the photos' pages from now on",
        }
    }
}

/// How often each capability's call was not understood, in a row.
#[derive(Default)]
pub(super) struct Ladder {
    strange: [AtomicU32; 3],
    /// Changes that the person has been told of.
    told: Mutex<HashSet<String>>,
    /// What was said that nobody had heard before.
    news: Mutex<Vec<String>>,
}

impl Ladder {
    fn count(&self, capability: Capability) -> &AtomicU32 {
        &self.strange[capability as usize]
    }

    /// Every capability goes by its call again.
    fn reset(&self) {
        self.strange.iter().for_each(|count| count.store(0, Ordering::Relaxed));
    }

    fn has_fallen(&self, capability: Capability) -> bool {
        self.count(capability).load(Ordering::Relaxed) >= capability.patience()
    }

    /// An answer that was understood ends the row; a refusal or a broken line says nothing.
    pub(super) fn went<T>(&self, capability: Capability, answer: &Result<T, RemoteError>) {
        if answer.is_ok() && !self.has_fallen(capability) {
            self.count(capability).store(0, Ordering::Relaxed);
        }
    }
}

impl GooglePhotos {
    /// What Google has changed, as far as nobody was told before, in a sentence each.
    pub fn changes(&self) -> Vec<String> {
        self.ladder.news.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Whether a capability goes by the viewer now.
    pub(super) fn uses_viewer(&self, capability: Capability) -> bool {
        self.settings.method == Method::Viewer || self.ladder.has_fallen(capability)
    }

    /// For what only calls can tell.
    pub(super) fn needs_calls(&self, what: &'static str) -> Result<(), RemoteError> {
        if self.settings.method == Method::Viewer { Err(RemoteError::NotThisWay(what)) } else { Ok(()) }
    }

    /// One cheap request for each shape that a pass rests on, before it begins: what Google has changed since
    /// the last pass goes the next way from the start, and what it has mended goes by its call again.
    pub(super) async fn probe(&self) {
        if self.settings.method == Method::Viewer {
            return;
        }
        self.ladder.reset();
        let listed = self.ask(timeline::RPCID, timeline::few()).await;
        let keys: Vec<_> = match listed.and_then(|payload| timeline::decode(&payload)) {
            Ok(page) => page.items.into_iter().map(|item| item.key).take(3).collect(),
            Err(e) => {
                self.falls(Capability::Listing, &e).await;
                return;
            }
        };
        // An error of another kind will meet the pass itself, which knows what to do.
        let named = self.ask(details::RPCID, details::args(&keys)).await;
        if let Err(e) = named.and_then(|payload| details::decode(&payload)) {
            self.falls(Capability::Names, &e).await;
        }
        // One odd item is no change: only when the first is strange, others are asked.
        for key in &keys {
            let answer = self.ask(info::RPCID, info::args(key, None)).await;
            let answer = answer.and_then(|payload| info::decode(key, &payload));
            self.ladder.went(Capability::Addresses, &answer);
            match answer {
                Err(e) if self.falls(Capability::Addresses, &e).await => {}
                _ => break,
            }
        }
    }

    /// Whether an error means that this item, or from now on every one, goes the next way.
    pub(super) async fn falls(&self, capability: Capability, error: &RemoteError) -> bool {
        if !matches!(error, RemoteError::Drift { .. }) {
            return false;
        }
        let before = self.ladder.count(capability).fetch_add(1, Ordering::Relaxed);
        if before + 1 == capability.patience() {
            self.tell(capability.next_way(), error).await;
        }
        true
    }

    /// Passes an answer on; if its shape has changed, the person is told once.
    pub(super) async fn noting<T>(
        &self,
        consequence: &str,
        answer: Result<T, RemoteError>,
    ) -> Result<T, RemoteError> {
        if let Err(e) = &answer {
            self.tell(consequence, e).await;
        }
        answer
    }

    /// Says in one sentence, once for each change, what it means and where the evidence is.
    async fn tell(&self, consequence: &str, error: &RemoteError) {
        let RemoteError::Drift { what, at, skeleton } = error else { return };
        let text = format!("{what}\nat {at}\n{skeleton}\nshoebox {}\n", env!("CARGO_PKG_VERSION"));
        let mark = digests_of(text.as_bytes()).sha256.hex()[..12].to_owned();
        let first = {
            let mut told = self.ladder.told.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            told.insert(mark.clone())
        };
        if !first {
            return;
        }
        match self.keep_evidence(&mark, text).await {
            Kept::New(path) => {
                let text = format!(
                    "Google has changed {what} (at {at}): {consequence}; please report what is in {path}"
                );
                tracing::warn!("{text}");
                self.ladder.news.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(text);
            }
            // Another run has told.
            Kept::Before(path) => tracing::info!("{what} is still changed: {consequence} ({path})"),
            Kept::Nowhere => tracing::warn!("Google has changed {what} (at {at}): {consequence}"),
        }
    }

    /// Keeps what was seen: types without values, and a picture of the page.
    async fn keep_evidence(&self, mark: &str, text: String) -> Kept {
        let Some(folder) = self.settings.evidence.clone() else { return Kept::Nowhere };
        let path = folder.join(format!("drift.{mark}.txt"));
        let shown = path.display().to_string();
        if path.exists() {
            return Kept::Before(shown);
        }
        let picture = self.picture().await;
        let written = tokio::task::spawn_blocking(move || {
            if let Some(picture) = picture {
                std::fs::write(path.with_extension("png"), picture)?;
            }
            std::fs::write(path, text)
        });
        match written.await {
            Ok(Ok(())) => Kept::New(shown),
            Ok(Err(e)) => {
                tracing::warn!("the evidence could not be kept: {e}");
                Kept::Nowhere
            }
            Err(_) => Kept::Nowhere,
        }
    }
}

/// What became of evidence.
enum Kept {
    New(String),
    Before(String),
    Nowhere,
}
