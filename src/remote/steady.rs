//! Transfers that make no headway are given up. A server that sends a byte now and then is never silent, and one
//! that sends for ever is never done: either would hold a worker for good.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout};

use super::{ByteStream, RemoteError};

/// So much must come in [`SPELL`]; a modem brings a hundred times as much.
const LEAST: u64 = 8 << 10;
/// Time spent in waiting for the far side after which its progress is judged.
const SPELL: Duration = Duration::from_secs(120);

struct Watched {
    body: ByteStream,
    most: u64,
    at: u64,
    /// Waited for the far side since it was judged last. The time that we take ourselves is not its fault.
    waited: Duration,
    /// Where it was then.
    judged_at: u64,
}

/// The same bytes, as long as they keep coming and are no more than `most`.
pub fn steady(body: ByteStream, most: u64) -> ByteStream {
    let watched = Watched { body, most, at: 0, waited: Duration::ZERO, judged_at: 0 };
    stream::try_unfold(watched, |mut watched| async move {
        Ok(watched.next().await?.map(|chunk| (chunk, watched)))
    })
    .boxed()
}

impl Watched {
    async fn next(&mut self) -> Result<Option<Bytes>, RemoteError> {
        let stalled = || RemoteError::Transient("the transfer stalled".into());
        let began = Instant::now();
        let next = timeout(SPELL, self.body.next()).await.map_err(|_| stalled())?;
        self.waited += began.elapsed();
        let Some(chunk) = next.transpose()? else { return Ok(None) };
        self.at += chunk.len() as u64;
        if self.at > self.most {
            let most = self.most;
            return Err(RemoteError::Transient(format!("the transfer did not end after {most} bytes")));
        }
        if self.waited >= SPELL {
            if self.at - self.judged_at < LEAST {
                return Err(stalled());
            }
            (self.judged_at, self.waited) = (self.at, Duration::ZERO);
        }
        Ok(Some(chunk))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Chunks of `size` bytes, `every` so often.
    fn drip(size: usize, every: Duration, chunks: usize) -> ByteStream {
        let chunk = move |_| async move {
            tokio::time::sleep(every).await;
            Ok(Bytes::from(vec![0; size]))
        };
        stream::iter(0..chunks).then(chunk).boxed()
    }

    async fn taken(body: ByteStream) -> Result<usize, String> {
        let mut body = steady(body, 1 << 20);
        let mut size = 0;
        while let Some(chunk) = body.next().await {
            size += chunk.map_err(|e| e.to_string())?.len();
        }
        Ok(size)
    }

    #[tokio::test(start_paused = true)]
    async fn slow_lines_are_served_and_a_drip_is_not() {
        let second = Duration::from_secs(1);
        assert_eq!(taken(drip(100, second, 1000)).await, Ok(100_000));
        assert!(taken(drip(1, second, 100_000)).await.unwrap_err().contains("stalled"));
        assert!(taken(stream::pending().boxed()).await.unwrap_err().contains("stalled"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_ends_is_ended() {
        let endless = drip(1000, Duration::ZERO, usize::MAX);
        assert!(taken(endless).await.unwrap_err().contains("did not end"));
    }
}
