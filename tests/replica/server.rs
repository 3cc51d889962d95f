//! A real server of object storage: SeaweedFS, in a directory of the test's.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The bucket.
pub const BUCKET: &str = "photos";
/// The key and the secret that it knows.
pub const KEY: &str = "shoebox";
pub const SECRET: &str = "a secret of the test";

/// A running server; it ends with the test.
pub struct Server {
    child: Child,
    dir: tempfile::TempDir,
    port: u16,
}

impl Server {
    /// Starts one and waits until it has made its bucket and takes files.
    pub async fn start() -> Self {
        let dir = crate::store::support::fast_dir();
        let port = ports();
        let config = serde_json::json!({"identities": [{
            "name": "test", "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List"],
        }]});
        std::fs::write(dir.path().join("s3.json"), config.to_string()).unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new("weed");
        command
            .arg("server")
            .arg(format!("-dir={}", dir.path().join("data").display()))
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"])
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"])
            .args(["-master.electionTimeout=1s", "-master.volumeSizeLimitMB=64", "-volume.max=40"])
            .arg(format!("-master.port={port}"))
            .arg(format!("-volume.port={}", port + 1))
            .arg(format!("-filer.port={}", port + 2))
            .arg(format!("-s3.port={}", port + 3))
            .arg(format!("-s3.config={}", dir.path().join("s3.json").display()))
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("weed, which `docker/install-packages test` installs, does not start: {error}")
        });
        let server = Self { child, dir, port };
        server.wait().await;
        server
    }

    /// Waits until it is there, and a file can be written.
    async fn wait(&self) {
        shoebox::remote::net::install_tls();
        let until = Instant::now() + Duration::from_secs(60);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("http://127.0.0.1:{}/ready", self.port + 2);
        let there =
            |answer: reqwest::Result<reqwest::Response>| answer.is_ok_and(|a| a.status().is_success());
        let part = || reqwest::header::HeaderValue::from_static("application/octet-stream");
        // A bucket is a directory of its own.
        let bucket = format!("http://127.0.0.1:{}/buckets/{BUCKET}/", self.port + 2);
        while !client.post(&bucket).send().await.is_ok_and(|a| a.status().is_success() || a.status() == 409)
            || !there(client.put(&url).header("content-type", part()).body("ready").send().await)
            || client.get(format!("{}/", self.endpoint())).send().await.is_err()
        {
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            let last: Vec<_> = log.lines().rev().take(10).collect();
            assert!(Instant::now() < until, "the server does not come: {last:#?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Where it speaks S3.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port + 3)
    }

    /// The bytes of an object, by another way than S3.
    pub async fn bytes(&self, object: &str) -> Option<Vec<u8>> {
        let answer = reqwest::get(self.url(object)).await.unwrap();
        answer.status().is_success().then_some(())?;
        Some(answer.bytes().await.unwrap().to_vec())
    }

    /// Puts other bytes in an object's place, by another way than S3.
    pub async fn replace(&self, object: &str, bytes: Vec<u8>) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let put = client.put(self.url(object)).header("content-type", "application/octet-stream");
        assert!(put.body(bytes).send().await.unwrap().status().is_success());
    }

    /// Takes an object away, by another way than S3.
    pub async fn remove(&self, object: &str) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        assert!(client.delete(self.url(object)).send().await.unwrap().status().is_success());
    }

    fn url(&self, object: &str) -> String {
        format!("http://127.0.0.1:{}/buckets/{BUCKET}/{object}", self.port + 2)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The first of four free ports, each of which has a brother 10,000 above.
fn ports() -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    loop {
        let first = fastrand::u16(12_000..20_000);
        if (first..first + 4).all(|port| is_free(port) && is_free(port + 10_000)) {
            return first;
        }
    }
}
