//! A catalogue of an export: pages by month and by album, with small pictures, that a browser opens from the disk. No
//! script, nothing from elsewhere.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use askama::Template;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio_util::sync::CancellationToken;

use super::ExportReport;
use super::beside::replace;
use super::error::{ExportError, refused};
use crate::archive::Archive;
use crate::media::thumbnail;
use crate::model::digest::digests_of;
use crate::model::{PartRole, Sha256};
use crate::view::tree::{Tree, Walked, role_of};

/// Where it is, below the export.
pub(super) const DIR: &str = "catalogue";
/// What may stand in an address as it is, beside letters and digits.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');
/// Its first page.
const INDEX: &str = "index.html";
/// What is in each of our pages.
const OURS: &str = "Made by shoebox";
/// Most photos on a page.
const PAGE: usize = 500;

/// A photo on a page.
struct Tile {
    /// Address of the original.
    href: String,
    /// Address of the small picture, if there is one.
    picture: Option<String>,
    name: String,
    /// What stands in the place of a small picture: HEIC, MP4.
    ending: String,
    when: String,
    /// Other files of it: what they are, and their addresses.
    others: Vec<(&'static str, String)>,
}

/// A page, as the index lists it.
struct Listed {
    title: String,
    href: String,
    count: usize,
}

#[derive(Template)]
#[template(path = "catalogue_page.html", config = ".askama.toml")]
struct Page<'a> {
    title: &'a str,
    tiles: Vec<&'a Tile>,
    before: Option<String>,
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "catalogue_index.html", config = ".askama.toml")]
struct Index {
    photos: usize,
    years: Vec<(String, Vec<Listed>)>,
    albums: Vec<Listed>,
}

/// Refuses a target where somebody else's catalogue is.
pub(super) fn refuse_anothers(target: &Path) -> Result<(), ExportError> {
    let index = target.join(DIR).join(INDEX);
    if is_anothers(&index) { Err(ExportError::Different(index)) } else { Ok(()) }
}

/// Whether there is something that is no page of ours: one says that it is.
fn is_anothers(path: &Path) -> bool {
    path.exists() && !std::fs::read_to_string(path).is_ok_and(|there| there.contains(OURS))
}

/// A catalogue as it comes to be.
struct Draft<'a> {
    target: &'a Path,
    report: &'a mut ExportReport,
    /// Paths below the target, and hashes.
    written: Vec<(String, Sha256)>,
}

