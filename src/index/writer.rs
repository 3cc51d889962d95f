//! The only thread that writes. What is queued while it commits goes into the next commit together.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread::JoinHandle;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::apply::{Refusal, apply, apply_album};
use super::words::signed;
use super::{IndexError, connection};
use crate::model::MediaKey;
use crate::store::{StoredAlbum, StoredRecord};

/// Most pieces of work that share a commit.
const GROUP: usize = 256;

type Work = Box<dyn FnOnce(&Connection) -> Result<(), Refused> + Send>;

/// A refusal, with the record that was refused where it was one.
type Refused = (Refusal, Option<(MediaKey, String)>);

enum Message {
    Work(Work, SyncSender<Result<(), IndexError>>),
    Finish,
}

/// What is remembered of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunNote {
    /// The account, as whoever runs the archive calls it; empty where there is but one.
    pub account: String,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How it ended, in a word or a sentence.
    pub outcome: String,
    /// Items listed.
    pub listed: u64,
    /// Items newly archived or revised.
    pub archived: u64,
    /// Items whose bytes were set aside.
    pub quarantined: u64,
    /// Items that failed otherwise.
    pub failed: u64,
    /// Bytes fetched.
    pub bytes: u64,
}

/// A handle to the writing thread; clones share it. Every method blocks until the change is durable.
#[derive(Clone)]
pub struct IndexWriter {
    path: PathBuf,
    to: Option<Sender<Message>>,
}

impl IndexWriter {
    pub(super) fn new(path: &Path, thread: Option<&WriterThread>) -> Self {
        Self { path: path.to_owned(), to: thread.map(|thread| thread.to.clone()) }
    }

    /// Takes a durable record into the index. Taking it twice is no error.
    ///
    /// # Errors
    /// [`IndexError::Conflict`] where it contradicts another record; nothing changes then.
    pub fn apply(&self, record: StoredRecord) -> Result<(), IndexError> {
        self.wait(self.send(apply_work(record)))
    }

    /// As [`IndexWriter::apply`] for many, which share commits; one answer for each, in order.
    pub fn apply_all(&self, records: impl IntoIterator<Item = StoredRecord>) -> Vec<Result<(), IndexError>> {
        let sent: Vec<_> = records.into_iter().map(|record| self.send(apply_work(record))).collect();
        sent.into_iter().map(|answer| self.wait(answer)).collect()
    }

    /// Takes an album's durable record into the index. Taking it twice is no error.
    ///
    /// # Errors
    /// [`IndexError::Conflict`] where it contradicts another record; nothing changes then.
    pub fn apply_album(&self, album: StoredAlbum) -> Result<(), IndexError> {
        self.wait(self.send(Box::new(move |conn| {
            let named = || (album.record().key.clone(), album.sha256().hex());
            apply_album(conn, &album).map_err(|refusal| (refusal, Some(named())))
        })))
    }

    /// Notes that an item that the account lists failed at `at`: counts the attempts since the first.
    ///
    /// # Errors
    /// When it cannot be committed.
    pub fn note_failure(
        &self,
        account: &str,
        key: &MediaKey,
        name: &str,
        reason: &str,
        at: Timestamp,
    ) -> Result<(), IndexError> {
        let account = account.to_owned();
        let (key, name, reason) = (key.clone(), name.to_owned(), reason.to_owned());
        self.execute(move |conn| {
            conn.prepare_cached(
                "INSERT INTO failure (account, key, name, reason, first_at, last_at, attempts)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?5, 1)
                 ON CONFLICT (account, key) DO UPDATE SET name = excluded.name, reason = excluded.reason,
                     last_at = excluded.last_at, attempts = attempts + 1",
            )?
            .execute(params![account, key.as_str(), name, reason, at.to_string()])
        })
    }

    /// Forgets an item's failures with an account.
    ///
    /// # Errors
    /// When it cannot be committed.
    pub fn clear_failure(&self, account: &str, key: &MediaKey) -> Result<(), IndexError> {
        let (account, key) = (account.to_owned(), key.clone());
        self.execute(move |conn| {
            conn.prepare_cached("DELETE FROM failure WHERE account = ?1 AND key = ?2")?
                .execute([account.as_str(), key.as_str()])
        })
    }

