//! One tab, driven only by evaluation: the library's own navigation calls block a tab for 30 s on anything
//! that is not an ordinary page load.

use std::time::Duration;

use chromiumoxide::Page;
use chromiumoxide::cdp::browser_protocol::emulation::{
    SetDeviceMetricsOverrideParams, SetFocusEmulationEnabledParams,
};
use chromiumoxide::cdp::browser_protocol::input::{
    DispatchKeyEventParams, DispatchKeyEventType, DispatchMouseEventParams, DispatchMouseEventType,
    MouseButton,
};
use chromiumoxide::cdp::browser_protocol::network::GetCookiesParams;
use chromiumoxide::cdp::browser_protocol::page::{CaptureScreenshotParams, ReloadParams};
use chromiumoxide::cdp::browser_protocol::target::{CloseTargetParams, TargetId};
use chromiumoxide::cdp::js_protocol::runtime::EvaluateParams;
use chromiumoxide::error::CdpError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use super::Chromium;
use crate::remote::RemoteError;

/// A tab in a window of its own (a tab behind another one is throttled).
pub struct Tab {
    page: Page,
    browser: std::sync::Arc<chromiumoxide::Browser>,
}

/// Where a navigation ended.
#[derive(Clone, Debug, Deserialize)]
pub struct Landing {
    /// Address of the document, without query and fragment (they may hold secrets).
    pub place: String,
    /// HTTP status of the document; 0 if unknown.
    pub status: u16,
    /// Media type of the document.
    pub kind: String,
    /// `document.readyState`.
    pub ready: String,
    /// Whether the mark left by [`Tab::leave`] is still there: no navigation has happened.
    pub marked: bool,
}

/// Reads [`Landing`] in the page.
const LOOK: &str = r"(() => {
  const nav = performance.getEntriesByType('navigation')[0];
  return { place: location.origin === 'null' ? location.href.split(/[?#]/)[0] : location.origin + location.pathname,
           status: (nav && nav.responseStatus) || 0, kind: document.contentType || '',
           ready: document.readyState, marked: window.__left === 1 };
})()";

impl Tab {
    pub(super) fn new(page: Page, browser: std::sync::Arc<chromiumoxide::Browser>) -> Self {
        Self { page, browser }
    }

    /// The tab's target, which is also the id of its main frame.
    pub fn id(&self) -> &TargetId {
        self.page.target_id()
    }

    /// Evaluates an expression, awaiting a promise, and reads its value.
    pub async fn evaluate<T: DeserializeOwned>(
        &self,
        script: &str,
        limit: Duration,
    ) -> Result<T, RemoteError> {
        let params = EvaluateParams::builder()
            .expression(script)
            .await_promise(true)
            .return_by_value(true)
            .build()
            .map_err(RemoteError::Browser)?;
        let answer = timeout(limit, self.page.execute(params))
            .await
            .map_err(|_| RemoteError::Browser("the browser did not answer in time".into()))?
            .map_err(|e| browser_error(&e))?;
        if let Some(exception) = &answer.exception_details {
            // "Uncaught" alone helps nobody. The rest of the description is a stack.
            let thrown = exception.exception.as_ref().and_then(|thrown| thrown.description.as_deref());
            let why = thrown.and_then(|text| text.lines().next()).unwrap_or(&exception.text);
            return Err(RemoteError::Transient(format!("a script failed in the page: {why}")));
        }
        let value = answer.result.result.value.unwrap_or_default();
        serde_json::from_value(value)
            .map_err(|e| RemoteError::Transient(format!("a script's answer cannot be read: {e}")))
    }

    /// Opens an address and waits until its document is complete.
    pub async fn open(&self, url: &str, limit: Duration) -> Result<Landing, RemoteError> {
        self.leave(url).await?;
        self.settled(limit, true).await
    }

