//! Politeness: how fast calls and downloads go, and who waits when Google asks to slow down.
//!
//! Calls draw from a token bucket. Downloads share a limit that grows by one with each round of successes and
//! shrinks by a factor on refusals and on slowness, as networks share a line. Everybody waits at one gate.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::StreamExt;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::quiet::QuietHours;
use crate::model::Clock;
use crate::remote::{Body, RemoteError};
use crate::token_bucket::TokenBucket;

/// The caps that a person can set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Most downloads at the same time.
    pub workers: usize,
    /// Most calls per second, in the long run.
    pub calls_per_second: f64,
    /// Most bytes per second, all downloads of all passes that share a line together.
    pub bandwidth: Option<u64>,
    /// When nothing is asked of Google.
    pub quiet: Option<QuietHours>,
    /// Longest single wait, also if the server asks for a longer one.
    pub longest_wait: Duration,
}

impl Default for Limits {
    /// Two calls per second went well for an archive of 96,000 items over days, and is the only rate that
    /// anybody has reported as safe; four downloads at a time are what a person's browser would do too.
    fn default() -> Self {
        Self {
            workers: 4,
            calls_per_second: 2.0,
            bandwidth: None,
            quiet: None,
            longest_wait: Duration::from_secs(120),
        }
    }
}

/// How often somebody who waits for the end of quiet hours looks at the clock.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Calls that may be made at once after a rest.
const CALL_BURST: f64 = 20.0;
/// A first byte that takes so many times longer than the quickest one did is a sign of load.
const SLOW: u32 = 4;
/// Below this, slowness is chance.
const NOT_SLOW: Duration = Duration::from_secs(1);
/// One refusal hits several transfers at once; it counts once in this time.
const CUT_PAUSE: Duration = Duration::from_secs(1);

/// The shared gate, the rates, and the back-off of single calls.
pub struct Pace {
    limits: Limits,
    clock: Arc<dyn Clock>,
    open_at: Mutex<Instant>,
    seed: Mutex<fastrand::Rng>,
    calls: Mutex<TokenBucket>,
    bytes: Option<Bytes>,
    downloads: Mutex<Downloads>,
    freed: Notify,
    /// Somebody has said already why everybody waits.
    told: AtomicBool,
}

/// The line, which several passes may share.
#[derive(Clone, Default)]
pub struct Line(Arc<Mutex<Option<(u64, Bytes)>>>);

type Bytes = Arc<Mutex<TokenBucket>>;

impl Line {
    /// So many bytes per second of it; another number than before counts from now on.
    fn at(&self, rate: u64) -> Bytes {
        let mut line = locked(&self.0);
        match &*line {
            Some((known, bytes)) if *known == rate => Arc::clone(bytes),
            _ => {
                let bytes = Arc::new(Mutex::new(TokenBucket::new(rate as f64, rate as f64)));
                *line = Some((rate, Arc::clone(&bytes)));
                bytes
            }
        }
    }
}

struct Downloads {
    allowed: f64,
    running: usize,
    quickest: Option<Duration>,
    last_cut: Option<Instant>,
}

/// The right to download; given back when dropped.
pub(crate) struct Turn<'a> {
    pace: &'a Pace,
}

impl Pace {
    /// Everything open.
    pub fn new(seed: u64, limits: Limits, line: &Line, clock: Arc<dyn Clock>) -> Self {
        Self {
            open_at: Mutex::new(Instant::now()),
            seed: Mutex::new(fastrand::Rng::with_seed(seed)),
            calls: Mutex::new(TokenBucket::new(limits.calls_per_second, CALL_BURST)),
            bytes: limits.bandwidth.map(|rate| line.at(rate)),
            downloads: Mutex::new(Downloads {
                allowed: limits.workers.max(1) as f64,
                running: 0,
                quickest: None,
                last_cut: None,
            }),
            freed: Notify::new(),
            told: AtomicBool::new(false),
            limits,
            clock,
        }
    }

    /// Waits until the gate is open and no quiet hours are kept.
    pub async fn wait(&self) {
        loop {
            if let Some(rest) = self.limits.quiet.and_then(|quiet| quiet.left_at(self.clock.now())) {
                if !self.told.swap(true, Ordering::Relaxed) {
                    tracing::info!("quiet hours: going on in {} minutes", rest.as_secs() / 60 + 1);
                }
                // In short pieces: the clock may be set meanwhile, and the machine may sleep.
                tokio::time::sleep(rest.min(LOOK_AGAIN)).await;
                continue;
            }
            self.told.store(false, Ordering::Relaxed);
            let open_at = *locked(&self.open_at);
            if Instant::now() >= open_at {
                return;
            }
            tokio::time::sleep_until(open_at).await;
        }
    }

