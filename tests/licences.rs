//! What may be linked into a program that is given away under MIT or Apache-2.0.

#![allow(clippy::unwrap_used)]

use std::process::Command;

use serde_json::Value;

/// Licences that ask for no more than a notice.
const ALLOWED: &[&str] = &[
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "ISC",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "Zlib",
    "BSL-1.0",
    "0BSD",
    "CC0-1.0",
    "Unlicense",
    "Unicode-3.0",
];

/// Data that asks to be named, as the README does: the borders of zones, of OpenStreetMap. It is a database beside our
/// program, and nobody changes it.
const DATA: &[(&str, &str)] = &[("tzf-dist", "MIT AND ODbL-1.0")];

/// The parts of an SPDX expression between a word, outside of parentheses.
fn split<'a>(expression: &'a str, word: &str) -> Vec<&'a str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in expression.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && at >= start && expression[at..].starts_with(word) => {
                parts.push(&expression[start..at]);
                start = at + word.len();
            }
            _ => {}
        }
    }
    parts.push(&expression[start..]);
    parts
}

fn is_allowed(expression: &str) -> bool {
    let expression = expression.trim();
    if let [_, _, ..] = split(expression, " OR ")[..] {
        return split(expression, " OR ").into_iter().any(is_allowed);
    }
    if let [_, _, ..] = split(expression, " AND ")[..] {
        return split(expression, " AND ").into_iter().all(is_allowed);
    }
    match expression.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => is_allowed(inner),
        None => ALLOWED.contains(&expression),
    }
}

#[test]
fn expressions_are_understood() {
    for (expression, allowed) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("MIT OR GPL-3.0-only", true),
        ("MIT AND GPL-3.0-only", false),
        ("(MIT OR GPL-3.0-only) AND ISC", true),
        ("(GPL-2.0-only OR GPL-3.0-only) AND ISC", false),
        ("GPL-2.0-only AND ISC OR Zlib", true),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression), allowed, "{expression}");
    }
}

#[test]
fn every_library_may_be_given_away_with_ours() {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--locked",
            "--format-version",
            "1",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .args(["--all-features", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 200, "only {} packages", packages.len());
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let said = package["license"].as_str().map(|text| text.replace(" / ", " OR ").replace('/', " OR "));
        let licence = said.unwrap_or_default();
        if DATA.contains(&(name, licence.as_str())) {
            continue;
        }
        assert!(is_allowed(&licence), "{name} has the licence `{licence}`: choose another library");
    }
}
