//! So many of something per second in the long run, with a burst after a rest.

use std::time::Duration;

use tokio::time::Instant;

/// Tokens that come back at a rate.
pub(crate) struct TokenBucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl TokenBucket {
    /// A full one. `rate` in tokens per second; a rate of zero is no limit.
    pub(crate) fn new(rate: f64, burst: f64) -> Self {
        Self { rate, burst, tokens: burst, at: Instant::now() }
    }

    /// Takes some and says how long to wait for them.
    pub(crate) fn take(&mut self, tokens: f64) -> Duration {
        let now = Instant::now();
        let saved = self.tokens + now.duration_since(self.at).as_secs_f64() * self.rate;
        self.tokens = saved.min(self.burst) - tokens;
        self.at = now;
        if self.tokens >= 0.0 || self.rate <= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(-self.tokens / self.rate).unwrap_or(Duration::ZERO)
    }
}
