//! What becomes of a method when a call changes its shape: that capability goes on the next way, the others
//! stay. The person is told once for each, with the place of the evidence.

use std::sync::atomic::{AtomicU32, Ordering};

use super::RemoteError;
use super::google::{GooglePhotos, Method};

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
    fn word(self) -> &'static str {
        match self {
            Self::Listing => "listing",
            Self::Names => "names",
            Self::Addresses => "addresses",
        }
    }

    /// Unknown answers in a row that make it a change and no oddity of one item.
    fn patience(self) -> u32 {
        match self {
            Self::Addresses => 3,
            Self::Listing | Self::Names => 1,
        }
    }

    fn next_way(self) -> &'static str {
        match self {
            Self::Listing => "photos are listed by scrolling through the library's page",
            Self::Names => "names are taken from the photos' pages and the downloads",
            Self::Addresses => "files are downloaded from the photos' pages",
        }
    }
}

/// How often each capability's call was not understood, in a row.
#[derive(Default)]
pub(super) struct Ladder {
    strange: [AtomicU32; 3],
}

impl Ladder {
    fn count(&self, capability: Capability) -> &AtomicU32 {
        &self.strange[capability as usize]
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
    /// Whether a capability goes by the viewer now.
    pub(super) fn uses_viewer(&self, capability: Capability) -> bool {
        self.settings.method == Method::Viewer || self.ladder.has_fallen(capability)
    }

    /// For what only calls can tell.
    pub(super) fn needs_calls(&self, what: &'static str) -> Result<(), RemoteError> {
        if self.settings.method == Method::Viewer { Err(RemoteError::NotThisWay(what)) } else { Ok(()) }
    }

    /// Whether an error means that this item, or from now on every one, goes the next way.
    pub(super) async fn falls(&self, capability: Capability, error: &RemoteError) -> bool {
        let RemoteError::Drift { what, at, skeleton } = error else { return false };
        let before = self.ladder.count(capability).fetch_add(1, Ordering::Relaxed);
        if before + 1 == capability.patience() {
            let kept = self.keep_evidence(capability, what, at, skeleton).await;
            tracing::warn!(
                "Google has changed {what} (at {at}): {} from now on{}",
                capability.next_way(),
                kept.map_or_else(String::new, |path| format!("; please report what is in {path}"))
            );
        }
        true
    }

    /// Keeps what was seen: types without values, and a picture of the page.
    async fn keep_evidence(
        &self,
        capability: Capability,
        what: &str,
        at: &str,
        skeleton: &str,
    ) -> Option<String> {
        let folder = self.settings.evidence.clone()?;
        let stem = format!("drift.{}.{}", capability.word(), jiff::Timestamp::now().as_second());
        let text = format!("{what}\nat {at}\n{skeleton}\nshoebox {}\n", env!("CARGO_PKG_VERSION"));
        let picture = self.picture().await;
        let path = folder.join(format!("{stem}.txt"));
        let written = tokio::task::spawn_blocking(move || {
            std::fs::write(folder.join(format!("{stem}.txt")), text)?;
            if let Some(picture) = picture {
                std::fs::write(folder.join(format!("{stem}.png")), picture)?;
            }
            Ok::<_, std::io::Error>(())
        });
        match written.await {
            Ok(Ok(())) => Some(path.display().to_string()),
            Ok(Err(e)) => {
                tracing::warn!("the evidence could not be kept: {e}");
                None
            }
            Err(_) => None,
        }
    }
}
