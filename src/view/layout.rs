//! What a view looks like: its path as a template over an item's facts, and which items it shows.
//!
//! ```toml
//! [view.by-date]
//! path = "{year}/{year}-{month}/{name}"
//! show = "not gone"
//! ```
//!
//! # Fields
//! | field | what it stands for | where nothing is known |
//! | --- | --- | --- |
//! | `year` `month` `day` | date of capture by the clock at the place of capture; 4, 2 and 2 digits | 1970-01-01 |
//! | `hour` `minute` `second` | time of capture by the same clock, 2 digits each | 00 |
//! | `added` | day on which the archive got the item, `YYYY-MM-DD` in UTC | – |
//! | `camera` | maker and model of the camera, one spelling; else `Screenshots`, `Scanner`, `Messengers`, `Edited elsewhere` | `Unknown camera` |
//! | `lens` | lens as the file names it | `Unknown lens` |
//! | `country` `region` `city` | where it was taken | `Unknown country`, … |
//! | `type` | `Photos`, `Videos`, `Live`, `Raw`, `Screenshots` or `Animations` | `Other` |
//! | `album` | title of an album; an item appears in each of its albums | not shown |
//! | `position` | place in the album, such that items that are added later rename none: `00012`, `00012.5` | not shown |
//! | `owner` | who shared it, by their key | `Unknown owner` |
//! | `account` | the account whose library it is in: its name, or Google's number of it where it has none | – |
//! | `content` | the first 12 hex digits of the SHA-256 of the original | – |
//! | `name` | the item's name; ends every path | – |
//!
//! `{camera|No camera}` says another word for what is not known. In front of `{name}`, in the last part of a
//! path, stand dates, times and `position` only, because their length is known.
//!
//! # What is shown
//! `show` is a condition: words with `and`, `or`, `not` and parentheses. Words are `favourite`, `archived`,
//! `gone` (no longer at Google), `shared` (somebody else's), `in-album`, `duplicate` (its bytes are those of
//! another item of the same account too), `repeat` (an earlier item of another account has all
//! files of this one, its date and its place, and is neither gone nor archived where this one is not: once is enough), `recent` (added in the 30 days before the last addition), `edited`, `photo`, `video`,
//! `live`, `raw`, `screenshot`, `animation`, `placed` (the place is known), `camera` and `lens` (known),
//! `date-conflict` (what is known of its date contradicts itself).
//! Comparisons are `year >= 2020` (also `month`, `day`) and `camera = "Canon EOS 5D"` (also `lens`, `country`,
//! `region`, `city`, `type`, `album`, `owner`, `account`; case does not matter).

mod config;
mod field;
mod filter;
mod shipped;
mod template;

pub use config::{ConfigError, ViewConfig, parse};
pub use field::{Field, Kind};
pub use filter::{Compare, Filter, Word};
pub use shipped::shipped;
pub use template::{Piece, Template};

use crate::model::PartRole;

/// One view.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Its name: the directory at the root.
    pub name: String,
    /// One sentence about it, for lists.
    pub about: String,
    /// Where items are.
    pub path: Template,
    /// Which items are there.
    pub show: Filter,
    /// Which of their files.
    pub parts: Vec<PartRole>,
    /// Whether each original has an XMP sidecar beside it.
    pub sidecars: bool,
    /// Whether names are such that Windows takes them.
    pub portable: bool,
}

/// What is wrong with a text, and where: `column` counts characters from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Position of the first character that is wrong.
    pub column: usize,
    /// A sentence.
    pub why: String,
}

impl Mistake {
    fn at(column: usize, why: impl Into<String>) -> Self {
        Self { column: column + 1, why: why.into() }
    }

    /// The text with a mark below the mistake.
    pub fn show(&self, text: &str) -> String {
        format!("{}\n  {text}\n  {:>width$}", self.why, "^", width = self.column)
    }
}
