//! Albums: the account's own, and what others share with it.

use std::sync::{Arc, RwLock};

use super::SimConfig;
use super::generate::item;
use super::library::{ALBUMS, Library, SimItem, key_text};

/// What others share: an album, photos sent without one, a partner's library, the first person's first album.
pub(crate) const SHARED: [Option<&str>; 4] =
    [Some("Wedding of J & J"), None, Some("Partner"), Some(ALBUMS[0])];
/// Places in [`SHARED`].
pub(crate) const WEDDING: usize = 0;
pub(crate) const BUNDLE: usize = 1;
pub(crate) const PARTNER: usize = 2;
pub(crate) const FAMILY: usize = 3;

/// What changes about albums.
pub(crate) struct Albums {
    titles: RwLock<Vec<String>>,
    modified: RwLock<Vec<i64>>,
    seed: u64,
    own_seed: u64,
}

impl Albums {
    pub(crate) fn new(config: &SimConfig) -> Self {
        Self {
            titles: RwLock::new(ALBUMS.iter().map(|&title| title.to_owned()).collect()),
            modified: RwLock::new(vec![1_700_000_000_000; ALBUMS.len()]),
            seed: config.seed,
            own_seed: config.own_seed(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.titles.read().unwrap_or_else(|p| p.into_inner()).len()
    }

    pub(crate) fn title(&self, number: usize) -> String {
        self.titles.read().unwrap_or_else(|p| p.into_inner())[number].clone()
    }

    pub(crate) fn modified(&self, number: usize) -> i64 {
        self.modified.read().unwrap_or_else(|p| p.into_inner())[number]
    }

    pub(crate) fn touch(&self, number: usize) {
        self.modified.write().unwrap_or_else(|p| p.into_inner())[number] += 60_000;
    }

    pub(crate) fn rename(&self, number: usize, title: &str) {
        title.clone_into(&mut self.titles.write().unwrap_or_else(|p| p.into_inner())[number]);
        self.touch(number);
    }

    pub(crate) fn add(&self, title: &str) -> usize {
        let mut titles = self.titles.write().unwrap_or_else(|p| p.into_inner());
        titles.push(title.to_owned());
        self.modified.write().unwrap_or_else(|p| p.into_inner()).push(1_700_000_000_000);
        titles.len() - 1
    }

    /// Key in the album list.
    pub(crate) fn key(&self, number: usize) -> String {
        key_text(self.own_seed, 0xa1b0_0000 + number as u64)
    }

    /// Key of a shared container in the album list: the family's has the one under which its owner sees it.
    pub(crate) fn shared_key(&self, number: usize) -> String {
        match number {
            FAMILY => key_text(self.seed, 0xa1b0_0000),
            _ => key_text(self.seed, 0x5a4e_0000 + number as u64),
        }
    }

    /// Key of the same container in the sharing list: another namespace, 70 characters.
    pub(crate) fn envelope(&self, number: usize) -> String {
        let (one, two) = (
            key_text(self.seed, 0xe4e1_0000 + number as u64),
            key_text(self.seed, 0xe4e2_0000 + number as u64),
        );
        format!("{one}{}", &two[6..32])
    }

    /// Key of the link to a shared container, in the sharing list.
    pub(crate) fn link(&self, number: usize) -> String {
        key_text(self.seed, 0x11c4_0000 + number as u64)
    }

    /// What a visitor of a shared container must show.
    pub(crate) fn access(&self, number: usize) -> String {
        key_text(self.seed, 0xacce_0000 + number as u64)[6..38].to_owned()
    }

    pub(crate) fn shared_title(&self, number: usize) -> String {
        SHARED[number].map_or_else(|| self.envelope(number), str::to_owned)
    }
}

/// The items of others, with numbers after the account's own; those of the family have the first person's numbers.
pub(crate) fn foreign_items(config: &SimConfig) -> Vec<Arc<SimItem>> {
    let first = config.items as u64;
    let items = first..first + config.shared as u64;
    let theirs = SimConfig { items: usize::MAX, person: 0, ..config.clone() };
    let family = (0..config.family as u64).filter_map(|serial| {
        let mut item = item(&SimConfig { items: config.family, ..theirs.clone() }, serial);
        item.albums.contains(&0).then(|| {
            item.key = key_text(config.seed, 0xfa31_0000 + serial);
            item.shared = Some(FAMILY);
            (item.archived, item.favourite) = (false, false);
            item.albums.clear();
            Arc::new(item)
        })
    });
    items
        .map(|serial| {
            let mut item = item(&theirs, serial);
            item.shared = Some(usize::try_from(serial % 3).unwrap_or(0));
            item.archived = false;
            item.favourite = false;
            // Guests put a photo of theirs into the account's own album, too.
            item.albums = if serial % 10 == 0 { vec![0] } else { Vec::new() };
            Arc::new(item)
        })
        .chain(family)
        .collect()
}

impl Library {
    /// What gives access to the shared containers: nobody but Google and the browser shall know it.
    pub fn album_secrets(&self) -> Vec<String> {
        (0..SHARED.len()).map(|number| self.albums.access(number)).collect()
    }

    /// Whether a shared container is shown to the account.
    pub(crate) fn sees(&self, number: usize) -> bool {
        let config = self.settings();
        if number == FAMILY { config.family > 0 } else { config.shared > 0 }
    }

    /// An album's items, in the album's own order.
    pub(crate) fn album_contents(&self, number: usize) -> Vec<Arc<SimItem>> {
        let mut items = self.everything();
        items.retain(|item| item.listed && item.albums.contains(&number));
        items.sort_by(|a, b| a.key[20..].cmp(&b.key[20..]));
        items
    }

    /// What is in the trash.
    pub(crate) fn trash(&self) -> Vec<Arc<SimItem>> {
        let mut items = self.everything();
        items.retain(|item| !item.listed && item.trashed_ms.is_some());
        items
    }

    /// What is in a shared container, in its order: each with the key it has there. Some of the account's
    /// own photos are in the shared album too, under another key.
    pub(crate) fn shared_contents(&self, number: usize) -> Vec<(String, Arc<SimItem>)> {
        let everything = self.everything();
        let foreign = everything.iter().filter(|item| item.shared == Some(number) && item.listed);
        let mut contents: Vec<_> = foreign.map(|item| (item.key.clone(), Arc::clone(item))).collect();
        if number == WEDDING {
            let own = everything.iter().filter(|item| item.shared.is_none() && item.listed);
            contents.extend(
                own.take(3).map(|item| {
                    (key_text(self.albums.own_seed, 0xa11a_0000 + item.serial), Arc::clone(item))
                }),
            );
        }
        contents
    }
}
