//! The command line. clap stops here: everything behind it takes plain settings.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use crate::app::proof::Form;
use crate::app::views::Which;
use crate::app::{self, Command, Source, ViewSettings};
use crate::exit;
use crate::schedule;
use crate::sync::ListingMode;
use crate::telemetry::{self, LogFormat};

mod accounts;
mod adopt;
mod environment;
mod export;
mod mount;
mod page;
pub(crate) mod remote;
mod replica;
mod run;
mod settings;
mod tell;
mod upkeep;

use export::ExportArgs;
use mount::MountArgs;
use page::TlsArg;
use remote::{BrowserArgs, Remote};
use replica::{DrillArgs, ReplicateArgs, RestoreArgs, VerifyArgs};
use run::RunArgs;
use settings::{Kept, Settings};
use tell::TellArgs;

/// Archives every original of a Google Photos library, proves it, and serves it as a read-only file system.
///
/// Start with `shoebox init --data DIR`, sign in to Google with `shoebox login --profile DIR`, then `shoebox sync`.
/// Every option can also be given as an environment variable; with `_FILE` at its end it names a file that holds the
/// value.
#[derive(Parser, Debug)]
#[command(
    name = "shoebox",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 ok; 1 failure; 2 some items were set aside; 3 sign-in needed; 4 wrong usage; \
                  11 another shoebox holds the archive or the profile."
)]
struct Cli {
    #[command(subcommand)]
    command: Subcommands,

    /// How much to log: error, warn, info, debug or trace.
    #[arg(long, global = true, env = "SHOEBOX_LOG", default_value = "info", value_name = "LEVEL")]
    log: tracing::Level,

