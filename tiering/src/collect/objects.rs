//! Objects against rows, partition by partition.

use object_store::path::Path;

use super::{CollectError, Collection};
use crate::ids::{Offset, SegmentId};
use crate::key::{ObjectName, ObjectPart};
use crate::manifest::{Change, RowRange};
use crate::partition::PartitionKey;
use crate::scan::{Listing, Pair, attempt_in};
use crate::segment::{LocalState, RemoteState, Segment};
use crate::store::StoreError;

const PAGE: usize = 1000;

impl Collection<'_> {
    pub(super) async fn match_objects(&mut self) -> Result<(), CollectError> {
        let (folders, foreign) = self.tiering.scan_folders(&self.options.scope).await?;
        foreign.into_iter().for_each(|name| self.report.foreign.add(name));
        let mut rows_of = self.tiering.manifest.partitions().await?;
        rows_of.retain(|key| self.options.scope.has(key));
        for folder in folders {
            let key = folder.key();
            rows_of.retain(|known| known.id() != key.id());
            let listing = self.tiering.scan_folder(&folder.path).await?;
            self.match_partition(&key, listing).await?;
        }
        // Partitions with rows whose folder was not listed: each row is looked up by name.
        for key in rows_of {
            self.match_partition(&key, Listing::default()).await?;
        }
        Ok(())
    }

    async fn match_partition(
        &mut self,
        key: &PartitionKey,
        listing: Listing,
    ) -> Result<(), CollectError> {
        let mut garbage = Vec::new();
        for (attempt, pair) in &listing.pairs {
            if self.is_garbage(key, *attempt, pair).await? {
                for object in pair.objects() {
                    self.report.orphans.add(object.path.as_ref());
                    self.report.orphan_bytes += object.size;
                    garbage.push(object.path.clone());
                }
            }
        }
        for file in &listing.temporary {
            let attempt = file.path.filename().and_then(attempt_in);
            let flying = attempt.is_some_and(|attempt| self.flying(attempt));
            if !flying && file.modified_ms <= self.before_ms {
                self.report.unfinished.add(file.path.as_ref());
                garbage.push(file.path.clone());
            }
        }
        listing.foreign.iter().for_each(|name| self.report.foreign.add(name));
        if !garbage.is_empty() {
            self.reached_garbage()?;
            self.remove(garbage).await?;
        }
        self.match_rows(key, &listing).await
    }

    /// Whether nobody needs the objects of an attempt. Its row is asked for after the list was
    /// made: a row is written before the first object and goes after the last.
    async fn is_garbage(
        &mut self,
        key: &PartitionKey,
        attempt: SegmentId,
        pair: &Pair,
    ) -> Result<bool, CollectError> {
        let young = pair.objects().any(|object| object.modified_ms > self.before_ms);
        if young || self.flying(attempt) || self.tiering.manifest.knows(attempt).await? {
            return Ok(false);
        }
        if self.holds_records(pair).await?
            && !self.tiering.manifest.covers(key, pair.base, pair.end).await?
        {
            pair.objects().for_each(|object| self.report.unclaimed.add(object.path.as_ref()));
            return Ok(false);
        }
        Ok(true)
    }

    /// Whether the log is there. One that the list does not show is looked up by name: a short list
    /// must not cost a log its index.
    async fn holds_records(&self, pair: &Pair) -> Result<bool, StoreError> {
        let Some((index, listed)) = &pair.index else { return Ok(pair.log.is_some()) };
        if pair.log.is_some() {
            return Ok(true);
        }
        let log = ObjectName { part: ObjectPart::Log, ..*index };
        let folder = listed.path.parent().unwrap_or_default();
        match self.tiering.store.head(&folder.join(log.to_string())).await {
            Err(StoreError::NotFound { .. }) => Ok(false),
            found => {
                found?;
                self.left_out(1, &listed.path);
                Ok(true)
            }
        }
    }

    /// Tells of objects that are there, though a list did not show them.
    fn left_out(&self, count: u64, first: &Path) {
        self.tiering.store.counters().unlisted.add(count);
        tracing::warn!(count, %first, "a list of the object store left out what is there");
    }

    /// Live rows whose objects the list does not show are looked up by name.
    async fn match_rows(
        &mut self,
        key: &PartitionKey,
        listing: &Listing,
    ) -> Result<(), CollectError> {
        let mut range = RowRange {
            from: Offset::ZERO,
            to: Offset::MAX,
            remote: Some(RemoteState::Live),
            limit: PAGE,
        };
        let (mut left_out, mut first) = (0, None);
        loop {
            let page = self.tiering.manifest.rows(key, range).await?;
            let Some(last) = page.last() else { break };
            range.from = last.base.next();
            for row in &page {
                let pair = listing.pairs.get(&row.segment_id);
                let listed = pair.is_some_and(|pair| pair.log.is_some() && pair.index.is_some());
                if listed {
                    continue;
                }
                match self.is_missing(row).await? {
                    true => self.put_right(row).await?,
                    false => {
                        left_out += 1;
                        first.get_or_insert_with(|| self.tiering.object(row, ObjectPart::Log));
                    }
                }
            }
        }
        if let Some(first) = first {
            self.left_out(left_out, &first);
        }
        Ok(())
    }

    async fn is_missing(&self, row: &Segment) -> Result<bool, StoreError> {
        for part in [ObjectPart::Log, ObjectPart::Index] {
            match self.tiering.store.head(&self.tiering.object(row, part)).await {
                Err(StoreError::NotFound { .. }) => return Ok(true),
                found => drop(found?),
            }
        }
        Ok(false)
    }

    async fn put_right(&mut self, row: &Segment) -> Result<(), CollectError> {
        if row.local == LocalState::Gone {
            tracing::error!(
                partition = %row.partition, base = %row.base, end = %row.end,
                object = %self.tiering.object(row, ObjectPart::Log),
                "objects of a segment are missing and there is no local copy"
            );
            self.report.lost.push(row.clone());
            return Ok(());
        }
        self.report.returned.push(row.clone());
        if self.options.dry_run {
            return Ok(());
        }
        self.reached_garbage()?;
        let (attempt, change) = (Some(row.segment_id), Change::ObjectsMissing);
        self.tiering.manifest.change(&row.partition, row.base, attempt, change).await?;
        let objects = [ObjectPart::Log, ObjectPart::Index];
        let objects: Vec<Path> = objects.map(|part| self.tiering.object(row, part)).to_vec();
        self.tiering.store.delete(objects).await?;
        Ok(())
    }
}
