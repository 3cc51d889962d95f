//! Calls that list: timeline, recently added, counts, trash, albums and what is in them (contract 5.7).

use std::collections::BTreeMap;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::albums::{BUNDLE, FAMILY, PARTNER, SHARED, WEDDING};
use super::faults::Fault;
use super::google::Google;
use super::library::SimItem;
use super::rpc::{item_json, timeline_json};

/// Items in a page of recently added, and of an album.
const PAGE: usize = 100;
const ALBUM_PAGE: usize = 250;
/// Entries in a page of the sharing list.
const SHARED_PAGE: usize = 25;

/// Answers a listing call; `None` if it is none.
pub(crate) fn answer(
    google: &Google,
    rpcid: &str,
    args: &Value,
    struck: &[Fault],
) -> Option<Result<Value, i64>> {
    Some(match rpcid {
        "lcxiM" => timeline(google, args, struck),
        "EzkLib" => search(google, args),
        "rJ0tlb" => Ok(counts(google)),
        "zy0IHe" => trash(google, args),
        "Z5xsfc" => albums(google, args),
        "F2A0H" => shared(google, args),
        "snAcKc" => contents(google, args),
        "e9T5je" => partner(google, args),
        _ => return None,
    })
}

fn timeline(google: &Google, args: &Value, struck: &[Fault]) -> Result<Value, i64> {
    let source = args.get(5).and_then(Value::as_i64).unwrap_or(1);
    let wanted = args.get(2).and_then(Value::as_u64).map_or(300, |n| n as usize);
    let page = wanted.clamp(1, 500).min(google.config.page.max(1));
    if struck.contains(&Fault::EmptyListing) {
        return Ok(json!([null, null, "0"]));
    }
    let everything = google.library.timeline();
    let meant = |item: &&Arc<SimItem>| match source {
        1 => !item.archived,
        2 => item.archived,
        _ => true,
    };
    let shrink = struck.iter().find_map(|fault| match fault {
        Fault::ShrunkenListing(n) => Some(*n),
        _ => None,
    });
    let start = match args.get(0) {
        None | Some(Value::Null) => {
            let before = args.get(1).and_then(Value::as_i64).unwrap_or(i64::MAX);
            everything.partition_point(|item| item.taken_ms > before)
        }
        Some(Value::String(text)) => {
            // Where the last page ended: what was added or removed since does not shift the next one.
            let place = uncursor(text).ok_or(3)?;
            let (ms, key) = place.split_once('/').ok_or(3)?;
            let ms: i64 = ms.parse().map_err(|_| 3)?;
            everything.partition_point(|item| (item.taken_ms, item.key.as_str()) >= (ms, key))
        }
        Some(_) => return Err(3),
    };
    let end = shrink.unwrap_or(usize::MAX).min(everything.len());
    let rest = &everything[start.min(end)..end];
    let mut rows: Vec<_> = rest.iter().filter(meant).take(page + 1).collect();
    let more = rows.len() > page;
    rows.truncate(page);
    let last = rows.last();
    let again = everything.first().filter(|_| struck.contains(&Fault::LoopingListing));
    let next = again
        .or(last.filter(|_| more).copied())
        .map(|item| cursor(&format!("{}/{}", item.taken_ms, item.key)));
    let mut items: Vec<_> = rows.iter().map(|item| timeline_json(google, item)).collect();
    if struck.contains(&Fault::Drift) {
        for item in &mut items {
            if let Some(slots) = item.as_array_mut() {
                slots.swap(2, 3);
            }
        }
    }
    Ok(json!([items, next, last.map_or(0, |item| item.taken_ms).to_string()]))
}

