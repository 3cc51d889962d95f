//! The page on which a person signs in to Google: the container's own browser, shown.

use std::path::Path;
use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Form, Query, State as Shared};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::State;
use super::access::{Keyed, Session, wrong_key};
use super::account::{Account, Whose};
use super::frame::{Frame, absent, html};
use crate::login::desk;
use crate::login::{self, Login};
use crate::remote::browser::sign_in::{Size, missing_programs};
use crate::remote::session::SCREEN;

/// What the page shows.
enum Standing {
    Showing(u64),
    Busy(&'static str),
    Idle(Option<(bool, String)>),
}

#[derive(Template)]
#[template(path = "sign_in.html", config = ".askama.toml")]
struct SignInPage {
    frame: Frame,
    /// Whose login it is, where there are several.
    name: Option<String>,
    /// What follows addresses that are about this account.
    query: String,
    /// The others: name, address, how they stand.
    others: Vec<(String, String, String)>,
    state: Standing,
    session: String,
    missing: String,
    /// Whether there is a picture of the screen that needs somebody.
    seen: bool,
}

fn standing(account: &Account) -> Standing {
    match account.desk.standing() {
        desk::Standing::Idle(last) => Standing::Idle(last),
        desk::Standing::Busy(what) => Standing::Busy(what),
        desk::Standing::Showing(until) => {
            Standing::Showing(until.saturating_duration_since(Instant::now()).as_secs().div_ceil(60))
        }
    }
}

/// How things stand, in a sentence.
pub fn in_words(login: &Login) -> String {
    match &login.state {
        login::State::Unknown => "Nobody has looked yet whether you are signed in.".into(),
        login::State::SignedIn { account } => format!("Signed in as {account}."),
        login::State::Expiring { account, why } => {
            format!("Signed in as {account}, but not for long: {why}.")
        }
        login::State::NeedsPerson { why } => format!("Not signed in: {why}."),
        login::State::Rejected { why } => format!("Google does not let this browser in: {why}."),
    }
}

/// An address that is about an account.
pub fn address(path: &str, account: Option<&str>) -> String {
    match account {
        Some(name) => {
            match reqwest::Url::parse_with_params(&format!("http://archive{path}"), [("account", name)]) {
                Ok(url) => format!("{path}?{}", url.query().unwrap_or_default()),
                Err(_) => path.to_owned(),
            }
        }
        None => path.to_owned(),
    }
}

/// Where the owner of an account signs in.
pub fn page_of(account: Option<&str>) -> String {
    address("/sign-in", account)
}

fn nobody(session: &Session) -> Response {
    absent(session, "There is no such account.")
}

/// The page.
pub async fn page(
    Shared(state): Shared<Arc<State>>,
    session: Session,
    Query(whose): Query<Whose>,
) -> Response {
    let Some(account) = state.account(&whose) else { return nobody(&session) };
    let mut missing = missing_programs();
    if !state.novnc.join("core/rfb.js").exists() {
        missing.push("noVNC");
    }
    let others = state.accounts.iter().filter(|other| other.name != account.name).map(|other| {
        let name = other.noted_as().to_owned();
        let at = address("/sign-in", other.name.as_deref());
        (name, at, in_words(&other.desk.login()))
    });
    let login = account.desk.login();
    let page = SignInPage {
        frame: Frame::of(&session, "/sign-in"),
        query: address("", account.name.as_deref()),
        name: account.name.clone(),
        others: others.collect(),
        state: standing(account),
        session: in_words(&login),
        missing: missing.join(", "),
        seen: !login.state.is_signed_in() && account.profile.join(SCREEN).exists(),
    };
    html(StatusCode::OK, &page)
}

/// The screen that needs somebody, as the browser saw it last.
pub async fn seen(
    Shared(state): Shared<Arc<State>>,
    session: Session,
    Query(whose): Query<Whose>,
) -> Response {
    let Some(account) = state.account(&whose) else { return nobody(&session) };
    let path = account.profile.join(SCREEN);
    match tokio::task::spawn_blocking(move || std::fs::read(path)).await {
        Ok(Ok(bytes)) => ([(CONTENT_TYPE, "image/png"), (CACHE_CONTROL, "no-store")], bytes).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// For the script of the page.
pub async fn told(Shared(state): Shared<Arc<State>>, Query(whose): Query<Whose>) -> Response {
    let Some(account) = state.account(&whose) else { return StatusCode::NOT_FOUND.into_response() };
    let word = match standing(account) {
        Standing::Showing(_) => "showing",
        Standing::Busy(_) => "busy",
        Standing::Idle(_) => "idle",
    };
    Json(json!({"state": word, "login": account.desk.login().state.word()})).into_response()
}

/// What the page's form brings.
#[derive(Deserialize)]
pub struct Begin {
    key: String,
    #[serde(default)]
    width: u32,
    #[serde(default)]
    height: u32,
}

fn back(account: &Account) -> Response {
    let to = address("/sign-in", account.name.as_deref());
    (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response()
}

/// Begins a sign-in.
pub async fn begin(
    Shared(state): Shared<Arc<State>>,
    session: Session,
    Query(whose): Query<Whose>,
    Form(form): Form<Begin>,
) -> Response {
    if form.key != session.key() {
        return wrong_key();
    }
    let Some(account) = state.account(&whose) else { return nobody(&session) };
    account.desk.begin(Size::near(form.width, form.height), state.stop.clone());
    back(account)
}

/// The person is done.
pub async fn end(
    Shared(state): Shared<Arc<State>>,
    session: Session,
    Query(whose): Query<Whose>,
    Form(form): Form<Keyed>,
) -> Response {
    if form.key != session.key() {
        return wrong_key();
    }
    let Some(account) = state.account(&whose) else { return nobody(&session) };
    account.desk.end();
    back(account)
}

/// The display, as bytes of RFB in both directions.
pub async fn display(
    Shared(state): Shared<Arc<State>>,
    session: Session,
    Query(whose): Query<Whose>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let Some(account) = state.account(&whose) else { return nobody(&session) };
    let Some(socket) = account.desk.socket() else { return StatusCode::GONE.into_response() };
    let stop = state.stop.clone();
    upgrade.protocols(["binary"]).on_upgrade(move |page| async move {
        if let Err(e) = bridge(page, &socket, &stop).await {
            tracing::debug!("the picture of the sign-in ended: {e}");
        }
    })
}

async fn bridge(mut page: WebSocket, socket: &Path, stop: &CancellationToken) -> std::io::Result<()> {
    let mut display = UnixStream::connect(socket).await?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            read = display.read(&mut buffer) => {
                let n = read?;
                let bytes = buffer[..n].to_vec();
                if n == 0 || page.send(Message::Binary(bytes.into())).await.is_err() {
                    return Ok(());
                }
            }
            message = page.recv() => match message {
                Some(Ok(Message::Binary(bytes))) => display.write_all(&bytes).await?,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return Ok(()),
            },
        }
    }
}
