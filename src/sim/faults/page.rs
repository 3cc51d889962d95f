//! What goes wrong inside a page: the page asks at each of its doings and plays it.

use std::time::Duration;

use serde_json::{Value, json};

/// What goes wrong inside a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageFault {
    /// A download is asked for and never begins.
    NoDownload,
    /// Shift+D or an arrow key does nothing.
    KeyIgnored,
    /// Another photo's file comes.
    WrongPhoto,
    /// A toast says that the video is still processing; no download.
    Toast,
    /// A dialog says that the video is still processing; no download.
    Dialog,
    /// A download begins later.
    Slow(Duration),
    /// The page does nothing for a while before a download.
    Freeze(Duration),
    /// The fields of the info panel never come.
    PanelNever,
    /// The fields of the info panel come later.
    PanelSlow(Duration),
    /// Keys do nothing in a tab that is behind another one.
    Background,
    /// The grid shows its first screen and does not move.
    GridStuck,
    /// No photo of the grid takes the focus.
    GridDeaf,
    /// The grid does not get some of its days at first, and asks again only when it is scrolled.
    DaysFail,
    /// The grid never gets some of its days; a photo's own page does.
    DaysLost,
    /// No page ever gets some of the days.
    DaysGone,
    /// Keys do nothing for so long after the document has begun.
    Deaf(Duration),
}

impl PageFault {
    /// As in the fault script, and for the page.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::NoDownload => "no-download",
            Self::KeyIgnored => "key-ignored",
            Self::WrongPhoto => "wrong-photo",
            Self::Toast => "toast",
            Self::Dialog => "dialog",
            Self::Slow(_) => "slow",
            Self::Freeze(_) => "freeze",
            Self::PanelNever => "panel-never",
            Self::PanelSlow(_) => "panel-slow",
            Self::Background => "background",
            Self::GridStuck => "grid-stuck",
            Self::GridDeaf => "grid-deaf",
            Self::DaysFail => "days-fail",
            Self::DaysLost => "days-lost",
            Self::DaysGone => "days-gone",
            Self::Deaf(_) => "deaf",
        }
    }

    /// Milliseconds, or that it strikes.
    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Slow(time) | Self::Freeze(time) | Self::PanelSlow(time) | Self::Deaf(time) => {
                json!(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
            }
            _ => json!(true),
        }
    }

    /// Whether it can strike with this doing of a page.
    pub(crate) fn concerns(&self, doing: &str) -> bool {
        match self {
            Self::KeyIgnored => matches!(doing, "shortcut" | "arrow"),
            Self::PanelNever | Self::PanelSlow(_) => doing == "panel",
            Self::Deaf(_) => doing == "document",
            // The page knows of it from the beginning.
            Self::Background
            | Self::GridStuck
            | Self::GridDeaf
            | Self::DaysFail
            | Self::DaysLost
            | Self::DaysGone => false,
            _ => matches!(doing, "shortcut" | "download"),
        }
    }

    /// Reads its word; `milliseconds` belong to those that take time.
    pub(crate) fn read(word: &str, milliseconds: u64) -> Option<Self> {
        let time = Duration::from_millis(milliseconds);
        Some(match word {
            "no-download" => Self::NoDownload,
            "key-ignored" => Self::KeyIgnored,
            "wrong-photo" => Self::WrongPhoto,
            "toast" => Self::Toast,
            "dialog" => Self::Dialog,
            "slow" => Self::Slow(time),
            "freeze" => Self::Freeze(time),
            "panel-never" => Self::PanelNever,
            "panel-slow" => Self::PanelSlow(time),
            "background" => Self::Background,
            "grid-stuck" => Self::GridStuck,
            "grid-deaf" => Self::GridDeaf,
            "days-fail" => Self::DaysFail,
            "days-lost" => Self::DaysLost,
            "days-gone" => Self::DaysGone,
            "deaf" => Self::Deaf(time),
            _ => return None,
        })
    }
}
