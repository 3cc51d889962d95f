//! The numbers that programs are told, gathered.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Account, State};
use crate::index::{RunNote, Totals};
use crate::store::{Disk as _, RealDisk};
use crate::sync::progress::Snapshot;

/// Every state that a login can be in; those that need somebody last.
pub const LOGINS: [&str; 5] = ["unknown", "signed-in", "expiring", "needs-person", "rejected"];

/// How things stand at one moment.
pub struct Numbers {
    /// What is archived.
    pub totals: Totals,
    /// Files that are damaged or gone.
    pub damaged: usize,
    /// Each account.
    pub accounts: Vec<OfAccount>,
    /// Bytes that are free on the archive's volume.
    pub free: Option<u64>,
}

/// How things stand with one account.
#[derive(Clone)]
pub struct OfAccount {
    /// How it is called, where there are several.
    pub name: Option<String>,
    /// The present pass.
    pub running: Option<Snapshot>,
    /// The last run.
    pub last: Option<RunNote>,
    /// Whether the last run could not even start.
    pub not_started: bool,
    /// When a run last ended of which nothing was left over.
    pub complete: Option<Timestamp>,
    /// When the next run begins.
    pub next: Option<Timestamp>,
    /// How the login stands, in a word.
    pub login: &'static str,
}

impl Numbers {
    /// Asks index, disk and upkeep: not for the threads that serve.
    ///
    /// # Errors
    /// When the index does not answer, in words.
    pub fn gather(state: &State) -> Result<Self, String> {
        let of = |account: &Arc<Account>| {
            Ok(OfAccount {
                name: account.name.clone(),
                running: account.running().map(|(now, _)| now),
                last: last(state, account),
                not_started: matches!(account.last(), Some(Err(_))),
                complete: state.complete(account)?,
                next: account.next(),
                login: account.desk.login().state.word(),
            })
        };
        Ok(Self {
            totals: state.totals()?,
            damaged: state.damaged(),
            accounts: state.accounts.iter().map(of).collect::<Result<_, String>>()?,
            free: RealDisk.space(state.archive.store.root()).ok().map(|space| space.free),
        })
    }
}

impl OfAccount {
    /// Several as one: whatever is worst of them counts for all. Nothing of none.
    pub fn together(accounts: &[Self]) -> Option<Self> {
        let mut rest = accounts.iter();
        let mut all = Self { name: None, ..rest.next()?.clone() };
        for one in rest {
            all.running = match (all.running, one.running) {
                (Some(a), Some(b)) => Some(Snapshot {
                    wanted: a.wanted + b.wanted,
                    archived: a.archived + b.archived,
                    set_aside: a.set_aside + b.set_aside,
                    listing_done: a.listing_done && b.listing_done,
                    ..a
                }),
                (a, b) => a.or(b),
            };
            all.last = all.last.into_iter().chain(one.last.clone()).max_by_key(badness);
            all.not_started |= one.not_started;
            // A complete archive is one of everybody.
            all.complete = all.complete.zip(one.complete).map(|(a, b)| a.min(b));
            all.next = all.next.into_iter().chain(one.next).min();
            let worse = |login: &str| LOGINS.iter().position(|known| *known == login);
            all.login = if worse(one.login) > worse(all.login) { one.login } else { all.login };
        }
        Some(all)
    }
}

fn badness(run: &RunNote) -> usize {
    ["complete", "interrupted", "partial"].iter().position(|word| run.outcome == *word).unwrap_or(3)
}

/// The last run; one that could not start is in no index.
fn last(state: &State, account: &Account) -> Option<RunNote> {
    match account.last() {
        Some(Ok(report)) => Some(report.note(account.noted_as())),
        Some(Err(_)) => state.earlier(account).map(|note| RunNote { outcome: "not-started".into(), ..note }),
        None => state.earlier(account),
    }
}
