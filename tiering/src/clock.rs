//! Wall-clock time behind a seam, so that tests decide what "now" is.
//!
//! Only ages and retention use it; deadlines run on tokio's own clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Where the crate reads the time of day.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;

    /// Whether the runtime's time moves only while nothing is done, as in a test that plays hours in
    /// a moment. Then waiting for a thread has to look like work to the runtime.
    fn is_virtual(&self) -> bool {
        false
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}
