//! The control port: plain HTTP that tells the truth and takes faults.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::net::TcpListener;

use super::google::Google;
use super::{Counters, FaultRule, Ledger, SignedOutModel};

/// Serves until aborted.
pub(crate) async fn serve(listener: TcpListener, google: Arc<Google>) {
    let app = Router::new()
        .route("/ledger", get(ledger))
        .route("/counters", get(counters))
        .route("/addresses", get(addresses))
        .route("/faults", post(add_fault).delete(clear_faults))
        .route("/items", post(add_item))
        .route("/items/{key}", axum::routing::delete(remove_item))
        .route("/items/{key}/edit", post(edit_item))
        .route("/session", get(screen))
        .route("/session/{what}", post(session))
        .with_state(google);
    if let Err(e) = axum::serve(listener, app).await {
        tracing::error!("the control port failed: {e}");
    }
}

async fn ledger(State(google): State<Arc<Google>>) -> Json<Ledger> {
    Json(google.library.ledger())
}

async fn counters(State(google): State<Arc<Google>>) -> Json<Counters> {
    Json(google.counters())
}

/// Fresh signed addresses of all originals, a line each: for programs that only download.
async fn addresses(State(google): State<Arc<Google>>) -> String {
    google.addresses_of_all().into_iter().map(|address| address + "\n").collect()
}

async fn add_fault(State(google): State<Arc<Google>>, text: String) -> Result<(), (StatusCode, String)> {
    let rule: FaultRule = text.trim().parse().map_err(|e| (StatusCode::BAD_REQUEST, e))?;
    google.faults.set(rule);
    Ok(())
}

async fn clear_faults(State(google): State<Arc<Google>>) {
    google.faults.clear();
}

async fn add_item(State(google): State<Arc<Google>>) -> String {
    google.library.add_item()
}

async fn remove_item(State(google): State<Arc<Google>>, Path(key): Path<String>) {
    google.library.remove_item(&key);
}

async fn edit_item(State(google): State<Arc<Google>>, Path(key): Path<String>) {
    google.library.edit_item(&key);
}

/// Path of the screen of a sign-in that was shown last.
async fn screen(State(google): State<Arc<Google>>) -> String {
    google.session.last_screen().unwrap_or_default()
}

async fn session(State(google): State<Arc<Google>>, Path(what): Path<String>) -> StatusCode {
    match what.as_str() {
        "sign-in" => google.session.sign_in(),
        "sign-out" => google.session.sign_out(SignedOutModel::RedirectToAbout),
        "landing" => google.session.sign_out(SignedOutModel::LandingPage),
        "refuse-rotation" => google.session.refuse_rotation(true),
        _ => return StatusCode::NOT_FOUND,
    }
    StatusCode::NO_CONTENT
}
