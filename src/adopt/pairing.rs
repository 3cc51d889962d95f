//! Which files of a folder are one photo, and which JSON is about it.
//!
//! Takeout cuts names, numbers them and puts the number elsewhere in the JSON's name; edited photos and the videos of
//! Live Photos have no JSON. One rule covers all of its names: a JSON's name, without `.json` and number, is a beginning
//! of `<file name>.supplemental-metadata`, and the numbers are the same.

use std::collections::{BTreeMap, HashMap};

use unicode_normalization::UnicodeNormalization as _;

use super::takeout::Sidecar;

/// What Takeout puts between a file's name and `.json`, since 2024; cut as the whole name needs it.
const MIDDLE: &str = ".supplemental-metadata";
/// Names are cut to 50 UTF-16 units without the dot: 46 and `.json`, 47 and `.jpg`. From here on they may be cut; some have
/// counted one less.
const CUT: usize = 45;
/// Files that one JSON may mean, at most: nobody shall make a hundred thousand times a hundred thousand comparisons of
/// names that are alike.
const MOST_ALIKE: usize = 32;
/// What Takeout and others put behind the name of an edited photo, after a `-`.
const EDITED: [&str; 28] = [
    "edited",
    "bearbeitet",
    "modifié",
    "modificato",
    "editado",
    "editada",
    "editat",
    "ha editado",
    "bewerkt",
    "edytowane",
    "redigeret",
    "redigerad",
    "redigert",
    "muokattu",
    "upraveno",
    "upravené",
    "szerkesztett",
    "düzenlendi",
    "измененный",
    "отредактировано",
    "відредаговано",
    "編集済み",
    "编辑",
    "已修改",
    "已編輯",
    "편집됨",
    "แก้ไข",
    "adjusted",
];
/// What Google calls what it has made of a photo: another photo.
const MADE: [&str; 8] = ["effects", "smile", "mix", "collage", "animation", "motion", "pano", "movie"];
/// Extensions of the moving half of a photo.
const MOVING: [&str; 4] = ["mov", "mp4", "mp", "mv"];
const STILL: [&str; 9] = ["heic", "heif", "jpg", "jpeg", "png", "webp", "avif", "dng", "gif"];

/// One photo or video of a folder, by the places of its files in the list that was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Its file as it was taken.
    pub original: usize,
    /// The same, edited.
    pub edited: Option<usize>,
    /// The video that belongs to it, by its name; whether it really does, the files must say.
    pub motion: Option<usize>,
    /// The name says so of the video with a doubt: their numbers are not the same.
    pub is_guess: bool,
    /// The name says so of the edit with a doubt: a word that is not known, or nothing that is left of one.
    pub is_edit_guess: bool,
    /// The JSON about it.
    pub sidecar: Option<usize>,
}

/// What became of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Its photos and videos.
    pub groups: Vec<Group>,
    /// JSON files that belong to none of them.
    pub left: Vec<usize>,
}

/// A file's name in pieces, as it is compared: in lower case, composed.
struct Name {
    /// Without extension and number.
    stem: String,
    /// `(1)`, or nothing.
    number: String,
    /// With its dot.
    extension: String,
}

impl Name {
    fn new(name: &str) -> Self {
        let name: String = name.nfc().collect::<String>().to_lowercase();
        let (stem, extension) = match name.rfind('.').filter(|&at| at > 0) {
            Some(at) => (&name[..at], &name[at..]),
            None => (name.as_str(), ""),
        };
        let (stem, number) = numbered(stem);
        Self { stem: stem.to_owned(), number: number.to_owned(), extension: extension.to_owned() }
    }

    /// The name without its number.
    fn plain(&self) -> String {
        format!("{}{}", self.stem, self.extension)
    }

    fn is(&self, extensions: &[&str]) -> bool {
        // `.MP~2`: the second of the same name.
        let extension = self.extension.trim_start_matches('.').split('~').next().unwrap_or_default();
        extensions.contains(&extension)
    }
}

