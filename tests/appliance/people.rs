//! Several people in one appliance: each with a login, a schedule and a way to be told of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use shoebox::model::digest::digests_of;
use shoebox::sim::{Screen, Sim, SimConfig};

use super::person::{LIMIT, Person};
use super::sign_in::{novnc, screen_is};
use super::support::{PASSWORD, Running, Stage, ask, eventually, is_mounted, succeed};
use crate::notice::desk::{CHECK, Desk, Taken};

/// How often each content is below a directory.
fn contents(dir: &Path) -> BTreeMap<String, usize> {
    let (mut found, mut open) = (BTreeMap::new(), vec![dir.to_owned()]);
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                *found.entry(digests_of(&fs::read(path).unwrap()).sha256.hex()).or_default() += 1;
            }
        }
    }
    found
}

fn wanted(sim: &Sim) -> BTreeSet<String> {
    sim.ledger().wanted().into_keys().collect()
}

/// What was told, with its title.
pub fn events(desk: &Desk) -> Vec<String> {
    let hooks = desk.taken().into_iter().filter(|taken| taken.at == "/hook");
    hooks
        .map(|taken: Taken| {
            let told = taken.json();
            format!("{} {}", told["event"].as_str().unwrap(), told["title"].as_str().unwrap())
        })
        .collect()
}

