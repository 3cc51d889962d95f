//! Where every address leads; what scripts are told, and the health answer.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::Listener;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::access::Session;
use super::account::Whose;
use super::frame::absent;
use super::photos::{bytes, small};
use super::places::{self, Seated};
use super::{Account, State, access, albums, assets, completeness, doctor, metrics, overview, photos};
use super::{runs, set_aside, settings, sign_in};

fn router() -> Router<Arc<State>> {
    Router::new()
        .route("/", get(overview::page))
        .route("/door", get(access::door).post(access::enter))
        .route("/leave", post(access::leave))
        .route("/photos", get(photos::months))
        .route("/photos/{month}", get(photos::month))
        .route("/item/{key}", get(photos::one))
        .route("/small/{hash}", get(small::picture))
        .route("/file/{hash}", get(bytes::file))
        .route("/albums", get(albums::page).post(albums::choose))
        .route("/albums/{key}", get(photos::album))
        .route("/completeness", get(completeness::page))
        .route("/runs", get(runs::page).post(runs::begin))
        .route("/runs/{began}", get(runs::one))
        .route("/set-aside", get(set_aside::page))
        .route("/set-aside/{key}", get(set_aside::one))
        .route("/set-aside/{key}/{name}", get(set_aside::evidence))
        .route("/settings", get(settings::page).post(settings::keep))
        .route("/doctor", get(doctor::page).post(doctor::examine))
        .route("/sign-in", get(sign_in::page))
        .route("/sign-in/seen", get(sign_in::seen))
        .route("/sign-in/begin", post(sign_in::begin))
        .route("/sign-in/end", post(sign_in::end))
        .route("/sign-in/display", get(sign_in::display))
        .route("/api/status", get(status))
        .route("/api/sign-in", get(sign_in::told))
        .route("/api/runs", get(runs::told))
        .route("/api/set-aside", get(set_aside::told))
        .route("/api/completeness", get(completeness::told))
        .route("/api/events", get(overview::events))
        .route("/api/openapi.json", get(assets::openapi))
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(healthz))
        .route("/style.css", get(assets::style))
        .route("/icon.svg", get(assets::icon))
        .route("/size.js", get(assets::size))
        .route("/live.js", get(assets::live))
        .route("/sign-in.js", get(assets::sign_in))
        .route("/novnc/{*path}", get(assets::novnc))
}

/// Serves until stopped.
pub async fn serve<L: Listener<Addr: std::fmt::Debug>>(
    listener: L,
    state: Arc<State>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let app = router()
        .fallback(nowhere)
        .layer(middleware::from_fn_with_state(Arc::clone(&state), access::guard))
        .with_state(state);
    let seated = Seated::new(listener, places::MOST, places::SILENCE);
    axum::serve(seated, app).with_graceful_shutdown(stop.cancelled_owned()).await
}

/// An address that leads nowhere.
async fn nowhere(session: Session) -> Response {
    absent(&session, "There is no such page.")
}

async fn status(Shared(state): Shared<Arc<State>>) -> Response {
    let of = |account: &Account| {
        let (last, error) = match account.last() {
            Some(Ok(report)) => (Some(report), None),
            Some(Err(e)) => (None, Some(e)),
            None => (None, None),
        };
        let running = account
            .running()
            .map(|(p, _)| json!({"archived": p.archived, "wanted": p.wanted, "bytes": p.bytes}));
        json!({"name": account.name, "running": running, "next_run": account.next(), "login": account.desk.login(), "last_run": last, "error": error})
    };
    let accounts: Vec<Value> = state.accounts.iter().map(|account| of(account)).collect();
    match state.aside(|state| Ok((state.totals()?, state.damaged()))).await {
        Ok((totals, damaged)) => {
            let mut status = json!({"items": totals.items, "files": totals.parts, "bytes": totals.bytes, "set_aside": totals.failures, "damaged": damaged});
            // Of one account, or of the one that needs somebody.
            if let (Some(all), Some(first)) = (status.as_object_mut(), state.account(&Whose::default())) {
                let first = state.accounts.iter().position(|account| Arc::ptr_eq(account, first));
                let first = first.and_then(|at| accounts[at].as_object()).cloned().unwrap_or_default();
                all.extend(first.into_iter().filter(|(field, _)| field != "name"));
                all.insert("accounts".into(), accounts.into());
            }
            Json(status).into_response()
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
