//! photos-sim: the simulated Google Photos, built from what is known of the real one, never from what our
//! own client sends. One TLS port plays every host; a control port of plain HTTP tells and takes the truth.

mod addresses;
mod admin;
mod albums;
mod answer;
mod content;
pub mod fake;
pub mod faults;
mod generate;
mod google;
mod history;
pub mod library;
mod listings;
mod lookups;
pub mod media;
pub mod pages;
pub mod picture;
mod processing;
mod rpc;
mod server;
pub mod session;
mod sign_in;
pub mod takeout;
mod tls;
mod zips;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use self::faults::{Fault, FaultRule, Faults, PageFault, RequestClass, When};
pub use self::google::Counters;
pub use self::library::{Ledger, LedgerItem, Library};
pub use self::pages::locale::Language;
pub use self::pages::sign_in::Screen;
pub use self::session::{Session, SignedOutModel};

/// Printed by the simulator, and never found in the product.
pub const BANNER: &str = "photos-sim: the simulated Google Photos";

/// Sizes of the served files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileBytes {
    /// Pictures and videos as they are.
    Natural,
    /// JPEGs of exactly so many bytes, for benchmarks; made while they are served.
    Fixed(u64),
    /// The same of about so many bytes, from half to half as many more.
    About(u64),
    /// As they are, and each format as often as every other.
    EachFormat,
}

/// How the video half of Live Photos is handed out (contract 8.8: open, so both).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveAs {
    /// A zip of both halves.
    Zip,
    /// The still, and an address of the clip in the item.
    Clip,
    /// The still alone, although the item is called live.
    Still,
}

/// What is simulated.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// Items in the library.
    pub items: usize,
    /// Seed of everything.
    pub seed: u64,
    /// Whose library it is: others with the same seed have the same photos under keys of their own, up to their number
    /// of items, and see the same things that are shared.
    pub person: u64,
    /// Items of the first person's library, an album of which is shared with this account; without such a family 0.
    pub family: usize,
    /// Sizes of files.
    pub file_bytes: FileBytes,
    /// Width of drawn photos, pixels; their height is two thirds of it.
    pub picture_width: u32,
    /// Items that others share with the account.
    pub shared: usize,
    /// Share of items whose files are on the host that wants cookies.
    pub fife_share: f64,
    /// How Live Photos come.
    pub live: LiveAs,
    /// Most items in a listing page; the client's wish counts below it.
    pub page: usize,
    /// Life of a signed address.
    pub address_life: Duration,
    /// A signed address works once only.
    pub single_use: bool,
    /// Files can be asked for from the middle on (contract 8.8: open).
    pub ranges: bool,
    /// Some names are such that most other clients stop there: a path, half a character.
    pub unsavable_names: bool,
    /// Language of the account.
    pub language: Language,
    /// What a sign-in goes through.
    pub sign_in: Vec<Screen>,
    /// Share of videos that cannot be downloaded because they are still processed.
    pub processing: f64,
    /// The clock of the pages ("Today"); the real one if none.
    pub now: Option<Timestamp>,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where the control port listens.
    pub admin: Option<SocketAddr>,
    /// Keeps the certificate authority here, and writes `ca.pem`, `address`, `ledger.json` and `ready`.
    pub state: Option<PathBuf>,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            items: 300,
            shared: 0,
            seed: 1,
            person: 0,
            family: 0,
            file_bytes: FileBytes::Natural,
            // Small, because tests draw thousands.
            picture_width: 360,
            fife_share: 0.35,
            live: LiveAs::Zip,
            page: 500,
            address_life: Duration::from_secs(600),
            single_use: false,
            ranges: false,
            unsavable_names: true,
            language: Language::English,
            sign_in: Screen::USUAL.to_vec(),
            processing: 0.0,
            now: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin: None,
            state: None,
        }
    }
}

