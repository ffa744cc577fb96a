//! One step of a shard: the time it happens at, and what comes of it.
//!
//! Nothing in a step does I/O: records are appended, and answers sent, by whoever took the step.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

/// What bounds groups.
#[derive(Clone, Debug)]
pub struct Rules {
    /// `group.initial.rebalance.delay.ms`.
    pub initial_delay_ms: i64,
    /// `group.min.session.timeout.ms`.
    pub session_timeout_min_ms: i64,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_max_ms: i64,
    /// `group.max.size`.
    pub members_max: usize,
    /// `group.max.count`.
    pub groups_max: usize,
    /// The longest text beside a committed offset.
    pub offset_metadata_bytes_max: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
}

/// Two clocks: one that never jumps, for time-outs, and the time of day, for what is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// Milliseconds since some moment of this process.
    pub(super) tick_ms: i64,
    /// Milliseconds since 1970.
    pub(super) wall_ms: i64,
}

/// A record to append: its value is absent in a tombstone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeptRecord {
    pub(super) key: Bytes,
    pub(super) value: Option<Bytes>,
}

/// An answer that is sent by calling it.
pub(super) type Answer = Box<dyn FnOnce() + Send>;

/// What happens in one step.
pub(super) struct Step {
    pub(super) now: Now,
    pub(super) rules: Arc<Rules>,
    /// To append, in this order.
    pub(super) records: Vec<KeptRecord>,
    /// To send, once the records are durable.
    pub(super) answers: Vec<Answer>,
}

impl Step {
    pub(super) fn new(now: Now, rules: Arc<Rules>) -> Self {
        Self { now, rules, records: Vec::new(), answers: Vec::new() }
    }

    /// Answers a request when the records of this step, and all before it, are durable.
    pub(super) fn answer<T: Send + 'static>(&mut self, to: oneshot::Sender<T>, value: T) {
        // An asker that left does not need its answer.
        self.answers.push(Box::new(move || drop(to.send(value))));
    }
}
