//! What people do to a library while it is archived, for tests to call.

use super::SimConfig;
use super::generate::item;
use super::library::{Library, SimItem, key_text};

impl Library {
    /// Adds one item, taken and uploaded after all others; returns its key.
    pub fn add_item(&self) -> String {
        let config = self.config();
        self.push(|serial| item(&config, serial))
    }

    /// Adds one item that was taken long ago and uploaded now; returns its key.
    pub fn backdate_item(&self, days: i64) -> String {
        let config = self.config();
        self.push(|serial| {
            let mut new = item(&config, serial);
            new.taken_ms -= days * 86_400_000;
            new
        })
    }

    /// The upload of an item once more, under a key of its own, with a Live Photo's video or without; returns the key.
    pub fn copy_item(&self, key: &str, live: bool) -> String {
        let config = self.config();
        let Some(old) = self.find(key) else { return self.add_item() };
        self.push(|serial| {
            let new = item(&config, serial);
            SimItem {
                kind: old.kind,
                exif: old.exif.clone(),
                bytes_of: old.bytes_of,
                storage_saver: old.storage_saver,
                dedup: old.dedup,
                live,
                edited: false,
                processing: None,
                ..new
            }
        })
    }

    /// Takes an item out of the library for good; its ledger entry stays.
    pub fn remove_item(&self, key: &str) {
        self.touch_albums(key);
        self.change(key, |item| {
            item.listed = false;
            item.trashed_ms = None;
        });
    }

    /// Moves an item to the trash.
    pub fn trash_item(&self, key: &str) {
        self.touch_albums(key);
        self.change(key, |item| {
            item.listed = false;
            item.trashed_ms = Some(1_760_000_000_000 + item.serial as i64);
        });
    }

    /// Brings an item back.
    pub fn restore_item(&self, key: &str) {
        self.change(key, |item| {
            item.listed = true;
            item.trashed_ms = None;
        });
        self.touch_albums(key);
    }

    /// Gives an item an edited rendition, or another one.
    pub fn edit_item(&self, key: &str) {
        self.change(key, |item| {
            item.edited = true;
            item.counter += 1;
        });
    }

    /// Marks an item.
    pub fn set_favourite(&self, key: &str, favourite: bool) {
        self.change(key, |item| item.favourite = favourite);
    }

    /// Writes something about an item.
    pub fn describe_item(&self, key: &str, text: &str) {
        self.change(key, |item| item.description = Some(text.to_owned()));
    }

    /// Moves an item in time.
    pub fn date_item(&self, key: &str, days: i64) {
        self.change(key, |item| item.taken_ms -= days * 86_400_000);
    }

    /// Gives an item another key, as the real site does now and then; returns it.
    pub fn rekey_item(&self, key: &str) -> String {
        let Some(found) = self.find(key) else { return key.to_owned() };
        let number = self.everything().len() as u64 * 1000 + found.counter.unsigned_abs();
        let new = key_text(self.config().own_seed(), (0x4e4e_0000_0000 + number) ^ (found.serial << 20));
        self.move_key(key, &new);
        self.change(&new, |item| item.counter += 1);
        new
    }

    /// Puts an item into an album, or takes it out.
    pub fn set_in_album(&self, key: &str, album: usize, within: bool) {
        self.change(key, |item| {
            item.albums.retain(|&n| n != album);
            if within {
                item.albums.push(album);
            }
        });
        self.albums.touch(album);
    }

    /// Renames an album.
    pub fn rename_album(&self, album: usize, title: &str) {
        self.albums.rename(album, title);
    }

    /// Makes an album; returns its number.
    pub fn add_album(&self, title: &str) -> usize {
        self.albums.add(title)
    }

    /// Leaves an item's upload unfinished: a smaller copy stands in.
    pub fn begin_upload(&self, key: &str) {
        self.change(key, |item| item.partial = true);
    }

    /// Ends it.
    pub fn finish_upload(&self, key: &str) {
        self.change(key, |item| {
            item.partial = false;
            item.counter += 1;
        });
    }

    fn touch_albums(&self, key: &str) {
        for album in self.find(key).map(|item| item.albums.clone()).unwrap_or_default() {
            self.albums.touch(album);
        }
    }

    fn config(&self) -> SimConfig {
        self.settings().clone()
    }
}
