//! The questions that the manifest answers. Each uses the primary key or one index.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Params, params};

use super::{ManifestError, row};
use crate::ids::{Offset, SegmentId, TopicId};
use crate::partition::PartitionKey;
use crate::segment::{LocalState, RemoteState, Segment};

type Id = (TopicId, i32);

/// What the live segments of a partition add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The first offset of the first live segment.
    pub first_offset: Option<Offset>,
    /// The last offset of the last live segment, inclusive.
    pub end_offset: Option<Offset>,
    /// How many live segments there are.
    pub segments: u64,
    /// Bytes of their logs.
    pub bytes: u64,
    /// The largest timestamp in them, in milliseconds; -1 when none carries one.
    pub max_timestamp_ms: i64,
    /// The smallest first timestamp in them, in milliseconds; -1 when none carries one.
    pub first_timestamp_ms: i64,
}

/// How many segments are in each state, and how many bytes they have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Present here, not uploaded.
    pub local_only: Count,
    /// Being uploaded.
    pub uploading: Count,
    /// Live in the store and present here.
    pub live_and_local: Count,
    /// Live in the store only.
    pub live_only: Count,
    /// Being deleted.
    pub deleting: Count,
}

/// A number of segments and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Segments.
    pub segments: u64,
    /// Bytes of their logs.
    pub bytes: u64,
}

/// What the segments of one topic add up to that are in one state of the remote tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSum {
    /// The topic's name. Two topics have the same one while an earlier one is being deleted.
    pub topic: Arc<str>,
    /// The state.
    pub remote: RemoteState,
    /// How many, and how large.
    pub count: Count,
}

/// A page of a partition's rows, in offset order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowRange {
    /// Rows whose base is at least this.
    pub(crate) from: Offset,
    /// Rows whose base is below this.
    pub(crate) to: Offset,
    /// Only rows in this state.
    pub(crate) remote: Option<RemoteState>,
    /// At most so many.
    pub(crate) limit: usize,
}

/// Rows that an operation left unfinished.
#[derive(Clone, Debug)]
pub(crate) struct Unfinished {
    pub(crate) state: RemoteState,
    /// Last changed at or before this time.
    pub(crate) changed_before_ms: i64,
    pub(crate) partition: Option<(TopicId, i32)>,
    /// At most so many, in order of (change, key), after this many.
    pub(crate) limit: usize,
    pub(crate) skip: usize,
}

pub(super) fn floor(
    connection: &Connection,
    (topic_id, partition): Id,
    offset: Offset,
) -> Result<Option<Segment>, ManifestError> {
    const FLOOR: &str = "WHERE s.topic_id = ?1 AND s.partition = ?2 AND s.base_offset <= ?3 \
         AND s.remote_state = 2 ORDER BY s.base_offset DESC LIMIT 1";
    one(connection, FLOOR, params![topic_id.as_bytes(), partition, offset.get()])
}

pub(super) fn next_after(
    connection: &Connection,
    (topic_id, partition): Id,
    offset: Offset,
) -> Result<Option<Segment>, ManifestError> {
    const NEXT: &str = "WHERE s.topic_id = ?1 AND s.partition = ?2 AND s.base_offset > ?3 \
         AND s.remote_state = 2 ORDER BY s.base_offset LIMIT 1";
    one(connection, NEXT, params![topic_id.as_bytes(), partition, offset.get()])
}

pub(super) fn at(
    connection: &Connection,
    (topic_id, partition): Id,
    base: Offset,
) -> Result<Option<Segment>, ManifestError> {
    const AT: &str = "WHERE s.topic_id = ?1 AND s.partition = ?2 AND s.base_offset = ?3";
    one(connection, AT, params![topic_id.as_bytes(), partition, base.get()])
}

/// Timestamps need not ascend with offsets, so the first row in offset order is not the first in
/// time order: the index is searched for the smallest offset among all that are late enough.
pub(super) fn by_time(
    connection: &Connection,
    (topic_id, partition): Id,
    timestamp_ms: i64,
) -> Result<Option<Segment>, ManifestError> {
    const BY_TIME: &str = "WHERE s.topic_id = ?1 AND s.partition = ?2 AND s.base_offset = \
         (SELECT min(base_offset) FROM segments \
          WHERE topic_id = ?1 AND partition = ?2 AND max_timestamp_ms >= ?3 AND remote_state = 2)";
    one(connection, BY_TIME, params![topic_id.as_bytes(), partition, timestamp_ms])
}

