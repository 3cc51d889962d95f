//! Google Chrome on request: fetched from a stand-in of Google's repository, whose packages hold this machine's Chromium.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use shoebox::model::digest::digests_of;
use shoebox::remote::browser::launch::BrowserSettings;
use shoebox::sim::SimConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::support::{Stage, run, shoebox, succeed, text};
use crate::sync::support::{assert_equal, open};

const INDEX: &str = "/linux/chrome/deb/dists/stable/main/binary-amd64/Packages";

/// An answer: its length as it says, and its bytes.
type Answer = (usize, Vec<u8>);

/// The repository.
#[derive(Clone, Default)]
struct Repository {
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Repository {
    /// Has one package, of this version.
    fn has(&self, version: &str, package: &[u8]) {
        self.has_with(version, package, package, &digests_of(package).sha256.hex());
    }

    /// Lists one package with a hash, and sends something.
    fn has_with(&self, version: &str, listed: &[u8], sent: &[u8], sha256: &str) {
        let path = format!("pool/main/g/google-chrome-stable/google-chrome-stable_{version}_amd64.deb");
        let index = format!(
            "Package: google-chrome-beta\nVersion: 999.0.0.1-1\nFilename: b.deb\nSize: 1\nSHA256: 00\n\n\
             Package: google-chrome-stable\nVersion: {version}\nArchitecture: amd64\nFilename: {path}\n\
             Size: {}\nSHA256: {sha256}\n",
            listed.len()
        );
        self.says(INDEX, index.as_bytes());
        self.says(&format!("/linux/chrome/deb/{path}"), sent);
    }

    fn says(&self, path: &str, bytes: &[u8]) {
        self.answers.lock().unwrap().insert(path.into(), (bytes.len(), bytes.to_vec()));
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    async fn serve(self, mut peer: impl AsyncRead + AsyncWrite + Unpin) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = peer.read_u8().await else { return };
            head.push(byte);
        }
        let head = text(&head);
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let answer = self.answers.lock().unwrap().get(&path).cloned();
        self.asked.lock().unwrap().push(path);
        let (status, (length, bytes)) = match answer {
            Some(answer) => ("200 OK", answer),
            None => ("404 Not Found", (0, Vec::new())),
        };
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        // Who has heard enough hangs up.
        let _gone = peer.write_all(head.as_bytes()).await;
        let _gone = peer.write_all(&bytes).await;
        let _gone = peer.shutdown().await;
    }

    /// In the clear, on this machine.
    async fn open(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let repository = self.clone();
        tokio::spawn(async move {
            while let Ok((peer, _)) = listener.accept().await {
                tokio::spawn(repository.clone().serve(peer));
            }
        });
        format!("http://{address}/linux/chrome/deb/")
    }

    /// As Google's own host, with a certificate that is added to `ca`.
    async fn open_as_google(&self, ca: &Path) -> (SocketAddr, tokio::task::JoinHandle<()>) {
        let made = rcgen::generate_simple_self_signed(["dl.google.com".to_owned()]).unwrap();
        let all = fs::read_to_string(ca).unwrap() + &made.cert.pem();
        fs::write(ca, all).unwrap();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        let tls = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let repository = self.clone();
        let serving = tokio::spawn(async move {
            while let Ok((peer, _)) = listener.accept().await {
                if let Ok(peer) = tls.accept(peer).await {
                    repository.clone().serve(peer).await;
                }
            }
        });
        (address, serving)
    }
}

/// What is wrong, how the repository is made so, and words that tell it.
type Case<'a> = (&'a str, Box<dyn Fn(&Repository) + 'a>, &'a [&'a str]);

/// Requires a tool to succeed.
fn tool(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
}

/// A package: what `fill` puts into its root.
fn package(version: &str, fill: impl Fn(&Path)) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir_all(root.join("DEBIAN")).unwrap();
    fs::create_dir_all(root.join("opt/google/chrome/locales")).unwrap();
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    let control = format!(
        "Package: google-chrome-stable\nVersion: {version}\nArchitecture: amd64\nMaintainer: Nobody <n@example.org>\n\
         Description: A stand-in\n"
    );
    fs::write(root.join("DEBIAN/control"), control).unwrap();
    fs::write(root.join("opt/google/chrome/locales/en-US.pak"), "x").unwrap();
    // As the real one has it: outside of what is taken over.
    symlink("/opt/google/chrome/google-chrome", root.join("usr/bin/google-chrome-stable")).unwrap();
    fill(&root);
    let file = dir.path().join("made.deb");
    tool(Command::new("dpkg-deb").args(["-Zxz", "-z1", "--root-owner-group", "-b"]).arg(&root).arg(&file));
    fs::read(file).unwrap()
}

