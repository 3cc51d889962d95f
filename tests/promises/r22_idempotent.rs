//! R22: running it again does nothing when there is nothing to do.

use std::sync::Arc;

use shoebox::archive::Archive;
use shoebox::model::SystemClock;
use shoebox::sim::SimConfig;
use shoebox::sim::fake::FakeLibrary;

use super::Row;
use crate::store::support::FaultyDisk;
use crate::sync::support::{files, init, pass};

pub const ROWS: &[Row] =
    &[Row { number: 22, tried: "a second pass downloads nothing and writes nothing", counts: &[] }];

#[tokio::test(flavor = "multi_thread")]
async fn r22_a_second_pass_downloads_nothing_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let disk = Arc::new(FaultyDisk::new(dir.path(), false));
    let archive = Arc::new(Archive::open(dir.path(), disk.clone(), Arc::new(SystemClock)).unwrap());
    let library = Arc::new(FakeLibrary::new(SimConfig { items: 60, page: 50, ..SimConfig::default() }));
    pass(&archive, &library).await;
    let truth =
        || ["blobs", "records", "albums", "tmp", "quarantine"].map(|name| files(&dir.path().join(name)));
    let (before, fetched, steps) = (truth(), library.fetches(), disk.steps().len());
    let report = pass(&archive, &library).await;
    assert_eq!(truth(), before);
    assert_eq!(library.fetches(), fetched);
    assert_eq!((report.archived, report.already_archived, report.bytes), (0, 60, 0));
    assert!(report.sentence().starts_with("Nothing new"), "{}", report.sentence());
    let reads = |step: &&String| ["open", "list", "space"].iter().any(|read| step.starts_with(read));
    let wrote: Vec<_> = disk.steps().into_iter().skip(steps).filter(|step| !reads(&step)).collect();
    assert!(steps > 300 && wrote.is_empty(), "{wrote:?}");
}
