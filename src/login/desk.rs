//! Where a person signs in: one browser at a time on the profile, shown to them, ended when they are done, checked after
//! that by the browser that syncs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Finding, Login, Word, finding};
use crate::model::Clock;
use crate::remote::RemoteError;
use crate::remote::browser::launch::BrowserSettings;
use crate::remote::browser::profile::{self, Profile};
use crate::remote::browser::sign_in::{SignIn, Size};
use crate::remote::browser::{chrome, cookie_jar};
use crate::remote::google::{self, Visit};

/// Longest sign-in.
pub const LONGEST: Duration = Duration::from_secs(15 * 60);
/// How often the profile is looked at for a login.
const LOOK: Duration = Duration::from_secs(2);
/// After the login is there, a person may still have a screen to answer.
pub(super) const SETTLE: Duration = Duration::from_secs(8);

/// How long a person waits for a run to be through. One that takes longer has a login.
const PATIENCE: Duration = Duration::from_secs(120);
const IN_USE: &str = "A run is using the browser right now. The sign-in opens here when it is through.";
const STILL_IN_USE: &str = "A run is still using the browser. Try again when it is through.";

/// What a person who looks at the desk sees.
#[derive(Clone, Debug)]
pub enum Standing {
    /// Nobody is there; how the last sign-in ended.
    Idle(Option<(bool, String)>),
    /// Something is under way.
    Busy(&'static str),
    /// The browser is shown until then.
    Showing(Instant),
}

/// Told about each change that a person must hear of.
pub type Listener = Box<dyn Fn(Word, &Login) + Send + Sync>;

/// The desk of one profile.
pub struct Desk {
    browser: BrowserSettings,
    profile: PathBuf,
    /// Where sockets go.
    run: PathBuf,
    clock: Arc<dyn Clock>,
    /// The profile is used by one at a time: a pass, a visit, a sign-in.
    turn: Arc<Semaphore>,
    inner: Mutex<Inner>,
    end: Notify,
    /// Somebody has just signed in.
    pub signed_in: Notify,
    listener: Listener,
}

struct Inner {
    login: Login,
    standing: Standing,
    socket: Option<PathBuf>,
}

/// Whoever holds it may use the profile.
pub struct Turn(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Desk {
    /// The desk of a profile; nobody is there yet.
    pub fn new(
        browser: BrowserSettings,
        profile: &Path,
        run: &Path,
        clock: Arc<dyn Clock>,
        listener: Listener,
    ) -> Self {
        let login = Login::load(profile, clock.now());
        Self {
            browser,
            profile: profile.to_owned(),
            run: run.to_owned(),
            clock,
            turn: Arc::new(Semaphore::new(1)),
            inner: Mutex::new(Inner { login, standing: Standing::Idle(None), socket: None }),
            end: Notify::new(),
            signed_in: Notify::new(),
            listener,
        }
    }

    /// How the login stands.
    pub fn login(&self) -> Login {
        self.inner().login.clone()
    }

    /// What goes on at the desk.
    pub fn standing(&self) -> Standing {
        self.inner().standing.clone()
    }

    /// Where the shown display speaks RFB.
    pub fn socket(&self) -> Option<PathBuf> {
        self.inner().socket.clone()
    }

    /// Waits until nobody else uses the profile.
    pub async fn turn(&self) -> Turn {
        // The semaphore is never closed; should it be, nobody else can hold the profile either.
        match Arc::clone(&self.turn).acquire_owned().await {
            Ok(permit) => Turn(permit),
            Err(_) => std::future::pending().await,
        }
    }

    /// Takes in what somebody found who was at the library, and tells a person what they must know.
    pub fn observe(&self, finding: Finding) {
        let (word, login) = {
            let mut inner = self.inner();
            let word = inner.login.observe(finding, self.clock.now());
            (word, inner.login.clone())
        };
        self.keep_and_tell(word, &login);
    }

    /// Reminds whoever has not signed in for a day.
    pub fn remind(&self) {
        let (word, login) = {
            let mut inner = self.inner();
            let word = inner.login.remind(self.clock.now());
            (word, inner.login.clone())
        };
        if word.is_some() {
            self.keep_and_tell(word, &login);
        }
    }

    fn keep_and_tell(&self, word: Option<Word>, login: &Login) {
        if let Err(e) = login.save(&self.profile) {
            tracing::warn!("how the login stands could not be kept in {}: {e}", self.profile.display());
        }
        if let Some(word) = word {
            (self.listener)(word, login);
        }
    }

    /// Goes to the library once, so that the session lives. Whoever calls has the turn.
    pub async fn visit(&self, _turn: &Turn, stop: &CancellationToken) {
        let visited = tokio::select! {
            visited = self.look() => visited,
            () = stop.cancelled() => return profile::end_browser_on(&self.profile).await,
        };
        self.observe(finding(&visited, &self.browser));
    }

    async fn look(&self) -> Result<Visit, RemoteError> {
        let path = self.profile.clone();
        let profile = tokio::task::spawn_blocking(move || Profile::take(&path))
            .await
            .map_err(|e| RemoteError::Browser(e.to_string()))??;
        google::visit(&self.browser, &profile, &self.run).await
    }

    /// Begins a sign-in; where a run uses the browser, as soon as that is through. Nothing where one is under way.
    pub fn begin(self: &Arc<Self>, size: Size, stop: CancellationToken) {
        let (free, before) = {
            let mut inner = self.inner();
            let Standing::Idle(before) = inner.standing.clone() else { return };
            let free = Arc::clone(&self.turn).try_acquire_owned().ok();
            inner.standing = Standing::Busy(if free.is_some() { self.starting() } else { IN_USE });
            (free, before)
        };
        let desk = Arc::clone(self);
        tokio::spawn(async move {
            let _turn = match free {
                Some(permit) => Turn(permit),
                None => tokio::select! {
                    turn = desk.turn() => turn,
                    () = tokio::time::sleep(PATIENCE) => return desk.puts_off(before, &stop).await,
                    () = stop.cancelled() => return,
                },
            };
            desk.stand(Standing::Busy(desk.starting()), None);
            let (well, said) = match desk.serve(size, &stop).await {
                Ok(account) => (
                    true,
                    format!("Signed in as {account}. Everything goes on by itself; you can close this page."),
                ),
                Err(why) => (false, why),
            };
            desk.stand(Standing::Idle(Some((well, said))), None);
        });
    }

    /// Says that a run is still using the browser, for as long as that is so.
    async fn puts_off(&self, before: Option<(bool, String)>, stop: &CancellationToken) {
        self.stand(Standing::Idle(Some((false, STILL_IN_USE.to_owned()))), None);
        tokio::select! {
            _free = self.turn() => {}
            () = stop.cancelled() => return,
        }
        let mut inner = self.inner();
        if matches!(&inner.standing, Standing::Idle(Some((_, said))) if said == STILL_IN_USE) {
            inner.standing = Standing::Idle(before);
        }
    }

    fn starting(&self) -> &'static str {
        if self.browser.chrome.is_some() && chrome::fetched_for(&self.profile).is_none() {
            "Google Chrome is fetched first, some 130 MB …"
        } else {
            "The browser is starting …"
        }
    }

    /// The person says that they are done.
    pub fn end(&self) {
        self.end.notify_waiters();
    }

    async fn serve(&self, size: Size, stop: &CancellationToken) -> Result<String, String> {
        let path = self.profile.clone();
        let taken =
            tokio::task::spawn_blocking(move || Profile::take(&path)).await.map_err(|e| e.to_string())?;
        let taken = taken.map_err(|e| e.to_string())?;
        let before = cookie_jar::signed_in_at(taken.path());
        let shown = tokio::select! {
            shown = SignIn::start(&self.browser, taken, &self.run, size) => shown.map_err(|e| e.to_string())?,
            // A browser may have to be fetched, and nobody waits for that.
            () = stop.cancelled() => return Err("The archive is stopping.".into()),
        };
        let until = Instant::now() + LONGEST;
        self.stand(Standing::Showing(until), Some(shown.socket().to_owned()));
        tracing::info!("the sign-in browser is shown on the page");
        tokio::select! {
            () = shown.ended() => {}
            () = async { logged_in(&self.profile, before).await; tokio::time::sleep(SETTLE).await } => {}
            () = self.end.notified() => {}
            () = tokio::time::sleep_until(until) => {}
            () = stop.cancelled() => {}
        }
        self.stand(Standing::Busy("Closing the browser and looking whether you are signed in …"), None);
        drop(shown.finish().await);
        if stop.is_cancelled() {
            return Err("The archive is stopping.".into());
        }
        let visited = tokio::select! {
            visited = self.look() => visited,
            () = stop.cancelled() => {
                profile::end_browser_on(&self.profile).await;
                return Err("The archive is stopping.".into());
            }
        };
        self.observe(finding(&visited, &self.browser));
        match visited {
            Ok(visit) => {
                self.signed_in.notify_one();
                Ok(visit.account.email.unwrap_or(visit.account.id))
            }
            Err(RemoteError::SignedOut { evidence }) => {
                Err(format!("You are not signed in yet: {evidence}. Open the browser again to go on."))
            }
            Err(e) => {
                // The next run sees.
                self.signed_in.notify_one();
                Err(format!("It could not be seen whether you are signed in: {e}. A run looks now."))
            }
        }
    }

    fn stand(&self, standing: Standing, socket: Option<PathBuf>) {
        let mut inner = self.inner();
        (inner.standing, inner.socket) = (standing, socket);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Waits until the profile holds a login that was not there before.
pub(super) async fn logged_in(profile: &Path, before: Option<i64>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let profile = profile.to_owned();
        let mark =
            tokio::task::spawn_blocking(move || cookie_jar::signed_in_at(&profile)).await.unwrap_or_default();
        if mark.is_some() && mark != before {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::SystemClock;

    #[tokio::test(start_paused = true)]
    async fn who_comes_while_a_run_uses_the_browser_gets_it_after_that() {
        let dir = tempfile::tempdir().unwrap();
        // No browser starts on this: what is to be seen is that it was tried.
        let profile = dir.path().join("profile");
        std::fs::write(&profile, b"").unwrap();
        let heard: Listener = Box::new(|_, _| ());
        let desk = Desk::new(BrowserSettings::default(), &profile, dir.path(), Arc::new(SystemClock), heard);
        let (desk, stop) = (Arc::new(desk), CancellationToken::new());
        let said = |desk: &Desk| match desk.standing() {
            Standing::Busy(what) => what.to_owned(),
            Standing::Idle(last) => last.map(|(_, text)| text).unwrap_or_default(),
            Standing::Showing(_) => unreachable!("there is no browser"),
        };
        let idle = async |desk: &Desk| {
            while !matches!(desk.standing(), Standing::Idle(_)) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            said(desk)
        };
        let run = desk.turn().await;
        // Twice, as people press buttons.
        desk.begin(Size::near(900, 600), stop.clone());
        desk.begin(Size::near(900, 600), stop.clone());
        tokio::time::sleep(PATIENCE / 2).await;
        assert_eq!(said(&desk), IN_USE);
        drop(run);
        let tried = idle(&desk).await;
        assert!(!tried.is_empty() && tried != STILL_IN_USE, "{tried}");
        let run = desk.turn().await;
        desk.begin(Size::near(900, 600), stop);
        assert_eq!(idle(&desk).await, STILL_IN_USE);
        // It is not told any more when it is no longer so.
        drop(run);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(said(&desk), tried);
    }
}
