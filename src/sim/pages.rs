//! The web pages of Google Photos: which address shows what. What a page does is in its scripts.

pub(crate) mod calls;
mod container;
mod document;
pub mod locale;
mod scripts;
pub mod sign_in;

use hyper::header::{CACHE_CONTROL, HeaderName};
use hyper::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};

use self::container::Container;
use self::document::{Page, globals, script_json};
use super::answer::{Answer, add_cookies, plain, redirect, set};
use super::faults::Fault;
use super::google::Google;
use super::{Session, SignedOutModel, lookups, rpc};

pub(crate) use self::scripts::asset;

/// Media type of pages.
pub(crate) const HTML: &str = "text/html; charset=utf-8";

/// `photos.google.com`.
pub(crate) fn photos(google: &Google, uri: &Uri, headers: &HeaderMap) -> Answer {
    if uri.path() == "/robots.txt" {
        return plain(StatusCode::OK, "text/plain", "User-agent: *\nDisallow: /\n");
    }
    let (user, path) = account_of(uri.path());
    let signed_in = google.session.admits(headers);
    let mut answer = match (path, signed_in) {
        ("/login", true) => redirect(&format!("https://photos.google.com{user}/")),
        ("/login", false) => redirect(&sign_in::first_address(google, "https://photos.google.com/login")),
        (_, false) => match google.session.model() {
            SignedOutModel::RedirectToAbout => redirect("https://www.google.com/photos/about/"),
            SignedOutModel::Rejected => redirect("https://accounts.google.com/v3/signin/rejected"),
            SignedOutModel::Captcha => {
                redirect("https://www.google.com/sorry/index?continue=https://photos.google.com/")
            }
            SignedOutModel::LandingPage => {
                let head = globals(google, "", false);
                Page { user: Some(""), head: &head, body: LANDING, ..Page::new(google) }
                    .answer(StatusCode::OK)
            }
        },
        (path, true) => inside(google, user, path),
    };
    set(&mut answer, CACHE_CONTROL, "no-cache, no-store, max-age=0, must-revalidate");
    set(
        &mut answer,
        HeaderName::from_static("content-security-policy"),
        "require-trusted-types-for 'script'",
    );
    if signed_in {
        add_cookies(&mut answer, &Session::freshness());
    }
    answer
}

const LANDING: &str = "<main><h1>Google Photos</h1><a aria-label=\"Sign in\" href=\"https://accounts.google.com/ServiceLogin?service=lh2&passive=1209600&osid=1&continue=https://photos.google.com/\">Sign in</a></main>";

/// `/u/<n>` and the rest: the same routes for every account of the browser; here all are one account.
fn account_of(path: &str) -> (&str, &str) {
    let Some(rest) = path.strip_prefix("/u/") else { return ("", path) };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return ("", path);
    }
    path.split_at("/u/".len() + digits)
}

/// Everything that only the signed-in account sees.
fn inside(google: &Google, user: &str, path: &str) -> Answer {
    let pieces: Vec<_> = path.split('/').filter(|piece| !piece.is_empty()).collect();
    if let ["lr", kind @ ("photo" | "album"), id] = pieces[..] {
        let known = match kind {
            "photo" => google.library.find(id).is_some(),
            _ => Container::read(google, &["album", id]).is_some(),
        };
        let to = format!("https://photos.google.com{user}/{kind}/{id}");
        return if known { redirect(&to) } else { not_found(google) };
    }
    if let [
        "albums" | "sharing" | "updates" | "places" | "collections" | "lockedfolder" | "memory" | "explore",
        ..,
    ] = pieces[..]
    {
        return cards(google, user, pieces[0]);
    }
    let (place, key) = match pieces[..] {
        [ref place @ .., "photo", key] => (place, Some(key)),
        ref place => (place, None),
    };
    let Some(container) = Container::read(google, place) else { return not_found(google) };
    match key {
        None => grid(google, user, &container),
        Some(key) => viewer(google, user, &container, key),
    }
}

/// The place's photos.
fn grid(google: &Google, user: &str, container: &Container) -> Answer {
    let listing = container.listing();
    let first = rpc::call(google, listing.rpcid, &listing.first_request(), &[]).unwrap_or(Value::Null);
    let mut data = vec![(listing.rpcid, listing.first_request(), first)];
    if let Container::Album { key, .. } = container {
        data.insert(0, ("UJlKrf", json!([key, null]), json!([[key]])));
    }
    library_page(google, user, container, None, &data)
}

