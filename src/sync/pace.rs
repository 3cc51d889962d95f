//! Politeness: everybody waits when Google asks one of us to slow down.

use std::sync::Mutex;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::Instant;

/// The shared gate, and the back-off of single calls.
pub struct Pace {
    open_at: Mutex<Instant>,
    seed: Mutex<fastrand::Rng>,
    longest: Duration,
}

impl Pace {
    /// A gate that is open. `longest` bounds a single wait.
    pub fn new(seed: u64, longest: Duration) -> Self {
        Self {
            open_at: Mutex::new(Instant::now()),
            seed: Mutex::new(fastrand::Rng::with_seed(seed)),
            longest,
        }
    }

    /// Waits until the gate is open.
    pub async fn wait(&self) {
        loop {
            let open_at = *self.open_at.lock().unwrap_or_else(|p| p.into_inner());
            if Instant::now() >= open_at {
                return;
            }
            tokio::time::sleep_until(open_at).await;
        }
    }

    /// Closes the gate for everybody.
    pub fn hold(&self, delay: Duration) {
        let until = Instant::now() + delay.min(self.longest);
        let mut open_at = self.open_at.lock().unwrap_or_else(|p| p.into_inner());
        *open_at = until.max(*open_at);
    }

    /// Waits for one call that failed: exponential from half a second, with jitter.
    pub fn delays(&self, attempts: usize) -> impl Iterator<Item = Duration> + use<> {
        let seed = self.seed.lock().unwrap_or_else(|p| p.into_inner()).u64(..);
        ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(500))
            .with_max_delay(self.longest)
            .with_max_times(attempts.saturating_sub(1))
            .with_jitter()
            .with_jitter_seed(seed)
            .build()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_request_to_slow_down_holds_everybody() {
        let pace = Pace::new(1, Duration::from_secs(60));
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

    #[test]
    fn delays_grow_are_bounded_and_follow_the_seed() {
        let delays = |seed| Pace::new(seed, Duration::from_secs(4)).delays(6).collect::<Vec<_>>();
        let first = delays(5);
        assert_eq!(first, delays(5));
        assert_eq!(first.len(), 5);
        assert!(first.iter().all(|d| *d <= Duration::from_secs(8)), "{first:?}");
    }
}
