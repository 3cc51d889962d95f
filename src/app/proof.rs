//! `shoebox report` and `shoebox quarantine`: is everything there, and if not, why.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Context as _, bail};
use askama::Template;
use bytesize::ByteSize;
use serde_json::{Value, json};

use crate::exit;
use crate::index::Failure;
use crate::model::name::{printable as printable_name, printable_json};
use crate::proof::{self, Line, Report};

/// How the report is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Lines for people.
    Text,
    /// JSON.
    Json,
    /// A page that opens from disk.
    Html,
}

#[derive(Template)]
#[template(path = "report.html", config = ".askama.toml")]
struct Page<'a> {
    report: &'a Report,
}

fn printable(text: &str) -> String {
    printable_name(text)
}

/// `shoebox report`.
pub fn report(data: &Path, form: Form, since: Option<&Path>) -> anyhow::Result<u8> {
    let earlier = match since {
        Some(path) => {
            let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            let report: Report = serde_json::from_slice(&text).with_context(|| {
                format!("{} is not a report made by `shoebox report --json`", path.display())
            })?;
            Some(report)
        }
        None => None,
    };
    let archive = super::open_to_read(data)?;
    let report = proof::report(&archive, super::clock().now())?;
    let since = match &earlier {
        Some(earlier) if earlier.archive != report.archive => {
            bail!("the earlier report is about another archive ({})", earlier.archive);
        }
        Some(earlier) => Some(proof::since(&archive, earlier, &report)?),
        None => None,
    };
    match form {
        Form::Json => {
            let mut value = serde_json::to_value(&report)?;
            if let (Some(since), Value::Object(map)) = (&since, &mut value) {
                map.insert("since".into(), json!(since));
            }
            println!("{}", printable_json(&value.to_string()));
        }
        Form::Html => println!("{}", Page { report: &report }.render()?),
        Form::Text => print_text(&report),
    }
    let intact = since.as_ref().is_none_or(|since| since.intact);
    if let (Some(since), true) = (&since, form == Form::Text) {
        let when = since.then.strftime("%Y-%m-%d %H:%M UTC");
        if since.intact {
            println!(
                "Since {when}: everything of then is still there, unaltered; {} files and {} records are new.",
                since.blobs, since.records
            );
        } else {
            println!(
                "{}",
                red(&format!(
                    "Since {when}: WHAT WAS THERE THEN IS NOT ALL THERE NOW; run `shoebox verify`."
                ))
            );
        }
    }
    let open = report.set_aside.len() as u64
        + report.libraries.iter().map(|library| library.total.pending).sum::<u64>();
    Ok(match (intact && report.findings.is_empty(), report.adds_up && open == 0) {
        (false, _) => exit::FAILURE,
        (true, false) => exit::PARTIAL,
        (true, true) => exit::OK,
    })
}

fn print_text(report: &Report) {
    println!("Archive {} as of {}", report.archive, report.at.strftime("%Y-%m-%d %H:%M:%S UTC"));
    println!("{} items, {} of them no longer in the library", report.items, report.gone);
    for (verdict, sum) in &report.verdicts {
        println!("  {:>9} files {:>11}  {verdict}", sum.files, ByteSize(sum.bytes).to_string());
    }
    println!("Root    {} over {} files and {} records", report.root, report.blobs, report.records);
    for finding in &report.findings {
        println!("{}", red(&printable(finding)));
    }
    for library in &report.libraries {
        println!();
        println!(
            "Library of account {}, listed {}",
            printable(library.called()),
            library.listed_at.strftime("%Y-%m-%d %H:%M UTC")
        );
        if library.hidden > 0 {
            println!(
                "Google's counts leave out its archive section; the {} photos there are added.",
                library.hidden
            );
        }
        print_lines(
            "month (UTC)",
            [&Line { name: "all".into(), ..library.total.clone() }].into_iter().chain(&library.months),
        );
    }
    if report.libraries.is_empty() {
        println!("The library has not been listed completely yet: run `shoebox sync` first.");
    }
    if !report.albums.is_empty() {
        println!();
        print_lines("album", report.albums.iter().map(|album| &album.line));
    }
    if !report.set_aside.is_empty() {
        println!();
        println!("Set aside, tried again in every run:");
        for item in &report.set_aside {
            println!("  {} {}: {}", item.key, printable(&item.name), printable(&item.reason));
            println!(
                "    {} attempts since {}, look at {}",
                item.attempts,
                item.since.strftime("%Y-%m-%d"),
                item.page
            );
        }
    }
    println!();
    if report.adds_up {
        println!("Everything adds up.");
    } else {
        println!("{}", red("Something does not add up: see the lines marked with an exclamation mark."));
    }
}

