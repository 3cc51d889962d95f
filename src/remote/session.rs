//! Is somebody signed in? Decided by evidence in the page, never by its address alone.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::RemoteError;
use super::browser::Chromium;
use super::browser::tab::{Landing, Tab};
use crate::small_file;

/// The page that renews the session while one of Google's is open.
const RENEWAL: &str = "https://accounts.google.com/RotateCookiesPage";

/// The library's front page.
pub const LIBRARY: &str = "https://photos.google.com/";

/// Cookies that only a signed-in visitor carries (contract 2.1).
const ACCOUNT_COOKIES: [&str; 9] = [
    "SID",
    "HSID",
    "SSID",
    "APISID",
    "SAPISID",
    "__Secure-1PSID",
    "__Secure-3PSID",
    "__Secure-1PAPISID",
    "__Secure-3PAPISID",
];

/// Who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Google's numeric id.
    pub id: String,
    /// E-mail address, if the page tells it.
    pub email: Option<String>,
}

/// What the page shows. Values of cookies and tokens stay in the page: only their presence is asked.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Evidence {
    token: bool,
    globals: bool,
    email: Option<String>,
    id: Option<String>,
    cookies: Vec<String>,
    /// What the browser's own page says instead of Google's, for example `ERR_NAME_NOT_RESOLVED`.
    failure: Option<String>,
}

const GATHER: &str = r"(() => {
  // The browser's page about a failure has no cookies to ask for.
  if (location.protocol === 'chrome-error:') {
    const code = document.querySelector('.error-code');
    return { token: false, globals: false, email: null, id: null, cookies: [],
             failure: code ? code.textContent.trim().slice(0, 60) : null };
  }
  const w = window.WIZ_global_data;
  const text = v => typeof v === 'string' && v !== '' ? v : null;
  return { token: !!(w && text(w.SNlM0e)), globals: !!w, email: w ? text(w.oPEP7c) : null,
           id: w ? text(w.S06Grb) : null,
           cookies: document.cookie.split(';').map(c => c.split('=')[0].trim()).filter(Boolean), failure: null };
})()";

/// What the evidence says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    SignedIn(Account),
    /// Nobody, with the reason.
    SignedOut(String),
    /// The page did not come: says nothing about the session.
    Unclear(String),
}

/// The screen that needs somebody, PNG, beside the login.
pub const SCREEN: &str = "shoebox-screen.png";

/// Whether somebody is signed in in the browser of this profile; keeps a picture of the screen that says otherwise.
///
/// # Errors
/// [`RemoteError::SignedOut`] with what that screen is, or what kept the library from loading.
pub async fn verify(tab: &Tab, profile: &Path) -> Result<Account, RemoteError> {
    let found = look(tab).await;
    let screen = profile.join(SCREEN);
    match &found {
        Err(RemoteError::SignedOut { .. }) => {
            let picture = tab.screenshot().await.ok();
            let picture = picture.and_then(|text| data_encoding::BASE64.decode(text.as_bytes()).ok());
            if let Some(picture) = picture
                && let Err(e) = small_file::write(&screen, &picture)
            {
                tracing::debug!("the picture of the screen is not kept in {}: {e}", screen.display());
            }
        }
        // Nobody needs to see an old one; there may be none.
        Ok(_) => drop(std::fs::remove_file(&screen)),
        Err(_) => {}
    }
    found
}

/// Whether Google, asked to renew the session, refuses: it does so to some browsers although somebody is signed in, and
/// the session ends soon after. Asked for by the page that Google's own pages keep open for it (contract 2.4), in a tab
/// of its own; no answer and any other answer say nothing.
pub async fn is_renewal_refused(chromium: &Chromium) -> bool {
    let asked = async {
        let tab = chromium.new_tab().await?;
        let seen = async {
            let landing = tab.open(RENEWAL, Duration::from_secs(20)).await?;
            let shown: Evidence = tab.evaluate(GATHER, Duration::from_secs(10)).await?;
            // Where the answer has no body, the browser shows a page of its own that names the status.
            let named = shown.failure.is_some_and(|code| code.ends_with(" 401"));
            Ok(named || (landing.status == 401 && landing.place.starts_with(RENEWAL)))
        };
        let seen = seen.await;
        tab.close().await;
        seen
    };
    asked.await.unwrap_or_else(|e: RemoteError| {
        tracing::debug!("whether the session is renewed is not known: {e}");
        false
    })
}

/// Opens the library past the cache and decides. A first "no" is asked once more after a warm-up, because
/// a session may be renewed by the very visit.
async fn look(tab: &Tab) -> Result<Account, RemoteError> {
    let limit = Duration::from_secs(30);
    let mut landing = tab.open(LIBRARY, limit).await?;
    let mut last = Finding::Unclear("the library did not load".into());
    for attempt in 0..3 {
        // The HTTP cache keeps a shell that still looks signed in: ask the server (contract 2.3).
        if landing.place.starts_with(LIBRARY) {
            landing = tab.reload(limit).await?;
        }
        let mut evidence: Evidence = tab.evaluate(GATHER, limit).await?;
        if evidence.token && !has_account_cookie(&evidence.cookies) {
            // All of them may be hidden from scripts; then the browser is asked for their names.
            evidence.cookies = tab.cookie_names(LIBRARY).await?;
        }
        last = judge(&landing, &evidence);
        if let Finding::SignedIn(account) = last {
            return Ok(account);
        }
        tracing::debug!(attempt, place = landing.place, status = landing.status, "not signed in yet");
        if attempt < 2 {
            tokio::time::sleep(Duration::from_secs(1 + attempt)).await;
            landing = tab.open(LIBRARY, limit).await?;
        }
    }
    match last {
        Finding::SignedOut(evidence) => Err(RemoteError::SignedOut { evidence }),
        Finding::Unclear(why) => Err(RemoteError::Transient(why)),
        Finding::SignedIn(account) => Ok(account),
    }
}

