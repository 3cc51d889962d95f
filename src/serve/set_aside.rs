//! What was set aside: why, since when, with the evidence, and another attempt when somebody asks for it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::extract::{Path as Wanted, Query, State as Shared};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use bytesize::ByteSize;
use serde::Deserialize;
use serde_json::json;

use super::State;
use super::access::Session;
use super::frame::{Frame, absent, html_of, local, trouble};
use crate::index::Failure;
use crate::media::kind::{self, Kind};
use crate::media::thumbnail;
use crate::model::name::printable;

/// Largest picture of a page that is passed on, and most of a note that is shown, bytes.
const MOST_PICTURE: u64 = 20 * 1024 * 1024;
const MOST_NOTE: usize = 20_000;
/// Items that the page shows.
const ON_A_PAGE: usize = 200;

/// Names and reasons as they can be shown: what somebody has hidden in them is seen.
fn shown(failure: Failure) -> Failure {
    Failure { name: printable(&failure.name), reason: printable(&failure.reason), ..failure }
}

/// A line of the list.
struct Line {
    failure: Failure,
    /// Name of a file of its evidence that has a picture.
    picture: Option<String>,
}

#[derive(Template)]
#[template(path = "set_aside.html", config = ".askama.toml")]
struct SetAsidePage {
    frame: Frame,
    lines: Vec<Line>,
    /// How many there are.
    all: usize,
    running: bool,
    asked: bool,
}

/// Whether somebody has just asked for another attempt.
#[derive(Deserialize)]
pub struct Said {
    asked: Option<u8>,
}

fn file_name(path: &Path) -> String {
    path.file_name().and_then(OsStr::to_str).unwrap_or_default().to_owned()
}

/// Whether a small picture can be shown of a file of evidence.
fn has_picture(path: &Path) -> bool {
    std::fs::File::open(path).is_ok_and(|file| thumbnail::can_be_made(kind::of(&file)))
}

fn lines(state: &State) -> Result<(Vec<Line>, usize), String> {
    let failures = state.reader()?.failures().map_err(|e| e.to_string())?;
    let all = failures.len();
    // Once for all: there may be thousands of both.
    let mut evidence: HashMap<String, Vec<PathBuf>> = HashMap::new();
    for path in state.archive.store.all_evidence().map_err(|e| e.to_string())? {
        let key = file_name(&path).split('.').next().unwrap_or_default().to_owned();
        evidence.entry(key).or_default().push(path);
    }
    let line = |failure: Failure| {
        let files = evidence.get(failure.key.as_str()).into_iter().flatten();
        let picture = files.into_iter().find(|path| has_picture(path)).map(|path| file_name(path));
        Line { failure: shown(failure), picture }
    };
    Ok((failures.into_iter().take(ON_A_PAGE).map(line).collect(), all))
}

/// The list.
pub async fn page(Shared(state): Shared<Arc<State>>, session: Session, Query(said): Query<Said>) -> Response {
    let frame = Frame::of(&session, "/runs");
    let running = state.is_running();
    let asked = said.asked.is_some();
    html_of(&session, state.aside(lines).await, |(lines, all)| SetAsidePage {
        frame,
        lines,
        all,
        running,
        asked,
    })
}

/// The list for scripts.
pub async fn told(Shared(state): Shared<Arc<State>>) -> Response {
    match state.aside(|state| state.reader()?.failures().map_err(|e| e.to_string())).await {
        Ok(failures) => {
            let list: Vec<_> = failures
                .iter()
                .map(|f| json!({"key": f.key, "name": f.name, "reason": f.reason, "since": f.first_at, "last": f.last_at, "attempts": f.attempts}))
                .collect();
            Json(list).into_response()
        }
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"error": e}))).into_response(),
    }
}

/// A file of evidence.
struct Evidence {
    name: String,
    size: String,
    picture: bool,
    /// What a note says.
    note: Option<String>,
}

#[derive(Template)]
#[template(path = "set_aside_one.html", config = ".askama.toml")]
struct OnePage {
    frame: Frame,
    key: String,
    failure: Option<Failure>,
    evidence: Vec<Evidence>,
}

fn evidence_of(path: &Path) -> Evidence {
    let size = std::fs::metadata(path).map(|meta| meta.len()).unwrap_or_default();
    let note = path.extension().is_some_and(|e| e == "json" || e == "txt").then(|| {
        let text = std::fs::read(path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[..text.len().min(MOST_NOTE)]).into_owned();
        text.lines().map(printable).collect::<Vec<_>>().join("\n")
    });
    Evidence { name: file_name(path), size: ByteSize(size).to_string(), picture: has_picture(path), note }
}

/// One item.
pub async fn one(
    Shared(state): Shared<Arc<State>>,
    session: Session,
    Wanted(key): Wanted<String>,
) -> Response {
    let wanted = key.clone();
    let found = state.aside(move |state| {
        let failures = state.reader()?.failures().map_err(|e| e.to_string())?;
        let failure = failures.into_iter().find(|failure| failure.key.as_str() == wanted).map(shown);
        let evidence = state.archive.store.evidence(&wanted).map_err(|e| e.to_string())?;
        Ok((failure, evidence.iter().map(|path| evidence_of(path)).collect::<Vec<_>>()))
    });
    match found.await {
        Ok((None, evidence)) if evidence.is_empty() => {
            absent(&session, "Nothing is set aside under this key.")
        }
        Ok((failure, evidence)) => {
            let page = OnePage { frame: Frame::of(&session, "/runs"), key, failure, evidence };
            html_of(&session, Ok(page), |page| page)
        }
        Err(why) => trouble(&session, &why),
    }
}

/// The picture of a file of evidence: a page's as it was taken, any other made small.
pub async fn evidence(
    Shared(state): Shared<Arc<State>>,
    session: Session,
    Wanted((key, name)): Wanted<(String, String)>,
) -> Response {
    let found = state.aside(move |state| {
        // Only names that are there already: nothing of an address becomes a path.
        let files = state.archive.store.evidence(&key).map_err(|e| e.to_string())?;
        files.iter().find(|path| file_name(path) == name).map(picture).transpose()
    });
    match found.await {
        Ok(Some((media_type, bytes))) => {
            let heads = [
                (CONTENT_TYPE, media_type),
                (CACHE_CONTROL, "no-store"),
                (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
                (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (heads, bytes).into_response()
        }
        Ok(None) => absent(&session, "There is no such evidence."),
        Err(why) => trouble(&session, &why),
    }
}

fn picture(path: &PathBuf) -> Result<(&'static str, Vec<u8>), String> {
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    let size = file.metadata().map_err(|e| e.to_string())?.len();
    if kind::of(&file) == Kind::Png && size <= MOST_PICTURE {
        return std::fs::read(path).map(|bytes| (Kind::Png.media_type(), bytes)).map_err(|e| e.to_string());
    }
    thumbnail::of(Arc::new(file), &file_name(path)).map(|bytes| (Kind::Jpeg.media_type(), bytes))
}
