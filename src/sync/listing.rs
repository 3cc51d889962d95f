//! Which listing a pass makes: the whole library, or a look at what is new.
//!
//! A look costs a handful of requests: Google's own counts, the latest uploads, the list of albums. Where the
//! counts show more than the uploads explain, the months in question are listed; where something has
//! vanished, or too much moved, the whole library is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use tokio::sync::mpsc;

use super::lister::{Lister, Work};
use super::pages::Trail;
use super::report::Outcome;
use super::{ListingMode, Pass, tombstones};
use crate::index::Listing;
use crate::model::MediaKey;
use crate::remote::{Cursor, RemoteError, RemoteLibrary, TimelineCounts};

/// Owed items that a look asks for one by one before it calls for the whole library.
const MOST_OWED: usize = 200;
/// Months that a look lists again before it calls for the whole library.
const MOST_MONTHS: usize = 24;

/// Lists the account's own library and queues what is wanted.
pub(crate) async fn list<R: RemoteLibrary>(
    pass: Arc<Pass<R>>,
    queue: mpsc::Sender<Work>,
) -> Result<(), Outcome> {
    let pass = &pass;
    let mut lister = Lister::new(pass, queue)?;
    let account = lister.account.clone();
    let (last, next) = lister
        .ask(move |index| Ok((index.last_listings(&account, 1)?.pop(), index.next_listing(&account)?)))
        .await?;
    if pass.options.listing == ListingMode::SetAside {
        lister.listing = last.map_or(0, |last| last.id);
        let owed = lister.owed(lister.listing).await?;
        ask_for(&mut lister, owed).await?;
        pass.progress.listing_is_done();
        return Ok(());
    }
    if let Some(last) = last.filter(|last| is_fresh(pass, last)) {
        lister.listing = last.id;
        match look(&mut lister, &last).await? {
            None => {
                pass.progress.listing_is_done();
                return Ok(());
            }
            Some(doubt) => tracing::info!("{doubt}: listing the whole library"),
        }
    }
    pass.progress.lists_everything();
    lister.begin_anew(next);
    if let Some(lacking) = whole(&mut lister).await? {
        tracing::info!(lacking, "the listing ended before Google's own count: listing again");
        lister.begin_anew(next + 1);
        if let Some(lacking) = whole(&mut lister).await? {
            tracing::warn!("Google counts {lacking} photos more than it lists; the next pass looks again");
            pass.progress.add_unreadable(lacking);
        }
    }
    pass.progress.listing_is_done();
    Ok(())
}

/// Whether the last complete listing spares a new one.
fn is_fresh<R>(pass: &Pass<R>, last: &Listing) -> bool {
    let age = pass.clock.now().duration_since(last.ended);
    match pass.options.listing {
        ListingMode::Whole | ListingMode::SetAside => false,
        ListingMode::Auto => {
            let limit = SignedDuration::try_from(pass.options.whole_every).unwrap_or(SignedDuration::MAX);
            age >= SignedDuration::ZERO && age < limit && !last.thin
        }
    }
}

