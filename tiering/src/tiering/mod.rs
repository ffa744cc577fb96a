//! The crate as its caller sees it: one value, opened once.
//!
//! What each operation does lives in the module of its name; this one opens the parts and answers
//! the questions that are one query.

mod open;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use object_store::path::Path;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

pub use open::OpenError;
pub(crate) use open::check_failed;

use crate::cache::{CHUNK_BYTES, CacheClass};
use crate::clock::Clock;
use crate::config::TieringConfig;
use crate::counters::{CounterValues, Counters};
use crate::ids::{Offset, SegmentId};
use crate::key::{Layout, ObjectName, ObjectPart};
use crate::manifest::{Bounds, Change, Manifest, ManifestError, RowRange, TopicSum, Totals};
use crate::marker::{self, MarkerError};
use crate::meta::MetaNumbers;
use crate::partition::PartitionKey;
use crate::read::Reader;
use crate::segment::Segment;
use crate::share::SharedCache;
use crate::steps::{Step, Stopped};
use crate::store::{NotOwner, Store, StoreError, StoreReport, StoreState};

/// Sealed segments in an object store. Cheap to share behind an [`Arc`].
pub struct Tiering {
    pub(crate) config: TieringConfig,
    pub(crate) store: Arc<Store>,
    pub(crate) layout: Arc<Layout>,
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) clock: Arc<dyn Clock>,
    /// None for a store that is read in place.
    pub(crate) cache: Option<Arc<SharedCache>>,
    pub(crate) reader: Arc<Reader>,
    pub(crate) uploads: Semaphore,
    pub(crate) header_reads: Semaphore,
    pub(crate) in_flight: InFlight,
    /// Held by the one collection that goes on.
    pub(crate) collecting: tokio::sync::Mutex<()>,
    pub(crate) complete: AtomicBool,
    pub(crate) meta_numbers: MetaNumbers,
    report: StoreReport,
}

/// How things stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Segments and bytes by state.
    pub totals: Totals,
    /// What happened since the start.
    pub counters: CounterValues,
    /// What the start-up check found.
    pub store: StoreReport,
    /// Whether the manifest lacks rows of the store until [`Tiering::reconcile`] ran over all.
    pub needs_reconcile: bool,
}

impl Tiering {
    /// Adds the row of a segment that was just sealed: present here, not uploaded. Durable when it
    /// returns; doing it again is no change.
    ///
    /// # Errors
    /// When the segment is none, or another row already answers for its base offset;
    /// [`ManifestError::GivenUp`] when its local copy was given up and a crash kept the file.
    pub async fn record_sealed(&self, segment: &Segment) -> Result<(), ManifestError> {
        self.manifest.insert_sealed(segment).await
    }

    /// Notes that the local copy may go. Durable when it returns: only then the caller unlinks it.
    ///
    /// # Errors
    /// When the segment is not live: the local copy is the only one.
    pub async fn local_gone(&self, segment: &Segment) -> Result<(), ManifestError> {
        let (partition, base) = (&segment.partition, segment.base);
        self.manifest.change(partition, base, None, Change::LocalGone).await.map(drop)
    }

    /// Notes that a segment which nobody wants any more (below the log start, or cut off by a
    /// truncation) leaves the disk. Its row goes; objects of a broken-off upload are deleted later.
    ///
    /// # Errors
    /// When the segment is live: use [`Tiering::local_gone`] or an expiry.
    pub async fn forget(&self, segment: &Segment) -> Result<(), ManifestError> {
        let (partition, base) = (&segment.partition, segment.base);
        self.manifest.change(partition, base, None, Change::Forget).await.map(drop)
    }

