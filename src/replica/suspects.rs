//! Followed partitions of which an object turned out to be gone: whoever met that waits until the one
//! who follows has looked again, and then knows what it means.
//!
//! Invariant: a look that began before a partition was named does not count as one for it.

use std::collections::BTreeSet;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::model::TopicPartition;

/// The longest wait for a look.
const LOOK_MAX: Duration = Duration::from_secs(10);

/// Names of partitions, from those who read to the one who follows.
#[derive(Debug)]
pub struct Suspects {
    named: Mutex<Named>,
    asked: Notify,
    /// Looks that have ended.
    looked: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Named {
    partitions: BTreeSet<TopicPartition>,
    /// Looks that have begun.
    begun: u64,
}

impl Default for Suspects {
    fn default() -> Self {
        Self { named: Mutex::default(), asked: Notify::new(), looked: watch::Sender::new(0) }
    }
}

impl Suspects {
    /// Names a partition, without a wait.
    pub fn name(&self, partition: TopicPartition) {
        self.named.lock().partitions.insert(partition);
        self.asked.notify_one();
    }

    /// Names a partition and waits until it was looked at, at most for ten seconds.
    pub async fn look_at(&self, partition: TopicPartition) {
        let mut looked = self.looked.subscribe();
        let needed = {
            let mut named = self.named.lock();
            named.partitions.insert(partition);
            named.begun + 1
        };
        self.asked.notify_one();
        // Too late, or nobody follows any more: the caller looks for itself at what is known.
        drop(tokio::time::timeout(LOOK_MAX, looked.wait_for(|ended| *ended >= needed)).await);
    }

    /// Returns when a partition was named since the last look began.
    pub async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Begins a look at all that were named.
    pub fn begin_look(&self) -> BTreeSet<TopicPartition> {
        let mut named = self.named.lock();
        named.begun += 1;
        std::mem::take(&mut named.partitions)
    }

    /// Ends the look, whatever came of it.
    pub fn end_look(&self) {
        let begun = self.named.lock().begun;
        self.looked.send_replace(begun);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_names_a_partition_waits_for_a_look_that_began_after_that() {
        let suspects = Arc::new(Suspects::default());
        assert!(suspects.begin_look().is_empty());
        let waits = {
            let suspects = suspects.clone();
            tokio::spawn(async move { suspects.look_at(TopicPartition::new("t", 0)).await })
        };
        suspects.asked().await;
        suspects.end_look();
        tokio::time::sleep(LOOK_MAX / 2).await;
        assert!(!waits.is_finished(), "that look had begun before");
        assert_eq!(suspects.begin_look().len(), 1);
        suspects.end_look();
        waits.await.expect("the wait ends");
        assert!(suspects.begin_look().is_empty(), "it was looked at");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever_for_a_look() {
        Suspects::default().look_at(TopicPartition::new("t", 0)).await;
    }
}
