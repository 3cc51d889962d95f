//! Files of the archive over HTTP: whole or in part, as what they are, and never as a page of ours.

use std::fs::File;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State as Shared};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::super::State;
use crate::media::kind::{self, Kind};
use crate::model::{ReadAt, Sha256};
use crate::store::StoreError;

/// Bytes that are read at once.
const CHUNK: u64 = 256 * 1024;
/// A blob never changes, but a damaged one is mended.
const FOR_NOW: &str = "private, max-age=3600";

/// How a file is wanted.
#[derive(Deserialize)]
pub struct Wanted {
    /// Its name; whoever gives one wants it on disk.
    name: Option<String>,
}

/// A blob.
pub async fn file(
    Shared(state): Shared<Arc<State>>,
    Path(hash): Path<String>,
    Query(wanted): Query<Wanted>,
    heads: HeaderMap,
) -> Response {
    let Some(sha256) = Sha256::from_hex(&hash) else { return StatusCode::NOT_FOUND.into_response() };
    let opened = tokio::task::spawn_blocking(move || {
        let file = state.archive.store.open_blob(&sha256)?;
        let size = ReadAt::size(&file).unwrap_or_default();
        let kind = kind::of(&file);
        Ok::<_, StoreError>((file, size, kind))
    });
    match opened.await {
        Ok(Ok((file, size, kind))) => {
            answer(file, size, kind, wanted.name.as_deref(), heads.get(RANGE).and_then(|v| v.to_str().ok()))
        }
        Ok(Err(StoreError::MissingBlob { .. })) => StatusCode::NOT_FOUND.into_response(),
        Ok(Err(e)) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}

fn answer(file: File, size: u64, kind: Kind, name: Option<&str>, range: Option<&str>) -> Response {
    let (status, from, to) = match range.and_then(|range| part(range, size)) {
        None => (StatusCode::OK, 0, size),
        Some(Some((from, to))) => (StatusCode::PARTIAL_CONTENT, from, to),
        Some(None) => {
            let of = format!("bytes */{size}");
            return (StatusCode::RANGE_NOT_SATISFIABLE, [(CONTENT_RANGE, of)]).into_response();
        }
    };
    // Whatever a file claims to be, a browser neither runs it nor takes it for a page.
    let shown = kind.is_still() || kind.is_video();
    let media_type = if shown { kind.media_type() } else { "application/octet-stream" };
    let disposition = match name {
        Some(name) => format!("attachment; filename*=UTF-8''{}", utf8_percent_encode(name, NON_ALPHANUMERIC)),
        None if shown => "inline".to_owned(),
        None => "attachment".to_owned(),
    };
    let mut response = (status, Body::from_stream(chunks(file, from, to))).into_response();
    let heads = [
        (CONTENT_TYPE, media_type.to_owned()),
        (CONTENT_LENGTH, (to - from).to_string()),
        (CONTENT_DISPOSITION, disposition),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox".to_owned()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (CACHE_CONTROL, FOR_NOW.to_owned()),
        (ACCEPT_RANGES, "bytes".to_owned()),
    ];
    let range = (status == StatusCode::PARTIAL_CONTENT)
        .then(|| (CONTENT_RANGE, format!("bytes {from}-{}/{size}", to - 1)));
    for (name, value) in heads.into_iter().chain(range) {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The part that a range asks for, first byte and the one behind the last; nothing if it is none that is understood,
/// and nothing in it if no byte is there. Of several ranges the whole file is a lawful answer.
fn part(range: &str, size: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let (from, to) = match (first.trim(), last.trim()) {
        ("", last) => (size.saturating_sub(number(last)?), size),
        (first, "") => (number(first)?, size),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            (first, last.saturating_add(1).min(size))
        }
    };
    Some((from < to).then_some((from, to)))
}

/// A file's bytes, read as fast as they are taken.
fn chunks(file: File, from: u64, to: u64) -> impl stream::Stream<Item = std::io::Result<Bytes>> {
    stream::unfold((Arc::new(file), from), move |(file, at)| async move {
        if at >= to {
            return None;
        }
        let reader = Arc::clone(&file);
        let read = tokio::task::spawn_blocking(move || {
            let length = usize::try_from((to - at).min(CHUNK)).unwrap_or_default();
            let mut bytes = vec![0; length];
            let n = ReadAt::read_at(&*reader, &mut bytes, at)?;
            bytes.truncate(n);
            if n == 0 { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(Bytes::from(bytes)) }
        });
        let read = read.await.unwrap_or_else(|e| Err(std::io::Error::other(e)));
        let next = read.as_ref().map_or(to, |bytes| at + bytes.len() as u64);
        Some((read, (file, next)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_has_them() {
        for (range, wanted) in [
            ("bytes=0-0", Some(Some((0, 1)))),
            ("bytes=2-", Some(Some((2, 10)))),
            ("bytes=-3", Some(Some((7, 10)))),
            ("bytes=-30", Some(Some((0, 10)))),
            ("bytes=5-100", Some(Some((5, 10)))),
            ("bytes=9-18446744073709551615", Some(Some((9, 10)))),
            ("bytes=10-", Some(None)),
            ("bytes=-0", Some(None)),
            ("bytes=5-4", None),
            ("bytes=0-1,4-5", None),
            ("bytes=x-", None),
            ("items=0-1", None),
        ] {
            assert_eq!(part(range, 10), wanted, "{range}");
        }
        assert_eq!(part("bytes=0-", 0), Some(None));
    }
}
