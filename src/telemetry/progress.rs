//! Progress of a sync: a bar with rate and time left on a terminal, a plain line now and then elsewhere.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

use super::BARS;
use crate::sync::progress::{Progress, Snapshot};

/// How often a line is logged where nobody watches.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Shows progress until dropped.
pub struct Shown(JoinHandle<()>);

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts to show the progress of a pass.
pub fn show(progress: Arc<Progress>) -> Shown {
    let started = Instant::now();
    Shown(if std::io::stderr().is_terminal() {
        tokio::spawn(bar(progress, started))
    } else {
        tokio::spawn(lines(progress, started))
    })
}

/// Removes the bar even if its task is ended in the middle.
struct Bar(ProgressBar);

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

async fn bar(progress: Arc<Progress>, started: Instant) {
    let bar = Bar(BARS.get_or_init(MultiProgress::new).add(ProgressBar::new(0)));
    if let Ok(style) = ProgressStyle::with_template("{bar:30.cyan/blue} {msg}") {
        bar.0.set_style(style);
    }
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    loop {
        tick.tick().await;
        let now = progress.snapshot();
        bar.0.set_length(now.wanted.max(1));
        bar.0.set_position(now.archived + now.set_aside);
        bar.0.set_message(line(&now, started.elapsed()));
    }
}

async fn lines(progress: Arc<Progress>, started: Instant) {
    let mut tick = tokio::time::interval(LINE_EVERY);
    tick.tick().await;
    loop {
        tick.tick().await;
        tracing::info!("{}", line(&progress.snapshot(), started.elapsed()));
    }
}

/// `120 of 300 (1.2 GB, 4.1 items/s, 36s left)`; while the listing runs, the total is "so far".
fn line(now: &Snapshot, elapsed: Duration) -> String {
    let pace = now.pace(elapsed);
    let so_far = if now.listing_done { "" } else { " so far" };
    let mut text = format!(
        "{} of {}{so_far} archived ({}, {}/s, {:.1} items/s",
        now.archived,
        now.wanted,
        ByteSize(now.bytes),
        ByteSize(pace.bytes_per_second),
        pace.items_per_second,
    );
    if let Some(left) = pace.left {
        text += &format!(", {left:#} left");
    }
    text += ")";
    if now.kept > 0 {
        text += &format!(", {} there before", now.kept);
    }
    if now.set_aside > 0 {
        text += &format!(", {} set aside", now.set_aside);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_rate_and_time_left() {
        let now = Snapshot {
            listed: 400,
            listing_done: true,
            kept: 100,
            wanted: 300,
            archived: 120,
            bytes: 1 << 30,
            set_aside: 1,
            ..Snapshot::default()
        };
        let text = line(&now, Duration::from_secs(30));
        assert!(text.starts_with("120 of 300 archived (1.0 GiB"), "{text}");
        assert!(text.contains("4.0 items/s, 44s left)"), "{text}");
        assert!(text.ends_with("100 there before, 1 set aside"), "{text}");
    }
}
