//! Commands about second copies: send, verify, drill, restore.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bytesize::ByteSize;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::archive::Archive;
use crate::model::ArchiveId;
use crate::model::name::printable_json;
use crate::replica::check::{self, CheckReport};
use crate::replica::push::{Progress, PushReport, PushSettings, Trouble};
use crate::replica::restore::{self, DrillReport, Workplace};
use crate::replica::{Fetcher, Identity, Recipient, Replica, ReplicaError, Target, journal, make_key};
use crate::store::{SecondCopy, Store};
use crate::upkeep::CopyAt;
use crate::{exit, signals};

/// How often a long replication says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(30);
/// Lines of a list that are printed.
const LINES: usize = 20;

/// A replica and what is needed to read it.
#[derive(Clone, Debug)]
pub struct Far {
    /// Where.
    pub target: Target,
    /// The file of a key that opens it.
    pub identity: Option<PathBuf>,
    /// Files at the same time.
    pub workers: usize,
}

/// How a replica is sent to.
#[derive(Clone, Debug)]
pub struct ReplicateSettings {
    /// Where.
    pub far: Far,
    /// Whom it is encrypted to.
    pub recipients: Vec<Recipient>,
    /// Most bytes per second.
    pub bandwidth: Option<u64>,
}

/// The replica that `run` keeps.
#[derive(Clone, Debug)]
pub struct KeepReplica {
    /// How.
    pub replicate: ReplicateSettings,
    /// Time between drills.
    pub drill_every: Duration,
}

impl Far {
    fn identities(&self) -> Result<Vec<Identity>, ReplicaError> {
        let read = self.identity.as_deref().map(Identity::in_file).transpose();
        Ok(read.map_err(|why| ReplicaError::Usage(format!("--identity: {why}")))?.unwrap_or_default())
    }

