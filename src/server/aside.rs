//! What gives way: ranges of files that somebody replays. They leave from threads that others go before,
//! and evenly, at the rate that replays have now: at full speed a single reply would fill the way out,
//! and the processors, for milliseconds, and every ack meanwhile would wait behind it.

use std::fmt;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::pace::ReplayGate;

/// Where such ranges are sent from, and how fast.
#[derive(Clone)]
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
}

impl fmt::Debug for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aside").field("replays", &self.replays).finish_non_exhaustive()
    }
}