    /// Loads the present document anew, past the HTTP cache.
    pub async fn reload(&self, limit: Duration) -> Result<Landing, RemoteError> {
        self.evaluate::<bool>("(window.__left = 1, true)", CALL).await?;
        let reload = ReloadParams::builder().ignore_cache(true).build();
        timeout(CALL, self.page.execute(reload))
            .await
            .map_err(|_| RemoteError::Browser("the browser did not reload in time".into()))?
            .map_err(|e| browser_error(&e))?;
        self.settled(limit, true).await
    }

    /// Starts a navigation without waiting for what comes of it.
    pub async fn leave(&self, url: &str) -> Result<(), RemoteError> {
        let url = serde_json::to_string(url).map_err(|e| RemoteError::Browser(e.to_string()))?;
        let script = format!("(window.__left = 1, location.href = {url}, true)");
        self.evaluate::<bool>(&script, CALL).await.map(drop)
    }

    /// What the tab shows now; `None` while it is between documents.
    pub async fn look(&self) -> Result<Option<Landing>, RemoteError> {
        match self.evaluate::<Landing>(LOOK, CALL).await {
            Ok(landing) => Ok(Some(landing)),
            // The document went away under the script.
            Err(RemoteError::Transient(_)) => Ok(None),
            Err(e) => Err(e),
        }
    }

