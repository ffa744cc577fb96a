//! Partitions whose last turn failed: how often in a row, and when to try again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use icecore_tiering::{Backoff, Dice};
use parking_lot::Mutex;

use crate::model::TopicPartition;

/// How long a partition that failed is left alone.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(60));

/// The partitions that one duty leaves alone for a while.
#[derive(Default)]
pub(super) struct Failing(Mutex<HashMap<TopicPartition, (u32, Instant)>>);

impl Failing {
    pub(super) fn is_waiting(&self, name: &TopicPartition) -> bool {
        self.0.lock().get(name).is_some_and(|(_, until)| Instant::now() < *until)
    }

    /// Returns how often in a row it failed.
    pub(super) fn failed(&self, name: &TopicPartition) -> u32 {
        let mut failing = self.0.lock();
        let (failures, until) = failing.entry(name.clone()).or_insert((0, Instant::now()));
        *failures += 1;
        *until = Instant::now() + BACKOFF.spread(*failures, Dice::roll());
        *failures
    }

    pub(super) fn succeeded(&self, name: &TopicPartition) {
        self.0.lock().remove(name);
    }
}
