//! From files to photos: what each folder holds, under which names, and what is said of it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::pairing::{self, Group};
use super::place::product;
use super::source::{Found, Json, Survey};
use super::takeout::{Note, Sidecar};
use crate::model::{MediaKey, PartRole};

/// Letters with which the keys of photos begin, and their length.
const KEY: (&str, usize) = ("AF1Qip", 44);

/// A photo or video that was found.
pub struct Candidate<'a> {
    /// Its folder.
    pub folder: &'a Arc<str>,
    /// Its files, by place in the survey: the original first.
    pub files: Vec<(PartRole, usize)>,
    /// Its name, as uploaded if that is said.
    pub name: String,
    /// What Takeout says of it.
    pub sidecar: Option<&'a Sidecar>,
    /// The media key that it had there.
    pub known_as: Option<MediaKey>,
    /// Halves with the same name belong together if they do not say otherwise themselves.
    pub is_paired: bool,
    /// That one file is the edited form of the other is a guess, which the files must confirm.
    pub is_edit_guess: bool,
}

/// A JSON of a photo that is not in its folder.
pub struct Stray<'a> {
    /// The folder.
    pub folder: &'a Arc<str>,
    /// Its name.
    pub name: &'a str,
    /// What it says.
    pub sidecar: &'a Sidecar,
}

/// What a survey comes to.
pub struct Pictures<'a> {
    /// All photos.
    pub candidates: Vec<Candidate<'a>>,
    /// JSON files that belong to none of their folder.
    pub strays: Vec<Stray<'a>>,
    /// Files of other products of a Takeout, by product.
    pub elsewhere: BTreeMap<String, u64>,
}

/// All photos of a survey, those of which most is known first, and the JSON files that belong to none of their folder.
pub fn candidates(survey: &Survey) -> Pictures<'_> {
    let products = Products::of(survey);
    let mut folders: BTreeMap<&Arc<str>, Vec<usize>> = BTreeMap::new();
    let mut elsewhere: BTreeMap<String, u64> = BTreeMap::new();
    for (at, file) in survey.files.iter().enumerate() {
        if products.has_photos(&file.folder) {
            folders.entry(&file.folder).or_default().push(at);
        } else {
            *elsewhere.entry(product(&file.folder).unwrap_or_default().to_owned()).or_default() += 1;
        }
    }
    let (mut all, mut unmatched) = (Vec::new(), Vec::new());
    for (folder, files) in &folders {
        let notes = photos(survey.notes.get(*folder).map_or(&[], Vec::as_slice));
        let names: Vec<&str> = files.iter().map(|&at| survey.files[at].name.as_str()).collect();
        let pairs = pairing::pair(&names, &notes);
        // A number too many: the same JSON once more.
        let said = |sidecar: &'_ Sidecar| (sidecar.title.clone(), sidecar.taken_ms);
        let all_said: HashSet<_> =
            pairs.groups.iter().filter_map(|group| Some(said(notes[group.sidecar?].1))).collect();
        let is_said = |left: &Sidecar| all_said.contains(&said(left));
        let left = pairs.left.iter().map(|&at| notes[at]).filter(|(_, sidecar)| !is_said(sidecar));
        unmatched.extend(left.map(|(name, sidecar)| Stray { folder, name, sidecar }));
        all.extend(pairs.groups.iter().map(|group| candidate(survey, folder, files, &notes, group)));
    }
    for (folder, notes) in &survey.notes {
        if !folders.contains_key(folder) {
            unmatched.extend(photos(notes).into_iter().map(|(name, sidecar)| Stray {
                folder,
                name,
                sidecar,
            }));
        }
    }
    // A photo that is in an album of a Takeout as well is described in one place at least.
    all.sort_by_key(|candidate| candidate.sidecar.is_none());
    Pictures { candidates: all, strays: unmatched, elsewhere }
}

/// The products of Google whose data a Takeout has beside each other: contacts and notes have pictures, too.
struct Products<'a> {
    with_photos: BTreeSet<&'a str>,
}

impl<'a> Products<'a> {
    /// Those with at least one JSON of a photo. Where there is none in all of the Takeout, all.
    fn of(survey: &'a Survey) -> Self {
        let described = survey.notes.iter().filter(|(_, notes)| !photos(notes).is_empty());
        Self { with_photos: described.filter_map(|(folder, _)| product(folder)).collect() }
    }

    fn has_photos(&self, folder: &str) -> bool {
        product(folder)
            .is_none_or(|product| self.with_photos.is_empty() || self.with_photos.contains(product))
    }
}

fn photos(notes: &[Json]) -> Vec<(&str, &Sidecar)> {
    let mut photos = Vec::new();
    for Json { name, note } in notes {
        if let Note::Photo(sidecar) = note {
            photos.push((name.as_str(), &**sidecar));
        }
    }
    photos
}

fn candidate<'a>(
    survey: &'a Survey,
    folder: &'a Arc<str>,
    files: &[usize],
    notes: &[(&str, &'a Sidecar)],
    group: &Group,
) -> Candidate<'a> {
    let original = &survey.files[files[group.original]];
    let sidecar = group.sidecar.map(|at| notes[at].1);
    let by_folder = folder.rsplit('/').find_map(key_named);
    let halves = [(PartRole::Edited, group.edited), (PartRole::Motion, group.motion)];
    let halves = halves.into_iter().filter_map(|(role, at)| Some((role, files[at?])));
    Candidate {
        folder,
        files: [(PartRole::Original, files[group.original])].into_iter().chain(halves).collect(),
        name: name(original, sidecar),
        sidecar,
        is_paired: (sidecar.is_some() || by_folder.is_some()) && !group.is_guess,
        is_edit_guess: group.is_edit_guess,
        known_as: by_folder,
    }
}

/// gphotos-cdp keeps each photo in a folder that is called by its key.
fn key_named(folder: &str) -> Option<MediaKey> {
    let (letters, length) = KEY;
    MediaKey::of_library(folder).filter(|key| key.as_str().starts_with(letters) && folder.len() == length)
}

/// The name as uploaded: the title, if the file is of that kind; Takeout shortens, numbers and replaces names.
fn name(file: &Found, sidecar: Option<&Sidecar>) -> String {
    let extension = |name: &str| {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_lowercase());
        extension
            .filter(|text| (2..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric()))
    };
    let title = sidecar.map(|sidecar| sidecar.title.as_str()).filter(|title| !title.trim().is_empty());
    let Some(title) = title else { return file.name.clone() };
    match (extension(title), extension(&file.name)) {
        (of_title, of_file) if of_title == of_file => title.to_owned(),
        // Takeout gives names an extension that had none.
        (None, Some(extension)) => format!("{title}{}", &file.name[file.name.len() - extension.len() - 1..]),
        // The file is of another kind than its name was.
        _ => file.name.clone(),
    }
}

/// What the parts of an item are called: as the files are, but for the original.
pub fn part_name(candidate: &Candidate<'_>, role: PartRole, file: &Found) -> String {
    if role == PartRole::Original { candidate.name.clone() } else { file.name.clone() }
}
