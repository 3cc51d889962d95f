//! A package of Chrome: fetched, held against its hash, unpacked where it can do no harm, tried out.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::index::Listed;
use crate::model::digest::Hasher;
use crate::remote::RemoteError;
use crate::remote::browser::version;

/// Where the package has the browser.
const INSIDE: &str = "opt/google/chrome";
/// Largest content of a package, bytes, and most files of the browser; Chrome has some 400 MB in 200 files.
const MOST_BYTES: u64 = 2 << 30;
const MOST_FILES: usize = 20_000;
/// How much of a program's complaints is read, bytes.
const COMPLAINT: u64 = 4096;

fn environment(what: String) -> RemoteError {
    RemoteError::Environment(what)
}

/// A text of at most `most` bytes.
///
/// # Errors
/// Transient, with the reason; never with more of the address than its host.
pub(super) async fn text(client: &reqwest::Client, url: &str, most: usize) -> Result<String, RemoteError> {
    let mut answer = ask(client, url).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|e| away(url, &e))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > most {
            return Err(environment(format!("{url} is longer than {most} bytes")));
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Writes a package to a file and holds it against what the index said.
pub(super) async fn fetch(
    client: &reqwest::Client,
    url: &str,
    listed: &Listed,
    into: &Path,
) -> Result<(), RemoteError> {
    let failed = |e: std::io::Error| environment(format!("{}: {e}", into.display()));
    let mut answer = ask(client, url).await?;
    let mut file = File::create(into).map_err(failed)?;
    let mut hasher = Hasher::new();
    while let Some(chunk) = answer.chunk().await.map_err(|e| away(url, &e))? {
        hasher.update(&chunk);
        if hasher.size() > listed.size {
            break;
        }
        file.write_all(&chunk).map_err(failed)?;
    }
    let found = hasher.finish();
    if found.size != listed.size {
        let than = if found.size < listed.size { "shorter" } else { "longer" };
        return Err(environment(format!("{url} is {than} than the {} bytes of the index", listed.size)));
    }
    if found.sha256 != listed.sha256 {
        return Err(environment(format!(
            "{url} is not what the index promises: its SHA-256 is {}, not {}",
            found.sha256, listed.sha256
        )));
    }
    Ok(())
}

async fn ask(client: &reqwest::Client, url: &str) -> Result<reqwest::Response, RemoteError> {
    let answer = client.get(url).send().await.map_err(|e| away(url, &e))?;
    match answer.status() {
        reqwest::StatusCode::OK => Ok(answer),
        status => Err(environment(format!("{url} answers {status}"))),
    }
}

fn away(url: &str, error: &reqwest::Error) -> RemoteError {
    // The innermost reason is the one that says something: no such name, refused, a certificate.
    let mut reason: &dyn std::error::Error = error;
    while let Some(inner) = reason.source() {
        reason = inner;
    }
    environment(format!("{url} cannot be fetched: {reason}"))
}

/// Unpacks a package into a directory of its own; the answer is the directory of the browser in it.
///
/// `tar` refuses names and links that lead out of the directory it unpacks into, and gives nothing to anybody: no
/// owners, no set-user-id bits.
pub(super) async fn unpack(package: &Path, into: &Path) -> Result<PathBuf, RemoteError> {
    let failed = |e: std::io::Error| environment(format!("{}: {e}", into.display()));
    let root = into.join("root");
    fs::create_dir(&root).map_err(failed)?;
    let (from_complaints, to_complaints) = (into.join("dpkg-deb.log"), into.join("tar.log"));
    let tool = |name: &str, complaints: &Path| -> Result<Command, RemoteError> {
        let mut command = Command::new(name);
        command.env("LC_ALL", "C").env_remove("TAR_OPTIONS").kill_on_drop(true);
        command.stderr(File::create(complaints).map_err(failed)?);
        Ok(command)
    };
    let absent = |name: &str, e: std::io::Error| {
        environment(format!(
            "cannot run {name} ({e}): install Debian's `dpkg` and `tar`, which unpack Chrome"
        ))
    };
    let mut from = tool("dpkg-deb", &from_complaints)?
        .arg("--fsys-tarfile")
        .arg(package)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| absent("dpkg-deb", e))?;
    let mut to = tool("tar", &to_complaints)?
        .args(["--extract", "--file=-", "--no-same-owner", "--no-same-permissions", "--directory"])
        .arg(&root)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|e| absent("tar", e))?;
    if let (Some(content), Some(mut tar)) = (from.stdout.take(), to.stdin.take()) {
        let mut content = content.take(MOST_BYTES + 1);
        // Whoever of the two ends early says why.
        let copied = tokio::io::copy(&mut content, &mut tar).await.unwrap_or_default();
        if copied > MOST_BYTES {
            return Err(environment(format!("the package holds more than {MOST_BYTES} bytes")));
        }
    }
    for (name, child, complaints) in
        [("dpkg-deb", &mut from, &from_complaints), ("tar", &mut to, &to_complaints)]
    {
        let ended = child.wait().await.map_err(failed)?;
        if !ended.success() {
            return Err(environment(format!(
                "the package is refused: {name} said {}",
                complaint(complaints)
            )));
        }
    }
    let browser = root.join(INSIDE);
    let mut left = MOST_FILES;
    look_through(&browser, &mut left)?;
    Ok(browser)
}

