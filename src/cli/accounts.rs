//! The file of accounts: each a table with what is its own, by the names of the options of `run`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use toml::Value;

use super::duration;
use super::remote::{MethodArg, account_name, rate};
use super::tell::{Secret, TellArgs, channels};
use crate::app::{AccountSettings, Command, RunSettings, TellSettings};
use crate::model::name::fold;
use crate::notice::Event;
use crate::notice::healthchecks::Check;
use crate::remote::net::ResolveRule;
use crate::schedule::Schedule;
use crate::sync::quiet::QuietHours;

/// What an account may say for itself; what it does not say is as for `run`.
#[derive(Parser, Debug)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Own {
    #[arg(long)]
    profile: Option<PathBuf>,
    #[arg(long)]
    schedule: Option<Schedule>,
    #[arg(long, value_parser = duration)]
    jitter: Option<Duration>,
    #[arg(long)]
    quiet_hours: Option<QuietHours>,
    #[arg(long, value_parser = duration)]
    whole_every: Option<Duration>,
    #[arg(long)]
    albums: Option<Vec<String>>,
    #[arg(long)]
    include_shared: Option<bool>,
    #[arg(long)]
    method: Option<MethodArg>,
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=32))]
    workers: Option<u8>,
    #[arg(long, value_parser = rate)]
    calls_per_second: Option<f64>,
    #[arg(long, allow_hyphen_values = true)]
    browser_arg: Option<Vec<String>>,
    #[arg(long)]
    resolve: Option<Vec<ResolveRule>>,
    #[arg(long)]
    tell: Option<Vec<Secret>>,
    #[arg(long)]
    tell_of: Option<Vec<Event>>,
    #[arg(long)]
    healthcheck: Option<Secret>,
    #[arg(long)]
    healthcheck_host: Option<String>,
}

/// The accounts of a file, each with what `run` says and what the file says for it.
///
/// # Errors
/// What is wrong with the file, in words that name the account.
pub fn read(file: &Path, run: &RunSettings) -> Result<Vec<AccountSettings>, String> {
    let base = run.accounts.first().ok_or("there is no account to begin with")?;
    let mut accounts = Vec::new();
    for (name, own) in tables(file)? {
        let made = account(&name, own, file, run, base);
        accounts.push(made.map_err(|why| format!("{}: [{name}]: {why}", file.display()))?);
    }
    apart(&accounts).map_err(|why| format!("{}: {why}", file.display()))?;
    let names: Vec<String> = accounts.iter().filter_map(|account| account.name.clone()).collect();
    for account in &mut accounts {
        let others = names.iter().filter(|name| account.name.as_ref() != Some(name));
        account.sync.options.others = others.cloned().collect();
    }
    Ok(accounts)
}

/// `shoebox tell`: whom the options name, and whom the accounts of a file name beside.
///
/// # Errors
/// As [`TellArgs::settings`] and [`read`].
pub fn tell_command(args: TellArgs, file: Option<&Path>, ca: Option<PathBuf>) -> Result<Command, String> {
    let all = args.settings()?;
    let mut settings = vec![(String::new(), all.clone())];
    if let Some(file) = file {
        let told = told(file, &all).map_err(|why| format!("--accounts: {why}"))?;
        settings.extend(told.into_iter().filter(|(_, own)| own.is_more_than(&all)));
    }
    Ok(Command::Tell { settings, ca })
}

/// Whom the accounts of a file tell, by their names.
fn told(file: &Path, all: &TellSettings) -> Result<Vec<(String, TellSettings)>, String> {
    let of = |(name, own)| {
        let tell = tell(&own, all).map_err(|why| format!("{}: [{name}]: {why}", file.display()))?;
        Ok((name, tell))
    };
    tables(file)?.into_iter().map(of).collect()
}

/// What the accounts of a file say, by their names; at least one.
fn tables(file: &Path) -> Result<Vec<(String, Own)>, String> {
    let text = fs::read_to_string(file).map_err(|e| format!("{} cannot be read: {e}", file.display()))?;
    let tables: BTreeMap<String, toml::Table> = toml::from_str(&text).map_err(|e| {
        // Its own text would show the line, which may hold a secret.
        let line = e.span().map_or(1, |at| text[..at.start.min(text.len())].lines().count().max(1));
        format!("{}, line {line}: {}", file.display(), e.message())
    })?;
    if tables.is_empty() {
        return Err(format!("{} names no account: begin one with a line `[NAME]`", file.display()));
    }
    let own = |(name, table): (String, toml::Table)| {
        let why = |why: String| format!("{}: [{name}]: {why}", file.display());
        account_name(&name).map_err(why)?;
        let own =
            arguments(&table).and_then(|arguments| Own::try_parse_from(arguments).map_err(|e| in_words(&e)));
        let mut own = own.map_err(why)?;
        // Nothing at all is said by no argument.
        let is_empty = |key| table.get(key).and_then(Value::as_array).is_some_and(Vec::is_empty);
        own.albums = own.albums.or(is_empty("albums").then(Vec::new));
        own.tell = own.tell.or(is_empty("tell").then(Vec::new));
        own.tell_of = own.tell_of.or(is_empty("tell-of").then(Vec::new));
        Ok((name, own))
    };
    tables.into_iter().map(own).collect()
}