fn script(root: &Path, lines: &str) {
    let program = root.join("opt/google/chrome/chrome");
    fs::write(&program, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
}

/// A package with this machine's Chromium under the name of Chrome, which notes each start beside its versions.
fn working(version: &str) -> Vec<u8> {
    let real = BrowserSettings::default().find_program().unwrap();
    let note = "case \"$*\" in *--version*) ;; *) basename \"$(dirname \"$0\")\" >>\"$(dirname \"$0\")/../starts\" ;; esac";
    package(version, |root| script(root, &format!("{note}\nexec '{}' \"$@\"", real.display())))
}

/// A package with one more entry in its content, under a name that no honest tool writes.
fn with_entry(name: &str, link_first: Option<(&str, &Path)>) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("honest.deb"), package("1.2.3.4-1", |root| script(root, "echo Chrome 1.2.3.4"))).unwrap();
    tool(Command::new("dpkg-deb").arg("-R").arg(at("honest.deb")).arg(at("raw")));
    tool(
        Command::new("tar")
            .args(["-cf", "control.tar", "-C", "raw/DEBIAN", "./control"])
            .current_dir(dir.path()),
    );
    tool(Command::new("tar").args(["-cf", "data.tar", "-C", "raw", "./opt"]).current_dir(dir.path()));
    if let Some((link, to)) = link_first {
        symlink(to, at("link")).unwrap();
        let rename = format!("--transform=s,^link$,{link},");
        tool(Command::new("tar").args(["-P", &rename, "-rf", "data.tar", "link"]).current_dir(dir.path()));
    }
    fs::write(at("evil"), "evil").unwrap();
    let rename = format!("--transform=s,^evil$,{name},");
    tool(Command::new("tar").args(["-P", &rename, "-rf", "data.tar", "evil"]).current_dir(dir.path()));
    fs::write(at("debian-binary"), "2.0\n").unwrap();
    tool(
        Command::new("ar")
            .args(["rc", "made.deb", "debian-binary", "control.tar", "data.tar"])
            .current_dir(dir.path()),
    );
    fs::read(at("made.deb")).unwrap()
}