pub(super) fn rows(
    connection: &Connection,
    (topic_id, partition): Id,
    range: &RowRange,
) -> Result<Vec<Segment>, ManifestError> {
    const RANGE: &str = "WHERE s.topic_id = ?1 AND s.partition = ?2 AND s.base_offset >= ?3 \
         AND s.base_offset < ?4 AND (?5 < 0 OR s.remote_state = ?5) \
         ORDER BY s.base_offset LIMIT ?6";
    let state = range.remote.map_or(-1, row::remote_number);
    let limit = i64::try_from(range.limit).unwrap_or(i64::MAX);
    let (from, to) = (range.from.get(), range.to.get());
    many(connection, RANGE, params![topic_id.as_bytes(), partition, from, to, state, limit])
}

pub(super) fn unfinished(
    connection: &Connection,
    of: &Unfinished,
) -> Result<Vec<Segment>, ManifestError> {
    const UNFINISHED: &str = "WHERE s.remote_state = ?1 AND s.remote_state IN (1, 3) \
         AND s.changed_ms <= ?2 AND (?3 IS NULL OR (s.topic_id = ?3 AND s.partition = ?4)) \
         ORDER BY s.changed_ms, s.topic_id, s.partition, s.base_offset LIMIT ?5 OFFSET ?6";
    let state = row::remote_number(of.state);
    let topic_id = of.partition.as_ref().map(|(topic_id, _)| topic_id.as_bytes());
    let partition = of.partition.map(|(_, partition)| partition);
    let limit = i64::try_from(of.limit).unwrap_or(i64::MAX);
    let skip = i64::try_from(of.skip).unwrap_or(i64::MAX);
    let before = of.changed_before_ms;
    many(connection, UNFINISHED, params![state, before, topic_id, partition, limit, skip])
}

pub(super) fn bounds(
    connection: &Connection,
    (topic_id, partition): Id,
) -> Result<Bounds, ManifestError> {
    let mut query = connection.prepare_cached(
        "SELECT min(base_offset), max(end_offset), count(*), coalesce(sum(size), 0), \
         coalesce(max(max_timestamp_ms), -1), \
         coalesce(min(CASE WHEN first_timestamp_ms >= 0 THEN first_timestamp_ms END), -1) \
         FROM segments WHERE topic_id = ?1 AND partition = ?2 AND remote_state = 2",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Bounds {
            first_offset: row.get::<_, Option<i64>>(0)?.map(Offset::new),
            end_offset: row.get::<_, Option<i64>>(1)?.map(Offset::new),
            segments: row.get::<_, i64>(2)?.unsigned_abs(),
            bytes: row.get::<_, i64>(3)?.unsigned_abs(),
            max_timestamp_ms: row.get(4)?,
            first_timestamp_ms: row.get(5)?,
        })
    };
    Ok(query.query_row(params![topic_id.as_bytes(), partition], read)?)
}

pub(super) fn knows(connection: &Connection, id: SegmentId) -> Result<bool, ManifestError> {
    let mut query =
        connection.prepare_cached("SELECT 1 FROM segments WHERE segment_id = ?1 LIMIT 1")?;
    Ok(query.exists([id.as_bytes()])?)
}

pub(super) fn is_live(connection: &Connection, id: SegmentId) -> Result<bool, ManifestError> {
    let mut query = connection.prepare_cached(
        "SELECT 1 FROM segments WHERE segment_id = ?1 AND remote_state = 2 LIMIT 1",
    )?;
    Ok(query.exists([id.as_bytes()])?)
}

