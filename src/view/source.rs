//! Where a view comes from: the index, or whatever a test puts in its place.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::thread;

use jiff::civil::Date;

use super::layout::View;
use super::tree::{Changes, Loading, Realm, Sink, Tree};
use crate::index::{IndexError, IndexReader, PartFacts};
use crate::model::{ArchiveId, ArchivedAlbum, ArchivedItem, BorrowedItem, MediaKey, Sha256};

/// Items asked for at once.
const PAGE: usize = 10_000;
/// Rows of items that are read beside each other at most.
const MOST_ROWS: usize = 4;

/// What goes with new items.
#[derive(Clone, Debug, Default)]
pub struct Rest {
    /// Albums with their histories.
    pub albums: Vec<ArchivedAlbum>,
    /// The numbers of the albums' items that are archived.
    pub ordinals: HashMap<MediaKey, u64>,
    /// Groups of items with the same bytes.
    pub twins: Vec<Vec<u64>>,
}

/// What is new since the last question.
pub enum News {
    /// Nothing.
    Nothing,
    /// These items, and what goes with them.
    Some(Vec<ArchivedItem>, Rest),
    /// The index was made anew: everything must be asked for again.
    Everything,
}

/// Gives what a view shows. An error is a sentence.
pub trait Source: Send {
    /// Number of items, more or less.
    fn count(&mut self) -> Result<usize, String>;
    /// All albums with their histories. News of them are counted from here.
    fn albums(&mut self) -> Result<Vec<ArchivedAlbum>, String>;
    /// All items, lowest number first: the first of them to the first sink, the next to the next. News of items are
    /// counted from here.
    fn whole(&mut self, sinks: &mut [Box<Sink<'_>>]) -> Result<(), String>;
    /// What is new since the last call of this, of [`Source::albums`] or of [`Source::whole`].
    fn news(&mut self) -> Result<News, String>;
    /// Earlier revisions of items, oldest first.
    fn past(&mut self) -> Result<Vec<ArchivedItem>, String>;
    /// Days in UTC on which something was recorded, rising.
    fn days(&mut self) -> Result<Vec<Date>, String>;
    /// What else is known of a part.
    fn facts(&mut self, ordinal: u64, sha256: &Sha256) -> Result<Option<PartFacts>, String>;
}

/// The tree of everything that is archived.
///
/// # Errors
/// When the source cannot be read.
pub fn load(source: &mut dyn Source, views: &[View]) -> Result<Tree, String> {
    let began = std::time::Instant::now();
    let albums = source.albums()?;
    let mut loading = Loading::new(views, Realm::Now);
    let rows = thread::available_parallelism().map_or(1, usize::from).min(MOST_ROWS);
    loading.fill(&albums, source.count()?, rows, |sinks| source.whole(sinks))?;
    drop(albums);
    let read = began.elapsed();
    let tree = loading.finish();
    tracing::debug!(?read, show = ?(began.elapsed() - read), "the tree is loaded");
    Ok(tree)
}

/// The tree as it was at the end of a day, in UTC.
///
/// # Errors
/// When the source cannot be read.
pub fn load_past(source: &mut dyn Source, views: &[View], day: Date) -> Result<Tree, String> {
    let end = jiff::tz::Offset::UTC
        .to_timestamp(day.at(23, 59, 59, 999_999_999))
        .map_err(|error| error.to_string())?;
    let mut then: HashMap<u64, ArchivedItem> = HashMap::new();
    for item in source.past()? {
        if item.since <= end {
            then.insert(item.ordinal, item);
        }
    }
    // A sidecar says what is known today.
    let views: Vec<View> = views.iter().map(|view| View { sidecars: false, ..view.clone() }).collect();
    let mut albums = source.albums()?;
    for album in &mut albums {
        album.revisions.retain(|revision| revision.since <= end);
    }
    let mut loading = Loading::new(&views, Realm::Day(day));
    loading.fill(&albums, source.count()?, 1, |sinks| {
        let mut as_then = |item: &BorrowedItem<'_>| match then.remove(&item.ordinal) {
            _ if item.since <= end => sinks[0](item),
            Some(earlier) => sinks[0](&earlier),
            None => {}
        };
        source.whole(&mut [Box::new(&mut as_then)])
    })?;
    Ok(loading.finish())
}

/// Adds albums and twins; what that makes stale.
pub fn add_rest(tree: &mut Tree, rest: &Rest) -> Changes {
    let mut changes = tree.apply_albums(&rest.albums, &rest.ordinals);
    changes.merge(tree.apply_twins(&rest.twins));
    changes
}

/// The index of an archive.
pub struct IndexSource {
    path: PathBuf,
    id: ArchiveId,
    reader: Option<IndexReader>,
    item: u64,
    album: u64,
}

impl IndexSource {
    /// Reads the index at `path`, and a rebuilt one that takes its place.
    pub const fn new(path: PathBuf, id: ArchiveId) -> Self {
        Self { path, id, reader: None, item: 0, album: 0 }
    }