/// Lists everything, then compares with Google's counts and with the listing before. The answer is how many
/// photos Google has counted before and after and not listed, if so.
async fn whole<R: RemoteLibrary>(lister: &mut Lister<R>) -> Result<Option<u64>, Outcome> {
    let pass = Arc::clone(&lister.pass);
    let (id, account) = (lister.listing, lister.account.clone());
    let started = pass.clock.now();
    begin(lister, started).await?;
    let before = counts(lister).await?;
    let mut trail = Trail::default();
    let mut from: Option<Cursor> = None;
    let (mut unreadable, mut listed, mut thin) = (0, 0, false);
    loop {
        let page = lister.persist("the listing", || pass.remote.list(from.as_ref())).await?;
        unreadable += page.rejected.len() as u64;
        let next = trail.after(page.next.clone(), page.items.len() + page.rejected.len());
        thin |= page.thin;
        listed += lister.take(page, true).await?.fresh as u64;
        from = next.map_err(|error| Outcome::Failed(error.to_string()))?;
        if from.is_none() {
            break;
        }
    }
    listed += unreadable;
    let after = counts(lister).await?;
    let counted = after.as_ref().map(|counts| counts.total);
    // Nobody says whether the counts include the archive section.
    let agrees = |total| total == listed || total == listed.saturating_sub(lister.hidden);
    let steady = before.map(|counts| counts.total) == counted;
    let lacking = counted.filter(|_| steady && !thin).and_then(|counted| counted.checked_sub(listed));
    let agrees = counted.is_some_and(agrees) && steady && unreadable == 0 && !thin;
    if !agrees {
        tracing::info!(
            listed,
            counted,
            "Google's own count is another than its listing; not taken for a deletion"
        );
    }
    let ranges = after.and_then(|counts| serde_json::to_string(&counts).ok());
    let end = Listing { id, started, ended: pass.clock.now(), listed, counted, agrees, ranges, thin };
    let writer = pass.archive.index.writer();
    blocking(move || writer.end_listing(&account, &end)).await?;
    tombstones::write(lister).await?;
    Ok(lacking.filter(|&lacking| lacking > 0))
}

async fn begin<R: RemoteLibrary>(lister: &Lister<R>, started: Timestamp) -> Result<(), Outcome> {
    let (writer, account, id) = (lister.pass.archive.index.writer(), lister.account.clone(), lister.listing);
    blocking(move || writer.begin_listing(id, &account, started)).await
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, crate::index::IndexError> + Send + 'static,
) -> Result<T, Outcome> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|e| Outcome::Failed(e.to_string()))?;
    done.map_err(Outcome::from)
}

/// Google's counts; without them a pass knows less and goes on.
async fn counts<R: RemoteLibrary>(lister: &Lister<R>) -> Result<Option<TimelineCounts>, Outcome> {
    match lister.try_persist(|| lister.pass.remote.counts()).await? {
        Ok(counts) => Ok(counts),
        Err(error @ RemoteError::SignedOut { .. }) => Err(Outcome::from(error)),
        // The library itself has told of a change.
        Err(RemoteError::Drift { .. }) => Ok(None),
        Err(error) => {
            tracing::warn!("Google's own counts could not be had: {error}");
            Ok(None)
        }
    }
}

/// Looks for what is new. The answer is a reason to list everything, if there is one.
async fn look<R: RemoteLibrary>(lister: &mut Lister<R>, last: &Listing) -> Result<Option<String>, Outcome> {
    let pass = Arc::clone(&lister.pass);
    let owed = lister.owed(last.id).await?;
    if owed.len() > MOST_OWED {
        return Ok(Some(format!("{} items are listed and not archived", owed.len())));
    }
    let counts = counts(lister).await?;
    let mut expected = last.ranges.as_deref().and_then(|text| serde_json::from_str(text).ok()).map(by_month);
    ask_for(lister, owed).await?;
    let mut from: Option<Cursor> = None;
    loop {
        let page = match lister.try_persist(|| pass.remote.recent(from.as_ref())).await? {
            Ok(page) => page,
            Err(error @ RemoteError::SignedOut { .. }) => {
                return Err(Outcome::from(error));
            }
            // The counts will show where to look.
            Err(RemoteError::Drift { .. }) if counts.is_some() && expected.is_some() => break,
            Err(error) => return Ok(Some(format!("the latest uploads could not be had ({error})"))),
        };
        let taken: Vec<_> = page.items.iter().filter(|item| !lister.has_seen(&item.key)).cloned().collect();
        let next = page.next.clone();
        let known: Vec<_> = taken.iter().map(|item| item.key.clone()).collect();
        let account = lister.account.clone();
        let seen =
            lister.ask(move |index| Ok((index.known(&known)?, index.sightings(&account, &known)?))).await?;
        for item in &taken {
            let is_new = !seen.0.contains_key(&item.key) && !seen.1.contains_key(&item.key);
            if let (true, Some(expected), Some(ms)) = (is_new, &mut expected, item.taken_ms) {
                *expected.entry(month_of(ms)).or_insert(0) += 1;
            }
        }
        let brought = lister.take(page, false).await?;
        if brought.new == 0 {
            break;
        }
        let Some(next) = next else { break };
        from = Some(next);
    }
    let (Some(counts), Some(expected)) = (counts, expected) else { return Ok(None) };
    let found = by_month(counts.clone());
    let differing: Vec<_> = found
        .keys()
        .chain(expected.keys())
        .filter(|&month| found.get(month) != expected.get(month))
        .copied()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    if differing.len() > MOST_MONTHS {
        return Ok(Some(format!("Google's counts differ in {} months", differing.len())));
    }
    for month in differing {
        let (then, now) =
            (expected.get(&month).copied().unwrap_or(0), found.get(&month).copied().unwrap_or(0));
        if now < then {
            return Ok(Some(format!("Google counts fewer photos in {month:?} than before")));
        }
        list_month(lister, month).await?;
    }
    if let Ok(ranges) = serde_json::to_string(&counts) {
        let (writer, id, account) = (pass.archive.index.writer(), last.id, lister.account.clone());
        blocking(move || writer.note_ranges(id, &account, &ranges)).await?;
    }
    Ok(None)
}