pub(super) fn covers(
    connection: &Connection,
    (topic_id, partition): Id,
    base: Offset,
    end: Offset,
) -> Result<bool, ManifestError> {
    let mut first = connection.prepare_cached(
        "SELECT min(base_offset) FROM segments WHERE topic_id = ?1 AND partition = ?2",
    )?;
    let first: Option<i64> =
        first.query_row(params![topic_id.as_bytes(), partition], |row| row.get(0))?;
    if first.is_some_and(|first| end.get() < first) {
        return Ok(true);
    }
    let mut rows = connection.prepare_cached(
        "SELECT base_offset, end_offset FROM segments WHERE topic_id = ?1 AND partition = ?2 \
         AND base_offset <= ?3 AND end_offset >= ?4 ORDER BY base_offset",
    )?;
    let mut found = rows.query(params![topic_id.as_bytes(), partition, end.get(), base.get()])?;
    // Below the first row the log was expired: that much is answered for, by design.
    let mut next = base.get().max(first.unwrap_or(base.get()));
    while let Some(row) = found.next()? {
        if row.get::<_, i64>(0)? > next {
            return Ok(false);
        }
        next = next.max(row.get::<_, i64>(1)?.saturating_add(1));
    }
    Ok(next > end.get())
}

pub(super) fn partitions(connection: &Connection) -> Result<Vec<PartitionKey>, ManifestError> {
    let mut query = connection.prepare_cached(
        "SELECT t.name, k.topic_id, k.partition FROM \
         (SELECT DISTINCT topic_id, partition FROM segments) k \
         JOIN topics t ON t.topic_id = k.topic_id ORDER BY k.topic_id, k.partition",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        let name: Arc<str> = row.get::<_, String>(0)?.into();
        Ok(PartitionKey::new(name, TopicId::from_bytes(row.get(1)?), row.get(2)?))
    };
    Ok(query.query_map([], read)?.collect::<Result<_, _>>()?)
}

pub(super) fn totals(connection: &Connection) -> Result<Totals, ManifestError> {
    let mut query = connection.prepare_cached(
        "SELECT local_state, remote_state, count(*), sum(size) FROM segments GROUP BY 1, 2",
    )?;
    let mut totals = Totals::default();
    let mut found = query.query([])?;
    while let Some(group) = found.next()? {
        let (local, remote) = (row::local_of(group.get(0)?)?, row::remote_of(group.get(1)?)?);
        let count = match (local, remote) {
            (_, RemoteState::None) => &mut totals.local_only,
            (_, RemoteState::Uploading) => &mut totals.uploading,
            (_, RemoteState::Deleting) => &mut totals.deleting,
            (LocalState::Present, RemoteState::Live) => &mut totals.live_and_local,
            (LocalState::Gone, RemoteState::Live) => &mut totals.live_only,
        };
        count.segments += group.get::<_, i64>(2)?.unsigned_abs();
        count.bytes += group.get::<_, i64>(3)?.unsigned_abs();
    }
    Ok(totals)
}

/// One row for each topic and state, whatever the number of segments.
pub(super) fn sums(connection: &Connection) -> Result<Vec<TopicSum>, ManifestError> {
    let mut query = connection.prepare_cached(
        "SELECT t.name, s.remote_state, s.segments, s.bytes FROM sums s \
         JOIN topics t ON t.topic_id = s.topic_id",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        let count = Count {
            segments: row.get::<_, i64>(2)?.unsigned_abs(),
            bytes: row.get::<_, i64>(3)?.unsigned_abs(),
        };
        let topic: Arc<str> = row.get::<_, String>(0)?.into();
        Ok(TopicSum { topic, remote: row::remote_of(row.get(1)?)?, count })
    };
    Ok(query.query_map([], read)?.collect::<Result<_, _>>()?)
}

fn one(
    connection: &Connection,
    condition: &str,
    params: impl Params,
) -> Result<Option<Segment>, ManifestError> {
    let mut query = connection.prepare_cached(&[row::SELECT, condition].concat())?;
    Ok(query.query_row(params, row::read).optional()?)
}

fn many(
    connection: &Connection,
    condition: &str,
    params: impl Params,
) -> Result<Vec<Segment>, ManifestError> {
    let mut query = connection.prepare_cached(&[row::SELECT, condition].concat())?;
    Ok(query.query_map(params, row::read)?.collect::<Result<_, _>>()?)
}