    /// How the log is written.
    #[arg(long, global = true, env = "SHOEBOX_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    log_format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

#[derive(Subcommand, Debug)]
#[expect(clippy::large_enum_variant, reason = "parsed once")]
enum Subcommands {
    /// Make a new, empty archive.
    ///
    /// The only command that does: a missing or empty volume never silently becomes a second archive.
    Init(Data),
    /// Sign in to Google: opens a browser on this machine's display, which closes by itself.
    ///
    /// For desktops; the page of `shoebox run` does the same where there is no display. No program drives that browser.
    /// Ends with 0 when somebody is signed in, with 3 if not.
    Login {
        /// The browser profile that shall hold the Google login.
        #[arg(long, env = "SHOEBOX_PROFILE", value_name = "DIR")]
        profile: PathBuf,
        #[command(flatten)]
        browser: BrowserArgs,
    },
    /// Fetch everything that is not archived yet, once.
    Sync {
        #[command(flatten)]
        data: Data,
        /// List the whole library, whether that is due or not.
        #[arg(long, env = "SHOEBOX_WHOLE")]
        whole: bool,
        /// Print the report as JSON.
        #[arg(long, env = "SHOEBOX_JSON")]
        json: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Take over what you have already: Takeout zips, folders of other programs, plain folders.
    ///
    /// Nothing is unpacked, and nothing there is changed. What the library has of it, by Google's own hash, is not
    /// downloaded again; the rest is kept beside it. May be stopped and repeated.
    Adopt(adopt::AdoptArgs),
    /// Show the archive as a read-only file system until stopped; with --from, one that is somewhere else.
    Mount(MountArgs),
    /// Free a mount point: take view, guard and dead mounts away and leave an ordinary directory.
    ///
    /// Where a view was and is not, every question gets an error, so that no photo program takes an unready view
    /// for an empty library.
    Unmount {
        /// Where the view was.
        mountpoint: PathBuf,
    },
    /// Print what files say about themselves, each fact with the part of the file that says it.
    ///
    /// Of folders, all files in them. Needs no archive; changes nothing.
    Inspect {
        /// Files or folders.
        #[arg(required = true, value_name = "FILE")]
        paths: Vec<PathBuf>,
        /// Print JSON, one object a line.
        #[arg(long, env = "SHOEBOX_JSON")]
        json: bool,
    },
    /// Record what this version reads better out of the archived files than the version that archived them.
    ///
    /// `shoebox run` does so by itself where no path moves. Where one does (another date, camera or place), it waits for
    /// this command. Nothing is forgotten: what was recorded stays, as do inodes.
    Migrate {
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        views: ViewsFile,
        /// Only show which paths would move.
        #[arg(long, env = "SHOEBOX_DRY_RUN")]
        dry_run: bool,
    },
    /// Do everything: sync on a schedule, show the view, serve the page. What the container starts.
    Run(RunArgs),
    /// Tell what is archived, how the last runs ended and what was set aside.
    Status {
        #[command(flatten)]
        data: Data,
        /// Print JSON.
        #[arg(long, env = "SHOEBOX_JSON")]
        json: bool,
    },
    /// Read everything again and compare it with its hash.
    ///
    /// Goes on where an interrupted verification stopped. `shoebox run` does the same by itself, a little every day.
    Verify(VerifyArgs),
    /// Keep a second copy: send what is new to S3-compatible object storage or to a directory on another disk.
    ///
    /// Only files that are not there yet are sent, and nothing there is deleted. May be stopped and repeated, and run
    /// beside `shoebox run`, which does the same by itself with `--replicate`.
    Replicate(ReplicateArgs),
    /// Show that a replica can be restored: all records, the index out of them, and files drawn at random.
    ///
    /// Everything is hashed; what is restored is removed again. Ends with 1 if anything could not be restored.
    Drill(DrillArgs),
    /// Make an archive out of its replica, in an empty directory.
    ///
    /// May be stopped and repeated.
    Restore(RestoreArgs),
    /// Make a key for an encrypted replica.
    NewKey {
        /// A file that does not exist yet.
        file: PathBuf,
    },
    /// Tell whether everything is there: Google's counts beside the archive's, by month and by album.
    ///
    /// Ends with 0 if everything adds up and nothing is open, with 2 if not, with 1 if something is damaged or
    /// `--since` finds a loss.
    Report {
        #[command(flatten)]
        data: Data,
        /// Print JSON; keep it to hold a later archive against it.
        #[arg(long, env = "SHOEBOX_JSON", conflicts_with = "html")]
        json: bool,
        /// Print a page for the browser.
        #[arg(long, env = "SHOEBOX_HTML")]
        html: bool,
        /// An earlier report, made with --json: is everything of then still there, unaltered?
        #[arg(long, env = "SHOEBOX_SINCE", value_name = "FILE")]
        since: Option<PathBuf>,
    },
    /// Look at what was set aside, or try it again.
    #[command(subcommand)]
    Quarantine(Quarantine),
    /// Look at the views that a mounted archive shows, or try one without mounting.
    #[command(subcommand)]
    View(ViewCommand),
    /// Examine the volume and this machine: can originals be kept safely here, and can a sync and a view work?
    ///
    /// Tries what everything relies on, in a directory of its own that it removes again, and says what to do where
    /// something is lacking. Ends with 1 if something must be mended before anything is archived.
    Doctor {
        /// The archive, or the directory that shall become one; left out, only the machine is examined.
        #[arg(long = "data", env = "SHOEBOX_DATA", value_name = "DIR")]
        data: Option<PathBuf>,
        /// The browser profile that holds the Google login.
        #[arg(long, env = "SHOEBOX_PROFILE", value_name = "DIR")]
        profile: Option<PathBuf>,
        #[command(flatten)]
        browser: BrowserArgs,
        /// Print JSON.
        #[arg(long, env = "SHOEBOX_JSON")]
        json: bool,
    },
    /// Make the index again from the records.
    RebuildIndex(Data),
    /// Copy the archive into plain folders, by date or any other view, with a list of hashes.
    ///
    /// Where the file system can, both share the bytes on the disk. May be stopped and repeated: only what is new is copied.
    Export(ExportArgs),
    /// Tell everybody whom `run` would tell of trouble that it can reach them, at once, and show what came of it.
    Tell {
        #[command(flatten)]
        tell: TellArgs,
        /// The file of accounts of `run`: their owners are told, too.
        #[arg(long, env = "SHOEBOX_ACCOUNTS", value_name = "FILE")]
        accounts: Option<PathBuf>,
        /// A file of certificate authorities to trust beside the system's.
        #[arg(long, env = "SHOEBOX_CA", value_name = "FILE")]
        ca: Option<PathBuf>,
    },
    /// Ask a running `shoebox run` whether it is well (for container health checks).
    Health {
        /// Where its page listens.
        #[arg(long, env = "SHOEBOX_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDR:PORT")]
        listen: SocketAddr,
        #[command(flatten)]
        tls: TlsArg,
    },
}

#[derive(Subcommand, Debug)]
#[expect(clippy::large_enum_variant, reason = "parsed once")]
enum Quarantine {
    /// List the items that are set aside, with the reasons.
    List {
        #[command(flatten)]
        data: Data,
        /// Print JSON.
        #[arg(long, env = "SHOEBOX_JSON")]
        json: bool,
    },
    /// Tell everything about one item, with the evidence.
    Show {
        #[command(flatten)]
        data: Data,
        /// The item's key, as `list` prints it.
        key: String,
    },
    /// Try the items that are set aside again, now, and nothing else.
    Retry {
        #[command(flatten)]
        data: Data,
        /// Print the report as JSON.
        #[arg(long, env = "SHOEBOX_JSON")]
        json: bool,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Subcommand, Debug)]
enum ViewCommand {
    /// List the views, shipped and configured.
    List {
        #[command(flatten)]
        views: ViewsFile,
    },
    /// Check a file of views; every mistake is shown with its place.
    Check {
        /// The file, in TOML.
        file: PathBuf,
    },
    /// Print the paths that a view has for the archive.
    Preview {
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        views: ViewsFile,
        /// Name of a view; not needed with --path.
        #[arg(required_unless_present = "path")]
        name: Option<String>,
        /// A template to try, for example `{year}/{camera}/{name}`.
        #[arg(long, env = "SHOEBOX_PREVIEW_PATH", conflicts_with = "name", value_name = "TEMPLATE")]
        path: Option<String>,
        /// A condition to try with it, for example `favourite and year >= 2020`.
        #[arg(long, env = "SHOEBOX_PREVIEW_SHOW", requires = "path", value_name = "CONDITION")]
        show: Option<String>,
        /// Most paths that are printed.
        #[arg(long, env = "SHOEBOX_PREVIEW_LIMIT", default_value_t = 50, value_name = "N")]
        limit: usize,
    },
}

#[derive(Args, Debug)]
struct ViewsFile {
    /// A file in TOML that changes the shipped views and adds others.
    #[arg(long = "views", env = "SHOEBOX_VIEWS", value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct Data {
    /// The archive.
    #[arg(long = "data", env = "SHOEBOX_DATA", value_name = "DIR")]
    dir: PathBuf,
}

#[derive(Args, Debug)]
struct ViewArgs {
    /// Never let the kernel read the files itself; slower, for debugging.
    #[arg(long, env = "SHOEBOX_NO_PASSTHROUGH")]
    no_passthrough: bool,
    /// Give files extended attributes: hashes, media key, name as uploaded, address at Google, capture time, verdict
    /// (`getfattr -d FILE`). Off by default, because it slows `ls -l` down.
    #[arg(long, env = "SHOEBOX_XATTRS")]
    xattrs: bool,
    /// Let programs write sidecars (`*.xmp`) beside the photos; they are kept in DIR, with every earlier version.
    /// Everything else stays read-only.
    #[arg(long, env = "SHOEBOX_WRITABLE_SIDECARS", value_name = "DIR")]
    writable_sidecars: Option<PathBuf>,
    #[command(flatten)]
    views: ViewsFile,
}

impl ViewArgs {
    fn settings(self) -> ViewSettings {
        ViewSettings {
            passthrough: !self.no_passthrough,
            xattrs: self.xattrs,
            writable_sidecars: self.writable_sidecars,
            views: self.views.file,
        }
    }
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let span = schedule::span(text)?;
    Duration::try_from(span)
        .map_err(|_| "must not be negative".to_owned())
        .and_then(|d| if d.is_zero() { Err("must be longer than nothing".into()) } else { Ok(d) })
}

impl Subcommands {
    fn command(self) -> Result<Command, String> {
        Ok(match self {
            Self::Init(data) => Command::Init { data: data.dir },
            Self::Login { profile, browser } => {
                Command::Login { profile, browser: Box::new(browser.settings()) }
            }
            Self::Sync { data, remote, whole, json } => {
                let listing = if whole { ListingMode::Whole } else { ListingMode::Auto };
                Command::Sync { data: data.dir, settings: Box::new(remote.settings(listing)), json }
            }
            Self::Report { data, json, html, since } => {
                let form = match (json, html) {
                    (true, _) => Form::Json,
                    (_, true) => Form::Html,
                    _ => Form::Text,
                };
                Command::Report { data: data.dir, form, since }
            }
            Self::Quarantine(Quarantine::List { data, json }) => {
                Command::QuarantineList { data: data.dir, json }
            }
            Self::Quarantine(Quarantine::Show { data, key }) => {
                Command::QuarantineShow { data: data.dir, key }
            }
            Self::Quarantine(Quarantine::Retry { data, remote, json }) => {
                let settings = Box::new(remote.settings(ListingMode::SetAside));
                Command::Sync { data: data.dir, settings, json }
            }
            Self::Unmount { mountpoint } => Command::Unmount { mountpoint },
            Self::View(ViewCommand::List { views }) => Command::ViewList { views: views.file },
            Self::Migrate { data, views, dry_run } => {
                Command::Migrate { data: data.dir, views: views.file, dry_run }
            }
            Self::Inspect { paths, json } => Command::Inspect { paths, json },
            Self::View(ViewCommand::Check { file }) => Command::ViewCheck { file },
            Self::View(ViewCommand::Preview { data, views, name, path, show, limit }) => {
                let which = match (name, path) {
                    (_, Some(path)) => Which::Template { path, show: show.unwrap_or_default() },
                    (name, None) => Which::Named(name.unwrap_or_default()),
                };
                Command::ViewPreview { data: data.dir, views: views.file, which, limit }
            }
            Self::Mount(args) => args.command()?,
            // What the page has set is added by whoever knows the arguments.
            Self::Run(_) => return Err("the settings of `run` are read elsewhere".into()),
            Self::Status { data, json } => Command::Status { data: data.dir, json },
            Self::Adopt(args) => args.command(),
            Self::Verify(args) => args.command(),
            Self::Replicate(args) => args.command(),
            Self::Drill(args) => args.command(),
            Self::Restore(args) => args.command(),
            Self::NewKey { file } => Command::NewKey { file },
            Self::Doctor { data, profile, browser, json } => {
                Command::Doctor { data, profile, browser: Box::new(browser.settings()), json }
            }
            Self::RebuildIndex(data) => Command::RebuildIndex { data: data.dir },
            Self::Export(args) => args.command(),
            Self::Health { listen, tls } => Command::Health { listen, tls: tls.tls.is_some() },
            Self::Tell { tell, accounts, ca } => accounts::tell_command(tell, accounts.as_deref(), ca)?,
        })
    }
}

/// Runs the program with the process's own arguments.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<_> = args.into_iter().collect();
    let cli = match parse(&args, &Kept::new()) {
        Ok((cli, _)) => cli,
        Err(Trouble::Variable(why)) => {
            eprintln!("shoebox: {why}");
            return ExitCode::from(exit::USAGE);
        }
        Err(Trouble::Usage(e)) => {
            let code = if e.use_stderr() { exit::USAGE } else { exit::OK };
            // A closed pipe is no reason to complain about a help text.
            let _closed_pipe = e.print();
            return ExitCode::from(code);
        }
    };
    let format = match cli.log_format {
        Format::Text => LogFormat::Text,
        Format::Json => LogFormat::Json,
    };
    telemetry::start(cli.log, format);
    leave_no_memory_images();
    end_with_the_reader();
    let command = match &cli.command {
        Subcommands::Run(run) => {
            let source = Arc::new(Settings::new(args, run.profile()));
            source.read().map(|settings| Command::Run { settings: Box::new(settings), source })
        }
        _ => cli.command.command(),
    };
    let command = match command {
        Ok(command) => command,
        Err(why) => {
            eprintln!("shoebox: {why}");
            return ExitCode::from(exit::USAGE);
        }
    };
    match app::execute(command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("shoebox: {error:#}");
            ExitCode::from(exit::code_of(&error))
        }
    }
}

