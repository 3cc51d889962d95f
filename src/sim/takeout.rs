//! What Google Takeout makes of a library: folders by year and album, names that are cut and numbered, a JSON for each
//! photo under a name that is cut and numbered in another way, parts that tear what belongs together apart.
//!
//! The rules are those that people have found in their own exports; what is uncertain (in which unit lengths count, for
//! one) is told at each.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

use super::Library;
use super::library::SimItem;
use crate::model::PartRole;

/// How the export comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Zips, the default.
    Zip,
    /// Tars packed with gzip.
    Tgz,
    /// What somebody has unpacked.
    Folder,
}

/// An export.
#[derive(Clone, Debug)]
pub struct Takeout {
    /// How it comes.
    pub form: Form,
    /// Most bytes of a part, photos counted.
    pub part: u64,
    /// JSON names as they were until 2024.
    pub old_names: bool,
    /// Words of the account's language.
    pub words: Words,
}

/// The words that Takeout translates.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// In front of a year.
    pub year: &'static str,
    /// The folder of everything.
    pub photos: &'static str,
    /// The JSON of an album.
    pub album: &'static str,
    /// Behind the name of an edited photo.
    pub edited: &'static str,
    /// The folder of an album without a title.
    pub untitled: &'static str,
}

impl Words {
    /// English.
    pub const ENGLISH: Self = Self {
        year: "Photos from ",
        photos: "Google Photos",
        album: "metadata.json",
        edited: "edited",
        untitled: "Untitled",
    };
    /// German.
    pub const GERMAN: Self = Self {
        year: "Fotos von ",
        photos: "Google Fotos",
        album: "Metadaten.json",
        edited: "bearbeitet",
        untitled: "Unbenannt",
    };
}

impl Default for Takeout {
    fn default() -> Self {
        Self { form: Form::Zip, part: 2 << 30, old_names: false, words: Words::ENGLISH }
    }
}

/// Where a file of a photo is in an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The photo.
    pub key: String,
    /// Which of its files.
    pub role: PartRole,
    /// Path in the export.
    pub path: String,
}

/// UTF-16 units of a name, the dot before its extension not counted.
const LONGEST: usize = 50;

impl Takeout {
    /// Writes the export of a library to `dir`; the answer says where each file is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn export(&self, library: &Library, dir: &Path) -> io::Result<Vec<Exported>> {
        let mut items = library.everything();
        items.retain(|item| item.listed && item.shared.is_none() && item.processing.is_none());
        let mut folders = Folders { takeout: self, parts: Parts::new(self, dir)?, names: HashMap::new() };
        let mut exported = Vec::new();
        let mut untitled = HashMap::new();
        for item in &items {
            let year = Timestamp::from_millisecond(item.taken_ms)
                .map_or(1970, |at| at.strftime("%Y").to_string().parse().unwrap_or(1970));
            folders.photo(library, item, &format!("{}{year}", self.words.year), &mut exported)?;
        }
        let mut albums: Vec<usize> = items.iter().flat_map(|item| item.albums.clone()).collect();
        albums.sort_unstable();
        albums.dedup();
        for album in albums {
            let title = library.albums.title(album);
            let next = untitled.len();
            let folder = if title.is_empty() {
                let number = *untitled.entry(album).or_insert(next);
                if number == 0 {
                    self.words.untitled.to_owned()
                } else {
                    format!("{}({number})", self.words.untitled)
                }
            } else {
                cut(&allowed(&title.replace('/', "-")), LONGEST)
            };
            let note = json!({
                "title": title, "description": "", "access": "protected",
                "date": {"timestamp": "1600000000", "formatted": "Sep 13, 2020, 12:26:40 PM UTC"},
            });
            folders.json(&folder, self.words.album, &note, false)?;
            for item in items.iter().filter(|item| item.albums.contains(&album)) {
                folders.photo(library, item, &folder, &mut exported)?;
            }
        }
        // What belongs to no photo.
        folders.json("", "shared_album_comments.json", &json!({"sharedAlbumComments": []}), false)?;
        folders.json("", "user-generated-memory-titles.json", &json!({"memoryTitles": ["A day"]}), false)?;
        folders.json("", "print-subscriptions.json", &json!({}), false)?;
        folders.parts.write("Takeout/archive_browser.html", b"<html><title>Takeout</title></html>", false)?;
        folders.parts.finish()?;
        Ok(exported)
    }
}

struct Folders<'a> {
    takeout: &'a Takeout,
    parts: Parts,
    /// How often each name was given in each folder.
    names: HashMap<(String, String), u32>,
}

