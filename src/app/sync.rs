//! `shoebox sync`, and the pass that `shoebox run` repeats.

use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{SyncSettings, filled};
use crate::archive::Archive;
use crate::exit;
use crate::model::name::{printable, printable_json};
use crate::remote::browser::profile;
use crate::remote::google::{GooglePhotos, GoogleSettings};
use crate::remote::{RemoteError, RemoteLibrary as _};
use crate::signals;
use crate::sync::progress::Progress;
use crate::sync::report::{Outcome, SyncReport};
use crate::{sync, telemetry};

/// One pass, then the report.
pub async fn once(data: &Path, settings: SyncSettings, json: bool) -> anyhow::Result<u8> {
    let stop = signals::stop_token()?;
    let archive = Arc::new(super::open(data)?);
    let progress = Arc::new(Progress::default());
    let report = pass(&archive, &settings, &progress, &stop).await?;
    super::close(archive)?;
    if json {
        println!("{}", printable_json(&serde_json::to_string(&report)?));
    } else {
        println!("{}", printable(&report.sentence()));
    }
    Ok(exit::code_of_sync(report.outcome()))
}

/// Connects, runs one pass, disconnects.
pub async fn pass(
    archive: &Arc<Archive>,
    settings: &SyncSettings,
    progress: &Arc<Progress>,
    stop: &CancellationToken,
) -> Result<SyncReport, RemoteError> {
    filled::refuse_other(&settings.profile, archive.store.id(), archive.store.root())?;
    let google = GoogleSettings {
        browser: settings.browser.clone(),
        profile: settings.profile.clone(),
        folder: archive.store.tmp_dir(),
        evidence: Some(archive.store.quarantine_dir()),
        method: settings.method,
        lanes: settings.options.limits.workers,
        stall: settings.stall,
    };
    let started = super::clock().now();
    let connected = tokio::select! {
        connected = GooglePhotos::connect(google) => connected,
        () = stop.cancelled() => {
            profile::end_browser_on(&settings.profile).await;
            return Ok(SyncReport::new(progress, Outcome::Interrupted, started, super::clock().now()));
        }
    };
    let google = match connected {
        Ok(google) => Arc::new(google),
        Err(RemoteError::SignedOut { evidence }) => {
            let outcome = Outcome::SignInNeeded(evidence);
            return Ok(SyncReport::new(progress, outcome, started, super::clock().now()));
        }
        Err(e) => return Err(e),
    };
    let account = google.email().map_or_else(|| google.account(), str::to_owned);
    // Two profiles of one account would be each other's echo.
    let name = settings.options.name.as_deref().unwrap_or_default();
    if let Err(other) = settings.options.shared.is_signed_in(name, &account) {
        google.close().await;
        let outcome =
            Outcome::SignInNeeded(format!("this is the Google account of {other}, not another one"));
        return Ok(SyncReport::new(progress, outcome, started, super::clock().now()));
    }
    filled::remember(&settings.profile, archive.store.id())?;
    tracing::info!(account = google.email().unwrap_or("unknown"), "signed in; listing the library");
    let shown = telemetry::progress::show(Arc::clone(progress));
    let mut report = sync::run(
        Arc::clone(archive),
        Arc::clone(&google),
        super::clock(),
        settings.options.clone(),
        Arc::clone(progress),
        stop.clone(),
    )
    .await;
    drop(shown);
    report.account = Some(account);
    report.renewal_refused = google.is_renewal_refused();
    report.changes = google.changes();
    google.close().await;
    Ok(report)
}
