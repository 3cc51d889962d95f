//! How items enter and leave directories, and what that makes stale.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use super::directory::Leaf;
use super::files::Entry;
use super::items::flag;
use super::shape::{Facts, Shape};
use super::{Changes, RECENT_DAYS, Tree};
use crate::model::{ArchivedAlbum, MediaKey, PartRole};

/// Directories that gain or lose items, until names are dealt.
#[derive(Default)]
pub(super) struct Touched {
    /// Groups that items left or entered.
    pub groups: BTreeMap<u32, Timestamp>,
    /// Names that items had, by directory, with the inodes they stood for.
    pub had: BTreeMap<(u64, String), u64>,
    /// What others must be told.
    pub changes: Changes,
    /// The domains that are concerned; all of them if nobody says.
    domains: Option<BTreeSet<u16>>,
}

impl Touched {
    /// Only items of these domains leave and enter.
    pub fn within(domains: BTreeSet<u16>) -> Self {
        Self { domains: Some(domains), ..Self::default() }
    }

    fn concerns(&self, shape: &Shape) -> bool {
        self.domains.as_ref().is_none_or(|domains| domains.contains(&shape.domain))
    }

    fn group(&mut self, group: u32, then: Timestamp) {
        let latest = self.groups.entry(group).or_insert(then);
        *latest = then.max(*latest);
    }
}

