//! Photos to look at: months, the photos of one, one photo with all that is known of it.

pub mod bytes;
mod catalogue;
pub mod small;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use askama::Template;
use axum::extract::{Path, Query, State as Shared};
use axum::response::Response;
use bytesize::ByteSize;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use self::catalogue::{Catalogue, Month};
use super::State;
use super::access::Session;
use super::frame::{Frame, absent, html_of, local, trouble};
use crate::index::IndexReader;
use crate::media::kind::Kind;
use crate::media::thumbnail;
use crate::model::camera::camera_dir;
use crate::model::name::printable;
use crate::model::{ArchivedItem, ArchivedPart, ItemState, MediaKey, PartRole, Verdict};

/// Photos on one page.
const ON_A_PAGE: usize = 240;

/// What is kept in memory for these pages.
#[derive(Default)]
pub struct Shelf(Mutex<Catalogue>);

impl Shelf {
    /// The catalogue as it is now.
    fn catalogue<T>(
        &self,
        reader: &IndexReader,
        ask: impl FnOnce(&Catalogue) -> T,
    ) -> Result<T, crate::index::IndexError> {
        let mut catalogue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        catalogue.refresh(reader)?;
        Ok(ask(&catalogue))
    }
}

/// What stands for a file in the grid.
enum Face {
    /// Its small picture.
    Small(String),
    /// The file itself, which is small and moves.
    Whole(String),
    /// A word, where there is no picture.
    Word(String),
}

/// A photo in the grid.
struct Tile {
    key: String,
    name: String,
    face: Face,
    kind: &'static str,
}

/// The file that people see: as edited, if it was.
fn shown(item: &ArchivedItem) -> Option<&ArchivedPart> {
    let latest = |role| item.parts.iter().filter(move |p| p.role == role).max_by_key(|p| p.version);
    latest(PartRole::Edited).or_else(|| latest(PartRole::Original))
}

fn face(item: &ArchivedItem) -> Face {
    let Some(part) = shown(item) else { return Face::Word("?".into()) };
    let media_type = match part.role {
        // Google's renditions are what it shows: a JPEG of a photo, an MP4 of a video.
        PartRole::Edited if !is_video(item) => Kind::Jpeg.media_type(),
        _ => item.media_type.as_deref().unwrap_or_default(),
    };
    let small = [Kind::Jpeg, Kind::Png, Kind::Webp].into_iter().filter(|kind| thumbnail::can_be_made(*kind));
    if small.into_iter().any(|kind| kind.media_type() == media_type) {
        Face::Small(part.sha256.hex())
    } else if [Kind::Gif, Kind::Avif].iter().any(|kind| kind.media_type() == media_type)
        && part.size < 2_000_000
    {
        Face::Whole(part.sha256.hex())
    } else {
        let extension = part.name.rsplit_once('.').map_or("file", |(_, extension)| extension);
        Face::Word(extension.chars().take(5).collect::<String>().to_uppercase())
    }
}

fn is_video(item: &ArchivedItem) -> bool {
    item.media_type.as_deref().is_some_and(|media_type| media_type.starts_with("video/"))
}

fn tile(item: ArchivedItem) -> Tile {
    let kind = match () {
        () if item.state == ItemState::Gone => "gone",
        () if is_video(&item) => "video",
        () if item.parts.iter().any(|part| part.role == PartRole::Motion) => "live",
        () => "",
    };
    Tile { face: face(&item), key: item.key.as_str().to_owned(), name: printable(&item.name), kind }
}

fn item(reader: &IndexReader, ordinal: u64) -> Result<Option<ArchivedItem>, String> {
    let mut found = None;
    reader
        .items(ordinal..=ordinal, |item| found = Some(item.clone().into_owned()))
        .map_err(|e| e.to_string())?;
    Ok(found)
}

fn items(reader: &IndexReader, ordinals: &[u64]) -> Result<Vec<ArchivedItem>, String> {
    ordinals.iter().filter_map(|&ordinal| item(reader, ordinal).transpose()).collect()
}

