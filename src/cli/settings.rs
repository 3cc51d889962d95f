//! Settings that the page may change: options of `run` whose values lie in a file beside the login. The command line
//! and the environment come first.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{Subcommands, parse};
use crate::app::{RunSettings, Source};
use crate::serve::{Offered, Origin, Setting, Shape};
use crate::small_file;

/// Values by the names of their options.
pub type Kept = BTreeMap<String, String>;

/// Options that the page offers: the part of the page, the option, whether a change waits for the next start.
const OFFERED: &[(&str, &str, bool)] = &[
    ("When", "schedule", false),
    ("When", "jitter", false),
    ("When", "quiet-hours", false),
    ("When", "whole-every", false),
    ("What", "albums", false),
    ("What", "include-shared", false),
    ("How fast", "workers", false),
    ("How fast", "calls-per-second", false),
    ("How fast", "bandwidth", false),
    ("How fast", "method", false),
    ("Telling you", "tell", false),
    ("Telling you", "tell-of", false),
    ("Telling you", "healthcheck", false),
    ("Telling you", "healthcheck-host", false),
    ("Telling you", "url", false),
    ("Telling you", "mqtt", true),
    ("Upkeep", "verify-within", true),
    ("Upkeep", "verify-time", true),
    ("Upkeep", "verify-bytes", true),
];

/// Gives the options of `run` these values for what neither the command line nor the environment says.
pub fn offer(command: Command, kept: &Kept) -> Command {
    command.mut_subcommand("run", |run| {
        run.mut_args(|arg| match arg.get_long().and_then(|name| kept.get(name)) {
            Some(value) if OFFERED.iter().any(|(_, name, _)| arg.get_long() == Some(name)) => {
                arg.default_value(value.clone())
            }
            _ => arg,
        })
    })
}

/// The settings of a `run`, from its arguments, the environment and the page's file.
pub struct Settings {
    args: Vec<OsString>,
    file: PathBuf,
    /// One change at a time.
    changing: Mutex<()>,
}

impl Settings {
    /// Those of a `run` with these arguments and this profile.
    pub fn new(args: Vec<OsString>, profile: &Path) -> Self {
        Self { args, file: profile.join("shoebox-settings.json"), changing: Mutex::default() }
    }

    fn kept(&self) -> Result<Kept, String> {
        let why = |why: String| format!("{} cannot be read: {why}", self.file.display());
        match fs::read(&self.file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| why(e.to_string())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Kept::new()),
            Err(e) => Err(why(e.to_string())),
        }
    }

    /// What the file holds, but for values that are none: those are named in the log, and left out.
    fn usable(&self) -> Kept {
        let all = self.kept().unwrap_or_else(|why| {
            tracing::error!("{why}; the page's settings do not count until it is mended or deleted");
            Kept::new()
        });
        // Where it is wrong without them, too, they are not to blame.
        if self.try_out(&all).is_ok() || self.try_out(&Kept::new()).is_err() {
            return all;
        }
        // One after the other: who is wrong is not always who is named.
        let mut kept = Kept::new();
        for (name, value) in all {
            kept.insert(name.clone(), value);
            if let Err((_, why)) = self.try_out(&kept) {
                tracing::error!("the page's setting `{name}` does not count: {why}");
                kept.remove(&name);
            }
        }
        kept
    }

    /// What is wrong with these values, by the name of the option.
    fn try_out(&self, kept: &Kept) -> Result<RunSettings, (String, String)> {
        let whose = |text: &str| {
            let name = text.strip_prefix("--").and_then(|rest| rest.split([' ', ':']).next());
            name.unwrap_or_default().to_owned()
        };
        let (cli, _) = parse(&self.args, kept).map_err(|trouble| match trouble {
            super::Trouble::Usage(e) => {
                let name = match e.get(clap::error::ContextKind::InvalidArg) {
                    Some(clap::error::ContextValue::String(arg)) => whose(arg),
                    _ => String::new(),
                };
                let why = std::error::Error::source(&e)
                    .map_or_else(|| first_line(&e.to_string()), ToString::to_string);
                (name, why)
            }
            super::Trouble::Variable(why) => (String::new(), why),
        })?;
        let Subcommands::Run(run) = cli.command else {
            return Err((String::new(), "this is no `run`".into()));
        };
        // Whoever knows the page's password shall not choose programs of this machine.
        let tell = kept.get("tell").filter(|value| value.split(';').any(|to| to.trim().starts_with("exec:")));
        if tell.is_some() {
            return Err((
                "tell".into(),
                "a program is named in the environment or on the command line only".into(),
            ));
        }
        run.settings().map_err(|why| {
            let name = whose(&why);
            let said = why.split_once(": ").map_or(why.as_str(), |(_, said)| said);
            (name, said.to_owned())
        })
    }
}