/// Splits `IMG(1)` into `IMG` and `(1)`.
fn numbered(stem: &str) -> (&str, &str) {
    let number = stem.strip_suffix(')').and_then(|rest| rest.rfind('('));
    match number {
        Some(at) if at > 0 && at + 2 < stem.len() => {
            let digits = &stem[at + 1..stem.len() - 1];
            if digits.bytes().all(|b| b.is_ascii_digit()) { stem.split_at(at) } else { (stem, "") }
        }
        _ => (stem, ""),
    }
}

/// Finds the photos among the files of a folder, and the JSON of each.
pub fn pair(files: &[&str], sidecars: &[(&str, &Sidecar)]) -> Pairs {
    let names: Vec<Name> = files.iter().map(|file| Name::new(file)).collect();
    let about = match_sidecars(&names, sidecars);
    let mut by_stem: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    for (at, name) in names.iter().enumerate() {
        by_stem.entry((&name.stem, &name.number)).or_default().push(at);
    }
    let mut groups: BTreeMap<usize, Group> = BTreeMap::new();
    let mut halves = Vec::new();
    for at in 0..names.len() {
        let half = match about[at] {
            Some(_) => None,
            None => edited_of(at, &names, &by_stem, &about).or_else(|| still_of(at, files, &names, &by_stem)),
        };
        match half {
            Some((half, of)) => halves.push((half, at, of)),
            None => {
                groups.insert(at, Group { original: at, sidecar: about[at], ..Group::default() });
            }
        }
    }
    // Guesses come last: what is sure of its place takes it first.
    halves.sort();
    for (half, at, of) in halves {
        let group = groups.get_mut(&of);
        let place = group.and_then(|group| {
            group.is_guess |= half == Half::Guess && group.motion.is_none();
            let is_edit = matches!(half, Half::Edited | Half::PerhapsEdited);
            let place = if is_edit { &mut group.edited } else { &mut group.motion };
            group.is_edit_guess |= half == Half::PerhapsEdited && place.is_none();
            place.is_none().then_some(place)
        });
        match place {
            Some(place) => *place = Some(at),
            // A half of what is a half itself, or one too many: a photo of its own.
            None => {
                groups.insert(at, Group { original: at, ..Group::default() });
            }
        }
    }
    for group in groups.values_mut() {
        turn_around(group, files);
    }
    let mut used = vec![false; sidecars.len()];
    about.iter().flatten().for_each(|&sidecar| used[sidecar] = true);
    let left = (0..sidecars.len()).filter(|&at| !used[at]).collect();
    Pairs { groups: groups.into_values().collect(), left }
}

/// What a file without a JSON is to another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Half {
    Edited,
    Moving,
    PerhapsEdited,
    Guess,
}

/// gphotos-cdp calls the photo as it was taken `IMG_original.jpg`, and the edited one `IMG.jpg`.
fn turn_around(group: &mut Group, files: &[&str]) {
    if let Some(edited) = group.edited
        && Name::new(files[edited]).stem.ends_with("_original")
    {
        group.edited = Some(std::mem::replace(&mut group.original, edited));
    }
}

/// Files by what a JSON may be called by.
#[derive(Default)]
struct Called {
    /// By the whole name, and by what stands before its extension.
    whole: BTreeMap<String, Vec<usize>>,
    whole_stem: HashMap<String, Vec<usize>>,
    /// By number, and by the same without it.
    plain: BTreeMap<(String, String), Vec<usize>>,
    stem: HashMap<(String, String), Vec<usize>>,
}

impl Called {
    fn new(names: &[Name]) -> Self {
        let mut called = Self::default();
        for (at, name) in names.iter().enumerate() {
            let Name { stem, number, extension } = name;
            called.whole.entry(format!("{stem}{number}{extension}")).or_default().push(at);
            called.whole_stem.entry(format!("{stem}{number}")).or_default().push(at);
            called.plain.entry((number.clone(), name.plain())).or_default().push(at);
            called.stem.entry((number.clone(), stem.clone())).or_default().push(at);
        }
        called
    }

