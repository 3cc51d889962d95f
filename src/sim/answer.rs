//! Answers, whole or as broken as the faults say.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION, SET_COOKIE};
use hyper::{Response, StatusCode};

use super::faults::Fault;

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;
pub(crate) type Answer = Response<Body>;

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

/// Makes a whole answer as slow and as broken as the faults say.
pub(crate) async fn afflict(answer: Answer, struck: &[Fault]) -> io::Result<Answer> {
    let (parts, body) = answer.into_parts();
    let bytes = body.collect().await?.to_bytes();
    Ok(Response::from_parts(parts, faulty(bytes, struck)))
}

/// One byte is another; elsewhere each time, because no line damages two transfers alike.
pub(crate) fn altered(bytes: &[u8]) -> Bytes {
    let mut altered = bytes.to_vec();
    if let Some(byte) = altered.get_mut(fastrand::usize(..bytes.len().max(1))) {
        *byte ^= 0x20;
    }
    Bytes::from(altered)
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
            Fault::AlterByte => bytes = altered(&bytes),
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