fn has_account_cookie(names: &[String]) -> bool {
    names.iter().any(|name| ACCOUNT_COOKIES.contains(&name.as_str()))
}

pub(crate) fn judge(landing: &Landing, evidence: &Evidence) -> Finding {
    let place = landing.place.as_str();
    let host = place.strip_prefix("https://").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let cookie = has_account_cookie(&evidence.cookies);
    if place.contains("/signin/rejected") {
        return Finding::SignedOut("Google rejected the sign-in (\"this browser may not be secure\")".into());
    }
    if host == "accounts.google.com" {
        return Finding::SignedOut(screen(place).into());
    }
    if place.starts_with("https://www.google.com/photos/about") {
        return Finding::SignedOut("the library shows its public page".into());
    }
    if host.ends_with("google.com") && place.contains("/sorry/") {
        return Finding::SignedOut("Google asks for a proof that a person is there".into());
    }
    if place.starts_with("chrome-error:") {
        let failure = evidence.failure.as_deref().unwrap_or("no reason given");
        return Finding::Unclear(format!("Google Photos cannot be reached from this machine ({failure})"));
    }
    if host != "photos.google.com" || landing.status >= 400 {
        let status = landing.status;
        return Finding::Unclear(format!("the library did not load (status {status} at {place})"));
    }
    match (evidence.token, cookie) {
        (true, true) => {
            // Token and cookie are proof enough; an account without a number is told apart by its address.
            let id = evidence.id.clone().or_else(|| evidence.email.clone());
            let id = id.unwrap_or_else(|| "unknown".into());
            Finding::SignedIn(Account { id, email: evidence.email.clone() })
        }
        (true, false) => Finding::SignedOut("the page has a token but the browser no account cookie".into()),
        (false, true) => Finding::SignedOut("the session has lapsed (account cookie, but no token)".into()),
        (false, false) if evidence.globals => {
            Finding::SignedOut("the library shows its landing page for visitors".into())
        }
        (false, false) => Finding::SignedOut("neither a token nor an account cookie".into()),
    }
}

/// What Google wants, by the address of its screen (contract 1.3, 2.2).
fn screen(place: &str) -> &'static str {
    const SCREENS: [(&str, &str); 7] = [
        ("signinchooser", "Google asks which account it is"),
        ("shadowdisambiguate", "Google asks which account it is"),
        ("confirmidentifier", "Google asks whether it is still you"),
        ("challenge/pwd", "Google asks for the password"),
        ("challenge/dp", "Google waits for a word on your phone"),
        ("challenge/", "Google asks for a proof that it is you"),
        ("passkeyenrollment", "Google offers a passkey before it goes on"),
    ];
    let known = SCREENS.iter().find(|(mark, _)| place.contains(mark));
    known.map_or("the library sends us to the sign-in page", |(_, said)| said)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn landing(place: &str, status: u16) -> Landing {
        Landing {
            place: place.into(),
            status,
            kind: "text/html".into(),
            ready: "complete".into(),
            marked: false,
        }
    }

    fn evidence(token: bool, cookies: &[&str]) -> Evidence {
        let cookies = cookies.iter().map(|&c| c.to_owned()).collect();
        Evidence {
            token,
            globals: true,
            email: Some("a@b".into()),
            id: Some("117".into()),
            cookies,
            failure: None,
        }
    }

    #[test]
    fn only_token_and_cookie_together_are_a_session() {
        let home = landing(LIBRARY, 200);
        let signed_in = judge(&home, &evidence(true, &["NID", "SAPISID"]));
        assert_eq!(signed_in, Finding::SignedIn(Account { id: "117".into(), email: Some("a@b".into()) }));
        let out = |f| matches!(f, Finding::SignedOut(_));
        assert!(out(judge(&home, &evidence(true, &["NID", "AEC", "SOCS"]))));
        assert!(out(judge(&home, &evidence(false, &["SID"]))));
        assert!(out(judge(&home, &evidence(false, &["NID"]))));
        for place in [
            "https://www.google.com/photos/about/",
            "https://accounts.google.com/v3/signin/identifier",
            "https://accounts.google.com/v3/signin/rejected",
        ] {
            assert!(out(judge(&landing(place, 200), &evidence(true, &["SID"]))), "{place}");
        }
    }

    #[test]
    fn a_page_that_did_not_come_is_not_a_lost_session() {
        for (place, status) in [("chrome-error://chromewebdata/", 0), (LIBRARY, 503), (LIBRARY, 429)] {
            let finding = judge(&landing(place, status), &evidence(false, &[]));
            assert!(matches!(finding, Finding::Unclear(_)), "{place}");
        }
    }
}
