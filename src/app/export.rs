//! `shoebox export`: what people take with them.

use std::path::{Path, PathBuf};

use super::views::{Which, choose};
use crate::exit;
use crate::export::{self, Options};
use crate::signals;

/// What `export` is told.
#[derive(Clone, Debug)]
pub struct ExportSettings {
    /// Whose paths the files have.
    pub which: Which,
    /// A file of views.
    pub views: Option<PathBuf>,
    /// With XMP and JSON beside each original.
    pub sidecars: bool,
    /// With a catalogue.
    pub catalogue: bool,
}

/// Exports, and tells what came of it.
pub fn export(data: &Path, target: &Path, settings: &ExportSettings) -> anyhow::Result<u8> {
    let stop = signals::stop_token()?;
    let view = choose(settings.views.as_deref(), settings.which.clone())?;
    let options = Options { view, sidecars: settings.sidecars, catalogue: settings.catalogue };
    let archive = super::open_to_read(data)?;
    let report = export::run(&archive, target, &options, &stop)?;
    println!("{} files copied to {}, {} were there already.", report.copied, target.display(), report.kept);
    if report.sidecars > 0 {
        println!("{} sidecars written beside them.", report.sidecars);
    }
    if report.foreign > 0 {
        println!("{} sidecars were changed by another program and left as they are.", report.foreign);
    }
    if report.pages > 0 {
        println!("Open {} in a browser.", target.join("catalogue/index.html").display());
    }
    if report.left_out > 0 {
        println!(
            "{} files could not be written; each is named above, and the check finds none of them.",
            report.left_out
        );
    }
    if report.untimed > 0 {
        println!("{} files have not the time of their capture: none can be set there.", report.untimed);
    }
    if !report.complete {
        println!("Stopped when asked; the same command goes on from here.");
        return Ok(exit::INTERRUPTED);
    }
    println!("Check everything with `sha256sum --check SHA256SUMS`, there.");
    Ok(if report.left_out > 0 { exit::PARTIAL } else { exit::OK })
}
