//! Each channel, over the wire.

use std::time::Duration;

use shoebox::notice::healthchecks::{Check, Signal, run_id};
use shoebox::notice::http::Client;
use shoebox::notice::{Channel, Event, Herald, Notice};

use super::desk::{CHECK, Desk};

pub fn client() -> Client {
    shoebox::remote::net::install_tls();
    Client::new(reqwest::Client::builder().no_proxy().build().unwrap())
}

pub fn notice(event: Event) -> Notice {
    Notice {
        event,
        reminder: false,
        title: "Please sign in".into(),
        text: "Google shows the sign-in page. ü".into(),
        link: Some("http://nas:8080/".into()),
        at: "2026-05-01T12:00:00Z".parse().unwrap(),
    }
}

fn channel(text: String) -> Channel {
    text.parse().unwrap()
}

#[tokio::test]
async fn every_service_takes_what_it_is_told() {
    let desk = Desk::open().await;
    let at = desk.address;
    let client = client();
    for event in Event::ALL {
        for (address, text) in [
            (format!("ntfy://tk_1@{at}/photos"), "message"),
            (format!("gotify://{at}/TOKEN"), "message"),
            (format!("apprise://{at}/home"), "body"),
            (format!("http://{at}/hook"), "text"),
        ] {
            let kind = channel(address);
            kind.send(&client, &notice(event)).await.unwrap_or_else(|e| panic!("{kind:?}: {}", e.why));
            let taken = desk.taken().pop().unwrap().json();
            assert!(taken[text].as_str().unwrap().starts_with("Google shows the sign-in page. ü"), "{taken}");
            assert!(taken.to_string().contains("http://nas:8080/"), "no link: {taken}");
        }
    }
    let hook = desk.taken().pop().unwrap().json();
    assert_eq!((&hook["event"], &hook["at"]), (&"replica-behind".into(), &"2026-05-01T12:00:00Z".into()));
}

#[tokio::test]
async fn a_channel_that_refuses_is_tried_again_where_that_may_help_and_never_in_the_way() {
    let desk = Desk::open().await;
    let at = desk.address;
    let good = channel(format!("gotify://{at}/TOKEN"));
    desk.refuse(503, "0");
    desk.refuse(429, "1");
    let herald = Herald::new(vec![good.clone()], client());
    herald.tell(notice(Event::RunFailed));
    // Not before the first one, which is tried again meanwhile.
    herald.tell(Notice { title: "Second".into(), ..notice(Event::RunOk) });
    herald.finish().await;
    let titles: Vec<_> = desk.taken().iter().map(|taken| taken.json()["title"].clone()).collect();
    assert_eq!(titles, ["Please sign in", "Second"], "given up, told twice or in another order");
    // What is wrong for good is not repeated, and says so without its secret.
    for wrong in [format!("gotify://{at}/WRONG-s3cret"), format!("ntfy://tk-s3cret@{at}/photos")] {
        let trouble = channel(wrong).send(&client(), &notice(Event::RunOk)).await.unwrap_err();
        assert!(
            !trouble.may_pass && trouble.why.contains("401") && !trouble.why.contains("s3cret"),
            "{trouble:?}"
        );
    }
    let nobody = channel("http://127.0.0.1:9/s3cret".into()).send(&client(), &notice(Event::RunOk)).await;
    let trouble = nobody.unwrap_err();
    assert!(trouble.may_pass && !trouble.why.contains("s3cret"), "{trouble:?}");
    // Telling comes back at once, whatever becomes of it.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let herald =
        Herald::new(vec![channel(format!("http://{}/x", silent.local_addr().unwrap())), good], client());
    let before = desk.taken().len();
    herald.tell(notice(Event::RunFailed));
    let told = async {
        while desk.taken().len() == before {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told).await.expect("one that is silent holds up another");
}

#[tokio::test]
async fn pings_follow_the_protocol() {
    let desk = Desk::open().await;
    let check = Check::new(Some(&format!("http://{}/ping", desk.address)), CHECK).unwrap();
    let (client, run) = (client(), run_id());
    desk.refuse(502, "0");
    check.ping(&client, Signal::Start, &run, "").await;
    check.ping(&client, Signal::Exit(2), &run, &"ü".repeat(80_000)).await;
    let taken = desk.taken();
    let at: Vec<_> = taken.iter().map(|taken| taken.at.clone()).collect();
    assert_eq!(at, [format!("/ping/{CHECK}/start?rid={run}"), format!("/ping/{CHECK}/2?rid={run}")]);
    assert!(taken[1].body.len() > 99_000);
    let unknown = Check::new(Some(&format!("http://{}/ping", desk.address)), &run).unwrap();
    let trouble = unknown.ping_once(&client, Signal::Success, &run, "").await.unwrap_err();
    assert!(trouble.why.contains("404") && !trouble.may_pass, "{trouble:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_program_learns_it_from_its_environment_and_its_input() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let program = |name: &str, script: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        channel(format!("exec://{}", path.display()))
    };
    let out = dir.path().join("out");
    let good = program(
        "good",
        &format!("(echo \"$SHOEBOX_EVENT|$SHOEBOX_TITLE|$SHOEBOX_LINK\"; cat) > {}", out.display()),
    );
    good.send(&client(), &notice(Event::SignInNeeded)).await.unwrap();
    let told = std::fs::read_to_string(out).unwrap();
    assert_eq!(told, "sign-in-needed|Please sign in|http://nas:8080/\nGoogle shows the sign-in page. ü");
    let trouble = program("bad", "exit 7").send(&client(), &notice(Event::RunOk)).await.unwrap_err();
    assert!(trouble.why.contains('7'), "{trouble:?}");
    assert!(channel("exec:///no/such".into()).send(&client(), &notice(Event::RunOk)).await.is_err());
}
