//! Tells Home Assistant how a running appliance is.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::notice::mqtt::{self, Broker, Role, Saying};
use crate::serve::{State, home};

/// How often is looked while a pass goes on, and else; what begins and ends is told at once.
const IN_A_PASS: Duration = Duration::from_secs(15);
const AT_REST: Duration = Duration::from_secs(60);
/// Looking takes at most this part of the time: an index of a million items is not counted all day.
const SHARE: u32 = 50;
/// How long the end waits for the last word.
const LAST_WORD: Duration = Duration::from_secs(2);

/// Tells until it is ended.
pub struct Home {
    stop: CancellationToken,
    looking: JoinHandle<()>,
}

impl Home {
    /// Tells by way of this broker; `url` is the page's address, `ca` a file of authorities beside the system's.
    ///
    /// # Errors
    /// When TLS finds nobody to trust.
    pub fn begin(
        broker: Broker,
        ca: Option<&Path>,
        state: Arc<State>,
        url: Option<&str>,
    ) -> anyhow::Result<Self> {
        let device = home::Device::new(state.archive_id(), &broker.prefix, &broker.base, url);
        let lasting = device.documents().into_iter();
        let role = Role {
            client: device.client(),
            presence: device.presence(),
            lasting: lasting.map(|(topic, document)| Saying { topic, text: document.to_string() }).collect(),
            state: device.state(),
            asked_on: device.births(),
        };
        let line = mqtt::Line::new(&broker, ca).map_err(|why| anyhow!("--mqtt: {why}"))?;
        let stop = CancellationToken::new();
        let looking = tokio::spawn(look(broker, line, role, state, stop.clone()));
        Ok(Self { stop, looking })
    }

    /// Says what is last, and that nobody is there any more.
    pub async fn end(mut self) {
        self.stop.cancel();
        if tokio::time::timeout(LAST_WORD * 2, &mut self.looking).await.is_err() {
            self.looking.abort();
        }
    }
}

async fn look(broker: Broker, line: mqtt::Line, role: Role, state: Arc<State>, stop: CancellationToken) {
    let (facts, watched) = watch::channel(None);
    let leave = CancellationToken::new();
    let told = tokio::spawn(mqtt::keep(broker, line, role, watched, leave.clone()));
    loop {
        let began = Instant::now();
        let asked = Arc::clone(&state);
        match tokio::task::spawn_blocking(move || home::state(&asked)).await {
            Ok(Ok(now)) => {
                let now = Some(now.to_string());
                facts.send_if_modified(|before| {
                    let changed = *before != now;
                    *before = now;
                    changed
                });
            }
            Ok(Err(why)) => tracing::debug!("nothing new for Home Assistant: {why}"),
            Err(e) => tracing::debug!("nothing new for Home Assistant: {e}"),
        }
        if stop.is_cancelled() {
            break;
        }
        let pause = if state.is_running() { IN_A_PASS } else { AT_REST };
        tokio::select! {
            () = tokio::time::sleep(pause.max(began.elapsed() * SHARE)) => {}
            () = state.news.notified() => {}
            () = stop.cancelled() => {}
        }
    }
    leave.cancel();
    if tokio::time::timeout(LAST_WORD, told).await.is_err() {
        tracing::debug!("Home Assistant did not hear the last word");
    }
}

/// Whether the broker can be told something; says so.
pub async fn try_out(broker: &Broker, ca: Option<&Path>) -> bool {
    let place = broker.place();
    let said = match mqtt::Line::new(broker, ca) {
        Ok(line) => mqtt::try_out(broker, &line, "shoebox can reach this broker").await,
        Err(why) => Err(why),
    };
    match &said {
        Ok(()) => println!("the MQTT broker at {place} was told"),
        Err(why) => {
            println!("the MQTT broker at {place} could not be told: {}", crate::model::name::printable(why));
        }
    }
    said.is_ok()
}
