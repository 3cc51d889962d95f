//! The table in README.md says what these tests do, no more and no less.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;

/// What each module says of itself.
const ROWS: &[&[Row]] = &[
    r01_kills::ROWS,
    failing_steps::ROWS,
    r03_crash_states::ROWS,
    r04_power_cuts::ROWS,
    r05_torn_writes::ROWS,
    r06_full_disk::ROWS,
    r08_bit_rot::ROWS,
    r09_deadline::ROWS,
    r10_bad_downloads::ROWS,
    r11_browser_dies::ROWS,
    r12_network::ROWS,
    r13_session::ROWS,
    r14_no_deletion::ROWS,
    r15_rebuild::ROWS,
    format::ROWS,
    r20_hostile_names::ROWS,
    r21_hostile_bytes::ROWS,
    r18_view_truth::ROWS,
    r19_view_read_only::ROWS,
    r22_idempotent::ROWS,
    r23_converges::ROWS,
    chaos::ROWS,
    r27_stop::ROWS,
    r29_alarms::ROWS,
    r31_secrets::ROWS,
    r32_saboteurs::ROWS,
    r24_one_writer::ROWS,
    r25_wrong_volume::ROWS,
    r26_time::ROWS,
    r28_upgrade::ROWS,
    r30_scale::ROWS,
];

fn rows() -> Vec<&'static Row> {
    let mut rows: Vec<_> = ROWS.iter().copied().flatten().collect();
    rows.sort_by_key(|row| row.number);
    rows
}

/// 25000 as `25,000`.
fn number(n: usize) -> String {
    let digits = n.to_string();
    let groups: Vec<_> =
        digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap()).collect();
    groups.join(",")
}

fn table() -> String {
    let mut text = String::from(
        "| | what is tried | every change | long | release |\n| --- | --- | --- | --- | --- |\n",
    );
    for row in rows() {
        let cell = |tier: fn(&Count) -> usize| match row.counts {
            [] => "all".to_owned(),
            counts => counts.iter().map(|count| number(tier(count))).collect::<Vec<_>>().join(" + "),
        };
        let (usual, long, release) = (cell(|count| count.0), cell(|count| count.1), cell(|count| count.2));
        text.push_str(&format!("| R{} | {} | {usual} | {long} | {release} |\n", row.number, row.tried));
    }
    text
}

/// `UPDATE=1` writes the table into the README.
#[test]
fn the_readme_has_the_table_of_these_tests() {
    const FROM: &str = "<!-- promises: made by tests/promises/table.rs -->\n";
    const TO: &str = "<!-- end of promises -->";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(FROM).unwrap();
    let (shown, after) = rest.split_once(TO).unwrap();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, format!("{before}{FROM}{}{TO}{after}", table())).unwrap();
    } else {
        assert_eq!(shown, table(), "UPDATE=1 cargo nextest run --features sim the_readme_has writes it anew");
    }
}

#[test]
fn every_row_has_a_test_of_its_name_and_every_such_test_a_row() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promises");
    let mut tested = BTreeSet::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        let names = text.split("fn r").skip(1).filter_map(|rest| rest.split_once('_'));
        tested.extend(names.filter_map(|(number, _)| number.parse::<u8>().ok()));
    }
    let told: Vec<_> = rows().iter().map(|row| row.number).collect();
    assert_eq!(told, tested.into_iter().collect::<Vec<_>>());
}
