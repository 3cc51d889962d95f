//! Is everything there: Google's counts beside the archive's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use askama::Template;
use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::json;

use super::State;
use super::access::Session;
use super::frame::{Frame, html_of, local};
use crate::model::Verdict;
use crate::proof::{self, Library, Line, Report};

/// A report is drawn up again after this time: of a large archive it takes seconds.
const FRESH: Duration = Duration::from_secs(30);

/// The last report.
#[derive(Default)]
pub struct Reckoning(Mutex<Option<(Instant, Arc<Report>)>>);

fn report(state: &State) -> Result<Arc<Report>, String> {
    // One at a time: whoever waits gets the same.
    let mut last = state.reckoning.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((at, report)) = &*last
        && at.elapsed() < FRESH
    {
        return Ok(Arc::clone(report));
    }
    let report = Arc::new(proof::report(&state.archive, Timestamp::now()).map_err(|e| e.to_string())?);
    *last = Some((Instant::now(), Arc::clone(&report)));
    Ok(report)
}

/// The months of a year, and what they add up to.
struct Year {
    sum: Line,
    months: Vec<Line>,
}

fn years(library: &Library) -> Vec<Year> {
    let mut years: Vec<Year> = Vec::new();
    for month in &library.months {
        let name = month.name.split('-').next().unwrap_or_default();
        if years.last().is_none_or(|year| year.sum.name != name) {
            let sum = Line { name: name.to_owned(), adds_up: true, ..Line::default() };
            years.push(Year { sum, months: Vec::new() });
        }
        if let Some(Year { sum, months }) = years.last_mut() {
            sum.google += month.google;
            sum.archived += month.archived;
            sum.set_aside += month.set_aside;
            sum.excluded += month.excluded;
            sum.pending += month.pending;
            sum.adds_up &= month.adds_up;
            months.push(month.clone());
        }
    }
    years
}

/// The line of a whole library.
fn all(library: &Library) -> Line {
    Line { name: "all".into(), ..library.total.clone() }
}

#[derive(Template)]
#[template(path = "completeness.html", config = ".askama.toml")]
struct CompletenessPage {
    frame: Frame,
    report: Arc<Report>,
    libraries: Vec<(Library, Line, Vec<Year>)>,
    verdicts: Vec<(&'static str, u64, String)>,
    open: u64,
}

/// The page.
pub async fn page(Shared(state): Shared<Arc<State>>, session: Session) -> Response {
    let frame = Frame::of(&session, "/");
    html_of(&session, state.aside(report).await, |report| {
        let libraries: Vec<_> =
            report.libraries.iter().map(|library| (library.clone(), all(library), years(library))).collect();
        let pending: u64 = report.libraries.iter().map(|library| library.total.pending).sum();
        let sums =
            Verdict::ALL.iter().filter_map(|verdict| Some((verdict, report.verdicts.get(verdict.word())?)));
        let verdicts = sums
            .map(|(verdict, sum)| (verdict.meaning(), sum.files, bytesize::ByteSize(sum.bytes).to_string()))
            .collect();
        let open = pending + report.set_aside.len() as u64;
        CompletenessPage { frame, libraries, verdicts, open, report }
    })
}

/// The report for scripts: what `shoebox report --json` prints.
pub async fn told(Shared(state): Shared<Arc<State>>) -> Response {
    match state.aside(report).await {
        Ok(report) => Json(&*report).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"error": e}))).into_response(),
    }
}
