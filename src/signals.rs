//! Signals: the first stop request asks, the second one ends at once; a hangup has the settings read again.

use std::sync::Arc;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::exit;

/// A token that SIGTERM or SIGINT cancels. A second signal ends the process without waiting: every state
/// on disk is one that the next start knows how to read.
pub fn stop_token() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let stop = token.clone();
    thread::Builder::new().name("signals".into()).spawn(move || {
        for _signal in signals.forever() {
            if stop.is_cancelled() {
                std::process::exit(exit::INTERRUPTED.into());
            }
            tracing::info!("stopping; a second signal ends at once");
            stop.cancel();
        }
    })?;
    Ok(token)
}

/// Rings whenever SIGHUP comes: the settings are to be read again.
pub fn on_hangup(bell: Arc<Notify>) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGHUP])?;
    thread::Builder::new().name("hangups".into()).spawn(move || {
        for _signal in signals.forever() {
            bell.notify_one();
        }
    })?;
    Ok(())
}
