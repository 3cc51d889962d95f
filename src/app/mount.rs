//! `shoebox mount`, and the view of `shoebox run`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::archive::Archive;
use crate::exit;
use crate::signals;
use crate::view::{Mounted, Update, ViewOptions};

/// Shows the view until a signal comes.
pub fn until_stopped(data: &Path, mountpoint: &Path, passthrough: bool) -> anyhow::Result<u8> {
    let stop = signals::stop_token()?;
    let archive = super::open_to_read(data)?;
    let mounted = start(&archive, mountpoint, passthrough)?;
    tracing::info!("the archive is at {}; stop with Ctrl-C", mountpoint.display());
    while !stop.is_cancelled() && mounted.is_alive() {
        // The signal thread only sets a flag; a view needs no async runtime to look at it.
        std::thread::sleep(Duration::from_millis(100));
    }
    mounted.unmount()?;
    Ok(exit::OK)
}
