//! `shoebox mount`.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;

use super::replica::FarArgs;
use super::{ViewArgs, duration};
use crate::app::Command;
use crate::app::mount::MountFrom;
use crate::replica::Target;

/// What is shown, and where.
#[derive(Args, Debug)]
pub struct MountArgs {
    /// The archive; not needed with --from.
    #[arg(long = "data", env = "SHOEBOX_DATA", required_unless_present = "from", value_name = "DIR")]
    data: Option<PathBuf>,
    /// An empty directory.
    mountpoint: PathBuf,
    #[command(flatten)]
    view: ViewArgs,
    /// Show the archive of which this is a replica, on a machine that has nothing else of it: records and index are kept
    /// in --cache, originals are fetched as they are read.
    #[arg(long, env = "SHOEBOX_MOUNT_FROM", requires = "cache", value_name = "TARGET")]
    from: Option<Target>,
    /// A directory for what is known of an archive elsewhere, and for originals that were read lately. May be deleted while
    /// nothing is mounted.
    #[arg(long, env = "SHOEBOX_CACHE", value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Most bytes of originals that are kept there.
    #[arg(long, env = "SHOEBOX_CACHE_SIZE", default_value = "10GB", value_name = "SIZE")]
    cache_size: ByteSize,
    /// How often an archive elsewhere is asked for what is new. Each time takes some 260 listings, which many a server of
    /// object storage charges for.
    #[arg(long, env = "SHOEBOX_FOLLOW_EVERY", default_value = "15m", value_parser = duration, value_name = "TIME")]
    follow_every: Duration,
    #[command(flatten)]
    far: FarArgs,
}

impl MountArgs {
    /// The command that these say.
    ///
    /// # Errors
    /// What is lacking.
    pub fn command(self) -> Result<Command, String> {
        let (mountpoint, view) = (self.mountpoint, self.view.settings());
        match (self.from, self.cache, self.data) {
            (Some(from), Some(cache), _) => {
                let from = MountFrom {
                    far: self.far.at(from),
                    cache,
                    cache_size: self.cache_size.as_u64(),
                    follow_every: self.follow_every,
                };
                Ok(Command::MountFrom { from: Box::new(from), mountpoint, view })
            }
            (None, _, Some(data)) => Ok(Command::Mount { data, mountpoint, view }),
            _ => Err("--data, or --from and --cache, must be given".into()),
        }
    }
}
