//! Rows that say `uploading` while nobody uploads.

use super::{CollectError, Collection};
use crate::key::ObjectPart;
use crate::manifest::{Change, ManifestError, RowRange, Unfinished};
use crate::segment::{RemoteState, Segment};
use crate::store::StoreError;
use crate::upload::Written;

const PAGE: usize = 256;

impl Collection<'_> {
    /// Makes whole uploads live, and gives the others up.
    pub(super) async fn finish_uploads(&mut self) -> Result<(), CollectError> {
        let mut skip = 0;
        loop {
            let next = Unfinished {
                state: RemoteState::Uploading,
                changed_before_ms: self.before_ms,
                partition: None,
                limit: PAGE,
                skip,
            };
            let rows = self.tiering.manifest.unfinished(next).await?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in rows {
                let wanted = self.options.scope.has(&row.partition);
                if !wanted || !self.finish_upload(&row).await? {
                    skip += 1;
                }
            }
        }
    }

    /// Whether the row of an attempt that nobody is at still says `uploading`. It is read once more,
    /// since the upload may have ended between the page and the look at what is under way; an
    /// upload is under way before its row says so and until its row says how it ended.
    async fn is_broken_off(&self, row: &Segment) -> Result<bool, ManifestError> {
        let range = RowRange {
            from: row.base,
            to: row.base.next(),
            remote: Some(RemoteState::Uploading),
            limit: 1,
        };
        let now = self.tiering.manifest.rows(&row.partition, range).await?;
        Ok(now.first().is_some_and(|now| now.segment_id == row.segment_id))
    }

    /// Whether the row is not `uploading` any more.
    async fn finish_upload(&mut self, row: &Segment) -> Result<bool, CollectError> {
        if self.flying(row.segment_id) {
            return Ok(false);
        }
        if !self.is_broken_off(row).await? {
            return Ok(true);
        }
        let written = Written { index: None, log_crc: row.log_crc.unwrap_or_default() };
        let change = match self.tiering.verify_written(row, written).await {
            Ok(()) => Change::GoLive,
            Err(StoreError::NotFound { .. } | StoreError::WrongBytes { .. }) => {
                Change::AbandonUpload
            }
            Err(error) => {
                self.report.failed.add(error.to_string());
                return Ok(false);
            }
        };
        match change {
            Change::GoLive => self.report.completed += 1,
            _ => self.report.abandoned += 1,
        }
        if self.options.dry_run {
            return Ok(false);
        }
        self.reached_garbage()?;
        if change == Change::AbandonUpload {
            let objects = [ObjectPart::Log, ObjectPart::Index];
            let objects = objects.map(|part| self.tiering.object(row, part)).to_vec();
            self.tiering.store.delete(objects).await?;
        }
        let (partition, attempt) = (&row.partition, Some(row.segment_id));
        let changed = self.tiering.manifest.change(partition, row.base, attempt, change).await;
        match changed {
            // Another attempt or a deletion came first: it owns the row now.
            Err(ManifestError::OtherAttempt { .. } | ManifestError::NoRow { .. }) => Ok(true),
            Err(ManifestError::Illegal { .. } | ManifestError::Overlap { .. }) => Ok(false),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(true),
        }
    }
}
