//! Who is let in: every page but the door itself wants a session, every form its key, every request from a browser our
//! own origin.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, FromRequestParts, Query, Request, State as Shared};
use axum::http::header::{
    AUTHORIZATION, COOKIE, HOST, LOCATION, ORIGIN, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use serde::Deserialize;

use super::State;
use super::door::{Door, Refusal, Token, form_key};
use super::frame::html;

/// What anybody may see.
const OPEN: [&str; 5] = ["/door", "/healthz", "/readyz", "/style.css", "/icon.svg"];

/// The session that a request belongs to.
#[derive(Clone)]
pub struct Session {
    token: String,
}

impl Session {
    /// What a form of this session must bring.
    pub fn key(&self) -> String {
        form_key(&self.token)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        // The guard has put it there, or has not let the request through.
        parts.extensions.get::<Self>().cloned().ok_or(StatusCode::UNAUTHORIZED)
    }
}

/// Lets through what may pass.
pub async fn guard(Shared(state): Shared<Arc<State>>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let upgrades = request.headers().contains_key("upgrade");
    if (writes || upgrades) && !is_ours(request.headers(), state.tls) {
        return (StatusCode::FORBIDDEN, "this request comes from another site\n").into_response();
    }
    if OPEN.contains(&path.as_str()) {
        return next.run(request).await;
    }
    let known =
        token(request.headers(), &state.cookie).filter(|token| state.door.knows(token)).map(str::to_owned);
    if let Some(token) = known {
        request.extensions_mut().insert(Session { token });
        return next.run(request).await;
    }
    // Scripts have no cookie; what changes something is not for them.
    if !writes && !upgrades {
        if let Some(password) = basic(request.headers()) {
            return match checked(&state.door, password).await {
                Ok(()) => {
                    request.extensions_mut().insert(Session { token: String::new() });
                    next.run(request).await
                }
                Err(refusal) => refused(&refusal),
            };
        }
        if path.starts_with("/api/") || path == "/metrics" {
            return challenge();
        }
    }
    if writes || upgrades {
        return (StatusCode::UNAUTHORIZED, "enter the password first\n").into_response();
    }
    // Whose sign-in it is stands behind the path.
    let wanted = request.uri().path_and_query().map_or(path.as_str(), |wanted| wanted.as_str());
    let to = format!(
        "/door?next={}",
        percent_encoding::utf8_percent_encode(wanted, percent_encoding::NON_ALPHANUMERIC)
    );
    (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response()
}

/// Browsers name the page that a request comes from; whoever is no browser cannot be tricked by another site.
/// `tls`: the page is at `https://` and nowhere else.
fn is_ours(heads: &HeaderMap, tls: bool) -> bool {
    // Where there is TLS they say it outright, whatever a proxy has made of the host's name.
    if let Some(site) = heads.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = heads.get(ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let origin = origin.filter(|(scheme, _)| !tls || *scheme == "https").map(|(_, host)| host);
    let hosts = [heads.get(HOST), heads.get("x-forwarded-host")];
    let mut hosts = hosts.into_iter().flatten().filter_map(|host| host.to_str().ok());
    origin.is_some_and(|origin| hosts.any(|host| host == origin))
}

fn token<'a>(heads: &'a HeaderMap, cookie: &str) -> Option<&'a str> {
    let cookies = heads.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == cookie).map(|(_, value)| value)
}

fn basic(heads: &HeaderMap) -> Option<String> {
    let value = heads.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let text = String::from_utf8(BASE64.decode(value.trim().as_bytes()).ok()?).ok()?;
    text.split_once(':').map(|(_, password)| password.to_owned())
}

/// A hash that is slow on purpose, beside the threads that serve others.
async fn checked(door: &Arc<Door>, password: String) -> Result<(), Refusal> {
    let door = Arc::clone(door);
    let check = tokio::task::spawn_blocking(move || door.check_script(&password)).await;
    check.unwrap_or_else(|e| Err(Refusal::NotKept(e.to_string())))
}

fn challenge() -> Response {
    let how = HeaderValue::from_static("Basic realm=\"shoebox\", charset=\"UTF-8\"");
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, how)], "the page's password is wanted\n").into_response()
}

fn refused(refusal: &Refusal) -> Response {
    match refusal {
        Refusal::Wait(seconds) => (
            StatusCode::TOO_MANY_REQUESTS,
            [(RETRY_AFTER, seconds.to_string())],
            "too many wrong passwords\n",
        )
            .into_response(),
        _ => challenge(),
    }
}

