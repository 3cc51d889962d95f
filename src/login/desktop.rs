//! Signing in on a desktop: the same browser on the same profile, on the person's own display.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::desk::{self, SETTLE};
use super::{Login, finding};
use crate::model::Clock;
use crate::remote::RemoteError;
use crate::remote::browser::cookie_jar;
use crate::remote::browser::launch::BrowserSettings;
use crate::remote::browser::profile::{self, Profile};
use crate::remote::browser::sign_in::OwnDisplay;
use crate::remote::google;

/// How a sign-in on the desktop ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Signed in, as this account.
    SignedIn(String),
    /// The person, or whoever else, asked to stop.
    Stopped,
}

/// Shows the browser on the profile until somebody has signed in or closed it, then looks who is signed in, and keeps
/// that beside the profile. `run` is a directory for whatever the browser would download.
///
/// # Errors
/// Without a display, with a profile that is in use, and when nobody is signed in after all.
pub async fn sign_in(
    browser: &BrowserSettings,
    path: &Path,
    run: &Path,
    clock: &dyn Clock,
    stop: &CancellationToken,
) -> Result<Ended, RemoteError> {
    // First of all: without one, no profile is begun.
    OwnDisplay::is_there()?;
    let profile = take(path).await?;
    let before = cookie_jar::signed_in_at(profile.path());
    let started = tokio::select! {
        started = OwnDisplay::start(browser, profile) => started?,
        // A browser may have to be fetched, and nobody waits for that.
        () = stop.cancelled() => return Ok(Ended::Stopped),
    };
    tracing::info!("a browser is open: sign in to Google there; it closes by itself");
    tokio::select! {
        closed = started.closed() => closed?,
        () = async { desk::logged_in(path, before).await; tokio::time::sleep(SETTLE).await } => {}
        () = stop.cancelled() => {}
    }
    let profile = started.finish().await;
    if stop.is_cancelled() {
        return Ok(Ended::Stopped);
    }
    tracing::info!("the browser is closed; looking who is signed in");
    let visited = tokio::select! {
        visited = google::visit(browser, &profile, run) => visited,
        () = stop.cancelled() => {
            drop(profile);
            profile::end_browser_on(path).await;
            return Ok(Ended::Stopped);
        }
    };
    let mut login = Login::load(path, clock.now());
    login.observe(finding(&visited, browser), clock.now());
    if let Err(e) = login.save(path) {
        tracing::warn!("how the login stands could not be kept in {}: {e}", path.display());
    }
    visited.map(|visit| Ended::SignedIn(visit.account.email.unwrap_or(visit.account.id)))
}

async fn take(path: &Path) -> Result<Profile, RemoteError> {
    let path = path.to_owned();
    let taken = tokio::task::spawn_blocking(move || Profile::take(&path)).await;
    taken.map_err(|e| RemoteError::Browser(e.to_string()))?
}
