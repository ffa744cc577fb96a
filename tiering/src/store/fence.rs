//! Lets changes of the store through as long as this process is its owner, and not a moment longer. A
//! store that is only read lets none through, not even the ones by which one becomes the owner.
//!
//! Invariant: a change begins only while the last renewal is younger than [`VALID_FOR`], by the
//! clock that never jumps and by the time of day: a machine that slept notices by one of the two.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::clock::Clock;

/// So long after its last renewal was sent an owner may begin to change the store.
pub(crate) const VALID_FOR: Duration = Duration::from_secs(60);

/// Why a change does not begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOwner {
    /// The store did not take a renewal for too long: another broker could have taken over.
    #[error("it is not sure any more that no other broker took over")]
    Unsure,
    /// Another broker took over.
    #[error("another broker took over: {by}")]
    Deposed {
        /// Who, in words.
        by: String,
    },
    /// The store was opened to be read.
    #[error("it was opened to be read only")]
    ReadOnly,
}

/// See the module's words.
#[derive(Default)]
pub(crate) struct Fence {
    /// Of a store that this process never changes, whatever becomes of the state.
    read_only: bool,
    state: Mutex<State>,
}

#[derive(Default)]
enum State {
    /// Nobody asked for ownership: a tool, or a test.
    #[default]
    Open,
    Held {
        until: Instant,
        until_ms: i64,
        clock: Arc<dyn Clock>,
    },
    Deposed {
        by: String,
    },
}

impl Fence {
    /// The fence of a store that is changed, or is only read.
    pub(super) fn new(read_only: bool) -> Self {
        Self { read_only, ..Self::default() }
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Whether a change may begin by which a process becomes the owner.
    pub(super) fn check_creation(&self) -> Result<(), NotOwner> {
        if self.read_only { Err(NotOwner::ReadOnly) } else { Ok(()) }
    }

    /// Whether a change may begin.
    pub(crate) fn check(&self) -> Result<(), NotOwner> {
        self.check_creation()?;
        match &*self.state.lock() {
            State::Open => Ok(()),
            State::Held { until, until_ms, clock }
                if Instant::now() < *until && clock.now_ms() < *until_ms =>
            {
                Ok(())
            }
            State::Held { .. } => Err(NotOwner::Unsure),
            State::Deposed { by } => Err(NotOwner::Deposed { by: by.clone() }),
        }
    }

    /// A renewal that was sent at `sent`, with `sent_ms` on the clock, is in the store. One who was
    /// deposed stays so.
    pub(crate) fn renewed(&self, sent: Instant, sent_ms: i64, clock: &Arc<dyn Clock>) {
        let mut state = self.state.lock();
        if !matches!(*state, State::Deposed { .. }) {
            let valid_ms = i64::try_from(VALID_FOR.as_millis()).unwrap_or(i64::MAX);
            let (until, until_ms) = (sent + VALID_FOR, sent_ms.saturating_add(valid_ms));
            *state = State::Held { until, until_ms, clock: Arc::clone(clock) };
        }
    }

    /// Another broker has the store from now on.
    pub(crate) fn depose(&self, by: String) {
        *self.state.lock() = State::Deposed { by };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[test]
    fn a_store_that_is_only_read_takes_no_change_from_anybody() {
        let fence = Fence::new(true);
        assert_eq!(fence.check(), Err(NotOwner::ReadOnly));
        assert_eq!(fence.check_creation(), Err(NotOwner::ReadOnly), "nor an owner's record");
        fence.renewed(Instant::now(), 0, &(Arc::new(Hand(AtomicI64::new(0))) as Arc<dyn Clock>));
        assert_eq!(fence.check(), Err(NotOwner::ReadOnly), "also once it is the owner's");
    }

    struct Hand(AtomicI64);

    impl Clock for Hand {
        fn now_ms(&self) -> i64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn changes_begin_only_while_the_last_renewal_is_young_by_both_clocks() {
        let hand = Arc::new(Hand(AtomicI64::new(1_000)));
        let clock: Arc<dyn Clock> = hand.clone();
        let fence = Fence::default();
        assert_eq!(fence.check(), Ok(()), "nobody asked for ownership");
        fence.renewed(Instant::now(), 1_000, &clock);
        tokio::time::advance(VALID_FOR - Duration::from_millis(1)).await;
        assert_eq!(fence.check(), Ok(()));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(fence.check(), Err(NotOwner::Unsure));
        fence.renewed(Instant::now(), 1_000, &clock);
        assert_eq!(fence.check(), Ok(()), "the store is back");
        // The machine slept: only the time of day went on.
        hand.0.store(61_000, Ordering::Relaxed);
        assert_eq!(fence.check(), Err(NotOwner::Unsure));
        fence.depose("b".into());
        fence.renewed(Instant::now(), 61_000, &clock);
        assert_eq!(fence.check(), Err(NotOwner::Deposed { by: "b".into() }), "for good");
    }
}
