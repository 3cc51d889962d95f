//! The pages in a real browser, driven step by step as known clients drive the real ones.

use serde_json::{Value, json};
use shoebox::sim::SimConfig;

use super::support::{HOME, Rig, is_plain, pause, sha256};

const ACTIVE: &str = "document.activeElement && document.activeElement.getAttribute('href')";

/// perkeep's: probe with the right arrow, to the end, open the oldest, then download and go left.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_only_presses_keys_walks_from_the_oldest_to_the_newest() {
    let rig = Rig::signed_in(SimConfig { items: 60, ..SimConfig::default() }).await;
    assert_eq!(rig.open(HOME).await, 200);
    assert_eq!(rig.place().await, HOME);
    let timeline = rig.timeline();
    // The first item: the active element's href as it is written.
    let mut first: Option<String> = None;
    for _ in 0..10 {
        rig.key("ArrowRight").await;
        pause(300).await;
        first = rig.js(ACTIVE).await;
        if first.is_some() {
            break;
        }
    }
    assert_eq!(first.unwrap(), format!("./photo/{}", timeline[0].key));
    for _ in 0..3 {
        rig.key("PageDown").await;
        rig.key("End").await;
        pause(500).await;
    }
    // The first tile is gone, and its focus with it.
    assert_eq!(rig.js::<Option<String>>(ACTIVE).await, None);
    while rig.place().await == HOME {
        rig.key("ArrowRight").await;
        pause(200).await;
        rig.key("Enter").await;
        pause(200).await;
    }
    let mut last = String::new();
    loop {
        rig.key("ArrowRight").await;
        pause(250).await;
        let place = rig.place().await;
        if place == last {
            break;
        }
        last = place;
    }
    let oldest = timeline.last().unwrap();
    assert_eq!(last, format!("https://photos.google.com/photo/{}", oldest.key));
    // From here to the left, each by its file, without any load of a document.
    rig.js::<Value>("(window.kept = 1)").await;
    for item in timeline.iter().rev().take(12) {
        assert_eq!(rig.place().await, format!("https://photos.google.com/photo/{}", item.key));
        let (_, file) = rig.download(rig.shift_d()).await;
        if is_plain(item) {
            assert_eq!(sha256(&file), item.parts[0].sha256, "{}", item.name);
        }
        let here = rig.place().await;
        rig.key("ArrowLeft").await;
        rig.until(&format!("location.href !== '{here}'")).await;
    }
    assert_eq!(rig.js::<Value>("window.kept").await, json!(1));
    // At the newest nothing happens.
    rig.open(&format!("https://photos.google.com/photo/{}", timeline[0].key)).await;
    rig.key("ArrowLeft").await;
    pause(500).await;
    assert!(rig.place().await.ends_with(&timeline[0].key));
    rig.key("ArrowRight").await;
    rig.until(&format!("location.href.endsWith('{}')", timeline[1].key)).await;
    assert_eq!(rig.sim.counters().mutating, 0);
    rig.close().await;
}

/// What spraot's client reads of the info panel: the first visible node below the photo's `data-p`.
async fn read_panel(rig: &Rig, key: &str, labels: [&str; 3]) -> [String; 4] {
    let [name, date, time] = labels;
    let read = |selector: String| {
        format!(
            "([...document.querySelectorAll('[data-p*=\"{key}\"] {selector}')].filter(x => x.checkVisibility()).map(x => x.textContent)[0] || '')"
        )
    };
    let date = format!("[aria-label^=\"{date}\"]");
    let all = [
        read(format!("[aria-label^=\"{name}\"]")),
        read(date.clone()),
        read(format!("{date} + div [aria-label^=\"{time}\"]")),
        read(format!("{date} + div [aria-label^=\"GMT\"]")),
    ];
    rig.js(&format!("[{}]", all.join(","))).await
}