/// Which part of a long list.
#[derive(Deserialize)]
pub struct From {
    #[serde(default)]
    from: usize,
}

/// A month with its latest photo.
struct Cover {
    month: Month,
    photos: usize,
    tile: Option<Tile>,
}

#[derive(Template)]
#[template(path = "photos/months.html", config = ".askama.toml")]
struct MonthsPage {
    frame: Frame,
    years: Vec<(i16, usize, Vec<Cover>)>,
    all: usize,
}

/// All months.
pub async fn months(Shared(state): Shared<Arc<State>>, session: Session) -> Response {
    let frame = Frame::of(&session, "/photos");
    let found = state.aside(|state| {
        let reader = state.reader()?;
        let say = |e: crate::index::IndexError| e.to_string();
        let covers = state.shelf.catalogue(&reader, |catalogue| {
            let months = catalogue.months();
            months.into_iter().map(|(m, n)| (m, n, catalogue.items(m, 0, 1))).collect::<Vec<_>>()
        });
        let mut years: Vec<(i16, usize, Vec<Cover>)> = Vec::new();
        for (month, photos, latest) in covers.map_err(say)? {
            let tile = items(&reader, &latest)?.pop().map(tile);
            let cover = Cover { month, photos, tile };
            match years.last_mut().filter(|(year, ..)| *year == month.year()) {
                Some((_, all, months)) => {
                    *all += photos;
                    months.push(cover);
                }
                None => years.push((month.year(), photos, vec![cover])),
            }
        }
        Ok(years)
    });
    html_of(&session, found.await, |years| {
        let all = years.iter().map(|(_, photos, _)| photos).sum();
        MonthsPage { frame, years, all }
    })
}

/// A day's photos, under its name.
struct Day {
    name: String,
    tiles: Vec<Tile>,
}

#[derive(Template)]
#[template(path = "photos/month.html", config = ".askama.toml")]
struct MonthPage {
    frame: Frame,
    title: String,
    photos: usize,
    days: Vec<Day>,
    path: String,
    from: usize,
    /// Where the next page of this list begins.
    next: Option<usize>,
    newer: Option<(String, String)>,
    older: Option<(String, String)>,
}

/// Where the next page begins.
fn more(from: usize, all: usize) -> Option<usize> {
    from.checked_add(ON_A_PAGE).filter(|next| *next < all)
}

fn days(items: Vec<ArchivedItem>) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    for item in items {
        let name = item.taken.local.strftime("%A, %-d %B").to_string();
        match days.last_mut().filter(|day| day.name == name) {
            Some(day) => day.tiles.push(tile(item)),
            None => days.push(Day { name, tiles: vec![tile(item)] }),
        }
    }
    days
}

/// The photos of a month.
pub async fn month(
    Shared(state): Shared<Arc<State>>,
    session: Session,
    Path(month): Path<String>,
    Query(From { from }): Query<From>,
) -> Response {
    let frame = Frame::of(&session, "/photos");
    let Some(month) = Month::parse(&month) else { return absent(&session, "There is no such month.") };
    let found = state.aside(move |state| {
        let reader = state.reader()?;
        let (months, numbers) = state
            .shelf
            .catalogue(&reader, |catalogue| (catalogue.months(), catalogue.items(month, from, ON_A_PAGE)))
            .map_err(|e| e.to_string())?;
        Ok((months, items(&reader, &numbers)?))
    });
    let (months, items) = match found.await {
        Ok(found) => found,
        Err(why) => return trouble(&session, &why),
    };
    let Some(at) = months.iter().position(|(known, _)| *known == month) else {
        return absent(&session, "Nothing is archived of that month.");
    };
    let link = |at: Option<usize>| {
        at.and_then(|at| months.get(at)).map(|(month, _)| (format!("/photos/{}", month.path()), month.name()))
    };
    let photos = months[at].1;
    let page = MonthPage {
        frame,
        title: month.name(),
        photos,
        days: days(items),
        path: format!("/photos/{}", month.path()),
        from,
        next: more(from, photos),
        newer: link(at.checked_sub(1)),
        older: link(Some(at + 1)),
    };
    html_of(&session, Ok(page), |page| page)
}

