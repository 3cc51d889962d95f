//! `shoebox run`: what the container starts.

use std::net::SocketAddr;
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
    repeat(&settings, &archive, &state, &stop).await;
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
