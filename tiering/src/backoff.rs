//! Pauses between tries: each twice as long as the one before, up to a bound, and spread, so that
//! those who failed together do not come back together.
//!
//! Invariant: a pause is never longer than its bound, and never shorter than three quarters of what
//! it would be without spreading.

use std::time::Duration;

/// Pauses that double.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// Pauses that begin with `first` and grow to `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// The pause after so many failures in a row, before it is spread.
    #[must_use]
    pub fn whole(self, failures: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(doubled).min(self.longest)
    }

    /// The pause after so many failures in a row. The dice take at most a quarter of it.
    #[must_use]
    pub fn spread(self, failures: u32, dice: Dice) -> Duration {
        let whole = self.whole(failures);
        whole - dice.part_of(whole / 4)
    }
}

/// What chance says, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dice(u32);

impl Dice {
    /// Dice that take nothing.
    pub const NOTHING: Self = Self(0);
    /// Dice that take all that they may.
    pub const ALL: Self = Self(u32::MAX);

    /// Rolls them.
    #[must_use]
    pub fn roll() -> Self {
        Self(uuid::Uuid::new_v4().as_fields().0)
    }

    /// Somewhere between nothing and the whole.
    #[must_use]
    pub fn part_of(self, whole: Duration) -> Duration {
        whole.mul_f64(f64::from(self.0) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_pause_is_twice_the_one_before_up_to_the_bound() {
        let backoff = Backoff::new(2 * SECOND, 60 * SECOND);
        let seconds = |failures| backoff.whole(failures).as_secs();
        assert_eq!([1, 2, 3, 5, 6, 7, 33, u32::MAX].map(seconds), [2, 4, 8, 32, 60, 60, 60, 60]);
        assert_eq!(seconds(0), 2, "no failure is as the first one");
    }

    #[test]
    fn the_dice_take_at_most_a_quarter_of_a_pause() {
        let backoff = Backoff::new(4 * SECOND, 60 * SECOND);
        assert_eq!(backoff.spread(1, Dice::NOTHING), 4 * SECOND);
        assert_eq!(backoff.spread(1, Dice::ALL), 3 * SECOND);
        for _ in 0..100 {
            assert!((3 * SECOND..=4 * SECOND).contains(&backoff.spread(1, Dice::roll())));
        }
    }
}
