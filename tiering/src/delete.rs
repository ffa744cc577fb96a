//! Deletion of segments from the store.
//!
//! ```text
//! 1  rows: deleting                 durable, all or none    step DeletionMarked
//! 2  .log objects, in batches                               step LogsDeleted
//! 3  .index objects, in batches                             step ObjectsDeleted
//! 4  rows go (or back to local only, when a local copy is wanted still)
//! ```
//! What a crash leaves: after 1 rows `deleting`, which nobody reads, with all, some or none of
//! their objects. The next deletion or garbage collection goes on; deleting what is not there is a
//! success. The log goes first, so that what a broken deletion leaves (an index without log) reads
//! as an orphan and never as a segment.

use crate::expiry::ExpiryPlan;
use crate::ids::TopicId;
use crate::key::ObjectPart;
use crate::manifest::{Change, ManifestError, Unfinished};
use crate::partition::PartitionKey;
use crate::segment::{RemoteState, Segment};
use crate::steps::{Step, Stopped};
use crate::store::StoreError;
use crate::tiering::Tiering;

/// Segments deleted in one batch.
const BATCH: usize = 250;

/// What a deletion did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteReport {
    /// Segments whose objects are deleted.
    pub segments: u64,
    /// Bytes of their logs.
    pub bytes: u64,
}

/// Why a deletion is not finished. What is marked stays marked: it goes on with the next deletion
/// or garbage collection, and nobody reads it meanwhile.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// The manifest refused or failed.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The owner stopped it.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl DeleteError {
    /// Whether nothing was sent, because the store is left alone for a while.
    #[must_use]
    pub fn is_left_alone(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_left_alone())
    }
}

impl Tiering {
    /// Executes a plan, after its `new_log_start` was made durable.
    ///
    /// A segment that still has a local copy keeps its row, as local only, until the caller
    /// unlinks the file and calls [`Tiering::forget`].
    ///
    /// # Errors
    /// [`DeleteError`]; the segments are out of sight of readers from the first step on.
    pub async fn expire(&self, plan: &ExpiryPlan) -> Result<DeleteReport, DeleteError> {
        let Some(first) = plan.segments.first() else { return Ok(DeleteReport::default()) };
        self.manifest.change_all(plan.segments.clone(), Change::BeginDelete).await?;
        self.reached(Step::DeletionMarked)?;
        self.finish_deletions(Some(&first.partition)).await
    }

    /// Deletes all that the store has of a partition, and its rows. The caller is done with the
    /// local files, or deletes them next.
    ///
    /// # Errors
    /// [`DeleteError`]; call again to go on.
    pub async fn delete_partition(
        &self,
        partition: &PartitionKey,
    ) -> Result<DeleteReport, DeleteError> {
        self.manifest.drop_partition(partition).await?;
        self.reached(Step::DeletionMarked)?;
        let report = self.finish_deletions(Some(partition)).await?;
        self.sweep(&self.layout.partition(partition)).await?;
        Ok(report)
    }

    /// Deletes all that the store has of a topic, rows or not.
    ///
    /// # Errors
    /// [`DeleteError`]; call again to go on.
    pub async fn delete_topic(
        &self,
        topic: &str,
        topic_id: TopicId,
    ) -> Result<DeleteReport, DeleteError> {
        let mut sum = DeleteReport::default();
        let partitions = self.manifest.partitions().await?;
        for partition in partitions.iter().filter(|key| key.topic_id == topic_id) {
            let report = self.delete_partition(partition).await?;
            sum.segments += report.segments;
            sum.bytes += report.bytes;
        }
        self.sweep(&self.layout.topic(topic, topic_id)).await?;
        Ok(sum)
    }

    /// Deletes the objects of rows that are `deleting`, then the rows.
    pub(crate) async fn finish_deletions(
        &self,
        partition: Option<&PartitionKey>,
    ) -> Result<DeleteReport, DeleteError> {
        let mut report = DeleteReport::default();
        loop {
            let next = Unfinished {
                state: RemoteState::Deleting,
                changed_before_ms: i64::MAX,
                partition: partition.map(PartitionKey::id),
                limit: BATCH,
                skip: 0,
            };
            let rows = self.manifest.unfinished(next).await?;
            if rows.is_empty() {
                return Ok(report);
            }
            let segments = rows.len() as u64;
            self.tally().segment_deletes.add(segments);
            let deleted = self.delete_batch(&rows).await;
            deleted.inspect_err(|_| self.tally().segment_delete_errors.add(segments))?;
            report.segments += segments;
            report.bytes += rows.iter().map(|row| row.size).sum::<u64>();
        }
    }

    async fn delete_batch(&self, rows: &[Segment]) -> Result<(), DeleteError> {
        let mut unshared = Vec::with_capacity(rows.len());
        for row in rows {
            self.reader.forget(row.segment_id);
            // After an overlap was resolved, two rows can share an object: the last one takes it.
            if !self.manifest.is_live(row.segment_id).await? {
                unshared.push(row);
            }
        }
        let objects = |part| unshared.iter().map(|row| self.object(row, part)).collect();
        self.store.delete(objects(ObjectPart::Log)).await?;
        self.reached(Step::LogsDeleted)?;
        self.store.delete(objects(ObjectPart::Index)).await?;
        self.reached(Step::ObjectsDeleted)?;
        Ok(self.manifest.change_all(rows.to_vec(), Change::Deleted).await?)
    }

    /// Deletes whatever lies under a folder that belongs to something deleted.
    async fn sweep(&self, folder: &object_store::path::Path) -> Result<(), StoreError> {
        let mut left = Vec::new();
        self.store.list(folder, |object| left.push(object.location)).await?;
        for batch in left.chunks(BATCH) {
            self.store.delete(batch.to_vec()).await?;
        }
        self.store.remove_empty_folders(folder).await
    }
}
