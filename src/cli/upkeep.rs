//! The options of upkeep.

use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;

use super::duration;
use crate::upkeep::Settings;

/// How an archive is kept.
#[derive(Args, Debug)]
#[command(next_help_heading = "Upkeep")]
pub struct UpkeepArgs {
    /// Read everything again within this time, a little every day, and compare it with its hash; at least 7 days.
    #[arg(long, env = "SHOEBOX_VERIFY_WITHIN", default_value = "30d", value_parser = within, value_name = "TIME")]
    verify_within: Duration,
    /// Most time that is spent on that in a day.
    #[arg(long, env = "SHOEBOX_VERIFY_TIME", default_value = "4h", value_parser = duration, value_name = "TIME")]
    verify_time: Duration,
    /// Most that is read for it in a day, for example `200GB`; unlimited if left out.
    #[arg(long, env = "SHOEBOX_VERIFY_BYTES", value_name = "SIZE")]
    verify_bytes: Option<ByteSize>,
    /// Neither read the archive again nor copy the index.
    #[arg(long, env = "SHOEBOX_NO_UPKEEP")]
    no_upkeep: bool,
}

impl UpkeepArgs {
    /// As settings; nothing where nobody wants upkeep.
    pub fn settings(self) -> Option<Settings> {
        (!self.no_upkeep).then(|| Settings {
            within: self.verify_within,
            time: self.verify_time,
            bytes: self.verify_bytes.map(|size| size.as_u64()),
            ..Settings::default()
        })
    }
}

fn within(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time < Duration::from_secs(7 * 24 * 3600) { Err("must be 7d or longer".into()) } else { Ok(time) }
}