    /// Those of that name, then those that have got an extension beside.
    fn find(&self, name: &str, number: &str) -> [&[usize]; 2] {
        let (named, beside) = if number.is_empty() {
            (self.whole.get(name), self.whole_stem.get(name))
        } else {
            let key = (number.to_owned(), name.to_owned());
            (self.plain.get(&key), self.stem.get(&key))
        };
        [named, beside].map(|files| files.map_or(&[][..], |files| &files[..files.len().min(MOST_ALIKE)]))
    }

    /// Those whose names begin so: of that number, then those that have it within.
    fn begin(&self, with: &str, number: &str) -> Vec<usize> {
        let of_number = self
            .plain
            .range((number.to_owned(), with.to_owned())..)
            .take_while(|((of, name), _)| of.as_str() == number && name.starts_with(with))
            .flat_map(|(_, files)| files)
            .take(MOST_ALIKE);
        let whole = self.whole.range(with.to_owned()..).take_while(|(name, _)| name.starts_with(with));
        let whole = whole.flat_map(|(_, files)| files).take(if number.is_empty() { MOST_ALIKE } else { 0 });
        of_number.chain(whole).copied().collect()
    }
}

/// The JSON about each file.
fn match_sidecars(names: &[Name], sidecars: &[(&str, &Sidecar)]) -> Vec<Option<usize>> {
    let called = Called::new(names);
    // Who fits best comes first: a sidecar and a file are given away once.
    let mut fits: Vec<(u8, std::cmp::Reverse<usize>, usize, usize)> = Vec::new();
    for (sidecar, (json, said)) in sidecars.iter().enumerate() {
        let json: String = json.nfc().collect::<String>().to_lowercase();
        let Some(body) = json.strip_suffix(".json") else { continue };
        let title = Name::new(&file_name_of(&said.title));
        let mut offer = |file: usize, rank: u8| {
            let name = &names[file];
            // Where two files could be meant, the title tells.
            let is_bare = title.extension.is_empty() && name.stem == title.stem;
            let rank = rank * 2 + u8::from(!is_bare && name.plain() != title.plain());
            fits.push((rank, std::cmp::Reverse(name.plain().len()), sidecar, file));
        };
        // The number is the file's own (`IMG(1).jpg.json`), or stands at the end (`IMG.jpg(1).json`).
        let mut readings = vec![(body, "")];
        readings.extend(Some(numbered(body)).filter(|(_, number)| !number.is_empty()));
        for (body, number) in readings {
            for at in (0..=body.len()).filter(|&at| body.is_char_boundary(at)) {
                let (file, middle) = body.split_at(at);
                if MIDDLE.starts_with(middle) {
                    let [named, beside] = called.find(file, number);
                    named.iter().for_each(|&file| offer(file, 0));
                    beside.iter().for_each(|&file| offer(file, 1));
                }
            }
            // Cut before the middle began: the beginning of a long name.
            if length(body) >= CUT {
                called.begin(body, number).into_iter().for_each(|file| offer(file, 1));
            }
        }
    }
    fits.sort_unstable();
    let (mut about, mut given) = (vec![None; names.len()], vec![false; sidecars.len()]);
    let mut give = |sidecar: usize, file: usize, given: &mut Vec<bool>| {
        let about: &mut Option<usize> = &mut about[file];
        if about.is_none() && !given[sidecar] {
            (*about, given[sidecar]) = (Some(sidecar), true);
        }
    };
    for (_, _, sidecar, file) in fits {
        give(sidecar, file, &mut given);
    }
    // What is left is told by the title, where that can mean one file only.
    let mut by_title: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, name) in names.iter().enumerate() {
        by_title.entry(name.plain()).or_default().push(at);
    }
    for (sidecar, (json, said)) in sidecars.iter().enumerate() {
        let json = json.to_lowercase();
        let body = json.strip_suffix(".json").unwrap_or(&json);
        let number = [numbered(body).1.to_owned(), Name::new(body).number].concat();
        let title = Name::new(&file_name_of(&said.title));
        if let Some([file]) = by_title.get(&title.plain()).map(Vec::as_slice)
            && names[*file].number == number
        {
            give(sidecar, *file, &mut given);
        }
    }
    about
}

