//! A signed-in profile, made as a person would make it: with a browser that nobody drives.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::remote::browser::cookie_jar;

/// On a busy machine the browser may be asked to end before Google has answered.
const ATTEMPTS: usize = 3;

/// Makes a signed-in profile.
pub(crate) async fn profile(
    browser: &Path,
    profile: &Path,
    address: SocketAddr,
    ca: &Path,
) -> io::Result<()> {
    for _ in 0..ATTEMPTS {
        visit(browser, profile, address, ca).await?;
        if cookie_jar::signed_in_at(profile).is_some() {
            return Ok(());
        }
    }
    Err(io::Error::other("the browser has kept no login"))
}

/// Opens the sign-in page in a plain browser, waits until its cookies are on disk, and closes it with SIGINT:
/// anything harsher loses them.
async fn visit(browser: &Path, profile: &Path, address: SocketAddr, ca: &Path) -> io::Result<()> {
    let home = profile.join("shoebox-home");
    let store = home.join(".pki/nssdb");
    std::fs::create_dir_all(&store)?;
    let database = format!("sql:{}", store.display());
    // Asked to make one that is there, it wants a password, for ever.
    if !store.join("cert9.db").exists() {
        certutil(&["-N", "--empty-password", "-d", &database]).await?;
    }
    certutil(&["-A", "-d", &database, "-t", "C,,", "-n", "photos-sim", "-i", &ca.display().to_string()])
        .await?;
    let mut child = Command::new(browser)
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--host-resolver-rules=MAP * {address}"))
        .args(["--headless=new", "--no-first-run", "--no-default-browser-check", "--password-store=basic"])
        .args(rustix::process::geteuid().is_root().then_some("--no-sandbox"))
        .arg("--disable-dev-shm-usage")
        .arg("https://accounts.google.com/simulated/sign-in")
        .env("HOME", &home)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let cookies = profile.join("Default/Cookies");
    let until = Instant::now() + Duration::from_secs(60);
    // The page redirects to the library; a session begins when Chromium has the cookies in its database.
    while !std::fs::metadata(&cookies).is_ok_and(|m| m.len() > 0) {
        if Instant::now() > until || child.try_wait()?.is_some() {
            return Err(io::Error::other("the browser did not sign in"));
        }
        sleep(Duration::from_millis(100)).await;
    }
    sleep(Duration::from_secs(2)).await;
    interrupt(&mut child).await
}

async fn interrupt(child: &mut Child) -> io::Result<()> {
    let pid = child.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed()));
    if let Some(pid) = pid {
        rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
    }
    match timeout(Duration::from_secs(20), child.wait()).await {
        Ok(status) => status.map(drop),
        Err(_) => Err(io::Error::other("the browser did not end when asked")),
    }
}

async fn certutil(args: &[&str]) -> io::Result<()> {
    let output = Command::new("certutil").args(args).stdin(Stdio::null()).output().await?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
}
