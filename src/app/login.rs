//! `shoebox login`.

use std::path::Path;

use super::clock;
use crate::exit;
use crate::login::desktop::{self, Ended};
use crate::model::name::printable;
use crate::remote::browser::launch::BrowserSettings;
use crate::signals;

/// Shows a browser on this machine's display until somebody has signed in.
pub async fn sign_in(profile: &Path, browser: &BrowserSettings) -> anyhow::Result<u8> {
    let stop = signals::stop_token()?;
    let run = std::env::temp_dir();
    match desktop::sign_in(browser, profile, &run, clock().as_ref(), &stop).await? {
        Ended::SignedIn(account) => {
            println!("Signed in as {}.", printable(&account));
            Ok(exit::OK)
        }
        Ended::Stopped => Ok(exit::INTERRUPTED),
    }
}
