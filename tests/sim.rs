//! The simulator keeps the contract: a client that is not ours looks at it.

mod inside;
mod pages;
mod support;
mod trouble;

use std::process::Command;

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use shoebox::sim::{Fault, FaultRule, RequestClass, SignedOutModel, Sim, SimConfig, When};

struct Visitor {
    sim: Sim,
    client: Client,
    cookie: String,
}

impl Visitor {
    async fn new(config: SimConfig) -> Self {
        shoebox::remote::net::install_tls();
        let sim = Sim::start(config).await.unwrap();
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only([reqwest::Certificate::from_pem(sim.ca_pem().as_bytes()).unwrap()]);
        for host in [
            "photos.google.com",
            "accounts.google.com",
            "www.google.com",
            "video-downloads.googleusercontent.com",
            "photos.fife.usercontent.google.com",
            "lh3.googleusercontent.com",
        ] {
            builder = builder.resolve(host, sim.address());
        }
        let cookie = format!("NID=1; SID={}", sim.session().secret());
        Self { client: builder.build().unwrap(), sim, cookie }
    }

    async fn get(&self, url: &str) -> Response {
        self.client.get(url).header("cookie", &self.cookie).send().await.unwrap()
    }

    async fn globals(&self) -> Value {
        let page = self.get("https://photos.google.com/").await.text().await.unwrap();
        let start = page.find("window.WIZ_global_data = ").unwrap() + "window.WIZ_global_data = ".len();
        // As clients do: up to the first semicolon.
        serde_json::from_str(page[start..].split(';').next().unwrap()).unwrap()
    }

    async fn rpc(&self, rpcid: &str, args: &Value, at: &str, rt: bool) -> (StatusCode, String) {
        let url = format!(
            "https://photos.google.com/_/PhotosUi/data/batchexecute?rpcids={rpcid}&source-path=%2F{}",
            if rt { "&rt=c" } else { "" }
        );
        let request = json!([[[rpcid, args.to_string(), null, "generic"]]]).to_string();
        let encode = |t: &str| {
            percent_encoding::utf8_percent_encode(t, percent_encoding::NON_ALPHANUMERIC).to_string()
        };
        let body = format!("f.req={}&at={}&", encode(&request), encode(at));
        let answer = self.client.post(url).header("cookie", &self.cookie).body(body).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }
}

fn small() -> SimConfig {
    SimConfig { items: 12, ..SimConfig::default() }
}

#[tokio::test]
async fn answers_are_framed_as_recorded() {
    let visitor = Visitor::new(small()).await;
    let at = visitor.globals().await["SNlM0e"].as_str().unwrap().to_owned();
    let args = json!([null, null, 500, null, 1, 3]);
    let (status, body) = visitor.rpc("lcxiM", &args, &at, true).await;
    assert_eq!(status, StatusCode::OK);
    let mut rest = body.strip_prefix(")]}'\n\n").unwrap();
    let mut rows = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_once('\n').unwrap();
        let (text, after) = after.split_once('\n').unwrap();
        // Length in UTF-16 units of line feed, JSON and line feed.
        assert_eq!(length.parse::<usize>().unwrap(), text.encode_utf16().count() + 2);
        rows.extend(serde_json::from_str::<Vec<Value>>(text).unwrap());
        rest = after;
    }
    assert_eq!(rows[0][0], "wrb.fr");
    assert_eq!(rows[0][6], "generic");
    let last = rows.last().unwrap();
    assert_eq!((&last[0], last[4].as_u64().unwrap()), (&json!("e"), body.len() as u64));
    let single = visitor.rpc("lcxiM", &args, &at, false).await.1;
    let rows: Vec<Value> = serde_json::from_str(single.strip_prefix(")]}'\n\n").unwrap()).unwrap();
    assert_eq!(rows[0][1], "lcxiM");
}

