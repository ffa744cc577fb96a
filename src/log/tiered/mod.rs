//! One offset space over both tiers.
//!
//! What lies below the local log start is in the remote tier, if it is anywhere; a reader is sent
//! to one or the other and cannot tell. A read that has to wait for a disk or a store never runs
//! on the caller's thread.

mod inspect;
mod position;
mod remote;
mod window;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwapOption;
use icecore_tiering::{PartitionKey, Segment, Tiering};

use super::error::ReadError;
use super::partition_log::Log;
use super::producer_snapshot::SnapshotEntry;
use super::segment::TimestampedOffset;
use crate::model::{FileSlice, LeaderEpoch, Offset};

pub use inspect::BatchInspector;

/// The partition's place in the remote tier.
#[derive(Clone)]
pub struct Tier {
    /// The store with its manifest.
    pub tiering: Arc<Tiering>,
    /// The partition there.
    pub key: PartitionKey,
}

/// Whole batches, from wherever they lie.
#[derive(Clone, Debug, Default)]
pub struct TieredRead {
    /// File ranges that follow on each other; none when there is nothing to read.
    pub slices: Vec<FileSlice>,
}

/// What "nothing uploaded" looks like.
const NOTHING: i64 = -1;

/// The log of a partition over both tiers.
pub struct TieredLog {
    local: Arc<Log>,
    tier: ArcSwapOption<Tier>,
    /// The offset after the last one that the remote tier holds.
    remote_end: AtomicI64,
}

impl TieredLog {
    /// A log whose remote tier, if it has one, ends at `remote_end`.
    pub fn new(local: Arc<Log>, tier: Option<Tier>, remote_end: Option<Offset>) -> Self {
        let remote_end = AtomicI64::new(remote_end.map_or(NOTHING, Offset::get));
        Self { local, tier: ArcSwapOption::new(tier.map(Arc::new)), remote_end }
    }

    /// The local tier.
    pub fn local(&self) -> &Arc<Log> {
        &self.local
    }

    /// The remote tier, if the partition has one.
    pub fn tier(&self) -> Option<Arc<Tier>> {
        self.tier.load_full()
    }

    /// Whether there is a remote tier.
    pub fn is_tiered(&self) -> bool {
        self.tier.load().is_some()
    }

    /// Gives the partition a remote tier, or takes it away.
    pub fn set_tier(&self, tier: Option<Tier>, remote_end: Option<Offset>) {
        self.remote_end.store(remote_end.map_or(NOTHING, Offset::get), Ordering::Release);
        self.tier.store(tier.map(Arc::new));
    }

    /// The first offset that is not deleted, in whichever tier.
    pub fn log_start(&self) -> Offset {
        self.local.log_start()
    }

    /// The first offset on this disk.
    pub fn local_log_start(&self) -> Offset {
        self.local.local_log_start()
    }

    /// The offset after the last one that the remote tier holds; `None` when it holds nothing.
    pub fn remote_end(&self) -> Option<Offset> {
        let end = self.remote_end.load(Ordering::Acquire);
        (end != NOTHING).then_some(Offset::new(end))
    }

    /// Notes that the remote tier holds everything below `end`.
    pub fn uploaded_until(&self, end: Offset) {
        self.remote_end.fetch_max(end.get(), Ordering::AcqRel);
    }

    /// Whole batches from the one that holds `from` on: at most `max_bytes` of them, but the first
    /// one in any case when `min_one` is set; none that reaches `upper`.
    ///
    /// # Errors
    /// When `from` is outside the log, or its tier fails.
    pub async fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        upper: Offset,
        min_one: bool,
    ) -> Result<TieredRead, ReadError> {
        match self.read_local(from, max_bytes, upper, min_one).await {
            Err(ReadError::BelowLocal { .. }) => {}
            read => return read,
        }
        if let Some(tier) = self.tier()
            && let Some(segment) = tier.segment_at(from).await?
        {
            let slices = tier.read(&segment, from, max_bytes, min_one).await?;
            return Ok(TieredRead { slices });
        }
        // Neither tier holds the offset: a reader goes on where records are, as over any gap.
        let next = self.local_log_start().max(from);
        self.read_local(next, max_bytes, upper, min_one).await
    }

    async fn read_local(
        &self,
        from: Offset,
        max_bytes: usize,
        upper: Offset,
        min_one: bool,
    ) -> Result<TieredRead, ReadError> {
        let local = self.local.clone();
        let slice = off_thread(move || local.read(from, max_bytes, upper, min_one)).await??;
        Ok(TieredRead { slices: slice.map(|slice| slice.slice).into_iter().collect() })
    }

    /// The first record with at least that timestamp, over both tiers.
    ///
    /// # Errors
    /// When a tier fails or a batch does not unpack.
    pub async fn offset_for_timestamp(
        &self,
        timestamp_ms: i64,
    ) -> Result<Option<TimestampedOffset>, ReadError> {
        if let Some(tier) = self.tier() {
            let (start, local_start) = (self.log_start(), self.local_log_start());
            if let Some(found) = tier.find_time(timestamp_ms, start, local_start).await? {
                return Ok(Some(found));
            }
        }
        let local = self.local.clone();
        Ok(off_thread(move || local.offset_for_timestamp(timestamp_ms)).await??)
    }

    /// The first record with the largest timestamp, over both tiers.
    ///
    /// # Errors
    /// When a tier fails or a batch does not unpack.
    pub async fn max_timestamp(&self) -> Result<Option<TimestampedOffset>, ReadError> {
        let mut largest = self.local.max_timestamp_ms();
        if let Some(tier) = self.tier() {
            let bounds = tier.tiering.bounds(&tier.key).await.map_err(ReadError::manifest)?;
            largest = largest.max(bounds.max_timestamp_ms);
        }
        if largest < 0 { Ok(None) } else { self.offset_for_timestamp(largest).await }
    }

    /// The last batch of each idempotent producer that is remembered.
    ///
    /// # Errors
    /// When the broker is about to end.
    pub async fn last_batches(&self) -> io::Result<Vec<SnapshotEntry>> {
        let local = self.local.clone();
        off_thread(move || local.last_batches()).await
    }

    /// The largest epoch that is not after `epoch`, and the offset after its last record.
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.local.epoch_end(epoch)
    }

    /// The epoch of the record at `offset`.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.local.epoch_at(offset)
    }
}

impl Tier {
    /// The segment that holds `offset`, or the next one over a gap.
    async fn segment_at(&self, offset: Offset) -> Result<Option<Segment>, ReadError> {
        let found = self.tiering.find(&self.key, offset).await.map_err(ReadError::manifest)?;
        match found {
            Some(segment) => Ok(Some(segment)),
            None => self.tiering.next_after(&self.key, offset).await.map_err(ReadError::manifest),
        }
    }
}

/// Runs what may wait for a disk beside the network threads.
pub(super) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}