/// `["", [[4,"ra",0,0]], cursor]`: newest upload first. `["Favorites", …]`: the marked ones. `[text, null, …]`:
/// what the words are about.
fn search(google: &Google, args: &Value) -> Result<Value, i64> {
    let kind = args.pointer("/1/0/1").and_then(Value::as_str);
    let text = args.get(0).and_then(Value::as_str).unwrap_or_default().to_lowercase();
    let mut items = google.library.timeline().as_ref().clone();
    match kind {
        Some("ra") => items.sort_by(|a, b| (b.uploaded_ms, &b.key).cmp(&(a.uploaded_ms, &a.key))),
        Some("8") => items.retain(|item| item.favourite),
        None if !text.is_empty() => items.retain(|item| is_about(item, &text)),
        _ => return Err(3),
    }
    let (rows, next) = page_of(&items, args.get(2), PAGE)?;
    let rows: Vec<_> = rows.iter().map(|item| item_json(google, item)).collect();
    Ok(json!([rows, next, null, null, null, 2, [], [""], 3, false]))
}

/// Whether a search for this text, in small letters, finds the item. The real one sees the pictures, too.
fn is_about(item: &SimItem, text: &str) -> bool {
    let words = [Some(item.name.as_str()), item.description.as_deref(), item.place.map(|(.., name)| name)];
    words.into_iter().flatten().any(|words| words.to_lowercase().contains(text))
}

/// One range per month, and the total.
fn counts(google: &Google) -> Value {
    let mut months: BTreeMap<(i16, i8), (i64, i64, u64)> = BTreeMap::new();
    let items = google.library.timeline();
    for item in items.iter() {
        let day = super::wall_clock(item.taken_ms, 0);
        let month = months.entry((day.year(), day.month())).or_insert((i64::MAX, i64::MIN, 0));
        *month = (month.0.min(item.taken_ms), month.1.max(item.taken_ms), month.2 + 1);
    }
    let ranges: Vec<_> = months.values().rev().map(|(from, to, n)| json!([from, to, n, 1])).collect();
    json!([ranges, items.len()])
}

fn trash(google: &Google, args: &Value) -> Result<Value, i64> {
    let items = google.library.trash();
    let (rows, next) = page_of(&items, args.get(0), PAGE)?;
    let rows: Vec<_> = rows
        .iter()
        .map(|item| {
            let mut row = item_json(google, item);
            // Neither owner nor capabilities here.
            row[6] = Value::Null;
            row[7] = Value::Null;
            row
        })
        .collect();
    Ok(json!([rows, next]))
}

fn albums(google: &Google, args: &Value) -> Result<Value, i64> {
    let library = &google.library;
    let list = &library.albums;
    let mut entries: Vec<_> = (0..list.len())
        .map(|n| {
            let cover = library.album_contents(n).first().map(|item| item_json(google, item)[1].clone());
            let about = own_album(google, n);
            json!([list.key(n), cover, null, null, null, null, [OWNER], [[1], [2]], {"72930366": about}])
        })
        .collect();
    for number in [WEDDING, FAMILY].into_iter().filter(|&number| library.sees(number)) {
        let contents = library.shared_contents(number);
        let times = json!([0, 0, null, null, 1_500_000_000_000_i64, null, null, 9, 9, 1_700_000_000_000_i64]);
        let about = json!([
            4,
            SHARED[number],
            times,
            contents.len(),
            true,
            list.access(number),
            [20_000],
            null,
            list.envelope(number),
            null,
            "https://photos.app.goo.gl/x"
        ]);
        entries
            .push(json!([list.shared_key(number), null, null, null, null, null, [FRIEND], [[1]], null, null,
            null, {"72930366": about}]));
    }
    let size = args.get(7).and_then(Value::as_u64).map_or(PAGE, |n| n as usize).clamp(1, PAGE);
    let (rows, next) = page_of(&entries, args.get(0), size)?;
    Ok(json!([rows, next, [1], [1]]))
}

