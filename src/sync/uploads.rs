//! What a library has, by the hashes of the uploads, without any of it.

use std::collections::HashSet;

use tokio_util::sync::CancellationToken;

use super::pace::Pace;
use super::pages::Trail;
use crate::model::{ErrorClass, Sha1};
use crate::remote::{Cursor, RemoteError, RemoteLibrary};

/// Attempts for one page.
const ATTEMPTS: usize = 8;

/// Lists the library and keeps of each item the SHA-1 that it was uploaded with, if Google tells it. Nothing where it was
/// stopped.
///
/// # Errors
/// The last answer for a page, when patience ended or asking again cannot help.
pub async fn list<R: RemoteLibrary>(
    remote: &R,
    pace: &Pace,
    stop: &CancellationToken,
) -> Result<Option<HashSet<Sha1>>, RemoteError> {
    let (mut uploads, mut trail) = (HashSet::new(), Trail::default());
    let mut from: Option<Cursor> = None;
    loop {
        let mut delays = pace.delays(ATTEMPTS);
        let page = loop {
            let answer = tokio::select! {
                () = stop.cancelled() => return Ok(None),
                answer = async { pace.call_turn().await; remote.list(from.as_ref()).await } => answer,
            };
            let error = match answer {
                Ok(page) => break page,
                Err(error) => error,
            };
            pace.heard(&error);
            let again = delays.next().filter(|_| error.class() == ErrorClass::Transient);
            let Some(delay) = again else { return Err(error) };
            tracing::info!("{error}; trying again");
            tokio::select! {
                () = stop.cancelled() => return Ok(None),
                () = tokio::time::sleep(delay) => {}
            }
        };
        let rows = page.items.len() + page.rejected.len();
        uploads.extend(page.items.iter().filter_map(|item| item.dedup_key.as_ref()?.sha1()));
        from = match trail.after(page.next, rows)? {
            None => return Ok(Some(uploads)),
            next => next,
        };
    }
}
