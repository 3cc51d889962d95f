//! The one port that plays every host.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, LOCATION, RETRY_AFTER, SET_COOKIE, USER_AGENT};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::content::Addresses;
use super::faults::{Fault, RequestClass};
use super::{Faults, Library, Session, SimConfig, content, documents, rpc};

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;
pub(crate) type Answer = Response<Body>;

/// Longest request body that is read.
const LONGEST_REQUEST: usize = 4 << 20;

/// Everything that is played.
pub(crate) struct Google {
    pub(crate) config: SimConfig,
    pub(crate) library: Library,
    pub(crate) session: Session,
    pub(crate) faults: Faults,
    pub(crate) addresses: Addresses,
    counters: Mutex<Counters>,
}

/// What was asked so far.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counters {
    /// Pages.
    pub documents: u64,
    /// Calls by name.
    pub rpcs: BTreeMap<String, u64>,
    /// Calls that would have changed the library.
    pub mutating: u64,
    /// Files, by item and role.
    pub downloads: BTreeMap<String, u64>,
    /// Calls refused because of a bad token.
    pub bad_tokens: u64,
    /// Requests for files that wanted cookies and had none.
    pub without_cookies: u64,
    /// Requests with account cookies from something that is no browser, or to a host that takes none.
    pub cookie_leaks: u64,
}

impl Counters {
    /// Files served.
    pub fn files(&self) -> u64 {
        self.downloads.values().sum()
    }
}

impl Google {
    pub(crate) fn new(config: SimConfig) -> Self {
        Self {
            library: Library::new(config.clone()),
            session: Session::new(config.seed),
            faults: Faults::new(config.seed),
            addresses: Addresses::new(config.seed, config.address_life, config.single_use),
            counters: Mutex::default(),
            config,
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters.lock().unwrap_or_else(|p| p.into_inner()).clone()
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.counters.lock().unwrap_or_else(|p| p.into_inner()));
    }

    /// Account cookies belong to browsers, and to Google's own hosts.
    fn witness(&self, headers: &HeaderMap, host: &str) {
        if !self.session.is_carried(headers) {
            return;
        }
        let agent = headers.get(USER_AGENT).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
        let browser = agent.is_some_and(|a| a.contains("Chrome/") && !a.contains("shoebox"));
        if !browser || !host.ends_with("google.com") {
            self.count(|c| c.cookie_leaks += 1);
        }
    }
}

/// Accepts connections until aborted.
pub(crate) async fn serve(listener: TcpListener, tls: Arc<ServerConfig>, google: Arc<Google>) {
    let acceptor = TlsAcceptor::from(tls);
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (acceptor, google) = (acceptor.clone(), Arc::clone(&google));
        tokio::spawn(async move {
            if stream.set_nodelay(true).is_err() {
                return;
            }
            // A client that does not trust us, or goes away, is its own trouble.
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(move |request| handle(Arc::clone(&google), request));
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            if let Err(e) = builder.serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!("a connection ended: {e}");
            }
        });
    }
}

async fn handle(google: Arc<Google>, request: Request<Incoming>) -> Result<Answer, io::Error> {
    let host = request
        .uri()
        .host()
        .map(str::to_owned)
        .or_else(|| Some(request.headers().get(HOST)?.to_str().ok()?.split(':').next()?.to_owned()))
        .unwrap_or_default();
    google.witness(request.headers(), &host);
    let path = request.uri().path().to_owned();
    match host.as_str() {
        "photos.google.com" if path.ends_with("/data/batchexecute") && request.method() == Method::POST => {
            let (parts, body) = request.into_parts();
            let body =
                Limited::new(body, LONGEST_REQUEST).collect().await.map_err(io::Error::other)?.to_bytes();
            rpc::answer(&google, &parts, &body).await
        }
        "photos.google.com" => {
            google.count(|c| c.documents += 1);
            let struck = google.faults.strike(&RequestClass::Document, None);
            if let Some(answer) = before(&google, &struck).await? {
                return Ok(answer);
            }
            Ok(documents::photos(&google, request.uri(), request.headers()))
        }
        "accounts.google.com" => {
            if path == "/RotateCookies" || path == "/RotateCookiesPage" {
                return Ok(documents::rotate(&google, request.headers()));
            }
            let (parts, body) = request.into_parts();
            let body =
                Limited::new(body, LONGEST_REQUEST).collect().await.map_err(io::Error::other)?.to_bytes();
            Ok(documents::accounts(&google, &parts.method, &parts.uri, &body))
        }
        "www.google.com" if path.starts_with("/photos/about") => Ok(documents::about()),
        "video-downloads.googleusercontent.com" | "photos.fife.usercontent.google.com" => {
            content::answer(&google, &host, request.uri(), request.headers()).await
        }
        host if host.starts_with("lh3.") => Ok(content::rendition(&google, request.uri())),
        _ => Ok(plain(StatusCode::NOT_FOUND, "text/plain", "")),
    }
}

