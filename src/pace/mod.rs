//! Who may move bytes how fast, so that uploads and replays leave room for producers and for the
//! consumers at the tail.
//!
//! ```text
//! uploads                    -> limit `copies`     \  remote.log.manager.{copy,fetch}.max.bytes.per.second,
//! downloads for readers      -> limit `fetches`    /  changed while the broker runs
//! what replays are handed    -> gate  `replays`
//!                                  ^
//!                                share  <- latency of the hot path, once a second
//! ```
//! A topic may have a limit and a gate of its own ([`TopicPaces`]); these count besides, so the lower
//! rate holds. Nothing here knows where bytes lie or who asks for them: it is told rates, times and sizes.

mod gate;
mod latency;
mod limit;
mod line;
mod share;
mod topic;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

pub use gate::{Passage, ReplayGate};
pub use latency::{Recent, Window};
pub use limit::Limit;
pub use line::ReaderId;
pub use share::{ReplayShare, Second};
pub use topic::{TopicBounds, TopicPaces};

/// What is set by people, and may change while the broker runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes a second of all uploads together; `None` without a bound.
    pub copies: Option<u64>,
    /// Bytes a second of all downloads for readers together; `None` without a bound.
    pub fetches: Option<u64>,
    /// By how many percent replays may slow the hot path down; `None` when nobody looks.
    pub slowdown_max_percent: Option<u32>,
}

/// Every rate of a broker, and what they are steered by.
#[derive(Debug, Default)]
pub struct Paces {
    /// All uploads.
    pub copies: Arc<Limit>,
    /// All downloads for readers.
    pub fetches: Arc<Limit>,
    /// What readers of the remote tier are handed.
    pub replays: Arc<ReplayGate>,
    /// From taking up a Produce request to having its answer.
    pub produce: Recent,
    /// From a record's being readable to having the answer of a fetch that waited for it.
    pub tail_fetch: Recent,
    bounds: Mutex<Bounds>,
    reads_in_place: AtomicBool,
}

impl Paces {
    /// Puts new bounds in force, also for those who wait already.
    pub fn bound(&self, bounds: Bounds) {
        *self.bounds.lock() = bounds;
        self.copies.set(bounds.copies);
        self.fetches.set(bounds.fetches);
        let in_place = self.reads_in_place.load(Ordering::Relaxed);
        self.replays.set_ceiling(bounds.fetches.filter(|_| in_place));
    }

    /// Nothing is downloaded: the store is a folder, and what is read of it is what readers are
    /// handed. To be told before the bounds are.
    pub fn read_in_place(&self) {
        self.reads_in_place.store(true, Ordering::Relaxed);
    }

    /// The bounds in force.
    pub fn bounds(&self) -> Bounds {
        *self.bounds.lock()
    }
}