#[tokio::test]
async fn it_is_strict_where_google_is() {
    let visitor = Visitor::new(small()).await;
    let at = visitor.globals().await["SNlM0e"].as_str().unwrap().to_owned();
    let args = json!([null, null, 500, null, 1, 3]);
    let (status, body) = visitor.rpc("lcxiM", &args, "stale", true).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body.contains("[\"er\",null,null,null,null,400"), "{body}");
    let (_, unknown) = visitor.rpc("noSuch", &args, &at, true).await;
    assert!(unknown.contains("[\"wrb.fr\",\"noSuch\",null,null,null,[3]"), "{unknown}");
    // An empty album is refused, a null one is the library.
    let key = visitor.sim.ledger().items[0].key.clone();
    let (_, refused) = visitor.rpc("VrseUb", &json!([key, null, null, null, ""]), &at, true).await;
    assert!(refused.contains("[3]"), "{refused}");
    visitor.rpc("XwAOJf", &json!([]), &at, true).await;
    assert_eq!(visitor.sim.counters().mutating, 1);
    visitor.sim.session().sign_out(SignedOutModel::LandingPage);
    let (status, html) = visitor.rpc("lcxiM", &args, &at, true).await;
    assert!(status == StatusCode::OK && html.starts_with("<!doctype html>"));
}

#[tokio::test]
async fn documents_are_what_clients_expect() {
    let visitor = Visitor::new(small()).await;
    let globals = visitor.globals().await;
    assert_eq!(globals["eptZe"], "/_/PhotosUi/");
    assert!(globals["oPEP7c"].as_str().unwrap().contains('@'));
    let key = visitor.sim.ledger().items[3].key.clone();
    assert_eq!(key.len(), 44);
    let photo = format!("https://photos.google.com/photo/{key}");
    assert_eq!(visitor.get(&photo).await.status(), StatusCode::OK);
    visitor.sim.library().remove_item(&key);
    assert_eq!(visitor.get(&photo).await.status(), StatusCode::OK, "a trashed photo keeps its page");
    let missing = visitor.get(&format!("https://photos.google.com/photo/{}", "AF1QipX".repeat(6))).await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert!(missing.text().await.unwrap().contains("id=\"af-error-container\""));
    let login = visitor.get("https://photos.google.com/login").await;
    assert_eq!(login.headers()["location"], "https://photos.google.com/");
    visitor.sim.session().sign_out(SignedOutModel::RedirectToAbout);
    let home = visitor.get("https://photos.google.com/").await;
    assert_eq!(home.headers()["location"], "https://www.google.com/photos/about/");
    let login = visitor.get("https://photos.google.com/login").await;
    assert!(
        login.headers()["location"]
            .to_str()
            .unwrap()
            .starts_with("https://accounts.google.com/v3/signin/identifier?")
    );
    visitor.sim.session().sign_out(SignedOutModel::LandingPage);
    let landing = visitor.get("https://photos.google.com/").await;
    assert_eq!(landing.status(), StatusCode::OK);
    assert!(!landing.text().await.unwrap().contains("SNlM0e"));
}

