//! Downloads by the browser itself: a few windows, each of which starts one download at a time by leaving
//! for its address, as the site's own code does.

use std::sync::atomic::Ordering;
use std::time::Duration;

use chromiumoxide::cdp::browser_protocol::browser::CancelDownloadParams;
use tokio::time::{Instant, timeout};

use super::browser::Chromium;
use super::browser::downloads::{Begun, State};
use super::browser::tab::{Landing, Tab};
use super::google::{GooglePhotos, Session};
use super::{Body, Claim, Download, RemoteError, direct};

/// A small document of the library's own site: downloads start from there with the right referrer and
/// first-party cookies, at none of the cost of the application.
const BASE: &str = "https://photos.google.com/robots.txt";
/// Longest wait for a download to begin.
const BEGIN: Duration = Duration::from_secs(20);

impl GooglePhotos {
    /// Has the browser download an address. The file lies in the download folder when this returns.
    pub(super) async fn fetch_by_browser(&self, url: &str) -> Result<Download, RemoteError> {
        if direct::host_of(url).is_none() {
            return Err(RemoteError::Item("its download address is not https".into()));
        }
        let _turn = self.lanes.acquire().await.map_err(|e| RemoteError::Browser(e.to_string()))?;
        let guard = self.session().await?;
        let session = guard.as_ref().ok_or_else(|| RemoteError::Browser("no browser".into()))?;
        let lane = self.lane(session).await?;
        match start(&session.chromium, &lane, url).await {
            Ok(begun) => {
                // The download goes on without the window, which may start the next one.
                session.idle_lanes.lock().await.push(lane);
                self.downloads.fetch_add(1, Ordering::Relaxed);
                finish(&session.chromium, begun, self.settings.stall).await
            }
            Err(e) => {
                lane.close().await;
                if matches!(e, RemoteError::SignedOut { .. }) {
                    // One item may be odd; whether the session is lost, the next look decides.
                    self.suspect();
                    return Err(RemoteError::Transient(e.to_string()));
                }
                Err(e)
            }
        }
    }

    async fn lane(&self, session: &Session) -> Result<Tab, RemoteError> {
        if let Some(lane) = session.idle_lanes.lock().await.pop() {
            return Ok(lane);
        }
        let lane = session.chromium.new_tab().await?;
        lane.open(BASE, Duration::from_secs(20)).await?;
        Ok(lane)
    }
}

/// Leaves for the address and waits until the download begins, or the window shows why not.
async fn start(chromium: &Chromium, lane: &Tab, url: &str) -> Result<Begun, RemoteError> {
    let frame = lane.id().inner().clone();
    let mut begun = chromium.downloads().expect(&frame);
    lane.leave(url).await?;
    let until = Instant::now() + BEGIN;
    let result = loop {
        tokio::select! {
            biased;
            begun = &mut begun => {
                break begun.map_err(|_| RemoteError::Browser("the browser forgot a download".into()));
            }
            () = chromium.gone().cancelled() => {
                break Err(RemoteError::Browser("the browser went away before a download".into()));
            }
            () = tokio::time::sleep(Duration::from_millis(150)) => {}
        }
        match lane.look().await {
            Ok(Some(landing)) if !landing.marked && landing.ready == "complete" => {
                break Err(refusal(&landing));
            }
            Ok(_) => {}
            Err(e) => break Err(e),
        }
        if Instant::now() > until {
            break Err(RemoteError::Transient("the download never began".into()));
        }
    };
    if result.is_err() {
        chromium.downloads().forget(&frame);
    }
    result
}

/// What a window shows instead of starting a download.
pub(super) fn refusal(landing: &Landing) -> RemoteError {
    let place = &landing.place;
    if place.starts_with("https://accounts.google.com/") {
        return RemoteError::SignedOut { evidence: "a download was sent to the sign-in page".into() };
    }
    match landing.status {
        429 | 503 => RemoteError::Throttled { reason: format!("status {}", landing.status), after: None },
        401 | 403 => RemoteError::Transient(format!("the download was refused (status {})", landing.status)),
        404 | 410 => RemoteError::Transient("the signed address has expired".into()),
        200 => RemoteError::Transient(format!("{} instead of the file", describe(&landing.kind))),
        0 => RemoteError::Transient("no connection to the download server".into()),
        status => RemoteError::Transient(format!("the download was answered with status {status}")),
    }
}

fn describe(kind: &str) -> &str {
    if kind == "text/html" { "a web page" } else { "something to look at" }
}

/// Waits for the file; silence or the browser's end gives it up.
pub(super) async fn finish(
    chromium: &Chromium,
    mut begun: Begun,
    stall: Duration,
) -> Result<Download, RemoteError> {
    let file = chromium
        .downloads()
        .file(&begun.guid)
        .ok_or_else(|| RemoteError::Browser("the browser gave a download a strange name".into()))?;
    let total = loop {
        let now = *begun.progress.borrow_and_update();
        match now.state {
            State::Completed => break now.total,
            State::Canceled => {
                return Err(RemoteError::Transient(format!(
                    "the transfer was cut after {} bytes",
                    now.received
                )));
            }
            State::Running => {}
        }
        tokio::select! {
            changed = timeout(stall, begun.progress.changed()) => match changed {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(RemoteError::Browser("the browser forgot a download".into())),
                Err(_) => {
                    cancel(chromium, &begun.guid).await;
                    return Err(RemoteError::Transient("the transfer stalled".into()));
                }
            },
            () = chromium.gone().cancelled() => {
                return Err(RemoteError::Browser("the browser went away during a download".into()));
            }
        }
    };
    let length = (total > 0).then_some(total);
    let claim = Claim {
        length,
        media_type: None,
        name: Some(begun.name).filter(|name| !name.is_empty()),
        head: None,
    };
    Ok(Download { claim, via: "browser", host: begun.host, body: Body::File(file), seen: None })
}

pub(super) async fn cancel(chromium: &Chromium, guid: &str) {
    if let Err(e) = chromium.execute(CancelDownloadParams::new(guid.to_owned())).await {
        tracing::debug!("could not cancel a stalled download: {e}");
    }
}
