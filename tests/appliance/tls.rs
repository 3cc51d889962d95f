//! The page with TLS: asked by real clients that trust its certificate and nothing else.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use data_encoding::HEXUPPER;
use reqwest::StatusCode;
use shoebox::model::digest::digests_of;

use super::support::{PASSWORD, Running, eventually, run, shoebox, succeed, text};

/// An archive of nothing, whose page is encrypted; everything but a pass works.
struct Home {
    dir: tempfile::TempDir,
    listen: SocketAddr,
}

impl Home {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let home = Self { dir, listen };
        succeed(home.command("init")).await;
        home
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = shoebox();
        command
            .arg(verb)
            .env("SHOEBOX_DATA", self.dir.path().join("archive"))
            .env("SHOEBOX_PROFILE", self.dir.path().join("profile"))
            .env("SHOEBOX_BROWSER", "/nowhere")
            .env("SHOEBOX_NO_UPKEEP", "true")
            .env("SHOEBOX_LISTEN", self.listen.to_string())
            .env("SHOEBOX_PASSWORD", PASSWORD);
        command
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Starts it, and waits for its page.
    fn start(&self, tls: &str) -> Running {
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        let mut command = self.command("run");
        let running =
            Running(command.env("SHOEBOX_TLS", tls).stdin(Stdio::null()).stderr(log).spawn().unwrap());
        eventually("the page", || self.log().contains("the page is at https://"));
        running
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.listen.port())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// A certificate and its key, for `localhost`.
fn certificate(pem: &Path, key: &Path) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(key, made.signing_key.serialize_pem()).unwrap();
    std::fs::write(pem, made.cert.pem()).unwrap();
    made.cert.der().to_vec()
}

/// Trusts this certificate alone, and keeps no connection.
fn client(pem: &[u8]) -> reqwest::Client {
    shoebox::remote::net::install_tls();
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([reqwest::Certificate::from_pem(pem).unwrap()])
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .timeout(Duration::from_secs(10))
        .build()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_its_own_is_kept_told_and_enough_for_all_of_the_page() {
    let home = Home::new().await;
    let mut running = home.start("self");
    let pem = std::fs::read(home.file("profile/shoebox-tls.pem")).unwrap();
    let told = home.log();
    let ours = client(&pem);
    let answer = ours.get(home.url("/healthz")).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "ok\n");
    // Who trusts another is not taken in.
    let other = certificate(&home.file("other.pem"), &home.file("other.key"));
    let stranger = client(&std::fs::read(home.file("other.pem")).unwrap());
    assert!(stranger.get(home.url("/healthz")).send().await.is_err());
    assert!(!told.contains(&HEXUPPER.encode(&other[..8])));

    // The container asks whether it is well, by whichever name.
    let mut health = home.command("health");
    health.env("SHOEBOX_TLS", "self");
    assert_eq!(succeed(health).await, "ok\n");

    // A cookie that no unencrypted connection gets, and forms from our own address alone.
    let enter = |origin: String| {
        ours.post(home.url("/door"))
            .header("origin", origin)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("password={}", PASSWORD.replace(' ', "+")))
    };
    let entered = enter(home.url("")).send().await.unwrap();
    assert_eq!(entered.status(), StatusCode::SEE_OTHER);
    let cookie = entered.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("; Secure"), "{cookie}");
    let plain = home.url("").replace("https", "http");
    assert_eq!(enter(plain).send().await.unwrap().status(), StatusCode::FORBIDDEN);
    let cookie = cookie.split(';').next().unwrap();
    let page = ours.get(home.url("/")).header("cookie", cookie).send().await.unwrap();
    assert!(page.text().await.unwrap().contains("0 items"));

    // The display of a sign-in is a WebSocket: it gets as far as the desk, where nobody signs in.
    let upgrade = ours
        .get(home.url("/sign-in/display"))
        .header("cookie", cookie)
        .header("origin", home.url(""))
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(upgrade.send().await.unwrap().status(), StatusCode::GONE);

    assert!(running.stop().success());
    let mut running = home.start("self");
    assert_eq!(std::fs::read(home.file("profile/shoebox-tls.pem")).unwrap(), pem, "made a second time");
    let line = |log: &str| log.lines().find_map(|line| line.split("certificate: ").nth(1).map(str::to_owned));
    let fingerprint = line(&told).expect("no fingerprint in the log");
    assert_eq!(line(&home.log()), Some(fingerprint.clone()));
    let der = reqwest_der(&pem);
    let hash = digests_of(&der).sha256.hex().to_uppercase();
    assert_eq!(fingerprint.replace(':', ""), hash);
    assert!(running.stop().success());
}

