//! The composition root: puts archive, library and view together and runs one command.

mod adopt;
mod doctor;
pub mod export;
mod filled;
mod home;
mod inspect;
mod login;
mod migrate;
pub mod mount;
mod passes;
pub mod proof;
pub mod replica;
mod report;
mod rounds;
mod run;
mod second_copy;
mod sync;
mod tell;
mod upkeep;
pub mod views;

pub use adopt::AdoptSettings;
pub use tell::TellSettings;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::archive::{Archive, index_path};
use crate::exit;
use crate::index::Index;
use crate::model::{Clock, SystemClock};
use crate::remote::browser::launch::BrowserSettings;
use crate::remote::google::Method;
use crate::serve::Offered;
use crate::serve::tls::Tls;
use crate::store::{RealDisk, Store};
use crate::sync::SyncOptions;

/// One command with its settings.
#[derive(Debug)]
pub enum Command {
    /// Make an archive.
    Init {
        /// The archive.
        data: PathBuf,
    },
    /// One pass.
    Sync {
        /// The archive.
        data: PathBuf,
        /// How.
        settings: Box<SyncSettings>,
        /// Print the report as JSON.
        json: bool,
    },
    /// Take over what people have already.
    Adopt {
        /// The archive.
        data: PathBuf,
        /// What, and how.
        settings: Box<AdoptSettings>,
    },
    /// Sign in to Google on this machine's display.
    Login {
        /// The browser profile.
        profile: PathBuf,
        /// The browser.
        browser: Box<BrowserSettings>,
    },
    /// Show the view.
    Mount {
        /// The archive.
        data: PathBuf,
        /// Where.
        mountpoint: PathBuf,
        /// How.
        view: ViewSettings,
    },
    /// Show the view of an archive that is somewhere else.
    MountFrom {
        /// Its replica.
        from: Box<mount::MountFrom>,
        /// Where.
        mountpoint: PathBuf,
        /// How.
        view: ViewSettings,
    },
    /// Free a mount point.
    Unmount {
        /// Where.
        mountpoint: PathBuf,
    },
    /// List the views.
    ViewList {
        /// A file of views.
        views: Option<PathBuf>,
    },
    /// What files say about themselves.
    Inspect {
        /// Files and folders.
        paths: Vec<PathBuf>,
        /// Print JSON, a line for each file.
        json: bool,
    },
    /// Record what is known better now than when it was archived.
    Migrate {
        /// The archive.
        data: PathBuf,
        /// A file of views.
        views: Option<PathBuf>,
        /// Only show what would move.
        dry_run: bool,
    },
    /// Check a file of views.
    ViewCheck {
        /// The file.
        file: PathBuf,
    },
    /// Print what a view shows.
    ViewPreview {
        /// The archive.
        data: PathBuf,
        /// A file of views.
        views: Option<PathBuf>,
        /// What is previewed.
        which: views::Which,
        /// Most paths that are printed.
        limit: usize,
    },
    /// Sync on a schedule, view, status page.
    Run {
        /// How.
        settings: Box<RunSettings>,
        /// Where that came from.
        source: Arc<dyn Source>,
    },
    /// Tell what is there.
    Status {
        /// The archive.
        data: PathBuf,
        /// Print JSON.
        json: bool,
    },
    /// Tell something to everybody who would be told of trouble.
    Tell {
        /// Whom: of everybody and of each account that has its own, by its name.
        settings: Vec<(String, TellSettings)>,
        /// Authorities to trust beside the system's.
        ca: Option<PathBuf>,
    },
    /// Read everything again.
    Verify {
        /// The archive.
        data: PathBuf,
        /// From the beginning.
        afresh: bool,
        /// Another copy of the archive, from which damage is mended.
        repair_from: Option<Box<replica::Far>>,
        /// Print JSON.
        json: bool,
    },
    /// Read a replica again.
    VerifyReplica {
        /// The archive.
        data: PathBuf,
        /// The replica.
        far: Box<replica::Far>,
        /// Names and sizes only.
        quick: bool,
        /// Send again what is damaged there.
        resend: bool,
        /// Print JSON.
        json: bool,
    },
    /// Send what is new to a replica.
    Replicate {
        /// The archive.
        data: PathBuf,
        /// Where to, and how.
        settings: Box<replica::ReplicateSettings>,
        /// Whether there may be none where there was one.
        begin_anew: bool,
        /// Print the report as JSON.
        json: bool,
    },
    /// Restore a sample.
    Drill {
        /// The archive.
        data: PathBuf,
        /// The replica.
        far: Box<replica::Far>,
        /// Files that are drawn.
        sample: usize,
        /// Where it is restored.
        within: Option<PathBuf>,
        /// Print the report as JSON.
        json: bool,
    },
    /// Restore everything.
    Restore {
        /// The archive that is made.
        data: PathBuf,
        /// The replica.
        far: Box<replica::Far>,
        /// Print the report as JSON.
        json: bool,
    },
    /// Make a key.
    NewKey {
        /// Its file.
        file: PathBuf,
    },
    /// Examine volume and machine.
    Doctor {
        /// The archive, or what shall become one.
        data: Option<PathBuf>,
        /// The browser profile.
        profile: Option<PathBuf>,
        /// The browser.
        browser: Box<BrowserSettings>,
        /// Print JSON.
        json: bool,
    },
    /// Make the index again.
    RebuildIndex {
        /// The archive.
        data: PathBuf,
    },
    /// Copy into plain folders.
    Export {
        /// The archive.
        data: PathBuf,
        /// Where to.
        target: PathBuf,
        /// What, and how.
        settings: Box<export::ExportSettings>,
    },
    /// Tell whether everything is there.
    Report {
        /// The archive.
        data: PathBuf,
        /// How it is printed.
        form: proof::Form,
        /// An earlier report to hold against the archive.
        since: Option<PathBuf>,
    },
    /// Tell what was set aside.
    QuarantineList {
        /// The archive.
        data: PathBuf,
        /// Print JSON.
        json: bool,
    },
    /// Tell everything about one item that was set aside.
    QuarantineShow {
        /// The archive.
        data: PathBuf,
        /// The item's key.
        key: String,
    },
    /// Ask a running `run`.
    Health {
        /// Where it listens.
        listen: SocketAddr,
        /// Whether its page is encrypted.
        tls: bool,
    },
}

