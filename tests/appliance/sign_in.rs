//! Signing in on the appliance's page: a person's browser shows the container's, types into it, and is told when it is
//! done. And who is let in to that page.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use shoebox::sim::{Screen, SignedOutModel, SimConfig};

use super::person::{LIMIT, Person};
use super::support::{PASSWORD, Running, Stage, ask, shoebox, succeed};

/// noVNC, as the image has it.
pub fn novnc() -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/novnc");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/fetch-novnc");
    assert!(std::process::Command::new(script).arg(&dir).status().unwrap().success());
    dir
}

/// A form's fields, none of which needs to be encoded but for spaces and slashes.
fn form(request: reqwest::RequestBuilder, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let encode = |text| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC);
    let pairs: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    request.header("content-type", "application/x-www-form-urlencoded").body(pairs.join("&"))
}

/// A running appliance whose login has lapsed.
async fn lapsed(screens: Vec<Screen>) -> (Stage, Running, String) {
    let stage = Stage::new(SimConfig { items: 5, sign_in: screens, ..SimConfig::default() }).await;
    stage.sim.session().sign_out(SignedOutModel::RedirectToAbout);
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut command = stage.command(&["run", "--listen", &listen, "--schedule", "1h", "--no-upkeep"]);
    command.env("SHOEBOX_NOVNC", novnc()).env_remove("SHOEBOX_PASSWORD").stdin(Stdio::null());
    let log = std::fs::File::create(stage.dir.path().join("log")).unwrap();
    let running = Running(command.stderr(log).spawn().unwrap());
    (stage, running, listen)
}

/// Waits for a screen of the sign-in in the appliance's browser; the simulator says which one it showed last.
pub async fn screen_is(last: impl AsyncFn() -> Option<String>, path: &str) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let screen = last().await;
        if screen.as_ref().is_some_and(|screen| screen.contains(path)) {
            break;
        }
        assert!(Instant::now() < until, "{path} is not shown, but {screen:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // It has been asked for, and is drawn by and by.
    tokio::time::sleep(Duration::from_secs(2)).await;
}

