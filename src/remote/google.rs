//! The real library: calls made inside the signed-in page, bytes streamed or downloaded by the browser.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{Mutex, RwLock, RwLockReadGuard, Semaphore};

use super::browser::Chromium;
use super::browser::launch::BrowserSettings;
use super::browser::profile::Profile;
use super::browser::tab::Tab;
use super::rpc::{details, frame, info, timeline};
use super::session::{self, Account};
use super::{Cursor, Download, ListPage, Offer, RemoteError, RemoteLibrary, direct, net};
use crate::model::{ItemDetails, MediaKey};

/// How the bytes are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Method {
    /// Signed addresses directly where no cookies are needed, else by the browser.
    #[default]
    Rpc,
    /// Always by the browser.
    Browser,
}

/// How the library is reached.
#[derive(Clone, Debug)]
pub struct GoogleSettings {
    /// The browser.
    pub browser: BrowserSettings,
    /// Its profile directory.
    pub profile: PathBuf,
    /// Where the browser puts downloads: below the archive's `tmp/`.
    pub folder: PathBuf,
    /// How bytes are fetched.
    pub method: Method,
    /// Browser windows that download at the same time.
    pub lanes: usize,
    /// Silence after which a transfer is given up.
    pub stall: Duration,
}

/// A signed-in Google Photos.
pub struct GooglePhotos {
    pub(super) settings: GoogleSettings,
    profile: Profile,
    http: reqwest::Client,
    session: RwLock<Option<Session>>,
    pub(super) lanes: Semaphore,
    account: OnceLock<Account>,
    /// Something looked like a lost session: look before the next call.
    suspect: AtomicBool,
    pub(super) downloads: AtomicU32,
    starts: AtomicU32,
}

/// One browser with the page that makes the calls and the windows that download.
pub(super) struct Session {
    pub(super) chromium: Chromium,
    tab: Tab,
    pub(super) idle_lanes: Mutex<Vec<Tab>>,
}

/// Downloads after which the browser is renewed: it grows by 10 MB with each thousand.
const RENEW_AFTER: u32 = 4000;
/// Attempts to start a browser before the run gives up.
const START_ATTEMPTS: u32 = 3;
/// Longest wait for one call, shorter than the protocol crate's own 30 s.
const CALL_LIMIT: Duration = Duration::from_secs(25);

impl GooglePhotos {
    /// Starts the browser on its profile and makes sure that somebody is signed in.
    pub async fn connect(settings: GoogleSettings) -> Result<Self, RemoteError> {
        settings.browser.find_program()?;
        let http = net::http_client(&settings.browser.resolve, settings.browser.ca.as_ref(), settings.stall)?;
        let path = settings.profile.clone();
        let profile = tokio::task::spawn_blocking(move || Profile::take(&path))
            .await
            .map_err(|e| RemoteError::Browser(e.to_string()))??;
        let library = Self {
            lanes: Semaphore::new(settings.lanes.max(1)),
            settings,
            profile,
            http,
            session: RwLock::new(None),
            account: OnceLock::new(),
            suspect: AtomicBool::new(false),
            downloads: AtomicU32::new(0),
            starts: AtomicU32::new(0),
        };
        if let Err(e) = library.session().await.map(drop) {
            library.close().await;
            return Err(e);
        }
        Ok(library)
    }

    /// Ends the browser so that it keeps its cookies.
    pub async fn close(&self) {
        if let Some(session) = self.session.write().await.take() {
            session.chromium.close().await;
        }
    }

    /// Process number of the present browser, for whoever wants to kill it in a test.
    pub async fn browser_pid(&self) -> Option<i32> {
        self.session.read().await.as_ref().map(|session| session.chromium.pid())
    }

    /// Browsers started so far.
    pub fn browser_starts(&self) -> u32 {
        self.starts.load(Ordering::Relaxed)
    }

    /// E-mail address of the signed-in account, if known.
    pub fn email(&self) -> Option<&str> {
        self.account.get()?.email.as_deref()
    }

