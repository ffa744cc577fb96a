//! Answers in the order of the requests.
//!
//! All pending answers are polled side by side; what becomes ready early waits for its turn. Ready
//! replies without files leave in one system call.

use std::collections::VecDeque;
use std::future::Future;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, StreamExt as _};
use tokio::sync::mpsc;

use super::super::delivery::{Delivery, Pace};
use super::super::transport::Outgoing;
use super::ended::Ended;
use super::in_flight::Admitted;
use super::watchdog::Progress;
use crate::model::FileSlice;
use crate::wire::exchange::{CloseReason, Reply, ReplyFrame, Started};

/// Replies that are ready together leave together, up to so many of them ...
const BATCH_REPLIES_MAX: usize = 64;
/// ... or so many bytes.
const BATCH_BYTES_MAX: usize = 64 * 1024;
/// Pieces of memory in one system call; the kernel takes 1024.
const VECTORS_MAX: usize = 64;

/// A request that was taken up, and its place among those in flight.
pub(super) struct Queued {
    pub(super) started: Started,
    pub(super) admitted: Admitted,
}

/// The writing half of a connection.
pub(super) struct Writer {
    out: Outgoing,
    queue: mpsc::Receiver<Queued>,
    pending: FuturesOrdered<Answer>,
    delivery: Arc<Delivery>,
    progress: Arc<Progress>,
}

impl Writer {
    pub(super) fn new(
        out: Outgoing,
        queue: mpsc::Receiver<Queued>,
        delivery: Arc<Delivery>,
        progress: Arc<Progress>,
    ) -> Self {
        Self { out, queue, pending: FuturesOrdered::new(), delivery, progress }
    }

    /// Sends replies until the queue is closed and empty.
    ///
    /// # Errors
    /// When a reply cannot be sent, or is the wish to close the connection.
    pub(super) async fn run(&mut self) -> Result<(), Ended> {
        while let Some(first) = self.next().await {
            let mut batch = Batch::default();
            let mut close = batch.add(first);
            while close.is_none() && batch.has_room() {
                let Some(next) = self.next().now_or_never().flatten() else { break };
                close = batch.add(next);
            }
            self.send(batch).await?;
            if let Some(reason) = close {
                return Err(reason.into());
            }
        }
        Ok(())
    }

    /// Tells the client that nothing more comes.
    pub(super) fn finish(&mut self) {
        if let Err(error) = self.out.finish() {
            tracing::debug!(%error, "cannot end the stream to the client");
        }
    }

    /// The next answer in order; none when there will be no more. Loses nothing when dropped.
    async fn next(&mut self) -> Option<Done> {
        loop {
            let pending = !self.pending.is_empty();
            tokio::select! {
                biased;
                done = self.pending.next(), if pending => return done,
                queued = self.queue.recv() => match queued {
                    Some(Queued { started: Started::Ready(reply), admitted }) if !pending => {
                        return Some(Done { reply, admitted });
                    }
                    Some(queued) => self.pending.push_back(Answer::from(queued)),
                    None if pending => return self.pending.next().await,
                    None => return None,
                },
            }
        }
    }

    async fn send(&mut self, mut batch: Batch) -> Result<(), Ended> {
        self.progress.set_sending(true);
        let progress = Arc::clone(&self.progress);
        let moved = move || progress.moved();
        let mut pace = Pace::new(&moved);
        if !batch.gives_way() {
            self.out.bound_rate(None);
        }
        while let Some(front) = batch.parts.front() {
            match front {
                Part::Bytes(_) => self.send_bytes(&mut batch.parts, &mut pace).await?,
                Part::File(slice) if slice.gives_way => {
                    self.delivery.send_aside(&self.out, slice, moved.clone()).await?;
                    batch.parts.pop_front();
                }
                Part::File(slice) => {
                    self.delivery.send_slice(&self.out, slice, &mut pace).await?;
                    batch.parts.pop_front();
                }
            }
        }
        self.progress.set_sending(false);
        Ok(())
    }

    /// Sends the run of memory at the front.
    async fn send_bytes(
        &mut self,
        parts: &mut VecDeque<Part>,
        pace: &mut Pace<'_>,
    ) -> Result<(), Ended> {
        let bytes = parts.iter().map_while(Part::bytes).take(VECTORS_MAX);
        let mut vectors: Vec<_> = bytes.map(|bytes| IoSlice::new(bytes)).collect();
        let count = vectors.len();
        let more = parts.len() > count;
        self.delivery.send_bytes(&self.out, &mut vectors, more, pace).await?;
        parts.drain(..count);
        Ok(())
    }
}

/// What one turn of the writer sends.
#[derive(Default)]
struct Batch {
    parts: VecDeque<Part>,
    bytes: usize,
    /// Given back when the batch is sent.
    admitted: Vec<Admitted>,
}

enum Part {
    Bytes(Bytes),
    File(FileSlice),
}

impl Part {
    fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::File(_) => None,
        }
    }
}

impl Batch {
    fn has_room(&self) -> bool {
        self.admitted.len() < BATCH_REPLIES_MAX && self.bytes < BATCH_BYTES_MAX
    }

    fn gives_way(&self) -> bool {
        let gives_way = |part: &Part| matches!(part, Part::File(slice) if slice.gives_way);
        self.parts.iter().any(gives_way)
    }

    /// Adds a reply, or tells why there is none and never will be.
    fn add(&mut self, done: Done) -> Option<CloseReason> {
        match done.reply {
            Reply::Frame(frame) => self.add_frame(frame),
            Reply::None => {}
            Reply::Close(reason) => return Some(reason),
        }
        self.admitted.push(done.admitted);
        None
    }

    fn add_frame(&mut self, frame: ReplyFrame) {
        // A lie in the length would make all that follows on this connection unreadable.
        assert!(frame.is_well_formed(), "a reply's length or pieces are wrong: {frame:?}");
        let ReplyFrame { mut head, pieces } = frame;
        self.bytes += head.len();
        let mut cut = 0;
        for piece in pieces {
            self.add_bytes(head.split_to(piece.at - cut));
            cut = piece.at;
            self.bytes = self.bytes.saturating_add(piece.slice.len as usize);
            self.parts.push_back(Part::File(piece.slice));
        }
        self.add_bytes(head);
    }

    fn add_bytes(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.parts.push_back(Part::Bytes(bytes));
        }
    }
}

/// An answer whose turn it is.
struct Done {
    reply: Reply,
    admitted: Admitted,
}

/// An answer that waits for itself or for its turn.
struct Answer {
    state: State,
    admitted: Option<Admitted>,
}

enum State {
    Ready(Option<Reply>),
    Pending(BoxFuture<'static, Reply>),
}

impl From<Queued> for Answer {
    fn from(queued: Queued) -> Self {
        let state = match queued.started {
            Started::Ready(reply) => State::Ready(Some(reply)),
            Started::Pending(future) => State::Pending(future),
        };
        Self { state, admitted: Some(queued.admitted) }
    }
}

impl Future for Answer {
    type Output = Done;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Done> {
        let reply = match &mut self.state {
            State::Ready(reply) => reply.take().expect("polled once more after it was done"),
            State::Pending(future) => std::task::ready!(future.poll_unpin(context)),
        };
        let admitted = self.admitted.take().expect("polled once more after it was done");
        Poll::Ready(Done { reply, admitted })
    }
}
