//! A real broker, mosquitto, and somebody who listens to all of it.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::appliance::support::eventually;

/// User and password of everybody; the password has what an address must escape.
pub const USER: &str = "ann";
pub const PASSWORD: &str = "s3cret@/?";

/// Files of a certificate and its key.
pub struct Certificate {
    pub pem: PathBuf,
    pub key: PathBuf,
}

/// Makes an authority that is its own server, for 127.0.0.1 and `localhost`.
pub fn certificate(dir: &Path) -> Certificate {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let (pem, key) = (dir.join("server.pem"), dir.join("server.key"));
    std::fs::write(&pem, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    Certificate { pem, key }
}

/// A port that nobody has.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The broker; it goes when this goes.
pub struct Broker {
    pub port: u16,
    child: Child,
    _dir: tempfile::TempDir,
}

impl Broker {
    pub fn open(port: u16, tls: Option<&Certificate>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let passwords = dir.path().join("passwords");
        std::fs::write(&passwords, "").unwrap();
        let made = Command::new("mosquitto_passwd").arg("-b").arg(&passwords).args([USER, PASSWORD]).output();
        assert!(made.expect("is mosquitto installed?").status.success());
        let mut settings = format!(
            "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\n",
            passwords.display()
        );
        if rustix::process::geteuid().is_root() {
            // Its own user could not read the files.
            settings += "user root\n";
        }
        if let Some(tls) = tls {
            settings += &format!("certfile {}\nkeyfile {}\n", tls.pem.display(), tls.key.display());
        }
        let file = dir.path().join("mosquitto.conf");
        std::fs::write(&file, settings).unwrap();
        let child = Command::new("mosquitto")
            .arg("-c")
            .arg(&file)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let broker = Self { port, child, _dir: dir };
        eventually("the broker", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        broker
    }

    /// The address of this broker for people.
    pub fn address(&self) -> String {
        address(self.port)
    }

    /// Says something for all to hear.
    pub fn say(&self, topic: &str, text: &str) {
        let mut command = client("mosquitto_pub", self.port);
        assert!(command.args(["-q", "1", "-t", topic, "-m", text]).status().unwrap().success());
    }
}

pub fn address(port: u16) -> String {
    format!("mqtt://{USER}:s3cret%40%2F%3F@127.0.0.1:{port}")
}

fn client(program: &str, port: u16) -> Command {
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-u", USER, "-P", PASSWORD]);
    command
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// It was said before anybody listened.
    pub retained: bool,
    pub topic: String,
    pub text: String,
}

/// Hears everything that is and will be said.
pub struct Listener {
    child: Child,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Listener {
    pub fn to(broker: &Broker) -> Self {
        let mut command = client("mosquitto_sub", broker.port);
        let mut child = command
            .args(["-q", "1", "-t", "#", "-F", "%r\t%t\t%p"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let heard = Arc::<Mutex<Vec<Heard>>>::default();
        let kept = Arc::clone(&heard);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut pieces = line.splitn(3, '\t');
                let mut piece = || pieces.next().unwrap_or_default().to_owned();
                let (retained, topic, text) = (piece() == "1", piece(), piece());
                kept.lock().unwrap().push(Heard { retained, topic, text });
            }
        });
        let listener = Self { child, heard };
        eventually("the listener", || {
            broker.say("test/here", "");
            !listener.heard().is_empty()
        });
        listener
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// What is said on topics that end so.
    pub fn on(&self, end: &str) -> Vec<Heard> {
        self.heard().into_iter().filter(|heard| heard.topic.ends_with(end)).collect()
    }

    pub fn last(&self, end: &str) -> String {
        self.on(end).pop().map(|heard| heard.text).unwrap_or_default()
    }

    pub fn state(&self) -> Value {
        serde_json::from_str(&self.last("/state")).unwrap_or_default()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}
