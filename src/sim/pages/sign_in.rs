//! `accounts.google.com`: the screens that a sign-in goes through, in the order that the script says
//! (contract 1.3, 2.2), and cookie rotation.

use std::str::FromStr;

use hyper::{HeaderMap, Method, StatusCode, Uri};

use super::HTML;
use super::document::Page;
use crate::sim::Session;
use crate::sim::answer::{Answer, add_cookies, plain, redirect};
use crate::sim::google::Google;

/// One screen of a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// Which of the accounts of this browser.
    Chooser,
    /// Which of the profiles behind an address.
    Disambiguate,
    /// Whether the address is right.
    Confirm,
    /// The address.
    Identifier,
    /// The password.
    Password,
    /// Approve on the phone; goes on by itself.
    DevicePrompt,
    /// Whether a passkey is wanted.
    Passkey,
    /// No way in.
    Rejected,
}

const ALL: [(Screen, &str, &str); 8] = [
    (Screen::Chooser, "chooser", "/v3/signin/signinchooser"),
    (Screen::Disambiguate, "disambiguate", "/v3/signin/shadowdisambiguate"),
    (Screen::Confirm, "confirm", "/v3/signin/confirmidentifier"),
    (Screen::Identifier, "identifier", "/v3/signin/identifier"),
    (Screen::Password, "password", "/v3/signin/challenge/pwd"),
    (Screen::DevicePrompt, "device", "/v3/signin/challenge/dp"),
    (Screen::Passkey, "passkey", "/v3/signin/speedbump/passkeyenrollment"),
    (Screen::Rejected, "rejected", "/v3/signin/rejected"),
];

impl FromStr for Screen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = ALL.iter().find(|(_, word, _)| *word == text).map(|(screen, ..)| *screen);
        found.ok_or_else(|| format!("`{text}` is none of {}", ALL.map(|(_, word, _)| word).join(", ")))
    }
}

impl Screen {
    /// What the default sign-in goes through.
    pub const USUAL: [Self; 2] = [Self::Identifier, Self::Password];

    fn path(self) -> &'static str {
        ALL.iter().find(|(screen, ..)| *screen == self).map_or("/", |(.., path)| path)
    }

    /// Its address, with the query that is known of it.
    fn address(self, to: &str) -> String {
        let to = percent_encoding::utf8_percent_encode(to, percent_encoding::NON_ALPHANUMERIC);
        let query = match self {
            Self::Password | Self::DevicePrompt => {
                "TL=1&checkConnection=youtube%3A250&checkedDomains=youtube&cid=2&dsh=S-1234567890".to_owned()
            }
            _ => format!(
                "continue={to}&followup={to}&ifkv=AdBytiM&osid=1&passive=1209600&service=lh2&\
                 flowName=GlifWebSignIn&flowEntry=ServiceLogin&dsh=S-1234567890"
            ),
        };
        format!("https://accounts.google.com{}?{query}", self.path())
    }

    fn body(self, email: &str) -> String {
        let form = |inner: &str| {
            format!(
                "<form method=\"post\" action=\"{}\">{inner}\
                 <div id=\"identifierNext\"><button>Next</button></div></form>",
                self.path()
            )
        };
        // A choice is a button in disguise: clients click the node, whatever it is.
        let choice = |attributes: &str, text: &str| {
            format!(
                "<form method=\"post\" action=\"{}\"><div {attributes} tabindex=\"0\" role=\"link\" \
                 onclick=\"this.parentNode.submit()\">{text}</div></form>",
                self.path()
            )
        };
        match self {
            Self::Chooser => (0..2)
                .map(|n| choice(&format!("data-authuser=\"{n}\" data-item-index=\"{n}\""), email))
                .collect(),
            Self::Disambiguate => choice("data-profileindex=\"0\"", email),
            Self::Confirm => form(&format!("<h1>Verify it\u{2019}s you</h1><p>{email}</p>")),
            Self::Identifier => {
                form("<input id=\"identifierId\" type=\"email\" name=\"identifier\" autofocus>")
            }
            Self::Password => form(&format!(
                "<input id=\"identifierId\" type=\"hidden\" name=\"identifier\" value=\"{email}\">\
                 <input type=\"password\" name=\"Passwd\" autofocus>"
            )),
            Self::DevicePrompt => format!(
                "<h1>2-Step Verification</h1><p>Check your phone</p>{}\
                 <script>setTimeout(() => document.forms[0].submit(), 3000)</script>",
                form("")
            ),
            Self::Passkey => format!(
                "<h1>Simplify your sign-in</h1><form method=\"post\" action=\"{}\">\
                 <button type=\"submit\"><span>Not now</span></button></form>",
                self.path()
            ),
            Self::Rejected => "<h1>Couldn\u{2019}t sign you in</h1>\
                               <p>This browser or app may not be secure.</p>\
                               <p>Sign in with a supported browser</p>"
                .to_owned(),
        }
    }
}

/// Where a sign-in begins.
pub(crate) fn first_address(google: &Google, to: &str) -> String {
    google.config.sign_in.first().copied().unwrap_or(Screen::Identifier).address(to)
}

/// One screen, or what comes after it.
pub(crate) fn accounts(google: &Google, method: &Method, uri: &Uri, body: &[u8]) -> Answer {
    let screens = &google.config.sign_in;
    let show = |screen: Screen| {
        let title =
            if screen == Screen::Rejected { "Couldn't sign you in" } else { "Sign in - Google Accounts" };
        Page { title, body: &screen.body(&google.config.email()), ..Page::new(google) }.answer(StatusCode::OK)
    };
    let path = uri.path();
    match path {
        // Whose cookies were given out before keeps them.
        "/simulated/sign-in" => {
            google.session.sign_in();
            return signed_in(google);
        }
        "/SignOutOptions" => return plain(StatusCode::OK, HTML, ""),
        "/ServiceLogin" | "/AccountChooser" => {
            return redirect(&first_address(google, "https://photos.google.com/"));
        }
        _ => {}
    }
    let Some((screen, ..)) = ALL.iter().find(|(.., known)| *known == path) else {
        return plain(StatusCode::NOT_FOUND, HTML, "");
    };
    if *method != Method::POST {
        google.session.shows(path);
    }
    if *method != Method::POST || *screen == Screen::Rejected || wants_more(*screen, body) {
        return show(*screen);
    }
    match screens.iter().position(|one| one == screen).and_then(|at| screens.get(at + 1)) {
        Some(next) => redirect(&next.address("https://photos.google.com/login")),
        None => {
            google.session.begin();
            signed_in(google)
        }
    }
}

/// Whether the screen was sent back without what it asks for.
fn wants_more(screen: Screen, body: &[u8]) -> bool {
    let field: &[u8] = match screen {
        Screen::Identifier => b"identifier=",
        Screen::Password => b"Passwd=",
        _ => return false,
    };
    let at = body.windows(field.len()).position(|window| window == field);
    at.is_none_or(|at| matches!(body.get(at + field.len()), None | Some(b'&')))
}

fn signed_in(google: &Google) -> Answer {
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
