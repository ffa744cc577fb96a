//! Fetches that wait for records.
//!
//! A waiter that left is only weakly held here, so a fetch that ends early (a time-out, a closed
//! connection) costs nothing but a slot that the next wake-up or registration clears.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// One parked fetch. It may wait for many partitions.
#[derive(Debug, Default)]
pub struct FetchWaiter {
    arrived: Notify,
    arrived_at: OnceLock<Instant>,
}

impl FetchWaiter {
    /// A waiter that nothing has woken yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Returns when one of its partitions has grown since the last return; a growth that comes
    /// between two calls is not missed.
    pub async fn woken(&self) {
        self.arrived.notified().await;
    }

    /// When the first of its partitions grew; `None` when none did.
    pub fn arrived_at(&self) -> Option<Instant> {
        self.arrived_at.get().copied()
    }
}

/// The fetches parked at one partition.
#[derive(Debug, Default)]
pub struct Waiters {
    parked: Mutex<Parked>,
}

#[derive(Debug, Default)]
struct Parked {
    waiters: Vec<Weak<FetchWaiter>>,
    /// Past this length the dead ones are cleared first, so that the list stays within twice the
    /// number of live waiters.
    clear_at: usize,
}

/// Below this a list is never worth clearing.
const CLEAR_AT_MIN: usize = 16;

impl Waiters {
    /// Parks `waiter` here until the next [`Waiters::wake_all`].
    pub fn park(&self, waiter: &Arc<FetchWaiter>) {
        let mut parked = self.parked.lock();
        if parked.waiters.len() >= parked.clear_at.max(CLEAR_AT_MIN) {
            parked.waiters.retain(|waiter| waiter.strong_count() > 0);
            parked.clear_at = parked.waiters.len() * 2;
        }
        parked.waiters.push(Arc::downgrade(waiter));
    }

    /// Wakes and releases every waiter.
    pub fn wake_all(&self) {
        let mut parked = self.parked.lock();
        for waiter in parked.waiters.drain(..).filter_map(|waiter| waiter.upgrade()) {
            waiter.arrived_at.get_or_init(Instant::now);
            waiter.arrived.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_growth_before_the_wait_is_not_missed() {
        let (waiters, waiter) = (Waiters::default(), FetchWaiter::new());
        waiters.park(&waiter);
        waiters.wake_all();
        waiter.woken().await;
    }

    #[test]
    fn fetches_that_left_do_not_pile_up() {
        let waiters = Waiters::default();
        for _ in 0..10_000 {
            waiters.park(&FetchWaiter::new());
        }
        assert!(waiters.parked.lock().waiters.len() <= CLEAR_AT_MIN);
    }
}