    /// Waits for the turn of one call.
    pub async fn call_turn(&self) {
        self.wait().await;
        let wait = locked(&self.calls).take(1.0);
        tokio::time::sleep(wait).await;
    }

    /// Waits for the turn of one download.
    pub(crate) async fn download_turn(&self) -> Turn<'_> {
        loop {
            self.wait().await;
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            {
                let mut downloads = locked(&self.downloads);
                if (downloads.running as f64) < downloads.allowed.floor().max(1.0) {
                    downloads.running += 1;
                    return Turn { pace: self };
                }
            }
            freed.await;
        }
    }

    /// Downloads that may run at the same time now.
    pub fn allowed(&self) -> f64 {
        locked(&self.downloads).allowed
    }

    /// A download's first byte came after `waited`, and the rest came too.
    pub fn went_well(&self, waited: Duration) {
        let mut downloads = locked(&self.downloads);
        let quickest = downloads.quickest.map_or(waited, |quickest| quickest.min(waited));
        downloads.quickest = Some(quickest);
        if waited > NOT_SLOW && waited > quickest * SLOW {
            downloads.cut(0.8);
        } else {
            let most = self.limits.workers.max(1) as f64;
            downloads.allowed = (downloads.allowed + 1.0 / downloads.allowed).min(most);
        }
        drop(downloads);
        self.freed.notify_waiters();
    }

    /// Something was refused or failed: everybody slows down as far as that tells.
    pub fn heard(&self, error: &RemoteError) {
        match error {
            RemoteError::Throttled { after, .. } => {
                locked(&self.downloads).cut(0.5);
                if let Some(after) = after {
                    self.hold(*after);
                }
            }
            RemoteError::Transient(_) => locked(&self.downloads).cut(0.8),
            _ => {}
        }
    }

    /// Closes the gate for everybody.
    pub fn hold(&self, delay: Duration) {
        let until = Instant::now() + delay.min(self.limits.longest_wait);
        let mut open_at = locked(&self.open_at);
        *open_at = until.max(*open_at);
    }

    /// A download's bytes at no more than the bandwidth that is allowed. A file that the browser has written
    /// is paid for afterwards, by whoever comes next.
    pub(crate) fn measured(&self, body: Body) -> Body {
        let Some(bytes) = self.bytes.clone() else { return body };
        match body {
            Body::Stream(stream) => Body::Stream(
                stream
                    .then(move |chunk| {
                        let size = chunk.as_ref().map_or(0, bytes::Bytes::len);
                        let wait = locked(&bytes).take(size as f64);
                        async move {
                            tokio::time::sleep(wait).await;
                            chunk
                        }
                    })
                    .boxed(),
            ),
            Body::File(path) => {
                let size = std::fs::metadata(&path).map_or(0, |meta| meta.len());
                let wait = locked(&bytes).take(size as f64);
                if !wait.is_zero() {
                    let until = Instant::now() + wait;
                    let mut open_at = locked(&self.open_at);
                    *open_at = until.max(*open_at);
                }
                Body::File(path)
            }
        }
    }

    /// Waits for one call that failed: exponential from half a second, with jitter.
    pub fn delays(&self, attempts: usize) -> impl Iterator<Item = Duration> + use<> {
        let seed = locked(&self.seed).u64(..);
        ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(500).min(self.limits.longest_wait))
            .with_max_delay(self.limits.longest_wait)
            .with_max_times(attempts.saturating_sub(1))
            .with_jitter()
            .with_jitter_seed(seed)
            .build()
    }
}

