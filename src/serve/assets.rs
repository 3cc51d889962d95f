//! Files that pages are made of: ours from the program itself, noVNC's from where the image has put them.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::State;

const SCRIPT: &str = "text/javascript; charset=utf-8";

fn file(kind: &'static str, bytes: impl IntoResponse) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "max-age=3600")], bytes).into_response()
}

/// The one sheet.
pub async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("style.css"))
}

/// The sign.
pub async fn icon() -> Response {
    file("image/svg+xml", include_str!("icon.svg"))
}

/// The script of the sign-in page.
pub async fn sign_in() -> Response {
    file(SCRIPT, include_str!("sign_in.js"))
}

/// The script that keeps the overview up to date.
pub async fn live() -> Response {
    file(SCRIPT, include_str!("live.js"))
}

/// What scripts may ask, described for programs.
pub async fn openapi() -> Response {
    file("application/json", include_str!("openapi.json"))
}

/// The script that tells how large a person's screen is.
pub async fn size() -> Response {
    file(SCRIPT, include_str!("size.js"))
}

/// A module of noVNC.
pub async fn novnc(Shared(state): Shared<Arc<State>>, Path(path): Path<String>) -> Response {
    let fine = |piece: &str| {
        !piece.is_empty()
            && !piece.starts_with('.')
            && piece.chars().all(|c| c.is_ascii_alphanumeric() || ['.', '-', '_'].contains(&c))
    };
    if !path.split('/').all(fine) || !path.ends_with(".js") {
        return StatusCode::NOT_FOUND.into_response();
    }
    let path = state.novnc.join(path);
    match tokio::task::spawn_blocking(move || std::fs::read(path)).await {
        Ok(Ok(bytes)) => file(SCRIPT, bytes),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