/// Lists one month of the timeline, UTC.
async fn list_month<R: RemoteLibrary>(lister: &mut Lister<R>, month: Month) -> Result<(), Outcome> {
    let pass = Arc::clone(&lister.pass);
    let Some((start, end)) = bounds(month) else { return Ok(()) };
    let mut page = lister.persist("a month's listing", || pass.remote.list_before(end)).await?;
    let mut trail = Trail::default();
    loop {
        let oldest = page.items.iter().filter_map(|item| item.taken_ms).min();
        let next = trail.after(page.next.clone(), page.items.len() + page.rejected.len());
        lister.take(page, true).await?;
        let next = next.map_err(|error| Outcome::Failed(error.to_string()))?;
        let Some(next) = next.filter(|_| oldest.is_none_or(|oldest| oldest >= start)) else { return Ok(()) };
        page = lister.persist("a month's listing", || pass.remote.list(Some(&next))).await?;
    }
}

/// Asks for single items.
async fn ask_for<R: RemoteLibrary>(lister: &mut Lister<R>, keys: Vec<MediaKey>) -> Result<(), Outcome> {
    let pass = Arc::clone(&lister.pass);
    for key in keys {
        match lister.try_persist(|| pass.remote.look_up(&key)).await? {
            Ok(item) => {
                // Without a time of capture it is a row of which only the key is known.
                let thin = item.taken_ms.is_none();
                let page =
                    crate::remote::ListPage { items: vec![item], rejected: Vec::new(), next: None, thin };
                lister.take(page, true).await?;
            }
            Err(error) if matches!(error, RemoteError::SignedOut { .. }) => {
                return Err(Outcome::from(error));
            }
            Err(error) => tracing::debug!(%key, "still not to be had: {error}"),
        }
    }
    Ok(())
}

/// Year and month, UTC.
type Month = (i16, i8);

fn month_of(ms: i64) -> Month {
    let day = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC);
    (day.year(), day.month())
}

/// First and last millisecond of a month.
fn bounds((year, month): Month) -> Option<(i64, i64)> {
    let first = jiff::civil::Date::new(year, month, 1).ok()?;
    let after = first.checked_add(1.month()).ok()?;
    let ms = |date: jiff::civil::Date| {
        date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp().as_millisecond())
    };
    Some((ms(first)?, ms(after)? - 1))
}

fn by_month(counts: TimelineCounts) -> BTreeMap<Month, u64> {
    let mut months = BTreeMap::new();
    for range in counts.ranges {
        *months.entry(month_of(range.from_ms)).or_insert(0) += range.count;
    }
    months
}
