//! R23: random histories of a library, mixed with stops and with listings that lie.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use shoebox::model::{ItemState, MediaKey, Sha256};
use shoebox::sim::fake::FakeLibrary;
use shoebox::sim::{Fault, FaultRule, Ledger, RequestClass, SimConfig, When};
use shoebox::sync::report::Outcome;
use shoebox::sync::{ListingMode, SyncOptions};
use tokio_util::sync::CancellationToken;

use super::{Count, Row, seed};
use crate::sync::support::{init, open, options, pass, pass_with};

const HISTORIES: Count = Count(12, 36, 300);

pub const ROWS: &[Row] = &[Row {
    number: 23,
    tried: "random histories of a library, with stops and listings that lie",
    counts: &[HISTORIES],
}];

/// What was ever visible: key to the hashes that its item had.
type Seen = BTreeMap<String, BTreeSet<String>>;

fn note(seen: &mut Seen, ledger: &Ledger) {
    for item in ledger.items.iter().filter(|item| item.listed) {
        let hashes = item.parts.iter().map(|part| part.sha256.clone());
        seen.entry(item.key.clone()).or_default().extend(hashes);
    }
}

/// One thing that a person, or Google, does.
fn change(library: &FakeLibrary, random: &mut fastrand::Rng) -> String {
    let ledger = library.ledger();
    let mut pick = |listed: bool| {
        let items: Vec<_> = ledger.items.iter().filter(|item| item.listed == listed).collect();
        random.choice(items).map(|item| item.key.clone()).unwrap_or_default()
    };
    let (key, gone) = (pick(true), pick(false));
    let sim = library.library();
    match random.u8(..11) {
        0 | 1 => format!("add {}", sim.add_item()),
        2 => format!("backdate {}", sim.backdate_item(random.i64(30..5000))),
        3 => {
            sim.edit_item(&key);
            format!("edit {key}")
        }
        4 => {
            sim.trash_item(&key);
            format!("trash {key}")
        }
        5 => {
            sim.remove_item(&key);
            format!("remove {key}")
        }
        6 => {
            sim.restore_item(&gone);
            format!("restore {gone}")
        }
        7 => format!("rekey {key} to {}", sim.rekey_item(&key)),
        8 => {
            sim.set_in_album(&key, random.usize(..5), random.bool());
            format!("album {key}")
        }
        9 => {
            sim.describe_item(&key, &format!("note {}", random.u32(..)));
            format!("describe {key}")
        }
        _ => {
            sim.date_item(&key, random.i64(-300..300));
            format!("date {key}")
        }
    }
}

async fn history(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let library = Arc::new(FakeLibrary::new(SimConfig { items: 40, page: 15, seed, ..SimConfig::default() }));
    let (mut seen, mut told) = (Seen::new(), Vec::new());
    for _ in 0..8 {
        for _ in 0..random.usize(..5) {
            told.push(change(&library, &mut random));
        }
        library.faults().clear();
        let rpc = |name: &str| RequestClass::Rpc(Some(name.into()));
        let fault = random.u8(..8);
        match fault {
            0 => library.faults().set(FaultRule::new(
                rpc("lcxiM"),
                Fault::ShrunkenListing(random.usize(1..30)),
                When::Always,
            )),
            1 => library.faults().set(FaultRule::new(rpc("lcxiM"), Fault::EmptyListing, When::Always)),
            2 => library.faults().set(FaultRule::new(
                RequestClass::Download,
                Fault::Reset,
                When::Probability(0.1),
            )),
            _ => {}
        }
        let archive = open(dir.path());
        let listing = if random.bool() { ListingMode::Whole } else { ListingMode::Auto };
        let stop = CancellationToken::new();
        if random.u8(..3) == 0 {
            let (stop, after) = (stop.clone(), Duration::from_millis(random.u64(1..150)));
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                stop.cancel();
            });
        }
        let report = pass_with(&archive, &library, SyncOptions { listing, ..options() }, stop).await;
        told.push(format!("{listing:?}: {}", report.sentence()));
        // A pass that saw everything and went through has everything.
        if report.outcome() == &Outcome::Complete && report.whole && fault > 1 {
            note(&mut seen, &library.ledger());
        }
    }
    library.faults().clear();
    note(&mut seen, &library.ledger());
    let archive = open(dir.path());
    let report = pass(&archive, &library).await;
    assert_eq!(report.outcome(), &Outcome::Complete, "seed {seed}: {}\n{told:#?}", report.sentence());
    let reader = archive.index.reader().unwrap();
    let listed: BTreeSet<_> =
        library.ledger().items.into_iter().filter(|item| item.listed).map(|item| item.key).collect();
    let mut recorded = Seen::new();
    for record in archive.store.records() {
        let record = record.unwrap();
        let hashes = record.record().parts.iter().map(|part| part.sha256.hex());
        recorded.entry(record.record().key.to_string()).or_default().extend(hashes);
    }
    for (key, hashes) in &seen {
        let known = reader.known(&[MediaKey::new(key).unwrap()]).unwrap();
        let known =
            known.values().next().unwrap_or_else(|| panic!("seed {seed}: {key} is missing\n{told:#?}"));
        let false_tombstone = listed.contains(key) && known.state != ItemState::Present;
        assert!(!false_tombstone, "seed {seed}: {key} has a false tombstone\n{told:#?}");
        for hash in hashes {
            assert!(recorded[key].contains(hash), "seed {seed}: {key} lacks {hash}\n{told:#?}");
            assert!(archive.store.open_blob(&Sha256::from_hex(hash).unwrap()).is_ok());
        }
    }
    // What is not shown is noted in the end, and never before: the counts never agreed on a lie.
    let twice = pass(&archive, &library).await;
    let again = pass(&archive, &library).await;
    assert_eq!(again.gone, 0, "seed {seed}: {}", twice.sentence());
    for item in library.ledger().items.iter().filter(|item| !item.listed) {
        let known = reader.known(&[MediaKey::new(&item.key).unwrap()]).unwrap();
        assert!(
            known.values().all(|known| known.state == ItemState::Gone),
            "seed {seed}: {} is not noted as gone\n{told:#?}",
            item.key
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r23_whatever_happens_everything_shown_is_kept_and_no_absence_is_invented() {
    let first = seed("r23_whatever_happens");
    for seed in first..first + HISTORIES.get() as u64 {
        println!("SEED={seed} COUNT=1 replays this one");
        history(seed).await;
    }
}