fn print_lines<'a>(what: &str, lines: impl Iterator<Item = &'a Line>) {
    println!(
        "  {what:<30} {:>9} = {:>9} + {:>9} + {:>8} + {:>7}",
        "Google", "archived", "set aside", "left out", "pending"
    );
    for line in lines {
        let name: String = printable(&line.name).chars().take(30).collect();
        let text = format!(
            "{} {name:<30} {:>9} = {:>9} + {:>9} + {:>8} + {:>7}",
            if line.adds_up { " " } else { "!" },
            line.google,
            line.archived,
            line.set_aside,
            line.excluded,
            line.pending
        );
        println!("{}", if line.adds_up { text } else { red(&text) });
    }
}

/// In red, where that can be seen.
fn red(text: &str) -> String {
    if std::io::stdout().is_terminal() { format!("\u{1b}[31m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// `shoebox quarantine list`.
pub fn quarantine_list(data: &Path, json: bool) -> anyhow::Result<u8> {
    let archive = super::open_to_read(data)?;
    let reader = archive.index.reader()?;
    let (failures, names) = (reader.failures()?, reader.account_names()?);
    let called = |failure: &Failure| names.get(&failure.account).cloned();
    if json {
        let list: Vec<_> = failures
            .iter()
            .map(|f| json!({"account": called(f), "key": f.key, "name": f.name, "reason": f.reason, "since": f.first_at, "last": f.last_at, "attempts": f.attempts}))
            .collect();
        println!("{}", printable_json(&Value::from(list).to_string()));
        return Ok(exit::OK);
    }
    for failure in &failures {
        let whose = called(failure).map(|name| format!(" ({})", printable(&name))).unwrap_or_default();
        println!("{} {}{whose}: {}", failure.key, printable(&failure.name), printable(&failure.reason));
    }
    match failures.len() {
        1 => println!("1 item is set aside; every run tries it again."),
        many => println!("{many} items are set aside; every run tries them again."),
    }
    Ok(exit::OK)
}

/// `shoebox quarantine show`.
pub fn quarantine_show(data: &Path, key: &str) -> anyhow::Result<u8> {
    let archive = super::open_to_read(data)?;
    let reader = archive.index.reader()?;
    let (failures, names) = (reader.failures()?, reader.account_names()?);
    let failure = failures.iter().find(|failure| failure.key.as_str() == key);
    if let Some(failure) = failure {
        println!("Item      {}", failure.key);
        println!("Name      {}", printable(&failure.name));
        if let Some(name) = names.get(&failure.account) {
            println!("Account   {}", printable(name));
        }
        println!("Why       {}", printable(&failure.reason));
        println!("Tried     {} times, from {} to {}", failure.attempts, failure.first_at, failure.last_at);
        println!("Look at   https://photos.google.com/photo/{}", failure.key);
    }
    let evidence = archive.store.evidence(key)?;
    for file in &evidence {
        println!("Evidence  {}", file.display());
        if file.extension().is_some_and(|extension| extension == "json" || extension == "txt") {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            for line in text.lines() {
                println!("          {}", printable(line));
            }
        }
    }
    if failure.is_none() && evidence.is_empty() {
        bail!("nothing is set aside under {}", printable(key));
    }
    Ok(exit::OK)
}
