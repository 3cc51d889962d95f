//! `shoebox adopt`: takes over what people have already.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::adopt::{self, Library};
use crate::archive::Archive;
use crate::model::Sha1;
use crate::model::name::{printable, printable_json};
use crate::remote::RemoteError;
use crate::remote::browser::launch::BrowserSettings;
use crate::remote::google::{GooglePhotos, GoogleSettings, Method};
use crate::sync::pace::{Limits, Line, Pace};
use crate::sync::uploads;
use crate::{exit, signals};

/// What `adopt` is told.
#[derive(Clone, Debug)]
pub struct AdoptSettings {
    /// Folders, zips, tars, files.
    pub paths: Vec<PathBuf>,
    /// Only tell what would be done.
    pub dry_run: bool,
    /// Take in what is cut off.
    pub keep_damaged: bool,
    /// Take in only what the library has.
    pub only_library: bool,
    /// The profile whose library is listed first, and the browser for that.
    pub library: Option<(PathBuf, BrowserSettings)>,
    /// Print the report as JSON.
    pub json: bool,
}

/// Adopts, and tells what came of it.
pub fn adopt(data: &Path, settings: &AdoptSettings) -> anyhow::Result<u8> {
    let stop = signals::stop_token()?;
    open_many_files();
    let archive = Arc::new(if settings.dry_run { super::open_to_read(data)? } else { super::open(data)? });
    let library = match &settings.library {
        Some((profile, browser)) => {
            tracing::info!("listing the library");
            match super::runtime()?.block_on(list(&archive, profile, browser, &stop))? {
                Some(library) => Some(library),
                None => return Ok(exit::INTERRUPTED),
            }
        }
        None => None,
    };
    let options = adopt::Options {
        dry_run: settings.dry_run,
        keep_damaged: settings.keep_damaged,
        library,
        only_library: settings.only_library,
    };
    let report = adopt::run(&archive, &settings.paths, &options, super::clock().now(), &stop)?;
    super::close(archive)?;
    if settings.json {
        println!("{}", printable_json(&serde_json::to_string(&report)?));
    } else {
        for line in report.text().lines() {
            println!("{}", printable(line));
        }
    }
    Ok(match (report.complete, report.is_partial()) {
        (false, _) => exit::INTERRUPTED,
        (true, true) => exit::PARTIAL,
        (true, false) => exit::OK,
    })
}

/// Each part of a Takeout stays open: of a few terabytes there are more than a process may open unasked.
fn open_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    if let Err(e) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!("the number of open files could not be raised: {e}");
    }
}

/// What the library has, and which of it is archived.
async fn list(
    archive: &Archive,
    profile: &Path,
    browser: &BrowserSettings,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Library>> {
    let google = GoogleSettings {
        browser: browser.clone(),
        profile: profile.to_owned(),
        folder: std::env::temp_dir(),
        evidence: None,
        method: Method::Rpc,
        lanes: 1,
        stall: std::time::Duration::from_secs(20),
    };
    let google = GooglePhotos::connect(google).await?;
    let pace = Pace::new(fastrand::u64(..), Limits::default(), &Line::default(), super::clock());
    let listed = uploads::list(&google, &pace, stop).await;
    google.close().await;
    let Some(uploads) = listed? else { return Ok(None) };
    if uploads.is_empty() {
        let why = "the library tells no hashes of what it has: adopt without --library".to_owned();
        return Err(RemoteError::Environment(why).into());
    }
    let reader = archive.index.reader()?;
    let mut archived: HashSet<Sha1> = HashSet::new();
    for upload in &uploads {
        if reader.record_with(upload)?.is_some() {
            archived.insert(*upload);
        }
    }
    Ok(Some(Library { uploads, archived }))
}
