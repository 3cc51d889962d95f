//! Is everything there: the report, and holding an earlier one against the archive.

use std::sync::Arc;

use shoebox::model::{Clock, SystemClock};
use shoebox::proof::{self, Report};
use shoebox::sim::fake::FakeLibrary;
use shoebox::sim::{Fault, FaultRule, RequestClass, SimConfig, When};
use shoebox::sync::SyncOptions;
use shoebox::sync::albums::Wanted;
use tokio_util::sync::CancellationToken;

use crate::sync::support::{init, open, options, pass, pass_with};

fn report(archive: &shoebox::archive::Archive) -> Report {
    proof::report(archive, SystemClock.now()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_month_and_album_adds_up_also_with_trouble() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let archive = open(dir.path());
    let library =
        Arc::new(FakeLibrary::new(SimConfig { items: 90, shared: 12, page: 40, ..SimConfig::default() }));
    library.faults().set(FaultRule::new(
        RequestClass::Download,
        Fault::Status(404, None),
        When::Probability(0.4),
    ));
    let once = SyncOptions { attempts: 1, ..options() };
    let first = pass_with(&archive, &library, once, CancellationToken::new()).await;
    assert!(first.set_aside > 10, "{}", first.sentence());
    let troubled = report(&archive);
    assert!(troubled.adds_up, "{troubled:#?}");
    let total = &troubled.libraries[0].total;
    assert_eq!((total.google, total.set_aside), (90, first.set_aside));
    assert_eq!(total.archived + total.set_aside, 90);
    assert_eq!(troubled.set_aside.len() as u64, first.set_aside);
    assert!(troubled.set_aside[0].page.ends_with(troubled.set_aside[0].key.as_str()));
    library.faults().clear();
    pass(&archive, &library).await;
    let whole = report(&archive);
    assert!(whole.adds_up, "{whole:#?}");
    assert_eq!((whole.libraries[0].total.archived, whole.set_aside.len()), (90, 0));
    let google: u64 = whole.libraries[0].months.iter().map(|line| line.google).sum();
    assert_eq!(google, 90);
    let wedding = whole.albums.iter().find(|album| album.line.name == "Wedding of J & J").unwrap();
    assert_eq!(
        (wedding.line.excluded, wedding.line.archived),
        (wedding.line.google, 0),
        "nobody asked for it"
    );
    let all = SyncOptions { albums: Wanted { all: true, named: Vec::new() }, ..options() };
    pass_with(&archive, &library, all, CancellationToken::new()).await;
    let shared = report(&archive);
    let wedding = shared.albums.iter().find(|album| album.line.name == "Wedding of J & J").unwrap();
    assert_eq!((wedding.line.excluded, wedding.line.archived), (0, wedding.line.google));
    assert!(shared.adds_up, "{shared:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_lacks_what_google_counts_does_not_add_up() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let archive = open(dir.path());
    let library = Arc::new(FakeLibrary::new(SimConfig { items: 60, page: 20, ..SimConfig::default() }));
    let short = Fault::ShrunkenListing(45);
    library.faults().set(FaultRule::new(RequestClass::Rpc(Some("lcxiM".into())), short, When::Always));
    pass(&archive, &library).await;
    let report = report(&archive);
    assert!(!report.adds_up);
    let total = &report.libraries[0].total;
    assert_eq!((total.google, total.archived, total.adds_up), (60, 45, false));
    let lacking: u64 = report.libraries[0].months.iter().filter(|line| !line.adds_up).map(|l| l.google).sum();
    assert!((15..=60).contains(&lacking), "the months at fault are named");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_report_shows_whether_anything_was_lost() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let archive = open(dir.path());
    let library = Arc::new(FakeLibrary::new(SimConfig { items: 40, page: 20, ..SimConfig::default() }));
    pass(&archive, &library).await;
    let then = report(&archive);
    let text = serde_json::to_string(&then).unwrap();
    let then: Report = serde_json::from_str(&text).unwrap();
    assert_eq!(report(&archive).root, then.root, "the same archive has the same root");
    library.library().add_item();
    library.library().describe_item(&library.ledger().items[0].key, "new words");
    pass(&archive, &library).await;
    let now = report(&archive);
    assert_ne!(now.root, then.root);
    let since = proof::since(&archive, &then, &now).unwrap();
    assert!(since.intact);
    assert!(since.records >= 2 && since.blobs >= 1, "{since:?}");
    // A record of then that vanishes, or a blob, is a loss.
    let lost = archive.store.record_names().next().unwrap().unwrap();
    let path = std::fs::read_dir(dir.path().join("records").join(format!("{:02x}", lost.shard())))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_str().unwrap() == lost.file_name())
        .unwrap();
    let aside = dir.path().join("aside");
    std::fs::rename(&path, &aside).unwrap();
    assert!(!proof::since(&archive, &then, &now).unwrap().intact);
    std::fs::rename(&aside, &path).unwrap();
    assert!(proof::since(&archive, &then, &now).unwrap().intact);
    let blob = archive.store.read_record(&lost).unwrap().record().parts[0].sha256;
    std::fs::rename(archive.store.blob_path(&blob), &aside).unwrap();
    assert!(!proof::since(&archive, &then, &now).unwrap().intact);
}
