//! What a person sees while it runs: log lines, and a progress bar where somebody watches.

pub mod progress;

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, OnceLock};

use indicatif::MultiProgress;
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Bars on the terminal; log lines go above them.
static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// Starts logging to standard error.
///
/// The protocol crate is kept quiet at every level: its debug lines quote raw messages, cookies included.
pub fn start(level: Level, format: LogFormat) {
    let filter = format!("warn,shoebox={level},chromiumoxide=off,fuser=warn", level = level.as_str());
    let filter = EnvFilter::new(filter.to_ascii_lowercase());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(AboveBars)
        .with_ansi(io::stderr().is_terminal());
    let started = match format {
        LogFormat::Text => subscriber.with_target(false).with_timer(Clock).try_init(),
        LogFormat::Json => subscriber.json().with_timer(Clock).try_init(),
    };
    if let Err(e) = started {
        eprintln!("shoebox: logging was started already: {e}");
    }
}

/// UTC, to the second: jiff already knows the time, no other library is needed for it.
struct Clock;

impl tracing_subscriber::fmt::time::FormatTime for Clock {
    fn format_time(&self, w: &mut tracing_subscriber::fmt::format::Writer<'_>) -> std::fmt::Result {
        write!(w, "{}", jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}

struct AboveBars;

impl<'a> MakeWriter<'a> for AboveBars {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(Vec::new())
    }
}

/// Collects one event and prints it whole, above any bar.
struct Line(Vec<u8>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The end of what was logged since [`record`], for whoever wants to know how a run went.
static RECORD: Mutex<Option<Vec<u8>>> = Mutex::new(None);
/// Most that is kept of it, bytes.
const MOST_RECORDED: usize = 100_000;

/// Keeps what is logged from now on; what was kept before is forgotten.
pub fn record() {
    *RECORD.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(Vec::new());
}

/// What was logged since [`record`], at most the last 100 KB.
pub fn recorded() -> String {
    let kept = RECORD.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take().unwrap_or_default();
    String::from_utf8_lossy(&kept).into_owned()
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(kept) = RECORD.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).as_mut() {
            kept.extend_from_slice(&self.0);
            let excess = kept.len().saturating_sub(MOST_RECORDED);
            kept.drain(..excess);
        }
        let print = || {
            // Nobody is left to be told that standard error is closed.
            let _closed = io::stderr().write_all(&self.0);
        };
        match BARS.get() {
            Some(bars) => bars.suspend(print),
            None => print(),
        }
    }
}
