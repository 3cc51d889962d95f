//! The overview: what is safe, what goes on, what needs somebody. It is live: the parts that change are sent again,
//! made by the same template.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use bytesize::ByteSize;
use futures_util::stream;
use jiff::Timestamp;

use super::access::Session;
use super::frame::{Frame, html, local};
use super::{Account, State, sign_in};
use crate::index::{RunNote, Totals};
use crate::model::Verdict;
use crate::replica::journal;
use crate::sync::report::{Outcome, SyncReport};

/// How often is looked whether something has changed.
const EVERY: Duration = Duration::from_secs(1);

/// A pass that goes on.
struct Going {
    archived: u64,
    wanted: u64,
    listing: bool,
    rate: String,
    left: Option<String>,
    set_aside: u64,
}

/// An account: how its login stands, and its runs.
struct OfAccount {
    /// How it is called, where there are several.
    name: Option<String>,
    login: String,
    needs_person: bool,
    going: Option<Going>,
    last: Option<Result<SyncReport, String>>,
    /// How the last run ended before this process began.
    earlier: Option<RunNote>,
    next: Option<Timestamp>,
    colour: &'static str,
}

impl OfAccount {
    fn now(state: &State, account: &Account) -> Self {
        let (last, known) = (account.last(), account.desk.login());
        let colour = match last.as_ref().map(|last| last.as_ref().map(SyncReport::outcome)) {
            Some(Ok(Outcome::Complete)) => "good",
            Some(Ok(Outcome::Partial | Outcome::Interrupted)) => "warn",
            Some(_) => "bad",
            None => "dim",
        };
        Self {
            name: account.name.clone(),
            login: sign_in::in_words(&known),
            needs_person: known.state.needs_person(),
            going: going(account),
            earlier: if last.is_none() { state.earlier(account) } else { None },
            last,
            next: account.next(),
            colour,
        }
    }

    /// Where its owner signs in.
    fn sign_in(&self) -> String {
        sign_in::address("/sign-in", self.name.as_deref())
    }
}

/// What changes.
#[derive(Template)]
#[template(path = "live.html", config = ".askama.toml")]
struct Live {
    key: String,
    accounts: Vec<OfAccount>,
    totals: Result<Totals, String>,
    size: String,
    proven: Option<String>,
    damaged: usize,
    /// Second copies: where, how they are, and whether that is well.
    copies: Vec<(String, String, bool)>,
}

#[derive(Template)]
#[template(path = "overview.html", config = ".askama.toml")]
struct OverviewPage {
    frame: Frame,
    live: String,
}

impl Live {
    fn now(state: &State, key: &str) -> Self {
        let totals = state.recent_totals();
        Self {
            key: key.to_owned(),
            accounts: state.accounts.iter().map(|account| OfAccount::now(state, account)).collect(),
            size: totals.as_ref().map(|t| ByteSize(t.blob_bytes).to_string()).unwrap_or_default(),
            proven: totals.as_ref().ok().and_then(proven),
            totals,
            damaged: state.damaged(),
            copies: journal::known(&state.archive.store)
                .into_iter()
                .map(|(target, entry)| (target, entry.in_words(), !entry.is_in_trouble()))
                .collect(),
        }
    }
}

/// How much of it is proven to be what was uploaded.
fn proven(totals: &Totals) -> Option<String> {
    let proven = totals.verdicts.iter().filter(|(verdict, _)| *verdict == Verdict::MatchesUpload);
    let matching: u64 = proven.map(|(_, files)| files).sum();
    (matching > 0).then(|| format!("{matching} files are proven to be the very bytes that were uploaded."))
}

fn going(account: &Account) -> Option<Going> {
    let (now, began) = account.running()?;
    let pace = now.pace(began.elapsed());
    Some(Going {
        archived: now.archived,
        wanted: now.wanted,
        listing: !now.listing_done,
        rate: format!("{:.1} items/s, {}/s", pace.items_per_second, ByteSize(pace.bytes_per_second)),
        left: pace.left.map(|left| format!("{left:#}")),
        set_aside: now.set_aside,
    })
}

async fn live(state: &Arc<State>, key: String) -> String {
    let made = state.aside(move |state| Live::now(state, &key).render().map_err(|e| e.to_string())).await;
    made.unwrap_or_else(|e| e)
}

/// The page.
pub async fn page(Shared(state): Shared<Arc<State>>, session: Session) -> Response {
    let live = live(&state, session.key()).await;
    html(StatusCode::OK, &OverviewPage { frame: Frame::of(&session, "/"), live })
}

/// What changes on the page, as it changes: events `live` whose data is HTML.
pub async fn events(Shared(state): Shared<Arc<State>>, session: Session) -> Response {
    let stop = state.stop.clone();
    let key = session.key();
    let changes = stream::unfold(String::new(), move |before| {
        let (state, key, stop) = (Arc::clone(&state), key.clone(), stop.clone());
        async move {
            loop {
                let now = live(&state, key.clone()).await;
                if now != before {
                    let event = Event::default().event("live").data(&now);
                    return Some((Ok::<_, Infallible>(event), now));
                }
                tokio::select! {
                    () = tokio::time::sleep(EVERY) => {}
                    () = stop.cancelled() => return None,
                }
            }
        }
    });
    Sse::new(changes).keep_alive(KeepAlive::new().interval(Duration::from_secs(20))).into_response()
}
