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
