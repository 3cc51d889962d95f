//! Is everything there? Google's counts beside the archive's, by month and by album, and one hash over all
//! that is kept, which a later report can be held against.

pub mod merkle;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::archive::{Archive, ArchiveError};
use crate::index::{Balance, KnownAlbum, Listing};
use crate::model::{AlbumKind, ItemState, MediaKey, Sha256};
use crate::remote::TimelineCounts;
use crate::store::StoreError;

/// How one month, album or library adds up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// `YYYY-MM` (UTC), the album's title, or the account.
    pub name: String,
    /// Items by Google's own count.
    pub google: u64,
    /// Of these, archived whole.
    pub archived: u64,
    /// Of these, set aside, wholly or in part.
    pub set_aside: u64,
    /// Of these, left out because nobody asked for them.
    pub excluded: u64,
    /// Of these, not fetched yet.
    pub pending: u64,
    /// Whether Google's count is the sum of the others.
    pub adds_up: bool,
}

impl Line {
    fn new(name: String, google: u64, balance: &Balance, excluded: u64) -> Self {
        let Balance { archived, set_aside, missing, .. } = *balance;
        let pending = missing.saturating_sub(excluded);
        let adds_up = google == archived + set_aside + excluded + pending;
        Self { name, google, archived, set_aside, excluded, pending, adds_up }
    }
}

/// One account's library.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Library {
    /// The account (Google's numeric id).
    pub account: String,
    /// How it is called here, if it has a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was last listed as a whole.
    pub listed_at: Timestamp,
    /// Photos of the archive section, which Google's counts left out: they are added to these.
    #[serde(default)]
    pub hidden: u64,
    /// All of it.
    pub total: Line,
    /// By month of capture, UTC.
    pub months: Vec<Line>,
}

impl Library {
    /// Its name, or else Google's number of the account.
    pub fn called(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.account)
    }
}

/// An album.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Album {
    /// Its key.
    pub key: MediaKey,
    /// Kind.
    pub kind: AlbumKind,
    /// How it adds up.
    #[serde(flatten)]
    pub line: Line,
}

/// Something that is not archived, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetAside {
    /// The item.
    pub key: MediaKey,
    /// Its name, as it came.
    pub name: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// How often it was tried.
    pub attempts: u64,
    /// Where to look at it.
    pub page: String,
}

/// Files by how far they are proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The whole report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The archive's id.
    pub archive: String,
    /// The instant that it is about.
    pub at: Timestamp,
    /// One hash over every blob and record of that instant; see [`merkle::root`].
    pub root: Sha256,
    /// Records behind it.
    pub records: u64,
    /// Blobs behind it.
    pub blobs: u64,
    /// Archived items.
    pub items: u64,
    /// Of these, no longer in the library.
    pub gone: u64,
    /// Files of the items by verdict.
    pub verdicts: BTreeMap<String, Sum>,
    /// The libraries, each with its months.
    pub libraries: Vec<Library>,
    /// The albums.
    pub albums: Vec<Album>,
    /// What was set aside.
    pub set_aside: Vec<SetAside>,
    /// What is wrong with the archive itself, one sentence each.
    pub findings: Vec<String>,
    /// Whether every line adds up and nothing is wrong.
    pub adds_up: bool,
}