impl SimConfig {
    /// Seed of what is this account's own: its keys, its session.
    pub(crate) fn own_seed(&self) -> u64 {
        self.seed ^ self.person.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// Google's numeric id of the account.
    pub fn account_id(&self) -> String {
        (117_000_000_000_000_000_001_u128 + u128::from(self.person)).to_string()
    }

    /// Its address.
    pub fn email(&self) -> String {
        match self.person {
            0 => "demo.person@gmail.example".to_owned(),
            n => format!("person.{n}@gmail.example"),
        }
    }
}

/// A running simulator; dropping it ends it.
pub struct Sim {
    google: Arc<google::Google>,
    address: SocketAddr,
    admin: Option<SocketAddr>,
    ca: PathBuf,
    ca_pem: String,
    tasks: Vec<JoinHandle<()>>,
    _scratch: Option<Scratch>,
}

impl Sim {
    /// Starts to serve.
    pub async fn start(config: SimConfig) -> std::io::Result<Self> {
        let scratch = if config.state.is_none() { Some(Scratch::new()?) } else { None };
        let state = match (&config.state, &scratch) {
            (Some(state), _) => state.clone(),
            (None, Some(scratch)) => scratch.0.clone(),
            (None, None) => return Err(std::io::Error::other("no state directory")),
        };
        std::fs::create_dir_all(&state)?;
        let authority = tls::Authority::open(&state)?;
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let admin_listener = match config.admin {
            Some(admin) => Some(TcpListener::bind(admin).await?),
            None => None,
        };
        let admin = admin_listener.as_ref().map(TcpListener::local_addr).transpose()?;
        let keep_ledger = config.state.is_some();
        let google = Arc::new(google::Google::new(config));
        let mut tasks =
            vec![tokio::spawn(server::serve(listener, authority.server_config()?, Arc::clone(&google)))];
        if let Some(listener) = admin_listener {
            tasks.push(tokio::spawn(admin::serve(listener, Arc::clone(&google))));
        }
        if keep_ledger {
            let ledger = serde_json::to_vec(&google.library.ledger())?;
            std::fs::write(state.join("ledger.json"), ledger)?;
            std::fs::write(state.join("address"), address.to_string())?;
            std::fs::write(state.join("ready"), "")?;
        }
        let ca = state.join("ca.pem");
        let ca_pem = authority.pem().to_owned();
        Ok(Self { google, address, admin, ca, ca_pem, tasks, _scratch: scratch })
    }

    /// Where every host is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the control port is.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// The certificate authority, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The file with the certificate authority.
    pub fn ca_file(&self) -> &Path {
        &self.ca
    }

    /// The truth now.
    pub fn ledger(&self) -> Ledger {
        self.google.library.ledger()
    }

    /// The library, to change it.
    pub fn library(&self) -> &Library {
        &self.google.library
    }

    /// Fresh signed addresses of all originals.
    pub fn addresses(&self) -> Vec<String> {
        self.google.addresses_of_all()
    }

    /// The fault script.
    pub fn faults(&self) -> &Faults {
        &self.google.faults
    }

    /// Who is signed in.
    pub fn session(&self) -> &Session {
        &self.google.session
    }

    /// What was asked so far.
    pub fn counters(&self) -> Counters {
        self.google.counters()
    }

    /// The library without its pages: what it lists without a browser, this simulator's sockets serve.
    pub fn without_browser(&self) -> fake::FakeLibrary {
        fake::FakeLibrary::of(Arc::clone(&self.google))
    }

    /// Makes a signed-in profile with an un-automated browser.
    pub async fn sign_in_profile(&self, browser: &Path, profile: &Path) -> std::io::Result<()> {
        sign_in::profile(browser, profile, self.address, &self.ca).await
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Makes a signed-in profile against a simulator that keeps its state in `state`.
pub async fn sign_in_from_state(state: &Path, browser: &Path, profile: &Path) -> std::io::Result<()> {
    let address = std::fs::read_to_string(state.join("address"))?;
    let address = address.trim().parse().map_err(std::io::Error::other)?;
    sign_in::profile(browser, profile, address, &state.join("ca.pem")).await
}

/// A directory that goes away with the simulator.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> std::io::Result<Self> {
        let name = format!("photos-sim-{}-{:016x}", std::process::id(), fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(e) = std::fs::remove_dir_all(&self.0) {
            tracing::debug!("could not remove {}: {e}", self.0.display());
        }
    }
}

/// The wall clock at an offset.
pub(crate) fn wall_clock(ms: i64, zone_ms: i64) -> DateTime {
    let instant = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let seconds = i32::try_from(zone_ms / 1000).unwrap_or(0);
    Offset::from_seconds(seconds).unwrap_or(Offset::UTC).to_datetime(instant)
}

/// `+02:00`.
pub(crate) fn offset_text(zone_ms: i64) -> String {
    let minutes = zone_ms / 60_000;
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
}