    async fn settled(&self, limit: Duration, fresh: bool) -> Result<Landing, RemoteError> {
        let until = Instant::now() + limit;
        loop {
            if let Some(landing) = self.look().await?
                && landing.ready == "complete"
                && !(fresh && landing.marked)
            {
                return Ok(landing);
            }
            if Instant::now() >= until {
                return Err(RemoteError::Transient("a page did not finish loading in time".into()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Presses a key and lets it go: a letter, `#`, or `ArrowRight` and its like. Shift is a mark on the
    /// event, no key of its own.
    pub async fn press_key(&self, key: &str, shift: bool) -> Result<(), RemoteError> {
        let (code, number) = key_code(key);
        for kind in [DispatchKeyEventType::RawKeyDown, DispatchKeyEventType::KeyUp] {
            let event = DispatchKeyEventParams::builder()
                .r#type(kind)
                .key(key)
                .code(&code)
                .windows_virtual_key_code(number)
                .native_virtual_key_code(number)
                .modifiers(if shift { 8 } else { 0 })
                .build()
                .map_err(RemoteError::Browser)?;
            timeout(CALL, self.page.execute(event))
                .await
                .map_err(|_| RemoteError::Browser("the browser took no key in time".into()))?
                .map_err(|e| browser_error(&e))?;
        }
        Ok(())
    }

    /// Clicks with the mouse at a point of the viewport.
    pub async fn click(&self, x: f64, y: f64) -> Result<(), RemoteError> {
        for kind in [DispatchMouseEventType::MousePressed, DispatchMouseEventType::MouseReleased] {
            let event = DispatchMouseEventParams::builder()
                .r#type(kind)
                .x(x)
                .y(y)
                .button(MouseButton::Left)
                .click_count(1)
                .build()
                .map_err(RemoteError::Browser)?;
            timeout(CALL, self.page.execute(event))
                .await
                .map_err(|_| RemoteError::Browser("the browser took no click in time".into()))?
                .map_err(|e| browser_error(&e))?;
        }
        Ok(())
    }

    /// Makes the page believe that its window is the one in front: keys sent to a page behind others are lost.
    pub async fn pretend_focus(&self) -> Result<(), RemoteError> {
        let focus = SetFocusEmulationEnabledParams::new(true);
        timeout(CALL, self.page.execute(focus))
            .await
            .map_err(|_| RemoteError::Browser("the browser did not answer in time".into()))?
            .map_err(|e| browser_error(&e))
            .map(drop)
    }

    /// Makes the page believe that its screen has so many pixels. For tests: a window is never as narrow as a phone.
    pub async fn pretend_screen(&self, width: u32, height: u32) -> Result<(), RemoteError> {
        let screen = SetDeviceMetricsOverrideParams::new(width, height, 1.0, width < 600);
        timeout(CALL, self.page.execute(screen))
            .await
            .map_err(|_| RemoteError::Browser("the browser did not answer in time".into()))?
            .map_err(|e| browser_error(&e))
            .map(drop)
    }

    /// A picture of what the tab shows, PNG in base64.
    pub async fn screenshot(&self) -> Result<String, RemoteError> {
        let taken = timeout(CALL, self.page.execute(CaptureScreenshotParams::default()))
            .await
            .map_err(|_| RemoteError::Browser("the browser took no picture in time".into()))?
            .map_err(|e| browser_error(&e))?;
        Ok(String::from(taken.result.data.clone()))
    }

    /// Names of the cookies that would go to `url`; their values are dropped at once.
    pub async fn cookie_names(&self, url: &str) -> Result<Vec<String>, RemoteError> {
        let ask = GetCookiesParams::builder().url(url).build();
        let answer = timeout(CALL, self.page.execute(ask))
            .await
            .map_err(|_| RemoteError::Browser("the browser did not answer in time".into()))?
            .map_err(|e| browser_error(&e))?;
        Ok(answer.result.cookies.into_iter().map(|cookie| cookie.name).collect())
    }

    /// Closes the tab.
    pub async fn close(self) {
        let close = self.browser.execute(CloseTargetParams::new(self.page.target_id().clone()));
        if timeout(CALL, close).await.is_err() {
            tracing::debug!("a tab did not close in time");
        }
    }
}

/// DOM code and virtual key number of a key.
fn key_code(key: &str) -> (String, i64) {
    let number = match key {
        "Enter" => 13,
        "Escape" => 27,
        "PageUp" => 33,
        "PageDown" => 34,
        "End" => 35,
        "Home" => 36,
        "ArrowLeft" => 37,
        "ArrowUp" => 38,
        "ArrowRight" => 39,
        "ArrowDown" => 40,
        "#" => return ("Digit3".into(), 51),
        _ => {
            let upper = key.to_ascii_uppercase();
            return (format!("Key{upper}"), upper.bytes().next().map_or(0, i64::from));
        }
    };
    (key.to_owned(), number)
}

/// Longest wait for a call that only the browser answers.
pub(super) const CALL: Duration = Duration::from_secs(10);

/// Which trouble a protocol error is. Its text is ours: the crate's may quote messages with cookies.
pub(super) fn browser_error(error: &CdpError) -> RemoteError {
    match error {
        // "Execution context was destroyed" and its like: a navigation, not a dead browser.
        CdpError::Chrome(e) => RemoteError::Transient(format!("the browser answered: {}", e.message)),
        CdpError::Timeout => RemoteError::Browser("the browser did not answer in time".into()),
        CdpError::ChromeMessage(text) => RemoteError::Browser(format!("the browser says: {text}")),
        _ => RemoteError::Browser("the connection to the browser is lost".into()),
    }
}

impl Chromium {
    /// A new tab in a window of its own, showing nothing.
    pub async fn new_tab(&self) -> Result<Tab, RemoteError> {
        use chromiumoxide::cdp::browser_protocol::{network, target::CreateTargetParams};
        let params = CreateTargetParams::builder()
            .url("about:blank")
            .new_window(true)
            .width(1280)
            .height(800)
            .build()
            .map_err(RemoteError::Browser)?;
        let page = timeout(CALL, self.browser.new_page(params))
            .await
            .map_err(|_| RemoteError::Browser("the browser did not open a window in time".into()))?
            .map_err(|e| browser_error(&e))?;
        // Network events carry cookies: they shall not even reach our own socket.
        let quiet = page.execute(network::DisableParams::default());
        timeout(CALL, quiet)
            .await
            .map_err(|_| RemoteError::Browser("the browser did not answer in time".into()))?
            .map_err(|e| browser_error(&e))?;
        if let Some(disguise) = &self.disguise {
            timeout(CALL, page.execute(disguise.clone()))
                .await
                .map_err(|_| RemoteError::Browser("the browser did not answer in time".into()))?
                .map_err(|e| browser_error(&e))?;
        }
        Ok(Tab::new(page, std::sync::Arc::clone(&self.browser)))
    }
}