/// What an entry says of one of the account's own albums.
pub(crate) fn own_album(google: &Google, number: usize) -> Value {
    let contents = google.library.album_contents(number);
    let title = titled(google.library.albums.title(number));
    let times = times(span(&contents), google.library.albums.modified(number));
    json!([1, title, times, contents.len(), false, null, [free(contents.len())], null, null, null, null])
}

/// The times of an album: of its photos, then of what was done with it.
fn times((start, end): (i64, i64), modified: i64) -> Value {
    json!([start, end, null, null, CREATED, [start, 0], [end, 0], modified, CREATED, modified])
}

/// An album without a title has none, not an empty one.
fn titled(title: String) -> Value {
    if title.is_empty() { Value::Null } else { json!(title) }
}

/// Room that an album has left.
fn free(count: usize) -> usize {
    20_000_usize.saturating_sub(count)
}

/// A person: key, number of the account, name, picture.
pub(crate) fn actor(key: &str) -> Value {
    let (number, name) = if key == OWNER { ("117", "Demo Person") } else { ("118", "A Friend") };
    let given = name.split(' ').next();
    let picture = format!("https://lh3.googleusercontent.com/a/{number}");
    json!([
        key,
        number,
        null,
        null,
        null,
        [key, number],
        null,
        null,
        null,
        null,
        null,
        [name, 1, null, given],
        [picture]
    ])
}

/// When every album was made.
const CREATED: i64 = 1_500_000_000_000;

/// The account's own key.
pub(crate) const OWNER: &str = "AF1QipMtheownersactorkeythatis44characterslng";
const FRIEND: &str = "AF1QipMafriendsactorkeythatis44characterslong";

fn shared(google: &Google, args: &Value) -> Result<Value, i64> {
    let list = &google.library.albums;
    let mut entries = Vec::new();
    for (n, kind) in [(WEDDING, 1), (BUNDLE, 4), (FAMILY, 1)] {
        if !google.library.sees(n) {
            continue;
        }
        let contents = google.library.shared_contents(n);
        let mut entry = vec![Value::Null; 24];
        entry[0] = json!(kind);
        entry[1] = json!(SHARED[n]);
        entry[2] = json!(contents.first().map(|(key, _)| [key]));
        entry[3] = json!(contents.len());
        entry[4] = json!(1_500_000_000_000_i64);
        entry[6] = json!(list.envelope(n));
        entry[7] = json!(list.access(n));
        entry[9] = json!([actor(OWNER), actor(FRIEND)]);
        entry[10] = json!([actor(FRIEND)]);
        entry[13] = json!([19_000]);
        entry[16] = times((0, 0), CREATED);
        entry[17] = json!(list.link(n));
        entries.push(Value::Array(entry));
    }
    let (rows, next) = page_of(&entries, args.get(0), SHARED_PAGE)?;
    Ok(json!([rows, next]))
}

