//! Somebody who is there: says what lasts, then what changes, and is known to be gone when they are. Connects again for as
//! long as it takes, and tells the log once that it must, and once that it need not any more.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Broker;
use super::connection::{Connection, Failure, Line};
use crate::model::name::printable;

/// Waits between two attempts: the first, and the longest, to which they double.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A connection that lasts so long was a good one.
const GOOD: Duration = Duration::from_secs(60);
/// After so many in a row that did not last, the log is told no more.
const MOST_TOLD: u32 = 3;
/// Whoever asks again and again is answered once in this time.
const BETWEEN_ANSWERS: Duration = Duration::from_secs(2);

/// A topic, and what is retained there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saying {
    /// Topic.
    pub topic: String,
    /// What is said.
    pub text: String,
}

/// What there is to say, and where.
#[derive(Clone, Debug)]
pub struct Role {
    /// Name of the connection.
    pub client: String,
    /// Topic on which `online` or `offline` is retained.
    pub presence: String,
    /// What is said at each beginning.
    pub lasting: Vec<Saying>,
    /// Topic of what changes.
    pub state: String,
    /// Topics on which somebody says `online` who wants to hear everything again.
    pub asked_on: Vec<String>,
}

/// Is there until stopped. Of what changes, the last is always said; nothing means that there is nothing to say yet.
pub async fn keep(
    broker: Broker,
    line: Line,
    role: Role,
    mut state: watch::Receiver<Option<String>>,
    stop: CancellationToken,
) {
    let mut log = Log { place: broker.place(), ..Log::default() };
    let mut wait = FIRST_WAIT;
    loop {
        let began = Instant::now();
        let failure = tokio::select! {
            ended = live(&broker, &line, &role, &mut state, &stop, &mut log) => match ended {
                Ok(()) => return,
                Err(failure) => failure,
            },
            () = late(&stop) => return,
        };
        if began.elapsed() > GOOD {
            wait = FIRST_WAIT;
        }
        log.lost(&failure, began.elapsed() > GOOD);
        // Not all at the same moment after a broker was restarted.
        let random = wait.mul_f64(0.5 + fastrand::f64());
        tokio::select! {
            () = sleep(random) => {}
            () = stop.cancelled() => return,
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// A broker that hangs holds up no end.
async fn late(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(Duration::from_secs(2)).await;
}

/// One connection, until it is lost or we are stopped.
async fn live(
    broker: &Broker,
    line: &Line,
    role: &Role,
    state: &mut watch::Receiver<Option<String>>,
    stop: &CancellationToken,
    log: &mut Log,
) -> Result<(), Failure> {
    let mut connection =
        Connection::open(broker, line, &role.client, Some((&role.presence, "offline"))).await?;
    if !connection.subscribe(&role.asked_on).await? {
        // All of it is retained: who comes later hears it without asking.
        tracing::debug!("the MQTT broker does not tell us when Home Assistant starts");
    }
    announce(&mut connection, role, state).await?;
    log.connected();
    let mut announced = Instant::now();
    let mut again: Option<Instant> = None;
    loop {
        let quiet_until = connection.quiet_until;
        tokio::select! {
            () = stop.cancelled() => {
                // What has changed last.
                say(&mut connection, role, state).await?;
                connection.publish(&role.presence, "offline", true).await?;
                return connection.leave().await;
            }
            changed = state.changed() => match changed {
                Ok(()) => say(&mut connection, role, state).await?,
                // Nothing will ever change.
                Err(_) => stop.cancelled().await,
            },
            () = sleep_until(again.unwrap_or(quiet_until)), if again.is_some() => {
                announce(&mut connection, role, state).await?;
                (announced, again) = (Instant::now(), None);
            }
            message = connection.message() => {
                let (topic, payload) = message?;
                if role.asked_on.contains(&topic) && payload == b"online" {
                    again.get_or_insert(announced + BETWEEN_ANSWERS);
                }
            }
            () = sleep_until(quiet_until) => connection.ping().await?,
        }
    }
}

/// Says all there is.
async fn announce(
    connection: &mut Connection,
    role: &Role,
    state: &mut watch::Receiver<Option<String>>,
) -> Result<(), Failure> {
    for saying in &role.lasting {
        connection.publish(&saying.topic, &saying.text, true).await?;
    }
    say(connection, role, state).await?;
    connection.publish(&role.presence, "online", true).await
}

async fn say(
    connection: &mut Connection,
    role: &Role,
    state: &mut watch::Receiver<Option<String>>,
) -> Result<(), Failure> {
    let text = state.borrow_and_update().clone();
    match text {
        Some(text) => connection.publish(&role.state, &text, true).await,
        None => Ok(()),
    }
}

/// What the log was told: a line when the broker is away, a line when it is back.
#[derive(Default)]
struct Log {
    place: String,
    /// The failure that was told; nothing while all is well.
    told: Option<Failure>,
    /// Connections in a row that did not last.
    brief: u32,
    was_there: bool,
}

impl Log {
    fn connected(&mut self) {
        let before = self.told.take();
        if self.brief > MOST_TOLD {
            tracing::debug!("connected to the MQTT broker at {}", self.place);
        } else if before.is_some() && self.was_there {
            tracing::info!("the MQTT broker at {} is back", self.place);
        } else {
            tracing::info!("Home Assistant is told by way of the MQTT broker at {}", self.place);
        }
        self.was_there = true;
    }

    /// `good`: the connection had lasted.
    fn lost(&mut self, failure: &Failure, good: bool) {
        // Another reason of the same kind is no news; a password that is refused after a restart is.
        let known = self.told.as_ref().is_some_and(|told| told.refused == failure.refused);
        let why = printable(&failure.why);
        let fell = self.told.is_none() && self.was_there;
        // It was reached, and did not keep us: two of the same name, or a rule of the broker's.
        if good {
            self.brief = 0;
        } else if fell {
            self.brief += 1;
        }
        if known || self.brief > MOST_TOLD {
            tracing::debug!("the MQTT broker at {}: {why}", self.place);
        } else if failure.refused {
            tracing::warn!("the MQTT broker at {} does not want us, trying again: {why}", self.place);
        } else {
            tracing::warn!("the MQTT broker at {} cannot be reached, trying again: {why}", self.place);
        }
        self.told = Some(failure.clone());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn failure(refused: bool) -> Failure {
        Failure { why: "x".into(), refused }
    }

    #[test]
    fn one_line_for_an_outage_however_many_attempts() {
        let mut log = Log::default();
        log.lost(&failure(false), false);
        log.lost(&failure(false), false);
        assert_eq!((log.told.is_some(), log.brief), (true, 0), "what was never reached does not flap");
        log.connected();
        assert!(log.told.is_none() && log.was_there);
        for time in 1..=5 {
            log.lost(&failure(false), false);
            log.lost(&failure(true), false);
            assert_eq!(log.brief, time, "an attempt that came to nothing is no connection");
            log.connected();
        }
        assert!(log.brief > MOST_TOLD);
        log.lost(&failure(false), true);
        assert_eq!(log.brief, 0, "an outage after a good connection is told again");
    }
}
