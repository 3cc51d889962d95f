//! The page as people use it, in a real browser: photos and what is known of them, runs, what was set aside, albums,
//! settings, doctor; on a phone and on a desk; and what scripts are told.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use shoebox::model::digest::digests_of;
use shoebox::sim::{Fault, FaultRule, RequestClass, SimConfig, When};

use super::person::{LIMIT, Person};
use super::support::{PASSWORD, Running, Stage, ask, eventually};

/// An appliance at work.
struct Appliance {
    stage: Stage,
    running: Running,
    listen: String,
}

impl Appliance {
    async fn start(config: SimConfig, more: &[&str], prepare: impl FnOnce(&Stage)) -> Self {
        let stage = Stage::new(config).await;
        prepare(&stage);
        let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut command = stage.command(&["run", "--listen", &listen, "--no-upkeep"]);
        let log = std::fs::File::create(stage.dir.path().join("log")).unwrap();
        command.args(more).stdin(Stdio::null()).stderr(log);
        let running = Running(command.spawn().unwrap());
        eventually("the page", || std::net::TcpStream::connect(&listen).is_ok());
        Self { stage, running, listen }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listen)
    }

    async fn json(&self, path: &str) -> Value {
        let answer = ask(&self.listen, path).await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    /// Waits until so many runs have ended, and says how the last one did.
    async fn runs(&self, number: usize) -> Value {
        let until = Instant::now() + Duration::from_secs(90);
        loop {
            let runs = self.json("/api/runs").await;
            if runs.as_array().unwrap().len() >= number && self.json("/api/status").await["running"].is_null()
            {
                return runs[0].clone();
            }
            assert!(Instant::now() < until, "{runs}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.stage.dir.path().join("log")).unwrap()
    }

    async fn person(&self, width: u32, height: u32) -> Person {
        let person = Person::with_screen(width, height).await;
        person.tab.open(&self.url("/"), LIMIT).await.unwrap();
        person.reads("Password").await;
        person.send("#password", PASSWORD).await;
        person.reads("Overview").await;
        person
    }
}

impl Person {
    async fn opens(&self, appliance: &Appliance, path: &str) -> String {
        self.tab.open(&appliance.url(path), LIMIT).await.unwrap();
        self.text().await
    }

    /// Follows the link, or presses the button, that says this.
    async fn presses(&self, words: &str) {
        let press = format!(
            // Looked for again when it is pressed: what changes by itself may have been drawn anew in between.
            "(() => {{ const find = () => [...document.querySelectorAll('main a, main button, main summary')]
               .find(e => e.innerText.trim().startsWith({words:?}));
             setTimeout(() => find().click(), 30); return !!find(); }})()"
        );
        assert!(self.js::<bool>(&press).await, "there is nothing that says `{words}`");
    }

    /// Waits until every picture in sight has been loaded, and counts them.
    async fn sees_pictures(&self) -> u64 {
        let until = Instant::now() + Duration::from_secs(60);
        let look = "(() => { const seen = [...document.images].filter(i => i.getBoundingClientRect().top < innerHeight && i.closest('main'));
            return [seen.length, seen.filter(i => i.complete && i.naturalWidth > 0).length]; })()";
        loop {
            let [all, loaded]: [u64; 2] = self.js(look).await;
            if all == loaded {
                return all;
            }
            assert!(Instant::now() < until, "{loaded} of {all} pictures are there");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_finds_a_photo_and_all_that_is_known_of_it() {
    let config = SimConfig { items: 90, shared: 4, ..SimConfig::default() };
    let appliance = Appliance::start(config, &["--schedule", "12h"], |_| {}).await;
    assert_eq!(appliance.runs(1).await["outcome"], "complete", "{}", appliance.log());
    let person = appliance.person(1440, 900).await;
    person.reads("90 items").await;
    let months = person.opens(&appliance, "/photos").await;
    assert!(months.contains("90 photos and videos"), "{months}");
    person.sees_pictures().await;
    person.picture("photos.png").await;
    // Every photo is in exactly one month, and each month says how many it has.
    let paths: Vec<String> =
        person.js("[...document.querySelectorAll('.months a')].map(a => a.pathname)").await;
    let (mut keys, mut videos): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for path in &paths {
        person.opens(&appliance, path).await;
        let here: Vec<String> = person
            .js("[...document.querySelectorAll('.grid a')].map(a => a.pathname.split('/').pop())")
            .await;
        keys.extend(here);
        let of_a_kind = "[...document.querySelectorAll('.grid a')].filter(a => a.querySelector('.kind')?.innerText === 'video')";
        videos.extend(person.js::<Vec<String>>(&format!("{of_a_kind}.map(a => a.pathname)")).await);
    }
    let ledger = appliance.stage.sim.ledger();
    let mut wanted: Vec<String> = ledger
        .items
        .iter()
        .filter(|item| item.listed && item.shared.is_none())
        .map(|item| item.key.clone())
        .collect();
    keys.sort();
    wanted.sort();
    assert_eq!(keys, wanted);
    // One photo: its facts, its proof, its bytes.
    let photo = ledger
        .items
        .iter()
        .find(|item| {
            item.listed && item.name.ends_with(".jpg") && item.parts.len() == 1 && !item.storage_saver
        })
        .unwrap();
    let part = &photo.parts[0];
    let text = person.opens(&appliance, &format!("/item/{}", photo.key)).await;
    for said in
        [photo.name.as_str(), "the very bytes that were uploaded", &part.sha256, "by the file's own word"]
    {
        assert!(text.contains(said), "`{said}` is not there: {text}");
    }
    assert_eq!(person.sees_pictures().await, 1);
    person.picture("item.png").await;
    let href: String =
        person.js("document.querySelector('.facts a[href*=\"?name=\"]').getAttribute('href')").await;
    let whole = ask(&appliance.listen, &href).await.unwrap();
    assert!(whole.headers()["content-disposition"].to_str().unwrap().starts_with("attachment"));
    assert_eq!(digests_of(&whole.bytes().await.unwrap()).sha256.hex(), part.sha256);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let file = |path: String| client.get(appliance.url(&path)).basic_auth("x", Some(PASSWORD));
    let middle =
        file(format!("/file/{}", part.sha256)).header("range", "bytes=100-199").send().await.unwrap();
    assert_eq!(middle.status(), 206);
    assert_eq!(middle.headers()["content-range"], format!("bytes 100-199/{}", part.size));
    assert_eq!(middle.headers()["content-security-policy"], "default-src 'none'; sandbox");
    assert_eq!(middle.bytes().await.unwrap().len(), 100);
    // What is not there, and what is nobody's business.
    for path in [
        "/item/none",
        "/photos/1802-01",
        "/photos/x",
        "/albums/none",
        "/runs/5",
        "/set-aside/none",
        "/nowhere",
    ] {
        assert_eq!(file(path.to_owned()).send().await.unwrap().status(), 404, "{path}");
    }
    for path in
        ["/file/..%2f..%2fetc%2fpasswd", "/file/00", "/small/..%2f", "/set-aside/x/..%2f..%2farchive.json"]
    {
        let answer = file(path.to_owned()).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    // A video is played, in parts, as browsers ask for them.
    person.opens(&appliance, &videos[0]).await;
    assert!(person.js::<bool>("!!document.querySelector('video')").await);
    // Albums lead to their photos.
    let albums = person.opens(&appliance, "/albums").await;
    let title = ledger
        .items
        .iter()
        .flat_map(|item| &item.albums)
        .find(|title| title.is_ascii() && title.len() > 3)
        .unwrap();
    assert!(albums.contains(title.as_str()), "{title}: {albums}");
    person.presses(title).await;
    person.reads(" photo").await;
    assert!(person.sees_pictures().await > 0);
    // It is made once, in a directory that says that it is worth no backup.
    let cache = appliance.stage.data().join("cache");
    assert!(cache.join("CACHEDIR.TAG").exists() && cache.join("thumbnails").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_aside_is_shown_with_its_reason_and_tried_again() {
    let config = SimConfig { items: 6, ..SimConfig::default() };
    let mut appliance = Appliance::start(config, &["--schedule", "12h", "--attempts", "1"], |stage| {
        stage.sim.faults().set(FaultRule::new(RequestClass::Download, Fault::AlterByte, When::Always));
    })
    .await;
    let run = appliance.runs(1).await;
    assert_eq!((run["outcome"].as_str(), run["set_aside"].as_u64()), (Some("partial"), Some(6)), "{run}");
    let list = appliance.json("/api/set-aside").await;
    assert_eq!(list.as_array().unwrap().len(), 6);
    let person = appliance.person(1440, 900).await;
    person.presses("6 items are set aside").await;
    person.reads("Every run tries again").await;
    // Letters that turn a name around are seen.
    assert!(person.text().await.contains("evil\\u{202e}gpj.exe.jpg"), "{}", person.text().await);
    person.picture("set-aside.png").await;
    person.js::<bool>("(setTimeout(() => document.querySelector('.aside h2 a').click(), 30), true)").await;
    person.reads(".bytes").await;
    let text = person.text().await;
    assert!(text.contains("\"reason\"") && text.contains("once, "), "{text}");
    person.picture("set-aside-one.png").await;
    // The report of the run.
    person.opens(&appliance, "/runs").await;
    person.picture("runs.png").await;
    person.js::<bool>("(setTimeout(() => document.querySelector('td a').click(), 30), true)").await;
    person.reads("Listed by Google").await;
    assert!(person.text().await.contains("6 items were set aside"));
    // It is over, and somebody asks.
    appliance.stage.sim.faults().clear();
    person.opens(&appliance, "/set-aside").await;
    person.presses("Try again now").await;
    person.reads("They are tried again now").await;
    assert_eq!(appliance.runs(2).await["outcome"], "complete");
    assert!(person.opens(&appliance, "/set-aside").await.contains("Nothing is set aside."));
    let everything = person.opens(&appliance, "/completeness").await;
    assert!(everything.contains("Every photo that Google counts is archived."), "{everything}");
    person.picture("completeness.png").await;
    // Another attempt at a few is no look at the library: the plan stands.
    let status = appliance.json("/api/status").await;
    let next: jiff::Timestamp = status["next_run"].as_str().unwrap().parse().unwrap();
    assert!(next > jiff::Timestamp::now() + jiff::SignedDuration::from_hours(11), "{status}");
    // What was kept of the runs is there after a restart.
    let before = appliance.json("/api/runs").await;
    assert!(appliance.running.stop().success());
    let mut command =
        appliance.stage.command(&["run", "--listen", &appliance.listen, "--no-upkeep", "--schedule", "12h"]);
    appliance.running = Running(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    eventually("the page", || std::net::TcpStream::connect(&appliance.listen).is_ok());
    assert_eq!(appliance.json("/api/runs").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_on_the_page_counts_from_the_next_run_on() {
    let config = SimConfig { items: 12, shared: 6, ..SimConfig::default() };
    let appliance = Appliance::start(config, &[], |_| {}).await;
    assert_eq!(appliance.runs(1).await["outcome"], "complete");
    let person = appliance.person(1440, 900).await;
    person.opens(&appliance, "/settings").await;
    person.picture("settings.png").await;
    person.send("#schedule", "now and then").await;
    person.reads("Nothing was changed").await;
    assert_eq!(person.js::<String>("document.getElementById('schedule').value").await, "now and then");
    person.picture("settings-wrong.png").await;
    person.send("#schedule", "every 9h").await;
    person.reads("Kept.").await;
    let soon = |hours: i64| jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
    let next = async || -> jiff::Timestamp {
        appliance.json("/api/status").await["next_run"].as_str().unwrap().parse().unwrap()
    };
    let until = Instant::now() + Duration::from_secs(20);
    while next().await < soon(8) {
        assert!(Instant::now() < until, "{}", appliance.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Somebody edits the file and says so.
    let file = appliance.stage.dir.path().join("profile/shoebox-settings.json");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), r#"{"schedule":"every 9h"}"#);
    std::fs::write(&file, r#"{"schedule": "every 20h"}"#).unwrap();
    let pid = appliance.running.0.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    while next().await < soon(19) {
        assert!(Instant::now() < until, "{}", appliance.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Whom to tell: a secret, which the page takes and never shows.
    let hook = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    person.opens(&appliance, "/settings").await;
    person.js::<bool>("(document.getElementById('tell-of').value = 'run-ok', true)").await;
    person.send("#tell", &format!("http://{}/s3cret", hook.local_addr().unwrap())).await;
    person.reads("Kept.").await;
    assert!(!person.js::<String>("document.documentElement.outerHTML").await.contains("s3cret"));
    let told = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut caller, _) = hook.accept().unwrap();
        let mut bytes = [0; 4096];
        let n = caller.read(&mut bytes).unwrap();
        caller.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        String::from_utf8_lossy(&bytes[..n]).into_owned()
    });
    // Albums that others share are archived once they are chosen.
    let shared = |stage: &Stage| stage.sim.ledger().items.iter().filter(|item| item.shared.is_some()).count();
    assert!(shared(&appliance.stage) > 0);
    let text = person.opens(&appliance, "/albums").await;
    assert!(text.contains("Shared with you"), "{text}");
    person.picture("albums.png").await;
    person.js::<bool>("(() => { const e = document.querySelector('[name=all]'); e.checked = true; setTimeout(() => e.form.requestSubmit(), 30); return true; })()").await;
    person.reads("Kept.").await;
    let before = appliance.json("/api/status").await["items"].as_u64().unwrap();
    person.opens(&appliance, "/runs").await;
    person.presses("List the whole library").await;
    assert_eq!(appliance.runs(2).await["outcome"], "complete", "{}", appliance.log());
    let after = appliance.json("/api/status").await["items"].as_u64().unwrap();
    assert!(after > before, "{before} and {after}");
    let told = tokio::task::spawn_blocking(|| told.join().unwrap()).await.unwrap();
    assert!(told.starts_with("POST /s3cret"), "{told}");
    let log = appliance.log();
    assert!(log.contains("the settings were read again") && !log.contains("s3cret"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_changes_by_itself_and_every_page_fits_a_phone_and_a_desk() {
    let config = SimConfig { items: 20, ..SimConfig::default() };
    let appliance = Appliance::start(config, &["--schedule", "12h"], |_| {}).await;
    appliance.runs(1).await;
    let phone = appliance.person(390, 844).await;
    assert_eq!(phone.js::<u64>("innerWidth").await, 390);
    // Without being loaded again.
    phone.js::<bool>("(window.same = true)").await;
    phone.reads("Waiting for the next run").await;
    let slow = Fault::Latency(Duration::from_secs(3));
    appliance.stage.sim.faults().set(FaultRule::new(RequestClass::Document, slow, When::Always));
    let desk = appliance.person(1440, 900).await;
    desk.presses("Run now").await;
    phone.reads("Looking what is new").await;
    phone.reads("Waiting for the next run").await;
    assert!(phone.js::<bool>("window.same === true").await, "the page was loaded again");
    appliance.stage.sim.faults().clear();
    let settings = desk.opens(&appliance, "/settings").await;
    assert!(settings.contains("Set on the command line"), "{settings}");
    assert!(desk.js::<bool>("document.getElementById('schedule').disabled").await);
    desk.opens(&appliance, "/doctor").await;
    desk.presses("Examine").await;
    desk.reads("This machine").await;
    desk.reads("FUSE").await;
    let item = appliance.stage.sim.ledger().items.iter().find(|item| item.listed).unwrap().key.clone();
    let month = phone.opens(&appliance, "/photos").await;
    assert!(month.contains("20 photos"), "{month}");
    let month: String = phone.js("document.querySelector('.months a').pathname").await;
    let item = format!("/item/{item}");
    let pages = [
        "/",
        "/photos",
        &month,
        &item,
        "/albums",
        "/runs",
        "/set-aside",
        "/completeness",
        "/settings",
        "/doctor",
        "/sign-in",
    ];
    for (person, width) in [(&phone, 390), (&desk, 1440)] {
        for page in pages {
            person.opens(&appliance, page).await;
            person.sees_pictures().await;
            let name = page.trim_start_matches('/').split('/').next().unwrap_or_default();
            person.picture(&format!("{width}-{}.png", if name.is_empty() { "overview" } else { name })).await;
            let wide: u64 = person.js("document.documentElement.scrollWidth").await;
            assert!(wide <= width, "{page} is {wide} wide on {width}");
            // What a screen reader needs.
            let wrong: Vec<String> = person
                .js("(() => { const wrong = []; const say = (what, e) => wrong.push(what + ': ' + e.outerHTML.slice(0, 120));
                     if (document.querySelectorAll('h1').length !== 1) wrong.push('not one h1');
                     if (!document.title || !document.documentElement.lang) wrong.push('no title or language');
                     for (const e of document.images) if (!e.hasAttribute('alt')) say('no alt', e);
                     for (const e of document.querySelectorAll('input:not([type=hidden]), select')) if (!e.labels.length) say('no label', e);
                     for (const e of document.querySelectorAll('a, button')) if (!e.innerText.trim() && !e.querySelector('img, .cover')) say('says nothing', e);
                     const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
                     if (new Set(ids).size !== ids.length) wrong.push('an id twice');
                     return wrong; })()")
                .await;
            assert!(wrong.is_empty(), "{page}: {wrong:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_scripts_may_ask_is_described_and_answers() {
    let appliance =
        Appliance::start(SimConfig { items: 3, ..SimConfig::default() }, &["--schedule", "12h"], |_| {})
            .await;
    appliance.runs(1).await;
    let description = appliance.json("/api/openapi.json").await;
    let mut described: Vec<_> = description["paths"].as_object().unwrap().keys().cloned().collect();
    // As the program has them.
    let source =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/serve/web.rs")).unwrap();
    let routes = source.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let for_scripts = ["/api/", "/metrics", "/healthz", "/readyz"];
    let mut routes: Vec<_> = routes
        .filter(|path| for_scripts.iter().any(|begin| path.starts_with(begin)))
        .map(str::to_owned)
        .collect();
    described.sort();
    routes.sort();
    assert_eq!(described, routes);
    for (path, what) in description["paths"].as_object().unwrap() {
        let content = what["get"]["responses"]["200"]["content"].as_object().unwrap();
        let answer = ask(&appliance.listen, path).await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        assert!(
            answer.status().is_success() && content.keys().any(|wanted| kind.starts_with(wanted.as_str())),
            "{path}: {kind}"
        );
        if kind != "application/json" {
            continue;
        }
        let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        let schema = &content["application/json"]["schema"];
        let (schema, one) = match answer.get(0) {
            Some(first) => (&schema["items"], first),
            None => (schema, &answer),
        };
        if let Some(properties) = schema["properties"].as_object() {
            let described: std::collections::BTreeSet<_> = properties.keys().collect();
            let Some(told) = one.as_object() else { continue };
            let told: std::collections::BTreeSet<_> = told.keys().collect();
            assert_eq!(described, told, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_google_does_not_renew_is_shown_with_what_helps() {
    let config = SimConfig { items: 2, ..SimConfig::default() };
    let refuse = |stage: &Stage| stage.sim.session().refuse_rotation(true);
    let appliance = Appliance::start(config, &["--schedule", "12h"], refuse).await;
    let run = appliance.runs(1).await;
    assert_eq!(run["outcome"], "complete", "{run}");
    let desk = appliance.person(1440, 900).await;
    desk.opens(&appliance, "/").await;
    desk.reads("Google refuses to renew this browser's session").await;
    if cfg!(target_arch = "x86_64") {
        desk.reads("SHOEBOX_BROWSER=chrome").await;
    }
    assert_eq!(appliance.json("/api/status").await["login"]["state"], "expiring");
    // Google is asked again at each run.
    appliance.stage.sim.session().refuse_rotation(false);
    desk.presses("Run now").await;
    appliance.runs(2).await;
    assert_eq!(appliance.json("/api/status").await["login"]["state"], "signed-in");
}
