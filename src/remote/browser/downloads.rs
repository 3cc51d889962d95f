//! Chromium's own downloader: files land as `<guid>` in one folder, and events say what became of each.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use chromiumoxide::cdp::browser_protocol::browser::{
    DownloadProgressState, EventDownloadProgress, EventDownloadWillBegin,
};
use tokio::sync::{oneshot, watch};

/// A download that has begun.
pub struct Begun {
    /// The browser's name for it, and of the file in the folder.
    pub guid: String,
    /// Name that the server suggests, as the browser cleaned it; empty where it only took the end of the address.
    pub name: String,
    /// Host of the final address.
    pub host: String,
    /// How far it is.
    pub progress: watch::Receiver<Progress>,
}

/// How far a download is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes received.
    pub received: u64,
    /// Bytes to be expected, 0 if the server did not say.
    pub total: u64,
    /// Whether it goes on.
    pub state: State,
}

/// Whether a download goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Bytes may still come.
    Running,
    /// The file is there.
    Completed,
    /// It will not complete.
    Canceled,
}

/// Routes the browser's download events to those who wait for them: by frame until it begins, then by guid.
/// Never by address.
#[derive(Clone)]
pub struct Downloads {
    folder: Arc<PathBuf>,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    by_frame: HashMap<String, oneshot::Sender<Begun>>,
    by_guid: HashMap<String, watch::Sender<Progress>>,
}

/// What the server suggests. A browser that can use no suggestion makes a name of the address' last piece.
fn suggested(name: &str, url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let piece = path.rsplit('/').next().unwrap_or_default();
    let stem = |name: &str| name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned();
    if !piece.is_empty() && (name == piece || stem(name) == piece || stem(name) == stem(piece)) {
        return String::new();
    }
    name.to_owned()
}

impl Downloads {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: Arc::new(folder.to_owned()), waiting: Arc::default() }
    }

    /// Announces that the next download of this frame is wanted. One at a time per frame.
    pub fn expect(&self, frame: &str) -> oneshot::Receiver<Begun> {
        let (sender, receiver) = oneshot::channel();
        self.lock().by_frame.insert(frame.to_owned(), sender);
        receiver
    }

    /// Takes an announcement back.
    pub fn forget(&self, frame: &str) {
        self.lock().by_frame.remove(frame);
    }

    /// Where the browser puts (or has put) the file of a download.
    pub fn file(&self, guid: &str) -> Option<PathBuf> {
        let plain = guid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        (plain && !guid.is_empty()).then(|| self.folder.join(guid))
    }

    pub(super) fn begins(&self, event: &EventDownloadWillBegin) {
        let mut waiting = self.lock();
        let Some(sender) = waiting.by_frame.remove(event.frame_id.inner()) else {
            tracing::warn!("the browser began a download that nobody asked for; its file is left in tmp");
            return;
        };
        let start = Progress { received: 0, total: 0, state: State::Running };
        let (progress, receiver) = watch::channel(start);
        waiting.by_guid.insert(event.guid.clone(), progress);
        let host = event.url.strip_prefix("https://").and_then(|rest| rest.split(['/', '?', '#']).next());
        let begun = Begun {
            guid: event.guid.clone(),
            name: suggested(&event.suggested_filename, &event.url),
            host: host.unwrap_or_default().to_owned(),
            progress: receiver,
        };
        if sender.send(begun).is_err() {
            waiting.by_guid.remove(&event.guid);
        }
    }

    pub(super) fn progresses(&self, event: &EventDownloadProgress) {
        let state = match event.state {
            DownloadProgressState::InProgress => State::Running,
            DownloadProgressState::Completed => State::Completed,
            DownloadProgressState::Canceled => State::Canceled,
        };
        let progress =
            Progress { received: whole(event.received_bytes), total: whole(event.total_bytes), state };
        let mut waiting = self.lock();
        if let Some(sender) = waiting.by_guid.get(&event.guid) {
            // The browser also reports that nothing has happened; that is no progress.
            sender.send_if_modified(|last| {
                let moved = *last != progress;
                *last = progress;
                moved
            });
            if state != State::Running {
                waiting.by_guid.remove(&event.guid);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The protocol counts bytes in floating point.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes, clamped at zero")]
fn whole(bytes: f64) -> u64 {
    bytes.max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::suggested;

    #[test]
    fn the_end_of_the_address_is_no_name() {
        let url = "https://video-downloads.googleusercontent.com/ADGPM2abc?authuser=0";
        assert_eq!(suggested("ADGPM2abc.jpeg", url), "");
        assert_eq!(suggested("ADGPM2abc", url), "");
        assert_eq!(suggested("IMG_1.jpg", url), "IMG_1.jpg");
    }
}
