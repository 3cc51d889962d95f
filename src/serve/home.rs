//! What Home Assistant is told: one device with its entities, and their state as one JSON object.
//!
//! The documents are those of its MQTT discovery, one for each entity, which every version since 2021 understands.

use serde_json::{Map, Value, json};

use super::State;
use super::numbers::{Numbers, OfAccount};
use crate::model::ArchiveId;

/// Ways in which a run can have ended; Home Assistant refuses words that it was not told of.
const OUTCOMES: [&str; 8] = [
    "complete",
    "partial",
    "interrupted",
    "sign-in-needed",
    "disk-full",
    "failed",
    "not-started",
    "none-yet",
];

/// Steps in which free space is told, bytes.
const STEP: u64 = 10_000_000;

/// One entity: kind, field of the state, name, template that reads the field, what else there is to say of it. The fields
/// are called as nothing in Python's dictionaries is: `value_json.items` would be a method.
struct Entity {
    kind: &'static str,
    field: &'static str,
    name: &'static str,
    rest: fn() -> Value,
}

const ENTITIES: [Entity; 11] = [
    sensor(
        "archived_items",
        "Items archived",
        || json!({"icon": "mdi:image-multiple", "unit_of_measurement": "items", "state_class": "measurement"}),
    ),
    sensor("archived_bytes", "Bytes archived", || size("mdi:archive")),
    sensor(
        "set_aside_items",
        "Set aside",
        || json!({"icon": "mdi:image-broken-variant", "unit_of_measurement": "items", "state_class": "measurement"}),
    ),
    sensor(
        "damaged_files",
        "Damaged",
        || json!({"icon": "mdi:file-alert", "unit_of_measurement": "files", "state_class": "measurement"}),
    ),
    sensor(
        "last_run_outcome",
        "Last run",
        || json!({"icon": "mdi:clipboard-check", "device_class": "enum", "options": OUTCOMES}),
    ),
    sensor("last_complete_run", "Last complete run", || json!({"device_class": "timestamp"})),
    sensor("next_run", "Next run", || json!({"device_class": "timestamp"})),
    binary("run_in_progress", "Run in progress", || yes_or_no("running")),
    sensor(
        "run_progress",
        "Progress",
        || json!({"icon": "mdi:progress-download", "unit_of_measurement": "%", "state_class": "measurement"}),
    ),
    binary("sign_in_needed", "Sign-in needed", || yes_or_no("problem")),
    sensor("disk_free", "Disk free", || size("mdi:harddisk")),
];

const fn sensor(field: &'static str, name: &'static str, rest: fn() -> Value) -> Entity {
    Entity { kind: "sensor", field, name, rest }
}

const fn binary(field: &'static str, name: &'static str, rest: fn() -> Value) -> Entity {
    Entity { kind: "binary_sensor", field, name, rest }
}

/// As a template writes true and false.
fn yes_or_no(class: &str) -> Value {
    json!({"device_class": class, "payload_on": "True", "payload_off": "False"})
}

fn size(icon: &str) -> Value {
    json!({
        "icon": icon, "device_class": "data_size", "unit_of_measurement": "B", "state_class": "measurement",
        "suggested_unit_of_measurement": "GB", "suggested_display_precision": 1,
    })
}

/// An archive's place among the topics of a broker.
pub struct Device {
    prefix: String,
    root: String,
    key: String,
    url: Option<String>,
}

impl Device {
    /// `prefix` is where Home Assistant looks, `base` where everything else is; `url` is the page's address.
    pub fn new(archive: &ArchiveId, prefix: &str, base: &str, url: Option<&str>) -> Self {
        // Two archives may share a broker.
        let key: String = archive.as_str().chars().take(12).collect();
        // Home Assistant drops a device whose address it cannot read.
        let url = url.filter(|url| url.starts_with("http://") || url.starts_with("https://"));
        Self { prefix: prefix.into(), root: format!("{base}/{key}"), key, url: url.map(str::to_owned) }
    }

    /// Name of the connection.
    pub fn client(&self) -> String {
        format!("shoebox-{}", self.key)
    }

    /// Topic of the state.
    pub fn state(&self) -> String {
        format!("{}/state", self.root)
    }

    /// Topic of `online` and `offline`.
    pub fn presence(&self) -> String {
        format!("{}/availability", self.root)
    }

    /// Topics on which Home Assistant says that it has started: by default the same under every prefix.
    pub fn births(&self) -> Vec<String> {
        let mut births = vec!["homeassistant/status".to_owned()];
        if self.prefix != "homeassistant" {
            births.push(format!("{}/status", self.prefix));
        }
        births
    }