/// Faults that strike before any answer.
pub(crate) async fn before(google: &Google, struck: &[Fault]) -> Result<Option<Answer>, io::Error> {
    for fault in struck {
        match fault {
            Fault::Latency(delay) => tokio::time::sleep(*delay).await,
            Fault::Reset => return Err(io::Error::from(io::ErrorKind::ConnectionReset)),
            Fault::SessionExpired => google.session.sign_out(google.session.model()),
            Fault::Status(status, after) => {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let html = "<html><title>Sorry</title><body>Sorry, an error has occurred.</body></html>";
                let mut answer = plain(status, "text/html; charset=utf-8", html);
                if let Some(after) = after {
                    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*after));
                }
                return Ok(Some(answer));
            }
            _ => {}
        }
    }
    Ok(None)
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

pub(crate) fn plain(status: StatusCode, media_type: &str, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(full(text));
    *answer.status_mut() = status;
    set(&mut answer, CONTENT_TYPE, media_type);
    answer
}

pub(crate) fn redirect(to: &str) -> Answer {
    let mut answer = plain(StatusCode::FOUND, "text/html; charset=utf-8", "");
    set(&mut answer, LOCATION, to);
    answer
}

pub(crate) fn set(answer: &mut Answer, name: hyper::header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        answer.headers_mut().insert(name, value);
    }
}

pub(crate) fn add_cookies(answer: &mut Answer, cookies: &[String]) {
    for cookie in cookies {
        if let Ok(value) = HeaderValue::from_str(cookie) {
            answer.headers_mut().append(SET_COOKIE, value);
        }
    }
}

/// A body in pieces, as slow and as broken as the faults say. The announced length is the true one.
pub(crate) fn faulty(bytes: Bytes, struck: &[Fault]) -> Body {
    let mut bytes = bytes;
    let mut rate = None;
    let mut end = None;
    for fault in struck {
        match fault {
            Fault::Bandwidth(per_second) => rate = Some((*per_second).max(1)),
            Fault::Truncate(at) => end = Some((*at, false)),
            Fault::Stall(at) => end = Some((*at, true)),
            Fault::AlterByte => {
                let mut altered = bytes.to_vec();
                let middle = altered.len() / 2;
                if let Some(byte) = altered.get_mut(middle) {
                    *byte ^= 0x20;
                }
                bytes = Bytes::from(altered);
            }
            _ => {}
        }
    }
    if rate.is_none() && end.is_none() {
        return full(bytes);
    }
    let total = bytes.len();
    let stop = end.map(|(at, _)| usize::try_from(at).unwrap_or(total).min(total.saturating_sub(1)));
    let step = rate.map_or(64 << 10, |r| usize::try_from(r / 20).unwrap_or(1).clamp(1, 256 << 10));
    let stream = futures_util::stream::unfold(0, move |at| {
        let bytes = bytes.clone();
        async move {
            if at >= total {
                return None;
            }
            if stop == Some(at) {
                if end.is_some_and(|(_, stall)| stall) {
                    std::future::pending::<()>().await;
                }
                // What was sent shall arrive before the connection breaks.
                tokio::time::sleep(Duration::from_millis(30)).await;
                return Some((Err(io::Error::from(io::ErrorKind::ConnectionReset)), total));
            }
            if let Some(rate) = rate {
                tokio::time::sleep(Duration::from_secs_f64(step as f64 / rate as f64)).await;
            }
            let next = (at + step).min(stop.filter(|&stop| stop > at).unwrap_or(total)).min(total);
            Some((Ok(Frame::data(bytes.slice(at..next))), next))
        }
    });
    StreamBody::new(stream.boxed()).boxed_unsync()
}