/// Arguments may hold secrets.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Settings({})", self.file.display())
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

impl Source for Settings {
    fn read(&self) -> Result<RunSettings, String> {
        self.try_out(&self.usable()).map_err(|(name, why)| format!("--{name}: {why}"))
    }
}

impl Offered for Settings {
    fn list(&self) -> Result<Vec<Setting>, String> {
        let kept = self.usable();
        let say = |trouble: super::Trouble| trouble.to_string();
        let (_, now) = parse(&self.args, &kept).map_err(say)?;
        let now = now.subcommand_matches("run").ok_or("this is no `run`")?.clone();
        let command = super::command(&Kept::new()).map_err(say)?;
        let run = command.find_subcommand("run").ok_or("this is no `run`")?;
        let offered = OFFERED.iter().filter_map(|&(group, name, later)| {
            let arg = run.get_arguments().find(|arg| arg.get_long() == Some(name))?;
            Some(setting(arg, group, name, later, &now, &kept))
        });
        Ok(offered.collect())
    }

    fn keep(&self, values: &BTreeMap<String, Option<String>>) -> Result<(), (String, String)> {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = self.usable();
        for (name, value) in values {
            if !OFFERED.iter().any(|(_, offered, _)| offered == name) {
                return Err((name.clone(), "this cannot be set on the page".into()));
            }
            match value {
                Some(value) => kept.insert(name.clone(), value.clone()),
                None => kept.remove(name),
            };
        }
        self.try_out(&kept)?;
        small_file::replace(&self.file, &kept)
            .map_err(|e| (String::new(), format!("{} cannot be written: {e}", self.file.display())))
    }
}

fn setting(
    arg: &Arg,
    group: &'static str,
    name: &str,
    later: bool,
    now: &ArgMatches,
    kept: &Kept,
) -> Setting {
    let id = arg.get_id().as_str();
    let join = |values: &mut dyn Iterator<Item = String>| {
        let delimiter = arg.get_value_delimiter().unwrap_or(',').to_string();
        values.collect::<Vec<_>>().join(&delimiter)
    };
    let given = now.get_raw(id).map(|raw| join(&mut raw.map(|value| value.to_string_lossy().into_owned())));
    let default =
        join(&mut arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()));
    let variable = || arg.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let origin = match now.value_source(id) {
        Some(ValueSource::CommandLine) => Origin::CommandLine,
        Some(ValueSource::EnvVariable) => Origin::Variable(variable()),
        // From a file that a variable names, of which the option knows no more than the value.
        _ if arg.is_hide_default_value_set() => Origin::Variable(format!("{}_FILE", own_variable(name))),
        _ if kept.contains_key(name) => Origin::Page,
        _ => Origin::Default,
    };
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let shape = match () {
        () if is_switch => Shape::Switch,
        () if arg.is_hide_env_values_set() => Shape::Secret,
        () if !arg.get_possible_values().is_empty() => {
            Shape::Choice(arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect())
        }
        () => Shape::Text,
    };
    let value = given.unwrap_or_default();
    Setting {
        name: name.to_owned(),
        group,
        help: arg.get_help().map(ToString::to_string).unwrap_or_default(),
        value: if shape == Shape::Secret && !value.is_empty() { "set".into() } else { value },
        default: if is_switch { "false".into() } else { default },
        shape,
        origin,
        later,
    }
}

