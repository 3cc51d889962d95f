//! The real library: calls made inside the signed-in page, bytes streamed or downloaded by the browser.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Mutex, RwLock, RwLockReadGuard, Semaphore};

use super::browser::launch::BrowserSettings;
use super::browser::profile::Profile;
use super::browser::tab::Tab;
use super::browser::{Chromium, cookie_jar};
use super::call::{self, Answer, CALL_LIMIT};
use super::ladder::{Capability, Ladder};
use super::rpc::{albums, counts, details, info, recent, timeline, trash};
use super::session::{self, Account};
use super::viewer::{Grid, Lane};
use super::{
    AlbumListing, AlbumPage, Cursor, Download, ListPage, Offer, RemoteError, RemoteLibrary, Through,
    TimelineCounts, direct, net,
};
use crate::model::{AlbumKind, ItemDetails, MediaKey, RemoteAlbum, RemoteItem};

/// How the bytes are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Method {
    /// Signed addresses directly where no cookies are needed, else by the browser.
    #[default]
    Rpc,
    /// Always by the browser.
    Browser,
    /// As a person would: grid, viewer, keyboard; no calls of our own.
    Viewer,
}

/// What a visit found, that nothing was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Who is signed in.
    pub account: Account,
    /// Google does not renew the session of this browser.
    pub renewal_refused: bool,
}

/// Goes to the library and leaves again, so that the session lives; looks whether it does.
pub async fn visit(
    settings: &BrowserSettings,
    profile: &Profile,
    folder: &Path,
) -> Result<Visit, RemoteError> {
    let settings = settings.ready(profile).await?;
    let chromium = Chromium::start(&settings, profile, folder).await?;
    let found = async {
        let tab = chromium.new_tab().await?;
        let account = session::verify(&tab, profile.path()).await?;
        Ok(Visit { account, renewal_refused: session::is_renewal_refused(&chromium).await })
    };
    let found = found.await;
    chromium.close().await;
    let stale = cookie_jar::is_stale(profile.path(), jiff::Timestamp::now());
    found.map(|visit| Visit { renewal_refused: visit.renewal_refused || stale, ..visit })
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
    /// Where evidence of changes at Google is kept, if anywhere.
    pub evidence: Option<PathBuf>,
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
    /// Google was asked to renew the session, and refused.
    renewal_refused: AtomicBool,
    /// Something looked like a lost session: look before the next call.
    suspect: AtomicBool,
    pub(super) downloads: AtomicU32,
    starts: AtomicU32,
    pub(super) ladder: Ladder,
}

/// One browser with the page that makes the calls and the windows that download.
pub(super) struct Session {
    pub(super) chromium: Chromium,
    tab: Tab,
    pub(super) idle_lanes: Mutex<Vec<Tab>>,
    /// The tab that walks down the grid, and those that show photos.
    pub(super) grid: Mutex<Option<Grid>>,
    pub(super) viewers: Mutex<Vec<Lane>>,
    /// The page does not answer calls any more, although its browser lives.
    mute: AtomicBool,
}

/// Downloads after which the browser is renewed: it grows by 10 MB with each thousand.
const RENEW_AFTER: u32 = 4000;
/// Pauses before an empty answer is asked for again; another client takes the same.
const NOTHING_PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(4)];
/// Attempts to start a browser before the run gives up.
const START_ATTEMPTS: u32 = 3;

