//! One partition: its rows against its objects, and its objects against its rows.

use std::collections::HashSet;
use std::time::SystemTime;

use futures::{StreamExt as _, stream};
use object_store::path::Path;

use super::{Check, CheckError, FindingKind};
use crate::ids::{Offset, SegmentId};
use crate::manifest::RowRange;
use crate::partition::PartitionKey;
use crate::scan::{Folder, Listing, Pair, attempt_in};
use crate::segment::Segment;
use crate::store::StoreError;

/// Rows that are read at a time.
const PAGE: usize = 1000;

impl Check<'_> {
    pub(super) async fn partition(
        &self,
        key: PartitionKey,
        folder: Option<Folder>,
    ) -> Result<(), CheckError> {
        let listing = match folder {
            Some(folder) => self.tiering.scan_folder(&folder.path).await?,
            None => Listing::default(),
        };
        self.rows(&key, &listing).await?;
        self.unknown(&key, &listing).await?;
        for file in &listing.temporary {
            let attempt = file.path.filename().and_then(attempt_in);
            let flying = attempt.is_some_and(|attempt| self.tiering.in_flight.has(attempt));
            if flying || file.modified_ms > self.before_ms() {
                continue;
            }
            let detail = "a write that nobody will finish: garbage collection removes it";
            self.find(FindingKind::UnfinishedUpload, file.path.as_ref(), detail);
        }
        for name in &listing.foreign {
            self.find(FindingKind::ForeignName, name, "no object is named so");
        }
        Ok(())
    }

    /// Every live row has its objects, and no two answer for one offset.
    async fn rows(&self, key: &PartitionKey, listing: &Listing) -> Result<(), CheckError> {
        let mut range = RowRange { from: Offset::ZERO, to: Offset::MAX, remote: None, limit: PAGE };
        let mut before: Option<Segment> = None;
        let mut seen: HashSet<SegmentId> = HashSet::new();
        loop {
            let page = self.tiering.manifest.rows(key, range).await?;
            let Some(last) = page.last() else { return Ok(()) };
            range.from = last.base.next();
            let live: Vec<_> = page.iter().filter(|row| row.is_live()).collect();
            for row in &live {
                if let Some(before) = &before {
                    self.neighbours(before, row);
                }
                before = Some((*row).clone());
            }
            // Pieces of one object are several rows.
            let work = live.into_iter().filter(|row| seen.insert(row.segment_id));
            let work: Vec<_> = work.map(|row| self.segment(row, listing)).collect();
            let mut under_way = stream::iter(work).buffer_unordered(super::OBJECTS_AT_ONCE);
            while let Some(done) = under_way.next().await {
                done?;
            }
        }
    }

    fn neighbours(&self, before: &Segment, row: &Segment) {
        let (place, expected) = (row.partition.to_string(), before.end.next());
        if row.base < expected {
            let detail = format!(
                "the rows at {} and {} both answer for {}",
                before.base, row.base, row.base
            );
            self.find(FindingKind::Overlap, place, detail);
        } else if self.options.gaps && row.base > expected {
            let detail = format!("no segment holds {expected} to {}", row.base.prev());
            self.find(FindingKind::Gap, place, detail);
        }
    }

    /// Objects that no row names. A row is asked for after the list was made: it is written before
    /// the first object, and goes after the last.
    async fn unknown(&self, key: &PartitionKey, listing: &Listing) -> Result<(), CheckError> {
        for (attempt, pair) in &listing.pairs {
            if self.tiering.manifest.knows(*attempt).await? {
                continue;
            }
            let (kind, detail) = self.stranger(key, pair).await?;
            for object in pair.objects() {
                if self.is_there(&object.path).await? {
                    self.find(kind, object.path.as_ref(), &detail);
                }
            }
        }
        Ok(())
    }

    /// Whether an object that was listed is still there: a deletion removes objects and then rows.
    async fn is_there(&self, object: &Path) -> Result<bool, CheckError> {
        match self.tiering.store.head(object).await {
            Err(StoreError::NotFound { .. }) => Ok(false),
            found => Ok(found.map(|_| true)?),
        }
    }

    fn before_ms(&self) -> i64 {
        let since = self.before.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    async fn stranger(
        &self,
        key: &PartitionKey,
        pair: &Pair,
    ) -> Result<(FindingKind, String), CheckError> {
        let (base, end) = (pair.base, pair.end);
        if pair.log.is_none() {
            let detail =
                "an index without log, of an upload that died: garbage collection removes it";
            return Ok((FindingKind::UnknownObject, detail.to_owned()));
        }
        if self.tiering.manifest.covers(key, base, end).await? {
            let detail =
                format!("other segments answer for {base} to {end}: garbage collection removes it");
            return Ok((FindingKind::Overlap, detail));
        }
        let detail = format!(
            "no row answers for all of {base} to {end}: it may be the only copy, and is left"
        );
        Ok((FindingKind::UnknownObject, detail))
    }
}