/// What a program of the same machine is told that wants to draw on the browser's display without its key.
fn nobody_else_sees_the_display(profile: &Path) {
    use std::io::{Read as _, Write as _};
    let displays = crate::remote::browser::marked_processes(profile).into_iter().filter_map(|pid| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
        let mut variables = environment.split(|byte| *byte == 0);
        let display = variables.find_map(|variable| variable.strip_prefix(b"DISPLAY=:"))?;
        String::from_utf8(display.to_vec()).ok()
    });
    let display = displays.into_iter().next().expect("no browser on a display");
    let mut server = std::os::unix::net::UnixStream::connect(format!("/tmp/.X11-unix/X{display}")).unwrap();
    // X11, version 11.0, least significant byte first, no authority.
    server.write_all(&[b'l', 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    let mut answer = [9];
    server.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0], "1 is success");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_on_the_page_and_the_library_is_archived() {
    let screens = vec![Screen::Identifier, Screen::Password, Screen::DevicePrompt, Screen::Passkey];
    let (stage, mut running, listen) = lapsed(screens).await;
    let person = Person::new().await;
    let url = format!("http://{listen}");
    super::support::eventually("the page", || std::net::TcpStream::connect(&listen).is_ok());
    let last = async || stage.sim.session().last_screen();
    person.begins_to_sign_in(&url, PASSWORD).await;
    // What made it ask was seen, and is shown.
    let seen = ask(&listen, "/sign-in/seen").await.unwrap();
    assert_eq!(&seen.bytes().await.unwrap()[..8], b"\x89PNG\r\n\x1a\n");
    screen_is(&last, "identifier").await;
    person.picture("3-identifier.png").await;
    nobody_else_sees_the_display(&stage.dir.path().join("profile"));
    person.type_into_picture("ann@example.org").await;
    screen_is(&last, "challenge/pwd").await;
    person.picture("4-password.png").await;
    person.type_into_picture("pässword").await;
    screen_is(&last, "challenge/dp").await;
    screen_is(&last, "passkey").await;
    person.picture("5-passkey.png").await;
    person.js::<bool>("(document.getElementById('tab').click(), true)").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    person.js::<bool>("(document.getElementById('enter').click(), true)").await;
    // It ends by itself, and what was waiting goes on.
    person.reads("Everything goes on by itself").await;
    person.picture("6-done.png").await;
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let status = ask(&listen, "/api/status").await.unwrap().text().await.unwrap();
        if status.contains("\"outcome\":\"complete\"") && status.contains("\"state\":\"signed-in\"") {
            break;
        }
        assert!(Instant::now() < until, "{status}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    person.tab.open(&url, LIMIT).await.unwrap();
    person.reads("Signed in as").await;
    person.picture("7-overview.png").await;
    assert!(!person.text().await.contains("You are needed"));
    assert!(running.stop().success());
    // Neither the password nor anything that was typed is in the log.
    let log = std::fs::read_to_string(stage.dir.path().join("log")).unwrap();
    assert!(!log.contains("ssword") && !log.contains("ann@example.org"), "{log}");
    assert_eq!(
        crate::remote::browser::marked_processes(&stage.dir.path().join("profile")),
        Vec::<i32>::new()
    );
}

/// The same on an appliance that somebody else has started: the container tier, which names its page (`PAGE`), the
/// password to choose (`PAGE_PASSWORD`) and the simulator's control port (`GOOGLE`, host and port).
#[tokio::test(flavor = "multi_thread")]
#[ignore = "docker/test-container starts the appliance and then this"]
async fn a_person_signs_in_on_a_page_that_is_elsewhere() {
    shoebox::remote::net::install_tls();
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let (page, password, google) = (variable("PAGE"), variable("PAGE_PASSWORD"), variable("GOOGLE"));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let last = async || client.get(format!("http://{google}/session")).send().await.ok()?.text().await.ok();
    let person = Person::new().await;
    match std::env::var("ACCOUNT") {
        Ok(name) => person.begins_to_sign_in_for(&name, &page, &password).await,
        Err(_) => person.begins_to_sign_in(&page, &password).await,
    }
    screen_is(&last, "identifier").await;
    person.type_into_picture("ann@example.org").await;
    screen_is(&last, "challenge/pwd").await;
    person.type_into_picture("pässword").await;
    person.reads("Everything goes on by itself").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_chooses_an_account_and_is_told_that_google_refuses_the_browser() {
    let (stage, mut running, listen) = lapsed(vec![Screen::Chooser, Screen::Rejected]).await;
    let person = Person::new().await;
    let url = format!("http://{listen}");
    super::support::eventually("the page", || std::net::TcpStream::connect(&listen).is_ok());
    let last = async || stage.sim.session().last_screen();
    person.begins_to_sign_in(&url, PASSWORD).await;
    screen_is(&last, "signinchooser").await;
    // The first account of the list, at the top of the page: below whatever the browser has there.
    for y in (90..200).step_by(10) {
        if stage.sim.session().last_screen().unwrap().ends_with("signinchooser") {
            person.click_into_picture(60.0, f64::from(y)).await;
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    }
    screen_is(&last, "signin/rejected").await;
    person.picture("8-rejected.png").await;
    stage.sim.session().sign_out(SignedOutModel::Rejected);
    let done = "(setTimeout(() => document.querySelector('form[action=\"/sign-in/end\"]').requestSubmit(), 50), true)";
    person.js::<bool>(done).await;
    person.reads("You are not signed in yet: Google rejected the sign-in").await;
    person.reads("Google does not let this browser in").await;
    let status = ask(&listen, "/api/status").await.unwrap().text().await.unwrap();
    assert!(status.contains("\"state\":\"rejected\""), "{status}");
    // The button is there again: another way in may be tried.
    person.reads("Open the browser").await;
    assert!(running.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_knows_the_password_gets_in_and_no_other_site_does() {
    shoebox::remote::net::install_tls();
    let dir = tempfile::tempdir().unwrap();
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let data = dir.path().join("archive");
    let mut init = shoebox();
    init.arg("init").env("SHOEBOX_DATA", &data);
    succeed(init).await;
    let mut command = shoebox();
    command
        .args(["run", "--listen", &listen, "--no-upkeep", "--browser", "/bin/false"])
        .env("SHOEBOX_DATA", &data)
        .env("SHOEBOX_PROFILE", dir.path().join("profile"))
        .env("SHOEBOX_PASSWORD", PASSWORD)
        .env("SHOEBOX_NOVNC", novnc())
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let mut running = Running(command.spawn().unwrap());
    super::support::eventually("the page", || std::net::TcpStream::connect(&listen).is_ok());
    let client =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let url = |path: &str| format!("http://{listen}{path}");
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status().as_u16();
    // Nobody.
    for path in ["/", "/sign-in", "/novnc/core/rfb.js", "/sign-in.js", "/nothing"] {
        assert_eq!(status(client.get(url(path))).await, 303, "{path}");
    }
    for path in ["/api/status", "/api/sign-in", "/metrics"] {
        assert_eq!(status(client.get(url(path))).await, 401, "{path}");
    }
    for path in ["/sign-in/begin", "/sign-in/end", "/leave"] {
        let sent = form(client.post(url(path)), &[("key", "x")]);
        assert_eq!(status(sent.basic_auth("x", Some(PASSWORD))).await, 401, "{path}: a script may not");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(status(client.get(url(path))).await, 200, "{path}");
    }
    let numbers = ask(&listen, "/metrics").await.unwrap().text().await.unwrap();
    assert!(numbers.contains("\nshoebox_archived_items 0\n"), "{numbers}");
    // Somebody.
    let enter = |password: &str, next: &str| {
        form(client.post(url("/door")), &[("password", password), ("next", next)])
    };
    assert_eq!(status(enter("wrong", "/")).await, 403);
    assert_eq!(status(enter(PASSWORD, "/").header("origin", "http://evil.example")).await, 403);
    let entered = enter(PASSWORD, "//evil.example/").send().await.unwrap();
    assert_eq!(entered.headers()["location"], "/", "led elsewhere");
    let cookie = entered.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let get = |path: &str| client.get(url(path)).header("cookie", &cookie);
    let page = get("/").send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let html = page.text().await.unwrap();
    let key = html.split("name=\"key\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(status(get("/novnc/core/rfb.js")).await, 200);
    for path in [
        "/novnc/../../Cargo.toml",
        "/novnc/%2e%2e/%2e%2e/Cargo.toml",
        "/novnc/.git/x.js",
        "/novnc/LICENSE.txt",
    ] {
        assert_eq!(status(get(path)).await, 404, "{path}");
    }
    let post =
        |path: &str, key: &str| form(client.post(url(path)).header("cookie", &cookie), &[("key", key)]);
    assert_eq!(status(post("/sign-in/end", "wrong")).await, 403, "a form without its key");
    assert_eq!(status(post("/sign-in/end", &key).header("origin", "http://evil.example")).await, 403);
    assert_eq!(status(post("/sign-in/end", &key).header("origin", url(""))).await, 303);
    let upgrade = |origin: &str| {
        get("/sign-in/display")
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("origin", origin)
    };
    assert_eq!(status(upgrade("http://evil.example")).await, 403);
    assert_eq!(status(upgrade(&url(""))).await, 410, "there is nothing to be shown");
    assert_eq!(status(post("/leave", &key)).await, 303);
    assert_eq!(status(get("/")).await, 303, "the session is over");
    // Guessing is slow.
    let mut answers = Vec::new();
    for _ in 0..8 {
        let answer = enter("guess", "/").send().await.unwrap().text().await.unwrap();
        answers.push(answer.contains("too many wrong passwords"));
    }
    assert!(answers[7] && !answers[0], "{answers:?}");
    // Whoever begins a request and never ends it holds up nobody.
    let mut held = std::net::TcpStream::connect(&listen).unwrap();
    let begun = b"POST /door HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 99\r\n\r\n";
    std::io::Write::write_all(&mut held, begun).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    assert!(running.stop().success());
    assert!(began.elapsed() < Duration::from_secs(9), "took {:?} to stop", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_kept_alive_where_no_run_is_due_for_long() {
    let stage = Stage::new(SimConfig { items: 3, ..SimConfig::default() }).await;
    succeed(stage.command(&["sync"])).await;
    let file = stage.dir.path().join("profile/shoebox-login.json");
    let long_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(13);
    let known = serde_json::json!({"state": "signed-in", "account": "117", "since": long_ago, "visited": long_ago, "told": null});
    std::fs::write(&file, known.to_string()).unwrap();
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut command = stage.command(&["run", "--listen", &listen, "--schedule", "every 2d", "--no-upkeep"]);
    let mut running = Running(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let kept: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let visited: jiff::Timestamp = kept["visited"].as_str().unwrap().parse().unwrap();
        if visited > long_ago {
            break;
        }
        assert!(Instant::now() < until, "nobody visited: {kept}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let status = ask(&listen, "/api/status").await.unwrap().text().await.unwrap();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["last_run"], serde_json::Value::Null, "it was a run");
    assert!(running.stop().success());
}
