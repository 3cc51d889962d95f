//! The servers that pass notices on, as strict as their documentation says.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// One thing that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Path and query.
    pub at: String,
    pub body: String,
}

impl Taken {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

#[derive(Default)]
struct Book {
    taken: Vec<Taken>,
    /// Answers that are given before anything is taken.
    troubles: VecDeque<(u16, &'static str)>,
}

/// All of them, on one port.
#[derive(Clone)]
pub struct Desk {
    pub address: SocketAddr,
    book: Arc<Mutex<Book>>,
}

pub const CHECK: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";

impl Desk {
    pub async fn open() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let book = Arc::<Mutex<Book>>::default();
        let app = Router::new().fallback(serve).with_state(Arc::clone(&book));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, book }
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.book.lock().unwrap().taken.clone()
    }

    /// The next request gets this answer, with this `Retry-After`.
    pub fn refuse(&self, status: u16, after: &'static str) {
        self.book.lock().unwrap().troubles.push_back((status, after));
    }
}

async fn serve(
    State(book): State<Arc<Mutex<Book>>>,
    method: Method,
    uri: Uri,
    heads: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some((status, after)) = book.lock().unwrap().troubles.pop_front() {
        let status = StatusCode::from_u16(status).unwrap();
        return (status, [("retry-after", after)], "come again").into_response();
    }
    let Ok(body) = String::from_utf8(body.to_vec()) else { return refused(400, "not UTF-8") };
    let head = |name: &str| heads.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let path: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    let checked = match path.as_slice() {
        _ if method != Method::POST => Err((405, "POST only")),
        ["ping", rest @ ..] => ping(rest, uri.query().unwrap_or_default(), &body),
        _ if !head("content-type").starts_with("application/json") => Err((400, "not JSON by its head")),
        _ if head("user-agent").is_empty() => Err((403, "no user agent")),
        [""] => ntfy(head("authorization"), &body),
        ["message"] => gotify(head("x-gotify-key"), &body),
        ["notify", "home"] => apprise(&body),
        ["hook"] => serde_json::from_str::<Value>(&body).map(drop).map_err(|_| (400, "not JSON")),
        _ => Err((404, "no such place")),
    };
    if let Err((status, why)) = checked {
        return refused(status, why);
    }
    let at = uri.path_and_query().unwrap().to_string();
    book.lock().unwrap().taken.push(Taken { at, body });
    "OK".into_response()
}

fn refused(status: u16, why: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), why.to_owned()).into_response()
}

type Checked = Result<(), (u16, &'static str)>;

fn fields(body: &str, known: &[&str]) -> Result<serde_json::Map<String, Value>, (u16, &'static str)> {
    let Ok(Value::Object(fields)) = serde_json::from_str(body) else {
        return Err((400, "not a JSON object"));
    };
    if fields.keys().any(|name| !known.contains(&name.as_str())) {
        return Err((400, "a field that nobody knows"));
    }
    Ok(fields)
}

/// <https://docs.ntfy.sh/publish/#publish-as-json>
fn ntfy(authorization: &str, body: &str) -> Checked {
    if authorization != "Bearer tk_1" {
        return Err((401, "unauthorized"));
    }
    let known =
        ["topic", "title", "message", "priority", "tags", "click", "actions", "markdown", "icon", "delay"];
    let fields = fields(body, &known)?;
    let topic = fields["topic"].as_str().unwrap_or_default();
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if topic.is_empty() || topic.len() > 64 || !topic.chars().all(fine) {
        return Err((400, "invalid topic"));
    }
    if !fields["priority"].as_u64().is_some_and(|n| (1..=5).contains(&n)) {
        return Err((400, "invalid priority"));
    }
    let tags = fields["tags"].as_array().is_some_and(|tags| tags.iter().all(Value::is_string));
    if tags && fields["message"].is_string() { Ok(()) } else { Err((400, "invalid tags or message")) }
}

/// <https://gotify.net/docs/pushmsg>
fn gotify(key: &str, body: &str) -> Checked {
    if key != "TOKEN" {
        return Err((401, "you need to provide a valid access token"));
    }
    let fields = fields(body, &["title", "message", "priority", "extras"])?;
    if fields["message"].as_str().is_none_or(str::is_empty) || !fields["priority"].is_i64() {
        return Err((400, "Field 'message' is required"));
    }
    let spaced = |extras: &Value| extras.as_object().is_some_and(|e| e.keys().all(|key| key.contains("::")));
    if fields.get("extras").is_none_or(spaced) { Ok(()) } else { Err((400, "extras")) }
}

/// <https://github.com/caronc/apprise-api#api-details>
fn apprise(body: &str) -> Checked {
    let fields = fields(body, &["title", "body", "type", "tag", "format"])?;
    let kind = fields["type"].as_str().unwrap_or_default();
    if fields["body"].as_str().is_none_or(str::is_empty)
        || !["info", "success", "warning", "failure"].contains(&kind)
    {
        return Err((400, "An invalid notification type was specified"));
    }
    Ok(())
}

/// <https://healthchecks.io/docs/http_api/>
fn ping(path: &[&str], query: &str, body: &str) -> Checked {
    let [CHECK, signal @ ..] = path else { return Err((404, "not found")) };
    let fine = match signal {
        [] | ["start" | "fail" | "log"] => true,
        [code] => code.parse::<u8>().is_ok(),
        _ => false,
    };
    if !fine {
        return Err((404, "not found"));
    }
    let rid = query.split('&').find_map(|pair| pair.strip_prefix("rid=")).unwrap_or_default();
    if rid.len() != 36 || rid.matches('-').count() != 4 {
        return Err((400, "invalid uuid format"));
    }
    if body.len() > 100_000 { Err((413, "too long")) } else { Ok(()) }
}
