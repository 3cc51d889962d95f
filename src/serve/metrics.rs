//! Numbers for Prometheus, in its text format. Names have their unit at the end, and stay.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::State;
use super::numbers::{LOGINS, Numbers, OfAccount};

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
        // Without several accounts there is no label: a series keeps its name.
        let of = |value: &dyn Fn(&OfAccount) -> Option<(String, f64)>| -> Vec<(String, f64)> {
            let series = self.accounts.iter().filter_map(|account| {
                let (label, number) = value(account)?;
                let name = account.name.as_deref().map(|name| format!("account=\"{}\"", safe(name)));
                let labels: Vec<_> = name.into_iter().chain((!label.is_empty()).then_some(label)).collect();
                let labels = labels.join(",");
                Some((if labels.is_empty() { labels } else { format!("{{{labels}}}") }, number))
            });
            series.collect()
        };
        let plain = |number: f64| Some((String::new(), number));
        let seconds = |at: Timestamp| plain(at.as_millisecond() as f64 / 1000.0);
        gauge(
            "shoebox_run_in_progress",
            "1 while a run goes on.",
            &of(&|account| plain(f64::from(u8::from(account.running.is_some())))),
        );
        gauge(
            "shoebox_run_wanted_items",
            "Items that the present run fetches.",
            &of(&|account| plain(account.running?.wanted as f64)),
        );
        gauge(
            "shoebox_run_archived_items",
            "Of these, archived so far.",
            &of(&|account| plain(account.running?.archived as f64)),
        );
        gauge(
            "shoebox_last_run_outcome",
            "1 for the way in which the last run ended.",
            &of(&|account| Some((format!("outcome=\"{}\"", safe(&account.last.as_ref()?.outcome)), 1.0))),
        );
        gauge(
            "shoebox_last_run_end_timestamp_seconds",
            "When the last run ended.",
            &of(&|account| seconds(account.last.as_ref()?.ended)),
        );
        gauge(
            "shoebox_last_run_duration_seconds",
            "How long the last run took.",
            &of(&|account| {
                let last = account.last.as_ref()?;
                plain(last.ended.duration_since(last.started).as_secs_f64())
            }),
        );
        gauge(
            "shoebox_last_run_received_bytes",
            "Bytes that the last run received.",
            &of(&|account| plain(account.last.as_ref()?.bytes as f64)),
        );
        gauge(
            "shoebox_next_run_timestamp_seconds",
            "When the next run begins.",
            &of(&|account| seconds(account.next?)),
        );
        let states: Vec<_> = LOGINS
            .iter()
            .flat_map(|state| {
                of(&|account| {
                    Some((format!("state=\"{state}\""), f64::from(u8::from(*state == account.login))))
                })
            })
            .collect();
        gauge("shoebox_login_state", "1 for the state that the login to Google is in.", &states);
        text
    }
}

/// As the value of a label.
fn safe(text: &str) -> String {
    text.replace(['"', '\\', '\n'], "_")
}

/// All numbers.
pub async fn metrics(Shared(state): Shared<Arc<State>>) -> Response {
    match tokio::task::spawn_blocking(move || Numbers::gather(&state)).await {
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
    use crate::index::{RunNote, Totals};
    use crate::sync::progress::Snapshot;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let last = RunNote {
            account: String::new(),
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
        let account = OfAccount {
            name: None,
            running: Some(Snapshot { wanted: 9, archived: 2, ..Snapshot::default() }),
            last: Some(last),
            not_started: false,
            complete: None,
            next: None,
            login: "expiring",
        };
        let named = |name: &str| OfAccount { name: Some(name.into()), ..account.clone() };
        let (anna, ben) = (named("Anna"), named("Ben \"B\""));
        let of = |accounts| Numbers { totals: totals.clone(), damaged: 0, accounts, free: None }.text();
        let two = of(vec![anna, OfAccount { running: None, ..ben }]);
        assert!(two.contains("shoebox_run_wanted_items{account=\"Anna\"} 9\n"), "{two}");
        assert!(two.contains("shoebox_run_in_progress{account=\"Ben _B_\"} 0\n"), "{two}");
        assert!(two.contains("shoebox_login_state{account=\"Anna\",state=\"expiring\"} 1\n"), "{two}");
        let text = of(vec![account]);
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
