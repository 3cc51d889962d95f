//! What all pages share.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::response::{Html, IntoResponse, Response};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::access::Session;

/// Nothing from elsewhere, nothing inline.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; media-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

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
    pub fn pages(&self) -> [(&'static str, &'static str); 6] {
        [
            ("/", "Overview"),
            ("/photos", "Photos"),
            ("/albums", "Albums"),
            ("/runs", "Runs"),
            ("/sign-in", "Google"),
            ("/settings", "Settings"),
        ]
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

#[derive(Template)]
#[template(path = "trouble.html", config = ".askama.toml")]
struct TroublePage<'a> {
    frame: Frame,
    title: &'static str,
    said: &'a str,
}

/// A page that cannot be shown, and why.
pub fn trouble(session: &Session, why: &str) -> Response {
    let page = TroublePage { frame: Frame::of(session, ""), title: "That did not work", said: why };
    html(StatusCode::INTERNAL_SERVER_ERROR, &page)
}

/// A page about something that is not there.
pub fn absent(session: &Session, said: &str) -> Response {
    html(StatusCode::NOT_FOUND, &TroublePage { frame: Frame::of(session, ""), title: "Not here", said })
}

/// A page made of what was found, or one that says why it was not.
pub fn html_of<T, P: Template>(
    session: &Session,
    found: Result<T, String>,
    page: impl FnOnce(T) -> P,
) -> Response {
    match found {
        Ok(found) => html(StatusCode::OK, &page(found)),
        Err(why) => trouble(session, &why),
    }
}

/// By the clock of the zone that the machine is set to.
pub fn local(at: &Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M %Z").to_string()
}
