//! Keeps the bucket's snapshots of topics and groups up to date, beside everything else.
//!
//! A change of a topic goes up at the next tick, other changes once an interval, and all of it once
//! more at an orderly end. What did not change is not written. A store that is away delays this and
//! is asked again with growing pauses; no client waits for any of it.
//!
//! Topics go first: a group's offsets are of use only with `__consumer_offsets` among the topics.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use icecore_tiering::{
    Backoff, Dice, ManifestError, MetaError, MetaKind, ObjectName, ObjectPart, PartitionKey,
    Tiering,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{CLUSTER, GROUPS};
use crate::cluster::{ClusterSnapshot, SnapshotError, SnapshotTopic};
use crate::coordinator::{Groups, OFFSETS_TOPIC};
use crate::metadata::{ClusterImage, LiveImage, MetaStore, MetaStoreError, StoredTopic};
use crate::metrics::TieringMetrics;
use crate::model::{Offset, TopicId};
use crate::replica::Replicas;
use crate::wire::ErrorCode;

/// How often it is looked whether a topic changed. That is a comparison of two pointers.
const TICK: Duration = Duration::from_secs(1);
/// The pauses after failures.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
/// How long the last upload may hold up an orderly end.
const LAST_UPLOAD: Duration = Duration::from_secs(8);

/// What the uploads are made of.
pub(in crate::app) struct MetaUploadParts {
    pub(in crate::app) tiering: Arc<Tiering>,
    pub(in crate::app) store: Arc<dyn MetaStore>,
    pub(in crate::app) image: Arc<LiveImage>,
    pub(in crate::app) replicas: Arc<Replicas>,
    pub(in crate::app) groups: Arc<Groups>,
    pub(in crate::app) metrics: TieringMetrics,
    /// `tiering.meta.upload.interval.ms`.
    pub(in crate::app) every: Duration,
}

