//! How many requests a replay will take, told before it begins.
//!
//! The window that decides them is the one that reads use, driven by a reader that is played: it
//! takes bytes at a steady rate, and waits whenever what is under way for it comes more slowly.
//! Nothing is asked of the store, and no time passes.
//!
//! Invariant: what is forecast covers each missing chunk exactly once.

use std::ops::Range;
use std::time::Duration;

use super::link::{Estimate, to_f64};
use super::source::{chunk_after, chunk_start};
use super::stream::request_bytes;
use super::window::{RUN_BYTES_MIN, Window};

/// The played reader asks for so much at a time.
const READ_BYTES: u64 = 1 << 20;
/// Requests are made when there is room, not when it would be best: a reader meets a gap now and
/// then unless so many times its rate is under way.
const GAPS: f64 = 2.0;

/// The requests of one sequential reader, segment by segment.
#[derive(Debug)]
pub(super) struct Forecast {
    link: Estimate,
    /// Bytes a second that the reader would take from a store without latency.
    rate: f64,
    /// How large the window may be.
    bound: u64,
    window: Window,
    now: Duration,
    /// Where the reader is, in the count of the stream.
    read: u64,
    /// Where the segment in turn begins in that count.
    from: u64,
    requests: u64,
}

impl Forecast {
    /// For a reader that has not begun.
    pub(super) fn new(link: Estimate, bytes_per_second: u64, bound: u64) -> Self {
        Self {
            link,
            rate: to_f64(bytes_per_second.max(1)),
            bound,
            window: Window::new(Duration::ZERO, 0),
            now: Duration::ZERO,
            read: 0,
            from: 0,
            requests: 0,
        }
    }

    /// Requests so far.
    pub(super) fn requests(&self) -> u64 {
        self.requests
    }

    /// The next segment on the way: its size, and which of its bytes are not in the cache, in order.
    pub(super) fn segment(&mut self, size: u64, missing: impl IntoIterator<Item = Range<u64>>) {
        for Range { start, end } in missing {
            let mut ahead = start;
            while ahead < end {
                ahead = self.request(size, ahead..end);
            }
        }
        self.from += size;
    }

    /// Makes the request for the first of some missing bytes; where it ends.
    fn request(&mut self, size: u64, missing: Range<u64>) -> u64 {
        let (ahead, rest) = (missing.start, size - missing.start);
        // Requests wait until the window has room for them.
        while self.read + self.window.bytes() < self.from + ahead + self.run().min(rest) {
            self.take();
        }
        let len = request_bytes(self.run(), rest);
        self.requests += 1;
        chunk_start(chunk_after(ahead + len)).min(missing.end)
    }

    /// What a reader demands for itself reaches so far at least.
    fn run(&self) -> u64 {
        self.window.run().max(RUN_BYTES_MIN)
    }

    /// The reader takes what it asks for at a time.
    fn take(&mut self) {
        let window = to_f64(self.window.bytes());
        let store = window / self.link.seconds(self.window.run());
        let waits = store < GAPS * self.rate;
        self.now += Duration::from_secs_f64(to_f64(READ_BYTES) / self.rate.min(store));
        self.read += READ_BYTES;
        self.window.reached(self.now, self.read, waits, &self.link, self.bound);
    }
}
