//! R32: the tests work: each promise has a saboteur that breaks it, and a test that finds that out.

use std::fs;
use std::path::Path;

use super::Row;

pub const ROWS: &[Row] = &[Row {
    number: 32,
    tried: "the tests themselves, by stores that are wrong on purpose: without flushing files \
            (`r03_a_store_that_does_not_flush_is_found_out`, `r04_a_store_that_does_not_flush_is_found_out`, \
            `r05_a_store_that_does_not_flush_is_found_out`), without flushing directories (R3, R5), acknowledged early (R3), \
            without Google's hash (`r10_an_ingest_without_the_hash_check_is_found_out`), renaming over and deleting \
            (`r14_a_store_that_renames_over_or_deletes_is_found_out`)",
    counts: &[],
}];

#[test]
fn r32_every_saboteur_has_the_test_that_is_said_to_find_it_out() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promises");
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let sources: String =
        files.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).unwrap()).collect();
    let named: Vec<_> = ROWS[0].tried.split('`').skip(1).step_by(2).collect();
    assert_eq!(named.len(), 5);
    for test in named {
        let body =
            sources.split(&format!("fn {test}()")).nth(1).unwrap_or_else(|| panic!("{test} is not there"));
        // Such a test demands a failure.
        let body = &body[..body.find("\n}\n").unwrap()];
        assert!(
            ["expect_err", "is_err()", "!wrong.is_empty()", "!changes(sabotage).is_empty()"]
                .iter()
                .any(|word| body.contains(word)),
            "{test}"
        );
    }
}