    /// The discovery documents, each with its topic.
    pub fn documents(&self) -> Vec<(String, Value)> {
        let mut device = json!({
            "identifiers": [format!("shoebox_{}", self.key)],
            "name": "shoebox",
            "manufacturer": "shoebox",
            "model": "Google Photos archive",
            "sw_version": env!("CARGO_PKG_VERSION"),
        });
        if let Some(url) = &self.url {
            device["configuration_url"] = json!(url);
        }
        ENTITIES.iter().map(|entity| self.document(entity, &device)).collect()
    }

    fn document(&self, entity: &Entity, device: &Value) -> (String, Value) {
        let Entity { kind, field, name, rest } = entity;
        let mut document = Map::new();
        for (name, value) in [
            ("name", json!(name)),
            ("unique_id", json!(format!("shoebox_{}_{field}", self.key))),
            ("state_topic", json!(self.state())),
            ("value_template", json!(format!("{{{{ value_json.{field} }}}}"))),
            ("availability_topic", json!(self.presence())),
            ("device", device.clone()),
            ("origin", json!({"name": "shoebox", "sw_version": env!("CARGO_PKG_VERSION")})),
        ] {
            document.insert(name.to_owned(), value);
        }
        if let Value::Object(rest) = rest() {
            document.extend(rest);
        }
        (format!("{}/{kind}/shoebox_{}/{field}/config", self.prefix, self.key), Value::Object(document))
    }
}

/// The state of all entities. What is not known is null, which Home Assistant shows as unknown.
///
/// # Errors
/// When the index does not answer, in words.
pub fn state(state: &State) -> Result<Value, String> {
    Numbers::gather(state).map(|numbers| in_json(&numbers))
}

fn in_json(numbers: &Numbers) -> Value {
    let all = OfAccount::together(&numbers.accounts);
    let all = all.as_ref();
    let seconds = |at: jiff::Timestamp| at.round(jiff::Unit::Second).unwrap_or(at).to_string();
    let running = all.and_then(|all| all.running);
    let progress = running.map(|pass| match (pass.archived + pass.set_aside, pass.wanted) {
        (_, 0) if pass.listing_done => 100,
        (_, 0) => 0,
        (done, wanted) => (done.saturating_mul(100) / wanted).min(100),
    });
    let needed = match all.map_or("unknown", |all| all.login) {
        "unknown" => None,
        login => Some(["needs-person", "rejected"].contains(&login)),
    };
    json!({
        "archived_items": numbers.totals.items,
        "archived_bytes": numbers.totals.bytes,
        "set_aside_items": numbers.totals.failures,
        "damaged_files": numbers.damaged,
        "last_run_outcome": outcome(all),
        "last_complete_run": all.and_then(|all| all.complete).map(seconds),
        "next_run": all.and_then(|all| all.next).map(seconds),
        "run_in_progress": running.is_some(),
        "run_progress": progress,
        "sign_in_needed": needed,
        // A number that moves every minute fills Home Assistant's history.
        "disk_free": numbers.free.map(|bytes| bytes - bytes % STEP),
    })
}

