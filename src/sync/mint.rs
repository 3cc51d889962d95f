//! Addresses made ahead, several at the price of one call, so that the downloads never wait for one.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::Pass;
use super::lister::Work;
use crate::remote::{Offer, RemoteError, RemoteLibrary};

/// Work with its addresses, if they could be made ahead.
pub(crate) struct Minted {
    pub(crate) work: Work,
    pub(crate) offers: Option<Result<Vec<Offer>, RemoteError>>,
}

/// Takes work from `queue` in batches and hands it on with addresses. What fails for a whole batch is left to
/// each item, which asks again by itself.
pub(crate) async fn mint<R: RemoteLibrary>(
    pass: Arc<Pass<R>>,
    mut queue: mpsc::Receiver<Work>,
    ready: mpsc::Sender<Minted>,
) {
    let mut batch: Vec<Work> = Vec::new();
    while queue.recv_many(&mut batch, R::OFFER_BATCH).await > 0 {
        let asked: Vec<_> = batch.iter().filter(|work| work.fetch).collect();
        let items: Vec<_> = asked.iter().map(|work| (work.item.key.clone(), work.through.clone())).collect();
        let mut answers = Vec::new();
        if items.len() > 1 {
            let minted = tokio::select! {
                () = pass.stop.cancelled() => return,
                minted = async { pass.pace.call_turn().await; pass.remote.offers_batch(&items).await } => minted,
            };
            match minted {
                Ok(minted) => answers = minted,
                Err(error) => {
                    tracing::debug!("addresses could not be made ahead: {error}");
                    pass.pace.heard(&error);
                    pass.progress.add_retry();
                }
            }
        }
        let mut answers = answers.into_iter();
        for work in batch.drain(..) {
            let offers = if work.fetch { answers.next() } else { None };
            if ready.send(Minted { work, offers }).await.is_err() {
                return;
            }
        }
    }
}