/// A table as a command line would say it.
fn arguments(table: &toml::Table) -> Result<Vec<String>, String> {
    let mut arguments = Vec::new();
    for (key, value) in table {
        let values = match value {
            Value::Array(values) => values.as_slice(),
            one => std::slice::from_ref(one),
        };
        for value in values {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Boolean(is) => is.to_string(),
                Value::Integer(number) => number.to_string(),
                Value::Float(number) => number.to_string(),
                _ => {
                    return Err(format!(
                        "`{key}` is neither text nor a number, `true`, `false` or a list of such"
                    ));
                }
            };
            arguments.push(format!("--{key}={text}"));
        }
    }
    Ok(arguments)
}

/// What the parser has to say, in the words of the file.
fn in_words(error: &clap::Error) -> String {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let key = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(arg)) => {
            arg.trim_start_matches('-').split([' ', '=']).next().unwrap_or_default().to_owned()
        }
        _ => String::new(),
    };
    match error.kind() {
        ErrorKind::UnknownArgument => format!("an account has no setting `{key}`"),
        ErrorKind::ArgumentConflict => format!("`{key}` has one value, not a list"),
        _ => {
            let said = std::error::Error::source(error).map(ToString::to_string);
            // Its own message would quote the value, which may be a secret.
            format!("`{key}`: {}", said.unwrap_or_else(|| "this is not one of its values".into()))
        }
    }
}

fn account(
    name: &str,
    own: Own,
    file: &Path,
    run: &RunSettings,
    base: &AccountSettings,
) -> Result<AccountSettings, String> {
    let tell = tell(&own, &base.tell)?;
    let mut account = AccountSettings { name: Some(name.to_owned()), tell, ..base.clone() };
    let beside = |path: PathBuf| file.parent().map_or_else(|| path.clone(), |folder| folder.join(&path));
    let sync = &mut account.sync;
    sync.profile = match own.profile {
        Some(path) => beside(path),
        None => {
            let mut folder = run.home.file_name().unwrap_or_default().to_owned();
            folder.push(format!("-{name}"));
            run.home.with_file_name(folder)
        }
    };
    sync.options.name = Some(name.to_owned());
    let limits = &mut sync.options.limits;
    limits.quiet = own.quiet_hours.or(limits.quiet);
    limits.workers = own.workers.map_or(limits.workers, usize::from);
    limits.calls_per_second = own.calls_per_second.unwrap_or(limits.calls_per_second);
    sync.options.whole_every = own.whole_every.unwrap_or(sync.options.whole_every);
    // Whoever names albums means these, not those of the others.
    if own.albums.is_some() || own.include_shared.is_some() {
        sync.options.albums.named = own.albums.unwrap_or_default();
        sync.options.albums.all = own.include_shared.unwrap_or(false);
    }
    sync.method = own.method.map_or(sync.method, MethodArg::method);
    sync.browser.args.extend(own.browser_arg.unwrap_or_default());
    if let Some(resolve) = own.resolve {
        sync.browser.resolve = resolve;
    }
    account.schedule = own.schedule.unwrap_or(account.schedule);
    account.jitter = own.jitter.unwrap_or(account.jitter);
    Ok(account)
}

/// Whom an account tells.
fn tell(own: &Own, all: &TellSettings) -> Result<TellSettings, String> {
    let mut tell = all.clone();
    if let Some(own) = &own.tell {
        tell.channels = channels(own).map_err(|why| format!("`tell`: {why}"))?;
    }
    if let Some(events) = &own.tell_of {
        tell.events = events.iter().copied().collect();
    }
    if let Some(id) = &own.healthcheck {
        let host = own.healthcheck_host.as_ref().or(tell.check_host.as_ref());
        let check = Check::new(host.map(String::as_str), &id.0);
        tell.check = Some(check.map_err(|why| format!("`healthcheck`: {why}"))?);
    }
    Ok(tell)
}

