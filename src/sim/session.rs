//! Who is signed in, and the cookies that say so.

use std::sync::RwLock;

use hyper::HeaderMap;
use hyper::header::COOKIE;

/// What a visitor gets who is not signed in (contract 1.3: both exist).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedOutModel {
    /// A redirect to the public page.
    RedirectToAbout,
    /// Status 200 with a landing page on the same host.
    LandingPage,
    /// "This browser or app may not be secure."
    Rejected,
    /// A riddle that only a person solves.
    Captcha,
}

/// Account cookies by name, and whether scripts may read them.
const COOKIES: [(&str, bool); 11] = [
    ("SID", true),
    ("HSID", false),
    ("SSID", false),
    ("APISID", true),
    ("SAPISID", true),
    ("__Secure-1PSID", false),
    ("__Secure-3PSID", false),
    ("__Secure-1PAPISID", true),
    ("__Secure-3PAPISID", true),
    ("__Secure-1PSIDTS", false),
    ("__Secure-3PSIDTS", false),
];

/// The one account and its session.
pub struct Session {
    inner: RwLock<Inner>,
    seed: u64,
}

struct Inner {
    /// Grows with every sign-in and every lapse: values of old cookies no longer count.
    generation: u64,
    signed_in: bool,
    model: SignedOutModel,
    rotation_refused: bool,
    /// Path of the screen of a sign-in that was shown last.
    screen: Option<String>,
}

impl Session {
    pub(crate) fn new(seed: u64) -> Self {
        let inner = Inner {
            generation: 1,
            signed_in: true,
            model: SignedOutModel::RedirectToAbout,
            rotation_refused: false,
            screen: None,
        };
        Self { inner: RwLock::new(inner), seed }
    }

    /// Ends the session: cookies that were given out no longer count.
    pub fn sign_out(&self, model: SignedOutModel) {
        let mut inner = self.inner.write().unwrap_or_else(|p| p.into_inner());
        (inner.signed_in, inner.model) = (false, model);
    }

    /// Makes the cookies that were given out count again.
    pub fn sign_in(&self) {
        self.inner.write().unwrap_or_else(|p| p.into_inner()).signed_in = true;
    }

    /// Somebody has signed in: the cookies are new ones.
    pub(crate) fn begin(&self) {
        let mut inner = self.inner.write().unwrap_or_else(|p| p.into_inner());
        (inner.signed_in, inner.generation) = (true, inner.generation + 1);
    }

    pub(crate) fn shows(&self, screen: &str) {
        self.inner.write().unwrap_or_else(|p| p.into_inner()).screen = Some(screen.to_owned());
    }

    /// Path of the screen of a sign-in that was shown last.
    pub fn last_screen(&self) -> Option<String> {
        self.inner.read().unwrap_or_else(|p| p.into_inner()).screen.clone()
    }

    /// Answers cookie rotation with 401 from now on.
    pub fn refuse_rotation(&self, refuse: bool) {
        self.inner.write().unwrap_or_else(|p| p.into_inner()).rotation_refused = refuse;
    }

    pub(crate) fn rotation_is_refused(&self) -> bool {
        self.inner.read().unwrap_or_else(|p| p.into_inner()).rotation_refused
    }

    pub(crate) fn model(&self) -> SignedOutModel {
        self.inner.read().unwrap_or_else(|p| p.into_inner()).model
    }

    /// The secret value of a cookie.
    fn value(&self, name: &str) -> String {
        let generation = self.inner.read().unwrap_or_else(|p| p.into_inner()).generation;
        let digest =
            crate::model::digest::digests_of(format!("{}/{generation}/{name}", self.seed).as_bytes());
        format!("g.a000{}", &digest.sha256.hex()[..48])
    }

    /// A piece of text that is in every request that carries the account cookies, and nowhere else.
    pub fn secret(&self) -> String {
        self.value("SID")
    }

    /// The CSRF token of pages and calls.
    pub(crate) fn token(&self) -> String {
        format!("AMte4l{}:{}", &self.value("at")[6..40], 1_700_000_000_000_u64)
    }

    /// Whether the request carries the account cookies at all.
    pub(crate) fn is_carried(&self, headers: &HeaderMap) -> bool {
        let wanted = format!("SID={}", self.secret());
        headers.get_all(COOKIE).iter().any(|value| {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            text.split(';').any(|pair| pair.trim() == wanted)
        })
    }

    /// Whether the request is of the signed-in account.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        self.inner.read().unwrap_or_else(|p| p.into_inner()).signed_in && self.is_carried(headers)
    }

    /// `Set-Cookie` lines of a sign-in.
    pub(crate) fn cookies(&self) -> Vec<String> {
        COOKIES
            .iter()
            .map(|(name, readable)| {
                let value = self.value(name);
                let hidden = if *readable { "" } else { "; HttpOnly" };
                format!("{name}={value}; Domain=.google.com; Path=/; Max-Age=34560000; Secure{hidden}")
            })
            .collect()
    }

    /// `Set-Cookie` lines that every answer brings.
    pub(crate) fn freshness() -> Vec<String> {
        ["SIDCC", "__Secure-1PSIDCC", "__Secure-3PSIDCC"]
            .iter()
            .map(|name| {
                let value = fastrand::u64(..);
                format!("{name}=AKEyXz{value:016x}; Domain=.google.com; Path=/; Max-Age=31536000; Secure")
            })
            .collect()
    }
}