/// A word of [`OUTCOMES`].
fn outcome(all: Option<&OfAccount>) -> &'static str {
    // It may be the very first, of which there is no note.
    if all.is_some_and(|all| all.not_started) {
        return "not-started";
    }
    let Some(last) = all.and_then(|all| all.last.as_ref()) else { return "none-yet" };
    OUTCOMES.into_iter().find(|word| last.outcome == *word).unwrap_or("failed")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use jiff::Timestamp;

    use super::*;
    use crate::index::{RunNote, Totals};
    use crate::sync::progress::Snapshot;

    fn numbers() -> Numbers {
        Numbers {
            totals: Totals { items: 3, bytes: 5, failures: 1, ..Totals::default() },
            damaged: 2,
            accounts: vec![account()],
            free: Some(29_999_999),
        }
    }

    fn account() -> OfAccount {
        OfAccount {
            name: None,
            running: None,
            last: None,
            not_started: false,
            complete: Some(Timestamp::constant(90, 500_000_000)),
            next: None,
            login: "unknown",
        }
    }

    fn of(accounts: Vec<OfAccount>) -> Value {
        in_json(&Numbers { accounts, ..numbers() })
    }

    fn progress(wanted: u64, archived: u64, set_aside: u64, listing_done: bool) -> Value {
        let running = Snapshot { wanted, archived, set_aside, listing_done, ..Snapshot::default() };
        of(vec![OfAccount { running: Some(running), ..account() }])["run_progress"].clone()
    }

    #[test]
    fn every_entity_reads_a_field_that_the_state_has() {
        let id = ArchiveId::from_random([7; 16]);
        let state = in_json(&numbers());
        let documents = Device::new(&id, "ha", "b", Some("http://nas:8080/")).documents();
        assert_eq!(documents.len(), state.as_object().unwrap().len());
        let (mut topics, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for (topic, document) in documents {
            let field = topic.split('/').nth(3).unwrap();
            assert!(state.get(field).is_some(), "{topic}");
            assert_eq!(document["value_template"], format!("{{{{ value_json.{field} }}}}"));
            assert_eq!(document["state_topic"], "b/070707070707/state");
            assert_eq!(document["availability_topic"], "b/070707070707/availability");
            assert_eq!(document["device"]["configuration_url"], "http://nas:8080/");
            assert!(ids.insert(document["unique_id"].as_str().unwrap().to_owned()));
            assert!(topics.insert(topic));
        }
        // They stay: entities that are renamed lose their history.
        assert!(ids.contains("shoebox_070707070707_archived_items"), "{ids:?}");
        assert!(topics.contains("ha/binary_sensor/shoebox_070707070707/sign_in_needed/config"), "{topics:?}");
        let odd = Device::new(&id, "ha", "b", Some("nas:8080"));
        assert!(odd.documents()[0].1["device"].get("configuration_url").is_none());
        assert_eq!(odd.births(), ["homeassistant/status", "ha/status"]);
        assert_eq!(Device::new(&id, "homeassistant", "b", None).births(), ["homeassistant/status"]);
    }

    #[test]
    fn the_state_says_what_home_assistant_reads() {
        let state = in_json(&numbers());
        assert_eq!(state["last_complete_run"], "1970-01-01T00:01:31Z");
        assert_eq!(state["last_run_outcome"], "none-yet");
        assert_eq!((&state["run_in_progress"], &state["run_progress"]), (&json!(false), &Value::Null));
        assert_eq!(state["sign_in_needed"], Value::Null);
        assert_eq!(state["disk_free"], 20_000_000);
        for (login, needed) in
            [("signed-in", false), ("expiring", false), ("needs-person", true), ("rejected", true)]
        {
            assert_eq!(of(vec![OfAccount { login, ..account() }])["sign_in_needed"], needed, "{login}");
        }
        assert_eq!(progress(0, 0, 0, false), 0);
        assert_eq!(progress(0, 0, 0, true), 100);
        assert_eq!(progress(3, 1, 1, true), 66);
        assert_eq!(progress(3, 4, 1, true), 100);
    }

    #[test]
    fn an_outcome_is_a_word_that_was_announced() {
        let note = |outcome: &str| RunNote {
            account: String::new(),
            started: Timestamp::UNIX_EPOCH,
            ended: Timestamp::UNIX_EPOCH,
            outcome: outcome.into(),
            listed: 0,
            archived: 0,
            quarantined: 0,
            failed: 0,
            bytes: 0,
        };
        let ended = |word: &str| OfAccount { last: Some(note(word)), ..account() };
        let told = |accounts: Vec<OfAccount>| of(accounts)["last_run_outcome"].clone();
        assert_eq!(told(vec![ended("partial")]), "partial");
        assert_eq!(told(vec![ended("a word of another version")]), "failed");
        assert_eq!(told(vec![OfAccount { not_started: true, ..account() }]), "not-started");
        // Of several, the worst.
        assert_eq!(told(vec![ended("complete"), ended("failed"), ended("partial")]), "failed");
    }

    #[test]
    fn several_accounts_are_well_when_all_are() {
        let anna = OfAccount { login: "signed-in", next: Some(Timestamp::constant(500, 0)), ..account() };
        let ben = OfAccount {
            login: "needs-person",
            next: Some(Timestamp::constant(400, 0)),
            complete: Some(Timestamp::constant(60, 0)),
            ..account()
        };
        let state = of(vec![anna.clone(), ben.clone()]);
        assert_eq!(
            (&state["sign_in_needed"], &state["next_run"]),
            (&json!(true), &json!("1970-01-01T00:06:40Z"))
        );
        assert_eq!(state["last_complete_run"], "1970-01-01T00:01:00Z");
        let never = OfAccount { complete: None, ..ben };
        assert_eq!(of(vec![anna, never])["last_complete_run"], Value::Null);
    }
}
