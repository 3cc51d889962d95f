//! Small pictures: made once, kept beside the archive in a directory that anybody may delete.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{Path as Wanted, State as Shared};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use super::super::State;
use crate::archive::Archive;
use crate::media::thumbnail;
use crate::model::Sha256;

/// Made at the same time: each unpacks a whole picture.
const AT_ONCE: usize = 2;
/// What tells backup programs that nothing in a directory is worth a copy (bford.info/cachedir).
const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n# Small pictures that shoebox makes again when they are gone.\n";

/// Where small pictures are kept.
pub struct Small {
    dir: PathBuf,
    turn: Arc<Semaphore>,
}

impl Small {
    /// Kept in `cache/` of the archive.
    pub fn of(archive: &Archive) -> Self {
        Self { dir: archive.store.root().join("cache/thumbnails"), turn: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    fn path(&self, sha256: &Sha256) -> PathBuf {
        let hex = sha256.hex();
        self.dir.join(&hex[..2]).join(format!("{hex}.jpg"))
    }
}

/// The small picture of a blob.
pub async fn picture(Shared(state): Shared<Arc<State>>, Wanted(hash): Wanted<String>) -> Response {
    let Some(sha256) = Sha256::from_hex(&hash) else { return StatusCode::NOT_FOUND.into_response() };
    let path = state.small.path(&sha256);
    let kept = path.clone();
    if let Ok(Ok(bytes)) = tokio::task::spawn_blocking(move || fs::read(kept)).await {
        return jpeg(bytes);
    }
    let Ok(turn) = Arc::clone(&state.small.turn).acquire_owned().await else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let archive = Arc::clone(&state.archive);
    let made = tokio::task::spawn_blocking(move || {
        // Held until it is made, also when nobody waits for it any more.
        let _turn = turn;
        make(&archive, &sha256, &path)
    });
    let made = made.await;
    match made {
        Ok(Ok(bytes)) => jpeg(bytes),
        Ok(Err(why)) => {
            tracing::debug!("no small picture of {sha256}: {why}");
            StatusCode::NOT_FOUND.into_response()
        }
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}

fn make(archive: &Archive, sha256: &Sha256, path: &Path) -> Result<Vec<u8>, String> {
    // Whoever waited for a turn may find it made.
    if let Ok(bytes) = fs::read(path) {
        return Ok(bytes);
    }
    // What is kept outlives the damage that it would show.
    if !archive.store.is_sound(sha256).map_err(|e| e.to_string())? {
        return Err("the file is damaged or gone".into());
    }
    let file = archive.store.open_blob(sha256).map_err(|e| e.to_string())?;
    let bytes = thumbnail::of(Arc::new(file), &sha256.hex())?;
    // The room that is kept free is for the archive; a picture that is not kept is made again.
    if archive.store.has_room_for(bytes.len() as u64).is_ok()
        && let Err(e) = keep(path, &bytes)
    {
        tracing::debug!("the small picture {} is not kept: {e}", path.display());
    }
    Ok(bytes)
}

/// Flushed before it has its name: after a crash there is the whole picture or none.
fn keep(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let Some(dir) = path.parent() else { return Ok(()) };
    if !dir.exists() {
        // No more than the photos themselves is anybody's business.
        fs::DirBuilder::new().recursive(true).mode(0o750).create(dir)?;
        if let Some(cache) = dir.ancestors().nth(2) {
            fs::write(cache.join("CACHEDIR.TAG"), TAG)?;
        }
    }
    // Two may make the same one.
    let new = path.with_extension(format!("{:x}.new", fastrand::u64(..)));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o640).open(&new)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(new, path)
}

fn jpeg(bytes: Vec<u8>) -> Response {
    let heads = [
        (CONTENT_TYPE, "image/jpeg"),
        (CACHE_CONTROL, "private, max-age=31536000, immutable"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (heads, bytes).into_response()
}
