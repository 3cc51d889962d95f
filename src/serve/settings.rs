//! Settings on the page: what each is, where its value comes from, and another value where the page may set it.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, State as Shared};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};

use super::State;
use super::access::{Session, wrong_key};
use super::frame::{Frame, html, trouble};

/// Where a setting's value comes from: the first of these that has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    CommandLine,
    /// The environment variable of that name.
    Variable(String),
    /// The page.
    Page,
    /// Nobody has set it.
    Default,
}

impl Origin {
    /// Whether the page cannot change it.
    pub fn is_fixed(&self) -> bool {
        matches!(self, Self::CommandLine | Self::Variable(_))
    }
}

/// What kind of value a setting has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A line of text.
    Text,
    /// On or off: `true` or `false`.
    Switch,
    /// One of these.
    Choice(Vec<String>),
    /// A line of text that is never shown again.
    Secret,
}

/// A setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Name of its option, without dashes.
    pub name: String,
    /// The part of the page that it is in.
    pub group: &'static str,
    /// What it does.
    pub help: String,
    /// Kind of value.
    pub shape: Shape,
    /// Its value; of a secret, whether there is one.
    pub value: String,
    /// What it is if nobody sets it; empty if it is nothing then.
    pub default: String,
    /// Where the value comes from.
    pub origin: Origin,
    /// Whether a change takes effect at the next start only.
    pub later: bool,
}

impl Setting {
    /// Its name for people.
    pub fn title(&self) -> String {
        let mut words = self.name.replace('-', " ");
        if let Some(first) = words.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        words
    }
}

/// What may be set on the page.
pub trait Offered: Send + Sync {
    /// The settings as they are.
    ///
    /// # Errors
    /// A sentence that says why they cannot be read.
    fn list(&self) -> Result<Vec<Setting>, String>;

    /// Keeps these values for the settings of these names; one without a value is as if nobody had set it. All or none.
    ///
    /// # Errors
    /// What is wrong, by the setting's name; what concerns none of them has an empty one.
    fn keep(&self, values: &BTreeMap<String, Option<String>>) -> Result<(), (String, String)>;
}

#[derive(Template)]
#[template(path = "settings.html", config = ".askama.toml")]
struct SettingsPage {
    frame: Frame,
    groups: Vec<(&'static str, Vec<Setting>)>,
    wrong: Option<(String, String)>,
    kept: bool,
}

impl SettingsPage {
    fn wrong_with(&self, name: &str) -> Option<&str> {
        self.wrong.as_ref().filter(|(wrong, _)| wrong == name).map(|(_, why)| why.as_str())
    }
}

fn grouped(settings: Vec<Setting>) -> Vec<(&'static str, Vec<Setting>)> {
    let mut groups: Vec<(&'static str, Vec<Setting>)> = Vec::new();
    for setting in settings {
        match groups.iter_mut().find(|(name, _)| *name == setting.group) {
            Some((_, group)) => group.push(setting),
            None => groups.push((setting.group, vec![setting])),
        }
    }
    groups
}

async fn show(
    state: &Arc<State>,
    session: &Session,
    wrong: Option<(String, String)>,
    given: &BTreeMap<String, Option<String>>,
    kept: bool,
) -> Response {
    match state.aside(|state| state.settings.list()).await {
        Ok(mut settings) => {
            // Who has made one mistake need not type everything again.
            for setting in settings.iter_mut().filter(|setting| setting.shape != Shape::Secret) {
                if let Some(given) = given.get(&setting.name) {
                    setting.value = given.clone().unwrap_or_else(|| setting.default.clone());
                }
            }
            let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
            let frame = Frame::of(session, "/settings");
            html(status, &SettingsPage { frame, groups: grouped(settings), wrong, kept })
        }
        Err(why) => trouble(session, &why),
    }
}

/// The page.
pub async fn page(Shared(state): Shared<Arc<State>>, session: Session, uri: axum::http::Uri) -> Response {
    show(&state, &session, None, &BTreeMap::new(), uri.query() == Some("kept")).await
}

/// Keeps what a form brings.
pub async fn keep(
    Shared(state): Shared<Arc<State>>,
    session: Session,
    Form(form): Form<BTreeMap<String, String>>,
) -> Response {
    if form.get("key") != Some(&session.key()) {
        return wrong_key();
    }
    let kept = state.aside(move |state| {
        let values = values(&state.settings.list()?, &form);
        Ok(state.settings.keep(&values).map_err(|wrong| (wrong, values)))
    });
    match kept.await {
        Ok(Ok(())) => {
            state.reread();
            (StatusCode::SEE_OTHER, [(LOCATION, "/settings?kept")]).into_response()
        }
        Ok(Err((wrong, given))) => show(&state, &session, Some(wrong), &given, false).await,
        Err(why) => trouble(&session, &why),
    }
}

/// The parts of a text, and whether each is something to be typed: those stand between backticks.
fn parts(text: &str) -> Vec<(bool, &str)> {
    text.split('`').enumerate().map(|(n, part)| (n % 2 == 1, part)).collect()
}

/// What a form says of each setting that the page may change.
fn values(settings: &[Setting], form: &BTreeMap<String, String>) -> BTreeMap<String, Option<String>> {
    let mut values = BTreeMap::new();
    for setting in settings.iter().filter(|setting| !setting.origin.is_fixed()) {
        let given = form.get(&setting.name).map(|value| value.trim()).unwrap_or_default();
        let value = match setting.shape {
            // A form says nothing of a switch that is off.
            Shape::Switch => Some((!given.is_empty()).to_string()),
            // Left empty, a secret stays; to forget it is asked for by name.
            Shape::Secret if form.contains_key(&format!("forget-{}", setting.name)) => None,
            Shape::Secret if given.is_empty() => continue,
            _ if given.is_empty() => None,
            _ => Some(given.to_owned()),
        };
        values.insert(setting.name.clone(), value.filter(|value| *value != setting.default));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(name: &str, shape: Shape, default: &str, origin: Origin) -> Setting {
        Setting {
            name: name.into(),
            group: "g",
            help: String::new(),
            shape,
            value: String::new(),
            default: default.into(),
            origin,
            later: false,
        }
    }

    #[test]
    fn a_form_says_what_is_to_be_kept() {
        let settings = [
            setting("schedule", Shape::Text, "every 6h", Origin::Default),
            setting("jitter", Shape::Text, "", Origin::Page),
            setting("include-shared", Shape::Switch, "false", Origin::Page),
            setting("tell", Shape::Secret, "", Origin::Page),
            setting("healthcheck", Shape::Secret, "", Origin::Page),
            setting("workers", Shape::Text, "4", Origin::Variable("SHOEBOX_WORKERS".into())),
        ];
        let form = [
            ("schedule", " every 6h "),
            ("jitter", "10m"),
            ("include-shared", "on"),
            ("tell", ""),
            ("forget-healthcheck", "on"),
            ("workers", "9"),
            ("another", "x"),
        ];
        let form = form.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let values: Vec<_> = values(&settings, &form).into_iter().collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            values,
            [
                ("healthcheck".to_owned(), None),
                ("include-shared".to_owned(), some("true")),
                ("jitter".to_owned(), some("10m")),
                ("schedule".to_owned(), None),
            ]
        );
    }
}
