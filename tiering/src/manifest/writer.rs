//! The one thread that writes: it takes every change that waits into one transaction.
//!
//! Invariant: an answer is sent only after the COMMIT that holds the change. A change that fails is
//! rolled back alone; the others of its group stay. One whose caller left before its turn came is not
//! made: whoever broke off comes again and decides anew, and an end need not wait for it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::ManifestError;

/// Changes that may wait; more callers wait for room.
const QUEUE_MAX: usize = 1024;
/// Changes in one transaction.
const GROUP_MAX: usize = 256;
/// After so long a transaction takes no further change. Those in it may be thousands of rows each, and
/// whoever waits for the first ones can go on while the next ones are written.
const GROUP_TIME: Duration = Duration::from_millis(20);

type CommitResult = Result<(), Arc<rusqlite::Error>>;

/// One change on its way: it runs inside the transaction and is answered after it.
trait Job: Send {
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, committed: CommitResult);
}

struct Call<T, F, H> {
    work: Option<F>,
    outcome: Option<Result<T, ManifestError>>,
    held: H,
    reply: oneshot::Sender<Result<T, ManifestError>>,
}

impl<T, F, H> Job for Call<T, F, H>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, ManifestError> + Send,
    H: Send,
{
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let Some(work) = self.work.take() else { return Ok(()) };
        if self.reply.is_closed() {
            return Ok(());
        }
        connection.execute_batch("SAVEPOINT change")?;
        let outcome = work(connection);
        let end = match outcome {
            Ok(_) => "RELEASE change",
            Err(_) => "ROLLBACK TO change; RELEASE change",
        };
        self.outcome = Some(outcome);
        connection.execute_batch(end)
    }

    fn answer(self: Box<Self>, committed: CommitResult) {
        let answer = match (committed, self.outcome) {
            (Ok(()), Some(outcome)) => outcome,
            (_, Some(Err(error))) => Err(error),
            (Err(error), _) => Err(ManifestError::Commit(error)),
            (Ok(()), None) => Err(ManifestError::Closed),
        };
        drop(self.held);
        // A caller that left while the change was made does not want the answer; the change stands.
        let _ = self.reply.send(answer);
    }
}

/// The handle of the writing thread. Dropping it lets the thread end after what is queued.
pub(super) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    ended: tokio::sync::Mutex<Option<oneshot::Receiver<()>>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Result<Self, ManifestError> {
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let (ending, ended) = oneshot::channel();
        let run = move || {
            write_all(&connection, jobs);
            drop(connection);
            let _ = ending.send(());
        };
        thread::Builder::new().name("manifest".into()).spawn(run).map_err(ManifestError::Thread)?;
        let (queue, ended) = (Mutex::new(Some(queue)), tokio::sync::Mutex::new(Some(ended)));
        Ok(Self { queue, ended })
    }

    /// Runs `work` in a transaction and answers when it is durable. `held` is dropped before the answer,
    /// once the change is durable or will never be made, also when the caller waits no more.
    pub(super) async fn call<T, F, H>(&self, held: H, work: F) -> Result<T, ManifestError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ManifestError> + Send + 'static,
        H: Send + 'static,
    {
        let queue = self.queue.lock().clone().ok_or(ManifestError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let call = Call { work: Some(work), outcome: None, held, reply };
        queue.send(Box::new(call)).await.map_err(|_| ManifestError::Closed)?;
        drop(queue);
        answer.await.map_err(|_| ManifestError::Closed)?
    }

    /// Takes no more changes and waits until those that are waited for are durable.
    pub(super) async fn close(&self) {
        drop(self.queue.lock().take());
        if let Some(ended) = self.ended.lock().await.take() {
            // An error means that the thread ended without a word: it is ended all the same.
            let _ = ended.await;
        }
    }
}

fn write_all(connection: &Connection, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    while let Some(first) = jobs.blocking_recv() {
        group.push(first);
        let committed = commit(connection, &mut group, &mut jobs).map_err(Arc::new);
        if let Err(error) = &committed {
            tracing::error!(%error, changes = group.len(), "the manifest could not commit");
        }
        group.drain(..).for_each(|job| job.answer(committed.clone()));
    }
    // The log is folded in only to spare the next start: a failure costs nothing.
    if let Err(error) = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
        tracing::debug!(%error, "the manifest's write-ahead log stays as it is");
    }
}

/// Commits the first change of a group, and those that wait by the time it is through.
fn commit(
    connection: &Connection,
    group: &mut Vec<Box<dyn Job>>,
    jobs: &mut mpsc::Receiver<Box<dyn Job>>,
) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let done = run_all(connection, group, jobs).and_then(|()| connection.execute_batch("COMMIT"));
    if done.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    done
}

fn run_all(
    connection: &Connection,
    group: &mut Vec<Box<dyn Job>>,
    jobs: &mut mpsc::Receiver<Box<dyn Job>>,
) -> rusqlite::Result<()> {
    let began = Instant::now();
    while let Some(newest) = group.last_mut() {
        newest.run(connection)?;
        if group.len() >= GROUP_MAX || began.elapsed() >= GROUP_TIME {
            break;
        }
        let Ok(next) = jobs.try_recv() else { break };
        group.push(next);
    }
    Ok(())
}