/// The photos of an album, in its order.
pub async fn album(
    Shared(state): Shared<Arc<State>>,
    session: Session,
    Path(key): Path<String>,
    Query(From { from }): Query<From>,
) -> Response {
    let frame = Frame::of(&session, "/albums");
    let Some(key) = MediaKey::new(&key) else { return absent(&session, "There is no such album.") };
    let path = format!("/albums/{key}");
    let found = state.aside(move |state| {
        let reader = state.reader()?;
        let ask = || {
            Ok::<_, crate::index::IndexError>((
                reader.album(&key)?,
                reader.album_size(&key)?,
                reader.album_items(&key, from, ON_A_PAGE)?,
            ))
        };
        let (album, size, numbers) = ask().map_err(|e| e.to_string())?;
        Ok((album, size, items(&reader, &numbers)?))
    });
    let (album, size, items) = match found.await {
        Ok(found) => found,
        Err(why) => return trouble(&session, &why),
    };
    let Some(album) = album else { return absent(&session, "There is no such album.") };
    let photos = usize::try_from(size).unwrap_or(usize::MAX);
    let page = MonthPage {
        frame,
        title: if album.title.is_empty() { "(untitled album)".into() } else { printable(&album.title) },
        photos,
        days: vec![Day { name: String::new(), tiles: items.into_iter().map(tile).collect() }],
        path,
        from,
        next: more(from, photos),
        newer: None,
        older: None,
    };
    html_of(&session, Ok(page), |page| page)
}

/// A file of an item, and how far it is proven.
struct Piece {
    word: &'static str,
    version: u32,
    name: String,
    /// Where it can be had under its own name.
    path: String,
    size: String,
    sha256: String,
    sha1: String,
    colour: &'static str,
    verdict: &'static str,
}

/// What an item's page shows of the item itself.
enum Sight {
    Picture(String),
    Video(String),
    Nothing(String),
}

