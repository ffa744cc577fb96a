//! Ends a connection that does not move.
//!
//! Reader and writer only bump counters, so the hot path reads no clock; the watchdog looks now and
//! then. It closes a little late, by at most a quarter of the time-out, and never early. Time in
//! which the server owes the client (an answer, memory for a frame) does not count.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::super::limits::Limits;
use super::ended::Ended;
use super::in_flight::InFlight;

/// What a connection's reader and writer tell of themselves.
#[derive(Debug)]
pub(super) struct Progress {
    /// Grows whenever a byte moves in either direction.
    moves: AtomicU64,
    /// The number of the frame that is partly here; 0 when there is none.
    partial_frame: AtomicU64,
    frames: AtomicU64,
    /// The writer has bytes that the client must take.
    sending: AtomicBool,
    /// The reader waits for memory.
    starved: AtomicBool,
    in_flight: Arc<InFlight>,
}

impl Progress {
    pub(super) fn new(in_flight: Arc<InFlight>) -> Self {
        Self {
            moves: AtomicU64::new(0),
            partial_frame: AtomicU64::new(0),
            frames: AtomicU64::new(0),
            sending: AtomicBool::new(false),
            starved: AtomicBool::new(false),
            in_flight,
        }
    }

    /// A byte came or went.
    pub(super) fn moved(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// The first bytes of a frame are here and others are missing.
    pub(super) fn frame_begun(&self) {
        if self.partial_frame.load(Ordering::Relaxed) == 0 {
            let number = self.frames.fetch_add(1, Ordering::Relaxed) + 1;
            self.partial_frame.store(number, Ordering::Relaxed);
        }
    }

    /// No frame is partly here.
    pub(super) fn frame_done(&self) {
        self.partial_frame.store(0, Ordering::Relaxed);
    }

    /// The reader begins or ends to wait for memory.
    pub(super) fn set_starved(&self, starved: bool) {
        if starved {
            self.frame_done();
        }
        self.starved.store(starved, Ordering::Relaxed);
    }

    /// The writer begins or ends to wait for the client.
    pub(super) fn set_sending(&self, sending: bool) {
        self.sending.store(sending, Ordering::Relaxed);
    }

    fn is_clients_turn(&self) -> bool {
        let idle = self.in_flight.is_empty() && !self.starved.load(Ordering::Relaxed);
        idle || self.sending.load(Ordering::Relaxed)
    }

    /// Returns when one of the time-outs has passed.
    pub(super) async fn watch(&self, limits: &Limits) -> Ended {
        let shortest = limits.idle_timeout.min(limits.frame_timeout);
        let look = (shortest / 4).max(Duration::from_millis(1));
        let mut still = Still::now(0);
        let mut frame = Still::now(0);
        loop {
            tokio::time::sleep(look).await;
            let moves = self.moves.load(Ordering::Relaxed);
            if still.time_at(moves, self.is_clients_turn()) >= limits.idle_timeout {
                let timeout = limits.idle_timeout;
                return if self.sending.load(Ordering::Relaxed) {
                    Ended::RepliesNotTaken { timeout }
                } else {
                    Ended::Idle { timeout }
                };
            }
            let partial = self.partial_frame.load(Ordering::Relaxed);
            if frame.time_at(partial, partial != 0) >= limits.frame_timeout {
                return Ended::FrameTimeout { timeout: limits.frame_timeout };
            }
        }
    }
}

/// How long a number has stood still.
struct Still {
    number: u64,
    since: Instant,
}

impl Still {
    fn now(number: u64) -> Self {
        Self { number, since: Instant::now() }
    }

    /// Zero when the number has changed since the last look or its time does not count.
    fn time_at(&mut self, number: u64, counts: bool) -> Duration {
        if number != self.number || !counts {
            *self = Self::now(number);
        }
        self.since.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched() -> (Arc<Progress>, Limits, Arc<InFlight>) {
        let limits = Limits {
            idle_timeout: Duration::from_secs(100),
            frame_timeout: Duration::from_secs(10),
            ..Limits::default()
        };
        let flight = Arc::new(InFlight::new(&limits));
        (Arc::new(Progress::new(Arc::clone(&flight))), limits, flight)
    }

    async fn after(progress: &Progress, limits: &Limits) -> (Ended, u64) {
        let start = Instant::now();
        let ended = progress.watch(limits).await;
        (ended, start.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_connection_that_owes_and_never_one_that_is_owed() {
        let (progress, limits, flight) = watched();
        let admitted = flight.admit(1).await;
        let long = tokio::time::timeout(Duration::from_secs(10_000), progress.watch(&limits));
        assert!(long.await.is_err(), "the server owes an answer");
        drop(admitted);
        let (ended, seconds) = after(&progress, &limits).await;
        assert!(matches!(ended, Ended::Idle { .. }) && (100..103).contains(&seconds));
        let _admitted = flight.admit(1).await;
        progress.set_sending(true);
        assert!(matches!(after(&progress, &limits).await.0, Ended::RepliesNotTaken { .. }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_drips_is_ended_though_bytes_move() {
        let (progress, limits, _flight) = watched();
        progress.frame_begun();
        let drip = async {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                progress.moved();
                progress.frame_begun();
            }
        };
        tokio::select! {
            () = drip => {}
            (ended, seconds) = after(&progress, &limits) => {
                assert!(matches!(ended, Ended::FrameTimeout { .. }), "{ended}");
                assert!((10..13).contains(&seconds), "{seconds}");
            }
        }
    }
}
