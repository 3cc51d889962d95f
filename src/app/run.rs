//! `shoebox run`: what the container starts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::rounds::{Ended, Rounds, wait_until};
use super::tell::{self, Tell};
use super::{RunSettings, filled, mount, sync, upkeep};
use crate::archive::Archive;
use crate::exit;
use crate::model::{Clock as _, SystemClock};
use crate::schedule::Schedule;
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
    let told = settings.sync.profile.join("shoebox-told.json");
    let client = tell::client(settings.sync.browser.ca.as_deref())?;
    let tell = Arc::new(Tell::new(settings.tell.clone(), client, &told, super::clock()));
    let kept = upkeep::keep_up(
        Arc::clone(&archive),
        settings.upkeep.clone(),
        Arc::clone(&passed),
        Arc::clone(&tell),
        stop.clone(),
    );
    repeat(&settings, &archive, &state, &tell, &passed, &stop).await?;
    // A file that is being read may be large: nobody waits for it, and what was not saved is read again.
    let _in_time = tokio::time::timeout(LAST_READ, kept).await;
    if let Ok(tell) = Arc::try_unwrap(tell) {
        tell.finish().await;
    }
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

async fn repeat(
    settings: &RunSettings,
    archive: &Arc<Archive>,
    state: &State,
    tell: &Tell,
    passed: &Notify,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let clock = SystemClock;
    let runs = archive.index.reader()?.last_runs(1)?;
    let mut rounds =
        Rounds::after(&runs, settings.schedule.clone(), settings.jitter, jiff::tz::TimeZone::system());
    let mut next = rounds.next(clock.now());
    let mut before = None;
    tracing::info!("{}", plan(&settings.schedule, next, clock.now()));
    if settings.schedule.is_hasty() {
        tracing::warn!("so many runs bring nothing, and Google may take them amiss: every hour is plenty");
    }
    loop {
        state.due(next);
        wait_until(next, &clock, stop).await;
        if stop.is_cancelled() {
            return Ok(());
        }
        let began = clock.now();
        let run = tell.run_begins();
        let progress = Arc::new(Progress::default());
        state.begins(Arc::clone(&progress));
        let ended = sync::pass(archive, &settings.sync, &progress, stop).await.map_err(|e| e.to_string());
        let how = Ended::of(ended.as_ref().ok().map(SyncReport::outcome));
        match &ended {
            Err(e) => tracing::error!("the run could not start: {e}"),
            // Said once: the same line every hour is one that nobody reads.
            Ok(report) if how == Ended::SignInNeeded && before == Some(how) => {
                tracing::debug!("{}", report.sentence());
            }
            Ok(report) if how == Ended::SignInNeeded => tracing::warn!("{}", report.sentence()),
            Ok(report) => tracing::info!("{}", report.sentence()),
        }
        tell.run_ended(run, &ended);
        next = rounds.ended(began, how, clock.now());
        before = Some(how);
        state.ended(ended.clone());
        state.due(next);
        passed.notify_one();
        if let Ok(report) = &ended
            && let Outcome::DiskFull { needed, .. } = report.outcome()
            && has_room_before(next, archive, *needed, &clock, stop).await
        {
            next = clock.now();
        }
    }
}

/// What the log says at the start.
fn plan(schedule: &Schedule, next: Timestamp, now: Timestamp) -> String {
    let when = if next <= now {
        "begins now".to_owned()
    } else {
        format!("begins at {}", next.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M %Z"))
    };
    format!("runs by the schedule `{}`; the next one {when}", schedule.text())
}

/// Waits until the volume has room again, for as long as the next pass is away.
async fn has_room_before(
    next: Timestamp,
    archive: &Archive,
    needed: u64,
    clock: &SystemClock,
    stop: &CancellationToken,
) -> bool {
    let room = async {
        while archive.store.has_room_for(needed).is_err() {
            tokio::time::sleep(LOOK_FOR_ROOM).await;
        }
    };
    tokio::select! {
        () = room => {
            tracing::info!("the volume has room again; going on");
            true
        }
        () = wait_until(next, clock, stop) => false,
    }
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
