//! Is the person signed in, and what are they told about it? A state machine over what each visit to Google found, kept in
//! a file, so that a restart tells nothing twice.
//!
//! ```text
//! unknown ──▶ signed in ◀──▶ expiring ──▶ needs a person ──▶ signed in
//!                 └──────────────────────▶ rejected ────────▶ signed in
//! ```
//! What says nothing about the session (no network, a browser that does not start) changes nothing.

pub mod desk;
pub mod desktop;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::remote::RemoteError;
use crate::remote::browser::launch::BrowserSettings;
use crate::remote::google::Visit;
use crate::small_file;

/// A person who is needed is reminded once in this time.
pub const BETWEEN_REMINDERS: SignedDuration = SignedDuration::from_hours(24);
/// A session that nobody visits dies: longest time between two visits.
pub const BETWEEN_VISITS: SignedDuration = SignedDuration::from_hours(12);

/// How things stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// Nobody has looked yet.
    Unknown,
    /// Signed in.
    SignedIn {
        /// E-mail address of the account, or Google's number of it.
        account: String,
    },
    /// Signed in, but Google does not renew the session.
    Expiring {
        /// E-mail address of the account, or Google's number of it.
        account: String,
        /// In words.
        why: String,
    },
    /// A person must sign in.
    NeedsPerson {
        /// What the browser showed.
        why: String,
    },
    /// Google does not let this browser sign in.
    Rejected {
        /// What the browser showed.
        why: String,
    },
}

impl State {
    /// Whether a run can reach the library.
    pub fn is_signed_in(&self) -> bool {
        matches!(self, Self::SignedIn { .. } | Self::Expiring { .. })
    }

    /// Who is signed in.
    pub fn account(&self) -> Option<&str> {
        match self {
            Self::SignedIn { account } | Self::Expiring { account, .. } => Some(account),
            _ => None,
        }
    }

    /// Whether somebody must sign in.
    pub fn needs_person(&self) -> bool {
        matches!(self, Self::NeedsPerson { .. } | Self::Rejected { .. })
    }

    /// One word for scripts.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::SignedIn { .. } => "signed-in",
            Self::Expiring { .. } => "expiring",
            Self::NeedsPerson { .. } => "needs-person",
            Self::Rejected { .. } => "rejected",
        }
    }
}

/// What a visit found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The library, with this account.
    SignedIn {
        /// E-mail address of the account, or Google's number of it.
        account: String,
        /// Google was asked to renew the session, and refused: what to know of that.
        renewal_refused: Option<String>,
    },
    /// Somebody must sign in.
    SignedOut {
        /// What was seen.
        why: String,
        /// Google does not accept this browser.
        rejected: bool,
    },
    /// Nothing that says anything about the session.
    Unclear,
}

impl Finding {
    /// Nobody is signed in, by this evidence.
    pub fn signed_out(why: &str) -> Self {
        Self::SignedOut { why: why.to_owned(), rejected: why.contains("rejected") }
    }
}

/// That Google does not renew the session, with what helps: some measured that it does so for Chromium alone. `chrome`
/// says whether the browser is Google Chrome already.
pub fn not_renewed(chrome: bool) -> String {
    let fact = "Google refuses to renew this browser's session";
    if chrome || !cfg!(target_arch = "x86_64") {
        return fact.into();
    }
    format!("{fact}; Google Chrome often keeps it where Chromium does not: set SHOEBOX_BROWSER=chrome")
}

/// What a visit with this browser says of the session: nothing, unless Google said who is signed in, or that nobody is.
fn finding(visited: &Result<Visit, RemoteError>, browser: &BrowserSettings) -> Finding {
    match visited {
        Ok(visit) => Finding::SignedIn {
            account: visit.account.email.clone().unwrap_or_else(|| visit.account.id.clone()),
            renewal_refused: visit.renewal_refused.then(|| not_renewed(browser.chrome.is_some())),
        },
        Err(RemoteError::SignedOut { evidence }) => Finding::signed_out(evidence),
        Err(_) => Finding::Unclear,
    }
}

/// What a person is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// They must sign in.
    SignIn,
    /// They still must.
    StillSignIn,
    /// All is well again.
    Recovered,
}

/// The login of one profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// How things stand.
    #[serde(flatten)]
    pub state: State,
    /// Since when.
    pub since: Timestamp,
    /// When the library was last reached.
    pub visited: Option<Timestamp>,
    /// When a person was last told that they are needed.
    told: Option<Timestamp>,
}

impl Login {
    /// Nobody has looked yet.
    pub fn unknown(now: Timestamp) -> Self {
        Self { state: State::Unknown, since: now, visited: None, told: None }
    }

