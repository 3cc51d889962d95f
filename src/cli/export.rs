//! `shoebox export`.

use std::path::PathBuf;

use clap::Args;

use super::{Data, ViewsFile};
use crate::app::Command;
use crate::app::export::ExportSettings;
use crate::app::views::Which;

/// What is exported, and where to.
#[derive(Args, Debug)]
pub struct ExportArgs {
    #[command(flatten)]
    data: Data,
    /// Where to; outside the archive.
    target: PathBuf,
    /// The view whose folders and names the files have; `immich` and `photoprism` are made for these programs.
    /// `shoebox view list` tells all.
    #[arg(long, env = "SHOEBOX_EXPORT_VIEW", default_value = "by-date", value_name = "VIEW")]
    view: String,
    /// A template of your own instead, for example `{year}/{camera}/{name}`.
    #[arg(long, env = "SHOEBOX_EXPORT_PATH", conflicts_with = "view", value_name = "TEMPLATE")]
    path: Option<String>,
    /// A condition to go with it, for example `favourite and year >= 2020`.
    #[arg(long, env = "SHOEBOX_EXPORT_SHOW", requires = "path", value_name = "CONDITION")]
    show: Option<String>,
    #[command(flatten)]
    views: ViewsFile,
    /// Put beside each original what is known of it: an XMP sidecar for programs that read photos, and its record as JSON.
    #[arg(long, env = "SHOEBOX_EXPORT_SIDECARS")]
    sidecars: bool,
    /// Make a catalogue with small pictures, by month and album, that any browser opens: catalogue/index.html.
    #[arg(long, env = "SHOEBOX_EXPORT_CATALOGUE")]
    catalogue: bool,
}

impl ExportArgs {
    /// The command that these say.
    pub fn command(self) -> Command {
        let which = match self.path {
            Some(path) => Which::Template { path, show: self.show.unwrap_or_default() },
            None => Which::Named(self.view),
        };
        let settings = ExportSettings {
            which,
            views: self.views.file,
            sidecars: self.sidecars,
            catalogue: self.catalogue,
        };
        Command::Export { data: self.data.dir, target: self.target, settings: Box::new(settings) }
    }
}
