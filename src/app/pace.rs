//! The rate that all uploads, all downloads, or all readers of a command together keep to.

use std::time::Duration;

use async_trait::async_trait;
use icecore_tiering::Pace;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Admits bytes one after the other, each for as long as they take at the rate.
#[derive(Debug)]
pub(crate) struct SteadyRate {
    bytes_per_second: u64,
    /// When everything that was admitted is through.
    free_at: Mutex<Instant>,
}

impl SteadyRate {
    /// At least one byte a second.
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), free_at: Mutex::new(Instant::now()) }
    }

    /// When these bytes may begin. Time that nobody used is not made up for.
    #[expect(clippy::cast_precision_loss, reason = "a share of a second, not a count")]
    fn book(&self, bytes: u64) -> Instant {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let mut free_at = self.free_at.lock();
        let begins = (*free_at).max(Instant::now());
        *free_at = begins + takes;
        begins
    }
}

#[async_trait]
impl Pace for SteadyRate {
    async fn admit(&self, bytes: u64) {
        sleep_until(self.book(bytes)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_are_admitted_at_the_rate_and_idle_time_is_not_saved_up() {
        let (rate, began) = (SteadyRate::new(1000), Instant::now());
        for (bytes, admitted_after) in [(2000, 0), (500, 2000), (1000, 2500)] {
            rate.admit(bytes).await;
            assert_eq!(began.elapsed().as_millis(), admitted_after);
        }
        tokio::time::advance(Duration::from_secs(60)).await;
        rate.admit(1000).await;
        assert_eq!(began.elapsed().as_millis(), 62_500, "at once");
        rate.admit(1).await;
        assert_eq!(began.elapsed().as_millis(), 63_500, "no sooner for the idle minute");
    }
}
