//! One thing after the other: what is told to one place arrives in the order in which it happened.

use std::future::Future;
use std::pin::Pin;

use tokio::sync::mpsc::{Sender, channel};
use tokio::task::JoinHandle;

/// Most that waits for one place; what comes on top is logged and not told.
const LONGEST: usize = 50;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The queue of one place.
pub struct Queue {
    tasks: Sender<Task>,
    worker: JoinHandle<()>,
}

impl Default for Queue {
    fn default() -> Self {
        let (tasks, mut waiting) = channel::<Task>(LONGEST);
        let worker = tokio::spawn(async move {
            while let Some(task) = waiting.recv().await {
                task.await;
            }
        });
        Self { tasks, worker }
    }
}

impl Queue {
    /// Puts something at the end, and comes back at once.
    pub fn push(&self, task: impl Future<Output = ()> + Send + 'static) {
        if self.tasks.try_send(Box::pin(task)).is_err() {
            tracing::warn!("too much waits to be told; something is left out");
        }
    }

    /// Waits until all is done.
    pub async fn finish(self) {
        drop(self.tasks);
        if let Err(e) = self.worker.await {
            tracing::debug!("telling ended early: {e}");
        }
    }
}
