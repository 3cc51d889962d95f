//! R14: nothing that is archived is ever deleted, renamed, shortened or opened for writing.

use std::process::{Command, Stdio};

use shoebox::sim::FileBytes;

use super::sabotage::Sabotage;
use super::worker::{Task, arguments};
use super::{Count, Row, seed};
use crate::sync::support::init;

const ITEMS: Count = Count(60, 200, 400);

pub const ROWS: &[Row] = &[Row {
    number: 14,
    tried: "items archived, described and thrown away at Google under `strace`: no call deletes, renames, shortens or opens for writing what is archived",
    counts: &[ITEMS],
}];

/// The calls of a worker that would change what is archived: new items, the same bytes again, further revisions,
/// items that vanish from the library.
fn changes(sabotage: Sabotage) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let (root, log) = (dir.path().join("archive"), dir.path().join("calls"));
    init(&root);
    let calls = "trace=unlink,unlinkat,rename,renameat,renameat2,truncate,ftruncate,open,openat,openat2,creat,rmdir,fallocate";
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "-e", calls, "-e", "signal=none", "-o"]).arg(&log);
    command.arg(std::env::current_exe().unwrap()).args(arguments()).stdout(Stdio::piped());
    let kinds = FileBytes::Natural;
    let task = Task { root: &root, seed: seed("r14"), items: ITEMS.get(), kinds, revised: 20, sabotage };
    let output = task.give(&mut command).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if sabotage == Sabotage::None {
        assert!(said.lines().any(|line| line == "done"), "{said}");
    }
    let calls = std::fs::read_to_string(&log).unwrap();
    let kept =
        ["blobs", "records", "albums", "archive.json"].map(|part| root.join(part).display().to_string());
    let published = calls.lines().filter(|call| call.contains("O_TMPFILE")).count();
    assert!(published > 100, "only {published} files were begun: is this the right process?");
    let harms = |call: &&str| {
        let opens = call.contains("open") || call.contains("creat(");
        let writes = ["O_WRONLY", "O_RDWR", "O_TRUNC", "creat("].iter().any(|flag| call.contains(flag));
        kept.iter().any(|path| call.contains(path)) && (!opens || writes)
    };
    calls.lines().filter(harms).map(str::to_owned).collect()
}

#[test]
fn r14_no_system_call_changes_what_is_archived() {
    assert_eq!(changes(Sabotage::None), <[String; 0]>::default());
}

#[test]
fn r14_a_store_that_renames_over_or_deletes_is_found_out() {
    for sabotage in [Sabotage::RenameOver, Sabotage::Deletion] {
        assert!(!changes(sabotage).is_empty(), "{sabotage:?} made no difference");
    }
}