fn contents(google: &Google, args: &Value) -> Result<Value, i64> {
    let key = args.get(0).and_then(Value::as_str).ok_or(3)?;
    let library = &google.library;
    let list = &library.albums;
    let own = (0..list.len()).find(|&n| list.key(n) == key);
    let other = (0..SHARED.len())
        .find(|&n| [list.shared_key(n), list.envelope(n), list.link(n)].contains(&key.to_owned()));
    let mut about = vec![Value::Null; 42];
    let (rows, title): (Vec<Value>, String) = match (own, other) {
        (Some(n), _) => {
            let items = library.album_contents(n);
            about[2] = times(span(&items), list.modified(n));
            about[5] = actor(OWNER);
            let row = |item: &Arc<SimItem>| match item.shared {
                Some(_) => shared_json(google, &item.key, item),
                None => in_album(item_json(google, item)),
            };
            (items.iter().map(row).collect(), list.title(n))
        }
        (None, Some(n)) if library.sees(n) && n != PARTNER => {
            // The link is its own permission.
            if key != list.link(n) && args.get(3).and_then(Value::as_str) != Some(list.access(n).as_str()) {
                return Err(7);
            }
            let items = library.shared_contents(n);
            about[2] = times((0, 0), CREATED);
            about[5] = actor(FRIEND);
            about[19] = json!(list.access(n));
            about[32] = json!("https://photos.app.goo.gl/x");
            let rows = items.iter().map(|(key, item)| shared_json(google, key, item)).collect();
            (rows, SHARED[n].unwrap_or_default().to_owned())
        }
        _ => return Err(5),
    };
    let (page, next) = page_of(&rows, args.get(1), ALBUM_PAGE)?;
    about[0] = json!(key);
    about[1] = titled(title);
    about[4] = rows.first().map_or(Value::Null, |row| row[1].clone());
    about[6] = json!([[1], [2]]);
    about[9] = json!([actor(OWNER), actor(FRIEND)]);
    about[21] = json!(rows.len());
    about[25] = json!([free(rows.len())]);
    about[40] = rows.first().map_or(Value::Null, |row| row[0].clone());
    about[41] = rows.first().map_or(Value::Null, |row| row[3].clone());
    let items = if page.is_empty() { Value::Null } else { json!(page) };
    Ok(json!([null, items, next.unwrap_or_default(), about, null, 0]))
}

fn partner(google: &Google, args: &Value) -> Result<Value, i64> {
    let asked = args.pointer("/2/2/0").and_then(Value::as_str).ok_or(3)?;
    if !google.library.sees(PARTNER) || asked != google.library.albums.shared_key(PARTNER) {
        return Err(5);
    }
    let items = google.library.shared_contents(PARTNER);
    let rows: Vec<_> = items.iter().map(|(key, item)| shared_json(google, key, item)).collect();
    let (page, next) = page_of(&rows, args.get(0), ALBUM_PAGE)?;
    Ok(json!([next, page, [actor(asked)], null, "118", asked]))
}

/// Outside the timeline nobody says whether an item is archived.
fn in_album(mut row: Value) -> Value {
    if let Some(slots) = row.as_array_mut() {
        if slots.len() > 13 {
            slots[13] = Value::Null;
        }
        if let Some(Value::Object(tail)) = slots.last_mut() {
            tail.remove("14");
        }
    }
    row
}

/// An item as a shared container shows it: under its key there, not owned.
fn shared_json(google: &Google, key: &str, item: &SimItem) -> Value {
    let mut row = in_album(item_json(google, item));
    row[0] = json!(key);
    if item.shared.is_some() {
        row[6] = json!([FRIEND]);
        row[7] = json!([[4], [17], [27]]);
    }
    row
}

fn span(items: &[Arc<SimItem>]) -> (i64, i64) {
    let times = || items.iter().map(|item| item.taken_ms);
    (times().min().unwrap_or(0), times().max().unwrap_or(0))
}

/// A page of a list, and the cursor of the next one.
fn page_of<'a, T>(
    list: &'a [T],
    from: Option<&Value>,
    size: usize,
) -> Result<(&'a [T], Option<String>), i64> {
    let start = match from {
        None | Some(Value::Null) => 0,
        Some(Value::String(text)) => uncursor(text).and_then(|place| place.parse().ok()).ok_or(3)?,
        Some(_) => return Err(3),
    };
    let end = (start + size).min(list.len());
    let next = (end < list.len()).then(|| cursor(&end.to_string()));
    Ok((&list[start.min(end)..end], next))
}

/// An opaque text of the length of a cursor (contract 5.5).
fn cursor(text: &str) -> String {
    let body = BASE64URL_NOPAD.encode(text.as_bytes());
    format!("AH_uQ4{body:-<80}")
}

/// What a cursor stands for.
fn uncursor(cursor: &str) -> Option<String> {
    let body = cursor.strip_prefix("AH_uQ4")?.trim_end_matches('-');
    String::from_utf8(BASE64URL_NOPAD.decode(body.as_bytes()).ok()?).ok()
}
