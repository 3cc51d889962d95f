//! Filling a tree: items come by number, in one row or in several beside each other, and are shown all at once.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::thread;

use foldhash::fast::RandomState;

use super::arrange::{Arranged, Shown, arrange};
use super::items::{Items, flag};
use super::texts::Named;
use super::{Realm, Tree, is_showable};
use crate::model::{ArchivedAlbum, BorrowedItem, MediaKey};
use crate::view::layout::View;
use crate::view::places::Places;

/// What items are given to.
pub type Sink<'a> = dyn FnMut(&BorrowedItem<'_>) + Send + 'a;

/// A tree that is filled.
pub struct Loading {
    tree: Tree,
}

/// Items of one row.
struct Row<'a> {
    items: Items,
    named: Named,
    awaited: &'a Awaited<'a>,
    /// Those that albums name, by place in [`Awaited`] and by number.
    arrived: Vec<(u32, u64)>,
}

impl Row<'_> {
    fn take(&mut self, item: &BorrowedItem<'_>) {
        if is_showable(item) && self.items.take(item, &mut self.named).is_some() {
            let places = item.keys().filter_map(|key| self.awaited.place(key));
            self.arrived.extend(places.map(|place| (place, item.ordinal)));
        }
    }
}

/// The items that albums name.
struct Awaited<'a> {
    places: HashMap<&'a MediaKey, u32, RandomState>,
    /// Says of most keys, and quicker, that they are not among them.
    bits: Vec<u64>,
}

impl<'a> Awaited<'a> {
    fn new(albums: &'a [ArchivedAlbum]) -> Self {
        let mut places: HashMap<&MediaKey, u32, RandomState> = HashMap::default();
        let revisions = |album: &'a ArchivedAlbum| {
            // What an album was before counts where its items had other keys.
            let skipped = if album.formerly.is_some() { 0 } else { album.revisions.len().saturating_sub(1) };
            album.revisions.iter().skip(skipped)
        };
        for key in albums.iter().flat_map(revisions).flat_map(|revision| &revision.items) {
            let next = u32::try_from(places.len()).unwrap_or(u32::MAX);
            places.entry(key).or_insert(next);
        }
        let bits = vec![0; (places.len() / 8).next_power_of_two()];
        let mut awaited = Self { places, bits };
        for key in awaited.places.keys().copied().collect::<Vec<_>>() {
            let (word, bit) = awaited.bit(key);
            awaited.bits[word] |= bit;
        }
        awaited
    }

    fn bit(&self, key: &MediaKey) -> (usize, u64) {
        let hash = self.places.hasher().hash_one(key);
        // As many words as a power of two.
        let word = usize::try_from(hash >> 6).unwrap_or(0) & (self.bits.len() - 1);
        (word, 1 << (hash & 63))
    }

    fn place(&self, key: &MediaKey) -> Option<u32> {
        let (word, bit) = self.bit(key);
        if self.bits[word] & bit == 0 { None } else { self.places.get(key).copied() }
    }
}

impl Loading {
    /// Begins.
    pub fn new(views: &[View], realm: Realm) -> Self {
        Self { tree: Tree::new(views, realm) }
    }

    /// Takes albums, and some `items` in as many rows: what `feed` gives to a sink must be in the order of numbers,
    /// and all of it before what it gives to the next.
    ///
    /// # Errors
    /// What `feed` answers.
    pub fn fill<E>(
        &mut self,
        albums: &[ArchivedAlbum],
        items: usize,
        rows: usize,
        feed: impl FnOnce(&mut [Box<Sink<'_>>]) -> Result<(), E>,
    ) -> Result<(), E> {
        let awaited = Awaited::new(albums);
        let places = Places::default();
        let row = |n: usize| {
            let mut kept = Items::default();
            // The first becomes the whole.
            kept.reserve(if n == 0 { items } else { items / rows });
            Row { items: kept, named: Named::beside(&places), awaited: &awaited, arrived: Vec::new() }
        };
        let mut rows: Vec<Row<'_>> = (0..rows.max(1)).map(row).collect();
        {
            let mut sinks: Vec<Box<Sink<'_>>> = Vec::new();
            for row in &mut rows {
                sinks.push(Box::new(|item| row.take(item)));
            }
            feed(&mut sinks)?;
        }
        drop(places);
        let Tree { items, named, albums: known, .. } = &mut self.tree;
        let mut ordinals: Vec<Option<u64>> = vec![None; awaited.places.len()];
        for (place, ordinal) in rows.iter_mut().flat_map(|row| std::mem::take(&mut row.arrived)) {
            ordinals[place as usize] = Some(ordinal);
        }
        thread::scope(|scope| {
            scope.spawn(|| {
                let ordinal = |key: &MediaKey| ordinals[*awaited.places.get(key)? as usize];
                for album in albums {
                    known.take(album, ordinal);
                }
                known.name();
            });
            for (n, mut row) in rows.into_iter().enumerate() {
                row.named.rest();
                if n == 0 {
                    (*items, *named) = (row.items, row.named);
                } else {
                    let numbers = named.append(&row.named);
                    items.append(row.items, &numbers);
                }
            }
            for (slot, flags) in items.twins().iter().flat_map(|group| items.alike(group)).collect::<Vec<_>>()
            {
                items.set_flag(slot, flags, true);
            }
        });
        for slot in known.items().filter_map(|ordinal| items.find(ordinal)).collect::<Vec<_>>() {
            items.set_flag(slot, flag::IN_ALBUM, true);
        }
        Ok(())
    }

    /// Shows everything.
    pub fn finish(self) -> Tree {
        let Self { mut tree } = self;
        let slots: Vec<u32> = tree.items.in_order().collect();
        tree.newest = slots.iter().map(|&slot| tree.items.get(slot).added).max().unwrap_or(i32::MIN);
        for &slot in &slots {
            let recent = tree.is_recent(slot);
            tree.items.set_flag(slot, flag::RECENT, recent);
            tree.parts += tree.items.parts(slot).count() as u64;
        }
        let shapes = Arc::clone(&tree.shapes);
        for domain in arrange(&shapes, &tree.facts(), &slots) {
            for &slot in &slots {
                let links = domain.links.get(slot as usize).copied().unwrap_or(0);
                tree.items.set_links(slot, tree.items.get(slot).links.saturating_add(links));
            }
            for Arranged { key, group, shown } in domain.groups {
                let album = group.album();
                let group = tree.groups.adopt(domain.number, key, group);
                for Shown { view, count, first, since } in shown {
                    let shape = &shapes[usize::from(view)];
                    let (directory, _) = tree.open((view, shape), group, (first, album), count);
                    tree.directories.touch(directory, since);
                }
            }
        }
        tree.rest();
        tree
    }
}
