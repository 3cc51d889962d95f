//! Every parser of bytes that come from outside, as one function each: what `docker/fuzz` hands made-up inputs, and
//! what the tests hand the stored ones. A panic is a finding; so is an answer that breaks a promise.

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use serde_json::Value;
use shoebox::fuzz;
use shoebox::ingest::verify::Expectation;
use shoebox::ingest::{IngestError, Origin, StoredPart, unpack};
use shoebox::media::{self, whole};
use shoebox::model::camera::camera_dir;
use shoebox::model::name::{self, SafeName};
use shoebox::model::{
    AlbumRecord, CaptureTime, DedupKey, ItemDetails, ItemRecord, MediaFacts, MediaKey, PartRole, Quality,
    RemoteFacts, RemoteItem, SystemClock,
};
use shoebox::notice::mqtt::Broker;
use shoebox::remote::browser::chrome;
use shoebox::remote::rpc::{albums, counts, details, frame, info, recent, timeline, trash};
use shoebox::remote::viewer::locale;
use shoebox::remote::{Claim, direct};
use shoebox::store::{RealDisk, RecordName, Store};
use shoebox::sync::quiet::QuietHours;
use shoebox::view::layout::{self, Filter, Template};

/// One parser, or a few that read the same bytes.
pub struct Target {
    pub name: &'static str,
    pub eat: fn(&[u8]),
    /// Longest input that is made up: enough for every branch, short enough to be quick.
    pub longest: usize,
}

const fn target(name: &'static str, eat: fn(&[u8]), longest: usize) -> Target {
    Target { name, eat, longest }
}

pub const TARGETS: &[Target] = &[
    target("frame", frame_of_calls, 16 << 10),
    target("answers", answers, 16 << 10),
    target("page", page, 4 << 10),
    target("words", words, 1 << 10),
    target("still", facts, 64 << 10),
    target("video", facts, 64 << 10),
    target("tags", tags, 16 << 10),
    target("whole", whole_file, 64 << 10),
    target("zip", live_photo, 64 << 10),
    target("record", record, 16 << 10),
    target("archive", archive_json, 1 << 10),
    target("row", index_row, 4 << 10),
    target("names", names, 1 << 10),
    target("views", views, 8 << 10),
    target("settings", settings, 4 << 10),
    target("broker", broker, 1 << 10),
    target("takeout", fuzz::takeout, 16 << 10),
];

/// A response body: the envelope, whichever calls are looked for.
fn frame_of_calls(bytes: &[u8]) {
    let body = String::from_utf8_lossy(bytes);
    for count in [1, 3] {
        if let Ok(answers) = frame::payloads(timeline::RPCID, count, &body) {
            assert_eq!(answers.len(), count);
        }
    }
}

/// The payload of an answer: every decoder meets it.
fn answers(bytes: &[u8]) {
    let Ok(payload) = serde_json::from_slice::<Value>(bytes) else { return };
    let key = MediaKey::new("AF1QipA").unwrap();
    for page in
        [timeline::decode(&payload), recent::decode(&payload), trash::decode(&payload)].into_iter().flatten()
    {
        page.items.iter().for_each(item);
    }
    for page in [albums::contents(&payload), albums::partner(&payload)].into_iter().flatten() {
        page.items.iter().for_each(item);
    }
    for listing in [albums::list(&payload), albums::shared(&payload)] {
        // What could not be read is told by its shape, in a line or two.
        assert!(listing.is_ok() || listing.unwrap_err().to_string().len() < 2000);
    }
    if let Ok(found) = info::item(&key, &payload) {
        item(&found);
    }
    for offer in info::decode(&key, &payload).into_iter().flatten() {
        direct::is_cookieless(&offer.url);
    }
    let _ = details::decode(&payload);
    if let Ok(counts) = counts::decode(&payload) {
        // Whoever adds them up again must not overflow.
        counts
            .ranges
            .iter()
            .map(|range| range.count)
            .chain([counts.total])
            .fold(0_u64, |sum, n| sum.checked_add(n).unwrap());
        counts.ranges.iter().for_each(|range| assert!(is_time(range.from_ms) && is_time(range.to_ms)));
    }
}

