//! Pages: the library's documents with their globals, sign-in, and what visitors see.

use hyper::header::{CACHE_CONTROL, HeaderName};
use hyper::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Value, json};

use super::answer::{Answer, add_cookies, plain, redirect, set};
use super::google::Google;
use super::rpc::item_json;
use super::{Session, SignedOutModel};

const HTML: &str = "text/html; charset=utf-8";
const ACCOUNT_ID: &str = "117000000000000000001";
const EMAIL: &str = "demo.person@gmail.example";

/// `photos.google.com`.
pub(crate) fn photos(google: &Google, uri: &Uri, headers: &HeaderMap) -> Answer {
    // `/u/<n>/…` are the same routes; only account 0 exists here.
    let path = uri.path();
    let path = path.strip_prefix("/u/0").unwrap_or(path);
    if path == "/robots.txt" {
        return plain(StatusCode::OK, "text/plain", "User-agent: *\nDisallow: /\n");
    }
    let signed_in = google.session.admits(headers);
    let mut answer = match (path, signed_in) {
        ("/login", true) => redirect("https://photos.google.com/"),
        ("/login", false) => redirect(&identifier_address("https://photos.google.com/login")),
        (_, false) => match google.session.model() {
            SignedOutModel::RedirectToAbout => redirect("https://www.google.com/photos/about/"),
            SignedOutModel::LandingPage => {
                page(StatusCode::OK, "Google Photos", &globals(google, false), LANDING)
            }
        },
        ("/" | "", true) => library_page(google),
        (path, true) => inner_page(google, path),
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

fn library_page(google: &Google) -> Answer {
    let tiles: String = google
        .library
        .timeline()
        .iter()
        .take(30)
        .map(|item| {
            format!(
                "<div class=\"rtIMgb\"><a class=\"p137Zd\" tabindex=\"0\" href=\"./photo/{}\"></a></div>",
                item.key
            )
        })
        .collect();
    let body = format!("<div id=\"yDmH0d\"><c-wiz role=\"main\">{tiles}</c-wiz></div>");
    page(StatusCode::OK, "Google Photos", &globals(google, true), &body)
}

fn inner_page(google: &Google, path: &str) -> Answer {
    let mut pieces = path.trim_matches('/').split('/');
    let (place, key) = (pieces.next().unwrap_or_default(), pieces.next());
    let known = match (place, key) {
        ("photo" | "lr", Some(key)) => {
            let key = if place == "lr" { pieces.next().unwrap_or(key) } else { key };
            // Trashed photos still have their page; others never existed.
            let Some(item) = google.library.find(key) else { return not_found() };
            if place == "lr" {
                return redirect(&format!("https://photos.google.com/photo/{key}"));
            }
            let data = json!([item_json(google, &item)]);
            let script = format!(
                "<script class=\"ds:0\">AF_initDataCallback({{key: 'ds:0', hash: '1', data:{}, sideChannel: {{}}}});</script>",
                script_json(&data)
            );
            let body = format!("<c-wiz role=\"main\" data-media-key=\"{key}\"></c-wiz>{script}");
            return page(StatusCode::OK, "Google Photos", &globals(google, true), &body);
        }
        ("albums" | "trash" | "archive" | "search" | "sharing" | "updates" | "album" | "share", _) => true,
        _ => false,
    };
    if known { library_page(google) } else { not_found() }
}

fn not_found() -> Answer {
    let body =
        "<main id=\"af-error-container\"><p>The requested URL was not found on this server.</p></main>";
    page(StatusCode::NOT_FOUND, "Error 404 (Not Found)", "", body)
}

/// The globals script (contract 5.2).
fn globals(google: &Google, signed_in: bool) -> String {
    let mut wiz = json!({
        "FdrFJe": "-4712345678901234567", "cfb2h": "boq_photosuiserver_20261101.03_p0",
        "eptZe": "/_/PhotosUi/", "Im6cmf": "/_/PhotosUi", "qwAQke": "PhotosUi", "QrtxK": "",
        "S06Grb": "", "fZ7nb": "photos.fife.usercontent.google.com",
        "PPuhxd": "lh3.googleusercontent.com", "JbRbyb": "lh3.google.com", "eNnkwf": "1770000000",
    });
    if signed_in {
        wiz["SNlM0e"] = Value::from(google.session.token());
        wiz["S06Grb"] = Value::from(ACCOUNT_ID);
        wiz["oPEP7c"] = Value::from(EMAIL);
    }
    format!("<script data-id=\"_gd\">window.WIZ_global_data = {};</script>", script_json(&wiz))
}

/// JSON for a script: no `;`, no markup, as clients with regular expressions expect.
fn script_json(value: &Value) -> String {
    value
        .to_string()
        .replace(';', "\\u003b")
        .replace('<', "\\u003c")
        .replace('=', "\\u003d")
        .replace('&', "\\u0026")
}

fn page(status: StatusCode, title: &str, head: &str, body: &str) -> Answer {
    let html = format!(
        "<!doctype html><html lang=\"en\" dir=\"ltr\"><head><base href=\"https://photos.google.com/\"><meta charset=\"utf-8\"><title>{title}</title>{head}</head><body>{body}</body></html>"
    );
    plain(status, HTML, html)
}

/// The public page.
pub(crate) fn about() -> Answer {
    page(
        StatusCode::OK,
        "Google Photos: Edit, Organize, Search, and Backup Your Photos",
        "",
        "<h1>Home for your memories</h1>",
    )
}

fn identifier_address(to: &str) -> String {
    let to = percent_encoding::utf8_percent_encode(to, percent_encoding::NON_ALPHANUMERIC);
    format!(
        "https://accounts.google.com/v3/signin/identifier?continue={to}&followup={to}&ifkv=AdBytiM&osid=1&passive=1209600&service=lh2&flowName=GlifWebSignIn&flowEntry=ServiceLogin&dsh=S-1234567890"
    )
}

/// `accounts.google.com`: identifier, password, and home again.
pub(crate) fn accounts(google: &Google, method: &Method, uri: &Uri, body: &[u8]) -> Answer {
    let form = |action: &str, field: &str| {
        format!(
            "<form method=\"post\" action=\"{action}\">{field}<div id=\"identifierNext\"><button>Next</button></div></form>"
        )
    };
    match (uri.path(), method) {
        ("/v3/signin/rejected", _) => page(
            StatusCode::OK,
            "Couldn't sign you in",
            "",
            "<h1>Couldn\u{2019}t sign you in</h1><p>This browser or app may not be secure.</p>",
        ),
        ("/v3/signin/identifier", &Method::POST) => {
            redirect("https://accounts.google.com/v3/signin/challenge/pwd?TL=1&checkConnection=youtube&cid=2")
        }
        ("/ServiceLogin" | "/v3/signin/identifier", _) => page(
            StatusCode::OK,
            "Sign in - Google Accounts",
            "",
            &form("/v3/signin/identifier", "<input id=\"identifierId\" type=\"email\" name=\"identifier\">"),
        ),
        ("/v3/signin/challenge/pwd", &Method::POST) if !body.is_empty() => signed_in(google),
        ("/v3/signin/challenge/pwd", _) => page(
            StatusCode::OK,
            "Welcome",
            "",
            &form("/v3/signin/challenge/pwd", "<input type=\"password\" name=\"Passwd\">"),
        ),
        // For a profile that is made without anybody at the keyboard.
        ("/simulated/sign-in", _) => signed_in(google),
        _ => plain(StatusCode::NOT_FOUND, HTML, ""),
    }
}

fn signed_in(google: &Google) -> Answer {
    google.session.sign_in();
    let mut answer = redirect("https://photos.google.com/");
    add_cookies(&mut answer, &google.session.cookies());
    answer
}

/// Cookie rotation (contract 2.4).
pub(crate) fn rotate(google: &Google, headers: &HeaderMap) -> Answer {
    if !google.session.admits(headers) || google.session.rotation_is_refused() {
        return plain(StatusCode::UNAUTHORIZED, "application/json", "");
    }
    let mut answer = plain(
        StatusCode::OK,
        "application/json; charset=utf-8",
        ")]}'\n[[\"identity.hfcr\",600],[\"di\",10]]",
    );
    add_cookies(&mut answer, &Session::freshness());
    answer
}
