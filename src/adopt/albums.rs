//! Albums of what was adopted: folders of a Takeout that have a JSON of their own, and gphotos-sync's folders of links.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Map;

use super::AdoptError;
use super::candidates::Stray;
use super::ledger::Ledger;
use super::place::export;
use super::takeout::{AlbumNote, Note};
use crate::archive::Archive;
use crate::model::digest::digests_of;
use crate::model::name::fold;
use crate::model::{AlbumKind, AlbumRecord, ItemState, LOCAL_ACCOUNT, MediaKey};
use crate::store::ALBUM_SCHEMA;

/// An album that was found.
#[derive(Default)]
struct Found {
    /// Empty if it has none.
    title: String,
    created_ms: Option<i64>,
    items: Vec<MediaKey>,
}

/// Records the albums, or only counts those that would be.
///
/// # Errors
/// When the archive cannot be read or written.
pub fn record(ledger: &mut Ledger<'_>, strays: &[Stray<'_>], now: jiff::Timestamp) -> Result<(), AdoptError> {
    ledger.flush()?;
    // Of some albums there are the JSON files alone; the photos are in the folders of the years.
    for Stray { folder, name, sidecar } in strays {
        match ledger.by_sidecar.get(&(export(folder).to_owned(), sidecar.title.clone(), sidecar.taken_ms)) {
            Some(member) => ledger.members.entry(Arc::clone(folder)).or_default().push(member.clone()),
            None => ledger.report.unmatched.push(format!("{folder}/{name}")),
        }
    }
    // By title and age: Takeout calls two albums of one title `Sea` and `Sea(1)`, and so it does with one that it has split.
    // Those without a title are told apart by the folder.
    ledger.report.undescribed.extend(std::mem::take(&mut ledger.undescribed).into_values());
    let mut albums: BTreeMap<String, Found> = BTreeMap::new();
    let folders = std::mem::take(&mut ledger.members);
    for (folder, mut members) in folders {
        let Some(note) = note_of(ledger, &folder) else { continue };
        members.sort_by(|a, b| (a.taken.local, &a.key).cmp(&(b.taken.local, &b.key)));
        let name = folder.rsplit('/').next().unwrap_or_default();
        let title = if note.title.is_empty() { name } else { &note.title };
        let age = note.created_ms.map_or(String::new(), |ms| ms.to_string());
        let found = albums.entry(format!("{}\n{age}", fold(title))).or_default();
        found.title.clone_from(&note.title);
        found.created_ms = found.created_ms.or(note.created_ms);
        found.items.extend(members.into_iter().map(|member| member.key));
    }
    for (folder, targets) in &ledger.survey.links {
        let keys: Vec<MediaKey> =
            targets.iter().filter_map(|path| ledger.by_path.get(path).cloned()).collect();
        let title = title_of_folder(folder);
        if keys.is_empty() {
            continue;
        }
        let found = albums.entry(format!("{}\n", fold(title))).or_default();
        title.clone_into(&mut found.title);
        found.items.extend(keys);
    }
    for (identity, found) in albums.into_iter().filter(|(_, found)| !found.items.is_empty()) {
        let is_news = ledger.dry_run || put(ledger.archive, &identity, found, now)?;
        ledger.report.albums += u64::from(is_news);
    }
    Ok(())
}

/// What Takeout says of the album that a folder is.
fn note_of(ledger: &Ledger<'_>, folder: &str) -> Option<AlbumNote> {
    if is_day(folder.rsplit('/').next().unwrap_or_default()) {
        return None;
    }
    ledger.survey.notes.get(folder)?.iter().find_map(|json| match &json.note {
        Note::Album(album) => Some(album.clone()),
        _ => None,
    })
}

/// Until 2020, Takeout made a folder of each day, with a JSON as albums have it: `2020-09-01`, `2020-09-01 #2`.
fn is_day(name: &str) -> bool {
    let day = name.split(" #").next().unwrap_or(name);
    day.len() == 10 && day.parse::<jiff::civil::Date>().is_ok()
}

/// gphotos-sync puts a month and a day in front of titles.
fn title_of_folder(folder: &str) -> &str {
    let name = folder.rsplit('/').next().unwrap_or_default();
    match name.split_once(' ') {
        Some((date, title)) if date.len() == 4 && date.bytes().all(|b| b.is_ascii_digit()) => title,
        _ => name,
    }
}

/// Adds to that album; whether that is news.
fn put(archive: &Archive, identity: &str, found: Found, now: jiff::Timestamp) -> Result<bool, AdoptError> {
    let reader = archive.index.reader()?;
    let named = |n: u32| MediaKey::local("album", &digests_of(format!("{identity}\n{n}").as_bytes()).sha256);
    let mut key = named(0);
    // The library's own album says it better, where it has all of them.
    for album in reader.albums()? {
        if album.kind.is_own() && !album.record.key.is_local() && fold(&album.title) == fold(&found.title) {
            let has = archive.store.read_album(&album.record)?;
            if reader.covers(&has.record().items, &found.items)? {
                return Ok(false);
            }
        }
    }
    // What an earlier adoption has made of that title may have become an album of the library.
    for n in 1.. {
        if reader.album(&key)?.is_some() || archive.store.album_revisions(&key)?.is_empty() {
            break;
        }
        key = named(n);
    }
    let known = reader.album(&key)?.map(|album| archive.store.read_album(&album.record)).transpose()?;
    let mut items = known.as_ref().map(|known| known.record().items.clone()).unwrap_or_default();
    let there = reader.ordinals(&items)?;
    let mut have: std::collections::BTreeSet<u64> = there.into_values().collect();
    let before = items.len();
    let ordinals = reader.ordinals(&found.items)?;
    for item in found.items {
        if ordinals.get(&item).is_some_and(|&ordinal| have.insert(ordinal)) {
            items.push(item);
        }
    }
    if items.len() == before {
        return Ok(false);
    }
    let record = AlbumRecord {
        schema: ALBUM_SCHEMA,
        key,
        seq: known.as_ref().map_or(1, |known| known.record().seq + 1),
        previous: known.as_ref().map(|known| *known.sha256()),
        account: LOCAL_ACCOUNT.to_owned(),
        recorded_at: now,
        state: ItemState::Present,
        kind: AlbumKind::Own,
        title: found.title,
        aliases: Vec::new(),
        cover: None,
        owner: None,
        members: Vec::new(),
        created_ms: found.created_ms,
        modified_ms: None,
        count: None,
        items,
        formerly: None,
        unknown: Map::new(),
    };
    archive.index.writer().apply_album(archive.store.put_album(&record)?)?;
    Ok(true)
}