/// Times of the remote side are times of the calendar: everything after the decoders reckons with them.
fn is_time(ms: i64) -> bool {
    Timestamp::from_millisecond(ms).is_ok()
}

fn item(item: &RemoteItem) {
    for ms in [item.taken_ms, item.uploaded_ms, item.trashed_ms].into_iter().flatten() {
        assert!(is_time(ms), "{ms}");
    }
    CaptureTime::choose(&MediaFacts::default(), item).instant();
    let details = ItemDetails {
        key: item.key.clone(),
        name: String::new(),
        size: None,
        description: None,
        quality: Quality::Unknown,
    };
    RemoteFacts::of(item, &details);
}

/// JSON that the library's pages give.
fn page(bytes: &[u8]) {
    fuzz::session(bytes);
    ["en", "nl", "de", "pl", "fr"].iter().for_each(|language| fuzz::panel(language, bytes));
}

/// Texts of pages and headers; where two are compared, the first line against the rest.
fn words(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for language in ["en", "nl", "de", "pl", "fr"] {
        let words = locale::words(language);
        words.date(&text, Timestamp::UNIX_EPOCH);
        locale::label_time(words, &text, Timestamp::UNIX_EPOCH);
    }
    locale::time(&text);
    locale::zone_ms(&text);
    direct::host_of(&text);
    direct::retry_after(&text);
    fuzz::disposition(&text);
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    fuzz::names_agree(first, rest);
}

/// What `media::inspect` does, without the net that would catch a panic. The name is what may tell a date, too.
fn facts(bytes: &[u8]) {
    let bytes = bytes.to_vec();
    let (kind, found) = media::look(&bytes);
    believable(&media::facts(kind, &found, "PXL_20230715_064510123.MP.jpg"));
}

/// Documents as they lie in containers.
fn tags(bytes: &[u8]) {
    believable(&fuzz::tags(bytes));
    let name = String::from_utf8_lossy(bytes);
    media::name::date(&name);
    media::moment::spoken(&name);
}

fn believable(facts: &MediaFacts) {
    for text in [&facts.make, &facts.model, &facts.lens].into_iter().flatten() {
        assert!(text.chars().count() <= 128 && !text.contains(char::is_control), "{text:?}");
    }
    if let Some(directory) = camera_dir(facts.make.as_deref(), facts.model.as_deref()) {
        assert!(!directory.contains(['/', '\0']) && directory != "..", "{directory:?}");
    }
    let degrees = |value: Option<f64>, most: f64| value.is_none_or(|value| value.abs() <= most);
    assert!(degrees(facts.latitude, 90.0) && degrees(facts.longitude, 180.0));
    let unknown = RemoteItem::unknown(MediaKey::new("k").unwrap());
    for taken_ms in [None, Some(0), Some(253_000_000_000_000)] {
        let item = RemoteItem { taken_ms, zone_offset_ms: Some(50_400_000), ..unknown.clone() };
        CaptureTime::choose(facts, &item).instant();
    }
    serde_json::to_vec(facts).unwrap();
}

fn whole_file(bytes: &[u8]) {
    let checked = whole::check(&bytes.to_vec());
    assert!(!bytes.is_empty() || checked.is_err(), "nothing passes for a photo");
}

/// A zip that claims to be a Live Photo, unpacked in a real store. Nothing of it is ever what was uploaded, so
/// nothing is kept.
pub fn unpack_as_live_photo(bytes: &[u8]) -> Result<Vec<StoredPart>, IngestError> {
    static STORE: OnceLock<(tempfile::TempDir, Store)> = OnceLock::new();
    let (_, store) = STORE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("archive");
        Store::init(&root, Arc::new(RealDisk), Arc::new(SystemClock)).unwrap();
        let store = Store::open(&root, Arc::new(RealDisk), Arc::new(SystemClock)).unwrap();
        (dir, store)
    });
    let mut partial = store.begin(None).unwrap();
    partial.write(bytes).unwrap();
    let expected = Expectation {
        role: PartRole::Original,
        dedup_key: DedupKey::new("qZk-NkcGgWq6PiVxeFDCbJzQ2J0"),
        quality: Quality::Original,
        listed_size: None,
        size_is_firm: false,
        claimed_length: None,
        shown: None,
        seen_before: None,
    };
    let origin =
        Origin { via: "direct", host: String::new(), claim: Claim::default(), at: Timestamp::UNIX_EPOCH };
    unpack::live_photo(store, partial, "IMG_1.HEIC", &expected, &origin)
}

