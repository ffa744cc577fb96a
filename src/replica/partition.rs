//! A partition that this broker leads, or follows in the remote tier: its log, its high watermark, and
//! who waits for it.
//!
//! Invariant: `log_start <= local_log_start <= last_stable <= high_watermark <= log_end`. With one
//! replica the high watermark follows every write: what the leader holds, all in-sync replicas hold.

use std::io;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arc_swap::ArcSwap;
use icecore_tiering::PartitionKey;
use parking_lot::Mutex;

use super::waiters::Waiters;
use crate::config::{TimestampSource, TopicConfig};
use crate::env::Clock;
use crate::log::{AppendError, Appended, LogConfig, TieredLog};
use crate::metrics::{TopicHandle, TopicMetrics};
use crate::model::{LeaderEpoch, Offset, TopicId, TopicPartition};
use crate::pace::{TopicBounds, TopicPaces};
use crate::record::{Batch, TimestampType};

/// How far another broker has come with a partition that it leads.
#[derive(Clone, Debug)]
pub struct FollowTo {
    /// The offset after the last one that is uploaded or deleted.
    pub end: Offset,
    /// The leader epochs of what lies below, ascending.
    pub epochs: Vec<(LeaderEpoch, Offset)>,
    /// The highest leader epoch that is known.
    pub leader_epoch: LeaderEpoch,
}

/// Which records a consumer may see (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset.
    ReadCommitted,
}

/// What was written last is surely in the page cache; this much of it is read without asking.
const TAIL_BYTES: u64 = 4 << 20;

/// One hosted partition.
pub struct Partition {
    name: TopicPartition,
    topic_id: TopicId,
    leader_epoch: AtomicI32,
    log: TieredLog,
    config: ArcSwap<TopicConfig>,
    /// Shared with the topic's other partitions.
    paces: Arc<TopicPaces>,
    high_watermark: AtomicI64,
    tail: Tail,
    waiters: Waiters,
    traffic: OnceLock<TopicHandle>,
    clock: Arc<dyn Clock>,
    /// When the flusher will sync it without being asked again (`flush.ms`).
    planned_flush: Mutex<Option<Instant>>,
    local_copies: tokio::sync::Mutex<()>,
}

/// Where the freshly written part of the log begins: two marks that follow the end at a distance
/// of one to two times [`TAIL_BYTES`].
struct Tail {
    start: AtomicI64,
    next_start: AtomicI64,
    bytes: AtomicU64,
}

impl Tail {
    fn new(end: Offset) -> Self {
        let (start, next_start) = (AtomicI64::new(end.get()), AtomicI64::new(end.get()));
        Self { start, next_start, bytes: AtomicU64::new(0) }
    }

    /// Notes a write; on the partition's lane only.
    fn wrote(&self, bytes: u64, end: Offset) {
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > TAIL_BYTES {
            self.bytes.store(0, Ordering::Relaxed);
            self.start.store(self.next_start.load(Ordering::Relaxed), Ordering::Release);
            self.next_start.store(end.get(), Ordering::Relaxed);
        }
    }
}

impl Partition {
    /// Hosts a log that has been opened (and recovered). `paces` are its topic's.
    pub fn new(
        name: TopicPartition,
        topic_id: TopicId,
        leader_epoch: LeaderEpoch,
        log: TieredLog,
        config: Arc<TopicConfig>,
        paces: Arc<TopicPaces>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let end = log.local().log_end();
        let high_watermark = AtomicI64::new(end.get());
        Self {
            name,
            topic_id,
            leader_epoch: AtomicI32::new(leader_epoch.get()),
            log,
            config: ArcSwap::new(config),
            paces,
            high_watermark,
            tail: Tail::new(end),
            waiters: Waiters::default(),
            traffic: OnceLock::new(),
            clock,
            planned_flush: Mutex::new(None),
            local_copies: tokio::sync::Mutex::new(()),
        }
    }

    /// Topic and number.
    pub fn name(&self) -> &TopicPartition {
        &self.name
    }

    /// The topic's identity.
    pub fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// The partition's name in the remote tier.
    pub fn tier_key(&self) -> PartitionKey {
        PartitionKey::new(self.name.topic.clone(), self.topic_id, self.name.partition)
    }

