//! Which partitions are to be synced when, though nobody waits for it.
//!
//! Holds no partition: one that was dropped is skipped when its time comes.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::replica::Partition;

/// Planned syncs by their time.
#[derive(Default)]
pub(super) struct Plans {
    by_time: BTreeMap<Instant, Vec<Weak<Partition>>>,
}

impl Plans {
    pub(super) fn add(&mut self, due: Instant, partition: Weak<Partition>) {
        self.by_time.entry(due).or_default().push(partition);
    }

    /// When the first one is due.
    pub(super) fn first_due(&self) -> Option<Instant> {
        self.by_time.first_key_value().map(|(due, _)| *due)
    }

    /// Takes the partitions whose time has come, as far as they are still there.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Arc<Partition>> {
        let mut due = Vec::new();
        while let Some(first) = self.by_time.first_entry().filter(|first| *first.key() <= now) {
            due.extend(first.remove().iter().filter_map(Weak::upgrade));
        }
        due
    }
}
