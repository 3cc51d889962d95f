//! `shoebox adopt`.

use std::path::PathBuf;

use clap::Args;

use super::Data;
use super::remote::BrowserArgs;
use crate::app::{AdoptSettings, Command};

/// What is adopted, and how.
#[derive(Args, Debug)]
pub struct AdoptArgs {
    #[command(flatten)]
    data: Data,
    /// Folders, zips, tars or single files. All parts of one Takeout belong into one call: the JSON of a photo may lie in
    /// another part.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only tell what would be done; may run beside `shoebox run`, but for --library, which needs the profile.
    #[arg(long, env = "SHOEBOX_DRY_RUN")]
    dry_run: bool,
    /// List the library at Google first, and tell how much of it need not be downloaded.
    #[arg(long, env = "SHOEBOX_ADOPT_LIBRARY", requires = "profile")]
    library: bool,
    /// Take in only what that library has; leave out the rest.
    #[arg(long, env = "SHOEBOX_ADOPT_ONLY_LIBRARY", requires = "library")]
    only_library: bool,
    /// Take in files that are cut off as well.
    #[arg(long, env = "SHOEBOX_KEEP_DAMAGED")]
    keep_damaged: bool,
    /// The browser profile that holds the Google login.
    #[arg(long, env = "SHOEBOX_PROFILE", value_name = "DIR")]
    profile: Option<PathBuf>,
    /// Print the report as JSON, with all lists at full length.
    #[arg(long, env = "SHOEBOX_JSON")]
    json: bool,
    #[command(flatten)]
    browser: BrowserArgs,
}

impl AdoptArgs {
    /// The command that these say.
    pub fn command(self) -> Command {
        let library = self.profile.filter(|_| self.library).map(|profile| (profile, self.browser.settings()));
        Command::Adopt {
            data: self.data.dir,
            settings: Box::new(AdoptSettings {
                paths: self.paths,
                dry_run: self.dry_run,
                keep_damaged: self.keep_damaged,
                only_library: self.only_library,
                library,
                json: self.json,
            }),
        }
    }
}