/// A program that wants a library which this machine lacks.
fn lacking(root: &Path) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("library.c"), "int absent(void) { return 0; }").unwrap();
    fs::write(dir.path().join("main.c"), "int absent(void); int main(void) { return absent(); }").unwrap();
    let mut gcc = Command::new("gcc");
    tool(gcc.args(["-shared", "-o", "libshoebox-absent.so", "library.c"]).current_dir(dir.path()));
    let mut gcc = Command::new("gcc");
    gcc.args(["-o", "chrome", "main.c", "-L.", "-lshoebox-absent"]).current_dir(dir.path());
    tool(&mut gcc);
    fs::copy(dir.path().join("chrome"), root.join("opt/google/chrome/chrome")).unwrap();
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn chrome_is_fetched_used_and_kept_up_to_date() {
    let stage = Stage::new(SimConfig { items: 6, ..SimConfig::default() }).await;
    let repository = Repository::default();
    let first = working("156.0.1.2-1");
    repository.has("156.0.1.2-1", &first);
    let ca = stage.dir.path().join("all.pem");
    fs::copy(stage.sim.ca_file(), &ca).unwrap();
    let (google, serving) = repository.open_as_google(&ca).await;
    let home = stage.dir.path().join("chrome");
    let sync = || {
        let mut command = stage.command(&["sync"]);
        command
            .env("SHOEBOX_BROWSER", "chrome")
            .env("SHOEBOX_CA", &ca)
            .env("SHOEBOX_RESOLVE", format!("dl.google.com={google};*={}", stage.sim.address()));
        command
    };
    let starts = || fs::read_to_string(home.join("starts")).unwrap_or_default();
    let a_day_passes = || {
        let long_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(25);
        fs::write(home.join("looked.json"), serde_json::json!({ "at": long_ago }).to_string()).unwrap();
    };

    // The first time: what is fetched is told, and used.
    let output = run(sync()).await;
    let log = text(&output.stderr);
    assert!(output.status.success(), "{log}");
    let address = "https://dl.google.com/linux/chrome/deb/pool/main/g/google-chrome-stable/google-chrome-stable_156.0.1.2-1_amd64.deb";
    for told in [address, "156.0.1.2-1", &format!("{} bytes", first.len()), &digests_of(&first).sha256.hex()]
    {
        assert!(log.contains(told), "{told} is not told: {log}");
    }
    assert_equal(&open(&stage.data()), &stage.sim.ledger());
    assert_eq!(starts(), "156.0.1.2-1\n");
    assert_eq!(names(&home), ["156.0.1.2-1", "lock", "looked.json", "starts"]);
    let mode = fs::metadata(home.join("156.0.1.2-1/chrome")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7022, 0, "{mode:o}: nobody's user, and nobody else writes it");

    // Within a day nobody looks for a newer one.
    let (second, asked) = (working("156.0.1.10-1"), repository.asked());
    repository.has("156.0.1.10-1", &second);
    succeed(sync()).await;
    assert_eq!((repository.asked(), starts().lines().count()), (asked, 2));

    // What comes next does not start, although it tells its version: it is tried twice, then the earlier one goes on.
    a_day_passes();
    let broken = "case \"$*\" in *--version*) echo Google Chrome 157.0.0.1 ;; *) exit 9 ;; esac";
    repository.has("157.0.0.1-1", &package("157.0.0.1-1", |root| script(root, broken)));
    for _ in 0..2 {
        let output = run(sync()).await;
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        assert_eq!(starts().lines().count(), 2);
    }
    let output = run(sync()).await;
    let log = text(&output.stderr);
    assert!(output.status.success() && log.contains("157.0.0.1-1 does not start here"), "{log}");
    assert_eq!(starts().lines().last(), Some("156.0.1.2-1"));

    // The one after that does. Everything earlier goes.
    a_day_passes();
    repository.has("157.0.0.2-1", &working("157.0.0.2-1"));
    succeed(sync()).await;
    assert_eq!(starts().lines().last(), Some("157.0.0.2-1"));
    assert_eq!(names(&home), ["157.0.0.2-1", "lock", "looked.json", "starts"]);

    // An older one in the index changes nothing, and neither does a repository that is away or talks nonsense.
    for trouble in ["older", "nonsense", "away"] {
        a_day_passes();
        match trouble {
            "older" => repository.has("156.0.1.10-1", &second),
            "nonsense" => repository.says(INDEX, b"<html>"),
            _ => serving.abort(),
        }
        let asked = repository.asked();
        let output = run(sync()).await;
        let log = text(&output.stderr);
        assert!(output.status.success(), "{trouble}: {log}");
        assert_eq!(log.contains("going on with Google Chrome 157.0.0.2-1"), trouble != "older", "{log}");
        assert_eq!(repository.asked() > asked, trouble != "away");
        assert_eq!(names(&home), ["157.0.0.2-1", "lock", "looked.json", "starts"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_is_not_what_it_should_be_is_refused_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("archive");
    let command = |args: &[&str], from: &str| -> Command {
        let mut command = shoebox();
        command
            .args(args)
            .env("SHOEBOX_DATA", &data)
            .env("SHOEBOX_PROFILE", dir.path().join("config/profile"))
            .env("SHOEBOX_RESOLVE", "*=127.0.0.1:9")
            .env("SHOEBOX_BROWSER", "chrome")
            .env("SHOEBOX_CHROME_FROM", from);
        command
    };
    succeed(command(&["init"], "https://example.org")).await;
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let honest = package("1.2.3.4-1", |root| script(root, "echo Chrome 1.2.3.4"));
    let (hash, half) = (digests_of(&honest).sha256.hex(), &honest[..honest.len() / 2]);
    let altered: Vec<u8> =
        honest.iter().enumerate().map(|(n, b)| if n == 300 { b ^ 1 } else { *b }).collect();
    let longer = [&honest[..], b"x"].concat();
    let none = package("1.2.3.4-1", |_| {});
    let linked = package("1.2.3.4-1", |root| {
        script(root, "echo Chrome 1.2.3.4");
        symlink("/etc/passwd", root.join("opt/google/chrome/data")).unwrap();
    });
    let altered_words = ["SHA-256", &hash];
    let through = ("./opt/google/chrome/inside", outside.as_path());

    let cases: Vec<Case<'_>> = vec![
        ("altered", Box::new(|r| r.has_with("1.2.3.4-1", &honest, &altered, &hash)), &altered_words),
        ("shorter", Box::new(|r| r.has_with("1.2.3.4-1", &honest, half, &hash)), &["shorter than the"]),
        ("longer", Box::new(|r| r.has_with("1.2.3.4-1", &honest, &longer, &hash)), &["longer than the"]),
        (
            "cut off",
            Box::new(|r| {
                r.has("1.2.3.4-1", &honest);
                r.answers.lock().unwrap().values_mut().for_each(|(_, bytes)| bytes.truncate(600));
            }),
            &["cannot be fetched"],
        ),
        ("nonsense", Box::new(|r| r.says(INDEX, b"<html>blocked</html>")), &["makes no sense", "Packages"]),
        ("endless", Box::new(|r| r.says(INDEX, &vec![b'x'; 5 << 20])), &["Packages is longer than"]),
        ("nothing", Box::new(|_| {}), &["404"]),
        ("no package", Box::new(|r| r.has("1.2.3.4-1", b"no package at all")), &["refused: dpkg-deb said"]),
        ("no browser", Box::new(|r| r.has("1.2.3.4-1", &none)), &["it is no program"]),
        ("a link out", Box::new(|r| r.has("1.2.3.4-1", &linked)), &["leads out of it, to /etc/passwd"]),
        (
            "a path out",
            Box::new(|r| r.has("1.2.3.4-1", &with_entry("../../../outside/evil", None))),
            &["refused: tar said", "outside/evil"],
        ),
        (
            "a path through a link",
            Box::new(|r| r.has("1.2.3.4-1", &with_entry("./opt/google/chrome/inside/evil", Some(through)))),
            &["refused: tar said", "inside/evil"],
        ),
        (
            "libraries",
            Box::new(|r| r.has("1.2.3.4-1", &package("1.2.3.4-1", lacking))),
            &["this machine lacks libshoebox-absent.so"],
        ),
        (
            "no start",
            Box::new(|r| {
                let broken = |root: &Path| script(root, "echo it is broken >&2; exit 3");
                r.has("1.2.3.4-1", &package("1.2.3.4-1", broken));
            }),
            &["it is broken"],
        ),
    ];
    for (what, prepare, words) in cases {
        let repository = Repository::default();
        prepare(&repository);
        let output = run(command(&["sync"], &repository.open().await)).await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{what}: {said}");
        let last = said.lines().last().unwrap_or_default();
        for word in words.iter().chain(&["Google Chrome cannot be had", "leave SHOEBOX_BROWSER out"]) {
            assert!(last.contains(word), "{what}: `{word}` is not in: {said}");
        }
        assert_eq!(names(&dir.path().join("config/chrome")), ["lock", "looked.json"], "{what}");
        assert_eq!(names(&outside), Vec::<String>::new(), "{what}");
        assert_eq!(names(dir.path()), ["archive", "config", "outside"], "{what}");
    }

    // Nobody there, and what is never asked for.
    let output = run(command(&["sync"], "https://mirror.example/deb")).await;
    let said = text(&output.stderr);
    assert!(
        output.status.code() == Some(1) && said.contains("mirror.example") && said.contains("refused"),
        "{said}"
    );
    let output = run(command(&["sync"], "http://mirror.example/deb")).await;
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    let output = run(command(&["doctor"], "https://mirror.example/deb")).await;
    assert!(text(&output.stdout).contains("Google Chrome is not fetched yet"), "{}", text(&output.stdout));

    // A fetch that was cut off leaves nothing behind, and a good package is taken; without a network it is the sync
    // that fails then.
    let left: PathBuf = dir.path().join("config/chrome/fetching-0badcafe");
    fs::create_dir(&left).unwrap();
    let repository = Repository::default();
    repository.has("156.0.1.2-1", &working("156.0.1.2-1"));
    let output = run(command(&["sync"], &repository.open().await)).await;
    assert!(text(&output.stderr).contains("ERR_CONNECTION_REFUSED"), "{}", text(&output.stderr));
    assert_eq!(names(&dir.path().join("config/chrome")), ["156.0.1.2-1", "lock", "looked.json", "starts"]);
}
