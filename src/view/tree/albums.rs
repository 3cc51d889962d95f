//! Albums: their directories' names and the places of their items, both such that what comes later changes
//! nothing of what is there.

use std::collections::{BTreeMap, HashMap, HashSet};

use foldhash::fast::RandomState;

use crate::model::name::{SafeName, fold};
use crate::model::{AlbumKind, AlbumRevision, ArchivedAlbum, ItemState, MediaKey};

/// What an album without a title is called.
const UNTITLED: &str = "Untitled";

/// All albums.
#[derive(Default)]
pub struct Albums {
    list: Vec<Album>,
    by_key: HashMap<MediaKey, u32>,
    /// Albums of an item, by its number.
    of_item: HashMap<u64, Vec<u32>, RandomState>,
    /// Albums that name an item which is not archived yet: each with how often it was taken by then, and the place in it.
    waiting: HashMap<MediaKey, Vec<(u32, u32, Position)>, RandomState>,
    /// How accounts are called and since when, by Google's numbers of them.
    accounts: BTreeMap<String, (String, jiff::Timestamp)>,
}

/// One album.
pub struct Album {
    key: MediaKey,
    history: Vec<AlbumRevision>,
    /// The directory's name.
    pub title: String,
    /// Whose it is, by key.
    pub owner: Option<String>,
    /// Whether others made it.
    pub is_shared: bool,
    /// When its latest revision was recorded: seconds since 1970.
    pub since: i64,
    /// Its archived items by number.
    positions: BTreeMap<u64, Position>,
    /// How often it was taken: what waits since an earlier time may be in it no more.
    taken: u32,
}

/// A place in an album's order: a whole number and a decimal fraction, as text without a dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    whole: u32,
    fraction: Box<str>,
}

impl Position {
    /// `00012` or `00012.5`: sorts as text, before a blank and a name.
    pub fn write(&self, to: &mut String) {
        use std::fmt::Write as _;
        // Writing into a String cannot fail.
        let _ = write!(to, "{:05}", self.whole);
        if !self.fraction.is_empty() {
            to.push('.');
            to.push_str(&self.fraction);
        }
    }

    const fn at(whole: u32, fraction: Box<str>) -> Self {
        Self { whole, fraction }
    }

    /// A position behind `low` and before `high`.
    fn between(low: Option<&Self>, high: Option<&Self>) -> Self {
        let start = Self::at(0, "".into());
        let low = low.unwrap_or(&start);
        let Some(high) = high else { return Self::at(low.whole + 1, "".into()) };
        if high.whole > low.whole + 1 {
            return Self::at(low.whole + 1, "".into());
        }
        // Digit by digit, until there is room between the two.
        let ceiling = if high.whole > low.whole { None } else { Some(high.fraction.as_bytes()) };
        let mut digits = String::new();
        let mut bound = ceiling;
        for place in 0.. {
            let floor = low.fraction.as_bytes().get(place).map_or(0, |digit| digit - b'0');
            let top = match bound {
                Some(bound) => bound.get(place).map_or(0, |digit| digit - b'0'),
                None => 10,
            };
            if top > floor + 1 {
                digits.push(char::from(b'0' + u8::midpoint(floor, top)));
                break;
            }
            digits.push(char::from(b'0' + floor));
            if top > floor {
                bound = None;
            }
        }
        Self::at(low.whole, digits.into())
    }
}

