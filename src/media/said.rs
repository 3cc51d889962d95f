//! What a file says about itself, each fact with the place that says it.

use jiff::civil::DateTime;

use crate::model::CaptureTime;

/// Which part of a file says something; where several do, the first of this list is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// The Exif block.
    Exif,
    /// Apple's or Olympus' own part of it.
    MakerNote,
    /// Keys of a QuickTime or MP4 file, by their full names.
    Keys,
    /// Fields of QuickTime's user data.
    UserData,
    /// Sony's document in a video.
    Sony,
    /// XMP.
    Xmp,
    /// What a camcorder writes into its pictures.
    Avchd,
    /// The container or picture itself.
    Header,
}

impl By {
    /// In words.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Exif => "Exif",
            Self::MakerNote => "maker note",
            Self::Keys => "QuickTime keys",
            Self::UserData => "QuickTime user data",
            Self::Sony => "Sony's document",
            Self::Xmp => "XMP",
            Self::Avchd => "AVCHD",
            Self::Header => "header",
        }
    }
}

/// What is said of one thing.
#[derive(Clone, Debug)]
pub struct Said<T>(Vec<(By, T)>);

impl<T> Default for Said<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Said<T> {
    /// Takes down what one place says; nothing is nothing.
    pub fn by(&mut self, by: By, value: Option<T>) {
        // A file that says one thing a thousand times is not believed more.
        if let Some(value) = value
            && self.0.len() < 16
        {
            self.0.push((by, value));
        }
    }

    /// What is believed, and whose word it is.
    pub fn best(&self) -> Option<&(By, T)> {
        self.0.iter().min_by_key(|(by, _)| *by)
    }

    /// What is believed.
    pub fn value(&self) -> Option<&T> {
        self.best().map(|(_, value)| value)
    }
}

/// What one file says.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Every date, in no order.
    pub dates: Vec<CaptureTime>,
    /// Maker, as written.
    pub make: Said<String>,
    /// Model, as written.
    pub model: Said<String>,
    /// Lens, as written.
    pub lens: Said<String>,
    /// What wrote the file.
    pub software: Said<String>,
    /// What a phone notes of it.
    pub comment: Said<String>,
    /// Degrees north and east.
    pub position: Said<(f64, f64)>,
    /// Width and height, pixels.
    pub size: Said<(u32, u32)>,
    /// As Exif counts, 1 to 8.
    pub orientation: Said<u8>,
    /// Milliseconds.
    pub duration_ms: Said<u64>,
    /// What ties a still to its video.
    pub content_id: Said<String>,
    /// A scanner made it.
    pub scanned: bool,
    /// A video follows the picture, in this file.
    pub motion: bool,
    /// The clock of this video's container is the camera's own, not UTC.
    pub clock_is_local: bool,
    /// Seconds that the wall clock was ahead of UTC, where a phone says so beside all dates.
    pub zone_s: Option<i32>,
    /// Not all of it could be read: another time the file may say more.
    pub interrupted: bool,
    /// What the satellites' clock said, UTC.
    pub satellite: Option<DateTime>,
}

impl Found {
    /// Takes down a position, unless it is the one that devices write that do not know.
    pub fn place(&mut self, by: By, latitude: f64, longitude: f64) {
        let known = latitude != 0.0 || longitude != 0.0;
        if known && latitude.abs() <= 90.0 && longitude.abs() <= 180.0 {
            self.position.by(by, Some((latitude, longitude)));
        }
    }

    /// Takes down a size that is one.
    pub fn pixels(&mut self, by: By, width: u32, height: u32) {
        self.size.by(by, (width > 0 && height > 0).then_some((width, height)));
    }

    /// Takes down a date.
    pub fn date(&mut self, date: Option<CaptureTime>) {
        if let Some(date) = date
            && self.dates.len() < 32
            && !self.dates.contains(&date)
        {
            self.dates.push(date);
        }
    }
}

/// Longest text taken from a file, characters.
const LONGEST_TEXT: usize = 128;

/// Text as written, without the padding; rubbish and emptiness are `None`.
pub fn clean(text: &str) -> Option<String> {
    let text = text.split('\0').next().unwrap_or_default().trim();
    let rubbish = text.contains(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER);
    (!text.is_empty() && !rubbish).then(|| text.chars().take(LONGEST_TEXT).collect())
}

/// The same of bytes.
pub fn clean_bytes(bytes: &[u8]) -> Option<String> {
    clean(&String::from_utf8_lossy(bytes))
}