/// Draws up the report.
///
/// # Errors
/// When index or records cannot be read.
pub fn report(archive: &Archive, at: Timestamp) -> Result<Report, ArchiveError> {
    let reader = archive.index.reader()?;
    let contents = Contents::until(archive, at)?;
    let mut libraries = Vec::new();
    let mut names = reader.account_names()?;
    for account in reader.accounts()? {
        if let Some(listing) = reader.last_listings(&account, 1)?.pop() {
            let (months, name) = (reader.months(&account, listing.id)?, names.remove(&account));
            libraries.push(Library { name, ..library(account, &listing, months) });
        }
    }
    let mut albums = Vec::new();
    // Of what was adopted, there is no other count to hold it against.
    let counted = |album: &KnownAlbum| album.state == ItemState::Present && !album.record.key.is_local();
    for album in reader.albums()?.into_iter().filter(counted) {
        let balance = reader.album_balance(&album.record.key)?;
        let google = album.count.unwrap_or(balance.shown);
        // Of an album that was not asked for, only the count is known; of one that was, each item is.
        let (balance, excluded) = match (album.kind.is_own(), balance.shown) {
            (false, 0) => (Balance { missing: google, ..Balance::default() }, google),
            (true, _) => {
                let foreign = reader.foreign_in(&album.record.key)?.min(balance.missing);
                (balance, foreign)
            }
            (false, _) => (balance, 0),
        };
        let name = if album.title.is_empty() { "(untitled)".to_owned() } else { album.title };
        let line = Line::new(name, google, &balance, excluded);
        albums.push(Album { key: album.record.key, kind: album.kind, line });
    }
    let set_aside = reader.failures()?.into_iter().map(|failure| SetAside {
        page: format!("https://photos.google.com/photo/{}", failure.key),
        key: failure.key,
        name: failure.name,
        reason: failure.reason,
        since: failure.first_at,
        attempts: failure.attempts,
    });
    let set_aside: Vec<_> = set_aside.collect();
    let totals = reader.totals()?;
    let adds_up = contents.findings.is_empty()
        && libraries.iter().all(|l: &Library| l.total.adds_up && l.months.iter().all(|line| line.adds_up))
        && albums.iter().all(|album| album.line.adds_up);
    Ok(Report {
        archive: archive.store.id().to_string(),
        at,
        root: contents.root(),
        records: contents.records.len() as u64,
        blobs: contents.blobs.len() as u64,
        items: totals.items,
        gone: totals.gone,
        verdicts: contents.verdicts,
        libraries,
        albums,
        set_aside,
        findings: contents.findings,
        adds_up,
    })
}

fn library(account: String, listing: &Listing, months: Vec<(String, Balance)>) -> Library {
    let counts: Option<TimelineCounts> =
        listing.ranges.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let mut by_month = counts.as_ref().and_then(by_month);
    let sum = |of: fn(&Balance) -> u64| months.iter().map(|(_, balance)| of(balance)).sum::<u64>();
    let (shown, mut hidden) = (sum(|b| b.shown), sum(|b| b.hidden));
    // Nobody says whether the counts include the archive section: what they say does.
    if counts.as_ref().is_none_or(|counts| counts.total == shown || counts.total + hidden != shown) {
        hidden = 0;
    }
    if hidden > 0 {
        for (month, balance) in months.iter().filter(|(_, balance)| balance.hidden > 0) {
            by_month
                .iter_mut()
                .for_each(|counts| *counts.entry(month.clone()).or_insert(0) += balance.hidden);
        }
    }
    let mut total = Balance::default();
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    for (month, balance) in months {
        total.shown += balance.shown;
        total.archived += balance.archived;
        total.set_aside += balance.set_aside;
        total.missing += balance.missing;
        let google = match &by_month {
            Some(counts) => counts.get(&month).copied().unwrap_or(0),
            None => balance.shown,
        };
        lines.insert(month.clone(), Line::new(month, google, &balance, 0));
    }
    // A month that Google counts and never showed.
    for (month, google) in by_month.into_iter().flatten() {
        let line = || Line::new(month.clone(), google, &Balance::default(), 0);
        lines.entry(month.clone()).or_insert_with(line);
    }
    let google = counts.map_or(total.shown, |counts| counts.total + hidden);
    Library {
        hidden,
        total: Line::new(account.clone(), google, &total, 0),
        account,
        name: None,
        listed_at: listing.ended,
        months: lines.into_values().rev().collect(),
    }
}

