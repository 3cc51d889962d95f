//! What a running appliance tells the outside, and what a person may ask of it.

mod access;
mod account;
mod albums;
mod assets;
mod completeness;
mod doctor;
pub mod door;
mod frame;
pub mod home;
mod metrics;
mod numbers;
mod overview;
mod photos;
mod places;
mod runs;
mod set_aside;
mod settings;
mod sign_in;
pub mod tls;
pub mod web;

pub use self::account::Account;
pub use self::runs::Asked;
pub use self::settings::{Offered, Origin, Setting, Shape};
pub use self::sign_in::{in_words as login_in_words, page_of as sign_in_address};

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::door::Door;
use self::runs::Runs;
use crate::archive::Archive;
use crate::index::{IndexReader, Totals};
use crate::model::ArchiveId;
use crate::remote::browser::launch::BrowserSettings;
use crate::upkeep;

/// How old the sums on the overview may be.
const RECENT: Duration = Duration::from_secs(2);

/// What the page is about.
pub struct Appliance {
    /// What is archived.
    pub archive: Arc<Archive>,
    /// Where the view is, if there is one.
    pub view: Option<PathBuf>,
    /// Where the appliance keeps what is its own.
    pub home: PathBuf,
    /// The accounts; at least one.
    pub accounts: Vec<Arc<Account>>,
    /// The browser.
    pub browser: BrowserSettings,
    /// Who is let in.
    pub door: Arc<Door>,
    /// Where noVNC is.
    pub novnc: PathBuf,
    /// Whether the page is encrypted by ourselves.
    pub tls: bool,
    /// What may be set on the page.
    pub settings: Arc<dyn Offered>,
    /// Asks everything to end.
    pub stop: CancellationToken,
}

/// The appliance as the page sees it.
pub struct State {
    appliance: Appliance,
    /// Name of the session's cookie: cookies do not know of ports, and a machine may have two archives.
    cookie: String,
    shelf: photos::Shelf,
    small: photos::small::Small,
    reckoning: completeness::Reckoning,
    examined: doctor::Examined,
    runs: Runs,
    counted: Mutex<Option<(Instant, Duration, Totals)>>,
    /// A pass begins or has ended, or the next one is due at another time.
    pub news: Notify,
}

impl std::ops::Deref for State {
    type Target = Appliance;

    fn deref(&self) -> &Appliance {
        &self.appliance
    }
}

impl State {
    /// Nothing has run yet.
    pub fn new(appliance: Appliance) -> Self {
        let id = appliance.archive.store.id().to_string();
        let id: String = id.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
        Self {
            cookie: format!("shoebox-{id}"),
            shelf: photos::Shelf::default(),
            small: photos::small::Small::of(&appliance.archive),
            reckoning: completeness::Reckoning::default(),
            examined: doctor::Examined::default(),
            runs: Runs::open(&appliance.home.join("shoebox-runs.json")),
            counted: Mutex::default(),
            news: Notify::new(),
            appliance,
        }
    }

    /// Name of the archive.
    pub fn archive_id(&self) -> &ArchiveId {
        self.archive.store.id()
    }

    /// What is archived.
    pub fn totals(&self) -> Result<Totals, String> {
        self.reader()?.totals().map_err(|e| e.to_string())
    }

    /// What was archived a moment ago: these are sums over everything, and several pages may be open.
    fn recent_totals(&self) -> Result<Totals, String> {
        let mut last = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            // Two percent of the time at most go into them.
            Some((at, took, totals)) if at.elapsed() < RECENT.max(*took * 50) => Ok(totals.clone()),
            _ => {
                let began = Instant::now();
                let totals = self.totals()?;
                *last = Some((Instant::now(), began.elapsed(), totals.clone()));
                Ok(totals)
            }
        }
    }

    /// What is known to be damaged and not mended yet, found by upkeep: number of files.
    pub fn damaged(&self) -> usize {
        upkeep::standing(&self.archive.store).len()
    }

    /// Whether the view, if there should be one, answers. A lapsed login is no illness: restarting the
    /// container would not cure it.
    pub fn ailment(&self) -> Option<String> {
        let view = self.view.as_ref()?;
        match std::fs::read_dir(view) {
            Ok(_) => None,
            Err(e) => Some(format!("the view at {} does not answer: {e}", view.display())),
        }
    }

    fn reader(&self) -> Result<IndexReader, String> {
        self.archive.index.reader().map_err(|e| e.to_string())
    }

    /// Asks something that takes its time, beside the threads that serve others.
    async fn aside<T: Send + 'static>(
        self: &Arc<Self>,
        ask: impl FnOnce(&Self) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let state = Arc::clone(self);
        tokio::task::spawn_blocking(move || ask(&state)).await.unwrap_or_else(|e| Err(e.to_string()))
    }
}
