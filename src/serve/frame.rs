//! What all pages share.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::response::{Html, IntoResponse, Response};

use super::access::Session;

/// Nothing from elsewhere, nothing inline.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The frame around a page.
pub struct Frame {
    /// What this session's forms bring.
    pub key: String,
    path: &'static str,
}

impl Frame {
    /// The frame of a page, for somebody who is in.
    pub fn of(session: &Session, path: &'static str) -> Self {
        Self { key: session.key(), path }
    }

    /// Paths and names.
    pub fn pages(&self) -> [(&'static str, &'static str); 2] {
        [("/", "Overview"), ("/sign-in", "Google")]
    }

    /// Whether this is that page.
    pub fn is(&self, path: &str) -> bool {
        self.path == path
    }
}

/// A page, with what keeps it ours.
pub fn html(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => {
            let heads = [
                (CONTENT_SECURITY_POLICY, POLICY),
                (CACHE_CONTROL, "no-store"),
                (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (status, heads, Html(text)).into_response()
        }
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}
