//! Whole passes of the real program with a real browser.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::google::{Google, run_measured};
use super::{FILE, FILES, fill, median, rate};

const WORKERS: usize = 4;
/// How far away the real site is: pages, calls, first bytes, and the width of one connection.
const DISTANCE: [&str; 4] = [
    "document latency=400 always",
    "rpc latency=150 always",
    "download latency=200 always",
    "download bandwidth=20000000 always",
];

/// One pass into a new archive; returns its time without the start of the browser, and memory in bytes.
fn pass(google: &Google, dir: &Path, files: usize, args: &[&str]) -> (Duration, u64) {
    let data = dir.join("archive");
    // A profile stays with its archive; here each pass begins one.
    let _ = fs::remove_file(dir.join("profile/shoebox-archive"));
    assert!(google.shoebox(dir, &data, &["init"]).stdout(Stdio::null()).status().unwrap().success());
    let workers = WORKERS.to_string();
    let args = [&["sync", "--json", "--workers", &workers], args].concat();
    let (report, peak) = run_measured(google.shoebox(dir, &data, &args));
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["archived"], files);
    let at = |name: &str| report[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    fs::remove_dir_all(&data).unwrap();
    (Duration::try_from(at("ended").duration_since(at("started"))).unwrap(), peak)
}

/// The same files, the same addresses' host, the same number at a time.
pub fn sync_against_curl(dir: &Path, latency: u64) {
    fs::create_dir_all(dir).unwrap();
    let delays = ["document", "rpc", "download"].map(|class| format!("{class} latency={latency} always"));
    let google = Google::start(dir, FILES, FILE, &delays.each_ref().map(String::as_str));
    let total = FILE * FILES as u64;
    let (mut ours, mut theirs, mut memory) = (Vec::new(), Vec::new(), 0);
    for _ in 0..3 {
        // In turn, so that a slow moment hits both.
        theirs.push(google.curl(dir, WORKERS));
        let (time, peak) = pass(&google, dir, FILES, &[]);
        ours.push(time);
        memory = memory.max(peak);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!(
        "sync   {latency:>3} ms latency, {FILES} files of 3 MB, {WORKERS} at a time: shoebox {:.0} MB/s, curl --parallel {:.0} MB/s, ratio {:.2}; shoebox held {} MB",
        rate(total, ours),
        rate(total, theirs),
        theirs.as_secs_f64() / ours.as_secs_f64(),
        memory / 1_000_000,
    );
}

/// Each method at the distance of the real site.
pub fn methods_against_curl(dir: &Path) {
    for (method, files) in [("rpc", FILES), ("browser", FILES), ("viewer", 40)] {
        let dir = dir.join(method);
        fs::create_dir_all(&dir).unwrap();
        let google = Google::start(&dir, files, FILE, &DISTANCE);
        let theirs = google.curl(&dir, WORKERS);
        let (ours, _) = pass(&google, &dir, files, &["--method", method]);
        let per_minute = |time: Duration| files as f64 / time.as_secs_f64() * 60.0;
        println!(
            "method {method}: {files} files of 3 MB, {WORKERS} at a time, at a distance: shoebox {:.0} items/min, curl --parallel {:.0} items/min, ratio {:.2}",
            per_minute(ours),
            per_minute(theirs),
            theirs.as_secs_f64() / ours.as_secs_f64(),
        );
    }
}

/// A library of 100,000 items that are archived already: the hourly look, and a complete listing.
pub fn unchanged_library() {
    const ITEMS: usize = 100_000;
    // In memory, where a hundred thousand flushes cost nothing.
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let google = Google::start(dir.path(), ITEMS, 1200, &DISTANCE);
    let data = dir.path().join("archive");
    let began = Instant::now();
    fill(&data, &[(ITEMS, 1200)]);
    let filled = began.elapsed();
    println!("unchanged: {ITEMS} items were archived in {:.0} s, in memory", filled.as_secs_f64());
    for (what, args, most) in [("look", &[][..], 10), ("complete listing", &["--whole"], 400)] {
        let (requests, files) = google.asked();
        let began = Instant::now();
        let (report, peak) =
            run_measured(google.shoebox(dir.path(), &data, &[&["sync", "--json"], args].concat()));
        let time = began.elapsed();
        let (requests, files) = (google.asked().0 - requests, google.asked().1 - files);
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert_eq!((&report["outcome"], &report["archived"], files), (&"complete".into(), &0.into(), 0));
        println!(
            "unchanged: a {what} of {ITEMS} items made {requests} requests (at most {most}) in {:.1} s with the start of the browser; shoebox held {} MB",
            time.as_secs_f64(),
            peak / 1_000_000,
        );
        assert!(requests <= most && peak < 150_000_000, "over the limit");
    }
}
