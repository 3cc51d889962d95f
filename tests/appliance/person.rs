//! A person at a browser of their own, who looks at the appliance's page.

use std::path::Path;
use std::time::{Duration, Instant};

use shoebox::remote::browser::Chromium;
use shoebox::remote::browser::launch::{BrowserSettings, Display};
use shoebox::remote::browser::profile::Profile;
use shoebox::remote::browser::tab::Tab;

/// How long a page may take to answer.
pub const LIMIT: Duration = Duration::from_secs(20);

/// A person at a browser of their own.
pub struct Person {
    pub tab: Tab,
    // Dropped after the tab.
    _chromium: Chromium,
    _profile: Profile,
    _dir: tempfile::TempDir,
}

impl Person {
    pub async fn new() -> Self {
        Self::with_screen(1280, 800).await
    }

    /// With a screen of so many pixels.
    pub async fn with_screen(width: u32, height: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let profile = Profile::take(&dir.path().join("profile")).unwrap();
        let settings = BrowserSettings { display: Display::Headless, ..BrowserSettings::default() };
        let chromium = Chromium::start(&settings, &profile, dir.path()).await.unwrap();
        let tab = chromium.new_tab().await.unwrap();
        tab.pretend_focus().await.unwrap();
        tab.pretend_screen(width, height).await.unwrap();
        Self { tab, _chromium: chromium, _profile: profile, _dir: dir }
    }

    pub async fn js<T: serde::de::DeserializeOwned>(&self, script: &str) -> T {
        self.tab.evaluate(script, LIMIT).await.unwrap_or_else(|e| panic!("{script}: {e}"))
    }

    pub async fn text(&self) -> String {
        self.js("document.body.innerText").await
    }

    /// Waits until the page says something, through whatever it loads anew.
    pub async fn reads(&self, wanted: &str) {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let text =
                self.tab.evaluate::<String>("document.body ? document.body.innerText : ''", LIMIT).await;
            if text.as_ref().is_ok_and(|text| text.contains(wanted)) {
                return;
            }
            assert!(Instant::now() < until, "`{wanted}` is not there: {text:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Fills a form's field and sends the form.
    pub async fn send(&self, field: &str, value: &str) {
        let fill = format!(
            "(() => {{ const e = document.querySelector('{field}'); e.value = '{value}'; setTimeout(() => e.form.requestSubmit(), 50); return true; }})()"
        );
        self.js::<bool>(&fill).await;
    }

    /// Types into the box below the picture, as a phone does, and presses Enter.
    pub async fn type_into_picture(&self, text: &str) {
        let script = format!(
            "(async () => {{ const e = document.getElementById('typed'); e.focus();
             for (const c of '{text}') {{ e.value += c; e.dispatchEvent(new Event('input')); await new Promise(r => setTimeout(r, 30)); }}
             document.getElementById('enter').click(); return true; }})()"
        );
        self.js::<bool>(&script).await;
    }

    /// Clicks into the picture, at a place of the browser's display.
    pub async fn click_into_picture(&self, x: f64, y: f64) {
        let script = "(() => { const e = document.querySelector('#screen canvas'); e.scrollIntoView();
             const r = e.getBoundingClientRect(); return [r.left, r.top, r.width / e.width]; })()";
        let (left, top, scale): (f64, f64, f64) = self.js(script).await;
        self.tab.click(left + x * scale, top + y * scale).await.unwrap();
    }

    pub async fn picture(&self, name: &str) {
        use data_encoding::BASE64;
        if let Some(dir) = std::env::var_os("SCREENSHOTS") {
            let picture = self.tab.screenshot().await.unwrap();
            std::fs::write(Path::new(&dir).join(name), BASE64.decode(picture.as_bytes()).unwrap()).unwrap();
        }
    }

    /// Visits a page that has no password yet, and begins the sign-in that it asks for.
    pub async fn begins_to_sign_in(&self, url: &str, password: &str) {
        self.tab.open(url, LIMIT).await.unwrap();
        self.reads("Choose a password").await;
        self.picture("1-welcome.png").await;
        self.send("#password", password).await;
        self.reads("You are needed").await;
        self.picture("2-needed.png").await;
        self.tab.open(&format!("{url}/sign-in"), LIMIT).await.unwrap();
        self.reads("Not signed in").await;
        self.enters_the_browser().await;
    }

    /// Follows the link to the sign-in of one of several accounts, and begins it.
    pub async fn begins_to_sign_in_for(&self, name: &str, url: &str, password: &str) {
        self.tab.open(&format!("{url}/sign-in?account={name}"), LIMIT).await.unwrap();
        self.send("#password", password).await;
        self.reads(&format!("Sign in to Google for {name}")).await;
        self.picture("people-2-sign-in.png").await;
        self.enters_the_browser().await;
    }

    async fn enters_the_browser(&self) {
        self.send("#width", "900").await;
        self.reads("This is the browser of your archive").await;
    }
}
