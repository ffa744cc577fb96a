//! A topic's own rates: what of it is uploaded, and what readers of its remote tier are handed. Its
//! partitions share one value, and nobody else knows it: it goes with them.
//!
//! Invariant: these rates are waited for before the broker's, so that who waits here has taken nothing
//! that other topics wait for.

use std::sync::Arc;

use super::gate::ReplayGate;
use super::limit::Limit;

/// What is set for a topic, and may change while the broker runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicBounds {
    /// Bytes a second of its uploads together; `None` without a bound.
    pub copies: Option<u64>,
    /// Bytes a second that its readers are handed of the remote tier; `None` without a bound.
    pub fetches: Option<u64>,
}

/// The rates of one topic.
#[derive(Debug, Default)]
pub struct TopicPaces {
    copies: Limit,
    copy_turn: Arc<tokio::sync::Mutex<()>>,
    replays: Arc<ReplayGate>,
}

impl TopicPaces {
    /// The rates of a topic with these bounds.
    #[must_use]
    pub fn new(bounds: TopicBounds) -> Arc<Self> {
        let paces = Arc::new(Self::default());
        paces.bound(bounds);
        paces
    }

    /// Puts new bounds in force, also for those who wait already. Doing it again is no change.
    pub fn bound(&self, bounds: TopicBounds) {
        if self.copies.get() != bounds.copies {
            self.copies.set(bounds.copies);
        }
        self.replays.set_ceiling(bounds.fetches);
    }

    /// The rate of its uploads.
    pub fn copies(&self) -> &Limit {
        &self.copies
    }

    /// Held for a segment's upload while the uploads have a bound: side by side they would be no
    /// faster, and each would hold a file open while it waits.
    pub fn copy_turn(&self) -> &Arc<tokio::sync::Mutex<()>> {
        &self.copy_turn
    }

    /// The way in for its replays; `None` while they have no bound.
    pub fn replays(&self) -> Option<&Arc<ReplayGate>> {
        self.replays.is_bounded().then_some(&self.replays)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::join_all;
    use icecore_tiering::Pace as _;
    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::pace::ReaderId;

    fn bounded(copies: Option<u64>, fetches: Option<u64>) -> Arc<TopicPaces> {
        TopicPaces::new(TopicBounds { copies, fetches })
    }

    #[tokio::test(start_paused = true)]
    async fn all_readers_of_a_topic_have_its_rate_among_them_and_those_of_another_do_not_wait() {
        let (slow, other) = (bounded(None, Some(1 << 20)), bounded(None, None));
        let began = Instant::now();
        let readers = (0..8).map(|reader| {
            let slow = slow.clone();
            tokio::spawn(async move {
                for _ in 0..2 {
                    let gate = slow.replays().expect("a bound").clone();
                    gate.pass(ReaderId(reader), 1 << 20).await.moved(1 << 20);
                }
            })
        });
        let readers = join_all(readers);
        assert!(other.replays().is_none(), "nothing to pass");
        readers.await;
        // 16 MiB; the first of them goes at once.
        let took = began.elapsed();
        assert!((15_000..15_500).contains(&took.as_millis()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn new_bounds_count_for_those_who_wait_and_the_same_ones_again_change_nothing() {
        let paces = bounded(Some(1), Some(1));
        paces.copies().admit(1000).await;
        let waits = tokio::spawn({
            let paces = paces.clone();
            async move { paces.copies().admit(1).await }
        });
        let began = Instant::now();
        paces.bound(TopicBounds { copies: Some(1), fetches: Some(1) });
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(!waits.is_finished());
        paces.bound(TopicBounds::default());
        timeout(Duration::from_millis(100), waits).await.expect("let go").expect("no panic");
        assert!(began.elapsed() < Duration::from_secs(11) && paces.replays().is_none());
    }
}
