//! `shoebox run`: what the container starts.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use futures_util::future::{OptionFuture, join_all, try_join_all};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::home::Home;
use super::passes::Passes;
use super::tell::{self, Tell};
use super::{AccountSettings, RunSettings, Source, filled, mount, replica, second_copy, upkeep};
use crate::exit;
use crate::login::Word;
use crate::login::desk::{self, Desk};
use crate::notice::Event;
use crate::notice::http::Client;
use crate::serve::door::Door;
use crate::serve::tls::{Certificate, Greeted};
use crate::serve::{self, Account, Appliance, Offered, State};
use crate::signals;
use crate::sync::Shared;

/// How long the end waits for the page's last answers, and for a sign-in to close its browser.
const LAST_ANSWER: Duration = Duration::from_secs(1);
const LAST_SIGN_IN: Duration = Duration::from_secs(6);
const LAST_SENT: Duration = Duration::from_secs(6);
/// How long the end waits for a file that is being read.
const LAST_READ: Duration = Duration::from_secs(3);

/// Syncs on schedule, shows the view and the status page until asked to stop.
pub async fn until_stopped(settings: RunSettings, source: Arc<dyn Source>) -> anyhow::Result<u8> {
    let stop = signals::stop_token()?;
    let hangup = Arc::new(Notify::new());
    signals::on_hangup(Arc::clone(&hangup))?;
    if let Some(view) = &settings.view {
        // First of all: whatever goes wrong now, nobody takes it for an empty library.
        crate::view::mountpoint::prepare(view, &settings.data)?;
    }
    if settings.init && is_empty(&settings.data) {
        for account in &settings.accounts {
            filled::refuse_second(&account.sync.profile, &settings.data)?;
        }
        super::make_archive(&settings.data)?;
        tracing::info!("made a new archive in {}", settings.data.display());
    }
    let archive = Arc::new(super::open(&settings.data)?);
    for account in &settings.accounts {
        match filled::refuse_other(&account.sync.profile, archive.store.id(), &settings.data) {
            // One person's trouble is not the others'; each of their passes says it again.
            Err(why) if settings.accounts.len() > 1 => tracing::error!("{}: {why}", called(account)),
            other => other?,
        }
    }
    if is_left_out(&settings) {
        tracing::warn!(
            "the login in {} is that of no account: give one of them this profile to go on with it",
            settings.home.display()
        );
    }
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen on {}", settings.listen))?;
    let mounted = match &settings.view {
        Some(view) => {
            let (archive, view) = (Arc::clone(&archive), view.clone());
            let how = settings.view_settings.clone();
            Some(tokio::task::spawn_blocking(move || mount::start(&archive, &view, &how)).await??)
        }
        None => None,
    };
    let home = &settings.home;
    private_dir(home)?;
    let client = tell::client(settings.browser.ca.as_deref())?;
    let told = home.join("shoebox-told.json");
    let tell = Arc::new(Tell::new(None, settings.tell.clone(), client.clone(), &told, super::clock()));
    let mut people = Vec::new();
    for account in &settings.accounts {
        people.push(person(account, &tell, &client)?);
    }
    let door = Door::open(&home.join("shoebox-door.json"), settings.password.as_deref(), super::clock())?;
    let certificate = match &settings.tls {
        Some(tls) => {
            let names = names(settings.listen, settings.tell.url.as_deref());
            let certificate = Certificate::open(tls, home, &names).map_err(|why| anyhow!("--tls: {why}"))?;
            Some(Arc::new(certificate))
        }
        None => None,
    };
    let state = Arc::new(State::new(Appliance {
        archive: Arc::clone(&archive),
        view: settings.view.clone(),
        home: home.clone(),
        accounts: people.iter().map(|(account, _)| Arc::clone(account)).collect(),
        browser: settings.browser.clone(),
        door: Arc::new(door),
        novnc: settings.novnc.clone(),
        tls: certificate.is_some(),
        settings: Arc::clone(&source) as Arc<dyn Offered>,
        stop: stop.clone(),
    }));
    let mut page = open_page(listener, certificate, &state, &stop)?;
    let hangups = tokio::spawn(pass_on(hangup, Arc::clone(&state)));
    let home = match settings.tell.broker.clone() {
        Some(broker) => {
            let (ca, url) = (settings.browser.ca.as_deref(), settings.tell.url.as_deref());
            let home = Home::begin(broker, ca, Arc::clone(&state), url);
            // Who has set it on the page must be able to mend it there.
            home.inspect_err(|e| tracing::error!("Home Assistant is not told: {e:#}")).ok()
        }
        None => None,
    };
    let passed = [Arc::new(Notify::new()), Arc::new(Notify::new())];
    let mut how_kept = settings.upkeep.clone();
    if let Some(upkeep) = &mut how_kept {
        upkeep.copies = replica::copies(&settings.copies);
    }
    let kept = upkeep::keep_up(
        Arc::clone(&archive),
        how_kept,
        Arc::clone(&passed[0]),
        Arc::clone(&tell),
        stop.clone(),
    );
    let kept_twice = settings.replicate.clone().map(|settings| {
        let (archive, passed) = (Arc::clone(&archive), Arc::clone(&passed[1]));
        second_copy::keep(archive, settings, passed, Arc::clone(&tell), stop.clone())
    });
    // Two passes may go on at the same time: a first one takes days, and the others are not to wait for it.
    let shared = Shared::default();
    for (account, _) in &people {
        // Whoever was there first is whom a profile of the same account is told of.
        if let Some(known) = account.desk.login().state.account() {
            let _same = shared.is_signed_in(account.noted_as(), known);
        }
    }
    let owners: Vec<_> = people.iter().map(|(_, tell)| Arc::clone(tell)).collect();
    let passes = people.iter().zip(&settings.accounts).map(async |((account, voice), settings)| {
        let passes = Passes {
            archive: &archive,
            state: &state,
            account,
            tell: voice,
            herald: &tell,
            voices: &owners,
            passed: &passed,
            stop: &stop,
        };
        let mut settings = settings.clone();
        settings.sync.options.shared = shared.clone();
        passes.go_on(&settings, &*source).await
    });
    try_join_all(passes).await?;
    drop(owners);
    // All at the same time: whoever stops us waits ten seconds at most.
    let (_in_time, ended, _at_rest, _said, _sent) = tokio::join!(
        // A file that is being read may be large: nobody waits for it, and what was not saved is read again.
        tokio::time::timeout(LAST_READ, kept),
        tokio::time::timeout(LAST_ANSWER, &mut page),
        // Whoever signs in right now has a browser that must write down its cookies.
        tokio::time::timeout(LAST_SIGN_IN, join_all(people.iter().map(|(account, _)| account.desk.turn()))),
        OptionFuture::from(home.map(Home::end)),
        // What is on its way to the replica would have to be sent again.
        OptionFuture::from(kept_twice.map(|task| tokio::time::timeout(LAST_SENT, task))),
    );
    match ended {
        Ok(ended) => ended?.context("the page failed")?,
        // Somebody holds a connection open.
        Err(_) => page.abort(),
    }
    if let Some(mounted) = mounted {
        tokio::task::spawn_blocking(move || mounted.stop()).await??;
    }
    hangups.abort();
    let _gone = hangups.await;
    drop(state);
    let mut voices = vec![tell];
    for (account, tell) in people {
        // Its desk speaks through it.
        drop(account);
        voices.push(tell);
    }
    voices.dedup_by(|a, b| Arc::ptr_eq(a, b));
    join_all(voices.into_iter().filter_map(Arc::into_inner).map(Tell::finish)).await;
    super::close(archive)?;
    Ok(exit::OK)
}

