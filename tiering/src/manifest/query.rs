//! Which rows there are. Each question uses the primary key or one index.

use std::ops::Range;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Params, params};

use super::row::select;
use super::times::{ROWS_MIN, Times};
use super::{ManifestError, row};
use crate::ids::{Offset, SegmentId, TopicId};
use crate::partition::PartitionKey;
use crate::segment::{RemoteState, Segment};

type Id = (TopicId, i32);

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
    const FLOOR: &str = select!(
        "s.topic_id = ?1 AND s.partition = ?2 AND s.base_offset <= ?3 \
         AND s.remote_state = 2 ORDER BY s.base_offset DESC LIMIT 1"
    );
    one(connection, FLOOR, params![topic_id.as_bytes(), partition, offset.get()])
}

pub(super) fn next_after(
    connection: &Connection,
    (topic_id, partition): Id,
    offset: Offset,
) -> Result<Option<Segment>, ManifestError> {
    const NEXT: &str = select!(
        "s.topic_id = ?1 AND s.partition = ?2 AND s.base_offset > ?3 \
         AND s.remote_state = 2 ORDER BY s.base_offset LIMIT 1"
    );
    one(connection, NEXT, params![topic_id.as_bytes(), partition, offset.get()])
}

pub(super) fn at(
    connection: &Connection,
    (topic_id, partition): Id,
    base: Offset,
) -> Result<Option<Segment>, ManifestError> {
    const AT: &str = select!("s.topic_id = ?1 AND s.partition = ?2 AND s.base_offset = ?3");
    one(connection, AT, params![topic_id.as_bytes(), partition, base.get()])
}

/// Timestamps need not ascend with offsets, so the first row in offset order is not the first in
/// time order: the index is searched for the smallest offset among all that are late enough.
pub(super) fn by_time(
    connection: &Connection,
    (topic_id, partition): Id,
    timestamp_ms: i64,
) -> Result<Option<Segment>, ManifestError> {
    const BY_TIME: &str = select!(
        "s.topic_id = ?1 AND s.partition = ?2 AND s.base_offset = \
         (SELECT min(base_offset) FROM segments \
          WHERE topic_id = ?1 AND partition = ?2 AND max_timestamp_ms >= ?3 AND remote_state = 2)"
    );
    one(connection, BY_TIME, params![topic_id.as_bytes(), partition, timestamp_ms])
}

/// The same, where the row has its base in a range.
pub(super) fn by_time_in(
    connection: &Connection,
    (topic_id, partition): Id,
    bases: &Range<Offset>,
    timestamp_ms: i64,
) -> Result<Option<Segment>, ManifestError> {
    // The plus keeps SQLite from the index by time, which would be looked through from there on.
    const IN: &str = select!(
        "s.topic_id = ?1 AND s.partition = ?2 AND s.base_offset >= ?3 AND s.base_offset < ?4 \
         AND +s.max_timestamp_ms >= ?5 AND s.remote_state = 2 ORDER BY s.base_offset LIMIT 1"
    );
    let (from, to) = (bases.start.get(), bases.end.get());
    one(connection, IN, params![topic_id.as_bytes(), partition, from, to, timestamp_ms])
}

/// The times of a partition; `None` of one that is not long.
pub(super) fn times(
    connection: &Connection,
    (topic_id, partition): Id,
) -> Result<Option<Times>, ManifestError> {
    let mut count = connection.prepare_cached(
        "SELECT coalesce(sum(segments), 0) FROM sums \
         WHERE topic_id = ?1 AND partition = ?2 AND remote_state = 2",
    )?;
    let id = params![topic_id.as_bytes(), partition];
    let count: i64 = count.query_row(id, |row| row.get(0))?;
    if count.unsigned_abs() < ROWS_MIN {
        return Ok(None);
    }
    // The index has both of what is asked, in fewer pages than the rows.
    let mut all = connection.prepare_cached(
        "SELECT base_offset, max_timestamp_ms FROM segments INDEXED BY segments_by_time \
         WHERE topic_id = ?1 AND partition = ?2 AND remote_state = 2",
    )?;
    let read = |row: &rusqlite::Row<'_>| Ok((Offset::new(row.get(0)?), row.get(1)?));
    let all = all.query_map(params![topic_id.as_bytes(), partition], read)?;
    Ok(Some(Times::of(all.collect::<Result<_, _>>()?)))
}

pub(super) fn rows(
    connection: &Connection,
    (topic_id, partition): Id,
    range: &RowRange,
) -> Result<Vec<Segment>, ManifestError> {
    const RANGE: &str = select!(
        "s.topic_id = ?1 AND s.partition = ?2 AND s.base_offset >= ?3 \
         AND s.base_offset < ?4 AND (?5 < 0 OR s.remote_state = ?5) \
         ORDER BY s.base_offset LIMIT ?6"
    );
    let state = range.remote.map_or(-1, row::remote_number);
    let limit = i64::try_from(range.limit).unwrap_or(i64::MAX);
    let (from, to) = (range.from.get(), range.to.get());
    many(connection, RANGE, params![topic_id.as_bytes(), partition, from, to, state, limit])
}

pub(super) fn unfinished(
    connection: &Connection,
    of: &Unfinished,
) -> Result<Vec<Segment>, ManifestError> {
    const ANYWHERE: &str = select!(
        "s.remote_state = ?1 AND s.remote_state IN (1, 3) AND s.changed_ms <= ?2 \
         ORDER BY s.changed_ms, s.topic_id, s.partition, s.base_offset LIMIT ?3 OFFSET ?4"
    );
    const IN_PARTITION: &str = select!(
        "s.topic_id = ?5 AND s.partition = ?6 \
         AND s.remote_state = ?1 AND s.remote_state IN (1, 3) AND s.changed_ms <= ?2 \
         ORDER BY s.changed_ms, s.base_offset LIMIT ?3 OFFSET ?4"
    );
    let (state, before) = (row::remote_number(of.state), of.changed_before_ms);
    let limit = i64::try_from(of.limit).unwrap_or(i64::MAX);
    let skip = i64::try_from(of.skip).unwrap_or(i64::MAX);
    match &of.partition {
        None => many(connection, ANYWHERE, params![state, before, limit, skip]),
        Some((topic_id, partition)) => {
            let topic_id = topic_id.as_bytes();
            let asked = params![state, before, limit, skip, topic_id, partition];
            many(connection, IN_PARTITION, asked)
        }
    }
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
         (SELECT DISTINCT topic_id, partition FROM sums) k \
         JOIN topics t ON t.topic_id = k.topic_id ORDER BY k.topic_id, k.partition",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        let name: Arc<str> = row.get::<_, String>(0)?.into();
        Ok(PartitionKey::new(name, TopicId::from_bytes(row.get(1)?), row.get(2)?))
    };
    Ok(query.query_map([], read)?.collect::<Result<_, _>>()?)
}

fn one(
    connection: &Connection,
    query: &str,
    params: impl Params,
) -> Result<Option<Segment>, ManifestError> {
    let mut query = connection.prepare_cached(query)?;
    Ok(query.query_row(params, row::read).optional()?)
}

fn many(
    connection: &Connection,
    query: &str,
    params: impl Params,
) -> Result<Vec<Segment>, ManifestError> {
    let mut query = connection.prepare_cached(query)?;
    Ok(query.query_map(params, row::read)?.collect::<Result<_, _>>()?)
}