impl Tree {
    pub(super) fn facts(&self) -> Facts<'_> {
        Facts { items: &self.items, named: &self.named, albums: &self.albums }
    }

    pub(super) fn is_recent(&self, slot: u32) -> bool {
        self.items.get(slot).added >= self.newest.saturating_sub(RECENT_DAYS)
    }

    /// Where the last addition moved on, others are no longer recent.
    pub(super) fn renew_recent(&mut self, touched: &mut Touched) {
        let stale: Vec<u32> = self
            .items
            .in_order()
            .filter(|&slot| self.items.get(slot).flags & flag::RECENT != 0 && !self.is_recent(slot))
            .collect();
        for slot in stale {
            self.withdraw(slot, touched);
            self.items.set_flag(slot, flag::RECENT, false);
            self.show(slot, touched);
        }
    }

    /// Takes albums that are new or changed; `ordinals` are the numbers of their items that are archived.
    pub fn apply_albums(&mut self, albums: &[ArchivedAlbum], ordinals: &HashMap<MediaKey, u64>) -> Changes {
        if albums.is_empty() {
            return Changes::default();
        }
        // Their directories go and come again: titles and positions may be others.
        let mut members: BTreeSet<u64> = BTreeSet::new();
        for album in albums {
            members.extend(
                album
                    .revisions
                    .iter()
                    .flat_map(|revision| &revision.items)
                    .filter_map(|key| ordinals.get(key)),
            );
        }
        let members: BTreeSet<u32> = members.iter().filter_map(|ordinal| self.items.find(*ordinal)).collect();
        let renamed = self.of_accounts(&self.albums.renamed(albums));
        // An album may have as many items as an account: they leave only where that says anything.
        let domains = |follows: fn(&Shape) -> bool| -> BTreeSet<u16> {
            self.shapes.iter().filter(|shape| follows(shape)).map(|shape| shape.domain).collect()
        };
        let mut by_album = domains(Shape::follows_albums);
        let mut moves = Vec::new();
        if !renamed.is_empty() {
            let by_account = domains(Shape::follows_accounts);
            by_album.retain(|domain| !by_account.contains(domain));
            let slots: BTreeSet<u32> = renamed.into_iter().chain(members.iter().copied()).collect();
            moves.push((Touched::within(by_account), slots));
        }
        moves.push((Touched::within(by_album), members.clone()));
        for (touched, slots) in &mut moves {
            slots.iter().for_each(|&slot| self.withdraw(slot, touched));
        }
        let before = self.albums.directories();
        for album in albums {
            self.albums.take(album, |key| ordinals.get(key).copied());
        }
        self.albums.name();
        let is_other = self.albums.directories() != before;
        for slot in members {
            let is_in = !self.albums.of(self.items.get(slot).ordinal).is_empty();
            self.items.set_flag(slot, flag::IN_ALBUM, is_in);
        }
        let mut changes = Changes::default();
        for (mut touched, slots) in moves {
            if is_other {
                let groups: Vec<u32> = touched.groups.keys().copied().collect();
                groups.into_iter().for_each(|group| self.drop_empty(group, &mut touched));
            }
            slots.into_iter().for_each(|slot| self.show(slot, &mut touched));
            changes.merge(self.settle(touched));
        }
        changes
    }

    /// The items of these accounts.
    fn of_accounts(&self, accounts: &[String]) -> Vec<u32> {
        let numbers: Vec<u32> = accounts.iter().map(|account| self.named.accounts.find(account)).collect();
        let is_theirs = |slot: &u32| numbers.contains(&self.items.get(*slot).account.into());
        if numbers.is_empty() { Vec::new() } else { self.items.in_order().filter(is_theirs).collect() }
    }

    /// Puts an item into its groups, and makes the directories that show it.
    pub(super) fn show(&mut self, slot: u32, touched: &mut Touched) {
        let shapes = Arc::clone(&self.shapes);
        let mut done: Vec<Option<u32>> = vec![None; shapes.len()];
        for (view, shape) in (0_u16..).zip(shapes.iter()) {
            if !touched.concerns(shape) {
                continue;
            }
            if shape.by_album {
                for album in self.albums.of(self.items.get(slot).ordinal).to_vec() {
                    self.show_in((view, shape), slot, Some(album), &mut None, touched);
                }
            } else {
                self.show_in((view, shape), slot, None, &mut done[usize::from(shape.domain)], touched);
            }
        }
        let links = self.count_links(slot, PartRole::Original);
        let links = u8::try_from(links).unwrap_or(u8::MAX);
        if touched.domains.is_some() && links != self.items.get(slot).links {
            let ordinal = self.items.get(slot).ordinal;
            let inodes = self.items.parts(slot).map(|part| super::part_ino(ordinal, part.role, part.version));
            touched.changes.relinked.extend(inodes);
        }
        self.items.set_links(slot, links);
    }

    fn show_in(
        &mut self,
        (view, shape): (u16, &Shape),
        slot: u32,
        album: Option<u32>,
        group: &mut Option<u32>,
        touched: &mut Touched,
    ) {
        let shows = shape.shows(slot, album, &self.facts());
        if shape.is_strict && !shows {
            return;
        }
        let group = *group.get_or_insert_with(|| {
            let facts = Facts { items: &self.items, named: &self.named, albums: &self.albums };
            let group = self.groups.find_or_make(shape.domain, shape.key(slot, album, &facts));
            self.groups.get_mut(group).add(slot, &self.items);
            group
        });
        touched.group(group, self.facts().since(slot, album));
        if shows {
            self.attach(view, shape, group, slot, album, touched);
        }
    }

    fn attach(
        &mut self,
        view: u16,
        shape: &Shape,
        group: u32,
        slot: u32,
        album: Option<u32>,
        touched: &mut Touched,
    ) {
        let shown = &mut self.groups.get_mut(group).shown;
        if let Some((_, _, count)) = shown.iter_mut().find(|(known, ..)| *known == view) {
            *count += 1;
            return;
        }
        let (_, grown) = self.open((view, shape), group, (slot, album), 1);
        touched.changes.directories.extend(grown);
    }

    /// Makes the directory in which a view shows a group; the inodes of those that got a new child.
    pub(super) fn open(
        &mut self,
        (view, shape): (u16, &Shape),
        group: u32,
        (slot, album): (u32, Option<u32>),
        count: u32,
    ) -> (u32, Vec<u64>) {
        let then = self.facts().since(slot, album);
        let mut path = shape.path(slot, album, &self.facts());
        let last = path.last().cloned().unwrap_or_default();
        let mut all = Vec::new();
        for attempt in 2.. {
            let (directory, grown) = self.directories.find_or_make(&path, then);
            all.extend(grown);
            // Two facts may be written alike (`a/b` and `a_b`): the later one gets a number.
            if self.directories.leaf(directory).is_none_or(|leaf| leaf.group == group) {
                self.directories.set_leaf(directory, Leaf { view, group });
                self.groups.get_mut(group).shown.push((view, directory, count));
                return (directory, all);
            }
            if let (true, Some(end)) = (path.len() > 1, path.last_mut()) {
                *end = (format!("{}~{attempt}", last.0), format!("{}~{attempt}", last.1));
            }
        }
        (0, all)
    }

    /// Takes an item out of its groups, and out of the directories that show it.
    pub(super) fn withdraw(&mut self, slot: u32, touched: &mut Touched) {
        let shapes = Arc::clone(&self.shapes);
        if shapes.iter().any(|shape| shape.view.sidecars) {
            touched.changes.altered.insert(super::sidecar_ino(self.items.get(slot).ordinal));
        }
        let mut done: BTreeMap<(u16, Option<u32>), u32> = BTreeMap::new();
        for (view, shape) in (0_u16..).zip(shapes.iter()) {
            if !touched.concerns(shape) {
                continue;
            }
            for album in self.albums_for(shape, slot) {
                let shows = shape.shows(slot, album, &self.facts());
                if shape.is_strict && !shows {
                    continue;
                }
                let key = shape.key(slot, album, &self.facts());
                let group = *done
                    .entry((shape.domain, album))
                    .or_insert_with(|| self.groups.find_or_make(shape.domain, key));
                touched.group(group, Timestamp::MIN);
                if shows {
                    self.detach(view, shape, group, slot, touched);
                }
            }
        }
        // Only now: the names that vanish needed the levels.
        for group in done.into_values() {
            self.groups.get_mut(group).remove(slot, &self.items);
        }
    }

    fn detach(&mut self, view: u16, shape: &Shape, group: u32, slot: u32, touched: &mut Touched) {
        let held = self.groups.get(group);
        let level = held.level(slot);
        let Some(at) = held.shown.iter().position(|(known, ..)| *known == view) else { return };
        let own = self.directories.attr(held.shown[at].1).ino;
        self.had(own, Leaf { view, group }, &self.entries_of(shape, slot, level), touched);
        let count = &mut self.groups.get_mut(group).shown[at].2;
        *count = count.saturating_sub(1);
    }

    fn had(&self, directory: u64, leaf: Leaf, entries: &[Entry], touched: &mut Touched) {
        for &entry in entries {
            let mut name = String::new();
            self.write_name(leaf, entry, &mut name);
            let ino = self.attr_of(entry).map_or(0, |attr| attr.ino);
            touched.had.entry((directory, name)).or_insert(ino);
        }
    }

    /// Takes the directories of a group away that show nothing any more.
    pub(super) fn drop_empty(&mut self, group: u32, touched: &mut Touched) {
        let (empty, full) = self.groups.get(group).shown.iter().partition(|(.., count)| *count == 0);
        self.groups.get_mut(group).shown = full;
        let empty: Vec<(u16, u32, u32)> = empty;
        for (_, directory, _) in empty {
            touched.changes.directories.insert(self.directories.attr(directory).ino);
            self.shelf.forget(directory);
            for (parent, name, ino) in self.directories.drop_leaf(directory) {
                touched.changes.directories.insert(parent);
                touched.had.entry((parent, name)).or_insert(ino);
            }
        }
    }

    /// Deals the names of a group; the items whose names changed, with their levels before.
    pub(super) fn deal(&mut self, group: u32) -> Vec<(u32, u16)> {
        let held = self.groups.get_mut(group);
        let positioned = held.shown.iter().all(|(view, ..)| self.shapes[usize::from(*view)].is_positioned);
        if positioned { Vec::new() } else { held.deal(&self.items) }
    }

    /// Deals the names in all groups that an item left or entered, and says what changed.
    pub(super) fn settle(&mut self, mut touched: Touched) -> Changes {
        for (group, then) in std::mem::take(&mut touched.groups) {
            self.drop_empty(group, &mut touched);
            let shown = self.groups.get(group).shown.clone();
            let renamed = self.deal(group);
            let shapes = Arc::clone(&self.shapes);
            for (view, directory, _) in shown {
                let own = self.directories.attr(directory).ino;
                for &(slot, level) in &renamed {
                    let entries = self.entries_of(&shapes[usize::from(view)], slot, level);
                    self.had(own, Leaf { view, group }, &entries, &mut touched);
                }
                self.shelf.forget(directory);
                self.directories.touch(directory, then);
                touched.changes.directories.insert(own);
            }
        }
        let Touched { had, mut changes, .. } = touched;
        for ((directory, name), ino) in had {
            // What went and came again is still what it was.
            if self.lookup(directory, &name).is_none_or(|now| now.ino != ino) {
                changes.removed.insert((directory, name));
            }
        }
        changes
    }

    pub(super) fn albums_for(&self, shape: &Shape, slot: u32) -> Vec<Option<u32>> {
        if !shape.by_album {
            return vec![None];
        }
        self.albums.of(self.items.get(slot).ordinal).iter().map(|album| Some(*album)).collect()
    }
}