/// The first certificate of a PEM file.
fn reqwest_der(pem: &[u8]) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject as _;
    rustls::pki_types::CertificateDer::from_pem_slice(pem).unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_may_be_renewed_and_a_bad_one_changes_nothing() {
    let home = Home::new().await;
    let (pem, key) = (home.file("cert.pem"), home.file("key.pem"));
    certificate(&pem, &key);
    let mut running = home.start(&format!("{},{}", pem.display(), key.display()));
    let first = std::fs::read(&pem).unwrap();
    let asks = async |trusted: &[u8]| client(trusted).get(home.url("/healthz")).send().await.is_ok();
    assert!(asks(&first).await);
    certificate(&pem, &key);
    let second = std::fs::read(&pem).unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while !asks(&second).await {
        assert!(Instant::now() < until, "the page has its old certificate still");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(!asks(&first).await);
    assert!(home.log().contains("new certificate"), "{}", home.log());
    // Half of a renewal: another certificate, and the key of the one before.
    certificate(&pem, &home.file("other.key"));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(asks(&second).await);
    assert!(asks(&second).await);
    assert_eq!(home.log().matches("keeps its earlier certificate").count(), 1, "{}", home.log());
    std::fs::rename(home.file("other.key"), &key).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(asks(&std::fs::read(&pem).unwrap()).await, "the other half changed nothing");
    assert!(running.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_certificate_is_said_at_the_start() {
    let home = Home::new().await;
    let file = |name: &str| home.file(name).display().to_string();
    certificate(&home.file("a.pem"), &home.file("a.key"));
    certificate(&home.file("b.pem"), &home.file("b.key"));
    for (tls, code, says) in [
        (format!("{},{}", file("a.pem"), file("b.key")), 1, "is not that of the certificate in"),
        (format!("{},{}", file("a.pem"), file("absent")), 1, "absent cannot be read"),
        (format!("{},{}", file("a.key"), file("a.key")), 1, "holds no certificate"),
        (file("a.pem"), 4, "two files"),
    ] {
        let mut command = home.command("run");
        let output = run({
            command.env("SHOEBOX_TLS", &tls);
            command
        })
        .await;
        let said = text(&output.stderr);
        assert!(said.contains(says), "{tls}: {said}");
        assert_eq!(output.status.code(), Some(code), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_forgets_the_s_or_says_nothing_keeps_nobody_waiting() {
    let home = Home::new().await;
    let mut running = home.start("self");
    // Some who say nothing.
    let silent: Vec<_> = (0..20).map(|_| TcpStream::connect(home.listen).unwrap()).collect();
    let began = Instant::now();
    let mut plain = TcpStream::connect(home.listen).unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: nas:8080\r\n\r\n").unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("begins with https://"), "{answer}");
    let pem = std::fs::read(home.file("profile/shoebox-tls.pem")).unwrap();
    assert!(client(&pem).get(home.url("/healthz")).send().await.unwrap().status().is_success());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    drop(silent);
    // Asked without the `s`, the health check says why it fails.
    let output = run(home.command("health")).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("https://"), "{}", text(&output.stdout));
    let began = Instant::now();
    assert!(running.stop().success());
    assert!(began.elapsed() < Duration::from_secs(10));
}
