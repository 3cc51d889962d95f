//! Mail, to a real server (aiosmtpd), with a login and without.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use shoebox::notice::{Channel, Event};

use super::services::{client, notice};

/// Takes mail, prints each as one line of JSON; a login must be `ann` with `s3cret@/`.
const SERVER: &str = r#"
import asyncio, json, sys
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
class Taker:
    async def handle_DATA(self, server, session, envelope):
        print(json.dumps({"from": envelope.mail_from, "to": envelope.rcpt_tos, "who": session.auth_data and session.auth_data.login.decode(), "mail": envelope.content.decode()}), flush=True)
        return "250 OK"
def who(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"ann", b"s3cret@/"), handled=False, auth_data=data)
taker = Controller(Taker(), hostname="127.0.0.1", port=int(sys.argv[1]), authenticator=who, auth_require_tls=False)
taker.start()
print("ready", flush=True)
sys.stdin.read()
"#;

struct Server {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut process = Command::new("/usr/bin/python3")
            .args(["-c", SERVER, &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = lines.next().expect("the mail server did not start: is python3-aiosmtpd installed?");
        assert_eq!(first.unwrap(), "ready");
        Self { process, lines, port }
    }

    fn next(&mut self) -> serde_json::Value {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_arrives_and_a_wrong_login_is_told_without_its_password() {
    let mut server = Server::start();
    let port = server.port;
    let send = async |address: String| {
        address.parse::<Channel>().unwrap().send(&client(), &notice(Event::SignInNeeded)).await
    };
    send(format!("mailto://127.0.0.1:{port}?from=box@nas.example&to=ann@example.org,bob@example.org"))
        .await
        .unwrap();
    let mail = server.next();
    assert_eq!(mail["from"], "box@nas.example");
    assert_eq!(mail["to"], serde_json::json!(["ann@example.org", "bob@example.org"]));
    let text = mail["mail"].as_str().unwrap();
    assert!(
        text.contains("Subject: shoebox: Please sign in\r\n") && text.contains("http://nas:8080/"),
        "{text}"
    );
    send(format!("mailto://ann:s3cret%40%2F@127.0.0.1:{port}?from=box@nas.example&to=ann@example.org"))
        .await
        .unwrap();
    assert_eq!(server.next()["who"], "ann");
    let wrong = send(format!("mailto://ann:wr0ng@127.0.0.1:{port}?from=box@nas.example&to=ann@example.org"));
    let trouble = wrong.await.unwrap_err();
    assert!(trouble.why.contains("535") && !trouble.why.contains("wr0ng"), "{trouble:?}");
}