/// Why there are no settings.
enum Trouble {
    /// The arguments are not understood, or only help was asked for.
    Usage(clap::Error),
    /// A variable names a file that cannot be read.
    Variable(String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Usage(e) => e.fmt(f),
            Self::Variable(why) => f.write_str(why),
        }
    }
}

/// The command line as this environment and what the page has kept leave it.
fn command(kept: &Kept) -> Result<clap::Command, Trouble> {
    let offered = settings::offer(Cli::command(), kept);
    environment::respect(offered, &|name| std::env::var_os(name)).map_err(Trouble::Variable)
}

fn parse(args: &[OsString], kept: &Kept) -> Result<(Cli, ArgMatches), Trouble> {
    let given = command(kept)?.try_get_matches_from(args).map_err(Trouble::Usage)?;
    let cli = Cli::from_arg_matches(&given).map_err(Trouble::Usage)?;
    Ok((cli, given))
}

/// A crash writes no memory image, of this program or of its browser, which holds the account's cookies. One byte is
/// less than any image needs, and, unlike none at all, it also keeps the kernel from handing one to a collector.
fn leave_no_memory_images() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Core).maximum;
    let current = Some(maximum.map_or(1, |most| most.min(1)));
    if let Err(e) = setrlimit(Resource::Core, Rlimit { current, maximum }) {
        tracing::debug!("memory images of crashes could not be forbidden: {e}");
    }
}

