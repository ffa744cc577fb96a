//! What the way to the store can do, as measured on the downloads that go over it.
//!
//! Three figures, each the best of the last seconds, so that neither a slow reply nor an idle time
//! hides what is possible: the time to the first byte, the rate of one stream, and the rate of all
//! streams together. Times are told by the caller, so that a test decides what "now" is.

use std::time::Duration;

/// A figure that was not seen for one to two of these is forgotten.
const EPOCH: Duration = Duration::from_secs(10);
/// The rate of all streams is taken over this long.
const SLICE: Duration = Duration::from_millis(250);
/// A body shorter than this tells more about the machine's buffers than about the stream.
const BODY_BYTES_MIN: u64 = 1 << 20;
/// What is assumed until something was measured: a store in the same region.
const FIRST_BYTE: Duration = Duration::from_millis(50);
const STREAM_RATE: f64 = 50e6;

/// What is known of the way to the store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    /// From the request to the first byte of the answer.
    pub(super) first_byte: Duration,
    /// Bytes a second of one stream.
    pub(super) stream_rate: f64,
    /// Bytes a second of all streams together; 0 when nothing was fetched lately.
    pub(super) total_rate: f64,
}

impl Estimate {
    /// How long one request for so many bytes takes.
    pub(super) fn seconds(&self, bytes: u64) -> f64 {
        self.first_byte.as_secs_f64() + to_f64(bytes) / self.stream_rate
    }
}

/// Measures the way to the store.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// Seconds, negated: the largest is the best.
    first_byte: Best,
    stream: Best,
    total: Best,
    slice: Slice,
}

#[derive(Debug, Default)]
struct Slice {
    since: Duration,
    bytes: u64,
}

impl Link {
    /// Notes how long the first byte of an answer took.
    pub(super) fn first_byte(&mut self, now: Duration, took: Duration) {
        self.first_byte.note(now, -took.as_secs_f64());
    }

    /// Notes a body of `bytes` that came within `took` after its first byte.
    pub(super) fn body(&mut self, now: Duration, bytes: u64, took: Duration) {
        if bytes >= BODY_BYTES_MIN && !took.is_zero() {
            self.stream.note(now, to_f64(bytes) / took.as_secs_f64());
        }
    }

    /// Notes bytes that came, of whichever stream.
    pub(super) fn received(&mut self, now: Duration, bytes: u64) {
        let took = now.saturating_sub(self.slice.since);
        if took >= SLICE {
            // After an idle time the slice is longer than it was busy, and its rate counts less.
            self.total.note(now, to_f64(self.slice.bytes) / took.as_secs_f64());
            self.slice = Slice { since: now, bytes: 0 };
        }
        self.slice.bytes += bytes;
    }

    /// What is known now.
    pub(super) fn estimate(&self) -> Estimate {
        let first_byte = self.first_byte.get().map_or(FIRST_BYTE, |negated| {
            Duration::try_from_secs_f64(-negated).unwrap_or(FIRST_BYTE)
        });
        Estimate {
            first_byte,
            stream_rate: self.stream.get().unwrap_or(STREAM_RATE),
            total_rate: self.total.get().unwrap_or(0.0),
        }
    }
}

/// The largest value of this epoch and the one before.
#[derive(Debug, Default)]
struct Best {
    since: Duration,
    now: Option<f64>,
    before: Option<f64>,
}

impl Best {
    fn note(&mut self, now: Duration, value: f64) {
        if now.saturating_sub(self.since) >= EPOCH {
            self.before = self.now.take();
            self.since = now;
        }
        self.now = Some(self.now.map_or(value, |best| best.max(value)));
    }

    fn get(&self) -> Option<f64> {
        match (self.now, self.before) {
            (Some(now), Some(before)) => Some(now.max(before)),
            (now, before) => now.or(before),
        }
    }
}

/// Sizes of reads are far below 2^52, where this would begin to round.
#[expect(clippy::cast_precision_loss, reason = "a rate, not a count")]
pub(super) fn to_f64(bytes: u64) -> f64 {
    bytes as f64
}

/// A rate in whole bytes.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is not negative, and none comes near 2^64"
)]
pub(super) fn whole(rate: f64) -> u64 {
    rate as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_best_of_the_last_seconds_counts_and_older_ones_are_forgotten() {
        let mut link = Link::default();
        for (now, took) in [(0, 80), (10, 40), (20, 200)] {
            link.first_byte(at(now), at(took));
            link.body(at(now), 4 << 20, at(took));
        }
        assert_eq!(link.estimate().first_byte, at(40));
        assert!((link.estimate().stream_rate - to_f64(4 << 20) / 0.04).abs() < 1.0);
        for now in [11_000, 22_000] {
            link.first_byte(at(now), at(200));
        }
        assert_eq!(link.estimate().first_byte, at(200), "the store has become slower");
    }

    #[test]
    fn short_bodies_say_nothing_and_all_streams_add_up() {
        let mut link = Link::default();
        link.body(at(0), 1000, at(1));
        assert_eq!(link.estimate().stream_rate, STREAM_RATE);
        for ms in (0..1000).step_by(10) {
            link.received(at(ms), 2_000_000);
            link.received(at(ms), 2_000_000);
        }
        let total = link.estimate().total_rate;
        assert!((380e6..=410e6).contains(&total), "{total}");
    }
}
