//! Albums: what is archived of each, and which of those that others share are to be.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, State as Shared};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};

use super::State;
use super::access::{Session, wrong_key};
use super::frame::{Frame, html_of, trouble};
use super::settings::Setting;
use crate::model::name::printable;
use crate::model::{AlbumKind, ItemState};

/// The settings that say what is archived of others.
const NAMED: &str = "albums";
const ALL: &str = "include-shared";

/// An album.
struct Line {
    key: String,
    title: String,
    kind: AlbumKind,
    /// By Google's count.
    items: u64,
    archived: u64,
    wanted: bool,
    gone: bool,
}

#[derive(Template)]
#[template(path = "albums.html", config = ".askama.toml")]
struct AlbumsPage {
    frame: Frame,
    own: Vec<Line>,
    others: Vec<Line>,
    /// Why the choice cannot be made here.
    fixed: Option<String>,
    all: bool,
    kept: bool,
}

/// The choice as it is: all, those named, and who has made it if the page cannot.
fn choice(settings: &[Setting]) -> (bool, Vec<String>, Option<String>) {
    let find = |name| settings.iter().find(|setting| setting.name == name);
    let all = find(ALL).is_some_and(|setting| setting.value == "true");
    let named = find(NAMED).map(|setting| setting.value.as_str()).unwrap_or_default();
    let named = named.split(';').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let fixed = [NAMED, ALL].into_iter().filter_map(find).find_map(|setting| match &setting.origin {
        super::Origin::Variable(name) => Some(format!("by the variable {name}")),
        super::Origin::CommandLine => Some("on the command line".to_owned()),
        _ => None,
    });
    (all, named, fixed)
}

fn is_named(named: &[String], key: &str, title: &str) -> bool {
    named.iter().any(|name| name == title || name.rsplit('/').next() == Some(key))
}

fn lines(state: &State, named: &[String]) -> Result<Vec<Line>, String> {
    let reader = state.reader()?;
    let say = |e: crate::index::IndexError| e.to_string();
    let mut lines = Vec::new();
    for album in reader.albums().map_err(say)? {
        let balance = reader.album_balance(&album.record.key).map_err(say)?;
        let key = album.record.key.as_str().to_owned();
        lines.push(Line {
            wanted: is_named(named, &key, &album.title),
            key,
            kind: album.kind,
            items: album.count.unwrap_or(balance.shown),
            archived: balance.archived,
            gone: album.state == ItemState::Gone,
            title: if album.title.is_empty() { "(untitled)".into() } else { printable(&album.title) },
        });
    }
    Ok(lines)
}

/// The page.
pub async fn page(Shared(state): Shared<Arc<State>>, session: Session, uri: axum::http::Uri) -> Response {
    let frame = Frame::of(&session, "/albums");
    let kept = uri.query() == Some("kept");
    let found = state.aside(|state| {
        let (all, named, fixed) = choice(&state.settings.list()?);
        Ok((lines(state, &named)?, all, fixed))
    });
    html_of(&session, found.await, |(lines, all, fixed)| {
        let (own, others) = lines.into_iter().partition(|line| line.kind.is_own());
        AlbumsPage { frame, own, others, fixed, all, kept }
    })
}

/// Keeps a choice: each album of others that was ticked comes as a field of its key.
pub async fn choose(
    Shared(state): Shared<Arc<State>>,
    session: Session,
    Form(form): Form<BTreeMap<String, String>>,
) -> Response {
    if form.get("key") != Some(&session.key()) {
        return wrong_key();
    }
    let kept = state.aside(move |state| {
        let (_, named, _) = choice(&state.settings.list()?);
        let others = lines(state, &named)?.into_iter().filter(|line| !line.kind.is_own());
        let others: Vec<_> = others.collect();
        // What somebody has named that has not been listed yet stays.
        let known = |name: &String| {
            others.iter().any(|line| is_named(std::slice::from_ref(name), &line.key, &line.title))
        };
        let mut chosen: Vec<String> = named.iter().filter(|name| !known(name)).cloned().collect();
        let ticked = others.iter().filter(|line| form.contains_key(&format!("album-{}", line.key)));
        chosen.extend(ticked.map(|line| match line.kind {
            AlbumKind::Partner => format!("partner/{}", line.key),
            _ => line.key.clone(),
        }));
        let all = form.contains_key("all");
        let values = BTreeMap::from([
            (NAMED.to_owned(), (!chosen.is_empty()).then(|| chosen.join(";"))),
            (ALL.to_owned(), all.then(|| "true".to_owned())),
        ]);
        Ok(state.settings.keep(&values))
    });
    match kept.await {
        Ok(Ok(())) => {
            state.reread();
            (StatusCode::SEE_OTHER, [(LOCATION, "/albums?kept")]).into_response()
        }
        Ok(Err((_, why))) | Err(why) => trouble(&session, &why),
    }
}