    /// Opens it for reading; `runtime` does the waiting.
    pub(super) fn fetcher(
        &self,
        of: Option<&ArchiveId>,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Fetcher, ReplicaError> {
        let identities = self.identities()?;
        let replica = runtime.block_on(Replica::open(&self.target, of, identities))?;
        Ok(Fetcher::new(replica, runtime.clone()))
    }

    /// As upkeep takes it: opened when something must be mended.
    pub(super) fn copy_at(&self, runtime: &tokio::runtime::Handle) -> CopyAt {
        let (far, runtime) = (self.clone(), runtime.clone());
        CopyAt::new(self.target.to_string(), move |store: &Store| {
            let fetcher = far.fetcher(Some(store.id()), &runtime).map_err(|error| error.to_string())?;
            Ok(Box::new(fetcher) as Box<dyn SecondCopy>)
        })
    }
}

impl ReplicateSettings {
    /// Sends what is new, and notes what came of it.
    ///
    /// # Errors
    /// As [`Replica::begin`] and [`Replica::push`].
    pub(super) async fn push(
        &self,
        store: &Store,
        begin_anew: bool,
        resend: &CheckReport,
        stop: &CancellationToken,
    ) -> Result<PushReport, ReplicaError> {
        let target = &self.far.target;
        let sent = async {
            let is_known = journal::load(store)?.get(&target.key()).is_some_and(|entry| entry.begun.is_some());
            let recipients = self.recipients.clone();
            let replica = Replica::begin(target, store, recipients, is_known && !begin_anew).await?;
            if !is_known {
                journal::note(store, target, |entry| entry.begun = Some(super::clock().now()))?;
            }
            let settings = PushSettings {
                workers: self.far.workers,
                bandwidth: self.bandwidth,
                resend: resend.damaged.iter().map(|wrong| wrong.file.clone()).collect(),
            };
            let progress = Progress::default();
            let push = replica.push(store, &settings, &progress, stop);
            tokio::pin!(push);
            loop {
                tokio::select! {
                    ended = &mut push => return ended,
                    () = tokio::time::sleep(SAY_EVERY) => {
                        let bytes = ByteSize(progress.bytes.load(Ordering::Relaxed)).to_string();
                        tracing::info!(files = progress.sent.load(Ordering::Relaxed), bytes, "sending to {target}");
                    }
                }
            }
        }
        .await;
        let now = super::clock().now();
        let noted = journal::note(store, target, |entry| match &sent {
            Ok(report) if report.is_complete() => {
                entry.complete = Some(now);
                entry.files = report.sent + report.there;
                (entry.failing_since, entry.failing) = (None, None);
            }
            Ok(report) if report.stopped => {}
            Ok(report) => {
                entry.failing_since.get_or_insert(now);
                entry.failing = Some(format!("{} files did not get there", report.failed.len()));
            }
            Err(error) => {
                entry.failing_since.get_or_insert(now);
                entry.failing = Some(error.to_string());
            }
        });
        if let Err(error) = noted {
            tracing::warn!("what came of the replication cannot be noted: {error}");
        }
        sent
    }
}

/// `shoebox replicate`.
pub fn replicate(
    data: &Path,
    settings: &ReplicateSettings,
    begin_anew: bool,
    json: bool,
) -> anyhow::Result<u8> {
    let stop = signals::stop_token()?;
    let archive = super::open_to_read(data)?;
    let nothing_known = CheckReport::default();
    let sent = settings.push(&archive.store, begin_anew, &nothing_known, &stop);
    let report = super::runtime()?.block_on(sent)?;
    if json {
        println!("{}", printable_json(&serde_json::to_string(&report)?));
    } else {
        println!("{}", sentence(&report, &settings.far.target));
        list(&report.failed);
    }
    Ok(code(&report))
}

fn code(report: &PushReport) -> u8 {
    match (report.is_complete(), report.stopped) {
        (true, _) => exit::OK,
        (_, true) => exit::INTERRUPTED,
        _ => exit::PARTIAL,
    }
}

/// What a replication came to.
pub(super) fn sentence(report: &PushReport, target: &Target) -> String {
    let sent = match report.sent {
        0 => format!("Nothing new for {target}"),
        n => format!("{} ({}) sent to {target}", files(n), ByteSize(report.bytes)),
    };
    let replaced = match report.replaced {
        0 => String::new(),
        n => format!(", {n} of them in place of damaged ones"),
    };
    let whole = if report.is_complete() {
        "everything that is archived is there".to_owned()
    } else if report.stopped {
        "stopped when asked; the next time goes on from here".to_owned()
    } else {
        let waiting = match report.waiting {
            0 => String::new(),
            n => format!(", and {n} records wait for them"),
        };
        format!("{} could not be sent{waiting}: the next time tries again", files(report.failed.len() as u64))
    };
    format!("{sent}{replaced}; {} there before; {whole}.", files(report.there))
}

fn files(n: u64) -> String {
    if n == 1 { "1 file".into() } else { format!("{n} files") }
}

fn list(troubles: &[Trouble]) {
    for trouble in troubles.iter().take(LINES) {
        println!("  {}: {}", trouble.file, trouble.why);
    }
    if troubles.len() > LINES {
        println!("  … and {} more (--json lists all)", troubles.len() - LINES);
    }
}

/// `shoebox verify --replica`.
pub fn verify(data: &Path, far: &Far, quick: bool, resend: bool, json: bool) -> anyhow::Result<u8> {
    let stop = signals::stop_token()?;
    let (runtime, archive) = (super::runtime()?, super::open_to_read(data)?);
    let store = &archive.store;
    let fetcher = far.fetcher(Some(store.id()), runtime.handle())?;
    let report = check::check(&fetcher, store, !quick, far.workers, &stop)?;
    let sent = match resend && !report.damaged.is_empty() && !report.stopped {
        true => Some(send_again(far, &fetcher, store, &report, &runtime, &stop)?),
        false => None,
    };
    let wrong: Vec<_> = report
        .damaged
        .iter()
        .map(|wrong| Trouble { file: wrong.file.path(), why: wrong.why.clone() })
        .collect();
    let paths = |files: &[crate::store::Immutable]| files.iter().map(|file| file.path()).collect::<Vec<_>>();
    let missing: Vec<_> = paths(&report.missing);
    if json {
        let report = json!({"files": report.files, "bytes": report.bytes, "missing": missing, "damaged": wrong,
            "only_there": paths(&report.only_there), "damaged_here": paths(&report.damaged_here), "complete": !report.stopped, "sent_again": sent});
        println!("{}", printable_json(&report.to_string()));
    } else {
        let why = "it is not there yet".to_owned();
        list(&wrong);
        list(&missing.into_iter().map(|file| Trouble { file, why: why.clone() }).collect::<Vec<_>>());
        println!("{}", verified(&report, &far.target, quick));
        if let Some(sent) = &sent {
            println!("{}", sentence(sent, &far.target));
        } else if !report.damaged.is_empty() {
            println!("Send again what is damaged there with --resend.");
        }
    }
    let damaged = report.damaged.len() as u64;
    let mended = sent.is_some_and(|sent| sent.is_complete() && sent.replaced >= damaged);
    let here = report.damaged_here.is_empty();
    Ok(
        match (
            report.stopped,
            here && (report.damaged.is_empty() || mended),
            report.missing.is_empty() || mended,
        ) {
            (true, ..) => exit::INTERRUPTED,
            (_, false, _) => exit::FAILURE,
            (_, _, false) => exit::PARTIAL,
            _ => exit::OK,
        },
    )
}

fn verified(report: &CheckReport, target: &Target, quick: bool) -> String {
    let read = match quick {
        true => format!("{} at {target} looked at", files(report.files)),
        false => format!("{} ({}) at {target} read", files(report.files), ByteSize(report.bytes)),
    };
    let mut found = Vec::new();
    if !report.damaged.is_empty() {
        found.push(format!("{} damaged", report.damaged.len()));
    }
    if !report.missing.is_empty() {
        found.push(format!("{} not there yet", report.missing.len()));
    }
    if !report.damaged_here.is_empty() {
        found.push(format!(
            "{} damaged HERE (`shoebox verify --repair-from {target}`)",
            report.damaged_here.len()
        ));
    }
    if !report.only_there.is_empty() {
        found.push(format!(
            "{} that the archive does not have (`shoebox verify` tells)",
            report.only_there.len()
        ));
    }
    let found = if found.is_empty() { "all as they were sent".to_owned() } else { found.join(", ") };
    let stopped = if report.stopped { " Stopped when asked." } else { "" };
    format!("{read}: {found}.{stopped}")
}

/// Sends what was found damaged again, and whatever else is new.
fn send_again(
    far: &Far,
    fetcher: &Fetcher,
    store: &Store,
    found: &CheckReport,
    runtime: &Runtime,
    stop: &CancellationToken,
) -> Result<PushReport, ReplicaError> {
    let recipients = fetcher.replica().recipients().to_vec();
    let settings = ReplicateSettings { far: far.clone(), recipients, bandwidth: None };
    runtime.block_on(settings.push(store, false, found, stop))
}

/// `shoebox drill`.
pub fn drill(data: &Path, far: &Far, sample: usize, within: Option<&Path>, json: bool) -> anyhow::Result<u8> {
    let stop = signals::stop_token()?;
    let (runtime, archive) = (super::runtime()?, super::open_to_read(data)?);
    let report = hold_drill(&archive, far, sample, within, runtime.handle(), &stop)?;
    if json {
        println!("{}", printable_json(&serde_json::to_string(&report)?));
    } else {
        list(&report.failed);
        println!("{}", drilled(&report, &far.target));
    }
    Ok(match (report.stopped, report.is_good(), report.behind) {
        (true, ..) => exit::INTERRUPTED,
        (_, true, 0) => exit::OK,
        (_, true, _) => exit::PARTIAL,
        _ => exit::FAILURE,
    })
}

/// Holds a drill, and notes what came of it.
pub(super) fn hold_drill(
    archive: &Archive,
    far: &Far,
    sample: usize,
    within: Option<&Path>,
    runtime: &tokio::runtime::Handle,
    stop: &CancellationToken,
) -> anyhow::Result<DrillReport> {
    let store = &archive.store;
    let fetcher = far.fetcher(Some(store.id()), runtime)?;
    let cache = store.root().join("cache");
    let parent = within.unwrap_or(&cache);
    let work = Workplace::below(parent)
        .with_context(|| format!("cannot make a directory for the drill in {}", parent.display()))?;
    let seed = fastrand::u64(..);
    let report = restore::drill(&fetcher, archive, work.archive(), sample, seed, far.workers, stop)?;
    if !report.stopped {
        journal::note(store, &far.target, |entry| {
            entry.drilled = Some(super::clock().now());
            entry.drill_failed = (!report.is_good()).then(|| drilled(&report, &far.target));
        })?;
    }
    Ok(report)
}

/// What a drill came to.
pub(super) fn drilled(report: &DrillReport, target: &Target) -> String {
    let index = match report.index_agrees {
        Some(true) => "the index made of them says the same as the archive's own".to_owned(),
        Some(false) => "the index made of them says something ELSE than the archive's own".to_owned(),
        None if report.behind > 0 => format!("{} of the archive's records are not there", report.behind),
        None => "the archive goes on meanwhile, so that the index was not compared".to_owned(),
    };
    let sample = format!(
        "{} of {} drawn at random ({}) restored and hashed",
        report.sample,
        files(report.of),
        ByteSize(report.bytes)
    );
    let end = match (report.failed.len() as u64, report.stopped) {
        (_, true) => "Stopped when asked.".to_owned(),
        (0, _) if report.is_good() && report.behind > 0 => {
            "What is there can be restored, but it is not everything: `shoebox replicate` first.".to_owned()
        }
        (0, _) if report.is_good() => "This replica can be restored.".to_owned(),
        (0, _) => "Run `shoebox verify`.".to_owned(),
        (n, _) => format!("{} could NOT be restored: run `shoebox verify --replica {target}`.", files(n)),
    };
    format!(
        "{} records restored from {target}, with {} items; {index}. {sample}. {end}",
        report.records, report.items
    )
}

/// `shoebox restore`.
pub fn restore(data: &Path, far: &Far, json: bool) -> anyhow::Result<u8> {
    let stop = signals::stop_token()?;
    let runtime = super::runtime()?;
    let fetcher = far.fetcher(None, runtime.handle())?;
    let report = restore::restore(&fetcher, data, far.workers, &stop)?;
    if json {
        println!("{}", printable_json(&serde_json::to_string(&report)?));
    } else {
        list(&report.failed);
        let there = match report.there {
            0 => String::new(),
            n => format!(", {} there before", files(n)),
        };
        println!(
            "{} and {} records restored from {} to {}{there}.",
            files(report.blobs),
            report.records,
            far.target,
            data.display()
        );
        println!(
            "{}",
            match (report.stopped, report.failed.is_empty()) {
                (true, _) => "Stopped when asked; the same command goes on from here.".to_owned(),
                (_, true) => format!("The archive is whole: {} items.", report.items),
                _ => format!("{} could NOT be restored.", files(report.failed.len() as u64)),
            }
        );
    }
    Ok(match (report.stopped, report.failed.is_empty()) {
        (true, _) => exit::INTERRUPTED,
        (_, true) => exit::OK,
        _ => exit::PARTIAL,
    })
}

/// `shoebox new-key`.
pub fn new_key(path: &Path) -> anyhow::Result<u8> {
    let recipient =
        make_key(path).map_err(|error| anyhow!("cannot make a key in {}: {error}", path.display()))?;
    println!(
        "Made a key in {}. Keep a copy of it where neither a fire nor a thief gets at both:",
        path.display()
    );
    println!("without it nothing that is encrypted to it can ever be read.");
    println!("\nIts public key, for --encrypt-to:\n{recipient}");
    Ok(exit::OK)
}

/// Opens the copies from which upkeep mends.
pub(super) fn copies(of: &[Far]) -> Vec<CopyAt> {
    let runtime = tokio::runtime::Handle::current();
    of.iter().map(|far| far.copy_at(&runtime)).collect()
}