/// How the archive is shown.
#[derive(Clone, Debug)]
pub struct ViewSettings {
    /// Let the kernel read the files itself where it may.
    pub passthrough: bool,
    /// Files have extended attributes.
    pub xattrs: bool,
    /// Where sidecars go that consumers write.
    pub writable_sidecars: Option<PathBuf>,
    /// A file that changes and extends the shipped views.
    pub views: Option<PathBuf>,
}

/// How the library is reached.
#[derive(Clone, Debug)]
pub struct SyncSettings {
    /// The browser profile.
    pub profile: PathBuf,
    /// The browser.
    pub browser: BrowserSettings,
    /// How files are fetched.
    pub method: Method,
    /// Silence after which a transfer is given up.
    pub stall: Duration,
    /// The pass.
    pub options: SyncOptions,
}

/// An account of an appliance.
#[derive(Clone, Debug)]
pub struct AccountSettings {
    /// How it is called, where there are several.
    pub name: Option<String>,
    /// How the library is reached.
    pub sync: SyncSettings,
    /// When passes begin.
    pub schedule: crate::schedule::Schedule,
    /// They are put off by a random part of this.
    pub jitter: Duration,
    /// Whom to tell of what concerns this account.
    pub tell: TellSettings,
}

/// What the container runs.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// The archive.
    pub data: PathBuf,
    /// The first account's browser profile, or where that would be; the appliance keeps there what is its own.
    pub home: PathBuf,
    /// The browser, where an account does not say more.
    pub browser: BrowserSettings,
    /// The accounts; at least one.
    pub accounts: Vec<AccountSettings>,
    /// Where the view is shown.
    pub view: Option<PathBuf>,
    /// How.
    pub view_settings: ViewSettings,
    /// Where the status page listens.
    pub listen: SocketAddr,
    /// The page's password; if there is none, the first visit sets it.
    pub password: Option<String>,
    /// How the page is encrypted, if it is.
    pub tls: Option<Tls>,
    /// Where noVNC is, which shows the sign-in browser.
    pub novnc: PathBuf,
    /// Whom to tell of what concerns the archive.
    pub tell: TellSettings,
    /// How the archive is kept; nothing where nobody wants that.
    pub upkeep: Option<crate::upkeep::Settings>,
    /// The replica that is kept.
    pub replicate: Option<replica::KeepReplica>,
    /// Copies from which damage is mended.
    pub copies: Vec<replica::Far>,
    /// Make the archive if the directory is empty.
    pub init: bool,
}