/// Length as Takeout counts it.
fn length(name: &str) -> usize {
    name.encode_utf16().count()
}

/// A title as Takeout makes a file's name of it: what no file system allows becomes `_`.
fn file_name_of(title: &str) -> String {
    title.chars().map(|c| if c.is_control() || r#"\/:*?"<>|&%'"#.contains(c) { '_' } else { c }).collect()
}

/// The file of which this one is the edited form.
fn edited_of(
    at: usize,
    names: &[Name],
    by_stem: &HashMap<(&str, &str), Vec<usize>>,
    about: &[Option<usize>],
) -> Option<(Half, usize)> {
    let Name { stem, number, .. } = &names[at];
    let is_still = names[at].is(&STILL);
    let other = |base: &str, number: &str| {
        let files = by_stem.get(&(base, number))?;
        files.iter().copied().find(|&file| file != at && names[file].is(&STILL) == is_still)
    };
    if let Some(base) = stem.strip_suffix("_original") {
        return Some((Half::Edited, other(base, number)?));
    }
    let is_cut = length(stem) >= CUT;
    if is_cut && !number.is_empty() && other(stem, number).is_none() {
        // Nothing may be left of the word: then the name is another's, and gets a number.
        let found = other(stem, "").filter(|&file| about[file].is_some())?;
        return Some((Half::PerhapsEdited, found));
    }
    let (base, ending) = stem.rsplit_once('-')?;
    let found = other(base, number)?;
    // Names are cut, and so are these words.
    if EDITED.contains(&ending) || (is_cut && EDITED.iter().any(|word| word.starts_with(ending))) {
        return Some((Half::Edited, found));
    }
    // In a language that is not known, a word may do where Takeout has a JSON about the other file and none about this one.
    let is_word =
        !ending.is_empty() && ending.chars().all(|c| !c.is_ascii_digit() && !c.is_ascii_punctuation());
    let is_meant = is_word && !MADE.contains(&ending) && about[found].is_some();
    is_meant.then_some((Half::PerhapsEdited, found))
}

/// The photo of which this video is the moving half.
fn still_of(
    at: usize,
    files: &[&str],
    names: &[Name],
    by_stem: &HashMap<(&str, &str), Vec<usize>>,
) -> Option<(Half, usize)> {
    let Name { stem, number, .. } = &names[at];
    let still = |stem: &str, number: &str| {
        let files = by_stem.get(&(stem, number))?;
        let stills = files.iter().copied().take(MOST_ALIKE).filter(|&file| file != at);
        // Of a HEIC and a JPEG of one name, the HEIC is the phone's.
        let rank = |&file: &usize| STILL.iter().position(|kind| names[file].is(&[kind]));
        stills.filter(|file| rank(file).is_some()).min_by_key(rank)
    };
    // Google's phones: PXL.MP.jpg and PXL.MP, MVIMG.jpg and MVIMG; the name of the still without its extension.
    let whole = Name::new(&format!("{}.x", files[at]));
    if let Some(of) = still(&whole.stem, &whole.number) {
        return Some((Half::Moving, of));
    }
    if !names[at].is(&MOVING) {
        return None;
    }
    // iCloud's tools: IMG_1.HEIC and IMG_1_HEVC.MOV.
    let sure = still(stem, number).or_else(|| still(stem.strip_suffix("_hevc")?, number));
    // Takeout numbers a video by other videos: IMG_1(1).MP4 may be that of IMG_1.JPG, where IMG_1.HEIC has IMG_1.MP4.
    let guess = || {
        let files = by_stem.get(&(stem.as_str(), ""))?;
        files.iter().copied().rfind(|&file| names[file].is(&STILL))
    };
    sure.map(|of| (Half::Moving, of)).or_else(|| Some((Half::Guess, guess()?)))
}

#[cfg(test)]
mod tests;
