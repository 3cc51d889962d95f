//! How a pass ended.

use jiff::Timestamp;
use serde::Serialize;

use super::progress::{Progress, Snapshot};
use crate::index::{IndexError, RunNote};
use crate::ingest::IngestError;
use crate::model::ErrorClass;
use crate::remote::RemoteError;

/// How a pass ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything listed is archived.
    Complete,
    /// The pass went through, but some items were set aside.
    Partial,
    /// Somebody asked it to stop.
    Interrupted,
    /// A person must sign in.
    SignInNeeded(String),
    /// The volume is full; it goes on once so many bytes are free beside the reserve.
    DiskFull {
        /// Bytes.
        needed: u64,
        /// In words.
        why: String,
    },
    /// It could not go on.
    Failed(String),
}

impl From<RemoteError> for Outcome {
    fn from(error: RemoteError) -> Self {
        Self::of(error.class(), error.to_string())
    }
}

impl From<IndexError> for Outcome {
    fn from(error: IndexError) -> Self {
        IngestError::from(error).into()
    }
}

impl From<IngestError> for Outcome {
    fn from(error: IngestError) -> Self {
        match error.lacks_space() {
            Some(needed) => Self::DiskFull { needed, why: error.to_string() },
            None => Self::of(error.class(), error.to_string()),
        }
    }
}

impl Outcome {
    /// The outcome of an error that concerns every item.
    pub fn of(class: ErrorClass, text: String) -> Self {
        match class {
            ErrorClass::NeedsHuman => Self::SignInNeeded(text),
            _ => Self::Failed(text),
        }
    }

    /// One word for scripts.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Interrupted => "interrupted",
            Self::SignInNeeded(_) => "sign-in-needed",
            Self::DiskFull { .. } => "disk-full",
            Self::Failed(_) => "failed",
        }
    }
}

/// The result of one pass.
#[derive(Clone, Debug, Serialize)]
pub struct SyncReport {
    /// `complete`, `partial`, `interrupted`, `sign-in-needed`, `disk-full` or `failed`.
    pub outcome: &'static str,
    /// Why, where it did not complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Items in Google's listing.
    pub listed: u64,
    /// Of these, archived before.
    pub already_archived: u64,
    /// Items archived by this pass.
    pub archived: u64,
    /// Files stored by this pass.
    pub files: u64,
    /// Bytes received by this pass.
    pub bytes: u64,
    /// Items of which something was set aside.
    pub set_aside: u64,
    /// Listing rows that could not be read.
    pub unreadable: u64,
    /// Attempts that had to be repeated.
    pub retries: u64,
    /// Items of which only the facts were recorded anew.
    pub revised: u64,
    /// Items that are no longer in the library, newly noted.
    pub gone: u64,
    /// Albums recorded anew.
    pub albums: u64,
    /// Live Photos archived by this pass whose video Google did not hand out.
    pub without_video: u64,
    /// Whether the whole library was listed, or only what is new.
    pub whole: bool,
    /// Whose library it is, if it was reached: e-mail address, or Google's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Whether Google refused to renew the browser's session.
    pub renewal_refused: bool,
    /// What Google has changed since the last pass, in a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    #[serde(skip)]
    full_outcome: Outcome,
}

impl SyncReport {
    pub(crate) fn new(progress: &Progress, outcome: Outcome, started: Timestamp, ended: Timestamp) -> Self {
        let counted = progress.snapshot();
        let Snapshot { set_aside, unreadable, .. } = counted;
        let outcome = match outcome {
            Outcome::Complete if set_aside + unreadable > 0 => Outcome::Partial,
            other => other,
        };
        let reason = match &outcome {
            Outcome::SignInNeeded(why) | Outcome::DiskFull { why, .. } | Outcome::Failed(why) => {
                Some(why.clone())
            }
            _ => None,
        };
        Self {
            outcome: outcome.word(),
            reason,
            started,
            ended,
            listed: counted.listed,
            already_archived: counted.kept,
            archived: counted.archived,
            files: counted.parts,
            bytes: counted.bytes,
            set_aside,
            unreadable,
            retries: counted.retries,
            revised: counted.revised,
            gone: counted.gone,
            albums: counted.albums,
            without_video: counted.without_video,
            whole: counted.lists_everything,
            account: None,
            renewal_refused: false,
            changes: Vec::new(),
            full_outcome: outcome,
        }
    }

    /// How it ended.
    pub fn outcome(&self) -> &Outcome {
        &self.full_outcome
    }

    /// What the index keeps of it, under the account's name.
    pub(crate) fn note(&self, account: &str) -> RunNote {
        RunNote {
            account: account.to_owned(),
            started: self.started,
            ended: self.ended,
            outcome: self.outcome.to_owned(),
            listed: self.listed,
            archived: self.archived,
            quarantined: self.set_aside,
            failed: self.unreadable,
            bytes: self.bytes,
        }
    }

    /// The report in a sentence or two.
    pub fn sentence(&self) -> String {
        let seconds = self.ended.duration_since(self.started).as_secs_f64().max(0.001);
        let size = bytesize::ByteSize(self.bytes);
        let mut text = match &self.full_outcome {
            Outcome::Complete if self.archived == 0 && self.whole => {
                format!("Nothing new: all {} listed items are archived. Nothing was downloaded.", self.listed)
            }
            Outcome::Complete if self.archived == 0 => {
                "Nothing new since the last complete listing. Nothing was downloaded.".to_owned()
            }
            // It came to nothing: what follows says why.
            _ if self.listed == 0 && self.archived == 0 => String::new(),
            _ => format!(
                "{} of {} listed items archived in this run ({} files, {size}, {:.1} items/s); {} were archived before.",
                self.archived,
                self.listed,
                self.files,
                self.archived as f64 / seconds,
                self.already_archived,
            ),
        };
        for (number, one, many) in [
            (self.revised, "item has new facts", "items have new facts"),
            (self.albums, "album has changed", "albums have changed"),
            (
                self.gone,
                "item is no longer in the library; it stays in the archive",
                "items are no longer in the library; they stay in the archive",
            ),
            (
                self.without_video,
                "Live Photo came as a still: Google handed out no video of it (the log names it)",
                "Live Photos came as stills: Google handed out no video of them (the log names them)",
            ),
            (
                self.set_aside,
                "item was set aside; the next run tries it again (`shoebox status` names it)",
                "items were set aside; the next run tries them again (`shoebox status` names them)",
            ),
            (
                self.unreadable,
                "row of the listing could not be read",
                "rows of the listing could not be read",
            ),
        ] {
            match number {
                0 => {}
                1 => text += &format!(" 1 {one}."),
                _ => text += &format!(" {number} {many}."),
            }
        }
        match &self.full_outcome {
            Outcome::Interrupted => text += " Stopped when asked; run it again to go on.",
            Outcome::SignInNeeded(why) => {
                text += &format!(
                    " Sign-in needed: {why}. Sign in to Google with the browser on this profile, then run it again."
                );
            }
            Outcome::DiskFull { why, .. } => {
                text += &format!(
                    " The volume is full: {why}. Nothing is lost; make room, and the next run goes on."
                );
            }
            Outcome::Failed(why) => text += &format!(" The run failed: {why}."),
            Outcome::Complete | Outcome::Partial => {}
        }
        text.trim_start().to_owned()
    }
}
