//! The library far away, seen through one trait: list, describe, fetch.
//!
//! Everything else is written against [`RemoteLibrary`]; the real one drives a browser, tests also use a fake
//! over the simulator's library.

pub mod browser;
mod call;
pub mod direct;
pub mod google;
mod ladder;
mod lanes;
pub mod net;
pub mod rpc;
pub mod session;
pub mod steady;
pub mod viewer;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use serde::{Deserialize, Serialize};

use crate::model::{ErrorClass, ItemDetails, MediaKey, PartRole, RemoteAlbum, RemoteItem};

/// A position in a listing, opaque.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub String);

/// One page of a listing.
#[derive(Clone, Debug)]
pub struct ListPage {
    /// Items, newest capture first. May be empty in the middle of a listing.
    pub items: Vec<RemoteItem>,
    /// Rows that could not be read, each with the reason; they are reported, the rest goes on.
    pub rejected: Vec<String>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Cursor>,
    /// The rows tell hardly more than the keys: they contradict nothing.
    pub thin: bool,
}

/// Google's own counts of the library.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineCounts {
    /// All items.
    pub total: u64,
    /// Items by time of capture, newest first.
    pub ranges: Vec<CountRange>,
}

/// How many items were taken in a range of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountRange {
    /// First instant, milliseconds since 1970 UTC.
    pub from_ms: i64,
    /// Last instant, milliseconds since 1970 UTC.
    pub to_ms: i64,
    /// Items.
    pub count: u64,
}

/// One page of a list of albums.
#[derive(Clone, Debug)]
pub struct AlbumListing {
    /// Albums.
    pub albums: Vec<RemoteAlbum>,
    /// Entries that could not be read, each with the reason.
    pub rejected: Vec<String>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Cursor>,
}

/// One page of an album's contents.
#[derive(Clone, Debug)]
pub struct AlbumPage {
    /// Items in the album's order.
    pub items: Vec<RemoteItem>,
    /// Rows that could not be read, each with the reason.
    pub rejected: Vec<String>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Cursor>,
    /// Google's count of the album's items.
    pub count: Option<u64>,
    /// The item on the cover, by its key in the album.
    pub cover: Option<MediaKey>,
    /// Keys of the people who take part, sorted.
    pub members: Vec<String>,
}

/// Through which container an item is reached that is not in the account's own library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Through {
    /// The album.
    pub album: MediaKey,
    /// What gives access to it. A secret.
    pub access: Option<String>,
}

/// What the server claims about bytes it is about to send. Nothing of it is believed.
#[derive(Clone, Debug, Default)]
pub struct Claim {
    /// Content length in bytes.
    pub length: Option<u64>,
    /// Media type.
    pub media_type: Option<String>,
    /// File name offered.
    pub name: Option<String>,
    /// Status line and headers of the answer, without those that may carry a secret; for evidence.
    pub head: Option<String>,
}

/// Bytes of a download, in order.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, RemoteError>> + Send>>;

/// Where the bytes are.
pub enum Body {
    /// Arriving now; ends with an error if the transfer did not complete.
    Stream(ByteStream),
    /// Complete in a file that the browser wrote below the archive's `tmp/`; to be adopted.
    File(PathBuf),
}

/// One download that has started (a stream) or ended (a file).
pub struct Download {
    /// What the server claims.
    pub claim: Claim,
    /// `direct`, `browser` or `viewer`.
    pub via: &'static str,
    /// Host that serves the bytes.
    pub host: String,
    /// The bytes.
    pub body: Body,
    /// What the photo's page said of it, where the download came from there.
    pub seen: Option<viewer::Seen>,
}

/// A file of an item that can be fetched, as the library offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Which part it is. A zip may hold more than one part; the bytes tell.
    pub role: PartRole,
    /// Signed address, short-lived, never logged; or `viewer:KEY/CHOICE`, an entry of the photo's menu.
    pub url: String,
}

