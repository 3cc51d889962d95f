//! Requests to the servers that pass a notice on.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use serde_json::Value;

use super::Trouble;

/// The name under which we are known to servers.
pub const AGENT: &str = concat!("shoebox/", env!("CARGO_PKG_VERSION"));
/// Longest answer that is looked at, bytes.
const LONGEST_ANSWER: usize = 2000;

/// Sends requests.
#[derive(Clone, Debug)]
pub struct Client(reqwest::Client);

/// One request: always a POST.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Where to.
    pub url: String,
    /// Media type of the body.
    pub kind: &'static str,
    /// Further heads.
    pub heads: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

impl Request {
    /// JSON to an address.
    pub fn json(url: String, body: &Value) -> Self {
        Self { url, kind: "application/json", heads: Vec::new(), body: body.to_string() }
    }

    /// With a further head, if there is a value for it.
    pub fn with(mut self, name: &'static str, value: Option<&str>) -> Self {
        self.heads.extend(value.map(|value| (name, value.to_owned())));
        self
    }
}

impl Client {
    /// Sends with a client that was set up for this machine's network.
    pub fn new(client: reqwest::Client) -> Self {
        Self(client)
    }

    /// Sends one request; any 2xx is success.
    pub async fn send(&self, request: Request) -> Result<(), Trouble> {
        let mut builder =
            self.0.post(&request.url).header(CONTENT_TYPE, request.kind).header(USER_AGENT, AGENT);
        for (name, value) in request.heads {
            builder = builder.header(name, value);
        }
        let answer = builder.body(request.body).send().await.map_err(|e| {
            // The address holds the secret of many channels.
            let e = e.without_url();
            Trouble { may_pass: !e.is_builder(), why: reason(&e), wait: None }
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let wait = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = answer.text().await.unwrap_or_default();
        let body = &body[..body.floor_char_boundary(LONGEST_ANSWER)];
        let may_pass = status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT;
        let said = if body.trim().is_empty() {
            String::new()
        } else {
            format!(": {}", crate::model::name::printable(body.trim()))
        };
        Err(Trouble {
            why: format!("the server answered {status}{said}"),
            may_pass,
            wait: wait.map(Duration::from_secs),
        })
    }
}

/// The innermost reason, which is the one that a person can do something about.
fn reason(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