/// spraot's: anchors of the grid, the last one focused until nothing new comes; then each photo by its
/// address, the info panel, and the menu.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_the_document_sees_every_photo() {
    let rig = Rig::signed_in(SimConfig { items: 220, ..SimConfig::default() }).await;
    assert_eq!(rig.open("https://photos.google.com/login").await, 200);
    assert_eq!(rig.place().await, HOME);
    assert_eq!(rig.js::<String>("document.documentElement.lang").await, "en");
    rig.until("document.querySelector('a[href^=\"./photo/\"]')").await;
    let timeline = rig.timeline();
    let mut seen: Vec<String> = Vec::new();
    let mut most = 0;
    while seen.len() < timeline.len() {
        let hrefs: Vec<String> = rig
            .js("[...document.querySelectorAll('a[href^=\"./photo/\"]')].map(a => a.getAttribute('href'))")
            .await;
        most = most.max(hrefs.len());
        let keys = hrefs.iter().map(|href| href.strip_prefix("./photo/").unwrap().to_owned());
        // The last one processed is still there: batches overlap.
        let keys: Vec<_> = keys.collect();
        let from =
            seen.last().map_or(0, |last| 1 + keys.iter().position(|key| key == last).expect("no overlap"));
        seen.extend_from_slice(&keys[from..]);
        rig.js::<Value>(&format!(
            "(document.querySelector('a[href=\"./photo/{}\"]').focus(), 1)",
            seen.last().unwrap()
        ))
        .await;
        pause(150).await;
    }
    assert_eq!(seen, timeline.iter().map(|item| item.key.clone()).collect::<Vec<_>>());
    assert!(most < 60, "{most} anchors at once: nothing is virtual");
    let slider: f64 = rig
        .js("(() => { const m = [...document.querySelectorAll('[role=\"main\"]')].filter(x => x.querySelector('a[href*=\"/photo/\"]') && getComputedStyle(x).visibility != 'hidden')[0]; m.scrollTo(0, m.scrollHeight); return (m.scrollTop+0.000001)/(m.scrollHeight-m.clientHeight+0.000001); })()")
        .await;
    assert!(slider > 0.999, "{slider}");
    // A plain photo and an edited one, each by its own address.
    let edited = timeline.iter().find(|item| item.parts.iter().any(|part| part.role == "edited")).unwrap();
    let plain = timeline.iter().find(|item| is_plain(item)).unwrap();
    for item in [plain, edited] {
        assert_eq!(rig.open(&format!("https://photos.google.com/photo/{}", item.key)).await, 200);
        let labels = ["Filename:", "Date taken:", "Time taken:"];
        let mut panel = read_panel(&rig, &item.key, labels).await;
        assert_eq!(panel[1], "", "the panel is closed at first");
        rig.js::<Value>(&format!(
            "(document.querySelector('[data-p*=\"{}\"] [aria-label=\"Open info\"]').click(), 1)",
            item.key
        ))
        .await;
        for _ in 0..20 {
            pause(100).await;
            panel = read_panel(&rig, &item.key, labels).await;
        }
        let [name, date, time, zone] = panel;
        assert_eq!(name, item.name);
        let pattern = jiff::fmt::strtime::parse(
            "%b %d, %Y %a, %I:%M\u{202f}%p GMT%:z",
            format!("{date} {time} {zone}"),
        );
        let read = pattern.unwrap().to_timestamp().unwrap().as_millisecond();
        assert_eq!(read, item.taken_ms - item.taken_ms.rem_euclid(60_000));
        let roles: &[&str] = if item.key == edited.key {
            &["Download - Shift+D", "Download original"]
        } else {
            &["Download - Shift+D"]
        };
        for (label, role) in roles.iter().zip(["edited", "original"]) {
            assert_eq!(rig.js::<u8>("document.querySelectorAll('[role=menuitem]').length").await, 0);
            rig.js::<Value>(
                "([...document.querySelectorAll('[aria-label=\"More options\"]')].pop().click(), 1)",
            )
            .await;
            rig.until(&format!("document.querySelector('[aria-label=\"{label}\"]')")).await;
            let items: Vec<String> =
                rig.js("[...document.querySelectorAll('[role=menuitem]')].map(x => x.getAttribute('aria-label'))").await;
            assert_eq!(items, roles);
            rig.js::<Value>(&format!("(document.querySelector('[aria-label=\"{label}\"]').focus(), 1)"))
                .await;
            let (_, file) = rig.download(rig.key("Enter")).await;
            let wanted = item.parts.iter().find(|part| part.role == role).unwrap_or(&item.parts[0]);
            assert_eq!(sha256(&file), wanted.sha256, "{label}");
        }
    }
    // Removed ones are told by the status of their page.
    let status = |key: String| {
        let script = format!("fetch('https://photos.google.com/photo/{key}').then(x => x.status)");
        async move { script }
    };
    rig.sim.library().remove_item(&plain.key);
    assert_eq!(rig.js::<u16>(&status(plain.key.clone()).await).await, 200, "it is in the trash");
    assert_eq!(rig.js::<u16>(&status("AF1QipX".repeat(6)).await).await, 404);
    assert_eq!(rig.sim.counters().mutating, 0);
    rig.close().await;
}