#[tokio::test]
async fn files_come_from_two_hosts_and_renditions_are_a_trap() {
    for (share, host) in
        [(0.0, "video-downloads.googleusercontent.com"), (1.0, "photos.fife.usercontent.google.com")]
    {
        let visitor = Visitor::new(SimConfig { fife_share: share, single_use: true, ..small() }).await;
        let at = visitor.globals().await["SNlM0e"].as_str().unwrap().to_owned();
        let ledger = visitor.sim.ledger();
        let plain =
            |item: &&shoebox::sim::library::LedgerItem| item.parts.len() == 1 && item.name.ends_with("jpg");
        let item = ledger.items.iter().find(plain).unwrap();
        let address = || async {
            let (_, body) =
                visitor.rpc("VrseUb", &json!([item.key, null, null, null, null]), &at, true).await;
            let row: Vec<Value> =
                serde_json::from_str(body.lines().find(|l| l.contains("wrb.fr")).unwrap()).unwrap();
            let payload: Value = serde_json::from_str(row[0][2].as_str().unwrap()).unwrap();
            payload[1].as_str().unwrap().to_owned()
        };
        let url = address().await;
        assert!(url.contains(host), "{url}");
        let bare = visitor.client.get(&url).send().await.unwrap();
        if share == 1.0 {
            assert_eq!(bare.status(), StatusCode::FORBIDDEN);
            assert_eq!(bare.headers()["content-type"], "image/png");
            let bytes = visitor.get(&url).await.bytes().await.unwrap();
            assert_eq!(shoebox::model::digest::digests_of(&bytes).sha256.hex(), item.parts[0].sha256);
            assert!(visitor.sim.counters().cookie_leaks > 0, "a client that is no browser is noticed");
        } else {
            assert!(bare.headers()["content-disposition"].to_str().unwrap().starts_with("attachment"));
            let bytes = bare.bytes().await.unwrap();
            assert_eq!(shoebox::model::digest::digests_of(&bytes).sha256.hex(), item.parts[0].sha256);
        }
        let again = visitor.get(&url).await;
        assert_eq!(again.status(), StatusCode::GONE, "a single-use address works once");
        visitor.sim.faults().set(FaultRule::new(RequestClass::Download, Fault::Truncate(500), When::Always));
        let cut = visitor.get(&address().await).await;
        assert!(cut.bytes().await.is_err(), "a cut body looks whole");
        let rendition = visitor.get(&format!("https://lh3.googleusercontent.com/{}=d", item.key)).await;
        let bytes = rendition.bytes().await.unwrap();
        assert_ne!(shoebox::model::digest::digests_of(&bytes).sha256.hex(), item.parts[0].sha256);
        assert!(!bytes.windows(4).any(|w| w == b"Exif"));
    }
}

/// Every served file is one that exiftool reads, and drawn ones were taken when the ledger says.
#[test]
fn files_are_valid_media() {
    use shoebox::sim::fake::FakeLibrary;
    let library = FakeLibrary::new(SimConfig { items: 150, ..SimConfig::default() });
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    super::sync::support::init(&dir.path().join("archive"));
    let archive = super::sync::support::open(&dir.path().join("archive"));
    let library = std::sync::Arc::new(library);
    runtime.block_on(super::sync::support::pass(&archive, &library));
    let blobs = dir.path().join("archive/blobs");
    let output = Command::new("exiftool")
        .args(["-r", "-ext", "*", "-json", "-fast", "-Error", "-DateTimeOriginal", "-FileType", "-d", "%s"])
        .arg(&blobs)
        .output()
        .unwrap();
    let files: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let ledger = library.ledger();
    assert_eq!(files.len(), ledger.wanted().len());
    let mut dated = 0;
    for file in &files {
        let name = file["SourceFile"].as_str().unwrap();
        assert!(file.get("Error").is_none() && file.get("FileType").is_some(), "{file}");
        let hash = name.rsplit('/').next().unwrap();
        let item = ledger.items.iter().find(|item| item.parts[0].sha256 == hash);
        let (Some(item), "JPEG") = (item, file["FileType"].as_str().unwrap()) else { continue };
        if let Some(taken) = file["DateTimeOriginal"].as_i64() {
            // exiftool reads the wall clock in the machine's zone.
            let local = jiff::Timestamp::from_second(taken)
                .unwrap()
                .to_zoned(jiff::tz::TimeZone::system())
                .datetime();
            let zone = jiff::tz::Offset::from_seconds((item.zone_offset_ms / 1000) as i32).unwrap();
            let instant = zone.to_timestamp(local).unwrap();
            assert_eq!(instant.as_second(), item.taken_ms.div_euclid(1000), "{}", item.name);
            dated += 1;
        }
    }
    assert!(dated > 60, "{dated}");
}
