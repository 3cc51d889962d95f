//! What Google Takeout writes beside photos: one JSON for each, one for each album, and some that belong to none.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::model::{Creation, Place, RemoteFacts};

/// No JSON of a photo or an album is longer, bytes; those with hundreds of comments have some ten thousand.
pub const LONGEST: u64 = 4 << 20;
/// Longest texts that are kept, bytes, and most people: Google takes no longer ones.
const LONGEST_NAME: usize = 1 << 10;
const LONGEST_DESCRIPTION: usize = 32 << 10;
const MOST_PEOPLE: usize = 200;

/// What is said of an album. JSON of other products has titles, too.
const OF_ALBUMS: [&str; 10] = [
    "title",
    "description",
    "access",
    "date",
    "location",
    "geoData",
    "enrichments",
    "sharedAlbumComments",
    "comments",
    "url",
];

/// What a JSON file of a Takeout says.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// Something about one photo.
    Photo(Box<Sidecar>),
    /// Something about the folder's album.
    Album(AlbumNote),
    /// Something about neither.
    Other,
}

/// What Takeout says of a photo.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sidecar {
    /// File name as uploaded.
    pub title: String,
    /// Capture instant, milliseconds since 1970 UTC.
    pub taken_ms: Option<i64>,
    /// Upload instant, milliseconds since 1970 UTC.
    pub uploaded_ms: Option<i64>,
    /// Description.
    pub description: Option<String>,
    /// Marked as favourite.
    pub favourite: bool,
    /// In the archive section.
    pub archived: bool,
    /// In the trash.
    pub trashed: bool,
    /// Where it was taken.
    pub place: Option<Place>,
    /// Names of the people on it.
    pub people: Vec<String>,
}

/// What Takeout says of an album.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlbumNote {
    /// Title; empty if it has none.
    pub title: String,
    /// When it was made, milliseconds since 1970 UTC.
    pub created_ms: Option<i64>,
}

/// Reads a JSON file of a Takeout; an error says what is wrong with it.
///
/// Each field is looked at by itself: one that is not as it used to be takes no other with it.
pub fn read(bytes: &[u8]) -> Result<Note, String> {
    // A mark at the beginning is no JSON, and some tools put one there.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if value.get("photoTakenTime").is_some() {
        return Ok(Note::Photo(Box::new(sidecar(&value))));
    }
    // Of some years, everything that is said of an album stands one level down; of others, it is only the title.
    let album = value.get("albumData").unwrap_or(&value);
    let is_album =
        |fields: &Map<String, Value>| fields.keys().all(|field| OF_ALBUMS.contains(&field.as_str()));
    Ok(match text(album, "title") {
        Some(title) if album.as_object().is_some_and(is_album) => {
            Note::Album(AlbumNote { title: title.trim().to_owned(), created_ms: moment(album, "date") })
        }
        _ => Note::Other,
    })
}

fn sidecar(value: &Value) -> Sidecar {
    let people = value.get("people").and_then(Value::as_array).into_iter().flatten();
    let is = |field| value.get(field).and_then(Value::as_bool).unwrap_or(false);
    Sidecar {
        title: text(value, "title").filter(|text| text.len() <= LONGEST_NAME).unwrap_or_default().to_owned(),
        taken_ms: moment(value, "photoTakenTime"),
        uploaded_ms: moment(value, "creationTime"),
        description: text(value, "description").filter(|text| !text.is_empty()).map(beginning),
        favourite: is("favorited"),
        // What is locked away is at least out of sight.
        archived: is("archived") || is("inLockedFolder"),
        trashed: is("trashed"),
        // The person's word first: the other is the file's, which is read anyway.
        place: place(value, "geoData").or_else(|| place(value, "geoDataExif")),
        people: people
            .filter_map(|person| text(person, "name"))
            .filter(|name| !name.trim().is_empty() && name.len() <= LONGEST_NAME)
            .take(MOST_PEOPLE)
            .map(str::to_owned)
            .collect(),
    }
}

/// As much of a description as anybody writes.
fn beginning(text: &str) -> String {
    let mut end = text.len().min(LONGEST_DESCRIPTION);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field)?.as_str()
}

/// Milliseconds of a moment that is given in seconds since 1970, as a text or a number; before that, below zero.
fn moment(value: &Value, field: &str) -> Option<i64> {
    let seconds = match value.get(field)?.get("timestamp")? {
        Value::String(text) => text.trim().parse().ok()?,
        Value::Number(number) => number.as_i64()?,
        _ => return None,
    };
    Timestamp::from_second(seconds).ok().map(Timestamp::as_millisecond)
}

/// Zero and zero stand for nothing.
fn place(value: &Value, field: &str) -> Option<Place> {
    let geo = value.get(field)?;
    let degrees = |field: &str| geo.get(field)?.as_f64();
    let (latitude, longitude) = (degrees("latitude")?, degrees("longitude")?);
    let possible = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
    (possible && (latitude != 0.0 || longitude != 0.0)).then_some(Place { latitude, longitude, name: None })
}