/// spraot's, on its way to a date: it looks for the scroller by a photo in it, right after every jump.
#[tokio::test(flavor = "multi_thread")]
async fn the_grid_is_never_without_a_photo() {
    use shoebox::sim::{Fault, FaultRule, RequestClass, When};
    let rig = Rig::signed_in(SimConfig { items: 220, ..SimConfig::default() }).await;
    rig.open(HOME).await;
    rig.until("document.querySelector('a.p137Zd')").await;
    rig.key("ArrowRight").await;
    let class = RequestClass::Rpc(Some("lcxiM".into()));
    let slow = Fault::Latency(std::time::Duration::from_millis(1500));
    rig.sim.faults().set(FaultRule::new(class, slow, When::Always));
    let scroller = "[...document.querySelectorAll('[role=\"main\"]')].filter(x => x.querySelector('a[href*=\"/photo/\"]') && getComputedStyle(x).visibility != 'hidden')[0]";
    for part in ["0.5", "0.25", "0.75"] {
        rig.js::<Value>(&format!("({scroller}.scrollTo(0, {scroller}.scrollHeight * {part}), 1)")).await;
        pause(100).await;
        assert!(rig.js::<bool>(&format!("!!{scroller}")).await, "after a jump to {part}");
        assert_eq!(rig.js::<Option<String>>(ACTIVE).await, None, "the focus stayed behind");
        // What is told of days is told of those in sight.
        let near = "[...document.querySelectorAll('.xA0gfb')].every(x => Math.abs(x.getBoundingClientRect().top) < 3000)";
        assert!(rig.js::<bool>(near).await);
    }
    let near = "[...document.querySelectorAll('a.p137Zd')].every(x => Math.abs(x.getBoundingClientRect().top) < 3000)";
    rig.until(near).await;
    assert!(rig.js::<bool>(&format!("!!{scroller}")).await);
    rig.close().await;
}

/// spraot's again, while some answers are late: it never looks above the last photo that it has read.
#[tokio::test(flavor = "multi_thread")]
async fn photos_of_the_grid_come_in_their_order() {
    use shoebox::sim::{Fault, FaultRule, RequestClass, When};
    let rig = Rig::signed_in(SimConfig { items: 220, ..SimConfig::default() }).await;
    let class = RequestClass::Rpc(Some("lcxiM".into()));
    let slow = Fault::Latency(std::time::Duration::from_millis(500));
    rig.sim.faults().set(FaultRule::new(class, slow, When::Every(2)));
    rig.open(HOME).await;
    rig.until("document.querySelector('a.p137Zd')").await;
    let timeline: Vec<_> = rig.timeline().into_iter().map(|item| format!("./photo/{}", item.key)).collect();
    let mut seen: Vec<String> = Vec::new();
    for _ in 0..400 {
        let hrefs: Vec<String> =
            rig.js("[...document.querySelectorAll('a.p137Zd')].map(a => a.getAttribute('href'))").await;
        let from = seen.last().and_then(|last| hrefs.iter().position(|href| href == last));
        seen.extend_from_slice(&hrefs[from.map_or(0, |last| last + 1)..]);
        assert_eq!(seen, timeline[..seen.len()], "one was left out");
        if seen.len() == timeline.len() {
            break;
        }
        let last = seen.last().unwrap();
        rig.js::<Value>(&format!("(document.querySelector('a[href=\"{last}\"]')?.focus(), 1)")).await;
        pause(30).await;
    }
    assert_eq!(seen.len(), timeline.len());
    rig.close().await;
}

