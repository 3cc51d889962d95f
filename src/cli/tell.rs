//! The options of what people are told.

use std::str::FromStr;

use clap::Args;

use crate::app::TellSettings;
use crate::notice::healthchecks::Check;
use crate::notice::mqtt::Broker;
use crate::notice::{Channel, Event};

/// Who is told of what.
#[derive(Args, Debug)]
#[command(next_help_heading = "Telling people")]
pub struct TellArgs {
    /// Whom to tell, as an address: `ntfy://TOPIC`, `tgram://BOT_TOKEN/CHAT_ID`, `gotifys://HOST/TOKEN`,
    /// `pover://USER@TOKEN`, `discord://ID/TOKEN`, `slack://A/B/C`, `mailtos://USER:PASSWORD@HOST?from=A&to=B`,
    /// `apprises://HOST/KEY`, `https://…` for a webhook, `exec:///PROGRAM`; repeatable, or separated by `;`.
    /// `shoebox tell` tries it.
    #[arg(long, env = "SHOEBOX_TELL", value_delimiter = ';', hide_env_values = true, value_name = "ADDRESS")]
    tell: Vec<Secret>,
    /// What to tell: run-ok, run-partial, run-failed, sign-in-needed, recovered, damage-found, disk-low, drift,
    /// replica-behind.
    #[arg(
        long,
        env = "SHOEBOX_TELL_OF",
        value_delimiter = ',',
        default_value = "run-failed,sign-in-needed,recovered,damage-found,disk-low,drift,replica-behind",
        value_name = "EVENTS"
    )]
    tell_of: Vec<Event>,
    /// A check of healthchecks.io that is pinged when a run begins and ends: its UUID, `PING_KEY/SLUG`, or the whole
    /// address.
    #[arg(long, env = "SHOEBOX_HEALTHCHECK", hide_env_values = true, value_name = "ID")]
    healthcheck: Option<Secret>,
    /// The Healthchecks server, if it is one of your own: `https://HOST/ping`.
    #[arg(long, env = "SHOEBOX_HEALTHCHECK_HOST", value_name = "URL")]
    healthcheck_host: Option<String>,
    /// The MQTT broker through which Home Assistant finds shoebox by itself: `mqtt://USER:PASSWORD@HOST[:1883]`, or
    /// `mqtts://…[:8883]`, with `?prefix=homeassistant&base=shoebox` if these are others.
    #[arg(long, env = "SHOEBOX_MQTT", hide_env_values = true, value_name = "ADDRESS")]
    mqtt: Option<Secret>,
    /// Address of the page, as people reach it; notices link to it.
    #[arg(long, env = "SHOEBOX_URL", value_name = "URL")]
    url: Option<String>,
}

/// A value that no error message quotes: clap would, of one that it does not understand.
#[derive(Clone)]
pub struct Secret(pub String);

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// The ways to people that addresses name.
///
/// # Errors
/// When an address is none, in words without it.
pub fn channels(addresses: &[Secret]) -> Result<Vec<Channel>, String> {
    let addresses = addresses.iter().map(|address| address.0.trim()).filter(|address| !address.is_empty());
    addresses.map(str::parse).collect()
}

impl TellArgs {
    /// As settings.
    ///
    /// # Errors
    /// When an address is none, in words without it.
    pub fn settings(self) -> Result<TellSettings, String> {
        let channels = channels(&self.tell).map_err(|why| format!("--tell: {why}"))?;
        let check = self
            .healthcheck
            .map(|id| Check::new(self.healthcheck_host.as_deref(), &id.0))
            .transpose()
            .map_err(|why| format!("--healthcheck: {why}"))?;
        let broker = self
            .mqtt
            .map(|address| address.0.parse::<Broker>())
            .transpose()
            .map_err(|why| format!("--mqtt: {why}"))?;
        let events = self.tell_of.into_iter().collect();
        Ok(TellSettings { channels, events, check, check_host: self.healthcheck_host, broker, url: self.url })
    }
}
