//! Partitions whose last turn failed: how often in a row, and when to try again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use icecore_tiering::{Backoff, Dice};
use parking_lot::Mutex;

use super::Error;
use crate::model::TopicPartition;

/// How long a partition that failed is left alone.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(60));

/// The partitions that one duty leaves alone for a while.
#[derive(Default)]
pub(super) struct Failing(Mutex<HashMap<TopicPartition, Failed>>);

/// What failed at a partition, how often in a row, and when to try again.
struct Failed {
    failures: u32,
    until: Instant,
    error: String,
}

/// Partitions whose last upload or remote deletion failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailingUploads {
    /// How many.
    pub partitions: usize,
    /// One of them.
    pub example: TopicPartition,
    /// What is wrong with it.
    pub error: String,
}

impl Failing {
    pub(super) fn is_waiting(&self, name: &TopicPartition) -> bool {
        self.0.lock().get(name).is_some_and(|failed| Instant::now() < failed.until)
    }

    /// Returns how often in a row it failed.
    pub(super) fn failed(&self, name: &TopicPartition, error: &Error) -> u32 {
        let mut failing = self.0.lock();
        let failures = failing.get(name).map_or(0, |failed| failed.failures) + 1;
        let until = Instant::now() + BACKOFF.spread(failures, Dice::roll());
        failing.insert(name.clone(), Failed { failures, until, error: error.to_string() });
        failures
    }

    /// Returns how often in a row it failed, when that is worth a line in the log: at the 1st, 2nd, 4th,
    /// 8th time, and so on.
    pub(super) fn failed_notably(&self, name: &TopicPartition, error: &Error) -> Option<u32> {
        Some(self.failed(name, error)).filter(|failures| failures.is_power_of_two())
    }

    pub(super) fn succeeded(&self, name: &TopicPartition) {
        self.0.lock().remove(name);
    }

    /// Forgets partitions that are no more.
    pub(super) fn keep(&self, is_there: impl Fn(&TopicPartition) -> bool) {
        self.0.lock().retain(|name, _| is_there(name));
    }

    /// How many fail now, and the first of them by name; `None` when none does.
    pub(super) fn told(&self) -> Option<FailingUploads> {
        let failing = self.0.lock();
        let (example, failed) = failing.iter().min_by(|(a, _), (b, _)| a.cmp(b))?;
        let (example, error) = (example.clone(), failed.error.clone());
        Some(FailingUploads { partitions: failing.len(), example, error })
    }
}
