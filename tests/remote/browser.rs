//! Chromium is started, watched and ended in the right way.

use std::fs;
use std::path::Path;
use std::time::Duration;

use shoebox::remote::browser::Chromium;
use shoebox::remote::browser::launch::{BrowserSettings, Display};
use shoebox::remote::browser::profile::{OWNER_VARIABLE, Profile};

const LIMIT: Duration = Duration::from_secs(20);

fn settings(display: Display) -> BrowserSettings {
    // Whatever the browser wants to say to the world, it says it to a closed port.
    BrowserSettings { resolve: vec!["*=127.0.0.1:9".parse().unwrap()], display, ..Default::default() }
}

/// Waits for processes that were killed to be gone, and names those that were not.
fn survivors(profile: &Path) -> Vec<i32> {
    let until = std::time::Instant::now() + Duration::from_secs(2);
    loop {
        let living = marked_processes(profile);
        if living.is_empty() || std::time::Instant::now() > until {
            return living;
        }
        std::thread::yield_now();
    }
}

/// Living processes that carry the profile's mark.
pub fn marked_processes(profile: &Path) -> Vec<i32> {
    let mark = format!("{OWNER_VARIABLE}={}", profile.canonicalize().unwrap().display());
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|&b| b == 0).any(|variable| variable == mark.as_bytes())
        })
        .collect()
}

/// Children of this process that nobody has reaped.
fn zombies() -> usize {
    let own = std::process::id().to_string();
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok())
        .filter(|stat| {
            let rest: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
            rest[0] == "Z" && rest[1] == own
        })
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_sees_no_automation_and_nothing_is_left_behind() {
    for display in [Display::Virtual, Display::Headless] {
        let dir = tempfile::tempdir().unwrap();
        let profile = Profile::take(&dir.path().join("profile")).unwrap();
        let chromium = Chromium::start(&settings(display), &profile, dir.path()).await.unwrap();
        let tab = chromium.new_tab().await.unwrap();
        let seen: (bool, String, String) = tab
            .evaluate("[navigator.webdriver, navigator.userAgent, document.visibilityState]", LIMIT)
            .await
            .unwrap();
        assert!(!seen.0, "{display:?}: navigator.webdriver is set");
        assert!(!seen.1.contains("Headless"), "{display:?}: {}", seen.1);
        assert_eq!(seen.2, "visible");
        chromium.close().await;
        assert!(!chromium.is_alive());
        assert_eq!(survivors(profile.path()), Vec::<i32>::new(), "{display:?}");
        assert!(!profile.path().join("SingletonLock").is_symlink(), "did not end by itself");
        assert_eq!(zombies(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_browser_is_noticed_at_once_and_a_frozen_one_by_its_heartbeat() {
    for signal in ["-KILL", "-STOP"] {
        let dir = tempfile::tempdir().unwrap();
        let profile = Profile::take(&dir.path().join("profile")).unwrap();
        let chromium = Chromium::start(&settings(Display::Headless), &profile, dir.path()).await.unwrap();
        let tab = chromium.new_tab().await.unwrap();
        let status =
            std::process::Command::new("kill").args([signal, &chromium.pid().to_string()]).status().unwrap();
        assert!(status.success());
        let limit = Duration::from_secs(if signal == "-KILL" { 5 } else { 60 });
        tokio::time::timeout(limit, chromium.gone().cancelled()).await.expect("nobody noticed");
        assert!(tab.evaluate::<u8>("1", LIMIT).await.is_err());
        chromium.close().await;
        assert_eq!(survivors(profile.path()), Vec::<i32>::new(), "{signal}");
        assert_eq!(zombies(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_cannot_start_is_the_machines_trouble() {
    let dir = tempfile::tempdir().unwrap();
    let profile = Profile::take(&dir.path().join("profile")).unwrap();
    let broken = BrowserSettings { program: Some("/bin/false".into()), ..settings(Display::Headless) };
    let Err(error) = Chromium::start(&broken, &profile, dir.path()).await else { panic!("it started") };
    assert_eq!(error.class(), shoebox::model::ErrorClass::Environment, "{error}");
}