/// Where the settings of a `run` come from: they are read again when somebody asks for it.
pub trait Source: Offered + std::fmt::Debug {
    /// The settings as they are now.
    ///
    /// # Errors
    /// What is wrong with them, in a sentence.
    fn read(&self) -> Result<RunSettings, String>;
}

/// Runs one command; the answer is the exit code.
pub fn execute(command: Command) -> anyhow::Result<u8> {
    // The container's entry hands us the privilege to mount: the browser shall not have it.
    let _none_to_give_up = rustix::thread::clear_ambient_capability_set();
    match command {
        Command::Init { data } => init(&data),
        Command::Sync { data, settings, json } => runtime()?.block_on(sync::once(&data, *settings, json)),
        Command::Adopt { data, settings } => adopt::adopt(&data, &settings),
        Command::Login { profile, browser } => runtime()?.block_on(login::sign_in(&profile, &browser)),
        Command::Mount { data, mountpoint, view } => mount::until_stopped(&data, &mountpoint, &view),
        Command::MountFrom { from, mountpoint, view } => mount::from_elsewhere(&from, &mountpoint, &view),
        Command::Tell { settings, ca } => runtime()?.block_on(tell::try_out(settings, ca.as_deref())),
        Command::Unmount { mountpoint } => mount::unmount(&mountpoint),
        Command::ViewList { views } => views::list(views.as_deref()),
        Command::Migrate { data, views, dry_run } => migrate::migrate(&data, views.as_deref(), dry_run),
        Command::Inspect { paths, json } => inspect::inspect(&paths, json),
        Command::ViewCheck { file } => views::check(&file),
        Command::ViewPreview { data, views, which, limit } => {
            views::preview(&data, views.as_deref(), which, limit)
        }
        Command::Run { settings, source } => runtime()?.block_on(run::until_stopped(*settings, source)),
        Command::Status { data, json } => report::status(&data, json),
        Command::Verify { data, afresh, repair_from, json } => {
            report::verify(&data, afresh, repair_from.as_deref(), json)
        }
        Command::VerifyReplica { data, far, quick, resend, json } => {
            replica::verify(&data, &far, quick, resend, json)
        }
        Command::Replicate { data, settings, begin_anew, json } => {
            replica::replicate(&data, &settings, begin_anew, json)
        }
        Command::Drill { data, far, sample, within, json } => {
            replica::drill(&data, &far, sample, within.as_deref(), json)
        }
        Command::Restore { data, far, json } => replica::restore(&data, &far, json),
        Command::NewKey { file } => replica::new_key(&file),
        Command::Doctor { data, profile, browser, json } => {
            runtime()?.block_on(doctor::examine(data.as_deref(), profile.as_deref(), &browser, json))
        }
        Command::RebuildIndex { data } => report::rebuild_index(&data),
        Command::Export { data, target, settings } => export::export(&data, &target, &settings),
        Command::Report { data, form, since } => proof::report(&data, form, since.as_deref()),
        Command::QuarantineList { data, json } => proof::quarantine_list(&data, json),
        Command::QuarantineShow { data, key } => proof::quarantine_show(&data, &key),
        Command::Health { listen, tls } => runtime()?.block_on(run::health(listen, tls)),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the async runtime")
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

fn init(data: &Path) -> anyhow::Result<u8> {
    make_archive(data)?;
    println!("Made a new archive in {}.", data.display());
    println!(
        "Next: `shoebox login --profile DIR` on a desktop, or `shoebox run` and its page; then `shoebox sync`."
    );
    Ok(exit::OK)
}

fn make_archive(data: &Path) -> anyhow::Result<()> {
    let id = Store::init(data, Arc::new(RealDisk), clock())?;
    // An empty index, so that the view can be mounted before the first sync.
    Index::create(&index_path(data), &id)?;
    Ok(())
}

/// Opens the archive for writing.
fn open(data: &Path) -> anyhow::Result<Archive> {
    Ok(Archive::open(data, Arc::new(RealDisk), clock())?)
}

/// Opens the archive for reading, beside whoever writes it.
fn open_to_read(data: &Path) -> anyhow::Result<Archive> {
    Ok(Archive::open_read_only(data, Arc::new(RealDisk), clock())?)
}

/// Ends the index' writer and merges its log, so that the next start finds a clean index.
fn close(archive: Arc<Archive>) -> anyhow::Result<()> {
    // Whoever still reads it ends it by dropping it.
    if let Some(archive) = Arc::into_inner(archive) {
        archive.index.close()?;
    }
    Ok(())
}