fn called(account: &AccountSettings) -> &str {
    account.name.as_deref().unwrap_or_default()
}

/// An account, and who tells its owner.
fn person(
    settings: &AccountSettings,
    tell: &Arc<Tell>,
    client: &Client,
) -> anyhow::Result<(Arc<Account>, Arc<Tell>)> {
    let (name, profile) = (settings.name.clone(), &settings.sync.profile);
    match private_dir(profile) {
        Err(why) if name.is_some() => tracing::error!("{}: {why:#}", called(settings)),
        other => other?,
    }
    let tell = match &name {
        // What concerns the archive and what concerns its one account is told by the same voice.
        None => Arc::clone(tell),
        Some(name) => {
            let told = profile.join("shoebox-told-account.json");
            Arc::new(Tell::new(
                Some(name.clone()),
                settings.tell.clone(),
                client.clone(),
                &told,
                super::clock(),
            ))
        }
    };
    let browser = settings.sync.browser.clone();
    let desk = Desk::new(browser, profile, &std::env::temp_dir(), super::clock(), voice(&tell));
    Ok((Arc::new(Account::new(name, profile.clone(), Arc::new(desk))), tell))
}

/// Whether there is a login where there would be one account's, and none of several uses it.
fn is_left_out(settings: &RunSettings) -> bool {
    let home = settings.home.canonicalize().ok();
    let is_home = |account: &AccountSettings| account.sync.profile.canonicalize().ok() == home;
    home.is_some() && filled::has_filled(&settings.home) && !settings.accounts.iter().any(is_home)
}