    /// The epoch in which this broker leads, or the highest that is known of the one that does.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch::new(self.leader_epoch.load(Ordering::Acquire))
    }

    /// The log over both tiers.
    pub fn log(&self) -> &TieredLog {
        &self.log
    }

    /// Held while local copies go because the remote tier has them, and while the remote tier is
    /// cleared because the local log has the rest: never both.
    pub(super) fn local_copies(&self) -> &tokio::sync::Mutex<()> {
        &self.local_copies
    }

    /// The topic's settings of this moment.
    pub fn config(&self) -> Arc<TopicConfig> {
        self.config.load_full()
    }

    /// Takes over changed settings.
    pub fn configure(&self, config: Arc<TopicConfig>) {
        self.log.local().configure(log_config(&config));
        self.paces.bound(topic_bounds(&config));
        self.config.store(config);
    }

    /// The topic's own rates.
    pub fn paces(&self) -> &Arc<TopicPaces> {
        &self.paces
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

    /// From here on records were written so lately that a read finds them in the page cache.
    pub fn tail_start(&self) -> Offset {
        Offset::new(self.tail.start.load(Ordering::Acquire))
    }

    /// What its topic's clients are counted by; `topics` gives it at the first call.
    pub fn traffic(&self, topics: &TopicMetrics) -> &TopicHandle {
        self.traffic.get_or_init(|| topics.topic(&self.name.topic))
    }

    /// Those who wait for this partition to grow.
    pub fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// Appends `batches` in one write. Blocking; on the partition's append lane only.
    pub(super) fn write(&self, batches: &[Batch]) -> Vec<Result<Appended, AppendError>> {
        let results = self.log.local().append(batches, self.leader_epoch(), self.clock.now_ms());
        let end = self.log.local().log_end();
        if self.high_watermark.fetch_max(end.get(), Ordering::AcqRel) < end.get() {
            self.tail.wrote(batches.iter().map(|batch| batch.len() as u64).sum(), end);
            self.waiters.wake_all();
        }
        results
    }

    /// Takes over how far the broker has come that leads elsewhere, once the manifest knows all that it
    /// has uploaded below. Blocking.
    pub(super) fn follow(&self, to: FollowTo) -> io::Result<()> {
        let FollowTo { end, epochs, leader_epoch } = to;
        self.log.uploaded_until(end);
        self.log.local().follow(end, epochs)?;
        self.leader_epoch.fetch_max(leader_epoch.get(), Ordering::AcqRel);
        if self.high_watermark.fetch_max(end.get(), Ordering::AcqRel) < end.get() {
            self.waiters.wake_all();
        }
        Ok(())
    }

    /// Whether `flush.messages` wants a sync now.
    pub(super) fn flush_is_due(&self) -> bool {
        let unflushed = self.log.local().log_end() - self.log.local().flushed();
        unflushed >= self.config.load().flush_messages()
    }

    /// When `flush.ms` wants a sync of what was just written, if no plan covers it yet. Whoever
    /// takes the answer plans it.
    pub(super) fn plan_flush(&self) -> Option<Instant> {
        let interval = self.config.load().flush_interval()?;
        if self.log.local().flushed() >= self.log.local().log_end() {
            return None;
        }
        let due = Instant::now().checked_add(interval)?;
        let mut planned = self.planned_flush.lock();
        if planned.is_some_and(|planned| planned <= due) {
            return None;
        }
        *planned = Some(due);
        Some(due)
    }

    /// The plan is carried out: what is written from here on needs another one.
    pub(super) fn begin_planned_flush(&self) {
        *self.planned_flush.lock() = None;
    }

    /// Syncs all that was written so far. Blocking; on a flusher only.
    pub(super) fn sync(&self) -> Result<(), AppendError> {
        self.log.local().sync().map(drop)
    }
}

/// The rates that a topic's settings ask for.
pub(super) fn topic_bounds(config: &TopicConfig) -> TopicBounds {
    TopicBounds {
        copies: config.copy_max_bytes_per_second(),
        fetches: config.fetch_max_bytes_per_second(),
    }
}

/// What of a topic's settings its logs act on.
pub(super) fn log_config(config: &TopicConfig) -> LogConfig {
    LogConfig {
        segment_bytes: config.segment_bytes() as u64,
        segment_ms: config.segment_ms(),
        index_bytes: config.index_bytes(),
        index_interval_bytes: config.index_interval_bytes(),
        timestamp_type: match config.timestamp_source() {
            TimestampSource::CreateTime => TimestampType::CreateTime,
            TimestampSource::LogAppendTime => TimestampType::LogAppendTime,
        },
    }
}
