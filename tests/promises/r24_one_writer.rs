//! R24: however many start at once, one runs; the others say who, and end. Its lock dies with it.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Stdio};

use super::{Count, Row};
use crate::appliance::support::{eventually, shoebox};
use crate::sync::support::init;

/// Rounds; each but the first comes upon the lock file of one that was killed.
const ROUNDS: Count = Count(2, 10, 20);
const STARTS: usize = 50;

pub const ROWS: &[Row] = &[Row {
    number: 24,
    tried: "fifty simultaneous starts, the winner killed: rounds of that",
    counts: &[ROUNDS],
}];

/// The whole appliance. Without a browser it cannot sync, but it stays.
fn start(data: &Path) -> Child {
    shoebox()
        .args(["run", "--listen", "127.0.0.1:0", "--browser", "/no/such/browser"])
        .env("SHOEBOX_DATA", data)
        .env("SHOEBOX_PROFILE", data.with_extension("profile"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn said(child: &mut Child) -> String {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

#[test]
fn r24_one_of_fifty_runs_and_the_others_name_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("archive");
    init(&data);
    for round in 0..ROUNDS.get() {
        let mut running: Vec<_> = (0..STARTS).map(|_| start(&data)).collect();
        let mut refused = Vec::new();
        eventually("all but one have ended", || {
            let mut n = 0;
            while n < running.len() {
                match running[n].try_wait().unwrap() {
                    Some(status) => refused.push((status, running.swap_remove(n))),
                    None => n += 1,
                }
            }
            running.len() == 1
        });
        let mut winner = running.pop().unwrap();
        let name = format!("process {} on ", winner.id());
        for (status, mut child) in refused {
            let said = said(&mut child);
            assert_eq!(status.code(), Some(11), "round {round}: {said}");
            assert!(said.contains(&name), "round {round}: not {name}: {said}");
        }
        assert!(winner.try_wait().unwrap().is_none());
        winner.kill().unwrap();
        winner.wait().unwrap();
        // Without delay, and without a person.
        drop(crate::sync::support::open(&data));
    }
}