/// A hangup concerns everybody.
async fn pass_on(hangup: Arc<Notify>, state: Arc<State>) {
    loop {
        hangup.notified().await;
        state.reread();
    }
}

/// Serves the page, encrypted if there is a certificate.
fn open_page(
    listener: TcpListener,
    certificate: Option<Arc<Certificate>>,
    state: &Arc<State>,
    stop: &CancellationToken,
) -> anyhow::Result<JoinHandle<std::io::Result<()>>> {
    let (at, state, stop) = (listener.local_addr()?, Arc::clone(state), stop.clone());
    let Some(certificate) = certificate else {
        tracing::info!("the page is at http://{at}/");
        return Ok(tokio::spawn(serve::web::serve(listener, state, stop)));
    };
    tracing::info!("the page is at https://{at}/; SHA-256 of its certificate: {}", certificate.fingerprint());
    Ok(tokio::spawn(serve::web::serve(Greeted::new(listener, certificate)?, state, stop)))
}

/// Names under which the page may be asked for.
fn names(listen: SocketAddr, url: Option<&str>) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.push(rustix::system::uname().nodename().to_string_lossy().into_owned());
    names.extend((!listen.ip().is_unspecified()).then(|| listen.ip().to_string()));
    let url = url.and_then(|url| reqwest::Url::parse(url).ok());
    names.extend(url.and_then(|url| Some(url.host_str()?.trim_matches(['[', ']']).to_owned())));
    // What is no name of a host cannot be in a certificate.
    names.retain(|name| rustls::pki_types::ServerName::try_from(name.as_str()).is_ok());
    names.sort();
    names.dedup();
    names
}

fn is_empty(dir: &std::path::Path) -> bool {
    match std::fs::read_dir(dir) {
        // A fresh ext4 volume holds this and nothing else.
        Ok(entries) => entries.flatten().all(|entry| entry.file_name() == "lost+found"),
        Err(e) => e.kind() == std::io::ErrorKind::NotFound,
    }
}

/// How the login speaks to people.
fn voice(tell: &Arc<Tell>) -> desk::Listener {
    let tell = Arc::clone(tell);
    Box::new(move |word, login| {
        let text = serve::login_in_words(login);
        match word {
            Word::SignIn => tell.tell(Event::SignInNeeded, false, "Please sign in to Google again", &text),
            Word::StillSignIn => {
                tell.tell(Event::SignInNeeded, true, "Please sign in to Google again", &text)
            }
            Word::Recovered => tell.tell(Event::Recovered, false, "Signed in again", &text),
        }
    })
}

/// A directory for nobody else's eyes.
fn private_dir(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make the profile directory {}", path.display()))
}

/// Asks a running `run` whether it is well.
pub async fn health(listen: SocketAddr, tls: bool) -> anyhow::Result<u8> {
    crate::remote::net::install_tls();
    let mut at = listen;
    if at.ip().is_unspecified() {
        at.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        // Its certificate is for the names that people use. Nothing is sent that anybody could want.
        .tls_danger_accept_invalid_certs(true)
        .build()?;
    let scheme = if tls { "https" } else { "http" };
    let answer = client
        .get(format!("{scheme}://{at}/healthz"))
        .send()
        .await
        .with_context(|| format!("no `shoebox run` answers on {at}"))?;
    let well = answer.status().is_success();
    print!("{}", answer.text().await?);
    Ok(if well { exit::OK } else { exit::FAILURE })
}
