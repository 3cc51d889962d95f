//! The options of the page.

use std::path::PathBuf;

use clap::Args;

use super::tell::Secret;

/// The page and who may see it.
#[derive(Args, Debug)]
#[command(next_help_heading = "The page")]
pub struct PageArgs {
    /// The page's password. Left out, whoever visits the page first sets it.
    #[arg(long, env = "SHOEBOX_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    pub password: Option<Secret>,
    /// Where noVNC is, which shows the browser in which you sign in to Google.
    #[arg(long, env = "SHOEBOX_NOVNC", default_value = "/usr/share/shoebox/novnc", value_name = "DIR")]
    pub novnc: PathBuf,
}