/// Why the bucket was not brought up to date.
#[derive(Debug, thiserror::Error)]
enum UploadError {
    #[error(transparent)]
    Meta(#[from] MetaError),
    #[error(transparent)]
    Store(#[from] MetaStoreError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("the groups cannot be told now: {0:?}")]
    Groups(ErrorCode),
}

/// Where the records of all groups end: as long as that is the same, so are the groups.
type GroupsAt = (TopicId, Vec<Offset>);

/// The task that does it.
pub(in crate::app) struct MetaUpload {
    parts: MetaUploadParts,
    /// The image that the bucket's topics are at least as new as.
    image: Option<Arc<ClusterImage>>,
    /// The last document of the topics that the bucket took.
    cluster: Option<Bytes>,
    /// The groups that the bucket has.
    groups: Option<GroupsAt>,
    /// Since when the bucket has been up to date, as far as is known.
    fresh: Instant,
    /// When all of it is due.
    due: Instant,
    /// Nothing is tried before.
    not_before: Instant,
    failures: u32,
}

impl MetaUpload {
    /// Starts with an upload of everything; ends with one soon after `stop`.
    pub(in crate::app) fn start(
        parts: MetaUploadParts,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) {
        let now = Instant::now();
        let upload = Self {
            parts,
            image: None,
            cluster: None,
            groups: None,
            fresh: now,
            due: now,
            not_before: now,
            failures: 0,
        };
        tasks.spawn(upload.run(stop.clone()));
    }

    async fn run(mut self, stop: CancellationToken) {
        let tick = TICK.min(self.parts.every);
        loop {
            let turn = self.turn();
            tokio::select! {
                () = stop.cancelled() => break,
                () = turn => {}
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(tick) => {}
            }
        }
        match tokio::time::timeout(LAST_UPLOAD, self.upload()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the last metadata of this run is not in the bucket");
            }
            Err(_) => {
                tracing::warn!("the last metadata of this run did not reach the bucket in time")
            }
        }
    }

    /// Uploads if anything is due.
    async fn turn(&mut self) {
        let now = Instant::now();
        let image = self.parts.image.load();
        let changed = self.image.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &image));
        if now >= self.not_before && (changed || now >= self.due) {
            match self.upload().await {
                Ok(()) => self.succeeded(now),
                Err(error) => self.failed(&error),
            }
        }
        let age = i64::try_from(self.fresh.elapsed().as_secs()).unwrap_or(i64::MAX);
        self.parts.metrics.meta_age_seconds.set(age);
    }

    fn succeeded(&mut self, began: Instant) {
        if self.failures > 0 {
            tracing::info!(failures = self.failures, "the bucket has all metadata again");
        }
        (self.failures, self.fresh, self.due) = (0, began, began + self.parts.every);
    }

    fn failed(&mut self, error: &UploadError) {
        // The one that is told of now counts.
        self.not_before = Instant::now() + BACKOFF.spread(self.failures + 1, Dice::roll());
        if matches!(error, UploadError::Groups(_)) {
            // They are being read back: not the store's doing.
            tracing::debug!(%error, "metadata waits for the groups");
            return;
        }
        self.failures += 1;
        self.parts.metrics.meta_upload_failures.inc();
        tracing::warn!(%error, failures = self.failures, "metadata was not uploaded and is tried again");
    }

    async fn upload(&mut self) -> Result<(), UploadError> {
        self.upload_cluster().await?;
        self.upload_groups().await
    }

    async fn upload_cluster(&mut self) -> Result<(), UploadError> {
        // Loaded first: a change that is made meanwhile is noticed at the next tick.
        let image = self.parts.image.load();
        let bytes = Bytes::from(self.snapshot().await?.encode()?);
        if self.cluster.as_ref() != Some(&bytes) {
            self.put(CLUSTER, bytes.clone()).await?;
            self.cluster = Some(bytes);
        }
        self.image = Some(image);
        Ok(())
    }

    async fn snapshot(&self) -> Result<ClusterSnapshot, UploadError> {
        let store = &self.parts.store;
        let next_producer_id = store.next_producer_id().await?;
        let policies = store.policies().await?;
        let broker_settings = store.broker_overrides().await?;
        let mut topics = Vec::new();
        for stored in store.topics().await? {
            let log_starts = self.log_starts(&stored);
            let last_objects = self.last_objects(&stored).await?;
            topics.push(SnapshotTopic { stored, log_starts, last_objects });
        }
        Ok(ClusterSnapshot { topics, policies, broker_settings, next_producer_id })
    }

    async fn last_objects(
        &self,
        topic: &StoredTopic,
    ) -> Result<Vec<Option<ObjectName>>, ManifestError> {
        let mut last_objects = Vec::with_capacity(topic.leader_epochs.len());
        for number in (0..).take(topic.leader_epochs.len()) {
            let key = PartitionKey::new(topic.name.clone(), topic.id, number);
            let last = self.parts.tiering.last(&key).await?;
            last_objects.push(last.map(|last| ObjectName::of(&last, ObjectPart::Log)));
        }
        Ok(last_objects)
    }

    fn log_starts(&self, topic: &StoredTopic) -> Vec<Offset> {
        let start = |number| {
            let partition = self.parts.replicas.partition(&topic.name, number);
            let partition = partition.filter(|partition| partition.topic_id() == topic.id);
            partition.map_or(Offset::ZERO, |partition| partition.log().log_start())
        };
        (0..).take(topic.leader_epochs.len()).map(start).collect()
    }

    async fn upload_groups(&mut self) -> Result<(), UploadError> {
        let at = self.groups_at();
        if at == self.groups {
            return Ok(());
        }
        let bytes = self.parts.groups.snapshot().await.map_err(UploadError::Groups)?;
        self.put(GROUPS, bytes).await?;
        self.groups = at;
        Ok(())
    }

    /// `None` before there is a group.
    fn groups_at(&self) -> Option<GroupsAt> {
        let image = self.parts.image.load();
        let topic = image.topic(OFFSETS_TOPIC)?;
        let end = |number| {
            let partition = self.parts.replicas.partition(OFFSETS_TOPIC, number)?;
            Some(partition.log().local().log_end())
        };
        let ends: Option<Vec<_>> = (0..).take(topic.partitions.len()).map(end).collect();
        ends.map(|ends| (topic.id, ends))
    }

    async fn put(&self, kind: MetaKind, bytes: Bytes) -> Result<(), MetaError> {
        let size = bytes.len();
        let number = self.parts.tiering.put_meta(kind, bytes).await?;
        self.parts.metrics.meta_uploads.inc();
        tracing::debug!(kind = kind.name(), number, size, "metadata uploaded");
        Ok(())
    }
}
