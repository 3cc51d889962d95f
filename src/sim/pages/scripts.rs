//! The pages' own scripts and style, served from `/_/`, as one file each.

use hyper::StatusCode;
use hyper::header::CACHE_CONTROL;

use crate::sim::answer::{Answer, plain, set};

/// On every script of a page.
pub(crate) const NONCE: &str = "c2ltdWxhdGVkIG5vbmNl";

/// In the order in which they build on each other.
const SCRIPTS: [&str; 9] = [
    include_str!("base.js"),
    include_str!("dates.js"),
    include_str!("listing.js"),
    include_str!("download.js"),
    include_str!("grid.js"),
    include_str!("panel.js"),
    include_str!("menu.js"),
    include_str!("viewer.js"),
    include_str!("start.js"),
];

const STYLE: &str = include_str!("style.css");

/// For the head of a page.
pub(crate) fn links() -> String {
    format!(
        "<link rel=\"manifest\" href=\"/_/PhotosUi/manifest.json\">\
         <link rel=\"stylesheet\" href=\"/_/PhotosUi/_/ss/pages.css\" nonce=\"{NONCE}\">\
         <script src=\"/_/PhotosUi/_/js/pages.js\" nonce=\"{NONCE}\" defer></script>"
    )
}

/// A static file of the pages; none if the path is no such thing.
pub(crate) fn asset(path: &str) -> Option<Answer> {
    let (kind, text) = match path {
        "/_/PhotosUi/_/js/pages.js" => {
            let all = SCRIPTS.concat();
            ("text/javascript; charset=utf-8", format!("(() => {{\n'use strict';\n{all}\n}})();\n"))
        }
        "/_/PhotosUi/_/ss/pages.css" => ("text/css; charset=utf-8", STYLE.to_owned()),
        "/_/PhotosUi/manifest.json" => {
            ("application/manifest+json", "{\"name\":\"Google Photos\",\"start_url\":\"/\"}".to_owned())
        }
        _ => return None,
    };
    let mut answer = plain(StatusCode::OK, kind, text);
    set(&mut answer, CACHE_CONTROL, "private, max-age=3600");
    Some(answer)
}
