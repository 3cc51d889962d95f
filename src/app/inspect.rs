//! `shoebox inspect`: what files say about themselves, and which part of each says it.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write, stdout};
use std::path::{Path, PathBuf};

use jiff::tz::Offset;
use serde_json::json;

use crate::exit;
use crate::media;
use crate::media::said::Said;
use crate::model::camera::camera_dir;
use crate::model::name::{printable, printable_json};
use crate::model::{CaptureTime, MediaFacts};
use crate::view::places::{Place, Places};

/// Prints the facts of files, and of all files in folders; names what cannot be read, and goes on.
pub fn inspect(paths: &[PathBuf], json: bool) -> anyhow::Result<u8> {
    let mut out = BufWriter::new(stdout().lock());
    let mut code = exit::OK;
    let places = Places::default();
    let mut left: Vec<PathBuf> = paths.iter().rev().cloned().collect();
    while let Some(path) = left.pop() {
        let shown = || printable(&path.to_string_lossy());
        let opened = open(&path);
        match opened {
            Ok(Opened::Folder(inside)) => left.extend(inside.into_iter().rev()),
            Ok(Opened::File(file)) => {
                let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
                if json {
                    let line = as_json(&path, &media::inspect(&file, &name));
                    writeln!(out, "{}", printable_json(&line.to_string()))?;
                } else {
                    writeln!(out, "{}", shown())?;
                    in_words(&mut out, &file, &name, &places)?;
                }
            }
            Err(e) => {
                out.flush()?;
                eprintln!("{}: {e}", shown());
                code = exit::FAILURE;
            }
        }
    }
    out.flush()?;
    Ok(code)
}

enum Opened {
    File(File),
    Folder(Vec<PathBuf>),
}

fn open(path: &Path) -> io::Result<Opened> {
    let kind = fs::metadata(path)?;
    if kind.is_dir() {
        let mut inside: Vec<PathBuf> =
            fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        // A link to a folder may lead round in a circle, a pipe has nothing to inspect.
        inside.retain(|path| fs::symlink_metadata(path).is_ok_and(|kind| kind.is_dir() || kind.is_file()));
        inside.sort();
        return Ok(Opened::Folder(inside));
    }
    if !kind.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    File::open(path).map(Opened::File)
}

/// `+02:00`.
fn offset(seconds: i32) -> String {
    let minutes = seconds.abs() / 60;
    format!("{}{:02}:{:02}", if seconds < 0 { '-' } else { '+' }, minutes / 60, minutes % 60)
}

fn as_json(path: &Path, facts: &MediaFacts) -> serde_json::Value {
    let taken = facts.taken.as_ref();
    let date = |date: &CaptureTime| json!({"local": date.local, "offset": date.offset_s.map(offset), "source": date.source});
    json!({
        "path": path.to_string_lossy(),
        "taken_local": taken.map(|taken| taken.local),
        "offset": taken.and_then(|taken| taken.offset_s).map(offset),
        "taken_source": taken.map(|taken| taken.source),
        "other_dates": facts.other_dates.iter().map(date).collect::<Vec<_>>(),
        "make": facts.make,
        "model": facts.model,
        "camera": camera_dir(facts.make.as_deref(), facts.model.as_deref()),
        "origin": facts.origin,
        "lens": facts.lens,
        "latitude": facts.latitude,
        "longitude": facts.longitude,
        "width": facts.width,
        "height": facts.height,
        "orientation": facts.orientation,
        "duration": facts.duration_ms.map(|ms| ms as f64 / 1000.0),
        "content_id": facts.content_id,
        "embedded_motion": facts.embedded_motion,
        "mime": facts.media_type,
    })
}

fn in_words(out: &mut impl Write, file: &File, name: &str, places: &Places) -> io::Result<()> {
    let (kind, found) = media::read(file, name);
    let facts = media::facts(kind, &found, name);
    let mut line = |label: &str, text: &dyn Display, source: &str| {
        let source = if source.is_empty() { String::new() } else { format!("  ({source})") };
        writeln!(out, "  {label:<12}{}{source}", printable(&text.to_string()))
    };
    line("type", &facts.media_type.as_deref().unwrap_or("unknown"), "")?;
    match &facts.taken {
        Some(taken) => line("taken", &moment(taken), taken.source.words())?,
        None => line("taken", &"unknown", "")?,
    }
    for other in &facts.other_dates {
        let conflict = facts.taken.is_some_and(|taken| taken.contradicts(other));
        let words = other.source.words();
        let words = if conflict { format!("{words}; they contradict each other") } else { words.to_owned() };
        line("also", &moment(other), &words)?;
    }
    if let Some(camera) = camera_dir(facts.make.as_deref(), facts.model.as_deref()) {
        line("camera", &camera, "")?;
    }
    said(&found.make, "make", &mut line)?;
    said(&found.model, "model", &mut line)?;
    said(&found.lens, "lens", &mut line)?;
    if let Some(origin) = facts.origin {
        line("origin", &origin.directory(), "no camera")?;
    }
    if let Some((by, (latitude, longitude))) = found.position.best() {
        let Place { country, region, city } = places.at(*latitude, *longitude);
        let zone = media::zone::name_at(*latitude, *longitude).unwrap_or_default();
        let mut named = vec![city.as_str(), &region, &country, zone];
        named.retain(|name| !name.is_empty());
        line("place", &format_args!("{latitude:.6}, {longitude:.6}  {}", named.join(", ")), by.word())?;
    }
    if let Some((by, (width, height))) = found.size.best() {
        line("size", &format_args!("{width} × {height}"), by.word())?;
    }
    said(&found.orientation, "orientation", &mut line)?;
    if let Some((by, ms)) = found.duration_ms.best() {
        line("duration", &format_args!("{:.3} s", *ms as f64 / 1000.0), by.word())?;
    }
    said(&found.content_id, "content id", &mut line)?;
    said(&found.software, "software", &mut line)?;
    if found.motion {
        line("motion", &"a video is inside", "")?;
    }
    Ok(())
}

fn said<T: Display>(
    fact: &Said<T>,
    label: &str,
    line: &mut impl FnMut(&str, &dyn Display, &str) -> io::Result<()>,
) -> io::Result<()> {
    fact.best().map_or(Ok(()), |(by, value)| line(label, value, by.word()))
}

fn moment(date: &CaptureTime) -> String {
    let zone = date.offset_s.and_then(|seconds| Offset::from_seconds(seconds).ok());
    let local = date.local.strftime("%Y-%m-%d %H:%M:%S%.f");
    format!(
        "{local} {}",
        zone.map_or_else(|| "in a zone not known".to_owned(), |zone| offset(zone.seconds()))
    )
}
