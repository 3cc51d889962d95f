//! Everything that is played, and what was asked of it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;

use hyper::header::{HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{HeaderMap, StatusCode};
use serde::Serialize;

use super::addresses::Addresses;
use super::answer::{Answer, plain};
use super::faults::Fault;
use super::library::SimItem;
use super::zips::Zips;
use super::{Faults, Library, Session, SimConfig};
use crate::model::PartRole;

/// Everything that is played.
pub(crate) struct Google {
    pub(crate) config: SimConfig,
    pub(crate) library: Library,
    pub(crate) session: Session,
    pub(crate) faults: Faults,
    pub(crate) addresses: Addresses,
    pub(crate) zips: Zips,
    counters: Mutex<Counters>,
}

/// What was asked so far.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counters {
    /// Pages.
    pub documents: u64,
    /// Calls by name.
    pub rpcs: BTreeMap<String, u64>,
    /// Calls that would have changed the library.
    pub mutating: u64,
    /// Files, by item and role.
    pub downloads: BTreeMap<String, u64>,
    /// Files served from the middle on.
    #[serde(default)]
    pub continued: u64,
    /// Calls refused because of a bad token.
    pub bad_tokens: u64,
    /// Requests for files that wanted cookies and had none.
    pub without_cookies: u64,
    /// Requests with account cookies from something that is no browser, or to a host that takes none.
    pub cookie_leaks: u64,
}

impl Counters {
    /// Files served.
    pub fn files(&self) -> u64 {
        self.downloads.values().sum()
    }
}

impl Google {
    pub(crate) fn new(config: SimConfig) -> Self {
        Self {
            library: Library::new(config.clone()),
            session: Session::new(config.own_seed()),
            faults: Faults::new(config.seed),
            addresses: Addresses::new(config.own_seed(), config.address_life, config.single_use),
            zips: Zips::default(),
            counters: Mutex::default(),
            config,
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters.lock().unwrap_or_else(|p| p.into_inner()).clone()
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.counters.lock().unwrap_or_else(|p| p.into_inner()));
    }

    /// Account cookies belong to browsers, and to Google's own hosts.
    pub(crate) fn witness(&self, headers: &HeaderMap, host: &str) {
        if !self.session.is_carried(headers) {
            return;
        }
        let agent = headers.get(USER_AGENT).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
        let browser = agent.is_some_and(|a| a.contains("Chrome/") && !a.contains("shoebox"));
        if !browser || !host.ends_with("google.com") {
            self.count(|c| c.cookie_leaks += 1);
        }
    }
}

impl Google {
    /// A fresh address of a part; which host serves an item never changes.
    pub(crate) fn address_of(&self, item: &SimItem, role: PartRole) -> String {
        let token = self.addresses.grant(&item.key, role);
        let share =
            f64::from(u32::try_from(item.serial.wrapping_mul(2_654_435_761) % 1000).unwrap_or(0)) / 1000.0;
        if share < self.config.fife_share {
            format!("https://photos.fife.usercontent.google.com/pw/AP1Gcz{token}")
        } else {
            format!("https://video-downloads.googleusercontent.com/ADGPM2{token}?authuser=0")
        }
    }

    /// Fresh addresses of all originals.
    pub(crate) fn addresses_of_all(&self) -> Vec<String> {
        self.library.timeline().iter().map(|item| self.address_of(item, PartRole::Original)).collect()
    }
}

/// Faults that strike before any answer.
pub(crate) async fn before(google: &Google, struck: &[Fault]) -> Result<Option<Answer>, io::Error> {
    for fault in struck {
        match fault {
            Fault::Latency(delay) => tokio::time::sleep(*delay).await,
            Fault::Reset => return Err(io::Error::from(io::ErrorKind::ConnectionReset)),
            Fault::SessionExpired => google.session.sign_out(google.session.model()),
            Fault::Status(status, after) => {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let html = "<html><title>Sorry</title><body>Sorry, an error has occurred.</body></html>";
                let mut answer = plain(status, "text/html; charset=utf-8", html);
                if let Some(after) = after {
                    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*after));
                }
                return Ok(Some(answer));
            }
            _ => {}
        }
    }
    Ok(None)
}