/// One photo alone. Trashed photos still have their page; others never existed, or are not in this album.
fn viewer(google: &Google, user: &str, container: &Container, key: &str) -> Answer {
    let Some(item) = google.library.find(key).filter(|item| container.admits(item)) else {
        return not_found(google);
    };
    let request = json!([item.key, null, null, null, container.album_key()]);
    let info = rpc::call(google, "VrseUb", &request, &[]).unwrap_or(Value::Null);
    library_page(google, user, container, Some(key), &[("VrseUb", request, info)])
}

fn library_page(
    google: &Google,
    user: &str,
    container: &Container,
    key: Option<&str>,
    data: &[(&str, Value, Value)],
) -> Answer {
    let listing = container.listing();
    let settings = json!({
        "user": user,
        "place": container.path(),
        "query": container.query(),
        "listing": {
            "rpcid": listing.rpcid, "request": listing.request, "cursor": listing.cursor_at,
            "start": listing.start_at, "rows": listing.rows_at, "next": listing.next_at,
        },
        "index": container.index(google),
        "album": container.album_key(),
        "heading": container.heading(google),
        "photo": key,
        "position": key.and_then(|key| container.position(google, key)),
        "now": document::now_ms(google),
        "armed": google.faults.page_words(),
        "deaf": deaf_ms(google, key.unwrap_or_default()),
        "strings": google.config.language.strings(),
    });
    let mut head = globals(google, user, true);
    head.push_str(&document::first_data(data));
    head.push_str(&format!(
        "<script type=\"application/json\" id=\"page-settings\">{}</script>",
        script_json(&settings)
    ));
    let title = match (container.heading(google), key) {
        (Some(heading), None) => format!("{heading} - Google Photos"),
        _ => "Google Photos".to_owned(),
    };
    let body = document::skeleton(google, user);
    Page { user: Some(user), title: &title, head: &head, body: &body, scripts: true, google }
        .answer(StatusCode::OK)
}

/// How long keys do nothing after the document has begun.
fn deaf_ms(google: &Google, key: &str) -> Value {
    let struck = google.faults.strike_page("document", key);
    let value = struck
        .iter()
        .find_map(|fault| if let Fault::Page(fault) = fault { Some(fault.value()) } else { None });
    value.unwrap_or_else(|| json!(0))
}

/// The list of albums, and the views of which an archiver needs nothing.
fn cards(google: &Google, user: &str, place: &str) -> Answer {
    let cards: String = container::albums(google)
        .iter()
        .filter(|_| place == "albums")
        .map(|(key, title)| {
            format!(
                "<a class=\"MTmRkb\" href=\"./album/{key}\"><div class=\"Fbw5bb\">{}</div></a>",
                document::escape(title)
            )
        })
        .collect();
    let body = format!(
        "<div id=\"yDmH0d\"><c-wiz><div class=\"J3TAe c9yG5b\"></div><c-wiz role=\"main\" class=\"yDSiEe\">{cards}</c-wiz></c-wiz></div>"
    );
    // Only this page has proven again who is there (contract 5.1).
    let proof = (place == "lockedfolder").then(|| lookups::proof(google));
    let head = document::globals_with(google, user, true, proof);
    Page { user: Some(user), head: &head, body: &body, ..Page::new(google) }.answer(StatusCode::OK)
}

fn not_found(google: &Google) -> Answer {
    let body =
        "<main id=\"af-error-container\"><p>The requested URL was not found on this server.</p></main>";
    Page { title: "Error 404 (Not Found)", body, ..Page::new(google) }.answer(StatusCode::NOT_FOUND)
}

/// Asks whether somebody is there.
pub(crate) fn sorry(google: &Google) -> Answer {
    let body = "<form id=\"captcha-form\"><p>Our systems have detected unusual traffic.</p></form>";
    Page { title: "Sorry...", body, ..Page::new(google) }.answer(StatusCode::TOO_MANY_REQUESTS)
}

/// The public page.
pub(crate) fn about(google: &Google) -> Answer {
    Page {
        title: "Google Photos: Edit, Organize, Search, and Backup Your Photos",
        body: "<h1>Home for your memories</h1>",
        ..Page::new(google)
    }
    .answer(StatusCode::OK)
}
