//! Files: the two hosts, and the trap of re-encoded renditions.

use std::io::{self, Cursor, Write};
use std::sync::OnceLock;

use bytes::Bytes;
use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, EXPIRES,
    IF_RANGE, RANGE,
};
use hyper::{HeaderMap, StatusCode, Uri};

use super::LiveAs;
use super::answer::{Answer, faulty, plain, set};
use super::faults::{Fault, RequestClass};
use super::google::{Google, before};
use super::library::{Kind, SimItem};
use super::media::{LIVE, STOCK};
use super::picture::{Encoding, encoded};
use crate::model::PartRole;
use crate::model::digest::digests_of;

/// Answers a request for a file.
pub(crate) async fn answer(
    google: &Google,
    host: &str,
    uri: &Uri,
    headers: &HeaderMap,
) -> io::Result<Answer> {
    let path = uri.path();
    let token = path.strip_prefix("/pw/AP1Gcz").or_else(|| path.strip_prefix("/ADGPM2")).unwrap_or_default();
    if host.starts_with("photos.fife") && !google.session.admits(headers) {
        google.count(|c| c.without_cookies += 1);
        // The real host answers with a small picture (contract 4.1).
        return Ok(plain(StatusCode::FORBIDDEN, "image/png", encoded(3, 12, 8, Encoding::Png)));
    }
    let (key, role) = match google.addresses.redeem(token) {
        Ok(granted) => granted,
        Err(status) => return Ok(plain(status, "text/html; charset=utf-8", "<html>expired</html>")),
    };
    let Some(item) = google.library.find(&key) else {
        return Ok(plain(StatusCode::NOT_FOUND, "text/html", "<html>not found</html>"));
    };
    google.count(|c| *c.downloads.entry(format!("{key}/{}", role.word())).or_insert(0) += 1);
    let struck = google.faults.strike(&RequestClass::Download, Some(&key));
    if let Some(answer) = before(google, &struck).await? {
        return Ok(answer);
    }
    if struck.contains(&Fault::Html) {
        let page = "<!doctype html><html><title>Google Photos</title><body>Try again later</body></html>";
        return Ok(plain(StatusCode::OK, "text/html; charset=utf-8", page));
    }
    let (bytes, name, kind) = if struck.contains(&Fault::WrongFile) {
        content(google, &google.library.another(&item), PartRole::Original)
    } else {
        content(google, &item, role)
    };
    let total = bytes.len();
    let tag = format!("\"{}\"", digests_of(&bytes).sha1.hex());
    let from = wanted_from(headers, &tag).filter(|&from| google.config.ranges && from < total);
    let bytes = bytes.slice(from.unwrap_or(0)..);
    let length = bytes.len();
    let mut answer = Answer::new(faulty(bytes, &struck));
    if google.config.ranges {
        set(&mut answer, ACCEPT_RANGES, "bytes");
        set(&mut answer, ETAG, &tag);
    }
    if let Some(from) = from {
        google.count(|c| c.continued += 1);
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
        set(&mut answer, CONTENT_RANGE, &format!("bytes {from}-{}/{total}", total - 1));
    }
    set(&mut answer, hyper::header::CONTENT_TYPE, kind);
    set(&mut answer, CONTENT_LENGTH, &length.to_string());
    // A name is a header: what a header cannot hold goes as the real site sends it, percent-encoded.
    let plain_name: String =
        name.chars().map(|c| if c.is_ascii_graphic() && c != '"' || c == ' ' { c } else { '_' }).collect();
    let encoded = percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC);
    set(
        &mut answer,
        CONTENT_DISPOSITION,
        &format!("attachment;filename=\"{plain_name}\";filename*=UTF-8''{encoded}"),
    );
    set(&mut answer, EXPIRES, "Fri, 01 Jan 1990 00:00:00 GMT");
    set(&mut answer, CACHE_CONTROL, "private, max-age=0");
    Ok(answer)
}

/// From where on the rest is wanted: `bytes=N-`, of the very bytes that the tag names.
fn wanted_from(headers: &HeaderMap, tag: &str) -> Option<usize> {
    if headers.get(IF_RANGE).is_some_and(|same| same.as_bytes() != tag.as_bytes()) {
        return None;
    }
    headers.get(RANGE)?.to_str().ok()?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

/// Bytes, name and media type that a web download of the part brings.
pub(crate) fn content(google: &Google, item: &SimItem, role: PartRole) -> (Bytes, String, &'static str) {
    let library = &google.library;
    if role == PartRole::Original && item.live && library.live_as() == LiveAs::Zip {
        let zip = live_zip(item, &library.file(item, role), &library.file(item, PartRole::Motion));
        return (Bytes::from(zip), "Photos-001.zip".into(), "application/zip");
    }
    let kind = match (role, item.kind) {
        (PartRole::Motion, _) => LIVE.media_type,
        (PartRole::Edited, _) | (_, Kind::Jpeg) => "image/jpeg",
        (_, Kind::Png) => "image/png",
        (_, Kind::WebP) => "image/webp",
        (_, Kind::Stock(n)) => STOCK[n].media_type,
    };
    (library.file(item, role), item.name.clone(), kind)
}

fn live_zip(item: &SimItem, still: &[u8], clip: &[u8]) -> Vec<u8> {
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    let stem = item.name.rsplit_once('.').map_or(item.name.as_str(), |(stem, _)| stem);
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in [(item.name.clone(), still), (format!("{stem}.MOV"), clip)] {
        #[expect(clippy::expect_used, reason = "writing a small zip into memory cannot fail")]
        zip.start_file(name, options).and_then(|()| Ok(zip.write_all(bytes)?)).expect("a zip in memory");
    }
    #[expect(clippy::expect_used, reason = "as above")]
    zip.finish().expect("a zip in memory").into_inner()
}

/// `=d` on the image host: the right name, status 200 - and a re-encoded picture without Exif (contract 4.1).
pub(crate) fn rendition(google: &Google, uri: &Uri) -> Answer {
    let key = uri.path().trim_start_matches('/').split('=').next().unwrap_or_default();
    let Some(item) = google.library.find(key) else {
        return plain(StatusCode::NOT_FOUND, "text/plain", "");
    };
    let wanted = uri.path().split_once('=').map_or("", |(_, size)| size);
    if wanted.starts_with(['w', 'h', 's']) {
        // Grids ask for thousands: few pictures, small, and cached by the browser.
        let mut answer = plain(StatusCode::OK, "image/jpeg", thumbnail(item.bytes_of));
        set(&mut answer, CACHE_CONTROL, "private, max-age=86400, no-transform");
        return answer;
    }
    plain(StatusCode::OK, "image/jpeg", encoded(item.bytes_of, 96, 64, Encoding::Jpeg(60)))
}

/// One of a few small pictures.
fn thumbnail(seed: u64) -> Bytes {
    const MANY: u64 = 32;
    static MADE: OnceLock<Vec<Bytes>> = OnceLock::new();
    let make = |seed| Bytes::from(encoded(seed, 24, 18, Encoding::Jpeg(50)));
    let all = MADE.get_or_init(|| (0..MANY).map(make).collect());
    usize::try_from(seed % MANY).ok().and_then(|n| all.get(n)).cloned().unwrap_or_default()
}
