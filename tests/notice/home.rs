//! Home Assistant by way of a real broker: what it would hear of a whole life.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use shoebox::sim::SimConfig;

use super::broker::{Broker, Listener, USER, address, certificate, free_port};
use crate::appliance::support::{Running, Stage, eventually, run, shoebox, succeed, text};

/// `run`, told of this broker; what it says goes to a file.
fn appliance(mut command: Command, address: &str, log: &Path) -> Running {
    let listen = format!("127.0.0.1:{}", free_port());
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    command
        .args(["--listen", &listen, "--schedule", "1h", "--no-upkeep"])
        .env("SHOEBOX_MQTT", address)
        .env("SHOEBOX_URL", "http://nas:8080/")
        .stdin(Stdio::null())
        .stderr(log);
    Running(command.spawn().unwrap())
}

/// The program with a browser that is none: everything but a pass works.
fn without_a_browser(dir: &Path, verb: &str) -> Command {
    let mut command = shoebox();
    command
        .arg(verb)
        .env("SHOEBOX_DATA", dir.join("archive"))
        .env("SHOEBOX_PROFILE", dir.join("profile"))
        .env("SHOEBOX_BROWSER", "/nowhere");
    command
}

/// The discovery documents that are retained: topic and content.
fn documents(listener: &Listener) -> Vec<(String, Value)> {
    let found = listener.on("/config").into_iter().filter(|heard| heard.retained);
    found.map(|heard| (heard.topic, serde_json::from_str(&heard.text).unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_hears_of_a_run_of_a_death_and_of_an_end() {
    let stage = Stage::new(SimConfig { items: 12, ..SimConfig::default() }).await;
    let log = stage.dir.path().join("log");
    let broker = Broker::open(free_port(), None);
    let early = Listener::to(&broker);
    let address = broker.address();
    let command = stage.command(&["run"]);
    let again = stage.command(&["run"]);
    let heard = tokio::task::spawn_blocking(move || {
        let mut first = appliance(command, &address, &log);
        eventually("the end of the run", || {
            let state = early.state();
            state["last_run_outcome"] == "complete" && state["run_in_progress"] == false
        });
        let states: Vec<Value> =
            early.on("/state").iter().map(|heard| serde_json::from_str(&heard.text).unwrap()).collect();
        assert!(states.iter().any(|state| state["run_in_progress"] == true), "{states:?}");
        assert_eq!(states[0]["last_run_outcome"], "none-yet", "{states:?}");
        assert_eq!(early.last("/availability"), "online");

        // Who comes later finds everything there.
        let late = Listener::to(&broker);
        eventually("what is retained", || {
            documents(&late).len() == 11 && !late.on("/availability").is_empty()
        });
        assert!(late.on("/availability").iter().chain(&late.on("/state")).all(|heard| heard.retained));
        let state = late.state();
        for (topic, document) in documents(&late) {
            let field = topic.split('/').nth(3).unwrap();
            assert!(state.get(field).is_some(), "{topic} reads what {state} does not have");
            assert_eq!(document["state_topic"], late.on("/state")[0].topic);
            assert_eq!(document["availability_topic"], late.on("/availability")[0].topic);
        }

        // Home Assistant has started: it is told again, and whoever asks in a hurry is answered now and then.
        let (before, began) = (early.on("/config").len(), std::time::Instant::now());
        for _ in 0..20 {
            broker.say("homeassistant/status", "online");
        }
        broker.say("homeassistant/status", "offline");
        eventually("the documents again", || early.on("/config").len() >= before + 11);
        std::thread::sleep(std::time::Duration::from_secs(3));
        let answers = (early.on("/config").len() - before) / 11;
        let most = began.elapsed().as_secs() as usize / 2 + 1;
        assert!(answers <= most, "{answers} answers in {:?}", began.elapsed());

        // It dies without a word, and the broker says so.
        first.0.kill().unwrap();
        first.0.wait().unwrap();
        eventually("the last will", || early.last("/availability") == "offline");
        let mut second = appliance(again, &address, &log);
        eventually("the next one", || early.last("/availability") == "online");
        assert!(second.stop().success());
        assert_eq!(early.last("/availability"), "offline", "it left without a word");
        let topics: Vec<_> = documents(&late).into_iter().map(|(topic, _)| topic).collect();
        let fresh = Listener::to(&broker);
        eventually("the same documents", || documents(&fresh).len() == 11);
        assert_eq!(documents(&fresh).into_iter().map(|(topic, _)| topic).collect::<Vec<_>>(), topics);
        let log = std::fs::read_to_string(&log).unwrap();
        assert!(!log.contains("s3cret"), "{log}");
        (state, log)
    });
    let (state, log) = heard.await.unwrap();
    assert_eq!(state["archived_items"], 12, "{log}");
    assert_eq!(state["set_aside_items"], 0);
    assert_eq!(state["damaged_files"], 0);
    assert_eq!(state["sign_in_needed"], false);
    assert_eq!(state["run_progress"], Value::Null);
    assert!(
        state["archived_bytes"].as_u64().unwrap() > 1000 && state["disk_free"].as_u64().is_some(),
        "{state}"
    );
    let at = |field: &str| state[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(at("next_run") > at("last_complete_run"), "{state}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_comes_late_goes_and_comes_back_is_told_in_a_line_each() {
    let dir = tempfile::tempdir().unwrap();
    succeed(without_a_browser(dir.path(), "init")).await;
    let command = without_a_browser(dir.path(), "run");
    let log = dir.path().join("log");
    let told = tokio::task::spawn_blocking(move || {
        let port = free_port();
        let lines = |word: &str| {
            let log = std::fs::read_to_string(&log).unwrap();
            log.lines().filter(|line| line.contains("MQTT") && line.contains(word)).count()
        };
        let mut running = appliance(command, &address(port), &log);
        eventually("the line that it is away", || lines("cannot be reached") == 1);
        // Time for more than one attempt.
        std::thread::sleep(std::time::Duration::from_secs(4));
        let broker = Broker::open(port, None);
        let listener = Listener::to(&broker);
        eventually("the connection", || listener.last("/availability") == "online");
        eventually("the outcome", || listener.state()["last_run_outcome"] != "none-yet");
        assert_eq!((lines("cannot be reached"), lines("is told"), lines("is back")), (1, 1, 0));
        drop(broker);
        eventually("the line that it is away again", || lines("cannot be reached") == 2);
        let broker = Broker::open(port, None);
        let listener = Listener::to(&broker);
        eventually("everything again", || {
            listener.last("/availability") == "online" && listener.on("/config").len() >= 11
        });
        eventually("the line that it is back", || lines("is back") == 1);
        assert!(running.stop().success());
        assert_eq!(lines("cannot be reached"), 2);
        assert_eq!(listener.last("/availability"), "offline");
    });
    told.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_hangs_or_refuses_holds_up_neither_a_run_nor_its_end() {
    let dir = tempfile::tempdir().unwrap();
    succeed(without_a_browser(dir.path(), "init")).await;
    let (log, other_log) = (dir.path().join("log"), dir.path().join("other"));
    let (first, second) = (without_a_browser(dir.path(), "run"), without_a_browser(dir.path(), "run"));
    let told = tokio::task::spawn_blocking(move || {
        // It takes connections, by the kernel's hand, and nobody ever answers.
        let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut running = appliance(first, &address(hanging.local_addr().unwrap().port()), &log);
        eventually("the run", || std::fs::read_to_string(&log).unwrap().contains("/nowhere"));
        let began = std::time::Instant::now();
        assert!(running.stop().success());
        assert!(began.elapsed() < std::time::Duration::from_secs(8), "{:?}", began.elapsed());
        let broker = Broker::open(free_port(), None);
        let wrong = format!("mqtt://{USER}:wr0ng@127.0.0.1:{}", broker.port);
        let mut running = appliance(second, &wrong, &other_log);
        let log = || std::fs::read_to_string(&other_log).unwrap();
        eventually("the refusal", || log().contains("it refuses user or password"));
        eventually("the run", || log().contains("/nowhere"));
        assert!(running.stop().success());
        assert!(!log().contains("wr0ng"));
    });
    told.await.unwrap();
}

async fn tell(address: &str, more: &[(&str, &Path)]) -> (Option<i32>, String) {
    let mut command = shoebox();
    command.arg("tell").env("SHOEBOX_MQTT", address);
    for (name, value) in more {
        command.env(name, value);
    }
    let output = run(command).await;
    (output.status.code(), format!("{}{}", text(&output.stdout), text(&output.stderr)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_can_be_tried_and_what_is_wrong_is_said_without_secrets() {
    let broker = Broker::open(free_port(), None);
    let listener = Listener::to(&broker);
    let place = format!("127.0.0.1:{}", broker.port);
    let (code, said) = tell(&format!("{}?base=home/photos", broker.address()), &[]).await;
    assert_eq!((code, said), (Some(0), format!("the MQTT broker at {place} was told\n")));
    eventually("the word", || listener.on("home/photos/tell").len() == 1);
    // Somebody who answers otherwise than a broker does.
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let web_port = web.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = web.accept().unwrap();
        let _some = stream.read(&mut [0; 100]);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 100\r\n\r\n").unwrap();
        stream.write_all(&[b'x'; 100]).unwrap();
        let _until_the_end = stream.read(&mut [0; 100]);
    });
    for (address, code, says) in [
        (format!("mqtt://ann:wr0ng@{place}"), 1, "it refuses user or password"),
        (format!("mqtt://{place}"), 1, "it wants a user and a password"),
        (format!("mqtt://ann:wr0ng@127.0.0.1:{}", free_port()), 1, "refused"),
        (format!("mqtt://ann:wr0ng@127.0.0.1:{web_port}"), 1, "not MQTT"),
        (format!("mqtts://ann:wr0ng@{place}"), 1, "could not be told"),
        ("mqtt://ann:wr0ng@host:port".to_owned(), 4, "host or port"),
        ("http://ann:wr0ng@host".to_owned(), 4, "mqtt://"),
    ] {
        let (ended, said) = tell(&address, &[]).await;
        assert!(said.contains(says) && !said.contains("wr0ng"), "{said}");
        assert_eq!(ended, Some(code), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_broker_must_be_who_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let certificate = certificate(dir.path());
    let broker = Broker::open(free_port(), Some(&certificate));
    let address = broker.address().replace("mqtt://", "mqtts://");
    let ca = ("SHOEBOX_CA", certificate.pem.as_path());
    let (code, said) = tell(&address, &[ca]).await;
    assert_eq!(code, Some(0), "{said}");
    let named = address.replace("127.0.0.1", "localhost");
    assert_eq!(tell(&named, &[ca]).await.0, Some(0));
    let (code, said) = tell(&address, &[]).await;
    assert!(code == Some(1) && said.contains("TLS") && said.contains("certificate"), "{said}");
    let (code, said) = tell(&address.replace("mqtts://", "mqtt://"), &[ca]).await;
    assert!(code == Some(1) && said.contains("could not be told"), "{said}");
}
