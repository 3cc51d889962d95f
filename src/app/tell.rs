//! What a running appliance tells whom: decides which notice a pass, a login or the upkeep is worth.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::home;
use crate::model::Clock;
use crate::model::name::printable;
use crate::notice::healthchecks::{Check, Signal, run_id};
use crate::notice::http::Client;
use crate::notice::memory::Memory;
use crate::notice::mqtt::Broker;
use crate::notice::queue::Queue;
use crate::notice::{Channel, Event, Herald, Notice};
use crate::remote::{RemoteError, net};
use crate::sync::report::{Outcome, SyncReport};
use crate::{exit, serve, telemetry};

/// Longest that one request takes.
const LIMIT: Duration = Duration::from_secs(30);
/// How long the end waits for what is still being told.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Whom to tell of what.
#[derive(Clone, Debug, Default)]
pub struct TellSettings {
    /// The ways to people.
    pub channels: Vec<Channel>,
    /// The events that they want to hear of.
    pub events: BTreeSet<Event>,
    /// A check that is pinged at the beginning and the end of each run.
    pub check: Option<Check>,
    /// The Healthchecks server, if it is one of one's own.
    pub check_host: Option<String>,
    /// The broker through which Home Assistant is told.
    pub broker: Option<Broker>,
    /// Address of the page, as people reach it.
    pub url: Option<String>,
}

/// One client for all that is told; it finds hosts as the machine does, whatever the library's are mapped to.
pub fn client(ca: Option<&Path>) -> Result<Client, RemoteError> {
    net::install_tls();
    let mut builder = reqwest::Client::builder().timeout(LIMIT);
    for authority in ca.map(net::read_ca).transpose()?.unwrap_or_default() {
        builder = builder.add_root_certificate(authority);
    }
    builder.build().map(Client::new).map_err(|e| RemoteError::Transient(e.to_string()))
}

impl TellSettings {
    /// Whether there is anybody whom others do not name.
    pub fn is_more_than(&self, others: &Self) -> bool {
        self.check != others.check || self.channels.iter().any(|own| !others.channels.contains(own))
    }
}

/// `shoebox tell`: the answer says who could not be told.
pub async fn try_out(all: Vec<(String, TellSettings)>, ca: Option<&Path>) -> anyhow::Result<u8> {
    let client = client(ca)?;
    let mut code = exit::OK;
    let is_nobody =
        |one: &TellSettings| one.channels.is_empty() && one.check.is_none() && one.broker.is_none();
    if all.iter().all(|(_, one)| is_nobody(one)) {
        anyhow::bail!("there is nobody to tell: set --tell, --healthcheck or --mqtt");
    }
    for (name, settings) in &all {
        let whose = if name.is_empty() { String::new() } else { format!("{name}: ") };
        let notice = Notice {
            event: Event::Recovered,
            reminder: false,
            title: format!("{whose}shoebox can reach you"),
            text: "This is how it will tell you of trouble.".to_owned(),
            link: settings.url.clone(),
            at: super::clock().now(),
        };
        for channel in &settings.channels {
            match channel.send(&client, &notice).await {
                Ok(()) => println!("{whose}{} was told", channel.kind()),
                Err(trouble) => {
                    println!("{whose}{} could not be told: {}", channel.kind(), printable(&trouble.why));
                    code = exit::FAILURE;
                }
            }
        }
        if let Some(check) = &settings.check {
            match check.ping_once(&client, Signal::Log, &run_id(), "shoebox can reach this check").await {
                Ok(()) => println!("{whose}the Healthchecks server was pinged"),
                Err(trouble) => {
                    println!(
                        "{whose}the Healthchecks server could not be pinged: {}",
                        printable(&trouble.why)
                    );
                    code = exit::FAILURE;
                }
            }
        }
        // There is one for all.
        if let (Some(broker), true) = (&settings.broker, name.is_empty())
            && !home::try_out(broker, ca).await
        {
            code = exit::FAILURE;
        }
    }
    Ok(code)
}

/// Tells.
pub struct Tell {
    /// The account that it is about, where there are several.
    account: Option<String>,
    ways: Mutex<Ways>,
    pings: Queue,
    client: Client,
    memory: Mutex<Memory>,
    clock: Arc<dyn Clock>,
}

/// Whom, and through whom.
struct Ways {
    settings: TellSettings,
    herald: Herald,
}

impl Ways {
    fn new(settings: TellSettings, client: &Client) -> Self {
        let herald = Herald::new(settings.channels.clone(), client.clone());
        Self { settings, herald }
    }
}

impl Tell {
    /// Tells by these settings; what was told is kept in `file`.
    pub fn new(
        account: Option<String>,
        settings: TellSettings,
        client: Client,
        file: &Path,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let ways = Mutex::new(Ways::new(settings, &client));
        Self { account, ways, pings: Queue::default(), client, memory: Mutex::new(Memory::load(file)), clock }
    }