fn live_photo(bytes: &[u8]) {
    assert!(unpack_as_live_photo(bytes).is_err());
}

/// Records of items and albums: what can be read is written again as the same.
fn record(bytes: &[u8]) {
    if let Ok(record) = ItemRecord::from_bytes(bytes) {
        record.taken.instant();
        let written = record.to_bytes();
        assert_eq!(ItemRecord::from_bytes(&written).unwrap().to_bytes(), written);
    }
    if let Ok(record) = AlbumRecord::from_bytes(bytes) {
        let written = record.to_bytes();
        assert_eq!(AlbumRecord::from_bytes(&written).unwrap().to_bytes(), written);
    }
}

fn archive_json(bytes: &[u8]) {
    fuzz::archive_json(bytes);
    let text = String::from_utf8_lossy(bytes);
    if let Some(name) = RecordName::parse(std::ffi::OsStr::new(&*text)) {
        assert_eq!(name.file_name(), text);
    }
}

fn index_row(bytes: &[u8]) {
    fuzz::index_row(bytes);
}

/// Names of strangers' files; the first line is the item's, the rest the part's.
fn names(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (item, part) = text.split_once('\n').unwrap_or((&text, &text));
    let name = SafeName::new(item);
    let mut of_part = name.stem().to_owned();
    name::write_extension(&mut of_part, &name.extension_of(part));
    assert!(!name::is_junk(&of_part) && of_part.len() <= name::LONGEST, "{of_part:?}");
    for name in [SafeName::new(&text), name] {
        let whole = name.text();
        assert!(!whole.is_empty() && whole.len() <= name::LONGEST, "{whole:?}");
        assert!(!whole.starts_with('.') && !whole.contains('/'), "{whole:?}");
        assert!(!whole.contains(name::is_invisible), "{whole:?}");
        assert_eq!(SafeName::new(&whole).text(), whole);
        let portable = name::portable(name.stem());
        assert_eq!(name::portable(&portable), portable);
        assert!(!portable.contains(['<', '>', ':', '"', '|', '?', '*', '\\']), "{portable:?}");
    }
    assert!(!name::printable(&text).contains(name::is_invisible));
    assert_eq!(name::fold(&name::fold(&text)), name::fold(&text));
    if let Some(directory) = camera_dir(Some(item), Some(part)) {
        assert!(
            !directory.is_empty() && !directory.contains(['/', '\0']) && directory != "..",
            "{directory:?}"
        );
    }
}

fn views(bytes: &[u8]) {
    if let Err(error) = layout::parse(&String::from_utf8_lossy(bytes)) {
        error.to_string();
    }
}

/// Texts that a person gives, or a file of the environment in their place.
fn settings(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Err(mistake) = Template::parse(&text) {
        mistake.show(&text);
    }
    match Filter::parse(&text) {
        Ok(filter) => drop(filter.asks(&|_| false)),
        Err(mistake) => drop(mistake.show(&text)),
    }
    if let Ok(quiet) = text.parse::<QuietHours>() {
        assert!(quiet.left_at(Timestamp::UNIX_EPOCH).is_none_or(|left| left.as_secs() <= 86_400));
    }
    fuzz::options(&text);
    if let Ok(listed) = chrome::newest(&text) {
        assert!(!listed.path.starts_with('/') && !listed.path.split('/').any(|name| name == ".."));
    }
    let (rule, host) = text.split_once('\n').unwrap_or((&text, "photos.google.com"));
    fuzz::resolve_rule(rule, host);
}

/// Packets of MQTT, and an address of a broker.
fn broker(bytes: &[u8]) {
    assert!(fuzz::broker(bytes) <= bytes.len() / 2);
    let text = String::from_utf8_lossy(bytes);
    if let Ok(broker) = text.parse::<Broker>() {
        assert!(!broker.place().contains(name::is_invisible), "{:?}", broker.place());
    }
}
