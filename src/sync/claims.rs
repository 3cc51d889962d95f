//! Who is fetching which upload: items with the same bytes wait for the first of them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::model::Sha1;

/// The uploads that are being fetched.
#[derive(Clone, Default)]
pub(crate) struct Claims {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    taken: Mutex<HashSet<Sha1>>,
    freed: Notify,
}

/// One upload is being fetched as long as this lives.
pub(crate) struct Claim {
    claims: Claims,
    upload: Sha1,
}

impl Claims {
    /// Waits until nobody else fetches this upload.
    pub(crate) async fn take(&self, upload: Sha1) -> Claim {
        loop {
            let freed = self.inner.freed.notified();
            tokio::pin!(freed);
            // Listening before looking: a claim given up in between is not missed.
            freed.as_mut().enable();
            if self.taken().insert(upload) {
                return Claim { claims: self.clone(), upload };
            }
            freed.await;
        }
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, HashSet<Sha1>> {
        self.inner.taken.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.taken().remove(&self.upload);
        self.claims.inner.freed.notify_waiters();
    }
}
