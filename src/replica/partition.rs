//! A partition that this broker leads: its log, its high watermark, and who waits for it.
//!
//! Invariant: `log_start <= local_log_start <= last_stable <= high_watermark <= log_end`. With one
//! replica the high watermark follows every write: what the leader holds, all in-sync replicas hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwap;

use super::waiters::Waiters;
use crate::config::TopicConfig;
use crate::env::Clock;
use crate::log::{AppendError, Appended, TieredLog};
use crate::model::{LeaderEpoch, Offset, TopicId, TopicPartition};
use crate::record::Batch;

/// Which records a consumer may see (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset.
    ReadCommitted,
}

/// One hosted partition.
pub struct Partition {
    name: TopicPartition,
    topic_id: TopicId,
    leader_epoch: LeaderEpoch,
    log: TieredLog,
    config: ArcSwap<TopicConfig>,
    high_watermark: AtomicI64,
    waiters: Waiters,
    clock: Arc<dyn Clock>,
}

impl Partition {
    /// Hosts a log that has been opened (and recovered).
    pub fn new(
        name: TopicPartition,
        topic_id: TopicId,
        leader_epoch: LeaderEpoch,
        log: TieredLog,
        config: Arc<TopicConfig>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let high_watermark = AtomicI64::new(log.local().log_end().get());
        let config = ArcSwap::new(config);
        let waiters = Waiters::default();
        Self { name, topic_id, leader_epoch, log, config, high_watermark, waiters, clock }
    }

    /// Topic and number.
    pub fn name(&self) -> &TopicPartition {
        &self.name
    }

    /// The topic's identity.
    pub fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// The epoch in which this broker leads.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// The log over both tiers.
    pub fn log(&self) -> &TieredLog {
        &self.log
    }

    /// The topic's settings of this moment.
    pub fn config(&self) -> Arc<TopicConfig> {
        self.config.load_full()
    }

    /// Takes over changed settings.
    pub fn configure(&self, config: Arc<TopicConfig>) {
        self.log.configure(&config);
        self.config.store(config);
    }

    /// The offset after the last record that every in-sync replica holds.
    pub fn high_watermark(&self) -> Offset {
        Offset::new(self.high_watermark.load(Ordering::Acquire))
    }

    /// The offset after the last record that a consumer of that isolation may see.
    pub fn readable_end(&self, isolation: Isolation) -> Offset {
        match isolation {
            Isolation::ReadUncommitted => self.high_watermark(),
            Isolation::ReadCommitted => self.log.local().last_stable().min(self.high_watermark()),
        }
    }

    /// Those who wait for this partition to grow.
    pub fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// Appends `batches` in one write. Blocking; on the partition's append lane only.
    pub(super) fn write(&self, batches: &[Batch]) -> Vec<Result<Appended, AppendError>> {
        let now_ms = self.clock.now_ms();
        let results = self.log.local().append(batches, self.leader_epoch, now_ms);
        let end = self.log.local().log_end().get();
        if self.high_watermark.fetch_max(end, Ordering::AcqRel) < end {
            self.waiters.wake_all();
        }
        results
    }

    /// Syncs all that was written so far. Blocking; on a flusher only.
    pub(super) fn sync(&self) -> Result<(), AppendError> {
        self.log.local().sync().map(drop)
    }
}
