//! A process that archives a library and says what it has acknowledged, for those who kill it, cut its power or
//! watch its system calls.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use shoebox::archive::Archive;
use shoebox::model::SystemClock;
use shoebox::sim::fake::FakeLibrary;
use shoebox::sim::{FileBytes, SimConfig};
use shoebox::store::RealDisk;
use shoebox::sync::report::Outcome;

use super::sabotage::{Sabotage, Spoilt};
use crate::sync::support::pass;

/// The library that a worker archives: of pictures of equal length, which cost no time to make, or of all kinds.
pub fn library(seed: u64, items: usize, kinds: FileBytes) -> FakeLibrary {
    FakeLibrary::new(SimConfig { items, seed, file_bytes: kinds, page: 40, ..SimConfig::default() })
}

/// Length of equal pictures, bytes: more than a page of memory, less than a moment.
pub const LENGTH: u64 = 20_000;

/// The arguments that make this program a worker.
pub fn arguments() -> [&'static str; 4] {
    ["promises::worker::works", "--exact", "--ignored", "--nocapture"]
}

/// What a worker shall do.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    pub root: &'a Path,
    pub seed: u64,
    pub items: usize,
    pub kinds: FileBytes,
    /// So many items are described after the first pass, and thrown away after a second one.
    pub revised: usize,
    pub sabotage: Sabotage,
}

impl Task<'_> {
    /// Hands it to a command that starts a worker.
    pub fn give<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .env("WORKER_ROOT", self.root)
            .env("WORKER_SEED", self.seed.to_string())
            .env("WORKER_ITEMS", self.items.to_string())
            .env("WORKER_NATURAL", u8::from(self.kinds == FileBytes::Natural).to_string())
            .env("WORKER_REVISED", self.revised.to_string())
            .env("WORKER_SABOTAGE", format!("{:?}", self.sabotage))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
    }
}

/// A worker at work.
pub struct Worker {
    pub child: Child,
    said: JoinHandle<Said>,
}

/// What a worker has said.
#[derive(Debug, Default)]
pub struct Said {
    /// The keys that it has acknowledged.
    pub kept: BTreeSet<String>,
    /// Files that it has fetched.
    pub fetched: u64,
    /// Whether it has come to its end.
    pub done: bool,
}

impl Worker {
    pub fn start(task: &Task<'_>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(arguments()).stdout(Stdio::piped());
        let mut child = task.give(&mut command).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut lines = output.lines().map_while(Result::ok);
        // It is at work once the library is there.
        lines.by_ref().find(|line| line == "begun");
        let said = thread::spawn(move || {
            let mut said = Said::default();
            for line in lines {
                match line.split_once(' ') {
                    Some(("kept", key)) => drop(said.kept.insert(key.to_owned())),
                    Some(("fetched", number)) => said.fetched = number.parse().unwrap(),
                    _ => said.done |= line == "done",
                }
            }
            said
        });
        Self { child, said }
    }

    /// What it has said by its end.
    pub fn end(mut self) -> Said {
        self.child.wait().unwrap();
        self.said.join().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that other tests start"]
async fn works() {
    let Ok(root) = std::env::var("WORKER_ROOT") else { return };
    let number = |name: &str| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let kinds = if number("WORKER_NATURAL") == 1 { FileBytes::Natural } else { FileBytes::Fixed(LENGTH) };
    let library = Arc::new(library(number("WORKER_SEED"), number("WORKER_ITEMS") as usize, kinds));
    let sabotage = Sabotage::named(&std::env::var("WORKER_SABOTAGE").unwrap());
    // The test's own line has begun already.
    println!("\nbegun");
    let disk = Arc::new(Spoilt { disk: Arc::new(RealDisk), sabotage });
    let archive = Arc::new(Archive::open(Path::new(&root), disk, Arc::new(SystemClock)).unwrap());
    let ended = Arc::new(AtomicBool::new(false));
    let teller = thread::spawn({
        let (archive, library, ended) = (Arc::clone(&archive), Arc::clone(&library), Arc::clone(&ended));
        move || tell(&archive, &library, &ended)
    });
    let mut report = pass(&archive, &library).await;
    let changed: Vec<_> = library
        .ledger()
        .items
        .into_iter()
        .map(|item| item.key)
        .take(number("WORKER_REVISED") as usize)
        .collect();
    if !changed.is_empty() {
        changed.iter().for_each(|key| library.library().describe_item(key, "another word"));
        pass(&archive, &library).await;
        changed.iter().for_each(|key| library.library().trash_item(key));
        pass(&archive, &library).await;
        report = pass(&archive, &library).await;
    }
    ended.store(true, Ordering::Release);
    teller.join().unwrap();
    if report.outcome() == &Outcome::Complete {
        println!("done");
    }
}

/// Says what can be seen in the index, as the view would show it.
fn tell(archive: &Archive, library: &FakeLibrary, ended: &AtomicBool) {
    let (reader, mut seen, mut fetched) = (archive.index.reader().unwrap(), 0, 0);
    loop {
        let last = ended.load(Ordering::Acquire);
        let items = reader.items_after(seen, 10_000).unwrap();
        let mut out = std::io::stdout().lock();
        for item in &items {
            seen = seen.max(item.change);
            writeln!(out, "kept {}", item.key).unwrap();
        }
        if library.fetches() > fetched {
            fetched = library.fetches();
            writeln!(out, "fetched {fetched}").unwrap();
        }
        out.flush().unwrap();
        drop(out);
        if last && items.is_empty() {
            return;
        }
        thread::sleep(Duration::from_millis(3));
    }
}