/// Writes it; the paths of its files and their hashes, or nothing if it was asked to stop.
pub(super) fn write(
    archive: &Archive,
    tree: &Tree,
    files: &[(&Walked, &str)],
    target: &Path,
    report: &mut ExportReport,
    stop: &CancellationToken,
) -> Result<Option<Vec<(String, Sha256)>>, ExportError> {
    let Some((pictures, written)) = pictures(archive, files, target, report, stop)? else { return Ok(None) };
    let mut draft = Draft { target, report, written };
    let reader = archive.index.reader()?;
    let mut others: HashMap<u64, Vec<(&'static str, String)>> = HashMap::new();
    for (leaf, path) in files {
        let what = match role_of(leaf.attr.ino) {
            Some(PartRole::Original) | None => continue,
            Some(PartRole::Edited) => "edited",
            Some(_) => "video",
        };
        let list = others.entry(tree.ordinal(leaf.attr.ino).unwrap_or(0)).or_default();
        // Once, however many folders it is in.
        if list.iter().all(|(known, _)| *known != what) {
            list.push((what, address(path)));
        }
    }
    let mut tiles: BTreeMap<u64, (String, Tile)> = BTreeMap::new();
    for (leaf, path) in files.iter().filter(|(leaf, _)| role_of(leaf.attr.ino) == Some(PartRole::Original)) {
        let Some(ordinal) = tree.ordinal(leaf.attr.ino).filter(|ordinal| !tiles.contains_key(ordinal)) else {
            continue;
        };
        let Some(facts) = reader.part_facts(ordinal, &leaf.sha256)? else { continue };
        let name = path.rsplit('/').next().unwrap_or(path);
        let tile = Tile {
            href: address(path),
            picture: pictures.get(&leaf.sha256).cloned(),
            ending: name.rsplit_once('.').map_or(name, |(_, ending)| ending).to_uppercase(),
            name: name.to_owned(),
            when: facts.taken.local.strftime("%Y-%m-%d %H:%M").to_string(),
            others: others.remove(&ordinal).unwrap_or_default(),
        };
        tiles.insert(ordinal, (facts.taken.local.strftime("%Y-%m").to_string(), tile));
    }
    let mut months: BTreeMap<&str, Vec<&Tile>> = BTreeMap::new();
    for (month, tile) in tiles.values() {
        months.entry(month).or_default().push(tile);
    }
    let mut years: BTreeMap<String, Vec<Listed>> = BTreeMap::new();
    for (month, mut of) in months {
        of.sort_by(|a, b| (&a.when, &a.name).cmp(&(&b.when, &b.name)));
        let listed = draft.pages(month, &format!("month-{month}"), &of)?;
        years.entry(month.split('-').next().unwrap_or(month).to_owned()).or_default().push(listed);
    }
    let mut albums = Vec::new();
    for (n, album) in (1..).zip(reader.albums()?) {
        let items = reader.album_items(&album.record.key, 0, usize::MAX)?;
        let of: Vec<_> = items.iter().filter_map(|ordinal| Some(&tiles.get(ordinal)?.1)).collect();
        if !of.is_empty() {
            let title = if album.title.is_empty() { "Album without a title" } else { &album.title };
            albums.push(draft.pages(title, &format!("album-{n:05}"), &of)?);
        }
    }
    let index = Index { photos: tiles.len(), years: years.into_iter().rev().collect(), albums };
    draft.page(INDEX, &index)?;
    draft.file("style.css", include_bytes!("catalogue.css"))?;
    Ok(Some(draft.written))
}

impl Draft<'_> {
    /// The pages of some photos; the first of them, for the index.
    fn pages(&mut self, title: &str, name: &str, tiles: &[&Tile]) -> Result<Listed, ExportError> {
        let file_of =
            |n: usize| if n == 0 { format!("{name}.html") } else { format!("{name}-{}.html", n + 1) };
        let parts: Vec<_> = tiles.chunks(PAGE).collect();
        for (n, part) in parts.iter().enumerate() {
            let before = n.checked_sub(1).map(file_of);
            let after = (n + 1 < parts.len()).then(|| file_of(n + 1));
            self.page(&file_of(n), &Page { title, tiles: part.to_vec(), before, after })?;
        }
        Ok(Listed { title: title.to_owned(), href: file_of(0), count: tiles.len() })
    }

    fn page(&mut self, name: &str, page: &impl Template) -> Result<(), ExportError> {
        let html = page.render().map_err(|e| ExportError::View(e.to_string()))?;
        self.file(name, html.as_bytes())
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<(), ExportError> {
        let path = format!("{DIR}/{name}");
        let to = self.target.join(&path);
        let written =
            if is_anothers(&to) { Err(ExportError::Different(to)) } else { replace(self.target, &to, bytes) };
        match written {
            Ok(_) => self.report.pages += u64::from(name.ends_with(".html")),
            Err(error) => self.report.leave_out(error)?,
        }
        self.written.push((path, digests_of(bytes).sha256));
        Ok(())
    }
}

/// From a page of the catalogue to a file of the export.
fn address(path: &str) -> String {
    format!("../{}", utf8_percent_encode(path, PATH))
}

type Pictures = (HashMap<Sha256, String>, Vec<(String, Sha256)>);

/// Makes small pictures of the originals, on all cores; those that are there stay. Of what none can be made there is none.
fn pictures(
    archive: &Archive,
    files: &[(&Walked, &str)],
    target: &Path,
    report: &mut ExportReport,
    stop: &CancellationToken,
) -> Result<Option<Pictures>, ExportError> {
    let mut wanted: Vec<Sha256> = files
        .iter()
        .filter(|(leaf, _)| role_of(leaf.attr.ino) == Some(PartRole::Original))
        .map(|(leaf, _)| leaf.sha256)
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    let (next, made, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(sha256) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if stop.is_cancelled() {
                        return;
                    }
                    match picture(archive, sha256, target) {
                        Ok(found) => made.lock().unwrap_or_else(PoisonError::into_inner).extend(found),
                        Err(error) => {
                            let goes_on = error.is_of_one_file();
                            failed.lock().unwrap_or_else(PoisonError::into_inner).push(error);
                            if !goes_on {
                                return;
                            }
                        }
                    }
                }
            });
        }
    });
    for error in failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        report.leave_out(error)?;
    }
    if stop.is_cancelled() {
        return Ok(None);
    }
    let mut made: Vec<(Sha256, String, Sha256)> = made.into_inner().unwrap_or_else(PoisonError::into_inner);
    made.sort();
    let addresses = made.iter().map(|(of, path, _)| (*of, path.clone())).collect();
    Ok(Some((addresses, made.into_iter().map(|(_, path, hash)| (format!("{DIR}/{path}"), hash)).collect())))
}

/// The original, the small picture's path in the catalogue, and its hash.
fn picture(
    archive: &Archive,
    sha256: &Sha256,
    target: &Path,
) -> Result<Option<(Sha256, String, Sha256)>, ExportError> {
    let path = format!("pictures/{:02x}/{sha256}.jpg", sha256.bytes()[0]);
    let to = target.join(DIR).join(&path);
    if to.exists() {
        let bytes = std::fs::read(&to).map_err(refused(target, &to))?;
        return Ok(Some((*sha256, path, digests_of(&bytes).sha256)));
    }
    // A copy of an earlier export may be right where the archive's own is damaged by now.
    if !archive.store.is_sound(sha256)? {
        return Err(ExportError::Damaged(to));
    }
    let blob = archive.store.open_blob(sha256)?;
    match thumbnail::of(Arc::new(blob), &sha256.hex()) {
        Ok(bytes) => Ok(Some((*sha256, path, replace(target, &to, &bytes)?))),
        Err(why) => {
            tracing::debug!("no small picture of {sha256}: {why}");
            Ok(None)
        }
    }
}
