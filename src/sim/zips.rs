//! Zips of several photos: prepared on request, ready a little later, fetched by a token.

use std::collections::HashMap;
use std::io::{Cursor, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::header::CONTENT_DISPOSITION;
use hyper::{StatusCode, Uri};

use super::answer::{Answer, faulty, plain, set};
use super::faults::RequestClass;
use super::google::{Google, before};
use crate::model::PartRole;

/// How long Google "works" on a zip.
const WORK: Duration = Duration::from_millis(700);

/// Zips that were asked for.
#[derive(Default)]
pub(crate) struct Zips {
    asked: Mutex<HashMap<String, (Instant, Vec<String>)>>,
}

impl Zips {
    /// The token of a new zip of these photos.
    pub(crate) fn prepare(&self, keys: Vec<String>) -> String {
        let token: String = (0..64).map(|_| fastrand::alphanumeric()).collect();
        self.lock().insert(token.clone(), (Instant::now(), keys));
        token
    }

    /// Whether it can be fetched; none if nobody asked for it.
    pub(crate) fn is_ready(&self, token: &str) -> Option<bool> {
        self.lock().get(token).map(|(asked, _)| asked.elapsed() > WORK)
    }

    /// The zip: what a single download of each photo would bring as its upload.
    pub(crate) fn bytes(&self, google: &Google, token: &str) -> Option<Bytes> {
        let keys = self.lock().get(token).map(|(_, keys)| keys.clone())?;
        let options =
            zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let mut names: HashMap<String, u32> = HashMap::new();
        for item in keys.iter().filter_map(|key| google.library.find(key)) {
            let mut parts = vec![(item.name.clone(), PartRole::Original)];
            let stem = item.name.rsplit_once('.').map_or(item.name.as_str(), |(stem, _)| stem);
            if item.live {
                parts.push((format!("{stem}.MOV"), PartRole::Motion));
            }
            for (name, role) in parts {
                // A second file of the same name gets a number.
                let count = names.entry(name.clone()).or_insert(0);
                *count += 1;
                let name = if *count == 1 { name } else { numbered(&name, *count - 1) };
                out.start_file(name, options).ok()?;
                out.write_all(&google.library.file(&item, role)).ok()?;
            }
        }
        Some(Bytes::from(out.finish().ok()?.into_inner()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Instant, Vec<String>)>> {
        self.asked.lock().unwrap_or_else(|p| p.into_inner())
    }
}

fn numbered(name: &str, number: u32) -> String {
    match name.rsplit_once('.') {
        Some((stem, extension)) => format!("{stem}({number}).{extension}"),
        None => format!("{name}({number})"),
    }
}

/// Answers `doc-export.googleusercontent.com`.
pub(crate) async fn answer(google: &Google, uri: &Uri) -> std::io::Result<Answer> {
    let struck = google.faults.strike(&RequestClass::Download, None);
    if let Some(answer) = before(google, &struck).await? {
        return Ok(answer);
    }
    let token = uri.path().strip_prefix("/download/").unwrap_or_default();
    let ready = google.zips.is_ready(token).unwrap_or(false);
    let Some(bytes) = ready.then(|| google.zips.bytes(google, token)).flatten() else {
        return Ok(plain(StatusCode::NOT_FOUND, "text/html; charset=utf-8", "<html>not found</html>"));
    };
    google.count(|c| *c.downloads.entry("zip".to_owned()).or_insert(0) += 1);
    let mut answer = Answer::new(faulty(bytes, &struck));
    set(&mut answer, hyper::header::CONTENT_TYPE, "application/zip");
    set(&mut answer, CONTENT_DISPOSITION, "attachment; filename=\"Photos-001.zip\"");
    Ok(answer)
}