#[derive(Template)]
#[template(path = "photos/item.html", config = ".askama.toml")]
struct ItemPage {
    frame: Frame,
    key: String,
    /// It is in no library that is known.
    is_local: bool,
    name: String,
    month: (String, String),
    sight: Sight,
    facts: Vec<(&'static str, String)>,
    albums: Vec<(String, String)>,
    position: Option<(String, String)>,
    pieces: Vec<Piece>,
    gone: bool,
    earlier: Option<String>,
    later: Option<String>,
}

/// One photo.
pub async fn one(Shared(state): Shared<Arc<State>>, session: Session, Path(key): Path<String>) -> Response {
    let frame = Frame::of(&session, "/photos");
    let Some(key) = MediaKey::new(&key) else { return absent(&session, "There is no such photo.") };
    match state.aside(move |state| look_up(state, frame, &key)).await {
        Ok(Some(page)) => html_of(&session, Ok(page), |page| page),
        Ok(None) => absent(&session, "There is no such photo."),
        Err(why) => trouble(&session, &why),
    }
}

fn look_up(state: &State, frame: Frame, key: &MediaKey) -> Result<Option<ItemPage>, String> {
    let reader = state.reader()?;
    let say = |e: crate::index::IndexError| e.to_string();
    let Some(&ordinal) = reader.ordinals(std::slice::from_ref(key)).map_err(say)?.get(key) else {
        return Ok(None);
    };
    let Some(item) = item(&reader, ordinal)? else { return Ok(None) };
    let (before, after) = state.shelf.catalogue(&reader, |all| all.neighbours(ordinal)).map_err(say)?;
    let key_of = |ordinal: Option<u64>| -> Result<Option<String>, String> {
        let Some(ordinal) = ordinal else { return Ok(None) };
        Ok(self::item(&reader, ordinal)?.map(|item| item.key.as_str().to_owned()))
    };
    let mut pieces = Vec::new();
    let mut place = None;
    for part in &item.parts {
        let facts = reader.part_facts(ordinal, &part.sha256).map_err(say)?;
        place = place.or_else(|| facts.as_ref()?.place.as_ref()?.name.clone());
        let (colour, verdict) =
            facts.as_ref().map_or(("dim", ""), |facts| (colour(facts.verdict), facts.verdict.meaning()));
        pieces.push(Piece {
            word: part.role.word(),
            version: part.version,
            name: printable(&part.name),
            path: format!(
                "/file/{}?name={}",
                part.sha256.hex(),
                utf8_percent_encode(&part.name, NON_ALPHANUMERIC)
            ),
            size: ByteSize(part.size).to_string(),
            sha256: part.sha256.hex(),
            sha1: facts.map(|facts| facts.sha1.hex()).unwrap_or_default(),
            colour,
            verdict,
        });
    }
    let sight = match (shown(&item), face(&item)) {
        (Some(part), Face::Small(_) | Face::Whole(_)) => Sight::Picture(part.sha256.hex()),
        (Some(part), _) if is_video(&item) => Sight::Video(part.sha256.hex()),
        (_, Face::Word(word)) => Sight::Nothing(word),
        (None, _) => Sight::Nothing("?".into()),
    };
    let albums = reader.albums_of(&item.key).map_err(say)?.into_iter().map(|(key, title)| {
        (format!("/albums/{key}"), if title.is_empty() { "(untitled)".to_owned() } else { printable(&title) })
    });
    let month = item.taken.local.strftime("%Y-%m").to_string();
    Ok(Some(ItemPage {
        frame,
        key: item.key.as_str().to_owned(),
        is_local: item.key.is_local(),
        name: printable(&item.name),
        month: (format!("/photos/{month}"), Month::parse(&month).map_or_else(|| month.clone(), Month::name)),
        sight,
        facts: facts(&item, place, &reader.account_names().map_err(say)?),
        albums: albums.collect(),
        position: item.position.map(|(north, east)| (format!("{north:.5}"), format!("{east:.5}"))),
        pieces,
        gone: item.state == ItemState::Gone,
        earlier: key_of(before)?,
        later: key_of(after)?,
    }))
}

fn facts(
    item: &ArchivedItem,
    place: Option<String>,
    names: &BTreeMap<String, String>,
) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let offset = item.taken.offset_s.map_or_else(String::new, |seconds| {
        let minutes = seconds / 60;
        format!(
            " UTC{}{:02}:{:02}",
            if minutes < 0 { '-' } else { '+' },
            (minutes / 60).abs(),
            (minutes % 60).abs()
        )
    });
    let source = item.taken.source.words();
    let taken = item.taken.local.strftime("%A, %-d %B %Y, %H:%M:%S");
    facts.push(("Taken", format!("{taken}{offset} ({source})")));
    facts.extend(
        camera_dir(item.make.as_deref(), item.model.as_deref()).map(|camera| ("Camera", printable(&camera))),
    );
    facts.extend(item.origin.map(|origin| ("No camera", origin.directory().to_owned())));
    facts.extend(item.lens.as_deref().map(|lens| ("Lens", printable(lens))));
    facts.extend(place.map(|place| ("Place", printable(&place))));
    facts.extend(item.description.as_deref().map(|text| ("Description", printable(text))));
    let marks = [
        (item.favourite, "favourite"),
        (item.archived, "in Google's archive section"),
        (item.foreign, "shared by somebody else"),
        (item.date_conflict, "its dates in the file, in its name and at Google contradict each other"),
    ];
    let marks: Vec<_> = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
    if !marks.is_empty() {
        facts.push(("Marked", marks.join(", ")));
    }
    facts.extend(item.media_type.as_deref().map(|kind| ("Kind", kind.to_owned())));
    let account = names.get(item.account.as_ref()).map_or(item.account.as_ref(), String::as_str);
    facts.push(("Account", printable(account)));
    facts.push(("Archived", local(&item.added)));
    facts
}

/// The colour of a verdict.
fn colour(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::MatchesUpload | Verdict::SizeMatches => "good",
        Verdict::DiffersExpected => "dim",
        Verdict::Unproven => "warn",
    }
}
