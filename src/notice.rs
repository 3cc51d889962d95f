//! What a person is told without asking, and the ways there: chat programs, push services, mail, a program of their own.
//!
//! One vocabulary of [`Event`]s, each of which can be switched; one [`Notice`] for each thing that happened; any number of
//! [`Channel`]s. A channel that fails is tried again, then logged; it never fails or delays a run.

mod address;
pub mod channel;
pub mod healthchecks;
pub mod http;
mod mail;
pub mod memory;
pub mod mqtt;
mod program;
pub mod queue;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

pub use channel::Channel;
use http::Client;
use queue::Queue;

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A run went through.
    RunOk,
    /// A run went through, but something was set aside.
    RunPartial,
    /// A run could not go on.
    RunFailed,
    /// A person must sign in to Google.
    SignInNeeded,
    /// What was wrong is right again.
    Recovered,
    /// Bytes of the archive are damaged or gone.
    DamageFound,
    /// The volume is full, or nearly.
    DiskLow,
    /// Google's pages have changed shape; a slower method does the work.
    Drift,
    /// The second copy does not get what is new, or cannot be restored.
    ReplicaBehind,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::RunOk,
        Self::RunPartial,
        Self::RunFailed,
        Self::SignInNeeded,
        Self::Recovered,
        Self::DamageFound,
        Self::DiskLow,
        Self::Drift,
        Self::ReplicaBehind,
    ];

    /// One word, for settings and scripts.
    pub fn word(self) -> &'static str {
        match self {
            Self::RunOk => "run-ok",
            Self::RunPartial => "run-partial",
            Self::RunFailed => "run-failed",
            Self::SignInNeeded => "sign-in-needed",
            Self::Recovered => "recovered",
            Self::DamageFound => "damage-found",
            Self::DiskLow => "disk-low",
            Self::Drift => "drift",
            Self::ReplicaBehind => "replica-behind",
        }
    }

    /// How much it matters.
    pub fn weight(self) -> Weight {
        match self {
            Self::RunOk | Self::Recovered => Weight::Good,
            Self::RunPartial | Self::Drift => Weight::Notable,
            Self::RunFailed
            | Self::SignInNeeded
            | Self::DamageFound
            | Self::DiskLow
            | Self::ReplicaBehind => Weight::Urgent,
        }
    }
}

impl std::str::FromStr for Event {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|event| event.word() == text).ok_or_else(|| {
            let words: Vec<_> = Self::ALL.iter().map(|event| event.word()).collect();
            format!("`{text}` is none of {}", words.join(", "))
        })
    }
}

/// How much an event matters to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// All is well.
    Good,
    /// Good to know.
    Notable,
    /// Somebody must do something.
    Urgent,
}

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// What happened.
    pub event: Event,
    /// It was told before and is still so.
    pub reminder: bool,
    /// A line.
    pub title: String,
    /// A few sentences.
    pub text: String,
    /// Where a person can do something about it.
    pub link: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// Tells notices to all channels, to each in the order in which things happened.
pub struct Herald {
    queues: Vec<(Arc<Channel>, Queue)>,
    client: Client,
}

/// Waits between the attempts of one channel.
const WAITS: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120)];

impl Herald {
    /// Tells through these channels.
    pub fn new(channels: Vec<Channel>, client: Client) -> Self {
        let queues = channels.into_iter().map(|channel| (Arc::new(channel), Queue::default())).collect();
        Self { queues, client }
    }

    /// Hands a notice to every channel and comes back at once.
    pub fn tell(&self, notice: Notice) {
        let notice = Arc::new(notice);
        for (channel, queue) in &self.queues {
            let (channel, client, notice) = (Arc::clone(channel), self.client.clone(), Arc::clone(&notice));
            queue.push(async move { deliver(&channel, &client, &notice).await });
        }
    }

    /// Waits until all channels have it all, or have given up.
    pub async fn finish(self) {
        futures_util::future::join_all(self.queues.into_iter().map(|(_, queue)| queue.finish())).await;
    }
}

async fn deliver(channel: &Channel, client: &Client, notice: &Notice) {
    let mut waits = WAITS.into_iter();
    loop {
        let Err(trouble) = channel.send(client, notice).await else {
            tracing::debug!(channel = channel.kind(), event = notice.event.word(), "told");
            return;
        };
        let next = waits.next().filter(|_| trouble.may_pass);
        let Some(wait) = next else {
            tracing::warn!(
                "{} could not be told of `{}`: {}",
                channel.kind(),
                notice.event.word(),
                trouble.why
            );
            return;
        };
        tokio::time::sleep(trouble.wait.unwrap_or(wait).min(Duration::from_secs(600))).await;
    }
}

/// Why a channel did not take a notice.
#[derive(Debug)]
pub struct Trouble {
    /// In words, without secrets.
    pub why: String,
    /// Whether trying again may help.
    pub may_pass: bool,
    /// How long the other side wants us to wait.
    pub wait: Option<Duration>,
}
