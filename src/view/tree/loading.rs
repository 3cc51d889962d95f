//! Filling a tree: items come one by one, lowest number first, and are shown all at once at the end.

use std::collections::HashMap;
use std::sync::Arc;

use super::arrange::{Arranged, Shown, arrange};
use super::items::flag;
use super::{Realm, Tree, is_showable};
use crate::model::{ArchivedAlbum, ArchivedItem};
use crate::view::layout::View;

/// A tree that is filled.
pub struct Loading {
    tree: Tree,
}

impl Loading {
    /// Begins with the albums and with room for that many items.
    pub fn new(views: &[View], realm: Realm, items: usize, albums: &[ArchivedAlbum]) -> Self {
        let mut tree = Tree::new(views, realm);
        tree.items.reserve(items);
        for album in albums {
            // Their items arrive.
            tree.albums.take(album, &HashMap::new());
        }
        tree.albums.name();
        Self { tree }
    }

    /// Takes an item.
    pub fn take(&mut self, item: &ArchivedItem) {
        let tree = &mut self.tree;
        let Some(slot) = is_showable(item).then(|| tree.items.take(item, &mut tree.named)).flatten() else {
            return;
        };
        tree.newest = tree.newest.max(tree.items.get(slot).added);
        if tree.albums.arrived(&item.key, item.ordinal) {
            tree.items.set_flag(slot, flag::IN_ALBUM, true);
        }
    }

    /// Shows everything.
    pub fn finish(self) -> Tree {
        let Self { mut tree } = self;
        for slot in tree.items.twins().into_iter().flatten() {
            tree.items.set_flag(slot, flag::TWIN, true);
        }
        let slots: Vec<u32> = tree.items.in_order().collect();
        for &slot in &slots {
            let recent = tree.is_recent(slot);
            tree.items.set_flag(slot, flag::RECENT, recent);
            tree.parts += tree.items.parts(slot).count() as u64;
        }
        let shapes = Arc::clone(&tree.shapes);
        for domain in arrange(&shapes, &tree.facts(), &slots) {
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