/// `shoebox report | head`: who has read enough closes the pipe, which is no reason to complain.
fn end_with_the_reader() {
    let complain = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        if said.starts_with("failed printing to stdout: Broken pipe") {
            std::process::exit(i32::from(exit::OK));
        }
        complain(panic);
    }));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_is_an_environment_variable() {
        fn check(command: &clap::Command) {
            for arg in command.get_arguments() {
                let known = ["help", "version"].contains(&arg.get_id().as_str());
                if !known && arg.get_long().is_some() {
                    let env = arg.get_env().unwrap_or_else(|| panic!("--{:?} has none", arg.get_long()));
                    assert!(env.to_str().unwrap().starts_with("SHOEBOX_"));
                }
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn options_stand_under_the_heading_that_is_theirs() {
        let heading = |command: &str, option: &str| {
            let command = Cli::command().find_subcommand(command).unwrap().clone();
            let arg = command.get_arguments().find(|arg| arg.get_long() == Some(option)).unwrap().clone();
            arg.get_help_heading().map(str::to_owned)
        };
        for (of, option) in
            [("run", "schedule"), ("run", "listen"), ("run", "init"), ("run", "view"), ("sync", "whole")]
        {
            assert_eq!(heading(of, option), None, "{of} --{option}");
        }
        assert_eq!(heading("run", "method").as_deref(), Some("Google Photos"));
        assert_eq!(heading("run", "tell").as_deref(), Some("Telling people"));
    }

    #[test]
    fn times_may_be_days() {
        assert_eq!(duration("7d").unwrap(), Duration::from_secs(7 * 24 * 3600));
        assert_eq!(duration("1h30m").unwrap(), Duration::from_secs(5400));
        for bad in ["0s", "-5m", "soon", "5"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn repeatable_options_are_read_from_both() {
        let parse = |args: &[&str]| Cli::try_parse_from(args).unwrap();
        let cli = parse(&[
            "shoebox",
            "sync",
            "--data",
            "d",
            "--profile",
            "p",
            "--browser-arg",
            "--a=1",
            "--browser-arg=--b",
            "--resolve",
            "*=127.0.0.1:1;x.y=127.0.0.1:2",
        ]);
        let Command::Sync { settings, .. } = cli.command.command().unwrap() else { panic!("not sync") };
        assert_eq!(settings.browser.args, ["--a=1", "--b"]);
        assert_eq!(settings.browser.resolve.len(), 2);
    }
}
