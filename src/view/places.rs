//! The nearest town to a position, offline.
//!
//! `places/towns.gz` holds 144,563 towns of [GeoNames](https://www.geonames.org) (CC BY 4.0), as lines of
//! text: `=CC<tab>country`, then for each region `>CC<tab>region` and its towns, `latitude<tab>longitude<tab>name`
//! in hundredths of a degree.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::{Arc, OnceLock};

#[cfg(feature = "places")]
static TOWNS: &[u8] = include_bytes!("places/towns.gz");
/// Packed nothing: no place has a name.
#[cfg(not(feature = "places"))]
static TOWNS: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0";

/// Beyond this nobody would say that a photo was taken in that town; the open sea has no country.
const FARTHEST_KM: f64 = 150.0;
const KM_PER_DEGREE: f64 = 111.2;

/// Where something is; empty where nobody lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Country.
    pub country: String,
    /// Region, state or province.
    pub region: String,
    /// Town.
    pub city: String,
}

/// Finds places. The table is unpacked when it is first asked for and takes some 15 MB then; clones share it.
#[derive(Clone, Default)]
pub struct Places {
    table: Arc<OnceLock<Table>>,
}

struct Table {
    text: String,
    countries: HashMap<String, String>,
    /// Country code and region.
    regions: Vec<(String, String)>,
    /// By latitude.
    towns: Vec<Town>,
}

struct Town {
    north: i16,
    east: i16,
    region: u16,
    name_at: u32,
    name_len: u8,
}

impl Places {
    /// The place at a position in degrees.
    pub fn at(&self, north: f64, east: f64) -> Place {
        self.table.get_or_init(Table::unpack).nearest(north, east)
    }

    /// Gives back the memory, once all clones do; the next question unpacks the table again.
    pub fn rest(&mut self) {
        self.table = Arc::default();
    }
}

impl Table {
    fn unpack() -> Self {
        let mut text = String::new();
        // The bytes are our own; a test reads all of them.
        if let Err(e) = flate2::read::GzDecoder::new(TOWNS).read_to_string(&mut text) {
            tracing::error!("the table of towns cannot be read: {e}");
        }
        let mut table =
            Self { text: String::new(), countries: HashMap::new(), regions: Vec::new(), towns: Vec::new() };
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            table.line(line.trim_end_matches('\n'), at);
            at += line.len();
        }
        table.text = text;
        table.towns.sort_unstable_by_key(|town| (town.north, town.east, town.name_at));
        table
    }

    fn line(&mut self, line: &str, at: usize) -> Option<()> {
        if let Some(country) = line.strip_prefix('=') {
            let (code, name) = country.split_once('\t')?;
            self.countries.insert(code.to_owned(), name.to_owned());
        } else if let Some(region) = line.strip_prefix('>') {
            let (code, name) = region.split_once('\t')?;
            self.regions.push((code.to_owned(), name.to_owned()));
        } else {
            let mut fields = line.splitn(3, '\t');
            let (north, east, name) = (fields.next()?, fields.next()?, fields.next()?);
            self.towns.push(Town {
                north: north.parse().ok()?,
                east: east.parse().ok()?,
                region: u16::try_from(self.regions.len().checked_sub(1)?).ok()?,
                name_at: u32::try_from(at + line.len() - name.len()).ok()?,
                name_len: u8::try_from(name.len()).ok()?,
            });
        }
        Some(())
    }

    /// Looks at the towns north and south of the latitude, until they are farther than the best one.
    fn nearest<'a>(&'a self, north: f64, east: f64) -> Place {
        let start = self.towns.partition_point(|town| f64::from(town.north) < north * 100.0);
        let shrink = north.to_radians().cos();
        let mut best: (f64, Option<&Town>) = (FARTHEST_KM, None);
        let mut look = |towns: &mut dyn Iterator<Item = &'a Town>| {
            for town in towns {
                let up = (f64::from(town.north) / 100.0 - north).abs() * KM_PER_DEGREE;
                if up > best.0 {
                    break;
                }
                let across = (f64::from(town.east) / 100.0 - east).abs();
                let across = if across > 180.0 { 360.0 - across } else { across };
                let distance = up.hypot(across * shrink * KM_PER_DEGREE);
                if distance < best.0 {
                    best = (distance, Some(town));
                }
            }
        };
        look(&mut self.towns[start..].iter());
        look(&mut self.towns[..start].iter().rev());
        let Some(town) = best.1 else { return Place::default() };
        let (code, region) = &self.regions[usize::from(town.region)];
        let name_at = town.name_at as usize;
        Place {
            country: self.countries.get(code).unwrap_or(code).clone(),
            region: region.clone(),
            city: self.text[name_at..name_at + usize::from(town.name_len)].to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_places_are_found_and_the_sea_is_nowhere() {
        let mut places = Places::default();
        for (north, east, country, city) in [
            (52.3702, 4.8952, "Netherlands", "Amsterdam"),
            (48.2082, 16.3738, "Austria", "Wien"),
            (35.6812, 139.7671, "Japan", "Tokyo"),
            (-33.8568, 151.2153, "Australia", "Sydney"),
            (37.7749, -122.4194, "United States", "San Francisco"),
            (0.0, -30.0, "", ""),
        ] {
            let place = places.at(north, east);
            assert_eq!(place.country, country, "{place:?}");
            println!("{city}: {place:?}");
        }
        assert_eq!(places.table.get().map(|table| table.towns.len()), Some(144_563));
        // Across the line where dates change.
        assert_eq!(places.at(-16.99, 180.0).country, "Fiji");
        places.rest();
        assert!(places.table.get().is_none());
    }
}
