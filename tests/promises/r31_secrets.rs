//! R31: no cookie, no token and no signed address leaves the browser for a log, a record or evidence.

use std::path::Path;
use std::process::{Command, Stdio};

use shoebox::sim::{Fault, FaultRule, RequestClass, SimConfig, When};

use super::Row;
use crate::appliance::support::{Stage, eventually, run};
use crate::remote::browser::marked_processes;

pub const ROWS: &[Row] = &[Row {
    number: 31,
    tried: "a troubled sync and every report at log level trace: no cookie, page token, signed address or album key in what it says or keeps, bytes in quarantine and index included; and no memory image from a crash of it or its browser",
    counts: &[],
}];

/// What the simulator's secrets begin with: account cookies, fresh cookies, the page's token, signed addresses of both
/// hosts.
const MARKS: [&str; 5] = ["g.a000", "AKEyXz", "AMte4l", "AP1Gcz", "ADGPM2"];

fn holds(bytes: &[u8], secret: &str) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
}

/// Files below a directory that hold a secret, with what it is.
fn leaks(dir: &Path, secrets: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for path in crate::sync::support::files(dir).into_keys() {
        let bytes = std::fs::read(&path).unwrap();
        let held = secrets.iter().filter(|secret| holds(&bytes, secret) || path.contains(secret.as_str()));
        found.extend(held.map(|secret| format!("{path}: {secret}")));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn r31_no_secret_is_in_anything_that_is_said_or_kept() {
    let stage = Stage::new(SimConfig { items: 60, shared: 6, ..SimConfig::default() }).await;
    let mut secrets: Vec<String> = MARKS.iter().map(|&mark| mark.to_owned()).collect();
    secrets.push(stage.sim.session().secret());
    secrets.extend(stage.sim.library().album_secrets());
    let said = stage.dir.path().join("said");
    std::fs::create_dir(&said).unwrap();
    let call = |name: &str, fault, when| FaultRule::new(RequestClass::Rpc(Some(name.into())), fault, when);
    let download = |fault, when| FaultRule::new(RequestClass::Download, fault, when);
    let troubles = [
        // Evidence of a change, bytes in quarantine, refusals of every kind, failed pages.
        vec![call("EzkLib", Fault::Drift, When::Always), call("VrseUb", Fault::Null, When::Every(5))],
        vec![call("lcxiM", Fault::Drift, When::Always)],
        vec![
            download(Fault::WrongFile, When::Always),
            FaultRule::new(RequestClass::Document, Fault::Status(503, None), When::Nth(1)),
        ],
        vec![download(Fault::Html, When::Every(2)), download(Fault::Status(403, None), When::Every(3))],
        vec![
            download(Fault::Reset, When::Every(2)),
            call("VrseUb", Fault::Status(401, None), When::Every(4)),
        ],
        vec![call("VrseUb", Fault::SessionExpired, When::Nth(2))],
    ];
    for (n, faults) in troubles.into_iter().enumerate() {
        faults.into_iter().for_each(|fault| stage.sim.faults().set(fault));
        let mut command = stage.command(&["sync", "--include-shared", "--attempts", "2"]);
        command.env("SHOEBOX_LOG", "trace").env("RUST_LOG", "trace").env("SHOEBOX_LONGEST_WAIT", "50ms");
        let output = run(command).await;
        std::fs::write(said.join(format!("sync-{n}")), [output.stdout, output.stderr].concat()).unwrap();
        stage.sim.faults().clear();
        stage.sim.session().sign_in();
    }
    for args in [&["status", "--json"][..], &["report", "--json"], &["quarantine", "list"], &["verify"]] {
        let mut command = stage.command(args);
        command.env("SHOEBOX_LOG", "trace").env("RUST_LOG", "trace");
        let output = run(command).await;
        std::fs::write(said.join(args[0]), [output.stdout, output.stderr].concat()).unwrap();
    }
    let kept = crate::sync::support::files(&stage.data());
    let has = |part: &str| kept.keys().any(|path| path.contains(part));
    assert!(has("/quarantine/") && has("/records/") && has("index.sqlite"), "{kept:?}");
    assert!(kept.keys().any(|path| path.contains("drift.")), "no evidence of a change was kept");
    let told: u64 = crate::sync::support::files(&said).values().map(|(size, _)| size).sum();
    assert!(told > 10_000, "too little was said to prove anything");
    assert_eq!(leaks(&said, &secrets), <[String; 0]>::default());
    assert_eq!(leaks(&stage.data(), &secrets), <[String; 0]>::default());
    // The search finds what is there.
    std::fs::write(said.join("planted"), format!("Cookie: SID={}", stage.sim.session().secret())).unwrap();
    assert!(!leaks(&said, &secrets).is_empty());
}

/// The soft limit of a process for memory images, bytes.
fn image_limit(pid: i32) -> String {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap_or_default();
    line.split_whitespace().nth(4).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn r31_a_crash_leaves_no_memory_image() {
    let stage = Stage::new(SimConfig { items: 40, ..SimConfig::default() }).await;
    let slow = Fault::Latency(std::time::Duration::from_secs(1));
    stage.sim.faults().set(FaultRule::new(RequestClass::Download, slow, When::Always));
    // From a shell that would allow them.
    let command = stage.command(&["sync"]);
    let program = command.get_program().to_owned();
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -c unlimited; exec \"$0\" sync"]).arg(program);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let mut child = shell.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let profile = stage.dir.path().join("profile");
    let pids = {
        let profile = profile.clone();
        let waited = tokio::task::spawn_blocking(move || {
            eventually("a browser", || marked_processes(&profile).len() > 3);
            marked_processes(&profile)
        });
        waited.await.unwrap()
    };
    let own = child.id().cast_signed();
    let limits: Vec<_> = pids.into_iter().chain([own]).map(|pid| (pid, image_limit(pid))).collect();
    Command::new("kill").args(["-TERM", &own.to_string()]).status().unwrap();
    tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    // Less than a page: no image is written. One, and not zero: none is handed to a collector either.
    let allowed: Vec<_> = limits.iter().filter(|(_, limit)| !limit.is_empty() && limit != "1").collect();
    assert!(allowed.is_empty(), "{allowed:?}");
    assert!(limits.iter().filter(|(_, limit)| limit == "1").count() > 3, "{limits:?}");
}
