//! The one port that plays every host.

use std::io;
use std::sync::Arc;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::answer::{Answer, afflict, plain};
use super::faults::RequestClass;
use super::google::{Google, before};
use super::{content, pages, rpc, zips};

/// Longest request body that is read.
const LONGEST_REQUEST: usize = 4 << 20;

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
        "photos.google.com" if path == "/_/PhotosUi/_/faults" => {
            Ok(pages::calls::faults(&google, request.uri()))
        }
        "photos.google.com" => {
            if let Some(asset) = pages::asset(&path) {
                return Ok(asset);
            }
            google.count(|c| c.documents += 1);
            let struck = google.faults.strike(&RequestClass::Document, None);
            if let Some(answer) = before(&google, &struck).await? {
                return Ok(answer);
            }
            afflict(pages::photos(&google, request.uri(), request.headers()), &struck).await
        }
        "accounts.google.com" => {
            if path == "/RotateCookies" || path == "/RotateCookiesPage" {
                let struck = google.faults.strike(&RequestClass::Rotate, None);
                if let Some(answer) = before(&google, &struck).await? {
                    return Ok(answer);
                }
                return Ok(pages::sign_in::rotate(&google, request.headers()));
            }
            let (parts, body) = request.into_parts();
            let body =
                Limited::new(body, LONGEST_REQUEST).collect().await.map_err(io::Error::other)?.to_bytes();
            Ok(pages::sign_in::accounts(&google, &parts.method, &parts.uri, &body))
        }
        "www.google.com" if path.starts_with("/photos/about") => Ok(pages::about(&google)),
        "www.google.com" if path.starts_with("/sorry/") => Ok(pages::sorry(&google)),
        "video-downloads.googleusercontent.com" | "photos.fife.usercontent.google.com" => {
            content::answer(&google, &host, request.uri(), request.headers()).await
        }
        "doc-export.googleusercontent.com" => zips::answer(&google, request.uri()).await,
        host if host.starts_with("lh3.") => Ok(content::rendition(&google, request.uri())),
        _ => Ok(plain(StatusCode::NOT_FOUND, "text/plain", "")),
    }
}
