//! Which zone a place is in, and so how far its clocks were from UTC. Borders are those of OpenStreetMap (ODbL), as
//! tzf-rs carries them; their rules are the IANA's.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The IANA's name of the zone.
#[cfg(feature = "places")]
pub fn name_at(latitude: f64, longitude: f64) -> Option<&'static str> {
    use std::sync::LazyLock;
    use tzf_rs::EmbeddedFinder;

    static BORDERS: LazyLock<EmbeddedFinder> = LazyLock::new(EmbeddedFinder::new);
    Some(BORDERS.get_tz_name(longitude, latitude)).filter(|name| !name.is_empty())
}

/// Without the borders nobody knows.
#[cfg(not(feature = "places"))]
pub fn name_at(_latitude: f64, _longitude: f64) -> Option<&'static str> {
    None
}

fn zone(latitude: f64, longitude: f64) -> Option<TimeZone> {
    // Names that the calendar does not know are none.
    TimeZone::get(name_at(latitude, longitude)?).ok()
}

/// Seconds east of UTC at that place, at that instant.
pub fn offset_at(latitude: f64, longitude: f64, instant: Timestamp) -> Option<i32> {
    Some(zone(latitude, longitude)?.to_offset(instant).seconds())
}

/// Seconds east of UTC at that place, when its clocks showed that. In the hour that they show twice, the first.
pub fn offset_of(latitude: f64, longitude: f64, local: DateTime) -> Option<i32> {
    let instant = zone(latitude, longitude)?.to_ambiguous_timestamp(local).compatible().ok()?;
    offset_at(latitude, longitude, instant)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn places_have_their_zone_in_summer_and_winter() {
        let of = |(latitude, longitude), local: &str| offset_of(latitude, longitude, local.parse().unwrap());
        let (berlin, tokyo, kathmandu, atlantic) =
            ((52.5, 13.4), (35.68, 139.69), (27.7, 85.3), (40.0, -40.0));
        assert_eq!(of(berlin, "2020-07-01T12:00:00"), Some(7200));
        assert_eq!(of(berlin, "2020-01-01T12:00:00"), Some(3600));
        assert_eq!(of(tokyo, "1999-07-01T12:00:00"), Some(32_400));
        assert_eq!(of(kathmandu, "2020-07-01T12:00:00"), Some(20_700));
        assert_eq!(of(atlantic, "2020-07-01T12:00:00"), Some(-10_800));
        // On either side of a border: Badajoz and Elvas, twenty kilometres apart.
        assert_eq!(of((38.878, -6.970), "2020-07-01T12:00:00"), Some(7200));
        assert_eq!(of((38.881, -7.163), "2020-07-01T12:00:00"), Some(3600));
        assert_eq!(of((f64::NAN, 500.0), "2020-07-01T12:00:00"), None);
    }
}
