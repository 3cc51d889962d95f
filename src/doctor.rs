//! `shoebox doctor`: asks the volume and the machine whether they do what everything else relies on, and says what to
//! do where they do not.

pub mod host;
pub mod volume;

use serde::Serialize;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// As it should be.
    Good,
    /// It works, with something lacking that a person should know of.
    Doubtful,
    /// Do not archive here before this is mended.
    Bad,
}

/// What was found about one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The thing, a word or two.
    pub about: &'static str,
    /// How serious it is.
    pub severity: Severity,
    /// What was found, one sentence.
    pub found: String,
    /// What to do about it.
    pub advice: Option<&'static str>,
}

impl Finding {
    fn good(about: &'static str, found: impl Into<String>) -> Self {
        Self { about, severity: Severity::Good, found: found.into(), advice: None }
    }

    fn doubtful(about: &'static str, found: impl Into<String>, advice: &'static str) -> Self {
        Self { about, severity: Severity::Doubtful, found: found.into(), advice: Some(advice) }
    }

    fn bad(about: &'static str, found: impl Into<String>, advice: &'static str) -> Self {
        Self { about, severity: Severity::Bad, found: found.into(), advice: Some(advice) }
    }
}