async fn status(listen: &str, is: impl Fn(&[Value]) -> bool) -> Value {
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let status = ask(listen, "/api/status").await.unwrap().text().await.unwrap();
        let status: Value = serde_json::from_str(&status).unwrap();
        if is(status["accounts"].as_array().unwrap()) {
            return status;
        }
        assert!(Instant::now() < until, "{status:#}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_have_a_login_a_schedule_and_a_way_to_be_told_of_their_own() {
    // Both are at one Google.
    let google = tempfile::tempdir().unwrap();
    let config = SimConfig {
        state: Some(google.path().to_owned()),
        sign_in: vec![Screen::Identifier, Screen::Password],
        ..SimConfig::default()
    };
    let stage = Stage::new(SimConfig { items: 40, ..config.clone() }).await;
    let ben = Sim::start(SimConfig { items: 30, person: 1, ..config }).await.unwrap();
    let own = ben.library().backdate_item(9000);
    let (for_anna, for_ben) = (Desk::open().await, Desk::open().await);
    let accounts = stage.dir.path().join("accounts.toml");
    let hook = |desk: &Desk| format!("http://{}/hook", desk.address);
    let text = format!(
        "[Anna]\nprofile = \"profile\"\nschedule = \"every 5h\"\n\
         [Ben]\nresolve = [\"*={}\"]\nschedule = \"every 7h\"\ntell = [\"{}\"]\nhealthcheck = \"{CHECK}\"\nhealthcheck-host = \"http://{}/ping\"\n",
        ben.address(),
        hook(&for_ben),
        for_ben.address,
    );
    fs::write(&accounts, text).unwrap();
    let view = stage.dir.path().join("view");
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let args = ["run", "--view", view.to_str().unwrap(), "--listen", &listen, "--no-upkeep"];
    let start = || {
        let mut command = stage.command(&args);
        command
            .env("SHOEBOX_ACCOUNTS", &accounts)
            .env("SHOEBOX_NOVNC", novnc())
            .env("SHOEBOX_TELL", hook(&for_anna))
            .env("SHOEBOX_TELL_OF", "run-ok,run-failed,sign-in-needed,recovered")
            .env("SHOEBOX_URL", "http://nas:8080")
            .stdin(Stdio::null());
        let log = fs::File::options().create(true).append(true).open(stage.dir.path().join("log")).unwrap();
        Running(command.stderr(log).spawn().unwrap())
    };
    let mut running = start();
    eventually("the page", || std::net::TcpStream::connect(&listen).is_ok());
    let ended = |account: &Value, outcome: &str| account["last_run"]["outcome"] == outcome;
    let now = status(&listen, |all| ended(&all[0], "complete") && ended(&all[1], "sign-in-needed")).await;
    assert_eq!((&now["accounts"][0]["name"], &now["accounts"][1]["name"]), (&"Anna".into(), &"Ben".into()));
    assert_eq!(now["items"], 40);
    // Ben is told, and nobody else; the archive goes on for Anna.
    eventually("the notices", || events(&for_ben).len() + events(&for_anna).len() >= 2);
    assert_eq!(events(&for_ben), ["sign-in-needed Ben: Please sign in to Google again"]);
    assert_eq!(events(&for_anna), ["run-ok Anna: Everything is archived"]);
    let told = for_ben.taken().into_iter().find(|taken| taken.at == "/hook").unwrap().json();
    assert_eq!(told["link"], "http://nas:8080/sign-in?account=Ben");

    let page = ask(&listen, "/").await.unwrap().text().await.unwrap();
    assert!(page.contains("Ben is needed"), "{page}");

    // Ben signs in where the notice leads.
    let person = Person::new().await;
    let url = format!("http://{listen}");
    person.begins_to_sign_in_for("Ben", &url, PASSWORD).await;
    let last = async || ben.session().last_screen();
    screen_is(&last, "identifier").await;
    person.type_into_picture("ben@example.org").await;
    screen_is(&last, "challenge/pwd").await;
    person.type_into_picture("pässword").await;
    person.reads("Everything goes on by itself").await;
    let now = status(&listen, |all| all.iter().all(|account| ended(account, "complete"))).await;
    let account = |n: usize| now["accounts"][n]["login"]["account"].as_str().unwrap().to_owned();
    assert_eq!([account(0), account(1)], ["demo.person@gmail.example", "person.1@gmail.example"]);
    person.tab.open(&format!("http://{listen}/"), LIMIT).await.unwrap();
    person.reads("Signed in as person.1@gmail.example").await;
    person.picture("people-3-overview.png").await;
    person.tab.open(&format!("http://{listen}/runs"), LIMIT).await.unwrap();
    person.reads("Ben").await;
    person.picture("people-4-runs.png").await;
    person.tab.open(&format!("http://{listen}/sign-in?account=Nobody"), LIMIT).await.unwrap();
    person.reads("There is no such account").await;
    eventually("Ben's notices", || events(&for_ben).len() >= 3);
    assert_eq!(
        events(&for_ben)[1..],
        ["recovered Ben: Signed in again", "run-ok Ben: Everything is archived"]
    );
    assert_eq!(events(&for_anna).len(), 1);
    // Two runs, each with a beginning and an end.
    let pings = || for_ben.taken().iter().filter(|taken| taken.at.starts_with("/ping")).count();
    eventually("the pings", || pings() >= 4);
    assert_eq!(pings(), 4);

    // Together once, each by themselves whole.
    eventually("the view", || is_mounted(&view));
    let (anna, of_ben) = (wanted(&stage.sim), wanted(&ben));
    let joint: BTreeSet<String> = anna.union(&of_ben).cloned().collect();
    let by = |folder: &str| contents(&view.join(folder)).into_keys().collect::<BTreeSet<_>>();
    let (at, everything) = (view.clone(), joint.clone());
    let seen = tokio::task::spawn_blocking(move || {
        eventually("everything in the view", || {
            contents(&at.join("by-date")).into_keys().collect::<BTreeSet<_>>() == everything
        });
    });
    seen.await.unwrap();
    assert_eq!((by("by-account/Anna"), by("by-account/Ben")), (anna.clone(), of_ben.clone()));
    let of_both = anna.intersection(&of_ben).count();
    let total: usize = contents(&view.join("by-date")).values().sum();
    let apart: usize = contents(&view.join("by-account")).values().sum();
    assert!(apart >= total + of_both, "{apart} files apart, {total} together, {of_both} of both");
    assert!(ben.ledger().items.iter().any(|item| item.key == own));
    // What both have was fetched once, as far as Google proves it.
    let plain = ben.counters().files();
    assert!(plain < of_ben.len() as u64 / 2, "Ben's {plain} of {}", of_ben.len());
    let metrics = ask(&listen, "/metrics").await.unwrap().text().await.unwrap();
    assert!(metrics.contains("shoebox_login_state{account=\"Ben\",state=\"signed-in\"} 1"), "{metrics}");

    // A restart repeats nobody's run, and each keeps to their own schedule.
    assert!(running.stop().success());
    let mut running = start();
    eventually("the page", || std::net::TcpStream::connect(&listen).is_ok());
    let now = status(&listen, |all| all.iter().all(|account| account["next_run"].is_string())).await;
    let next =
        |n: usize| -> jiff::Timestamp { now["accounts"][n]["next_run"].as_str().unwrap().parse().unwrap() };
    let hours = |n: usize| next(n).duration_since(jiff::Timestamp::now()).as_hours();
    assert_eq!([hours(0), hours(1)], [4, 6]);
    assert!(now["accounts"].as_array().unwrap().iter().all(|account| account["running"].is_null()));
    assert!(running.stop().success());
    for profile in ["profile", "profile-Ben"] {
        assert_eq!(
            crate::remote::browser::marked_processes(&stage.dir.path().join(profile)),
            Vec::<i32>::new()
        );
    }
    let report = succeed(stage.command(&["report"])).await;
    assert!(
        report.contains("Library of account Anna") && report.contains("Library of account Ben"),
        "{report}"
    );
    let log = fs::read_to_string(stage.dir.path().join("log")).unwrap();
    assert!(log.contains("Ben: runs by the schedule `every 7h`") && !log.contains("ERROR"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_with_anothers_account_is_told_so() {
    let stage = Stage::new(SimConfig { items: 6, ..SimConfig::default() }).await;
    let accounts = stage.dir.path().join("accounts.toml");
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let start = |text: &str| {
        fs::write(&accounts, text).unwrap();
        let mut command = stage.command(&["run", "--listen", &listen, "--no-upkeep", "--schedule", "1h"]);
        let log = fs::File::options().create(true).append(true).open(stage.dir.path().join("log")).unwrap();
        command.env("SHOEBOX_ACCOUNTS", &accounts).stdin(Stdio::null()).stderr(log);
        let running = Running(command.spawn().unwrap());
        eventually("the page", || std::net::TcpStream::connect(&listen).is_ok());
        running
    };
    let anna = "[Anna]\nprofile = \"profile\"\n";
    let mut running = start(anna);
    status(&listen, |all| all[0]["last_run"]["outcome"] == "complete").await;
    assert!(running.stop().success());
    // The same account once more, in Ben's profile; and a profile that has filled another archive.
    let browser = shoebox::remote::browser::launch::BrowserSettings::default().find_program().unwrap();
    for profile in ["profile-Ben", "profile-Cleo"] {
        fs::create_dir_all(stage.dir.path().join(profile)).unwrap();
    }
    stage.sim.sign_in_profile(&browser, &stage.dir.path().join("profile-Ben")).await.unwrap();
    fs::write(stage.dir.path().join("profile-Cleo/shoebox-archive"), "0123456789abcdef0123456789abcdef\n")
        .unwrap();
    let mut running = start(&format!("{anna}[Ben]\n[Cleo]\n"));
    let now = status(&listen, |all| {
        all[1..].iter().all(|one| !one["last_run"].is_null() || !one["error"].is_null())
    })
    .await;
    let reason = now["accounts"][1]["last_run"]["reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.contains("the Google account of Anna"), "{now:#}");
    assert_eq!(now["accounts"][1]["login"]["state"], "needs-person");
    let error = now["accounts"][2]["error"].as_str().unwrap_or_default().to_owned();
    assert!(error.contains("has filled the archive 0123456789abcdef"), "{now:#}");
    assert_eq!((&now["items"], &now["accounts"][0]["error"]), (&6.into(), &Value::Null));
    assert!(running.stop().success());
}
