//! Transfers that go on where they were cut, on servers that offer it: a video of many gigabytes over a
//! household's line is rarely had in one piece. What comes out is hashed like any other transfer, so a server
//! that continues with other bytes is found out.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED,
    RANGE,
};
use reqwest::{Client, Response, StatusCode};

use super::{accept, transport};
use crate::remote::{ByteStream, RemoteError};

/// Times that a transfer may go on without a step of [`PROGRESS`] in between.
const PATIENCE: u32 = 4;
/// Bytes that prove the line usable.
const PROGRESS: u64 = 1 << 20;
/// Pause before the first continuation; each further one doubles it.
const PAUSE: Duration = Duration::from_millis(500);

type Bytewise = BoxStream<'static, Result<Bytes, RemoteError>>;

/// One file on its way.
struct Transfer {
    client: Client,
    /// Secret.
    url: String,
    body: Bytewise,
    /// What the server says to continue by; none where it cannot.
    promise: Option<Promise>,
    /// Bytes that have arrived.
    at: u64,
    /// As of the latest proof that the line is usable.
    proven_at: u64,
    continued: u32,
}

/// The server's word that it can go on, and how it names the bytes.
struct Promise {
    total: u64,
    /// Strong entity tag or date: other bytes have another one.
    same: Option<HeaderValue>,
}

impl Promise {
    fn of(headers: &HeaderMap) -> Option<Self> {
        headers.get(ACCEPT_RANGES).filter(|units| units.as_bytes().eq_ignore_ascii_case(b"bytes"))?;
        let total = headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()?;
        let tag = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
        Some(Self { total, same: tag.or_else(|| headers.get(LAST_MODIFIED)).cloned() })
    }
}

/// The bytes of an answer that has begun, continued as often as the server plays along.
pub(super) fn whole(client: &Client, url: &str, response: Response) -> ByteStream {
    let transfer = Transfer {
        client: client.clone(),
        url: url.to_owned(),
        promise: Promise::of(response.headers()),
        body: bytes_of(response),
        at: 0,
        proven_at: 0,
        continued: 0,
    };
    stream::try_unfold(transfer, |mut transfer| async move {
        Ok(transfer.next().await?.map(|chunk| (chunk, transfer)))
    })
    .boxed()
}

fn bytes_of(response: Response) -> Bytewise {
    response.bytes_stream().map_err(|e| transport(&e)).boxed()
}

impl Transfer {
    async fn next(&mut self) -> Result<Option<Bytes>, RemoteError> {
        loop {
            match self.body.next().await {
                Some(Ok(chunk)) => {
                    self.at += chunk.len() as u64;
                    if self.at - self.proven_at >= PROGRESS {
                        (self.proven_at, self.continued) = (self.at, 0);
                    }
                    return Ok(Some(chunk));
                }
                Some(Err(cut)) => self.go_on(cut).await?,
                None => return Ok(None),
            }
        }
    }

    /// Asks for the rest; `cut` is the error where that does not work.
    async fn go_on(&mut self, cut: RemoteError) -> Result<(), RemoteError> {
        let Some(promise) = self.promise.as_ref().filter(|promise| self.at > 0 && self.at < promise.total)
        else {
            return Err(cut);
        };
        while self.continued < PATIENCE {
            tokio::time::sleep(PAUSE * 2_u32.pow(self.continued)).await;
            self.continued += 1;
            let mut request = self.client.get(&self.url).header(RANGE, format!("bytes={}-", self.at));
            if let Some(same) = &promise.same {
                request = request.header(IF_RANGE, same);
            }
            let Ok(response) = request.send().await else { continue };
            let rest = format!("bytes {}-{}/{}", self.at, promise.total - 1, promise.total);
            let fits = response
                .headers()
                .get(CONTENT_RANGE)
                .is_some_and(|range| range.as_bytes() == rest.as_bytes());
            if response.status() == StatusCode::PARTIAL_CONTENT && fits {
                tracing::debug!(at = self.at, total = promise.total, "the transfer goes on where it was cut");
                self.body = bytes_of(response);
                return Ok(());
            }
            // Asked to slow down, or the address has expired: the whole file's next attempt is told.
            accept(&response)?;
            return Err(cut);
        }
        Err(cut)
    }
}