impl GooglePhotos {
    /// Starts the browser on its profile and makes sure that somebody is signed in.
    pub async fn connect(mut settings: GoogleSettings) -> Result<Self, RemoteError> {
        let http = net::http_client(&settings.browser.resolve, settings.browser.ca.as_ref(), settings.stall)?;
        let path = settings.profile.clone();
        let profile = tokio::task::spawn_blocking(move || Profile::take(&path))
            .await
            .map_err(|e| RemoteError::Browser(e.to_string()))??;
        settings.browser = settings.browser.ready(&profile).await?;
        let library = Self {
            lanes: Semaphore::new(settings.lanes.max(1)),
            settings,
            profile,
            http,
            session: RwLock::new(None),
            account: OnceLock::new(),
            renewal_refused: AtomicBool::new(false),
            suspect: AtomicBool::new(false),
            downloads: AtomicU32::new(0),
            starts: AtomicU32::new(0),
            ladder: Ladder::default(),
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

    /// Whether Google does not renew the session of this browser.
    pub fn is_renewal_refused(&self) -> bool {
        self.renewal_refused.load(Ordering::Relaxed)
            || cookie_jar::is_stale(self.profile.path(), jiff::Timestamp::now())
    }

    /// A picture of the page that makes the calls, PNG, for whoever looks at trouble.
    pub(super) async fn picture(&self) -> Option<Vec<u8>> {
        let guard = self.session.read().await;
        let taken = guard.as_ref()?.tab.screenshot().await.ok()?;
        data_encoding::BASE64.decode(taken.as_bytes()).ok()
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
                    // A machine on which the browser has run is not what keeps it from running.
                    let has_run = self.starts.load(Ordering::Relaxed) > 0;
                    let again = match &e {
                        RemoteError::Browser(_) | RemoteError::Transient(_) => true,
                        RemoteError::Environment(_) => has_run,
                        _ => false,
                    };
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
        !worn
            && session.is_some_and(|s| {
                s.chromium.is_alive() && !s.chromium.is_bloated() && !s.mute.load(Ordering::Relaxed)
            })
    }

    /// Makes sure that the same account is still signed in.
    async fn confirm(&self, tab: &Tab) -> Result<(), RemoteError> {
        let found = session::verify(tab, self.profile.path()).await?;
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
            Ok(tab) => Ok(Session {
                chromium,
                tab,
                idle_lanes: Mutex::default(),
                grid: Mutex::default(),
                viewers: Mutex::default(),
                mute: AtomicBool::new(false),
            }),
            Err(e) => {
                chromium.close().await;
                Err(e)
            }
        }
    }

    async fn enter(&self, chromium: &Chromium) -> Result<Tab, RemoteError> {
        let tab = chromium.new_tab().await?;
        // At the same time: what it says where nobody is signed in is of no matter.
        let (confirmed, refused) = tokio::join!(self.confirm(&tab), session::is_renewal_refused(chromium));
        confirmed?;
        self.renewal_refused.store(refused, Ordering::Relaxed);
        Ok(tab)
    }

    /// Makes one request inside the page and parses the payloads of its calls.
    async fn request(
        &self,
        rpcid: &str,
        calls: &[Value],
    ) -> Result<Vec<Result<Value, RemoteError>>, RemoteError> {
        let guard = self.session().await?;
        // `session` returns only filled guards; an empty one would be a browser that is just being renewed.
        let session = guard.as_ref().ok_or_else(|| RemoteError::Browser("no browser".into()))?;
        let script = call::script(rpcid, calls);
        let answer = tokio::select! {
            answer = session.tab.evaluate::<Answer>(&script, CALL_LIMIT) => match answer {
                // Either Google is silent or the page hangs; that it does for every call, so the next one gets a new
                // browser.
                Err(e @ RemoteError::Browser(_)) => {
                    let hangs = session.tab.evaluate::<u8>("1", Duration::from_secs(5)).await.is_err();
                    session.mute.fetch_or(hangs, Ordering::Relaxed);
                    return Err(e);
                }
                answer => answer?,
            },
            () = session.chromium.gone().cancelled() => {
                return Err(RemoteError::Browser("the browser went away during a call".into()));
            }
        };
        answer.payloads(rpcid, calls.len())
    }

    /// As [`Self::request`]; what looks like a lost session is believed only after a fresh look at the page.
    pub(super) async fn ask_all(
        &self,
        rpcid: &str,
        calls: &[Value],
    ) -> Result<Vec<Result<Value, RemoteError>>, RemoteError> {
        match self.request(rpcid, calls).await {
            Err(RemoteError::Refused(why)) => {
                tracing::debug!("{why}: looking at the session");
                self.suspect();
            }
            other => return other,
        }
        match self.request(rpcid, calls).await {
            Err(RemoteError::Refused(why)) => {
                Err(RemoteError::Transient(format!("{why}, although somebody is signed in")))
            }
            other => other,
        }
    }

    /// One call.
    pub(super) async fn ask(&self, rpcid: &str, args: Value) -> Result<Value, RemoteError> {
        // As many answers as calls: one.
        self.ask_all(rpcid, &[args])
            .await?
            .pop()
            .unwrap_or_else(|| Err(RemoteError::Item("no answer".into())))
    }

    /// One call for a list that may well be empty: believed when the answer stays so.
    async fn ask_for_list(&self, rpcid: &str, args: Value) -> Result<Value, RemoteError> {
        for pause in NOTHING_PAUSES {
            match self.ask(rpcid, args.clone()).await {
                Err(RemoteError::Nothing(_)) => tokio::time::sleep(pause).await,
                other => return other,
            }
        }
        match self.ask(rpcid, args).await {
            Err(RemoteError::Nothing(_)) => Ok(Value::Array(Vec::new())),
            other => other,
        }
    }

    /// Makes the next call look at the session first.
    pub(super) fn suspect(&self) {
        self.suspect.store(true, Ordering::Relaxed);
    }
}

impl RemoteLibrary for GooglePhotos {
    fn account(&self) -> String {
        self.account.get().map(|account| account.id.clone()).unwrap_or_default()
    }

    async fn list(&self, from: Option<&Cursor>) -> Result<ListPage, RemoteError> {
        if self.uses_viewer(Capability::Listing) {
            return self.list_grid(from).await;
        }
        let listed = self.ask(timeline::RPCID, timeline::args(from, None)).await;
        match listed.and_then(|payload| timeline::decode(&payload)) {
            // The grid begins at its own beginning; what was listed already is recognised.
            Err(e) if self.falls(Capability::Listing, &e).await => self.list_grid(None).await,
            other => {
                self.ladder.went(Capability::Listing, &other);
                other
            }
        }
    }

