//! Items that Google does not show any more: a dated note, never a removal.
//!
//! An absence is believed only when two complete listings in a row agree on it, and Google's own counts agreed
//! with both: listings shrink, keys come and go, and answers are lost.

use std::collections::HashMap;
use std::sync::Arc;

use super::lister::Lister;
use super::report::Outcome;
use crate::ingest::{self, IngestError};
use crate::model::{ItemRecord, ItemState, MediaKey};
use crate::remote::{Cursor, RemoteLibrary};
use crate::store::RecordName;

/// Pages of the trash that are read to tell when something was thrown away.
const TRASH_PAGES: usize = 100;

/// Writes what the last two listings agree on.
pub(crate) async fn write<R: RemoteLibrary>(lister: &Lister<R>) -> Result<(), Outcome> {
    let account = lister.account.clone();
    let absent = lister
        .ask(move |index| {
            let last = index.last_listings(&account, 2)?;
            let agree = last.len() == 2 && last.iter().all(|listing| listing.agrees);
            match last.last().filter(|_| agree) {
                Some(earlier) => index.absent_since(&account, earlier.id),
                None => Ok(Vec::new()),
            }
        })
        .await?;
    if absent.is_empty() {
        return Ok(());
    }
    let trashed = trash(lister).await?;
    tracing::info!(items = absent.len(), "no longer in the library; they stay in the archive");
    let pass = Arc::clone(&lister.pass);
    let written = ingest::blocking(move || {
        let reader = pass.archive.index.reader()?;
        for keys in absent.chunks(50) {
            let _turn = pass.archive.turn();
            let mut known = reader.known(keys)?;
            for key in keys {
                let Some(known) = known.remove(key) else { continue };
                let name = RecordName { key: key.clone(), seq: known.seq, sha256: known.record_sha256 };
                let previous = pass.archive.store.read_record(&name)?;
                let mut remote = previous.record().remote.clone();
                remote.trashed_ms = trashed.get(key).copied().or(remote.trashed_ms);
                let record = ItemRecord {
                    seq: known.seq + 1,
                    previous: Some(known.record_sha256),
                    recorded_at: pass.clock.now(),
                    state: ItemState::Gone,
                    remote,
                    ..previous.record().clone()
                };
                let stored = pass.archive.store.put_record(&record, &[])?;
                pass.archive.index.writer().apply(stored)?;
                pass.progress.add_gone();
            }
        }
        Ok(())
    });
    written.await.map_err(|e: IngestError| Outcome::from(e))
}

/// When things were thrown away, as far as the trash tells. Without it, an item is simply gone.
async fn trash<R: RemoteLibrary>(lister: &Lister<R>) -> Result<HashMap<MediaKey, i64>, Outcome> {
    let mut times = HashMap::new();
    let mut from: Option<Cursor> = None;
    for _ in 0..TRASH_PAGES {
        let page = match lister.try_persist(|| lister.pass.remote.trash(from.as_ref())).await? {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!("the trash could not be read: {error}");
                break;
            }
        };
        times.extend(page.items.into_iter().filter_map(|item| Some((item.key, item.trashed_ms?))));
        let Some(next) = page.next else { break };
        from = Some(next);
    }
    Ok(times)
}
