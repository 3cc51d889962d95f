//! The files of a directory and their names.

use std::sync::Arc;

use jiff::Timestamp;

use super::directory::Leaf;
use super::files::Entry;
use super::shape::Shape;
use super::{Attr, Tree};
use crate::model::PartRole;
use crate::model::name::{self, LONGEST};
use crate::view::sidecar;

impl Tree {
    /// The files of a directory, in the order of names.
    pub(super) fn files(&self, directory: u32, leaf: Leaf) -> Arc<Vec<Entry>> {
        self.shelf.get(directory, || {
            let shape = &self.shapes[usize::from(leaf.view)];
            let group = self.groups.get(leaf.group);
            let mut named: Vec<(String, Entry)> = Vec::with_capacity(group.members().len());
            for &slot in group.members() {
                let album = self.album_of(leaf, slot);
                if shape.shows(slot, album, &self.facts()) {
                    for entry in self.entries_of(shape, slot, group.level(slot)) {
                        let mut name = String::with_capacity(32);
                        self.write_name(leaf, entry, &mut name);
                        named.push((name, entry));
                    }
                }
            }
            named.sort_unstable_by(|(a, x), (b, y)| a.cmp(b).then(x.is_sidecar.cmp(&y.is_sidecar)));
            // An item may be called like another one's sidecar; the item is shown.
            named.dedup_by(|(later, _), (kept, _)| later == kept);
            named.into_iter().map(|(_, entry)| entry).collect()
        })
    }

    /// The files that a view shows of an item.
    pub(super) fn entries_of(&self, shape: &Shape, slot: u32, level: u16) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(2);
        for part in self.items.parts(slot).filter(|part| shape.shows_part(part.role)) {
            entries.push(Entry::new(slot, level, part.role, false));
            if shape.view.sidecars && part.role == PartRole::Original {
                entries.push(Entry::new(slot, level, part.role, true));
            }
        }
        entries
    }

    /// Appends the name of an entry of a directory.
    pub(super) fn write_name(&self, leaf: Leaf, entry: Entry, to: &mut String) {
        let Some(part) = self.items.part(entry.slot, entry.role()) else { return };
        let shape = &self.shapes[usize::from(leaf.view)];
        let begin = to.len();
        if !shape.view.path.prefix().is_empty() {
            shape.write_prefix(entry.slot, self.album_of(leaf, entry.slot), &self.facts(), to);
        }
        let extension = self.items.extension(part);
        let original = self.items.part(entry.slot, PartRole::Original);
        let same = original.is_some_and(|own| self.items.extension(own).eq_ignore_ascii_case(extension));
        let stem = self.items.stem_of(entry.slot);
        let suffix = (entry.level > 0).then(|| self.items.suffix(entry.slot, entry.level));
        if shape.view.portable {
            to.push_str(&name::portable(stem));
        } else {
            to.push_str(stem);
        }
        // A prefix longer than what stems leave room for is possible in an album with a wild history.
        to.truncate(
            begin
                + to[begin..]
                    .floor_char_boundary(LONGEST - name::ROOM + name::PREFIX_LEN - extension.len() - 1),
        );
        name::write_stem(to, "", suffix, name::word(part.role, same));
        name::write_extension(to, extension);
        if entry.is_sidecar {
            to.push_str(".xmp");
        }
    }

    /// The attributes of an entry.
    pub(super) fn attr_of(&self, entry: Entry) -> Option<Attr> {
        if entry.is_sidecar {
            return Some(self.sidecar_attr(entry.slot));
        }
        let part = self.items.part(entry.slot, entry.role())?;
        Some(Attr { links: self.links(entry.slot, part.role), ..self.items.attr(entry.slot, part) })
    }

    /// The attributes of an entry, of which inode and kind alone are true.
    pub(super) fn bare_attr_of(&self, entry: Entry) -> Option<Attr> {
        if entry.is_sidecar {
            let ino = super::sidecar_ino(self.items.get(entry.slot).ordinal);
            return Some(Attr { ino, size: 0, mtime: Timestamp::UNIX_EPOCH, is_dir: false, links: 1 });
        }
        let part = self.items.part(entry.slot, entry.role())?;
        Some(self.items.attr(entry.slot, part))
    }

    /// The attributes of an item's sidecar. Its size is known without making it; its time is that of the last change
    /// of what it says, since programs read it again only when that changes.
    pub(super) fn sidecar_attr(&self, slot: u32) -> Attr {
        let item = self.items.get(slot);
        let albums = || self.albums.of(item.ordinal).iter().map(|album| self.albums.get(*album));
        let since = albums().map(|album| album.since).max().unwrap_or(i64::MIN).max(item.since.into());
        let texts = albums().map(|album| album.title.as_str());
        Attr {
            ino: super::sidecar_ino(item.ordinal),
            size: sidecar::size(item.described, texts),
            mtime: Timestamp::from_second(since).unwrap_or(Timestamp::UNIX_EPOCH),
            is_dir: false,
            links: 1,
        }
    }

    /// In how many places a part is shown; at least one, as of any file.
    pub(super) fn links(&self, slot: u32, role: PartRole) -> u32 {
        match self.items.get(slot).links {
            // Too many for the note.
            u8::MAX => self.count_links(slot, role),
            known if role == PartRole::Original => u32::from(known).max(1),
            _ => self.count_links(slot, role),
        }
    }

    pub(super) fn count_links(&self, slot: u32, role: PartRole) -> u32 {
        let facts = self.facts();
        let mut links = 0;
        for shape in self.shapes.iter().filter(|shape| shape.shows_part(role)) {
            if shape.by_album {
                let albums = self.albums.of(self.items.get(slot).ordinal);
                let shown = albums.iter().filter(|album| shape.shows(slot, Some(**album), &facts));
                links += u32::try_from(shown.count()).unwrap_or(0);
            } else {
                links += u32::from(shape.shows(slot, None, &facts));
            }
        }
        links.max(1)
    }

    /// The album whose directory this is, found by an item in it.
    fn album_of(&self, leaf: Leaf, slot: u32) -> Option<u32> {
        if !self.shapes[usize::from(leaf.view)].by_album {
            return None;
        }
        let album = self.groups.get(leaf.group).album()?;
        self.albums.of(self.items.get(slot).ordinal).contains(&album).then_some(album)
    }
}
