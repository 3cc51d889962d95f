//! Numbers for Prometheus, in its text format. Names have their unit at the end, and stay.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::State;
use crate::index::{RunNote, Totals};

/// Every state that a login can be in.
const LOGINS: [&str; 5] = ["unknown", "signed-in", "expiring", "needs-person", "rejected"];

/// What is told, gathered.
struct Numbers {
    totals: Totals,
    damaged: usize,
    /// Wanted and archived by the present pass.
    running: Option<(u64, u64)>,
    last: Option<RunNote>,
    next: Option<Timestamp>,
    login: &'static str,
}

impl Numbers {
    fn text(&self) -> String {
        let mut text = String::new();
        let mut gauge = |name: &str, help: &str, values: &[(String, f64)]| {
            if values.is_empty() {
                return;
            }
            // Writing to a text does not fail.
            let _infallible = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
            for (labels, value) in values {
                let _infallible = writeln!(text, "{name}{labels} {value}");
            }
        };
        let one = |value: f64| vec![(String::new(), value)];
        let seconds = |at: &Timestamp| vec![(String::new(), at.as_millisecond() as f64 / 1000.0)];
        let version = format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
        gauge("shoebox_build_info", "The version that runs.", &[(version, 1.0)]);
        gauge("shoebox_archived_items", "Items that are archived.", &one(self.totals.items as f64));
        gauge("shoebox_archived_files", "Files of these items.", &one(self.totals.parts as f64));
        gauge("shoebox_archived_bytes", "Bytes of these files.", &one(self.totals.bytes as f64));
        gauge(
            "shoebox_set_aside_items",
            "Items that could not be archived yet.",
            &one(self.totals.failures as f64),
        );
        gauge("shoebox_damaged_files", "Archived files that are damaged or gone.", &one(self.damaged as f64));
        gauge(
            "shoebox_run_in_progress",
            "1 while a run goes on.",
            &one(f64::from(u8::from(self.running.is_some()))),
        );
        if let Some((wanted, archived)) = self.running {
            gauge("shoebox_run_wanted_items", "Items that the present run fetches.", &one(wanted as f64));
            gauge("shoebox_run_archived_items", "Of these, archived so far.", &one(archived as f64));
        }
        if let Some(last) = &self.last {
            let outcome = format!("{{outcome=\"{}\"}}", last.outcome.replace(['"', '\\', '\n'], "_"));
            gauge(
                "shoebox_last_run_outcome",
                "1 for the way in which the last run ended.",
                &[(outcome, 1.0)],
            );
            gauge(
                "shoebox_last_run_end_timestamp_seconds",
                "When the last run ended.",
                &seconds(&last.ended),
            );
            let took = last.ended.duration_since(last.started).as_secs_f64();
            gauge("shoebox_last_run_duration_seconds", "How long the last run took.", &one(took));
            gauge(
                "shoebox_last_run_received_bytes",
                "Bytes that the last run received.",
                &one(last.bytes as f64),
            );
        }
        if let Some(next) = &self.next {
            gauge("shoebox_next_run_timestamp_seconds", "When the next run begins.", &seconds(next));
        }
        let states: Vec<_> = LOGINS
            .iter()
            .map(|state| (format!("{{state=\"{state}\"}}"), f64::from(u8::from(*state == self.login))))
            .collect();
        gauge("shoebox_login_state", "1 for the state that the login to Google is in.", &states);
        text
    }
}

/// The last run; one that could not start is in no index.
fn last(state: &State) -> Option<RunNote> {
    match state.last() {
        Some(Ok(report)) => Some(report.note()),
        Some(Err(_)) => state.earlier().map(|note| RunNote { outcome: "not-started".into(), ..note }),
        None => state.earlier(),
    }
}

/// All numbers.
pub async fn metrics(Shared(state): Shared<Arc<State>>) -> Response {
    let gather = move || {
        Ok::<_, String>(Numbers {
            totals: state.totals()?,
            damaged: state.damaged(),
            running: state.running().map(|(now, _)| (now.wanted, now.archived)),
            last: last(&state),
            next: state.next(),
            login: state.desk.login().state.word(),
        })
    };
    match tokio::task::spawn_blocking(gather).await {
        Ok(Ok(numbers)) => {
            ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], numbers.text()).into_response()
        }
        Ok(Err(e)) => (StatusCode::INTERNAL_SERVER_ERROR, e).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let last = RunNote {
            started: Timestamp::UNIX_EPOCH,
            ended: Timestamp::constant(90, 500_000_000),
            outcome: "failed: \"x\"\n".into(),
            listed: 1,
            archived: 1,
            quarantined: 0,
            failed: 0,
            bytes: 7,
        };
        let totals = Totals { items: 3, parts: 4, bytes: 5, failures: 1, ..Totals::default() };
        let numbers = Numbers {
            totals,
            damaged: 0,
            running: Some((9, 2)),
            last: Some(last),
            next: None,
            login: "expiring",
        };
        let text = numbers.text();
        let mut names = std::collections::BTreeSet::new();
        for line in text.lines() {
            match line.strip_prefix("# ") {
                Some(head) => {
                    assert!(head.starts_with("HELP shoebox_") || head.starts_with("TYPE shoebox_"), "{line}")
                }
                None => {
                    let (series, value) = line.rsplit_once(' ').expect("a value");
                    assert!(value.parse::<f64>().is_ok() && names.insert(series.to_owned()), "{line}");
                }
            }
        }
        assert!(
            names.contains("shoebox_login_state{state=\"expiring\"}")
                && names.contains("shoebox_archived_bytes")
        );
        assert!(text.contains("shoebox_last_run_end_timestamp_seconds 90.5\n"), "{text}");
    }
}
