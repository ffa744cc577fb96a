//! How far to read ahead of one sequential reader: the controller, as pure arithmetic.
//!
//! ```text
//! the reader waits and goes faster than before -> twice as far, but no further than twice what
//!                                                 its rate needs on this link
//! it waits and is no faster                    -> the link, or the reader, is at its bound: stay
//! it does not wait                             -> what its rate needs, slowly
//! ```
//! What a rate needs is its product with the time of one request (time to the first byte, and the
//! bytes of the request at the rate of one stream), so that enough requests are under way, and one
//! request more, so that the next one begins before the last one ends. It is judged each time the
//! reader has consumed as much as the window was.
//!
//! A request is about a second of the reader's rate, within bounds: a slow reader costs one request
//! a second at most, and a fast one gets large requests, of which a store wants to be paid for few.
//!
//! Invariants: `RUN_BYTES_MIN <= run <= RUN_BYTES_MAX`, but never above the window; the window is
//! at most `bound`, and at most about what the reader has consumed already, so that a reader who
//! leaves has cost at most twice what it took.

use std::time::Duration;

use super::link::{Estimate, to_f64};

/// The smallest request that is made ahead of a reader, and the window of a new reader.
pub(super) const RUN_BYTES_MIN: u64 = 1 << 20;
/// The largest request.
pub(super) const RUN_BYTES_MAX: u64 = 32 << 20;
/// A reader that is faster by this factor goes faster; less is noise.
const FASTER: f64 = 1.1;
/// So many judgements in a row without going faster end the growth.
const FLAT_MAX: u32 = 3;
/// What a reader who does not wait gets above what it needs.
const SPARE: f64 = 1.25;

/// The window of one reader. Its positions only grow.
#[derive(Clone, Debug)]
pub(super) struct Window {
    bytes: u64,
    wanted: u64,
    run: u64,
    rate: f64,
    best_rate: f64,
    flat: u32,
    waited: bool,
    judged_at: Duration,
    judged_position: u64,
}

impl Window {
    /// For a reader that begins now, at `position`.
    pub(super) fn new(now: Duration, position: u64) -> Self {
        Self {
            bytes: RUN_BYTES_MIN,
            wanted: RUN_BYTES_MIN,
            run: RUN_BYTES_MIN,
            rate: 0.0,
            best_rate: 0.0,
            flat: 0,
            waited: false,
            judged_at: now,
            judged_position: position,
        }
    }

    /// How far to read ahead, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How far it would be, were there no bound.
    pub(super) fn wanted(&self) -> u64 {
        self.wanted
    }

    /// How much to ask for in one request.
    pub(super) fn run(&self) -> u64 {
        self.run
    }

    /// Bytes a second that the reader consumed lately.
    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// Whether the reader waited for the store since it was last judged.
    pub(super) fn waited(&self) -> bool {
        self.waited
    }

    /// The reader has reached `position`, and had to wait for the last bytes before it or not.
    pub(super) fn reached(
        &mut self,
        now: Duration,
        position: u64,
        waited: bool,
        link: &Estimate,
        bound: u64,
    ) {
        self.waited |= waited;
        self.bytes = self.bytes.min(bound);
        let consumed = position.saturating_sub(self.judged_position);
        if consumed >= self.bytes {
            let took = now.saturating_sub(self.judged_at).as_secs_f64();
            self.judge(to_f64(consumed) / took.max(1e-6), link, bound);
            (self.judged_at, self.judged_position) = (now, position);
        }
        self.run = self.run.min(self.bytes);
    }

    fn judge(&mut self, rate: f64, link: &Estimate, bound: u64) {
        self.rate = rate;
        let faster = rate > self.best_rate * FASTER;
        // What was possible a while ago may not be any more.
        self.best_rate = rate.max(self.best_rate * 0.95);
        self.flat = if faster || !self.waited { 0 } else { self.flat + 1 };
        let run = within(rate, RUN_BYTES_MIN, RUN_BYTES_MAX);
        let needs = rate * link.seconds(run);
        let wanted = match (self.waited, self.flat < FLAT_MAX) {
            (true, true) => 2.0 * needs + to_f64(2 * run),
            (true, false) => to_f64(self.bytes),
            (false, _) => (SPARE * needs + to_f64(run)).max(to_f64(2 * run)),
        };
        self.wanted = within(wanted, self.bytes / 4 * 3, self.bytes * 2).max(RUN_BYTES_MIN);
        self.bytes = self.wanted.min(bound);
        // A reader who waits needs several requests at a time, another one the next in time.
        let parts = if self.waited { 4 } else { 2 };
        self.run = run.min((self.bytes / parts).max(RUN_BYTES_MIN));
        self.waited = false;
    }
}

/// A number of bytes between two bounds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it lies between two numbers of bytes"
)]
fn within(bytes: f64, min: u64, max: u64) -> u64 {
    bytes.clamp(to_f64(min), to_f64(max.max(min))) as u64
}
