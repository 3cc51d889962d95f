//! Variables beyond the ones that each option has: names that people bring from other programs, secrets in files, and
//! variables that are set to nothing, which compose files are full of.

use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use clap::builder::Resettable;
use clap::{Arg, Command};

/// Names from other programs, by option. Ours comes first.
const ALSO: &[(&str, &[&str])] = &[
    ("schedule", &["CRON_SCHEDULE", "CRON", "SCHEDULE"]),
    ("log", &["LOGLEVEL", "LOG_LEVEL"]),
    ("workers", &["WORKER_COUNT"]),
    ("healthcheck", &["HEALTHCHECK_ID", "HEALTHCHECKS_CHECK_ID", "HEALTH_CHECK_URL"]),
    ("healthcheck-host", &["HEALTHCHECK_HOST"]),
];
/// Longest file that holds a value, bytes.
const LONGEST: u64 = 64 * 1024;

/// Lets every option of a command take its value from whichever variable has one: its own, the same with `_FILE` (the
/// value is in the file of that name), one of another program. An empty variable is none. `variable` looks one up.
///
/// # Errors
/// When a file cannot be read.
pub fn respect(command: Command, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Command, String> {
    let mut wrong = None;
    let command = everywhere(command, &mut |arg| {
        let Some(own) = arg.get_env().and_then(|name| name.to_str()).map(str::to_owned) else { return arg };
        let value = |name: &str| variable(name).filter(|value| !value.is_empty());
        if value(&own).is_some() {
            return arg;
        }
        let file = format!("{own}_FILE");
        if let Some(path) = value(&file) {
            // What is in a file is not for everybody's eyes.
            return match read(Path::new(&path)) {
                Ok(text) => arg.env(Resettable::Reset).default_value(text).hide_default_value(true),
                Err(why) => {
                    wrong = Some(format!("{file}={}: {why}", Path::new(&path).display()));
                    arg
                }
            };
        }
        let also = ALSO.iter().find(|(option, _)| arg.get_long() == Some(option)).map(|(_, names)| *names);
        match also.into_iter().flatten().find(|name| value(name).is_some()) {
            Some(other) => arg.env(*other),
            // Clap would take an empty one for a value.
            None if variable(&own).is_some() => arg.env(Resettable::Reset),
            None => arg,
        }
    });
    wrong.map_or(Ok(command), Err)
}

fn everywhere(command: Command, change: &mut dyn FnMut(Arg) -> Arg) -> Command {
    let command = command.mut_args(&mut *change);
    command.mut_subcommands(|sub| everywhere(sub, change))
}

/// The one line in a file.
fn read(path: &Path) -> Result<String, String> {
    let file = fs::File::open(path).map_err(|e| e.to_string())?;
    let mut text = String::new();
    file.take(LONGEST + 1).read_to_string(&mut text).map_err(|e| e.to_string())?;
    if text.len() as u64 > LONGEST {
        return Err(format!("longer than {LONGEST} bytes"));
    }
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() { Err("nothing is in it".into()) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeMap;

    fn command() -> Command {
        let schedule = Arg::new("schedule").long("schedule").env("SHOEBOX_SCHEDULE").default_value("6h");
        Command::new("shoebox").subcommand(Command::new("run").arg(schedule))
    }

    fn respected(given: &[(&'static str, &str)]) -> Result<Command, String> {
        let given: BTreeMap<_, _> =
            given.iter().map(|(name, value)| (*name, OsString::from(value))).collect();
        respect(command(), &|name| given.get(name).cloned())
    }

    fn variable(given: &[(&'static str, &str)]) -> Option<String> {
        let command = respected(given).unwrap();
        let run = command.find_subcommand("run").unwrap();
        let arg = run.get_arguments().find(|arg| arg.get_id() == "schedule").unwrap();
        arg.get_env().map(|name| name.to_str().unwrap().to_owned())
    }

    #[test]
    fn names_of_other_programs_are_understood_and_ours_comes_first() {
        assert_eq!(variable(&[]).as_deref(), Some("SHOEBOX_SCHEDULE"));
        assert_eq!(variable(&[("CRON", "0 3 * * *")]).as_deref(), Some("CRON"));
        let both = [("CRON", "0 3 * * *"), ("SHOEBOX_SCHEDULE", "6h")];
        assert_eq!(variable(&both).as_deref(), Some("SHOEBOX_SCHEDULE"));
        let empty = [("CRON", ""), ("CRON_SCHEDULE", "0 4 * * *"), ("SHOEBOX_SCHEDULE", "")];
        assert_eq!(variable(&empty).as_deref(), Some("CRON_SCHEDULE"));
        assert_eq!(variable(&[("SHOEBOX_SCHEDULE", "")]), None, "an empty variable is a value");
    }

    #[test]
    fn a_value_may_be_in_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("schedule");
        fs::write(&path, "30 3 * * *\n").unwrap();
        let command = respected(&[("SHOEBOX_SCHEDULE_FILE", path.to_str().unwrap())]).unwrap();
        let help = command.clone().find_subcommand_mut("run").unwrap().render_help().to_string();
        assert!(!help.contains("30 3"), "{help}");
        let given = command.get_matches_from(["shoebox", "run"]);
        let run = given.subcommand_matches("run").unwrap();
        assert_eq!(run.get_one::<String>("schedule").unwrap(), "30 3 * * *");
        for (name, bytes) in [("absent", None), ("empty", Some(vec![])), ("large", Some(vec![b'x'; 70_000]))]
        {
            let path = dir.path().join(name);
            if let Some(bytes) = bytes {
                fs::write(&path, bytes).unwrap();
            }
            let error = respected(&[("SHOEBOX_SCHEDULE_FILE", path.to_str().unwrap())]).unwrap_err();
            assert!(error.contains("SHOEBOX_SCHEDULE_FILE") && error.contains(name), "{error}");
        }
    }
}