/// The name of an option's own variable.
fn own_variable(option: &str) -> String {
    format!("SHOEBOX_{}", option.replace('-', "_").to_uppercase())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn settings(dir: &Path, more: &[&str]) -> Settings {
        let profile = dir.to_str().unwrap();
        let args = ["shoebox", "run", "--data", "/d", "--profile", profile];
        Settings::new(args.iter().chain(more).map(OsString::from).collect(), dir)
    }

    fn keep(settings: &Settings, values: &[(&str, Option<&str>)]) -> Result<(), (String, String)> {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)));
        settings.keep(&values.collect())
    }

    fn find(settings: &Settings, name: &str) -> Setting {
        settings.list().unwrap().into_iter().find(|setting| setting.name == name).unwrap()
    }

    #[test]
    fn everything_that_is_offered_exists_and_says_what_it_does() {
        let dir = tempfile::tempdir().unwrap();
        let list = settings(dir.path(), &[]).list().unwrap();
        assert_eq!(list.len(), OFFERED.len());
        for setting in &list {
            assert!(!setting.help.is_empty(), "{}", setting.name);
            assert_eq!(setting.origin, Origin::Default, "{}", setting.name);
        }
    }

    #[test]
    fn what_the_page_sets_counts_until_somebody_says_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let own = settings(dir.path(), &[]);
        assert_eq!(own.read().unwrap().accounts[0].schedule.text(), "every 6h");
        keep(
            &own,
            &[("schedule", Some("30 3 * * *")), ("albums", Some("A;B")), ("include-shared", Some("true"))],
        )
        .unwrap();
        let now = own.read().unwrap();
        assert_eq!(now.accounts[0].schedule.text(), "30 3 * * *");
        assert_eq!(now.accounts[0].sync.options.albums.named, ["A", "B"]);
        assert!(now.accounts[0].sync.options.albums.all);
        let schedule = find(&own, "schedule");
        assert_eq!((schedule.value.as_str(), schedule.default.as_str()), ("30 3 * * *", "every 6h"));
        assert_eq!(schedule.origin, Origin::Page);
        assert_eq!(find(&own, "include-shared").value, "true");
        let told = settings(dir.path(), &["--schedule", "every 2h"]);
        assert_eq!(told.read().unwrap().accounts[0].schedule.text(), "every 2h");
        assert_eq!(find(&told, "schedule").origin, Origin::CommandLine);
        keep(&own, &[("schedule", None)]).unwrap();
        assert_eq!(own.read().unwrap().accounts[0].schedule.text(), "every 6h");
    }

    #[test]
    fn a_wrong_value_is_named_and_nothing_is_kept_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let own = settings(dir.path(), &[]);
        for (name, value) in [
            ("schedule", "now and then"),
            ("workers", "99"),
            ("method", "magic"),
            ("quiet-hours", "25:00-26:00"),
            ("tell", "pigeon://a"),
            ("tell", "ntfy://a;exec:///bin/true"),
            ("verify-within", "1d"),
            ("include-shared", "perhaps"),
        ] {
            let (wrong, why) = keep(&own, &[("jitter", Some("5m")), (name, Some(value))]).unwrap_err();
            assert_eq!(wrong, name, "{why}");
            assert!(!why.is_empty());
        }
        assert_eq!(keep(&own, &[("data", Some("/else"))]).unwrap_err().0, "data");
        assert_eq!(find(&own, "jitter").origin, Origin::Default);
    }

    #[test]
    fn secrets_are_kept_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let own = settings(dir.path(), &[]);
        keep(&own, &[("tell", Some("ntfy://secret-topic"))]).unwrap();
        assert_eq!(own.read().unwrap().tell.channels.len(), 1);
        let tell = find(&own, "tell");
        assert_eq!((tell.value.as_str(), &tell.shape), ("set", &Shape::Secret));
    }

    #[test]
    fn a_file_with_nonsense_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let own = settings(dir.path(), &[]);
        fs::write(&own.file, r#"{"schedule": "never", "workers": "2", "data": "/else"}"#).unwrap();
        let now = own.read().unwrap();
        assert_eq!(
            (now.accounts[0].schedule.text(), now.accounts[0].sync.options.limits.workers),
            ("every 6h", 2)
        );
        assert_eq!(now.data, Path::new("/d"), "what is not offered is not set");
        fs::write(&own.file, "{").unwrap();
        assert_eq!(own.read().unwrap().accounts[0].sync.options.limits.workers, 4);
    }
}
