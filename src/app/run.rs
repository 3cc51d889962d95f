//! `shoebox run`: what the container starts.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::rounds::{Ended, Rounds, wait_until};
use super::tell::{self, Tell};
use super::{RunSettings, filled, mount, sync, upkeep};
use crate::archive::Archive;
use crate::exit;
use crate::login::desk::{self, Desk};
use crate::login::{Finding, Word};
use crate::model::{Clock as _, SystemClock};
use crate::notice::Event;
use crate::remote::browser::cookie_jar;
use crate::schedule::Schedule;
use crate::serve::door::Door;
use crate::serve::{self, State};
use crate::signals;
use crate::sync::progress::Progress;
use crate::sync::report::{Outcome, SyncReport};

/// How often a full volume is looked at.
const LOOK_FOR_ROOM: Duration = Duration::from_secs(10);
/// How long the end waits for the page's last answers, and for a sign-in to close its browser.
const LAST_ANSWER: Duration = Duration::from_secs(1);
const LAST_SIGN_IN: Duration = Duration::from_secs(6);
/// How often a login that needs somebody, or a visit that failed, is looked at again.
const BETWEEN_LOOKS: SignedDuration = SignedDuration::from_hours(1);
/// How long the end waits for a file that is being read.
const LAST_READ: Duration = Duration::from_secs(3);

/// Syncs on schedule, shows the view and the status page until asked to stop.
pub async fn until_stopped(settings: RunSettings) -> anyhow::Result<u8> {
    let stop = signals::stop_token()?;
    if let Some(view) = &settings.view {
        // First of all: whatever goes wrong now, nobody takes it for an empty library.
        crate::view::mountpoint::prepare(view, &settings.data)?;
    }
    if settings.init && is_empty(&settings.data) {
        filled::refuse_second(&settings.sync.profile, &settings.data)?;
        super::make_archive(&settings.data)?;
        tracing::info!("made a new archive in {}", settings.data.display());
    }
    let archive = Arc::new(super::open(&settings.data)?);
    filled::refuse_other(&settings.sync.profile, archive.store.id(), &settings.data)?;
    let listener = tokio::net::TcpListener::bind(settings.listen)
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
    let profile = &settings.sync.profile;
    private_dir(profile)?;
    let told = profile.join("shoebox-told.json");
    let client = tell::client(settings.sync.browser.ca.as_deref())?;
    let tell = Arc::new(Tell::new(settings.tell.clone(), client, &told, super::clock()));
    let desk = Arc::new(Desk::new(
        settings.sync.browser.clone(),
        profile,
        &std::env::temp_dir(),
        super::clock(),
        voice(&tell),
    ));
    let door = Door::open(&profile.join("shoebox-door.json"), settings.password.as_deref(), super::clock())?;
    let state = Arc::new(State::new(
        Arc::clone(&archive),
        settings.view.clone(),
        Arc::new(door),
        Arc::clone(&desk),
        settings.novnc.clone(),
        stop.clone(),
    ));
    tracing::info!("the page is at http://{}/", listener.local_addr()?);
    let mut page = tokio::spawn(serve::web::serve(listener, Arc::clone(&state), stop.clone()));
    let passed = Arc::new(Notify::new());
    let kept = upkeep::keep_up(
        Arc::clone(&archive),
        settings.upkeep.clone(),
        Arc::clone(&passed),
        Arc::clone(&tell),
        stop.clone(),
    );
    repeat(&settings, &archive, &state, &desk, &tell, &passed, &stop).await?;
    // All at the same time: whoever stops us waits ten seconds at most.
    let (_in_time, ended, _at_rest) = tokio::join!(
        // A file that is being read may be large: nobody waits for it, and what was not saved is read again.
        tokio::time::timeout(LAST_READ, kept),
        tokio::time::timeout(LAST_ANSWER, &mut page),
        // Whoever signs in right now has a browser that must write down its cookies.
        tokio::time::timeout(LAST_SIGN_IN, desk.turn()),
    );
    match ended {
        Ok(ended) => ended?.context("the page failed")?,
        // Somebody holds a connection open.
        Err(_) => page.abort(),
    }
    if let Some(mounted) = mounted {
        tokio::task::spawn_blocking(move || mounted.stop()).await??;
    }
    drop((state, desk));
    if let Ok(tell) = Arc::try_unwrap(tell) {
        tell.finish().await;
    }
    super::close(archive)?;
    Ok(exit::OK)
}

fn is_empty(dir: &std::path::Path) -> bool {
    match std::fs::read_dir(dir) {
        // A fresh ext4 volume holds this and nothing else.
        Ok(entries) => entries.flatten().all(|entry| entry.file_name() == "lost+found"),
        Err(e) => e.kind() == std::io::ErrorKind::NotFound,
    }
}