    /// The present session, looked at or renewed first if it is suspect, or its browser dead or worn.
    /// Whoever holds the guard keeps the browser from being renewed.
    pub(super) async fn session(&self) -> Result<RwLockReadGuard<'_, Option<Session>>, RemoteError> {
        let mut attempt = 0;
        loop {
            let guard = self.session.read().await;
            if self.is_sound(guard.as_ref()) && !self.suspect.load(Ordering::Relaxed) {
                return Ok(guard);
            }
            drop(guard);
            let mut slot = self.session.write().await;
            if self.is_sound(slot.as_ref()) {
                // Another task may have cleared the doubt while this one waited.
                if let Some(session) = slot.as_ref()
                    && self.suspect.load(Ordering::Relaxed)
                {
                    self.confirm(&session.tab).await?;
                }
                continue;
            }
            if let Some(old) = slot.take() {
                tracing::info!("renewing the browser");
                old.chromium.close().await;
            }
            match self.start().await {
                Ok(session) => {
                    *slot = Some(session);
                    self.downloads.store(0, Ordering::Relaxed);
                }
                Err(e) => {
                    attempt += 1;
                    let again = matches!(e, RemoteError::Browser(_) | RemoteError::Transient(_));
                    if !again || attempt >= START_ATTEMPTS {
                        return Err(e);
                    }
                    tracing::warn!("{e}; starting the browser again");
                    drop(slot);
                    tokio::time::sleep(Duration::from_secs(u64::from(attempt))).await;
                }
            }
        }
    }

    fn is_sound(&self, session: Option<&Session>) -> bool {
        let worn = self.downloads.load(Ordering::Relaxed) >= RENEW_AFTER;
        !worn && session.is_some_and(|s| s.chromium.is_alive() && !s.chromium.is_bloated())
    }

    /// Makes sure that the same account is still signed in.
    async fn confirm(&self, tab: &Tab) -> Result<(), RemoteError> {
        let found = session::verify(tab).await?;
        let known = self.account.get_or_init(|| found.clone());
        if *known != found {
            let evidence = "another account is signed in than at the start of the run".into();
            return Err(RemoteError::SignedOut { evidence });
        }
        self.suspect.store(false, Ordering::Relaxed);
        Ok(())
    }

    async fn start(&self) -> Result<Session, RemoteError> {
        let chromium = Chromium::start(&self.settings.browser, &self.profile, &self.settings.folder).await?;
        self.starts.fetch_add(1, Ordering::Relaxed);
        match self.enter(&chromium).await {
            Ok(tab) => Ok(Session { chromium, tab, idle_lanes: Mutex::new(Vec::new()) }),
            Err(e) => {
                chromium.close().await;
                Err(e)
            }
        }
    }

    async fn enter(&self, chromium: &Chromium) -> Result<Tab, RemoteError> {
        let tab = chromium.new_tab().await?;
        self.confirm(&tab).await?;
        Ok(tab)
    }

    /// Makes one call inside the page and parses its payload. Tokens stay in the page.
    async fn call(&self, rpcid: &str, args: &Value) -> Result<Value, RemoteError> {
        let guard = self.session().await?;
        // `session` returns only filled guards; an empty one would be a browser that is just being renewed.
        let session = guard.as_ref().ok_or_else(|| RemoteError::Browser("no browser".into()))?;
        let script = script(rpcid, args);
        let answer = tokio::select! {
            answer = session.tab.evaluate::<Answer>(&script, CALL_LIMIT) => answer?,
            () = session.chromium.gone().cancelled() => {
                return Err(RemoteError::Browser("the browser went away during a call".into()));
            }
        };
        answer.payload(rpcid)
    }

    /// As [`Self::call`]; what looks like a lost session is believed only after a fresh look at the page.
    async fn ask(&self, rpcid: &str, args: &Value) -> Result<Value, RemoteError> {
        match self.call(rpcid, args).await {
            Err(RemoteError::Refused(why)) => {
                tracing::debug!("{why}: looking at the session");
                self.suspect();
            }
            other => return other,
        }
        match self.call(rpcid, args).await {
            Err(RemoteError::Refused(why)) => {
                Err(RemoteError::Transient(format!("{why}, although somebody is signed in")))
            }
            other => other,
        }
    }

    /// Makes the next call look at the session first.
    pub(super) fn suspect(&self) {
        self.suspect.store(true, Ordering::Relaxed);
    }
}

/// What the page's `fetch` saw.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    status: u16,
    #[serde(default)]
    redirected: bool,
    retry_after: Option<String>,
    #[serde(default)]
    text: String,
    error: Option<String>,
}

