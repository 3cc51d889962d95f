//! A program of the person's own is told by its environment and its input.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{Notice, Trouble};

/// Time that it has.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs it; success is an exit with 0 within a minute.
pub async fn run(path: &Path, notice: &Notice) -> Result<(), Trouble> {
    let trouble = |why: String| Trouble { why, may_pass: false, wait: None };
    let mut child = Command::new(path)
        .env("SHOEBOX_EVENT", notice.event.word())
        .env("SHOEBOX_TITLE", &notice.title)
        .env("SHOEBOX_TEXT", &notice.text)
        .env("SHOEBOX_LINK", notice.link.as_deref().unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| trouble(format!("{} cannot be started: {e}", path.display())))?;
    if let Some(mut input) = child.stdin.take() {
        // It need not read what it knows from its environment.
        let _unread = input.write_all(notice.text.as_bytes()).await;
    }
    match tokio::time::timeout(LIMIT, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(trouble(format!("{} ended with {status}", path.display()))),
        Ok(Err(e)) => Err(trouble(format!("{}: {e}", path.display()))),
        Err(_) => Err(trouble(format!("{} took longer than a minute and was ended", path.display()))),
    }
}
