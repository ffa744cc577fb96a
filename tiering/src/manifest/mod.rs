//! The manifest: which segments exist, and where. SQLite, one file for each broker.
//!
//! Invariants:
//! - A change is durable (`synchronous=FULL`) before its caller goes on. The order of the
//!   operations in this crate rests on it: an intent is durable before an object is written, `live`
//!   before a local file may go, `deleting` before an object is deleted.
//! - Only [`transition`] decides which change is legal; only [`invariants`] lets a row become live.
//! - The manifest is an index and never the only copy: object names and the headers of `.index`
//!   objects rebuild it (`reconcile`).
//! - It is never loaded whole. A lookup is one indexed query behind a small cache, made where it is asked
//!   for if that waits for nothing ([`at_once`]). What rows add up to is kept beside them ([`sums`]).

mod at_once;
mod change;
mod connection;
#[cfg(test)]
mod cost_test;
mod error;
mod facts;
mod floor_cache;
mod invariants;
#[cfg(test)]
mod left_test;
#[cfg(test)]
mod model_test;
mod query;
mod reader;
mod row;
mod sums;
mod times;
#[cfg(test)]
mod times_test;
mod transition;
mod writer;

use std::path::Path;
use std::sync::Arc;

pub(crate) use change::{PieceChange, is_segment};
pub use error::ManifestError;
pub(crate) use facts::Facts;
pub(crate) use query::{RowRange, Unfinished};
pub use sums::{Bounds, Count, TopicSum, Totals};
pub(crate) use transition::Change;

use crate::clock::Clock;
use crate::ids::{Offset, SegmentId};
use crate::partition::PartitionKey;
use crate::segment::Segment;
use floor_cache::FloorCache;
use reader::Readers;
use writer::Writer;

/// The open manifest.
pub(crate) struct Manifest {
    writer: Writer,
    readers: Readers,
    cache: Arc<FloorCache>,
    clock: Arc<dyn Clock>,
}

impl Manifest {
    /// Opens or creates the file and brings its schema up to date. Blocks.
    pub(crate) fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, ManifestError> {
        let connection = connection::open_writer(path)?;
        let readers = Readers::open(path)?;
        let writer = Writer::start(connection)?;
        Ok(Self { writer, readers, cache: Arc::new(FloorCache::default()), clock })
    }

    /// Stops the writer after what is waited for, and folds the write-ahead log into the file. What is
    /// queued and has nobody who waits for it is not done any more.
    pub(crate) async fn close(&self) {
        self.writer.close().await;
    }

    /// Adds the row of a segment that was just sealed. Doing it again is no change.
    pub(crate) async fn insert_sealed(&self, segment: &Segment) -> Result<(), ManifestError> {
        let (segment, now) = (segment.clone(), self.clock.now_ms());
        // It is not live, and takes no live row's place: there is nothing to forget.
        self.writer.call((), move |conn| change::insert_sealed(conn, &segment, now)).await
    }

    /// Applies one change to the row of `partition` at `base`; `attempt` names the upload attempt
    /// that the caller means, so that a late one changes nothing. Gives the row before the change.
    pub(crate) async fn change(
        &self,
        partition: &PartitionKey,
        base: Offset,
        attempt: Option<SegmentId>,
        change: Change,
    ) -> Result<Segment, ManifestError> {
        let (id, now) = (partition.id(), self.clock.now_ms());
        let name = partition.to_string();
        let work = move |conn: &_| change::apply(conn, id, base, attempt, &change, now, &name);
        self.writer.call(self.cache.forget_after(vec![id]), work).await
    }

    /// Applies one change to many rows, all or none.
    pub(crate) async fn change_all(
        &self,
        rows: Vec<Segment>,
        change: Change,
    ) -> Result<(), ManifestError> {
        let now = self.clock.now_ms();
        let mut partitions: Vec<_> = rows.iter().map(|row| row.partition.id()).collect();
        partitions.dedup();
        let forget = self.cache.forget_after(partitions);
        let work = move |conn: &_| {
            rows.iter().try_for_each(|row| {
                let (id, attempt) = (row.partition.id(), Some(row.segment_id));
                let name = row.partition.to_string();
                change::apply(conn, id, row.base, attempt, &change, now, &name).map(drop)
            })
        };
        self.writer.call(forget, work).await
    }

    /// Replaces a partition's live rows by what a reconcile found.
    pub(crate) async fn replace_live(
        &self,
        partition: &PartitionKey,
        pieces: PieceChange,
    ) -> Result<(), ManifestError> {
        let (key, now) = (partition.clone(), self.clock.now_ms());
        let work = move |conn: &_| change::replace_live(conn, &key, &pieces, now);
        self.writer.call(self.cache.forget_after(vec![partition.id()]), work).await
    }

    /// Adds the rows of segments that another process uploaded, all or none.
    pub(crate) async fn add_live(
        &self,
        partition: &PartitionKey,
        found: Vec<Segment>,
    ) -> Result<(), ManifestError> {
        let (key, now) = (partition.clone(), self.clock.now_ms());
        let work = move |conn: &_| change::add_live(conn, &key, &found, now);
        self.writer.call(self.cache.forget_after(vec![partition.id()]), work).await
    }

