//! Commands that read the archive and tell about it.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytesize::ByteSize;
use serde_json::json;

use super::replica::Far;
use crate::archive::{self, Archive};
use crate::exit;
use crate::model::SystemClock;
use crate::model::name::{printable, printable_json};
use crate::replica::journal;
use crate::signals;
use crate::store::RealDisk;
use crate::store::scrub::{Finding, FindingKind, ScrubOptions, checkpoint_path, scrub, still_stands};
use crate::upkeep::{self, facts};

/// `shoebox status`.
pub fn status(data: &Path, json: bool) -> anyhow::Result<u8> {
    let archive = super::open_to_read(data)?;
    let reader = archive.index.reader()?;
    let (totals, failures, runs) = (reader.totals()?, reader.failures()?, reader.last_runs(5)?);
    let damage = upkeep::standing(&archive.store);
    let waiting = facts::waiting(&archive.store);
    let replicas = journal::known(&archive.store);
    if json {
        let verdicts: BTreeMap<_, _> = totals.verdicts.iter().map(|(v, n)| (v.word(), n)).collect();
        let failures: Vec<_> = failures
            .iter()
            .map(|f| json!({"key": f.key, "name": f.name, "reason": f.reason, "since": f.first_at, "attempts": f.attempts}))
            .collect();
        let runs: Vec<_> = runs
            .iter()
            .map(|r| {
                json!({"account": (!r.account.is_empty()).then_some(&r.account), "started": r.started, "ended": r.ended, "outcome": r.outcome, "listed": r.listed,
                "archived": r.archived, "set_aside": r.quarantined, "bytes": r.bytes})
            })
            .collect();
        let report = json!({"archive": archive.store.id().to_string(), "items": totals.items, "files": totals.parts,
            "bytes": totals.bytes, "stored_bytes": totals.blob_bytes, "verdicts": verdicts, "set_aside": failures,
            "runs": runs, "damage": damage, "waiting_for_migration": waiting,
            "replicas": replicas});
        println!("{}", printable_json(&report.to_string()));
        return Ok(exit::OK);
    }
    println!("Archive   {}", data.display());
    println!("Items     {}", totals.items);
    println!(
        "Files     {} ({}; {} stored, equal files once)",
        totals.parts,
        ByteSize(totals.bytes),
        ByteSize(totals.blob_bytes)
    );
    for (verdict, files) in &totals.verdicts {
        println!("          {files:>8} {}", verdict.meaning());
    }
    let mut last = reader.last_run_of_each()?;
    // One account without a name, or several with: whatever was before that is past.
    let is_one = last.iter().max_by_key(|run| run.started).is_some_and(|run| run.account.is_empty());
    last.retain(|run| run.account.is_empty() == is_one);
    if last.is_empty() {
        println!("Last run  none yet");
    }
    for run in &last {
        let whose =
            if run.account.is_empty() { String::new() } else { format!("{}: ", printable(&run.account)) };
        println!(
            "Last run  {whose}{}, {}: {} of {} listed items archived",
            run.ended.strftime("%Y-%m-%d %H:%M UTC"),
            run.outcome,
            run.archived,
            run.listed
        );
    }
    for (target, replica) in &replicas {
        println!("Copy      {}: {}", printable(target), printable(&replica.in_words()));
    }
    if !damage.is_empty() {
        let files = match damage.len() {
            1 => "1 file is".to_owned(),
            many => format!("{many} files are"),
        };
        println!("Damage    {files} damaged or gone and not mended yet:");
        for finding in damage.iter().take(20) {
            println!("          {}: {}", printable(&finding.path.display().to_string()), finding.detail);
        }
        println!(
            "          what Google still has comes back with the next sync; else `shoebox verify --repair-from COPY`"
        );
    }
    if waiting > 0 {
        let items = if waiting == 1 { "1 item".to_owned() } else { format!("{waiting} items") };
        println!(
            "Waiting   {items} of which this version knows date, camera or place better: `shoebox migrate --dry-run`"
        );
        println!("          shows which paths would move");
    }
    if !failures.is_empty() {
        println!("Set aside {}, tried again in every run:", failures.len());
        for failure in failures.iter().take(20) {
            let name = printable(&failure.name);
            println!("          {} {name}: {}", failure.key, printable(&failure.reason));
            println!("            look at https://photos.google.com/photo/{}", failure.key);
        }
        if failures.len() > 20 {
            println!("          … and {} more (--json lists all)", failures.len() - 20);
        }
    }
    Ok(exit::OK)
}