/// The positions of the items of an album, dealt as its history went. An item keeps its position as long as it
/// is not moved past another one.
fn positions(history: &[AlbumRevision]) -> HashMap<&MediaKey, Position> {
    let mut dealt: HashMap<&MediaKey, Position> = HashMap::new();
    let mut highest: Option<Position> = None;
    for revision in history {
        let mut seen = HashSet::new();
        let items: Vec<&MediaKey> = revision.items.iter().filter(|key| seen.insert(*key)).collect();
        // The longest run of items that kept their order keeps its positions too.
        let known: Vec<(usize, &Position)> =
            items.iter().enumerate().filter_map(|(at, key)| Some((at, dealt.get(*key)?))).collect();
        let keep: HashSet<usize> = longest_rise(&known).into_iter().collect();
        let anchors: Vec<Option<Position>> =
            (0..items.len()).map(|at| keep.contains(&at).then(|| dealt[items[at]].clone())).collect();
        let mut next: Vec<Option<Position>> = vec![None; items.len()];
        let mut coming = None;
        for at in (0..items.len()).rev() {
            next[at].clone_from(&coming);
            if anchors[at].is_some() {
                coming.clone_from(&anchors[at]);
            }
        }
        // What leaves gives its position up, so that it cannot push another out when it comes again; but what is
        // added at the end gets a number that none had.
        dealt.retain(|key, _| seen.contains(key));
        let mut last: Option<Position> = None;
        for (at, key) in items.iter().enumerate() {
            let position = match &anchors[at] {
                Some(position) => position.clone(),
                None => {
                    let low =
                        if next[at].is_none() { last.as_ref().max(highest.as_ref()) } else { last.as_ref() };
                    Position::between(low, next[at].as_ref())
                }
            };
            last = Some(position.clone());
            highest = highest.max(last.clone());
            dealt.insert(*key, position);
        }
    }
    dealt
}

/// The same history, in which an item has one key: what was adopted had another one before the library showed it.
fn of_one_key(history: &[AlbumRevision], ordinal: impl Fn(&MediaKey) -> Option<u64>) -> Vec<AlbumRevision> {
    let mut first: HashMap<u64, &MediaKey> = HashMap::new();
    let mut same = Vec::with_capacity(history.len());
    for revision in history {
        let key = |key| ordinal(key).map_or(key, |ordinal| *first.entry(ordinal).or_insert(key)).clone();
        same.push(AlbumRevision { items: revision.items.iter().map(key).collect(), ..revision.clone() });
    }
    same
}

/// The places of a longest strictly rising subsequence.
fn longest_rise(list: &[(usize, &Position)]) -> Vec<usize> {
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; list.len()];
    for (n, (_, position)) in list.iter().enumerate() {
        let at = ends.partition_point(|&end| list[end].1 < *position);
        before[n] = at.checked_sub(1).map(|at| ends[at]);
        if at == ends.len() { ends.push(n) } else { ends[at] = n }
    }
    let mut rise = Vec::new();
    let mut at = ends.last().copied();
    while let Some(n) = at {
        rise.push(list[n].0);
        at = before[n];
    }
    rise
}

impl Albums {
    /// Takes an album's history; `ordinal` is the number of an item that is archived. The numbers of the items that
    /// were or are in it.
    pub fn take(&mut self, album: &ArchivedAlbum, ordinal: impl Fn(&MediaKey) -> Option<u64>) -> Vec<u64> {
        let Some(latest) = album.revisions.last() else { return Vec::new() };
        if self.name_account(latest) {
            return Vec::new();
        }
        let next = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        let former = album.formerly.as_ref().and_then(|key| self.by_key.get(key)).copied();
        let id = *self.by_key.entry(album.key.clone()).or_insert(former.unwrap_or(next));
        if id == next {
            self.list.push(Album {
                // Names follow from the first key.
                key: album.formerly.as_ref().unwrap_or(&album.key).clone(),
                history: Vec::new(),
                title: String::new(),
                owner: None,
                is_shared: false,
                since: 0,
                positions: BTreeMap::new(),
                taken: 0,
            });
        }
        self.list[id as usize].taken += 1;
        let taken = self.list[id as usize].taken;
        let renamed = album.formerly.is_some().then(|| of_one_key(&album.revisions, &ordinal));
        let revisions = renamed.as_ref().unwrap_or(&album.revisions);
        let all = positions(revisions);
        let latest = revisions.last().unwrap_or(latest);
        let here = if latest.state == ItemState::Present { latest.items.as_slice() } else { &[] };
        let mut now = BTreeMap::new();
        for key in here {
            let Some(position) = all.get(key) else { continue };
            match ordinal(key) {
                Some(ordinal) => {
                    now.insert(ordinal, position.clone());
                }
                None => {
                    let waiting = self.waiting.entry(key.clone()).or_default();
                    waiting.retain(|(album, ..)| *album != id);
                    waiting.push((id, taken, position.clone()));
                }
            }
        }
        let entry = &mut self.list[id as usize];
        entry.history.clone_from(&album.revisions);
        // The items of all revisions are in the positions already; what names need is titles and times.
        for revision in &mut entry.history {
            revision.items = Vec::new();
        }
        entry.owner.clone_from(&latest.owner);
        entry.since = latest.since.as_second();
        entry.is_shared = !latest.kind.is_own();
        let was = std::mem::replace(&mut entry.positions, now.clone());
        for ordinal in was.keys() {
            if let Some(albums) = self.of_item.get_mut(ordinal) {
                albums.retain(|album| *album != id);
            }
        }
        for ordinal in now.keys() {
            self.of_item.entry(*ordinal).or_default().push(id);
        }
        let mut touched: Vec<u64> = was.into_keys().chain(now.into_keys()).collect();
        touched.sort_unstable();
        touched.dedup();
        touched
    }