    fn reader(&mut self) -> Result<&IndexReader, String> {
        let stale = match &self.reader {
            Some(reader) => reader.is_replaced().map_err(sentence)?,
            None => true,
        };
        if stale {
            self.reader = None;
        }
        match &mut self.reader {
            Some(reader) => Ok(reader),
            none => Ok(none.insert(IndexReader::open(&self.path, &self.id).map_err(sentence)?)),
        }
    }

    /// What goes with items that are new.
    fn rest(&mut self, of: &[u64]) -> Result<Rest, String> {
        let after = self.album;
        let reader = self.reader()?;
        let albums = reader.albums_after(after).map_err(sentence)?;
        let keys: HashSet<&MediaKey> =
            albums.iter().flat_map(|album| &album.revisions).flat_map(|revision| &revision.items).collect();
        let keys: Vec<MediaKey> = keys.into_iter().cloned().collect();
        let ordinals = reader.ordinals(&keys).map_err(sentence)?;
        let twins = reader.twins(of).map_err(sentence)?;
        self.album = albums.last().map_or(after, |album| album.change);
        Ok(Rest { albums, ordinals, twins })
    }
}

fn sentence(error: IndexError) -> String {
    error.to_string()
}

impl Source for IndexSource {
    fn count(&mut self) -> Result<usize, String> {
        let count = self.reader()?.item_count().map_err(sentence)?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    fn albums(&mut self) -> Result<Vec<ArchivedAlbum>, String> {
        let albums = self.reader()?.albums_after(0).map_err(sentence)?;
        self.album = albums.last().map_or(0, |album| album.change);
        Ok(albums)
    }

    fn whole(&mut self, sinks: &mut [Box<Sink<'_>>]) -> Result<(), String> {
        // What changes meanwhile comes again as news.
        let last = self.reader()?.last_change().map_err(sentence)?;
        let highest = self.reader()?.highest_ordinal().map_err(sentence)?;
        let share = highest / sinks.len().max(1) as u64 + 1;
        thread::scope(|scope| {
            let mut rows = Vec::new();
            for (n, sink) in (0_u64..).zip(sinks) {
                let mut own = Self::new(self.path.clone(), self.id.clone());
                let numbers = n * share..=n * share + (share - 1);
                rows.push(move || own.reader()?.items(numbers, sink).map_err(sentence));
            }
            let mut rows = rows.into_iter();
            let first = rows.next();
            let beside: Vec<_> = rows.map(|read| scope.spawn(read)).collect();
            first.map_or(Ok(()), |read| read())?;
            let failed = |_| Err("a reader of the index failed".into());
            beside.into_iter().try_for_each(|read| read.join().unwrap_or_else(failed))
        })?;
        self.item = last;
        Ok(())
    }

    fn news(&mut self) -> Result<News, String> {
        if let Some(reader) = &self.reader
            && reader.is_replaced().map_err(sentence)?
        {
            return Ok(News::Everything);
        }
        let (mut at, mut items) = (self.item, Vec::new());
        loop {
            let page = self.reader()?.items_after(at, PAGE).map_err(sentence)?;
            let Some(last) = page.last() else { break };
            at = last.change;
            items.extend(page);
        }
        self.item = at;
        // The first of a directory names it: the lowest number comes first.
        items.sort_by_key(|item| item.ordinal);
        let of: Vec<u64> = items.iter().map(|item| item.ordinal).collect();
        let rest = self.rest(&of)?;
        if items.is_empty() && rest.albums.is_empty() {
            return Ok(News::Nothing);
        }
        Ok(News::Some(items, rest))
    }

    fn past(&mut self) -> Result<Vec<ArchivedItem>, String> {
        self.reader()?.past_items().map_err(sentence)
    }

    fn days(&mut self) -> Result<Vec<Date>, String> {
        let days = self.reader()?.days().map_err(sentence)?;
        let epoch = jiff::civil::date(1970, 1, 1);
        Ok(days.into_iter().filter_map(|day| epoch.checked_add(jiff::Span::new().days(day)).ok()).collect())
    }

    fn facts(&mut self, ordinal: u64, sha256: &Sha256) -> Result<Option<PartFacts>, String> {
        self.reader()?.part_facts(ordinal, sha256).map_err(sentence)
    }
}
