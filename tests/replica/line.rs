//! A line to a server of object storage that spoils some of what goes through it, in the ways in which lines and servers
//! do, and remembers what was asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// One thing that was asked, and what came of it at the server; nothing where it did not get there.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: Method,
    /// With what is behind the question mark.
    pub path: String,
    pub status: Option<StatusCode>,
    /// Whether it had a checksum beside its signature.
    pub has_checksum: bool,
}

/// The line.
pub struct Line {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    server: String,
    client: reqwest::Client,
    percent: u32,
    /// Whether the server is to look like one that knows no conditional writes.
    unconditional: bool,
    rng: Mutex<fastrand::Rng>,
    asked: Mutex<Vec<Asked>>,
    spoilt: Mutex<Vec<&'static str>>,
}

type Body = BoxBody<Bytes, std::io::Error>;

impl Line {
    /// A line to a server that spoils so many of a hundred requests.
    pub async fn new(server: &str, percent: u32, seed: u64) -> Self {
        Self::with(server, percent, seed, false).await
    }

    /// A line in fine weather to a server that knows no conditional writes.
    pub async fn to_one_without_conditions(server: &str) -> Self {
        Self::with(server, 0, 0, true).await
    }

    async fn with(server: &str, percent: u32, seed: u64, unconditional: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            server: server.to_owned(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            percent,
            unconditional,
            rng: Mutex::new(fastrand::Rng::with_seed(seed)),
            asked: Mutex::default(),
            spoilt: Mutex::default(),
        });
        let serving = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&serving);
                tokio::spawn(async move {
                    let service = service_fn(move |request| pass(Arc::clone(&state), request));
                    let _ended = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, state }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }

    /// How requests were spoilt so far.
    pub fn spoilt(&self) -> Vec<&'static str> {
        self.state.spoilt.lock().unwrap().clone()
    }
}

/// The connection breaks.
fn broken() -> std::io::Error {
    std::io::ErrorKind::ConnectionReset.into()
}

fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed()
}

fn says(status: u16, code: &str) -> Response<Body> {
    let text =
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>Injected</Message></Error>");
    Response::builder().status(status).body(whole(text)).unwrap()
}

async fn pass(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, std::io::Error> {
    let (head, body) = request.into_parts();
    let mut bytes = body.collect().await.map_err(|_| broken())?.to_bytes().to_vec();
    let fault = {
        let mut rng = state.rng.lock().unwrap();
        (rng.u32(0..100) < state.percent).then(|| (rng.usize(0..8), rng.usize(..)))
    };
    let spoil = |how| state.spoilt.lock().unwrap().push(how);
    let asked = |status| {
        let path = head.uri.to_string();
        let has_checksum = head.headers.contains_key("x-amz-checksum-sha256");
        state.asked.lock().unwrap().push(Asked { method: head.method.clone(), path, status, has_checksum });
    };
    if state.unconditional && head.headers.contains_key("if-none-match") {
        asked(None);
        return Ok(says(501, "NotImplemented"));
    }
    match fault {
        Some((0, _)) => {
            spoil("slow down");
            asked(None);
            return Ok(says(503, "SlowDown"));
        }
        Some((1, _)) => {
            spoil("internal error");
            asked(None);
            return Ok(says(500, "InternalError"));
        }
        Some((2, _)) => {
            spoil("reset");
            asked(None);
            return Err(broken());
        }
        Some((3, at)) if !bytes.is_empty() => {
            spoil("upload altered");
            let at = at % bytes.len();
            bytes[at] ^= 0x10;
        }
        Some((4, _)) => {
            spoil("late");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        _ => {}
    }
    // What is signed must arrive as it was written, the name of the host included.
    let url = format!("{}{}", state.server, head.uri);
    let mut onward = state.client.request(head.method.clone(), url).body(bytes);
    for (name, value) in &head.headers {
        onward = onward.header(name, value);
    }
    let answer = onward.send().await.map_err(|_| broken())?;
    asked(Some(answer.status()));
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if name != "transfer-encoding" {
            response = response.header(name, value);
        }
    }
    let mut bytes = answer.bytes().await.map_err(|_| broken())?.to_vec();
    match fault {
        Some((5, _)) => {
            spoil("answer lost");
            return Err(broken());
        }
        Some((6, _)) if head.method == Method::GET && bytes.len() > 1 => {
            spoil("answer cut");
            let half = Bytes::from(bytes).slice(..1);
            // What is there must have left before it breaks.
            let pieces = stream::unfold(Some(half), |piece| async move {
                if let Some(half) = piece {
                    return Some((Ok(Frame::data(half)), None));
                }
                tokio::time::sleep(Duration::from_millis(30)).await;
                Some((Err(broken()), None))
            });
            return Ok(response.body(StreamBody::new(pieces).boxed()).unwrap());
        }
        // A listing would be another one: what is signed there is only the question.
        Some((7, at))
            if head.method == Method::GET && !bytes.is_empty() && !head.uri.to_string().contains('?') =>
        {
            spoil("answer altered");
            let at = at % bytes.len();
            bytes[at] ^= 0x10;
        }
        _ => {}
    }
    Ok(response.body(whole(bytes)).unwrap())
}
