//! The time machine: `@/2026-03-01/…` is every view as it was at the end of that day, in UTC.
//!
//! `@` stands in the root without being listed there, so that nothing that walks a view walks all its pasts.
//! Its trees are made when somebody asks, from records alone, and the last two are kept.

use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use jiff::civil::Date;

use super::errno::FsError;
use super::layout::View;
use super::source::{Source, load_past};
use super::tree::{Attr, Realm, Tree};
use crate::index::PartFacts;
use crate::model::Sha256;

/// The inode of `@`.
pub const AT: u64 = 2;
/// Its name.
pub const NAME: &str = "@";
/// Trees that are kept; each takes as much memory as the tree of today.
const KEPT: usize = 2;

/// The past of a view.
pub struct History {
    source: Mutex<Box<dyn Source>>,
    views: Vec<View>,
    /// Latest used last.
    trees: Mutex<Vec<(Date, Arc<Tree>)>>,
    since: Timestamp,
}

impl History {
    /// The past that a source knows.
    pub fn new(source: Box<dyn Source>, views: Vec<View>) -> Self {
        Self { source: Mutex::new(source), views, trees: Mutex::default(), since: Timestamp::now() }
    }

    /// The attributes of `@`.
    pub fn attr(&self) -> Attr {
        Attr { ino: AT, size: 0, mtime: self.since, is_dir: true, links: 2 }
    }

    /// The tree to which a directory belongs, if that is one of the past.
    ///
    /// # Errors
    /// When the day is not to be had.
    pub fn tree(&self, ino: u64) -> Result<Option<Arc<Tree>>, FsError> {
        Realm::of_ino(ino).map(|day| self.on(day)).transpose()
    }

    /// The tree of a day that is written as `2026-03-01`. The day must be over: what it held is settled then.
    ///
    /// # Errors
    /// When there is no such day.
    pub fn day(&self, name: &str) -> Result<Arc<Tree>, FsError> {
        // One way to write a day: else the same tree would have many names.
        let day: Date = name.parse().map_err(|_| FsError::NotFound)?;
        if day.to_string() != name || self.days()?.first().is_none_or(|first| day < *first) || day >= today()
        {
            return Err(FsError::NotFound);
        }
        self.on(day)
    }

    /// Hands out the days on which something changed, as [`Fs::readdir`](super::fs::Fs::readdir) does.
    ///
    /// # Errors
    /// When the days cannot be read.
    pub fn list(&self, position: u64, mut add: impl FnMut(u64, &str, &Attr) -> bool) -> Result<(), FsError> {
        let dots = [
            (".".to_owned(), self.attr()),
            ("..".to_owned(), Attr { ino: super::tree::ROOT, ..self.attr() }),
        ];
        let days = self.days()?.into_iter().map(|day| {
            let attr = Attr { ino: Realm::Day(day).root(), ..self.attr() };
            (day.to_string(), attr)
        });
        for (at, (name, attr)) in (0_u64..).zip(dots.into_iter().chain(days)) {
            if at >= position && add(at + 1, &name, &attr) {
                break;
            }
        }
        Ok(())
    }

    /// What else is known of a part.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn facts(&self, ordinal: u64, sha256: &Sha256) -> Result<Option<PartFacts>, FsError> {
        lock(&self.source).facts(ordinal, sha256).map_err(refused)
    }

    fn days(&self) -> Result<Vec<Date>, FsError> {
        let mut days = lock(&self.source).days().map_err(refused)?;
        let today = today();
        days.retain(|day| *day < today);
        Ok(days)
    }

    fn on(&self, day: Date) -> Result<Arc<Tree>, FsError> {
        let mut trees = lock(&self.trees);
        let tree = match trees.iter().position(|(known, _)| *known == day) {
            Some(at) => trees.remove(at).1,
            None => Arc::new(load_past(lock(&self.source).as_mut(), &self.views, day).map_err(refused)?),
        };
        if trees.len() >= KEPT {
            trees.remove(0);
        }
        trees.push((day, Arc::clone(&tree)));
        Ok(tree)
    }
}

fn today() -> Date {
    Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

fn refused(why: String) -> FsError {
    tracing::error!("the past of the archive cannot be read: {why}");
    FsError::Io(std::io::Error::other(why))
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