    /// How an account is called. Two never share a name: whoever had it first keeps it.
    pub fn account<'a>(&'a self, account: &'a str) -> &'a str {
        let Some((name, since)) = self.accounts.get(account) else { return account };
        let folded = fold(name);
        let is_taken = self.accounts.iter().any(|(other, (theirs, then))| {
            (then, other.as_str()) < (since, account) && fold(theirs) == folded
        });
        if is_taken { account } else { name }
    }

    /// The accounts that are called otherwise once these are taken.
    pub fn renamed(&self, albums: &[ArchivedAlbum]) -> Vec<String> {
        let mut then = Self { accounts: self.accounts.clone(), ..Self::default() };
        for latest in albums.iter().filter_map(|album| album.revisions.last()) {
            then.name_account(latest);
        }
        let is_renamed = |account: &&String| self.account(account) != then.account(account);
        then.accounts.keys().filter(is_renamed).cloned().collect()
    }

    /// Takes the name of an account; whether the revision is one.
    fn name_account(&mut self, latest: &AlbumRevision) -> bool {
        let name = account_name(latest);
        if let Some((account, name)) = name {
            self.accounts.insert(account.to_owned(), (name.to_owned(), latest.since));
        }
        latest.kind == AlbumKind::Library
    }

    /// The numbers of all items that are in any album.
    pub fn items(&self) -> impl Iterator<Item = u64> {
        self.of_item.iter().filter(|(_, albums)| !albums.is_empty()).map(|(ordinal, _)| *ordinal)
    }

    /// An item is archived now: albums may have waited for it.
    pub fn arrived(&mut self, key: &MediaKey, ordinal: u64) {
        let mut waiting = self.waiting.remove(key).unwrap_or_default();
        waiting.retain(|(album, taken, _)| self.list[*album as usize].taken == *taken);
        for (album, _, position) in waiting {
            self.list[album as usize].positions.insert(ordinal, position);
            self.of_item.entry(ordinal).or_default().push(album);
        }
    }

    /// Deals the names of the directories: the album that had a title first has it for ever, any other gets a
    /// suffix from its key.
    pub fn name(&mut self) {
        let mut claims: Vec<(jiff::Timestamp, u32, usize)> = Vec::new();
        for (id, album) in (0..).zip(&self.list) {
            claims.extend(album.history.iter().enumerate().map(|(at, revision)| (revision.since, id, at)));
        }
        claims.sort_unstable_by(|a, b| {
            (a.0, &self.list[a.1 as usize].key, a.2).cmp(&(b.0, &self.list[b.1 as usize].key, b.2))
        });
        let mut owners: HashMap<String, u32> = HashMap::new();
        for (_, id, at) in claims {
            let title = directory_name(&self.list[id as usize].history[at].title);
            let first = *owners.entry(fold(&title)).or_insert(id);
            let album = &mut self.list[id as usize];
            if at + 1 == album.history.len() {
                album.title = if first == id {
                    title
                } else {
                    format!("{title}~{:08x}", super::items::clash(album.key.as_str(), None) >> 32)
                };
            }
        }
    }

