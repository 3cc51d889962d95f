//! The runs: how each ended, and one more when somebody asks for it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use askama::Template;
use axum::Json;
use axum::extract::{Form, Path as Wanted, Query, State as Shared};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use bytesize::ByteSize;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::State;
use super::access::{Session, wrong_key};
use super::account::Whose;
use super::frame::{Frame, absent, html_of, local};
use super::sign_in::address;
use crate::index::RunNote;
use crate::small_file;
use crate::sync::report::SyncReport;

/// Reports that are kept, and runs that the page shows.
const KEPT: usize = 100;

/// What a person asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// A run, now.
    Now,
    /// One that lists the whole library.
    Whole,
    /// What was set aside, and nothing else.
    SetAside,
}

/// A run as it is kept: what the index has no room for.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    /// The account's name, where there are several.
    #[serde(default)]
    account: String,
    began: Timestamp,
    /// In a sentence or two.
    said: String,
    /// The whole report; of a run that could not start there is none.
    report: Option<Value>,
}

/// The last runs of this appliance, latest first.
pub struct Runs {
    file: PathBuf,
    kept: Mutex<Vec<Kept>>,
}

impl Runs {
    /// Those that an earlier process has kept. A file that cannot be read holds none: it is no part of the archive.
    pub fn open(file: &Path) -> Self {
        let kept = std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self { file: file.to_owned(), kept: Mutex::new(kept.unwrap_or_default()) }
    }

    /// Keeps how a run ended.
    pub fn keep(&self, account: &str, began: Timestamp, result: &Result<SyncReport, String>) {
        let account = account.to_owned();
        let kept = match result {
            Ok(report) => Kept {
                account,
                began: report.started,
                said: report.sentence(),
                report: serde_json::to_value(report).ok(),
            },
            Err(why) => {
                Kept { account, began, said: format!("The run could not start: {why}"), report: None }
            }
        };
        let mut all = self.kept();
        all.insert(0, kept);
        all.truncate(KEPT);
        if let Err(e) = small_file::replace(&self.file, &*all) {
            tracing::warn!("the report of this run could not be kept in {}: {e}", self.file.display());
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line of the list.
#[derive(Serialize)]
struct Line {
    /// The account's name; empty where there is one.
    account: String,
    began: Timestamp,
    ended: Option<Timestamp>,
    outcome: String,
    #[serde(skip)]
    colour: &'static str,
    said: String,
    archived: u64,
    set_aside: u64,
    bytes: u64,
}

impl Line {
    /// Where its report is.
    fn path(&self) -> String {
        let name = Some(self.account.as_str()).filter(|name| !name.is_empty());
        address(&format!("/runs/{}", self.began.as_millisecond()), name)
    }

    fn size(&self) -> String {
        ByteSize(self.bytes).to_string()
    }
}

fn colour(outcome: &str) -> &'static str {
    match outcome {
        "complete" => "good",
        "partial" | "interrupted" => "warn",
        _ => "bad",
    }
}

fn lines(state: &State) -> Result<Vec<Line>, String> {
    let noted = state.reader()?.last_runs(KEPT).map_err(|e| e.to_string())?;
    let kept = state.runs.kept().clone();
    let said = |note: &RunNote| {
        let same = kept.iter().find(|kept| {
            kept.began.as_millisecond() == note.started.as_millisecond() && kept.account == note.account
        });
        same.map_or_else(
            || format!("{} listed, {} archived.", note.listed, note.archived),
            |kept| kept.said.clone(),
        )
    };
    let known: std::collections::HashSet<(i64, &str)> =
        noted.iter().map(|note| (note.started.as_millisecond(), note.account.as_str())).collect();
    let mut lines: Vec<Line> = noted
        .iter()
        .map(|note| Line {
            account: note.account.clone(),
            began: note.started,
            ended: Some(note.ended),
            colour: colour(&note.outcome),
            outcome: note.outcome.clone(),
            said: said(note),
            archived: note.archived,
            set_aside: note.quarantined + note.failed,
            bytes: note.bytes,
        })
        .collect();
    // The index notes whole runs that have reached the library; all others are kept here alone.
    let is_new = |kept: &&Kept| !known.contains(&(kept.began.as_millisecond(), kept.account.as_str()));
    lines.extend(kept.iter().filter(is_new).map(|kept| {
        let field = |name: &str| kept.report.as_ref().and_then(|report| report.get(name));
        let number = |name: &str| field(name).and_then(Value::as_u64).unwrap_or_default();
        let outcome = field("outcome").and_then(Value::as_str).unwrap_or("could not start").to_owned();
        Line {
            account: kept.account.clone(),
            began: kept.began,
            ended: field("ended").and_then(|at| at.as_str()?.parse().ok()),
            colour: colour(&outcome),
            outcome,
            said: kept.said.clone(),
            archived: number("archived"),
            set_aside: number("set_aside") + number("unreadable"),
            bytes: number("bytes"),
        }
    }));
    lines.sort_by_key(|line| std::cmp::Reverse(line.began));
    Ok(lines)
}

#[derive(Template)]
#[template(path = "runs.html", config = ".askama.toml")]
struct RunsPage {
    frame: Frame,
    lines: Vec<Line>,
    running: bool,
    /// Whether there are several accounts.
    several: bool,
}

/// The list.
pub async fn page(Shared(state): Shared<Arc<State>>, session: Session) -> Response {
    let several = state.accounts.len() > 1;
    // Somebody's first run may take days.
    let running = state.accounts.iter().all(|account| account.running().is_some());
    let frame = Frame::of(&session, "/runs");
    html_of(&session, state.aside(lines).await, |lines| RunsPage { frame, lines, running, several })
}

/// The list for scripts.
pub async fn told(Shared(state): Shared<Arc<State>>) -> Response {
    match state.aside(lines).await {
        Ok(lines) => Json(lines).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"error": e}))).into_response(),
    }
}

