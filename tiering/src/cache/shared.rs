//! What the cache, its threads and its pins have in common.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::claim::Claim;
use super::index_file::IndexFile;
use super::slabs::Slabs;
use super::slots::Slots;
use crate::clock::Clock;
use crate::counters::Counters;
use crate::steps::{Step, Steps};

pub(super) struct Shared {
    /// Never held over anything that waits.
    pub(super) slots: Mutex<Slots>,
    /// Told whenever a slot may have become free.
    pub(super) freed: Notify,
    pub(super) slabs: Slabs,
    pub(super) index: IndexFile,
    pub(super) counters: Arc<Counters>,
    pub(super) steps: Arc<dyn Steps>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) opened_ms: i64,
    /// The last to go: nobody else may write to a file that somebody here still reads. None of a
    /// cache whose files have no name.
    pub(super) claim: Option<Claim>,
}

impl Shared {
    /// Seconds since the cache was opened; 0 when the clock went back behind that.
    pub(super) fn now(&self) -> u32 {
        let ms = self.clock.now_ms().saturating_sub(self.opened_ms).max(0);
        u32::try_from(ms / 1000).unwrap_or(u32::MAX)
    }

    pub(super) fn time_is_virtual(&self) -> bool {
        self.clock.is_virtual()
    }

    pub(super) fn reached(&self, step: Step) -> io::Result<()> {
        self.steps.reached(step).map_err(io::Error::other)
    }
}