    /// Removes every row of a partition that holds nothing remote, and marks the others. Not in one
    /// transaction, so that others get their turn: after a crash in between, do it again.
    pub(crate) async fn drop_partition(
        &self,
        partition: &PartitionKey,
    ) -> Result<(), ManifestError> {
        let (id, mut from) = (partition.id(), Some(Offset::ZERO));
        while let Some(next) = from {
            let now = self.clock.now_ms();
            let work = move |conn: &_| change::drop_rows(conn, id, next, now);
            from = self.writer.call(self.cache.forget_after(vec![id]), work).await?;
        }
        Ok(())
    }

    /// The live row that answers for `offset`.
    pub(crate) async fn find(
        &self,
        partition: &PartitionKey,
        offset: Offset,
    ) -> Result<Option<Segment>, ManifestError> {
        if let Some(hit) = self.cache.find(partition.id(), offset) {
            return Ok(Some(hit));
        }
        let (id, generation) = (partition.id(), self.cache.generation());
        let found = self.readers.look_up(move |conn| query::floor(conn, id, offset)).await?;
        let found = found.filter(|row| row.covers(offset));
        if let Some(row) = &found {
            self.cache.remember(generation, row);
        }
        Ok(found)
    }

    /// The last live row of a partition.
    pub(crate) async fn last(
        &self,
        partition: &PartitionKey,
    ) -> Result<Option<Segment>, ManifestError> {
        let id = partition.id();
        self.readers.look_up(move |conn| query::floor(conn, id, Offset::MAX)).await
    }

    /// The first live row that starts after `offset`.
    pub(crate) async fn next_after(
        &self,
        partition: &PartitionKey,
        offset: Offset,
    ) -> Result<Option<Segment>, ManifestError> {
        let id = partition.id();
        self.readers.look_up(move |conn| query::next_after(conn, id, offset)).await
    }

    /// The first live row whose largest timestamp is at least `timestamp_ms`. Of a long partition where
    /// nothing has changed since the last two were asked for, some rows are looked at; otherwise all that
    /// are late enough.
    pub(crate) async fn find_by_time(
        &self,
        partition: &PartitionKey,
        timestamp_ms: i64,
    ) -> Result<Option<Segment>, ManifestError> {
        let id = partition.id();
        if let Some(times) = self.cache.times(id) {
            let Some(bases) = times.block_of(timestamp_ms) else { return Ok(None) };
            let in_block = move |conn: &_| query::by_time_in(conn, id, &bases, timestamp_ms);
            if let Some(found) = self.readers.look_up(in_block).await? {
                return Ok(Some(found));
            }
            // It has changed in this moment.
        }
        let cache = Arc::clone(&self.cache);
        let look_up = move |conn: &_| {
            if let Some(ticket) = cache.asked(id) {
                let times = query::times(conn, id);
                let times = times.inspect_err(|_| cache.remember_times(id, ticket, None))?;
                cache.remember_times(id, ticket, times);
            }
            query::by_time(conn, id, timestamp_ms)
        };
        self.readers.read(look_up).await
    }

    /// A page of rows in offset order.
    pub(crate) async fn rows(
        &self,
        partition: &PartitionKey,
        range: RowRange,
    ) -> Result<Vec<Segment>, ManifestError> {
        let id = partition.id();
        self.readers.read(move |conn| query::rows(conn, id, &range)).await
    }

    /// What the live rows of a partition add up to.
    pub(crate) async fn bounds(&self, partition: &PartitionKey) -> Result<Bounds, ManifestError> {
        let id = partition.id();
        self.readers.read(move |conn| sums::bounds(conn, id)).await
    }

    /// Rows that are uploading or deleting, oldest change first.
    pub(crate) async fn unfinished(&self, of: Unfinished) -> Result<Vec<Segment>, ManifestError> {
        self.readers.read(move |conn| query::unfinished(conn, &of)).await
    }

    /// Whether any row names this upload attempt.
    pub(crate) async fn knows(&self, id: SegmentId) -> Result<bool, ManifestError> {
        self.readers.read(move |conn| query::knows(conn, id)).await
    }

    /// Whether a live row reads the objects of this upload attempt.
    pub(crate) async fn is_live(&self, id: SegmentId) -> Result<bool, ManifestError> {
        self.readers.read(move |conn| query::is_live(conn, id)).await
    }

    /// Whether rows answer for every offset of `base..=end`, or the partition starts after it.
    pub(crate) async fn covers(
        &self,
        partition: &PartitionKey,
        base: Offset,
        end: Offset,
    ) -> Result<bool, ManifestError> {
        let id = partition.id();
        self.readers.read(move |conn| query::covers(conn, id, base, end)).await
    }

    /// Every partition that has a row.
    pub(crate) async fn partitions(&self) -> Result<Vec<PartitionKey>, ManifestError> {
        self.readers.read(query::partitions).await
    }

    /// What all rows add up to.
    pub(crate) async fn totals(&self) -> Result<Totals, ManifestError> {
        self.readers.read(sums::totals).await
    }

    /// What the rows add up to, by topic and remote state.
    pub(crate) async fn sums(&self) -> Result<Vec<TopicSum>, ManifestError> {
        self.readers.read(sums::of_topics).await
    }

    /// What the manifest knows about itself.
    pub(crate) async fn facts(&self) -> Result<Facts, ManifestError> {
        self.readers.read(Facts::load).await
    }

    /// Writes what the manifest knows about itself.
    pub(crate) async fn save_facts(&self, facts: Facts) -> Result<(), ManifestError> {
        self.writer.call((), move |conn| facts.save(conn)).await
    }
}
