//! The command line. clap stops here: everything behind it takes plain settings.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::app::proof::Form;
use crate::app::views::Which;
use crate::app::{self, Command, RunSettings, SyncSettings, ViewSettings};
use crate::exit;
use crate::remote::browser::launch::{BrowserSettings, Display};
use crate::remote::google::Method;
use crate::remote::net::ResolveRule;
use crate::sync::albums::Wanted;
use crate::sync::pace::Limits;
use crate::sync::quiet::QuietHours;
use crate::sync::{ListingMode, SyncOptions};
use crate::telemetry::{self, LogFormat};

/// Archives every original of a Google Photos library, proves it, and serves it as a read-only file system.
///
/// Start with `shoebox init --data DIR`, sign in to Google with the browser on the profile you will use, then
/// `shoebox sync`. Every option can also be given as an environment variable.
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
enum Subcommands {
    /// Make a new, empty archive.
    ///
    /// The only command that does: a missing or empty volume never silently becomes a second archive.
    Init(Data),
    /// Fetch everything that is not archived yet, once.
    Sync {
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        remote: Remote,
        /// List the whole library, whether that is due or not.
        #[arg(long, env = "SHOEBOX_WHOLE")]
        whole: bool,
        /// Print the report as JSON.
        #[arg(long, env = "SHOEBOX_JSON")]
        json: bool,
    },
    /// Show the archive as a read-only file system until stopped.
    Mount {
        #[command(flatten)]
        data: Data,
        /// An empty directory.
        mountpoint: PathBuf,
        #[command(flatten)]
        view: ViewArgs,
    },
    /// Free a mount point: take view, guard and dead mounts away and leave an ordinary directory.
    ///
    /// Where a view was and is not, every question gets an error, so that no photo program takes an unready view
    /// for an empty library.
    Unmount {
        /// Where the view was.
        mountpoint: PathBuf,
    },
    /// Do everything: sync on a schedule, show the view, serve the status page. What the container starts.
    Run {
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        remote: Remote,
        /// Where to show the view; left out, there is none.
        #[arg(long, env = "SHOEBOX_VIEW", value_name = "MOUNTPOINT")]
        view: Option<PathBuf>,
        #[command(flatten)]
        view_args: ViewArgs,
        /// Where the status page listens.
        #[arg(long, env = "SHOEBOX_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDR:PORT")]
        listen: SocketAddr,
        /// Time from the start of one sync to the start of the next, for example `6h` or `1d`.
        #[arg(long, env = "SHOEBOX_EVERY", default_value = "6h", value_parser = duration, value_name = "TIME")]
        every: Duration,
        /// Make the archive first if the data directory is empty.
        #[arg(long, env = "SHOEBOX_INIT")]
        init: bool,
    },
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
    /// Goes on where an interrupted verification stopped.
    Verify {
        #[command(flatten)]
        data: Data,
        /// Begin at the beginning, whatever an earlier verification did.
        #[arg(long, env = "SHOEBOX_VERIFY_AFRESH")]
        afresh: bool,
        /// Print JSON.
        #[arg(long, env = "SHOEBOX_JSON")]
        json: bool,
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
    /// Make the index again from the records.
    RebuildIndex(Data),
    /// Copy the archive into plain folders by date.
    Export {
        #[command(flatten)]
        data: Data,
        /// Where to; outside the archive.
        target: PathBuf,
    },
    /// Ask a running `shoebox run` whether it is well (for container health checks).
    Health {
        /// Where its status page listens.
        #[arg(long, env = "SHOEBOX_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDR:PORT")]
        listen: SocketAddr,
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
        #[command(flatten)]
        remote: Remote,
        /// Print the report as JSON.
        #[arg(long, env = "SHOEBOX_JSON")]
        json: bool,
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

#[derive(Args, Debug)]
#[command(next_help_heading = "Google Photos")]
struct Remote {
    /// The browser profile that holds the Google login.
    #[arg(long, env = "SHOEBOX_PROFILE", value_name = "DIR")]
    profile: PathBuf,
    /// How files are fetched.
    #[arg(long, env = "SHOEBOX_METHOD", default_value = "rpc", value_name = "METHOD")]
    method: MethodArg,
    /// Most downloads at the same time; fewer while Google is slow or refuses.
    #[arg(long, env = "SHOEBOX_WORKERS", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32), value_name = "N")]
    workers: u8,
    /// Attempts per file before it is set aside until the next run.
    #[arg(long, env = "SHOEBOX_ATTEMPTS", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=20), value_name = "N")]
    attempts: u8,
    /// Silence after which a transfer is given up and tried again.
    #[arg(long, env = "SHOEBOX_STALL", default_value = "20s", value_parser = duration, value_name = "TIME")]
    stall: Duration,
    /// Longest wait between attempts.
    #[arg(long, env = "SHOEBOX_LONGEST_WAIT", default_value = "2m", value_parser = duration, value_name = "TIME")]
    longest_wait: Duration,
    /// Most requests for lists and addresses per second, in the long run. Two are known to go well for days.
    #[arg(long, env = "SHOEBOX_CALLS_PER_SECOND", default_value_t = 2.0, value_parser = rate, value_name = "N")]
    calls_per_second: f64,
    /// Most bytes per second, all downloads together, for example `5MB`; unlimited if left out.
    #[arg(long, env = "SHOEBOX_BANDWIDTH", value_name = "SIZE")]
    bandwidth: Option<bytesize::ByteSize>,
    /// Hours of every day in which nothing is asked of Google, by the local clock, for example `18:00-23:30`.
    #[arg(long, env = "SHOEBOX_QUIET_HOURS", value_name = "FROM-TO")]
    quiet_hours: Option<QuietHours>,
    /// Age of the last complete listing at which the whole library is listed again; in between, only what is
    /// new is looked for.
    #[arg(long, env = "SHOEBOX_WHOLE_EVERY", default_value = "7d", value_parser = duration, value_name = "TIME")]
    whole_every: Duration,
    /// A shared album to archive too, by title or by the key in its address; `partner/KEY` for a partner's
    /// library; repeatable, or separated by `;`.
    #[arg(long, env = "SHOEBOX_ALBUMS", value_delimiter = ';', value_name = "ALBUM")]
    albums: Vec<String>,
    /// Archive every album that others share with the account.
    #[arg(long, env = "SHOEBOX_INCLUDE_SHARED")]
    include_shared: bool,
    /// The browser to use; found by itself if left out.
    #[arg(long, env = "SHOEBOX_BROWSER", value_name = "PATH")]
    browser: Option<PathBuf>,
    /// How the browser shows itself.
    #[arg(long, env = "SHOEBOX_DISPLAY", default_value = "auto", value_name = "DISPLAY")]
    display: DisplayArg,
    /// Memory beyond which the browser is replaced by a fresh one.
    #[arg(long, env = "SHOEBOX_BROWSER_MEMORY", default_value = "4GB", value_name = "SIZE")]
    browser_memory: bytesize::ByteSize,
    /// A further argument for the browser; repeatable, or separated by `;`.
    #[arg(
        long,
        env = "SHOEBOX_BROWSER_ARG",
        value_delimiter = ';',
        allow_hyphen_values = true,
        value_name = "ARG"
    )]
    browser_arg: Vec<String>,
    /// Hosts that match PATTERN (`*` allowed) are at this address; repeatable, or separated by `;`.
    #[arg(long, env = "SHOEBOX_RESOLVE", value_delimiter = ';', value_name = "PATTERN=ADDR:PORT")]
    resolve: Vec<ResolveRule>,
    /// A PEM file with further certificates to trust.
    #[arg(long, env = "SHOEBOX_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MethodArg {
    /// Signed addresses directly where no cookies are needed, else through the browser.
    Rpc,
    /// Everything through the browser's own downloader.
    Browser,
    /// As a person would: the grid, the photo viewer and the keyboard, without any call of our own. Slow, and
    /// without albums; also what single steps fall back to when Google changes a call.
    Viewer,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DisplayArg {
    /// With a window on a virtual display where one can be started, else headless.
    Auto,
    /// With a window on a virtual display.
    Virtual,
    /// Headless.
    Headless,
}

fn duration(text: &str) -> Result<Duration, String> {
    let bad = |_| format!("`{text}` is not a time such as 20s, 5m, 6h or 7d");
    let span: jiff::Span = text.parse().map_err(bad)?;
    let span = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(bad)?;
    Duration::try_from(span)
        .map_err(|_| "must not be negative".to_owned())
        .and_then(|d| if d.is_zero() { Err("must be longer than nothing".into()) } else { Ok(d) })
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if (0.01..=1000.0).contains(&rate) { Ok(rate) } else { Err("must be from 0.01 to 1000".into()) }
}

impl Remote {
    fn settings(self, listing: ListingMode) -> SyncSettings {
        SyncSettings {
            profile: self.profile,
            browser: BrowserSettings {
                program: self.browser,
                args: self.browser_arg,
                resolve: self.resolve,
                ca: self.ca,
                display: match self.display {
                    DisplayArg::Auto => Display::Auto,
                    DisplayArg::Virtual => Display::Virtual,
                    DisplayArg::Headless => Display::Headless,
                },
                most_memory: Some(self.browser_memory.as_u64()),
            },
            method: match self.method {
                MethodArg::Rpc => Method::Rpc,
                MethodArg::Browser => Method::Browser,
                MethodArg::Viewer => Method::Viewer,
            },
            stall: self.stall,
            options: SyncOptions {
                limits: Limits {
                    workers: self.workers.into(),
                    calls_per_second: self.calls_per_second,
                    bandwidth: self.bandwidth.map(|size| size.as_u64().max(1)),
                    quiet: self.quiet_hours,
                    longest_wait: self.longest_wait,
                },
                attempts: self.attempts.into(),
                listing,
                whole_every: self.whole_every,
                albums: Wanted { all: self.include_shared, named: self.albums },
                ..SyncOptions::default()
            },
        }
    }
}

impl Subcommands {
    fn command(self) -> Command {
        match self {
            Self::Init(data) => Command::Init { data: data.dir },
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
            Self::View(ViewCommand::Check { file }) => Command::ViewCheck { file },
            Self::View(ViewCommand::Preview { data, views, name, path, show, limit }) => {
                let which = match (name, path) {
                    (_, Some(path)) => Which::Template { path, show: show.unwrap_or_default() },
                    (name, None) => Which::Named(name.unwrap_or_default()),
                };
                Command::ViewPreview { data: data.dir, views: views.file, which, limit }
            }
            Self::Mount { data, mountpoint, view } => {
                Command::Mount { data: data.dir, mountpoint, view: view.settings() }
            }
            Self::Run { data, remote, view, view_args, listen, every, init } => {
                Command::Run(Box::new(RunSettings {
                    data: data.dir,
                    sync: remote.settings(ListingMode::Auto),
                    view,
                    view_settings: view_args.settings(),
                    listen,
                    every,
                    init,
                }))
            }
            Self::Status { data, json } => Command::Status { data: data.dir, json },
            Self::Verify { data, afresh, json } => Command::Verify { data: data.dir, afresh, json },
            Self::RebuildIndex(data) => Command::RebuildIndex { data: data.dir },
            Self::Export { data, target } => Command::Export { data: data.dir, target },
            Self::Health { listen } => Command::Health { listen },
        }
    }
}

/// Runs the program with the process's own arguments.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(e) => {
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
    end_with_the_reader();
    match app::execute(cli.command.command()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("shoebox: {error:#}");
            ExitCode::from(exit::code_of(&error))
        }
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
    use clap::CommandFactory;

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
        let Command::Sync { settings, .. } = cli.command.command() else { panic!("not sync") };
        assert_eq!(settings.browser.args, ["--a=1", "--b"]);
        assert_eq!(settings.browser.resolve.len(), 2);
    }
}
