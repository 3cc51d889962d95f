//! The whole program tells its life.

use std::process::Stdio;

use shoebox::sim::{SignedOutModel, SimConfig};

use super::desk::{CHECK, Desk, Taken};
use crate::appliance::support::{Running, Stage, eventually, run, shoebox, text};

fn events(taken: &[Taken]) -> Vec<String> {
    let told = taken.iter().filter(|taken| taken.at == "/hook").map(Taken::json);
    told.map(|told| told["event"].as_str().unwrap().to_owned()).collect()
}

/// Starts `run`, waits until so many pings have come, and stops it.
async fn until_pinged(stage: &Stage, desk: &Desk, pings: usize) {
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut command = stage.command(&["run", "--listen", &listen, "--schedule", "1h", "--no-upkeep"]);
    command
        .env("SHOEBOX_TELL", format!("http://{}/hook", desk.address))
        .env("SHOEBOX_TELL_OF", "run-ok,run-failed,sign-in-needed,recovered")
        .env("HEALTHCHECK_ID", CHECK)
        .env("HEALTHCHECK_HOST", format!("http://{}/ping", desk.address))
        .env("SHOEBOX_URL", "http://nas:8080")
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let desk = desk.clone();
    let mut running = Running(command.spawn().unwrap());
    tokio::task::spawn_blocking(move || {
        eventually("the pings", || {
            desk.taken().iter().filter(|t| t.at.starts_with("/ping")).count() >= pings
        });
        // What is told beside a ping is on its way, too.
        std::thread::sleep(std::time::Duration::from_millis(500));
        running.stop();
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lapsed_login_is_told_once_over_restarts_and_so_is_its_end() {
    let stage = Stage::new(SimConfig { items: 5, ..SimConfig::default() }).await;
    let desk = Desk::open().await;
    stage.sim.session().sign_out(SignedOutModel::RedirectToAbout);
    until_pinged(&stage, &desk, 2).await;
    assert_eq!(events(&desk.taken()), ["sign-in-needed"]);
    until_pinged(&stage, &desk, 4).await;
    assert_eq!(events(&desk.taken()), ["sign-in-needed"], "told again after a restart");
    stage.sim.session().sign_in();
    until_pinged(&stage, &desk, 6).await;
    assert_eq!(events(&desk.taken()), ["sign-in-needed", "recovered", "run-ok"]);
    let taken = desk.taken();
    let pings: Vec<_> = taken.iter().filter(|taken| taken.at.starts_with("/ping")).collect();
    let signal = |ping: &Taken| ping.at.split(['/', '?']).nth(3).unwrap().to_owned();
    let rid = |ping: &Taken| ping.at.split("rid=").nth(1).unwrap().to_owned();
    let signals: Vec<_> = pings.iter().map(|ping| signal(ping)).collect();
    assert_eq!(signals, ["start", "3", "start", "3", "start", "0"]);
    for pair in pings.chunks(2) {
        assert_eq!(rid(pair[0]), rid(pair[1]), "start and end of one run");
        assert!(pair[1].body.contains("INFO") || pair[1].body.contains("WARN"), "no log: {}", pair[1].body);
    }
    assert!(pings[5].body.contains("5 of 5 listed items archived"), "{}", pings[5].body);
    let first = taken.iter().find(|taken| taken.at == "/hook").unwrap().json();
    assert_eq!(first["link"], "http://nas:8080/sign-in");
    // Everything was archived a moment ago: a restart makes no run of its own.
    let before = desk.taken().len();
    until_pinged(&stage, &desk, 6).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(desk.taken().len(), before);
}

/// Puts back what the login remembers by so many hours: a day passes while the appliance is off.
fn let_pass(stage: &Stage, hours: i64) {
    let file = stage.dir.path().join("profile/shoebox-login.json");
    let mut login: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for field in ["since", "told"] {
        let at: jiff::Timestamp = login[field].as_str().unwrap().parse().unwrap();
        login[field] = (at - jiff::SignedDuration::from_hours(hours)).to_string().into();
    }
    std::fs::write(&file, login.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_lapses_in_the_middle_is_told_once_reminded_of_once_and_everything_is_archived() {
    use shoebox::sim::{Fault, FaultRule, RequestClass, When};
    let stage = Stage::new(SimConfig { items: 60, ..SimConfig::default() }).await;
    let desk = Desk::open().await;
    stage.sim.faults().set(FaultRule::new(RequestClass::Download, Fault::SessionExpired, When::Nth(15)));
    until_pinged(&stage, &desk, 2).await;
    assert_eq!(events(&desk.taken()), ["sign-in-needed"]);
    let archived = shoebox::archive::Archive::open_read_only(
        &stage.data(),
        std::sync::Arc::new(shoebox::store::RealDisk),
        std::sync::Arc::new(shoebox::model::SystemClock),
    )
    .unwrap();
    let half = archived.index.reader().unwrap().totals().unwrap().items;
    drop(archived);
    assert!((1..60).contains(&half), "it did not lapse in the middle: {half}");
    // The person sleeps on it.
    let_pass(&stage, 23);
    until_pinged(&stage, &desk, 4).await;
    assert_eq!(events(&desk.taken()).len(), 1, "reminded before a day is over");
    let_pass(&stage, 2);
    until_pinged(&stage, &desk, 6).await;
    until_pinged(&stage, &desk, 8).await;
    assert_eq!(events(&desk.taken()), ["sign-in-needed", "sign-in-needed"]);
    let told: Vec<_> = desk.taken().iter().filter(|taken| taken.at == "/hook").map(Taken::json).collect();
    assert_eq!((&told[0]["reminder"], &told[1]["reminder"]), (&false.into(), &true.into()));
    stage.sim.faults().clear();
    stage.sim.session().sign_in();
    until_pinged(&stage, &desk, 10).await;
    assert_eq!(events(&desk.taken())[2..], ["recovered", "run-ok"]);
    let report = crate::appliance::support::succeed(stage.command(&["report"])).await;
    assert!(report.contains("Everything adds up."), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_would_be_told_can_be_tried_and_mistakes_are_named_without_secrets() {
    let desk = Desk::open().await;
    let tell = |addresses: String| {
        let mut command = shoebox();
        command.arg("tell").env("SHOEBOX_TELL", addresses);
        command
    };
    let good = format!("gotify://{0}/TOKEN;http://{0}/hook", desk.address);
    let mut command = tell(good.clone());
    command.env("SHOEBOX_HEALTHCHECK", format!("http://{}/ping/{CHECK}", desk.address));
    let output = run(command).await;
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    assert_eq!(said, "Gotify was told\nthe webhook was told\nthe Healthchecks server was pinged\n");
    assert_eq!(desk.taken().len(), 3);
    let output = run(tell(format!("{good};gotify://{}/s3cret", desk.address))).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("Gotify could not be told: the server answered 401"));
    for (wrong, says) in
        [("tgram://s3cret", "tgram://BOT_TOKEN/CHAT_ID"), ("s3cret", "KIND://"), ("", "nobody")]
    {
        let output = run(tell(wrong.into())).await;
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(said.contains(says) && !said.contains("s3cret"), "{said}");
        assert_ne!(output.status.code(), Some(0));
    }
    // A secret may be in a file, as container engines hand it out.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tell");
    std::fs::write(&file, format!("{good}\n")).unwrap();
    let mut command = shoebox();
    command.arg("tell").env("SHOEBOX_TELL_FILE", &file);
    assert_eq!(run(command).await.status.code(), Some(0));
}