    /// The live segment that answers for `offset`; `None` in a gap and outside all segments.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn find(
        &self,
        partition: &PartitionKey,
        offset: Offset,
    ) -> Result<Option<Segment>, ManifestError> {
        self.manifest.find(partition, offset).await
    }

    /// The last live segment of a partition: where its history in the store ends.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn last(&self, partition: &PartitionKey) -> Result<Option<Segment>, ManifestError> {
        self.manifest.last(partition).await
    }

    /// Whether the store has an object of that name among a partition's: no list is believed.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn has_object(
        &self,
        partition: &PartitionKey,
        name: &ObjectName,
    ) -> Result<bool, StoreError> {
        let folder = self.layout.partition(partition);
        match self.store.head(&folder.join(name.to_string())).await {
            Err(StoreError::NotFound { .. }) => Ok(false),
            found => found.map(|_| true),
        }
    }

    /// The first live segment that starts after `offset`: the next one, and the way over a gap.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn next_after(
        &self,
        partition: &PartitionKey,
        offset: Offset,
    ) -> Result<Option<Segment>, ManifestError> {
        self.manifest.next_after(partition, offset).await
    }

    /// The first live segment, in offset order, whose largest timestamp is at least
    /// `timestamp_ms`.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn find_by_time(
        &self,
        partition: &PartitionKey,
        timestamp_ms: i64,
    ) -> Result<Option<Segment>, ManifestError> {
        self.manifest.find_by_time(partition, timestamp_ms).await
    }

    /// At most `limit` rows, in every state, whose base lies in `range`, in offset order.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn segments(
        &self,
        partition: &PartitionKey,
        range: Range<Offset>,
        limit: usize,
    ) -> Result<Vec<Segment>, ManifestError> {
        let range = RowRange { from: range.start, to: range.end, remote: None, limit };
        self.manifest.rows(partition, range).await
    }

    /// What the live segments of a partition add up to.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn bounds(&self, partition: &PartitionKey) -> Result<Bounds, ManifestError> {
        self.manifest.bounds(partition).await
    }

    /// Every partition that has a row.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn partitions(&self) -> Result<Vec<PartitionKey>, ManifestError> {
        self.manifest.partitions().await
    }

    /// How things stand.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn status(&self) -> Result<Status, ManifestError> {
        Ok(Status {
            totals: self.manifest.totals().await?,
            counters: self.counters(),
            store: self.report.clone(),
            needs_reconcile: self.needs_reconcile(),
        })
    }

    /// What the segments add up to, by topic and remote state. Costs the same whatever their number.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn sums(&self) -> Result<Vec<TopicSum>, ManifestError> {
        self.manifest.sums().await
    }

    /// What happened since the start.
    #[must_use]
    pub fn counters(&self) -> CounterValues {
        self.tally().values()
    }

    /// The bytes that the read cache holds; 0 without one.
    #[must_use]
    pub fn cache_held_bytes(&self) -> u64 {
        self.cache.as_ref().map_or(0, |cache| cache.held_bytes())
    }

    /// The room of the read cache of this process that chunks of a class take, in bytes of whole
    /// slots. A chunk of the class `keep` beyond its part counts as a normal one.
    #[must_use]
    pub fn cache_class_bytes(&self, class: CacheClass) -> u64 {
        self.cache.as_ref().map_or(0, |cache| u64::from(cache.chunks_of(class)) * CHUNK_BYTES)
    }

    /// How many other processes of this machine are guests of the read cache of this one.
    #[must_use]
    pub fn cache_guests(&self) -> i64 {
        self.cache.as_ref().map_or(0, |cache| cache.guests())
    }

    /// Whether the read cache is another process's, and this one a guest of it.
    #[must_use]
    pub fn is_cache_guest(&self) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.is_guest())
    }

    /// Whether objects are read where they lie, in a folder: then nothing is downloaded.
    #[must_use]
    pub fn reads_in_place(&self) -> bool {
        self.cache.is_none()
    }

    /// Whether the store is another process's, which this one only reads and follows.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.store.is_read_only()
    }

    /// Whether the store is asked at all, or left alone for a while because it fails. Cheap.
    #[must_use]
    pub fn store_state(&self) -> StoreState {
        self.store.state()
    }

    /// Whether this process may change the store: one that owns it and renewed that lately enough.
    ///
    /// # Errors
    /// Why not: nothing is uploaded or deleted meanwhile.
    pub fn may_change_store(&self) -> Result<(), NotOwner> {
        self.store.fence().check()
    }

    /// The size of the read cache's files of this process; 0 without one.
    #[must_use]
    pub fn cache_size_bytes(&self) -> u64 {
        self.cache.as_ref().map_or(0, |cache| u64::from(cache.own_slots()) * CHUNK_BYTES)
    }

    /// Whether the manifest lacks rows of the store until [`Tiering::reconcile`] ran over all.
    #[must_use]
    pub fn needs_reconcile(&self) -> bool {
        !self.complete.load(Ordering::Acquire)
    }

    /// The name of a segment's object in the store, for people and tools.
    #[must_use]
    pub fn object_name(&self, segment: &Segment, part: ObjectPart) -> String {
        self.layout.object(segment, part).to_string()
    }

    /// Makes durable what somebody waits for, and closes the manifest. Calls after it fail. What was queued
    /// by callers that left is not done: it is safe to do again after a start, as after a crash.
    pub async fn close(&self) {
        self.manifest.close().await;
    }

    pub(crate) fn tally(&self) -> &Counters {
        self.store.counters()
    }

    pub(crate) fn object(&self, segment: &Segment, part: ObjectPart) -> Path {
        self.layout.object(segment, part)
    }

    pub(crate) fn reached(&self, step: Step) -> Result<(), Stopped> {
        self.config.steps.reached(step)
    }

    /// Reads the marker and compares it with the manifest, before a list is believed.
    pub(crate) async fn vouch(&self) -> Result<(), VouchError> {
        let known = self.manifest.facts().await?.store_id;
        let cluster = &self.config.cluster_id;
        marker::vouch(&self.store, &self.layout, cluster, known.as_deref()).await?;
        Ok(())
    }
}

/// Why the store cannot be taken for the one that the manifest knows.
#[derive(Debug, thiserror::Error)]
pub enum VouchError {
    /// The marker is missing, wrong or out of reach.
    #[error(transparent)]
    Marker(#[from] MarkerError),
    /// The manifest cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl VouchError {
    /// Whether the store may answer by itself after a while.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Marker(MarkerError::Store(error)) if error.may_pass())
    }
}

/// The upload attempts of this process: garbage collection leaves their objects alone.
#[derive(Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashSet<SegmentId>>>);

/// Keeps an attempt in flight until it is dropped.
pub(crate) struct Flying(InFlight, SegmentId);

impl InFlight {
    pub(crate) fn enter(&self, attempt: SegmentId) -> Flying {
        self.0.lock().insert(attempt);
        Flying(self.clone(), attempt)
    }

    pub(crate) fn has(&self, attempt: SegmentId) -> bool {
        self.0.lock().contains(&attempt)
    }

    /// The attempts of this moment.
    pub(crate) fn now(&self) -> HashSet<SegmentId> {
        self.0.lock().clone()
    }
}

impl Drop for Flying {
    fn drop(&mut self) {
        self.0.0.lock().remove(&self.1);
    }
}
