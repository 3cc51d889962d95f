//! `shoebox run`: what the container starts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{RunSettings, filled, mount, sync, upkeep};
use crate::archive::Archive;
use crate::exit;
use crate::serve::{self, State};
use crate::signals;
use crate::sync::progress::Progress;
use crate::sync::report::{Outcome, SyncReport};

/// How often a full volume is looked at.
const LOOK_FOR_ROOM: Duration = Duration::from_secs(10);
/// How long the end waits for a file that is being read.
const LAST_READ: Duration = Duration::from_secs(3);

/// Syncs on schedule, shows the view and the status page until asked to stop.
pub async fn until_stopped(settings: RunSettings) -> anyhow::Result<u8> {
    let stop = signals::stop_token()?;
    if let Some(view) = &settings.view {
        // First of all: whatever goes wrong now, nobody takes it for an empty library.
        crate::view::mountpoint::prepare(view, &settings.data)?;
    }
    if settings.init && is_empty(&settings.data) {
        filled::refuse_second(&settings.sync.profile, &settings.data)?;
        super::make_archive(&settings.data)?;
        tracing::info!("made a new archive in {}", settings.data.display());
    }
    let archive = Arc::new(super::open(&settings.data)?);
    filled::refuse_other(&settings.sync.profile, archive.store.id(), &settings.data)?;
    let listener = tokio::net::TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen on {}", settings.listen))?;
    let mounted = match &settings.view {
        Some(view) => {
            let (archive, view) = (Arc::clone(&archive), view.clone());
            let how = settings.view_settings.clone();
            Some(tokio::task::spawn_blocking(move || mount::start(&archive, &view, &how)).await??)
        }
        None => None,
    };
    let state = Arc::new(State::new(Arc::clone(&archive), settings.view.clone()));
    tracing::info!("the status page is at http://{}/", listener.local_addr()?);
    let page = tokio::spawn(serve::web::serve(listener, Arc::clone(&state), stop.clone()));
    let passed = Arc::new(Notify::new());
    let kept =
        upkeep::keep_up(Arc::clone(&archive), settings.upkeep.clone(), Arc::clone(&passed), stop.clone());
    repeat(&settings, &archive, &state, &passed, &stop).await;
    // A file that is being read may be large: nobody waits for it, and what was not saved is read again.
    let _in_time = tokio::time::timeout(LAST_READ, kept).await;
    page.await?.context("the status page failed")?;
    if let Some(mounted) = mounted {
        tokio::task::spawn_blocking(move || mounted.stop()).await??;
    }
    drop(state);
    super::close(archive)?;
    Ok(exit::OK)
}

fn is_empty(dir: &std::path::Path) -> bool {
    match std::fs::read_dir(dir) {
        // A fresh ext4 volume holds this and nothing else.
        Ok(entries) => entries.flatten().all(|entry| entry.file_name() == "lost+found"),
        Err(e) => e.kind() == std::io::ErrorKind::NotFound,
    }
}

/// Waits until the volume has room again, for as long as the next pass is away.
async fn wait_for_room(
    archive: &Archive,
    needed: u64,
    until: tokio::time::Instant,
    stop: &CancellationToken,
) {
    while archive.store.has_room_for(needed).is_err() && tokio::time::Instant::now() < until {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_FOR_ROOM) => {}
        }
    }
    if tokio::time::Instant::now() < until {
        tracing::info!("the volume has room again; going on");
    }
}

/// While nobody is signed in, Google is asked no more often than this: asking does not mend it.
const BETWEEN_PROBES: Duration = Duration::from_secs(3600);

async fn repeat(
    settings: &RunSettings,
    archive: &Arc<Archive>,
    state: &State,
    passed: &Notify,
    stop: &CancellationToken,
) {
    let mut last = None;
    loop {
        let began = tokio::time::Instant::now();
        let progress = Arc::new(Progress::default());
        state.begins(Arc::clone(&progress));
        let ended = sync::pass(archive, &settings.sync, &progress, stop).await.map_err(|e| e.to_string());
        match &ended {
            Err(e) => tracing::error!("the run could not start: {e}"),
            Ok(report) if needs_sign_in(&ended) => {
                // Said once: the same line every hour is one that nobody reads.
                if last.as_ref().is_some_and(needs_sign_in) {
                    tracing::debug!("{}", report.sentence());
                } else {
                    tracing::warn!("{}", report.sentence());
                }
            }
            Ok(report) => tracing::info!("{}", report.sentence()),
        }
        let next = began + pause(&ended, settings.every);
        state.ended(ended.clone());
        passed.notify_one();
        if let Ok(report) = &ended
            && let Outcome::DiskFull { needed, .. } = report.outcome()
        {
            wait_for_room(archive, *needed, next, stop).await;
            if !stop.is_cancelled() {
                last = Some(ended);
                continue;
            }
        }
        last = Some(ended);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

fn needs_sign_in(ended: &Result<SyncReport, String>) -> bool {
    ended.as_ref().is_ok_and(|report| matches!(report.outcome(), Outcome::SignInNeeded(_)))
}

/// Time from the beginning of a pass to that of the next.
fn pause(ended: &Result<SyncReport, String>, every: Duration) -> Duration {
    if needs_sign_in(ended) { every.max(BETWEEN_PROBES) } else { every }
}

/// Asks a running `run` whether it is well.
pub async fn health(listen: SocketAddr) -> anyhow::Result<u8> {
    crate::remote::net::install_tls();
    let mut at = listen;
    if at.ip().is_unspecified() {
        at.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
    let answer = client
        .get(format!("http://{at}/healthz"))
        .send()
        .await
        .with_context(|| format!("no `shoebox run` answers on {at}"))?;
    let well = answer.status().is_success();
    print!("{}", answer.text().await?);
    Ok(if well { exit::OK } else { exit::FAILURE })
}
