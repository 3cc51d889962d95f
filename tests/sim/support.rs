//! A browser that is signed in to a simulator, driven as third-party clients drive it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use shoebox::remote::browser::Chromium;
use shoebox::remote::browser::downloads::{Begun, State};
use shoebox::remote::browser::launch::{BrowserSettings, Display};
use shoebox::remote::browser::profile::Profile;
use shoebox::remote::browser::tab::Tab;
use shoebox::sim::library::LedgerItem;
use shoebox::sim::{Sim, SimConfig};

pub const HOME: &str = "https://photos.google.com/";
// Generous: other browsers may have the machine for a while.
const LIMIT: Duration = Duration::from_secs(60);

/// A simulator, a browser, and one tab.
pub struct Rig {
    pub sim: Sim,
    pub chromium: Chromium,
    pub tab: Tab,
    dir: tempfile::TempDir,
    _profile: Profile,
}

impl Rig {
    /// A browser whose profile was signed in by a plain one.
    pub async fn signed_in(config: SimConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sim = Sim::start(config).await.unwrap();
        let browser = BrowserSettings::default().find_program().unwrap();
        std::fs::create_dir_all(dir.path().join("profile")).unwrap();
        sim.sign_in_profile(&browser, &dir.path().join("profile")).await.unwrap();
        Self::start(sim, dir).await
    }

    /// A browser of a stranger.
    pub async fn signed_out(config: SimConfig) -> Self {
        Self::start(Sim::start(config).await.unwrap(), tempfile::tempdir().unwrap()).await
    }

    async fn start(sim: Sim, dir: tempfile::TempDir) -> Self {
        let settings = BrowserSettings {
            resolve: vec![format!("*={}", sim.address()).parse().unwrap()],
            ca: Some(sim.ca_file().to_owned()),
            display: Display::Headless,
            ..BrowserSettings::default()
        };
        let profile = Profile::take(&dir.path().join("profile")).unwrap();
        let folder = dir.path().join("downloads");
        std::fs::create_dir_all(&folder).unwrap();
        let chromium = Chromium::start(&settings, &profile, &folder).await.unwrap();
        let tab = chromium.new_tab().await.unwrap();
        Self { sim, chromium, tab, dir, _profile: profile }
    }

    pub async fn close(self) {
        self.chromium.close().await;
    }

    pub async fn open(&self, url: &str) -> u16 {
        self.tab.open(url, LIMIT).await.unwrap().status
    }

    pub async fn js<T: DeserializeOwned>(&self, script: &str) -> T {
        self.tab.evaluate(script, LIMIT).await.unwrap_or_else(|e| panic!("{script}: {e}"))
    }

    pub async fn place(&self) -> String {
        self.js("location.href").await
    }

    /// Waits until a condition holds in the page.
    pub async fn until(&self, condition: &str) {
        let end = Instant::now() + LIMIT;
        loop {
            // Between two documents nothing can be asked.
            if self.tab.evaluate::<bool>(&format!("!!({condition})"), LIMIT).await.unwrap_or(false) {
                return;
            }
            assert!(Instant::now() < end, "it never became true: {condition}");
            pause(50).await;
        }
    }

    pub async fn key(&self, key: &str) {
        self.tab.press_key(key, false).await.unwrap();
    }

    /// Presses Shift+D as perkeep's client does: one key with the modifier, no Shift key, no text.
    pub async fn shift_d(&self) {
        self.tab.press_key("D", true).await.unwrap();
    }

    /// Does something and waits for the download that the tab's own frame begins.
    pub async fn download<F: Future<Output = ()>>(&self, doing: F) -> (String, PathBuf) {
        let begun = self.chromium.downloads().expect(self.tab.id().as_ref());
        doing.await;
        let begun = tokio::time::timeout(LIMIT, begun).await.expect("no download began").unwrap();
        self.finished(begun).await
    }

    /// Does something of which no download comes within a second.
    pub async fn no_download<F: Future<Output = ()>>(&self, doing: F) {
        let begun = self.chromium.downloads().expect(self.tab.id().as_ref());
        doing.await;
        assert!(tokio::time::timeout(Duration::from_secs(1), begun).await.is_err(), "a download began");
        self.chromium.downloads().forget(self.tab.id().as_ref());
    }

    async fn finished(&self, mut begun: Begun) -> (String, PathBuf) {
        let done = begun.progress.wait_for(|progress| progress.state != State::Running);
        let state = tokio::time::timeout(LIMIT, done).await.unwrap().unwrap().state;
        assert_eq!(state, State::Completed);
        (begun.name, self.dir.path().join("downloads").join(&begun.guid))
    }

    /// Items as the library's grid shows them.
    pub fn timeline(&self) -> Vec<LedgerItem> {
        let mut items = self.sim.ledger().items;
        items.retain(|item| item.listed && !item.archived);
        items.sort_by(|a, b| (b.taken_ms, &b.key).cmp(&(a.taken_ms, &a.key)));
        items
    }
}

pub async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

pub fn sha256(path: &std::path::Path) -> String {
    shoebox::model::digest::digests_of(&std::fs::read(path).unwrap()).sha256.hex()
}

/// An item of plain nature: one part, an ordinary name.
pub fn is_plain(item: &LedgerItem) -> bool {
    item.parts.len() == 1 && item.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
}