/// Google's counts by month, where none of its ranges crosses a month.
fn by_month(counts: &TimelineCounts) -> Option<BTreeMap<String, u64>> {
    let month = |ms: i64| Timestamp::from_millisecond(ms).ok().map(|at| at.strftime("%Y-%m").to_string());
    let mut months = BTreeMap::new();
    for range in &counts.ranges {
        let (first, last) = (month(range.from_ms)?, month(range.to_ms)?);
        if first != last {
            return None;
        }
        *months.entry(first).or_insert(0) += range.count;
    }
    Some(months)
}

/// What the records of an archive hold, read from the records themselves.
struct Contents {
    blobs: Vec<Sha256>,
    records: Vec<Sha256>,
    verdicts: BTreeMap<String, Sum>,
    findings: Vec<String>,
}

/// Which record of an item holds: one under a library's key before those of the adoption, then the highest revision.
type Rank = (bool, u32);

impl Contents {
    /// Everything that was recorded at `at` or before. Each record's hash is checked, each blob is looked at.
    fn until(archive: &Archive, at: Timestamp) -> Result<Self, ArchiveError> {
        let store = &archive.store;
        let (mut blobs, mut records, mut findings) = (Vec::new(), Vec::new(), Vec::new());
        // By number: an item that was adopted has two keys.
        let mut latest: BTreeMap<u64, (Rank, Vec<(String, u64)>)> = BTreeMap::new();
        for record in store.records() {
            let stored = match record {
                Ok(stored) => stored,
                Err(error @ StoreError::Io { .. }) => return Err(error.into()),
                Err(error) => {
                    findings.push(error.to_string());
                    continue;
                }
            };
            let record = stored.record();
            if record.recorded_at > at {
                continue;
            }
            records.push(*stored.sha256());
            blobs.extend(record.parts.iter().map(|part| part.sha256));
            let parts =
                || record.parts.iter().map(|part| (part.verdict.word().to_owned(), part.size)).collect();
            let entry = latest.entry(record.ordinal).or_insert_with(|| ((false, 0), Vec::new()));
            let rank = (record.formerly.is_some(), record.seq);
            if entry.0 < rank {
                *entry = (rank, parts());
            }
        }
        for name in store.album_names()? {
            match name.and_then(|name| store.read_album(&name)) {
                Ok(album) if album.record().recorded_at <= at => records.push(*album.sha256()),
                Ok(_) => {}
                Err(error) => findings.push(error.to_string()),
            }
        }
        blobs.sort_unstable();
        blobs.dedup();
        records.sort_unstable();
        for blob in &blobs {
            if let Err(error) = store.open_blob(blob) {
                findings.push(error.to_string());
            }
        }
        let mut verdicts: BTreeMap<String, Sum> = BTreeMap::new();
        for (verdict, size) in latest.into_values().flat_map(|(_, parts)| parts) {
            let sum = verdicts.entry(verdict).or_default();
            sum.files += 1;
            sum.bytes += size;
        }
        Ok(Self { blobs, records, verdicts, findings })
    }

    fn root(&self) -> Sha256 {
        merkle::root(&self.blobs, &self.records)
    }
}

/// What holding an earlier report against the archive shows.
#[derive(Clone, Debug, Serialize)]
pub struct Since {
    /// The instant of the earlier report.
    pub then: Timestamp,
    /// Whether everything that was there then is there, unaltered.
    pub intact: bool,
    /// Records added since.
    pub records: u64,
    /// Blobs added since.
    pub blobs: u64,
}

/// Holds an earlier report against the archive as it is: records are never changed or removed, so those up to
/// that instant must give the same root again.
///
/// # Errors
/// When the records cannot be read.
pub fn since(archive: &Archive, earlier: &Report, now: &Report) -> Result<Since, ArchiveError> {
    let then = Contents::until(archive, earlier.at)?;
    Ok(Since {
        then: earlier.at,
        intact: then.root() == earlier.root && then.findings.is_empty(),
        records: now.records.saturating_sub(earlier.records),
        blobs: now.blobs.saturating_sub(earlier.blobs),
    })
}