impl Sidecar {
    /// Bytes of its texts.
    pub fn size(&self) -> usize {
        let people: usize = self.people.iter().map(String::len).sum();
        self.title.len() + self.description.as_ref().map_or(0, String::len) + people
    }

    /// The same as what a library says of an item.
    pub fn remote(&self) -> RemoteFacts {
        RemoteFacts {
            taken_ms: self.taken_ms,
            uploaded_ms: self.uploaded_ms,
            description: self.description.clone(),
            favourite: self.favourite,
            archived: self.archived,
            // Takeout does not say when. It was later than this.
            trashed_ms: self.trashed.then_some(self.uploaded_ms.or(self.taken_ms).unwrap_or(0)),
            place: self.place.clone(),
            creation: Creation::of_name(&self.title),
            ..RemoteFacts::default()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_photos_json_is_read_in_all_its_forms() {
        let text = r#"{"title":"IMG_1.jpg","description":"By the sea","imageViews":"9",
            "creationTime":{"timestamp":"1600598769","formatted":"…"},"photoTakenTime":{"timestamp":-86400},
            "geoData":{"latitude":0.0,"longitude":0.0,"altitude":0.0},
            "geoDataExif":{"latitude":55.27,"longitude":37.66},"people":[{"name":"Дочь"},{"name":" "}],
            "url":"https://photos.google.com/photo/AF1QipOyLtYKtmMPyLhse9O8lOcWmb6LND5-jHBh9wUC",
            "favorited":true,"trashed":true,"unknown":[1]}"#;
        let Note::Photo(photo) = read(text.as_bytes()).unwrap() else { panic!() };
        assert_eq!(photo.taken_ms, Some(-86_400_000));
        assert_eq!(photo.uploaded_ms, Some(1_600_598_769_000));
        assert_eq!(photo.place.as_ref().map(|place| place.latitude), Some(55.27));
        assert_eq!(photo.people, ["Дочь"]);
        let said = photo.remote();
        assert!(said.favourite && !said.archived && said.trashed_ms == photo.uploaded_ms);
        assert_eq!(said.description.as_deref(), Some("By the sea"));
    }

    #[test]
    fn an_album_is_told_from_a_photo_and_from_the_rest() {
        let album = |title: &str, created_ms| Note::Album(AlbumNote { title: title.into(), created_ms });
        let read = |text: &str| read(text.as_bytes()).unwrap();
        let dated =
            r#"{"title":"Chair yoga","description":"","access":"protected","date":{"timestamp":"1"}}"#;
        assert_eq!(read(dated), album("Chair yoga", Some(1000)));
        assert_eq!(read(r#"{"title":"","access":""}"#), album("", None));
        assert_eq!(
            read(r#"{"albumData":{"title":"Old","date":{"timestamp":"2"}}}"#),
            album("Old", Some(2000))
        );
        assert_eq!(read(r#"{"title":"Since 2025"}"#), album("Since 2025", None));
        assert_eq!(read(r#"{"title":"","sharedAlbumComments":[]}"#), album("", None));
        let others = [
            r#"{"title":["A day"]}"#,
            r#"{"externalOrderId":"1","type":"PURCHASED"}"#,
            r#"{"title":"A note","textContent":"Milk"}"#,
            "{}",
            "[]",
            "3",
        ];
        for other in others {
            assert_eq!(read(other), Note::Other, "{other}");
        }
        assert!(super::read(b"{").is_err());
    }

    #[test]
    fn hostile_values_are_nothing() {
        let odd = r#"{"title":"x","photoTakenTime":{"timestamp":"99999999999999999999"},
            "geoData":{"latitude":1e300,"longitude":5}}"#;
        let Note::Photo(photo) = read(odd.as_bytes()).unwrap() else { panic!() };
        assert_eq!((photo.taken_ms, photo.place), (None, None));
        let odd = r#"{"title":7,"photoTakenTime":{"timestamp":"1"},"people":null,"favorited":"yes"}"#;
        let Note::Photo(photo) = read(odd.as_bytes()).unwrap() else { panic!() };
        assert_eq!(*photo, Sidecar { taken_ms: Some(1000), ..Sidecar::default() });
        let long = format!(
            r#"{{"title":"{0}","description":"{0}","photoTakenTime":{{}},"people":[{1}{{"name":"{0}"}}]}}"#,
            "ä".repeat(100_000),
            r#"{"name":"A"},"#.repeat(1000)
        );
        let Note::Photo(photo) = read(long.as_bytes()).unwrap() else { panic!() };
        assert!(photo.size() <= LONGEST_DESCRIPTION + MOST_PEOPLE && photo.people.len() == MOST_PEOPLE);
    }
}
