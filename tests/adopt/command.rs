//! The command, as a person uses it: what would be saved, then adopt, then sync.

use shoebox::sim::takeout::Takeout;
use shoebox::sim::{SimConfig, fake::FakeLibrary};

use super::support::*;
use crate::appliance::support::{Stage, run, shoebox, succeed, text};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_adopted_is_not_downloaded() {
    let config = SimConfig { items: 80, ..SimConfig::default() };
    let stage = Stage::new(config.clone()).await;
    let export = stage.dir.path().join("export");
    let library = FakeLibrary::new(config);
    Takeout { part: 1 << 20, ..Takeout::default() }.export(library.library(), &export).unwrap();
    let adopt = |args: &[&str]| {
        let mut command = stage.command(&[&["adopt"], args].concat());
        command.arg(&export);
        command
    };
    let told = succeed(adopt(&["--dry-run", "--library"])).await;
    for line in ["Nothing was written", "need no download", "albums would be made or completed"] {
        assert!(told.contains(line), "{told}");
    }
    let told = succeed(adopt(&[])).await;
    assert!(told.contains("new in the archive"), "{told}");
    succeed(stage.command(&["sync"])).await;
    let archive = crate::sync::support::open(&stage.data());
    crate::sync::support::assert_equal(&archive, &stage.sim.ledger());
    drop(archive);
    let ledger = stage.sim.ledger();
    let downloads = stage.sim.counters().downloads;
    let is_plain = |item: &&shoebox::sim::LedgerItem| {
        item.parts.len() == 1 && item.dedup_key.len() == 27 && !item.storage_saver
    };
    let (mut spared, mut fetched) = (0, 0);
    for item in ledger.items.iter().filter(is_plain) {
        if downloads.contains_key(&format!("{}/original", item.key)) { fetched += 1 } else { spared += 1 }
    }
    assert!(spared > 30 && fetched == 0, "{spared} spared, {fetched} fetched");
    assert!(records(&stage.data()).into_values().flatten().all(|record| !record.key.is_local()));
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_is_named_and_told_by_the_exit_code() {
    let stage = tempfile::tempdir().unwrap();
    let (data, there) = (stage.path().join("archive"), stage.path().join("there"));
    let command = |args: &[&str]| {
        let mut command = shoebox();
        command.arg("adopt").args(args).arg("--data").arg(&data).arg(&there);
        command
    };
    let none = run(command(&[])).await;
    assert_eq!(none.status.code(), Some(1), "{}", text(&none.stderr));
    crate::sync::support::init(&data);
    let nothing = run(command(&[])).await;
    assert_eq!(nothing.status.code(), Some(1));
    assert!(text(&nothing.stderr).contains("there: No such file"), "{}", text(&nothing.stderr));
    write(&there, "cut\u{1b}[31m.jpg", &photo(1)[..200]);
    write(&there, "fine.jpg", &photo(2));
    let partial = run(command(&[])).await;
    assert_eq!(partial.status.code(), Some(2), "{}", text(&partial.stderr));
    let told = text(&partial.stdout);
    assert!(told.contains("1 photo or video is new") && !told.contains('\u{1b}'), "{told}");
    let json = run(command(&["--json"])).await;
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((report["archived"].as_u64(), report["new"].as_u64()), (Some(1), Some(0)), "{report}");
    let unasked = run(command(&["--library"])).await;
    assert_eq!(unasked.status.code(), Some(4), "{}", text(&unasked.stderr));
}
