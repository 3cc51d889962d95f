//! R10: what is not the whole original does not get in, and nobody asks for it for ever.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use shoebox::archive::Archive;
use shoebox::model::{MediaKey, PartRecord, PartRole, Verdict};
use shoebox::sim::fake::FakeLibrary;
use shoebox::sim::{FileBytes, LedgerItem, SimConfig};
use shoebox::sync::report::Outcome;

use super::other_downloads::OtherDownloads;
use super::spoilt_downloads::{Often, Spoiling, Spoilt};
use super::{Count, Row, seed};
use crate::store::support::fast_dir;
use crate::sync::support::{contents, init, open, options, pass, truth};

/// Items of each format for each way to go wrong.
const EACH: Count = Count(4, 20, 300);
const FORMATS: usize = 14;

pub const ROWS: &[Row] = &[Row {
    number: 10,
    tried: "downloads of 14 formats that go wrong in 13 ways, once or always: cut, announced wrongly or not at all, longer, altered, a page, empty, a thumbnail, another item's, packed, dripping, reset, endless; items of each format for each way",
    counts: &[EACH],
}];

type SpoiltLibrary = OtherDownloads<Spoilt>;

/// Whether Google vouches for the bytes of the original.
fn has_hash(item: &LedgerItem) -> bool {
    item.dedup_key.len() == 27 && !item.storage_saver
}

/// Whether these wrong bytes may be in the archive: only what is sent alike time after time, where nothing that Google
/// says tells the difference; and where its hash does, the verdict says so.
fn may_be_kept(item: &LedgerItem, part: &PartRecord, spoiling: Spoiling, often: Often) -> bool {
    use Spoiling::{Altered, Anothers, CutUnannounced, Longer, Thumbnail};
    let original = part.role == PartRole::Original;
    // Two of several others in a row may be the same.
    let alike = often == Often::Alike || (often == Often::Differently && spoiling == Anothers);
    if !alike || part.verdict == Verdict::MatchesUpload {
        return false;
    }
    if original && has_hash(item) {
        // A wrong size and a wrong hash: that is never believed.
        let same_size = part.size == item.parts[0].size;
        let other = matches!(spoiling, Altered | Anothers | Thumbnail);
        return other && same_size && part.verdict == Verdict::Unproven;
    }
    let size_tells = part.verdict != Verdict::SizeMatches || part.size == item.parts[0].size;
    matches!(spoiling, Altered | Anothers | CutUnannounced | Longer | Thumbnail) && size_tells
}

/// What is in the archive and must not be.
fn wrongly_kept(archive: &Archive, library: &SpoiltLibrary, spoiling: Spoiling) -> Vec<String> {
    let ledger = library.library.ledger();
    let items: BTreeMap<_, _> = ledger.items.iter().map(|item| (item.key.as_str(), item)).collect();
    let mut wrong = Vec::new();
    for record in archive.store.records() {
        let record = record.unwrap();
        let record = record.record();
        let item = items[record.key.as_str()];
        let often = library.downloads.often(&record.key);
        for part in &record.parts {
            let right = item.parts.iter().find(|right| right.role == part.role.word()).unwrap();
            if part.sha256.hex() != right.sha256 && !may_be_kept(item, part, spoiling, often) {
                wrong.push(format!(
                    "{} {often:?} {:?} {:?} of {} bytes, not {}",
                    item.name, part.role, part.verdict, part.size, right.size
                ));
            }
        }
    }
    wrong
}

fn library(each: usize, seed: u64) -> Arc<SpoiltLibrary> {
    let config =
        SimConfig { items: each * FORMATS, seed, file_bytes: FileBytes::EachFormat, ..SimConfig::default() };
    Arc::new(SpoiltLibrary::new(FakeLibrary::new(config), Spoilt::new(seed)))
}

/// The ways whose bytes all came, and were judged.
fn is_judged(spoiling: Spoiling) -> bool {
    !matches!(spoiling, Spoiling::WrongLength | Spoiling::Drip | Spoiling::Reset | Spoiling::Endless)
}

/// One pass over a library that sends nothing right but what it sends wrongly once, and one after it has mended.
async fn goes_wrong(library: &Arc<SpoiltLibrary>, spoiling: Spoiling) -> usize {
    let dir = fast_dir();
    init(dir.path());
    let archive = open(dir.path());
    library.downloads.spoil(Some(spoiling));
    let report = tokio::select! {
        report = pass(&archive, library) => report,
        // A clock that is stopped moves by itself only while no thread waits for bytes, as one does for a drip's.
        () = hurry(), if spoiling == Spoiling::Drip => unreachable!(),
    };
    assert_eq!(report.outcome(), &Outcome::Partial, "{spoiling:?}: {}", report.sentence());
    assert_eq!(wrongly_kept(&archive, library, spoiling), <[String; 0]>::default(), "{spoiling:?}");
    // Twice for each attempt: what has no hash is compared with itself.
    let most = 2 * options().attempts as u64;
    assert!(
        library.downloads.most_fetches() <= most,
        "{spoiling:?}: a file was fetched {} times",
        library.downloads.most_fetches()
    );
    let failures = archive.index.reader().unwrap().failures().unwrap();
    let ledger = library.library.ledger();
    for failure in &failures {
        let evidence = archive.store.evidence(failure.key.as_str()).unwrap();
        let kept = !is_judged(spoiling) || evidence.len() > 1;
        assert!(kept, "{spoiling:?}: nothing is kept of {:?}: {}", failure.name, failure.reason);
    }
    let (have, want) = (contents(&archive, &ledger), truth(&ledger));
    for (key, parts) in &want {
        let once = library.downloads.often(&MediaKey::new(key).unwrap()) == Often::Once;
        assert!(!once || have.get(key) == Some(parts), "{spoiling:?}: what passes sets {key} aside");
    }
    let set_aside = failures.len();
    library.downloads.spoil(None);
    let report = pass(&archive, library).await;
    assert_eq!(report.outcome(), &Outcome::Complete, "{spoiling:?}: {}", report.sentence());
    assert_eq!(wrongly_kept(&archive, library, spoiling), <[String; 0]>::default(), "{spoiling:?}, mended");
    let have = contents(&archive, &ledger);
    for failure in failures {
        assert_eq!(
            have.get(failure.key.as_str()),
            want.get(failure.key.as_str()),
            "{spoiling:?}: {:?}",
            failure.name
        );
    }
    set_aside
}

/// Lets time pass.
async fn hurry() {
    loop {
        tokio::time::advance(Duration::from_millis(500)).await;
        // Others want the processor, too.
        std::thread::sleep(Duration::from_micros(20));
    }
}

/// Waits pass at once: a drip takes days.
#[tokio::test(start_paused = true)]
async fn r10_bad_downloads_are_kept_out_and_asked_for_only_so_often() {
    let library = library(EACH.get(), seed("r10_bad_downloads"));
    for spoiling in Spoiling::ALL {
        let began = std::time::Instant::now();
        let set_aside = goes_wrong(&library, spoiling).await;
        println!(
            "{spoiling:?}: {} items, {set_aside} set aside, {:?}",
            EACH.get() * FORMATS,
            began.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn r10_an_ingest_without_the_hash_check_is_found_out() {
    let dir = fast_dir();
    init(dir.path());
    let archive = open(dir.path());
    let library = library(4, seed("r10_an_ingest_without"));
    library.downloads.make_blind();
    library.downloads.spoil(Some(Spoiling::Altered));
    pass(&archive, &library).await;
    let wrong = wrongly_kept(&archive, &library, Spoiling::Altered);
    assert!(!wrong.is_empty(), "nobody misses the comparison with Google's hash");
}