/// What spraot's client reads of the headers, in its languages and all four forms.
#[tokio::test(flavor = "multi_thread")]
async fn headers_and_panel_speak_the_language_of_the_account() {
    use shoebox::sim::Language;
    for (language, prefix, yesterday, dated, labels) in [
        (
            Language::English,
            "Select all photos from",
            "Yesterday",
            "Mon, Dec 31, 2001",
            ["Filename:", "Date taken:", "Time taken:"],
        ),
        (
            Language::Dutch,
            "Alle foto's van",
            "Gisteren",
            "ma, 31 dec 2001",
            ["Bestandsnaam:", "Fotodatum:", "Tijdsduur:"],
        ),
        (
            Language::Spanish,
            "Seleccionar todas las fotos desde",
            "Ayer",
            "lun, 31 dic 2001",
            ["Nombre del archivo:", "Fecha de captura:", "Tiempo utilizado:"],
        ),
    ] {
        let now = jiff::Timestamp::from_millisecond(1_715_000_000_000).unwrap();
        let rig =
            Rig::signed_in(SimConfig { items: 60, language, now: Some(now), ..SimConfig::default() }).await;
        rig.open(HOME).await;
        rig.until("document.querySelector('a.p137Zd')").await;
        assert_eq!(rig.js::<String>("document.documentElement.lang").await, language.tag());
        let class: String = rig
            .js(&format!("document.querySelector(`[aria-label^=\"{prefix}\"]`).parentNode.childNodes[1].childNodes[0].childNodes[0].childNodes[0].className"))
            .await;
        let headers: Vec<String> = rig
            .js(&format!("[...document.querySelectorAll('div.{class}')].map(x => x.childNodes[0].nodeValue)"))
            .await;
        assert!(!headers.is_empty());
        let placed: bool = rig
            .js(&format!("(() => {{ let n = document.querySelector('div.{class}'); while (n && !n.getAttribute('style')) n = n.parentNode; return n.style.position === 'absolute' && n.querySelector('a') !== null; }})()"))
            .await;
        assert!(placed);
        // The forms of a header, from the page's own function: a library has few photos of today.
        let today = 1_715_000_000_000_i64 / 86_400_000;
        let forms: Vec<String> = rig
            .js(&format!("window.__headers([{today}, {today} - 1, {today} - 3, {today} - 40, 11687])"))
            .await;
        assert_eq!(forms[1], yesterday);
        assert_eq!(forms[4], dated);
        let item = &rig.timeline()[0];
        rig.open(&format!("https://photos.google.com/photo/{}", item.key)).await;
        rig.key("i").await;
        rig.until(&format!("document.querySelector('[aria-label^=\"{}\"]')", labels[0])).await;
        let panel = read_panel(&rig, &item.key, labels).await;
        assert_eq!(panel[0], item.name);
        assert!(panel.iter().all(|field| !field.is_empty()), "{panel:?}");
        // The panel stays open from photo to photo.
        rig.key("ArrowRight").await;
        let next = &rig.timeline()[1];
        rig.until(&format!(
            "document.querySelector('[data-p*=\"{}\"] [aria-label^=\"{}\"]')",
            next.key, labels[0]
        ))
        .await;
        assert_eq!(read_panel(&rig, &next.key, labels).await[0], next.name);
        rig.close().await;
    }
}

/// rclone's: a new tab for each photo, by the id of the library API.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_opens_one_photo_after_the_other_gets_each() {
    let rig = Rig::signed_in(SimConfig { items: 30, ..SimConfig::default() }).await;
    for item in rig.timeline().iter().filter(|item| is_plain(item)).take(4) {
        let landed = rig.open(&format!("https://photos.google.com/lr/photo/{}", item.key)).await;
        assert_eq!(landed, 200);
        assert_eq!(rig.place().await, format!("https://photos.google.com/photo/{}", item.key));
        let (name, file) = rig.download(rig.shift_d()).await;
        assert_eq!((name, sha256(&file)), (item.name.clone(), item.parts[0].sha256.clone()));
    }
    assert_eq!(rig.open(&format!("https://photos.google.com/lr/photo/{}", "AF1QipX".repeat(6))).await, 404);
    rig.close().await;
}

/// The toolkit's: a script in the page, with a trusted-types policy, that calls what the page calls.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_inside_the_page_finds_what_it_calls_with() {
    let rig = Rig::signed_in(SimConfig { items: 30, ..SimConfig::default() }).await;
    rig.open("https://photos.google.com/u/0/").await;
    let wiz: Value = rig.js("WIZ_global_data").await;
    assert_eq!(wiz["eptZe"], "/u/0/_/PhotosUi/");
    for key in ["FdrFJe", "cfb2h", "SNlM0e", "oPEP7c"] {
        assert!(wiz[key].is_string(), "{key}");
    }
    assert!(rig.js::<bool>("document.querySelector('.J3TAe') !== null").await);
    let refused = "(() => { try { document.createElement('div').innerHTML = '<b></b>'; return false; } catch (e) { return e instanceof TypeError; } })()";
    assert!(rig.js::<bool>(refused).await, "markup from a string is taken");
    rig.js::<Value>("(trustedTypes.createPolicy('default', { createHTML: x => x, createScript: x => x, createScriptURL: x => x }), 1)").await;
    assert!(!rig.js::<bool>(refused).await);
    let items: usize = rig
        .js("(async () => { const w = WIZ_global_data; const body = `f.req=${encodeURIComponent(JSON.stringify([[['lcxiM', JSON.stringify([null, null, 500, null, 1, 1]), null, 'generic']]]))}&at=${encodeURIComponent(w.SNlM0e)}&`; const r = await fetch(`https://photos.google.com${w.eptZe}data/batchexecute?rpcids=lcxiM&source-path=${location.pathname}&f.sid=${w.FdrFJe}&bl=${w.cfb2h}&pageId=none&rt=c`, { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded;charset=UTF-8' }, body, credentials: 'include' }); const t = await r.text(); return JSON.parse(JSON.parse(t.split('\\n').filter(l => l.includes('wrb.fr'))[0])[0][2])[0].length; })()")
        .await;
    assert_eq!(items, rig.timeline().len());
    rig.close().await;
}
