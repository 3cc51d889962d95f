//! `shoebox run`: what the container starts.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::{RunSettings, mount, sync};
use crate::archive::Archive;
use crate::exit;
use crate::serve::{self, State};
use crate::signals;
use crate::sync::progress::Progress;
use crate::sync::report::Outcome;
use crate::upkeep;

/// How often is looked whether upkeep is due; the first time after a start, when the first pass is on its way.
const LOOK_EVERY: Duration = Duration::from_secs(60);
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
        super::make_archive(&settings.data)?;
        tracing::info!("made a new archive in {}", settings.data.display());
    }
    let archive = Arc::new(super::open(&settings.data)?);
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
    let kept = keep_up(Arc::clone(&archive), settings.upkeep.clone(), stop.clone());
    repeat(&settings, &archive, &state, &stop).await;
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

/// Does the upkeep, whenever it is due, until asked to stop; what it answers comes when it has stopped.
fn keep_up(
    archive: Arc<Archive>,
    settings: Option<upkeep::Settings>,
    stop: CancellationToken,
) -> tokio::sync::oneshot::Receiver<()> {
    let (ended, wait) = tokio::sync::oneshot::channel();
    let Some(settings) = settings else { return wait };
    let runtime = tokio::runtime::Handle::current();
    // A thread of its own: the runtime would wait for one of its own before it ends.
    std::thread::spawn(move || {
        let pause =
            |time| runtime.block_on(async { tokio::time::timeout(time, stop.cancelled()).await.is_err() });
        while pause(LOOK_EVERY) {
            let now = super::clock().now();
            if !upkeep::is_due(&archive, now) {
                continue;
            }
            match upkeep::day(&archive, now, &settings, &mut |_| match stop.is_cancelled() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }) {
                Ok(report) => tracing::info!(
                    files = report.blobs,
                    bytes = report.bytes,
                    damaged = upkeep::standing(&archive.store).len(),
                    mended = report.mended,
                    "read again today"
                ),
                Err(error) => tracing::error!("the upkeep could not be done: {error}"),
            }
        }
        drop(archive);
        let _nobody_waits = ended.send(());
    });
    wait
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

async fn repeat(settings: &RunSettings, archive: &Arc<Archive>, state: &State, stop: &CancellationToken) {
    loop {
        let began = tokio::time::Instant::now();
        let progress = Arc::new(Progress::default());
        state.begins(Arc::clone(&progress));
        match sync::pass(archive, &settings.sync, &progress, stop).await {
            Ok(report) => {
                tracing::info!("{}", report.sentence());
                state.ended(Ok(report));
            }
            Err(e) => {
                tracing::error!("the run could not start: {e}");
                state.ended(Err(e.to_string()));
            }
        }
        let next = began + settings.every;
        if let Some(Ok(report)) = state.last()
            && let Outcome::DiskFull { needed, .. } = report.outcome()
        {
            wait_for_room(archive, *needed, next, stop).await;
            if !stop.is_cancelled() {
                continue;
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep_until(next) => {}
        }
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
