//! Where a view comes from: the index, or whatever a test puts in its place.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;

use jiff::civil::Date;

use super::layout::View;
use super::tree::{Changes, Loading, Realm, Tree};
use crate::index::{IndexError, IndexReader, PartFacts};
use crate::model::{ArchiveId, ArchivedAlbum, ArchivedItem, MediaKey, Sha256};

/// Items asked for at once.
const PAGE: usize = 10_000;
/// Items handed from the reader to the tree at once, and such batches that wait.
const BATCH: usize = 256;
const AHEAD: usize = 8;

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
    /// All items, lowest number first. News of them are counted from here.
    fn whole(&mut self, each: &mut dyn FnMut(ArchivedItem)) -> Result<(), String>;
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
    let mut loading = Loading::new(views, Realm::Now, source.count()?, &albums);
    drop(albums);
    source.whole(&mut |item| loading.take(&item))?;
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
    let mut loading = Loading::new(&views, Realm::Day(day), source.count()?, &albums);
    source.whole(&mut |item| {
        let item = if item.since <= end { Some(item) } else { then.remove(&item.ordinal) };
        item.iter().for_each(|item| loading.take(item));
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

    fn whole(&mut self, each: &mut dyn FnMut(ArchivedItem)) -> Result<(), String> {
        // What changes meanwhile comes again as news.
        let last = self.reader()?.last_change().map_err(sentence)?;
        let (send, receive) = mpsc::sync_channel(AHEAD);
        let mut reading = Self::new(self.path.clone(), self.id.clone());
        thread::scope(|scope| {
            let read = scope.spawn(move || {
                let mut batch = Vec::with_capacity(BATCH);
                let done = reading.reader()?.items(|item| {
                    batch.push(item);
                    if batch.len() == BATCH {
                        // Refused only when the other side has given up.
                        let _ = send.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH)));
                    }
                });
                let _ = send.send(batch);
                done.map_err(sentence)
            });
            receive.into_iter().flatten().for_each(each);
            read.join().unwrap_or_else(|_| Err("a reader of the index failed".into()))
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