    /// Tells by other settings from now on. What is still being told arrives where it was sent.
    pub fn change(&self, settings: TellSettings) {
        *self.ways() = Ways::new(settings, &self.client);
    }

    /// Whether everybody hears this one whom another one tells.
    pub fn reaches_all_of(&self, other: &Self) -> bool {
        if std::ptr::eq(self, other) {
            return true;
        }
        let theirs = other.ways().settings.clone();
        let own = self.ways();
        theirs.channels.iter().all(|channel| own.settings.channels.contains(channel))
    }

    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run begins; the answer names it.
    pub fn run_begins(&self) -> String {
        let run = run_id();
        let check = self.ways().settings.check.clone();
        if let Some(check) = check {
            let (client, run) = (self.client.clone(), run.clone());
            if self.account.is_none() {
                telemetry::record();
            }
            self.pings.push(async move { check.ping(&client, Signal::Start, &run, "").await });
        }
        run
    }

    /// A run has ended.
    pub fn run_ended(&self, run: String, ended: &Result<SyncReport, String>) {
        let check = self.ways().settings.check.clone();
        if let Some(check) = check {
            let code = ended.as_ref().map_or(exit::FAILURE, |report| exit::code_of_sync(report.outcome()));
            // Somebody who asked it to stop is not alarmed by that.
            let signal = match ended {
                Ok(report) if *report.outcome() == Outcome::Interrupted => Signal::Log,
                _ => Signal::Exit(code),
            };
            // The log is everybody's, and each one's check is their own.
            let log = match (&self.account, ended) {
                (None, _) => telemetry::recorded(),
                (Some(_), Ok(report)) => report.sentence(),
                (Some(_), Err(why)) => why.clone(),
            };
            let client = self.client.clone();
            self.pings.push(async move { check.ping(&client, signal, &run, &log).await });
        }
        match ended {
            Ok(report) => {
                self.report(report);
                for change in &report.changes {
                    self.tell(Event::Drift, false, "Google has changed something", change);
                }
            }
            Err(why) => self.trouble(Event::RunFailed, "A run could not start", why),
        }
    }

    fn report(&self, report: &SyncReport) {
        let text = report.sentence();
        match report.outcome() {
            Outcome::Complete => {
                self.is_over(&[Event::RunPartial, Event::DiskLow, Event::RunFailed], &text);
                self.tell(Event::RunOk, false, "Everything is archived", &text);
            }
            Outcome::Partial => {
                self.is_over(&[Event::DiskLow, Event::RunFailed], &text);
                self.trouble(Event::RunPartial, "Some items were set aside", &text);
            }
            Outcome::DiskFull { .. } => self.trouble(Event::DiskLow, "The volume is full", &text),
            Outcome::Failed(_) => self.trouble(Event::RunFailed, "A run failed", &text),
            // The login has a voice of its own.
            Outcome::SignInNeeded(_) => {}
            // Whoever stopped it knows.
            Outcome::Interrupted => {}
        }
    }

    /// Trouble that may last: told once, and then once a day.
    pub fn trouble(&self, event: Event, title: &str, text: &str) {
        let known = self
            .memory
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .meets(event, self.clock.now());
        if let Some(again) = known {
            self.tell(event, again, title, text);
        }
    }

    /// Whether this trouble was met, perhaps before a restart, and is not over.
    pub fn is_in(&self, trouble: Event) -> bool {
        self.memory.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).is_told(trouble)
    }

    /// Troubles that may have been told are over.
    pub fn is_over(&self, events: &[Event], text: &str) {
        let mut memory = self.memory.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // One word for all of them.
        let told = events.iter().filter(|event| memory.is_over(**event)).count();
        drop(memory);
        if told > 0 {
            self.tell(Event::Recovered, false, "It works again", text);
        }
    }

    /// Tells it, if it is wanted.
    pub fn tell(&self, event: Event, reminder: bool, title: &str, text: &str) {
        let ways = self.ways();
        if !ways.settings.events.contains(&event) {
            return;
        }
        let page = match event {
            Event::SignInNeeded => serve::sign_in_address(self.account.as_deref()),
            _ => "/".to_owned(),
        };
        let title = match &self.account {
            Some(name) => format!("{name}: {title}"),
            None => title.to_owned(),
        };
        let link = ways.settings.url.as_ref().map(|url| format!("{}{page}", url.trim_end_matches('/')));
        let title = if reminder { format!("{title} (still)") } else { title };
        let at = self.clock.now();
        ways.herald.tell(Notice { event, reminder, title, text: text.to_owned(), link, at });
    }

    /// Waits a moment for what is still being told.
    pub async fn finish(self) {
        let herald = self.ways.into_inner().unwrap_or_else(PoisonError::into_inner).herald;
        let all = async { tokio::join!(herald.finish(), self.pings.finish()) };
        if tokio::time::timeout(LAST_WORDS, all).await.is_err() {
            tracing::warn!("not everything could be told in time");
        }
    }
}