    /// Remembers a run.
    ///
    /// # Errors
    /// When it cannot be committed.
    pub fn note_run(&self, run: &RunNote) -> Result<(), IndexError> {
        let run = run.clone();
        self.execute(move |conn| {
            conn.prepare_cached(
                "INSERT INTO run (account, started, ended, outcome, listed, archived, quarantined, failed, bytes)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                run.account,
                run.started.to_string(),
                run.ended.to_string(),
                run.outcome,
                signed(run.listed),
                signed(run.archived),
                signed(run.quarantined),
                signed(run.failed),
                signed(run.bytes),
            ])
        })
    }

    pub(super) fn execute(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<usize> + Send + 'static,
    ) -> Result<(), IndexError> {
        let work: Work = Box::new(move |conn| match work(conn) {
            Ok(_) => Ok(()),
            Err(error) => Err((error.into(), None)),
        });
        self.wait(self.send(work))
    }

    fn send(&self, work: Work) -> Option<Receiver<Result<(), IndexError>>> {
        let (reply, answer) = mpsc::sync_channel(1);
        self.to.as_ref()?.send(Message::Work(work, reply)).ok()?;
        Some(answer)
    }

    fn wait(&self, answer: Option<Receiver<Result<(), IndexError>>>) -> Result<(), IndexError> {
        let closed = || IndexError::Closed { path: self.path.clone() };
        answer.ok_or_else(closed)?.recv().unwrap_or_else(|_| Err(closed()))
    }
}

fn apply_work(record: StoredRecord) -> Work {
    Box::new(move |conn| {
        let named = || (record.record().key.clone(), record.sha256().hex());
        apply(conn, &record).map_err(|refusal| (refusal, Some(named())))
    })
}

/// The thread that owns the writing connection.
pub(super) struct WriterThread {
    to: Sender<Message>,
    thread: Option<JoinHandle<Result<(), IndexError>>>,
}

impl WriterThread {
    pub(super) fn start(path: &Path, conn: Connection) -> Result<Self, IndexError> {
        let (to, from) = mpsc::channel();
        let path = path.to_owned();
        let thread = std::thread::Builder::new()
            .name("index writer".to_owned())
            .spawn({
                let path = path.clone();
                move || run(&path, conn, &from)
            })
            .map_err(IndexError::io("start the writing thread of", &path))?;
        Ok(Self { to, thread: Some(thread) })
    }

    /// Ends after what is queued.
    pub(super) fn finish(mut self) -> Result<(), IndexError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), IndexError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        // Fails only where the thread has ended already.
        let _ = self.to.send(Message::Finish);
        match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        if let Err(error) = self.end() {
            tracing::warn!(%error, "the index was not closed cleanly");
        }
    }
}

fn run(path: &Path, conn: Connection, from: &Receiver<Message>) -> Result<(), IndexError> {
    let mut finished = false;
    while !finished {
        let mut group = Vec::new();
        let mut next = from.recv().unwrap_or(Message::Finish);
        loop {
            match next {
                Message::Work(work, reply) => group.push((work, reply)),
                Message::Finish => {
                    finished = true;
                    break;
                }
            }
            if group.len() >= GROUP {
                break;
            }
            match from.try_recv() {
                Ok(message) => next = message,
                Err(_) => break,
            }
        }
        if !group.is_empty() {
            commit(path, &conn, group);
        }
    }
    connection::close(path, conn)
}

/// Does the work of a group in one transaction and answers each when it is durable.
fn commit(path: &Path, conn: &Connection, group: Vec<(Work, SyncSender<Result<(), IndexError>>)>) {
    let sql = IndexError::sql(path);
    let mut replies = Vec::with_capacity(group.len());
    let mut outcome = conn.execute_batch("BEGIN IMMEDIATE");
    for (work, reply) in group {
        let mut answer = Ok(());
        if outcome.is_ok() {
            match one(conn, work) {
                Ok(()) => {}
                // SQLite gave up the whole transaction (a full disk, for example).
                Err((Refusal::Sql(error), _)) if conn.is_autocommit() => outcome = Err(error),
                Err((Refusal::Sql(error), _)) => answer = Err(sql(error)),
                Err((Refusal::Conflict(why), about)) => {
                    answer = Err(match about {
                        Some((key, record)) => IndexError::Conflict { key, record, why },
                        None => IndexError::NotCommitted { path: path.to_owned(), why },
                    });
                }
            }
        }
        replies.push((reply, answer));
    }
    let outcome = outcome.and_then(|()| conn.execute_batch("COMMIT"));
    if outcome.is_err() && !conn.is_autocommit() {
        // Fails only where there is nothing left to roll back.
        let _ = conn.execute_batch("ROLLBACK");
    }
    for (reply, answer) in replies {
        let answer = match (&outcome, answer) {
            (Err(error), _) => Err(IndexError::not_committed(path, error)),
            (Ok(()), answer) => answer,
        };
        // Nobody waits any more where the caller is gone.
        let _ = reply.send(answer);
    }
}

/// One piece of work, undone as a whole where it is refused.
fn one(conn: &Connection, work: Work) -> Result<(), Refused> {
    let sql = |error| (Refusal::Sql(error), None);
    conn.execute_batch("SAVEPOINT one").map_err(sql)?;
    let result = work(conn);
    if conn.is_autocommit() {
        return result;
    }
    if result.is_err() {
        conn.execute_batch("ROLLBACK TO one").map_err(sql)?;
    }
    conn.execute_batch("RELEASE one").map_err(sql)?;
    result
}
