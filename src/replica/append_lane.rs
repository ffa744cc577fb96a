//! The threads that write.
//!
//! Every partition belongs to one lane, and a lane is one thread: appends of a partition happen in
//! the order in which they were queued, without a lock that anybody waits for. What has queued up
//! while a write was under way goes out in the next one, so a busy partition batches by itself.
//! A lane never syncs; it hands what was promised to be durable to the [`Flusher`].

use std::sync::Arc;
use std::thread;

use tokio::sync::{mpsc, oneshot};

use super::Partition;
use super::flusher::{FlushRequest, Flusher};
use super::space::Space;
use crate::env::shorten_time_slice;
use crate::log::{AppendError, Appended};
use crate::record::Batch;

/// Appends that may wait for one lane. Their bytes are bounded by the server's frame budget.
const QUEUE_LEN_MAX: usize = 1024;
/// Appends taken into one write.
const GROUP_LEN_MAX: usize = 256;

/// When the reply to an append may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// As soon as the write reached the page cache (`acks=0` and `acks=1`).
    PageCache,
    /// When it is on stable storage (`acks=all` with one replica).
    Synced,
}

/// What the sender of an append gets once it holds what was asked for.
pub type AppendReply = oneshot::Receiver<Result<Appended, AppendError>>;

pub(super) struct AppendRequest {
    pub(super) partition: Arc<Partition>,
    pub(super) batch: Batch,
    pub(super) durability: Durability,
    pub(super) done: oneshot::Sender<Result<Appended, AppendError>>,
}

/// A handle to one lane's queue.
#[derive(Clone, Debug)]
pub(super) struct AppendLane {
    queue: mpsc::Sender<AppendRequest>,
}

impl AppendLane {
    /// Starts the lane's thread. It ends when the last handle is dropped and the queue is empty.
    pub(super) fn start(
        number: usize,
        flusher: Flusher,
        space: Arc<Space>,
    ) -> std::io::Result<(Self, thread::JoinHandle<()>)> {
        let (queue, receiver) = mpsc::channel(QUEUE_LEN_MAX);
        let thread = thread::Builder::new().name(format!("append-{number}")).spawn(move || {
            shorten_time_slice();
            run(receiver, &flusher, &space);
        })?;
        Ok((Self { queue }, thread))
    }

    /// Queues an append; waits while the queue is full. False when the lane has ended.
    pub(super) async fn queue(&self, request: AppendRequest) -> bool {
        self.queue.send(request).await.is_ok()
    }
}

fn run(mut queue: mpsc::Receiver<AppendRequest>, flusher: &Flusher, space: &Space) {
    let mut group = Vec::with_capacity(GROUP_LEN_MAX);
    while queue.blocking_recv_many(&mut group, GROUP_LEN_MAX) > 0 {
        // Stable: appends of one partition keep their order.
        group.sort_by_key(|request| Arc::as_ptr(&request.partition));
        let mut rest = group.drain(..).peekable();
        while let Some(first) = rest.next() {
            let partition = first.partition.clone();
            let mut same = vec![first];
            while let Some(next) = rest.next_if(|next| Arc::ptr_eq(&next.partition, &partition)) {
                same.push(next);
            }
            let bytes: usize = same.iter().map(|request| request.batch.len()).sum();
            append(&partition, same, flusher);
            space.wrote(bytes);
        }
    }
}

/// Appends the requests of one partition in one write.
fn append(partition: &Arc<Partition>, requests: Vec<AppendRequest>, flusher: &Flusher) {
    let (batches, replies): (Vec<_>, Vec<_>) = requests
        .into_iter()
        .map(|request| (request.batch, (request.durability, request.done)))
        .unzip();
    let results = partition.write(&batches);
    assert_eq!(results.len(), replies.len(), "one result per batch");
    let mut promised = Vec::new();
    let flush_is_due = partition.flush_is_due();
    for (result, (durability, done)) in results.into_iter().zip(replies) {
        let durability = if flush_is_due { Durability::Synced } else { durability };
        match (result, durability) {
            (Ok(appended), Durability::Synced) => promised.push((appended, done)),
            // A sender that left does not need its reply.
            (result, _) => drop(done.send(result)),
        }
    }
    if !promised.is_empty() {
        flusher.queue(FlushRequest::Now { partition: partition.clone(), promised });
    } else if let Some(due) = partition.plan_flush() {
        flusher.queue(FlushRequest::Later { partition: Arc::downgrade(partition), due });
    }
}
