//! Runs a parser where it can do no harm.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Threads that may be left behind running; beyond it no file is parsed until one of them ends.
const MOST_ABANDONED: usize = 4;

/// Deep recursion in a parser should meet its own limit before this one.
const STACK_BYTES: usize = 4 * 1024 * 1024;

const RUNNING: u8 = 0;
const LEFT_BEHIND: u8 = 1;
const DONE: u8 = 2;

/// Runs `work` on a thread of its own and waits for it, no longer than the limit; says why there is no answer.
///
/// A thread cannot be stopped from outside. One that overruns is left behind, counted in `abandoned` and named in the log;
/// it holds nothing but its own read handle.
pub fn run<T: Send + 'static>(
    name: &str,
    limit: Duration,
    abandoned: &'static AtomicUsize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    if abandoned.load(Ordering::SeqCst) >= MOST_ABANDONED {
        return Err(format!("{MOST_ABANDONED} parsers of earlier files are still running wild"));
    }
    let (answer, answers) = mpsc::sync_channel::<thread::Result<T>>(1);
    let state = Arc::new(AtomicU8::new(RUNNING));
    let shared = Arc::clone(&state);
    let worker = thread::Builder::new().name("media".into()).stack_size(STACK_BYTES).spawn(move || {
        let outcome = catch_unwind(AssertUnwindSafe(work));
        // Fails only where nobody waits any more; the state tells.
        let _ = answer.send(outcome);
        if shared.swap(DONE, Ordering::SeqCst) == LEFT_BEHIND {
            abandoned.fetch_sub(1, Ordering::SeqCst);
        }
    });
    if let Err(e) = worker {
        return Err(format!("no thread for its parser: {e}"));
    }
    let mut outcome = answers.recv_timeout(limit);
    if matches!(outcome, Err(RecvTimeoutError::Timeout)) {
        let running = abandoned.fetch_add(1, Ordering::SeqCst) + 1;
        let left = state.compare_exchange(RUNNING, LEFT_BEHIND, Ordering::SeqCst, Ordering::SeqCst);
        if left.is_ok() {
            tracing::warn!("the parser of {name:?} does not end and is left behind ({running} such now)");
            return Err(format!("its parser took longer than {} s", limit.as_secs_f32()));
        }
        // It ended in this very moment, so its answer is there.
        abandoned.fetch_sub(1, Ordering::SeqCst);
        outcome = answers.recv().map_err(|_| RecvTimeoutError::Disconnected);
    }
    match outcome {
        Ok(Ok(facts)) => Ok(facts),
        Ok(Err(_)) => Err("its parser panicked".into()),
        Err(_) => Err("its parser ended without an answer".into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Mutex;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_panic_is_an_answer() {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        assert_eq!(run("a.jpg", LONG, &COUNT, || 5), Ok(5));
        let panicked: Result<(), _> = run("b.jpg", LONG, &COUNT, || std::panic::resume_unwind(Box::new("x")));
        assert_eq!(panicked, Err("its parser panicked".into()));
    }

    #[test]
    fn endless_parsers_are_abandoned_up_to_a_limit_and_forgiven_when_they_end() {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        static GATE: Mutex<()> = Mutex::new(());
        let closed = GATE.lock().unwrap();
        let wild = |limit| run("wild.jpg", limit, &COUNT, || drop(GATE.lock()));
        for _ in 0..MOST_ABANDONED {
            assert!(wild(Duration::from_millis(1)).unwrap_err().contains("longer"));
        }
        assert!(wild(LONG).unwrap_err().contains("still running wild"));
        drop(closed);
        while COUNT.load(Ordering::SeqCst) > 0 {
            thread::yield_now();
        }
        assert_eq!(wild(LONG), Ok(()));
    }
}
