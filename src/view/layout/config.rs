//! Views from a TOML file.

use serde::Deserialize;

use super::{Filter, Mistake, Template, View, shipped};
use crate::model::PartRole;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is no TOML, or has a key that means nothing.
    #[error("{0}")]
    Toml(String),
    /// The name of a view cannot be a directory.
    #[error("`{0}` cannot be the name of a view: use letters, digits, `-` and `_`")]
    Name(String),
    /// A template or a condition is wrong.
    #[error("view `{view}`, `{key}`, column {}: {}", mistake.column, mistake.show(text))]
    Mistake {
        /// The view.
        view: String,
        /// Which of its keys.
        key: &'static str,
        /// What is written there.
        text: String,
        /// What is wrong with it.
        mistake: Mistake,
    },
    /// A view has no path.
    #[error("view `{0}` has no `path`, such as `path = \"{{year}}/{{name}}\"`")]
    NoPath(String),
}

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Whether the shipped views are there too; they are if nothing is said.
    shipped: Option<bool>,
    #[serde(default)]
    view: toml::Table,
}

/// One view in a file. What is left out is as in the shipped view of that name, if there is one.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewConfig {
    /// The template.
    pub path: Option<String>,
    /// The condition.
    pub show: Option<String>,
    /// Which files of an item.
    pub parts: Option<Vec<PartRole>>,
    /// XMP sidecars beside the originals.
    pub sidecars: Option<bool>,
    /// Names that Windows takes.
    pub portable: Option<bool>,
    /// `false`: no such view.
    pub enabled: Option<bool>,
    /// A sentence about it.
    pub about: Option<String>,
}

/// The views of a configuration: the shipped ones, changed and extended by it.
///
/// # Errors
/// What is wrong with it, with the place.
pub fn parse(text: &str) -> Result<Vec<View>, ConfigError> {
    let file: File = toml::from_str(text).map_err(|error| ConfigError::Toml(error.to_string()))?;
    let mut views = if file.shipped.unwrap_or(true) { shipped() } else { Vec::new() };
    for (name, value) in file.view {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            return Err(ConfigError::Name(name));
        }
        let config: ViewConfig = match value {
            // The short form: a template alone.
            toml::Value::String(path) => ViewConfig { path: Some(path), ..ViewConfig::default() },
            value => value
                .try_into()
                .map_err(|error: toml::de::Error| ConfigError::Toml(format!("view `{name}`: {error}")))?,
        };
        let place = views.iter().position(|view| view.name == name);
        if config.enabled == Some(false) {
            if let Some(place) = place {
                views.remove(place);
            }
            continue;
        }
        let view = one(&name, config, place.map(|place| &views[place]))?;
        match place {
            Some(place) => views[place] = view,
            None => views.push(view),
        }
    }
    Ok(views)
}

fn one(name: &str, config: ViewConfig, shipped: Option<&View>) -> Result<View, ConfigError> {
    let mistake = |key, text: &str| {
        let (view, text) = (name.to_owned(), text.to_owned());
        move |mistake| ConfigError::Mistake { view, key, text, mistake }
    };
    let path = match (&config.path, shipped) {
        (Some(text), _) => Template::parse(text).map_err(mistake("path", text))?,
        (None, Some(shipped)) => shipped.path.clone(),
        (None, None) => return Err(ConfigError::NoPath(name.to_owned())),
    };
    let show = match (&config.show, shipped) {
        (Some(text), _) => Filter::parse(text).map_err(mistake("show", text))?,
        (None, Some(shipped)) => shipped.show.clone(),
        (None, None) => Filter::All,
    };
    let all = || shipped.map_or_else(|| PartRole::ALL.to_vec(), |view| view.parts.clone());
    Ok(View {
        name: name.to_owned(),
        about: config.about.or_else(|| shipped.map(|view| view.about.clone())).unwrap_or_default(),
        path,
        show,
        parts: config.parts.unwrap_or_else(all),
        sidecars: config.sidecars.unwrap_or_else(|| shipped.is_some_and(|view| view.sidecars)),
        portable: config.portable.unwrap_or_else(|| shipped.is_some_and(|view| view.portable)),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_changes_extends_and_removes() {
        let views = parse(
            r#"
            [view]
            mine = "{year}/{name}"
            [view.by-date]
            sidecars = true
            [view.smb]
            enabled = false
            [view.phone]
            path = "{year}/{name}"
            show = 'camera = "Google Pixel 7"'
            parts = ["original"]
            "#,
        )
        .unwrap();
        let find = |name: &str| views.iter().find(|view| view.name == name);
        assert_eq!(find("mine").unwrap().path.text(), "{year}/{name}");
        let by_date = find("by-date").unwrap();
        assert!(by_date.sidecars && by_date.path.text().contains("{month}"));
        assert!(find("smb").is_none());
        assert_eq!(find("phone").unwrap().parts, [PartRole::Original]);
        assert_eq!(parse("shipped = false\n[view]\na = \"{name}\"").unwrap().len(), 1);
        assert_eq!(parse("").unwrap(), shipped());
    }

    #[test]
    fn mistakes_say_where() {
        for (text, says) in [
            ("[view.a]\npath = \"{year}/{nmae}\"", "column 9"),
            ("[view.a]\npath = \"{name}\"\nshow = \"gone and\"", "column 9"),
            ("[view.a]\nshow = \"gone\"", "no `path`"),
            ("[view.a]\npath = \"{name}\"\nshwo = \"gone\"", "shwo"),
            ("[view.'a/b']\npath = \"{name}\"", "cannot be the name"),
            ("[view.a]\npath = 3", "view `a`"),
            ("[views]", "views"),
            ("[", "TOML"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
