//! What is archived by month of capture, in memory: a page of photos is found without asking for all of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::DateTime;

use crate::index::{IndexError, IndexReader};

/// Items that are asked for at once.
const GROUP: usize = 10_000;

/// A month of the calendar, by the clock at the place of capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i16,
    month: i8,
}

impl Month {
    fn of(at: DateTime) -> Self {
        Self { year: at.year(), month: at.month() }
    }

    /// Reads `2024-05`.
    pub fn parse(text: &str) -> Option<Self> {
        let (year, month) = text.rsplit_once('-')?;
        let month = Self { year: year.parse().ok()?, month: month.parse().ok()? };
        ((1..=12).contains(&month.month) && month.path() == text).then_some(month)
    }

    /// `2024-05`.
    pub fn path(self) -> String {
        format!("{:04}-{:02}", self.year, self.month)
    }

    /// `May 2024`.
    pub fn name(self) -> String {
        format!("{} {}", self.short(), self.year)
    }

    /// `May`.
    pub fn short(self) -> &'static str {
        const NAMES: [&str; 12] = [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ];
        usize::try_from(self.month - 1).ok().and_then(|at| NAMES.get(at)).copied().unwrap_or_default()
    }

    /// The year.
    pub fn year(self) -> i16 {
        self.year
    }
}

/// When an item was taken, and its number: sorts as people expect photos to be.
type Place = (DateTime, u64);

/// The catalogue.
#[derive(Default)]
pub struct Catalogue {
    epoch: String,
    change: u64,
    places: HashMap<u64, DateTime>,
    months: BTreeMap<Month, BTreeSet<Place>>,
}

impl Catalogue {
    /// Takes in what has changed since the last time.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn refresh(&mut self, reader: &IndexReader) -> Result<(), IndexError> {
        let epoch = reader.epoch()?;
        if epoch != self.epoch {
            *self = Self { epoch, ..Self::default() };
        }
        loop {
            let items = reader.items_after(self.change, GROUP)?;
            let Some(last) = items.last() else { return Ok(()) };
            self.change = last.change;
            for item in &items {
                self.put(item.ordinal, item.taken.local);
            }
        }
    }

    fn put(&mut self, ordinal: u64, taken: DateTime) {
        if let Some(before) = self.places.insert(ordinal, taken)
            && let Some(month) = self.months.get_mut(&Month::of(before))
        {
            month.remove(&(before, ordinal));
            if month.is_empty() {
                self.months.remove(&Month::of(before));
            }
        }
        self.months.entry(Month::of(taken)).or_default().insert((taken, ordinal));
    }

    /// The months, latest first, and how many items each has.
    pub fn months(&self) -> Vec<(Month, usize)> {
        self.months.iter().rev().map(|(month, items)| (*month, items.len())).collect()
    }

    /// The numbers of the items of a month, latest first, without the first `skip` and at most `most`.
    pub fn items(&self, month: Month, skip: usize, most: usize) -> Vec<u64> {
        let items = self.months.get(&month).into_iter().flatten().rev();
        items.skip(skip).take(most).map(|&(_, ordinal)| ordinal).collect()
    }

    /// The items before and after one, in the order of time.
    pub fn neighbours(&self, ordinal: u64) -> (Option<u64>, Option<u64>) {
        let Some(&taken) = self.places.get(&ordinal) else { return (None, None) };
        let (month, place) = (Month::of(taken), (taken, ordinal));
        let before =
            self.months.range(..=month).rev().find_map(|(_, items)| items.range(..place).next_back());
        let after = self.months.range(month..).find_map(|(_, items)| {
            items.range((std::ops::Bound::Excluded(place), std::ops::Bound::Unbounded)).next()
        });
        (before.map(|&(_, ordinal)| ordinal), after.map(|&(_, ordinal)| ordinal))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn catalogue(items: &[(u64, &str)]) -> Catalogue {
        let mut catalogue = Catalogue::default();
        for (ordinal, taken) in items {
            catalogue.put(*ordinal, taken.parse().unwrap());
        }
        catalogue
    }

    fn month(text: &str) -> Month {
        Month::parse(text).unwrap()
    }

    #[test]
    fn months_are_written_one_way() {
        assert_eq!(month("2024-05").name(), "May 2024");
        assert_eq!(month("0001-12").path(), "0001-12");
        for bad in ["2024-13", "2024-00", "2024-5", "2024", "x-05", "", "-05", "2024-05-01"] {
            assert_eq!(Month::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn items_are_in_order_and_move_with_their_date() {
        let mut all = catalogue(&[
            (1, "2024-05-01T10:00:00"),
            (2, "2024-05-03T10:00:00"),
            (3, "2024-05-03T10:00:00"),
            (4, "2019-01-01T00:00:00"),
        ]);
        assert_eq!(all.months(), [(month("2024-05"), 3), (month("2019-01"), 1)]);
        assert_eq!(all.items(month("2024-05"), 0, 10), [3, 2, 1]);
        assert_eq!(all.items(month("2024-05"), 1, 1), [2]);
        assert_eq!(all.items(month("1990-01"), 0, 10), [] as [u64; 0]);
        assert_eq!(all.neighbours(1), (Some(4), Some(2)));
        assert_eq!(all.neighbours(4), (None, Some(1)));
        assert_eq!(all.neighbours(3), (Some(2), None));
        assert_eq!(all.neighbours(9), (None, None));
        all.put(4, "2024-05-02T00:00:00".parse().unwrap());
        assert_eq!(all.months(), [(month("2024-05"), 4)]);
        assert_eq!(all.items(month("2024-05"), 0, 10), [3, 2, 4, 1]);
    }
}
