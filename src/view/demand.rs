//! What those who list directories want: names alone, or attributes too.
//!
//! A listing with attributes fills the kernel's memory, so that a walk that looks at every file asks us nothing
//! more; but a walk that wants names pays several times the price of the names for that. The kernel does not
//! say which it is. So a listing has attributes, but for a few files, the probes: whoever wants attributes asks
//! for those one by one, whoever goes on to the next directory without asking wants names.

use std::time::{Duration, Instant};

/// What a listing holds of files; of directories it always holds everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Names and attributes.
    Whole,
    /// Names and attributes, of the first [`PROBES`] names alone.
    Probing,
    /// Names.
    Names,
}

/// Files of a directory that are probes.
pub const PROBES: usize = 16;
/// Probes from which something follows.
const ENOUGH: u32 = 8;
/// How long a finding holds when nothing confirms it.
const HOLDS: Duration = Duration::from_secs(5);

/// What was found of those who list.
#[derive(Debug, Default)]
pub struct Demand {
    /// Until when a finding holds.
    finding: Option<(Detail, Instant)>,
    /// Names without attributes in listings that were delivered whole, since there is no finding.
    shown: u32,
    /// Files that were asked for one by one since then.
    asked: u32,
    /// The directory that was delivered last.
    last: Option<u64>,
}

impl Demand {
    /// What a listing of that directory shall hold.
    pub fn of(&mut self, directory: u64, now: Instant) -> Detail {
        match self.finding {
            Some((Detail::Names, until)) if now < until => {
                self.find(Detail::Names, now);
                return Detail::Names;
            }
            Some((detail, until)) if now < until => return detail,
            // What was seen before says nothing of those who come now.
            Some(_) => *self = Self::default(),
            None => {}
        }
        // Whoever is still at work on the last one has not decided yet.
        if self.shown >= ENOUGH && self.last.is_some_and(|last| last != directory) {
            let wants_names = self.asked < self.shown / 4;
            return self.find(if wants_names { Detail::Names } else { Detail::Whole }, now);
        }
        Detail::Probing
    }

    /// A listing was delivered to its end, with that many names that had no attributes.
    pub fn delivered(&mut self, directory: u64, names: usize) {
        self.last = Some(directory);
        self.shown = self.shown.saturating_add(u32::try_from(names.min(PROBES)).unwrap_or(0));
    }

    /// A file was asked for by its name.
    pub fn asked(&mut self, now: Instant) {
        self.asked = self.asked.saturating_add(1);
        if self.asked >= ENOUGH {
            self.find(Detail::Whole, now);
        }
    }

    fn find(&mut self, detail: Detail, now: Instant) -> Detail {
        (self.shown, self.asked) = (0, 0);
        self.finding = Some((detail, now + HOLDS));
        detail
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is decided for each of 40 directories of 100 files that are listed one after the other, with that
    /// many questions for files behind each.
    fn walk(demand: &mut Demand, begin: Instant, asked: impl Fn(Detail) -> usize) -> Vec<Detail> {
        (0_u32..40)
            .map(|n| {
                let now = begin + Duration::from_millis(10) * n;
                let detail = demand.of(n.into(), now);
                let names = match detail {
                    Detail::Whole => 0,
                    Detail::Probing => PROBES,
                    Detail::Names => 100,
                };
                demand.delivered(n.into(), names);
                (0..asked(detail)).for_each(|_| demand.asked(now));
                detail
            })
            .collect()
    }

    fn names_alone(_: Detail) -> usize {
        0
    }

    fn attributes(detail: Detail) -> usize {
        match detail {
            Detail::Whole => 0,
            Detail::Probing => PROBES,
            Detail::Names => 100,
        }
    }

    #[test]
    fn who_wants_names_gets_names_after_the_first_directory() {
        let found = walk(&mut Demand::default(), Instant::now(), names_alone);
        assert_eq!(found[0], Detail::Probing);
        assert!(found[1..].iter().all(|detail| *detail == Detail::Names), "{found:?}");
    }

    #[test]
    fn who_wants_attributes_asks_for_the_probes_alone() {
        let found = walk(&mut Demand::default(), Instant::now(), attributes);
        assert_eq!(found[0], Detail::Probing);
        assert!(found[1..].iter().all(|detail| *detail == Detail::Whole), "{found:?}");
    }

    #[test]
    fn another_wish_is_seen_in_the_next_directory() {
        let (mut demand, begin) = (Demand::default(), Instant::now());
        walk(&mut demand, begin, names_alone);
        let found = walk(&mut demand, begin + Duration::from_secs(1), attributes);
        assert!(found[1..].iter().all(|detail| *detail == Detail::Whole), "{found:?}");
        // After a while nothing is certain any more.
        let found = walk(&mut demand, begin + Duration::from_secs(20), names_alone);
        assert_eq!((found[0], found[39]), (Detail::Probing, Detail::Names));
    }

    #[test]
    fn small_directories_tell_it_together_and_a_stray_question_does_not_count() {
        let (mut demand, now) = (Demand::default(), Instant::now());
        for n in 0..4 {
            assert_eq!(demand.of(n, now), Detail::Probing);
            demand.delivered(n, 2);
        }
        demand.asked(now);
        assert_eq!(demand.of(3, now), Detail::Probing, "it may still ask");
        assert_eq!(demand.of(4, now), Detail::Names);
    }
}