/// `shoebox verify`.
pub fn verify(data: &Path, afresh: bool, repair_from: Option<&Far>, json: bool) -> anyhow::Result<u8> {
    let stop = signals::stop_token()?;
    let archive = if repair_from.is_some() { super::open(data)? } else { super::open_to_read(data)? };
    let runtime = super::runtime()?;
    let copy = repair_from.map(|far| far.fetcher(Some(archive.store.id()), runtime.handle())).transpose()?;
    let checkpoint = checkpoint_path(&archive.store);
    if afresh && checkpoint.exists() {
        std::fs::remove_file(&checkpoint)?;
    }
    let began = Instant::now();
    let options = ScrubOptions { checkpoint: Some(checkpoint), ..ScrubOptions::default() };
    let mut report = scrub(&archive.store, &options, &|_progress| {
        if stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let mut lost = lost_files(&archive)?;
    let mut named: HashSet<_> = report.findings.iter().map(|finding| finding.path.clone()).collect();
    lost.retain(|lost| named.insert(lost.path.clone()));
    report.findings.extend(lost);
    report.findings.sort();
    let mut mended = Vec::new();
    if let Some(copy) = &copy {
        for finding in &report.findings {
            upkeep::mend(&archive, copy, finding)?;
        }
        let (still, sound): (Vec<_>, Vec<_>) = std::mem::take(&mut report.findings)
            .into_iter()
            .partition(|finding| still_stands(&archive.store, finding));
        report.findings = still;
        mended = sound.into_iter().map(|finding| finding.path).collect();
    }
    if json {
        let findings: Vec<_> = report
            .findings
            .iter()
            .map(|f| json!({"kind": word(f.kind), "path": f.path, "detail": f.detail}))
            .collect();
        println!(
            "{}",
            printable_json(
                &json!({"complete": report.complete, "blobs": report.blobs, "bytes": report.bytes,
                "records": report.records, "findings": findings, "mended": mended})
                .to_string()
            )
        );
    } else {
        for path in &mended {
            println!("mended: {}", printable(&path.display().to_string()));
        }
        for finding in &report.findings {
            println!(
                "{}: {}: {}",
                word(finding.kind),
                printable(&finding.path.display().to_string()),
                finding.detail
            );
        }
        let seconds = began.elapsed().as_secs_f64().max(0.001);
        println!(
            "{} files ({}, {}/s) and {} records read; {}.",
            report.blobs,
            ByteSize(report.bytes),
            ByteSize((report.bytes as f64 / seconds) as u64),
            report.records,
            match report.findings.len() {
                0 => "all as they were written".to_owned(),
                n => format!("{n} findings"),
            }
        );
        if !report.complete {
            println!("Stopped when asked; the next verification goes on from here.");
        }
    }
    Ok(match (report.findings.is_empty(), report.complete) {
        (true, true) => exit::OK,
        (true, false) => exit::INTERRUPTED,
        _ => exit::FAILURE,
    })
}

/// Files that are gone: those that the index still knows, and records that it knew before it was made again.
fn lost_files(archive: &Archive) -> anyhow::Result<Vec<Finding>> {
    let (store, reader) = (&archive.store, archive.index.reader()?);
    let mut known = archive::lost_records(store, &reader)?;
    reader.blobs(|sha256, _| {
        known
            .extend(Some(store.blob_path(&sha256)).filter(|path| path.try_exists().is_ok_and(|there| !there)))
    })?;
    let known = known.into_iter().map(|path| (path, "the index knows it, but it is not there".to_owned()));
    let noted = store.noted_lost()?.into_iter().map(|(path, note)| {
        let why =
            "an earlier index knew this record, but it is not there; bring it back from a copy, or delete";
        (path, format!("{why} {} once you have seen to it", note.display()))
    });
    let finding = |(path, detail)| Finding { kind: FindingKind::Missing, path, detail };
    Ok(known.chain(noted).map(finding).collect())
}

fn word(kind: FindingKind) -> String {
    format!("{kind:?}").to_lowercase()
}

/// `shoebox rebuild-index`.
pub fn rebuild_index(data: &Path) -> anyhow::Result<u8> {
    let report = Archive::rebuild_index(data, Arc::new(RealDisk), Arc::new(SystemClock))?;
    for finding in &report.findings {
        println!("{finding}");
    }
    println!(
        "The index was made again: {} items with {} files from {} records.",
        report.items, report.parts, report.records
    );
    Ok(if report.findings.is_empty() { exit::OK } else { exit::FAILURE })
}