#[derive(Template)]
#[template(path = "run.html", config = ".askama.toml")]
struct RunPage {
    frame: Frame,
    line: Line,
    facts: Vec<(String, String)>,
    changes: Vec<String>,
}

/// One run's report.
pub async fn one(
    Shared(state): Shared<Arc<State>>,
    session: Session,
    Wanted(began): Wanted<i64>,
    Query(whose): Query<Whose>,
) -> Response {
    let found = state.aside(move |state| {
        let is = |at: Timestamp, account: &str| {
            at.as_millisecond() == began && whose.account.as_ref().is_none_or(|name| name == account)
        };
        let kept = state.runs.kept().iter().find(|kept| is(kept.began, &kept.account)).cloned();
        let line = lines(state)?.into_iter().find(|line| is(line.began, &line.account));
        Ok(line.map(|line| (line, kept.and_then(|kept| kept.report))))
    });
    let (line, report) = match found.await {
        Ok(Some(found)) => found,
        Ok(None) => return absent(&session, "Nothing is known of such a run."),
        Err(why) => return super::frame::trouble(&session, &why),
    };
    let changes = report.as_ref().and_then(|report| report.get("changes")?.as_array().cloned());
    let changes = changes.iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect();
    let page = RunPage {
        frame: Frame::of(&session, "/runs"),
        facts: report.as_ref().map(facts).unwrap_or_default(),
        line,
        changes,
    };
    html_of(&session, Ok(page), |page| page)
}

/// The numbers of a report that are not nothing, in words.
fn facts(report: &Value) -> Vec<(String, String)> {
    const WORDS: [(&str, &str); 13] = [
        ("account", "Account"),
        ("listed", "Listed by Google"),
        ("already_archived", "Archived before"),
        ("archived", "Archived by this run"),
        ("files", "Files stored"),
        ("revised", "Items with new facts"),
        ("albums", "Albums that changed"),
        ("gone", "No longer in the library"),
        ("without_video", "Live Photos without their video"),
        ("set_aside", "Set aside"),
        ("unreadable", "Rows that could not be read"),
        ("retries", "Attempts that had to be repeated"),
        ("whole", "The whole library was listed"),
    ];
    let said = |value: &Value| match value {
        Value::Number(number) if number.as_u64() == Some(0) => None,
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Bool(is) => Some(if *is { "yes" } else { "no, only what is new" }.to_owned()),
        _ => None,
    };
    WORDS.iter().filter_map(|(name, word)| Some(((*word).to_owned(), said(report.get(name)?)?))).collect()
}

/// What a form asks for.
#[derive(Deserialize)]
pub struct Begin {
    key: String,
    what: Asked,
    /// The account, if not all of them.
    account: Option<String>,
}

/// Begins a run as soon as nothing else uses the browser.
pub async fn begin(Shared(state): Shared<Arc<State>>, session: Session, Form(form): Form<Begin>) -> Response {
    if form.key != session.key() {
        return wrong_key();
    }
    let is_meant = |name: &Option<String>| form.account.is_none() || *name == form.account;
    state.accounts.iter().filter(|one| is_meant(&one.name)).for_each(|one| one.ask(form.what));
    let to = if form.what == Asked::SetAside { "/set-aside?asked=1" } else { "/" };
    (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response()
}

/// How long something took.
fn took(line: &Line) -> String {
    line.ended.map_or_else(String::new, |ended| {
        let seconds = ended.duration_since(line.began).as_secs().max(0);
        format!("{:#}", jiff::SignedDuration::from_secs(seconds))
    })
}
