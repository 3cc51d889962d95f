//! The doctor, on the page: what `shoebox doctor` finds, when somebody asks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use askama::Template;
use axum::extract::{Form, State as Shared};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::State;
use super::access::{Keyed, Session, wrong_key};
use super::frame::{Frame, html, local};
use crate::doctor::{Finding, Severity, host, volume};

/// What was found the last time.
#[derive(Clone)]
struct Findings {
    at: Timestamp,
    volume: Vec<Finding>,
    machine: Vec<Finding>,
}

/// How far the doctor is.
#[derive(Default)]
pub struct Examined(Mutex<(bool, Option<Findings>)>);

impl Examined {
    fn get(&self) -> MutexGuard<'_, (bool, Option<Findings>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Template)]
#[template(path = "doctor.html", config = ".askama.toml")]
struct DoctorPage {
    frame: Frame,
    busy: bool,
    found: Option<Findings>,
}

impl DoctorPage {
    fn worst(&self) -> Option<Severity> {
        self.found.as_ref().and_then(|f| f.volume.iter().chain(&f.machine).map(|f| f.severity).max())
    }
}

fn colour(severity: &Severity) -> &'static str {
    match severity {
        Severity::Good => "good",
        Severity::Doubtful => "warn",
        Severity::Bad => "bad",
    }
}

fn word(severity: &Severity) -> &'static str {
    match severity {
        Severity::Good => "good",
        Severity::Doubtful => "look",
        Severity::Bad => "bad",
    }
}

/// The page.
pub async fn page(Shared(state): Shared<Arc<State>>, session: Session) -> Response {
    let (busy, found) = state.examined.get().clone();
    html(StatusCode::OK, &DoctorPage { frame: Frame::of(&session, "/settings"), busy, found })
}

/// Begins an examination.
pub async fn examine(
    Shared(state): Shared<Arc<State>>,
    session: Session,
    Form(form): Form<Keyed>,
) -> Response {
    if form.key != session.key() {
        return wrong_key();
    }
    // A second one while one goes on is the same one.
    if !std::mem::replace(&mut state.examined.get().0, true) {
        tokio::spawn(async move {
            let examined = Arc::clone(&state);
            let machine = tokio::spawn(async move {
                let mut found = Vec::new();
                for account in &examined.accounts {
                    let of = host::examine(&examined.browser, Some(&account.profile)).await;
                    // What is true of the machine is the same for all.
                    found.extend(of.into_iter().filter(|one| !found.contains(one)).collect::<Vec<_>>());
                }
                found
            });
            let machine = machine.await.unwrap_or_default();
            let root = state.archive.store.root().to_owned();
            let volume =
                tokio::task::spawn_blocking(move || volume::examine(&root)).await.unwrap_or_default();
            *state.examined.get() = (false, Some(Findings { at: Timestamp::now(), volume, machine }));
        });
    }
    (StatusCode::SEE_OTHER, [(LOCATION, "/doctor")]).into_response()
}
