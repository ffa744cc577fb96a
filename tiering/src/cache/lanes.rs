//! The way to the cache's threads: few queues, each with a thread of its own behind it.
//!
//! Invariant: all jobs of one slot go through one lane, so that what is written for a slot is
//! written in the order in which it was asked for.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use super::pin::{Held, Hold, Pin, Reserved};
use super::shared::Shared;
use super::{CacheClass, ChunkKey, worker};

const LANES: u32 = 4;
/// Jobs that wait in a lane, each with a chunk at most. Behind them the caller waits.
const JOBS_MAX: usize = 8;
/// How long a job may take from being asked for to its end.
const JOB_WAIT: Duration = Duration::from_secs(30);

/// Whether these bytes are a chunk.
pub(crate) type IsRight = Box<dyn FnOnce(&[u8]) -> bool + Send>;

/// Something to do on the disk.
pub(super) enum Job {
    /// Write a chunk and its entry.
    Fill {
        slot: Reserved,
        key: ChunkKey,
        class: CacheClass,
        bytes: Bytes,
        /// Whether whoever fills it knows that the bytes are the chunk's.
        is_checked: bool,
        done: oneshot::Sender<io::Result<Held>>,
    },
    /// Compare a chunk of an earlier run, or of another process, with its entry and with what its
    /// reader knows of it.
    Check {
        hold: Hold,
        key: ChunkKey,
        len: u32,
        is_right: Option<IsRight>,
        done: oneshot::Sender<Option<Arc<Pin>>>,
    },
    /// Note in its entry how a chunk stands now.
    Moved { slot: u32, key: ChunkKey },
    /// Something that takes a chunk's room in memory.
    InRoom(InRoom),
}

/// What is done in a thread's room for one chunk.
pub(super) type InRoom = Box<dyn FnOnce(&mut [u8]) + Send>;

/// Ends its threads when it is dropped, after what is queued.
pub(super) struct Lanes {
    lanes: Vec<mpsc::Sender<Job>>,
    time_is_virtual: bool,
}

impl Lanes {
    pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let lanes: io::Result<_> = (0..LANES).map(|n| start_lane(shared, n)).collect();
        Ok(Self { lanes: lanes?, time_is_virtual: shared.time_is_virtual() })
    }

    /// Queues a job and waits for its answer.
    ///
    /// # Errors
    /// When the disk does not get to it in time. The job is still done some day.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        slot: u32,
        job: Job,
        answer: oneshot::Receiver<T>,
    ) -> io::Result<T> {
        let done = async {
            if self.time_is_virtual {
                // Virtual time stands still as long as a task of the blocking pool runs.
                let answer = tokio::task::spawn_blocking(|| answer.blocking_recv());
                self.lane(slot).send(job).await.map_err(|_| stopped())?;
                return answer.await.map_err(|_| stopped())?.map_err(|_| stopped());
            }
            self.lane(slot).send(job).await.map_err(|_| stopped())?;
            answer.await.map_err(|_| stopped())
        };
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the disk of the cache is stuck");
        tokio::time::timeout(JOB_WAIT, done).await.map_err(late)?
    }

    /// Queues a job that may as well not be done.
    pub(super) fn offer(&self, slot: u32, job: Job) {
        drop(self.lane(slot).try_send(job));
    }

    fn lane(&self, slot: u32) -> &mpsc::Sender<Job> {
        &self.lanes[(slot % LANES) as usize]
    }
}

fn start_lane(shared: &Arc<Shared>, n: u32) -> io::Result<mpsc::Sender<Job>> {
    let (sender, jobs) = mpsc::channel(JOBS_MAX);
    let shared = Arc::clone(shared);
    let thread = std::thread::Builder::new().name(format!("cache-{n}"));
    thread.spawn(move || worker::run(&shared, jobs))?;
    Ok(sender)
}

fn stopped() -> io::Error {
    io::Error::other("a thread of the cache has ended")
}
