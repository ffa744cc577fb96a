//! What gives way: ranges of files that somebody replays. They leave from threads that others go before,
//! and evenly, at the rate that replays have now: at full speed a single reply would fill the way out,
//! and the processors, for milliseconds, and every ack meanwhile would wait behind it.
//!
//! Invariant: a reply that is on its way is never slower than [`RATE_MIN`], whatever replays have among
//! them: a client waits for it no longer than `request.timeout.ms`. Who has less waits before the read.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::pace::ReplayGate;

/// Bytes a second. The 50 MiB of the largest fetch that clients send by default take 3 seconds.
const RATE_MIN: u64 = 16 << 20;

/// Where such ranges are sent from, and how fast.
#[derive(Clone, Debug)]
pub struct Aside {
    /// Its threads give way to others.
    pub threads: Handle,
    /// Knows what replays may move.
    pub replays: Arc<ReplayGate>,
}

impl Aside {
    /// On the threads of this runtime, as fast as it goes.
    #[must_use]
    pub fn here() -> Self {
        Self { threads: Handle::current(), replays: Arc::default() }
    }

    /// How fast a reply leaves, in bytes a second; `None` for as fast as it goes.
    pub(super) fn rate(&self) -> Option<u64> {
        self.replays.rate().map(|rate| rate.max(RATE_MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reply_outlasts_no_clients_patience_however_little_replays_have() {
        let aside = Aside::here();
        assert_eq!(aside.rate(), None);
        aside.replays.set_share(Some(100 << 20));
        assert_eq!(aside.rate(), Some(100 << 20));
        aside.replays.set_share(Some(1000));
        assert_eq!(aside.rate(), Some(RATE_MIN));
    }
}
