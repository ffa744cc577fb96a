//! How long something took lately: a histogram that is emptied each time it is looked at.
//!
//! 16 buckets for each doubling from 16 µs to half a minute: a quantile is right to a sixteenth.
//! Noting costs one atomic addition.

use std::array;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const PER_DOUBLING: usize = 16;
const DOUBLINGS: usize = 21;
const BUCKETS: usize = PER_DOUBLING * DOUBLINGS;

/// Collects times from many threads.
pub struct Recent([AtomicU32; BUCKETS]);

impl Default for Recent {
    fn default() -> Self {
        Self(array::from_fn(|_| AtomicU32::new(0)))
    }
}

impl std::fmt::Debug for Recent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recent").finish_non_exhaustive()
    }
}

impl Recent {
    /// Notes one.
    pub fn note(&self, took: Duration) {
        self.0[bucket(took)].fetch_add(1, Ordering::Relaxed);
    }

    /// What was noted since the last call.
    pub fn take(&self) -> Window {
        let counts = self.0.iter().map(|count| count.swap(0, Ordering::Relaxed).into());
        Window(counts.collect())
    }
}

fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(16);
    let doubling = micros.ilog2() as usize - 4;
    let within = (micros >> doubling) as usize - PER_DOUBLING;
    (doubling * PER_DOUBLING + within).min(BUCKETS - 1)
}

/// The times of one stretch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window(Vec<u64>);

impl Window {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Takes another stretch's times in.
    pub fn add(&mut self, other: &Self) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        for (count, more) in self.0.iter_mut().zip(&other.0) {
            *count += more;
        }
    }

    /// No more than one in a hundred took longer; `None` when there is none.
    #[must_use]
    pub fn p99(&self) -> Option<Duration> {
        let beyond = self.count().checked_sub(1)? / 100;
        let mut above = 0;
        let at = self.0.iter().rposition(|count| {
            above += count;
            above > beyond
        })?;
        let (doubling, within) = (at / PER_DOUBLING, (at % PER_DOUBLING) as u64);
        Some(Duration::from_micros((PER_DOUBLING as u64 + within + 1) << doubling))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_99th_percentile_is_right_to_a_sixteenth_and_looking_empties() {
        let recent = Recent::default();
        for micros in 1..=10_000 {
            recent.note(Duration::from_micros(micros));
        }
        let mut window = recent.take();
        assert_eq!(window.count(), 10_000);
        let p99 = window.p99().expect("times").as_secs_f64() * 1e6;
        assert!((9_900.0..=9_900.0 * 17.0 / 16.0).contains(&p99), "{p99}");
        assert_eq!((recent.take().count(), recent.take().p99()), (0, None));
        for _ in 0..200 {
            recent.note(Duration::from_secs(1));
        }
        window.add(&recent.take());
        assert!(window.p99().expect("times") >= Duration::from_secs(1));
    }

    #[test]
    fn the_shortest_and_the_longest_times_have_a_bucket() {
        let recent = Recent::default();
        recent.note(Duration::ZERO);
        assert_eq!(recent.take().p99(), Some(Duration::from_micros(17)));
        recent.note(Duration::MAX);
        assert!(recent.take().p99().expect("a time") > Duration::from_secs(30));
    }
}