#[derive(Template)]
#[template(path = "door.html", config = ".askama.toml")]
struct DoorPage {
    first: bool,
    error: Option<String>,
    next: String,
}

/// Where somebody wanted to go.
#[derive(Deserialize)]
pub struct Wanted {
    #[serde(default)]
    next: String,
}

fn door_page(state: &State, next: &str, error: Option<String>) -> Response {
    let first = !state.door.has_password();
    let status = if error.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    html(status, &DoorPage { first, error, next: inside(next) })
}

/// Only a path of ours, so that nobody is led elsewhere.
fn inside(next: &str) -> String {
    let fine = next.starts_with('/')
        && !next.starts_with("//")
        && next.parse::<Uri>().is_ok()
        && !next.contains('\\');
    if fine { next.to_owned() } else { "/".to_owned() }
}

/// The page that asks for the password.
pub async fn door(Shared(state): Shared<Arc<State>>, Query(wanted): Query<Wanted>) -> Response {
    door_page(&state, &wanted.next, None)
}

/// The password, as a form sends it.
#[derive(Deserialize)]
pub struct Given {
    password: String,
    #[serde(default)]
    next: String,
}

/// Sets the first password, or lets in whoever knows it.
pub async fn enter(
    Shared(state): Shared<Arc<State>>,
    heads: HeaderMap,
    Form(given): Form<Given>,
) -> Response {
    let door = Arc::clone(&state.door);
    let password = given.password;
    let entered = tokio::task::spawn_blocking(move || match door.has_password() {
        true => door.enter(&password),
        false => door.set(&password),
    });
    match entered.await.unwrap_or_else(|e| Err(Refusal::NotKept(e.to_string()))) {
        Ok(Token(token)) => {
            let secure = secure(&state, &heads);
            let cookie =
                format!("{}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age=31536000{secure}", state.cookie);
            (StatusCode::SEE_OTHER, [(LOCATION, inside(&given.next)), (SET_COOKIE, cookie)]).into_response()
        }
        Err(refusal) => {
            let error = match refusal {
                Refusal::Wrong => "That is not the password.".to_owned(),
                Refusal::Wait(seconds) => {
                    format!("There were too many wrong passwords. Wait {seconds} seconds.")
                }
                Refusal::TooShort => "It needs 8 characters or more.".to_owned(),
                Refusal::AlreadySet => "Somebody has just set a password. Enter it.".to_owned(),
                Refusal::NotKept(why) => format!("It could not be kept: {why}"),
            };
            door_page(&state, &given.next, Some(error))
        }
    }
}

/// What keeps a cookie to encrypted connections, where there is one: ours, or a proxy's.
fn secure(state: &State, heads: &HeaderMap) -> &'static str {
    let outside = heads.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    if state.tls || outside { "; Secure" } else { "" }
}

/// A form with nothing but its key.
#[derive(Deserialize)]
pub struct Keyed {
    pub(super) key: String,
}

/// Ends a session.
pub async fn leave(
    Shared(state): Shared<Arc<State>>,
    session: Session,
    heads: HeaderMap,
    Form(form): Form<Keyed>,
) -> Response {
    if form.key != session.key() {
        return wrong_key();
    }
    let door = Arc::clone(&state.door);
    // What was not written down is forgotten at the next start; the session is gone from memory in any case.
    let _ended = tokio::task::spawn_blocking(move || door.leave(&session.token)).await;
    let secure = secure(&state, &heads);
    let cookie = format!("{}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0{secure}", state.cookie);
    (StatusCode::SEE_OTHER, [(LOCATION, "/door".to_owned()), (SET_COOKIE, cookie)]).into_response()
}

/// What a form without its key gets.
pub(super) fn wrong_key() -> Response {
    (StatusCode::FORBIDDEN, "this form is out of date: load the page again\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(origin: &'static str, tls: bool) -> bool {
        let mut heads = HeaderMap::new();
        heads.insert(HOST, HeaderValue::from_static("nas:8080"));
        heads.insert(ORIGIN, HeaderValue::from_static(origin));
        is_ours(&heads, tls)
    }

    #[test]
    fn an_origin_has_our_host_and_where_we_encrypt_our_scheme() {
        for (origin, plain, encrypted) in [
            ("http://nas:8080", true, false),
            // A proxy may have put the encryption before us.
            ("https://nas:8080", true, true),
            ("https://nas:8081", false, false),
            ("https://nas", false, false),
            ("https://evil.example", false, false),
            ("null", false, false),
        ] {
            assert_eq!((ours(origin, false), ours(origin, true)), (plain, encrypted), "{origin}");
        }
    }
}
