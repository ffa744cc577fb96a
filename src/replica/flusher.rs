//! The threads that sync.
//!
//! Group commit: while one `fdatasync` is under way, requests pile up, and the next one answers
//! them all. A reply goes out only after the sync that covers its batch has returned; when a sync
//! fails, its replies are errors and the log takes no more appends (what the kernel dropped cannot
//! be synced again).

use std::sync::{Arc, mpsc};
use std::thread;

use tokio::sync::oneshot;

use super::Partition;
use crate::log::{AppendError, Appended};

/// Requests that may wait for one flusher; a lane that finds the queue full waits.
const QUEUE_LEN_MAX: usize = 4096;

pub(super) struct FlushRequest {
    pub(super) partition: Arc<Partition>,
    pub(super) promised: Vec<(Appended, oneshot::Sender<Result<Appended, AppendError>>)>,
}

/// A handle to one flusher's queue.
#[derive(Clone, Debug)]
pub(super) struct Flusher {
    queue: mpsc::SyncSender<FlushRequest>,
}

impl Flusher {
    /// Starts the thread. It ends when the last handle is dropped and the queue is empty.
    pub(super) fn start(number: usize) -> std::io::Result<(Self, thread::JoinHandle<()>)> {
        let (queue, receiver) = mpsc::sync_channel(QUEUE_LEN_MAX);
        let thread =
            thread::Builder::new().name(format!("flush-{number}")).spawn(move || run(&receiver))?;
        Ok((Self { queue }, thread))
    }

    /// Queues a flush; blocks while the queue is full.
    pub(super) fn queue(&self, request: FlushRequest) {
        // The thread ends only after all senders are gone, so a send cannot fail before that; were
        // it dead of a panic, dropping the request answers its senders with a closed channel.
        drop(self.queue.send(request));
    }
}

fn run(queue: &mpsc::Receiver<FlushRequest>) {
    while let Ok(first) = queue.recv() {
        let mut group = vec![first];
        group.extend(queue.try_iter().take(QUEUE_LEN_MAX));
        group.sort_by_key(|request| Arc::as_ptr(&request.partition));
        for requests in group.chunk_by_mut(|a, b| Arc::ptr_eq(&a.partition, &b.partition)) {
            flush(requests);
        }
    }
}

/// Syncs one partition once and answers all of its requests.
fn flush(requests: &mut [FlushRequest]) {
    let Some(first) = requests.first() else { return };
    let outcome = first.partition.sync();
    for (appended, done) in requests.iter_mut().flat_map(|request| request.promised.drain(..)) {
        let result = match &outcome {
            Ok(()) => Ok(appended),
            Err(error) => Err(error.clone()),
        };
        // A sender that left does not need its reply.
        drop(done.send(result));
    }
}