impl Folders<'_> {
    fn path(&self, folder: &str, name: &str) -> String {
        let photos = self.takeout.words.photos;
        if folder.is_empty() {
            format!("Takeout/{photos}/{name}")
        } else {
            format!("Takeout/{photos}/{folder}/{name}")
        }
    }

    fn photo(
        &mut self,
        library: &Library,
        item: &SimItem,
        folder: &str,
        exported: &mut Vec<Exported>,
    ) -> io::Result<()> {
        let whole = allowed(&item.name);
        let (stem, extension) = match whole.rfind('.').filter(|&at| at > 0) {
            Some(at) => whole.split_at(at),
            None => (whole.as_str(), ""),
        };
        let most = LONGEST.saturating_sub(extension.trim_start_matches('.').encode_utf16().count());
        let stem = cut(stem, most);
        let times =
            self.names.entry((folder.to_owned(), format!("{stem}{extension}").to_lowercase())).or_insert(0);
        let number = if *times == 0 { String::new() } else { format!("({times})") };
        *times += 1;
        let mut files = vec![(PartRole::Original, format!("{stem}{number}{extension}"))];
        if item.edited {
            let edited = cut(&format!("{stem}-{}", self.takeout.words.edited), most);
            // Nothing may be left of the word: then the name is taken already, and gets a number.
            let number = if edited == stem {
                let key = (folder.to_owned(), format!("{stem}{extension}").to_lowercase());
                let times = self.names.entry(key).or_insert(0);
                *times += 1;
                format!("({})", *times - 1)
            } else {
                number.clone()
            };
            files.push((PartRole::Edited, format!("{edited}{number}{extension}")));
        }
        if item.live {
            files.push((PartRole::Motion, format!("{stem}{number}.MP4")));
        }
        for (role, name) in files {
            let path = self.path(folder, &name);
            self.parts.write(&path, &library.file(item, role), true)?;
            exported.push(Exported { key: item.key.clone(), role, path });
        }
        let name = format!("{stem}{extension}");
        let about = if self.takeout.old_names { name } else { format!("{name}.supplemental-metadata") };
        let about = cut(&about, LONGEST - "json".len());
        self.json(folder, &format!("{about}{number}.json"), &sidecar(item), item.serial % 7 == 3)
    }

    /// `elsewhere`: in the part before the one that is being written, if there is one.
    fn json(&mut self, folder: &str, name: &str, value: &Value, elsewhere: bool) -> io::Result<()> {
        let path = self.path(folder, name);
        let text = serde_json::to_vec_pretty(value)?;
        if elsewhere { self.parts.write_late(path, text) } else { self.parts.write(&path, &text, false) }
    }
}

fn sidecar(item: &SimItem) -> Value {
    let moment = |ms: i64| {
        let seconds = ms.div_euclid(1000);
        let formatted = Timestamp::from_second(seconds)
            .map_or(String::new(), |at| at.strftime("%b %-d, %Y, %-I:%M:%S %p UTC").to_string());
        json!({"timestamp": seconds.to_string(), "formatted": formatted})
    };
    let (latitude, longitude) =
        item.place.map_or((0.0, 0.0), |(latitude, longitude, _)| (latitude, longitude));
    let geo = json!({
        "latitude": latitude, "longitude": longitude, "altitude": 0.0, "latitudeSpan": 0.0, "longitudeSpan": 0.0,
    });
    let mut value = json!({
        "title": item.name,
        "description": item.description.clone().unwrap_or_default(),
        "imageViews": (item.serial % 40).to_string(),
        "creationTime": moment(item.uploaded_ms),
        "photoTakenTime": moment(item.taken_ms),
        "geoData": geo,
        "geoDataExif": {"latitude": 0.0, "longitude": 0.0, "altitude": 0.0, "latitudeSpan": 0.0, "longitudeSpan": 0.0},
        "url": format!("https://photos.google.com/photo/{}", item.key),
        "googlePhotosOrigin": {"mobileUpload": {"deviceFolder": {"localFolderName": ""}, "deviceType": "ANDROID_PHONE"}},
    });
    // Those that are not so are left out.
    let marks = [("favorited", item.favourite), ("archived", item.archived)];
    for (mark, _) in marks.iter().filter(|(_, is)| *is) {
        value[*mark] = json!(true);
    }
    if item.serial % 9 == 4 {
        value["people"] = json!([{"name": "Grandma"}, {"name": "Дочь"}]);
    }
    value
}

/// As many UTF-16 units as are allowed; a sign of two is not torn apart.
fn cut(name: &str, most: usize) -> String {
    let mut units = 0;
    let fits = |c: &char| {
        units += c.len_utf16();
        units <= most
    };
    name.chars().take_while(fits).collect()
}

