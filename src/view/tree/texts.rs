//! The words that many items share, each kept once.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::model::Origin;
use crate::model::camera::{camera_dir, camera_fold};
use crate::model::name::fold;
use crate::view::places::{Place, Places};

/// A list of different texts; a number stands for each. 0 stands for nothing known.
#[derive(Default)]
pub struct Texts {
    list: Vec<Box<str>>,
    by_fold: HashMap<Box<str>, u32, RandomState>,
    /// As written, so that each is folded once.
    by_text: HashMap<Box<str>, u32, RandomState>,
}

impl Texts {
    /// The number of a text; texts that fold alike share one, and the first is shown.
    pub fn id(&mut self, text: &str) -> u32 {
        if let Some(id) = self.by_text.get(text) {
            return *id;
        }
        let id = self.id_as(&fold(text), text);
        self.by_text.insert(text.into(), id);
        id
    }

    fn id_as(&mut self, key: &str, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        if let Some(id) = self.by_fold.get(key) {
            return *id;
        }
        self.list.push(text.into());
        let id = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.by_fold.insert(key.into(), id);
        id
    }

    /// The number of a text that is there; 0 for any other.
    pub fn find(&self, text: &str) -> u32 {
        self.by_fold.get(fold(text).as_str()).copied().unwrap_or(0)
    }

    /// Takes all texts of another list.
    fn append(&mut self, other: &Self, key: impl Fn(&str) -> String) -> Here {
        Here(other.list.iter().map(|text| self.id_as(&key(text), text)).collect())
    }

    /// The text behind a number.
    pub fn get(&self, id: u32) -> Option<&str> {
        self.list.get((id as usize).checked_sub(1)?).map(AsRef::as_ref)
    }
}

/// The numbers here of what has the numbers 1, 2, … in another list.
#[derive(Debug)]
pub struct Here(Vec<u32>);

impl Here {
    /// The number here of a number there.
    pub fn of(&self, there: u32) -> u32 {
        (there as usize).checked_sub(1).and_then(|at| self.0.get(at)).copied().unwrap_or(0)
    }
}

/// The numbers here of everything that another one names.
#[derive(Debug)]
pub struct Numbers {
    /// Of its cameras.
    pub cameras: Here,
    /// Of its lenses.
    pub lenses: Here,
    /// Of its owners.
    pub owners: Here,
    /// Of its accounts.
    pub accounts: Here,
    /// Of its places.
    pub places: Here,
}

/// Everything that is named by a text.
#[derive(Default)]
pub struct Named {
    /// Cameras, by what their spellings share.
    pub cameras: Texts,
    /// Lenses.
    pub lenses: Texts,
    /// Owners' keys.
    pub owners: Texts,
    /// Accounts.
    pub accounts: Texts,
    /// Countries.
    pub countries: Texts,
    /// Regions.
    pub regions: Texts,
    /// Cities.
    pub cities: Texts,
    /// What is known of a maker and a model as written; naming them anew for every photo would be slow.
    by_writing: HashMap<Box<str>, HashMap<Box<str>, u32, RandomState>, RandomState>,
    places: Places,
    /// Country, region and city by number.
    found: Vec<[u32; 3]>,
    by_ids: HashMap<[u32; 3], u32, RandomState>,
    by_cell: HashMap<(i16, i16), u32, RandomState>,
}

impl Named {
    /// Nothing yet; towns are looked up in a table that others share.
    pub fn beside(places: &Places) -> Self {
        Self { places: places.clone(), ..Self::default() }
    }

    /// The camera that writes this, or what stands for it.
    pub fn camera(&mut self, make: Option<&str>, model: Option<&str>, origin: Option<Origin>) -> u32 {
        if let Some(origin) = origin {
            return self.cameras.id_as(&camera_fold(origin.directory()), origin.directory());
        }
        if make.is_none() && model.is_none() {
            return 0;
        }
        let (maker, kind) = (make.unwrap_or_default(), model.unwrap_or_default());
        if let Some(id) = self.by_writing.get(maker).and_then(|models| models.get(kind)) {
            return *id;
        }
        let id = camera_dir(make, model).map_or(0, |name| self.cameras.id_as(&camera_fold(&name), &name));
        self.by_writing.entry(maker.into()).or_default().insert(kind.into(), id);
        id
    }

    /// The place at a position: the nearest town to its cell of about a kilometre.
    pub fn place(&mut self, position: Option<(f64, f64)>) -> u32 {
        let Some(cell) = position.and_then(|(north, east)| cell(north, east)) else { return 0 };
        if let Some(id) = self.by_cell.get(&cell) {
            return *id;
        }
        let Place { country, region, city } =
            self.places.at(f64::from(cell.0) / 100.0, f64::from(cell.1) / 100.0);
        let ids = [self.countries.id(&country), self.regions.id(&region), self.cities.id(&city)];
        let id = self.place_of(ids);
        self.by_cell.insert(cell, id);
        id
    }

    fn place_of(&mut self, ids: [u32; 3]) -> u32 {
        let next = u32::try_from(self.found.len() + 1).unwrap_or(0);
        let id = *self.by_ids.entry(ids).or_insert(next);
        if id == next {
            self.found.push(ids);
        }
        id
    }

    /// Takes everything that another one names.
    pub fn append(&mut self, other: &Self) -> Numbers {
        let [countries, regions, cities] = [
            self.countries.append(&other.countries, fold),
            self.regions.append(&other.regions, fold),
            self.cities.append(&other.cities, fold),
        ];
        let places = other
            .found
            .iter()
            .map(|[country, region, city]| {
                self.place_of([countries.of(*country), regions.of(*region), cities.of(*city)])
            })
            .collect();
        Numbers {
            cameras: self.cameras.append(&other.cameras, camera_fold),
            lenses: self.lenses.append(&other.lenses, fold),
            owners: self.owners.append(&other.owners, fold),
            accounts: self.accounts.append(&other.accounts, fold),
            places: Here(places),
        }
    }

    /// Country, region and city of a place.
    pub fn place_ids(&self, place: u32) -> [u32; 3] {
        let at = (place as usize).checked_sub(1);
        at.and_then(|at| self.found.get(at)).copied().unwrap_or_default()
    }

    /// Gives back the memory that finding places takes.
    pub fn rest(&mut self) {
        self.places.rest();
    }
}

#[expect(clippy::cast_possible_truncation, reason = "degrees times 100 fit: they are checked")]
fn cell(north: f64, east: f64) -> Option<(i16, i16)> {
    let inside = (-90.0..=90.0).contains(&north) && (-180.0..=180.0).contains(&east);
    // Cameras without a fix write the point where equator and meridian meet.
    let nowhere = north.abs() < 1e-6 && east.abs() < 1e-6;
    (inside && !nowhere).then(|| ((north * 100.0).round() as i16, (east * 100.0).round() as i16))
}