impl Answer {
    fn payload(self, rpcid: &str) -> Result<Value, RemoteError> {
        if let Some(error) = self.error {
            return Err(RemoteError::Transient(format!("{rpcid}: the call did not get through: {error}")));
        }
        // May be a lost session: `Refused` makes the caller look.
        let refused = |what: &str| Err(RemoteError::Refused(format!("{rpcid} was answered with {what}")));
        match self.status {
            _ if self.redirected => refused("a redirect"),
            401 | 403 => refused("a refusal"),
            // A token that has aged is renewed with the page.
            400 => refused("\"bad request\""),
            429 | 503 => {
                let after = self.retry_after.as_deref().and_then(direct::retry_after);
                Err(RemoteError::Throttled { reason: format!("{rpcid}: status {}", self.status), after })
            }
            200 if self.text.trim_start().starts_with('<') => refused("a web page"),
            200 => match frame::payload(rpcid, &self.text) {
                Err(RemoteError::SignedOut { evidence }) => Err(RemoteError::Refused(evidence)),
                other => other,
            },
            other => Err(RemoteError::Transient(format!("{rpcid}: status {other}"))),
        }
    }
}

/// The script of one call. The page's own globals give address, build and token (contract 5.1, 5.2).
fn script(rpcid: &str, args: &Value) -> String {
    let rpcid_text = Value::from(rpcid).to_string();
    let request = Value::from(frame::request(rpcid, args)).to_string();
    let limit = CALL_LIMIT.as_millis() - 3000;
    format!(
        r"(async () => {{
  const w = window.WIZ_global_data;
  if (!w || !w.SNlM0e) return {{ redirected: true }};
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), {limit});
  window.__reqid = (window.__reqid || 100000 + Math.floor(Math.random() * 900000)) + 100000;
  const query = new URLSearchParams({{ rpcids: {rpcid_text}, 'source-path': location.pathname, 'f.sid': w.FdrFJe || '',
    bl: w.cfb2h || '', hl: 'en', 'soc-app': '165', 'soc-platform': '1', 'soc-device': '1',
    _reqid: String(window.__reqid), rt: 'c' }});
  const body = 'f.req=' + encodeURIComponent({request}) + '&at=' + encodeURIComponent(w.SNlM0e) + '&';
  try {{
    const r = await fetch((w.eptZe || '/_/PhotosUi/') + 'data/batchexecute?' + query, {{ method: 'POST', body,
      headers: {{ 'content-type': 'application/x-www-form-urlencoded;charset=UTF-8', 'X-Same-Domain': '1' }},
      credentials: 'same-origin', cache: 'no-store', redirect: 'manual', signal: abort.signal }});
    return {{ status: r.status, redirected: r.type === 'opaqueredirect',
             retry_after: r.headers.get('retry-after'), text: await r.text() }};
  }} catch (e) {{ return {{ error: String(e && e.name) }}; }} finally {{ clearTimeout(timer); }}
}})()"
    )
}

impl RemoteLibrary for GooglePhotos {
    fn account(&self) -> String {
        self.account.get().map(|account| account.id.clone()).unwrap_or_default()
    }

    async fn list(&self, from: Option<&Cursor>) -> Result<ListPage, RemoteError> {
        timeline::decode(&self.ask(timeline::RPCID, &timeline::args(from)).await?)
    }

    async fn describe(&self, keys: &[MediaKey]) -> Result<Vec<ItemDetails>, RemoteError> {
        details::decode(&self.ask(details::RPCID, &details::args(keys)).await?)
    }

    async fn offers(&self, key: &MediaKey) -> Result<Vec<Offer>, RemoteError> {
        info::decode(key, &self.ask(info::RPCID, &info::args(key)).await?)
    }

    async fn fetch(&self, offer: &Offer) -> Result<Download, RemoteError> {
        if self.settings.method == Method::Rpc && direct::is_cookieless(&offer.url) {
            match direct::fetch(&self.http, &offer.url).await {
                Err(RemoteError::Refused(why)) => {
                    tracing::debug!("direct download refused ({why}); asking the browser");
                }
                other => return other,
            }
        }
        self.fetch_by_browser(&offer.url).await
    }
}