impl Downloads {
    fn cut(&mut self, factor: f64) {
        let now = Instant::now();
        if self.last_cut.is_some_and(|last| now.duration_since(last) < CUT_PAUSE) {
            return;
        }
        self.last_cut = Some(now);
        self.allowed = (self.allowed * factor).max(1.0);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        locked(&self.pace.downloads).running -= 1;
        self.pace.freed.notify_waiters();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::SystemClock;

    fn pace(limits: Limits) -> Pace {
        Pace::new(5, limits, &Line::default(), Arc::new(SystemClock))
    }

    fn throttled() -> RemoteError {
        RemoteError::Throttled { reason: "status 429".into(), after: None }
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_to_slow_down_holds_everybody() {
        let pace = pace(Limits { longest_wait: Duration::from_secs(60), ..Limits::default() });
        pace.wait().await;
        let before = Instant::now();
        pace.hold(Duration::from_secs(7));
        pace.hold(Duration::from_secs(3));
        pace.wait().await;
        assert!(before.elapsed() >= Duration::from_secs(7));
        pace.hold(Duration::from_secs(3600));
        pace.wait().await;
        assert!(before.elapsed() < Duration::from_secs(90), "a hostile Retry-After stops the run");
    }

    #[tokio::test(start_paused = true)]
    async fn calls_keep_to_their_rate_after_a_burst() {
        let pace = pace(Limits { calls_per_second: 4.0, ..Limits::default() });
        let began = Instant::now();
        for _ in 0..60 {
            pace.call_turn().await;
        }
        let took = began.elapsed().as_secs_f64();
        assert!((9.0..=11.0).contains(&took), "40 calls beyond the burst of 20 at 4 per second: {took} s");
    }

    #[tokio::test(start_paused = true)]
    async fn downloads_shrink_by_a_factor_and_grow_by_steps() {
        let pace = pace(Limits { workers: 16, ..Limits::default() });
        assert!((pace.allowed() - 16.0).abs() < 1e-9);
        pace.heard(&throttled());
        pace.heard(&throttled());
        assert!((pace.allowed() - 8.0).abs() < 1e-9, "one refusal counts once: {}", pace.allowed());
        for _ in 0..8 {
            pace.went_well(Duration::from_millis(100));
        }
        assert!((8.9..9.1).contains(&pace.allowed()), "a round of successes is one more: {}", pace.allowed());
        tokio::time::sleep(Duration::from_secs(2)).await;
        pace.went_well(Duration::from_secs(5));
        assert!(pace.allowed() < 8.0, "slowness is a sign of load: {}", pace.allowed());
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            pace.heard(&throttled());
        }
        assert!((pace.allowed() - 1.0).abs() < 1e-9);
        let first = pace.download_turn().await;
        let second = tokio::time::timeout(Duration::from_secs(60), pace.download_turn()).await;
        assert!(second.is_err(), "one at a time");
        drop(first);
        pace.download_turn().await;
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_keep_to_the_bandwidth() {
        let pace = pace(Limits { bandwidth: Some(1000), ..Limits::default() });
        let chunks = vec![Ok(bytes::Bytes::from(vec![0; 500])); 20];
        let Body::Stream(stream) = pace.measured(Body::Stream(futures_util::stream::iter(chunks).boxed()))
        else {
            panic!("not a stream")
        };
        let began = Instant::now();
        assert_eq!(stream.count().await, 20);
        assert!((8.5..=9.5).contains(&began.elapsed().as_secs_f64()), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn passes_that_share_a_line_keep_to_its_bandwidth_together() {
        let (line, limits) = (Line::default(), Limits { bandwidth: Some(1000), ..Limits::default() });
        let body = || {
            let chunks = vec![Ok(bytes::Bytes::from(vec![0; 500])); 10];
            let pace = Pace::new(5, limits, &line, Arc::new(SystemClock));
            match pace.measured(Body::Stream(futures_util::stream::iter(chunks).boxed())) {
                Body::Stream(stream) => stream,
                Body::File(_) => panic!("not a stream"),
            }
        };
        let began = Instant::now();
        let (one, two) = tokio::join!(body().count(), body().count());
        assert_eq!((one, two), (10, 10));
        assert!((8.5..=9.5).contains(&began.elapsed().as_secs_f64()), "{:?}", began.elapsed());
    }

    #[test]
    fn delays_grow_are_bounded_and_follow_the_seed() {
        let limits = Limits { longest_wait: Duration::from_secs(4), ..Limits::default() };
        let delays = |seed| {
            Pace::new(seed, limits, &Line::default(), Arc::new(SystemClock)).delays(6).collect::<Vec<_>>()
        };
        let first = delays(5);
        assert_eq!(first, delays(5));
        assert_eq!(first.len(), 5);
        assert!(first.iter().all(|d| *d <= Duration::from_secs(8)), "{first:?}");
    }
}