/// No two accounts are one.
fn apart(accounts: &[AccountSettings]) -> Result<(), String> {
    for (at, one) in accounts.iter().enumerate() {
        for other in &accounts[..at] {
            let names = [one, other].map(|account| account.name.clone().unwrap_or_default());
            let [a, b] = &names;
            if fold(a) == fold(b) {
                return Err(format!("[{a}] and [{b}] are one name"));
            }
            if one.sync.profile == other.sync.profile {
                let profile = one.sync.profile.display();
                return Err(format!("[{a}] and [{b}] have one profile, {profile}: each login needs its own"));
            }
            if one.tell.check.is_some() && one.tell.check == other.tell.check {
                return Err(format!(
                    "[{a}] and [{b}] ping one check, where one's success hides the other's failure: give each a \
                     `healthcheck` of its own"
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::app::Source as _;
    use crate::cli::settings::Settings;

    fn run(dir: &Path, file: &str, more: &[&str]) -> Result<RunSettings, String> {
        fs::write(dir.join("accounts.toml"), file).unwrap();
        let accounts = dir.join("accounts.toml");
        let args = ["shoebox", "run", "--data", "/d", "--profile", "/c/profile", "--accounts"];
        let args = args.iter().map(Into::into).chain([accounts.into_os_string()]);
        Settings::new(args.chain(more.iter().map(Into::into)).collect(), dir).read()
    }

    #[test]
    fn each_account_has_what_it_says_and_else_what_is_said_for_all() {
        let dir = tempfile::tempdir().unwrap();
        let file = r#"
            [Anna]
            profile = "profile"
            [Ben]
            schedule = "30 3 * * *"
            albums = ["Wedding; and more", "KEY"]
            tell = ["ntfy://ben"]
            tell-of = ["sign-in-needed"]
            healthcheck = "0b1d2c3e-0000-4000-8000-000000000000"
            workers = 2
            calls-per-second = 0.5
            browser-arg = ["--proxy-server=http://10.0.0.1"]
            ["Cleo Ω"]
            include-shared = true
            method = "viewer"
            tell = []
            quiet-hours = "18:00-23:30"
        "#;
        let more = ["--albums", "Trip", "--tell", "ntfy://all", "--schedule", "every 2h", "--workers", "3"];
        let now = run(dir.path(), file, &more).unwrap();
        let [anna, ben, cleo] = &now.accounts[..] else { panic!("{:?}", now.accounts) };
        assert_eq!(anna.name.as_deref(), Some("Anna"));
        assert_eq!(anna.sync.profile, dir.path().join("profile"));
        assert_eq!((anna.schedule.text(), anna.sync.options.limits.workers), ("every 2h", 3));
        assert_eq!((anna.sync.options.albums.named.len(), anna.tell.channels.len()), (1, 1));
        assert_eq!(ben.sync.profile, Path::new("/c/profile-Ben"));
        assert_eq!(ben.sync.options.name.as_deref(), Some("Ben"));
        assert_eq!(ben.schedule.text(), "30 3 * * *");
        assert_eq!(ben.sync.options.albums.named, ["Wedding; and more", "KEY"]);
        assert_eq!((ben.tell.events.len(), ben.sync.options.limits.workers), (1, 2));
        assert!(ben.tell.check.is_some() && anna.tell.check.is_none());
        assert_eq!(ben.sync.browser.args, ["--proxy-server=http://10.0.0.1"]);
        assert!(cleo.sync.options.albums.all && cleo.sync.options.albums.named.is_empty());
        assert!(cleo.sync.options.limits.quiet.is_some() && ben.sync.options.limits.quiet.is_none());
        assert!(cleo.tell.channels.is_empty(), "an empty list is nobody");
        assert_eq!(cleo.sync.options.others, ["Anna", "Ben"]);
        let told = told(&dir.path().join("accounts.toml"), &now.tell).unwrap();
        let reached: Vec<_> = told.iter().filter(|(_, own)| own.is_more_than(&now.tell)).collect();
        assert_eq!((reached.len(), reached[0].0.as_str()), (1, "Ben"));
        // What concerns the archive goes where `run` says.
        assert_eq!((now.tell.channels.len(), now.home.as_path()), (1, Path::new("/c/profile")));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_account_and_without_its_secrets() {
        let dir = tempfile::tempdir().unwrap();
        for (file, said) in [
            ("", "names no account"),
            ("[A]\nschedule = \"now and then\"", "[A]: `schedule`: "),
            ("[A]\ncolour = \"red\"", "[A]: an account has no setting `colour`"),
            ("[A]\ndata = \"/else\"", "no setting `data`"),
            ("[A]\nworkers = [1, 2]", "`workers` has one value"),
            ("[A]\nworkers = 99", "`workers`: "),
            ("[A]\nmethod = \"magic\"", "`method`: "),
            ("[A]\ntell = \"pigeon://secret\"", "`tell`: "),
            ("[A]\nhealthcheck = \"http//secret\"", "`healthcheck`: "),
            ("[A]\n[a]", "are one name"),
            ("[A]\nprofile = \"p\"\n[B]\nprofile = \"p\"", "have one profile"),
            ("[\"117\"]", "not only digits"),
            ("[\"a/b\"]", "a name has"),
            ("[Local]", "was adopted"),
            ("[A", "accounts.toml"),
            ("schedule = \"every 6h\"", "accounts.toml"),
        ] {
            let why = run(dir.path(), file, &[]).unwrap_err();
            assert!(why.contains(said) && why.starts_with("--accounts: "), "{file}: {why}");
            assert!(!why.contains("secret"), "{why}");
        }
        // A line of the file may hold a secret.
        let why = run(dir.path(), "\n\ntell = \"tgram://secret\" x", &[]).unwrap_err();
        assert!(why.contains("line 3") && !why.contains("secret"), "{why}");
        let one_check = ["--healthcheck", "0b1d2c3e-0000-4000-8000-000000000000"];
        let why = run(dir.path(), "[A]\n[B]", &one_check).unwrap_err();
        assert!(why.contains("hides the other's failure"), "{why}");
        run(dir.path(), "[A]", &one_check).unwrap();
    }
}
