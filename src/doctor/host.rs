//! Whether the machine has what a sync and a view need.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::process::Command;

use super::Finding;
use crate::remote::browser::chrome;
use crate::remote::browser::launch::{BrowserSettings, Display, in_path};
use crate::remote::net::http_client;
use crate::view::mountpoint;

/// Longest wait for a program or for Google.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where the library is.
const GOOGLE: &str = "https://photos.google.com/";
/// A clock that is wrong by more than this is refused by servers sooner or later.
const MOST_SKEW: SignedDuration = SignedDuration::from_mins(2);

/// Examines the machine: FUSE, browser, display, memory, network and clock; and the profile, where one is given.
pub async fn examine(browser: &BrowserSettings, profile: Option<&Path>) -> Vec<Finding> {
    let mut findings = vec![fuse()];
    let program = match &browser.chrome {
        Some(_) => Ok(profile.and_then(chrome::fetched_for)),
        None => browser.find_program().map(Some),
    };
    match program {
        Ok(program) => {
            findings.push(match program {
                Some(program) => version(program).await,
                None => Finding::doubtful(
                    "browser",
                    "Google Chrome is not fetched yet",
                    "the next sync or sign-in fetches it",
                ),
            });
            findings.push(sandbox());
            findings.push(display(browser.display));
        }
        Err(error) => findings.push(Finding::bad(
            "browser",
            error.to_string(),
            "install Debian's `chromium`, or use the container, which brings one",
        )),
    }
    findings.push(memory());
    findings.extend(profile.map(login));
    findings.extend(google(browser).await);
    findings
}

fn fuse() -> Finding {
    let advice = "for the view, give the container `devices: [/dev/fuse]` and `cap_add: [SYS_ADMIN]`, and load the \
                  host's module (`modprobe fuse`); archiving works without";
    match mountpoint::open_device() {
        Ok(_) if rustix::process::geteuid().is_root() => Finding::good("FUSE", "views can be mounted"),
        Ok(_) if in_path(Path::new("fusermount3")).is_none() => Finding::doubtful(
            "FUSE",
            "views need root or the program fusermount3, and neither is here",
            "install Debian's `fuse3`",
        ),
        Ok(_) if mountpoint::others_may_read() => Finding::good("FUSE", "views can be mounted"),
        Ok(_) => Finding::doubtful(
            "FUSE",
            "views can be mounted, but other users cannot read them",
            "put the line `user_allow_other` into /etc/fuse.conf",
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Finding::doubtful("FUSE", "there is no /dev/fuse", advice)
        }
        Err(error) => Finding::doubtful("FUSE", format!("/dev/fuse cannot be opened: {error}"), advice),
    }
}

async fn version(program: PathBuf) -> Finding {
    let asked = Command::new(&program).arg("--version").kill_on_drop(true).output();
    let advice = "run it by hand to see what it lacks; in the container this should not happen";
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) if answer.status.success() => {
            let said = String::from_utf8_lossy(&answer.stdout);
            let said = said.lines().next().unwrap_or_default().trim().to_owned();
            Finding::good("browser", format!("{said} ({})", program.display()))
        }
        Ok(Ok(answer)) => {
            let said = String::from_utf8_lossy(&answer.stderr);
            let said = said.lines().next().unwrap_or_default().trim().to_owned();
            Finding::bad("browser", format!("{} does not start: {said}", program.display()), advice)
        }
        Ok(Err(error)) => {
            Finding::bad("browser", format!("{} does not start: {error}", program.display()), advice)
        }
        Err(_) => Finding::bad("browser", format!("{} does not answer", program.display()), advice),
    }
}

fn sandbox() -> Finding {
    if rustix::process::geteuid().is_root() {
        let advice = "run shoebox as an ordinary user where you can";
        return Finding::doubtful(
            "sandbox",
            "as root the browser has no sandbox against hostile pages",
            advice,
        );
    }
    let is = |path: &str, value: &str| std::fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    let refused = is("/proc/sys/kernel/unprivileged_userns_clone", "0")
        || is("/proc/sys/user/max_user_namespaces", "0")
        || is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1")
        || cannot_separate();
    if refused {
        let advice = "in a container without `SYS_ADMIN`, take `security_opt: [seccomp:./docker/seccomp.json]`; else allow \
                      user namespaces on the host (`sysctl kernel.unprivileged_userns_clone=1`, or an AppArmor profile \
                      for the browser)";
        Finding::doubtful("sandbox", "this machine refuses the browser its sandbox", advice)
    } else {
        Finding::good("sandbox", "the browser may have its sandbox")
    }
}

