//! Pages that are large, slow, broken, or in the way.

use serde_json::Value;
use shoebox::sim::{FileBytes, LiveAs, Screen, SignedOutModel, SimConfig};

use super::support::{HOME, Rig, is_plain, pause, sha256};

fn photo(key: &str) -> String {
    format!("https://photos.google.com/photo/{key}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_library_scrolls_to_its_end_and_paints_the_same_twice() {
    let config = SimConfig { items: 20_000, file_bytes: FileBytes::Fixed(4000), ..SimConfig::default() };
    let rig = Rig::signed_in(config).await;
    rig.open(HOME).await;
    rig.until("document.querySelector('a.p137Zd')").await;
    for _ in 0..2 {
        rig.key("PageDown").await;
        rig.key("End").await;
        pause(200).await;
    }
    rig.until("[...document.querySelectorAll('.rtIMgb')].every(x => x.firstChild) && [...document.images].every(x => x.complete)").await;
    pause(600).await;
    let first = rig.tab.screenshot().await.unwrap();
    pause(500).await;
    assert!(first == rig.tab.screenshot().await.unwrap(), "the page does not come to rest");
    let [scrolled, height]: [f64; 2] = rig
        .js("(m => [m.scrollTop, m.scrollHeight - m.clientHeight])(document.querySelector('[role=main]'))")
        .await;
    assert!((scrolled - height).abs() < 2.0 && height > 500_000.0, "{scrolled} of {height}");
    assert!(rig.js::<usize>("document.querySelectorAll('.rtIMgb').length").await < 400);
    // The first arrow takes the first tile that is seen, wherever that is.
    rig.key("ArrowRight").await;
    rig.until("document.activeElement.matches('a.p137Zd')").await;
    let seen: bool = rig
        .js("(b => b.top >= 0 && b.bottom <= innerHeight + 130)(document.activeElement.getBoundingClientRect())")
        .await;
    assert!(seen);
    // Jumps by a fraction, as clients bisect.
    for fraction in [0.5, 0.25, 0.9] {
        let script = format!(
            "(m => {{ m.scrollTo(0, m.scrollHeight * {fraction}); return Math.abs(m.scrollTop / (m.scrollHeight - m.clientHeight) - {fraction}); }})(document.querySelector('[role=main]'))"
        );
        assert!(rig.js::<f64>(&script).await < 0.002);
        rig.until("document.querySelector('.xA0gfb') && document.querySelector('a.p137Zd')").await;
    }
    // Its tile is gone, and the focus with it.
    rig.until("document.activeElement === document.body").await;
    rig.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fault_script_reaches_into_the_page() {
    let rig = Rig::signed_in(SimConfig { items: 40, ..SimConfig::default() }).await;
    let timeline = rig.timeline();
    let item = timeline.iter().find(|item| is_plain(item)).unwrap();
    let set = |text: &str| {
        rig.sim.faults().clear();
        rig.sim.faults().set(text.parse().unwrap());
    };
    rig.open(&photo(&item.key)).await;
    set("page no-download first=1");
    rig.no_download(rig.shift_d()).await;
    let (_, file) = rig.download(rig.shift_d()).await;
    assert_eq!(sha256(&file), item.parts[0].sha256, "the second attempt succeeds");
    set("page key-ignored always");
    rig.no_download(rig.shift_d()).await;
    set("page toast always");
    rig.no_download(rig.shift_d()).await;
    assert!(
        rig.js::<bool>(
            "document.body.textContent.includes('Video is still processing & can be downloaded later')"
        )
        .await
    );
    set("page dialog always");
    rig.no_download(rig.shift_d()).await;
    assert!(
        rig.js::<bool>(
            "document.querySelector('[aria-label^=\"Video still is processing\"] button') !== null"
        )
        .await
    );
    rig.js::<Value>("(document.querySelector('[role=dialog] button').click(), 1)").await;
    assert!(rig.js::<bool>("document.querySelector('[role=dialog]') === null").await);
    set("page wrong-photo always");
    let (_, file) = rig.download(rig.shift_d()).await;
    assert_ne!(sha256(&file), item.parts[0].sha256);
    set("page panel-never always");
    rig.key("i").await;
    pause(1500).await;
    assert!(rig.js::<bool>("document.querySelector('.panel') !== null && document.querySelector('[aria-label^=\"Filename:\"]') === null").await);
    set("page panel-slow=1500 always");
    rig.key("i").await;
    rig.key("i").await;
    pause(900).await;
    assert!(rig.js::<bool>("document.querySelector('[aria-label^=\"Filename:\"]') === null").await);
    rig.until("document.querySelector('[aria-label^=\"Filename:\"]')").await;
    set("page deaf=60000 always");
    rig.open(&photo(&item.key)).await;
    rig.no_download(rig.shift_d()).await;
    set("page slow=1 nth=99");
    rig.open(&photo(&item.key)).await;
    // A field that has the focus keeps its keys, and so does a video.
    rig.js::<Value>("(document.body.appendChild(document.createElement('input')).focus(), 1)").await;
    rig.no_download(rig.shift_d()).await;
    assert_eq!(rig.sim.counters().mutating, 0);
    rig.js::<Value>("(document.activeElement.blur(), 1)").await;
    rig.key("#").await;
    pause(500).await;
    assert_eq!(rig.sim.counters().mutating, 1, "a client that presses the trash key is found out");
    rig.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn videos_that_are_still_processed_say_so_and_do_not_come() {
    let rig = Rig::signed_in(SimConfig { items: 120, processing: 1.0, ..SimConfig::default() }).await;
    let timeline = rig.timeline();
    let videos: Vec<_> = timeline.iter().filter(|item| !item.downloadable).take(8).collect();
    assert!(videos.len() > 5, "few videos");
    for item in videos {
        rig.open(&photo(&item.key)).await;
        rig.no_download(rig.shift_d()).await;
        let said = format!(
            "document.querySelector('[aria-label^=\"Video still is processing\"] button') || document.body.textContent.includes('Video is still processing &') || [...document.querySelectorAll('c-wiz[data-media-key*=\"{}\"]')].filter(x => getComputedStyle(x).visibility != 'hidden')[0]?.textContent.includes('Your video will be ready soon')",
            item.key
        );
        assert!(rig.js::<bool>(&format!("!!({said})")).await, "{} says nothing", item.name);
    }
    rig.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_photos_come_as_a_zip_and_a_live_photo_with_its_clip() {
    let config = SimConfig { items: 80, live: LiveAs::Clip, ..SimConfig::default() };
    let rig = Rig::signed_in(config).await;
    rig.open(HOME).await;
    rig.until("document.querySelectorAll('.ckGgle').length > 3").await;
    rig.js::<Value>("([...document.querySelectorAll('.ckGgle')].slice(0, 3).forEach(x => x.click()), 1)")
        .await;
    assert_eq!(rig.js::<String>("document.querySelector('.rtExYb').textContent").await, "3");
    let (name, file) = rig.download(rig.shift_d()).await;
    assert_eq!(name, "Photos-001.zip");
    assert!(std::fs::read(file).unwrap().starts_with(b"PK\x03\x04"));
    rig.key("Escape").await;
    assert_eq!(rig.js::<String>("document.querySelector('.rtExYb').textContent").await, "");
    let timeline = rig.timeline();
    let live = timeline.iter().find(|item| item.parts.iter().any(|part| part.role == "motion")).unwrap();
    rig.open(&photo(&live.key)).await;
    rig.js::<Value>("([...document.querySelectorAll('[aria-label=\"More options\"]')].pop().click(), 1)")
        .await;
    rig.until("document.querySelector('[aria-label=\"Download video\"]')").await;
    let press = "(x => { x.dispatchEvent(new MouseEvent('mousedown', { bubbles: true })); x.dispatchEvent(new MouseEvent('mouseup', { bubbles: true })); return 1; })(document.querySelector('[aria-label=\"Download video\"]'))";
    let (_, file) = rig.download(async { drop(rig.js::<Value>(press).await) }).await;
    let motion = live.parts.iter().find(|part| part.role == "motion").unwrap();
    assert_eq!(sha256(&file), motion.sha256);
    rig.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_place_has_its_photos_and_a_way_back() {
    let rig = Rig::signed_in(SimConfig { items: 90, ..SimConfig::default() }).await;
    let ledger = rig.sim.ledger();
    rig.sim.library().trash_item(&ledger.items[0].key);
    rig.open("https://photos.google.com/albums").await;
    let albums: Vec<String> =
        rig.js("[...document.querySelectorAll('a[href^=\"./album/\"]')].map(x => x.getAttribute('href').slice(2))").await;
    assert_eq!(albums.len(), 5);
    for place in [albums[0].as_str(), "archive", "trash", "search/_tra_"] {
        assert_eq!(rig.open(&format!("https://photos.google.com/{place}")).await, 200, "{place}");
        let anchor = format!("a[href^=\"./{place}/photo/\"]");
        rig.until(&format!("document.querySelector('{anchor}')")).await;
        let opened: String = rig.js(&format!("document.querySelector('{anchor}').href")).await;
        rig.key("ArrowRight").await;
        rig.key("Enter").await;
        rig.until(&format!("location.href === '{opened}'")).await;
        rig.key("Escape").await;
        rig.until(&format!("location.href === 'https://photos.google.com/{place}'")).await;
        assert_eq!(rig.js::<usize>("[...document.querySelectorAll('[role=main]')].filter(x => getComputedStyle(x).visibility != 'hidden').length").await, 1);
        // Alone, the same photo has its page, and leads back.
        assert_eq!(rig.open(&opened).await, 200);
        // A key right after a load may be lost, as on the real site.
        for _ in 0..20 {
            rig.key("Escape").await;
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            if rig.js::<String>("location.pathname").await == format!("/{place}") {
                break;
            }
        }
        rig.until(&format!(
            "location.href === 'https://photos.google.com/{place}' && document.querySelector('a.p137Zd')"
        ))
        .await;
    }
    rig.open(&format!("https://photos.google.com/{}", albums[0])).await;
    assert!(rig.js::<String>("document.title").await.ends_with(" - Google Photos"));
    let scroller: bool = rig
        .js("[...document.querySelectorAll('c-wiz c-wiz c-wiz')].filter(x => x.querySelector('a[href*=\"/photo/\"]'))[0].classList.contains('scroller')")
        .await;
    assert!(scroller);
    let outsider = ledger.items.iter().find(|item| item.albums.is_empty()).unwrap();
    assert_eq!(
        rig.open(&format!("https://photos.google.com/{}/photo/{}", albums[0], outsider.key)).await,
        404
    );
    assert_eq!(rig.open("https://photos.google.com/no-such-place").await, 404);
    rig.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_goes_through_the_screens_of_the_script() {
    let sign_in = vec![
        Screen::Chooser,
        Screen::Disambiguate,
        Screen::Confirm,
        Screen::Identifier,
        Screen::Password,
        Screen::DevicePrompt,
        Screen::Passkey,
    ];
    let rig = Rig::signed_out(SimConfig { items: 10, sign_in, ..SimConfig::default() }).await;
    rig.sim.session().sign_out(SignedOutModel::RedirectToAbout);
    rig.open("https://photos.google.com/login").await;
    for (fragment, script) in [
        ("signinchooser", "document.querySelector('[data-authuser][data-item-index=\"0\"]').click()"),
        ("signin/shadowdisambiguate", "document.querySelector('div[data-profileindex=\"0\"]').click()"),
        ("signin/confirmidentifier", "document.querySelector('div#identifierNext button').click()"),
        (
            "signin/identifier",
            "document.querySelector('#identifierId:not([type=hidden])').value = 'me@example.org', document.forms[0].submit()",
        ),
        (
            "signin/challenge/pwd",
            "document.querySelector('input[name=Passwd]').value = 'secret', document.forms[0].submit()",
        ),
        ("signin/challenge/dp", "1"),
        (
            "signin/speedbump/passkeyenrollment",
            "[...document.querySelectorAll('button span')].find(x => x.textContent === 'Not now').parentNode.click()",
        ),
    ] {
        rig.until(&format!("location.href.includes('{fragment}') && document.readyState === 'complete'"))
            .await;
        rig.js::<Value>(&format!("({script}, 1)")).await;
    }
    rig.until(&format!("location.href === '{HOME}'")).await;
    rig.close().await;
    let rig =
        Rig::signed_out(SimConfig { sign_in: vec![Screen::Rejected], items: 1, ..SimConfig::default() })
            .await;
    rig.open("https://photos.google.com/login").await;
    assert!(rig.place().await.contains("signin/rejected"));
    assert!(
        rig.js::<String>("document.body.textContent").await.contains("This browser or app may not be secure")
    );
    rig.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_viewer_ends_at_both_ends_and_goes_back_as_browsers_do() {
    let rig = Rig::signed_in(SimConfig { items: 6, ..SimConfig::default() }).await;
    let timeline = rig.timeline();
    rig.open(HOME).await;
    rig.until("document.querySelector('a.p137Zd')").await;
    rig.key("ArrowRight").await;
    rig.key("Enter").await;
    for item in &timeline {
        rig.until(&format!("location.href === '{}'", photo(&item.key))).await;
        let current: Vec<String> = rig
            .js("[...document.querySelectorAll('c-wiz.layer')].filter(x => getComputedStyle(x).visibility != 'hidden').map(x => x.dataset.mediaKey)")
            .await;
        assert_eq!(current, [item.key.as_str()], "one layer is seen");
        assert!(rig.js::<usize>("document.querySelectorAll('c-wiz.layer').length").await <= 3);
        // As a click by script, which a key sometimes is no match for.
        rig.js::<Value>("([...document.querySelectorAll('.SxgK2b.Cwtbxf')].pop().click(), 1)").await;
    }
    pause(300).await;
    assert_eq!(rig.place().await, photo(&timeline.last().unwrap().key), "there is nothing beyond the oldest");
    assert!(
        rig.js::<bool>("[...document.querySelectorAll('.Cwtbxf')].pop().classList.contains('RDPZE')").await
    );
    rig.js::<Value>("(history.back(), 1)").await;
    rig.until(&format!("location.href === '{}'", photo(&timeline[timeline.len() - 2].key))).await;
    let (_, file) = rig.download(rig.shift_d()).await;
    assert!(std::fs::metadata(file).unwrap().len() > 0);
    rig.key("Escape").await;
    rig.until(&format!("location.href === '{HOME}' && document.activeElement.matches('a.p137Zd')")).await;
    assert_eq!(rig.sim.counters().mutating, 0);
    rig.open(&photo(&timeline[0].key)).await;
    rig.js::<Value>("(document.querySelector('[aria-label=\"Move to trash\"]').click(), 1)").await;
    pause(300).await;
    assert_eq!(rig.sim.counters().mutating, 1);
    rig.close().await;
}