    /// Takes in what a visit found; answers what a person is to be told.
    pub fn observe(&mut self, finding: Finding, now: Timestamp) -> Option<Word> {
        let next = match finding {
            Finding::Unclear => return None,
            Finding::SignedIn { account, renewal_refused: None } => State::SignedIn { account },
            Finding::SignedIn { account, renewal_refused: Some(why) } => State::Expiring { account, why },
            Finding::SignedOut { why, rejected: false } => State::NeedsPerson { why },
            Finding::SignedOut { why, rejected: true } => State::Rejected { why },
        };
        if next.is_signed_in() {
            self.visited = Some(now);
        }
        let before = std::mem::replace(&mut self.state, next);
        let changed = before.word() != self.state.word();
        if changed {
            self.since = now;
        }
        let word = match (&before, &self.state) {
            (State::NeedsPerson { .. } | State::Rejected { .. }, there) if there.is_signed_in() => {
                Some(Word::Recovered)
            }
            // A session that is not renewed is shown: whether it will end, nobody knows before it does.
            (_, State::NeedsPerson { .. } | State::Rejected { .. }) if changed => Some(Word::SignIn),
            (_, State::NeedsPerson { .. } | State::Rejected { .. }) if self.is_reminder_due(now) => {
                Some(Word::StillSignIn)
            }
            _ => None,
        };
        if word.is_some() {
            self.told = Some(now);
        }
        word
    }

    /// Whether whoever is needed has heard nothing for a day. A clock that was set back does not silence us.
    pub fn is_reminder_due(&self, now: Timestamp) -> bool {
        let age = self.told.map(|told| now.duration_since(told));
        self.state.needs_person()
            && age.is_none_or(|age| age >= BETWEEN_REMINDERS || age < SignedDuration::ZERO)
    }

    /// A reminder is told now.
    pub fn remind(&mut self, now: Timestamp) -> Option<Word> {
        self.is_reminder_due(now).then(|| {
            self.told = Some(now);
            Word::StillSignIn
        })
    }

    /// When the library must be visited, so that the session lives; nothing where there is none.
    pub fn visit_due(&self) -> Option<Timestamp> {
        let visited = self.visited.filter(|_| self.state.is_signed_in())?;
        visited.checked_add(BETWEEN_VISITS).ok()
    }

    /// Reads what is kept beside the profile; what is not readable is as good as nothing.
    pub fn load(profile: &Path, now: Timestamp) -> Self {
        let kept = fs::read(path(profile)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        kept.unwrap_or_else(|| Self::unknown(now))
    }

    /// Keeps it beside the profile.
    pub fn save(&self, profile: &Path) -> io::Result<()> {
        small_file::replace(&path(profile), self)
    }
}

fn path(profile: &Path) -> PathBuf {
    profile.join("shoebox-login.json")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use jiff::ToSpan as _;

    fn signed_in() -> Finding {
        Finding::SignedIn { account: "117".into(), renewal_refused: None }
    }

    fn signed_out() -> Finding {
        Finding::SignedOut { why: "the sign-in page".into(), rejected: false }
    }

    #[test]
    fn a_lapse_is_told_once_and_then_once_a_day_until_it_is_over() {
        let begin: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let mut session = Login::unknown(begin);
        assert_eq!(session.observe(signed_in(), begin), None);
        let mut told = Vec::new();
        for hour in 1..=60 {
            let now = begin + i64::from(hour).hours();
            told.extend(session.observe(signed_out(), now).map(|word| (hour, word)));
        }
        assert_eq!(told, [(1, Word::SignIn), (25, Word::StillSignIn), (49, Word::StillSignIn)]);
        assert_eq!(session.observe(signed_in(), begin + 61.hours()), Some(Word::Recovered));
        assert_eq!(session.observe(signed_in(), begin + 62.hours()), None);
    }

    #[test]
    fn trouble_of_the_machine_says_nothing_about_the_session() {
        let now = Timestamp::UNIX_EPOCH;
        let mut session = Login::unknown(now);
        for finding in [signed_in(), signed_out()] {
            session.observe(finding, now);
            let before = session.clone();
            assert_eq!(session.observe(Finding::Unclear, now + 100.hours()), None);
            assert_eq!(session, before);
        }
    }

    #[test]
    fn a_session_that_is_not_renewed_is_shown_and_alarms_nobody_before_it_ends() {
        let now = Timestamp::UNIX_EPOCH;
        let mut session = Login::unknown(now);
        let refused =
            || Finding::SignedIn { account: "117".into(), renewal_refused: Some(not_renewed(false)) };
        assert_eq!(session.observe(refused(), now), None);
        assert_eq!((session.state.word(), session.visit_due()), ("expiring", Some(now + 12.hours())));
        assert_eq!(session.observe(signed_in(), now + 12.hours()), None);
        session.observe(refused(), now + 18.hours());
        assert_eq!(session.observe(signed_out(), now + 24.hours()), Some(Word::SignIn));
        assert_eq!(session.observe(refused(), now + 30.hours()), Some(Word::Recovered));
    }

    #[test]
    fn a_session_is_visited_twice_a_day_while_there_is_one() {
        let now = Timestamp::UNIX_EPOCH;
        let mut session = Login::unknown(now);
        assert_eq!(session.visit_due(), None);
        session.observe(signed_in(), now);
        assert_eq!(session.visit_due(), Some(now + 12.hours()));
        session.observe(signed_out(), now + 1.hour());
        assert_eq!(session.visit_due(), None);
    }

    #[test]
    fn a_restart_forgets_nothing_and_garbage_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let mut session = Login::load(dir.path(), now);
        session.observe(signed_out(), now);
        session.save(dir.path()).unwrap();
        let mut again = Login::load(dir.path(), now);
        assert_eq!(again, session);
        assert_eq!(again.observe(signed_out(), now + 1.hour()), None, "told again after a restart");
        fs::write(path(dir.path()), "{").unwrap();
        assert_eq!(Login::load(dir.path(), now), Login::unknown(now));
    }
}
