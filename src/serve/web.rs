//! Where every address leads; the overview, its JSON twin, and the health answer.

use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::Router;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytesize::ByteSize;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::access::Session;
use super::frame::{Frame, html};
use super::{State, access, assets, metrics, sign_in};
use crate::index::{RunNote, Totals};
use crate::login;
use crate::sync::progress::Snapshot;
use crate::sync::report::{Outcome, SyncReport};

#[derive(Template)]
#[template(path = "status.html", config = ".askama.toml")]
struct StatusPage {
    frame: Frame,
    login: String,
    signed_in: bool,
    totals: Result<Totals, String>,
    size: String,
    damaged: usize,
    running: Option<Snapshot>,
    last: Option<Result<SyncReport, String>>,
    /// How the last run ended before this process began.
    earlier: Option<RunNote>,
    next: Option<Timestamp>,
    colour: &'static str,
}

/// Serves until stopped.
pub async fn serve(listener: TcpListener, state: Arc<State>, stop: CancellationToken) -> std::io::Result<()> {
    let app = Router::new()
        .route("/", get(page))
        .route("/door", get(access::door).post(access::enter))
        .route("/leave", post(access::leave))
        .route("/sign-in", get(sign_in::page))
        .route("/sign-in/begin", post(sign_in::begin))
        .route("/sign-in/end", post(sign_in::end))
        .route("/sign-in/display", get(sign_in::display))
        .route("/api/status", get(status))
        .route("/api/sign-in", get(sign_in::told))
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(healthz))
        .route("/style.css", get(assets::style))
        .route("/icon.svg", get(assets::icon))
        .route("/size.js", get(assets::size))
        .route("/sign-in.js", get(assets::sign_in))
        .route("/novnc/{*path}", get(assets::novnc))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), access::guard))
        .with_state(state);
    axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn page(Shared(state): Shared<Arc<State>>, session: Session) -> Response {
    let totals = totals(&state).await;
    let last = state.last();
    let colour = match last.as_ref().map(|last| last.as_ref().map(SyncReport::outcome)) {
        Some(Ok(Outcome::Complete)) => "good",
        Some(Ok(Outcome::Partial | Outcome::Interrupted)) => "warn",
        Some(_) => "bad",
        None => "dim",
    };
    let size = totals.as_ref().map(|t| ByteSize(t.bytes).to_string()).unwrap_or_default();
    let damaged = damaged(&state).await;
    let earlier = if last.is_none() { earlier(&state).await } else { None };
    let (running, next) = (state.running(), state.next());
    let known = state.desk.login();
    let page = StatusPage {
        frame: Frame::of(&session, "/"),
        login: sign_in::in_words(&known),
        signed_in: !matches!(known.state, login::State::NeedsPerson { .. } | login::State::Rejected { .. }),
        totals,
        size,
        damaged,
        running,
        last,
        earlier,
        next,
        colour,
    };
    html(StatusCode::OK, &page)
}

async fn totals(state: &Arc<State>) -> Result<Totals, String> {
    let state = Arc::clone(state);
    tokio::task::spawn_blocking(move || state.totals()).await.unwrap_or_else(|e| Err(e.to_string()))
}

async fn earlier(state: &Arc<State>) -> Option<RunNote> {
    let state = Arc::clone(state);
    tokio::task::spawn_blocking(move || state.earlier()).await.ok().flatten()
}

/// By the clock of the zone that the machine is set to.
fn local(at: &Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M %Z").to_string()
}

async fn damaged(state: &Arc<State>) -> usize {
    let state = Arc::clone(state);
    tokio::task::spawn_blocking(move || state.damaged()).await.unwrap_or_default()
}

async fn status(Shared(state): Shared<Arc<State>>) -> Response {
    let (last, error) = match state.last() {
        Some(Ok(report)) => (Some(report), None),
        Some(Err(e)) => (None, Some(e)),
        None => (None, None),
    };
    let running =
        state.running().map(|p| json!({"archived": p.archived, "wanted": p.wanted, "bytes": p.bytes}));
    let damaged = damaged(&state).await;
    match totals(&state).await {
        Ok(totals) => {
            Json(json!({"items": totals.items, "files": totals.parts, "bytes": totals.bytes, "set_aside": totals.failures, "damaged": damaged, "running": running, "next_run": state.next(), "login": state.desk.login(), "last_run": last, "error": error})).into_response()
        }
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"error": e}))).into_response(),
    }
}

async fn healthz(Shared(state): Shared<Arc<State>>) -> Response {
    let ailment = tokio::task::spawn_blocking(move || state.ailment()).await;
    match ailment {
        Ok(None) => "ok\n".into_response(),
        Ok(Some(what)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{what}\n")).into_response(),
        Err(e) => (StatusCode::SERVICE_UNAVAILABLE, format!("{e}\n")).into_response(),
    }
}