/// Whether a name space is refused when it is asked for, as a container's filter of system calls does. Where there is no
/// program that asks, nobody knows.
fn cannot_separate() -> bool {
    let mut ask = std::process::Command::new("unshare");
    ask.args(["--user", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    ask.status().is_ok_and(|status| !status.success())
}

fn display(wanted: Display) -> Finding {
    match (wanted, in_path(Path::new("Xvfb"))) {
        (Display::Headless, _) => Finding::good("display", "none is wanted"),
        (_, Some(_)) => Finding::good("display", "a virtual one can be started"),
        (Display::Virtual, None) => {
            Finding::bad("display", "there is no Xvfb for a virtual one", "install Debian's `xvfb`")
        }
        (Display::Auto, None) => Finding::doubtful(
            "display",
            "there is no Xvfb, so the browser runs without a display",
            "install Debian's `xvfb`: a browser with a window is what Google sees from everybody else",
        ),
    }
}

fn memory() -> Finding {
    const WANTED_KIB: u64 = 1 << 20;
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    match line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok()) {
        Some(kib) if kib < WANTED_KIB => Finding::doubtful(
            "memory",
            format!("{} are available", bytesize::ByteSize::kib(kib)),
            "a browser wants a gigabyte: give the container more, or stop other programs while it syncs",
        ),
        Some(kib) => Finding::good("memory", format!("{} are available", bytesize::ByteSize::kib(kib))),
        None => Finding::doubtful(
            "memory",
            "this machine does not tell how much it has",
            "a browser wants a gigabyte",
        ),
    }
}

fn login(profile: &Path) -> Finding {
    let advice = "sign in to Google with `shoebox login` or on the page of `shoebox run`, and make the profile readable \
                  for the user that shoebox runs as";
    match std::fs::read_dir(profile).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Finding::doubtful(
            "profile",
            format!("{} is empty: nobody has signed in", profile.display()),
            advice,
        ),
        Ok(false) => Finding::good("profile", profile.display().to_string()),
        Err(error) => Finding::doubtful("profile", format!("{}: {error}", profile.display()), advice),
    }
}

/// Whether Google can be reached, and what time it is there.
async fn google(browser: &BrowserSettings) -> Vec<Finding> {
    let client = match http_client(&browser.resolve, browser.ca.as_ref(), PATIENCE) {
        Ok(client) => client,
        Err(error) => return vec![Finding::bad("network", error.to_string(), "check --ca")],
    };
    let answer = match client.head(GOOGLE).send().await {
        Ok(answer) => answer,
        Err(error) => {
            // The innermost reason is the one that says something: no such name, refused, a certificate.
            let mut reason: &dyn std::error::Error = &error;
            while let Some(inner) = reason.source() {
                reason = inner;
            }
            let advice = "check DNS and firewall of this machine or container (`docker compose exec shoebox getent hosts \
                          photos.google.com`), and its clock where a certificate is not valid yet";
            return vec![Finding::bad("network", format!("{GOOGLE} cannot be reached: {reason}"), advice)];
        }
    };
    let there = answer.headers().get(reqwest::header::DATE).and_then(|date| date.to_str().ok());
    let there = there.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()).map(|date| date.timestamp());
    vec![Finding::good("network", format!("{GOOGLE} answers")), clock(there, Timestamp::now())]
}

fn clock(there: Option<Timestamp>, here: Timestamp) -> Finding {
    let Some(there) = there else {
        return Finding::doubtful("clock", "Google did not say what time it is", "compare it by hand");
    };
    let skew = here.duration_since(there);
    if skew.abs() <= MOST_SKEW {
        return Finding::good("clock", "it is right");
    }
    let word = if skew.is_positive() { "ahead of" } else { "behind" };
    Finding::bad(
        "clock",
        format!("it is {:#} {word} Google's", SignedDuration::from_secs(skew.abs().as_secs())),
        "set it by the network (`timedatectl set-ntp true` on the host): sign-ins and certificates depend on it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    #[test]
    fn a_clock_that_is_wrong_is_told_with_its_error() {
        let here = Timestamp::UNIX_EPOCH;
        assert_eq!(clock(Some(here + SignedDuration::from_secs(90)), here).severity, Severity::Good);
        let wrong = clock(Some(here + SignedDuration::from_hours(3)), here);
        assert_eq!((wrong.severity, wrong.found.as_str()), (Severity::Bad, "it is 3h behind Google's"));
        assert_eq!(clock(None, here).severity, Severity::Doubtful);
    }
}