    /// What the directories of all albums and accounts follow from.
    pub fn directories(&self) -> Vec<(String, Option<String>)> {
        let albums = self.list.iter().map(|album| (album.title.clone(), album.owner.clone()));
        let accounts =
            self.accounts.keys().map(|account| (self.account(account).to_owned(), Some(account.clone())));
        albums.chain(accounts).collect()
    }

    /// The albums that an item is in.
    pub fn of(&self, ordinal: u64) -> &[u32] {
        self.of_item.get(&ordinal).map_or(&[], Vec::as_slice)
    }

    /// An album.
    pub fn get(&self, id: u32) -> &Album {
        &self.list[id as usize]
    }
}

impl Album {
    /// Where an item is in its order.
    pub fn position(&self, ordinal: u64) -> Option<&Position> {
        self.positions.get(&ordinal)
    }
}

/// The account that a library is of, and how it is called; nothing for albums.
fn account_name(latest: &AlbumRevision) -> Option<(&str, &str)> {
    let account = latest.owner.as_deref().filter(|_| latest.kind == AlbumKind::Library)?;
    let name = latest.title.trim();
    // A number may be another account's.
    let is_name = name.contains(|letter: char| !letter.is_ascii_digit());
    is_name.then_some((account, name))
}

/// A title as the name of a directory.
fn directory_name(title: &str) -> String {
    if title.trim().is_empty() { UNTITLED.to_owned() } else { SafeName::new(title).text() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn revision(items: &[&str]) -> AlbumRevision {
        AlbumRevision {
            since: jiff::Timestamp::UNIX_EPOCH,
            state: ItemState::Present,
            kind: AlbumKind::Own,
            title: "T".into(),
            owner: None,
            items: items.iter().map(|key| MediaKey::new(key).unwrap()).collect(),
        }
    }

    fn texts(history: &[AlbumRevision]) -> Vec<(String, String)> {
        let mut dealt: Vec<(String, String)> = positions(history)
            .into_iter()
            .map(|(key, position)| {
                let mut text = String::new();
                position.write(&mut text);
                (text, key.as_str().to_owned())
            })
            .collect();
        dealt.sort();
        dealt
    }

    #[test]
    fn what_comes_later_finds_a_place_and_moves_nothing() {
        let one = revision(&["a", "b", "c"]);
        let two = revision(&["x", "a", "y", "z", "b", "c", "d"]);
        let before = texts(std::slice::from_ref(&one));
        let after = texts(&[one, two]);
        assert_eq!(before[0], ("00001".into(), "a".into()));
        assert!(before.iter().all(|entry| after.contains(entry)), "{after:?}");
        let order: Vec<&str> = after.iter().map(|(_, key)| key.as_str()).collect();
        assert_eq!(order, ["x", "a", "y", "z", "b", "c", "d"], "{after:?}");
    }

    #[test]
    fn random_histories_keep_the_order_and_deal_no_position_twice() {
        let seed = std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
        println!("SEED={seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..200 {
            let mut list: Vec<String> = Vec::new();
            let mut history = Vec::new();
            for _ in 0..random.usize(1..12) {
                for _ in 0..random.usize(0..8) {
                    match random.u8(..4) {
                        0 if !list.is_empty() => {
                            list.remove(random.usize(..list.len()));
                        }
                        1 if list.len() > 1 => {
                            let moved = list.remove(random.usize(..list.len()));
                            list.insert(random.usize(..=list.len()), moved);
                        }
                        _ => list.insert(random.usize(..=list.len()), format!("k{}", random.u32(..))),
                    }
                }
                history.push(revision(&list.iter().map(String::as_str).collect::<Vec<_>>()));
            }
            let all = texts(&history);
            let there: Vec<&str> =
                all.iter().map(|(_, key)| key.as_str()).filter(|key| list.iter().any(|k| k == key)).collect();
            assert_eq!(there, list, "{all:?}");
            let now: HashSet<&str> =
                all.iter().filter(|(_, key)| list.contains(key)).map(|(text, _)| text.as_str()).collect();
            assert_eq!(now.len(), list.len(), "{all:?}");
        }
    }
}
