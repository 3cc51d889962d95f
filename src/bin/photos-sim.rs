//! The simulated Google Photos as a program, for demos and for tests across processes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use shoebox::remote::browser::launch::BrowserSettings;
use shoebox::sim::fake::FakeLibrary;
use shoebox::sim::takeout::{Form, Takeout};
use shoebox::sim::{
    self, BANNER, Fault, FaultRule, FileBytes, Language, LiveAs, RequestClass, Screen, Sim, SimConfig, When,
};

/// The simulated Google Photos: every host on one TLS port, a library from a seed.
#[derive(Parser)]
#[command(name = "photos-sim", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until stopped.
    Serve {
        /// Where every host is.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// Where the control port is; none if left out.
        #[arg(long)]
        admin: Option<SocketAddr>,
        /// Items in the library.
        #[arg(long, default_value_t = 300)]
        items: usize,
        /// Items that others share with the account.
        #[arg(long, default_value_t = 0)]
        shared: usize,
        /// Seed of everything.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Whose library it is: others with the same seed have the same photos under keys of their own.
        #[arg(long, default_value_t = 0)]
        person: u64,
        /// Items of the first person's library, an album of which is shared with this account.
        #[arg(long, default_value_t = 0)]
        family: usize,
        /// Directory for the certificate authority, the ledger and the address.
        #[arg(long)]
        state: PathBuf,
        /// Width of drawn photos, pixels.
        #[arg(long, default_value_t = 720, value_parser = clap::value_parser!(u32).range(60..=6000))]
        picture_width: u32,
        /// Make every file a JPEG of exactly so many bytes.
        #[arg(long)]
        file_bytes: Option<u64>,
        /// Hand out the video half of Live Photos by an address of its own instead of in a zip.
        #[arg(long)]
        live_clips: bool,
        /// Share of items whose files are on the host that wants cookies.
        #[arg(long, default_value_t = 0.35)]
        fife_share: f64,
        /// Let files be asked for from the middle on.
        #[arg(long)]
        ranges: bool,
        /// Give some items names at which most other clients stop: a path, half a character.
        #[arg(long)]
        unsavable_names: bool,
        /// Language of the account: en, en-US, en-GB, nl, es, de or pl.
        #[arg(long, default_value = "en")]
        language: Language,
        /// Screens of a sign-in, in order: chooser, disambiguate, confirm, identifier, password, device,
        /// passkey, rejected.
        #[arg(long, value_delimiter = ',', default_value = "identifier,password")]
        sign_in: Vec<Screen>,
        /// Share of videos that are still processed and cannot be downloaded.
        #[arg(long, default_value_t = 0.0)]
        processing: f64,
        /// Delay of every answer, in milliseconds.
        #[arg(long, default_value_t = 0)]
        latency: u64,
        /// A line of the fault script, for example `download status=429/2 p=0.05`; repeatable.
        #[arg(long)]
        fault: Vec<FaultRule>,
    },
    /// Write what Google Takeout would make of the library that `serve` shows with the same numbers.
    Takeout {
        /// Where to.
        dir: PathBuf,
        /// Items in the library.
        #[arg(long, default_value_t = 300)]
        items: usize,
        /// Seed of everything.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Width of drawn photos, pixels.
        #[arg(long, default_value_t = 720, value_parser = clap::value_parser!(u32).range(60..=6000))]
        picture_width: u32,
        /// Make every file a JPEG of exactly so many bytes.
        #[arg(long)]
        file_bytes: Option<u64>,
        /// As tars packed with gzip instead of zips.
        #[arg(long)]
        tgz: bool,
        /// Name the JSON files as until 2024.
        #[arg(long)]
        old_names: bool,
    },
    /// Make a signed-in browser profile against a running simulator.
    SignIn {
        /// The running simulator's state directory.
        #[arg(long)]
        state: PathBuf,
        /// The profile.
        #[arg(long)]
        profile: PathBuf,
        /// The browser; found by itself if left out.
        #[arg(long)]
        browser: Option<PathBuf>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("photos-sim: {e}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), Box<dyn std::error::Error>> {
    match command {
        Command::Takeout { dir, items, seed, picture_width, file_bytes, tgz, old_names } => {
            let file_bytes = file_bytes.map_or(FileBytes::Natural, FileBytes::Fixed);
            let library = FakeLibrary::new(SimConfig {
                items,
                seed,
                picture_width,
                file_bytes,
                ..SimConfig::default()
            });
            let form = if tgz { Form::Tgz } else { Form::Zip };
            let files = Takeout { form, old_names, ..Takeout::default() }.export(library.library(), &dir)?;
            println!("{} files are in {}", files.len(), dir.display());
        }
        Command::Serve {
            listen,
            admin,
            items,
            shared,
            seed,
            person,
            family,
            state,
            picture_width,
            file_bytes,
            live_clips,
            fife_share,
            ranges,
            unsavable_names,
            language,
            sign_in,
            processing,
            latency,
            fault,
        } => {
            let config = SimConfig {
                items,
                shared,
                seed,
                person,
                family,
                picture_width,
                file_bytes: file_bytes.map_or(FileBytes::Natural, FileBytes::Fixed),
                live: if live_clips { LiveAs::Clip } else { LiveAs::Zip },
                fife_share,
                ranges,
                unsavable_names,
                language,
                sign_in,
                processing,
                listen,
                admin,
                state: Some(state),
                ..SimConfig::default()
            };
            let sim = Sim::start(config).await?;
            for class in [RequestClass::Document, RequestClass::Rpc(None), RequestClass::Download] {
                if latency > 0 {
                    let delay = Fault::Latency(Duration::from_millis(latency));
                    sim.faults().set(FaultRule::new(class, delay, When::Always));
                }
            }
            fault.into_iter().for_each(|rule| sim.faults().set(rule));
            println!("{BANNER}, {items} items, at {}", sim.address());
            let mut stop = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
            tokio::select! {
                _ = stop.recv() => {}
                stopped = tokio::signal::ctrl_c() => stopped?,
            }
        }
        Command::SignIn { state, profile, browser } => {
            let browser = BrowserSettings { program: browser, ..Default::default() }.find_program()?;
            std::fs::create_dir_all(&profile)?;
            sim::sign_in_from_state(&state, &browser, &profile).await?;
            println!("{} is signed in", profile.display());
        }
    }
    Ok(())
}