/// A library: list it, describe its items, fetch their files. Implementations do not retry by themselves;
/// the caller decides by [`RemoteError::class`].
pub trait RemoteLibrary: Send + Sync + 'static {
    /// Google's numeric id of the signed-in account.
    fn account(&self) -> String;

    /// Before a pass: tries what it will rest on. What it finds changed goes another way from the start.
    fn prepare(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// One page of the timeline, newest capture first; `None` starts.
    fn list(&self, from: Option<&Cursor>) -> impl Future<Output = Result<ListPage, RemoteError>> + Send;

    /// Names and sizes of up to [`Self::DESCRIBE_BATCH`] items. Items without an answer are left out.
    fn describe(
        &self,
        keys: &[MediaKey],
    ) -> impl Future<Output = Result<Vec<ItemDetails>, RemoteError>> + Send;

    /// One item of the account's own library, as a listing would show it.
    fn look_up(&self, key: &MediaKey) -> impl Future<Output = Result<RemoteItem, RemoteError>> + Send;

    /// One page of what was added last, newest upload first.
    fn recent(&self, from: Option<&Cursor>) -> impl Future<Output = Result<ListPage, RemoteError>> + Send;

    /// One page of the timeline that begins at or before an instant, milliseconds since 1970 UTC.
    fn list_before(&self, ms: i64) -> impl Future<Output = Result<ListPage, RemoteError>> + Send;

    /// Google's own counts; `None` where the method cannot ask for them.
    fn counts(&self) -> impl Future<Output = Result<Option<TimelineCounts>, RemoteError>> + Send;

    /// One page of what is in the trash.
    fn trash(&self, from: Option<&Cursor>) -> impl Future<Output = Result<ListPage, RemoteError>> + Send;

    /// One page of the account's albums, or of the list of what others share.
    fn albums(
        &self,
        shared: bool,
        from: Option<&Cursor>,
    ) -> impl Future<Output = Result<AlbumListing, RemoteError>> + Send;

    /// One page of an album's contents, in its order.
    fn album_items(
        &self,
        album: &RemoteAlbum,
        from: Option<&Cursor>,
    ) -> impl Future<Output = Result<AlbumPage, RemoteError>> + Send;

    /// Addresses of the item's files, made fresh; the original is always among them.
    fn offers(
        &self,
        key: &MediaKey,
        through: Option<&Through>,
    ) -> impl Future<Output = Result<Vec<Offer>, RemoteError>> + Send;

    /// As [`Self::offers`] for up to [`Self::OFFER_BATCH`] items, one answer each; at the price of one call, where
    /// there is such a call.
    fn offers_batch(
        &self,
        items: &[(MediaKey, Option<Through>)],
    ) -> impl Future<Output = Result<Vec<Result<Vec<Offer>, RemoteError>>, RemoteError>> + Send {
        async move {
            let mut answers = Vec::with_capacity(items.len());
            for (key, through) in items {
                answers.push(self.offers(key, through.as_ref()).await);
            }
            Ok(answers)
        }
    }

    /// Starts fetching one offer.
    fn fetch(&self, offer: &Offer) -> impl Future<Output = Result<Download, RemoteError>> + Send;

    /// Most keys in one [`Self::describe`] call.
    const DESCRIBE_BATCH: usize = 100;

    /// Most items in one [`Self::offers_batch`] call.
    const OFFER_BATCH: usize = 8;
}

/// Why the library did not answer as hoped. Texts never contain a signed address, a cookie or a token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RemoteError {
    /// May pass: network trouble, a server's bad moment.
    #[error("{0}")]
    Transient(String),
    /// An answer without content: legitimately empty, or a server under load; nobody can tell (contract 5.4).
    #[error("{0}: Google answered with nothing")]
    Nothing(String),
    /// Asked to slow down, perhaps for a given time.
    #[error("the server asked to slow down ({reason})")]
    Throttled {
        /// What it answered.
        reason: String,
        /// `Retry-After`, if given.
        after: Option<Duration>,
    },
    /// The answer has a shape that we do not know.
    #[error("{what} has changed shape at {at}: {skeleton}")]
    Drift {
        /// RPC or page.
        what: String,
        /// Position in the answer.
        at: String,
        /// Types of the answer, never values.
        skeleton: String,
    },
    /// Nobody is signed in, or the session was refused.
    #[error("not signed in to Google: {evidence}")]
    SignedOut {
        /// What was seen.
        evidence: String,
    },
    /// This method cannot do that at all.
    #[error("{0} cannot be had by this method")]
    NotThisWay(&'static str),
    /// This item cannot be had now; others can.
    #[error("{0}")]
    Item(String),
    /// Google is not done with this item: asking again at once is no use, another pass may be.
    #[error("{0}")]
    NotYet(String),
    /// The direct download was refused; the browser may still be served.
    #[error("the server refused the direct download: {0}")]
    Refused(String),
    /// The browser could not be started or kept running.
    #[error("{0}")]
    Browser(String),
    /// The machine or the configuration prevents it.
    #[error("{0}")]
    Environment(String),
    /// Another process holds the profile.
    #[error("{0}")]
    Locked(String),
}

impl RemoteError {
    /// The class that decides retry and exit code.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Transient(_)
            | Self::Nothing(_)
            | Self::Throttled { .. }
            | Self::Refused(_)
            | Self::Browser(_) => ErrorClass::Transient,
            Self::Item(_) | Self::NotYet(_) | Self::NotThisWay(_) => ErrorClass::Transient,
            Self::Drift { .. } => ErrorClass::RemoteChanged,
            Self::SignedOut { .. } => ErrorClass::NeedsHuman,
            Self::Environment(_) => ErrorClass::Environment,
            Self::Locked(_) => ErrorClass::Locked,
        }
    }
}