    async fn prepare(&self) {
        self.probe().await;
    }

    async fn list_before(&self, ms: i64) -> Result<ListPage, RemoteError> {
        timeline::decode(&self.ask(timeline::RPCID, timeline::args(None, Some(ms))).await?)
    }

    async fn look_up(&self, key: &MediaKey) -> Result<RemoteItem, RemoteError> {
        if self.uses_viewer(Capability::Listing) {
            return Ok(RemoteItem::unknown(key.clone()));
        }
        info::item(key, &self.ask(info::RPCID, info::args(key, None)).await?)
    }

    async fn recent(&self, from: Option<&Cursor>) -> Result<ListPage, RemoteError> {
        self.needs_calls("the list of the latest uploads")?;
        let page = recent::decode(&self.ask_for_list(recent::RPCID, recent::args(from)).await?);
        self.noting("new photos are found by Google's counts alone", page).await
    }

    async fn counts(&self) -> Result<Option<TimelineCounts>, RemoteError> {
        if self.settings.method == Method::Viewer {
            return Ok(None);
        }
        let counts = counts::decode(&self.ask(counts::RPCID, counts::args()).await?).map(Some);
        self.noting("deletions are not noted, and the report has no counts of Google's", counts).await
    }

    async fn trash(&self, from: Option<&Cursor>) -> Result<ListPage, RemoteError> {
        self.needs_calls("the trash")?;
        let page = trash::decode(&self.ask_for_list(trash::RPCID, trash::args(from)).await?);
        self.noting("nothing is noted of the trash", page).await
    }

    async fn albums(&self, shared: bool, from: Option<&Cursor>) -> Result<AlbumListing, RemoteError> {
        self.needs_calls("albums")?;
        if shared {
            return albums::shared(&self.ask_for_list(albums::SHARED, albums::shared_args(from)).await?);
        }
        albums::list(&self.ask_for_list(albums::LIST, albums::list_args(from)).await?)
    }

    async fn album_items(
        &self,
        album: &RemoteAlbum,
        from: Option<&Cursor>,
    ) -> Result<AlbumPage, RemoteError> {
        if album.kind == AlbumKind::Partner {
            return albums::partner(
                &self.ask_for_list(albums::PARTNER, albums::partner_args(album, from)).await?,
            );
        }
        albums::contents(&self.ask_for_list(albums::CONTENTS, albums::contents_args(album, from)).await?)
    }

    async fn describe(&self, keys: &[MediaKey]) -> Result<Vec<ItemDetails>, RemoteError> {
        // Without the call, names come with the photo's page or with the download.
        if self.uses_viewer(Capability::Names) {
            return Ok(Vec::new());
        }
        let told = self.ask(details::RPCID, details::args(keys)).await;
        match told.and_then(|payload| details::decode(&payload)) {
            Err(e) if self.falls(Capability::Names, &e).await => Ok(Vec::new()),
            other => {
                self.ladder.went(Capability::Names, &other);
                other
            }
        }
    }

    async fn offers(&self, key: &MediaKey, through: Option<&Through>) -> Result<Vec<Offer>, RemoteError> {
        if self.uses_viewer(Capability::Addresses) {
            return self.viewer_offers(key).await;
        }
        let told = self.ask(info::RPCID, info::args(key, through)).await;
        match told.and_then(|payload| info::decode(key, &payload)) {
            Err(e) if through.is_none() && self.falls(Capability::Addresses, &e).await => {
                self.viewer_offers(key).await
            }
            other => {
                self.ladder.went(Capability::Addresses, &other);
                other
            }
        }
    }

    async fn offers_batch(
        &self,
        items: &[(MediaKey, Option<Through>)],
    ) -> Result<Vec<Result<Vec<Offer>, RemoteError>>, RemoteError> {
        // A photo's page is opened when its turn comes, not before.
        if self.uses_viewer(Capability::Addresses) {
            return Ok(Vec::new());
        }
        let calls: Vec<_> = items.iter().map(|(key, through)| info::args(key, through.as_ref())).collect();
        let answers = self.ask_all(info::RPCID, &calls).await?;
        let pairs = items.iter().zip(answers);
        let offers: Vec<_> =
            pairs.map(|((key, _), answer)| answer.and_then(|payload| info::decode(key, &payload))).collect();
        if offers.iter().any(|offers| matches!(offers, Err(RemoteError::Drift { .. }))) {
            // Each asks by itself, and finds another way.
            return Ok(Vec::new());
        }
        Ok(offers)
    }

    async fn fetch(&self, offer: &Offer) -> Result<Download, RemoteError> {
        if let Some(choice) = offer.url.strip_prefix("viewer:") {
            return self.viewer_fetch(choice).await;
        }
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