/// The first lines that a program said before it ended.
fn complaint(log: &Path) -> String {
    let mut said = String::new();
    if let Ok(file) = File::open(log) {
        // What is no text says nothing.
        let _unreadable = file.take(COMPLAINT).read_to_string(&mut said);
    }
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).take(3).collect();
    if lines.is_empty() { "nothing".into() } else { lines.join("; ") }
}

/// Nothing but files, directories and links within them is taken over.
fn look_through(dir: &Path, left: &mut usize) -> Result<(), RemoteError> {
    let refused =
        |path: &Path, why: &str| environment(format!("the package is refused: {} {why}", path.display()));
    let entries = fs::read_dir(dir).map_err(|_| refused(Path::new(INSIDE), "is not in it"))?;
    for entry in entries {
        let entry = entry.map_err(|e| environment(format!("{}: {e}", dir.display())))?;
        let path = entry.path();
        *left = left.checked_sub(1).ok_or_else(|| refused(&path, "is one file too many"))?;
        let kind = entry.file_type().map_err(|e| environment(format!("{}: {e}", path.display())))?;
        if kind.is_dir() {
            look_through(&path, left)?;
        } else if kind.is_symlink() {
            let to = fs::read_link(&path).map_err(|e| environment(format!("{}: {e}", path.display())))?;
            if !to.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
                return Err(refused(&path, &format!("leads out of it, to {}", to.display())));
            }
        } else if !kind.is_file() {
            return Err(refused(&path, "is no file"));
        }
    }
    Ok(())
}

/// Whether the program runs on this machine.
///
/// # Errors
/// When it does not: which libraries are missing, or what it said.
pub(super) async fn try_out(program: &Path) -> Result<(), RemoteError> {
    let is_program = fs::symlink_metadata(program)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    let why = if is_program {
        match version::of_program(program).await {
            Ok(_) => return Ok(()),
            Err(why) => why,
        }
    } else {
        "it is no program".into()
    };
    let missing = missing_libraries(program).await;
    Err(environment(if missing.is_empty() {
        format!("Google Chrome does not run: {why}")
    } else {
        format!(
            "Google Chrome does not run, because this machine lacks {}: install the packages that have these",
            missing.join(", ")
        )
    }))
}

/// Shared libraries that a program wants and the machine lacks.
async fn missing_libraries(program: &Path) -> Vec<String> {
    let asked = Command::new("ldd").arg(program).env("LC_ALL", "C").stdin(Stdio::null()).output().await;
    let Ok(answer) = asked else { return Vec::new() };
    let said = String::from_utf8_lossy(&answer.stdout).into_owned();
    let missing = said.lines().filter(|line| line.trim_end().ends_with("=> not found"));
    missing.filter_map(|line| line.split_whitespace().next()).take(30).map(str::to_owned).collect()
}