/// A title as a file's name: what Windows does not allow becomes `_`, and so do a few signs more.
fn allowed(title: &str) -> String {
    let name: String =
        title.chars().map(|c| if c.is_control() || "\\/:*?\"<>|&%'".contains(c) { '_' } else { c }).collect();
    // A folder or file cannot end in a dot there.
    let name = name.trim_end_matches('.').trim();
    if name.is_empty() { "_".to_owned() } else { name.to_owned() }
}

/// The files of an export, each of at most so many bytes.
struct Parts {
    dir: PathBuf,
    form: Form,
    most: u64,
    written: u64,
    number: u32,
    open: Option<Open>,
    late: Vec<(String, Vec<u8>)>,
}

enum Open {
    Zip(Box<zip::ZipWriter<File>>),
    Tgz(Box<GzEncoder<File>>),
}

impl Parts {
    fn new(takeout: &Takeout, dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let (form, most) = (takeout.form, takeout.part);
        Ok(Self { dir: dir.to_owned(), form, most, written: 0, number: 0, open: None, late: Vec::new() })
    }

    /// Goes into the next part, or the last one.
    fn write_late(&mut self, path: String, bytes: Vec<u8>) -> io::Result<()> {
        self.late.push((path, bytes));
        Ok(())
    }

    fn write(&mut self, path: &str, bytes: &[u8], is_photo: bool) -> io::Result<()> {
        if self.form == Form::Folder {
            let path = self.dir.join(path);
            fs::create_dir_all(path.parent().unwrap_or(&self.dir))?;
            return fs::write(path, bytes);
        }
        if self.open.is_none() || (self.written > 0 && self.written + bytes.len() as u64 > self.most) {
            self.next()?;
            for (path, bytes) in std::mem::take(&mut self.late) {
                self.put(&path, &bytes, false)?;
            }
        }
        self.written += bytes.len() as u64;
        self.put(path, bytes, is_photo)
    }

    fn put(&mut self, path: &str, bytes: &[u8], is_photo: bool) -> io::Result<()> {
        match &mut self.open {
            Some(Open::Zip(zip)) => {
                let method =
                    if is_photo { zip::CompressionMethod::Stored } else { zip::CompressionMethod::Deflated };
                zip.start_file(path, SimpleFileOptions::default().compression_method(method))?;
                zip.write_all(bytes)
            }
            Some(Open::Tgz(tar)) => tar_file(tar, path, bytes),
            None => Err(io::Error::other("no part is open")),
        }
    }

    fn next(&mut self) -> io::Result<()> {
        self.close()?;
        self.number += 1;
        let ending = if self.form == Form::Zip { "zip" } else { "tgz" };
        let file =
            File::create(self.dir.join(format!("takeout-20261127T000000Z-{:03}.{ending}", self.number)))?;
        self.open = Some(match self.form {
            Form::Zip => Open::Zip(Box::new(zip::ZipWriter::new(file))),
            _ => Open::Tgz(Box::new(GzEncoder::new(file, Compression::fast()))),
        });
        self.written = 0;
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        match self.open.take() {
            Some(Open::Zip(zip)) => zip.finish().map(drop).map_err(io::Error::other),
            Some(Open::Tgz(mut tar)) => {
                tar.write_all(&[0; 1024])?;
                tar.finish().map(drop)
            }
            None => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.form == Form::Folder {
            for (path, bytes) in std::mem::take(&mut self.late) {
                self.write(&path, &bytes, false)?;
            }
            return Ok(());
        }
        for (path, bytes) in std::mem::take(&mut self.late) {
            self.put(&path, &bytes, false)?;
        }
        self.close()
    }
}

/// A file of a tar; a path that is too long for its header goes in front of it.
fn tar_file(to: &mut impl Write, path: &str, bytes: &[u8]) -> io::Result<()> {
    if path.len() > 100 {
        // Both ways are found in the wild.
        if path.len().is_multiple_of(2) {
            let mut long = path.as_bytes().to_vec();
            long.push(0);
            tar_entry(to, "././@LongLink", b'L', &long)?;
        } else {
            let line = |length: usize| format!("{length} path={path}\n");
            let mut length = line(0).len();
            while line(length).len() != length {
                length = line(length).len();
            }
            tar_entry(to, "PaxHeaders/x", b'x', line(length).as_bytes())?;
        }
    }
    tar_entry(to, path, b'0', bytes)
}

fn tar_entry(to: &mut impl Write, path: &str, kind: u8, bytes: &[u8]) -> io::Result<()> {
    let mut header = [0_u8; 512];
    let name = &path.as_bytes()[..path.len().min(100)];
    header[..name.len()].copy_from_slice(name);
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
    header[136..148].copy_from_slice(b"14000000000\0");
    header[148..156].fill(b' ');
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    to.write_all(&header)?;
    to.write_all(bytes)?;
    to.write_all(&vec![0; bytes.len().next_multiple_of(512) - bytes.len()])
}
