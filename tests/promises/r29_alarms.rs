//! R29: what is told of a run is true: every class of failure has its exit code and its word, and none is called complete.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use shoebox::sim::{Fault, FaultRule, RequestClass, SignedOutModel, SimConfig, When};

use super::Row;
use crate::appliance::support::{Stage, ask, is_mounted, run, text};
use crate::sync::support::open;

pub const ROWS: &[Row] = &[Row {
    number: 29,
    tried: "each class of failure: its exit code, its word in the report and on the status page, and the health answer (notices have tests of their own, in `tests/notice`)",
    counts: &[],
}];

fn call(name: &str, fault: Fault) -> FaultRule {
    FaultRule::new(RequestClass::Rpc(Some(name.into())), fault, When::Always)
}

/// A run that is to fail quickly.
fn quick(stage: &Stage, args: &[&str]) -> Command {
    let mut command = stage.command(args);
    command.env("SHOEBOX_ATTEMPTS", "1").env("SHOEBOX_LONGEST_WAIT", "50ms");
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_every_failure_has_its_code_and_its_word() {
    let stage = Stage::new(SimConfig { items: 12, ..SimConfig::default() }).await;
    let download = |fault| FaultRule::new(RequestClass::Download, fault, When::Always);
    let cases: [(&str, Vec<FaultRule>, i32, &str); 6] = [
        ("nothing of it can be had", vec![download(Fault::Status(500, None))], 2, "partial"),
        ("the listing fails", vec![call("lcxiM", Fault::Status(500, None))], 1, "failed"),
        ("Google asks to slow down", vec![call("lcxiM", Fault::Status(429, None))], 1, "failed"),
        ("the listing is short", vec![call("lcxiM", Fault::ShrunkenListing(4))], 2, "partial"),
        ("the session lapses", vec![call("VrseUb", Fault::SessionExpired)], 3, "sign-in-needed"),
        ("all is well", vec![], 0, "complete"),
    ];
    for (what, faults, code, word) in cases {
        faults.into_iter().for_each(|fault| stage.sim.faults().set(fault));
        let output = run(quick(&stage, &["sync", "--json", "--whole"])).await;
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{what}: {out} {err}");
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(report["outcome"], word, "{what}: {out}");
        let last = &open(&stage.data()).index.reader().unwrap().last_runs(1).unwrap()[0];
        assert_eq!(last.outcome, word, "{what}: what status tells later");
        stage.sim.faults().clear();
        stage.sim.session().sign_in();
    }
    // Before a pass can begin there is no report that could be mistaken.
    for (args, code, word) in [
        (&["sync", "--json", "--browser", "/bin/false"][..], 1, "did not start"),
        (&["sync", "--json", "--workers", "0"], 4, "--workers"),
    ] {
        let output = run(quick(&stage, args)).await;
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert_eq!(text(&output.stdout), "", "{args:?}");
        assert!(text(&output.stderr).contains(word), "{args:?}: {}", text(&output.stderr));
    }
    let held = open(&stage.data());
    let output = run(quick(&stage, &["sync", "--json"])).await;
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(11), ""));
    drop(held);
}

/// What the status page's twin and the health check say.
async fn asked(listen: &str) -> Option<(Value, u16)> {
    let status = ask(listen, "/api/status").await.ok()?.text().await.ok()?;
    let health = reqwest::get(format!("http://{listen}/healthz")).await.ok()?.status().as_u16();
    Some((serde_json::from_str(&status).ok()?, health))
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_the_status_page_tells_what_happened_and_health_is_about_the_view() {
    shoebox::remote::net::install_tls();
    let stage = Stage::new(SimConfig { items: 8, ..SimConfig::default() }).await;
    let view = stage.dir.path().join("view");
    // What is wrong, and the words of the last run: outcome, or error.
    for (what, outcome) in
        [("listing", Some("failed")), ("session", Some("sign-in-needed")), ("browser", None)]
    {
        let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut command = quick(&stage, &["run", "--listen", &listen, "--schedule", "1h", "--view"]);
        command.arg(&view).stdin(Stdio::null()).stderr(Stdio::null());
        match what {
            "listing" => stage.sim.faults().set(call("lcxiM", Fault::Drift)),
            "session" => stage.sim.session().sign_out(SignedOutModel::LandingPage),
            _ => drop(command.args(["--browser", "/bin/false"])),
        }
        // A listing that has changed is read from the page, unless that fails too.
        if what == "listing" {
            stage.sim.faults().set(FaultRule::new(
                RequestClass::Rpc(None),
                Fault::Status(500, None),
                When::Always,
            ));
        }
        let mut child = command.spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(120);
        let (status, health) = loop {
            match asked(&listen).await {
                Some((status, health)) if !status["last_run"].is_null() || !status["error"].is_null() => {
                    break (status, health);
                }
                other => assert!(Instant::now() < until, "{what}: {other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(status["last_run"]["outcome"].as_str(), outcome, "{what}: {status}");
        assert_eq!(status["error"].is_string(), outcome.is_none(), "{what}: {status}");
        assert_eq!(status["running"], Value::Null, "{what}");
        assert_eq!(health, 200, "{what}: a restart would not mend it");
        // Health is the view's: it is gone, and said to be.
        assert!(is_mounted(&view));
        assert!(Command::new("umount").arg("-l").arg(&view).status().unwrap().success());
        assert_eq!(asked(&listen).await.unwrap().1, 503, "{what}: the view is gone");
        Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
        shoebox::view::mountpoint::release(&view).unwrap();
        stage.sim.faults().clear();
        stage.sim.session().sign_in();
    }
}