async fn repeat(
    settings: &RunSettings,
    archive: &Arc<Archive>,
    state: &State,
    desk: &Desk,
    tell: &Tell,
    passed: &Notify,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let clock = SystemClock;
    let runs = archive.index.reader()?.last_runs(1)?;
    let mut rounds =
        Rounds::after(&runs, settings.schedule.clone(), settings.jitter, jiff::tz::TimeZone::system());
    let mut next = rounds.next(clock.now());
    let mut before = None;
    tracing::info!("{}", plan(&settings.schedule, next, clock.now()));
    if settings.schedule.is_hasty() {
        tracing::warn!("so many runs bring nothing, and Google may take them amiss: every hour is plenty");
    }
    loop {
        state.due(next);
        wait_for_turn(next, desk, &clock, stop).await;
        let turn = tokio::select! {
            turn = desk.turn() => turn,
            () = stop.cancelled() => return Ok(()),
        };
        if stop.is_cancelled() {
            return Ok(());
        }
        let began = clock.now();
        // Who has signed in before this run need not start another.
        let _heard = desk.signed_in.notified().now_or_never();
        let run = tell.run_begins();
        let progress = Arc::new(Progress::default());
        state.begins(Arc::clone(&progress));
        let ended = sync::pass(archive, &settings.sync, &progress, stop).await.map_err(|e| e.to_string());
        let how = Ended::of(ended.as_ref().ok().map(SyncReport::outcome));
        match &ended {
            Err(e) => tracing::error!("the run could not start: {e}"),
            // Said once: the same line every hour is one that nobody reads.
            Ok(report) if how == Ended::SignInNeeded && before == Some(how) => {
                tracing::debug!("{}", report.sentence());
            }
            Ok(report) if how == Ended::SignInNeeded => tracing::warn!("{}", report.sentence()),
            Ok(report) => tracing::info!("{}", report.sentence()),
        }
        drop(turn);
        desk.observe(finding(&ended, &settings.sync.profile));
        tell.run_ended(run, &ended);
        next = rounds.ended(began, how, clock.now());
        before = Some(how);
        state.ended(ended.clone());
        state.due(next);
        passed.notify_one();
        if let Ok(report) = &ended
            && let Outcome::DiskFull { needed, .. } = report.outcome()
            && has_room_before(next, archive, *needed, desk, &clock, stop).await
        {
            next = clock.now();
        }
    }
}

/// Waits until the next pass is due, or somebody has signed in; visits the library meanwhile, if that is due, and
/// reminds whoever is needed.
async fn wait_for_turn(next: Timestamp, desk: &Desk, clock: &SystemClock, stop: &CancellationToken) {
    let mut tried: Option<Timestamp> = None;
    while clock.now() < next && !stop.is_cancelled() {
        let after = |at: Timestamp| at.checked_add(BETWEEN_LOOKS).unwrap_or(next);
        // What came to nothing is tried again in an hour.
        let visit = desk.login().visit_due().map(|due| tried.map_or(due, |tried| due.max(after(tried))));
        let until = visit.unwrap_or(next).min(next).min(after(clock.now()));
        tokio::select! {
            () = wait_until(until, clock, stop) => {}
            () = desk.signed_in.notified() => return,
        }
        desk.remind();
        if visit.is_some_and(|due| due <= clock.now()) && clock.now() < next && !stop.is_cancelled() {
            tried = Some(clock.now());
            tokio::select! {
                turn = desk.turn() => desk.visit(&turn, stop).await,
                () = stop.cancelled() => return,
            }
        }
    }
}

/// What a pass has found out about the login.
fn finding(ended: &Result<SyncReport, String>, profile: &Path) -> Finding {
    let Ok(report) = ended else { return Finding::Unclear };
    match (report.outcome(), &report.account) {
        (Outcome::SignInNeeded(why), _) => Finding::signed_out(why),
        (_, Some(account)) => Finding::SignedIn {
            account: account.clone(),
            renewal_refused: cookie_jar::is_stale(profile, SystemClock.now()),
        },
        _ => Finding::Unclear,
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

/// What the log says at the start.
fn plan(schedule: &Schedule, next: Timestamp, now: Timestamp) -> String {
    let when = if next <= now {
        "begins now".to_owned()
    } else {
        format!("begins at {}", next.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M %Z"))
    };
    format!("runs by the schedule `{}`; the next one {when}", schedule.text())
}

/// Waits until the volume has room again, for as long as the next pass is away.
async fn has_room_before(
    next: Timestamp,
    archive: &Archive,
    needed: u64,
    desk: &Desk,
    clock: &SystemClock,
    stop: &CancellationToken,
) -> bool {
    let room = async {
        while archive.store.has_room_for(needed).is_err() {
            tokio::time::sleep(LOOK_FOR_ROOM).await;
        }
    };
    tokio::select! {
        () = room => {
            tracing::info!("the volume has room again; going on");
            true
        }
        () = wait_for_turn(next, desk, clock, stop) => false,
    }
}

/// Asks a running `run` whether it is well.
pub async fn health(listen: SocketAddr) -> anyhow::Result<u8> {
    crate::remote::net::install_tls();
    let mut at = listen;
    if at.ip().is_unspecified() {
        at.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
    let answer = client
        .get(format!("http://{at}/healthz"))
        .send()
        .await
        .with_context(|| format!("no `shoebox run` answers on {at}"))?;
    let well = answer.status().is_success();
    print!("{}", answer.text().await?);
    Ok(if well { exit::OK } else { exit::FAILURE })
}
