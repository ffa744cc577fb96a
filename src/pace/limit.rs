//! A rate that all who share it keep to together, and that can be changed while they wait.
//!
//! Invariants: first come, first served; who leaves before its turn has cost nothing; time that
//! nobody used is not made up for; a new rate counts at once, also for what was admitted before.

use std::time::Duration;

use async_trait::async_trait;
use icecore_tiering::Pace;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// A timer wakes late, by a millisecond and more on a busy machine. So much of it is made up for.
const LATE_MAX: Duration = Duration::from_millis(20);
/// Nothing takes longer: a time that the clock cannot hold would end the process.
const TAKES_MAX: Duration = Duration::from_secs(24 * 3600);

/// Admits bytes one after the other, each for as long as they take at the rate.
#[derive(Debug)]
pub struct Limit {
    /// Held by the one that waits for its time; the others wait for this.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    bytes_per_second: Option<u64>,
    /// When everything that was admitted is through.
    free_at: Instant,
}

impl State {
    #[expect(clippy::cast_precision_loss, reason = "a share of a second, not a count")]
    fn takes(&self, bytes: u64) -> Duration {
        let rate = self.bytes_per_second;
        rate.map_or(Duration::ZERO, |rate| seconds(bytes as f64 / rate as f64))
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).map_or(TAKES_MAX, |takes| takes.min(TAKES_MAX))
}

impl Default for Limit {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Limit {
    /// So many bytes a second, at least one; `None` admits everything at once.
    #[must_use]
    pub fn new(bytes_per_second: Option<u64>) -> Self {
        let bytes_per_second = bytes_per_second.map(|rate| rate.max(1));
        let state = Mutex::new(State { bytes_per_second, free_at: Instant::now() });
        Self { turn: tokio::sync::Mutex::default(), state, changed: Notify::new() }
    }

    /// Changes the rate.
    #[expect(clippy::cast_precision_loss, reason = "a ratio of rates, not a count")]
    pub fn set(&self, bytes_per_second: Option<u64>) {
        let (new, now) = (bytes_per_second.map(|rate| rate.max(1)), Instant::now());
        let mut state = self.state.lock();
        let left = state.free_at.saturating_duration_since(now);
        let left = match (state.bytes_per_second, new) {
            (Some(old), Some(new)) => seconds(left.as_secs_f64() * old as f64 / new as f64),
            _ => Duration::ZERO,
        };
        *state = State { bytes_per_second: new, free_at: now + left };
        drop(state);
        self.changed.notify_one();
    }

    /// The rate, in bytes a second.
    #[must_use]
    pub fn get(&self) -> Option<u64> {
        self.state.lock().bytes_per_second
    }

    /// Corrects what was admitted by what was moved in the end.
    pub(super) fn correct(&self, admitted: u64, moved: u64) {
        let mut state = self.state.lock();
        let (admitted, moved) = (state.takes(admitted), state.takes(moved));
        let free_at = state.free_at + moved;
        state.free_at = free_at.checked_sub(admitted).unwrap_or(free_at);
        drop(state);
        self.changed.notify_one();
    }

    /// When the next may begin, unless it may now.
    pub(super) fn busy_until(&self) -> Option<Instant> {
        let free_at = self.state.lock().free_at;
        (free_at > Instant::now()).then_some(free_at)
    }

    fn book(&self, bytes: u64, waited: bool) {
        let (now, mut state) = (Instant::now(), self.state.lock());
        let earliest = if waited { now.checked_sub(LATE_MAX).unwrap_or(now) } else { now };
        state.free_at = state.free_at.max(earliest) + state.takes(bytes);
    }
}

#[async_trait]
impl Pace for Limit {
    async fn admit(&self, bytes: u64) {
        let (_turn, mut waited) = match self.turn.try_lock() {
            Ok(turn) => (turn, false),
            Err(_) => (self.turn.lock().await, true),
        };
        while let Some(until) = self.busy_until() {
            waited = true;
            tokio::select! {
                () = sleep_until(until) => {}
                () = self.changed.notified() => {}
            }
        }
        self.book(bytes, waited);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_are_admitted_at_the_rate_and_idle_time_is_not_saved_up() {
        let (limit, began) = (Limit::new(Some(1000)), Instant::now());
        for (bytes, admitted_after) in [(2000, 0), (500, 2000), (1000, 2500)] {
            limit.admit(bytes).await;
            assert_eq!(began.elapsed().as_millis(), admitted_after);
        }
        tokio::time::advance(Duration::from_secs(60)).await;
        limit.admit(1000).await;
        assert_eq!(began.elapsed().as_millis(), 62_500, "at once");
        limit.admit(1).await;
        assert_eq!(began.elapsed().as_millis(), 63_500, "no sooner for the idle minute");
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_rate_counts_for_those_who_wait_already() {
        let (limit, began) = (Arc::new(Limit::new(Some(1))), Instant::now());
        limit.admit(1000).await;
        let waits = tokio::spawn({
            let limit = limit.clone();
            async move { limit.admit(1000).await }
        });
        tokio::time::sleep(Duration::from_secs(500)).await;
        limit.set(Some(500));
        waits.await.expect("no panic");
        assert_eq!(began.elapsed(), Duration::from_secs(501), "half of it was through");
        limit.set(None);
        limit.admit(u64::MAX).await;
        limit.admit(u64::MAX).await;
        assert_eq!(began.elapsed(), Duration::from_secs(501));
        limit.set(Some(u64::MAX));
        limit.admit(u64::MAX).await;
        limit.set(Some(1));
        limit.correct(0, u64::MAX);
        assert!(timeout(Duration::from_secs(3600), limit.admit(1)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_before_its_turn_has_cost_nothing() {
        let (limit, began) = (Limit::new(Some(1000)), Instant::now());
        limit.admit(1000).await;
        for _ in 0..10 {
            let left = timeout(Duration::from_millis(10), limit.admit(1_000_000)).await;
            assert!(left.is_err(), "it is not its turn");
        }
        limit.admit(1).await;
        assert_eq!(began.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_moved_is_given_back() {
        let (limit, began) = (Limit::new(Some(1000)), Instant::now());
        limit.admit(2000).await;
        limit.correct(2000, 500);
        limit.admit(1).await;
        assert_eq!(began.elapsed().as_millis(), 500);
    }

    #[tokio::test(start_paused = true)]
    async fn many_small_waits_come_to_the_rate_although_each_timer_is_late() {
        let (limit, began) = (Limit::new(Some(100_000_000)), Instant::now());
        for _ in 0..101 {
            // A millisecond and a half: the timer, which counts whole ones, wakes later.
            limit.admit(150_000).await;
        }
        let took = began.elapsed();
        // 150 ms by the rate, 200 if lateness added up.
        assert!((150..=152).contains(&took.as_millis()), "{took:?}");
    }
}
